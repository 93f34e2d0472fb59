"""A plain residual network of our own, for the house's rows: no paper of this book describes it.

He, Zhang, Ren & Sun, "Identity mappings in deep residual networks", ECCV 2016 (pre-activation blocks).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from ferlib.models.layers import Dropout, Linear, global_average


class Block(nn.Module):
    """Pre-activation residual block: (N, C, H, W) -> (N, width, H / stride, W / stride)."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        same = channels == width and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels, width, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(x))
        shortcut = self.shortcut(x if isinstance(self.shortcut, nn.Identity) else y)
        return shortcut + self.conv2(F.relu(self.norm2(self.conv1(y))))


class SmallResNet(nn.Module):
    """Stem, stages of ``depth`` blocks each, global average pooling, one linear layer.

    ``widths`` are the channels of the stages; each stage halves the resolution, the stem keeps it. With one linear
    layer behind the global average, Zhou et al.'s class activation map (CVPR 2016) is exact:
    ``cam = F.conv2d(out["map"], model.classifier.weight[..., None, None])`` averages to the logits less the bias.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int = 1,
        size: int = 48,
        stem: int = 16,
        widths: Sequence[int] = (32, 80, 160),
        depth: int = 2,
        dropout: float = 0.25,
    ) -> None:
        super().__init__()
        if size < 2 ** len(widths) or depth < 1:
            raise ValueError(
                f"{len(widths)} stages need at least {2 ** len(widths)} pixels and one block each"
            )
        self.stem = nn.Conv2d(channels, stem, 3, padding=1, bias=False)
        blocks: list[nn.Module] = []
        before = stem
        for width in widths:
            for k in range(depth):
                blocks.append(Block(before, width, 2 if k == 0 else 1))
                before = width
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.BatchNorm2d(before)
        self.dropout = Dropout(dropout)
        self.classifier = Linear(before, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Any]]:
        maps = F.relu(self.norm(self.blocks(self.stem(x))))  # 48 pixels: (N, 160, 6, 6)
        features = global_average(maps)
        logits = self.classifier(self.dropout(features))
        return logits, {"features": features, "aux": [], "attention": {}, "map": maps}
