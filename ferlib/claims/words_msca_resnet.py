"""What Wang & Zhang (2023), `msca_resnet`, say in words, as predicates under the ids of the ledger.

"Very high" on CK+ is read as 95 % or more, a resemblance as the most frequent mistake, curves as means over ten
epochs; these readings are ours.
"""

from __future__ import annotations

import numpy as np

from ferlib.claims import Fact, History
from ferlib.claims.costs_and_counts import rarest
from ferlib.claims.curves import Part, curve, epochs_to_level, falls
from ferlib.data import ferplus
from ferlib.statements import (
    Test,
    every_recall_at_least,
    recalled_best,
    recalled_worst,
    taken_for,
)

LOW = ("disgust", "fear", "contempt")  # section 3.5, of FER+
SPAN = 10  # epochs on each side of the first fall of the rate, and at the end
NEVER = None, "the rate never fell"  # nothing to say, as in a run that was shortened before it could


def around(part: Part, name: str) -> tuple[np.ndarray, np.ndarray] | None:
    """A curve's epochs before and after the rate first fell, up to SPAN each; None where it never did."""
    values, cuts = curve(part, name), falls(part)
    if not len(cuts):
        return None
    cut = int(cuts[0])
    return values[max(0, cut - SPAN) : cut], values[cut : cut + SPAN]


def not_fitted(part: Part) -> tuple[bool | None, str]:
    """Training accuracy is higher in the last epochs than before the first fall of the rate."""
    sides = around(part, "train_accuracy")
    if sides is None:
        return NEVER
    before, last = 100 * sides[0].mean(), 100 * curve(part, "train_accuracy")[-SPAN:].mean()
    return bool(last > before), f"training {before:.2f}, at the end {last:.2f} %"


def rises(part: Part) -> tuple[bool | None, str]:
    """Test accuracy is higher after the first fall of the rate than before."""
    sides = around(part, "test_accuracy")
    if sides is None:
        return NEVER
    before, after = (100 * side.mean() for side in sides)
    return bool(after > before), f"test {before:.2f}, then {after:.2f} %"


def steadier(part: Part) -> tuple[bool | None, str]:
    """Test accuracy spreads less after the first fall of the rate than before."""
    sides = around(part, "test_accuracy")
    if sides is None:
        return NEVER
    before, after = (100 * side.std() for side in sides)
    return bool(after < before), f"standard deviation {before:.2f}, then {after:.2f} points"


def loss_does_not_rise(part: Part) -> tuple[bool | None, str]:
    """Test loss (cross-entropy) is no higher in the last epochs than just after the first fall of the rate."""
    sides = around(part, "test_loss")
    if sides is None:
        return NEVER
    after, last = sides[1].mean(), curve(part, "test_loss")[-SPAN:].mean()
    return bool(last <= after), f"test loss {after:.3f}, at the end {last:.3f}"


def faster(part: Part, other: Part) -> tuple[bool, str]:
    """Fewer epochs until 95 % of the best validation accuracy of the weaker of the two networks."""
    first, second, level = epochs_to_level(part, other)
    return first < second, f"{100 * level:.1f} % in epoch {first} against {second}"


STATEMENTS: dict[str, Test] = {
    "msca_resnet-s35-ckplus-all-but-sadness": every_recall_at_least(95, "sad"),
    "msca_resnet-s35-ckplus-sadness-worst": recalled_worst("sad"),
    "msca_resnet-s35-ckplus-sadness-anger": taken_for("sad", "angry"),
    "msca_resnet-s35-ckplus-anger-sadness": taken_for("angry", "sad"),
    "msca_resnet-s35-ferplus-best": recalled_best("neutral", "happy", "surprise"),
    "msca_resnet-s35-ferplus-worst": recalled_worst(*LOW),
    **{
        f"msca_resnet-s35-ferplus-{name}-alike": taken_for(name, *(o for o in LOW if o != name))
        for name in LOW
    },
}

FACTS: dict[str, Fact] = {"msca_resnet-s35-ferplus-rarest": rarest(ferplus.PUBLISHED["train"], *LOW)}

OF_EACH: dict[str, History] = {
    "s22-{}-bn-speed": faster,
    "s22-{}-se-speed": faster,
    "f6-{}-80-not-fitted": not_fitted,
    "f6-{}-80-rise": rises,
    "f6-{}-stable": steadier,
    "f6-{}-no-overfitting": loss_does_not_rise,
}
HISTORIES: dict[str, History] = {
    f"msca_resnet-{name.format(dataset)}": test
    for dataset in ("ferplus", "ckplus")
    for name, test in OF_EACH.items()
}
