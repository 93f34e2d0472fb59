"""What Nan et al. (2022), `a_mobilenet`, say in words, as predicates under the ids of the ledger.

The bounds are ours where the paper names none: a factor of two for "unbalanced", 5 % for "hardly any".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ferlib.claims import Fact, History
from ferlib.claims.costs_and_counts import (
    hardly_dearer,
    hardly_larger_and_dearer,
    no_more_parameters,
    unbalanced,
)
from ferlib.data import ferplus, rafdb
from ferlib.statements import (
    Test,
    recalled_best,
    recalled_in_order,
    recalled_worst,
    taken_for,
)

OWN = "a_mobilenet-ferplus-a_mobilenet"
V1 = "a_mobilenet-ferplus-mobilenet_v1"
SERIES = (V1, "a_mobilenet-ferplus-mobilenet_v2", "a_mobilenet-ferplus-mobilenet_v3_small")
DATASETS = ("ferplus", "rafdb")  # of which section 3.2 says the same
ALIKE = ("angry", "disgust", "fear", "sad")  # section 3.2


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
    "a_mobilenet-s32-ferplus-happy-best": recalled_best("happy"),
    "a_mobilenet-s32-rafdb-happy-best": recalled_best("happy"),
    "a_mobilenet-s32-ferplus-falling": recalled_in_order("surprise", "neutral", "angry", "sad"),
    "a_mobilenet-s32-rafdb-falling": recalled_in_order("surprise", "neutral", "angry", "sad"),
    "a_mobilenet-s32-ferplus-hardest": recalled_worst("fear", "disgust", "contempt"),
    "a_mobilenet-s32-rafdb-hardest": recalled_worst("fear", "disgust"),
    "a_mobilenet-s32-ferplus-fear-surprise": taken_for("fear", "surprise"),
    "a_mobilenet-s32-ferplus-disgust-anger": taken_for("disgust", "angry"),
    "a_mobilenet-s32-rafdb-disgust-neutral-happy": taken_for("disgust", "neutral", "happy"),
    **{
        f"a_mobilenet-s32-{dataset}-{name}-alike": taken_for(name, *(o for o in ALIKE if o != name))
        for dataset in DATASETS
        for name in ALIKE
    },
}

FACTS: dict[str, Fact] = {
    "a_mobilenet-abstract-no-more-parameters": no_more_parameters(OWN, *SERIES),
    "a_mobilenet-introduction-no-more-parameters": no_more_parameters(OWN, *SERIES),
    "a_mobilenet-s21-cbam-cost": hardly_larger_and_dearer(OWN, V1, 5),
    "a_mobilenet-s31-ferplus-unbalanced": unbalanced(ferplus.PUBLISHED["train"], 2),
    "a_mobilenet-s31-rafdb-unbalanced": unbalanced(rafdb.PUBLISHED["train"], 2),
    "a_mobilenet-s32-cost": hardly_dearer(OWN, V1, 5),
}

HISTORIES: dict[str, History] = {
    f"a_mobilenet-s32-{dataset}-most-labels": better_on_most_classes for dataset in DATASETS
}
