"""How much of a CK+ test is known from training: sister frames, the same people; what a nearest neighbour scores on it.

CK+48 has three consecutive frames of each sequence and several sequences of each person. Split by frame, a test image
mostly has a sister in training. The nearest neighbour on pixels (Cover & Hart, "Nearest neighbor pattern
classification", IEEE Trans. Information Theory 13, 1967) has nothing to learn with, so what it scores is a property of
the split.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ferlib.data import ckplus
from ferlib.data.dataset import FaceDataset
from ferlib.evaluate import cluster_bootstrap

SEEDS = range(5)
FRACTIONS = (0.1, 0.2, 0.3)  # of the frames in the test part; 0.2 is the library's
FRACTION = 0.2
FOLDS = 5
GROUPINGS = {  # what is kept on one side of the split -> how the chapter calls that split
    "frames": "by frame",
    "sequences": "by sequence",
    "subjects": "by person",
}
PIXELS = ("raw", "standardised")  # as they are; with mean 0 and length 1 for each image
RELATIONS = ("same sequence", "same person", "another person")  # of a test frame and its nearest neighbour


def measure(data: FaceDataset) -> dict[str, Any] | None:
    """Everything on a CK+ that tells subject and sequence; None for one that does not.

    ``draws``: random splits, for each fraction and seed. ``nearest``: for each grouping and kind of pixels the
    accuracy of the nearest neighbour over the test frames of all `SEEDS`, with a 95 % interval that resamples people.
    """
    if data.subjects is None:
        return None
    distances = {kind: distance(data.images, kind) for kind in PIXELS}
    draws = [
        Tested(data, ckplus.by_frame(data, fraction, seed), distances["raw"]).facts(fraction, seed)
        for fraction in FRACTIONS
        for seed in SEEDS
    ]
    nearest = {}
    for grouping in GROUPINGS:
        splits = list(divided(data, grouping))
        nearest[grouping] = {kind: pooled(data, splits, distances[kind]) for kind in PIXELS}
    return {"draws": draws, "nearest": nearest, "folds": FOLDS, "seeds": len(SEEDS)}


def distance(images: np.ndarray, kind: str) -> np.ndarray:
    """Squared Euclidean distances (N, N) between all images; between raw pixels they are exact."""
    pixels = images.reshape(len(images), -1).astype(np.float64)
    if kind == "standardised":
        pixels = pixels - pixels.mean(axis=1, keepdims=True)
        pixels /= np.maximum(np.linalg.norm(pixels, axis=1, keepdims=True), 1e-12)
    squares = np.square(pixels).sum(axis=1)
    return np.asarray(squares[:, None] + squares - 2 * pixels @ pixels.T)


def divided(data: FaceDataset, grouping: str) -> Iterator[FaceDataset]:
    """The splits of one grouping: a random one for each seed, or all folds of each seed."""
    for seed in SEEDS:
        if grouping == "frames":
            yield ckplus.by_frame(data, FRACTION, seed)
            continue
        grouped = data if grouping == "subjects" else replace(data, subjects=data.extras["sequence"])
        for fold in range(FOLDS):
            yield ckplus.by_subject(grouped, FOLDS, fold, seed)


class Tested:
    """The test frames (M,) of one split, what training knows of them, and the nearest training frame of each."""

    def __init__(self, data: FaceDataset, split: FaceDataset, distances: np.ndarray) -> None:
        self.data, train = data, split.where("train")
        self.test = split.where("test")
        self.nearest = train[distances[np.ix_(self.test, train)].argmin(axis=1)]
        self.hits = data.labels[self.nearest] == data.labels[self.test]
        assert data.subjects is not None
        self.people, sequence = data.subjects, data.extras["sequence"]
        self.sister = np.isin(sequence[self.test], sequence[train])
        self.person = np.isin(self.people[self.test], self.people[train])
        same = sequence[self.nearest] == sequence[self.test]
        near = self.people[self.nearest] == self.people[self.test]
        self.relation = np.where(same, 0, np.where(near, 1, 2))

    def facts(self, fraction: float, seed: int) -> dict[str, Any]:
        n = len(self.test)
        return {
            "fraction": fraction,
            "seed": seed,
            "n": n,
            "sister_in_training": int(self.sister.sum()),
            "person_in_training": int(self.person.sum()),
            "nearest_right": int(self.hits.sum()),
        }


def pooled(data: FaceDataset, splits: list[FaceDataset], distances: np.ndarray) -> dict[str, Any]:
    """Accuracy of the nearest neighbour over the test frames of several splits, and whom it finds."""
    found = [Tested(data, split, distances) for split in splits]
    hits, relation, sister, person = (
        np.concatenate([getattr(t, name) for t in found]) for name in ("hits", "relation", "sister", "person")
    )
    people = np.concatenate([t.people[t.test] for t in found])
    groups = {}
    for k, name in enumerate(RELATIONS):
        own = relation == k
        groups[name] = {"n": int(own.sum()), "right": int(hits[own].sum())}
    return {
        "splits": len(splits),
        "n": len(hits),
        "right": int(hits.sum()),
        "accuracy": float(hits.mean()),
        "by_person": list(cluster_bootstrap(hits, people)),
        "sister_in_training": float(sister.mean()),
        "person_in_training": float(person.mean()),
        "neighbour": groups,
    }
