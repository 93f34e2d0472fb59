"""The convolutional block attention module of Woo, Park, Lee & Kweon (ECCV 2018): its two attention maps.

Shang et al. take its channel attention for their CAM (Figure 3) and compare against the whole of it
("baseline+CBAM", Table 8). Nan et al. print the same equations (their Eq. 2 and 3).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _GlobalAverage(torch.autograd.Function):
    """``x.mean((2, 3))`` whose gradient is channels-last, as the maps are that it is added to.

    torch's own gradient has the other layout: `se_cnn` with SE blocks trains 1.18 times as fast with this one,
    to the same bits (one thread of a CPU with bfloat16).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.shape = x.shape
        return x.mean(dim=(2, 3))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        n, c, h, w = ctx.shape
        spread = (gradient / (h * w))[:, None, None, :].expand(n, h, w, c)
        return spread.contiguous().permute(0, 3, 1, 2)


def global_average(x: Tensor) -> Tensor:
    """Global average pooling: (N, C, H, W) -> (N, C)."""
    return _GlobalAverage.apply(x)


def global_maximum(x: Tensor) -> Tensor:
    """Global max pooling: (N, C, H, W) -> (N, C)."""
    return F.adaptive_max_pool2d(x, 1).flatten(1)


class ChannelAttention(nn.Module):
    """Channel attention (Woo et al. Eq. 2): (N, C, H, W) -> gates (N, C) in (0, 1). The caller multiplies.

    ``ratio`` reduces the hidden layer of the perceptron W0, W1 to C // ratio units; ValueError where none are left.
    Nan et al. Eq. (2) prints no activation between W0 and W1; Woo et al. (section 3.1) put a ReLU there.
    """

    def __init__(self, channels: int, ratio: int) -> None:
        super().__init__()
        if not 1 <= ratio <= channels:
            raise ValueError(f"ratio must be between 1 and {channels}, not {ratio}")
        hidden = channels // ratio
        self.mlp = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.mlp(global_average(x)) + self.mlp(global_maximum(x)))


def over_channels(x: Tensor) -> Tensor:
    """Mean and maximum over the channels, [F_avg; F_max]: (N, C, H, W) -> (N, 2, H, W)."""
    return torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)


class SpatialAttention(nn.Module):
    """Spatial attention (Woo et al. Eq. 3): (N, C, H, W) -> map (N, 1, H, W) in (0, 1). Eq. 3 has no bias."""

    def __init__(self, kernel: int = 7) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.conv(over_channels(x)))
