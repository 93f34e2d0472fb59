"""What Luo (2023) says in words about Figures 3 and 4, by the ids of the ledger's rows: of both networks.

The bounds are ours where the paper names none: nine tenths of the rise for "steady", half of the epochs and two points
for "similar", five epochs for "around".
"""

from __future__ import annotations

import numpy as np

from ferlib.claims import Fact, History
from ferlib.claims.costs_and_counts import rarest
from ferlib.claims.curves import Part, curve, epochs_to_level, falls
from ferlib.data import fer2013
from ferlib.statements import (
    Test,
    fewest_correct,
    more_correct_than,
    most_correct,
    taken_for,
)

OF_BOTH: dict[str, Test] = {
    "happy-best": most_correct("happy"),
    "happy-over-400": more_correct_than("happy", 400),
    "disgust-worst": fewest_correct("disgust"),
    "disgust-as-angry-fear": taken_for("disgust", "angry", "fear", both=True),
}
STATEMENTS: dict[str, Test] = {
    **{f"se_cnn-32-{row}-{name}": test for row in ("plain", "se") for name, test in OF_BOTH.items()},
}

FACTS: dict[str, Fact] = {"se_cnn-32-disgust-rarest": rarest(fer2013.PUBLISHED["train"], "disgust")}

NEAR = 5  # epochs: "around", and over how many a curve is averaged on each side of a fall of the rate


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


def steady_after(epochs: int) -> History:
    """Nine tenths of the rise in test accuracy, from the first epoch to the best, lie within the first ``epochs``."""

    def test(part: Part) -> tuple[bool | None, str]:
        values = curve(part, "test_accuracy")
        if len(values) <= epochs:
            return None, f"the run ended after {len(values)} epochs"
        share = float((values[:epochs].max() - values[0]) / max(values.max() - values[0], 1e-9))
        return share >= 0.9, f"{100 * share:.0f} % of the rise by epoch {epochs}"

    return test


def better_after_fall(near: int) -> History:
    """The rate falls within NEAR epochs of epoch ``near``, and test accuracy is higher after it than before."""

    def test(part: Part) -> tuple[bool | None, str]:
        values, cuts = curve(part, "test_accuracy"), falls(part)
        if len(values) <= near + NEAR:
            return None, f"the run ended after {len(values)} epochs"
        cut = min(cuts, key=lambda epoch: abs(int(epoch) + 1 - near), default=None)
        if cut is None or abs(int(cut) + 1 - near) > NEAR:
            return False, f"the rate falls in {', '.join(str(int(c) + 1) for c in cuts) or 'no epoch'}"
        before, after = 100 * values[cut - NEAR : cut].mean(), 100 * values[cut : cut + NEAR].mean()
        return bool(after > before), f"epoch {int(cut) + 1}: test {before:.2f}, then {after:.2f} %"

    return test


def similar(part: Part, other: Part) -> tuple[bool, str]:
    """Epochs until 95 % of the weaker network's best validation accuracy, and test accuracies, are alike."""
    first, second, level = epochs_to_level(part, other)
    gap = 100 * (part["result"]["val_selected"]["accuracy"] - other["result"]["val_selected"]["accuracy"])
    held = abs(first - second) <= max(first, second) / 2 and abs(gap) <= 2
    return held, f"{100 * level:.1f} % in epoch {first} against {second}; {gap:+.2f} points"


HISTORIES: dict[str, History] = {
    "se_cnn-31-plain-train-above-test": above_in_training,
    "se_cnn-31-se-train-above-test": above_in_training,
    "se_cnn-31-plain-train-loss-below": below_in_training,
    "se_cnn-31-se-train-loss-below": below_in_training,
    "se_cnn-31-test-loss": test_loss_above,
    "se_cnn-4-train": training_accuracy_above,
    "se_cnn-32-se-curves": improving,
    "se_cnn-32-gap": widening,
    "se_cnn-32-se-steady": steady_after(20),
    "se_cnn-32-se-epoch-36": better_after_fall(36),
    "se_cnn-32-similar-speed": similar,
}

ATTENTION = {"se_cnn-4-regions": ("eyes", "nose", "mouth")}  # the text names no place
