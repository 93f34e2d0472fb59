"""Pictures of one's own, laid out as FER2013's class folders, on which the networks of the book can be trained."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from ferlib.data import fer2013, folders, splits
from ferlib.data.fer2013 import CLASSES
from ferlib.errors import DataError, FerlibError

SIDE = 48  # pixels
PARTS = ("train", "test")


def import_pictures(source: Path, root: Path, *, detect: bool = True, test: float = 0.2) -> str:
    """Copy the pictures of ``source`` into ``root/fer2013``: the largest face of each, grey, 48 x 48 pixels.

    ``source`` holds a folder for each of the seven classes, or ``train`` and ``test`` with one each; without those
    a share ``test`` of each class, one picture at the least and the same every time, becomes the test part.
    ``detect=False`` takes the square in the middle of a picture instead of looking for a face. Returns what was done.
    Pictures without a face, and files that are no picture, are left out and named. Raises DataError where a class has
    no folder, where too few pictures are left to train on, and where ``root`` holds FER2013 already; nothing is
    written then.
    """
    if not 0 < test < 1:
        raise DataError(f"the share of test pictures must lie between 0 and 1, but is {test:g}")
    if (there := fer2013.find(root)) is not None or (root / "fer2013").exists():
        held = there[1] if there else root / "fer2013"
        raise DataError(
            f"{held} is there already, and would be taken for these pictures: name another folder"
        )
    found, left = _faces(_files(source), detect, source.name)
    parts = _parts(found, test)
    target, waiting = root / "fer2013", root / ".fer2013.part"
    shutil.rmtree(waiting, ignore_errors=True)  # of a call that was stopped
    taken: set[Path] = set()
    for (_, label, file, face), part in zip(found, parts, strict=True):
        path = waiting / part / CLASSES[label] / f"{file.stem}.png"
        if path in taken:  # a.jpg beside a.png
            path = path.with_name(f"{file.name}.png")
        taken.add(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(face).convert("L").save(path)
    waiting.rename(target)
    counts = Counter((part, CLASSES[label]) for (_, label, *_), part in zip(found, parts, strict=True))
    return "\n".join(_told(target, counts, left))


def _files(source: Path) -> list[tuple[str, int, Path]]:
    """Part (empty where the source has none), label and path of every file in the class folders."""
    if not source.is_dir():
        raise DataError(f"folder {source} does not exist")
    names = {folders.plain(name): label for label, name in enumerate(CLASSES)}
    given = [part for part in PARTS if (source / part).is_dir()]
    if len(given) == 1:
        raise DataError(f"folder {source} has {given[0]} but not the other of train and test: add it")
    return [
        (part, label, file)
        for part in given or [""]
        for file, label in folders.labelled_files(source / part, names, suffixes=None)
    ]


def _faces(
    files: list[tuple[str, int, Path]], detect: bool, title: str
) -> tuple[list[tuple[str, int, Path, np.ndarray]], list[str]]:
    """The files with the face in each, and a line for each file without one."""
    from ferlib.predict import face_in, read_image

    found, left = [], []
    for part, label, file in tqdm(files, desc=title, unit=" pictures", disable=None, leave=False):
        try:
            found.append((part, label, file, face_in(read_image(file), SIDE, detect=detect)[0]))
        except FerlibError as error:
            if "pip install" in str(error):  # without the detector no picture can be read
                raise
            left.append(f"{file}: {str(error).removeprefix(f'{file}: ')}")
    return found, left


def _parts(found: list[tuple[str, int, Path, np.ndarray]], test: float) -> np.ndarray:
    """The part of every face, its own or drawn class by class; DataError where these are too few to train on."""
    labels = np.array([label for _, label, *_ in found], int)
    parts = np.array([part or "train" for part, *_ in found])
    if found and not found[0][0]:
        rng = np.random.default_rng(0)
        for label in range(len(CLASSES)):
            those = np.flatnonzero(labels == label)
            parts[rng.permutation(those)[: max(1, round(test * len(those)))]] = "test"
    for part in PARTS:
        if empty := [
            name for label, name in enumerate(CLASSES) if not np.any((labels == label) & (parts == part))
        ]:
            raise DataError(f"no usable picture for {part}/{empty[0]}: add some")
    splits.with_validation(parts, labels, 0)  # what the rows for class folders will do
    return parts


def _told(target: Path, counts: Counter[tuple[str, str]], left: list[str]) -> Iterable[str]:
    for part in PARTS:
        numbers = ", ".join(f"{name} {counts[part, name]:,}" for name in CLASSES)
        yield f"{part}: {numbers}"
    yield from (f"left out: {line}" for line in left)
    yield f"{sum(counts.values()):,} pictures in {target}, {len(left):,} left out"
