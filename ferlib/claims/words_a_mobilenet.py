"""What Nan et al. (2022), `a_mobilenet`, say in words, as predicates under the ids of the ledger.

The bounds are ours where the paper names none: a factor of two for "unbalanced", 5 % for "hardly any".
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch

from ferlib.claims import History
from ferlib.claims.words_gcca_vgg import cost, unbalanced
from ferlib.cost import channels_of
from ferlib.experiments import EXPERIMENTS
from ferlib.models import build, count_parameters
from ferlib.statements import (
    Matrix,
    Test,
    recalled_best,
    recalled_in_order,
    recalled_worst,
    taken_for,
)

OWN = "a_mobilenet-ferplus-a_mobilenet"
V1 = "a_mobilenet-ferplus-mobilenet_v1"
SERIES = (V1, "a_mobilenet-ferplus-mobilenet_v2", "a_mobilenet-ferplus-mobilenet_v3_small")
# The four that section 3.2 calls alike, under the names that each dataset has for them
ALIKE = {"ferplus": ("anger", "disgust", "fear", "sadness"), "rafdb": ("angry", "disgust", "fear", "sad")}


@cache
def parameters(row: str, classes: int) -> int:
    """Trainable parameters of a row's network, counted without allocating or downloading weights."""
    experiment = EXPERIMENTS[row]
    variant = {k: v for k, v in experiment.variant.items() if k != "pretrained"}
    with torch.device("meta"):
        model = build(
            experiment.model,
            classes=classes,
            channels=channels_of(experiment),
            size=experiment.size,
            **variant,
        )
    return count_parameters(model)


def no_more_parameters(row: str, *others: str) -> Test:
    """The network of ``row`` has no more parameters than any of ``others``; the matrix gives the classes."""

    def test(matrix: Matrix) -> tuple[bool, str]:
        own, *theirs = (parameters(name, len(matrix.classes)) for name in (row, *others))
        against = ", ".join(f"{count / 1e6:.2f}" for count in theirs)
        return all(own <= count for count in theirs), f"{own / 1e6:.2f} M against {against}"

    return test


def hardly_dearer(row: str, other: str, percent: float) -> Test:
    """An image takes at most ``percent`` more multiply-adds in the network of ``row`` than in that of ``other``."""

    def test(matrix: Matrix) -> tuple[bool, str]:
        more = 100 * (cost(row, matrix) / cost(other, matrix) - 1)
        return more <= percent, f"{more:+.2f} % multiply-adds"

    return test


def better_on_most_classes(part: Mapping[str, Any], *others: Mapping[str, Any]) -> tuple[bool, str]:
    """In more than half of the classes the recall is above that of each of ``others``, one after the other."""
    own = part["result"]["val_selected"]["per_class_recall"]
    better = []
    for other in others:
        theirs = other["result"]["val_selected"]["per_class_recall"]
        better.append(sum(own[name] > theirs[name] for name in own))
    held = all(2 * count > len(own) for count in better)
    return held, f"{', '.join(map(str, better))} of {len(own)} classes"


STATEMENTS: dict[str, Test] = {
    "a_mobilenet-abstract-no-more-parameters": no_more_parameters(OWN, *SERIES),
    "a_mobilenet-introduction-no-more-parameters": no_more_parameters(OWN, *SERIES),
    "a_mobilenet-s31-ferplus-unbalanced": unbalanced(2),
    "a_mobilenet-s31-rafdb-unbalanced": unbalanced(2),
    "a_mobilenet-s32-ferplus-happy-best": recalled_best("happiness"),
    "a_mobilenet-s32-rafdb-happy-best": recalled_best("happy"),
    "a_mobilenet-s32-ferplus-falling": recalled_in_order("surprise", "neutral", "anger", "sadness"),
    "a_mobilenet-s32-rafdb-falling": recalled_in_order("surprise", "neutral", "angry", "sad"),
    "a_mobilenet-s32-ferplus-hardest": recalled_worst("fear", "disgust", "contempt"),
    "a_mobilenet-s32-rafdb-hardest": recalled_worst("fear", "disgust"),
    "a_mobilenet-s32-ferplus-fear-surprise": taken_for("fear", "surprise"),
    "a_mobilenet-s32-ferplus-disgust-anger": taken_for("disgust", "anger"),
    "a_mobilenet-s32-rafdb-disgust-neutral-happy": taken_for("disgust", "neutral", "happy"),
    **{
        f"a_mobilenet-s32-{dataset}-{name}-alike": taken_for(name, *(o for o in names if o != name))
        for dataset, names in ALIKE.items()
        for name in names
    },
    "a_mobilenet-s32-cost": hardly_dearer(OWN, V1, 5),
}

HISTORIES: dict[str, History] = {
    f"a_mobilenet-s32-{dataset}-most-labels": better_on_most_classes for dataset in ALIKE
}
