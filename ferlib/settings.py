"""The settings of rows in words, and which of them their paper prints: a table for the chapters.

A setting of a row is printed unless the row's ``assumed`` has an entry for it or for a part of it; an entry that begins
with "Not printed" says that nothing is. What ``deviations`` says of a setting is in `DEVIATING`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from ferlib import wording
from ferlib.experiments import Experiment

Said = Mapping[str, Callable[[Any], str]]  # name of an option -> its value in words, "" for nothing to say

# ---------------------------------------------------------------------------------------------------------
# Numbers and options
# ---------------------------------------------------------------------------------------------------------


def number(value: float) -> str:
    """As papers print settings: 0.0001, and 1e-05 (which is typeset as a power) for what is smaller."""
    return f"{value:g}"


def share(value: float) -> str:
    return f"{100 * value:g} %"


def _either_side(value: Any) -> str:
    """Degrees: up to so many to both sides, or from the first to the second (counter-clockwise)."""
    if isinstance(value, Mapping):
        return f"{_either_side(value['degrees'])} in steps of {number(value['step'])}°"
    if isinstance(value, Sequence):
        return f"by {number(value[0])}° to {number(value[1])}°, to one side"
    return f"by up to {number(value)}° to either side"


def _zoom(value: Any) -> str:
    alike = isinstance(value, Mapping) and value.get("isotropic")
    amount = value["range"] if isinstance(value, Mapping) else value
    low, high = amount if isinstance(amount, Sequence) else (1 - amount, 1 + amount)
    return f"scaled by {number(low)} to {number(high)}, " + (
        "both axes alike" if alike else "each axis on its own"
    )


AUGMENTATION: Said = {
    "shift": lambda v: f"shifted by up to {share(v)} of the side",
    "rotation": lambda v: f"turned {_either_side(v)}",
    "zoom": _zoom,
    "crop": lambda v: f"up to {share(v)} cut off each side",
    "perspective": lambda v: (
        f"perspective, distortion {number(v['distortion'])}, with probability {number(v['p'])}"
    ),
    "hflip": lambda v: f"mirrored with probability {number(v)}",
    "vflip": lambda v: f"turned upside down with probability {number(v)}",
    "flip": lambda v: (
        f"flipped in one of {len(v)} ways ({', '.join({'none': 'not at all'}.get(x, x) for x in v)})"
    ),
    "fill": lambda v: {"nearest": "filled with the nearest pixels", "zeros": "black beyond the border"}[v],
}
OPTIMISER: Said = {
    "name": lambda v: {"adam": "Adam", "adamw": "AdamW"}[v],
    "lr": lambda v: "",  # a line of its own
    "eps": lambda v: f"epsilon {number(v)}",
    "weight_decay": lambda v: f"weight decay {number(v)}",
}
LOSS = {
    "cross_entropy": "cross-entropy",
    "am_softmax": "AM-Softmax",
    "center": "softmax and center loss",
    "island": "softmax and island loss",
    "cosine": "cosine similarity",
    "label_distribution": "cross-entropy against the votes",
}
LOSS_OPTIONS: Said = {
    "margin": lambda v: f"margin {number(v)}",
    "scale": lambda v: f"learned scale from {number(v)} on",
    "auxiliary": lambda v: f"auxiliary classifiers with weight {number(v)}",
    "fused": lambda v: f"cross-entropy of the fused output with weight {number(v)}",
    "weight": lambda v: f"λ = {number(v)}",
    "pair_weight": lambda v: f"λ₁ = {number(v)}",
    "step": lambda v: f"step of the centres {number(v)}",
    "reduction": lambda v: {"mean": "mean over the batch", "sum": "sum over the batch"}[v],
    "over": lambda v: {"batch": "one cosine for a batch", "image": "one cosine for each image"}[v],
    "smoothing": lambda v: f"labels smoothed by {number(v)}",
}
PIXELS: Said = {
    "channels": lambda v: {1: "grey", 3: "three channels"}[v],
    "standardise": lambda v: {
        "image": "each image brought to mean 0 and standard deviation 1",
        "imagenet": "by ImageNet's mean and standard deviation",
        "symmetric": "in [-1, 1]",
    }[v],
}
BALANCE: Said = {
    "weights": lambda v: f"images weighted by their class (scikit-learn's '{v}')",
    "expand_to": lambda v: {"max": "classes filled up to the largest with augmented copies"}[v],
}
RECIPE: Said = {
    "average": lambda v: f"moving average of the weights ({number(v)})",
    "targets": lambda v: "the annotators' votes as labels",
    "mirror": lambda v: "tested with each image's mirror image",
    "settle": lambda v: f"statistics of batch normalisation from {v:,} training images",
}


def _with(name: str) -> Callable[[Any], str]:
    return lambda v: f"{name} {number(v)}"


def _has(name: str) -> Callable[[Any], str]:
    return lambda v: f"{'with' if v else 'without'} {name}"


def _attention(value: Any) -> str:
    named = {"mcbam": "MCBAM", "cbam": "CBAM"}
    return "without attention" if value in ("none", False) else f"with {named.get(value, 'attention')}"


VARIANT: Said = {
    "se": lambda v: {
        "none": "no SE block",
        "pool": "an SE block before each pool",
        "conv": "an SE block after each convolution",
        True: "with SENet in the module",
        False: "without SENet in the module",
    }[v],
    "bn": _has("BN in the module"),
    "padding": lambda v: {"valid": "convolutions without padding", "same": "padded convolutions"}[v],
    "dropout": lambda v: (
        f"dropout {number(v)}"
        if not isinstance(v, Sequence)
        else f"dropout {' and '.join(map(number, v))}"
        if any(v)
        else "no dropout"
    ),
    "attention": _attention,
    "auxiliary": lambda v: (
        f"{v} auxiliary classifier{'' if v == 1 else 's'}" if v else "no auxiliary classifier"
    ),
    "norm": lambda v: {
        "each": "batch normalisation after each convolution",
        "once": "batch normalisation once a module",
        True: "batch normalisation in the backbone",
        False: "no batch normalisation in the backbone",
    }[v],
    "placement": lambda v: {
        "table": "improved blocks as in Table 1",
        "text": "improved blocks as in the text",
    }[v],
    "ratio": _with("reduction"),
    "linear": lambda v: {
        "improved": "linear output in the improved blocks",
        "none": "no linear output",
        "all": "linear output in all blocks",
    }[v],
    "model": lambda v: f"model {v} of Table 1",
    "width": lambda v: f"{v} filters in the first convolution",
    "widths": lambda v: f"{', '.join(map(str, v))} filters",
    "stem": lambda v: f"{v} filters in the first convolution",
    "pools": lambda v: f"{v} max-pool{'' if v == 1 else 's'} between the units",
    "pretrained": lambda v: "",  # a line of its own
}


def words(options: Mapping[str, Any], said: Said) -> str:
    """Options in words, in their order. KeyError for one that has none."""
    return ", ".join(filter(None, (said[name](value) for name, value in options.items())))


# ---------------------------------------------------------------------------------------------------------
# Lines of the table
# ---------------------------------------------------------------------------------------------------------


def _images(row: Experiment) -> str:
    options, name = row.dataset_options, wording.dataset(row)
    if row.dataset == "ferplus":
        rule = {"majority": "more than half of the votes", "argmax": "most frequent vote"}
        classes = options.get("classes", 8)
        return f"{name}, labels: {rule[options.get('rule', 'majority')]}, {classes} classes"
    if row.dataset == "ckplus":
        classes = [f"{'with' if options.get('neutral') else 'without'} neutral"]
        classes.append(f"{'with' if options.get('contempt', True) else 'without'} contempt")
        stored = options.get("expansion")
        return ", ".join(
            [name, *classes, *([f"all 15 images of a frame, made {stored} the split"] if stored else [])]
        )
    return name


def _split(row: Experiment) -> str:
    options = row.dataset_options
    if row.dataset == "fer2013":
        if options.get("protocol") == "merged":
            return "PublicTest and PrivateTest are the test part, validation is a tenth of Training"
        return "official: Training, PublicTest for validation, PrivateTest for the test"
    if row.dataset == "ckplus":
        if options.get("protocol") == "subjects":
            test = f"by subject, part {options['fold'] + 1} of {options['folds']} is the test part"
            return f"{test}, validation is a tenth of the other subjects' frames"
        test = f"frames at random, {share(options.get('test_fraction', 0.2))} are the test part"
        return f"{test}, validation is a tenth of the others"
    if row.dataset == "ferplus":
        return "official: training, public part for validation, private part for the test"
    return "official, validation is a tenth of the training part"


def _schedule(row: Experiment) -> str:
    s = row.schedule
    if s["name"] == "plateau":
        watched = {"val_loss": "validation loss"}.get(s.get("monitor", ""), "validation accuracy")
        lowered = "halved" if s["factor"] == 0.5 else f"times {number(s['factor'])}"
        least = f" of more than {number(s['min_delta'])}" if s.get("min_delta") else ""
        return f"{lowered} after {s['patience']} epochs without a gain{least} in {watched}"
    if s["name"] == "time":
        return f"divided by 1 + {number(s['decay'])} k in update k"
    if s["name"] == "table":
        steps = [f"{number(r)} up to epoch {u}" for r, u in zip(s["rates"], s["until"], strict=False)]
        return f"{', '.join(steps)}, then {number(s['rates'][-1])} (epochs counted from 0)"
    if s["name"] == "cosine":
        return f"cosine over {s['epochs']} epochs, {s['warmup']} of them to warm up"
    return {"constant": "constant"}[s["name"]]


def _pixels(row: Experiment) -> str:
    standardised = row.preprocess.get("standardise")
    if (
        row.variant.get("pretrained") and not row.preprocess
    ):  # the network does it: `models.gcca_parts.ImageNetPixels`
        return f"grey as {words({'channels': 3, 'standardise': 'imagenet'}, PIXELS)}"
    channels = row.preprocess.get("channels", 3 if row.dataset == "rafdb" else 1)
    return (
        words({"channels": channels}, PIXELS)
        + ", "
        + (words({"standardise": standardised}, PIXELS) if standardised else "in [0, 1]")
    )


def _loss(row: Experiment) -> str:
    return ", ".join(filter(None, [LOSS[row.loss], words(row.loss_options, LOSS_OPTIONS)]))


def _stopping(row: Experiment) -> str:
    if row.early_stopping is None:
        return ""
    return f"after {row.early_stopping} epochs without a better validation accuracy"


def _start(row: Experiment) -> str:
    if row.pretrained:
        return f"our weights of {row.pretrained}"
    if "pretrained" not in row.variant:
        return "from scratch"
    return "ImageNet's weights" if row.variant["pretrained"] else "from scratch"


LINES: Mapping[str, Callable[[Experiment], str]] = {
    "images": _images,
    "split": _split,
    "input size": lambda row: f"{row.size} pixels",
    "pixels": _pixels,
    "augmentation": lambda row: words(row.augmentation, AUGMENTATION),
    "uneven classes": lambda row: words(row.balance, BALANCE),
    "network": lambda row: words(row.variant, VARIANT),
    "initialisation": _start,
    "loss": _loss,
    "optimiser": lambda row: words(row.optimiser, OPTIMISER),
    "learning rate": lambda row: number(row.optimiser["lr"]),
    "schedule": _schedule,
    "batch": lambda row: f"{row.batch} images",
    "epochs": lambda row: f"{'up to ' if row.early_stopping else ''}{row.epochs}",
    "early stopping": _stopping,
    "beside the papers": lambda row: words(row.recipe, RECIPE),
}
# line -> what of an entry of ``assumed`` belongs to it: all of it, or what stands in front of its dot
BELONGS: Mapping[str, tuple[str, ...]] = {
    "images": ("dataset_options.rule", "dataset_options.classes"),
    "split": ("dataset_options.protocol", "dataset_options.test_fraction", "dataset.test"),
    "input size": ("size",),
    "pixels": ("preprocess",),
    "augmentation": ("augmentation",),
    "uneven classes": ("balance",),
    "initialisation": ("variant.pretrained", "weights"),
    "loss": ("loss", "loss_options"),
    "optimiser": ("optimiser",),
    "schedule": ("schedule",),
    "batch": ("batch",),
    "epochs": ("epochs",),
    "early stopping": ("early_stopping",),
}
SINGLE = ("split", "initialisation")  # lines of which a single entry may leave all open
# about how runs are made, and not about a line
APART = ("precision", "seeds", "selection", "everything", "settle", "targets")
# a remark in an entry of ``assumed`` about another line -> that line, and what it says of it
ALSO = {
    "Official parts of FER2013 (not printed either)": ("split", "Not printed."),
    "Frames at random from CK+48": ("images", "CK+48 is one release of CK+."),
}
# how a deviation begins -> the line that it is about; "": about none
DEVIATING = {
    "Selection on PublicTest": "split",
    "The paper's 7,178 merged": "split",
    "SE after every convolution": "network",
    "A stratified tenth of": "split",
    "Folds by subject": "split",
    "A batch that is left": "",
    "No vertical flips": "augmentation",
    "28,224 / 3,529 / 3,519": "images",
    "Our own row: from scratch": "initialisation",
    "Our own row: 48x48": "input size",
    "Our own row: 96x96": "input size",
    "Our own row: without center loss": "loss",
    "Our own row: without": "network",
    "Our own row: the linear": "network",
    "Our own row: CK+48": "images",
    "Our own row: all 15": "augmentation",
    "Our own row: no face upside": "augmentation",
    "Our own row: batch norm": "network",
    "Epochs are chosen on": "split",
    "Split frame by frame": "split",
    "No MTCNN": "pixels",
    "CK+48 in place": "images",
    "25,060 / 3,199": "images",
    "28,389 / 3,553": "images",
    "Section IV.A prints 224x224": "input size",  # an entry of ``assumed`` that departs from the paper
}


def line_of(choice: str) -> str:
    """The line that an entry of ``assumed`` is about, "" for none; what belongs to no other is the network's."""
    kind = choice.partition(".")[0]
    if kind in APART:
        return ""
    return next((line for line, its in BELONGS.items() if choice in its or kind in its), "network")


def deviates(text: str) -> str | None:
    """The line that a deviation is about, "" for none; None for a text that `DEVIATING` does not know."""
    return next((line for start, line in DEVIATING.items() if text.startswith(start)), None)


def printed(row: Experiment, line: str) -> str:
    """``as printed``, ``partly`` or ``not printed`` in the paper; and whether the row departs from it."""
    if line == "learning rate":
        about = {k: text for k, text in row.assumed.items() if k in ("optimiser", "rate")}
    else:
        about = {k: text for k, text in row.assumed.items() if line_of(k) == line}
    departs = line in map(deviates, [*row.deviations, *about.values()])
    for remark, (of, said) in ALSO.items():
        about |= {k: said for k, text in row.assumed.items() if line == of and remark in text}
    open_ones = {k: text for k, text in about.items() if deviates(text) is None}
    nothing = all(text.startswith("Not printed") for text in open_ones.values())
    whole = line in SINGLE or any("." not in k for k in open_ones)
    if not open_ones:
        return "we deviate" if departs else "as printed"
    return ("not printed" if nothing and whole else "partly") + (", we deviate" if departs else "")


def table(rows: Sequence[Experiment]) -> pd.DataFrame:
    """Settings of rows that differ in their dataset: in words, and which of them their paper prints.

    Where they are not alike, each setting stands behind its dataset. A line without a word in any of the rows is left
    out.
    """
    lines = []
    for line, said in LINES.items():
        settings = {wording.dataset(row): said(row) for row in rows}
        if any(settings.values()):
            told = {wording.dataset(row): printed(row, line) for row in rows}
            lines.append({"setting": line, "our row": _together(settings), "in the paper": _together(told)})
    return pd.DataFrame(lines)


def _together(cells: Mapping[str, str]) -> str:
    """One text where all are alike, else each with the names it is for."""
    names: dict[str, list[str]] = {}
    for name, text in cells.items():
        names.setdefault(text or "none", []).append(name)
    if len(names) == 1:
        return next(iter(names))
    return "; ".join(
        text if text.startswith(where[0]) else f"{', '.join(where)}: {text}" for text, where in names.items()
    )
