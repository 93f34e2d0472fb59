"""The common protocol's results: every network and its twin without attention on the same images.

Rows: `ferlib.experiments.comparison`. On CK+48 the test images of the five folds by subject are pooled, and what is
independent are subjects, not frames: intervals resample them, tests flip their signs. On FER2013 every image is one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from ferlib import chapters, records, tables
from ferlib.cost import channels_of
from ferlib.evaluate import cluster_bootstrap, paired_clusters, variance_split, wilson
from ferlib.experiments import EXPERIMENTS, Experiment
from ferlib.experiments.comparison import FOLDS, NETWORKS, PAPER

DATASETS = {"ckplus": "CK+48, folds by subject", "fer2013": "FER2013, official split"}


@dataclass(frozen=True)
class Tested:
    """One network on one dataset: which test images it gets right, seed by seed."""

    name: str
    ids: np.ndarray  # (N,)
    clusters: np.ndarray  # (N,): subjects, or the images themselves
    correct: np.ndarray  # (seeds, N)
    seeds: tuple[int, ...]
    reduced: bool
    fitted: float  # accuracy on its own training images, mean over seeds and folds

    @property
    def accuracy(self) -> float:
        return float(self.correct.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, of the mean over seeds, for the sampling of test images (of subjects on CK+48)."""
        if len(set(self.clusters)) == len(self.clusters):
            return wilson(round(self.accuracy * len(self.ids)), len(self.ids))
        return cluster_bootstrap(self.correct.mean(0), self.clusters)


def rows_of(name: str, dataset: str) -> list[Experiment]:
    """The rows behind one network's result on a dataset: five folds, or one."""
    suffixes = [f"-grouped{k}" for k in range(FOLDS)] if dataset == "ckplus" else [""]
    return [EXPERIMENTS[f"{PAPER}-{dataset}-{name}{suffix}"] for suffix in suffixes]


def tested(name: str, dataset: str, results: Path | str) -> Tested | None:
    """What the records say of a network; None where no seed has all its folds."""
    rows = rows_of(name, dataset)
    parts = [{p["seed"]: p for p in tables.parts_of(results, row.id)} for row in rows]
    seeds = sorted(set.intersection(*(set(found) for found in parts)))
    if not seeds:
        return None
    correct, ids = [], np.empty(0)
    for seed in seeds:
        each = [tables.correct(records.path_of(results, row.id, seed), "val_selected") for row in rows]
        ids = np.concatenate([i for i, _ in each])
        order = np.argsort(ids)
        ids = ids[order]
        correct.append(np.concatenate([hits for _, hits in each])[order])
    clusters = np.array([str(i).split("_")[0] for i in ids]) if dataset == "ckplus" else ids
    reduced = any(chapters.star([found[seed]]) for found in parts for seed in seeds)
    chosen = [found[seed]["result"]["val_selected"] for found in parts for seed in seeds]
    fitted = float(np.mean([result["train"]["accuracy"] for result in chosen]))
    return Tested(name, ids, clusters, np.array(correct), tuple(seeds), reduced, fitted)


def everything(dataset: str, results: Path | str) -> dict[str, Tested]:
    """Every network that has a result."""
    found = {name: tested(name, dataset, results) for name in NETWORKS}
    return {name: t for name, t in found.items() if t is not None}


def title(name: str) -> str:
    return NETWORKS[name][0]


def network(name: str) -> Any:
    """A fresh network as the common protocol trains it (CK+48: seven classes, 48 pixels)."""
    from ferlib.models import build

    row = rows_of(name, "ckplus")[0]
    return build(row.model, classes=7, channels=channels_of(row), size=row.size, **row.variant)


def latency(model: Any, channels: int, size: int = 48, repeats: int = 30) -> float:
    """Milliseconds for one image on this machine's CPU, one thread, float32: the median of ``repeats``."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    x = torch.rand(1, channels, size, size)
    times = []
    try:
        with torch.inference_mode():
            model.eval()
            for _ in range(repeats + 3):
                began = time.perf_counter()
                model(x)
                times.append(time.perf_counter() - began)
    finally:
        torch.set_num_threads(threads)
    return 1000 * float(np.median(times[3:]))


def costs() -> dict[str, dict[str, float]]:
    """Parameters, multiply-adds and latency of every network, by name."""
    from ferlib.models import count_multiply_adds, count_parameters

    lines = {}
    for name in NETWORKS:
        model, channels = network(name), channels_of(rows_of(name, "ckplus")[0])
        lines[name] = {
            "parameters": count_parameters(model),
            "multiply-adds": count_multiply_adds(model, channels=channels, size=48),
            "latency (ms)": latency(model, channels),
        }
    return lines


def summary(found: dict[str, Tested], cost: dict[str, dict[str, float]]) -> pd.DataFrame:
    """One line for each network: multiply-adds and accuracy (percent)."""
    lines = []
    for name, t in found.items():
        low, high = t.interval
        by_seed = 100 * t.correct.mean(1)
        spread = f" ± {by_seed.std(ddof=1):.2f}" if len(by_seed) > 1 else ""
        lines.append(
            {
                "network": title(name),
                "multiply-adds (million)": f"{cost[name]['multiply-adds'] / 1e6:.0f}",
                "accuracy": f"{100 * t.accuracy:.2f}{spread}{chapters.REDUCED if t.reduced else ''}",
                "95 % interval": f"{100 * low:.1f} to {100 * high:.1f}",
                "on training images": f"{100 * t.fitted:.1f}",
                "seeds": len(t.seeds),
                "images": f"{len(t.ids):,}",
            }
        )
    return pd.DataFrame(lines)


def difference(first: Tested, second: Tested) -> dict[str, float] | None:
    """Second minus first over the seeds they share, in points, with bounds and p; None without a common seed."""
    seeds = sorted(set(first.seeds) & set(second.seeds))
    if not seeds or not np.array_equal(first.ids, second.ids):
        return None
    gaps = [
        second.correct[second.seeds.index(s)].astype(float) - first.correct[first.seeds.index(s)]
        for s in seeds
    ]
    found = paired_clusters(np.mean(gaps, axis=0), first.clusters)
    scaled = {k: 100 * v if k != "p" else v for k, v in found.items()}
    return {**scaled, "seeds": float(len(seeds)), "positive": float(sum(g.mean() > 0 for g in gaps))}


def gains(found: dict[str, Tested]) -> pd.DataFrame:
    """Attention against its twin, network by network; p also after Holm's correction over the table."""
    couples = [(twin, name) for name, (*_, twin) in NETWORKS.items() if twin in found and name in found]
    tests = [(name, difference(found[twin], found[name])) for twin, name in couples if twin]
    tests = [(name, test) for name, test in tests if test is not None]
    holm = multipletests([t["p"] for _, t in tests if t], method="holm")[1] if tests else []
    return pd.DataFrame(
        [
            {
                "network": title(name),
                "with attention minus without (points)": chapters.signed(test["mean"]),
                "95 % interval": f"{test['low']:+.1f} to {test['high']:+.1f}",
                "p": f"{test['p']:.2g}",
                "after Holm": f"{corrected:.2g}",
                "seeds in favour": f"{test['positive']:.0f} of {test['seeds']:.0f}",
            }
            for (name, test), corrected in zip(tests, holm, strict=True)
            if test
        ]
    )


def significance(found: dict[str, Tested]) -> pd.DataFrame:
    """Differences of all pairs in points (row minus column); nan where Holm over all pairs leaves p at 0.05 or more."""
    names = sorted(found, key=lambda name: -found[name].accuracy)
    frame = pd.DataFrame(np.nan, index=names, columns=names)
    pairs = [(a, b, difference(found[b], found[a])) for a, b in combinations(names, 2)]
    pairs = [(a, b, d) for a, b, d in pairs if d]
    holm = multipletests([d["p"] for *_, d in pairs if d], method="holm")[1] if pairs else []
    for (a, b, d), p in zip(pairs, holm, strict=True):
        if d and p < 0.05:
            frame.loc[a, b], frame.loc[b, a] = d["mean"], -d["mean"]
    return frame.rename(index=title, columns=title)


# What each paper claims for its attention on a dataset: its title, without, with (ids of the paper's own rows)
STEPS = (
    ("AMDCNN, FER2013", "amdcnn-fer2013-baseline", "amdcnn-fer2013-mcbam"),
    ("AMDCNN, FERPlus", "amdcnn-ferplus-baseline", "amdcnn-ferplus-mcbam"),
    ("AMDCNN, CK+", "amdcnn-ckplus-baseline", "amdcnn-ckplus-mcbam"),
    ("GCCA-VGG16, FER2013", "gcca_vgg-fer2013-model1", "gcca_vgg-fer2013-model2"),
    ("GCCA-VGG16, CK+", "gcca_vgg-ckplus-model1", "gcca_vgg-ckplus-model2"),
    ("A-MobileNet, FERPlus", "a_mobilenet-ferplus-mobilenet_v1", "a_mobilenet-ferplus-a_mobilenet"),
    ("SE-CNN, FER2013", "se_cnn-plain", "se_cnn-se"),
    ("MSCA-ResNet, FER+", "msca_resnet-ferplus-plain", "msca_resnet-ferplus-se"),
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


def headline(results: Path | str) -> list[Gain]:
    """Each paper's own claim for its attention, under its own protocol, epoch chosen on validation.

    The bounds are a bootstrap over the test images of the mean difference over the seeds that both rows have.
    """
    found = []
    for name, without, with_ in STEPS:
        first, second = EXPERIMENTS[without], EXPERIMENTS[with_]
        printed = [chapters.printed_accuracy(row) for row in (first, second)]
        published = None if None in printed else float(printed[1] or 0) - float(printed[0] or 0)
        parts = [{p["seed"]: p for p in tables.parts_of(results, row.id)} for row in (first, second)]
        gaps, n = [], 0
        seeds = sorted(set(parts[0]) & set(parts[1]))
        for seed in seeds:
            (ids_a, a), (ids_b, b) = (
                tables.correct(records.path_of(results, row.id, seed), "val_selected")
                for row in (first, second)
            )
            if np.array_equal(ids_a, ids_b):
                gaps.append(b.astype(float) - a)
                n = len(ids_a)
        if not gaps:
            found.append(Gain(name, published))
            continue
        test = paired_clusters(np.mean(gaps, axis=0), np.arange(n))
        bounds = [100 * test[key] for key in ("mean", "low", "high")]
        reduced = any(chapters.star([p[s]]) for p in parts for s in seeds)
        found.append(Gain(name, published, bounds[0], bounds[1], bounds[2], len(gaps), n, reduced))
    return found


def in_words(gains: Sequence[Gain]) -> str:
    """The figure of `headline` for those who do not see it."""
    lines = []
    for g in gains:
        published = "–" if g.published is None else f"{chapters.signed(g.published)} published"
        if g.ours is None or g.low is None or g.high is None:
            lines.append(f"{g.title}: {published}, not run yet")
        else:
            ours = f"{chapters.signed(g.ours)} ours, {chapters.signed(g.low)} to {chapters.signed(g.high)}"
            lines.append(f"{g.title}: {published}, {ours}")
    return "Gain of attention in points. " + "; ".join(lines)


def spread(found: Sequence[Tested]) -> pd.DataFrame:
    """Standard deviations (points) from seeds and from the test set, where there are several seeds."""
    return pd.DataFrame(
        [
            {
                "network": title(t.name),
                "between seeds": f"{100 * split['seed_sd']:.2f}",
                "test images": f"{100 * split['test_sd']:.2f}",
                "one run on a new test set": f"{100 * split['total_sd']:.2f}",
            }
            for t in found
            if len(t.seeds) > 1
            for split in [variance_split(t.correct)]
        ]
    )
