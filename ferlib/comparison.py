"""The common protocol's results: every network and its twin on the same images.

Rows: `ferlib.experiments.comparison`. On CK+48 the test images of the five folds by subject are pooled, and what is
independent are subjects, not frames: intervals resample them, tests flip their signs. On FER2013 every image is one,
and the test of one seed is McNemar's.
Where a network has several seeds, intervals and tests count the spread of the seeds, too (`ferlib.evaluate.widened`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ferlib import chapters, records, tables, wording
from ferlib.cost import channels_of
from ferlib.couples import LAST, couple, in_points, last_epochs, lost
from ferlib.couples import tested as tested_pair
from ferlib.evaluate import (
    holm,
    paired_seeds,
    seeds_interval,
    student_interval,
)
from ferlib.experiments import EXPERIMENTS, Experiment
from ferlib.experiments.comparison import FOLDS, NETWORKS, PAPER

if TYPE_CHECKING:
    from ferlib.plots import Point

ENOUGH_SEEDS = 3  # below, an answer is provisional
DATASETS = {"ckplus": "CK+48, folds by subject", "fer2013": "FER2013, official split"}
COSTS = {  # what `costs` counts -> the axis of a figure, and its unit
    "multiply-adds": ("multiply-adds of one image (million)", 1e6),
    "parameters": ("parameters (million)", 1e6),
    "latency (ms)": ("milliseconds for one image, one CPU thread", 1.0),
}


@dataclass(frozen=True)
class Tested:
    """One network on one dataset: which test images it gets right, seed by seed."""

    name: str
    ids: np.ndarray  # (N,)
    clusters: np.ndarray  # (N,): subjects, or the images themselves
    correct: np.ndarray  # (seeds, N)
    folds: np.ndarray  # (N,): in which fold an image is tested; 0 where there is one test part
    seeds: tuple[int, ...]
    reduced: bool
    fitted: float  # accuracy on its own training images, mean over seeds and folds
    ends: np.ndarray  # (seeds, LAST): accuracy in the last epochs, none of them chosen; nan of shorter runs

    @property
    def accuracy(self) -> float:
        return float(self.correct.mean())

    @cached_property
    def interval(self) -> tuple[float, float]:
        """95 % of the mean over seeds: for other test images (subjects on CK+48) and, of several seeds, other seeds."""
        return seeds_interval(self.correct, self.clusters)


def rows_of(name: str, dataset: str) -> list[Experiment]:
    """The rows behind one network's result on a dataset: five folds, or one."""
    suffixes = [f"-grouped{k}" for k in range(FOLDS)] if dataset == "ckplus" else [""]
    return [EXPERIMENTS[f"{PAPER}-{dataset}-{name}{suffix}"] for suffix in suffixes]


def tested(name: str, dataset: str, results: Path | str) -> Tested | None:
    """What the records say of a network; None where no seed has all its folds."""
    return pooled(name, rows_of(name, dataset), results)


def pooled(
    name: str, rows: Sequence[Experiment], results: Path | str, reading: str = "val_selected"
) -> Tested | None:
    """What the records of ``rows`` (all folds, or one row) say together; None where no seed has all of them.

    ``reading`` is ``val_selected``, the epoch that validation chose, or ``paper_style``, the best test epoch.
    ``fitted`` is always that of the former: of the latter no record has it.
    """
    dataset = rows[0].dataset
    parts = [{p["seed"]: p for p in tables.parts_of(results, row.id)} for row in rows]
    seeds = sorted(set.intersection(*(set(found) for found in parts)))
    if not seeds:
        return None
    correct, ids, folds = [], np.empty(0), np.empty(0, int)
    for seed in seeds:
        each = [tables.correct(records.path_of(results, row.id, seed), reading) for row in rows]
        ids = np.concatenate([i for i, _ in each])
        order = np.argsort(ids)
        ids = ids[order]
        folds = np.repeat(np.arange(len(each)), [len(i) for i, _ in each])[order]
        correct.append(np.concatenate([hits for _, hits in each])[order])
    clusters = tables.clusters_of(ids, dataset)
    reduced = any(chapters.star([found[seed]]) for found in parts for seed in seeds)
    chosen = [found[seed]["result"]["val_selected"] for found in parts for seed in seeds]
    fitted = float(np.mean([result["train"]["accuracy"] for result in chosen]))
    ends = np.array([_ends([found[seed] for found in parts]) for seed in seeds])
    return Tested(name, ids, clusters, np.array(correct), folds, tuple(seeds), reduced, fitted, ends)


def _ends(parts: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Accuracy over the test images of all folds in the last epochs of each, (LAST,)."""
    histories = [part["history"][-LAST:] for part in parts]
    if any(len(history) < LAST for history in histories):
        return np.full(LAST, np.nan)
    images = [part["result"]["val_selected"]["n"] for part in parts]
    each = [[epoch["test_accuracy"] for epoch in history] for history in histories]
    return np.asarray(np.average(each, axis=0, weights=images))


def everything(dataset: str, results: Path | str) -> dict[str, Tested]:
    """Every network that has a result."""
    found = {name: tested(name, dataset, results) for name in NETWORKS}
    return {name: t for name, t in found.items() if t is not None}


def title(name: str) -> str:
    """A network's name in tables."""
    return wording.cell(NETWORKS[name][0])


def network(name: str) -> Any:
    """A fresh network as the common protocol trains it (CK+48: seven classes, 48 pixels)."""
    from ferlib.models import build

    row = rows_of(name, "ckplus")[0]
    return build(row.model, classes=7, channels=channels_of(row), size=row.size, **row.variant)


def seconds(model: Any, channels: int, size: int = 48) -> float:
    """How long one image takes on this machine's CPU: one thread, float32."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    x = torch.rand(1, channels, size, size)
    try:
        with torch.inference_mode():
            model.eval()
            began = time.perf_counter()
            model(x)
            return time.perf_counter() - began
    finally:
        torch.set_num_threads(threads)


def costs(rounds: int = 30) -> dict[str, dict[str, float]]:
    """Parameters, multiply-adds and latency of every network, by name.

    The latency is the shortest of ``rounds`` that take the networks in turns: what disturbs the machine for a while
    disturbs all of them, and only ever adds.
    """
    from ferlib.models import count_multiply_adds, count_parameters

    models = {name: (network(name), channels_of(rows_of(name, "ckplus")[0])) for name in NETWORKS}
    times = [[seconds(*built) for built in models.values()] for _ in range(rounds)]
    shortest = 1000 * np.min(times, axis=0)
    return {
        name: {
            "parameters": count_parameters(model),
            "multiply-adds": count_multiply_adds(model, channels=channels, size=48),
            "latency (ms)": float(least),
        }
        for (name, (model, channels)), least in zip(models.items(), shortest, strict=True)
    }


def mistimed(cost: dict[str, dict[str, float]]) -> list[str]:
    """Titles of the networks of ``cost`` (`costs`) timed faster than their twins, which multiply less: noise."""
    return [
        title(name)
        for name, (*_, twin) in NETWORKS.items()
        if twin
        and cost[name]["latency (ms)"] < cost[twin]["latency (ms)"]
        and cost[name]["multiply-adds"] > cost[twin]["multiply-adds"]
    ]


def points(found: dict[str, Tested], cost: dict[str, dict[str, float]]) -> dict[str, list[Point]]:
    """For `plots.pareto`, by the axis of each of `COSTS`, in its unit.

    Of each network: title, cost, accuracy (percent) with its bounds, and the twin's title.
    """
    return {
        axis: [
            (
                title(name),
                cost[name][what] / unit,
                100 * t.accuracy,
                100 * t.interval[0],
                100 * t.interval[1],
                title(twin) if (twin := NETWORKS[name][3]) else None,
            )
            for name, t in found.items()
        ]
        for what, (axis, unit) in COSTS.items()
    }


def shared_gaps(first: Tested, second: Tested, seeds: Sequence[int]) -> np.ndarray:
    """Second minus first, image by image: (seeds, N) of -1, 0 and 1."""
    before, after = (np.array([one.correct[one.seeds.index(s)] for s in seeds]) for one in (first, second))
    return np.asarray(after.astype(float) - before)


def at_the_end(first: Tested, second: Tested, seeds: Sequence[int]) -> float:
    """Second minus first in points over the last `LAST` epochs, as `ferlib.couples.last_epochs`; nan where shorter."""
    before, after = (np.mean([one.ends[one.seeds.index(s)] for s in seeds]) for one in (first, second))
    return float(100 * (after - before))


def difference(first: Tested, second: Tested) -> dict[str, float] | None:
    """Second minus first over the seeds they share, in points, with bounds and p; None without a common seed.

    ``last`` is what is left without a chosen epoch, `at_the_end`. None, too, where one was shortened and the other was
    not: that would be a difference of training.
    """
    seeds = sorted(set(first.seeds) & set(second.seeds))
    if not seeds or first.reduced != second.reduced or not np.array_equal(first.ids, second.ids):
        return None
    gaps = shared_gaps(first, second, seeds)
    found = tested_pair(gaps, first.clusters)
    positive = float(np.sum(gaps.mean(1) > 0))
    last = at_the_end(first, second, seeds)
    return {**found, "seeds": float(len(seeds)), "positive": positive, "last": last}


@dataclass(frozen=True)
class Against:
    """A network with attention against its twin: `difference`, and p after Holm's correction over all of them."""

    name: str
    test: dict[str, float]
    corrected: float


def against_twins(found: dict[str, Tested]) -> list[Against]:
    """Every network with attention that has a result, as its twin has."""
    couples = [(twin, name) for name, (*_, twin) in NETWORKS.items() if twin in found and name in found]
    tests = [(name, difference(found[twin], found[name])) for twin, name in couples if twin]
    known = [(name, test) for name, test in tests if test is not None]
    corrected = holm([test["p"] for _, test in known])
    return [Against(name, test, p) for (name, test), p in zip(known, corrected, strict=True)]


def overall(
    found: dict[str, Tested], fitted: float = 0.0, among: Sequence[str] = tuple(NETWORKS)
) -> tuple[int, dict[str, float]] | None:
    """Gain of attention (points) averaged over the networks with a twin: their number, and `paired_seeds` of the mean.

    Over the seeds that all of them share, for these networks, not for others, and of these over the pairs that both
    reach an accuracy of ``fitted`` on their training images and were not shortened, ``among`` these networks.
    ``last`` is the mean `at_the_end`, ``seeds`` how many they share. None without two pairs and a common seed.
    """
    couples = [(found[t], found[name]) for name, (*_, t) in NETWORKS.items() if t in found and name in found]
    couples = [pair for pair in couples if pair[1].name in among]
    couples = [
        p for p in couples if min(one.fitted for one in p) >= fitted and not any(one.reduced for one in p)
    ]
    every = [one for pair in couples for one in pair]
    seeds = sorted(set.intersection(*(set(one.seeds) for one in every))) if len(couples) > 1 else []
    if not seeds or any(not np.array_equal(one.ids, every[0].ids) for one in every):
        return None
    gaps = np.mean([shared_gaps(without, with_, seeds) for without, with_ in couples], axis=0)
    last = float(np.mean([at_the_end(without, with_, seeds) for without, with_ in couples]))
    test = in_points(paired_seeds(gaps, every[0].clusters))
    return len(couples), {**test, "last": last, "seeds": float(len(seeds))}


def across(found: dict[str, Tested], fitted: float = 0.0) -> tuple[float, float]:
    """95 % t interval (points) of the mean gain over the pairs of `overall` as a sample of networks; nan below two."""
    means = [
        one.test["mean"]
        for one in against_twins(found)
        if not found[one.name].reduced
        and min(found[n].fitted for n in (one.name, NETWORKS[one.name][3]) if n) >= fitted
    ]
    if len(means) < 2:
        return float("nan"), float("nan")
    return student_interval(means)


def significance(found: dict[str, Tested]) -> pd.DataFrame:
    """Differences of all pairs in points (row minus column); nan where Holm over all pairs leaves p at 0.05 or more.

    ``attrs["tested"]`` says of each cell whether the pair has a `difference`; those without are nan as well.
    """
    names = sorted(found, key=lambda name: -found[name].accuracy)
    frame = pd.DataFrame(np.nan, index=names, columns=names)
    pairs = [(a, b, difference(found[b], found[a])) for a, b in combinations(names, 2)]
    known = [(a, b, d) for a, b, d in pairs if d is not None]
    for (a, b, d), p in zip(known, holm([d["p"] for *_, d in known]), strict=True):
        if p < 0.05:
            frame.loc[a, b], frame.loc[b, a] = d["mean"], -d["mean"]
    tested = {frozenset((a, b)) for a, b, _ in known}
    cells = [[frozenset((a, b)) in tested for b in names] for a in names]
    frame = frame.rename(index=title, columns=title)
    frame.attrs["tested"] = np.array(cells, dtype=bool)
    return frame


# What each paper claims for its attention on a dataset: its title, without, with (ids of the paper's own rows)
STEPS = (
    ("AMDCNN, FER2013", "amdcnn-fer2013-baseline", "amdcnn-fer2013-mcbam"),
    ("AMDCNN, FERPlus", "amdcnn-ferplus-baseline", "amdcnn-ferplus-mcbam"),
    ("AMDCNN, RAF-DB", "amdcnn-rafdb-baseline", "amdcnn-rafdb-mcbam"),
    ("AMDCNN, CK+", "amdcnn-ckplus-baseline", "amdcnn-ckplus-mcbam"),
    ("GCCA-VGG16, FER2013", "gcca_vgg-fer2013-model2", "gcca_vgg-fer2013-model3"),
    ("GCCA-VGG16, CK+", "gcca_vgg-ckplus-model2", "gcca_vgg-ckplus-model3"),
    ("A-MobileNet, FERPlus", "a_mobilenet-ferplus-mobilenet_v1", "a_mobilenet-ferplus-a_mobilenet"),
    ("A-MobileNet, RAF-DB", "a_mobilenet-rafdb-mobilenet_v1", "a_mobilenet-rafdb-a_mobilenet"),
    ("SE-CNN, FER2013", "se_cnn-plain", "se_cnn-se"),
    ("MSCA-ResNet, FERPlus", "msca_resnet-ferplus-plain", "msca_resnet-ferplus-se"),
    ("MSCA-ResNet, CK+", "msca_resnet-ckplus-plain", "msca_resnet-ckplus-se"),
)


@dataclass(frozen=True)
class Gain:
    """Attention minus none, in points: as published, and ours with bounds where there are records."""

    title: str
    published: float | None
    ours: float | None = None
    low: float | None = None
    high: float | None = None
    seeds: int = 0
    n: int = 0
    reduced: bool = False
    missing: str = "pair not run yet"  # what stands in the place of ours where there is none
    undertrained: bool = False  # one of the two does not fit even its training images
    last: float | None = None  # ours over the last epochs, none of them chosen (`ferlib.couples.last_epochs`)
    p: float | None = None

    @property
    def counts(self) -> bool:
        """Whether ours is of whole runs that learned: a shortened one may differ in how fast it learns."""
        return self.ours is not None and not self.reduced and not self.undertrained

    @property
    def above(self) -> bool:
        """Whether it `counts`, and interval and test say above zero: where few images differ, the two disagree."""
        return self.counts and self.low is not None and self.low > 0 and self.clear

    @property
    def below(self) -> bool:
        """As `above`, the other way."""
        return self.counts and self.high is not None and self.high < 0 and self.clear

    @property
    def clear(self) -> bool:
        """Whether the test does not speak against it."""
        return self.p is None or self.p < 0.05

    @property
    def turns(self) -> str:
        """That the sign hangs on the chosen epoch, with a comma in front; empty where it does not."""
        if self.ours is None or self.last is None or not lost(self.ours, self.last):
            return ""
        return f", but {self.last:+.2f} over the last {LAST} epochs"

    @property
    def remark(self) -> str:
        """What stands behind its name where it counts: single or shortened runs, and `turns`."""
        if self.ours is None:
            return ""
        runs = "one shortened run each" if self.reduced else "one run each"
        if self.seeds != 1:
            runs = "shortened" if self.reduced else ""
        return (f", {runs}" if runs else "") + self.turns


def headline(results: Path | str) -> list[Gain]:
    """Each paper's own claim for its attention, under its own protocol, epoch chosen on validation.

    The mean difference over the seeds that both rows have, with bounds as in `difference`: those of a single seed count
    the test images (people on CK+) alone.
    """
    return [gain_of(*step, results) for step in STEPS]


def alike(found: dict[str, Tested], dataset: str) -> list[Gain]:
    """Each network against its twin under the common protocol, as `headline` has the papers' own protocols.

    ``found`` is `everything` of ``dataset``; nothing is published for these rows.
    """
    gains = []
    for name, (shown, *_, twin) in NETWORKS.items():
        if twin is None:
            continue
        test = difference(found[twin], found[name]) if twin in found and name in found else None
        gain = Gain(f"{shown.partition(' (')[0]}, {dataset}", None)
        if test is not None:
            one, other = found[name], found[twin]
            gain = measured(gain, test, len(one.ids), one.reduced or other.reduced)
        gains.append(gain)
    return gains


def measured(gain: Gain, test: Mapping[str, float], n: int, reduced: bool) -> Gain:
    """``gain`` with ours from a ``test`` (`difference`) over ``n`` images, of whole runs or shortened ones."""
    return replace(
        gain,
        ours=test["mean"],
        low=test["low"],
        high=test["high"],
        seeds=int(test["seeds"]),
        n=n,
        reduced=reduced,
        last=None if np.isnan(test["last"]) else test["last"],
        p=test["p"],
    )


def steps(rows: Sequence[Experiment], results: Path | str) -> list[Gain]:
    """`gain_of` each of `chapters.step_pairs` that has runs to compare."""
    pairs = chapters.step_pairs(rows)
    found = [gain_of(f"{a.row} → {b.row}", a.id, b.id, results) for a, b in pairs]
    return [gain for gain in found if gain.ours is not None]


def gain_of(name: str, without: str, with_: str, results: Path | str) -> Gain:
    """One line of `headline`, of two rows by their ids."""
    rows = EXPERIMENTS[without], EXPERIMENTS[with_]
    printed = [chapters.printed_accuracy(row) for row in rows]
    published = None if None in printed else float(printed[1] or 0) - float(printed[0] or 0)
    if any(map(chapters.stands_in, rows)):  # what is printed is of other rows
        published = None
    found = couple(without, with_, results)
    if found is None:
        from ferlib.claims.verdicts import RUN, missing

        return Gain(name, published, missing="licensed data" if missing(rows[1]) == RUN[0] else Gain.missing)
    used = [p for row in rows for p in tables.parts_of(results, row.id) if p["seed"] in found.seeds]
    test = found.test()
    return Gain(
        name,
        published,
        test["mean"],
        test["low"],
        test["high"],
        len(found.seeds),
        len(found.ids),
        bool(chapters.star(used)),
        last=end[0] if (end := last_epochs(without, with_, results, found.seeds)) else None,
        p=test["p"],
    )
