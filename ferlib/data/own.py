"""Pictures of one's own, laid out as FER2013's class folders, on which the networks of the book can be trained."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from ferlib.data import folders
from ferlib.data.fer2013 import CLASSES
from ferlib.errors import DataError, FerlibError

SIDE = 48  # pixels
PARTS = ("train", "test")


def import_pictures(source: Path, root: Path, *, detect: bool = True, test: float = 0.2) -> str:
    """Copy the pictures of ``source`` into ``root/fer2013``: the largest face of each, grey, 48 x 48 pixels.

    ``source`` holds a folder for each of the seven classes, or ``train`` and ``test`` with one each; without those
    a stratified share ``test`` of the pictures, the same every time, becomes the test part. ``detect=False`` takes
    the square in the middle of a picture instead of looking for a face. Returns what was done. Pictures without a
    face, and files that are no picture, are left out and named. Raises DataError where a class has no folder or
    fewer than two pictures, and where ``root/fer2013`` is there already; nothing is written then.
    """
    from ferlib.predict import face_in, read_image

    if not 0 < test < 1:
        raise DataError(f"the share of test pictures must lie between 0 and 1, but is {test:g}")
    target = root / "fer2013"
    if target.exists():
        raise DataError(f"{target} is there already: name another folder, or move it away")
    found = _found(source, test)
    waiting = root / ".fer2013.part"
    if waiting.exists():  # of a call that was stopped
        shutil.rmtree(waiting)
    left, counts = [], Counter[tuple[str, str]]()
    taken: set[Path] = set()
    for part, name, file in tqdm(found, desc=source.name, unit=" pictures", disable=None, leave=False):
        try:
            face, _ = face_in(read_image(file), SIDE, detect=detect)
        except FerlibError as error:
            if "pip install" in str(error):  # without the detector no picture can be read
                raise
            left.append(f"{file}: {str(error).removeprefix(f'{file}: ')}")
            continue
        path = waiting / part / name / f"{file.stem}.png"
        if path in taken:  # a.jpg beside a.png
            path = path.with_name(f"{file.name}.png")
        taken.add(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(face).convert("L").save(path)
        counts[part, name] += 1
    empty = [f"{part}/{name}" for part in PARTS for name in CLASSES if not counts[part, name]]
    if empty:
        shutil.rmtree(waiting, ignore_errors=True)
        raise DataError(f"no usable picture for {', '.join(empty)}" + (f"; {left[0]}" if left else ""))
    waiting.rename(target)
    return "\n".join(_told(target, counts, left))


def _found(source: Path, test: float) -> list[tuple[str, str, Path]]:
    """Part, class and file of every picture."""
    if not source.is_dir():
        raise DataError(f"folder {source} does not exist")
    names = {folders.plain(name): label for label, name in enumerate(CLASSES)}
    given = {part: source / part for part in PARTS if (source / part).is_dir()}
    if len(given) == 1:
        raise DataError(
            f"folder {source} has {next(iter(given))} but not the other of train and test: add it"
        )
    if given:
        return [
            (part, CLASSES[label], file)
            for part, folder in given.items()
            for file, label in folders.labelled_files(folder, names)
        ]
    files = folders.labelled_files(source, names)
    labels = np.array([label for _, label in files])
    few = [CLASSES[label] for label, n in zip(*np.unique(labels, return_counts=True), strict=True) if n < 2]
    if few:
        raise DataError(f"folder {source} has fewer than 2 pictures for the class {few[0]!r}: add some")
    size = min(max(round(test * len(files)), len(CLASSES)), len(files) - len(CLASSES))
    chosen = set(train_test_split(np.arange(len(files)), test_size=size, stratify=labels, random_state=0)[1])
    return [
        ("test" if i in chosen else "train", CLASSES[label], file) for i, (file, label) in enumerate(files)
    ]


def _told(target: Path, counts: Counter[tuple[str, str]], left: list[str]) -> Iterable[str]:
    for part in PARTS:
        numbers = ", ".join(f"{name} {counts[part, name]:,}" for name in CLASSES)
        yield f"{part}: {numbers}"
    yield from (f"left out: {line}" for line in left)
    yield f"{sum(counts.values()):,} pictures in {target}, {len(left):,} left out"
