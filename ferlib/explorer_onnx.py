"""A network for the reader's browser: ONNX with probabilities, class activation maps and spatial attention.

B. Zhou et al., "Learning deep features for discriminative localization", CVPR 2016, Eq. (1)-(2): behind a global
average and one linear layer a class's score is the mean of its map, plus the layer's bias, so that the map
needs no gradient.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ferlib.errors import FerlibError
from ferlib.pixels import IMAGENET
from ferlib.stages import find_layer, first, layers_of
from ferlib.weights import Ready

OPSET, LARGEST = 18, 64
EXACT = 1e-3  # how far the mean of a map plus the bias may be from the logit


class Explained(nn.Module):
    """Grey images (N, 1, H, W) in [0, 1] -> probabilities (N, classes), class activation maps (N, classes, h, w), and
    the model's own spatial attention, each (N, 1, h, w).

    The row's preprocessing is inside, and where its recipe says so the mean with the mirror image.
    """

    def __init__(self, net: Ready) -> None:
        super().__init__()
        self.model, self.channels = net.model, net.channels
        self.standardise = net.row.preprocess.get("standardise")
        self.mirror = bool(net.row.recipe.get("mirror", False))
        self.classifier = classifier_of(net)
        self.last = find_layer(self.model, list(layers_of(self.model, net.row.size))[-1])

    def once(self, x: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Logits, class activation maps and the model's own spatial attention."""
        seen: list[Tensor] = []
        handle = self.last.register_forward_hook(lambda _module, _inputs, out: seen.append(first(out)))
        try:
            logits, out = self.model(x)
        finally:
            handle.remove()
        features = out.get("map", seen[-1])
        if features.shape[1] != self.classifier.in_features:
            raise FerlibError(
                f"{type(self.model).__name__} has no single linear layer behind a global average"
            )
        cam = F.conv2d(features, self.classifier.weight[..., None, None])
        return logits, cam, {k: v for k, v in out["attention"].items() if v.ndim == 4}

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = standardised(x, self.standardise, self.channels)
        logits, cam, places = self.once(x)
        probabilities = logits.softmax(1)
        if self.mirror:
            logits, mirrored, _ = self.once(x.flip(3))
            probabilities = (probabilities + logits.softmax(1)) / 2
            cam = (cam + mirrored.flip(3)) / 2
        return probabilities, cam, *places.values()


def standardised(x: Tensor, how: str | None, channels: int) -> Tensor:
    """As `Pixels.finish`, for grey images; FerlibError for a way that is not known."""
    if how == "image":
        x = x - x.mean((1, 2, 3), keepdim=True)
        x = x / (x.square().mean((1, 2, 3), keepdim=True).sqrt() + 1e-6)
    elif how == "symmetric":
        x = x * 2 - 1
    elif how not in (None, "imagenet"):
        raise FerlibError(f"no way to standardise {how!r} in a browser; choose other weights")
    x = x.expand(-1, channels, -1, -1)
    if how == "imagenet":
        mean, deviation = (torch.tensor(v[:channels]).view(1, channels, 1, 1) for v in IMAGENET)
        x = (x - mean) / deviation
    return x


def classifier_of(net: Ready) -> nn.Linear:
    """The linear layer that makes the logits; FerlibError where there is none."""
    found = [
        m for m in net.model.modules() if isinstance(m, nn.Linear) and m.out_features == len(net.classes)
    ]
    if not found:
        raise FerlibError(f"{type(net.model).__name__} does not end in a linear layer; choose other weights")
    return found[-1]


def exactness(net: Ready, images: Tensor) -> float:
    """Largest distance of a logit from its map's mean plus the bias, over images (N, 1, H, W) in [0, 1]."""
    explained = Explained(net).eval()
    with torch.no_grad():
        x = standardised(images, explained.standardise, explained.channels)
        logits, cam, _ = explained.once(x)
        return float((cam.mean((2, 3)) + explained.classifier.bias - logits).abs().max())


def suitable(net: Ready) -> None:
    """FerlibError for what a page cannot show.

    That is: a network of colour images or of more than 64 pixels a side, and one whose class activation map is not
    exact: that has no global average before one linear layer.
    """
    size = net.row.size
    if net.colour or size > LARGEST:
        raise FerlibError(f"{net.name}: takes colour or {size} pixels a side; choose a smaller network")
    images = torch.rand(4, 1, size, size, generator=torch.Generator().manual_seed(0))
    if not (off := exactness(net, images)) < EXACT:
        raise FerlibError(
            f"{net.name}: class activation maps are {off:.2g} off the logits; choose a network with one linear layer "
            "behind a global average"
        )


def export(net: Ready, path: Path) -> dict[str, Any]:
    """Write the network to ``path`` as ONNX; returns what a page must know to run it.

    Raises FerlibError as `suitable`, and where onnx or onnxscript is not installed.
    """
    suitable(net)
    image = torch.zeros(1, 1, net.row.size, net.row.size)
    explained = Explained(net).eval()
    with torch.no_grad():
        places = explained.once(standardised(image, explained.standardise, explained.channels))[2]
    outputs = ["probabilities", "cam", *(f"attention/{name}" for name in places)]
    _write(explained, image, path, outputs)
    return {"size": net.row.size, "outputs": outputs}


def _write(model: nn.Module, image: Tensor, path: Path, outputs: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with torch.no_grad(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                model, (image,), input_names=["image"], output_names=outputs, opset_version=OPSET, dynamo=True
            )
            assert program is not None  # None only where it writes the file itself
            program.save(str(path), external_data=False)
    except ImportError as error:
        raise FerlibError(f"ONNX export needs {error.name}; `pip install onnx onnxscript`") from None
    finally:
        quiet.setLevel(level)
