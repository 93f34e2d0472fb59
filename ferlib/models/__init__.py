"""One file per paper; ``build`` makes any of them by name."""

from __future__ import annotations

from typing import Any

from torch import nn

from ferlib.errors import FerlibError
from ferlib.models.se_cnn import SECNN

MODELS: dict[str, type[nn.Module]] = {"se_cnn": SECNN}


def build(name: str, *, classes: int, channels: int = 1, size: int = 48, **variant: Any) -> nn.Module:
    """The model ``name`` for images (N, ``channels``, ``size``, ``size``) and ``classes`` classes.

    ``variant`` goes to the model (see its class). ``model(x)`` returns ``(logits, out)`` with logits
    (N, classes) and ``out`` holding ``features``, ``aux`` and ``attention``.
    Raises FerlibError for an unknown name or variant.
    """
    if name not in MODELS:
        raise FerlibError(f"unknown model {name!r}; known are {', '.join(sorted(MODELS))}")
    try:
        return MODELS[name](classes=classes, channels=channels, size=size, **variant)
    except (TypeError, ValueError, IndexError, ZeroDivisionError) as error:
        raise FerlibError(f"model {name}: {error}") from error


def count_parameters(model: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
