"""AMDCNN: auxiliary classifiers and multiscale CBAM for facial emotion recognition (Shang et al., 2024)."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation

from ferlib.models.attention import ChannelAttention, SpatialAttention, over_channels
from ferlib.models.layers import Linear, global_average
from ferlib.models.se_cnn import keras_init

KNOWN: dict[str, tuple[Any, ...]] = {
    "attention": ("none", "cbam", "mcbam"),
    "auxiliary": (0, 1, 2, 3),
    "residual_kernel": (1, 3),
    "residual_stride": (1, 2),  # 1: the convolution keeps the size and a pool halves it
    "fusion": ("conv", "mean"),
    "place": ("after", "before"),
    "norm": ("each", "once"),
}
WIDTHS = (32, 64, 128, 256)  # Table 1: channels out of DFEM1 to DFEM4
# Keras' defaults (section IV.C names TensorFlow): momentum 0.99 (here 1 - 0.99), epsilon 1e-3
norm_layer = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)
# 3x3 convolution without bias, batch normalisation, ReLU
conv_block = partial(Conv2dNormActivation, kernel_size=3, norm_layer=norm_layer, inplace=False)
# Table 1 has 11 -> 6, so the pool is padded; 3x3 with stride 2 is Xception's, which the paper improves upon
pool = partial(nn.MaxPool2d, kernel_size=3, stride=2, padding=1)


class MSAM(nn.Module):
    """Multiscale spatial attention (Figure 4, Eq. 4-9): (N, C, H, W) -> map (N, 1, H, W) in (0, 1).

    ``fusion`` makes one map of the three of Eq. (8): ``'conv'`` a 1x1 convolution, ``'mean'`` their mean.
    """

    def __init__(self, fusion: str) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(2, 1, k, padding=k // 2, bias=False) for k in (5, 3, 1))
        self.fuse: nn.Module = nn.Conv2d(3, 1, 1, bias=False) if fusion == "conv" else nn.AvgPool3d((3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        pooled = over_channels(x)  # [F_avg; F_max]
        maps = torch.cat([conv(pooled) for conv in self.convs], dim=1)  # Eq. (5)-(8): (N, 3, H, W)
        return torch.sigmoid(self.fuse(maps))  # Eq. (9)


class MCBAM(nn.Module):
    """Channel, then spatial attention (Figure 2, Eq. 1-2): x (N, C, H, W) -> weighted x and both maps.

    Eq. (3) as printed closes its sigmoid after half of the sum, its second line has two; CBAM, whose channel
    attention this is, has one around the sum, as here. ``spatial`` is `MSAM`, or CBAM's own (Table 8).
    """

    def __init__(self, channels: int, ratio: int, spatial: nn.Module) -> None:
        super().__init__()
        self.cam = ChannelAttention(channels, ratio)
        self.spatial = spatial

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        gates = self.cam(x)
        x = gates[:, :, None, None] * x  # Eq. (1), F_CAM
        place = self.spatial(x)
        return place * x, {"channel_attention": gates, "spatial_attention": place}  # Eq. (2)


class NoAttention(nn.Module):
    """The baseline of Table 8: x unchanged and no maps."""

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return x, {}


class SFEM(nn.Sequential):
    """Shallow feature extraction (Table 1, Conv1 and Conv2): (N, c, S, S) -> (N, 16, S - 4, S - 4)."""

    def __init__(self, channels: int) -> None:
        super().__init__(conv_block(channels, 16, padding=0), conv_block(16, 16, padding=0))


class DFEM(nn.Module):
    """Deep feature extraction (Figure 1, section III.B): (N, C/2, S, S) -> (N, C, ceil(S/2), ceil(S/2)) and maps.

    The standard block (two 3x3 convolutions, batch normalisation, ReLU, max-pool, attention) plus the residual
    block (one convolution, batch normalisation; with stride 1 the same max-pool halves it).
    """

    def __init__(self, attention: nn.Module, c: int, residual: dict[str, int], place: str, norm: str) -> None:
        super().__init__()
        first = conv_block(c // 2, c) if norm == "each" else nn.Conv2d(c // 2, c, 3, padding=1, bias=False)
        self.convs = nn.Sequential(first, conv_block(c, c))
        self.before = pool() if place == "after" else nn.Identity()
        self.attention = attention
        self.after = nn.Identity() if place == "after" else pool()
        shortcut = conv_block(c // 2, c, activation_layer=None, **residual)
        self.residual = nn.Sequential(shortcut, pool() if residual["stride"] == 1 else nn.Identity())

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        main, maps = self.attention(self.before(self.convs(x)))
        return self.after(main) + self.residual(x), maps  # "linear summation"


class Classifier(nn.Module):
    """ACM and MCM (Figure 5): (N, c, H, W) -> logits (N, classes) of Eq. (12) and its input M_a (N, width)."""

    def __init__(self, c: int, width: int, classes: int) -> None:
        super().__init__()
        self.conv = conv_block(c, width, activation_layer=None)
        self.linear = Linear(width, classes)  # w_c, b_c

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        # averaged in float32 under autocast too: Eq. (10) magnifies the cosines of M_a by s, about 30
        pooled = global_average(self.conv(x).to(self.linear.weight.dtype))
        return self.linear(pooled), pooled


class AWFM(nn.Module):
    """Adaptive weighted fusion (Eq. 13-14): K logits (N, classes) -> log P_all (N, classes), weights alpha (K,).

    alpha is the softmax of learned scores, so Eq. (14) holds at every step; it starts uniform.
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(heads), requires_grad=heads > 1)  # one head: alpha is 1

    def forward(self, logits: list[Tensor]) -> tuple[Tensor, Tensor]:
        log_p = torch.stack(logits).to(self.scores.dtype).log_softmax(dim=-1)  # Eq. (11)-(12): log P_k
        weighted = log_p + self.scores.log_softmax(dim=0)[:, None, None]
        return weighted.logsumexp(dim=0), self.scores.softmax(dim=0)  # log of Eq. (13)


class AMDCNN(nn.Module):
    """Lightweight network with auxiliary classifiers and MCBAM (Figure 1, Table 1).

    Y. Shang, F. Yan, Y. Liu, Q. Li, Q. Zhang, "Facial Emotion Recognition Combining Auxiliary Classifiers and
    Multiscale CBAM Attention Mechanisms", IEEE Access, 2024, https://ieeexplore.ieee.org/document/10504801/.

    Symbols: M_c and M_S the maps of CAM and MSAM, F their input, F' = F_CAM (Eq. 1-9); M_a pooled features, w_c and
    b_c a classifier (Eq. 12); P_1 to P_3 the auxiliary classifiers, P_4 the main one, alpha their weights (Eq. 13).

    Shapes for a 48x48 grey image (Table 1)::

        input               (N,   1, 48, 48)
        Conv1, Conv2 (SFEM) (N,  16, 46, 46), (N, 16, 44, 44)
        DFEM1, ACM1         (N,  32, 22, 22)
        DFEM2, ACM2         (N,  64, 11, 11)
        DFEM3, ACM3         (N, 128,  6,  6)
        DFEM4, MCM          (N, 256,  3,  3)
        AWFM                (N, classes)

    Parameters
    ----------
    classes : number of classes.
    channels, size : of the input image; at least 5 pixels.
    attention : ``'none'``, ``'cbam'``, ``'mcbam'`` (Table 8).
    auxiliary : auxiliary classifiers, 0 to 3 (Table 8). "The number of Acs increases as the model feature extraction
        progresses" (section V.B): the first ones stay.
    residual_kernel, residual_stride : of the residual block's convolution. Not printed, as the next two: see
        `amdcnn_readings` for what the printed parameters and FLOPs tell.
    head : channels out of the ACMs' and the MCM's convolution: a number, ``'classes'``, ``'half'`` or ``'same'``.
    ratio : reduction in CAM.
    fusion : how MSAM's three maps become one, ``'conv'`` or ``'mean'``. Eq. (8) concatenates, the text "fuses".
    place : attention ``'after'`` the max-pool (the order of section III.B) or ``'before'``.
    norm : batch normalisation and ReLU after ``'each'`` convolution of a DFEM (assumed: two convolutions in a row
        without activation are one linear map) or ``'once'`` ("a BatchNormalization layer and a layer of Relu").

    ``model(x)`` returns log P_all (N, classes), the logarithm of Eq. (13), and a dict: ``features`` M_a of the MCM
    (N, D), ``aux`` (logits of the ACMs), ``main`` (logits of the MCM), ``embeddings`` and ``class_weights`` (M_a and
    w_c (classes, D) of each head, the MCM's last, between which Eq. 10 takes its angles), ``fusion`` alpha
    (auxiliary + 1,), ``attention`` (``dfem1.channel_attention`` (N, C), ``dfem1.spatial_attention`` (N, 1, H, W),
    and so on). Raises ValueError for a bad variant.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int = 1,
        size: int = 48,
        attention: str = "mcbam",
        auxiliary: int = 3,
        residual_kernel: int = 1,
        residual_stride: int = 1,
        head: int | str = 64,
        ratio: int = 2,
        fusion: str = "conv",
        place: str = "after",
        norm: str = "each",
    ) -> None:
        super().__init__()
        check(attention=attention, auxiliary=auxiliary, fusion=fusion, place=place, norm=norm)
        check(residual_kernel=residual_kernel, residual_stride=residual_stride)
        if size < 5:
            raise ValueError(f"amdcnn needs images of at least 5 pixels a side, not {size}")
        residual = {"kernel_size": residual_kernel, "stride": residual_stride}
        maps = [attention_module(attention, c, ratio, fusion) for c in WIDTHS]
        heads = [Classifier(c, head_width(head, c, classes), classes) for c in WIDTHS]
        self.sfem = SFEM(channels)
        self.dfem = nn.ModuleList(map(partial(DFEM, residual=residual, place=place, norm=norm), maps, WIDTHS))
        self.acm, self.mcm = nn.ModuleList(heads[:auxiliary]), heads[-1]
        self.awfm = AWFM(auxiliary + 1)
        self.apply(keras_init)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Any]]:
        attention, maps = {}, []
        x = self.sfem(x)  # (N, 16, S - 4, S - 4)
        for i, dfem in enumerate(self.dfem, 1):
            x, found = dfem(x)  # (N, 16 * 2^i, ceil((S - 4) / 2^i), same)
            maps.append(x)
            attention.update({f"dfem{i}.{k}": v for k, v in found.items()})
        heads = [acm(m) for acm, m in zip(self.acm, maps, strict=False)] + [self.mcm(x)]
        logits, pooled = (list(parts) for parts in zip(*heads, strict=True))
        fused, alpha = self.awfm(logits)
        out = {"features": pooled[-1], "aux": logits[:-1], "main": logits[-1], "embeddings": pooled}
        out["class_weights"] = [head.linear.weight for head in (*self.acm, self.mcm)]
        return fused, out | {"fusion": alpha, "attention": attention}

    def monitored(self) -> dict[str, float]:
        """The fusion weights, for a run's history: ``alpha1`` ... of the ACMs, ``alpha4`` of the MCM."""
        alpha = self.awfm.scores.detach().softmax(dim=0).tolist()
        return {f"alpha{i}": a for i, a in zip([*range(1, len(alpha)), 4], alpha, strict=True)}


def attention_module(name: str, channels: int, ratio: int, fusion: str) -> nn.Module:
    spatial = MSAM(fusion) if name == "mcbam" else SpatialAttention(7)
    return NoAttention() if name == "none" else MCBAM(channels, ratio, spatial)


def head_width(head: int | str, channels: int, classes: int) -> int:
    """Channels out of a head's convolution over ``channels``; ValueError for an unknown ``head``."""
    named = {"classes": classes, "half": channels // 2, "same": channels}
    width = named.get(head, 0) if isinstance(head, str) else head
    if width < 1:
        raise ValueError(f"head must be a number of channels, 'classes', 'half' or 'same', not {head!r}")
    return width


def check(**options: Any) -> None:
    """ValueError for the first option whose value is none of the `KNOWN` ones."""
    for name, value in options.items():
        if value not in KNOWN[name]:
            raise ValueError(f"{name} must be one of {', '.join(map(str, KNOWN[name]))}, not {value!r}")
