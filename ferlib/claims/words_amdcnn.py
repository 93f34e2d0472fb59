"""What Shang et al. (2024) say in words about Figures 6 to 9, by the ids of the ledger's rows.

"Easily mistaken for" is read as: the most frequent mistake. "Low" on FER2013 is below 0.70, the bound that the text
gives for the classes that are recognised better; "around" is within 5 points.
"""

from __future__ import annotations

from ferlib.claims import Fact
from ferlib.claims.costs_and_counts import fewer_than_most, hardly_larger_for_any
from ferlib.data import fer2013
from ferlib.models.amdcnn_readings import CHOICES
from ferlib.statements import (
    Test,
    every_recall_at_least,
    mistaken_only,
    recall_at_least,
    recall_below,
    recall_between,
    recall_within,
    taken_for,
)

STATEMENTS: dict[str, Test] = {
    "amdcnn-va1-fer2013-sad-over-70": recall_at_least("sad", 70),
    "amdcnn-va1-fer2013-neutral-over-70": recall_at_least("neutral", 70),
    "amdcnn-va1-fer2013-angry-low": recall_below("angry", 70),
    "amdcnn-va1-fer2013-disgust-low": recall_below("disgust", 70),
    "amdcnn-va1-fer2013-surprise-low": recall_below("surprise", 70),
    "amdcnn-va2-ferplus-happiness-around-90": recall_within("happy", 90, 5),
    "amdcnn-va2-ferplus-sadness-around-90": recall_within("sad", 90, 5),
    "amdcnn-va2-ferplus-anger-over-80": recall_at_least("angry", 80),
    "amdcnn-va2-ferplus-neutral-over-80": recall_at_least("neutral", 80),
    "amdcnn-va2-ferplus-fear-over-60": recall_at_least("fear", 60),
    "amdcnn-va2-ferplus-disgust-over-60": recall_at_least("disgust", 60),
    "amdcnn-va2-ferplus-surprise-over-60": recall_at_least("surprise", 60),
    "amdcnn-va2-ferplus-disgust-as-anger": taken_for("disgust", "angry"),
    "amdcnn-va2-ferplus-surprise-as-sadness": taken_for("surprise", "sad"),
    "amdcnn-va3-rafdb-happy-over-90": recall_at_least("happy", 90),
    "amdcnn-va3-rafdb-sad-over-90": recall_at_least("sad", 90),
    "amdcnn-va3-rafdb-angry-over-80": recall_at_least("angry", 80),
    "amdcnn-va3-rafdb-neutral-over-80": recall_at_least("neutral", 80),
    "amdcnn-va3-rafdb-surprise-over-80": recall_at_least("surprise", 80),
    "amdcnn-va3-rafdb-all-over-60": every_recall_at_least(60),
    "amdcnn-va4-ckplus-surprise-slightly": recall_between("surprise", 90, 100),
    "amdcnn-va4-ckplus-others-all": mistaken_only("surprise"),
    "amdcnn-vi-fer2013-disgust-as-anger": taken_for("disgust", "angry"),
    "amdcnn-vi-ferplus-disgust-as-anger": taken_for("disgust", "angry"),
    "amdcnn-vi-fer2013-sad-as-surprise": taken_for("sad", "surprise"),
    "amdcnn-vi-fer2013-surprise-as-sad": taken_for("surprise", "sad"),
    "amdcnn-vi-ferplus-sadness-as-surprise": taken_for("sad", "surprise"),
    "amdcnn-vi-ferplus-surprise-as-sadness": taken_for("surprise", "sad"),
}

FACTS: dict[str, Fact] = {
    # the ratio in CAM is not printed, and decides
    "amdcnn-abstract-cbam-cost": hardly_larger_for_any(
        "amdcnn-fer2013-cbam", "amdcnn-fer2013-baseline", 5, "ratio", CHOICES["ratio"]
    ),
    "amdcnn-va1-fer2013-fear-few-images": fewer_than_most(fer2013.PUBLISHED["train"], "fear"),
}

EYES_NOSE_MOUTH = ("eyes", "nose", "mouth")
ATTENTION = {
    "amdcnn-abstract-cbam-focus": EYES_NOSE_MOUTH,
    "amdcnn-abstract-mcbam-focus": EYES_NOSE_MOUTH,
    "amdcnn-i-mcbam-focus": EYES_NOSE_MOUTH,
    "amdcnn-vc-middle": ("middle",),
    "amdcnn-vc-middle-mcbam": ("middle",),
    "amdcnn-vc-regions": EYES_NOSE_MOUTH,
    "amdcnn-vii-mcbam-weighting": EYES_NOSE_MOUTH,
}
