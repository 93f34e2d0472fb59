"""Rows of Shang et al. (2024), `amdcnn`: Tables 3 and 8, subject-grouped folds, readings and controls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ferlib.experiments.row import Experiment, Published

COLUMNS = {"fer2013": "FER2013", "ferplus": "FERPlus", "rafdb": "RAF-DB", "ckplus": "CK+"}
QUANTITIES = ("test accuracy", "test precision", "test recall", "test F1-score", "FLOPs (million)")
# Table 3: the quantities of the full model, in percent but for the last
TABLE_3 = {
    "fer2013": (69.82, 69.85, 69.80, 69.80, 138.98),
    "ferplus": (85.40, 85.35, 85.40, 85.34, 138.98),
    "rafdb": (86.77, 87.08, 86.77, 86.86, 633.31),
    "ckplus": (99.49, 99.54, 99.49, 99.50, 138.98),
}
# Table 8: id -> its name there, attention, auxiliary classifiers, accuracy in percent in the order of COLUMNS
TABLE_8 = {
    "baseline": ("baseline", "none", 0, (67.66, 79.22, 78.51, 97.98)),
    "cbam": ("baseline+CBAM", "cbam", 0, (68.40, 80.55, 81.62, 98.31)),
    "mcbam": ("baseline+MCBAM", "mcbam", 0, (68.88, 81.43, 83.05, 98.64)),
    "acs1": ("baseline+MCBAM+1ACs", "mcbam", 1, (69.19, 82.55, 84.20, 98.98)),
    "acs2": ("baseline+MCBAM+2ACs", "mcbam", 2, (69.33, 84.26, 85.91, 99.13)),
    "acs3": ("baseline+MCBAM+3ACs", "mcbam", 3, (69.82, 85.40, 86.77, 99.49)),
}
# Where else the full model's accuracy stands; the first one is its table of comparisons
ELSEWHERE = {
    "fer2013": ("Table 4", "abstract", "section V.A", "section V.A.1", "section VI", "section VII"),
    "ferplus": ("Table 5", "abstract", "section V.A", "section V.A.2", "section VII"),
    "rafdb": ("Table 6", "abstract", "section V.A", "section V.A.3", "section VII"),
    "ckplus": ("Table 7", "abstract", "section V.A.4", "section VI", "section VII"),
}
# Where the text differs from Table 3, and the two recalls that it gives as numbers and not as bounds
ALSO: dict[str, tuple[Published, ...]] = {
    "fer2013": (
        Published("test recall of happy", 89.0, "section V.A.1"),
        Published("test recall of fear", 48.0, "section V.A.1"),
    ),
    "ferplus": (),
    "rafdb": (
        Published("FLOPs (million)", 138.98, "section V.A"),
        Published("FLOPs (million)", 633.98, "section V.A"),
    ),
    "ckplus": (Published("test accuracy", 99.54, "section V.A"),),
}

ENUMERATED = (
    "Of the enumerated readings that have 1.6 M parameters (Tables 4 to 7) this one comes closest to the FLOPs of "
    "Table 3 at both input sizes."
)
SHANG_ASSUMED = {
    "variant.residual_kernel": "Table 1 has (3,3) and stride 1 for a DFEM as a whole and does not say whether that "
    "covers the residual block; section III.B has 'convolutional layers' in it. One convolution, 1x1 with stride 1, "
    "batch normalisation, no activation of its own, the standard block's max-pool: with 3x3 no reading of 1.6 M "
    "parameters comes within 7 % of the FLOPs. " + ENUMERATED,
    "variant.head": "Not printed. 64 channels out of the convolution of each classifier module. "
    + ENUMERATED,
    "variant.ratio": "Not printed. 2 in CAM: with it trained parameters and Keras' total, which counts the statistics "
    "of batch normalisation too, both print as 1.6 M. With 4 the larger miss of the FLOPs is smaller still and of the "
    "two counts only Keras' total prints so: as good a reading if that is what the paper counts. CAM's perceptron has "
    "biases and a ReLU, which Eq. 3 does not print.",
    "variant.fusion": "Eq. 8 concatenates the three maps of MSAM, Eq. 9 has one. A 1x1 convolution. Their mean would "
    "cost the same to the printed digits: the count does not tell the two apart.",
    "variant.place": "After the max-pool: section III.B names MCBAM last. " + ENUMERATED,
    "variant.norm": "Section III.B has two convolutions and 'a' batch normalisation and 'a' ReLU. One of each after "
    "each convolution: two convolutions in a row without activation are one linear map. Once for both has a row of "
    "its own on CK+. Keras' momentum 0.99 and epsilon 1e-3.",
    "variant.pool": "Not printed. 3x3 with stride 2, padded: Table 1 has 11 to 6, and Xception, which the paper "
    "improves upon, pools so.",
    "variant.auxiliary": "Table 8 does not say which auxiliary classifiers stay. The first ones: their number "
    "'increases as the model feature extraction progresses' (section V.B).",
    "variant.attention": "Not printed. CBAM as in reference 9, a 7x7 convolution over the pooled maps, where MCBAM "
    "stands otherwise and with its ratio.",
    "loss": "Table 8 names no loss. AM-Softmax (Eq. 10), the loss of the model, in all of its rows.",
    "loss_options.margin": "m is not printed. 0.35, that of reference 23 (Wang et al., 2018).",
    "loss_options.scale": "s is learnable (Eq. 10), its start is not printed. 30, the constant of reference 23; one s "
    "for all classifiers, learned as its logarithm, so that it stays positive.",
    "loss_options.auxiliary": "Not printed. Each auxiliary classifier's loss counts as much as the main one's.",
    "loss_options.fused": "Not printed what trains the weights alpha of Eq. 13. The cross-entropy of P_all, added with "
    "weight 1; alpha is the softmax of four numbers that start equal. It also trains the bias of Eq. 12, of which "
    "Eq. 10 knows nothing, so the rows without auxiliary classifiers have it too.",
    "optimiser.eps": "Not printed. 1e-7, the default of Keras' Adam.",
    "schedule": "Table 2 prints one learning rate and no decay. Constant.",
    "early_stopping": "Table 2 prints 'patience' 50, not of what. Training ends 50 epochs after the best validation "
    "accuracy.",
    "augmentation.hflip": "Section IV.C names flips to both sides, no probability. 0.5 each, on their own.",
    "augmentation.perspective": "Section IV.C names perspective transformations, no amount. Torchvision's defaults: "
    "distortion 0.5, with probability 0.5.",
    "augmentation.fill": "Not printed. Black beyond the border: the default of torchvision and of OpenCV, which "
    "section IV.C names.",
    "preprocess": "Section IV.C names normalisation and a grey map, no constants. Grey pixels in [0, 1].",
    "selection": "Not printed. The epoch is chosen on validation accuracy; the best test epoch stands beside it.",
    "weights": "Not printed. Keras' defaults: Glorot uniform, zero biases.",
    "precision": "Not printed. Matrix products in bfloat16 where the device has it, else float32. Pooled features, "
    "classifiers and loss are in float32 either way.",
}
DATASET_ASSUMED: dict[str, dict[str, str]] = {
    "fer2013": {},
    "ferplus": {
        "dataset_options.rule": "Not printed. The most frequent of the ten votes, which fits the 35,485 images of "
        "section IV.A: it leaves 35,488 in 8 classes, and the votes file names three pairs of them alike, which as "
        "files are one each. Official parts of FER2013 (not printed either); contempt dropped (section IV.A).",
    },
    "rafdb": {
        "size": "Section IV.A prints 224x224, at which the network costs five times the 633.31 MFLOPs of Table 3. "
        "100x100, the size of the aligned images that RAF-DB comes with, agrees with them to 0.4 %.",
        "preprocess.channels": "Grey: Table 1 has one channel, section IV.C names a grey map, and of the enumerated "
        "readings the closest to Table 3's FLOPs is one of grey images.",
    },
    "ckplus": {
        "dataset_options.protocol": "Not printed. Frames at random from CK+48, the three last frames of each "
        "sequence: it has the 981 images of section IV.A.",
        "dataset_options.test_fraction": "Not printed. A fifth: 196 of 197 is 99.49 %, and one surprise frame taken "
        "for a class of 9 or 10 gives all four figures of Table 3, as section V.A.4 tells; on 195 frames, 65 whole "
        "sequences, one for a class of 9 does. No one number of frames fits the six accuracies of Table 8; three of "
        "them are fractions of 295, three tenths, for which +MCBAM has a row of its own.",
    },
}
HELD_OUT = (
    "A stratified tenth of the training part is held out to choose the epoch; the paper names no such part."
)
DEVIATIONS: dict[str, tuple[str, ...]] = {
    "fer2013": (),
    "ferplus": (
        "28,224 / 3,529 / 3,519 images: both rows of the three image names that the votes file uses twice are kept.",
    ),
    "rafdb": (HELD_OUT,),
    "ckplus": (HELD_OUT, "A batch that is left with a single image at the end of an epoch is skipped."),
}
NOT_IN_THE_PAPER = "not in the paper"
FOLDS = 5


def _full_model(dataset: str) -> tuple[Published, ...]:
    """All that the paper prints of AMDCNN on a dataset."""
    values = TABLE_3[dataset]
    accuracy = [Published("test accuracy", values[0], place) for place in ("Table 8", *ELSEWHERE[dataset])]
    return (
        *(Published(name, value, "Table 3") for name, value in zip(QUANTITIES, values, strict=True)),
        *accuracy,
        *ALSO[dataset],
        Published("parameters (million)", 1.6, ELSEWHERE[dataset][0]),
    )


def _base(dataset: str, dataset_options: dict[str, Any], **changes: Any) -> Experiment:
    """The full model on a dataset: its line of Table 3, its cell of Table 8."""
    row = Experiment(
        id=f"amdcnn-{dataset}-acs3",
        paper="amdcnn",
        table="Tables 3 and 8",
        row=TABLE_8["acs3"][0],
        column=COLUMNS[dataset],
        published=_full_model(dataset),
        dataset=dataset,
        dataset_options=dataset_options,
        model="amdcnn",
        variant={"attention": "mcbam", "auxiliary": 3, "norm": "each"},
        loss="am_softmax",
        loss_options={"margin": 0.35, "scale": 30.0, "auxiliary": 1.0, "fused": 1.0},
        optimiser={"name": "adam", "lr": 0.0001, "eps": 1e-7},
        schedule={"name": "constant"},
        early_stopping=50,
        epochs=300,
        batch=32,
        augmentation={
            "hflip": 0.5,
            "vflip": 0.5,
            "perspective": {"distortion": 0.5, "p": 0.5},
            "fill": "zeros",
        },
        balance={"weights": "balanced"},
        size=48,
        seeds=(0, 1, 2),
        deviations=DEVIATIONS[dataset],
    )
    return _with_notes(replace(row, **changes))


def _with_notes(row: Experiment) -> Experiment:
    """The row with the notes on what it has."""
    attention, auxiliary = row.variant["attention"], row.variant["auxiliary"]
    idle = {
        "variant.ratio": attention == "none",
        "variant.place": attention == "none",
        "variant.fusion": attention != "mcbam",
        "variant.attention": attention != "cbam",
        "variant.auxiliary": auxiliary not in (1, 2),
        "loss_options.auxiliary": auxiliary == 0,
        "dataset_options.test_fraction": "test_fraction" not in row.dataset_options,
        "dataset_options.protocol": row.dataset_options.get("protocol") == "subjects",
    }
    notes = DATASET_ASSUMED[row.dataset] | SHANG_ASSUMED
    return replace(row, assumed={k: v for k, v in notes.items() if not idle.get(k)})


def _ablated(full: Experiment, slug: str) -> Experiment:
    """The row of Table 8."""
    title, attention, auxiliary, values = TABLE_8[slug]
    accuracy = dict(zip(COLUMNS, values, strict=True))[full.dataset]
    row = replace(
        full,
        id=f"amdcnn-{full.dataset}-{slug}",
        table="Table 8",
        row=title,
        published=(Published("test accuracy", accuracy, "Table 8"),),
        variant={**full.variant, "attention": attention, "auxiliary": auxiliary},
    )
    return _with_notes(row)


def _extra(row: Experiment, suffix: str, title: str, notes: dict[str, str], **changes: Any) -> Experiment:
    """A row of ours beside ``row``, with what the paper prints for it where it is a reading of the same cell."""
    changed = _with_notes(replace(row, id=f"{row.id}-{suffix}", row=f"{row.row} ({title})", **changes))
    return replace(changed, assumed={**changed.assumed, **notes})


def _upright(row: Experiment) -> Experiment:
    """The row with no face upside down in training."""
    return _extra(
        row,
        "noflip",
        "without vertical flips",
        {"augmentation.hflip": "Section IV.C names horizontal flips, no probability. 0.5."},
        table=NOT_IN_THE_PAPER,
        published=(),
        augmentation={k: v for k, v in row.augmentation.items() if k != "vflip"},
        deviations=("No vertical flips in training, which section IV.C has.", *row.deviations),
    )


def _by_subject(row: Experiment, fold: int) -> Experiment:
    """The row on one of the folds that keep a subject's frames together."""
    return _extra(
        row,
        f"grouped{fold}",
        f"by subject, fold {fold + 1} of {FOLDS}",
        {},
        table=NOT_IN_THE_PAPER,
        published=(),
        dataset_options={"protocol": "subjects", "folds": FOLDS, "fold": fold},
        deviations=(
            "Folds by subject: no person, and so no sequence, is on both sides of the split. A tenth of the other "
            "subjects' frames, by subject, is held out to choose the epoch.",
        ),
    )


FULL = {
    "fer2013": _base("fer2013", {"protocol": "official"}),
    "ckplus": _base("ckplus", {"protocol": "frames", "test_fraction": 0.2}, batch=8),
    "ferplus": _base("ferplus", {"rule": "argmax", "classes": 7}),
    "rafdb": _base("rafdb", {}, size=100, preprocess={"channels": 1}),
}
CELLS = {
    (dataset, slug): full if slug == "acs3" else _ablated(full, slug)
    for dataset, full in FULL.items()
    for slug in TABLE_8
}
MOST_TELLING = ("acs3", "baseline", "mcbam")  # the full model, what it is compared with, and halfway between
THEN = ("cbam", "acs2", "acs1")

NORM_ONCE = _extra(
    FULL["ckplus"],
    "norm_once",
    "batch normalisation and ReLU once a module",
    {
        "variant.norm": "Section III.B to the letter: one batch normalisation and one ReLU after the two convolutions "
        "of a module. Keras' momentum 0.99 and epsilon 1e-3.",
    },
    variant={**FULL["ckplus"].variant, "norm": "once"},
)
TEST_30 = _extra(
    CELLS["ckplus", "mcbam"],
    "test30",
    "three tenths of the frames are test",
    {
        "dataset_options.test_fraction": "Not printed. 98.64 % is 291 of 295, three tenths of 981, as 98.31 and "
        "98.98 % are 290 and 292 of them. The other three accuracies of Table 8 are no fractions of 295.",
    },
    dataset_options={"protocol": "frames", "test_fraction": 0.3},
)

# the most telling first: whoever has little time runs them from the top
ROWS: tuple[Experiment, ...] = (
    *(CELLS["fer2013", slug] for slug in MOST_TELLING[:2]),
    *(CELLS["ckplus", slug] for slug in (*MOST_TELLING, *THEN)),
    *(_by_subject(CELLS["ckplus", slug], fold) for slug in MOST_TELLING for fold in range(FOLDS)),
    *(_upright(FULL[dataset]) for dataset in ("ckplus", "fer2013")),
    *(CELLS["ferplus", slug] for slug in MOST_TELLING[:2]),
    NORM_ONCE,
    TEST_30,
    *(CELLS[dataset, MOST_TELLING[2]] for dataset in ("fer2013", "ferplus")),
    *(CELLS[dataset, slug] for dataset in ("fer2013", "ferplus") for slug in THEN),
    *(CELLS["rafdb", slug] for slug in (*MOST_TELLING, *THEN)),
)
