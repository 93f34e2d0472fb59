"""Rows of Nan et al. (2022), `a_mobilenet`: Tables 3 and 4, and our own rows beside them.

The paper's eight rows have its 224x224 pixels and start from ImageNet (``variant["pretrained"]``). Ours, whose
ids go on after the network's name:

``no_center``, ``no_attention``, ``no_linear``   A-MobileNet without one of its three changes to MobileNetV1
``linear_all``                                   with the linear depthwise output in all blocks
``-scratch``                                     from scratch, at 224x224
``-scratch48``, ``-scratch96``                   from scratch, at 48x48 and 96x96
``ckplus-...``                                   on CK+48, which the paper did not use, split by frames
``-grouped0`` ... ``-grouped4``                  there, the five folds by subject

Rows of ours that answer a cell of Tables 3 and 4 under another start or size keep what that cell prints;
the others have no published value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ferlib.experiments.row import Experiment, Published

PAPER = "a_mobilenet"
# name in ids -> name in Tables 3 and 4; also the name of the model
NETS = {
    "mobilenet_v1": "MobileNetV1",
    "mobilenet_v2": "MobileNetV2",
    "mobilenet_v3_small": "MobileNetV3-small",
    "a_mobilenet": "A-MobileNet",
}
TABLES = {"ferplus": "Table 3", "rafdb": "Table 4"}
ACCURACY = {  # percent
    "ferplus": {
        "mobilenet_v1": 85.40,
        "mobilenet_v2": 77.18,
        "mobilenet_v3_small": 73.24,
        "a_mobilenet": 88.11,
    },
    "rafdb": {
        "mobilenet_v1": 81.62,
        "mobilenet_v2": 67.77,
        "mobilenet_v3_small": 68.29,
        "a_mobilenet": 84.49,
    },
}
MILLIONS = {"mobilenet_v1": 3.2, "mobilenet_v2": 2.3, "mobilenet_v3_small": 1.5, "a_mobilenet": 3.4}
GAIN = {"ferplus": 2.71, "rafdb": 2.87}  # section 3.2: A-MobileNet over MobileNetV1, points
SIZES = (48, 96)
FOLDS = 5
NOT_IN_THE_PAPER = "not in the paper"

# What the paper leaves open. In every row:
OPEN = {
    "variant.dropout": "Section 3.1 prints 0.5 among the settings of the experiment, section 4 names dropout as part "
    "of A-MobileNet. 0.5 in all four nets, so that it is no difference between them; in front of the last layer, "
    "where Keras' MobileNet has it.",
    "balance": "Section 3.1: 'as balanced as possible', no counts. Every class is filled up to the largest one, with "
    "copies drawn anew in each epoch. Only the copies are moved: the paper augments the categories with few samples.",
    "augmentation.rotation": "Printed as 0 to 20 degrees and taken so: one direction. It is not said which; "
    "counter-clockwise. rotation_range=20 of Keras' ImageDataGenerator would turn to both sides, but that has no crop.",
    "augmentation.crop": "Printed as 0-0.2, not of what. From each side on its own, as a part of the side.",
    "augmentation.zoom": "'Rescale' is named without a range. Read as a change of scale of up to 10 % (Keras' rescale, "
    "which only multiplies the pixel values, happens to every image).",
    "augmentation.shift": "'Translation' is named without a range. 10 % of the side.",
    "augmentation.fill": "Not printed. The nearest pixels, the default of Keras' ImageDataGenerator.",
    "size": "Section 3.1 does not say how images of 48x48 (FERPlus, CK+48) or 100x100 (RAF-DB) get to the size of the "
    "input. Bilinearly.",
    "optimiser.eps": "Not printed. 1e-7, the default of Keras' Adam.",
    "schedule": "Section 3.1: 'decay was 1e-5', taken for the argument of that name of Keras' Adam: in update k, "
    "counted from 0, the rate is 0.0001 / (1 + 1e-5 k). It could also be the 'weight attenuation' that, by section "
    "2.1, one 'usually' adds to the loss; no weight decay here.",
    "batch normalisation": "Not printed. Keras' defaults (momentum 0.99, epsilon 1e-3) in MobileNetV1 and A-MobileNet; "
    "torchvision's own in V2 (its momentum 0.1 is Keras' 0.9, epsilon 1e-5) and in V3-small (0.01 and 1e-3).",
    "precision": "Not printed. Matrix products in bfloat16 where the device has it, else float32. Depthwise "
    "convolutions, the classifier and the loss are in float32 either way.",
}
OPEN_IMAGENET = {
    "variant.pretrained": "Section 2.2: ImageNet weights, said of A-MobileNet alone and without a source. All four "
    "nets start there, so that the start is no difference between them: MobileNetV1 and the layers that A-MobileNet "
    "shares with it from the checkpoint of Howard et al., the others from torchvision (IMAGENET1K_V1).",
}
# the pixels that a net's ImageNet weights were trained on
OPEN_PIXELS = {
    "symmetric": "Not printed. Pixels in [-1, 1], as the ImageNet weights of MobileNetV1 were trained (Howard et al.'s "
    "checkpoint; Keras' MobileNet expects the same).",
    "imagenet": "Not printed. ImageNet's mean and deviation per channel, as torchvision's weights were trained.",
}
OPEN_SCRATCH = {
    "weights": "Our row. Keras' default start (Glorot uniform, zero biases) for MobileNetV1 and A-MobileNet, "
    "torchvision's own for MobileNetV2 and V3-small.",
    "preprocess.standardise": "Not printed. From scratch no weights ask for certain pixels: ImageNet's mean and "
    "deviation per channel in all nets.",
}
OPEN_A_MOBILENET = {
    "variant.placement": "Section 2.2 has nine plain blocks before four improved ones, Table 1 spreads the four. "
    "Table 1: with Woo et al.'s ratio it alone meets the printed 3.4 M parameters.",
    "variant.ratio": "Not printed. 16, which Woo et al. (reference 25) use throughout and the parameters fit. The "
    "perceptron has a ReLU, as theirs, and biases, which Eq. 2 does not print.",
    "variant.linear": "Section 2.2 defines the improved block by its linear depthwise output and its attention, and "
    "counts four of them beside nine plain ones; two sentences after Table 1 give the linear output to the original "
    "and the improved blocks alike. The improved blocks, else the plain ones would not be MobileNetV1's; a row of its "
    "own has all of them.",
}
OPEN_CENTER = {
    "loss_options.weight": "lambda of Eq. 10 is not printed. 0.003, which Wen et al. (reference 27) settle on.",
    "loss_options.step": "The step of the centres by Eq. 9 is not printed. 0.5, which Wen et al. settle on. "
    "The centres start at zero.",
    "loss_options.reduction": "Eq. 7 divides by the number of images, Eq. 10 does not. Eq. 7, the definition.",
    "loss_options.features": "Section 2.1 calls x_i 'the eigenvalue of the i-th picture'. The 1,024 pooled channels "
    "that Table 1's last layer takes, before dropout.",
}
OPEN_DATA = {
    "ferplus": {
        "dataset_options.rule": "Section 3.1: 'maximum-voting', which may or may not ask for more than half of the "
        "votes. Table 2 is, class by class, the training part under the official majority rule.",
        "dataset.test": "Section 3.1 names a private (3,152) and a public test set (3,199); Table 3 does not say "
        "which one it reports. Rounded as printed, 85.40, 77.18 and 73.24 are parts of 3,199 images; 88.11 is not, but "
        "of 3,153, the official size of the private part; neither part nor both together fit all four. Here the epoch "
        "is chosen on the public part and reported on the private one. The record also holds the public part's "
        "accuracy in each epoch, the private part's best, and that of both together: every reading from one run.",
    },
    "rafdb": {},
    "ckplus": {
        "epochs": "Our row. The paper's 100 epochs, batch and rate: about 2,000 updates, against 109,300 on FERPlus. "
        "With Keras' momentum of 0.99 (all nets but V2) the running statistics of batch normalisation follow slowly at "
        "so few updates per epoch: evaluation may lag far behind training in the first part of a run.",
    },
}

RAFDB_NOTE = (
    "Epochs are chosen on a stratified tenth of the 12,271 training images, which the paper trained on; it names no "
    "validation part. The best test epoch is recorded beside it."
)
SCRATCH_NOTE = "Our own row: from scratch. The paper starts from ImageNet weights (section 2.2)."
CKPLUS_NOTE = (
    "Our own row: CK+48 is not among the paper's datasets. Its seven classes have contempt, not neutral."
)
FRAMES_NOTE = "Split frame by frame: nearly every test image has a sister frame of its sequence in training."


def size_note(size: int) -> str:
    note = f"Our own row: {size}x{size} pixels instead of Table 1's 224x224, so that two cores can train it."
    if size == 48:
        note += " The last map of MobileNetV1 and A-MobileNet is then one pixel: no spatial attention is left there."
    return note


def printed(dataset: str, net: str) -> tuple[Published, ...]:
    """Every number that the paper prints for a network on a dataset."""
    table, accuracy = TABLES[dataset], ACCURACY[dataset][net]
    found = [
        Published("test accuracy", accuracy, table),
        Published("parameters (million)", MILLIONS[net], table),
    ]
    if net == "a_mobilenet":
        found += [
            Published("test accuracy", accuracy, "section 3.2"),
            Published("test accuracy", accuracy, "section 4"),
            Published("gain over MobileNetV1 (points)", GAIN[dataset], "section 3.2"),
            Published("parameters above MobileNetV1 (million)", 0.2, "section 3.2"),
        ]
    return tuple(found)


_A_MOBILENET = Experiment(
    id=f"{PAPER}-ferplus-a_mobilenet",
    paper=PAPER,
    table="Table 3",
    row="A-MobileNet",
    column="all",
    published=printed("ferplus", "a_mobilenet"),
    dataset="ferplus",
    dataset_options={"rule": "majority"},
    model="a_mobilenet",
    variant={
        "placement": "table",
        "ratio": 16,
        "attention": True,
        "linear": "improved",
        "dropout": 0.5,
        "pretrained": True,
    },
    loss="center",
    loss_options={"weight": 0.003, "step": 0.5, "reduction": "mean"},
    optimiser={"name": "adam", "lr": 0.0001, "eps": 1e-7},
    schedule={"name": "time", "decay": 1e-5},
    early_stopping=None,
    epochs=100,
    batch=64,
    augmentation={"rotation": (0, 20), "crop": 0.2, "zoom": {"range": 0.1, "isotropic": True}, "shift": 0.1},
    balance={"expand_to": "max"},
    preprocess={"channels": 3, "standardise": "symmetric"},  # channels: Table 1 and section 3.1, x3
    size=224,
    seeds=(0, 1, 2),
)


def of_table(dataset: str, net: str) -> Experiment:
    """The paper's row; the baselines differ in the network, with the softmax loss that it has there (section 2.2).

    Pixels are standardised as those were that a network's ImageNet weights were trained on.
    """
    row = replace(
        _A_MOBILENET,
        id=f"{PAPER}-{dataset}-{net}",
        table=TABLES[dataset],
        row=NETS[net],
        published=printed(dataset, net),
        dataset=dataset,
        dataset_options={"rule": "majority"} if dataset == "ferplus" else {},
        deviations=(RAFDB_NOTE,) if dataset == "rafdb" else (),
    )
    if net == "a_mobilenet":
        return row
    variant = {key: row.variant[key] for key in ("dropout", "pretrained")}
    preprocess = row.preprocess if net == "mobilenet_v1" else {**row.preprocess, "standardise": "imagenet"}
    return replace(
        row, model=net, variant=variant, loss="cross_entropy", loss_options={}, preprocess=preprocess
    )


def ablations(row: Experiment) -> Iterator[Experiment]:
    """A-MobileNet without one of its three changes: attention alone has no row in the paper, nor center loss alone."""
    changes = {
        "center": ("center loss", {"loss": "cross_entropy", "loss_options": {}}),
        "attention": ("attention", {"variant": {**row.variant, "attention": False}}),
        "linear": ("linear depthwise output", {"variant": {**row.variant, "linear": "none"}}),
    }
    for slug, (what, change) in changes.items():
        yield replace(
            row,
            id=row.id.removesuffix("a_mobilenet") + f"no_{slug}",
            table=NOT_IN_THE_PAPER,
            row=f"{row.row} without {what}",
            published=(),
            deviations=(*row.deviations, f"Our own row: without {what}."),
            **change,  # type: ignore[arg-type]
        )


def linear_in_all(row: Experiment) -> Experiment:
    """A-MobileNet under the other reading of section 2.2, after Table 1: no block has an activation in its middle."""
    return replace(
        row,
        id=row.id.removesuffix("a_mobilenet") + "linear_all",
        table=NOT_IN_THE_PAPER,
        row=f"{row.row} with linear depthwise output in all blocks",
        published=(),
        variant={**row.variant, "linear": "all"},
        deviations=(*row.deviations, "Our own row: the linear depthwise output in all blocks."),
    )


def from_scratch(row: Experiment) -> Experiment:
    return replace(
        row,
        id=f"{row.id}-scratch",
        row=f"{row.row}, from scratch",
        variant={**row.variant, "pretrained": False},
        preprocess={**row.preprocess, "standardise": "imagenet"},
        deviations=(*row.deviations, SCRATCH_NOTE),
    )


def at_size(row: Experiment, size: int) -> Experiment:
    """A row from scratch with smaller images."""
    return replace(
        row,
        id=f"{row.id}{size}",
        row=f"{row.row}, {size}x{size}",
        size=size,
        deviations=(*row.deviations, size_note(size)),
    )


def on_ckplus(row: Experiment) -> Experiment:
    """The FERPlus row with CK+48 for its data, split by frames."""
    return replace(
        row,
        id=row.id.replace("-ferplus-", "-ckplus-"),
        table=NOT_IN_THE_PAPER,
        row=f"{row.row}, CK+48",
        published=(),
        dataset="ckplus",
        dataset_options={"protocol": "frames"},
        deviations=(*row.deviations, CKPLUS_NOTE, FRAMES_NOTE),
    )


def grouped(row: Experiment) -> Iterator[Experiment]:
    """A CK+ row's folds by subject."""
    for fold in range(FOLDS):
        yield replace(
            row,
            id=f"{row.id}-grouped{fold}",
            row=f"{row.row}, by subject, fold {fold + 1} of {FOLDS}",
            dataset_options={"protocol": "subjects", "folds": FOLDS, "fold": fold},
            deviations=tuple(note for note in row.deviations if note != FRAMES_NOTE),
        )


def imagenet_notes(row: Experiment) -> dict[str, str]:
    return OPEN_IMAGENET | {"preprocess.standardise": OPEN_PIXELS[row.preprocess["standardise"]]}


def with_notes(row: Experiment) -> Experiment:
    """The row with a reason for each of its choices that the paper leaves open."""
    notes = OPEN | (imagenet_notes(row) if row.variant["pretrained"] else OPEN_SCRATCH)
    if row.model == "a_mobilenet":
        notes |= OPEN_A_MOBILENET
        for key, without in (
            ("ratio", not row.variant["attention"]),
            ("linear", row.variant["linear"] != "improved"),
        ):
            if without:  # our own row settles it
                del notes[f"variant.{key}"]
    if row.loss == "center":
        notes |= OPEN_CENTER
    return replace(row, assumed=notes | OPEN_DATA[row.dataset])


def all_rows() -> Iterator[Experiment]:
    ferplus = [of_table("ferplus", net) for net in NETS]
    without = list(ablations(ferplus[-1]))
    rafdb = [of_table("rafdb", net) for net in NETS]
    for row in (*ferplus, *without, linear_in_all(ferplus[-1]), *rafdb):
        scratch = from_scratch(row)
        yield from (row, scratch, *(at_size(scratch, size) for size in SIZES))
    # CK+48, small enough for every fold on two cores; at 96 pixels attention keeps maps to choose from
    for size in SIZES:
        for row in (*ferplus, *without, linear_in_all(ferplus[-1])):
            ours = on_ckplus(at_size(from_scratch(row), size))
            yield from (ours, *grouped(ours))


ROWS = tuple(with_notes(row) for row in all_rows())
