"""Tables of the measures: shares in the zones, where cells look, removed pixels, randomised weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ferlib import measures, measures_file, records, wording
from ferlib.chapters import REDUCED, bounds
from ferlib.errors import FerlibError
from ferlib.experiments import get
from ferlib.measures_claims import FACE

SHOWN = (*FACE, "middle")
SHARE, HIT = "share in the known regions (%)", "maximum inside (%)"
SEEDS = 3  # of fewer the values are told one by one: an interval would rest on one degree of freedom

# what the layers are that maps are shown of, by model and name without its number
STAGES = {
    "amdcnn": {"dfem": "{} deep module (DFEM)"},
    "a_mobilenet": {"block": "{} depthwise separable convolution"},
    "mobilenet_v1": {"block": "{} depthwise separable convolution"},
    "gcca_vgg": {
        "block": "{} stage of VGG16, behind its GCCA where there is one",
        "fused": "outputs of the last four stages, fused",
    },
    "se_cnn": {"block": "{} block"},
    "msca_resnet": {"unit": "{} residual unit"},
}
ORDINALS = ("first", "second", "third", "fourth", "fifth")


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

    def alike(self, other: Run) -> bool:
        """Whether both were measured on the same images and the same sample of them."""
        mine, theirs = self.found, other.found
        same = mine["images"]["ids"] == theirs["images"]["ids"]
        return bool(same and mine["removal"]["sample"] == theirs["removal"]["sample"])

    def sampled(self) -> np.ndarray | None:
        """Who is shown in the images whose pixels are removed and whose networks are randomised."""
        return None if self.people is None else self.people[self.found["removal"]["sample"]]


def runs_of(results: Path | str, identifier: str) -> dict[int, Run]:
    """The measured runs of one experiment by seed; files that are damaged or of an older record are left out.

    What they hold is shared with the next call and must not be changed.
    """
    folder = Path(results) / identifier
    files = []
    for path in sorted(folder.glob("*seed*.json")):
        with contextlib.suppress(OSError):  # removed in between
            found = path.stat()
            files.append((path.name, found.st_mtime_ns, found.st_size, found.st_ino))
    return dict(_runs_of(folder, tuple(files)))


@lru_cache(maxsize=64)  # a page reads them for each of its tables; files that changed are read again
def _runs_of(folder: Path, _files: tuple[tuple[str, int, int, int], ...]) -> dict[int, Run]:
    found, _ = measures_file.read_all(folder.parent, folder.name)
    paths = {one["seed"]: records.path_of(folder.parent, folder.name, one["seed"]) for one in found}
    return {
        one["seed"]: Run(one, records.read(paths[one["seed"]])["reproducible"]["profile"]) for one in found
    }


def measured(results: Path | str, identifiers: Iterable[str]) -> dict[str, dict[int, Run]]:
    """`runs_of` each experiment that has any."""
    found = {identifier: runs_of(results, identifier) for identifier in identifiers}
    return {identifier: runs for identifier, runs in found.items() if runs}


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
    for dataset, title in (("ckplus", "CK+48"), ("fer2013", "FER2013")):
        own = {k.partition("/")[2]: v for k, v in arrays.items() if k.startswith(f"{dataset}/")}
        if own:
            faces[f"{title}, all classes"] = np.mean(list(own.values()), axis=0)
            faces |= {f"{title}, {name}": own[name] for name in classes if name in own}
    return faces


def full_name(identifier: str) -> str:
    """The row's name in a table or figure of several papers' rows."""
    return wording.title(get(identifier))


def title(identifier: str, seed: int, run: Run) -> str:
    """A run in a table or figure of several papers' runs; a star where its record is reduced."""
    return f"{full_name(identifier)}, seed {seed}" + ("" if run.profile == "full" else REDUCED)


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


def points(test: Mapping[str, Any]) -> str:
    """A difference in points with its interval; of two seeds, where ``by_seed`` tells them, each seed's and none."""
    by_seed = test.get("by_seed", {})
    if 1 < len(by_seed) < SEEDS:
        return each_seed(by_seed)
    return f"{100 * test['mean']:+.1f} {bounds(100 * test['low'], 100 * test['high'])}"


def each_seed(by_seed: Mapping[int, float]) -> str:
    """The differences of the single seeds in points."""
    return "; ".join(f"{100 * difference:+.1f}" for difference in by_seed.values())


def whole(runs: Mapping[int, Run]) -> list[Run]:
    """The runs that were measured on the images of the first."""
    return [run for run in runs.values() if run.alike(runs[min(runs)])]


def lines_of(results: Path | str, identifiers: Iterable[str]) -> Iterator[tuple[str, list[Run]]]:
    """What a table has a line for: each run, and where an experiment has `SEEDS` or more, all of them together."""
    for identifier, runs in measured(results, identifiers).items():
        for seed, run in runs.items():
            yield title(identifier, seed, run), [run]
        if len(together := whole(runs)) >= SEEDS:
            star = "" if all(run.profile == "full" for run in together) else REDUCED
            yield f"{full_name(identifier)}, {len(together)} seeds{star}", together


def overview(results: Path | str, identifiers: Sequence[str]) -> pd.DataFrame:
    """Shares of Grad-CAM in each zone with 95 % intervals: the first line is an even map, the others are `lines_of`.

    Each in the layer that its network is shown by; `layers` says more of these.
    """
    lines: list[dict[str, Any]] = []
    for text, runs in lines_of(results, identifiers):
        found = runs[0].found
        if not lines:
            even = {zone: percent(found["areas"][zone]) for zone in SHOWN}
            lines.append({"network": "an even map", "layer": "–", "images": "–", **even})
        n = len(found["images"]["ids"])
        line: dict[str, Any] = {
            "network": text,
            "layer": found["layer"],
            "images": str(n) if len(runs) == 1 else f"{len(runs)} × {n}",
        }
        for zone in SHOWN:
            values = [run.values([zone]) for run in runs]
            line[zone] = (
                "–"
                if np.isnan(values).all(1).any()
                else interval(measures.over_seeds(values, runs[0].people))
            )
        lines.append(line)
    return pd.DataFrame(lines).rename(columns={zone: f"{zone} (%)" for zone in SHOWN})


def layers(results: Path | str, identifiers: Sequence[str], more: Iterable[str] = ()) -> pd.DataFrame:
    """What the layer is that each network is shown by, and each of ``more`` that a network has: a line for each.

    With its number of cells, and whether they lie where they were measured to look or, where those places are not in
    their order, evenly spread.
    """
    known: dict[tuple[str, str], tuple[list[str], list[str]]] = {}
    for identifier, runs in measured(results, identifiers).items():
        row, found = get(identifier), runs[min(runs)].found
        for layer in dict.fromkeys((found["layer"], *more)):
            if layer in found["layers"]:
                cells, placed = known.setdefault((row.model, layer), ([], []))
                grid = found["layers"][layer]["grid"]
                cells.append("×".join(map(str, grid)))
                placed.append("evenly spread" if evenly(found["layers"][layer], row.size) else "measured")
    return pd.DataFrame(
        [
            {
                "network": wording.MODELS[model],
                "layer": layer,
                "what it is": stage(model, layer),
                "cells": " or ".join(dict.fromkeys(cells)),
                "places of the cells": " or ".join(dict.fromkeys(placed)),
            }
            for (model, layer), (cells, placed) in known.items()
        ]
    )


def stage(model: str, layer: str) -> str:
    """A layer in words: ``dfem3`` of AMDCNN is its third deep module; a dash where `STAGES` has none."""
    name = layer.rstrip("0123456789")
    number = layer.removeprefix(name)
    which = ORDINALS[int(number) - 1] if number and int(number) <= len(ORDINALS) else f"{number}th"
    return STAGES.get(model, {}).get(name, "–").format(which)


def evenly(one: Mapping[str, Any], size: int) -> bool:
    """Whether the cells of a layer of a measured run stand evenly spread over an image of ``size`` pixels."""
    usual = measures.even((one["grid"][0], one["grid"][1]), size)
    return all(
        np.allclose(measures_file.array(one[k]), u) for k, u in zip(("rows", "columns"), usual, strict=True)
    )


def interval(one: Mapping[str, float]) -> str:
    """A mean with its bounds, in percent."""
    return f"{percent(one['mean'])} [{percent(one['low'])}, {percent(one['high'])}]"


def known(found: Mapping[str, Sequence[Mapping[str, Any]]], area: np.ndarray) -> pd.DataFrame:
    """Shares in the known regions of drawn faces, which have the ``area`` (N,): a line for each network and layer.

    The first line is an even map; of two seeds each has its share and there is no interval. ``found``: by network, for
    each seed the first of what `measures_run.located` returns, with the mask ``own``.
    """
    even = {"network": "an even map", "seeds": "–", "layer": "–"}
    lines: list[dict[str, Any]] = [even | {SHARE: percent(area.mean()), HIT: "–", "maps all zero": "–"}]
    for network, seeds in found.items():
        for layer in seeds[0]:
            share, hit = (
                np.stack([measures_file.array(one[layer][kind]["own"]) for one in seeds])
                for kind in ("share", "hit")
            )
            lines.append(
                {
                    "network": network,
                    "seeds": len(seeds),
                    "layer": layer,
                    SHARE: "; ".join(percent(float(np.nanmean(one))) for one in share)
                    if 1 < len(share) < SEEDS
                    else interval(measures.over_seeds(list(share))),
                    HIT: f"{100 * np.nanmean(hit):.0f}",
                    "maps all zero": sum(one[layer]["zero"] for one in seeds),
                }
            )
    frame = pd.DataFrame(lines)
    return frame.drop(columns="seeds") if set(frame["seeds"][1:]) == {1} else frame


def placing(results: Path | str, identifiers: Sequence[str]) -> pd.DataFrame:
    """How far cells look from where an even spread has them, and what that does to the shares (first seed)."""
    lines = []
    for identifier, runs in measured(results, identifiers).items():
        run = runs[min(runs)]
        one = run.found["layers"][run.found["layer"]]
        usual = measures.even((one["grid"][0], one["grid"][1]), get(identifier).size)
        off = [measures_file.array(one[k]) - u for k, u in zip(("rows", "columns"), usual, strict=True)]
        moved = {z: np.nanmean(run.values([z])) - np.nanmean(run.values([z], kind="even")) for z in SHOWN}
        worst = max(moved, key=lambda zone: abs(moved[zone]))
        lines.append(
            {
                "network": full_name(identifier),
                "layer": run.found["layer"],
                "cells": "×".join(map(str, one["grid"])),
                "all, mean (px)": f"{np.mean([o.mean() for o in off]):+.1f}",
                "first (px)": f"{np.mean([o[0] for o in off]):+.1f}",
                "last (px)": f"{np.mean([o[-1] for o in off]):+.1f}",
                "share that moves most (points)": f"{worst} {100 * moved[worst]:+.1f}"
                if round(100 * moved[worst], 1)
                else "–",
            }
        )
    return pd.DataFrame(lines)


def removal_tests(results: Path | str, identifiers: Sequence[str]) -> dict[str, dict[str, dict[str, float]]]:
    """By `lines_of` and ``deletion`` or ``insertion``: area with Grad-CAM minus area with a random map, paired."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for text, runs in lines_of(results, identifiers):
        for kind in ("deletion", "insertion"):
            by_map, by_chance = (
                np.stack([measures_file.array(run.found["removal"][kind][k]) for run in runs])
                for k in ("map", "random")
            )
            means = {"map": float(np.nanmean(by_map)), "random": float(np.nanmean(by_chance))}
            test = means | {"seeds": len(runs)} | measures.paired(by_chance, by_map, runs[0].sampled())
            found.setdefault(text, {})[kind] = test
    return found


def removal(results: Path | str, identifiers: Sequence[str]) -> pd.DataFrame:
    """`removal_tests` as a table."""
    lines = []
    for text, tests in removal_tests(results, identifiers).items():
        line: dict[str, Any] = {"network": text, "images": int(tests["deletion"]["n"])}
        for kind, t in tests.items():
            line[f"{kind}: map, random"] = f"{t['map']:.2f}, {t['random']:.2f}"
            line[f"{kind}: difference"] = f"{t['mean']:+.2f} {bounds(t['low'], t['high'], 2)}"
        lines.append(line)
    return pd.DataFrame(lines)


def rounded(frame: pd.DataFrame) -> pd.DataFrame:
    """`randomised` as it is shown."""
    shown = frame.copy()
    for column in ("correlation then", "all random", "other images"):
        shown[column] = [f"{value:.2f}" for value in frame[column]]
    shown["all random"] = [
        f"{mean} {bounds(low, high, 2, sign='')}"
        for mean, (low, high) in zip(shown["all random"], frame["interval"], strict=True)
    ]
    return shown.drop(columns=["interval", "seeds"])


def randomised(results: Path | str, identifiers: Sequence[str]) -> pd.DataFrame:
    """What is left of the map when the network's parts are made random: a line for each of `lines_of`.

    ``all random`` and ``other images`` are mean rank correlations, as numbers; ``interval`` is that of the former.
    ``seeds`` counts the runs behind a line.
    """
    lines = []
    for text, runs in lines_of(results, identifiers):
        parts = {
            name: [measures_file.array(run.found["randomised"]["parts"][name]) for run in runs]
            for name in runs[0].found["randomised"]["order"]
        }
        known = [name for name, values in parts.items() if not np.isnan(values).all(1).any()]
        moved = next((name for name in known if np.nanmean(parts[name]) < 0.999), known[-1])
        last = measures.over_seeds(parts[known[-1]], runs[0].sampled())
        others = np.stack([measures_file.array(run.found["randomised"]["others"]) for run in runs])
        zero = max(max(run.found["randomised"]["zero"].values()) for run in runs)
        lines.append(
            {
                "network": text,
                "seeds": len(runs),
                "first part that changes the map": moved,
                "correlation then": float(np.nanmean(parts[moved])),
                "all random": last["mean"],
                "interval": (last["low"], last["high"]),
                "other images": float(np.nanmean(others)),
                "maps all zero, at most": f"{zero} of {others.shape[1]}",
            }
        )
    return pd.DataFrame(lines)
