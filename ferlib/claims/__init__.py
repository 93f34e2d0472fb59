"""The ledger: every number and statement that the five papers report as their own, one row for each place.

``<paper>.csv`` holds the rows, ``<paper>_others.csv`` what the paper prints for others' methods (cited, not run here),
``words_<paper>.py`` the statements in words as predicates over a confusion matrix, over curves, or over costs and
published counts. `ferlib.claims.judge` computes the verdicts from the records; nothing in this folder says what we
measured.
"""

from __future__ import annotations

import csv
import importlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from ferlib.errors import FerlibError
from ferlib.statements import Test

# reproducible parts of one record, or of several of one seed -> (holds, or None where they cannot tell; what is so)
History = Callable[..., tuple[bool | None, str]]
# nothing -> (holds, or None at a tie; what is so): costs of networks, counts that the makers of a dataset publish
Fact = Callable[[], tuple[bool | None, str]]

NAMES = {  # of the papers' networks
    "amdcnn": "AMDCNN",
    "gcca_vgg": "GCCA-VGG16",
    "a_mobilenet": "A-MobileNet",
    "se_cnn": "SE-CNN",
    "msca_resnet": "MSCA-ResNet",
}
PAPERS = tuple(NAMES)
KINDS = ("accuracy", "metric", "gain", "count", "size", "test", "words")
CHECKS = (
    "record",
    "gain",
    "order",
    "words",
    "history",
    "fact",
    "attention",
    "heads",
    "t_test",
    "spread",
    "scatter",
    "parameters",
    "multiply_adds",
    "audit",
    "arithmetic",
    "none",
)
NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class Claim:
    """One row. ``line`` counts in the stored text of the paper, ``printed`` is a part of that line.

    ``check`` says how a verdict can be had: ``record`` (``quantity`` in the records of ``experiment``), ``gain`` and
    ``order`` (accuracy of ``experiment`` against ``against``), ``words`` (a predicate over confusion matrices),
    ``history`` (one over records, of ``experiment`` and where it is given ``against``), ``fact`` (one over costs or
    published counts, which needs no record), ``attention`` (where ``experiment`` looks, compared with ``against``),
    ``heads`` (accuracy of each classifier against its fusion weight), ``t_test`` and ``spread`` (over the seeds of both
    rows), ``scatter`` (of the test logits, against ``against``), ``parameters`` and ``multiply_adds`` (of
    the network of ``experiment``), ``audit`` (a measured count, ``experiment`` is its path), ``arithmetic``
    (``against`` is an expression over other rows), ``none`` (``note`` says why not).
    Rows with the same ``same`` print one quantity at several places.
    """

    id: str
    paper: str
    place: str
    line: int
    kind: str
    quantity: str
    dataset: str
    model: str
    printed: str
    unit: str
    check: str
    experiment: str
    against: str
    same: str
    note: str

    @property
    def scale(self) -> float:
        """100 for an accuracy or another rate that is printed as a fraction: all rates are compared in percent."""
        return 100.0 if self.kind in ("accuracy", "metric") and self.unit == "fraction" else 1.0

    @property
    def value(self) -> float | None:
        """The printed number, rates in percent; None for words."""
        text = re.sub(r"(?<=\d),\s?(?=\d{3})", "", self.printed.strip().casefold())  # "1, 773" as "1,773"
        if text in NUMBER_WORDS:
            return float(NUMBER_WORDS.index(text))
        found = re.fullmatch(r"[<≤≥~+±\s]*(-?\d*\.?\d+(?:e-?\d+)?)\s*%?", text)
        return round(self.scale * float(found.group(1)), 9) if found else None

    @property
    def half_unit(self) -> float:
        """Half a unit of the last printed digit, as ``value``: what rounding may hide."""
        digits = self.printed.rstrip("% ").partition(".")[2]
        return self.scale * 0.5 * 10.0 ** -len(digits)


@dataclass(frozen=True)
class Other:
    """A number that a paper prints for somebody else's method: cited, not run here."""

    paper: str
    place: str
    line: int
    method: str
    dataset: str
    quantity: str
    printed: str
    unit: str
    note: str


def _rows(name: str, columns: Iterable[str]) -> list[dict[str, str]]:
    path = Path(__file__).with_name(f"{name}.csv")
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        expected = [c for c in columns if c != "paper"]
        if reader.fieldnames != expected:
            raise FerlibError(f"{name}.csv: the columns must be {','.join(expected)}")
        return list(reader)


@cache
def load(paper: str | None = None) -> tuple[Claim, ...]:
    """The rows of one paper, or of all five. FerlibError for an unknown paper or a row that cannot be."""
    if paper is None:
        return tuple(claim for name in PAPERS for claim in load(name))
    if paper not in PAPERS:
        raise FerlibError(f"no paper {paper!r} in the ledger; known are {', '.join(PAPERS)}")
    columns = [f.name for f in fields(Claim)]
    found = []
    for row in _rows(paper, columns):
        claim = Claim(**{**row, "paper": paper, "line": int(row["line"])})  # type: ignore[arg-type]
        if claim.kind not in KINDS or claim.check not in CHECKS:
            raise FerlibError(
                f"{paper}.csv, {claim.id}: unknown kind {claim.kind!r} or check {claim.check!r}"
            )
        found.append(claim)
    return tuple(found)


@cache
def others(paper: str | None = None) -> tuple[Other, ...]:
    """What a paper, or all five, print for others' methods."""
    if paper is None:
        return tuple(row for name in PAPERS for row in others(name))
    columns = [f.name for f in fields(Other)]
    rows = _rows(f"{paper}_others", columns)
    return tuple(Other(**{**row, "paper": paper, "line": int(row["line"])}) for row in rows)  # type: ignore[arg-type]


@cache
def histories(paper: str) -> Mapping[str, History]:
    """The predicates over whole records, by the id of their row."""
    module = importlib.import_module(f"ferlib.claims.words_{paper}")
    return dict(getattr(module, "HISTORIES", {}))


@cache
def facts(paper: str) -> Mapping[str, Fact]:
    """The predicates over costs and published counts, by the id of their row."""
    module = importlib.import_module(f"ferlib.claims.words_{paper}")
    return dict(getattr(module, "FACTS", {}))


@cache
def zones(paper: str) -> Mapping[str, tuple[str, ...]]:
    """The zones of the face that a statement on attention names, by the id of its row."""
    module = importlib.import_module(f"ferlib.claims.words_{paper}")
    return dict(getattr(module, "ATTENTION", {}))


@cache
def words(paper: str) -> Mapping[str, Test]:
    """The predicates of a paper's statements over confusion matrices, by the id of their row."""
    return dict(importlib.import_module(f"ferlib.claims.words_{paper}").STATEMENTS)
