"""What the files that lie beside a run's record have in common (`maps`, `measures_file`).

They name the record that they belong to, and are refused beside any other.
"""

from __future__ import annotations

import contextlib
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ferlib import __version__, records
from ferlib.errors import RecordError


def origin(record: Mapping[str, Any], schema: int) -> dict[str, Any]:
    """The first entries of such a file: whose run and which data it is about."""
    part = record["reproducible"]
    return {
        "schema": schema,
        "experiment": part["experiment"]["id"],
        "seed": part["seed"],
        "record_sha256": record["sha256"],
        "data": {key: part["data"][key] for key in ("name", "fingerprint")},
        "ferlib": __version__,
    }


def write(path: Path, content: Callable[[BinaryIO], object]) -> Path:
    """`records.write_atomically`; RecordError in one line where nothing can be written."""
    try:
        records.write_atomically(path, content)
    except OSError as error:
        raise RecordError(
            f"{path}: cannot be written ({error.strerror}); free some space or choose another folder"
        ) from None
    return path


@contextlib.contextmanager
def reading(path: Path, command: str) -> Iterator[None]:
    """RecordError in one line where the file is missing or damaged; ``command`` makes it."""
    try:
        yield
    except FileNotFoundError:
        raise RecordError(f"{path}: no such file; `{command}`") from None
    except (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        reason = str(error).partition("\n")[0]
        raise RecordError(f"{path}: cannot be read ({reason}); make it again: `{command}`") from None


def check_origin(found: Mapping[str, Any], record: Mapping[str, Any], path: Path, command: str) -> None:
    """RecordError where the file was made for another record than this one."""
    if found["record_sha256"] != record["sha256"]:
        raise RecordError(
            f"{path}: belongs to another run than the record beside it; make it again: `{command}`"
        )
