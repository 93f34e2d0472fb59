"""MobileNetV1 with linear depthwise convolutions and CBAM for facial expression recognition (Nan et al., 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from ferlib.models import count_multiply_adds
from ferlib.models.attention import ChannelAttention, SpatialAttention
from ferlib.models.layers import Dropout, Linear, global_average
from ferlib.models.mobilenet import (
    DSC,
    V1_BLOCKS,
    ConvNorm,
    check_input,
    count_keras_parameters,
    load_imagenet_v1,
)
from ferlib.models.se_cnn import keras_init

# Which of the 13 depthwise separable convolutions (numbered from 1) are "improved". The paper says it twice,
# differently; `readings` counts what each reading costs.
PLACEMENTS: dict[str, tuple[int, ...]] = {
    "table": (4, 6, 11, 13),  # Table 1, "5x" over the two convolutions of its row only
    "table-each": (4, 6, 7, 8, 9, 10, 11, 13),  # Table 1, "5x" over its CBAM rows too
    "text": (10, 11, 12, 13),  # section 2.2: "9 DSC layers and 4 improved DSC layers in turn"
    "all": tuple(range(1, 14)),  # no sentence says so; section 2.2's "all" is about linear outputs
}
LINEAR = ("improved", "all", "none")
RATIOS = (2, 4, 8, 16, 32, 64)
PRINTED_MILLIONS = 3.4  # Tables 3 and 4


class ImprovedDSC(DSC):
    """Improved depthwise separable convolution (Figs. 5 and 6): linear depthwise output, CBAM after the pointwise.

    (N, c_in, H, W) -> map (N, c_out, H', W') and ``{"channel_attention": (N, c_out), "spatial_attention":
    (N, 1, H', W')}``. CBAM follows the ReLU6 of the pointwise convolution ("added after pointwise
    convolution", whose output "BN layer and Relu6" process: section 2.2).
    """

    def __init__(self, c_in: int, c_out: int, stride: int, *, linear: bool, ratio: int) -> None:
        super().__init__(c_in, c_out, stride, linear=linear)
        self.channel_attention = ChannelAttention(c_out, ratio)
        self.spatial_attention = SpatialAttention()

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        x, _ = super().forward(x)
        channel = self.channel_attention(x)
        x = x * channel[:, :, None, None]  # Eq. (1), F'
        spatial = self.spatial_attention(x)
        return x * spatial, {"channel_attention": channel, "spatial_attention": spatial}  # Eq. (1), F''


class AMobileNet(nn.Module):
    """MobileNetV1 of which four depthwise separable convolutions are improved (Table 1, Figs. 5-7).

    Y. Nan, J. Ju, Q. Hua, H. Zhang, B. Wang, "A-MobileNet: An approach of facial expression recognition",
    Alexandria Engineering Journal 61(6), 2022, doi:10.1016/j.aej.2021.09.066.

    Symbols: F the map that enters CBAM, M_c and M_s its channel gates and spatial map, F' and F'' the map
    after each (Eq. 1); W0 and W1 the two layers of M_c's perceptron (Eq. 2); f the 7x7 convolution (Eq. 3).

    Shapes for a 224x224 colour image (Table 1)::

        stem          Conv/s2             (N,   32, 112, 112)
        block 1       dw/s1, pw           (N,   64, 112, 112)
        block 2       dw/s2, pw           (N,  128,  56,  56)
        block 3       dw/s1, pw           (N,  128,  56,  56)
        block 4       dw/s2, pw, CBAM     (N,  256,  28,  28)
        block 5       dw/s1, pw           (N,  256,  28,  28)
        block 6       dw/s2, pw, CBAM     (N,  512,  14,  14)
        blocks 7-11   dw/s1, pw           (N,  512,  14,  14)   CBAM once, after the fifth
        block 12      dw/s2, pw           (N, 1024,   7,   7)
        block 13      dw/s1, pw, CBAM     (N, 1024,   7,   7)
        Avg Pool, FC                      (N, classes)

    Parameters
    ----------
    classes : number of classes (8 for FERPlus, 7 for RAF-DB).
    channels, size : of the input image; 1 or 3, at least 32 pixels.
    placement : which blocks are improved, a key of `PLACEMENTS`. Assumed: Table 1's. With CBAM once after the
        five repeated blocks it has the 9 plain and 4 improved ones of the text, though not in its order.
    ratio : reduction of CBAM's perceptron. Not printed; 16, which Woo et al. use throughout, is the only power
        of two that meets the printed 3.4 M parameters with Table 1's placement (`readings`).
    attention : ``False`` leaves CBAM out (a control that the paper has not).
    linear : which depthwise convolutions have no activation. ``'improved'`` blocks (section 2.2, "the rest is
        consistent with the DSC layer in MobileNetV1"), ``'all'`` (the sentence on "all of the original MobileNet
        model and the improved" layers), ``'none'`` (control).
    dropout : before the classifier (0.5, section 3.1; its place is assumed, after Keras' MobileNet).
    pretrained : start from MobileNetV1's ImageNet weights (section 2.2); CBAM and the classifier start anew.

    ``model(x)`` returns logits (N, classes) and a dict: ``features`` (N, 1024), the pooled map before dropout,
    which the centre loss takes; ``aux`` (empty list); ``attention``: ``block4.channel_attention`` (N, C),
    ``block4.spatial_attention`` (N, 1, H, W), and so on. Raises ValueError for a bad variant or input.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int = 1,
        size: int = 48,
        placement: str = "table",
        ratio: int = 16,
        attention: bool = True,
        linear: str = "improved",
        dropout: float = 0.5,
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        check_input(channels, size)
        improved = improved_blocks(placement, ratio)
        if linear not in LINEAR:
            raise ValueError(f"linear must be one of {', '.join(LINEAR)}, not {linear!r}")
        self.stem = ConvNorm(channels, 32, 3, stride=2)
        self.blocks = nn.ModuleList()
        c_in = 32
        for number, (c_out, stride) in enumerate(V1_BLOCKS, start=1):
            no_activation = linear == "all" or (linear == "improved" and number in improved)
            if number in improved and attention:
                self.blocks.append(ImprovedDSC(c_in, c_out, stride, linear=no_activation, ratio=ratio))
            else:
                self.blocks.append(DSC(c_in, c_out, stride, linear=no_activation))
            c_in = c_out
        self.dropout = Dropout(dropout)
        self.classifier = Linear(1024, classes)
        self.apply(keras_init)
        if pretrained:
            load_imagenet_v1(self)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Any]]:
        attention = {}
        x = self.stem(x)
        for number, block in enumerate(self.blocks, start=1):
            x, gates = block(x)
            attention.update({f"block{number}.{name}": gate for name, gate in gates.items()})
        features = global_average(x)  # Avg Pool 7x7
        logits = self.classifier(self.dropout(features))
        return logits, {"features": features, "aux": [], "attention": attention}


def improved_blocks(placement: str, ratio: int) -> tuple[int, ...]:
    """Numbers of the improved blocks; ValueError for an unknown placement or a ratio that leaves no hidden unit."""
    if placement not in PLACEMENTS:
        raise ValueError(f"placement must be one of {', '.join(PLACEMENTS)}, not {placement!r}")
    narrowest = min(V1_BLOCKS[number - 1][0] for number in PLACEMENTS[placement])
    if not 1 <= ratio <= narrowest:
        raise ValueError(f"ratio must be from 1 to {narrowest} with placement {placement!r}, not {ratio}")
    return PLACEMENTS[placement]


@dataclass(frozen=True)
class Reading:
    """One way to read the paper: what it costs, and whether that is what the paper prints.

    ``order`` has a letter for each of the 13 blocks, P plain and I improved. ``parameters`` are counted as Keras
    counts them, ``increase`` what CBAM adds to MobileNetV1 (section 3.2: "0.2 M", which may be 3.4 - 3.2),
    ``multiply_adds`` of one 224x224 colour image. ``meets``: 3.4 M to the printed digit. ``nine_and_four``: has
    the text's 9 plain and 4 improved layers.
    """

    placement: str
    ratio: int
    order: str
    parameters: int
    increase: int
    multiply_adds: int
    meets: bool
    nine_and_four: bool


def attention_cost(number: int, ratio: int, size: int = 224) -> tuple[int, int]:
    """Parameters and multiply-adds of CBAM after block ``number`` (from 1), for images of ``size`` pixels a side."""
    channels = V1_BLOCKS[number - 1][0]
    side = size // 2
    for _, stride in V1_BLOCKS[:number]:
        side //= stride
    hidden, spatial = channels // ratio, 2 * 7 * 7
    # the perceptron runs twice, on the average and on the maximum
    return (
        2 * channels * hidden + hidden + channels + spatial,
        2 * 2 * channels * hidden + spatial * side * side,
    )


def readings(*, classes: int = 8) -> list[Reading]:
    """Every placement in `PLACEMENTS` with every ratio in `RATIOS`."""
    with torch.device("meta"):  # shapes only
        plain = AMobileNet(classes=classes, channels=3, size=224, attention=False)  # MobileNetV1's layers
    baseline, multiply_adds = count_keras_parameters(plain), count_multiply_adds(plain, channels=3, size=224)
    rows = []
    for (placement, improved), ratio in product(PLACEMENTS.items(), RATIOS):
        costs = [attention_cost(number, ratio) for number in improved]
        increase = sum(parameters for parameters, _ in costs)
        rows.append(
            Reading(
                placement=placement,
                ratio=ratio,
                order="".join("I" if number in improved else "P" for number in range(1, 14)),
                parameters=baseline + increase,
                increase=increase,
                multiply_adds=multiply_adds + sum(cost for _, cost in costs),
                meets=round((baseline + increase) / 1e6, 1) == PRINTED_MILLIONS,
                nine_and_four=len(improved) == 4,
            )
        )
    return rows
