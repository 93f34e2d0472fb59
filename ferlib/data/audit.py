"""The dataset doctor: what lies on disk, how it compares with what was published, what is wrong with it.

``check`` never changes anything. What makes results wrong is a *problem* (with the way to put it right);
what a reader of results should know, such as identical images on both sides of the official split, is a
*note*.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ferlib.data import find_root, load
from ferlib.data.dataset import SPLITS, FaceDataset
from ferlib.data.duplicates import Duplicates, count
from ferlib.errors import DataError

_FRESH = "the copy is incomplete or changed, get a fresh one"


@dataclass(frozen=True)
class Report:
    """What ``check`` found. ``counts`` and ``published``: split to class to number of images."""

    name: str
    root: str | None
    layout: str | None = None
    source: str | None = None
    protocol: str | None = None
    images: int = 0
    size: tuple[int, int] | None = None
    colour: str | None = None
    file_modes: dict[str, int] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    published: dict[str, dict[str, int]] = field(default_factory=dict)
    duplicates: Duplicates | None = None
    subjects: dict[str, int] = field(default_factory=dict)
    fingerprint: str | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    expected: str = ""
    how: str = ""

    @property
    def ok(self) -> bool:
        """No problems were found."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """The report as plain types, ready for JSON."""
        return {"ok": self.ok, **asdict(self)}

    def to_text(self) -> str:
        """The report as plain text for a terminal."""
        from ferlib.data.audit_text import text

        return text(self)


def check(name: str, root: str | os.PathLike[str] | None = None, **options: Any) -> Report:
    """Examine a dataset under ``root`` (None: ``FERLIB_DATA``); ``options`` as for ``ferlib.data.load``.

    A dataset that is missing or damaged gives a report with that problem. DataError is raised only where
    there is nothing to examine: an unknown name, no root.
    """
    folder = None if name == "synthetic" else find_root(root)
    try:
        dataset = load(name, folder, **options)
    except DataError as error:
        loader = _loader(name)
        if loader is None:
            raise
        found = getattr(loader, "find", lambda _: None)(folder)
        return Report(
            name=name,
            root=str(folder) if folder else None,
            layout=found[0] if found else None,
            source=_relative(found[1], folder) if found else None,
            problems=(str(error),),
            expected=getattr(loader, "TREE", ""),
            how=getattr(loader, "HOW", ""),
        )
    return examine(dataset, str(folder) if folder else None)


def examine(dataset: FaceDataset, root: str | None = None) -> Report:
    """The report on a dataset that is loaded."""
    loader = _loader(dataset.name)
    published = loader.published(dataset) if loader and hasattr(loader, "published") else {}
    twins = count(dataset)
    shared = subject_overlap(dataset)
    problems = _count_problems(dataset, published) + _extra_problems(dataset, loader)
    if dataset.meta.get("protocol") == "subjects" and any(shared[pair] for pair in shared if "/" in pair):
        problems.append("subjects are on both sides of a split that is by subject: report this as a fault")
    return Report(
        name=dataset.name,
        root=root,
        layout=dataset.meta.get("layout"),
        source=dataset.meta.get("source"),
        protocol=_protocol(dataset),
        images=len(dataset),
        size=(int(dataset.images.shape[2]), int(dataset.images.shape[1])),
        colour="RGB" if dataset.images.ndim == 4 else "grey",
        file_modes=dict(dataset.meta.get("modes", {})),
        classes=dataset.classes,
        counts=dataset.counts(),
        published=published,
        duplicates=twins,
        subjects=shared,
        fingerprint=dataset.fingerprint,
        problems=tuple(problems),
        notes=tuple(_notes(dataset, twins, shared)),
    )


def subject_overlap(dataset: FaceDataset) -> dict[str, int]:
    """``all``: how many subjects; ``train/test`` ...: how many of them are in both; empty if unknown."""
    if dataset.subjects is None:
        return {}
    who = {s: set(dataset.subjects[dataset.split == s]) for s in SPLITS if (dataset.split == s).any()}
    return {"all": len(np.unique(dataset.subjects))} | {
        f"{first}/{second}": len(who[first] & who[second]) for first, second in combinations(who, 2)
    }


def _loader(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(f"ferlib.data.{name}")
    except ModuleNotFoundError:
        return None


def _relative(path: Path, root: Path | None) -> str:
    return path.relative_to(root).as_posix() if root else str(path)


def _protocol(dataset: FaceDataset) -> str | None:
    """Protocol with its parameters, in one phrase."""
    if "protocol" not in dataset.meta:
        return None
    known = ("rule", "test_fraction", "folds", "fold", "split_seed")
    more = [f"{key} {dataset.meta[key]}" for key in known if key in dataset.meta]
    return ", ".join([dataset.meta["protocol"], *more])


def _count_problems(dataset: FaceDataset, published: dict[str, dict[str, int]]) -> list[str]:
    """Where counts differ from the published ones. A val that was set apart counts as train."""
    found = {split: dict.fromkeys(counts, 0) for split, counts in published.items()}
    for split, counts in dataset.counts().items():
        target = "all" if "all" in found else split if split in found else "train"
        for name, n in counts.items():
            if target in found:
                found[target][name] += n
    problems = []
    for split, counts in published.items():
        differ = [
            f"{c} {found[split][c]:,} instead of {n:,}" for c, n in counts.items() if found[split][c] != n
        ]
        if differ:
            total = f"{sum(found[split].values()):,} images instead of {sum(counts.values()):,}"
            part = "the dataset" if split == "all" else split
            problems.append(f"{part} has {total} ({', '.join(differ)}): {_FRESH}")
    return problems


def _extra_problems(dataset: FaceDataset, loader: ModuleType | None) -> list[str]:
    if loader is None or not hasattr(loader, "extra_counts"):
        return []
    return [
        f"{found:,} {what} instead of {wanted:,}: {_FRESH}"
        for what, (found, wanted) in loader.extra_counts(dataset).items()
        if found != wanted
    ]


def _notes(dataset: FaceDataset, twins: Duplicates, shared: dict[str, int]) -> list[str]:
    notes = []
    n_test = int((dataset.split == "test").sum())
    seen = twins.across.get("train/test", 0)
    if seen:
        against = twins.conflicts_across["train/test"]
        labels = f" ({against:,} of them only under another label)" if against else ""
        share = f"{seen:,} of {n_test:,} test images ({100 * seen / n_test:.1f} %)"
        notes.append(
            f"{share} have a byte-identical copy in train{labels}: report the test without them, too"
        )
    if shared.get("train/test"):
        notes.append(f"{shared['train/test']:,} subjects are in both train and test: see protocol='subjects'")
    if "sequence" in dataset.extras:
        sequence = dataset.extras["sequence"]
        sisters = int(np.isin(sequence[dataset.split == "test"], sequence[dataset.split == "train"]).sum())
        if sisters:
            notes.append(f"{sisters:,} of {n_test:,} test frames have a frame of the same sequence in train")
    pixels = dataset.images.reshape(len(dataset), -1)
    flat = np.flatnonzero(pixels.min(axis=1) == pixels.max(axis=1))
    if len(flat):
        notes.append(f"{len(flat):,} images are one flat tone, the first is {dataset.ids[flat[0]]}")
    if "val" not in dataset.counts():
        notes.append(
            f"there is no validation part: load {dataset.name} with protocol='merged' to set one apart"
        )
    return notes
