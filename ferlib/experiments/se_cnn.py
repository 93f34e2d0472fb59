"""Rows of Luo (2023), `se_cnn`: Table 1 and the readings that its text leaves open."""

from __future__ import annotations

from dataclasses import replace

from ferlib.experiments.row import Experiment, Published

LUO_ASSUMED = {
    "variant.padding": "Not printed. 'valid' is the default of Keras' Conv2D, the library the paper names "
    "(section 2.1), and half the work of 'same', which has rows of its own.",
    "variant.kernel": "Not printed. 3x3, the smallest kernel that sees a neighbourhood and the usual one since VGG, "
    "which section 1 cites for its small filters.",
    "variant.norm": "Not printed. Batch normalisation at the end of each block and after the fully-connected layer, "
    "behind the printed layers so that Figure 2's order stays unbroken; Keras' momentum 0.99 and epsilon 1e-3.",
    "variant.dropout": "Not printed. 0.25 after each block and 0.5 after the fully-connected layer: Table 1's "
    "training accuracy (86 to 89 %) suggests regularisation, without which such a net fits its training images. "
    "Section 3.2 has it otherwise, a method against over-fitting 'should be used': rows of their own have no dropout.",
    "variant.dense": "Not printed. 1,024 units.",
    "variant.ratio": "Not printed. 16, the default of Hu et al. (reference 11 of the paper).",
    "augmentation.shift": "Section 2.1 names width and height shift, no range. 10 % of the side.",
    "schedule": "Section 2.3 names ReduceLROnPlateau on validation accuracy, no factor or patience. Halved after "
    "3 epochs without improvement, so that the rate falls several times before the patience of 16 ends the run. Keras' "
    "defaults are a tenth after 10: section 3.2, which mentions a lowered rate once, at about epoch 36, and curves "
    "that are steady from about 20 on, suits them as well or better. Rows of their own have them.",
    "optimiser.eps": "Not printed. 1e-7, the default of Keras' Adam.",
    "weights": "Not printed. Keras' defaults: Glorot uniform, zero biases.",
    "precision": "Not printed. Matrix products in bfloat16 where the device has it, logits and the rest in float32.",
}

_LUO = Experiment(
    id="se_cnn-plain",
    paper="se_cnn",
    table="Table 1",
    row="Original CNN",
    column="all",
    published=(
        Published("training loss", 0.3767, "Table 1"),
        Published("training accuracy", 86.21, "Table 1"),
        Published("test loss", 1.1134, "Table 1"),
        Published("test accuracy", 68.01, "Table 1"),
        Published("test accuracy", 68.04, "abstract"),
    ),
    dataset="fer2013",
    dataset_options={"protocol": "official"},
    model="se_cnn",
    variant={"se": "none", "padding": "valid"},
    loss="cross_entropy",
    optimiser={"name": "adam", "lr": 0.002, "eps": 1e-7},
    schedule={"name": "plateau", "factor": 0.5, "patience": 3, "min_delta": 1e-4},
    early_stopping=16,
    epochs=100,
    batch=64,
    augmentation={"shift": 0.1},
    size=48,
    seeds=(0, 1, 2),
    assumed=LUO_ASSUMED,
    deviations=(
        "Selection on PublicTest and report on PrivateTest; the paper has no images left for validation, and "
        "probably selects and reports on the same 7,178. The record also holds that reading (epoch chosen and accuracy "
        "counted over both parts together).",
    ),
)

_LUO_SE = replace(
    _LUO,
    id="se_cnn-se",
    row="CNN with SE Blocks",
    variant={**_LUO.variant, "se": "pool"},
    published=(
        Published("training loss", 0.2913, "Table 1"),
        Published("training accuracy", 89.45, "Table 1"),
        Published("test loss", 1.2447, "Table 1"),
        Published("test accuracy", 69.04, "Table 1"),
        Published("test accuracy", 69.07, "abstract"),
    ),
)

_LUO_SE_CONV = replace(
    _LUO_SE,
    id="se_cnn-se_conv",
    row="CNN with SE Blocks (after every convolution)",
    variant={**_LUO.variant, "se": "conv"},
    deviations=(
        *_LUO.deviations,
        "SE after every convolution (sections 1 and 3.2) instead of Figure 2's placement.",
    ),
)

_MERGED_NOTE = (
    "The paper's 7,178 merged test images. Epoch, learning rate and early stopping follow a stratified tenth of the "
    "training part, which the paper trained on; the best test epoch, which the paper probably reports, is recorded "
    "beside it."
)


def _merged(row: Experiment) -> Experiment:
    extra = row.deviations[len(_LUO.deviations) :]
    return replace(
        row,
        id=f"{row.id}-merged",
        dataset_options={"protocol": "merged"},
        deviations=(_MERGED_NOTE, *extra),
    )


def _same(row: Experiment) -> Experiment:
    return replace(
        row,
        id=f"{row.id}-same",
        variant={**row.variant, "padding": "same"},
        assumed={
            **row.assumed,
            "variant.padding": "Not printed. 'same', the other reading, beside Keras' default.",
        },
    )


def _no_dropout(row: Experiment) -> Experiment:
    return replace(
        row,
        id=f"{row.id}-nodropout",
        variant={**row.variant, "dropout": (0.0, 0.0)},
        assumed={
            **row.assumed,
            "variant.dropout": "Not printed. None: section 3.2 says that a method against over-fitting 'should be "
            "used', and Figure 2's text names no dropout.",
        },
    )


def _keras_plateau(row: Experiment) -> Experiment:
    return replace(
        row,
        id=f"{row.id}-keras_plateau",
        schedule={**row.schedule, "factor": 0.1, "patience": 10},
        assumed={
            **row.assumed,
            "schedule": "Section 2.3 names ReduceLROnPlateau on validation accuracy, no factor or patience. Keras' "
            "defaults: a tenth after 10 epochs without improvement.",
        },
    )


ROWS = (
    _LUO,
    _LUO_SE,
    _LUO_SE_CONV,
    _merged(_LUO),
    _merged(_LUO_SE),
    _merged(_LUO_SE_CONV),
    _same(_LUO),
    _same(_LUO_SE),
    _no_dropout(_LUO),
    _no_dropout(_LUO_SE),
    _keras_plateau(_LUO),
    _keras_plateau(_LUO_SE),
)
