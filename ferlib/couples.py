"""Two rows on the same test images, compared in every seed that both have: one difference, one test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ferlib import records, tables
from ferlib.evaluate import holm, mcnemar_exact, paired_clusters, paired_seeds
from ferlib.experiments import EXPERIMENTS

LAST = 10  # epochs at the end of a run, none of them chosen


@dataclass(frozen=True)
class Couple:
    """Two rows on the same test images: second minus first, image by image, in the seeds that both have."""

    gaps: np.ndarray  # (seeds, N) of -1, 0 and 1
    ids: np.ndarray  # (N,)
    seeds: tuple[int, ...]
    dataset: str

    def test(self) -> dict[str, float]:
        """`tested`, in which people on CK+ count as a whole."""
        return dict(self._tested)

    @cached_property
    def _tested(self) -> dict[str, float]:
        return tested(self.gaps, tables.clusters_of(self.ids, self.dataset))

    @property
    def by_images(self) -> bool:
        """One seed on images that are independent of each other."""
        return len(self.seeds) == 1 and self.dataset != "ckplus"

    @property
    def how(self) -> str:
        """What ``p`` counts, in a few words that end with its value."""
        p = f"p {self.test()['p']:.2g}"
        if len(self.seeds) > 1:
            return f"{p} over {len(self.seeds)} seeds"
        return f"McNemar {p}" if self.by_images else f"{p} over people"


class Both(NamedTuple):
    """What two rows' records of one seed say of the same test images: ``ids`` (N,) and, for each, which are right."""

    seed: int
    parts: tuple[dict[str, Any], dict[str, Any]]
    ids: np.ndarray
    right: tuple[np.ndarray, np.ndarray]


def both(first: str, second: str, results: Path | str, reading: str) -> Iterator[Both]:
    """Each seed with records of both rows that were shortened alike, if at all, and tested on the same images.

    See `tables.shortened_alike`.
    """
    by_seed = [{p["seed"]: p for p in tables.parts_of(results, name)} for name in (first, second)]
    for seed in sorted(by_seed[0].keys() & by_seed[1].keys()):
        parts = by_seed[0][seed], by_seed[1][seed]
        if not tables.shortened_alike(*parts):
            continue
        (ids_a, a), (ids_b, b) = (
            tables.correct(records.path_of(results, name, seed), reading) for name in (first, second)
        )
        if np.array_equal(ids_a, ids_b):
            yield Both(seed, parts, ids_a, (a, b))


def couple(first: str, second: str, results: Path | str, reading: str = "val_selected") -> Couple | None:
    """Two rows by their ids; None where they have no seed in common: see `both`."""
    found = list(both(first, second, results, reading))
    found = [one for one in found if np.array_equal(one.ids, found[0].ids)]
    if not found:
        return None
    gaps = np.array([one.right[1].astype(float) - one.right[0] for one in found])
    return Couple(gaps, found[0].ids, tuple(one.seed for one in found), EXPERIMENTS[second].dataset)


def last_epochs(
    first: str, second: str, results: Path | str, seeds: Sequence[int]
) -> tuple[float, float] | None:
    """Second minus first in the last `LAST` epochs of both: mean and standard deviation over these, in points.

    No epoch is chosen there, so that a step which `couple` finds and this does not hangs on the choice. Over ``seeds``,
    their mean first. None where a run was shorter.
    """
    parts = [
        {p["seed"]: p["history"][-LAST:] for p in tables.parts_of(results, name)} for name in (first, second)
    ]
    ends = [[[100 * e["test_accuracy"] for e in by_seed[seed]] for seed in seeds] for by_seed in parts]
    if any(len(end) < LAST for network in ends for end in network):
        return None
    over = np.subtract(ends[1], ends[0]).mean(axis=0)
    return float(over.mean()), float(over.std(ddof=1))


def lost(difference: float, last: float) -> bool:
    """Whether a difference (points) that two runs show at their chosen epochs is gone, or has turned, over the last.

    Gone: less than a tenth of it is left.
    """
    shown, left = round(difference, 2), round(last, 2)
    return bool(shown and (shown * left <= 0 or abs(left) < abs(shown) / 10))


def last_cell(last: tuple[float, float] | None) -> str:
    """`last_epochs` in a cell of a table."""
    return "–" if last is None else f"{last[0]:+.2f} ± {last[1]:.1f}"


def tested(gaps: np.ndarray, clusters: np.ndarray) -> dict[str, float]:
    """Mean of ``gaps`` (seeds, N) of -1, 0 and 1 with bounds, in points, and ``p``: `paired_seeds` over clusters (N,).

    ``p`` of one seed on images that are independent of each other is that of McNemar's exact test.
    """
    test = in_points(paired_seeds(gaps, clusters))
    if len(gaps) == 1 and len(np.unique(clusters)) == len(clusters):
        test["p"] = mcnemar_exact(gaps[0] < 0, gaps[0] > 0)["p"]
    return test


def in_points(test: dict[str, float]) -> dict[str, float]:
    return {name: value if name == "p" else 100 * value for name, value in test.items()}


@dataclass(frozen=True)
class Pair:
    """Two models on the same test images: difference in accuracy (second minus first) in points, tests."""

    seed: int
    n: int
    difference: float
    low: float
    high: float
    only_first: int
    only_second: int
    p: float
    runs: str
    last: tuple[float, float] | None  # `last_epochs`


def pairs(results: Path | str, first: str, second: str, reading: str = "val_selected") -> list[Pair]:
    """One comparison for each seed of `both`.

    McNemar's exact test and a bootstrap over images; on CK+, where a person's frames are not independent, a test and a
    bootstrap over people. ``merged`` counts images that no history counts: it has no last epochs.
    """
    found = []
    for seed, parts, ids, (a, b) in both(first, second, results, reading):
        test = mcnemar_exact(a, b)
        counts = int(test["only_a"]), int(test["only_b"])
        people = tables.clusters_of(ids, EXPERIMENTS[first].dataset)
        over = paired_clusters(b.astype(float) - a, people)
        estimate, low, high = (over[name] for name in ("mean", "low", "high"))
        p = test["p"] if people is ids else over["p"]
        runs = tables.evidence_label(list(parts)).replace("2 seeds, ", "")
        last = None if reading == "merged" else last_epochs(first, second, results, [seed])
        found.append(Pair(seed, len(a), 100 * estimate, 100 * low, 100 * high, *counts, p, runs, last))
    return found


def paired(found: list[Pair]) -> pd.DataFrame:
    """Comparisons as a table, with p also after Holm's correction over the table."""
    return pd.DataFrame(
        [
            {
                "seed": pair.seed,
                "runs": pair.runs,
                "images": f"{pair.n:,}",
                "difference (points)": f"{pair.difference:+.2f}",
                "95 % interval": f"{pair.low:+.2f} to {pair.high:+.2f}",
                f"last {LAST} epochs": last_cell(pair.last),
                "only the first right": pair.only_first,
                "only the second right": pair.only_second,
                "p": f"{pair.p:.2g}",
                "after Holm": f"{corrected:.2g}",
            }
            for pair, corrected in zip(found, holm([pair.p for pair in found]), strict=True)
        ]
    )
