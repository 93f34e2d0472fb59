"""Batched augmentation on the training device. Images are float (N, C, H, W) in [0, 1]."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ferlib.errors import FerlibError


def shift(x: Tensor, fraction: float, generator: torch.Generator) -> Tensor:
    """Keras' ``width_shift_range`` and ``height_shift_range``: each image moved by its own amount.

    Both offsets are uniform in [-fraction, fraction] of the side, sub-pixel offsets are interpolated
    bilinearly and the border pixel is repeated (``ImageDataGenerator``: order 1, fill_mode 'nearest').
    """
    offset = torch.rand((len(x), 2), generator=generator, device=generator.device).to(x.device)
    theta = torch.zeros(len(x), 2, 3, device=x.device)
    theta[:, 0, 0] = theta[:, 1, 1] = 1
    # the sampling grid spans [-1, 1], twice the side
    theta[:, :, 2] = (2 * offset - 1) * 2 * fraction
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


AUGMENTATIONS = {"shift": shift}


def augment(x: Tensor, recipe: dict[str, float], generator: torch.Generator) -> Tensor:
    """Apply the named augmentations in the recipe's order; the generator decides every draw."""
    for name, amount in recipe.items():
        if name not in AUGMENTATIONS:
            raise FerlibError(f"unknown augmentation {name!r}; known are {', '.join(AUGMENTATIONS)}")
        x = AUGMENTATIONS[name](x, amount, generator)
    return x
