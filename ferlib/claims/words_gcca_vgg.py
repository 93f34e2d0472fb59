"""What Chen & Chen (2024), `gcca_vgg`, say in words, as predicates under the ids of the ledger.

The bounds are ours where the paper names none: 5 points for "very small" fluctuation, a factor of ten for
"extremely unbalanced", one point for an effect that is "not obvious".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ferlib.claims import Fact, History
from ferlib.claims.costs_and_counts import cheaper, more_than, rarest, unbalanced
from ferlib.data import ckplus, fer2013
from ferlib.statements import (
    Test,
    recalled_best,
    recalled_worst,
    recalls_within,
    taken_for,
)

ALIKE = ("fear", "disgust", "sad")  # section 3.5, of CK+


def no_obvious_effect(points: float) -> History:
    """Test accuracy differs from the other network's by less than ``points``."""

    def test(part: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[bool, str]:
        ours, theirs = (100 * p["result"]["val_selected"]["accuracy"] for p in (part, other))
        return abs(ours - theirs) < points, f"{ours - theirs:+.2f} points"

    return test


def rises_after_a_fall(*parts: Mapping[str, Any]) -> tuple[bool, str]:
    """Over the rows in their order test accuracy rises again after it has fallen: no curve with one summit."""
    values = [100 * p["result"]["val_selected"]["accuracy"] for p in parts]
    steps = np.sign(np.diff(values))
    fallen = np.flatnonzero(steps < 0)
    held = bool(len(fallen) and (steps[fallen[0] :] > 0).any())
    return held, ", ".join(f"{value:.1f}" for value in values)


STATEMENTS: dict[str, Test] = {
    "gcca_vgg-s35-fer2013-happy-surprise-best": recalled_best("happy", "surprise"),
    "gcca_vgg-s35-fer2013-sad-fear-worst": recalled_worst("sad", "fear"),
    "gcca_vgg-s35-fer2013-sad-disgust": taken_for("sad", "disgust"),
    "gcca_vgg-s35-fer2013-disgust-sad": taken_for("disgust", "sad"),
    "gcca_vgg-s35-ckplus-recalls-alike": recalls_within(5),
    **{
        f"gcca_vgg-s35-ckplus-{name}-alike": taken_for(name, *(o for o in ALIKE if o != name))
        for name in ALIKE
    },
}

FACTS: dict[str, Fact] = {
    "gcca_vgg-s31-ckplus-contempt-rarest": rarest(ckplus.SEQUENCES, "contempt"),
    **{
        f"gcca_vgg-{name}": cheaper("gcca_vgg-fer2013-model4", "gcca_vgg-fer2013-model3")
        for name in ("f4-pd-rapid", "s24-pd-swift", "s34-pd-cheaper")
    },
    "gcca_vgg-s34-ra-faster": cheaper("gcca_vgg-fer2013-model5", "gcca_vgg-fer2013-model4"),
    "gcca_vgg-s35-fer2013-unbalanced": unbalanced(fer2013.PUBLISHED["train"], 10),
    "gcca_vgg-s35-fer2013-train-happy": more_than(fer2013.PUBLISHED["train"], "happy", 7000),
}

HISTORIES: dict[str, History] = {
    "gcca_vgg-f6b-not-convex": rises_after_a_fall,
    **{f"gcca_vgg-s34-{dataset}-pd-no-effect": no_obvious_effect(1) for dataset in ("fer2013", "ckplus")},
}
