"""What the files that lie beside a run's record have in common (`maps`, `measures_file`, `heads`).

They name the record that they belong to, and are refused beside any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ferlib import __version__
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


def check_origin(found: Mapping[str, Any], record: Mapping[str, Any], path: Path, command: str) -> None:
    """RecordError where the file was made for another record than this one."""
    if found["record_sha256"] != record["sha256"]:
        raise RecordError(
            f"{path}: belongs to another run than the record beside it; make it again: `{command}`"
        )
