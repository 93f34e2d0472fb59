"""Expected time of a run: images of its dataset x epochs x cost of an image / measured rate.

Rates come from what the repository holds: records of finished runs, snapshots of ``ferlib bench``. A run that
stops early takes less: every figure is an upper bound in epochs. Starting up, checkpoints and pauses are left out.
"""

from __future__ import annotations

import inspect
import json
import math
import os
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ferlib.data import ckplus, ckplus_original, fer2013, ferplus, rafdb
from ferlib.experiments import Experiment, quick
from ferlib.models import class_of
from ferlib.records import read
from ferlib.snapshots import load_snapshots

PASSES = 3  # a training image costs about three forward passes: forward, gradients of inputs and of weights
HELD_UP = 10  # times the median epoch of its run, from which an epoch was not just slow

Counts = dict[str, np.ndarray]  # images per class, by split

# FERPlus under the rules that its authors print no counts for, by our loader, in the order of its classes
FERPLUS = {
    "argmax": {
        "train": (10309, 7528, 3562, 3515, 2467, 191, 652, 165),
        "val": (1335, 899, 456, 412, 319, 34, 74, 24),
        "test": (1262, 928, 444, 444, 325, 23, 93, 27),
    },
    "distribution": {
        "train": (10122, 7503, 3524, 3430, 2407, 169, 641, 160),
        "val": (1317, 897, 450, 401, 314, 31, 72, 23),
        "test": (1251, 925, 435, 435, 320, 22, 92, 25),
    },
}


# ---- images -------------------------------------------------------------------------------------------------


def published(counts: Mapping[str, Mapping[str, int]]) -> Counts:
    return {split: np.array(list(each.values()), float) for split, each in counts.items()}


def cut(counts: Counts, fraction: float, source: str, target: str) -> Counts:
    """A stratified ``fraction`` of ``source`` (rounded up, as scikit-learn does) made ``target``."""
    total = counts[source].sum()
    part = counts[source] * math.ceil(fraction * total) / total
    return {**counts, source: counts[source] - part, target: part}


def fer2013_counts(protocol: str = "official", split_seed: int = 0) -> Counts:
    counts = published(fer2013.PUBLISHED)
    if protocol == "official":
        return counts
    merged = {"train": counts["train"], "test": counts["val"] + counts["test"]}
    return cut(merged, 0.1, "train", "val")


def ferplus_counts(rule: str = "majority", classes: int = 8) -> Counts:
    if rule == "majority":
        counts = published(ferplus.PUBLISHED)
    else:
        counts = {split: np.array(each, float) for split, each in FERPLUS[rule].items()}
    return {split: each[:classes] for split, each in counts.items()}


def rafdb_counts(split_seed: int = 0) -> Counts:
    return cut(published(rafdb.PUBLISHED), 0.1, "train", "val")


def ckplus_counts(
    protocol: str = "frames",
    test_fraction: float = 0.2,
    folds: int = 5,
    fold: int = 0,
    split_seed: int = 0,
    neutral: bool = False,
    contempt: bool = True,
    expansion: str | None = None,
) -> Counts:
    """CK+48, with ``neutral`` the original distribution; folds by subject are taken as equally large."""
    frames = [ckplus_original.FRAMES * n for c, n in ckplus.SEQUENCES.items() if contempt or c != "contempt"]
    if neutral:
        frames.append(ckplus.NEUTRAL["original"])
    states = len(ckplus.FLIPS) * len(ckplus.ANGLES)
    whole = np.array(frames, float) * (states if expansion == "before" else 1)
    held = {"frames": test_fraction, "subjects": 1 / folds}[protocol]
    parts = cut(cut({"train": whole}, held, "train", "test"), 0.1, "train", "val")
    return {split: n * (states if expansion == "after" else 1) for split, n in parts.items()}


def synthetic_counts(n: int = 3000, seed: int = 0, size: int = 48, difficulty: float = 1.0) -> Counts:
    """Of ten people eight are train, one val, one test."""
    return {
        split: np.full(7, share * n / 7) for split, share in (("train", 0.8), ("val", 0.1), ("test", 0.1))
    }


COUNTS: dict[str, Callable[..., Counts]] = {
    "fer2013": fer2013_counts,
    "ferplus": ferplus_counts,
    "rafdb": rafdb_counts,
    "ckplus": ckplus_counts,
    "synthetic": synthetic_counts,
}


def images(row: Experiment) -> dict[str, int] | None:
    """Images per split, ``train`` with the copies that the row's ``balance`` adds; None where that is not known.

    Counts are the published ones (sources: `ferlib.data`), so that nothing has to be on disk.
    """
    options = dict(row.dataset_options)
    subset, fewer = options.pop("subset", None), options.pop("train_images", None)
    try:
        counts = COUNTS[row.dataset](**options)
    except (KeyError, TypeError):
        return None
    total = sum(each.sum() for each in counts.values())
    if subset is not None and subset < total:  # as ferlib.pixels.load_data draws it
        share = {"train": 2 / 3, "val": 1 / 6, "test": 1 / 6}
        counts = {s: each * min(1.0, subset * share[s] / each.sum()) for s, each in counts.items()}
    if fewer is not None:
        counts["train"] = counts["train"] * min(1.0, fewer / counts["train"].sum())
    goal = row.balance.get("expand_to")
    if goal is not None:
        most = counts["train"].max() if goal == "max" else float(goal)
        counts["train"] = np.where(counts["train"] > 0, np.maximum(counts["train"], most), 0)
    return {split: round(float(each.sum())) for split, each in counts.items()}


# ---- cost of an image ---------------------------------------------------------------------------------------


def channels_of(row: Experiment) -> int:
    return int(row.preprocess.get("channels", 3 if row.dataset == "rafdb" else 1))


def multiply_adds(model: str, variant: Mapping[str, Any], channels: int, size: int, classes: int = 7) -> int:
    """Multiply-adds of one image's forward pass, counted without allocating the weights. Cached."""
    network = {k: v for k, v in variant.items() if k != "pretrained"}  # nothing to download for a count
    return _multiply_adds(model, json.dumps(network, sort_keys=True), channels, size, classes)


@cache
def _multiply_adds(model: str, variant: str, channels: int, size: int, classes: int) -> int:
    import torch

    from ferlib.models import build, count_multiply_adds

    for device in ("meta", "cpu"):
        try:
            with torch.device(device), torch.random.fork_rng(devices=[]):
                net = build(model, classes=classes, channels=channels, size=size, **json.loads(variant))
            return count_multiply_adds(net, channels=channels, size=size)
        except RuntimeError:  # a model that asks where its input lives: count it with real weights
            if device == "cpu":
                raise
    raise AssertionError


# ---- rates --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rate:
    """Measured images per second of a model (in training, in inference) on a device.

    ``experiment`` is the id of the row that a record is of, None for a snapshot. ``model`` is None for what a
    model gets on the whole: then an image is one multiply-add.
    """

    model: str | None
    train: float
    infer: float
    kind: str
    device: str
    threads: int
    source: str
    variant: Mapping[str, Any] = field(default_factory=dict)
    channels: int = 1
    size: int = 48
    classes: int = 7
    experiment: str | None = None

    def scale_to(self, row: Experiment) -> float:
        """Multiply-adds of the row's model over those of the measured one."""
        ours = multiply_adds(row.model, row.variant, channels_of(row), row.size)
        if self.model is None:
            return float(ours)
        return ours / multiply_adds(self.model, self.variant, self.channels, self.size, self.classes)

    def same_network(self, row: Experiment) -> bool:
        """Whether the row's own network was measured, so that nothing need be counted."""
        if (self.model, self.channels, self.size) != (row.model, channels_of(row), row.size):
            return False
        usual = defaults(row.model)
        return usual | dict(self.variant) == usual | dict(row.variant)


@cache
def defaults(model: str) -> dict[str, Any]:
    """What a model of this name takes where its variant is silent."""
    parameters = inspect.signature(class_of(model)).parameters.values()
    return {
        p.name: p.default
        for p in parameters
        if p.default is not p.empty and p.name not in ("channels", "size")
    }


def record_rate(record: Mapping[str, Any], source: str) -> Rate | None:
    """From a record: its seconds are spread over 3 passes per training image and 1 per evaluated image."""
    part, run = record["reproducible"], record["run"]
    row, where, epochs = part["experiment"], part["environment"], part["epochs_run"]
    if not run.get("images_per_second") or not epochs or where.get("threads") is None:
        return None
    counts = {split: sum(each.values()) for split, each in part["data"]["counts"].items()}
    trained = run["images_per_second"] * run["wall_seconds"] / epochs  # of an epoch, with added copies
    passes = PASSES * trained + counts.get("val", 0) + counts.get("test", 0)
    forward = passes * epochs / run["wall_seconds"]
    return Rate(
        model=row["model"],
        train=forward / PASSES,
        infer=forward,
        kind=where["kind"],
        device=where["device"],
        threads=where["threads"],
        source=source,
        variant=row["variant"],
        channels=row.get("preprocess", {}).get("channels", 3 if row["dataset"] == "rafdb" else 1),
        size=row["size"],
        classes=len(part["data"]["classes"]),
        experiment=row["id"],
    )


def snapshot_rates(snapshot: Mapping[str, Any]) -> Iterator[Rate]:
    """From a snapshot: each model that it measured, and the median over them in multiply-adds per second."""
    machine = snapshot["machine"]
    where = {key: machine[key] for key in ("kind", "device", "threads")}
    rows = {(row["name"], row["task"]): row for row in snapshot["models"]}
    for (name, task), row in rows.items():
        if task == "train":
            speed = row["images_per_second"]
            infer = rows.get((name, "infer"), {}).get("images_per_second", PASSES * speed)
            network = {key: row[key] for key in ("model", "variant", "channels", "size")}
            source = f"bench of {name} on {machine['device']}"
            yield Rate(train=speed, infer=infer, source=source, **where, **network)
    work = {
        task: statistics.median(found) / 2
        for task in ("train", "infer")
        if (found := [row["flops"] for (_, t), row in rows.items() if t == task])
    }
    if "train" in work:
        source = f"bench on {machine['device']}, median over models"
        infer = work.get("infer", work["train"])
        yield Rate(model=None, train=work["train"] / PASSES, infer=infer, source=source, size=0, **where)


@lru_cache(maxsize=8)
def rates(results: Path | None = None) -> tuple[Rate, ...]:
    """Every rate that the records and snapshots under ``results`` give (default: those of the repository)."""
    folder = results or Path(__file__).resolve().parents[1] / "results"
    found = []
    for path in sorted(folder.glob("*/seed*.json")):
        rate = record_rate(read(path), f"record {path.parent.name} {path.stem}")
        if rate:
            found.append(rate)
    for snapshot in load_snapshots(folder):
        found += snapshot_rates(snapshot)
    return tuple(found)


def here(device: str, threads: int) -> tuple[str, str | None, int]:
    """Kind, name and threads of the device of this machine; the name is None where it has no such device."""
    import torch

    from ferlib.device import cpu_name

    cuda = torch.cuda.is_available()
    kind = ("cuda" if cuda else "cpu") if device == "auto" else device.split(":")[0]
    if kind == "cpu":
        return kind, cpu_name(), threads or torch.get_num_threads()
    return (
        kind,
        torch.cuda.get_device_name() if kind == "cuda" and cuda else None,
        threads or os.cpu_count() or 1,
    )


def nearest(
    row: Experiment, candidates: Iterable[Rate], kind: str, name: str | None, threads: int
) -> Rate | None:
    """The rate that is likest: same device, threads (CPU), network, a snapshot rather than a run, the input size.

    None where nothing was measured on this kind of device. Another model counts only as part of the median. Neither
    a snapshot nor a run need have had its machine to itself: `ferlib.snapshots.busy` tells of the one, no record of
    the other. Of equals the first counts.
    """

    def distance(rate: Rate) -> tuple[float, ...]:
        apart = abs(math.log2(max(rate.threads, 1) / threads)) if kind == "cpu" else 0.0
        return (
            rate.model is None,
            rate.device != name,
            apart,
            not rate.same_network(row),
            rate.experiment is not None,  # a run counts its pauses, a snapshot is the median of short blocks
            rate.experiment != row.id,
            abs(math.log2(max(rate.size, 1) / row.size)),
        )

    usable = [r for r in candidates if r.kind == kind and r.model in (row.model, None)]
    return min(usable, key=distance, default=None)


# ---- seconds ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Estimate:
    """Expected wall seconds of one run, the measurement that they rest on, and its number of threads."""

    seconds: float
    source: str
    threads: int


def estimate(
    row: Experiment,
    *,
    device: str = "cpu",
    threads: int = 0,
    profile: str = "full",
    results: Path | None = None,
    from_records: bool = True,
) -> Estimate | None:
    """Expected time of one seed of ``row`` on this kind of device; None where nothing is known.

    Each epoch trains on the training part and evaluates validation and test; the end evaluates the training
    part once more. All the row's epochs are counted: with early stopping this is an upper bound.
    ``profile='quick'`` is the run of `ferlib.experiments.quick`. ``from_records=False`` uses snapshots only,
    which is how the model is checked against records.
    """
    row = quick(row) if profile == "quick" else row
    sizes = images(row)
    known = [rate for rate in rates(results) if from_records or rate.experiment is None]
    rate = nearest(row, known, *here(device, threads)) if sizes else None
    if sizes is None or rate is None:
        return None
    scale = 1.0 if rate.same_network(row) else rate.scale_to(row)
    train, infer = rate.train / scale, rate.infer / scale
    epoch = sizes["train"] / train + (sizes.get("val", 0) + sizes["test"]) / infer
    return Estimate(row.epochs * epoch + sizes["train"] / infer, rate.source, rate.threads)


def held_up(seconds_per_epoch: Sequence[float]) -> tuple[int, float]:
    """How many epochs took more than `HELD_UP` times the run's median epoch, and their seconds beyond that median."""
    usual = statistics.median(seconds_per_epoch)
    beyond = [each - usual for each in seconds_per_epoch if each > HELD_UP * usual]
    return len(beyond), math.fsum(beyond)


def seconds(row: Experiment, *, device: str = "cpu", profile: str = "full", **options: Any) -> float | None:
    """Expected wall seconds of one seed of ``row``; see `estimate`."""
    found = estimate(row, device=device, profile=profile, **options)
    return found.seconds if found else None


def table(
    rows: Iterable[Experiment], *, device: str = "cpu", profile: str = "full", **options: Any
) -> dict[str, Any]:
    """Seconds per seed and over all seeds of each row, their sum over the known rows, ids of the unknown ones."""
    lines = []
    for row in rows:
        found = estimate(row, device=device, profile=profile, **options)
        each = found.seconds if found else None
        lines.append(
            {
                "id": row.id,
                "paper": row.paper,
                "seeds": len(row.seeds),
                "seconds_per_seed": each,
                "seconds": None if each is None else each * len(row.seeds),
                "source": found.source if found else None,
            }
        )
    return {
        "rows": lines,
        "runs": sum(line["seeds"] for line in lines),
        "seconds": sum(line["seconds"] or 0.0 for line in lines),
        "unknown": [line["id"] for line in lines if line["seconds"] is None],
    }


def human(value: float | None) -> str:
    """``45 s``, ``3 min``, ``2 h 5 min``, ``3 d 4 h``; ``unknown`` for None."""
    if value is None:
        return "unknown"
    if value < 59.5:
        return f"{value:.0f} s"
    minutes = round(value / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"
    hours = round(value / 3600)
    return f"{hours // 24} d {hours % 24} h" if hours % 24 else f"{hours // 24} d"
