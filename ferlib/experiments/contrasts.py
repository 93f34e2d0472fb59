"""Rows that isolate one thing each, and the network that stands for a paper: what `ferlib.effects` measures."""

from __future__ import annotations

from typing import NamedTuple


class Contrast(NamedTuple):
    """Two rows that differ in one thing: ``first`` minus ``second``."""

    kind: str
    first: str
    second: str
    what: str


# The first of the two is the row of the paper's table, where it is one of them.
CONTRASTS = (
    Contrast(
        "augmentation",
        "amdcnn-ckplus-acs3",
        "amdcnn-ckplus-acs3-noflip",
        "vertical flips, not horizontal ones alone",
    ),
    Contrast(
        "augmentation",
        "amdcnn-fer2013-acs3",
        "amdcnn-fer2013-acs3-noflip",
        "vertical flips, not horizontal ones alone",
    ),
    Contrast(
        "detail",
        "amdcnn-ckplus-acs3",
        "amdcnn-ckplus-acs3-norm_once",
        "batch normalisation after each convolution, not after two",
    ),
    Contrast(
        "part",
        "amdcnn-ckplus-mcbam",
        "amdcnn-ckplus-mcbam-test30",
        "a fifth of CK+ as test part, not three tenths",
    ),
    Contrast(
        "start",
        "gcca_vgg-fer2013-model6",
        "gcca_vgg-fer2013-model6-scratch",
        "ImageNet weights, not a random start",
    ),
    Contrast(
        "start",
        "gcca_vgg-ckplus-model6",
        "gcca_vgg-ckplus-model6-scratch",
        "ImageNet weights, not a random start",
    ),
    Contrast(
        "size", "gcca_vgg-fer2013-model6-scratch", "gcca_vgg-fer2013-model6-scratch48", "224 pixels, not 48"
    ),
    Contrast(
        "expansion",
        "gcca_vgg-ckplus-model6-scratch48-expanded_before",
        "gcca_vgg-ckplus-model6-scratch48-expanded_after",
        "15 copies of an image made before the split, not after it (two epochs each)",
    ),
    Contrast(
        "augmentation",
        "gcca_vgg-ckplus-model6-scratch48",
        "gcca_vgg-ckplus-model6-scratch48-noflip",
        "vertical flips, not horizontal ones alone",
    ),
    Contrast(
        "detail",
        "gcca_vgg-ckplus-model6-scratch48-norm",
        "gcca_vgg-ckplus-model6-scratch48",
        "batch normalisation in VGG16, not none",
    ),
    Contrast(
        "start",
        "a_mobilenet-ferplus-a_mobilenet",
        "a_mobilenet-ferplus-a_mobilenet-scratch",
        "ImageNet weights, not a random start",
    ),
    Contrast(
        "start",
        "a_mobilenet-ferplus-mobilenet_v1",
        "a_mobilenet-ferplus-mobilenet_v1-scratch",
        "MobileNetV1: ImageNet weights, not a random start",
    ),
    Contrast(
        "size",
        "a_mobilenet-ferplus-a_mobilenet-scratch",
        "a_mobilenet-ferplus-a_mobilenet-scratch48",
        "224 pixels, not 48",
    ),
    Contrast(
        "size",
        "a_mobilenet-ckplus-a_mobilenet-scratch96",
        "a_mobilenet-ckplus-a_mobilenet-scratch48",
        "96 pixels, not 48",
    ),
    Contrast(
        "loss",
        "a_mobilenet-ferplus-a_mobilenet-scratch48",
        "a_mobilenet-ferplus-no_center-scratch48",
        "center loss, not cross-entropy alone",
    ),
    Contrast(
        "loss",
        "a_mobilenet-ckplus-a_mobilenet-scratch48",
        "a_mobilenet-ckplus-no_center-scratch48",
        "center loss, not cross-entropy alone",
    ),
    Contrast(
        "detail",
        "a_mobilenet-ckplus-linear_all-scratch48",
        "a_mobilenet-ckplus-a_mobilenet-scratch48",
        "linear depthwise output in all blocks, not in the improved ones alone",
    ),
    Contrast("detail", "se_cnn-se-same", "se_cnn-se", "convolutions padded, not unpadded"),
    Contrast("detail", "se_cnn-se", "se_cnn-se-nodropout", "dropout, not none"),
    Contrast(
        "part",
        "se_cnn-se-merged",
        "se_cnn-se",
        "tested on the merged 7,178 images, a tenth of training for validation, not PrivateTest",
    ),
    Contrast(
        "loss",
        "msca_resnet-ckplus-se_bn",
        "msca_resnet-ckplus-image_cosine",
        "one cosine for a batch, not one for each image",
    ),
    Contrast(
        "loss",
        "msca_resnet-ckplus-se_bn",
        "msca_resnet-ckplus-cross_entropy",
        "cosine loss, not cross-entropy",
    ),
    Contrast(
        "loss",
        "msca_resnet-ferplus-se_bn",
        "msca_resnet-ferplus-image_cosine",
        "one cosine for a batch, not one for each image",
    ),
    Contrast(
        "augmentation",
        "msca_resnet-ckplus-se_bn",
        "msca_resnet-ckplus-one_sided",
        "rotations to both sides, not to one",
    ),
    Contrast(
        "detail",
        "msca_resnet-ckplus-one_pool",
        "msca_resnet-ckplus-se_bn",
        "one max-pool between the units, not two",
    ),
    Contrast(
        "detail",
        "se_cnn-se",
        "se_cnn-se-keras_plateau",
        "the rate halved after 3 epochs without improvement, not a tenth after 10",
    ),
    Contrast("detail", "msca_resnet-ckplus-se_bn", "msca_resnet-ckplus-width32", "64 filters, not 32"),
    Contrast("detail", "msca_resnet-ckplus-se_bn", "msca_resnet-ckplus-width48", "64 filters, not 48"),
    Contrast("detail", "msca_resnet-ckplus-width96", "msca_resnet-ckplus-se_bn", "96 filters, not 64"),
    Contrast(
        "labels",
        "msca_resnet-ferplus-se_bn",
        "msca_resnet-ferplus-argmax",
        "FERPlus' majority rule, not the most frequent vote",
    ),
)
# the network that stands for a paper on a dataset; where the first has no record, the next
HEADS = {
    "amdcnn": (("amdcnn-fer2013-acs3",), ("amdcnn-ferplus-acs3",), ("amdcnn-ckplus-acs3",)),
    "gcca_vgg": (
        ("gcca_vgg-fer2013-model6", "gcca_vgg-fer2013-model6-scratch", "gcca_vgg-fer2013-model6-scratch48"),
        ("gcca_vgg-ckplus-model6", "gcca_vgg-ckplus-model6-scratch", "gcca_vgg-ckplus-model6-scratch48"),
    ),
    "a_mobilenet": (
        (
            "a_mobilenet-ferplus-a_mobilenet",
            "a_mobilenet-ferplus-a_mobilenet-scratch",
            "a_mobilenet-ferplus-a_mobilenet-scratch96",
            "a_mobilenet-ferplus-a_mobilenet-scratch48",
        ),
    ),
    "se_cnn": (("se_cnn-se-merged", "se_cnn-se"),),
    "msca_resnet": (("msca_resnet-ferplus-se_bn",), ("msca_resnet-ckplus-se_bn",)),
}
