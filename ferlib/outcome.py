"""From a finished run to its record: profile, metrics, predictions, facts of the run."""

from __future__ import annotations

import importlib
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ferlib.data import ckplus, ckplus_original
from ferlib.data.dataset import FaceDataset
from ferlib.evaluate import metrics
from ferlib.experiments.row import Experiment, settings_of


def score(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Mean cross-entropy and accuracy of logits (N, classes) against labels (N,)."""
    loss = F.cross_entropy(torch.from_numpy(logits).double(), torch.from_numpy(labels))
    return float(loss), float(np.mean(logits.argmax(1) == labels))


def profile_of(
    row: Experiment,
    original: Experiment,
    data_name: str,
    epochs_run: int,
    stopped: str,
    also: Sequence[str] = (),
) -> tuple[str, list[str]]:
    """``full``, ``reduced`` or ``smoke``, and what was changed against the row (``also``: what the caller knows)."""
    changed = [] if data_name == original.dataset else [f"dataset: {data_name} instead of {original.dataset}"]
    changed += list(also)
    if fewer := row.dataset_options.get("train_images"):
        changed.append(f"training images: {fewer} of the training part")
        original = replace(original, dataset_options={**original.dataset_options, "train_images": fewer})
    notes = ("id", "paper", "table", "row", "column", "dataset")
    changed += [
        f"{name}: {getattr(row, name)} instead of {getattr(original, name)}"
        for name in settings_of({f: 1 for f in row.__dataclass_fields__})
        if name not in notes and getattr(row, name) != getattr(original, name)
    ]
    if stopped.startswith("capped"):
        changed.append(f"epochs: {epochs_run} of {original.epochs}")
    if not changed:
        return "full", []
    # reduced: the row's own data, and at least a third of its epochs or its own early stop
    enough = data_name == original.dataset and (
        stopped == "early stopping" or 3 * epochs_run >= original.epochs
    )
    return ("reduced" if enough else "smoke"), changed


def reading_result(
    best: Mapping[str, Any], labels: Mapping[str, np.ndarray], classes: tuple[str, ...], name: str
) -> dict[str, Any]:
    """Metrics and loss of one reading: over test images, for ``merged`` over validation and test images."""
    parts = ("val", "test") if name == "merged" else ("test",)
    logits = np.concatenate([best[p] for p in parts])
    truth = np.concatenate([labels[p] for p in parts])
    return {
        "epoch": best["epoch"],
        "loss": score(logits, truth)[0],
        **metrics(logits.argmax(1), truth, classes),
    }


def results_of(
    kept: Mapping[str, Mapping[str, Any]],
    labels: Mapping[str, np.ndarray],
    seen: np.ndarray,
    classes: tuple[str, ...],
) -> dict[str, dict[str, Any]]:
    """Metrics of each reading; for those over test images also without the ones that training holds too."""
    result = {name: reading_result(best, labels, classes, name) for name, best in kept.items()}
    for name in ("val_selected", "paper_style"):
        fresh = kept[name]["test"][~seen].argmax(1) == labels["test"][~seen]
        result[name]["unseen"] = {"n": len(fresh), "accuracy": float(fresh.mean()) if len(fresh) else None}
    return result


def predictions(
    kept: Mapping[str, Mapping[str, Any]],
    labels: Mapping[str, np.ndarray],
    ids: Mapping[str, np.ndarray],
    seen: np.ndarray,
) -> dict[str, np.ndarray]:
    """What is kept beside a record: logits of each reading, labels, ids, and which test images training holds."""
    arrays = {f"{name}_{part}_logits": kept[name][part] for name in kept for part in ("val", "test")}
    for part in ("val", "test"):
        arrays[f"{part}_labels"] = labels[part].astype(np.int8)
        arrays[f"{part}_ids"] = np.asarray(ids[part])
    return arrays | {"test_seen_in_training": seen}


def unpublished_counts(data: FaceDataset) -> list[str]:
    """What differs from the published counts per split and class, where the dataset has an official split."""
    if "train_images" in data.meta:  # told apart, by `profile_of`
        return []
    told = ["data: counts differ from the published ones"]
    if (
        data.name == "ckplus"
    ):  # three frames of every sequence, whatever the split and the copies in other states
        kept = data.extras["state"] == "none+00" if "state" in data.extras else np.ones(len(data), bool)
        wrong = [
            name
            for label, name in enumerate(data.classes)
            if (n := ckplus.SEQUENCES.get(name))
            and np.sum(data.labels[kept] == label) != ckplus_original.FRAMES * n
        ]
        peaks = [np.sum(data.labels[kept] == label) for label in range(len(data.classes))]
        alone = [n == ckplus.SEQUENCES.get(name, n) for name, n in zip(data.classes, peaks, strict=True)]
        return (
            (["data: one frame of each sequence, not the last three"] if all(alone) else told)
            if wrong
            else []
        )
    if data.name not in ("fer2013", "ferplus", "rafdb"):
        return []
    expected = importlib.import_module(f"ferlib.data.{data.name}").published(data)
    found = data.counts()
    if expected and "val" not in expected and "val" in found:  # our validation part was cut from train
        val = found.pop("val")
        found["train"] = {c: n + val[c] for c, n in found["train"].items()}
    return told if expected and found != expected else []


def commit() -> dict[str, Any]:
    """The library's source commit and whether its files differ from it.

    Outside a checkout what ``FERLIB_COMMIT`` and ``FERLIB_MODIFIED`` (how many files differ) say of the one that the
    image of a container was made of; None where they say nothing.
    """
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=here, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "modified": bool(git("status", "--porcelain", "--", "."))}
    except (OSError, subprocess.CalledProcessError):
        told = os.environ.get("FERLIB_COMMIT", "").strip() or None
        differing = os.environ.get("FERLIB_MODIFIED", "").strip()
        return {"commit": told, "modified": differing != "0" if told and differing else None}


def run_facts(
    seconds: Sequence[float],
    images: int,
    interruptions: int,
    trained_by: Sequence[Mapping[str, Any]],
    device: torch.device,
) -> dict[str, Any]:
    """What may differ between two runs of one seed: times, throughput, memory, source.

    ``images`` is the number of training images of all epochs. ``trained_by`` lists commit and environment of
    each process that trained a part; ``commit`` and ``modified`` are those of the code that wrote the record.
    """
    wall = sum(seconds)
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device)
    else:  # of the whole process; kilobytes on Linux, bytes on macOS
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "seconds_per_epoch": [round(s, 2) for s in seconds],
        "wall_seconds": round(wall, 1),
        "images_per_second": round(images / wall, 1) if wall else None,
        "peak_memory_bytes": int(peak),
        "interruptions": interruptions,
        "trained_by": [dict(one) for one in trained_by],
        "finished": time.strftime("%Y-%m-%d"),
        **commit(),
    }
