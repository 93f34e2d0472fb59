"""Parsed datasets kept on disk, so that every load after the first takes a fraction of a second.

A cache file is a plain ``.npz`` (never a pickle) whose name follows from the dataset, the source's path,
the options of the parse and ``FORMAT``; it carries the state of the source (paths, sizes, modification
times) and the fingerprint of what it holds. A source that changed, a damaged file or a fingerprint that
does not match means: parse again. A cache that cannot be written is a warning, never an error.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ferlib.data.dataset import FaceDataset

FORMAT = 1  # raise it whenever a parser starts to return other arrays for the same source
_OPTIONAL = ("subjects", "votes")


def directory() -> Path:
    """``FERLIB_CACHE`` if set, else the platform's user cache (``~/.cache/ferlib`` on Linux and without pooch)."""
    if chosen := os.environ.get("FERLIB_CACHE"):
        return Path(chosen).expanduser()
    try:
        import pooch
    except ImportError:  # training needs no downloads, so it does not need pooch
        return Path("~/.cache/ferlib").expanduser()
    return Path(pooch.os_cache("ferlib"))


def cached(
    name: str, where: Path, files: Iterable[Path], build: Callable[[], FaceDataset], **options: Any
) -> FaceDataset:
    """The dataset that ``build`` parses, from the cache when its source is unchanged.

    ``where`` is the source (a file or the folder of a layout), ``files`` every file that is read,
    ``options`` whatever else changes what ``build`` returns.
    """
    state = source_state(where, files)
    path = directory() / f"{name}-{_key(name, where, options)}.npz"
    found = _read(path, state)
    if found is not None:
        return found
    dataset = build()
    try:
        _write(path, dataset, state)
    except OSError as error:
        reason = error.strerror or str(error)
        warnings.warn(f"{name} is not cached: {directory()}: {reason}; set FERLIB_CACHE", stacklevel=2)
    return dataset


def source_state(where: Path, files: Iterable[Path]) -> str:
    """sha256 over path (relative to ``where``), size and modification time of every file, in order."""
    digest = hashlib.sha256()
    for file in files:
        status = file.stat()
        digest.update(f"{os.path.relpath(file, where)}\t{status.st_size}\t{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _key(name: str, where: Path, options: dict[str, Any]) -> str:
    text = json.dumps([FORMAT, name, str(where.resolve()), options], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _read(path: Path, state: str) -> FaceDataset | None:
    """The dataset in the file, or None where it is absent, damaged or of another state of the source."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            header = json.loads(stored["header"].tobytes())
            if header["state"] != state:
                return None
            dataset = FaceDataset(
                name=header["name"],
                classes=tuple(header["classes"]),
                meta=header["meta"],
                extras={key: stored[f"extra_{key}"] for key in header["extras"]},
                **{key: stored[key] for key in ("images", "labels", "split", "ids")},
                **{key: stored[key] for key in _OPTIONAL if key in stored},
            )
        return dataset if dataset.fingerprint == header["fingerprint"] else None
    except Exception:  # absent, damaged, unreadable, foreign: whatever it is, the source is still there
        return None


def _write(path: Path, dataset: FaceDataset, state: str) -> None:
    """Write beside the target, then rename: a reader sees the whole file or none."""
    header = {
        "state": state,
        "name": dataset.name,
        "classes": dataset.classes,
        "meta": dict(dataset.meta),
        "extras": list(dataset.extras),
        "fingerprint": dataset.fingerprint,
    }
    arrays = {key: getattr(dataset, key) for key in ("images", "labels", "split", "ids")}
    arrays |= {key: getattr(dataset, key) for key in _OPTIONAL if getattr(dataset, key) is not None}
    arrays |= {f"extra_{key}": values for key, values in dataset.extras.items()}
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=path.stem, suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
