"""One file per paper; ``build`` makes any of them by name."""

from __future__ import annotations

import contextlib
import importlib
import io
from typing import Any

import torch
from torch import nn

from ferlib.errors import FerlibError

# name -> module and class; imported when asked for, so that training one net needs nothing of the others
MODELS: dict[str, tuple[str, str]] = {
    "amdcnn": ("amdcnn", "AMDCNN"),
    "gcca_vgg": ("gcca_vgg", "GCCAVGG"),
    "a_mobilenet": ("a_mobilenet", "AMobileNet"),
    "se_cnn": ("se_cnn", "SECNN"),
    "small_resnet": ("small_resnet", "SmallResNet"),
    "msca_resnet": ("msca_resnet", "MSCAResNet"),
    "mobilenet_v1": ("mobilenet", "MobileNetV1"),
    "mobilenet_v2": ("mobilenet", "MobileNetV2"),
    "mobilenet_v3_small": ("mobilenet", "MobileNetV3Small"),
}


def class_of(name: str) -> type[nn.Module]:
    """The class of the model ``name``; FerlibError for an unknown one."""
    if name not in MODELS:
        raise FerlibError(f"unknown model {name!r}; known are {', '.join(sorted(MODELS))}")
    module, cls = MODELS[name]
    found: type[nn.Module] = getattr(importlib.import_module(f"ferlib.models.{module}"), cls)
    return found


def build(name: str, *, classes: int, channels: int = 1, size: int = 48, **variant: Any) -> nn.Module:
    """The model ``name`` for images (N, ``channels``, ``size``, ``size``) and ``classes`` classes.

    ``variant`` goes to the model (see its class). ``model(x)`` returns ``(logits, out)`` with logits
    (N, classes) and ``out`` holding ``features``, ``aux`` and ``attention``.
    Raises FerlibError for an unknown name or variant.
    """
    make = class_of(name)
    try:
        return make(classes=classes, channels=channels, size=size, **variant)
    except (TypeError, ValueError, IndexError, ZeroDivisionError) as error:
        raise FerlibError(f"model {name}: {error}") from error


def count_parameters(model: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def count_multiply_adds(model: nn.Module, *, channels: int = 1, size: int = 48) -> int:
    """Multiply-adds of one image's forward pass through convolutions and matrix products.

    Counted by torch's own counter, which gives floating-point operations: twice this number.
    """
    from torch.utils.flop_counter import FlopCounterMode

    training = model.training
    parameter = next(model.parameters())
    x = torch.zeros(1, channels, size, size, device=parameter.device, dtype=parameter.dtype)
    with (
        torch.no_grad(),
        FlopCounterMode(display=False) as counter,
        contextlib.redirect_stdout(io.StringIO()),
    ):
        model.eval()(x)
    model.train(training)
    return counter.get_total_flops() // 2
