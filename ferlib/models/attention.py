"""The convolutional block attention module of Woo, Park, Lee & Kweon (ECCV 2018): its two attention maps.

Shang et al. take its channel attention for their CAM (Figure 3) and compare against the whole of it
("baseline+CBAM", Table 8). Nan et al. print the same equations (their Eq. 2 and 3).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ferlib.models.layers import global_average, global_maximum


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
