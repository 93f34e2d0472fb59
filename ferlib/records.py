"""The evidence that a run leaves: ``<results>/<experiment>/seed<k>.json`` with predictions in ``.npz``.

A record has three parts: ``reproducible`` (equal for two runs of one seed on one machine, and for an
interrupted and an uninterrupted run) with its ``sha256``, ``run`` (times, throughput, memory, commit)
and ``command``; other measurements have the same form (`seal`, `unseal`). Files are written to a temporary
name, synced and renamed. When a record is replaced, the new predictions wait as ``.npz.new`` until the record
itself is there, and `read_predictions` knows of it: whenever the power goes, a reader finds the old pair or the
new one.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import pickle
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ferlib.errors import RecordError
from ferlib.interrupt import one_writer

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


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """RecordError in one line where ``path`` cannot be written."""
    try:
        yield
    except OSError as error:
        raise RecordError(
            f"{path}: cannot be written ({error.strerror}); free some space or choose another folder"
        ) from None


@contextlib.contextmanager
def reading(path: Path, command: str, missing: str = "no such file") -> Iterator[None]:
    """RecordError in one line where a file is missing or damaged (any ValueError); ``command`` makes it."""
    try:
        yield
    except FileNotFoundError as error:
        raise RecordError(f"{error.filename or path}: {missing}; `{command}`") from None
    except (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        reason = str(error).partition("\n")[0]
        raise RecordError(f"{path}: cannot be read ({reason}); make it again: `{command}`") from None


def put(path: Path, write: Callable[[BinaryIO], object]) -> Path:
    """`write_atomically`; returns ``path``, RecordError in one line where it cannot be written."""
    with writing(path):
        write_atomically(path, write)
    return path


def put_json(path: Path, value: Any) -> Path:
    """`put` for JSON."""
    text = lines(value)
    return put(path, lambda file: file.write(text))


def lines(value: Any) -> bytes:
    """JSON as records hold it, an entry a line; ValueError for NaN."""
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()


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


def checksum(found: Mapping[str, Any]) -> str:
    """sha256 of all entries but ``sha256`` itself."""
    return sha256({key: value for key, value in found.items() if key != "sha256"})


def seal(
    schema: int, reproducible: Mapping[str, Any], run: Mapping[str, Any], command: str
) -> dict[str, Any]:
    """What was measured as a record; ``reproducible`` becomes plain JSON in the order of its keys."""
    reproducible = json.loads(canonical(reproducible))
    return {
        "schema": schema,
        "reproducible": reproducible,
        "sha256": sha256(reproducible),
        "run": run,
        "command": command,
    }


def unseal(record: Any, schema: int) -> dict[str, Any]:
    """``record`` itself; ValueError where it is of another schema or its checksum does not hold."""
    if not isinstance(record, dict) or record.get("schema") != schema:
        raise ValueError(f"not of schema {schema}")
    if sha256(record.get("reproducible")) != record.get("sha256"):
        raise ValueError("checksum does not match, it was edited or damaged")
    return record


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
        return pickle.loads(_sound(path.read_text(), str(path)))
    except FileNotFoundError:
        raise RecordError(f"{path}: no such record; `ferlib list` shows what has been run") from None
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: cannot be read ({error}); run the experiment again") from None


# A page reads one record for each of its tables. The text itself is the key: what is edited is looked at again.
@lru_cache(maxsize=512)
def _sound(text: str, name: str) -> bytes:
    """A valid record, pickled: every reader gets a copy of its own, much sooner than by parsing."""
    return pickle.dumps(validate(json.loads(text), name), pickle.HIGHEST_PROTOCOL)


def read_predictions(path: Path | str) -> dict[str, np.ndarray]:
    """The arrays beside a record, checked against the checksum in it."""
    path = Path(path)
    problem = ""
    for _ in range(2):  # twice: a writer may have replaced the pair between our two reads
        wanted = read(path)["reproducible"]["predictions_sha256"]
        for candidate in (path.with_suffix(".npz.new"), path.with_suffix(".npz")):
            try:
                arrays, found = _unpacked(candidate.read_bytes())
            except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
                problem = f"cannot be read ({error})"
                continue
            if found == wanted:
                return {name: values.copy() for name, values in arrays.items()}
            problem = "does not belong to its record"
    raise RecordError(f"{path.with_suffix('.npz')}: {problem}; run the experiment again")


@lru_cache(maxsize=512)  # a row stands beside many others; files and arrays of all records take some 40 MB
def _unpacked(blob: bytes) -> tuple[dict[str, np.ndarray], str]:
    """The arrays in the bytes of an ``.npz`` file, and their checksum."""
    with np.load(io.BytesIO(blob), allow_pickle=False) as file:
        arrays = dict(file)
    return arrays, arrays_sha256(arrays)


def evidence(record: dict[str, Any]) -> tuple[int, float, int]:
    """What a record weighs: its profile's rank, then training images, then epochs; full records weigh the same."""
    part = record["reproducible"]
    return weight(part["profile"], part["experiment"].get("dataset_options", {}), part["epochs_run"])


def weight(profile: str, dataset_options: Mapping[str, Any], epochs: int) -> tuple[int, float, int]:
    """`evidence` of a run of this profile over so many epochs."""
    images = dataset_options.get("train_images") or float("inf")
    return PROFILES.index(profile), images, 0 if profile == "full" else epochs


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
    record = seal(SCHEMA, {**reproducible, "predictions_sha256": arrays_sha256(arrays)}, run, command)
    path = path_of(results, reproducible["experiment"]["id"], reproducible["seed"])
    validate(record, str(path))
    text = lines(record)
    with writing(path), one_writer(path.parent):
        heal(path)
        if path.exists() and evidence_of(path) > evidence(record):
            raise RecordError(f"{path}: holds a run with more evidence and is kept; write to another folder")
        waiting = path.with_suffix(".npz.new")
        write_atomically(waiting, lambda file: np.savez_compressed(file, **arrays))  # type: ignore[arg-type]
        write_atomically(path, lambda file: file.write(text))
        os.replace(waiting, path.with_suffix(".npz"))
    return path


def evidence_of(path: Path) -> tuple[float, ...]:
    """`evidence` of the record at ``path``; none of a damaged one, which is kept beside as ``<name>.damaged``."""
    try:
        return evidence(read(path))
    except RecordError:
        os.replace(path, path.with_name(f"{path.name}.damaged"))
        return ()


def heal(path: Path) -> None:
    """Finish or clear away what a writer left that was killed."""
    waiting = path.with_suffix(".npz.new")
    if waiting.exists():
        with contextlib.suppress(RecordError, OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError):
            with np.load(waiting, allow_pickle=False) as file:
                digest = arrays_sha256(dict(file))
            if read(path)["reproducible"]["predictions_sha256"] == digest:
                os.replace(waiting, path.with_suffix(".npz"))
        waiting.unlink(missing_ok=True)
    for name in (path.name, waiting.name):
        for litter in path.parent.glob(f".{name}.*"):
            litter.unlink()


def load_all(results: Path | str, experiment: str) -> list[dict[str, Any]]:
    """All records of one experiment in order of their seeds; an empty list where there are none."""
    numbered = {
        int(number): path
        for path in (Path(results) / experiment).glob("seed*.json")
        if (number := path.stem.removeprefix("seed")).isdigit()
    }
    return [read(path) for _, path in sorted(numbered.items())]


def state_of(results: Path | str, experiment: str, seed: int) -> str:
    """``none``, or the profile of the record of this experiment and seed."""
    path = path_of(results, experiment, seed)
    return read(path)["reproducible"]["profile"] if path.exists() else "none"


def committed() -> list[Path]:
    """Paths of the records that the repository holds, where this is a checkout."""
    return sorted((Path(__file__).resolve().parents[1] / "results").glob("*/seed*.json"))
