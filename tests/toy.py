"""Three easy classes and a row to train on them, for tests of the training loop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ferlib import train
from ferlib.data.dataset import FaceDataset
from ferlib.experiments import get

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
