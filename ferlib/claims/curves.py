"""What the statements on curves have in common: reading a record's history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Part = Mapping[str, Any]


def curve(part: Part, name: str) -> np.ndarray:
    """A figure of each epoch, (epochs,)."""
    return np.array([line[name] for line in part["history"]])


def falls(part: Part) -> np.ndarray:
    """Epochs, counted from 0, whose learning rate is lower than that of the epoch before."""
    return np.flatnonzero(np.diff(curve(part, "lr")) < 0) + 1


def epochs_to_level(part: Part, other: Part, share: float = 0.95) -> tuple[int, int, float]:
    """Epochs of each until ``share`` of the best validation accuracy of the weaker of the two, and that level."""
    ours, theirs = curve(part, "val_accuracy"), curve(other, "val_accuracy")
    level = share * float(min(ours.max(), theirs.max()))
    first, second = (int(np.argmax(values >= level)) + 1 for values in (ours, theirs))
    return first, second, level
