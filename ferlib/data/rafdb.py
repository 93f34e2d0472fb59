"""RAF-DB, basic expressions: 15,339 aligned RGB faces of 100 x 100 pixels in seven classes.

Li, Deng, Du, "Reliable crowdsourcing and deep locality-preserving learning for expression recognition in
the wild", CVPR 2017, http://www.whdeng.cn/raf/model1.html. Layouts: the authors' own (``basic/``) and the
Kaggle folders (``DATASET/``). Both give the same arrays in the same order. The files' labels 1..7 are
surprise, fear, disgust, happiness, sadness, anger, neutral; they are mapped by name to FER2013's classes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ferlib.data import cache, folders, splits
from ferlib.data.dataset import FaceDataset
from ferlib.data.fer2013 import CLASSES
from ferlib.errors import DataError

SIDE = 100
ORDER = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")  # the files' labels 1..7
LABELS = {str(number): CLASSES.index(name) for number, name in enumerate(ORDER, start=1)}
# Counts of list_patition_label.txt (12,271 and 3,068 are the authors' numbers); train: also Table 2 of
# Nan et al. 2022.
PUBLISHED = {
    "train": dict(zip(ORDER, (1290, 281, 717, 4772, 1982, 705, 2524), strict=True)),
    "test": dict(zip(ORDER, (329, 74, 160, 1185, 478, 162, 680), strict=True)),
}
TREE = """\
DIR/rafdb/basic/Image/aligned/train_00001_aligned.jpg ...
DIR/rafdb/basic/EmoLabel/list_patition_label.txt
or
DIR/rafdb/DATASET/train/<1..7>/*.jpg
DIR/rafdb/DATASET/test/<1..7>/*.jpg"""
HOW = (
    "RAF-DB is given to researchers on request: send the form on http://www.whdeng.cn/raf/model1.html "
    "from an academic address; the password for the basic set comes by mail."
)


def load(root: Path, *, split_seed: int = 0) -> FaceDataset:
    """RAF-DB from ``root/rafdb`` or ``root``.

    RAF-DB has no validation part: val is a stratified tenth of train, fixed by ``split_seed``; test is
    the authors' (3,068). Images (15339, 100, 100, 3) in the order train_00001, ..., test_0001, ...;
    ``ids`` are these names. DataError: nothing there, or a file or line that is not what it should be.
    """
    found = find(root)
    if found is None:
        raise DataError(
            f"no RAF-DB in {root}: put basic/ into {root / 'rafdb'} ('ferlib data check rafdb' says more)"
        )
    layout, base = found
    items = _official(base) if layout == "basic" else _kaggle(base)
    items.sort(key=lambda item: (item[1] == "test", _name(item[0])))
    _no_repeats([file for file, _, _ in items])
    dataset = _read(root, base, layout, items)
    split = splits.with_validation(dataset.split, dataset.labels, split_seed)
    return dataset.with_split(split, protocol="official", split_seed=split_seed)


def find(root: Path) -> tuple[str, Path] | None:
    """Layout (``basic`` or ``kaggle``) and where it is, or None."""
    for folder in folders.places(root, "rafdb", "RAF-DB", "RAFDB", "raf-db"):
        if (folder / "basic").is_dir():
            return "basic", folder / "basic"
        for base in (folder / "DATASET", folder):
            if any((base / "train" / number).is_dir() for number in LABELS):
                return "kaggle", base
    return None


def published(dataset: FaceDataset) -> dict[str, dict[str, int]]:
    """Published counts, in the order of our classes."""
    return {split: {c: counts[c] for c in dataset.classes} for split, counts in PUBLISHED.items()}


def _name(file: Path) -> str:
    return file.stem.removesuffix("_aligned")


def _official(base: Path) -> list[tuple[Path, str, int]]:
    """File, split and label of each line of the label file."""
    source, images = base / "EmoLabel" / "list_patition_label.txt", base / "Image" / "aligned"
    try:
        lines = source.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError as error:
        raise DataError(f"{source} cannot be read ({error.strerror}): complete the copy") from None
    items = []
    for number, line in enumerate(lines, start=1):
        at = f"{source.name}, line {number}"
        name, _, label = line.strip().partition(" ")
        split = name.partition("_")[0]
        if split not in PUBLISHED or label.strip() not in LABELS:
            raise DataError(f"{at} reads {line[:40]!r}: it must be like 'train_00001.jpg 5', labels 1..7")
        file = images / f"{Path(folders.plain_name(name, at)).stem}_aligned.jpg"
        if not file.is_file():
            raise DataError(f"{at} names {file.name}, which is not in {images}: complete the copy")
        items.append((file, split, LABELS[label.strip()]))
    if not items:
        raise DataError(f"{source} is empty: get a fresh copy")
    return items


def _kaggle(base: Path) -> list[tuple[Path, str, int]]:
    """File, split and label of each file in the class folders 1..7."""
    items = []
    for split in ("train", "test"):
        if not (base / split).is_dir():
            raise DataError(f"{base} has no {split}/: complete the copy")
        items += [(file, split, label) for file, label in folders.labelled_files(base / split, LABELS)]
    return items


def _no_repeats(files: list[Path]) -> None:
    seen: dict[str, Path] = {}
    for file in files:
        if _name(file) in seen:
            raise DataError(f"{_name(file)} is there twice ({seen[_name(file)]} and {file}): remove one")
        seen[_name(file)] = file


def _read(root: Path, base: Path, layout: str, items: list[tuple[Path, str, int]]) -> FaceDataset:
    files = [file for file, _, _ in items]

    def build() -> FaceDataset:
        images, modes = folders.read(files, (SIDE, SIDE, 3), base)
        return FaceDataset(
            name="rafdb",
            images=images,
            labels=np.array([label for _, _, label in items], np.int64),
            classes=CLASSES,
            split=np.array([split for _, split, _ in items]),
            ids=np.array([_name(file) for file in files]),
            meta={"layout": layout, "source": base.relative_to(root).as_posix(), "modes": modes},
        )

    labels = [base / "EmoLabel" / "list_patition_label.txt"] if layout == "basic" else []
    return cache.cached("rafdb", base, [*labels, *files], build)
