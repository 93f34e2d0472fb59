"""CNN with squeeze-and-excitation blocks for facial emotion recognition (Luo, 2023)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ferlib.models.layers import Dropout, Linear, global_average

SE_PLACES = ("none", "pool", "conv")


class SEBlock(nn.Module):
    """Squeeze-and-excitation (Figure 1, after Hu, Shen & Sun, CVPR 2018, Eq. 2-4).

    (N, C, H, W) -> gates (N, C), each in (0, 1). The caller multiplies (Hu et al. Eq. 4).
    """

    def __init__(self, channels: int, ratio: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels, channels // ratio)
        self.expand = nn.Linear(channels // ratio, channels)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = global_average(x)  # Hu et al. Eq. (2): global average
        return torch.sigmoid(self.expand(torch.relu(self.reduce(squeezed))))  # Eq. (3)


def scale(x: Tensor, gates: Tensor) -> Tensor:
    """Hu et al. Eq. (4): each channel of x (N, C, H, W) times its gate (N, C)."""
    return x * gates[:, :, None, None]


class ConvBlock(nn.Module):
    """Two convolutions with ReLU, an SE block, a max-pool (Figure 2, one of three).

    ``se='pool'`` recalibrates once, before the pool (Figure 2, section 2.2.3);
    ``se='conv'`` after each of the two convolutions (section 1 may mean it, section 3.2 has it of other studies);
    ``se='none'`` is Table 1's "Original CNN".
    """

    def __init__(
        self,
        c_in: int,
        c_mid: int,
        c_out: int,
        *,
        se: str,
        ratio: int,
        padding: str,
        norm: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_mid, 3, padding=padding)
        self.conv2 = nn.Conv2d(c_mid, c_out, 3, padding=padding)
        # Keras' BatchNormalization defaults: momentum 0.99 (here 1 - 0.99), epsilon 1e-3
        self.norm = nn.BatchNorm2d(c_out, eps=1e-3, momentum=0.01) if norm else nn.Identity()
        self.se1 = SEBlock(c_mid, ratio) if se == "conv" else None
        self.se2 = SEBlock(c_out, ratio) if se != "none" else None
        self.pool = nn.MaxPool2d(2)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        attention = {}
        x = torch.relu(self.conv1(x))
        if self.se1 is not None:
            attention["se1"] = self.se1(x)
            x = scale(x, attention["se1"])
        x = torch.relu(self.conv2(x))
        pooled = self.pool(x)
        if self.se2 is not None:
            # The SE block stands before the pool. Its gates are positive and constant over a channel,
            # so scaling after the max-pool gives the same values at a quarter of the multiplications.
            attention["se2"] = self.se2(x)
            pooled = scale(pooled, attention["se2"])
        return self.dropout(self.norm(pooled)), attention


class SECNN(nn.Module):
    """Three convolutional blocks, a fully-connected layer, a softmax layer (Figure 2, section 2.2.3).

    X. Luo, "Convolutional neural network combined with the attention mechanism for facial emotion
    recognition", Proceedings of the 5th International Conference on Computing and Data Science, 2023,
    doi:10.54254/2755-2721/22/20231157.

    Shapes for a 48x48 grey image and ``padding='valid'``::

        input                 (N,   1, 48, 48)
        Conv1-32,  Conv2-64   (N,  64, 44, 44)   SE Block, Max-Pool -> (N,  64, 22, 22)
        Conv3-128, Conv4-128  (N, 128, 18, 18)   SE Block, Max-Pool -> (N, 128,  9,  9)
        Conv5-256, Conv5-256  (N, 256,  5,  5)   SENet,    Max-Pool -> (N, 256,  2,  2)
        Flatten, Fully-connected (N, dense), Softmax (N, classes)

    (The paper's Figure 2 names both convolutions of the third block "Conv5".)

    Parameters
    ----------
    classes : number of classes.
    channels, size : of the input image; size in pixels.
    se : ``False`` or ``'none'``, ``True`` or ``'pool'`` (Figure 2), ``'conv'`` (after each convolution).
    ratio : reduction of the SE bottleneck. Not printed; 16 is Hu et al.'s.
    padding : ``'valid'`` (Keras' default) or ``'same'``. Not printed.
    norm : batch normalisation at the end of each block, after the printed layers, and after the
        fully-connected layer. Not printed.
    dense : width of the fully-connected layer. Not printed.
    dropout : after each pool and after the fully-connected layer. Not printed.

    ``model(x)`` returns logits (N, classes) and a dict: ``features`` (N, dense), ``aux`` (empty list),
    ``attention`` (gates (N, C) by name, ``block1.se2`` for the SE block before the first pool).
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int = 1,
        size: int = 48,
        se: bool | str = True,
        ratio: int = 16,
        padding: str = "valid",
        norm: bool = True,
        dense: int = 1024,
        dropout: tuple[float, float] = (0.25, 0.5),
    ) -> None:
        super().__init__()
        place = {True: "pool", False: "none"}.get(se, se) if isinstance(se, bool) else se
        if place not in SE_PLACES:
            raise ValueError(f"se must be one of {', '.join(SE_PLACES)}, True or False, not {se!r}")
        block: dict[str, Any] = {
            "se": place,
            "ratio": ratio,
            "padding": padding,
            "norm": norm,
            "dropout": dropout[0],
        }
        self.block1 = ConvBlock(channels, 32, 64, **block)
        self.block2 = ConvBlock(64, 128, 128, **block)
        self.block3 = ConvBlock(128, 256, 256, **block)
        side = final_side(size, padding)
        self.fully_connected = nn.Linear(256 * side * side, dense)
        self.norm = nn.BatchNorm1d(dense, eps=1e-3, momentum=0.01) if norm else nn.Identity()
        self.dropout = Dropout(dropout[1])
        self.classifier = Linear(dense, classes)
        self.apply(keras_init)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Any]]:
        attention = {}
        for name in ("block1", "block2", "block3"):
            x, gates = getattr(self, name)(x)
            attention.update({f"{name}.{k}": v for k, v in gates.items()})
        features = self.norm(torch.relu(self.fully_connected(x.flatten(1))))
        logits = self.classifier(self.dropout(features))
        return logits, {"features": features, "aux": [], "attention": attention}


def final_side(size: int, padding: str) -> int:
    """Side in pixels of the last feature map: each block's two 3x3 convolutions, then its 2x2 pool."""
    for _ in range(3):
        size = (size - 4 if padding == "valid" else size) // 2
    if size < 1:
        raise ValueError(
            "se_cnn needs images of at least 36 pixels a side with padding='valid', 8 with 'same'"
        )
    return size


def keras_init(module: nn.Module) -> None:
    """Keras' default start for Conv2D and Dense: Glorot uniform weights, zero biases."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
