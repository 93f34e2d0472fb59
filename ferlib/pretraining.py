"""What pretraining on other faces is worth on CK+48: the house's network from random weights, and from FERPlus'.

Rows: `ferlib.experiments.house`, which differ in the start alone. A difference is the second minus the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ferlib import chapters, comparison, tables
from ferlib.comparison import Tested
from ferlib.comparison_tables import ALONE, bounded
from ferlib.couples import LAST
from ferlib.experiments import EXPERIMENTS, Experiment
from ferlib.experiments.comparison import FOLDS
from ferlib.experiments.house import PAPER, STARTS

IDS = tuple(f"{PAPER}-ckplus{start}" for start in STARTS)
NAMES = tuple(title for title, _ in STARTS.values())
UNSEEN, SEEN = "folds by subject", "frames at random"  # the people of the test part in training
SPLITS: Mapping[str, tuple[str, ...]] = {
    UNSEEN: tuple(f"-grouped{k}" for k in range(FOLDS)),
    SEEN: ("",),
}
READINGS = {"val_selected": "epoch by validation", "paper_style": "best test epoch"}
SHARED = "S055"  # of CK+48, one frame of whom is in FER2013's and FERPlus' training parts (`test_data_real`)
LINES = ("--", "-")  # of the starts, in their order


class Known(NamedTuple):
    """Both networks on a split in a reading of the epoch, and `ferlib.comparison.difference` of the two."""

    split: str
    reading: str
    networks: tuple[Tested, Tested]
    test: dict[str, float]


def rows(start: str, split: str) -> list[Experiment]:
    """The rows of ``start`` (one of `IDS`) on ``split``."""
    return [EXPERIMENTS[start + suffix] for suffix in SPLITS[split]]


def known(results: Path | str) -> Iterator[Known]:
    """Whatever both networks have records of, on the seeds that both have."""
    for split in SPLITS:
        for reading in READINGS:
            first, second = (comparison.pooled(i, rows(i, split), results, reading) for i in IDS)
            if first is None or second is None:
                continue
            if (test := comparison.difference(first, second)) is not None:
                yield Known(split, reading, (first, second), test)


def table(results: Path | str) -> pd.DataFrame:
    """A line for each split and reading: both accuracies (percent), their difference (points) and what it rests on."""
    lines = []
    for one in known(results):
        first, second = (100 * _mean(network, one) for network in one.networks)
        last = one.test["last"] if one.reading == "val_selected" else np.nan
        lines.append(
            {
                "CK+48": one.split,
                "epoch": READINGS[one.reading],
                f"{NAMES[0]} (%)": f"{first:.1f}",
                f"{NAMES[1]} (%)": f"{second:.1f}",
                "difference (points)": bounded(one.test),
                f"last {LAST} epochs": "–" if np.isnan(last) else f"{last:+.2f}",
                "p": f"{one.test['p']:.2g}",
                "seeds": int(one.test["seeds"]),
                "test images": f"{len(one.networks[0].ids):,}",
            }
        )
    return pd.DataFrame(lines)


def said(results: Path | str) -> str:
    """The difference on people whom training did not see, and beside it attention's; empty without runs."""
    if (one := _of(UNSEEN, results)) is None:
        return ""
    first, second = (100 * _mean(network, one) for network in one.networks)
    last = "" if np.isnan(one.test["last"]) else f"; {one.test['last']:+.2f} over the last {LAST} epochs"
    return (
        f"On people whom training did not see, the start from FERPlus gives {bounded(one.test)} points over a "
        f"random one (from {first:.1f} % to {second:.1f} %, {_runs(one)}{last}){_verdict(one)}"
        + _without(SHARED, one)
        + _with_people(results)
        + _beside(results)
    )


def for_scale(results: Path | str) -> str:
    """What stands beside the gains of attention on the landing page; empty without runs."""
    if (one := _of(UNSEEN, results)) is None:
        return ""
    return (
        f"For scale: on the same people, pretraining a small network on FERPlus gives {bounded(one.test)} points over "
        f"random weights ({_runs(one)}){_verdict(one)}"
    )


def _of(split: str, results: Path | str) -> Known | None:
    """On a split, with the epoch that validation chose."""
    wanted = split, "val_selected"
    return next((one for one in known(results) if (one.split, one.reading) == wanted), None)


def _with_people(results: Path | str) -> str:
    one = _of(SEEN, results)
    if one is None:
        return ""
    return f" On frames at random, of people whom training has seen: {bounded(one.test)}{_verdict(one)}"


def _runs(one: Known) -> str:
    cut = ", shortened runs" if any(network.reduced for network in one.networks) else ""
    return chapters.some(int(one.test["seeds"]), "seed") + cut


def _verdict(one: Known) -> str:
    """The end of a sentence on a difference."""
    return "." if one.test["low"] > 0 or one.test["high"] < 0 else ": that may be zero."


def _without(person: str, one: Known) -> str:
    """The difference on all people but one."""
    others = one.networks[0].clusters != person
    if others.all() or not others.any():
        return ""
    test = comparison.difference(*(_among(network, others) for network in one.networks))
    return f" Without {person}: {bounded(test)}." if test is not None else ""


def _among(network: Tested, kept: np.ndarray) -> Tested:
    """A network's result on some of the test images (N,) alone; the last epochs, known of all alone, become unknown."""
    return replace(
        network,
        ids=network.ids[kept],
        clusters=network.clusters[kept],
        correct=network.correct[:, kept],
        folds=network.folds[kept],
        ends=np.full_like(network.ends, np.nan),
    )


def _beside(results: Path | str) -> str:
    """What attention alone gives on the same people under the same protocol."""
    twins = comparison.against_twins(comparison.everything("ckplus", results))
    alone = [f"{comparison.title(one.name)} {bounded(one.test)}" for one in twins if one.name in ALONE]
    said = f" Attention alone, on the same people under the same protocol: {chapters.listed(alone)}."
    return said if alone else ""


def _mean(network: Tested, one: Known) -> float:
    """Its accuracy over the seeds that both have."""
    shared = set(one.networks[0].seeds) & set(one.networks[1].seeds)
    return float(np.mean([network.correct[network.seeds.index(seed)] for seed in shared]))


def histories(start: str, split: str, results: Path | str) -> np.ndarray:
    """Test accuracy (percent) after each epoch, over all images of the split: (seeds, epochs), of seeds with all rows.

    Runs that were shortened differently are cut to the shortest.
    """
    parts = [{p["seed"]: p for p in tables.parts_of(results, row.id)} for row in rows(start, split)]
    seeds = sorted(set.intersection(*map(set, parts)))
    found = []
    for seed in seeds:
        each = [[100 * epoch["test_accuracy"] for epoch in by_seed[seed]["history"]] for by_seed in parts]
        images = [by_seed[seed]["result"]["val_selected"]["n"] for by_seed in parts]
        length = min(map(len, each))
        found.append(np.average([line[:length] for line in each], axis=0, weights=images))
    length = min(map(len, found), default=0)
    return np.array([line[:length] for line in found]).reshape(len(found), length)


def curves(results: Path | str) -> Figure | None:
    """Test accuracy over epochs, a panel for each split and a line for each start; None without runs."""
    panels = {split: [histories(i, split, results) for i in IDS] for split in SPLITS}
    panels = {split: lines for split, lines in panels.items() if all(line.size for line in lines)}
    if not panels:
        return None
    figure, axes = plt.subplots(1, len(panels), figsize=(4.7 * len(panels), 3.6), sharey=True, squeeze=False)
    for ax, (split, lines) in zip(axes[0], panels.items(), strict=True):
        for name, style, line in zip(NAMES, LINES, lines, strict=True):
            epochs = np.arange(1, line.shape[1] + 1)
            (drawn,) = ax.plot(epochs, line.mean(axis=0), linestyle=style, label=name)
            if len(line) > 1:
                ax.fill_between(
                    epochs, line.min(axis=0), line.max(axis=0), alpha=0.2, color=drawn.get_color()
                )
        ax.set(title=split, xlabel="epoch")
    axes[0, 0].set_ylabel("test accuracy (%)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def caption(results: Path | str) -> str:
    """How many epochs each start needs on people not seen for what the random one has at the end; "" without runs."""
    lines = [histories(i, UNSEEN, results) for i in IDS]
    if not all(line.size for line in lines):
        return ""
    first, second = (line.mean(axis=0) for line in lines)
    aim = float(first[-LAST:].mean())
    reached = np.flatnonzero(second >= aim)
    how = f"has after epoch {reached[0] + 1}" if len(reached) else "never reaches"
    return (
        f"{UNSEEN[0].upper() + UNSEEN[1:]}: the {NAMES[1]} {how} what the {NAMES[0]} reaches over its last {LAST} "
        f"epochs, {aim:.1f} %."
    )
