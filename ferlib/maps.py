"""Class-mean attention maps beside a run's record: ``<results>/<experiment>/seed<k>.maps.npz``.

The file holds means over the images of a class and nothing of a single image: ``faces``, ``cam/<layer>`` and
``attention/<name>`` in float16, and ``header``, JSON with the rest of `ClassMaps`, the record that the maps
belong to and a checksum over all of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ferlib import beside, records
from ferlib.errors import FerlibError, RecordError

SCHEMA = 1
FEWEST = 3  # images, and people where they are known, behind a mean: that of fewer comes near a single face
COARSEST = 5  # cells a side: fewer cannot tell brows, eyes, nose and mouth of a cropped face apart
GRID, FACE = 28, 64  # cells and pixels a side to which larger maps and faces are averaged down
LIMIT = 200_000  # bytes of a file
ARRAYS = ("faces", "cam", "attention")


@dataclass(frozen=True)
class ClassMaps:
    """Means over the K classes of one part of a dataset that have enough images.

    Attributes
    ----------
    classes : names of the K classes, in label order.
    counts : images behind each class's means, by class.
    left_out : images of each class that has too few of them, or of people, for a mean (`FEWEST`).
    faces : (K, H, W), mean face in grey, 0 black and 1 white; in a file over all parts of the dataset, so that
        more people are behind it than behind the other means.
    cam : by layer (K, h, w), mean Grad-CAM, in [0, 1]: each image's map is divided by its own maximum first, an
        all-zero map counts as zeros.
    zero : by layer, images with an all-zero map, by class.
    attention : by name the module's own mean attention as it is, maps (K, h, w) and channel gates (K, C).
    grids : by layer or name, the (h, w) that the network has; larger than what is kept where that was averaged.
    part, target, head : which images (``test``), which class's score, and which classifier's, was explained.
    """

    classes: tuple[str, ...]
    counts: dict[str, int]
    left_out: dict[str, int]
    faces: np.ndarray
    cam: dict[str, np.ndarray]
    zero: dict[str, dict[str, int]]
    attention: dict[str, np.ndarray]
    grids: dict[str, tuple[int, int]]
    part: str
    target: str
    head: str

    def default_layer(self) -> str:
        """The layer to show where none is named, see `deepest`."""
        return deepest({name: self.grids[name] for name in self.cam})

    def spatial(self, name: str) -> np.ndarray:
        """Grad-CAM of a layer, or spatial attention of that name, (K, h, w); FerlibError where there is none."""
        known = self.cam | {k: v for k, v in self.attention.items() if v.ndim == 3}
        if name not in known:
            raise FerlibError(f"no maps of {name!r} here; choose one of {', '.join(known)}")
        return known[name]

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything that is an array as float16, under its name in the file; infinite what float16 cannot hold."""
        found = {"faces": self.faces}
        found |= {f"{kind}/{k}": v for kind in ARRAYS[1:] for k, v in getattr(self, kind).items()}
        with np.errstate(over="ignore"):
            return {k: v.astype(np.float16) for k, v in found.items()}

    def facts(self) -> dict[str, Any]:
        """Everything else, as JSON has it."""
        return json.loads(json.dumps({k: v for k, v in vars(self).items() if k not in ARRAYS}))


def deepest(grids: Mapping[str, tuple[int, int]]) -> str:
    """Of layers in the order of the network the deepest with at least 5x5 cells, else the one with most.

    Selvaraju et al. take the last convolutional layer, but for 48x48 pixels that may be a grid of 2x2.
    """
    fine = [name for name, grid in grids.items() if min(grid) >= COARSEST]
    return fine[-1] if fine else max(grids, key=lambda name: min(grids[name]))


class ClassSums:
    """Sums over the images of each class, on the way to `ClassMaps`.

    ``labels`` (N,) are of all images to come, ``people`` (N,) tells who is shown. Raises FerlibError where no
    class has `FEWEST` images of as many people.
    """

    def __init__(self, classes: Sequence[str], labels: np.ndarray, people: np.ndarray | None = None) -> None:
        self.classes, self.labels = tuple(classes), labels
        self.counts = np.bincount(labels, minlength=len(classes))
        shown = np.arange(len(labels)) if people is None else people
        different = np.array([len(np.unique(shown[labels == c])) for c in range(len(classes))])
        self.kept = different >= FEWEST
        if not self.kept.any():
            raise FerlibError(f"no class shows {FEWEST} people or has as many images; choose another part")
        self.sums: dict[str, np.ndarray] = {}

    def add(self, name: str, values: np.ndarray, index: slice) -> None:
        """Add values (n, ...) of the images at ``index`` to the sum called ``name``."""
        total = self.sums.setdefault(name, np.zeros((len(self.classes), *values.shape[1:])))
        np.add.at(total, self.labels[index], values)

    def means(self, *, part: str, target: str, head: str) -> ClassMaps:
        """Means of ``faces``, ``cam/...`` and ``attention/...``, totals of ``zero/...``, over the classes kept."""
        names, counts = np.array(self.classes), self.counts
        found: dict[str, dict[str, Any]] = {"faces": {}, "cam": {}, "attention": {}, "zero": {}, "grids": {}}
        for name, total in self.sums.items():
            kind, _, rest = name.partition("/")
            if kind == "zero":
                found[kind][rest] = by_class(names[self.kept], total[self.kept])
                continue
            mean = (total[self.kept].T / counts[self.kept]).T
            found[kind][rest] = shrink(mean, FACE if kind == "faces" else GRID)
            if kind != "faces" and mean.ndim == 3:
                found["grids"][rest] = mean.shape[1:]
        return ClassMaps(
            classes=tuple(names[self.kept].tolist()),
            counts=by_class(names[self.kept], counts[self.kept]),
            left_out=by_class(names[~self.kept], counts[~self.kept]),
            faces=found["faces"][""],
            cam=found["cam"],
            zero=found["zero"],
            attention=found["attention"],
            grids=found["grids"],
            part=part,
            target=target,
            head=head,
        )


def by_class(names: np.ndarray, values: np.ndarray) -> dict[str, int]:
    return {str(name): int(value) for name, value in zip(names, values, strict=True)}


def shrink(values: np.ndarray, side: int) -> np.ndarray:
    """float32; maps (K, h, w) of more than ``side`` cells a side averaged down to that many, by shares of area."""
    if values.ndim != 3 or max(values.shape[1:]) <= side:
        return values.astype(np.float32)
    rows, columns = (shares(n, side) for n in values.shape[1:])
    return (rows @ values @ columns.T).astype(np.float32)


def shares(n: int, side: int) -> np.ndarray:
    """(side, n): how much of each of ``side`` equal intervals lies in each of n equal cells; rows add up to 1."""
    edges, cells = np.linspace(0, n, side + 1), np.arange(n)
    overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    return np.clip(overlap, 0, None) * side / n


def path_of(results: Path | str, experiment: str, seed: int) -> Path:
    return records.path_of(results, experiment, seed).with_suffix(".maps.npz")


def write(results: Path | str, record: Mapping[str, Any], maps: ClassMaps, **notes: Any) -> Path:
    """Write ``maps`` beside ``record``; returns the path. ``notes`` (JSON) go into the header too.

    Raises RecordError for means over fewer than `FEWEST` images, for numbers that are not finite, a file of more
    than `LIMIT` bytes, or where nothing can be written. An older file is replaced.
    """
    part = record["reproducible"]
    path = path_of(results, part["experiment"]["id"], part["seed"])
    few = [name for name in maps.classes if maps.counts[name] < FEWEST]
    if few or not maps.classes:
        raise RecordError(f"{path}: a mean needs {FEWEST} images; leave out {', '.join(few) or 'this part'}")
    arrays = maps.arrays()
    if not all(np.isfinite(values).all() for values in arrays.values()):
        raise RecordError(f"{path}: maps are not finite and were not written; look at the run's weights")
    header = {**beside.origin(record, SCHEMA), **maps.facts(), **notes}
    header["sha256"] = checksum(header, arrays)
    text = np.frombuffer(records.canonical(header), np.uint8)
    return records.put(path, lambda file: _save(file, path, {"header": text, **arrays}))


def _save(file: Any, path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    if file.tell() > LIMIT:
        raise RecordError(f"{path}: {file.tell():,} bytes, more than {LIMIT:,}; choose fewer layers")


def checksum(header: Mapping[str, Any], arrays: dict[str, np.ndarray]) -> str:
    """sha256 over the arrays and all of the header but its ``sha256``."""
    facts = {k: v for k, v in header.items() if k != "sha256"}
    return records.sha256({"header": facts, "arrays": records.arrays_sha256(arrays)})


def read(results: Path | str, experiment: str, seed: int) -> tuple[ClassMaps, dict[str, Any]]:
    """The maps (float32) of one run and their header.

    Raises RecordError in one line where the file is missing, damaged, or not of the record that lies beside it.
    """
    path = path_of(results, experiment, seed)
    command = f"ferlib explain {experiment} --seed {seed}"
    record = records.read(records.path_of(results, experiment, seed))
    with records.reading(path, command):
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        header = json.loads(arrays.pop("header").tobytes())
        intact = header["schema"] == SCHEMA and header["sha256"] == checksum(header, arrays)
    if not intact:
        raise RecordError(f"{path}: checksum does not match, edited or damaged; make it again: `{command}`")
    beside.check_origin(header, record, path, command)
    return _parse(header, arrays), header


def _parse(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> ClassMaps:
    facts: dict[str, Any] = {f.name: header[f.name] for f in fields(ClassMaps) if f.name not in ARRAYS}
    facts["classes"] = names = tuple(facts["classes"])
    facts["counts"] = {name: facts["counts"][name] for name in names}  # JSON was sorted by name
    facts["zero"] = {layer: {name: by[name] for name in names} for layer, by in facts["zero"].items()}
    facts["grids"] = {name: tuple(grid) for name, grid in facts["grids"].items()}
    facts |= {"cam": {}, "attention": {}, "faces": arrays.pop("faces").astype(np.float32)}
    for name, values in arrays.items():
        kind, _, rest = name.partition("/")
        facts[kind][rest] = values.astype(np.float32)
    return ClassMaps(**facts)
