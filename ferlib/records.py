"""The evidence that a run leaves: ``<results>/<experiment>/seed<k>.json`` with predictions in ``.npz``.

A record has three parts: ``reproducible`` (equal for two runs of one seed on one machine, and for an
interrupted and an uninterrupted run) with its ``sha256``, ``run`` (times, throughput, memory, commit)
and ``command``. Files are written to a temporary name, synced and renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ferlib.errors import RecordError

SCHEMA = 1
PROFILES = ("smoke", "reduced", "full")  # in order of evidence
REPRODUCIBLE_KEYS = {
    "experiment": dict,
    "seed": int,
    "profile": str,
    "changed": list,
    "data": dict,
    "environment": dict,
    "history": list,
    "epochs_run": int,
    "stopped": str,
    "best_epoch": int,
    "result": dict,
    "predictions_sha256": str,
}


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write through a temporary file beside ``path``, fsync, rename: readers see the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def writable(folder: Path) -> None:
    """Make ``folder``; RecordError in one line where nothing can be written to it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise RecordError(
            f"{folder}: cannot be written to ({error.strerror}); choose another folder"
        ) from None


def canonical(value: Any) -> bytes:
    """One byte string for one JSON value: sorted keys, no blanks, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def sha256(value: Any) -> str:
    return hashlib.sha256(canonical(value)).hexdigest()


def arrays_sha256(arrays: dict[str, np.ndarray]) -> str:
    """sha256 over names, shapes, types and contents of the arrays, in order of their names."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        values = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {values.dtype.str} {values.shape}\n".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def path_of(results: Path | str, experiment: str, seed: int) -> Path:
    return Path(results) / experiment / f"seed{seed}.json"


def validate(record: Any, name: str) -> dict[str, Any]:
    """The record itself if it has every part in its type and its checksum holds, else RecordError."""
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise RecordError(f"{name}: not a run record of schema {SCHEMA}; run the experiment again")
    part = record.get("reproducible")
    if not isinstance(part, dict):
        raise RecordError(f"{name}: 'reproducible' is missing; run the experiment again")
    for key, kind in REPRODUCIBLE_KEYS.items():
        if not isinstance(part.get(key), kind):
            raise RecordError(f"{name}: 'reproducible.{key}' is missing or not a {kind.__name__}")
    if part["profile"] not in PROFILES:
        raise RecordError(f"{name}: unknown profile {part['profile']!r}; known are {', '.join(PROFILES)}")
    if part["profile"] == "full" and part["changed"]:
        raise RecordError(f"{name}: profile 'full' but changed: {'; '.join(part['changed'])}")
    if sha256(part) != record.get("sha256"):
        raise RecordError(f"{name}: checksum does not match, the record was edited or damaged")
    for key, kind in (("run", dict), ("command", str)):
        if not isinstance(record.get(key), kind):
            raise RecordError(f"{name}: '{key}' is missing or not a {kind.__name__}")
    return record


def read(path: Path | str) -> dict[str, Any]:
    """A validated record; RecordError in one line where it is missing or damaged."""
    path = Path(path)
    try:
        record = json.loads(path.read_text())
    except FileNotFoundError:
        raise RecordError(f"{path}: no such record; `ferlib list` shows what has been run") from None
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: cannot be read ({error}); run the experiment again") from None
    return validate(record, str(path))


def read_predictions(path: Path | str) -> dict[str, np.ndarray]:
    """The arrays beside a record, checked against the checksum in it."""
    path = Path(path)
    record = read(path)
    try:
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as file:
            arrays = dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise RecordError(
            f"{path.with_suffix('.npz')}: cannot be read ({error}); run the experiment again"
        ) from None
    if arrays_sha256(arrays) != record["reproducible"]["predictions_sha256"]:
        raise RecordError(
            f"{path.with_suffix('.npz')}: does not belong to its record; run the experiment again"
        )
    return arrays


def evidence(record: dict[str, Any]) -> tuple[int, int]:
    """What a record weighs: its profile's rank, then its epochs; full records weigh the same."""
    part = record["reproducible"]
    return PROFILES.index(part["profile"]), 0 if part["profile"] == "full" else part["epochs_run"]


def write(
    results: Path | str,
    reproducible: dict[str, Any],
    arrays: dict[str, np.ndarray],
    run: dict[str, Any],
    command: str,
) -> Path:
    """Write a record and its predictions; returns the record's path.

    Raises RecordError instead of replacing a record that holds more evidence.
    """
    reproducible = {**reproducible, "predictions_sha256": arrays_sha256(arrays)}
    reproducible = json.loads(canonical(reproducible))
    record = {
        "schema": SCHEMA,
        "reproducible": reproducible,
        "sha256": sha256(reproducible),
        "run": run,
        "command": command,
    }
    path = path_of(results, reproducible["experiment"]["id"], reproducible["seed"])
    validate(record, str(path))
    if path.exists() and evidence(read(path)) > evidence(record):
        raise RecordError(f"{path}: holds a run with more evidence and is kept; write to another folder")
    # predictions first: a record that can be seen always has its predictions
    write_atomically(path.with_suffix(".npz"), lambda file: np.savez_compressed(file, **arrays))  # type: ignore[arg-type]
    text = json.dumps(record, indent=1, allow_nan=False) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))
    return path


def load_all(results: Path | str, experiment: str) -> list[dict[str, Any]]:
    """All records of one experiment in order of their seeds; an empty list where there are none."""
    paths = sorted(
        (Path(results) / experiment).glob("seed*.json"), key=lambda p: int(p.stem.removeprefix("seed"))
    )
    return [read(p) for p in paths]


def state_of(results: Path | str, experiment: str, seed: int) -> str:
    """``none``, or the profile of the record of this experiment and seed."""
    path = path_of(results, experiment, seed)
    return read(path)["reproducible"]["profile"] if path.exists() else "none"


def committed() -> list[Path]:
    """Paths of the records that the repository holds, where this is a checkout."""
    return sorted((Path(__file__).resolve().parents[1] / "results").glob("*/seed*.json"))
