"""The stages of a network by name: which of its layers are worth a map, and which is taken by default."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ferlib.errors import FerlibError
from ferlib.maps import deepest

# the networks' stages, by their place in the module tree: AMDCNN, MobileNets, GCCA-VGG, SE-CNN, MSCA-ResNet
STAGES = re.compile(r"(dfem|blocks|features|backbone\.attention)\.\d+|(block|unit)\d+|head\.fuse")


def layers_of(model: nn.Module, size: int = 48) -> dict[str, tuple[int, int]]:
    """Layers worth a map and their grid (h, w) for images of ``size`` pixels a side, in the order of the network.

    The last stage of each resolution: ``dfem1`` ... (AMDCNN), ``unit1`` ... (MSCA-ResNet), ``block1`` ... (SE-CNN,
    GCCA-VGG behind its GCCA, A-MobileNet and MobileNetV1), ``fused`` (GCCA-VGG's fused map), ``features.1`` ...
    (torchvision's MobileNets).
    """
    channels = next(m.in_channels for m in model.modules() if isinstance(m, nn.Conv2d))
    like = next(model.parameters())
    found: list[tuple[str, tuple[int, int]]] = []

    def note(name: str) -> Any:
        return lambda _module, _inputs, out: found.append(
            (name, (first(out).shape[-2], first(out).shape[-1]))
        )

    stages = [(label(path), m) for path, m in model.named_modules() if STAGES.fullmatch(path)]
    hooks = [module.register_forward_hook(note(name)) for name, module in stages]
    try:
        with evaluating(model), torch.no_grad():
            model(torch.zeros(1, channels, size, size, device=like.device, dtype=like.dtype))
    finally:
        for hook in hooks:
            hook.remove()
    later = [*(grid for _, grid in found), None][1:]
    # a grid of one cell tells no place
    return {n: grid for (n, grid), after in zip(found, later, strict=True) if grid != after and max(grid) > 1}


def default_layer(model: nn.Module, size: int = 48) -> str:
    """The deepest of `layers_of` with at least 5x5 cells (`ferlib.maps.deepest`); FerlibError for a foreign network."""
    layers = layers_of(model, size)
    if not layers:
        raise FerlibError(f"{type(model).__name__}: its stages are not known here, name the layer to explain")
    return deepest(layers)


def find_layer(model: nn.Module, layer: nn.Module | str) -> nn.Module:
    """The module itself, or that of a name from `layers_of` or of a path in the module tree; else FerlibError."""
    for path, module in model.named_modules():
        if module is layer or path == layer or (STAGES.fullmatch(path) and label(path) == layer):
            return module
    known = ", ".join(label(path) for path, _ in model.named_modules() if STAGES.fullmatch(path))
    name = layer if isinstance(layer, str) else type(layer).__name__
    raise FerlibError(f"{type(model).__name__} has no layer {name!r}; choose one of {known}")


def label(path: str) -> str:
    """A stage's name as in ``out["attention"]``: ``dfem.3`` -> ``dfem4``, ``backbone.attention.0`` -> ``block1``."""
    stem, _, number = path.replace("backbone.attention", "blocks").partition(".")
    if stem in ("dfem", "blocks"):
        return f"{stem.removesuffix('s')}{int(number) + 1}"
    return "fused" if path == "head.fuse" else path


def first(out: Any) -> Tensor:
    return out if isinstance(out, Tensor) else out[0]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
