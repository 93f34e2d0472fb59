"""A finding, and the file that has them all in words."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from ferlib.errors import FerlibError

KINDS = (
    "typing slip",
    "unclear",
    "cannot both hold",
    "not what the described design gives",
    "checks out",
)
DATASET, DESIGN = (
    "the dataset",
    "the described network",
)  # what a place is set against, beside the five papers
Result = tuple[bool, str]


@dataclass(frozen=True)
class Finding:
    """One row. ``line`` and ``printed`` are the place's line in the stored text and a part of that line.

    ``against`` is empty (another place of the same paper), another paper's short name, `DATASET` or `DESIGN`;
    ``other``, ``other_line`` and ``other_printed`` are the place that it is set against, as far as it has any.
    ``changes`` says what the finding changes for a reader, ``resolve`` what would settle it.
    """

    id: str
    paper: str
    kind: str
    what: str
    place: str
    line: int
    printed: str
    against: str
    other: str
    other_line: int
    other_printed: str
    changes: str
    resolve: str


Evidence = Callable[[Finding], Result]


@cache
def load(path: Path | None = None) -> tuple[Finding, ...]:
    """All findings, in the order of the file. FerlibError for a file that has other columns or an unknown class."""
    path = path or Path(__file__).parents[1] / "claims" / "findings.csv"
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        if reader.fieldnames != [f.name for f in fields(Finding)]:
            raise FerlibError(f"{path.name}: the columns must be {','.join(f.name for f in fields(Finding))}")
        rows = list(reader)
    found = []
    for row in rows:
        lines = {name: int(row[name] or 0) for name in ("line", "other_line")}
        finding = Finding(**{**row, **lines})  # type: ignore[arg-type]
        if finding.kind not in KINDS:
            raise FerlibError(f"{path.name}, {finding.id}: unknown class {finding.kind!r}")
        found.append(finding)
    return tuple(found)
