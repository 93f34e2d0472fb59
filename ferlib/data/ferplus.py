"""FERPlus: ten annotators' votes for each face of FER2013.

Barsoum et al., "Training deep networks for facial expression recognition with crowd-sourced label
distribution", ICMI 2016, https://github.com/microsoft/FERPlus. The votes (``fer2013new.csv``) carry no
pixels: they are joined, row by row, with ``fer2013.csv``. The repository's ``generate_training_data.py``
writes the other layout: ``FER2013Train|Valid|Test`` with PNG files and ``label.csv``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ferlib.data import cache, fer2013, folders, pixelcsv
from ferlib.data.dataset import FaceDataset
from ferlib.data.ferplus_votes import CLASSES, label_file, targets, unique, votes_file
from ferlib.errors import DataError

RULES = ("majority", "argmax", "distribution")
FOLDERS = {"FER2013Train": "train", "FER2013Valid": "val", "FER2013Test": "test"}
# The official rule on the official votes: 25,060 / 3,199 / 3,153. Train: also Table 2 of Nan et al. 2022.
PUBLISHED = {
    "train": dict(zip(CLASSES, (8740, 7287, 3149, 3014, 2100, 119, 532, 119), strict=True)),
    "val": dict(zip(CLASSES, (1182, 865, 415, 351, 287, 24, 62, 13), strict=True)),
    "test": dict(zip(CLASSES, (1090, 893, 396, 384, 273, 18, 83, 16), strict=True)),
}
TREE = """\
DIR/ferplus/fer2013new.csv           beside  DIR/fer2013/fer2013.csv
or
DIR/ferplus/FER2013Train/*.png, label.csv
DIR/ferplus/FER2013Valid/*.png, label.csv
DIR/ferplus/FER2013Test/*.png, label.csv"""
HOW = (
    "The votes are free (MIT licence): ferlib data fetch ferplus. The pixels are those of FER2013: "
    + fer2013.HOW
)


def load(root: Path, *, rule: str = "majority", classes: int = 8) -> FaceDataset:
    """FERPlus from ``root/ferplus`` or ``root``; pixels from ``root/fer2013`` where the layout has none.

    Parameters
    ----------
    rule : how ten votes become a label; images without one are dropped.
        ``majority``, the official rule: single votes are dropped as outliers, the class with the most votes
        must have more than half of what remains, unknown and non-face are dropped (25,060 / 3,199 / 3,153).
        ``argmax``: the most votes of all ten columns, the first one in a tie; unknown and non-face are
        dropped (28,389 / 3,553 / 3,546).
        ``distribution``, the official code's mode "probability": single votes are dropped, the up to three
        strongest classes that make up three quarters of the votes are kept, and scaled to sum 1.
    classes : 8, or 7 without contempt (images labelled contempt are dropped after the rule).

    Returns
    -------
    FaceDataset, images (N, 48, 48), in the order of the votes file. ``votes`` (N, classes) holds the
    annotators' counts, under ``distribution`` the distribution. ``ids`` are FERPlus's image names, whose
    numbers are not row numbers of FER2013; those are in ``extras['row']`` where the layout knows them.

    Raises
    ------
    DataError : nothing there; votes and pixels that do not belong together; a bad row.
    """
    if rule not in RULES:
        raise DataError(f"ferplus has no rule {rule!r}: choose one of {', '.join(RULES)}")
    if classes not in (7, 8):
        raise DataError(f"ferplus has 8 classes, or 7 without contempt, not {classes!r}")
    found = find(root)
    if found is None:
        raise DataError(
            f"no FERPlus in {root}: run 'ferlib data fetch ferplus' ('ferlib data check ferplus' says more)"
        )
    layout, source = found
    everything = _joined(root, source) if layout == "votes" else _generated(root, source)
    return _labelled(everything, rule, classes)


def find(root: Path) -> tuple[str, Path] | None:
    """Layout (``votes`` or ``folders``) and where it is, or None."""
    for folder in folders.places(root, "ferplus", "FERPlus", "fer2013"):
        if (folder / "fer2013new.csv").is_file():
            return "votes", folder / "fer2013new.csv"
        for base in (folder, folder / "data"):
            if any((base / name).is_dir() for name in FOLDERS):
                return "folders", base
    return None


def has_pixels(root: Path) -> bool:
    """Whether there are images, too: beside the votes it takes FER2013's table, whose rows they belong to."""
    layout, _ = find(root) or ("", None)
    table = fer2013.find(root)
    return layout == "folders" or (layout == "votes" and table is not None and table[0] == "csv")


def published(dataset: FaceDataset) -> dict[str, dict[str, int]]:
    """Published counts, known for the official rule only."""
    if dataset.meta["rule"] != "majority":
        return {}
    return {split: {c: counts[c] for c in dataset.classes} for split, counts in PUBLISHED.items()}


def _labelled(everything: FaceDataset, rule: str, classes: int) -> FaceDataset:
    """Apply the rule to a dataset whose ``extras['all_votes']`` holds all ten columns."""
    counts = everything.extras["all_votes"]
    weights = targets(counts, rule)
    labels = weights.argmax(axis=1)
    kept = np.flatnonzero((weights.max(axis=1) > 0) & (labels < classes))
    votes = (weights if rule == "distribution" else counts)[kept, :classes].astype(np.float32)
    if rule == "distribution":
        votes /= votes.sum(axis=1, keepdims=True)  # contempt's share may have gone
    chosen = everything.take(kept)
    return FaceDataset(
        name="ferplus",
        images=chosen.images,
        labels=labels[kept].astype(np.int64),
        classes=CLASSES[:classes],
        split=chosen.split,
        ids=chosen.ids,
        votes=votes,
        extras={key: values for key, values in chosen.extras.items() if key != "all_votes"},
        meta={**everything.meta, "rule": rule},
    )


def _joined(root: Path, source: Path) -> FaceDataset:
    """Votes with the pixels of FER2013, by row; all rows, not yet labelled."""
    faces = fer2013.table(root)
    usage, names, votes = votes_file(source)
    if len(usage) != len(faces):
        raise DataError(
            f"{source.name} has {len(usage)} rows for the {len(faces)} rows of FER2013: they must match"
        )
    differ = np.flatnonzero(usage != faces.split)
    if len(differ):
        at = pixelcsv.place(source, int(differ[0]) + 2)
        raise DataError(f"{at} has another Usage than that row of FER2013: one of the two files is reordered")
    return FaceDataset(
        name="ferplus",
        images=faces.images,
        labels=np.zeros(len(faces), np.int64),
        classes=CLASSES,
        split=faces.split,
        ids=names,
        extras={"all_votes": votes, "row": np.arange(len(faces))},
        meta={
            **faces.meta,
            "layout": "votes",
            "source": source.relative_to(root).as_posix(),
            "pixels": faces.meta["source"],
        },
    )


def _generated(root: Path, base: Path) -> FaceDataset:
    """The folders that generate_training_data.py writes; all images, not yet labelled."""
    lists = [base / folder / "label.csv" for folder in FOLDERS]
    files, split, votes = _listed(lists)

    def build() -> FaceDataset:
        images, modes = folders.read(files, (pixelcsv.SIDE, pixelcsv.SIDE), base)
        return FaceDataset(
            name="ferplus",
            images=images,
            labels=np.zeros(len(files), np.int64),
            classes=CLASSES,
            split=np.array(split),
            ids=unique([file.name for file in files]),
            extras={"all_votes": np.array(votes, np.int64)},
            meta={
                "layout": "folders",
                "source": base.relative_to(root).as_posix(),
                "protocol": "official",
                "modes": modes,
            },
        )

    return cache.cached("ferplus", base, [*lists, *files], build)


def _listed(lists: list[Path]) -> tuple[list[Path], list[str], list[list[int]]]:
    """File, split and votes of every line of the label files."""
    files, split, votes = [], [], []
    for path in lists:
        if not path.is_file():
            raise DataError(f"{path} is missing: complete the copy")
        for name, counts in label_file(path):
            if not (path.parent / name).is_file():
                raise DataError(
                    f"{path.parent / name} is missing though label.csv names it: complete the copy"
                )
            files.append(path.parent / name)
            split.append(FOLDERS[path.parent.name])
            votes.append(counts)
    return files, split, votes
