"""Batches: scaling, standardised pixels, channels, class weights, the order of an epoch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from toy import toy

from ferlib.errors import FerlibError
from ferlib.pixels import IMAGENET, Pixels, class_weights, epoch_order, fewer

CPU = torch.device("cpu")


def test_a_batch_is_the_images_over_255():
    data = toy()
    x, y = Pixels(data, "train", CPU).batch(torch.tensor([3, 1]))
    expected = data.images[data.where("train")[[3, 1]]][:, None] / 255
    np.testing.assert_allclose(x.numpy(), expected, rtol=1e-6)
    assert y.tolist() == data.labels[data.where("train")[[3, 1]]].tolist()


@pytest.mark.parametrize("size", [18, 72])
def test_scaling_is_bilinear_as_in_torchvision(size):
    from torchvision.transforms.v2 import functional as V

    data = toy()
    part = Pixels(data, "test", CPU, size)
    x, _ = part.batch(slice(0, 4))
    images = torch.from_numpy(data.images[data.where("test")[:4]])[:, None].float() / 255
    torch.testing.assert_close(x, V.resize(images, [size, size], antialias=True), atol=1e-6, rtol=0)
    assert part.finish(x).is_contiguous(memory_format=torch.channels_last)


def test_standardise_each_image_as_keras_does():
    part = Pixels(toy(), "train", CPU, preprocess={"standardise": "image"})
    x = part.finish(part.batch(slice(0, 5))[0]).numpy()
    np.testing.assert_allclose(x.mean((1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(x.std((1, 2, 3)), 1, atol=1e-4)
    flat = part.finish(torch.full((1, 1, 36, 36), 0.5))
    assert torch.isfinite(flat).all()


def test_imagenet_statistics_and_three_channels():
    part = Pixels(toy(), "train", CPU, preprocess={"channels": 3, "standardise": "imagenet"})
    raw, _ = part.batch(slice(0, 2))
    x = part.finish(raw)
    assert x.shape == (2, 3, 36, 36) and part.channels == 3
    for channel, (mean, deviation) in enumerate(zip(*IMAGENET, strict=True)):
        torch.testing.assert_close(x[:, channel], (raw[:, 0] - mean) / deviation)


@pytest.mark.parametrize("bad", [{"standardise": "batch"}, {"colour": 1}, {"channels": 2}])
def test_bad_preprocessing_is_one_line(bad):
    with pytest.raises(FerlibError) as error:
        Pixels(toy(), "train", CPU, preprocess=bad)
    assert "\n" not in str(error.value)


def test_balanced_class_weights_are_scikit_learns():
    labels = np.array([0] * 7 + [1] * 2 + [2] * 1)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(class_weights(labels, 3, {"weights": "balanced"}), expected, rtol=1e-6)
    with_absent = class_weights(labels, 4, {"weights": "balanced"})
    np.testing.assert_allclose(with_absent[:3], expected, rtol=1e-6)
    assert class_weights(labels, 3, {}) is None
    with pytest.raises(FerlibError):
        class_weights(labels, 3, {"weights": "heavy"})


def test_the_order_of_an_epoch_is_a_seeded_permutation():
    labels = np.arange(30) % 3
    first, extra = epoch_order(labels, {}, 0, 0)
    assert sorted(first.tolist()) == list(range(30)) and not extra.any()
    assert torch.equal(first, epoch_order(labels, {}, 0, 0)[0])
    assert not torch.equal(first, epoch_order(labels, {}, 0, 1)[0])
    assert not torch.equal(first, epoch_order(labels, {}, 1, 0)[0])


@pytest.mark.parametrize(("goal", "each"), [("max", 20), (12, 12), (50, 50)])
def test_rare_classes_are_filled_up_with_copies(goal, each):
    labels = np.array([0] * 20 + [1] * 7 + [2] * 1)
    order, extra = epoch_order(labels, {"expand_to": goal}, 0, 0)
    found = labels[order.numpy()]
    assert np.bincount(found).tolist() == [max(20, each), each, each]
    assert sorted(order[~extra].tolist()) == list(range(28))  # each image itself, once
    copies = np.bincount(order[extra].numpy(), minlength=28)[20:27]
    assert copies.max() - copies.min() <= 1  # whole rounds of the class first
    assert not torch.equal(order, epoch_order(labels, {"expand_to": goal}, 0, 1)[0])


def test_grey_of_colour_is_pillows():
    from dataclasses import replace

    from PIL import Image

    data = toy()
    colour = np.random.default_rng(0).integers(0, 256, (*data.images.shape, 3), dtype=np.uint8)
    part = Pixels(replace(data, images=colour), "test", CPU, preprocess={"channels": 1})
    x = part.finish(part.batch(slice(0, 3))[0])
    expected = [np.asarray(Image.fromarray(i).convert("L")) for i in colour[data.where("test")[:3]]]
    assert x.shape == (3, 1, 36, 36)
    np.testing.assert_allclose(255 * x[:, 0].numpy(), np.stack(expected), atol=1)


def test_fewer_training_images_keep_the_shares_of_the_classes():
    data = toy(n=640)
    labels = np.where(np.arange(640) % 10 == 0, 2, np.arange(640) % 2)  # a rare class
    data = replace(data, labels=labels)
    few = fewer(data, 150)  # of 600
    assert few.counts()["train"] == {"low": 60, "mid": 75, "high": 15}
    assert [len(few.where(s)) for s in ("val", "test")] == [20, 20]
    assert few.fingerprint == fewer(data, 150).fingerprint != data.fingerprint
    assert set(few.ids) <= set(data.ids)


@pytest.mark.parametrize("images", [0, -1, 2, 48, 50, 51])
def test_fewer_training_images_must_be_fewer(images):
    with pytest.raises(FerlibError, match="from 3 to 47 here, but is"):
        fewer(toy(), images)
