"""What Luo (2023) says in words about Figure 3, by the ids of the ledger's rows: of both networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ferlib.claims import History
from ferlib.statements import (
    Test,
    more_correct_than,
    rarest,
    recalled_best,
    recalled_worst,
    taken_for,
)

OF_BOTH: dict[str, Test] = {
    "happy-best": recalled_best("happy"),
    "happy-over-400": more_correct_than("happy", 400),
    "disgust-worst": recalled_worst("disgust"),
    "disgust-as-angry-fear": taken_for("disgust", "angry", "fear", both=True),
}
STATEMENTS: dict[str, Test] = {
    **{f"se_cnn-32-{row}-{name}": test for row in ("plain", "se") for name, test in OF_BOTH.items()},
    "se_cnn-32-disgust-rarest": rarest("disgust"),
}


Part = Mapping[str, Any]


def curve(part: Part, name: str) -> np.ndarray:
    """A figure of each epoch, (epochs,)."""
    return np.array([line[name] for line in part["history"]])


def above_in_training(part: Part) -> tuple[bool, str]:
    """Training accuracy above test accuracy, epoch chosen on validation, without dropout and augmentation."""
    chosen = part["result"]["val_selected"]
    train, test = 100 * chosen["train"]["accuracy"], 100 * chosen["accuracy"]
    return train > test, f"{train:.2f} and {test:.2f} %"


def below_in_training(part: Part) -> tuple[bool, str]:
    """Training loss below test loss, in the same epoch."""
    chosen = part["result"]["val_selected"]
    return chosen["train"]["loss"] < chosen["loss"], f"{chosen['train']['loss']:.3f} and {chosen['loss']:.3f}"


def test_loss_above(part: Part, other: Part) -> tuple[bool, str]:
    """Test loss above the other network's."""
    ours, theirs = (p["result"]["val_selected"]["loss"] for p in (part, other))
    return ours > theirs, f"{ours:.3f} against {theirs:.3f}"


def training_accuracy_above(part: Part, other: Part) -> tuple[bool, str]:
    """Training accuracy above the other network's."""
    ours, theirs = (100 * p["result"]["val_selected"]["train"]["accuracy"] for p in (part, other))
    return ours > theirs, f"{ours:.2f} against {theirs:.2f} %"


def improving(part: Part) -> tuple[bool, str]:
    """Over the last tenth of the epochs training loss is lower, and accuracy higher, than over the first tenth."""
    n = max(1, len(part["history"]) // 10)
    loss, accuracy = curve(part, "train_loss"), 100 * curve(part, "train_accuracy")
    held = loss[-n:].mean() < loss[:n].mean() and accuracy[-n:].mean() > accuracy[:n].mean()
    return bool(held), f"loss {loss[:n].mean():.2f} to {loss[-n:].mean():.2f}"


def widening(part: Part) -> tuple[bool, str]:
    """The gap of training and test accuracy is larger over the last third of the epochs than over the second."""
    gap = 100 * (curve(part, "train_accuracy") - curve(part, "test_accuracy"))
    thirds = [part.mean() for part in np.array_split(gap, 3)]
    return bool(thirds[2] > thirds[1]), f"{thirds[1]:+.1f}, then {thirds[2]:+.1f} points"


HISTORIES: dict[str, History] = {
    "se_cnn-31-plain-train-above-test": above_in_training,
    "se_cnn-31-se-train-above-test": above_in_training,
    "se_cnn-31-plain-train-loss-below": below_in_training,
    "se_cnn-31-se-train-loss-below": below_in_training,
    "se_cnn-31-test-loss": test_loss_above,
    "se_cnn-4-train": training_accuracy_above,
    "se_cnn-32-se-curves": improving,
    "se_cnn-32-gap": widening,
}
