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
from ferlib.errors import FerlibError
from ferlib.experiments import EXPERIMENTS, Experiment, quick
from ferlib.wording import DATASETS

_opened_in: Path | None = None  # the notebook's own folder, where a kernel began in it
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
    global _opened_in
    here = _opened_in if _opened_in and Path.cwd() == _opened_in.parent else Path.cwd()
    if here.name != "notebooks" or not (here.parent / "_toc.yml").is_file():
        return data_root, results_dir
    os.chdir(here.parent)
    _opened_in = here  # for cells that are run again

    def seen(folder: str) -> str:
        return os.path.normpath(here / folder) if (here / folder).is_dir() else folder

    return data_root and seen(data_root), seen(results_dir)


def runs_beside(results_dir: str | Path) -> Path:
    """Where checkpoints and weights lie: ``runs`` beside ``results``, ``NAME-runs`` beside a folder of another name."""
    results = Path(results_dir)
    if results.name == "results":
        return results.with_name("runs")
    return results.absolute().with_name(f"{results.absolute().name}-runs")


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
        wanted = list(dict.fromkeys(DATASETS[rows[0].dataset] for rows in choices))
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

    ``profile='full'`` trains each row that is not `settled` for ``seed`` into ``results_dir``, with checkpoints and
    weights in `runs_beside` it, says of each row what was done, and returns nothing to show. ``retrain`` trains
    all of them again; one that was stopped goes on. ``'quick'`` trains a demonstration of each (of those of
    ``demo``, where given), on drawn faces or on a part of the reader's own, apart from the results; returns its
    records by name. ``changes`` are entries of the rows that the demonstration has otherwise than `quick`.
    """
    from ferlib import train

    results = Path(results_dir)
    settings = train.Settings(device=device, results=results, runs=runs_beside(results), data_root=data_root)
    if profile == "full":
        for row in (as_held(row, data_root) for row in rows):
            if not retrain and (told := settled(row, seed, results, data_root)):
                say(told)
                continue
            again = retrain and checkpoint.finished(checkpoint.folder_of(settings.runs, row.id, seed))
            try:
                path = train.run(row, seed, replace(settings, restart=again))
            except checkpoint.Unusable:
                if not retrain:
                    raise
                path = train.run(row, seed, replace(settings, restart=True))
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
        shown[f"{original.row} ({part['data']['name']}, demonstration)"] = part
    return shown


def settled(row: Experiment, seed: int, results: Path, data_root: str | None) -> str:
    """What is said of a row that needs no training: its record, and whether that is of the reader's data; else nothing.

    A full record will do, and one that is reduced by its data alone where these are the reader's.
    """
    from ferlib import train

    path = records.path_of(results, row.id, seed)
    state = records.state_of(results, row.id, seed)
    if state not in ("full", "reduced"):
        return ""
    part = records.read(path)["reproducible"]
    if state == "reduced" and not all(change.startswith("data: ") for change in part["changed"]):
        return ""
    told, why = f"`{row.id}`, seed {seed}: kept, {path} holds a {state} record", ""
    try:
        same = train.load_data(row, data_root).fingerprint == part["data"]["fingerprint"]
    except FerlibError as error:
        same, why = False, f"; it was not compared with your data ({error})"
    if state == "reduced" and not same:
        return ""
    if same:
        return f"{told} on the same images as yours."
    return (
        f"{told}{why}."
        if why
        else f"{told} **of other images than yours**. Another `results_dir` trains on yours."
    )


def as_held(row: Experiment, data_root: str | None) -> Experiment:
    """The row; where FER2013 is held as class folders, which merge its test parts, the row for these if it exists."""
    merged = EXPERIMENTS.get(f"{row.id}-merged")
    if merged is None:
        return row
    found = fer2013.find(find_root(data_root))
    return merged if found and found[0] == "folders" else row
