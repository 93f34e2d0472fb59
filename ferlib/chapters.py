"""What the chapters of the papers have in common: from rows and records to the tables they show.

A chapter names its rows and says what its paper says in words; the tables are made here, so that five chapters
read alike. Nothing in them is typed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown, display

from ferlib import records, tables, wording
from ferlib.couples import LAST, couple, last_cell, last_epochs, tested
from ferlib.data.dataset import book_name, display_order
from ferlib.evaluate import accuracy_interval, holm, mean_interval, paired_seeds, welch
from ferlib.experiments import EXPERIMENTS, Experiment
from ferlib.forensics import compatible_counts
from ferlib.statements import Matrix
from ferlib.typeset import typeset, typeset_cells

# quantity as it is printed -> its place among the metrics of a record; averages are weighted by support where
# a paper's recall equals its accuracy
MEASURES: dict[str, Callable[[Mapping[str, Any]], float]] = {
    "test accuracy": lambda result: result["accuracy"],
    "test precision": lambda result: result["weighted"]["precision"],
    "test recall": lambda result: result["weighted"]["recall"],
    "test F1-score": lambda result: result["weighted"]["f1"],
}
Estimate = tuple[str, float, float, float, float | None]  # label, ours, low, high, published
RECALL_OF = "test recall of "
REDUCED = " *"  # behind a number from reduced runs, everywhere


def table(frame: pd.DataFrame) -> None:
    """Show a table of a chapter, its text typeset, without its index."""
    display(typeset_cells(frame).style.hide(axis="index"))


def folded(summary: str, frame: pd.DataFrame) -> None:
    """Show a table that the reader opens by its summary; on paper it is open."""
    inside = typeset_cells(frame).style.hide(axis="index").to_html()
    display(HTML(f"<details class='folded'><summary>{escape(typeset(summary))}</summary>{inside}</details>"))


def counts(matrices: Mapping[str, Matrix]) -> None:
    """Show the counts of a figure of confusion matrices as a table, folded: a line for each matrix and true class."""
    lines = []
    for title, (classes, found) in matrices.items():
        order = display_order(classes)
        names = [book_name(classes[i]) for i in order]
        for name, row in zip(names, found[np.ix_(order, order)], strict=True):
            lines.append(
                {"matrix": title, "true": name} | {f"as {c}": str(n) for c, n in zip(names, row, strict=True)}
            )
    if lines:
        folded("The counts of the figure as a table", pd.DataFrame(lines).fillna("–"))


def table_or(frame: pd.DataFrame, otherwise: str) -> None:
    """Show a table, or where it is empty say why."""
    if len(frame):
        table(frame)
    else:
        say(otherwise)


def say(text: str | Iterable[str]) -> None:
    """Show sentences that were made from numbers, typeset; several paragraphs as an iterable, nothing for none."""
    said = [text] if isinstance(text, str) else list(text)
    if any(said):
        display(Markdown("\n\n".join(typeset(paragraph) for paragraph in said)))


def source(*parts: type) -> None:
    """Show the library's own lines of classes, so that a chapter's equations stand beside the code that runs."""
    from inspect import getsource

    blocks = [
        f"`{part.__module__}.{part.__name__}`\n\n```python\n{getsource(part).rstrip()}\n```" for part in parts
    ]
    display(Markdown("\n\n".join(blocks)))


def rows_of(paper: str, *, table: str | None = None, dataset: str | None = None) -> list[Experiment]:
    """The rows of a paper whose cell stands in ``table`` (a part of the name will do) and on ``dataset``."""
    return [
        row
        for row in EXPERIMENTS.values()
        if row.paper == paper
        and (dataset is None or row.dataset == dataset)
        and (table is None or any(p.where == table for p in row.published))
    ]


# ---------------------------------------------------------------------------------------------------------
# What the paper claims
# ---------------------------------------------------------------------------------------------------------


def claims(rows: Sequence[Experiment]) -> pd.DataFrame:
    """Every number that the paper prints for these rows, and where."""
    found: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        for p in row.published:
            places = found.setdefault((row.column, row.row, p.quantity, f"{p.value:g}"), [])
            if p.where not in places:
                places.append(p.where)
    return pd.DataFrame(
        [
            {
                "dataset": column,
                "model": model,
                "quantity": quantity,
                "published": value,
                "where": ", ".join(where),
            }
            for (column, model, quantity, value), where in found.items()
        ]
    )


def granularity(printed: Mapping[str, str], sizes: Sequence[int]) -> pd.DataFrame:
    """For each printed accuracy (percent, as text), the counts of correct images among n that round to it."""
    return pd.DataFrame(
        [
            {"accuracy of": name, "printed": text}
            | {f"correct of {n:,}": ", ".join(map(str, compatible_counts(text, n))) or "none" for n in sizes}
            for name, text in printed.items()
        ]
    )


# ---------------------------------------------------------------------------------------------------------
# Published and ours
# ---------------------------------------------------------------------------------------------------------


def signed(points: float | np.floating[Any]) -> str:
    """A difference in points with its sign; zero has a plus."""
    return f"{round(float(points), 2) + 0.0:+.2f}"


def bounds(low: float, high: float, digits: int = 1, sign: str = "+") -> str:
    """An interval in square brackets, in the unit of its bounds, with ``digits`` behind the point; ``sign`` "" or "+".

    A bound that would round to zero has as many more as show on which side of it it lies.
    """

    def told(bound: float) -> str:
        bound = round(bound, 9) + 0.0
        shown = next((n for n in range(digits, 9) if round(bound, n)), digits)
        return f"{bound:{sign}.{shown}f}"

    return f"[{told(low)}, {told(high)}]"


def measure(quantity: str, result: Mapping[str, Any]) -> float | None:
    """A printed quantity among a record's metrics, in percent; None for what no record holds."""
    if quantity.startswith(RECALL_OF):
        recall = result["per_class_recall"].get(quantity.removeprefix(RECALL_OF))
        return None if recall is None else 100 * recall
    found = MEASURES.get(quantity)
    return None if found is None else 100 * found(result)


def compared(
    rows: Sequence[Experiment],
    results: Path | str,
    quantities: Sequence[str] = ("test accuracy",),
    where: str | None = None,
) -> pd.DataFrame:
    """Published and ours side by side: one line for each row and quantity.

    Accuracies come as in `tables.accuracy_cell`; a quantity without interval as mean ± standard deviation over
    seeds. ``where`` takes only what is printed there. The difference is ours (epoch chosen on validation) minus
    published, in points.
    """
    lines = []
    for row in rows:
        parts = tables.parts_of(results, row.id)
        for quantity in quantities:
            values = [p.value for p in row.published if p.quantity == quantity and where in (None, p.where)]
            line = {"dataset": row.column, "model": row.row, "quantity": quantity}
            line["published"] = " / ".join(dict.fromkeys(f"{v:.2f}" for v in values)) or "–"
            chosen = [measure(quantity, p["result"]["val_selected"]) for p in parts]
            for reading in ("val_selected", "paper_style"):
                line[tables.READINGS[reading]] = _cell(parts, quantity, reading)
            line["images"] = f"{parts[0]['result']['val_selected']['n']:,}" if parts else "–"
            known = [value for value in chosen if value is not None]
            line["difference"] = signed(np.mean(known) - values[0]) if known and values else "–"
            line["runs"] = tables.evidence_label(parts)
            lines.append(line)
    frame = pd.DataFrame(lines)
    for column in ("dataset", "quantity"):  # a column that says the same in every line is left to the caption
        if len(frame) and frame[column].nunique() == 1:
            frame = frame.drop(columns=column)
    return frame


def _cell(parts: list[dict[str, Any]], quantity: str, reading: str) -> str:
    if quantity == "test accuracy":
        return tables.accuracy_cell(parts, reading).partition(", n = ")[0]  # n has a column of its own
    found = [measure(quantity, p["result"][reading]) for p in parts]
    values = np.array([v for v in found if v is not None])
    if len(values) == 0:
        return "–"
    return f"{values.mean():.2f}" + (f" ± {values.std(ddof=1):.2f}" if len(values) > 1 else "")


def interval(parts: Sequence[dict[str, Any]], reading: str = "val_selected") -> tuple[float, float, float]:
    """Accuracy of a row's seeds in a reading of the epoch: mean and 95 % bounds (`mean_interval`), fractions."""
    results = [p["result"][reading] for p in parts]
    by_seed = [result["accuracy"] for result in results]
    return float(np.mean(by_seed)), *mean_interval(by_seed, tables.independent(results))


def estimates(
    rows: Sequence[Experiment], results: Path | str, reading: str = "val_selected"
) -> list[Estimate]:
    """Rows for `plots.intervals`: label, mean over seeds, bounds, published accuracy; rows without a run are left out.

    The bounds are those of `interval`.
    """
    found = []
    for row in rows:
        parts = tables.parts_of(results, row.id)
        if not parts:
            continue
        mean, low, high = interval(parts, reading)
        found.append((row.row + star(parts), 100 * mean, 100 * low, 100 * high, printed_accuracy(row)))
    return found


def cells(paper: str, results: Path | str) -> pd.DataFrame:
    """How many of the printed numbers of each table have a full record, a reduced one, or none.

    A number is answered by the paper's own row; ``by a stand-in`` counts those that have no record of it but one
    of a row of ours for the same cell (from scratch, smaller images), which is no replication of the cell.
    """
    answers: dict[tuple[str, str, str, str], list[Experiment]] = {}
    for row in EXPERIMENTS.values():
        for p in row.published if row.paper == paper else ():
            if p.where.startswith("Table") and measurable(p.quantity):
                answers.setdefault((p.where, row.column, p.quantity, cell_of(row)), []).append(row)
    lines: dict[str, dict[str, Any]] = {}
    for (where, *_), rows in answers.items():
        line = lines.setdefault(
            where, {"table": where, "cells": 0, "full": 0, "reduced": 0, "none": 0, "by a stand-in": 0}
        )
        own, *others = sorted(rows, key=lambda row: len(row.id))
        state = best_state(own, results)
        line["cells"] += 1
        line[state] += 1
        line["by a stand-in"] += state == "none" and any(best_state(r, results) != "none" for r in others)
    return pd.DataFrame([lines[name] for name in sorted(lines)])


def measurable(quantity: str) -> bool:
    """Whether a record answers this quantity (parameters and FLOPs need none)."""
    return quantity in MEASURES or quantity.startswith(RECALL_OF)


def cell_of(row: Experiment) -> str:
    """The name that a paper's row shares with our rows for the same cell: what stands before our additions."""
    return row.row.split(", ")[0].split(" (")[0]


def stands_in(row: Experiment) -> bool:
    """Whether a row, from scratch or at another size, stands in for the one that the paper has."""
    return "-scratch" in row.id


def star(parts: Sequence[Mapping[str, Any]]) -> str:
    """The mark of `REDUCED` where one of these records is not full."""
    return "" if {p["profile"] for p in parts} <= {"full"} else REDUCED


def some(n: int, noun: str) -> str:
    """A number with its noun: 1 seed, 2 seeds."""
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def listed(words: Iterable[str]) -> str:
    """a, b and c."""
    words = list(words)
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def by_class(columns: pd.DataFrame | Mapping[str, Any]) -> pd.DataFrame:
    """Columns by class name as a table in the order of `display_order`, sums and other lines behind the classes."""
    frame = pd.DataFrame(columns).rename(index=book_name)
    return frame.iloc[display_order(list(frame.index))].rename_axis("class").reset_index()


def best_state(row: Experiment, results: Path | str) -> str:
    """``none``, ``reduced`` or ``full``: the best record of a row that may stand in a table."""
    found = {p["profile"] for p in tables.parts_of(results, row.id)}
    return max(found, key=records.PROFILES.index) if found else "none"


# ---------------------------------------------------------------------------------------------------------
# Ablations: pairs of runs, seeds, folds by subject
# ---------------------------------------------------------------------------------------------------------


def _seed_by_seed(gaps: np.ndarray) -> str:
    """Differences of ``gaps`` (seeds, N) in points: a dash of one, each of up to three, of more their range."""
    differences = list(100 * gaps.mean(1))
    if len(differences) == 1:
        return "–"
    if len(differences) <= 3:
        return ", ".join(signed(difference) for difference in differences)
    return f"{signed(min(differences))} to {signed(max(differences))}, {len(differences)} seeds"


def step_pairs(rows: Sequence[Experiment]) -> list[tuple[Experiment, Experiment]]:
    """The first row with each other one, then each of these with the one before it."""
    return [(rows[0], row) for row in rows[1:]] + list(pairwise(rows[1:]))


def steps(
    rows: Sequence[Experiment], results: Path | str, reading: str = "val_selected", *, onward: bool = True
) -> pd.DataFrame:
    """`step_pairs` on the same images: differences in points; without ``onward`` those from the first row alone.

    Each step has one interval and one p, those of `Couple.test`: over the seeds that both rows have, and test images
    (people on CK+). The last column is after Holm's correction over the table; one that has each seed's difference is
    there where a step has several. Beside the interval stands what is left without a chosen epoch: `last_epochs`. Over
    published steps of rows that ours only stand in for it says so.
    """
    chosen = step_pairs(rows) if onward else [(rows[0], row) for row in rows[1:]]
    head = "published (own rows: not comparable)" if any(map(stands_in, rows)) else "published (points)"
    tried = [(a, b, couple(a.id, b.id, results, reading)) for a, b in chosen]
    found = [(a, b, one, one.test()) for a, b, one in tried if one is not None]
    lines = []
    for (a, b, one, test), corrected in zip(found, holm([test["p"] for *_, test in found]), strict=True):
        used = [p for row in (a, b) for p in tables.parts_of(results, row.id) if p["seed"] in one.seeds]
        before, after = printed_accuracy(a), printed_accuracy(b)
        end = last_epochs(a.id, b.id, results, one.seeds)
        lines.append(
            {
                "step": f"{a.row} → {b.row}{star(used)}",
                head: "–" if before is None or after is None else signed(after - before),
                "ours (points)": signed(test["mean"]),
                "95 % interval": bounds(test["low"], test["high"]) if one.gaps.any() else "no image differs",
                f"last {LAST} epochs": last_cell(end),
                "seed by seed": _seed_by_seed(one.gaps),
                "images": f"{len(one.ids):,}",
                "p": f"{test['p']:.2g}",
                "after Holm": f"{corrected:.2g}",
            }
        )
    several = any(line["seed by seed"] != "–" for line in lines)
    return pd.DataFrame(lines).drop(columns=[] if several else "seed by seed", errors="ignore")


def after_holm(rows: Sequence[Experiment], results: Path | str) -> dict[tuple[str, str], float]:
    """p of each of `step_pairs` that has runs to compare, by the ids of its rows, as in the table of all of them."""
    pairs = [(a.id, b.id, couple(a.id, b.id, results)) for a, b in step_pairs(rows)]
    known = {(a, b): found.test()["p"] for a, b, found in pairs if found is not None}
    return dict(zip(known, holm(list(known.values())), strict=True))


def printed_accuracy(row: Experiment) -> float | None:
    """The row's published test accuracy in percent (its table's, where places differ); None where there is none."""
    return next((p.value for p in row.published if p.quantity == "test accuracy"), None)


def over_seeds(
    first: Experiment, second: Experiment, results: Path | str, reading: str = "val_selected"
) -> str:
    """One sentence: Welch's t-test on the accuracies of two rows' seeds; empty where one has a single run or none.

    It takes the runs as two groups and does not use that both networks saw the same images.
    """
    runs = [tables.parts_of(results, row.id) for row in (first, second)]
    accuracies = [[100 * p["result"][reading]["accuracy"] for p in parts] for parts in runs]
    reduced = sum(p["profile"] != "full" for parts in runs for p in parts)
    counts = [len(a) for a in accuracies]
    if min(counts) < 2:
        return ""
    found = welch(accuracies[0], accuracies[1])
    if np.isnan(found["t"]):
        return (
            f"{second.row} minus {first.row}: {found['difference']:+.2f} points; no two seeds of a network differ, so "
            "nothing can be tested."
        )
    return (
        f"{second.row} minus {first.row}: {found['difference']:+.2f} points "
        f"(95 % interval {found['low']:+.2f} to {found['high']:+.2f}), Welch's t = {found['t']:.2f}, "
        f"p = {found['p']:.2g}, {counts[1]} and {counts[0]} seeds"
        + (f"; {some(reduced, 'run')} of these reduced." if reduced else ".")
    )


def by_subject(rows: Sequence[Experiment], results: Path | str) -> pd.DataFrame:
    """Random split against folds by subject: one line for each row that has its folds' records.

    ``rows`` are split by frames; their folds are the rows ``<id>-grouped<k>``. The pooled accuracy is over the
    test images of all folds, with the 95 % interval of `accuracy_interval`, which counts people: frames of one sequence
    are nearly alike. Which folds a line has is said where some are missing: see `unlike_folds`.
    """
    lines = []
    for row in rows:
        folds, seeds = seeds_of_folds(row, results)
        if not seeds:
            continue
        over = [p for name in folds for p in tables.parts_of(results, name) if p["seed"] in seeds]
        ids, hits = pooled(row, results)
        low, high = accuracy_interval(hits, tables.clusters_of(ids, row.dataset))
        each = np.array([100 * fold(name, seeds, results)[1].mean() for name in folds])
        spread = f" ± {each.std(ddof=1):.2f}" if len(each) > 1 else ""
        lines.append(
            {
                "model": row.row + star(over),
                "frames at random": tables.accuracy_cell(tables.parts_of(results, row.id), "val_selected"),
                "by subject, pooled": f"{100 * hits.mean():.2f} [{100 * low:.1f}, {100 * high:.1f}], n = {len(ids):,}",
                "by subject, mean of folds": f"{each.mean():.2f}{spread}",
                "by subject, best test epochs": f"{100 * pooled(row, results, 'paper_style')[1].mean():.2f}",
                "folds": f"{len(folds)} of {folds_of(row)}"
                + ("" if len(folds) == folds_of(row) else f" ({_numbers(folds)})"),
                "seeds": len(seeds),
            }
        )
    return pd.DataFrame(lines)


def _numbers(folds: Sequence[str]) -> str:
    """The folds of these rows as they are counted in words, from 1: ``1, 2, 5``."""
    return ", ".join(str(int(name.rpartition("-grouped")[2]) + 1) for name in folds)


def unlike_folds(rows: Sequence[Experiment], results: Path | str) -> str:
    """What may be compared among the lines of `by_subject` where folds are missing; empty where all have all."""
    named: dict[str, list[str]] = {}
    missing = False
    for row in rows:
        if folds := seeds_of_folds(row, results)[0]:
            named.setdefault(_numbers(folds), []).append(row.row)
            missing |= len(folds) < folds_of(row)
    if not missing:
        return ""
    if len(named) == 1:
        return (
            f"Only folds {next(iter(named))} have run, the same of every line: they can be compared, over a part of "
            "the people."
        )
    each = "; ".join(f"folds {folds}: {listed(names)}" for folds, names in named.items())
    return (
        "Folds are missing, and each is a test of other people: lines with different folds are **not comparable** "
        f"({each})."
    )


def folds_of(row: Experiment) -> int:
    return sum(f"{row.id}-grouped{k}" in EXPERIMENTS for k in range(10))


@dataclass(frozen=True)
class SubjectTest:
    """A row minus the first over the folds by subject, in points, as `ferlib.couples.tested` has it."""

    row: Experiment
    test: dict[str, float]
    frames: int
    people: int

    def in_points(self) -> str:
        return f"{signed(self.test['mean'])} {bounds(self.test['low'], self.test['high'])}"

    @property
    def clear(self) -> bool:
        """The test rejects no difference."""
        return self.test["p"] < 0.05


def subject_tests(
    rows: Sequence[Experiment], results: Path | str, reading: str = "val_selected"
) -> list[SubjectTest]:
    """Each row against the first on the same test images; rows whose folds are not all there are left out."""
    found = []
    for row in rows[1:]:
        if (both := _unseen_gaps(rows[0], row, results, reading)) is not None:
            gaps, people = both
            found.append(SubjectTest(row, tested(gaps, people), len(people), len(np.unique(people))))
    return found


def _unseen_gaps(
    first: Experiment, second: Experiment, results: Path | str, reading: str
) -> tuple[np.ndarray, np.ndarray] | None:
    """Second minus first over all folds by subject, image by image: (seeds, N) of -1, 0 and 1, and whose it is (N,).

    In the seeds that all folds of both have; None without one, or where their test images are not the same.
    """
    known = [seeds_of_folds(row, results) for row in (first, second)]
    seeds = sorted(set(known[0][1]) & set(known[1][1]))
    if not seeds or any(len(folds) < folds_of(first) for folds, _ in known):
        return None
    (ids, before), (same, after) = (pooled(row, results, reading, seeds) for row in (first, second))
    if not np.array_equal(ids, same):
        return None
    return after.astype(float) - before, tables.clusters_of(ids, first.dataset)


def by_subject_against(rows: Sequence[Experiment], results: Path | str) -> pd.DataFrame:
    """Each row minus the first over the folds by subject: the same test images, 95 % intervals over seeds and people.

    Rows whose folds are not all there are left out; Holm's correction is over the table. The last column has the
    difference of the best test epochs.
    """
    found = subject_tests(rows, results)
    best = subject_tests(rows, results, "paper_style")
    return pd.DataFrame(
        {
            "model": f"{one.row.row} minus {rows[0].row}",
            "difference (points)": one.in_points(),
            "p": f"{one.test['p']:.2g}",
            "after Holm": f"{p:.2g}",
            "at best test epochs": other.in_points(),
            "frames": f"{one.frames:,}",
            "people": one.people,
        }
        for one, other, p in zip(found, best, holm([one.test["p"] for one in found]), strict=True)
    )


def epochs_matter(rows: Sequence[Experiment], results: Path | str) -> str:
    """Whose difference from the first row, over folds by subject, hangs on how the epoch is chosen; "" if no one's.

    It must be clear with the epochs of validation, not clear at the best test epochs, and have changed by more than
    chance: the difference of the two differences is tested over seeds and people as well.
    """
    found, best = (subject_tests(rows, results, reading) for reading in ("val_selected", "paper_style"))
    named = []
    for one, other in zip(found, best, strict=True):
        gaps, best_gaps = (
            _unseen_gaps(rows[0], one.row, results, reading) for reading in ("val_selected", "paper_style")
        )
        if gaps is None or best_gaps is None:
            continue
        changed = paired_seeds(gaps[0] - best_gaps[0], gaps[1])["p"] < 0.05
        if one.clear and not other.clear and changed:
            named.append(one.row.row)
    if not named:
        return ""
    seeds = len(seeds_of_folds(rows[0], results)[1])
    return (
        f"The difference of {listed(named)} is there with the epochs that validation chose and cannot be told from "
        "zero at the best test epochs, which favour every network. So it may lie in how well the few validation "
        "frames, of other people again, choose an epoch, and not in what the networks reach "
        f"({some(seeds, 'seed')} of each fold)."
    )


def seeds_of_folds(row: Experiment, results: Path | str) -> tuple[list[str], list[int]]:
    """The folds by subject that have records, and the seeds that all of these have."""
    seeds = {
        name: {p["seed"] for p in parts}
        for name in (f"{row.id}-grouped{k}" for k in range(folds_of(row)))
        if (parts := tables.parts_of(results, name))
    }
    return list(seeds), sorted(set.intersection(*seeds.values())) if seeds else []


def fold(
    name: str, seeds: Sequence[int], results: Path | str, reading: str = "val_selected"
) -> tuple[np.ndarray, np.ndarray]:
    """Ids (N,) of a fold's test images and which of them each of ``seeds`` gets right (seeds, N)."""
    found = [tables.correct(records.path_of(results, name, seed), reading) for seed in seeds]
    return found[0][0], np.stack([right for _, right in found])


def pooled(
    row: Experiment, results: Path | str, reading: str = "val_selected", among: Sequence[int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """`fold` over all folds by subject that have records, with the seeds that all of these have, or ``among`` them."""
    folds, seeds = seeds_of_folds(row, results)
    seeds = seeds if among is None else list(among)
    ids, hits = zip(*(fold(name, seeds, results, reading) for name in folds), strict=True)
    return np.concatenate(ids), np.concatenate(hits, axis=1)


# ---------------------------------------------------------------------------------------------------------
# Deviations and what they are worth
# ---------------------------------------------------------------------------------------------------------


def assumptions(rows: Sequence[Experiment]) -> pd.DataFrame:
    """What the paper leaves open and what these rows take for it; a choice that differs between them says for which."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for choice, text in row.assumed.items():
            found.setdefault((choice, text), []).append(row.column)
    lines = []
    for (choice, text), columns in found.items():
        several = sum(c == choice for c, _ in found) > 1
        where = f" ({', '.join(dict.fromkeys(columns))})" if several else ""
        lines.append({"choice": wording.choice(choice) + where, "taken, and why": text})
    return pd.DataFrame(lines)


def effects(rows: Sequence[Experiment], results: Path | str) -> pd.DataFrame:
    """What the records can say about the gap between ours and the published accuracy, row by row (points)."""
    lines = []
    for row in rows:
        parts = tables.parts_of(results, row.id)
        printed = printed_accuracy(row)
        if not parts:
            continue
        chosen, best = (
            np.array([100 * p["result"][reading]["accuracy"] for p in parts])
            for reading in ("val_selected", "paper_style")
        )
        chosen_results = [p["result"]["val_selected"] for p in parts]
        low, high = tables.bounds(float(chosen.mean()) / 100, *chosen_results)
        lines.append(
            {
                "dataset": row.column,
                "model": row.row + star(parts),
                "ours minus published": "–" if printed is None else signed(chosen.mean() - printed),
                "choosing the epoch on test adds": signed((best - chosen).mean()),
                "sampling of the test images (±)": f"{50 * (high - low):.2f}",
                "spread of seeds (sd)": f"{chosen.std(ddof=1):.2f}" if len(chosen) > 1 else "–",
                "one test image is worth": f"{100 / chosen_results[0]['n']:.2f}",
            }
        )
    return pd.DataFrame(lines)
