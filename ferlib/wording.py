"""How the pages name networks, rows and datasets: as readers know them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import pandas as pd

from ferlib.claims import NAMES
from ferlib.experiments import Experiment

DATASETS = {"fer2013": "FER2013", "ferplus": "FERPlus", "rafdb": "RAF-DB", "ckplus": "CK+48"}
# what stands in place of a paper where rows are ours
SOURCES = {**NAMES, "comparison": "common protocol", "house": "house recipe"}
MODELS = {
    **NAMES,
    "mobilenet_v1": "MobileNetV1",
    "mobilenet_v2": "MobileNetV2",
    "mobilenet_v3_small": "MobileNetV3-small",
    "small_resnet": "small residual network",
}


def without_constant(frame: pd.DataFrame, columns: Sequence[str]) -> tuple[pd.DataFrame, str]:
    """A table without those of ``columns`` that say the same in every line, and a sentence with what they say.

    A table of one line keeps them all, and the sentence is empty.
    """
    same = [c for c in columns if c in frame and len(frame) > 1 and frame[c].nunique(dropna=False) == 1]
    if not same:
        return frame, ""
    told = ", ".join(f"*{column}*: {frame[column].iloc[0]}" for column in same)
    return frame.drop(columns=same), f"In every line {told}."


# ---------------------------------------------------------------------------------------------------------
# Names
# ---------------------------------------------------------------------------------------------------------

_ROW: Mapping[str, str] = {  # pattern in the name of a row -> what readers see
    r"(\d)x(\d)": r"\1×\2",
    r"^\d \((.+?)\)": r"\1",  # numbers of Wang & Zhang's Table 3
    r"^Our method": "full method",  # theirs
    r", CK\+48": "",  # the dataset stands elsewhere
    # what the common protocol's twins lack: exact names, where those in the records are less so
    r"^AMDCNN without attention": "AMDCNN without MCBAM and ACs",
    r"^MSCA-ResNet without SE and BN": "MSCA-ResNet without module SE",
    r"lambda_1": "λ₁",
    r"lambda": "λ",
}


def cell(name: str) -> str:
    """The name of a row as readers see it, mostly as the paper's table has it."""
    for pattern, said in _ROW.items():
        name = re.sub(pattern, said, name)
    return name


KINDS = {"dataset": "data", "dataset_options": "data", "loss_options": "loss", "variant": "network"}
CHOICES = {
    "augmentation.hflip": "augmentation: horizontal flip",
    "dataset_options.protocol": "data: how they are split",
    "dataset_options.rule": "data: from votes to labels",
    "dataset_options.test_fraction": "data: size of the test part",
    "loss_options.fused": "loss: of the weights of fusion",
    "loss_options.over": "loss: what the cosine is over",
    "preprocess": "input",
    "schedule.monitor": "schedule: what it watches",
    "settle": "statistics of batch normalisation",
    "variant.join": "network: how BN and SE meet",
    "variant.norm": "network: batch normalisation",
    "variant.pretrained": "network: start of its weights",
    "variant.se": "network: places of SE blocks",
}


def choice(name: str) -> str:
    """A setting that a paper leaves open, in words: ``variant.residual_kernel`` is ``network: residual kernel``."""
    kind, _, part = name.partition(".")
    plain = f"{KINDS.get(kind, kind)}: {part}" if part else kind
    return CHOICES.get(name, plain.replace("_", " "))


def variant(row: Experiment) -> str:
    """A row among those of its paper."""
    name = cell(row.row)
    if row.dataset_options.get("protocol") == "merged":
        name += ", both test parts"
    if row.paper == "se_cnn" and row.variant.get("padding") == "same":
        name += ", padded"
    if row.paper == "se_cnn" and row.variant.get("dropout") == (0.0, 0.0):
        name += ", no dropout"
    if row.paper == "se_cnn" and row.schedule.get("patience") == 10:
        name += ", Keras' plateau"
    if "fold" in row.dataset_options and "fold" not in name:
        name += f", fold {row.dataset_options['fold'] + 1} of {row.dataset_options['folds']}"
    return name


def network(row: Experiment) -> str:
    """A row with its paper's network in front: ``AMDCNN: baseline+MCBAM``."""
    source, name = SOURCES[row.paper], variant(row)
    return name if name.startswith(source) else f"{source}: {name}"


def dataset(row: Experiment) -> str:
    """What a row is trained and tested on: neutral faces of CK+ are in the owners' release alone, not in CK+48."""
    return "CK+" if row.dataset_options.get("neutral") else DATASETS[row.dataset]


def title(row: Experiment) -> str:
    """A row among those of all papers and datasets."""
    return f"{network(row)}, {dataset(row)}"


def models(text: str) -> str:
    """A sentence with the names of `MODELS` in place of the names that the library has for them."""
    return re.sub(rf"\b({'|'.join(sorted(MODELS, key=len, reverse=True))})\b", lambda m: MODELS[m[1]], text)
