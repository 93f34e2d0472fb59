"""CK+, the Extended Cohn-Kanade dataset: posed expressions filmed from neutral to peak.

Lucey et al., "The Extended Cohn-Kanade Dataset (CK+): A complete dataset for action unit and
emotion-specified expression", CVPR Workshops 2010. 327 of its 593 sequences (118 of 123 subjects) have an
emotion label. Layouts: CK+48 (the last three frames of each labelled sequence, cropped to 48 x 48, in class
folders), the original distribution, and ``ckextended.csv`` (peak frames, neutral first frames, no subjects).
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from ferlib.data import cache, ckplus_original, folders, pixelcsv, splits
from ferlib.data.dataset import FaceDataset
from ferlib.errors import DataError

CLASSES = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")  # the labels 1..7 of CK+
PROTOCOLS = ("frames", "subjects", "usage")
TABLES = tuple("ckextended.csv" + suffix for suffix in pixelcsv.SUFFIXES)
_TABLE_ORDER = ("anger", "disgust", "fear", "happy", "sadness", "surprise", "neutral", "contempt")
# Labelled sequences per class: Table 3 of Lucey et al. CK+48 has three frames of each: 981. ckextended.csv
# has one, and the first frame of all 593 sequences as neutral: 920.
SEQUENCES = dict(zip(CLASSES, (45, 18, 59, 25, 69, 28, 83), strict=True))
SUBJECTS = 118
NEUTRAL = {"csv": 593, "original": 327, "CK+48": 0}
TREE = """\
DIR/ckplus/CK+48/<class>/S010_004_00000017.png     <class>: anger contempt disgust fear happy sadness surprise
or
DIR/ckplus/cohn-kanade-images/S010/004/S010_004_00000017.png
DIR/ckplus/Emotion/S010/004/S010_004_00000019_emotion.txt
DIR/ckplus/Landmarks/S010/004/S010_004_00000017_landmarks.txt   (optional: crops to the face)
or
DIR/ckplus/ckextended.csv"""
HOW = "CK+ is given to researchers on a signed form: http://www.jeffcohn.net/Resources/"
# Chen & Chen, section 3.1: flips and rotations by 5 up to 10 degrees are said to make 15 images of one
FLIPS = {"none": (), "horizontal": (2,), "vertical": (1,)}  # axes of (N, H, W)
ANGLES = (-10, -5, 0, 5, 10)
EXPANSIONS = (None, "before", "after")
_FRAME = re.compile(r"(S\d{3})_(\d{3})_(\d{8})")


def load(
    root: Path,
    *,
    protocol: str = "frames",
    test_fraction: float = 0.2,
    folds: int = 5,
    fold: int = 0,
    split_seed: int = 0,
    neutral: bool = False,
    contempt: bool = True,
    expansion: str | None = None,
) -> FaceDataset:
    """CK+ from ``root/ckplus`` or ``root``.

    Parameters
    ----------
    protocol : ``frames``: a stratified ``test_fraction`` of the frames, drawn frame by frame, is test, a
        tenth of the rest val. Frames of one sequence fall on both sides: it is what most papers do.
        ``subjects``: test is fold number ``fold`` of ``folds`` (StratifiedGroupKFold by subject), val a tenth
        of the other subjects' frames by subject. ``usage``: the Usage column of ckextended.csv.
    split_seed : fixes every draw.
    neutral : also the neutral faces, as an eighth class: the first frame of each labelled sequence in the
        original distribution, those of all sequences in ckextended.csv. CK+48 has none.
    contempt : False leaves its faces out, and the class: labels of the classes behind it are one lower.
    expansion : ``before`` the split or ``after`` it each image becomes 15, see `expanded`. Before it, by
        frame, copies of one image fall on both sides; after it each part is expanded on its own.

    Returns
    -------
    FaceDataset, images (N, 48, 48), in the order of ``ids`` (S010_004_00000017: subject, sequence, frame;
    expanded S010_004_00000017/vertical-05: also flip and rotation).
    ``subjects`` and ``extras['sequence']``, ``extras['frame']`` where the layout knows them. Frames of the
    original distribution are cropped as ``ferlib.data.ckplus_original`` says.

    Raises
    ------
    DataError : nothing there, a bad file or row, subjects asked for where they are unknown.
    """
    if protocol not in PROTOCOLS:
        raise DataError(f"ckplus has no protocol {protocol!r}: choose one of {', '.join(PROTOCOLS)}")
    if expansion not in EXPANSIONS:
        raise DataError(f"ckplus has no expansion {expansion!r}: choose before or after the split")
    found = find(root)
    if found is None:
        raise DataError(
            f"no CK+ in {root}: put CK+48/ into {root / 'ckplus'} ('ferlib data check ckplus' says more)"
        )
    layout, source = found
    if neutral and not NEUTRAL[layout]:
        raise DataError(f"{source} has no neutral faces: use the original distribution or ckextended.csv")
    readers = {"CK+48": _class_folders, "original": _original, "csv": _table}
    dataset = readers[layout](root, source, (*CLASSES, "neutral") if neutral else CLASSES)
    dataset = dataset if contempt else without(dataset, "contempt")
    dataset = expanded(dataset) if expansion == "before" else dataset
    if protocol == "frames":
        dataset = by_frame(dataset, test_fraction, split_seed)
    elif protocol == "subjects":
        dataset = by_subject(dataset, folds, fold, split_seed)
    elif layout != "csv":
        raise DataError(f"{source} has no Usage column: choose protocol frames or subjects")
    else:
        dataset = dataset.with_split(dataset.split, protocol="usage")
    return expanded(dataset) if expansion == "after" else dataset


def find(root: Path) -> tuple[str, Path] | None:
    """Layout (``CK+48``, ``original`` or ``csv``) and where it is, or None."""
    for folder in folders.places(root, "ckplus", "CK+", "CKPlus"):
        if (folder / "CK+48").is_dir():
            return "CK+48", folder / "CK+48"
        if ckplus_original.images_folder(folder):
            return "original", folder
        for name in TABLES:
            if (folder / name).is_file():
                return "csv", folder / name
        if folder != root and any((folder / name).is_dir() for name in CLASSES):
            return "CK+48", folder
    return None


def published(dataset: FaceDataset) -> dict[str, dict[str, int]]:
    """Published counts: of all images, since the dataset has no split of its own."""
    layout = dataset.meta["layout"]
    frames = 1 if layout == "csv" else ckplus_original.FRAMES
    states = len(FLIPS) * len(ANGLES) if "state" in dataset.extras else 1
    counts = {c: frames * n for c, n in SEQUENCES.items()} | {"neutral": NEUTRAL[layout]}
    return {"all": {c: states * counts[c] for c in dataset.classes}}


def extra_counts(dataset: FaceDataset) -> dict[str, tuple[int, int]]:
    """Subjects and sequences: found and published, where the layout tells them."""
    if dataset.subjects is None:
        return {}
    published = sum(n for c, n in SEQUENCES.items() if c in dataset.classes)
    counts = {"sequences": (len(np.unique(dataset.extras["sequence"])), published)}
    if "contempt" not in dataset.classes:  # how many subjects show the other six is not published
        return counts
    return {"subjects": (len(np.unique(dataset.subjects)), SUBJECTS), **counts}


def by_frame(dataset: FaceDataset, test_fraction: float, split_seed: int) -> FaceDataset:
    """Split frame by frame: a stratified ``test_fraction`` is test, a tenth of the rest val."""
    test = splits.portion(dataset.labels, test_fraction, split_seed, "test")
    split = splits.with_validation(np.where(test, "test", "train"), dataset.labels, split_seed)
    return dataset.with_split(split, protocol="frames", test_fraction=test_fraction, split_seed=split_seed)


def by_subject(dataset: FaceDataset, folds: int, fold: int, split_seed: int) -> FaceDataset:
    """Split by subject: one of ``folds`` stratified folds is test, a tenth of the rest val."""
    if dataset.subjects is None:
        raise DataError(f"{dataset.meta['source']} does not tell who is shown: protocol subjects needs CK+48")
    test = splits.fold_of(dataset.labels, dataset.subjects, folds, fold, split_seed, "test")
    split = np.where(test, "test", "train")
    split = splits.with_validation(split, dataset.labels, split_seed, dataset.subjects)
    return dataset.with_split(split, protocol="subjects", folds=folds, fold=fold, split_seed=split_seed)


def without(dataset: FaceDataset, name: str) -> FaceDataset:
    """The dataset without the class ``name``; labels of the classes behind it are one lower."""
    left_out = dataset.classes.index(name)
    kept = dataset.take(dataset.labels != left_out)
    classes = tuple(c for c in dataset.classes if c != name)
    return replace(kept, labels=kept.labels - (kept.labels > left_out), classes=classes)


def expanded(dataset: FaceDataset) -> FaceDataset:
    """Every image in the 15 states of ``FLIPS`` and ``ANGLES`` (flipped, then turned counter-clockwise), in turn.

    The pixels are those of `ferlib.augment`, rounded; ``extras['state']`` names the state, such as ``none+00``.
    """
    import torch

    from ferlib.augment import rotation_matrix, warp

    states = [(flip, angle) for flip in FLIPS for angle in ANGLES]
    n, side = len(dataset), dataset.images.shape[1]
    images = np.empty((n, len(states), *dataset.images.shape[1:]), np.uint8)
    for k, (flip, angle) in enumerate(states):
        x = torch.from_numpy(np.flip(dataset.images, FLIPS[flip]).copy())[:, None].float()
        turned = warp(x, rotation_matrix(torch.full((n,), float(angle)), side, side), affine=True)
        images[:, k] = turned[:, 0].round().numpy()
    one_each = dataset.take(np.repeat(np.arange(n), len(states)))
    state = np.tile([f"{flip}{angle:+03d}" for flip, angle in states], n)
    return replace(
        one_each,
        images=images.reshape(-1, *dataset.images.shape[1:]),
        ids=np.array([f"{name}/{how}" for name, how in zip(one_each.ids, state, strict=True)]),
        extras={**one_each.extras, "state": state},
    )


def _class_folders(root: Path, base: Path, classes: tuple[str, ...]) -> FaceDataset:
    names = {folders.plain(name): i for i, name in enumerate(classes)}
    found = folders.labelled_files(base, names)
    return _frames(root, base, "CK+48", classes, sorted(found, key=lambda item: item[0].stem))


def _original(root: Path, base: Path, classes: tuple[str, ...]) -> FaceDataset:
    found = ckplus_original.labelled_frames(base, neutral=len(CLASSES) if "neutral" in classes else None)
    return _frames(root, base, "original", classes, sorted(found, key=lambda item: item[0].stem))


def _frames(
    root: Path, base: Path, layout: str, classes: tuple[str, ...], found: list[tuple[Path, int]]
) -> FaceDataset:
    """Read frames whose file names tell subject, sequence and frame; not yet split."""
    files = [file for file, _ in found]
    parts = _frame_names(files)
    crop = ckplus_original.cropper(base) if layout == "original" else None

    def build() -> FaceDataset:
        images, modes = folders.read(
            files, (pixelcsv.SIDE, pixelcsv.SIDE), base, crop.apply if crop else None
        )
        return FaceDataset(
            name="ckplus",
            images=images,
            labels=np.array([label for _, label in found], np.int64),
            classes=classes,
            split=np.full(len(files), "train"),
            ids=np.array([file.stem for file in files]),
            subjects=np.array([subject for subject, _, _ in parts]),
            extras={
                "sequence": np.array([f"{subject}_{sequence}" for subject, sequence, _ in parts]),
                "frame": np.array([int(frame) for _, _, frame in parts]),
            },
            meta={"layout": layout, "source": base.relative_to(root).as_posix(), "modes": modes}
            | ({"crop": crop.name} if crop else {}),
        )

    marks = crop.files(files) if crop else []
    return cache.cached("ckplus", base, [*files, *marks], build, labels=[label for _, label in found])


def _frame_names(files: list[Path]) -> list[tuple[str, str, str]]:
    """Subject, sequence and frame of each file; files are in the order of their names."""
    for before, file in pairwise(files):
        if before.stem == file.stem:
            raise DataError(f"{before} and {file} are the same frame: remove one")
    parts = []
    for file in files:
        match = _FRAME.fullmatch(file.stem)
        if not match:
            raise DataError(f"{file} is not named like S010_004_00000017.png: its subject is unknown")
        parts.append((match[1], match[2], match[3]))
    return parts


def _table(root: Path, source: Path, classes: tuple[str, ...]) -> FaceDataset:
    def build() -> FaceDataset:
        rows = pixelcsv.read(source, len(_TABLE_ORDER))
        number = {_TABLE_ORDER.index(name): i for i, name in enumerate(classes)}
        kept = np.flatnonzero(np.isin(rows.labels, list(number)))
        return FaceDataset(
            name="ckplus",
            images=rows.images[kept],
            labels=np.array([number[label] for label in rows.labels[kept]], np.int64),
            classes=classes,
            split=rows.split[kept],
            ids=np.array([f"row{i:04d}" for i in kept]),
            meta={"layout": "csv", "source": source.relative_to(root).as_posix()},
        )

    return cache.cached("ckplus", source, [source], build, classes=classes)
