"""The audit of the datasets as evidence: ``results/audit.json`` and its class-mean faces, ``results/audit.npz``.

`measure` counts images, copies and people, compares labels, and asks what accuracy labels and splits alone allow. What
it returns holds sums over many images only, so that a book can show it where the data are not: no image, no name of an
image, and mean faces of classes with at least `PEOPLE` people.
"""

from __future__ import annotations

import datetime
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from ferlib import __version__, records
from ferlib.data import audit_labels, audit_leaks, ckplus, fer2013, ferplus, find_root, load
from ferlib.data.audit_labels import share
from ferlib.data.dataset import FaceDataset
from ferlib.data.duplicates import count, identical, seen_in_training
from ferlib.errors import FerlibError, RecordError
from ferlib.evaluate import wilson
from ferlib.maps import shrink
from ferlib.outcome import commit

SCHEMA = 1
FILE = "audit.json"
NAMES = ("fer2013", "ferplus", "ckplus")  # what is measured, where it is there
RULES = {
    f"{rule}{classes}": {"rule": rule, "classes": classes} for rule in ferplus.RULES for classes in (8, 7)
}  # every way in which `ferlib.data.ferplus` makes labels, the official one first
PEOPLE = 10  # behind a mean face; where people are unknown, images
FACE = 48  # pixels a side of a mean face, at most
COMMAND = "ferlib data audit --root DATA"
Faces = dict[str, np.ndarray]  # "fer2013/happy" -> float16 (H, W), 0 black and 1 white


def measure(root: str | os.PathLike[str] | None = None) -> tuple[dict[str, Any], Faces, dict[str, Any]]:
    """What the files hold: what does not change from run to run, the mean faces, and what does.

    Of the three datasets those are measured that lie under ``root`` (None: ``FERLIB_DATA``). Raises DataError where
    one of them is damaged, FerlibError where none is there.
    """
    folder = find_root(root)
    loaders = dict(zip(NAMES, (fer2013, ferplus, ckplus), strict=True))
    # FERPlus's votes alone hold no pixels
    there = [n for n in NAMES if loaders[n].find(folder) and (n != "ferplus" or ferplus.has_pixels(folder))]
    if not there:
        raise FerlibError(f"nothing to measure in {folder}: see `ferlib data check`")
    measures = dict(zip(NAMES, (_fer2013, _ferplus, _ckplus), strict=True))
    found: dict[str, Any] = {"ferlib": __version__}
    faces: Faces = {}
    seconds: dict[str, float] = {}
    for name in there:
        began = time.perf_counter()
        found[name], more = measures[name](folder)
        faces |= more
        seconds[name] = round(time.perf_counter() - began, 1)
    began = time.perf_counter()
    rows = audit_labels.joined(folder) if {"fer2013", "ferplus"} <= set(there) else None
    if rows is not None:
        found["labels"] = audit_labels.measure(rows)
        seconds["labels"] = round(time.perf_counter() - began, 1)
    found["faces_sha256"] = records.arrays_sha256(faces)
    run = {"seconds": seconds, "finished": datetime.date.today().isoformat(), **commit()}
    return json.loads(records.canonical(found)), faces, run


# -- the datasets ---------------------------------------------------------------------------------------------------


def _fer2013(folder: Path) -> tuple[dict[str, Any], Faces]:
    data = load("fer2013", folder)
    merged = load("fer2013", folder, protocol="merged")
    facts = {
        **described(data),
        "copies": copies(data),
        "imbalance": imbalance(data),
        "merged": {"splits": splits(merged), "copies": copies(merged)},
    }
    return facts, mean_faces(data)


def _ferplus(folder: Path) -> tuple[dict[str, Any], Faces]:
    rules: dict[str, Any] = {}
    official = load("ferplus", folder)
    for name, options in RULES.items():
        data = official if name == next(iter(RULES)) else load("ferplus", folder, **options)
        files = {
            image.partition("#")[0] for image in data.ids
        }  # FERPlus gives some names twice, see `unique`
        facts = {"splits": splits(data), "total": len(data), "files": len(files), "copies": copies(data)}
        rules[name] = {**options, **facts}
    found = {**described(official), "imbalance": imbalance(official), "rules": rules}
    return found, mean_faces(official)


def _ckplus(folder: Path) -> tuple[dict[str, Any], Faces]:
    data = load("ckplus", folder)
    facts = {**described(data), "imbalance": imbalance(data)}
    del facts["splits"]  # it has none of its own
    if data.subjects is not None:
        sequence = data.extras["sequence"]
        facts |= {
            "subjects": len(np.unique(data.subjects)),
            "sequences": len(np.unique(sequence)),
            "subjects_of": people(data),
            "sequences_of": {
                c: len(np.unique(sequence[data.labels == k])) for k, c in enumerate(data.classes)
            },
            "leaks": audit_leaks.measure(data),
        }
    return facts, mean_faces(data)


def described(data: FaceDataset) -> dict[str, Any]:
    """Fingerprint, layout, and images by split and class and altogether, each with its ``total``."""
    images = data.counts()
    classes = {c: sum(counts[c] for counts in images.values()) for c in data.classes}
    twins = asdict(count(data))
    return {
        "fingerprint": data.fingerprint,
        "layout": data.meta["layout"],
        "side": data.images.shape[1],
        "channels": 1 if data.images.ndim == 3 else 3,
        "number_of_classes": len(data.classes),
        "splits": splits(data),
        "classes": classes,
        "total": len(data),
        "duplicates": twins | {"conflicts": dict(zip(("groups", "images"), twins["conflicts"], strict=True))},
    }


def splits(data: FaceDataset) -> dict[str, dict[str, int]]:
    """Images by split and class, and by split in ``total``."""
    return {split: {**counts, "total": sum(counts.values())} for split, counts in data.counts().items()}


def people(data: FaceDataset) -> dict[str, int]:
    """How many people, where they are known, or images a class has."""
    shown = np.arange(len(data)) if data.subjects is None else data.subjects
    return {c: len(np.unique(shown[data.labels == k])) for k, c in enumerate(data.classes)}


def copies(data: FaceDataset) -> dict[str, Any]:
    """Test images with a byte-identical copy in training: all, and by class; how many with another label only."""
    group = identical(data.images)
    seen = seen_in_training(data, group)
    test = data.split == "test"
    key = group * len(data.classes) + data.labels
    otherwise = seen & ~np.isin(key, key[data.split == "train"])
    return {
        "seen": share(seen[test]),
        "under_another_label_only": int(otherwise.sum()),
        "by_class": {c: share(seen[test & (data.labels == k)]) for k, c in enumerate(data.classes)},
    }


def imbalance(data: FaceDataset) -> dict[str, Any]:
    """What always answering the most frequent training class scores on the test images, and how uneven the classes are.

    Over all images where the dataset has no split of its own. ``effective``: the exponential of the entropy of the
    class shares, the number of equally frequent classes that are as uneven (Hill, "Diversity and evenness: a unifying
    notation and its consequences", Ecology 54, 1973, of order 1).
    """
    whole = data.name == "ckplus"
    train, test = (data.labels if whole else data.labels[data.split == part] for part in ("train", "test"))
    counts = np.bincount(train, minlength=len(data.classes))
    largest = int(counts.argmax())
    parts = counts[counts > 0] / counts.sum()
    return {
        "classes": len(data.classes),
        "most_frequent": data.classes[largest],
        "rarest": [c for c, n in zip(data.classes, counts, strict=True) if n == counts.min()],
        "ratio": float(counts.max() / max(counts.min(), 1)),
        "effective": float(np.exp(-np.sum(parts * np.log(parts)))),
        "majority": share(test == largest),
    }


def mean_faces(data: FaceDataset) -> Faces:
    """The mean image of each class that shows at least `PEOPLE` people, over all parts of the dataset.

    Of identical images one counts, and nobody who is known has a tenth of a mean or more.
    """
    once = data.take(np.unique(identical(data.images), return_index=True)[1])
    enough = people(once)
    found = {}
    for k, name in enumerate(data.classes):
        own = once.labels == k
        shown = np.arange(own.sum()) if once.subjects is None else once.subjects[own]
        if enough[name] >= PEOPLE and np.unique(shown, return_counts=True)[1].max() * PEOPLE <= own.sum():
            face = once.images[own].mean(axis=0, dtype=np.float64) / 255
            face = face if face.ndim == 2 else face.mean(axis=2)
            found[f"{data.name}/{name}"] = shrink(face[None], FACE)[0].astype(np.float16)
    return found


# -- the files ------------------------------------------------------------------------------------------------------


def write(results: Path | str, reproducible: Mapping[str, Any], faces: Faces, run: Mapping[str, Any]) -> Path:
    """Write ``<results>/audit.json`` and ``audit.npz``; returns the first one's path.

    Raises RecordError where nothing can be written, and instead of replacing an audit of datasets that this one lacks.
    """
    path = Path(results) / FILE
    if path.exists() and (lost := sorted(set(read(results)[0]["reproducible"]) - set(reproducible))):
        raise RecordError(
            f"{path}: also holds {', '.join(lost)} and is kept; write to another folder with --results"
        )
    record = records.seal(SCHEMA, reproducible, run, COMMAND)
    records.put(path.with_suffix(".npz"), lambda file: np.savez_compressed(file, **faces))  # type: ignore[arg-type]
    return records.put_json(path, record)


def read(results: Path | str) -> tuple[dict[str, Any], Faces]:
    """What `write` wrote; RecordError in one line where it is missing, damaged or of another schema."""
    path = Path(results) / FILE
    with records.reading(path, COMMAND, "not measured yet"):
        record = records.unseal(json.loads(path.read_text()), SCHEMA)
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as file:
            faces = dict(file)
        if records.arrays_sha256(faces) != record["reproducible"]["faces_sha256"]:
            raise ValueError(f"{path.with_suffix('.npz').name} does not belong to it")
    return record, faces


def at(record: Mapping[str, Any], path: str) -> Any:
    """What an audit holds at a dotted path, ``fer2013.splits.train.happy``; FerlibError where there is nothing."""
    try:
        return reduce(lambda part, key: part[key], path.split("."), record["reproducible"])
    except (KeyError, TypeError):
        raise FerlibError(
            f"the audit holds nothing at {path!r}; `ferlib data audit --json` shows it"
        ) from None


def summary(record: Mapping[str, Any]) -> str:
    """A line for each dataset, and what was found."""
    part = record["reproducible"]
    lines = []
    for name in NAMES:
        if name in part:
            lines.append(f"{name:8} {part[name]['total']:,} images, {len(part[name]['classes'])} classes")
    if "fer2013" in part:
        seen = part["fer2013"]["copies"]["seen"]
        lines.append(f"fer2013  {_percent(seen)} of the test images are in training, too")
    if "labels" in part:
        lines.append(
            f"labels   FER2013 agrees with the majority of FERPlus on {_percent(part['labels']['agreement']['all'])}"
        )
    if leaks := part.get("ckplus", {}).get("leaks"):
        near = {g: leaks["nearest"][g]["raw"] for g in ("frames", "subjects")}
        known, apart = (100 * near[g]["accuracy"] for g in near)
        lines.append(
            f"ckplus   nearest neighbour on pixels: {known:.1f} % split by frame, {apart:.1f} % by subject"
        )
    return "\n".join(lines)


def _percent(part: Mapping[str, Any]) -> str:
    if not part["n"]:
        return "none of 0"
    low, high = (100 * bound for bound in wilson(part["images"], part["n"]))
    return f"{100 * part['share']:.1f} % ({low:.1f}-{high:.1f})"
