"""FaceDataset: what every loader returns, and all that the rest of the library sees of a dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from ferlib.errors import DataError

SPLITS = ("train", "val", "test")

# expressions in the order in which every figure shows them, under the book's names; beside it, what datasets call them
EXPRESSIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral", "contempt")
SYNONYMS = {"happiness": "happy", "sadness": "sad", "anger": "angry"}


def book_name(name: str) -> str:
    """A class under the book's name: *happy* for what a dataset may call happiness, other names as they are."""
    return SYNONYMS.get(name, name)


def display_order(names: Sequence[str]) -> list[int]:
    """Positions of class names in the order of `EXPRESSIONS`; others behind them, in their own order."""
    common = [book_name(name) for name in names]
    known = sorted(
        (i for i, c in enumerate(common) if c in EXPRESSIONS), key=lambda i: EXPRESSIONS.index(common[i])
    )
    return known + [i for i, c in enumerate(common) if c not in EXPRESSIONS]


@dataclass(frozen=True, eq=False)
class FaceDataset:
    """Images with labels, split and provenance. Arrays share their first axis, N images.

    Attributes
    ----------
    name : dataset name as in ``ferlib.data.load``.
    images : uint8, (N, H, W) grey or (N, H, W, 3) RGB.
    labels : int64, (N,), indices into ``classes``.
    classes : class names in label order.
    split : str, (N,), each ``train``, ``val`` or ``test``.
    ids : str, (N,), names the image in its source (row or file), unique.
    subjects : str, (N,), or None where the layout does not tell who is shown.
    votes : float32, (N, number of classes), annotators' votes, or None.
    extras : further arrays by name with first axis N (the synthetic faces' region masks, say).
    meta : small facts about provenance: ``layout``, ``source``, ``protocol``, label rule.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    split: np.ndarray
    ids: np.ndarray
    subjects: np.ndarray | None = None
    votes: np.ndarray | None = None
    extras: Mapping[str, np.ndarray] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        problem = self._problem()
        if problem:
            raise DataError(f"{self.name}: {problem}")

    def _problem(self) -> str | None:
        n = len(self.images)
        if self.images.dtype != np.uint8 or self.images.ndim not in (3, 4):
            return (
                f"images must be uint8 (N, H, W) or (N, H, W, 3), not {self.images.dtype} {self.images.shape}"
            )
        if self.images.ndim == 4 and self.images.shape[3] != 3:
            return f"colour images must have 3 channels, not {self.images.shape[3]}"
        per_image = {"labels": self.labels, "split": self.split, "ids": self.ids, **self.extras}
        for optional in ("subjects", "votes"):
            if getattr(self, optional) is not None:
                per_image[optional] = getattr(self, optional)
        for key, values in per_image.items():
            if len(values) != n:
                return f"{key} has {len(values)} entries for {n} images"
        if self.labels.dtype != np.int64:
            return f"labels must be int64, not {self.labels.dtype}"
        if n and not (self.labels.min() >= 0 and self.labels.max() < len(self.classes)):
            return f"labels must lie in 0..{len(self.classes) - 1}, found {self.labels.min()}..{self.labels.max()}"
        unknown = set(np.unique(self.split)) - set(SPLITS)
        if unknown:
            return f"unknown split {sorted(unknown)}; known are {', '.join(SPLITS)}"
        return None

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        counts = ", ".join(f"{s} {int((self.split == s).sum())}" for s in SPLITS)
        shape = "x".join(map(str, self.images.shape[1:]))
        return f"FaceDataset({self.name}: {len(self)} images {shape}, {len(self.classes)} classes, {counts})"

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over images, labels, split and class names: equal data, equal fingerprint."""
        digest = hashlib.sha256()
        digest.update(repr((self.images.shape, self.classes)).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        digest.update(np.ascontiguousarray(self.labels.astype("<i8")).data)
        digest.update("\n".join(map(str, self.split)).encode())
        return digest.hexdigest()

    def where(self, split: str) -> np.ndarray:
        """Indices (int64) of the images of one split, in order."""
        if split not in SPLITS:
            raise DataError(f"unknown split {split!r}; known are {', '.join(SPLITS)}")
        return np.flatnonzero(self.split == split)

    def counts(self) -> dict[str, dict[str, int]]:
        """Images per split and class: ``{split: {class: n}}``, splits without images left out."""
        table = {}
        for split in SPLITS:
            labels = self.labels[self.split == split]
            if len(labels):
                per_class = np.bincount(labels, minlength=len(self.classes))
                table[split] = {c: int(k) for c, k in zip(self.classes, per_class, strict=True)}
        return table

    def take(self, index: np.ndarray) -> FaceDataset:
        """The images at ``index`` (integers or a boolean mask) as a dataset of its own."""

        def rows(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[index]

        return replace(
            self,
            images=self.images[index],
            labels=self.labels[index],
            split=self.split[index],
            ids=self.ids[index],
            subjects=rows(self.subjects),
            votes=rows(self.votes),
            extras={k: v[index] for k, v in self.extras.items()},
        )

    def with_split(self, split: np.ndarray, **meta: Any) -> FaceDataset:
        """The same images under another split; ``meta`` says which."""
        return replace(self, split=np.asarray(split), meta={**self.meta, **meta})
