"""Byte-identical images: which they are, how many, and on which sides of a split.

FER2013 was collected by web search and holds many images more than once, on both sides of its official
split and under different labels. A result is therefore reported on the official test and on the test
without images that training has seen (``seen_in_training``).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ferlib.data.dataset import FaceDataset


@dataclass(frozen=True)
class Duplicates:
    """Byte-identical images. Counts are of images; a group is a set of images identical to each other.

    within : per split, copies beyond the first of each group.
    across : per pair such as ``train/test``, images of the second split that are also in the first.
    conflicts : groups whose images do not all have one label, and the images in them.
    conflicts_across : per pair, images of the second whose every copy in the first has another label.
    """

    groups: int
    images: int
    within: dict[str, int]
    across: dict[str, int]
    conflicts: tuple[int, int]
    conflicts_across: dict[str, int]


def identical(images: np.ndarray) -> np.ndarray:
    """Group number (N,) of each image: equal for byte-identical images."""
    digests = np.array([hashlib.sha256(np.ascontiguousarray(image).data).digest() for image in images], "S32")
    return np.unique(digests, return_inverse=True)[1].reshape(-1)


def seen_in_training(dataset: FaceDataset, groups: np.ndarray | None = None) -> np.ndarray:
    """Boolean mask (N,): test images that train holds, too, byte for byte.

    ``groups`` spares the comparison where ``identical(dataset.images)`` is known already.
    """
    group = identical(dataset.images) if groups is None else groups
    return (dataset.split == "test") & np.isin(group, group[dataset.split == "train"])


def count(dataset: FaceDataset) -> Duplicates:
    """Count byte-identical images within and across splits, and label conflicts among them."""
    group = identical(dataset.images)
    n = np.bincount(group)
    pairs = np.unique(np.stack([group, dataset.labels]), axis=1)  # each group with each of its labels
    torn = np.bincount(pairs[0], minlength=len(n)) > 1
    within, across, against = {}, {}, {}
    for split in dataset.counts():
        members = group[dataset.split == split]
        within[split] = len(members) - len(np.unique(members))
    for first, second in combinations(within, 2):
        a, b = dataset.split == first, dataset.split == second
        seen = np.isin(group[b], group[a])
        key = group * len(dataset.classes) + dataset.labels
        across[f"{first}/{second}"] = int(seen.sum())
        against[f"{first}/{second}"] = int((seen & ~np.isin(key[b], key[a])).sum())
    return Duplicates(
        groups=int((n > 1).sum()),
        images=int(n[n > 1].sum()),
        within=within,
        across=across,
        conflicts=(int(torn.sum()), int(n[torn].sum())),
        conflicts_across=against,
    )
