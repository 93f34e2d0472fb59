"""One protocol for all five papers: each attention network and its twin without, trained alike.

Nothing here is a paper's. Same split, same number of images seen, same augmentation, optimiser, rate and loss for
every network; what differs is the network. CK+48 in folds by subject, FER2013 on its official split. For the audit of
the data also CK+48 split by frames, which compares no networks: it shows what each gains from having met people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from ferlib.experiments import a_mobilenet, amdcnn, gcca_vgg, msca_resnet, se_cnn
from ferlib.experiments.row import Experiment

PAPER = "comparison"
FOLDS = 5
EPOCHS = {"ckplus": 40, "fer2013": 20}
# name -> (title, paper's row that has the network, changes to its variant, name of its twin without attention)
NETWORKS: Mapping[str, tuple[str, str, dict[str, Any], str | None]] = MappingProxyType(
    {
        "amdcnn": ("AMDCNN (MCBAM, 3 ACs)", "amdcnn-ckplus-acs3", {}, "amdcnn-plain"),
        "amdcnn-plain": ("AMDCNN without attention", "amdcnn-ckplus-baseline", {}, None),
        "gcca_vgg": ("GCCA-VGG16", "gcca_vgg-ckplus-model6-scratch48", {"norm": True}, "gcca_vgg-plain"),
        "gcca_vgg-plain": ("VGG16", "gcca_vgg-ckplus-model1-scratch48", {"norm": True}, None),
        "a_mobilenet": (
            "A-MobileNet",
            "a_mobilenet-ckplus-a_mobilenet-scratch48",
            {},
            "a_mobilenet-plain",
        ),
        "a_mobilenet-plain": ("MobileNetV1", "a_mobilenet-ckplus-mobilenet_v1-scratch48", {}, None),
        "se_cnn": ("SE-CNN", "se_cnn-se", {}, "se_cnn-plain"),
        "se_cnn-plain": ("SE-CNN without SE", "se_cnn-plain", {}, None),
        "msca_resnet": ("MSCA-ResNet (SE)", "msca_resnet-ckplus-se", {}, "msca_resnet-plain"),
        "msca_resnet-plain": ("MSCA-ResNet without SE and BN", "msca_resnet-ckplus-plain", {}, None),
    }
)
ASSUMED = {
    "rate": "3e-4 for all, chosen before the first run and not tuned: a rate that suits each network would be a "
    "comparison of rates",
    "loss": "cross-entropy for all: what a paper's own loss adds is in its chapter",
    "settle": "the statistics of batch normalisation are taken anew from 256 training images before each evaluation: "
    "the papers' momenta differ, and with few steps an epoch that of Keras (0.99) evaluates a network long gone",
    "norm": "VGG16 with batch normalisation, with and without attention: without it does not train at the common rate",
}
_SOURCES = {
    row.id: row for source in (amdcnn, gcca_vgg, a_mobilenet, se_cnn, msca_resnet) for row in source.ROWS
}


def _row(name: str, dataset: str, options: Mapping[str, Any], suffix: str, epochs: int) -> Experiment:
    title, source, changes, _ = NETWORKS[name]
    theirs = _SOURCES[source]
    column = {"ckplus": "CK+", "fer2013": "FER2013"}[dataset]
    return replace(
        theirs,
        id=f"{PAPER}-{dataset}-{name}{suffix}",
        paper=PAPER,
        table="Common protocol",
        row=title,
        column=column,
        published=(),
        dataset=dataset,
        dataset_options=dict(options),
        variant={**theirs.variant, **changes},
        loss="cross_entropy",
        loss_options={},
        optimiser={"name": "adamw", "lr": 3e-4, "weight_decay": 0.01},
        schedule={"name": "cosine", "epochs": epochs, "warmup": 2},
        early_stopping=None,
        epochs=epochs,
        batch=32,
        augmentation={
            "rotation": 10,
            "shift": 0.08,
            "zoom": {"range": (0.9, 1.1), "isotropic": True},
            "hflip": 0.5,
        },
        size=48,
        seeds=(0, 1, 2),
        preprocess={k: v for k, v in theirs.preprocess.items() if k == "channels"} | {"standardise": "image"},
        balance={},
        recipe={"settle": 256},
        assumed=ASSUMED,
        deviations=(),
    )


def folds(name: str) -> list[Experiment]:
    """The rows of one network on CK+48, a fold each."""
    return [
        _row(
            name,
            "ckplus",
            {"protocol": "subjects", "folds": FOLDS, "fold": k},
            f"-grouped{k}",
            EPOCHS["ckplus"],
        )
        for k in range(FOLDS)
    ]


def by_frames(name: str) -> Experiment:
    """The row of one network on CK+48 split by frames, a fifth for testing; all else as in its folds."""
    return _row(name, "ckplus", {"protocol": "frames", "test_fraction": 0.2}, "", EPOCHS["ckplus"])


ROWS = tuple(
    row
    for name in NETWORKS
    for row in (*folds(name), by_frames(name), _row(name, "fer2013", {}, "", EPOCHS["fer2013"]))
)
