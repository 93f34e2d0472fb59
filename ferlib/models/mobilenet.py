"""The MobileNets that Nan et al. compare against: V1 (Howard et al., 2017), V2 and V3-small (torchvision's)."""

from __future__ import annotations

from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision import models as torchvision_models

from ferlib.errors import FerlibError
from ferlib.models import start
from ferlib.models.layers import Dropout, Linear, global_average
from ferlib.models.se_cnn import keras_init

T = TypeVar("T")

# Howard et al. Table 1: channels out of, and stride in, each of the 13 depthwise separable convolutions
V1_BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
# The TensorFlow checkpoint of Howard et al. (width 1.0, 224 pixels) as PyTorch tensors, at a fixed revision
V1_URL = (
    "https://huggingface.co/google/mobilenet_v1_1.0_224"
    "/resolve/5788d9af095a71990fe38c78772f884d15f34682/pytorch_model.bin"
)
V1_FILE = "mobilenet_v1_1.0_224.bin"


def count_keras_parameters(model: nn.Module) -> int:
    """Parameters as ``model.summary()`` of Keras totals them: with the running means and variances.

    The counts that Nan et al. print (Tables 3 and 4) are of this kind: of V2's 2.3 M only 2.2 M are trained.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]
    return sum(p.numel() for p in model.parameters()) + sum(2 * m.num_features for m in norms)


def check_input(channels: int, size: int) -> None:
    """ValueError for images that the five halvings, or ImageNet's kernels, cannot take."""
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 (grey) or 3 (colour), not {channels}")
    if size < 32:
        raise ValueError(f"images need at least 32 pixels a side, but have {size}")


def take_grey(conv: nn.Conv2d) -> None:
    """Sum the kernels of a first convolution over the colours: the same as showing it the grey image thrice."""
    conv.weight = nn.Parameter(conv.weight.detach().sum(1, keepdim=True))
    conv.in_channels = 1


def download(name: str, url: str, file: str, fetch: Callable[[], T]) -> T:
    """What ``fetch`` brings; FerlibError that names the file and its place where the network does not give it."""
    try:
        return fetch()
    except (OSError, RuntimeError, HTTPException, UnpicklingError) as error:
        place = Path(torch.hub.get_dir(), "checkpoints", file)
        raise FerlibError(
            f"{name}: no ImageNet weights from {url} ({' '.join(str(error).split()) or type(error).__name__}); "
            f"put that file at {place}, or leave pretrained off"
        ) from error


class Depthwise(nn.Conv2d):
    """A depthwise convolution that computes in float32 also under autocast.

    It multiplies too little to gain from bfloat16, and its gradients in bfloat16 are slow on a CPU: with this
    class A-MobileNet trains twice as fast at 48 pixels (one thread of an AMD EPYC).
    """

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cuda" if x.is_cuda else "cpu", enabled=False):
            return super().forward(x.to(self.weight.dtype))


class ConvNorm(nn.Module):
    """Convolution without bias, batch normalisation, ReLU6 unless ``linear``.

    Padding and batch-normalisation constants are those of Keras' MobileNet: one row and one column of zeros
    at the bottom and right where the stride is 2, epsilon 1e-3, momentum 0.99 (here 1 - 0.99).
    """

    def __init__(
        self, c_in: int, c_out: int, kernel: int, stride: int = 1, *, groups: int = 1, linear: bool = False
    ) -> None:
        super().__init__()
        self.pad = nn.ZeroPad2d((0, 1, 0, 1)) if stride == 2 else nn.Identity()
        padding = 0 if stride == 2 else kernel // 2
        make = nn.Conv2d if groups == 1 else Depthwise
        self.conv = make(c_in, c_out, kernel, stride, padding, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(c_out, eps=1e-3, momentum=0.01)
        self.activation = nn.Identity() if linear else nn.ReLU6()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.norm(self.conv(self.pad(x))))


class DSC(nn.Module):
    """Depthwise separable convolution (Howard et al. Figure 3; Nan et al. Fig. 1): 3x3 per channel, then 1x1.

    ``linear``: no activation after the depthwise part. ``forward`` returns the map (N, c_out, H', W') and an
    empty dict, where A-MobileNet's improved block has its attention.
    """

    def __init__(self, c_in: int, c_out: int, stride: int, *, linear: bool = False) -> None:
        super().__init__()
        self.depthwise = ConvNorm(c_in, c_in, 3, stride, groups=c_in, linear=linear)
        self.pointwise = ConvNorm(c_in, c_out, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return self.pointwise(self.depthwise(x)), {}


def load_imagenet_v1(model: nn.Module) -> None:
    """Howard et al.'s ImageNet weights into the 27 convolutions of ``model`` and their normalisations.

    Works for any net whose `ConvNorm` layers are MobileNetV1's in order; the rest keeps its start. The
    kernels were trained on pixels in [-1, 1]. FerlibError where the file cannot be downloaded.
    """
    if not start.fetched():
        return
    layers = [m for m in model.modules() if isinstance(m, ConvNorm)]
    names = ["conv_stem", *(f"layer.{i}" for i in range(26))]

    def fetch() -> dict[str, Tensor]:
        return torch.hub.load_state_dict_from_url(
            V1_URL, map_location="cpu", progress=False, file_name=V1_FILE, weights_only=True
        )

    weights = download("mobilenet_v1", V1_URL, V1_FILE, fetch)
    with torch.no_grad():
        for name, layer in zip(names, layers, strict=True):
            kernel = weights[f"mobilenet_v1.{name}.convolution.weight"]
            grey = kernel.shape[1] == 3 and layer.conv.in_channels == 1
            layer.conv.weight.copy_(kernel.sum(1, keepdim=True) if grey else kernel)
            for part in ("weight", "bias", "running_mean", "running_var"):
                getattr(layer.norm, part).copy_(weights[f"mobilenet_v1.{name}.normalization.{part}"])


class MobileNetV1(nn.Module):
    """MobileNet, width 1 (A. G. Howard et al., "MobileNets: Efficient convolutional neural networks for
    mobile vision applications", arXiv:1704.04861, Table 1), built as Keras builds it: ReLU6 everywhere.

    Parameters
    ----------
    classes : number of classes.
    channels, size : of the input image; 1 or 3, at least 32 pixels.
    dropout : before the classifier. Howard et al. print none; 0.001 is Keras' default for this net.
    pretrained : start from ImageNet (see `load_imagenet_v1`).

    ``model(x)`` returns logits (N, classes) and a dict: ``features`` (N, 1024), the pooled map before dropout,
    ``aux`` (empty list), ``attention`` (empty dict). Raises ValueError for an input that it cannot take.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int = 1,
        size: int = 48,
        dropout: float = 0.001,
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        check_input(channels, size)
        self.stem = ConvNorm(channels, 32, 3, stride=2)
        inputs = (32, *(c for c, _ in V1_BLOCKS[:-1]))
        self.blocks = nn.ModuleList(DSC(c, *block) for c, block in zip(inputs, V1_BLOCKS, strict=True))
        self.dropout = Dropout(dropout)
        self.classifier = Linear(1024, classes)
        self.apply(keras_init)
        if pretrained:
            load_imagenet_v1(self)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Any]]:
        x = self.stem(x)
        for block in self.blocks:
            x, _ = block(x)
        features = global_average(x)
        logits = self.classifier(self.dropout(features))
        return logits, {"features": features, "aux": [], "attention": {}}


class TorchvisionMobileNet(nn.Module):
    """A MobileNet of torchvision under this package's interface; its layers keep torchvision's names.

    In-place activations are switched off (they break attribution), the last layer is new, and for grey images
    the first kernels are summed over the colours.

    Parameters
    ----------
    classes : number of classes.
    channels, size : of the input image; 1 or 3, at least 32 pixels.
    dropout : before the classifier; 0.2 is torchvision's and Keras' default for both nets.
    pretrained : start from torchvision's ImageNet weights by the first published recipe (``IMAGENET1K_V1``),
        which were trained on standardised pixels. FerlibError where they cannot be downloaded.

    ``model(x)`` returns logits (N, classes) and a dict: ``features`` (N, D) before the last dropout, ``aux``
    (empty list), ``attention`` (empty dict). Raises ValueError for an input that it cannot take.
    """

    make: Callable[..., Any]
    weights: Any

    def __init__(
        self,
        *,
        classes: int,
        channels: int = 1,
        size: int = 48,
        dropout: float = 0.2,
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        check_input(channels, size)
        fetch = pretrained and start.fetched()
        net = self.download(dropout) if fetch else self.make(weights=None, dropout=dropout)
        for module in net.modules():
            if hasattr(module, "inplace"):
                module.inplace = False
            if isinstance(module, nn.Conv2d) and module.groups > 1:
                module.__class__ = Depthwise  # another forward, the same weights under the same names
        if channels == 1:
            take_grey(net.features[0][0])
        net.classifier[-1] = Linear(net.classifier[-1].in_features, classes)
        nn.init.normal_(net.classifier[-1].weight, 0, 0.01)  # torchvision's start for both nets
        nn.init.zeros_(net.classifier[-1].bias)
        self.features, self.classifier = net.features, net.classifier

    def download(self, dropout: float) -> Any:
        def fetch() -> Any:
            return self.make(weights=self.weights, progress=False, dropout=dropout)

        return download(self.make.__name__, self.weights.url, Path(self.weights.url).name, fetch)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Any]]:
        pooled = global_average(self.features(x))
        features = self.classifier[:-2](pooled)  # V3: 576 -> 1024, hard swish; V2: as it is
        logits = self.classifier[-2:](features)  # dropout, fully-connected
        return logits, {"features": features, "aux": [], "attention": {}}


class MobileNetV2(TorchvisionMobileNet):
    """M. Sandler et al., "MobileNetV2: Inverted residuals and linear bottlenecks", CVPR 2018, width 1.

    ``features`` is (N, 1280).
    """

    make = staticmethod(torchvision_models.mobilenet_v2)
    weights = torchvision_models.MobileNet_V2_Weights.IMAGENET1K_V1


class MobileNetV3Small(TorchvisionMobileNet):
    """A. Howard et al., "Searching for MobileNetV3", ICCV 2019, Table 2, width 1.

    ``features`` is (N, 1024). Nan et al.'s 1.5 M parameters need the 1024-wide layer of Table 2 before the
    classifier; with the classifier on the 576 pooled channels there are 0.9 M.
    """

    make = staticmethod(torchvision_models.mobilenet_v3_small)
    weights = torchvision_models.MobileNet_V3_Small_Weights.IMAGENET1K_V1
