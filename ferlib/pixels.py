"""Images on the training device: a split as uint8 pixels, batches as floats, the order of an epoch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.model_selection import train_test_split
from torch import Tensor

from ferlib.data import load
from ferlib.data.dataset import FaceDataset
from ferlib.device import generator
from ferlib.errors import FerlibError
from ferlib.experiments.row import Experiment
from ferlib.losses import balanced_class_weights
from ferlib.recipe import distributions

# mean and standard deviation of ImageNet's training images, per channel (torchvision's constants)
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601: the grey that OpenCV and Pillow make of red, green, blue


def load_data(row: Experiment, root: str | os.PathLike[str] | None = None) -> FaceDataset:
    """The row's dataset. The option ``subset`` keeps that many images, drawn evenly over splits (see ``quick``);
    ``train_images`` that many of the training part (`fewer`), and the other parts whole."""
    options = dict(row.dataset_options)
    subset, train_images = (options.pop(name, None) for name in ("subset", "train_images"))
    data = load(row.dataset, root, **options)
    if not len(data.where("val")) and row.dataset == "fer2013":
        if subset is None:
            raise FerlibError(
                "fer2013: these class folders do not tell PublicTest from PrivateTest; get fer2013.csv, or run the "
                "rows ending in -merged"
            )
        data = load(row.dataset, root, **{**options, "protocol": "merged"})
    if train_images is not None:
        data = fewer(data, train_images)
    if subset is None or subset >= len(data):
        return data
    chosen = np.random.default_rng(0).permutation(len(data))
    share = {"train": 2 / 3, "val": 1 / 6, "test": 1 / 6}
    kept = [chosen[data.split[chosen] == split][: round(subset * part)] for split, part in share.items()]
    return data.take(np.sort(np.concatenate(kept)))


def fewer(data: FaceDataset, images: int) -> FaceDataset:
    """``data`` with ``images`` of its training images, the same ones every time, of each class its share.

    Raises FerlibError where the training part has no more than that, or that is less than one of each class.
    """
    train = data.where("train")
    most, least = len(train) - len(data.classes), len(data.classes)
    if not least <= images <= most:
        raise FerlibError(
            f"{data.name}: --train-images must be from {least} to {most:,} here, but is {images:,}"
        )
    kept, _ = train_test_split(train, train_size=images, stratify=data.labels[train], random_state=0)
    kept = np.sort(np.concatenate([kept, data.where("val"), data.where("test")]))
    return replace(data.take(kept), meta={**data.meta, "train_images": images})


class Pixels:
    """One split on the training device: images uint8 (N, C, H, W) and labels int64 (N,).

    ``size`` in pixels is the side that batches are scaled to (bilinear), None leaves them as they are.
    ``preprocess`` is the row's: ``channels`` 3 repeats a grey channel, 1 makes grey of colour; ``standardise`` is
    ``'image'`` (each image to mean 0 and standard deviation 1, as Keras' ``samplewise_*`` options), ``'imagenet'``
    (its mean and deviation per channel) or ``'symmetric'`` (pixels in [-1, 1], as MobileNetV1's authors trained).
    ``targets`` are the votes as distributions (N, classes) where ``recipe`` asks for them, else None.
    Raises FerlibError for another key or value.
    """

    def __init__(
        self,
        data: FaceDataset,
        split: str,
        device: torch.device,
        size: int | None = None,
        preprocess: Mapping[str, Any] | None = None,
        recipe: Mapping[str, Any] | None = None,
    ) -> None:
        index = data.where(split)
        images = torch.from_numpy(data.images[index])
        images = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2)
        self.images = images.to(device).contiguous(memory_format=torch.channels_last)
        self.labels = torch.from_numpy(data.labels[index]).to(device)
        self.ids = data.ids[index]
        votes = None if data.votes is None else data.votes[index]
        targets = distributions(votes, recipe or {}, data.name)
        self.targets = None if targets is None else targets.to(device)
        self.size = None if size == images.shape[-1] else size
        options = dict(preprocess or {})
        self.channels = int(options.pop("channels", images.shape[1]))
        self.luma = torch.tensor(LUMA, device=device).view(1, 3, 1, 1)
        self.imagenet = [torch.tensor(v, device=device).view(1, -1, 1, 1) for v in IMAGENET]
        self.standardise = options.pop("standardise", None)
        if options or self.standardise not in (None, "image", "imagenet", "symmetric"):
            raise FerlibError(
                f"preprocess knows channels and standardise (image, imagenet, symmetric), not {preprocess}"
            )
        if self.channels != images.shape[1] and {self.channels, images.shape[1]} != {1, 3}:
            raise FerlibError(f"{data.name}: {images.shape[1]} channels cannot be made {self.channels}")

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, index: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Images as float in [0, 1] (section 2.1 of Luo: rescale 1/255), scaled to ``size``, and their labels."""
        x = self.images[index].float().div_(255)
        if self.size is not None:
            x = F.interpolate(x, (self.size, self.size), mode="bilinear", antialias=self.size < x.shape[-1])
        return x, self.labels[index]

    def finish(self, x: Tensor) -> Tensor:
        """What follows augmentation: standardised pixels, repeated channels, channels-last memory."""
        if self.standardise == "image":
            # Keras' ImageDataGenerator.standardize: the population's deviation, 1e-6 against a flat image
            mean, deviation = x.mean((1, 2, 3), keepdim=True), x.std((1, 2, 3), correction=0, keepdim=True)
            x = (x - mean) / (deviation + 1e-6)
        if x.shape[1] == 3 and self.channels == 1:
            x = (x * self.luma).sum(1, keepdim=True)
        elif x.shape[1] != self.channels:
            x = x.expand(-1, self.channels, -1, -1)
        if self.standardise == "symmetric":
            x = 2 * x - 1
        if self.standardise == "imagenet":
            mean, deviation = (v[:, : x.shape[1]] for v in self.imagenet)
            x = (x - mean) / deviation
        return x.contiguous(memory_format=torch.channels_last)


def class_weights(labels: np.ndarray, classes: int, balance: Mapping[str, Any]) -> Tensor | None:
    """Weight per class (classes,), or None: ``{"weights": "balanced"}`` is scikit-learn's n / (classes * count)."""
    if "weights" not in balance:
        return None
    if balance["weights"] != "balanced":
        raise FerlibError(f"balance: weights can be 'balanced', not {balance['weights']!r}")
    return balanced_class_weights(labels, classes)


def epoch_order(
    labels: np.ndarray, balance: Mapping[str, Any], seed: int, epoch: int
) -> tuple[Tensor, Tensor]:
    """Order of an epoch's images: index int64 (M,) and whether each is an extra copy, bool (M,).

    With ``balance = {"expand_to": n}`` each class of fewer than n images is filled up to n with copies
    drawn anew in every epoch (whole rounds of the class first); ``"max"`` is the largest class's count.
    """
    goal = balance.get("expand_to")
    shuffle = generator(seed, "order", epoch)
    if goal is None:
        order = torch.randperm(len(labels), generator=shuffle)
        return order, torch.zeros(len(order), dtype=torch.bool)
    count = np.bincount(labels)
    goal = int(count.max()) if goal == "max" else int(goal)
    rng = np.random.default_rng(generator(seed, "balance", epoch).initial_seed())
    extra = [np.empty(0, np.int64)]
    for c, n in enumerate(count):
        rounds = [
            rng.permutation(np.flatnonzero(labels == c)) for _ in range(-(-max(goal - n, 0) // max(n, 1)))
        ]
        if n and rounds:
            extra.append(np.concatenate(rounds)[: goal - n])
    copies = np.concatenate(extra)
    index = torch.from_numpy(np.concatenate([np.arange(len(labels)), copies]))
    order = torch.randperm(len(index), generator=shuffle)
    return index[order], (order >= len(labels))
