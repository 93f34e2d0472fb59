"""What Chen & Chen (2024), `gcca_vgg`, say in words, as predicates under the ids of the ledger.

The bounds are ours where the paper names none: 5 points for "very small" fluctuation, a factor of ten for
"extremely unbalanced", one point for an effect that is "not obvious".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ferlib.claims import History
from ferlib.cost import channels_of, multiply_adds
from ferlib.data import ckplus, fer2013
from ferlib.experiments import EXPERIMENTS
from ferlib.statements import (
    Matrix,
    Test,
    recalled_best,
    recalled_worst,
    recalls_within,
    taken_for,
)

ALIKE = ("fear", "disgust", "sadness")  # section 3.5, of CK+


def unbalanced(factor: float) -> Test:
    """The largest class has at least ``factor`` times the images of the smallest."""

    def test(matrix: Matrix) -> tuple[bool, str]:
        support = dict(zip(matrix.classes, (int(n) for n in matrix.counts.sum(axis=1)), strict=True))
        most, least = max(support, key=lambda c: support[c]), min(support, key=lambda c: support[c])
        held = support[most] >= factor * support[least]
        return held, f"{most} {support[most]:,}, {least} {support[least]:,}"

    return test


def more_training_images(name: str, number: int) -> Test:
    """FER2013's training part has more than ``number`` images of ``name`` (the published counts, no matrix)."""
    held = fer2013.PUBLISHED["train"][name]
    return lambda _: (held > number, f"{held:,}")


def sequences_fewest(name: str) -> Test:
    """No class of CK+ has fewer labelled sequences than ``name`` (the dataset's own counts, no matrix)."""
    least = min(ckplus.SEQUENCES, key=lambda c: ckplus.SEQUENCES[c])
    said = f"{least} {ckplus.SEQUENCES[least]} of {sum(ckplus.SEQUENCES.values())} sequences"
    return lambda _: (least == name, said)


def cost(row: str, matrix: Matrix) -> int:
    """Multiply-adds for an image in the network of ``row``, at its input size, with the classes of the matrix."""
    e = EXPERIMENTS[row]
    return multiply_adds(e.model, e.variant, channels_of(e), e.size, len(matrix.classes))


def cheaper(row: str, other: str) -> Test:
    """The network of ``row`` takes fewer multiply-adds for an image than that of ``other``."""

    def test(matrix: Matrix) -> tuple[bool, str]:
        own, theirs = cost(row, matrix), cost(other, matrix)
        return own < theirs, f"{own / 1e9:.2f} against {theirs / 1e9:.2f} G multiply-adds"

    return test


def no_obvious_effect(points: float) -> History:
    """Test accuracy differs from the other network's by less than ``points``."""

    def test(part: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[bool, str]:
        ours, theirs = (100 * p["result"]["val_selected"]["accuracy"] for p in (part, other))
        return abs(ours - theirs) < points, f"{ours - theirs:+.2f} points"

    return test


STATEMENTS: dict[str, Test] = {
    "gcca_vgg-s31-ckplus-contempt-rarest": sequences_fewest("contempt"),
    "gcca_vgg-s34-pd-cheaper": cheaper("gcca_vgg-fer2013-model4", "gcca_vgg-fer2013-model3"),
    "gcca_vgg-s34-ra-faster": cheaper("gcca_vgg-fer2013-model5", "gcca_vgg-fer2013-model4"),
    "gcca_vgg-s35-fer2013-happy-surprise-best": recalled_best("happy", "surprise"),
    "gcca_vgg-s35-fer2013-sad-fear-worst": recalled_worst("sad", "fear"),
    "gcca_vgg-s35-fer2013-unbalanced": unbalanced(10),
    "gcca_vgg-s35-fer2013-train-happy": more_training_images("happy", 7000),
    "gcca_vgg-s35-fer2013-sad-disgust": taken_for("sad", "disgust"),
    "gcca_vgg-s35-fer2013-disgust-sad": taken_for("disgust", "sad"),
    "gcca_vgg-s35-ckplus-recalls-alike": recalls_within(5),
    **{
        f"gcca_vgg-s35-ckplus-{name}-alike": taken_for(name, *(o for o in ALIKE if o != name))
        for name in ALIKE
    },
}

HISTORIES: dict[str, History] = {
    f"gcca_vgg-s34-{dataset}-pd-no-effect": no_obvious_effect(1) for dataset in ("fer2013", "ckplus")
}
