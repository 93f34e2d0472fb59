"""A finished run brought back: its record, its data, and its network with weights that are those of the record."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import nn

from ferlib import checkpoint, records
from ferlib.data.dataset import FaceDataset
from ferlib.device import resolve_precision
from ferlib.engine import predict
from ferlib.errors import BadUsage, FerlibError
from ferlib.experiments import Experiment, Published, get
from ferlib.models import build, start
from ferlib.pixels import Pixels, load_data

TOLERANCE = 0.05  # see `compare`


@dataclass(frozen=True)
class Finished:
    """``difference``: how far the network's test predictions here are from the recorded ones (`compare`)."""

    record: dict[str, Any]
    row: Experiment
    data: FaceDataset
    model: nn.Module
    difference: float

    @property
    def seed(self) -> int:
        return int(self.record["reproducible"]["seed"])

    def pixels(self, part: str, device: torch.device) -> Pixels:
        """The images of ``part`` as the network takes them."""
        return Pixels(self.data, part, device, self.row.size, self.row.preprocess)

    def people(self, part: str) -> np.ndarray | None:
        """Who is shown in each image of ``part``, None where the dataset does not tell."""
        return None if self.data.subjects is None else self.data.subjects[self.data.where(part)]


def load(
    identifier: str,
    seed: int,
    results: Path,
    runs: Path,
    data_root: str | os.PathLike[str] | None,
    device: torch.device,
) -> Finished:
    """The run of one experiment and seed, its network on ``device`` in evaluation mode.

    Raises FerlibError where record, data or weights are missing, where the data are not the record's by their
    fingerprint, and where the weights are not: their test predictions must be the recorded ones (`compare`).
    """
    path = records.path_of(results, identifier, seed)
    record = records.read(path)
    part = record["reproducible"]
    row = row_of(part["experiment"])
    weights = checkpoint.folder_of(runs, identifier, seed) / "best.safetensors"
    if not weights.is_file():
        raise FerlibError(f"{weights}: no such weights; name another --runs, or run the experiment again")
    data = load_data(row, data_root)
    if data.fingerprint != part["data"]["fingerprint"]:
        raise FerlibError(f"{data.name}: not the data of {path}; see `ferlib data check`")
    test = Pixels(data, "test", device, row.size, row.preprocess)
    model = load_model(row, len(data.classes), test.channels, weights).to(device)
    model = model.to(memory_format=torch.channels_last)
    precision = resolve_precision(part["environment"]["precision"], device)
    logits = predict(model, test, precision, mirror=bool(row.recipe.get("mirror", False)))
    difference = compare(logits, records.read_predictions(path)["val_selected_test_logits"])
    if not difference <= TOLERANCE:
        raise FerlibError(
            f"{weights}: not the weights of {path}, predictions differ by {difference:.0%}; "
            "name another --runs, or run the experiment again"
        )
    return Finished(record, row, data, model, difference)


def chosen(options: argparse.Namespace, device: torch.device) -> Iterator[Finished]:
    """The runs that `ferlib.train.add_run_options` asks for, of all seeds with a record by default."""
    if min(options.seed or [0]) < 0:
        raise BadUsage("--seed must not be negative")
    for identifier in options.ids:
        found = records.load_all(options.results, identifier)
        seeds = options.seed or [one["reproducible"]["seed"] for one in found]
        if not seeds:
            get(identifier)  # an unknown id is told first
            raise FerlibError(f"{options.results / identifier}: no records; run the experiment first")
        for seed in seeds:
            yield load(identifier, seed, options.results, options.runs, options.data_root, device)


def row_of(facts: Mapping[str, Any]) -> Experiment:
    """The row that a record holds as JSON."""
    published = tuple(Published(**one) for one in facts["published"])
    tuples = {"seeds": tuple(facts["seeds"]), "deviations": tuple(facts["deviations"])}
    return Experiment(**{**facts, **tuples, "published": published})


def load_model(row: Experiment, classes: int, channels: int, weights: Path) -> nn.Module:
    """The row's network with the weights of a safetensors file; FerlibError where they do not fit."""
    with start.at_random():
        model = build(row.model, classes=classes, channels=channels, size=row.size, **row.variant)
    try:
        return checkpoint.load_weights(model, weights).eval()
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = str(error).partition("\n")[0].rstrip(": ")
        raise FerlibError(f"{weights}: cannot be loaded ({reason}); run the experiment again") from None


def compare(logits: np.ndarray, recorded: np.ndarray) -> float:
    """How far logits (N, classes) are from recorded ones: |difference| / |recorded| over all of them.

    Each row counts from its own mean, to which the softmax is blind. Zero on the machine of the record with as
    many threads; a few thousandths elsewhere in bfloat16.
    """
    found, expected = (
        z.astype(np.float64) - z.astype(np.float64).mean(axis=1, keepdims=True) for z in (logits, recorded)
    )
    if found.shape != expected.shape:
        return float("inf")
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))
