"""Checkpoints of a run, in ``<runs>/<experiment>/seed<k>/``: the newest, the one before, and the best weights.

A checkpoint is torch's own format behind a line that names it and a sha256, so that a truncated or damaged
file is told from a good one; it is read back with ``weights_only=True``, which runs no code in it.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ferlib import records
from ferlib.errors import FerlibError

MAGIC = b"ferlib checkpoint 2\n"


class Unusable(FerlibError):
    """A checkpoint from which this run cannot go on; beginning again would."""


class Damaged(FerlibError):
    """A checkpoint that cannot be read back."""


def folder_of(runs: Path, experiment: str, seed: int) -> Path:
    return runs / experiment / f"seed{seed}"


def write(folder: Path, content: dict[str, Any]) -> None:
    """Make ``content`` the newest checkpoint and keep the one before; FerlibError where the disk refuses."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    payload = buffer.getbuffer()
    newest, fresh = folder / "checkpoint.pt", folder / "checkpoint.new"
    try:
        records.write_atomically(
            fresh, lambda file: (file.write(MAGIC + hashlib.sha256(payload).digest()), file.write(payload))
        )
        if newest.exists():
            os.replace(newest, folder / "previous.pt")
        os.replace(fresh, newest)
    except OSError as error:
        raise FerlibError(
            f"{newest}: cannot be written ({error.strerror}); the one before is kept: "
            "free some space or permit writing, then run the same command again"
        ) from None


def read(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The content of one file; Damaged where it is not what was written."""
    try:
        blob = path.read_bytes()
        head = len(MAGIC)
        if blob[:head] != MAGIC:
            raise ValueError("not a checkpoint of this version")
        payload = memoryview(blob)[head + 32 :]
        if hashlib.sha256(payload).digest() != blob[head : head + 32]:
            raise ValueError("truncated or damaged")
        return torch.load(io.BytesIO(payload), map_location=device, weights_only=True)
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise Damaged(f"{path}: checkpoint cannot be read ({reason})") from None


def newest(folder: Path, key: str, device: torch.device | str = "cpu") -> dict[str, Any] | None:
    """The newest readable checkpoint, None where there is none; says so where it falls back to the one before.

    Raises Unusable for a checkpoint of another run (``key``), and where no file is readable.
    """
    told: list[str] = []
    found = [path for path in (folder / "checkpoint.pt", folder / "previous.pt") if path.exists()]
    for path in found:
        try:
            content = read(path, device)
        except Damaged as error:
            told.append(str(error))
            continue
        if content.get("key") != key:
            raise Unusable(
                f"{path}: checkpoint of another row, dataset or precision; use --restart or another --runs "
                "(in a notebook: another results_dir, or retrain = True)"
            )
        for line in told:
            print(f"ferlib: {line}; going on from the one before", file=sys.stderr)
        if told:  # a damaged file must not become the one before
            (folder / "checkpoint.pt").unlink()
        return content
    if told:
        raise Unusable(f"{'; '.join(told)}; use --restart to begin again")
    return None


def finished(folder: Path) -> bool:
    """Whether a run has come to its end in this folder: its best weights lie there under their lasting name."""
    return (folder / "best.safetensors").is_file()


def clear(folder: Path) -> None:
    """Remove what a run left, but its lock."""
    for name in ("checkpoint.pt", "previous.pt", "checkpoint.new", "best.safetensors"):
        (folder / name).unlink(missing_ok=True)
    for path in [*folder.glob("best-*.safetensors"), *folder.glob(".*")]:
        path.unlink()


def save_weights(model: nn.Module, path: Path) -> None:
    """Weights as safetensors, float32, written atomically."""
    from safetensors.torch import save as to_bytes

    tensors = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    content = to_bytes(tensors)
    try:
        records.write_atomically(path, lambda file: file.write(content))
    except OSError as error:
        raise FerlibError(
            f"{path}: cannot be written ({error.strerror}); free some space, run again"
        ) from None


def load_weights(model: nn.Module, path: Path) -> nn.Module:
    from safetensors.torch import load_file

    model.load_state_dict(load_file(path))
    return model


def remove_weights_but(folder: Path, keep: set[str | None]) -> None:
    """Remove best weights that neither of the two checkpoints refers to."""
    for path in folder.glob("best-*.safetensors"):
        if path.name not in keep:
            path.unlink()


def plain(kept: dict[str, dict[str, Any]], turn: type) -> dict[str, dict[str, Any]]:
    """Arrays in ``kept`` as tensors (``turn=Tensor``, which a checkpoint can hold) or tensors as arrays."""

    def one(value: Any) -> Any:
        if turn is Tensor and isinstance(value, np.ndarray):
            return torch.from_numpy(value)
        if turn is np.ndarray and isinstance(value, Tensor):
            return value.cpu().numpy()
        return value

    return {reading: {k: one(v) for k, v in best.items()} for reading, best in kept.items()}
