"""Why a result differs from the published one: every known effect, its size in points, and the runs that isolate it.

A positive size means that the reading named first reports the higher accuracy. An effect whose runs do not exist yet is
listed all the same, with the rows it waits for: `measured` leaves its size empty. `ferlib.experiments` has the rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ferlib import chapters, records, tables, wording
from ferlib.chapters import stands_in
from ferlib.claims.page import NAMES
from ferlib.couples import LAST, last_cell, last_epochs, lost, tested
from ferlib.errors import FerlibError
from ferlib.evaluate import (
    accuracy_interval,
    holm,
    mean_interval,
    seeds_interval,
)
from ferlib.experiments import EXPERIMENTS, Experiment
from ferlib.experiments.contrasts import CONTRASTS, HEADS, Contrast
from ferlib.wording import DATASETS

# kind -> how the book calls it, in the order in which it lists them
KINDS = {
    "people": "the same people in training and test",
    "expansion": "copies of an image on both sides of the split",
    "copies": "test images that training also holds",
    "part": "which part of the data is the test set",
    "labels": "the rule that turns votes into labels",
    "selection": "choosing the epoch on the test images",
    "start": "starting from ImageNet weights",
    "size": "image size",
    "augmentation": "augmentation",
    "loss": "reading of the loss",
    "detail": "a detail that is not printed",
    "seed": "chance: another seed",
    "sample": "chance: other test images",
}
CHANCE = ("seed", "sample")
BEST_EPOCHS = "best test epochs"


@dataclass(frozen=True)
class Effect:
    """One effect on one dataset; ``points`` is None as long as the rows in ``needs`` have no records.

    ``low`` and ``high`` bound the size as ``bounds`` says; ``p`` is of the paired test where both networks have the
    same test images; ``n`` counts test images, ``runs`` the runs behind it, ``seeds`` the different seeds of the side
    that has fewer. ``stand_in``: see `stands_in`. ``last``: of two rows, the size over the last epochs, see
    `ferlib.couples.last_epochs`.
    """

    kind: str
    paper: str
    dataset: str
    what: str
    needs: tuple[str, ...]
    points: float | None = None
    low: float | None = None
    high: float | None = None
    bounds: str = ""
    n: int = 0
    runs: int = 0
    seeds: int = 0
    reduced: bool = False
    p: float | None = None
    stand_in: bool = False
    last: tuple[float, float] | None = None
    unfinished: bool = (
        False  # of two rows: the runs have fewer epochs than `last` needs, and were still learning
    )


class Hits(NamedTuple):
    """Which test images a row's runs get right: ids (N,), what is independent among them (N,), right (seeds, N)."""

    ids: np.ndarray
    clusters: np.ndarray
    correct: np.ndarray
    reduced: bool


def named(row: Experiment) -> str:
    """A row among those of its paper, in a few words: without what stands in brackets, with the size of its images."""
    return re.sub(r" \([^)]*\)|, from scratch", "", wording.variant(row))


def effect_of(kind: str, row: Experiment, what: str, *needs: str) -> Effect:
    """An effect on a row's dataset that is not measured (yet); it needs ``needs``, or the row alone."""
    return Effect(kind, row.paper, DATASETS[row.dataset], what, needs or (row.id,))


def hits(
    row: str, results: Path | str, seeds: Sequence[int] | None = None, reading: str = "val_selected"
) -> Hits | None:
    """Of a row's records, or those of ``seeds``; None without any. On CK+ people are independent, else images."""
    parts = [p for p in tables.parts_of(results, row) if seeds is None or p["seed"] in seeds]
    if not parts:
        return None
    found = [tables.correct(records.path_of(results, row, p["seed"]), reading) for p in parts]
    ids = found[0][0]
    return Hits(
        ids,
        tables.clusters_of(ids, EXPERIMENTS[row].dataset),
        np.stack([h for _, h in found]),
        bool(chapters.star(parts)),
    )


def _bounds(row: Experiment, seeds: int = 1) -> str:
    return f"95 %, {'people' if row.dataset == 'ckplus' else 'images'}" + (" and seeds" if seeds > 1 else "")


def unpaired(first: Hits, second: Hits) -> tuple[float, float, float]:
    """Difference of two accuracies on different test images (points), with a 95 % interval over clusters and seeds.

    Newcombe's, from the interval that each accuracy has everywhere in the book (Statistics in Medicine 17:873, 1998).
    """
    ours, theirs = float(first.correct.mean()), float(second.correct.mean())
    (low, high), (low_2, high_2) = (seeds_interval(h.correct, h.clusters) for h in (first, second))
    mean = ours - theirs
    down, up = np.hypot(ours - low, high_2 - theirs), np.hypot(high - ours, theirs - low_2)
    return 100 * mean, 100 * float(mean - down), 100 * float(mean + up)


def paired(first: Hits, second: Hits) -> tuple[float, float, float, float]:
    """Difference of two accuracies on the same test images (points), 95 % bounds over clusters and seeds, and p."""
    test = tested(first.correct.astype(float) - second.correct, first.clusters)
    return test["mean"], test["low"], test["high"], test["p"]


def contrast(c: Contrast, results: Path | str) -> Effect:
    """First minus second over the seeds they share; on the same images where they share these, too."""
    row = EXPERIMENTS[c.first]
    effect = effect_of(c.kind, row, c.what, c.first, c.second)
    of_row = [{p["seed"] for p in tables.parts_of(results, i)} for i in effect.needs]
    seeds = sorted(of_row[0] & of_row[1])
    first, second = (hits(i, results, seeds) if seeds else None for i in effect.needs)
    if first is None or second is None:
        return effect
    same = np.array_equal(first.ids, second.ids)
    size = paired(first, second) if same else unpaired(first, second)
    last = last_epochs(c.second, c.first, results, seeds)
    return replace(
        effect,
        points=size[0],
        low=size[1],
        high=size[2],
        bounds=_bounds(row, len(seeds)),
        n=len(first.ids),
        runs=2 * len(seeds),
        seeds=len(seeds),
        reduced=first.reduced or second.reduced,
        p=size[3] if len(size) > 3 else None,
        last=last,
        unfinished=last is None,
    )


def people(row: Experiment, results: Path | str, reading: str = "val_selected") -> Effect:
    """CK+ by frames minus CK+ in folds by subject: what it adds to have met the people of the test part.

    In folds by subject validation, too, holds other people than the test part, so that with its choice of the epoch the
    difference holds a worse choice as well; with ``paper_style``, the best test epochs, it does not.
    """
    folds = tuple(f"{row.id}-grouped{k}" for k in range(chapters.folds_of(row)))
    which = f" ({BEST_EPOCHS})" if reading == "paper_style" else ""
    what = f"{named(row)}{which}: frames at random, not folds by subject"
    effect = effect_of("people", row, what, row.id, *folds)
    found = [h for h in (hits(i, results, reading=reading) for i in folds) if h is not None]
    random = hits(row.id, results, reading=reading)
    seeds = chapters.seeds_of_folds(row, results)[1]
    if random is None or len(found) < len(folds) or not seeds:
        return effect
    ids, right = chapters.pooled(row, results, reading)
    grouped = Hits(ids, tables.clusters_of(ids, row.dataset), right, any(h.reduced for h in found))
    points, low, high = unpaired(random, grouped)
    return replace(
        effect,
        points=points,
        low=low,
        high=high,
        bounds=_bounds(row) + _counted(len(random.correct), len(seeds)),
        n=len(ids),
        runs=len(random.correct) + len(folds) * len(seeds),
        seeds=min(len(random.correct), len(seeds)),
        reduced=random.reduced or grouped.reduced,
    )


def _counted(by_frame: int, in_folds: int) -> str:
    """Which seeds the interval of `people` counts: those of a split that has several."""
    if by_frame > 1 and in_folds > 1:
        return " and seeds"
    return " and seeds by frames" if by_frame > 1 else " and seeds of the folds" if in_folds > 1 else ""


def copies(row: Experiment, results: Path | str) -> Effect:
    """All test images minus those that training does not hold byte for byte."""
    from ferlib.data import audit_tables

    effect = effect_of("copies", row, f"{named(row)}: all test images, not only those that training lacks")
    found = audit_tables.effect(row, results, {})
    if found is None:
        return effect
    low, high = (100 * bound for bound in found["interval"])
    parts = tables.parts_of(results, row.id)
    return replace(
        effect,
        what=effect.what + (f" ({images})" if (images := tables.listed_images(parts).strip(", ")) else ""),
        points=100 * found["effect"],
        low=low,
        high=high,
        bounds="95 %, images, with as many copies among them",
        n=found["n"],
        runs=found["seeds"],
        seeds=found["seeds"],
        reduced=bool(chapters.star(parts)),
    )


def over_runs(
    kind: str, what: str, rows: Sequence[Experiment], sizes: list[float], parts: list[dict]
) -> Effect:
    """An effect that every run shows by itself: mean and range over runs, of the rows of one dataset."""
    effect = effect_of(kind, rows[0], what, *(row.id for row in rows))
    if not sizes:
        return effect
    return replace(
        effect,
        points=float(np.mean(sizes)),
        low=min(sizes),
        high=max(sizes),
        bounds="range",
        n=parts[0]["result"]["val_selected"]["n"],
        runs=len(parts),
        seeds=len({p["seed"] for p in parts}),
        reduced=bool(chapters.star(parts)),
    )


def selection(rows: Sequence[Experiment], results: Path | str) -> Effect:
    """Best test epoch minus the epoch that validation chose, run by run."""
    parts = [p for row in rows for p in tables.parts_of(results, row.id)]
    sizes = [
        100 * (p["result"]["paper_style"]["accuracy"] - p["result"]["val_selected"]["accuracy"])
        for p in parts
    ]
    return over_runs("selection", "the best test epoch, not validation's choice", rows, sizes, parts)


def seeds(rows: Sequence[Experiment], results: Path | str) -> Effect:
    """How far two runs of one row lie apart that differ in nothing but the seed: absolute differences."""
    groups = [found for row in rows if len(found := tables.parts_of(results, row.id)) > 1]
    sizes = [
        100 * abs(a["result"]["val_selected"]["accuracy"] - b["result"]["val_selected"]["accuracy"])
        for group in groups
        for a, b in combinations(group, 2)
    ]
    return over_runs(
        "seed", "two seeds of one row, how far apart", rows, sizes, [p for g in groups for p in g]
    )


def sample(row: Experiment, results: Path | str) -> Effect:
    """The 95 % interval around the row's accuracy: what other test images (on CK+ people) of this number may change.

    ``points`` is half of it, ``low`` and ``high`` are its bounds, which near 100 % lie unevenly.
    """
    effect = effect_of("sample", row, f"{named(row)}: half a 95 % interval")
    found = hits(row.id, results)
    if found is None:
        return effect
    low, high = accuracy_interval(found.correct, found.clusters)
    ours = float(found.correct.mean())
    return replace(
        effect,
        points=50 * (high - low),
        low=100 * (low - ours),
        high=100 * (high - ours),
        bounds=_bounds(row, 1),
        n=len(found.ids),
        runs=len(found.correct),
        seeds=len(found.correct),
        reduced=found.reduced,
    )


def head(ids: Sequence[str], results: Path | str) -> Experiment:
    """The first of these rows that has a record; the first of all where none has."""
    return EXPERIMENTS[next((i for i in ids if tables.parts_of(results, i)), ids[0])]


STAND_IN, OTHER_PART = "stand-in", "official test part"


def remark(ids: Sequence[str], row: Experiment) -> str:
    """How a row of ``ids`` (`head`) differs from the first, the paper's own: a stand-in, another test part, or not."""
    return STAND_IN if stands_in(row) else OTHER_PART if row.id != ids[0] else ""


def gap(ids: Sequence[str], results: Path | str, reading: str = "val_selected") -> Effect:
    """Published accuracy minus ours in a reading of the epoch, of the first of these rows that has a record."""
    row = head(ids, results)
    published = chapters.printed_accuracy(row)
    effect = effect_of("gap", row, f"{named(row)}: published minus ours")
    found = hits(row.id, results, reading=reading)
    if found is None or published is None:
        return effect
    ours = float(found.correct.mean())
    low, high = seeds_interval(found.correct, found.clusters)
    return replace(
        effect,
        points=published - 100 * ours,
        low=published - 100 * high,
        high=published - 100 * low,
        bounds=_bounds(row, len(found.correct)),
        n=len(found.ids),
        runs=len(found.correct),
        seeds=len(found.correct),
        reduced=found.reduced,
        stand_in=stands_in(row),
    )


def of_paper(paper: str, results: Path | str) -> list[Effect]:
    """Every known effect of a paper, gaps first, then in the order of `KINDS`; unmeasured ones without a size.

    Raises FerlibError for a paper that is none of the five.
    """
    if paper not in HEADS:
        raise FerlibError(f"no paper {paper!r}: choose one of {', '.join(HEADS)}")
    found = list(_effects(paper, results))
    order = ["gap", *KINDS]
    return sorted(found, key=lambda e: order.index(e.kind))


def _effects(paper: str, results: Path | str) -> Iterator[Effect]:
    heads = [head(ids, results) for ids in HEADS[paper]]
    own = [row for row in EXPERIMENTS.values() if row.paper == paper and row.dataset != "rafdb"]
    ran = [row for row in own if "-grouped" not in row.id and tables.parts_of(results, row.id)]
    listed = [row for row in own if row in ran or row in heads]
    yield from (gap(ids, results) for ids in HEADS[paper])
    yield from (contrast(c, results) for c in CONTRASTS if EXPERIMENTS[c.first].paper == paper)
    for row in listed:
        if chapters.folds_of(row):
            yield people(row, results)
            best = people(row, results, "paper_style")
            if best.points is not None:
                yield best
    yield from (copies(row, results) for row in heads if row.dataset in ("fer2013", "ferplus"))
    for dataset in dict.fromkeys(row.dataset for row in ran):
        rows = [row for row in ran if row.dataset == dataset]
        yield selection(rows, results)
        yield seeds(rows, results)
        yield sample(next((row for row in heads if row in rows), rows[0]), results)


def measured(effects: Sequence[Effect]) -> list[Effect]:
    return [e for e in effects if e.points is not None]


@cache
def _of_papers() -> frozenset[tuple[str, str]]:
    """Papers and the datasets on which they print accuracies."""
    rows = EXPERIMENTS.values()
    return frozenset((r.paper, DATASETS[r.dataset]) for r in rows if chapters.printed_accuracy(r) is not None)


def elsewhere(effect: Effect) -> bool:
    """Whether the effect is of a dataset that we chose: the paper prints no accuracy on it."""
    return (effect.paper, effect.dataset) not in _of_papers()


def place(effect: Effect) -> str:
    """The effect's dataset, with a remark where the paper does not use it."""
    return effect.dataset + (" (not in its paper)" if elsewhere(effect) else "")


def gone(effect: Effect) -> bool:
    """Whether the effect hangs on the chosen epochs (`ferlib.couples.lost`)."""
    return effect.last is not None and effect.points is not None and lost(effect.points, effect.last[0])


def title(effect: Effect) -> str:
    gap = "gap to the published accuracy" + (", of a stand-in" if effect.stand_in else "")
    return gap if effect.kind == "gap" else KINDS[effect.kind]


def short(effect: Effect) -> str:
    """A label: of an effect between two rows what differs, of every other its kind, with the network of a split."""
    if any(effect.what == c.what for c in CONTRASTS):
        return effect.what
    network = effect.what.partition(":")[0]
    return f"{title(effect)}: {network}" if effect.kind == "people" else title(effect)


def frame(effects: Sequence[Effect]) -> pd.DataFrame:
    """One line for each measured effect: what, dataset, size in points, what its bounds are over, test images, runs.

    A column for p is there where one has it, and one for the last epochs.
    """
    late = f"last {LAST} epochs"
    lines = pd.DataFrame(
        [
            {
                "effect": title(e),
                "reading": e.what + (chapters.REDUCED if e.reduced else ""),
                "dataset": place(e),
                "points": (chapters.signed(e.points) if e.kind not in CHANCE else f"± {e.points:.2f}")
                + ("" if e.low is None or e.high is None else f" {chapters.bounds(e.low, e.high)}")
                if (e.low, e.high) != (0, 0) or e.bounds == "range"
                else f"{chapters.signed(0.0)}, no image differs",
                "interval over": e.bounds.partition(", ")[2] or e.bounds or "–",
                late: last_cell(e.last),
                "p": "–" if e.p is None else f"{e.p:.2g}",
                "images": f"{e.n:,}",
                "runs": e.runs,
            }
            for e in effects
            if e.points is not None
        ]
    )
    empty = [] if any(e.p is not None for e in effects) else ["p"]
    empty += [] if any(e.last is not None for e in effects) else [late]
    return lines.drop(columns=empty, errors="ignore")


def waiting(effects: Sequence[Effect], results: Path | str) -> pd.DataFrame:
    """The effects without a size, and the rows whose runs would give it."""
    return pd.DataFrame(
        [
            {
                "paper": NAMES[e.paper],
                "effect": title(e),
                "reading": e.what,
                "dataset": e.dataset,
                "rows without a record": tables.named([i for i in e.needs if not tables.parts_of(results, i)])
                or "a second seed",
            }
            for e in effects
            if e.points is None
        ]
    )


class Left(StrEnum):
    """What is left of a gap.

    It may be zero when the interval over test images (people on CK+) holds zero, first with the epoch that
    validation chose, then with the best test epoch; else it is open, or our accuracy is above the published one.
    What is left of a gap of shortened runs is not known.
    """

    CHANCE = "may be zero"
    GONE = "gone at the best test epoch"
    ABOVE = "above the published accuracy"
    OPEN = "open"
    UNKNOWN = "not known"


class Remaining(NamedTuple):
    """A gap with the epoch that validation chose, with the best test epoch, and what is left of it."""

    chosen: Effect
    best: Effect
    state: Left


def left_of(ids: Sequence[str], results: Path | str) -> Remaining | None:
    """What is left of the gap of the first of these rows that has a record; None where none has."""
    chosen, best = (gap(ids, results, reading) for reading in ("val_selected", "paper_style"))
    if chosen.points is None or best.points is None:
        return None
    if chosen.reduced and best.points > 0:
        return Remaining(chosen, best, Left.UNKNOWN)
    if holds_zero(chosen):
        return Remaining(chosen, best, Left.CHANCE)
    if holds_zero(best):
        return Remaining(chosen, best, Left.GONE)
    return Remaining(chosen, best, Left.ABOVE if best.points < 0 else Left.OPEN)


def remaining(results: Path | str) -> pd.DataFrame:
    """What is left of each gap (`Left`), a line for each network with a record; of a stand-in it says so."""
    lines = []
    for ids in (ids for groups in HEADS.values() for ids in groups):
        row = head(ids, results)
        if (found := left_of(ids, results)) is None:
            continue
        chosen, best, state = found.chosen, found.best, str(found.state)
        if found.state in (Left.ABOVE, Left.OPEN):
            state += f": {chapters.signed(best.points or 0.0)} at the best test epoch"
        if found.state is Left.UNKNOWN:
            state += ": shortened runs"
        lines.append(
            {
                "paper, dataset": f"{NAMES[chosen.paper]}, {chosen.dataset}"
                + (f" ({OTHER_PART})" if remark(ids, row) == OTHER_PART else ""),
                "state": f"{STAND_IN}; {state}" if stands_in(row) else state,
                "gap (points)": _with_bounds(chosen),
                "gap at the best test epoch": _with_bounds(best),
                "network": chosen.what.partition(":")[0] + (chapters.REDUCED if chosen.reduced else ""),
                "test images": f"{chosen.n:,}",
                "runs": chosen.runs,
            }
        )
    return pd.DataFrame(lines)


# columns of `sizes_at_a_glance`: their effects as they are called there, and the kinds of each
GLANCE: dict[str, dict[str, tuple[str, ...]]] = {
    "test images that training knows": {"people": ("people",), "copies": ("expansion", "copies")},
    "test part, labels": {"part": ("part",), "labels": ("labels",)},
    "choice of the epoch": {"": ("selection",)},
    "settings that vary": {
        "ImageNet weights": ("start",),
        "size": ("size",),
        "augmentation": ("augmentation",),
        "loss": ("loss",),
        "a detail": ("detail",),
    },
    "chance": {"another seed": ("seed",), "other images": ("sample",)},
}


def at_a_glance(results: Path | str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A line for each paper's headline network: what is published and our readings (percent); known effects (points).

    An effect of several networks or settings has its range. "not run": rows without records; "–": nothing to vary.
    """
    found = readings(results)
    levels, sizes = [], []
    for paper, groups in HEADS.items():
        known = of_paper(paper, results)
        for ids in groups:
            row = head(ids, results)
            dataset = DATASETS[row.dataset]
            (line,) = found[(found["paper"] == NAMES[paper]) & (found["dataset"] == dataset)].to_dict(
                "records"
            )
            name = f"{NAMES[paper]}, {dataset}"
            star = chapters.REDUCED if str(line["network"]).endswith(chapters.REDUCED) else ""
            mark = f" ({line['remark']})" if line["remark"] else ""
            names = ("published", "best test epoch", "epoch by validation", "unseen images", "other people")
            left = left_of(ids, results)
            levels.append(
                {"network": f"{name}{star}{mark}"}
                | {column: "–" if np.isnan(line[column]) else f"{line[column]:.2f}" for column in names}
                | {
                    "what remains": "not run"
                    if left is None
                    else "–"
                    if line["stand_in"]
                    else str(left.state)
                }
            )
            here = [e for e in known if e.dataset == dataset]
            cells = {
                column: "; ".join(
                    f"{called} {size}".strip()
                    for called, of_kinds in kinds.items()
                    if (size := _at_a_glance([e for e in here if e.kind in of_kinds]))
                )
                for column, kinds in GLANCE.items()
            }
            sizes.append({"network": name} | {column: cell or "–" for column, cell in cells.items()})
    return pd.DataFrame(levels), pd.DataFrame(sizes)


def _at_a_glance(effects: Sequence[Effect]) -> str:
    """The range of sizes in a cell, those that are `gone` at the end apart; empty where there is nothing to vary.

    Those at the best test epochs and of unfinished runs are left out.
    """
    if not effects:
        return ""
    found = [e for e in measured(effects) if BEST_EPOCHS not in e.what]
    settled = [e for e in found if not e.unfinished]
    if not settled:
        return "not settled" if found else "not run"
    if settled[0].kind in CHANCE:
        return f"± {max(e.points or 0 for e in settled):.1f}{_star(settled)}"
    held, lost_ones = ([e for e in settled if gone(e) == turned] for turned in (False, True))
    said = [_range(held)] if held else []
    said += [f"{_range(lost_ones)} gone at the end"] if lost_ones else []
    return ", ".join(said)


def _range(effects: Sequence[Effect]) -> str:
    sizes = sorted({f"{e.points or 0:+.1f}" for e in effects}, key=float)
    return " to ".join(dict.fromkeys((sizes[0], sizes[-1]))) + _star(effects)


def _star(effects: Sequence[Effect]) -> str:
    return chapters.REDUCED if any(e.reduced for e in effects) else ""


def of_one_seed(effects: Sequence[Effect]) -> str:
    """How many of the settled differences between two rows rest on one seed, in a sentence; empty without any."""
    found = [e for e in measured(effects) if e.kind in {c.kind for c in CONTRASTS} and not e.unfinished]
    if not found:
        return ""
    single = sum(e.seeds == 1 for e in found)
    return (
        f"{single or 'None'} of the {len(found)} settled differences between two rows "
        f"{'rests' if single == 1 else 'rest'} on one seed, so that another seed may say otherwise."
    )


def holds_zero(effect: Effect) -> bool:
    """Whether the interval of the effect holds zero."""
    return effect.low is not None and effect.high is not None and effect.low <= 0 <= effect.high


def _with_bounds(effect: Effect) -> str:
    return f"{chapters.signed(effect.points or 0.0)} {chapters.bounds(effect.low or 0.0, effect.high or 0.0)}"


def told(kind: str, effects: Sequence[Effect]) -> str:
    """One sentence on the measured sizes of a kind over all papers, and how many wait; empty where there is none."""
    name = KINDS[kind]
    of_kind = [e for e in effects if e.kind == kind]
    found = measured(of_kind)
    wait = len(of_kind) - len(found)
    if not of_kind:
        return ""
    if not found:
        return f"**{_upper(name)}.** Not measured yet: {chapters.some(wait, 'comparison')} whose runs are missing."
    chosen, best = ([e for e in found if (BEST_EPOCHS in e.what) == at_best] for at_best in (False, True))
    printed, ours = ([e for e in chosen if elsewhere(e) == other] for other in (False, True))
    spans = [_span(printed)] if printed else []
    spans += [f"on a dataset that the paper does not use {_span(ours)}"] if ours else []
    spans += [f"at the {BEST_EPOCHS} {_span(best)}"] if best else []
    span = "; ".join(spans)
    shortened = sum(e.reduced for e in found)
    learning = sum(e.unfinished for e in found)
    evidence = "" if not shortened else f", {'partly ' * (shortened < len(found))}from shortened runs"
    bounded = [e for e in found if e.bounds.startswith("95") and kind not in CHANCE]
    corrected = holm([e.p for e in found if e.p is not None])
    below = sum(p < 0.05 for p in corrected)
    unpaired = [e for e in bounded if e.p is None]
    clear = [
        f"{sum(not holds_zero(e) for e in some_of)} of {len(some_of)}{at}"
        for some_of, at in (
            ([e for e in unpaired if BEST_EPOCHS not in e.what], ""),
            ([e for e in unpaired if BEST_EPOCHS in e.what], f" at the {BEST_EPOCHS}"),
        )
        if some_of
    ]
    late = [e for e in found if e.last is not None]
    turned = sum(map(gone, late))
    have = "is" if turned == 1 else "are"
    single = kind in {"people", *(c.kind for c in CONTRASTS)} and not all(
        e.bounds.endswith("and seeds") for e in bounded
    )
    return (
        f"**{_upper(name)}.** {span}{evidence}"
        + (f"; the 95 % interval leaves zero out in {chapters.listed(clear)}" if clear else "")
        + (
            f"; p is below 5 % after Holm's correction in {below} of {len(corrected)}"
            if len(corrected)
            else ""
        )
        + (
            f"; over the last {LAST} epochs {turned or 'none'} of {len(late)} {have} gone or turned"
            if late
            else ""
        )
        + ("; with one seed of a row, how far seeds lie apart is not counted" if single and bounded else "")
        + (f"; not settled in {learning}, whose runs of few epochs were still learning" if learning else "")
        + (
            f". {chapters.some(wait, 'further comparison')} {'waits' if wait == 1 else 'wait'} for records."
            if wait
            else "."
        )
    )


def _span(found: Sequence[Effect]) -> str:
    """The smallest and the largest size of these, of which there is one at least."""
    sizes = sorted(e.points or 0.0 for e in found)
    texts = [f"± {size:.1f}" if found[0].kind in CHANCE else f"{size:+.1f}" for size in (sizes[0], sizes[-1])]
    return (
        f"{texts[0]} points"
        if len(found) == 1
        else f"{texts[0]} to {texts[1]} points in {len(found)} comparisons"
    )


def readings(results: Path | str) -> pd.DataFrame:
    """Published and four readings of ours (percent), a line for each paper's network on a dataset; NaN where none.

    ``best test epoch`` and ``epoch by validation`` are under the paper's own split; ``other people`` pools the folds by
    subject, ``unseen images`` leaves out what training also holds. ``bounds`` has the 95 % bounds (fractions) of all
    but the best test epoch by their names. ``n`` counts the test images of the paper's split, ``stand_in`` is that of
    `stands_in`, ``remark`` that of `remark`; ``runs`` and ``runs of other people`` say how strong the records are.
    """
    lines = []
    for paper, groups in HEADS.items():
        for ids in groups:
            row = head(ids, results)
            parts = tables.parts_of(results, row.id)
            chosen = [p["result"]["val_selected"] for p in parts]
            folds = people(row, results)
            honest, others = np.nan, []
            bounds = {"epoch by validation": chapters.interval(parts)[1:]} if parts else {}
            if folds.points is not None:
                images, right = chapters.pooled(row, results)
                honest = 100 * float(np.mean(right))
                bounds["other people"] = seeds_interval(right, tables.clusters_of(images, row.dataset))
                names, fold_seeds = chapters.seeds_of_folds(row, results)
                others = [p for i in names for p in tables.parts_of(results, i) if p["seed"] in fold_seeds]
            fewer = [r["unseen"] for r in chosen if r["unseen"]["n"] < r["n"]]
            unseen = [r["accuracy"] for r in fewer]
            if fewer:
                bounds["unseen images"] = mean_interval(unseen, [r["n"] for r in fewer])
            lines.append(
                {
                    "paper": NAMES[paper],
                    "network": wording.variant(row) + (chapters.star(parts) if parts else ""),
                    "dataset": DATASETS[row.dataset],
                    "stand_in": stands_in(row),
                    "remark": remark(ids, row),
                    "published": chapters.printed_accuracy(row),
                    "best test epoch": _mean([p["result"]["paper_style"]["accuracy"] for p in parts]),
                    "epoch by validation": _mean([r["accuracy"] for r in chosen]),
                    "unseen images": _mean(unseen),
                    "other people": honest,
                    "bounds": bounds,
                    "n": chosen[0]["n"] if chosen else 0,
                    "runs": tables.evidence_label(parts),
                    "runs of other people": f"n = {folds.n:,}, {_of_folds(others)}" if others else "",
                }
            )
    return pd.DataFrame(lines)


def _of_folds(parts: list[dict[str, Any]]) -> str:
    """`evidence_label` of the runs of all folds, whose number is not that of the seeds."""
    seeds = len({part["seed"] for part in parts})
    profile, _, epochs = tables.evidence_label(parts).split(", ", 2)
    return f"{profile}, {chapters.some(seeds, 'seed')}, {epochs}"


def _mean(fractions: Sequence[float]) -> float:
    return 100 * float(np.mean(fractions)) if fractions else float("nan")


def _upper(name: str) -> str:
    return name[0].upper() + name[1:]
