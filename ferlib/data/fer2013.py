"""FER2013: 35,887 grey 48 x 48 faces from the web in seven classes.

Goodfellow et al., "Challenges in Representation Learning: A report on three machine learning contests",
ICONIP 2013. Layouts: the Kaggle table (``fer2013.csv`` or ``icml_face_data.csv``, plain or compressed) and
the Kaggle class folders, whose test part merges PublicTest and PrivateTest unless the file names tell.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ferlib.data import cache, folders, pixelcsv, splits
from ferlib.data.dataset import FaceDataset
from ferlib.errors import DataError

CLASSES = (
    "angry",
    "disgust",
    "fear",
    "happy",
    "sad",
    "surprise",
    "neutral",
)  # the order of the CSV's numbers
TABLES = (
    *(stem + suffix for stem in ("fer2013.csv", "icml_face_data.csv") for suffix in pixelcsv.SUFFIXES),
    "fer2013.zip",
    "fer2013.tar.gz",
)
PROTOCOLS = ("official", "merged")
# Counts of the Kaggle release (fer2013.csv, grouped by Usage and emotion).
PUBLISHED = {
    "train": dict(zip(CLASSES, (3995, 436, 4097, 7215, 4830, 3171, 4965), strict=True)),
    "val": dict(zip(CLASSES, (467, 56, 496, 895, 653, 415, 607), strict=True)),
    "test": dict(zip(CLASSES, (491, 55, 528, 879, 594, 416, 626), strict=True)),
}
TREE = """\
DIR/fer2013/fer2013.csv              (or .gz .bz2 .xz .zip; or icml_face_data.csv)
or
DIR/fer2013/train/<class>/*.jpg      <class>: angry disgust fear happy neutral sad surprise
DIR/fer2013/test/<class>/*.jpg"""
HOW = (
    "Accept the rules of the Kaggle challenge and download fer2013.csv or icml_face_data.csv: "
    "https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-recognition-challenge/data"
)
_PREFIXES = {"PublicTest": "val", "PrivateTest": "test"}


def load(root: Path, *, protocol: str = "official", split_seed: int = 0) -> FaceDataset:
    """FER2013 from ``root/fer2013`` or ``root``.

    Parameters
    ----------
    protocol : ``official``: train, val and test are Training, PublicTest and PrivateTest (28,709 / 3,589 /
        3,589). Class folders without those words in their file names cannot tell the two test parts apart:
        they give train and 7,178 test images as released, no val, and ``meta['protocol']`` says so.
        ``merged``: test is PublicTest and PrivateTest together (7,178), val a stratified tenth of train.
    split_seed : fixes that tenth.

    Returns
    -------
    FaceDataset with images (35887, 48, 48). Rows of a table keep their order and are called ``fer0000000``,
    ``fer0000001``, ...; files of class folders are in the order of their names and called by their path.

    Raises
    ------
    DataError : nothing there, or a file or row that is not what it should be.
    """
    if protocol not in PROTOCOLS:
        raise DataError(f"fer2013 has no protocol {protocol!r}: choose one of {', '.join(PROTOCOLS)}")
    found = find(root)
    if found is None:
        raise DataError(
            f"no FER2013 in {root}: put fer2013.csv into {root / 'fer2013'} ('ferlib data check fer2013')"
        )
    layout, source = found
    dataset = table(root) if layout == "csv" else _folders(root, source)
    if protocol == "official":
        return dataset
    split = np.where(dataset.split == "train", "train", "test")
    split = splits.with_validation(split, dataset.labels, split_seed)
    return dataset.with_split(split, protocol="merged", split_seed=split_seed)


def find(root: Path) -> tuple[str, Path] | None:
    """Layout (``csv`` or ``folders``) and where it is, or None."""
    for folder in folders.places(root, "fer2013", "FER2013"):
        for name in TABLES:
            if (folder / name).is_file():
                return "csv", folder / name
        if (folder / "train").is_dir() and (folder != root or _has_class(folder / "train")):
            return "folders", folder
    return None


def table(root: Path) -> FaceDataset:
    """FER2013 from a table, rows in their order: the votes of FERPlus are joined to these by row."""
    found = find(root)
    if found is None or found[0] != "csv":
        raise DataError(
            f"no fer2013.csv in {root}: class folders are not enough here, they lose the order of rows"
        )
    source = found[1]
    return cache.cached("fer2013", source, [source], lambda: _parse(root, source))


def published(dataset: FaceDataset) -> dict[str, dict[str, int]]:
    """Published counts for the dataset's protocol."""
    if len(dataset.where("val")) and dataset.meta["protocol"] == "official":
        return PUBLISHED
    both = {c: PUBLISHED["val"][c] + PUBLISHED["test"][c] for c in CLASSES}
    return {"train": PUBLISHED["train"], "test": both}


def _parse(root: Path, source: Path) -> FaceDataset:
    rows = pixelcsv.read(source, len(CLASSES))
    return FaceDataset(
        name="fer2013",
        images=rows.images,
        labels=rows.labels,
        classes=CLASSES,
        split=rows.split,
        ids=np.array([f"fer{i:07d}" for i in range(len(rows.labels))]),
        meta={"layout": "csv", "source": source.relative_to(root).as_posix(), "protocol": "official"},
    )


def _has_class(folder: Path) -> bool:
    names = {folders.plain(name) for name in CLASSES}
    return any(folders.plain(sub.name) in names for sub in folders.subfolders(folder))


def _folders(root: Path, base: Path) -> FaceDataset:
    names = {folders.plain(c): i for i, c in enumerate(CLASSES)}
    if not (base / "test").is_dir():
        raise DataError(f"{base} has train/ but no test/: complete the copy")
    train, test = (folders.labelled_files(base / part, names) for part in ("train", "test"))
    files = [file for file, _ in train + test]
    test_split = _recover([file for file, _ in test])

    def build() -> FaceDataset:
        images, modes = folders.read(files, (pixelcsv.SIDE, pixelcsv.SIDE), base)
        return FaceDataset(
            name="fer2013",
            images=images,
            labels=np.array([label for _, label in train + test], np.int64),
            classes=CLASSES,
            split=np.array(["train"] * len(train) + test_split),
            ids=np.array([file.relative_to(base).as_posix() for file in files]),
            meta={
                "layout": "folders",
                "source": base.relative_to(root).as_posix(),
                "protocol": "official"
                if "val" in test_split
                else "as released: PublicTest and PrivateTest merged",
                "modes": modes,
            },
        )

    return cache.cached("fer2013", base, files, build, layout="folders")


def _recover(test: list[Path]) -> list[str]:
    """The split of each test file from ``PublicTest_`` or ``PrivateTest_`` in its name; without, test."""
    split = [_PREFIXES.get(file.name.partition("_")[0], "") for file in test]
    if not any(split):
        return ["test"] * len(test)
    for file, part in zip(test, split, strict=True):
        if not part:
            raise DataError(
                f"{file} lies among PublicTest_ and PrivateTest_ files but is neither: remove or rename it"
            )
    return split
