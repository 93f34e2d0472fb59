"""Rows of our own, apart from the papers': what a small network reaches from scratch when the recipe is today's.

No published value belongs to them. Every choice was made before the first run, from common practice; the epoch is
chosen on validation, the test part is looked at once. Goals set beforehand: 73.3 % on FER2013's PrivateTest, 87 % on
FERPlus (8 classes, official majority), with at most 1.7 million parameters.

On CK+48 the network has the common protocol of all five papers (`ferlib.experiments.comparison`), twice: from random
weights, and from those that FERPlus' row reached, which the book publishes. That isolates what a start from other
faces is worth; both were set before the first run.
"""

from __future__ import annotations

from dataclasses import replace

from ferlib.experiments import comparison
from ferlib.experiments.row import Experiment

PAPER = "house"
COMMON = "common practice (AdamW, cosine, weight averaging, mild affine augmentation); not tuned on any of these data"

FERPLUS = Experiment(
    id="house-ferplus",
    paper=PAPER,
    table="House recipe",
    row="small residual network",
    column="FERPlus",
    published=(),
    dataset="ferplus",
    dataset_options={},
    model="small_resnet",
    variant={},
    loss="label_distribution",
    loss_options={"smoothing": 0.05},
    optimiser={"name": "adamw", "lr": 2e-3, "weight_decay": 0.05},
    schedule={"name": "cosine", "epochs": 60, "warmup": 2},
    early_stopping=None,
    epochs=60,
    batch=64,
    augmentation={
        "rotation": 12,
        "shift": 0.08,
        "zoom": {"range": (0.9, 1.15), "isotropic": True},
        "hflip": 0.5,
    },
    size=48,
    seeds=(0, 1, 2),
    preprocess={"standardise": "image"},
    recipe={"average": 0.999, "targets": "votes", "mirror": True},
    assumed={
        "everything": COMMON,
        "targets": "all of an image's votes for the eight classes, scaled to sum 1 (Barsoum et al. 2016)",
        "network": "1.05 million parameters, 77 million multiply-adds: two hours of training on one CPU core",
    },
)

FER2013 = replace(
    FERPLUS,
    id="house-fer2013",
    column="FER2013",
    dataset="fer2013",
    loss="cross_entropy",
    loss_options={"smoothing": 0.1},
    recipe={"average": 0.999, "mirror": True},
    assumed={k: v for k, v in FERPLUS.assumed.items() if k != "targets"},
)

STARTS = {"": ("random start", None), "-from_ferplus": ("start from FERPlus", FERPLUS.id)}


def _ckplus(start: str) -> list[Experiment]:
    """CK+48 by frames and in folds by subject, with one of the `STARTS`."""
    title, weights = STARTS[start]
    begins = "of FERPlus' row, all but the classifier's, which is random" if weights else "random"
    return [
        replace(
            theirs,
            id=theirs.id.replace(f"{comparison.PAPER}-ckplus-se_cnn", f"{PAPER}-ckplus{start}"),
            paper=PAPER,
            table="Start from other faces",
            row=f"small residual network, {title}",
            model=FERPLUS.model,
            variant={},
            preprocess=FERPLUS.preprocess,
            pretrained=weights,
            assumed={
                "everything": "the common protocol of the comparison, as it is there; not tuned on these data",
                "weights": begins,
            },
        )
        for theirs in (comparison.by_frames("se_cnn"), *comparison.folds("se_cnn"))
    ]


WIDE = {"stem": 24, "widths": (48, 96, 192)}
ROWS = (
    FERPLUS,
    FER2013,
    replace(FERPLUS, id="house-ferplus-wide", row="small residual network, wider", variant=WIDE),
    replace(FER2013, id="house-fer2013-wide", row="small residual network, wider", variant=WIDE),
    *(row for start in STARTS for row in _ckplus(start)),
)
