"""Rows of Wang & Zhang (2023), `msca_resnet`: Tables 2 and 3, the own rows of Table 4, readings and controls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ferlib.experiments.row import Experiment, Published

WANG_ASSUMED = {
    "variant.width": "Not printed. 64 filters in the first convolution and the first unit, then 128 and 256: "
    "ResNet's start (reference 13 of the paper), and 256 is the output of inception (3a), whose shares the modules "
    "take. 32, 48 and 96 have rows of their own on CK+.",
    "variant.kernels": "Not printed. Branches 1x1, 3x3, 5x5 and a 3x3 max-pool with 1x1 convolutions, in the shares "
    "of inception (3a) of Szegedy et al. (CVPR 2015, Table 1), the module that section 2.2 improves on.",
    "variant.join": "Section 2.2 puts batch normalisation and SENet 'in parallel', no word on what joins them; section "
    "1 can be read as both in parallel to the Inception module. To each other: their outputs are added, which keeps "
    "the four rows of Table 3 equally wide.",
    "variant.se": "Section 2.2 can be read as one SE block for each branch or one over all. One over all: with "
    "ratio 8 the narrow branches would have bottlenecks of a single unit.",
    "variant.unit_kernel": "Not printed. 3x3 for the convolution after the module, a 3x3 first convolution with a "
    "2x2 max-pool.",
    "variant.pools": "Section 2.3: 'There is a maximum pooling layer in the middle' of the three units. Read as one "
    "between each two, 2x2. A single one, behind the first unit, has a row of its own on CK+.",
    "variant.skip": "Not printed. The identity, and a linear 1x1 convolution where the widths differ (reference 13).",
    "variant.relu": "Not printed. After the first convolution, the 1x1 reductions, the joined module and the sum.",
    "variant.norm": "No constants printed. Keras' momentum 0.99 and epsilon 1e-3.",
    "loss_options.over": "What n counts in Eq. 4 is not said. Images, which a superscript (i) usually numbers: one "
    "cosine over all labels and predictions of a batch. Counting classes gives one cosine for each image, as "
    "TensorFlow's loss of that name has it, which the words under Eq. 4 and the framework suit better; a row of its "
    "own on each dataset.",
    "schedule.until": "Table 1 starts at epoch 0, so its first rate lasts 81 epochs. Section 3.3's attenuation factor "
    "0.1 is the step of Table 1 (its last one is 0.5), no further decay.",
    "optimiser.eps": "Not printed. 1e-7, the default of Keras' Adam.",
    "augmentation.rotation": "Section 3.1 prints [0, 10] degrees and names ImageDataGenerator, whose rotation_range=10 "
    "turns to both sides. Both sides; one side alone has a row of its own on CK+.",
    "augmentation.zoom": "Section 3.1: 'a scale of 0.3', read as ImageDataGenerator's zoom_range=0.3: each axis by a "
    "factor of its own in [0.7, 1.3]. Borders are filled as is its default, with the nearest pixel.",
    "preprocess.standardise": "Section 3.1 normalises 'the standard deviation of all pixels of the image'. Read as "
    "samplewise_std_normalization, which also subtracts the image's mean; featurewise_std_normalization would take "
    "mean and deviation over the training images. ImageDataGenerator does it after shift, rotation and zoom, whatever "
    "the text's order, and so do we.",
    "selection": "Not printed. The epoch is chosen on validation accuracy; the best test epoch stands beside it.",
    "weights": "Not printed. Keras' defaults: Glorot uniform, zero biases.",
    "precision": "Not printed. Matrix products in bfloat16 where the device has it, else float32. The classifier and "
    "the loss are in float32 either way.",
}
FERPLUS_ASSUMED = {
    "dataset_options.rule": "Not printed. The official majority rule with 8 classes. None of the usual rules fits: "
    "of the eight accuracies in Tables 2 and 3, at most four are fractions of its 3,153 test images, of the 3,505 of "
    "the votes' distribution, of the 3,589 printed or of the 3,546 whose most frequent vote is an expression. That "
    "last rule has a row of its own.",
    "dataset.test": "Section 3.1 prints the sizes of three parts (28,709, 3,589 and 3,589) and not which images they "
    "hold. The official ones: training, the public part for validation, the private one for the test.",
}
CKPLUS_ASSUMED = {
    "dataset_options.protocol": "Not printed. Frames at random from CK+48, the three last frames of each sequence: it "
    "has the seven classes of section 3.1, with contempt and without neutral.",
    "dataset_options.test_fraction": "Not printed. All eight accuracies of Tables 2 and 3 are fractions of 147 images "
    "and of no smaller number, and 15 % of the 981 frames are 147.15. 0.1498 gives 147 where the split, which rounds "
    "up, would make 148 of 0.15. 147 frames are also 49 whole sequences of three, 15 % of the 327, and 21 batches "
    "of 7: of 148 to 153 test frames, too, whole batches alone would give these fractions.",
}

SINGLE = "A batch that is left with a single image at the end of an epoch is skipped."


def _printed(value: float, *places: str) -> tuple[Published, ...]:
    return tuple(Published("test accuracy", value, place) for place in places)


_FERPLUS = Experiment(
    id="msca_resnet-ferplus-se_bn",
    paper="msca_resnet",
    table="Tables 2, 3 and 4",
    row="Our method (SENet and BN, learning rate of Table 1)",
    column="FERPlus",
    published=_printed(87.80, "Table 2", "Table 3", "Table 4", "abstract", "section 3.4.2"),
    dataset="ferplus",
    dataset_options={"rule": "majority", "classes": 8},
    model="msca_resnet",
    variant={"se": True, "bn": True, "width": 64},
    loss="cosine",
    loss_options={"over": "batch"},
    optimiser={"name": "adam", "lr": 0.001, "eps": 1e-7},
    schedule={"name": "table", "until": [80, 120, 160, 180], "rates": [1e-3, 1e-4, 1e-5, 1e-6, 5e-7]},
    early_stopping=None,
    epochs=200,
    batch=128,
    augmentation={"rotation": 10, "shift": 0.05, "zoom": 0.3},
    preprocess={"standardise": "image"},
    size=48,
    seeds=(0, 1, 2),
    assumed={**FERPLUS_ASSUMED, **WANG_ASSUMED},
    deviations=(
        "25,060 / 3,199 / 3,153 images of the official FERPlus rule. Section 3.1 prints 28,709 / 3,589 / 3,589, "
        "FER2013's own parts, which only a rule that drops no image gives.",
    ),
)

_CKPLUS = replace(
    _FERPLUS,
    id="msca_resnet-ckplus-se_bn",
    column="CK+",
    published=_printed(99.32, "Table 2", "Table 3", "Table 4", "abstract", "section 3.4.2"),
    dataset="ckplus",
    dataset_options={"protocol": "frames", "test_fraction": 0.1498},
    batch=7,
    assumed={**CKPLUS_ASSUMED, **WANG_ASSUMED},
    deviations=(
        "A stratified tenth of the training frames (84 of 834) is held out to choose the epoch; the paper names no "
        "validation part of CK+.",
        SINGLE,
    ),
)

# Table 2: learning rate as printed, constant over the epochs -> id, accuracy on FERPlus and on CK+
TABLE_2 = {
    "0.01": ("lr1e-2", 84.53, 91.16),
    "0.001": ("lr1e-3", 86.76, 90.48),
    "0.0001": ("lr1e-4", 85.77, 95.24),
    "0.00001": ("lr1e-5", 70.82, 89.80),
}
# Table 3: its number -> id, SENet, BN, accuracy on FERPlus and on CK+; number 4 is the base row
TABLE_3 = {
    1: ("plain", False, False, 86.88, 97.28),
    2: ("se", True, False, 87.16, 98.64),
    3: ("bn", False, True, 87.50, 97.96),
}
NOT_IN_THE_PAPER = "not in the paper"
FOLDS = 5


def _row(base: Experiment, slug: str, **changes: Any) -> Experiment:
    return replace(base, id=f"msca_resnet-{base.dataset}-{slug}", **changes)


def _rate(base: Experiment, lr: str, slug: str, published: float) -> Experiment:
    """The row of Table 2 with a constant rate."""
    return _row(
        base,
        slug,
        table="Table 2",
        row=f"Learning rate {lr}",
        published=_printed(published, "Table 2"),
        optimiser={**base.optimiser, "lr": float(lr)},
        schedule={"name": "constant"},
        assumed={
            **{k: v for k, v in base.assumed.items() if k != "schedule.until"},
            "schedule": "Table 2 prints one rate. Constant: section 3.3's attenuation factor 0.1 is taken as the step "
            "of Table 1.",
        },
    )


def _module(base: Experiment, number: int, slug: str, se: bool, bn: bool, published: float) -> Experiment:
    """The row of Table 3 with this multi-scale convolution module."""
    added = "SENet" if se else "BN" if bn else "neither SENet nor BN"
    return _row(
        base,
        slug,
        table="Table 3",
        row=f"{number} ({added})",
        published=_printed(published, "Table 3"),
        variant={**base.variant, "se": se, "bn": bn},
    )


def _control(base: Experiment, slug: str, title: str, **changes: Any) -> Experiment:
    """A row of ours, for which the paper prints nothing."""
    return _row(base, slug, table=NOT_IN_THE_PAPER, row=f"Our method, {title}", published=(), **changes)


def _common(base: Experiment, column: int) -> tuple[Experiment, ...]:
    """What both datasets have; ``column`` 0 is FERPlus, 1 is CK+ in the tables above."""
    return (
        base,
        *(_rate(base, lr, slug, values[column]) for lr, (slug, *values) in TABLE_2.items()),
        *(_module(base, k, slug, se, bn, values[column]) for k, (slug, se, bn, *values) in TABLE_3.items()),
        _row(
            base,
            "image_cosine",
            row="Our method (one cosine for each image)",
            loss_options={"over": "image"},
            assumed={
                **base.assumed,
                "loss_options.over": "What n counts in Eq. 4 is not said. Classes: one cosine for each image and "
                "their mean, the other reading, and TensorFlow's loss of that name.",
            },
        ),
        _control(
            base,
            "cross_entropy",
            "softmax cross-entropy in place of the cosine",
            loss="cross_entropy",
            loss_options={},
            assumed={k: v for k, v in base.assumed.items() if k != "loss_options.over"},
        ),
    )


def _by_subject(row: Experiment, fold: int) -> Experiment:
    """The row on one of the folds that keep a subject's frames together."""
    assumed = {k: v for k, v in row.assumed.items() if not k.startswith("dataset_options.")}
    return replace(
        row,
        id=f"{row.id}-grouped{fold}",
        table=NOT_IN_THE_PAPER,
        row=f"{row.row}, by subject, fold {fold + 1} of {FOLDS}",
        published=(),
        dataset_options={"protocol": "subjects", "folds": FOLDS, "fold": fold},
        assumed=assumed,
        deviations=(
            "Folds by subject: no person, and so no sequence, is on both sides of the split. A tenth of the other "
            "subjects' frames, by subject, is held out to choose the epoch.",
            SINGLE,
        ),
    )


_FERPLUS_ROWS = (
    *_common(_FERPLUS, 0),
    _row(
        _FERPLUS,
        "argmax",
        row="Our method (labels: most frequent of all votes)",
        dataset_options={"rule": "argmax", "classes": 8},
        assumed={
            **_FERPLUS.assumed,
            "dataset_options.rule": "Not printed. The most frequent of the ten votes, the rule that comes closest to "
            "the printed numbers of images; without those voted unknown or no face.",
        },
        deviations=(
            "28,389 / 3,553 / 3,546 images, those whose most frequent vote is an expression. Section 3.1 prints "
            "28,709 / 3,589 / 3,589, FER2013's own parts, which only a rule that drops no image gives.",
        ),
    ),
)

_CKPLUS_TABLES = _common(_CKPLUS, 1)

_CKPLUS_ROWS = (
    *_CKPLUS_TABLES,
    _row(
        _CKPLUS,
        "one_sided",
        row="Our method (rotation to one side only)",
        augmentation={**_CKPLUS.augmentation, "rotation": (0, 10)},
        assumed={
            **_CKPLUS.assumed,
            "augmentation.rotation": "Section 3.1 prints [0, 10] degrees and no direction. To the letter: one side, "
            "counter-clockwise.",
        },
    ),
    _row(
        _CKPLUS,
        "one_pool",
        row="Our method (one max-pool between the units)",
        variant={**_CKPLUS.variant, "pools": 1},
        assumed={
            **_CKPLUS.assumed,
            "variant.pools": "Section 2.3 has 'a maximum pooling layer in the middle' of the three units. To the "
            "letter: one, behind the first, 2x2.",
        },
    ),
    *(
        _control(
            _CKPLUS,
            f"width{width}",
            f"width {width}",
            variant={**_CKPLUS.variant, "width": width},
            assumed={
                **_CKPLUS.assumed,
                "variant.width": f"Not printed. {width}, to show on validation how much hangs on the 64 of the "
                "other rows.",
            },
        )
        for width in (32, 48, 96)
    ),
    *(
        _by_subject(row, fold)
        for row in _CKPLUS_TABLES
        if row is _CKPLUS or row.table == "Table 3"
        for fold in range(FOLDS)
    ),
)

ROWS: tuple[Experiment, ...] = (*_FERPLUS_ROWS, *_CKPLUS_ROWS)
