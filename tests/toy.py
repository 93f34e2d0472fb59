"""Three easy classes and a row to train on them, for tests of the training loop."""

from __future__ import annotations

import signal
from dataclasses import replace

import numpy as np
import pytest

from ferlib import engine, records, train
from ferlib.data.dataset import FaceDataset
from ferlib.experiments import get
from ferlib.interrupt import Interrupted, Stop

ROW = replace(get("se_cnn-se"), epochs=3, dataset="toy", augmentation={"shift": 0.1}, size=36, batch=16)


def toy(n=90, seed=0):
    """Three easy classes: a bright bar whose height tells the class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    images = rng.integers(0, 60, (n, 36, 36), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[4 + 9 * label : 10 + 9 * label] += 150
    split = np.array(["train"] * (n - 40) + ["val"] * 20 + ["test"] * 20)
    ids = np.array([f"toy{i}" for i in range(n)])
    return FaceDataset("toy", images, labels, ("low", "mid", "high"), split, ids)


def settings(folder, **changes):
    base = train.Settings(threads=1, device="cpu", results=folder / "results", runs=folder / "runs")
    return replace(base, **changes)


def stopped_and_resumed(row, step, chosen, monkeypatch, data=None):
    """The record of a run of ``row`` with settings ``chosen`` that is told to stop after a training step and goes on.

    ``data`` is `toy` by default.
    """
    data = toy() if data is None else data
    stop, plain, count = Stop(), engine.train_step, iter(range(1, 100))

    def counted(*arguments):
        plain(*arguments)
        if next(count) == step:
            stop.signal = signal.SIGTERM

    monkeypatch.setattr(engine, "train_step", counted)
    with pytest.raises(Interrupted):
        train.run(row, 0, chosen, data=data, stop=stop)
    return records.read(train.run(row, 0, chosen, data=data))
