"""What the papers say on where attention looks, as comparisons of measured shares with a computed verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ferlib import measures, measures_file, records
from ferlib.chapters import REDUCED
from ferlib.errors import FerlibError
from ferlib.experiments import get
from ferlib.measures_claims import CLAIMS, FACE, Claim

SEEDS = 3  # below so many a verdict is provisional


class Run(NamedTuple):
    """Measures of one seed, with the profile of its record."""

    found: dict[str, Any]
    profile: str

    @property
    def people(self) -> np.ndarray | None:
        who = self.found["images"]["people"]
        return None if who is None else np.array(who)

    def values(self, zones: Sequence[str], layer: str | None = None, kind: str = "share") -> np.ndarray:
        """Per image (N,) the sum over ``zones`` (which do not overlap) of a layer's share, even share or hit."""
        one = self.found["layers"][layer or self.found["layer"]][kind]
        return np.sum([measures_file.array(one[zone]) for zone in zones], axis=0)

    def area(self, zones: Sequence[str]) -> float:
        return float(sum(self.found["areas"][zone] for zone in zones))


def runs_of(results: Path | str, identifier: str) -> dict[int, Run]:
    """The measured runs of one experiment by seed; files that are damaged or of an older record are left out."""
    found, _ = measures_file.read_all(results, identifier)
    return {
        one["seed"]: Run(
            one,
            records.read(records.path_of(results, identifier, one["seed"]))["reproducible"]["profile"],
        )
        for one in found
    }


def measured(results: Path | str, identifiers: Iterable[str]) -> dict[str, dict[int, Run]]:
    """`runs_of` each experiment that has any."""
    found = {identifier: runs_of(results, identifier) for identifier in identifiers}
    return {identifier: runs for identifier, runs in found.items() if runs}


def compare(
    first: Mapping[int, Run],
    second: Mapping[int, Run],
    zones: Sequence[str],
    layer: str | None = None,
    kind: str = "share",
) -> dict[int, dict[str, float]]:
    """Second minus first on the same images, for each seed that both have: see `measures.paired`; means of both too."""
    found = {}
    for seed in sorted(first.keys() & second.keys()):
        a, b = first[seed], second[seed]
        if a.found["images"]["ids"] != b.found["images"]["ids"]:
            continue
        before, after = (run.values(zones, layer, kind) for run in (a, b))
        found[seed] = {
            "before": float(np.nanmean(before)),
            "after": float(np.nanmean(after)),
            **measures.paired(before, after, a.people),
        }
    return found


def verdict(tests: Iterable[Mapping[str, float]], profiles: Iterable[str]) -> str:
    """``holds`` where every seed's interval lies above zero, ``opposite`` where below, else ``not shown``.

    ``provisional`` stands before it below `SEEDS` seeds or where a run is reduced; ``not measured`` without any.
    """
    tests, profiles = list(tests), set(profiles)
    if not tests:
        return "not measured"
    if all(one["low"] > 0 for one in tests):
        word = "holds"
    else:
        word = "opposite" if all(one["high"] < 0 for one in tests) else "not shown"
    return word if len(tests) >= SEEDS and profiles <= {"full"} else f"provisional: {word}"


def mean_faces(results: Path | str, classes: Sequence[str] = ("surprise", "happy")) -> dict[str, np.ndarray]:
    """Mean faces (H, W), 0 black to 1 white, of CK+48 and FER2013 by title: of all classes, and of ``classes``.

    Of what `ferlib data audit` left in ``results``; an empty dict where it has not been run.
    """
    from ferlib.data import measured

    try:
        _, arrays = measured.read(results)
    except FerlibError:
        return {}
    faces = {}
    for dataset, title in (("ckplus", "CK+"), ("fer2013", "FER2013")):
        own = {k.partition("/")[2]: v for k, v in arrays.items() if k.startswith(f"{dataset}/")}
        if own:
            faces[f"{title}, all classes"] = np.mean(list(own.values()), axis=0)
            faces |= {f"{title}, {name}": own[name] for name in classes if name in own}
    return faces


def name(identifier: str) -> str:
    """The row's name in its paper's table."""
    return get(identifier).row


def title(identifier: str, seed: int, run: Run) -> str:
    """A run in a table or figure of several papers' runs; a star where its record is reduced."""
    return f"{identifier}, seed {seed}" + ("" if run.profile == "full" else REDUCED)


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


def points(test: Mapping[str, float]) -> str:
    """A difference in points with its interval."""
    return f"{100 * test['mean']:+.1f} [{100 * test['low']:+.1f}, {100 * test['high']:+.1f}]"


def claims(results: Path | str, paper: str | None = None) -> pd.DataFrame:
    """Each of `CLAIMS`: the measured share in its zones before and after, the paired difference, a verdict."""
    from statsmodels.stats.multitest import multipletests

    chosen = [claim for claim in CLAIMS if paper in (None, claim.paper)]
    pairs = [(runs_of(results, claim.first), runs_of(results, claim.second)) for claim in chosen]
    tests = [compare(a, b, claim.zones) for claim, (a, b) in zip(chosen, pairs, strict=True)]
    p_values = [test["p"] for by_seed in tests for test in by_seed.values()]
    corrected = iter(multipletests(p_values, method="holm")[1] if p_values else ())
    lines = []
    for claim, (a, b), by_seed in zip(chosen, pairs, tests, strict=True):
        profiles = [run.profile for seed in by_seed for run in (a[seed], b[seed])]
        holm = [next(corrected) for _ in by_seed]
        area = next((f" (area {percent(a[seed].area(claim.zones))})" for seed in by_seed), "")
        lines.append(
            {
                "the text says": f"{claim.text} ({claim.where})",
                "share in, %": " + ".join(claim.zones) + area,
                "first → second": "; ".join(
                    f"{percent(t['before'])} → {percent(t['after'])}" for t in by_seed.values()
                )
                or "–",
                "difference, points": "; ".join(points(t) for t in by_seed.values()) or "–",
                "p (Holm)": "; ".join(f"{p:.2g}" for p in holm) or "–",
                "seeds": len(by_seed),
                "verdict": verdict(by_seed.values(), profiles),
            }
        )
    return pd.DataFrame(lines)


WAYS = {
    "share": "share, cells where they look",
    "even": "share, cells evenly spread",
    "hit": "maximum inside",
}


def chosen_otherwise(results: Path | str, claim: Claim) -> dict[tuple[str, str], dict[str, float]]:
    """A claim's difference by layer (that of the claim first) and kind of `WAYS`, in the first common seed."""
    a, b = runs_of(results, claim.first), runs_of(results, claim.second)
    found: dict[tuple[str, str], dict[str, float]] = {}
    for seed in sorted(a.keys() & b.keys())[:1]:
        layers = [n for n in a[seed].found["layers"] if n in b[seed].found["layers"]]
        for layer in sorted(layers, key=lambda n: n != a[seed].found["layer"]):
            for kind in WAYS:
                tests = compare({seed: a[seed]}, {seed: b[seed]}, claim.zones, layer, kind)
                if seed in tests:
                    found[layer, kind] = tests[seed]
    return found


def choices(results: Path | str, claim: Claim) -> pd.DataFrame:
    """`chosen_otherwise` as a table: a line for each layer, a column for each kind."""
    lines: dict[str, dict[str, str]] = {}
    for (layer, kind), test in chosen_otherwise(results, claim).items():
        lines.setdefault(layer, {"map of": layer})[WAYS[kind]] = points(test)
    return pd.DataFrame(list(lines.values()))


def overview(results: Path | str, identifiers: Sequence[str]) -> pd.DataFrame:
    """Shares of Grad-CAM in each zone with 95 % intervals, one line for each run; the first line is an even map."""
    lines: list[dict[str, Any]] = []
    zones = (*FACE, "middle")
    for identifier, runs in measured(results, identifiers).items():
        for seed, run in runs.items():
            layer = run.found["layer"]
            one = run.found["summary"]["layers"][layer]["share"]
            line = {
                "network": title(identifier, seed, run),
                "layer": layer,
                "images": len(run.found["images"]["ids"]),
                "all-zero": run.found["layers"][layer]["zero"],
            }
            if not lines:
                even = {"network": "an even map", "layer": "–", "images": "–", "all-zero": "–"}
                lines.append(even | {zone: percent(run.found["areas"][zone]) for zone in zones})
            for zone in zones:
                e = one[zone]
                line[zone] = (
                    "–"
                    if e["mean"] is None
                    else f"{percent(e['mean'])} [{percent(e['low'])}, {percent(e['high'])}]"
                )
            lines.append(line)
    return pd.DataFrame(lines)


def placing(results: Path | str, identifiers: Sequence[str]) -> pd.DataFrame:
    """How far cells look from where an even spread has them, and what that does to the shares (first seed)."""
    lines = []
    for identifier, runs in measured(results, identifiers).items():
        run = runs[min(runs)]
        one = run.found["layers"][run.found["layer"]]
        usual = measures.even((one["grid"][0], one["grid"][1]), get(identifier).size)
        off = [measures_file.array(one[k]) - u for k, u in zip(("rows", "columns"), usual, strict=True)]
        moved = {z: np.nanmean(run.values([z])) - np.nanmean(run.values([z], kind="even")) for z in FACE}
        worst = max(moved, key=lambda zone: abs(moved[zone]))
        lines.append(
            {
                "network": identifier,
                "layer": run.found["layer"],
                "cells": "×".join(map(str, one["grid"])),
                "all, mean (px)": f"{np.mean([o.mean() for o in off]):+.1f}",
                "first (px)": f"{np.mean([o[0] for o in off]):+.1f}",
                "last (px)": f"{np.mean([o[-1] for o in off]):+.1f}",
                "share that moves most (points)": f"{worst} {100 * moved[worst]:+.1f}",
            }
        )
    return pd.DataFrame(lines)


def removal_tests(results: Path | str, identifiers: Sequence[str]) -> dict[str, dict[str, dict[str, float]]]:
    """By run and ``deletion`` or ``insertion``: area with Grad-CAM minus area with a random map, paired."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for identifier, runs in measured(results, identifiers).items():
        for seed, run in runs.items():
            removed = run.found["removal"]
            who = None if run.people is None else run.people[removed["sample"]]
            for kind in ("deletion", "insertion"):
                by_map, by_chance = (measures_file.array(removed[kind][k]) for k in ("map", "random"))
                means = {"map": float(np.nanmean(by_map)), "random": float(np.nanmean(by_chance))}
                test = means | measures.paired(by_chance, by_map, who)
                found.setdefault(title(identifier, seed, run), {})[kind] = test
    return found


def removal(results: Path | str, identifiers: Sequence[str]) -> pd.DataFrame:
    """`removal_tests` as a table."""
    lines = []
    for run, tests in removal_tests(results, identifiers).items():
        line: dict[str, Any] = {"network": run, "images": int(tests["deletion"]["n"])}
        for kind, t in tests.items():
            line[f"{kind}: map, random"] = f"{t['map']:.2f}, {t['random']:.2f}"
            line[f"{kind}: difference"] = f"{t['mean']:+.2f} [{t['low']:+.2f}, {t['high']:+.2f}]"
        lines.append(line)
    return pd.DataFrame(lines)
