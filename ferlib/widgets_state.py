"""The attention explorer without its view: a face, what covers it, two networks, and what they make of it.

`Explorer` is plain state with pure functions on it. Nothing here knows ipywidgets, so that all of it can be tested,
or used in a script, without a browser.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ferlib import explain
from ferlib.data import load, synthetic
from ferlib.data.dataset import FaceDataset, book_name
from ferlib.errors import FerlibError
from ferlib.explain import Attention
from ferlib.predict import face_in, heads, read_image
from ferlib.stages import default_layer, layers_of
from ferlib.weights import Ready

CELLS = 8  # a side of the grid in which the face can be covered
SHOWN = 144  # pixels a side of a crop from a picture: what is shown; each network gets its own size of it
PREDICTED = ""  # as a class: the one that the network predicts
# rows and columns of the grid, from the top and from the left, where drawn faces and CK+48 have them
BANDS = {"brows and eyes": ((2, 4), (0, 8)), "nose": ((4, 6), (3, 5)), "mouth": ((5, 8), (2, 6))}
Cell = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Look:
    """What one network makes of one face.

    ``face``: as it was shown to it, covered cells included. ``probabilities``: by classifier (K,), see
    `ferlib.predict.heads`. ``target``: the class that ``cam`` speaks for. ``cam``: (h, w) on the layer's grid, divided
    by its maximum; ``zero`` where nothing speaks for the class. ``attention``: the network's own, of this one face.
    """

    name: str
    about: str
    face: np.ndarray
    classes: tuple[str, ...]
    probabilities: dict[str, np.ndarray]
    target: str
    layer: str
    cam: np.ndarray
    zero: bool
    attention: Attention

    @property
    def label(self) -> str:
        return self.classes[int(self.probabilities["prediction"].argmax())]


def drawn_face(expression: str, intensity: float, seed: int) -> np.ndarray:
    """A synthetic face at the networks' own size, uint8 (48, 48)."""
    return synthetic.draw(expression, float(intensity), seed=int(seed))


@functools.lru_cache(maxsize=2)
def dataset(name: str, root: str | None) -> FaceDataset:
    """A dataset, kept in memory; DataError where it is not there."""
    return load(name, root, n=700) if name == "synthetic" else load(name, root)


def dataset_face(name: str, root: str | None, split: str, index: int) -> tuple[np.ndarray, str, int]:
    """Image ``index`` of a part of a dataset, its class, and how many there are; FerlibError beyond them."""
    data = dataset(name, root)
    where = data.where(split)
    if not 0 <= index < len(where):
        there = f"0 to {len(where) - 1}" if len(where) else "none"
        raise FerlibError(f"{name}: no image {index} in {split}; there are {there}")
    k = where[index]
    return data.images[k], book_name(data.classes[data.labels[k]]), len(where)


def picture_face(content: bytes, *, centre: bool = False) -> tuple[np.ndarray, str]:
    """The face of an uploaded picture, uint8 (144, 144, 3), and a sentence about it.

    ``centre`` takes the square in the middle where no face is found or no detector is installed; without it that is a
    FerlibError.
    """
    image = read_image(content)
    try:
        face, found = face_in(image, SHOWN)
    except FerlibError as error:
        if not centre:
            raise FerlibError(f"{error}: tick “square in the middle”") from None
        return face_in(image, SHOWN, detect=False)[
            0
        ], "No face was looked at: this is the square in the middle."
    assert found is not None
    return face, f"Face found with a score of {found.score:.2f}; the largest one is shown."


def block(first: Cell, second: Cell) -> set[Cell]:
    """All cells of the rectangle between two corners."""
    (top, bottom), (left, right) = (sorted(pair) for pair in zip(first, second, strict=True))
    return {(row, column) for row in range(top, bottom + 1) for column in range(left, right + 1)}


def band(name: str) -> set[Cell]:
    """The cells of one of `BANDS`."""
    (top, bottom), (left, right) = BANDS[name]
    return block((top, left), (bottom - 1, right - 1))


def cover(face: np.ndarray, cells: Iterable[Cell]) -> np.ndarray:
    """The face with cells of the grid painted in its own mean grey or colour (Zeiler & Fergus 2014, section 4.2)."""
    height, width = face.shape[:2]
    mean = face.mean(axis=(0, 1)).round().astype(np.uint8)
    covered = face.copy()
    for row, column in cells:
        rows = slice(round(row * height / CELLS), round((row + 1) * height / CELLS))
        covered[rows, round(column * width / CELLS) : round((column + 1) * width / CELLS)] = mean
    return covered


@dataclass
class Explorer:
    """The state of the explorer; ``look(side)`` is what there is to see.

    ``networks``: left and right, None where there is none. ``layers``: by side, None for the network's default.
    ``target``: a class name or `PREDICTED`; a network without that class explains its prediction. ``head``: the
    classifier that is explained, see `explain.Scores`; a network without it explains its score.
    """

    face: np.ndarray
    networks: list[Ready | None] = field(default_factory=lambda: [None, None])
    layers: list[str | None] = field(default_factory=lambda: [None, None])
    covered: set[Cell] = field(default_factory=set)
    target: str = PREDICTED
    head: str = "score"
    _kept: dict[tuple[str, int], tuple[Any, Any]] = field(default_factory=dict, repr=False)

    def toggle(self, cell: Cell) -> None:
        """Cover a cell, or uncover it."""
        self.covered ^= {cell}

    def put(self, side: int, ready: Ready | None) -> None:
        """Another network on one side, with its default layer."""
        self.networks[side], self.layers[side] = ready, None

    def layers_of(self, side: int) -> dict[str, tuple[int, int]]:
        """Layers of the network on one side and their grids."""
        ready = self._network(side)
        return self._keep("layers", side, id(ready), lambda: layers_of(ready.model, ready.row.size))

    def heads(self) -> list[str]:
        """Classifiers that any of the networks can explain."""
        found = {"score": None}
        for side, ready in enumerate(self.networks):
            if ready is not None:
                found |= dict.fromkeys(k for k in self._passed(side)[1] if k.startswith("aux"))
        return list(found)

    def classes(self) -> list[str]:
        """Class names of both networks, in the order of the left one."""
        return list(dict.fromkeys(c for ready in self.networks if ready is not None for c in ready.classes))

    def look(self, side: int) -> Look:
        """What the network on one side makes of the face; only what changed is computed again."""
        ready = self._network(side)
        x, probabilities, attention, face = self._passed(side)
        target = (
            self.target
            if self.target in ready.classes
            else ready.classes[probabilities["prediction"][0].argmax()]
        )
        layer = self.layers[side] or self._keep(
            "default", side, id(ready), lambda: default_layer(ready.model, ready.row.size)
        )
        head = self.head if self.head in probabilities else "score"
        which = torch.tensor([ready.classes.index(target)])
        cam = self._keep(
            "cam",
            side,
            (id(x), target, layer, head),
            lambda: explain.grad_cam(ready.model, x, which, layer, head=head),
        )
        return Look(
            ready.name,
            ready.about(),
            face,
            ready.classes,
            {k: v[0] for k, v in probabilities.items()},
            target,
            layer,
            cam.normalised().maps[0],
            bool(cam.zero[0]),
            attention,
        )

    def _network(self, side: int) -> Ready:
        ready = self.networks[side]
        if ready is None:
            raise FerlibError("no network on this side; choose a checkpoint, or train a demonstration")
        return ready

    def _passed(self, side: int) -> tuple[torch.Tensor, dict[str, np.ndarray], Attention, np.ndarray]:
        """The prepared face, probabilities, attention and the face itself, from one forward pass."""
        ready = self._network(side)
        key = (id(ready), self.face.shape, self.face.tobytes(), frozenset(self.covered))

        def passed() -> Any:
            face = cover(self.face, self.covered)
            x = ready.prepare(face[None])
            probabilities, own = heads(ready, x)
            found = {name: values.float().numpy() for name, values in own.items()}
            return (
                x,
                probabilities,
                Attention(
                    maps={k: v[0, 0] for k, v in found.items() if v.ndim == 4},
                    gates={k: v[0] for k, v in found.items() if v.ndim == 2},
                ),
                face,
            )

        return self._keep("pass", side, key, passed)

    def _keep(self, what: str, side: int, key: Any, make: Any) -> Any:
        """The last value of its kind and side where its key is the same, else a new one."""
        known = self._kept.get((what, side))
        if known is None or known[0] != key:
            self._kept[what, side] = known = (key, make())
        return known[1]
