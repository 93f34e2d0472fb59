"""Rows of Chen & Chen (2024), `gcca_vgg`: Tables 1 and 2, Figure 6, and our own rows beside them.

The paper's twelve rows, six models on two datasets, have its 224x224 pixels and ten repeats. Whether they start
from ImageNet's weights is open: they do, and ``-scratch`` is the other reading. Ours, whose ids go on after that:

``model1-scratch48`` ...       from scratch at 48x48, which two cores can train; on CK+ with the classes of CK+48
``weight5e-4`` ...             Figure 6(a): lambda of Eq. 7, with lambda_1 = 7
``pair1`` ... ``pair10``       Figure 6(b): lambda_1 of Eq. 5, with lambda = 0.01
``-grouped0`` ... ``-grouped4``  CK+, the five folds by subject
``-expanded_before``, ``-expanded_after``  CK+, the 15 images made of one stored before or after the split
``-noflip``, ``-norm``         CK+, no face upside down; batch normalisation in the backbone

lambda = 0.005 of Figure 6(a) is model 6 itself, lambda = 0.01 is ``pair7``. A row that answers a cell of Table 1
under another start or size keeps what that cell prints; Figure 6 prints no numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ferlib.experiments.row import Experiment, Published

PAPER = "gcca_vgg"
COLUMNS = {"fer2013": "FER2013", "ckplus": "CK+"}
# Table 1: model -> the component that it adds, (accuracy in percent, Sta) in the order of COLUMNS
TABLE_1: dict[int, tuple[str, tuple[float, float], tuple[float, float]]] = {
    1: ("VGG16", (69.79, 0.38), (92.14, 0.31)),
    2: ("multi-feature fusion", (71.53, 0.35), (93.01, 0.27)),
    3: ("GCCA", (73.85, 0.34), (96.72, 0.24)),
    4: ("PD", (73.84, 0.26), (96.72, 0.16)),
    5: ("RA", (73.97, 0.25), (97.94, 0.13)),
    6: ("joint loss function", (74.08, 0.24), (98.66, 0.11)),
}
# What else is printed of model 6. Section 3.4 ends with the two accuracies the other way round than the tables.
ALSO = {
    "fer2013": (
        Published("test accuracy", 98.66, "section 3.4"),
        Published("test recall of sad", 55.98, "section 3.5"),
        Published("test recall of fear", 61.01, "section 3.5"),
    ),
    "ckplus": (Published("test accuracy", 74.08, "section 3.4"),),
}
# Figure 6: name in ids -> value
WEIGHTS = {"weight5e-4": 0.0005, "weight1e-3": 0.001, "weight5e-2": 0.05}  # and 0.005, 0.01, see above
PAIR_WEIGHTS = {f"pair{value}": float(value) for value in range(1, 11)}
SWEEP_WEIGHT = 0.01  # lambda of Figure 6(b)
FOLDS = 5
REPEATS = tuple(range(10))  # section 3.2
NOT_IN_THE_PAPER = "not in the paper"

# What the paper leaves open. In every row:
OPEN = {
    "variant.norm": "Not printed, and VGG16 has none. None: the networks can be trained from scratch without. Models "
    "1 and 6 have rows of their own with it on CK+.",
    "variant.dropout": "Section 3.3 prints the rate 0.001, no place. In front of the classifier.",
    "classifier": "Not printed; section 2.2 takes away VGG16's last pool and dense layers. One dense layer on averaged "
    "feature maps. Section 3.4 calls model 1 'the original VGG16'; here it is trimmed like the others, so that fusion "
    "alone is what model 2 adds. The maps are block 5's in model 1, the fused ones (from model 5 on also the reverse "
    "attention's) in the others.",
    "optimiser": "Not printed. Adam with rate 0.0001 and PyTorch's other defaults. Chosen by the 75 validation frames "
    "of CK+48 alone, in trials of six epochs with model 6 from scratch at 48x48, against Adam with 0.00005, 0.0003 "
    "and 0.001 and momentum 0.9 with 0.001 and 0.01; so few frames do not tell it from 0.00005. The trials left no "
    "records, so their figures are not given.",
    "batch": "Not printed. 16, chosen in the same way against 32, which has half as many updates in as many epochs.",
    "epochs": "Not printed. 30, each with every image once in one of its 15 states: as many as two epochs over the "
    "expanded images. The same for all rows, as section 3.4 has 'consistent experimental parameters'.",
    "schedule.monitor": "Section 3.3: halved 'when the loss rate ceased to decrease within three iterations', of the "
    "training or the validation part. The validation loss, recorded after each epoch by the same section; any "
    "decrease counts.",
    "augmentation": "Section 3.1 counts 15 images for each one, of flips and five rotations. 15 takes three flips: "
    "none, horizontal and vertical; a horizontal flip alone makes 10. Each epoch draws one of the 15 states for each "
    "image, where the paper stores all of them; validation and test images stay as they are.",
    "augmentation.fill": "Not printed. The nearest pixels.",
    "seeds": "Section 3.2 names the random start and the random batches as what differs between repeats: one split for "
    "all of them.",
    "preprocess": "Section 3.1 has images 'scaled and normalized using bilinear interpolation', which is said of their "
    "size; no scale of pixels is printed. Pixels in [0, 1].",
    "selection": "Not printed. The epoch is chosen on validation accuracy; the best test epoch stands beside it.",
    "precision": "Not printed. Matrix products in bfloat16 where the device has it, else float32. The classifier "
    "and the loss are in float32 either way.",
}
OPEN_IMAGENET = {
    "variant.pretrained": "Not printed. The backbone starts from ImageNet's weights (torchvision, IMAGENET1K_V1) "
    "and gets pixels standardised as they need it, the usual start of a VGG16 at 224x224. 'Random initialization of "
    "network parameters' (section 3.2) is then said of the layers that VGG16 lacks; it can also be read as a start "
    "from scratch, see the rows ending in -scratch. New layers start as in those.",
}
OPEN_SCRATCH = {
    "variant.pretrained": "Not printed. From scratch: 'random initialization of network parameters' (section 3.2).",
    "weights": "Not printed. He's normal weights, zero biases; small weights where a sigmoid or a product follows.",
}
OPEN_FUSION = {
    "variant.width": "Not printed. 32 channels in each lateral output, as in reference 23.",
    "variant.fused": "Not printed. 128 filters of 3x3 fuse them with the edge map of block 2, one 3x3 filter "
    "(section 2.1: 'a single kernel'), at that map's size, with and without the partial decoder. Fused at block 3's "
    "size instead, models 2 and 3 would need fewer operations than model 4, against section 3.4's statement.",
}
OPEN_GCCA = {
    "random pooling": "Section 2.3 does not define it. Stochastic pooling (Zeiler & Fergus, 2013) over the whole "
    "map: an activation is drawn in proportion to its value, in evaluation their expectation is taken. The caption "
    "of Figure 2 names CBAM in the place of GCCA; GCCA, as the text says. It stands "
    "after the last ReLU of a block; its grouped convolution starts as the mean of the three. Its convolutions have "
    "biases, which Eq. 1 does not print.",
}
OPEN_PD = {
    "partial decoder": "Section 2.4 refers to reference 23. Its aggregation of three levels, over the lateral outputs "
    "of 32 channels; block 2's edge map joins what it returns. The one-channel map P_d, with which reference 23 ends, "
    "is made of that by a 1x1 convolution where reverse attention starts, so that model 4 has none.",
}
OPEN_RA = {
    "reverse attention": "Eq. 4 has all channels of C_{i+1} under the sigmoid. Of the blocks' outputs, which Eq. 3 "
    "weighs here, those of C_4 do not fit C_3, and there is no C_6; section 2.5 also speaks of lateral outputs, whose "
    "channels would fit. A one-channel prediction, refined from level to level as in reference 24. The D of "
    "Eq. 3 is said to be a multiplication, which C_i · A_i is already: convolutions stand in its place, as there. U, "
    "said to upsample, makes P_d smaller where it meets C_5.",
    "side outputs": "Eq. 7 has one output. So the maps P_d and S_i have no loss of their own: references 23 and 24 "
    "train theirs on masks of objects, which faces do not come with.",
}
OPEN_ISLAND = {
    "loss_options.step": "The centres' update is not printed. That of reference 25 with step 0.5; they start at zero.",
    "loss_options.reduction": "Eq. 5's center loss is not written out. Its mean over the batch.",
    "loss_options.pair_weight": "Section 3.3 varies lambda_1 'from 1 to 10' and prints no step. Whole numbers.",
    "loss_options.features": "Not printed which features. Those in front of the classifier, before dropout.",
}
OPEN_DATA = {
    "fer2013": {
        "dataset_options.protocol": "Not printed: section 3.1 has 35,887 images and no parts. The official ones: "
        "training, public test for validation, private test.",
    },
    "ckplus": {
        "dataset_options.protocol": "Not printed. Frames at random: the last three of each sequence, which for "
        "neutral has its first.",
        "dataset_options.test_fraction": "Not printed. A fifth, though by Eq. 8 and 9 no printed pair of Acc and Sta "
        "fits ten runs on a fifth of the frames: the chapter counts.",
    },
}

FACES = (
    "No MTCNN: the images of FER2013 and CK+48 are face crops already, frames of CK+'s original distribution are "
    "cropped around its landmarks. All of them have sides of 48 pixels, from which those of 224 are interpolated. What "
    "a second crop, to the detector's box, would do to accuracy is not measured."
)
HELD_OUT = (
    "A stratified tenth of the training frames is held out to choose the epoch and to lower the rate; section 3.3 "
    "mentions a validation set without its images or their number."
)
CK48 = (
    "CK+48 in place of CK+: six classes, 927 frames. It has contempt, which section 3.1 leaves out and so do we, and "
    "no neutral faces, which section 3.1 has."
)
SMALL = (
    "Our own row: 48x48 pixels and three repeats instead of 224x224 and ten, so that two cores can train it."
)
BY_SUBJECT = (
    "Folds by subject: no person, and so no sequence, is on both sides of the split. A tenth of the other subjects' "
    "frames, by subject, is held out to choose the epoch and to lower the rate."
)
EXPANDED = (
    "Our own row: all 15 images of each frame are stored, {}, in test as in training. Two epochs of 15 times the "
    "images are as many updates as 30; the rate cannot fall within them."
)
EXPANSION = {
    "before": "before the split: copies of a test image are in training",
    "after": "after the split, each part on its own",
}


def title(model: int) -> str:
    name = TABLE_1[model][0]
    return f"Model {model} ({name})" if model == 1 else f"Model {model} (+ {name})"


def printed(dataset: str, model: int) -> tuple[Published, ...]:
    """Every number that the paper prints for a model on a dataset. Sta is in points."""
    accuracy, sta = TABLE_1[model][1:][list(COLUMNS).index(dataset)]
    found = [Published("test accuracy", accuracy, "Table 1"), Published("Sta", sta, "Table 1")]
    if model == 6:
        found += [
            Published("test accuracy", accuracy, "Table 2"),
            Published("Sta", sta, "Table 2"),
            Published("test accuracy", accuracy, "abstract"),
            *ALSO[dataset],
        ]
    return tuple(found)


_MODEL_6 = Experiment(
    id=f"{PAPER}-fer2013-model6",
    paper=PAPER,
    table="Tables 1 and 2",
    row=title(6),
    column=COLUMNS["fer2013"],
    published=printed("fer2013", 6),
    dataset="fer2013",
    dataset_options={"protocol": "official"},
    model="gcca_vgg",
    variant={"model": 6, "norm": False, "pretrained": True, "dropout": 0.001},
    loss="island",
    loss_options={"weight": 0.005, "pair_weight": 7.0, "step": 0.5, "reduction": "mean"},
    optimiser={"name": "adam", "lr": 0.0001},
    schedule={"name": "plateau", "monitor": "val_loss", "factor": 0.5, "patience": 3, "min_delta": 0.0},
    early_stopping=None,
    epochs=30,
    batch=16,
    augmentation={"flip": ["none", "horizontal", "vertical"], "rotation": {"degrees": 10, "step": 5}},
    size=224,
    seeds=REPEATS,
    deviations=(FACES,),
)


def of_table(dataset: str, model: int) -> Experiment:
    """The paper's row. Model 5 is the network of model 6 under the softmax loss."""
    row = replace(
        _MODEL_6,
        id=f"{PAPER}-{dataset}-model{model}",
        table="Tables 1 and 2" if model == 6 else "Table 1",
        row=title(model),
        column=COLUMNS[dataset],
        published=printed(dataset, model),
        dataset=dataset,
        variant={**_MODEL_6.variant, "model": model},
    )
    if dataset == "ckplus":
        options = {"protocol": "frames", "test_fraction": 0.2, "neutral": True, "contempt": False}
        row = replace(row, dataset_options=options, deviations=(FACES, HELD_OUT))
    return row if model == 6 else replace(row, loss="cross_entropy", loss_options={})


def extra(row: Experiment, suffix: str, what: str, *notes: str, **changes: Any) -> Experiment:
    """``row`` with some changes, still an answer to its cell."""
    changed = replace(row, id=f"{row.id}-{suffix}", row=f"{row.row}, {what}", **changes)
    return replace(changed, deviations=(*changed.deviations, *notes))


def own(row: Experiment, suffix: str, what: str, *notes: str, **changes: Any) -> Experiment:
    """``row`` with some changes that the paper has no cell for."""
    return extra(row, suffix, what, *notes, table=NOT_IN_THE_PAPER, published=(), **changes)


def from_scratch(row: Experiment) -> Experiment:
    return extra(row, "scratch", "from scratch", variant={**row.variant, "pretrained": False})


def small(row: Experiment) -> Experiment:
    """A row from scratch for two cores; on CK+ with the images that need no form to be signed."""
    row = replace(row, id=f"{row.id}48", row=f"{row.row}, 48x48", size=48, seeds=REPEATS[:3])
    notes = [*row.deviations, SMALL]
    if row.dataset == "ckplus":
        options = {k: v for k, v in row.dataset_options.items() if k != "neutral"}
        row = replace(row, dataset_options=options)
        notes.append(CK48)
    return replace(row, deviations=tuple(notes))


def sweeps(row: Experiment) -> Iterator[Experiment]:
    """Figure 6 around the row of model 6."""
    points = [("Figure 6(a)", name, {"weight": value}) for name, value in WEIGHTS.items()]
    for name, value in PAIR_WEIGHTS.items():
        where = (
            "Figure 6" if value == row.loss_options["pair_weight"] else "Figure 6(b)"
        )  # (a) and (b) meet there
        points.append((where, name, {"weight": SWEEP_WEIGHT, "pair_weight": value}))
    for where, name, change in points:
        options = {**row.loss_options, **change}
        values = f"lambda = {options['weight']:g}, lambda_1 = {options['pair_weight']:g}"
        yield replace(
            row,
            id=row.id.replace("model6", name),
            table=where,
            row=f"{row.row}, {values}",
            published=(),
            loss_options=options,
        )


def grouped(row: Experiment) -> Iterator[Experiment]:
    """A CK+ row's folds by subject."""
    upright = replace(row, deviations=tuple(note for note in row.deviations if note != HELD_OUT))
    for fold in range(FOLDS):
        options = {"protocol": "subjects", "folds": FOLDS, "fold": fold, "contempt": False}
        what = f"by subject, fold {fold + 1} of {FOLDS}"
        yield own(upright, f"grouped{fold}", what, BY_SUBJECT, dataset_options=options)


def controls(row: Experiment) -> Iterator[Experiment]:
    """What else is asked of a small CK+ row: leakage by expansion, the vertical flip."""
    for order, how in EXPANSION.items():
        yield own(
            row,
            f"expanded_{order}",
            f"expanded {order} the split",
            EXPANDED.format(how),
            dataset_options={**row.dataset_options, "expansion": order},
            augmentation={},
            epochs=2,
        )
    flips = [flip for flip in row.augmentation["flip"] if flip != "vertical"]
    yield own(
        row,
        "noflip",
        "without vertical flips",
        "Our own row: no face upside down in training, 10 images of each instead of 15.",
        augmentation={**row.augmentation, "flip": flips},
    )


def normalised(row: Experiment) -> Experiment:
    return own(
        row,
        "norm",
        "with batch normalisation",
        "Our own row: batch normalisation after each convolution of the backbone, which neither the paper nor VGG16 "
        "has.",
        variant={**row.variant, "norm": True},
    )


def with_notes(row: Experiment) -> Experiment:
    """The row with a reason for each of its choices that the paper leaves open."""
    model = row.variant["model"]
    notes = OPEN | (OPEN_IMAGENET if row.variant["pretrained"] else OPEN_SCRATCH)
    for first, added in ((2, OPEN_FUSION), (3, OPEN_GCCA), (4, OPEN_PD), (5, OPEN_RA), (6, OPEN_ISLAND)):
        notes |= added if model >= first else {}
    notes |= OPEN_DATA[row.dataset]
    settled = {
        "dataset_options.protocol": row.dataset_options["protocol"] == "subjects",
        "dataset_options.test_fraction": row.dataset_options["protocol"] == "subjects",
        "variant.norm": row.variant["norm"],
        "epochs": row.epochs != _MODEL_6.epochs,
        "augmentation": row.augmentation != _MODEL_6.augmentation,
        "augmentation.fill": not row.augmentation,
    }
    return replace(row, assumed={k: v for k, v in notes.items() if not settled.get(k)})


def all_rows() -> Iterator[Experiment]:
    """The small rows first, those that need least first."""
    paper = {(d, m): of_table(d, m) for d in COLUMNS for m in TABLE_1}
    scratch = {cell: from_scratch(row) for cell, row in paper.items()}
    cells = {cell: small(row) for cell, row in scratch.items()}
    yield from (cells["ckplus", m] for m in TABLE_1)
    for m in (1, 6):
        yield from grouped(cells["ckplus", m])
    yield from controls(cells["ckplus", 6])
    yield from (normalised(cells["ckplus", m]) for m in (1, 6))
    yield from (cells["fer2013", m] for m in TABLE_1)
    yield from sweeps(cells["fer2013", 6])
    yield from scratch.values()
    yield from paper.values()


ROWS: tuple[Experiment, ...] = tuple(with_notes(row) for row in all_rows())
