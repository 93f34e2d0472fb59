"""What a notebook runs itself: its parameters, the faces that it shows, its demonstration or its whole rows."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ferlib import checkpoint, records
from ferlib.chapters import listed, say
from ferlib.data import FaceDataset, fer2013, find_root, is_there, load
from ferlib.errors import FerlibError, RecordError
from ferlib.experiments import EXPERIMENTS, Experiment, quick
from ferlib.wording import DATASETS

TYPES = {"profile": (str,), "seed": (int,), "retrain": (bool,), "device": (str,), "results_dir": (str,)}


def parameters(**given: Any) -> None:
    """Check the parameters of a notebook, by name.

    papermill turns ``True`` and numbers into what they are; anything else it leaves as text. Raises FerlibError.
    """
    for name, value in given.items():
        wanted = TYPES[name]
        if type(value) not in wanted:
            raise FerlibError(f"{name} must be {wanted[0].__name__}, not {value!r}: see the parameters cell")
    if given.get("profile", "quick") not in ("quick", "full"):
        raise FerlibError(f"profile must be 'quick' or 'full', not {given['profile']!r}")


def begin(
    profile: str, data_root: str | None, device: str, seed: int, retrain: bool, results_dir: str
) -> tuple[str | None, str]:
    """Check a notebook's parameters, and work in the repository's root, also where it was opened in its own folder.

    Relative folders then mean the same in JupyterLab as with papermill. Returns ``data_root`` and ``results_dir``; one
    that exists as seen from the folder that is left becomes absolute. Raises FerlibError as `parameters` does.
    """
    parameters(profile=profile, device=device, seed=seed, retrain=retrain, results_dir=results_dir)
    root = Path.cwd().parent
    if Path.cwd().name != "notebooks" or not (root / "_toc.yml").is_file():
        return data_root, results_dir
    results = os.path.abspath(results_dir) if Path(results_dir).is_dir() else results_dir
    data = os.path.abspath(data_root) if data_root and Path(data_root).is_dir() else data_root
    os.chdir(root)
    return data, results


@dataclass(frozen=True)
class Shown:
    """The rows of a chapter's demonstration, the data they are shown on, its folder (None: drawn)."""

    rows: tuple[Experiment, ...]
    data: FaceDataset
    root: str | None


def faces(choices: Sequence[Sequence[Experiment]], data_root: str | None) -> Shown:
    """The first of ``choices`` (rows of one dataset each) whose dataset the folder holds, with that dataset.

    Drawn faces for the first choice without a folder, and, with a word about it, where the folder holds none.
    """
    if data_root is not None:
        for rows in choices:
            if is_there(rows[0].dataset, data_root):
                data = load(rows[0].dataset, data_root, **rows[-1].dataset_options)
                return Shown(tuple(rows), data, data_root)
        wanted = [DATASETS[rows[0].dataset] for rows in choices]
        none = f"no {wanted[0]}" if len(wanted) == 1 else f"none of {listed(wanted)}"
        say(f"The data folder holds {none}: drawn faces stand in here.")
    from ferlib import train

    rows = tuple(choices[0])
    return Shown(rows, train.load_data(quick(rows[-1])), None)


def run(
    rows: Sequence[Experiment],
    *,
    profile: str,
    data_root: str | None,
    device: str,
    seed: int,
    retrain: bool,
    results_dir: str,
    demo: Shown | None = None,
    changes: Mapping[str, Any] | None = None,
) -> dict[str, dict[str, Any]]:
    """The chapter's own run of ``rows``.

    ``profile='full'`` trains each row that has no full record of ``seed`` into ``results_dir``, with checkpoints
    and weights in ``runs`` beside it, says of each row what was done, and returns nothing to show. ``retrain``
    trains all of them again; one that was stopped goes on. ``'quick'`` trains a demonstration of each (of those of
    ``demo``, where given), on drawn faces or on a part of the reader's own, apart from the results; returns its
    records by name. ``changes`` are entries of the rows that the demonstration has otherwise than `quick`.
    """
    from ferlib import train

    results = Path(results_dir)
    settings = train.Settings(
        device=device, results=results, runs=results.with_name("runs"), data_root=data_root
    )
    if profile == "full":
        for row in (as_held(row, data_root) for row in rows):
            if not retrain and records.state_of(results, row.id, seed) == "full":
                say(kept(row, seed, results, data_root))
                continue
            again = retrain and checkpoint.finished(checkpoint.folder_of(settings.runs, row.id, seed))
            path = train.run(row, seed, replace(settings, restart=again))
            say(f"`{row.id}`, seed {seed}: trained, {path}.")
        return {}
    if demo is not None:
        rows, data_root = demo.rows, demo.root
    folder = Path("_build/runs/quick")
    settings = replace(settings, results=folder / "records", runs=folder, data_root=data_root, restart=True)
    shown = {}
    for original in rows:
        small = replace(quick(original, real=data_root is not None), **(changes or {}))
        # a demonstration is no evidence: a shorter one may take the place of an older, longer one
        records.path_of(settings.results, small.id, seed).unlink(missing_ok=True)
        part = records.read(train.run(small, seed, settings, original=original))["reproducible"]
        shown[f"{original.row} ({part['data']['name']}, {part['profile']})"] = part
    return shown


def kept(row: Experiment, seed: int, results: Path, data_root: str | None) -> str:
    """What is said of a row that is not trained because it has a full record: whether that is of the reader's data."""
    from ferlib import train

    path = records.path_of(results, row.id, seed)
    told = f"`{row.id}`, seed {seed}: kept, {path} holds a full record"
    if data_root is None:
        return f"{told}."
    try:
        own = train.load_data(row, data_root).fingerprint
        same = own == records.read(path)["reproducible"]["data"]["fingerprint"]
    except (FerlibError, RecordError) as error:
        return f"{told}; it was not compared with your data ({error})."
    if same:
        return f"{told} on the same images as yours."
    return f"{told} **of other images than yours**. Another `results_dir` trains on yours."


def as_held(row: Experiment, data_root: str | None) -> Experiment:
    """The row; where FER2013 is held as class folders, which merge its test parts, the row for these if it exists."""
    merged = EXPERIMENTS.get(f"{row.id}-merged")
    if merged is None:
        return row
    found = fer2013.find(find_root(data_root))
    return merged if found and found[0] == "folders" else row
