"""VGG16 with group convolutional channel attention, a partial decoder and reverse attention (Chen & Chen, 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ferlib.models.gcca_parts import ImageNetPixels, conv, load_imagenet, resize, stochastic_pool
from ferlib.models.layers import Dropout, Linear, global_average, global_maximum

# The columns of Table 1; its model m has the first m - 1 of them
COMPONENTS = ("Multi-feature fusion", "GCCA", "PD", "RA", "Joint loss function")
BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # width, convolutions: VGG's configuration D
HIGH = (256, 512, 512)  # widths of C_3, C_4, C_5


class GCCA(nn.Module):
    """Group convolutional channel attention (Fig. 3, Eq. 1-2): F (N, C, H, W) -> F' and {"gcca": M_c(F)}.

    M_c(F), which Eq. (1) calls P(F), is (N, C), each in (0, 1). ``ratio`` 16 is printed in section 2.3.
    """

    def __init__(self, c: int, ratio: int = 16) -> None:
        super().__init__()
        self.group = nn.Conv2d(3 * c, c, 1, groups=c)
        # Starts as the mean of the three. They are never negative, so with random weights half of the
        # channels would start, and stay, dead behind the ReLU.
        nn.init.constant_(self.group.weight, 1 / 3)
        nn.init.zeros_(self.group.bias)  # type: ignore[arg-type]
        self.w1 = conv(c, c // ratio, 1)
        self.w2 = conv(c // ratio, c, 1, std=0.01)  # away from the sigmoid's flat ends

    def forward(self, f: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        pooled = [global_average(f), global_maximum(f), stochastic_pool(f, self.training)]
        spliced = torch.stack(pooled, dim=2).flatten(1)  # (N, 3 C): a channel's three side by side
        fused = torch.relu(self.group(spliced[:, :, None, None]))
        weights = torch.sigmoid(self.w2(torch.relu(self.w1(fused))))  # Eq. (1)
        return weights * f + f, {"gcca": weights.flatten(1)}  # Eq. (2)


class NoGCCA(nn.Module):
    """A cross under GCCA in Table 1: F -> F and no weights."""

    def forward(self, f: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return f, {}


class Backbone(nn.Module):
    """VGG16 without its last pool and dense layers (Fig. 2): images -> [C_1, ..., C_5] and GCCA's weights."""

    def __init__(self, channels: int, *, gcca: bool, norm: bool) -> None:
        super().__init__()
        self.blocks, self.attention = nn.ModuleList(), nn.ModuleList()
        for c, depth in BLOCKS:
            layers: list[nn.Module] = [nn.MaxPool2d(2)] if len(self.blocks) else []
            for _ in range(depth):
                layers += [conv(channels, c), *[nn.BatchNorm2d(c)] * norm, nn.ReLU()]
                channels = c
            self.blocks.append(nn.Sequential(*layers))
            self.attention.append(GCCA(c) if gcca else NoGCCA())

    def forward(self, x: Tensor) -> tuple[list[Tensor], dict[str, Tensor]]:
        outputs, attention = [], {}
        for i, (block, gcca) in enumerate(zip(self.blocks, self.attention, strict=True), 1):
            x, weights = gcca(block(x))
            outputs.append(x)
            attention.update({f"block{i}.{k}": v for k, v in weights.items()})
        return outputs, attention


class PartialDecoder(nn.Module):
    """pd(C_3, C_4, C_5) (Fig. 4): three levels (N, width, ...) -> (N, 3 width, H/4, W/4).

    The aggregation of Wu, Su & Huang, "Cascaded partial decoder for fast and accurate salient object
    detection", CVPR 2019: each level is multiplied with all deeper ones, then the levels are
    concatenated from the deepest up. As there, no activation stands between its convolutions and the
    multipliers start from standard deviation 0.01. ``edge``, the low level, is left out.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.times_5_4, self.times_5_3, self.times_4_3 = (conv(width, width, std=0.01) for _ in range(3))
        self.up_5, self.join_4 = conv(width, width), conv(2 * width, 2 * width)
        self.up_4, self.join_3 = conv(2 * width, 2 * width), conv(3 * width, 3 * width)
        self.out = conv(3 * width, 3 * width)

    def forward(self, c: Sequence[Tensor], edge: Tensor) -> Tensor:
        c3, c4, c5 = c
        c5_at_4, c5_at_3, c4_at_3 = resize(c5, c4), resize(c5, c3), resize(c4, c3)
        product3 = c3 * self.times_4_3(c4_at_3) * self.times_5_3(c5_at_3)
        product4 = c4 * self.times_5_4(c5_at_4)
        joined4 = self.join_4(torch.cat([product4, self.up_5(c5_at_4)], dim=1))
        return self.out(self.join_3(torch.cat([product3, self.up_4(resize(joined4, c3))], dim=1)))


class FullResolution(nn.Module):
    """A cross under PD: the same three levels at the low level's size -> (N, 3 width, H/2, W/2)."""

    def forward(self, c: Sequence[Tensor], edge: Tensor) -> Tensor:
        return torch.cat([resize(level, edge) for level in c], dim=1)


class ReverseAttention(nn.Module):
    """Section 2.5: erases from C_5, then C_4, then C_3 what the level above has predicted.

    C_3, C_4, C_5 and the decoder's (N, c, H/4, W/4) -> three descriptors (N, width), and the maps
    ``P_d`` (N, 1, H/4, W/4), ``A_5``, ``A_4``, ``A_3`` (N, 1, ...) of their levels' sizes.

    Eq. (4) has all of C_{i+1} under the sigmoid, but the 512 channels of C_4 do not fit the 256 of C_3, there
    is no C_6, and the text speaks of a prediction. So as in Chen, Tan, Wang & Hu, "Reverse attention for salient object
    detection", ECCV 2018: a one-channel prediction, refined from level to level by a residual, from a 1x1
    and two 3x3 convolutions of 64 filters.
    """

    width = 64

    def __init__(self, c: int) -> None:
        super().__init__()
        w = self.width
        self.global_map = conv(c, 1, 1, std=0.01)
        self.predict5, self.predict4 = conv(w, 1, std=0.01), conv(w, 1, std=0.01)
        self.refine3, self.refine4, self.refine5 = (
            nn.Sequential(conv(c_i, w, 1), conv(w, w), nn.ReLU(), conv(w, w), nn.ReLU()) for c_i in HIGH
        )

    def forward(self, c: Sequence[Tensor], decoded: Tensor) -> tuple[list[Tensor], dict[str, Tensor]]:
        c3, c4, c5 = c
        p_d = self.global_map(decoded)
        s6 = resize(p_d, c5)
        a5 = 1 - torch.sigmoid(s6)  # Eq. (4)
        r5 = self.refine5(c5 * a5)  # Eq. (3), with convolutions for its D
        s5 = resize(s6 + self.predict5(r5), c4)
        a4 = 1 - torch.sigmoid(s5)
        r4 = self.refine4(c4 * a4)
        s4 = resize(s5 + self.predict4(r4), c3)
        a3 = 1 - torch.sigmoid(s4)
        r3 = self.refine3(c3 * a3)
        return [global_average(r) for r in (r5, r4, r3)], {"P_d": p_d, "A_5": a5, "A_4": a4, "A_3": a3}


class NoReverse(nn.Module):
    """A cross under RA: no descriptors, no maps."""

    def forward(self, c: Sequence[Tensor], decoded: Tensor) -> tuple[list[Tensor], dict[str, Tensor]]:
        return [], {}


class Fusion(nn.Module):
    """Lateral outputs of the last four blocks (sections 2.1, 2.2), fused: -> (N, self.features) and maps."""

    def __init__(self, width: int, fused: int, *, pd: bool, ra: bool) -> None:
        super().__init__()
        self.edge = conv(BLOCKS[1][0], 1)  # section 2.1: "a convolutional layer with a single kernel"
        self.lateral = nn.ModuleList(nn.Sequential(conv(c, width, 1), nn.ReLU()) for c in HIGH)
        self.decode = PartialDecoder(width) if pd else FullResolution()
        self.fuse = nn.Sequential(conv(3 * width + 1, fused), nn.ReLU())
        self.reverse = ReverseAttention(3 * width) if ra else NoReverse()
        self.features = fused + 3 * ReverseAttention.width * ra

    def forward(self, c: Sequence[Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        edge, high = self.edge(c[1]), c[2:]
        decoded = self.decode([f(x) for f, x in zip(self.lateral, high, strict=True)], edge)
        fused = global_average(self.fuse(torch.cat([decoded, resize(edge, decoded)], dim=1)))
        descriptors, maps = self.reverse(high, decoded)
        return torch.cat([fused, *descriptors], dim=1), {"edge": edge, **maps}


class NoFusion(nn.Module):
    """A cross under Multi-feature fusion: the average of C_5, (N, 512)."""

    features = HIGH[-1]

    def forward(self, c: Sequence[Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        return global_average(c[-1]), {}


class GCCAVGG(nn.Module):
    """The six models of Table 1 (Fig. 1): VGG16, then one component more a row.

    J. Chen, N. Chen, "A framework for facial expression recognition combining contextual information and
    attention mechanism", Journal of Information Processing Systems, 2024, doi:10.3745/JIPS.01.0107.

    Shapes for ``model=6``, a 48x48 grey image (224x224: sides 224, 112, 56, 28, 14)::

        C_1 (N,  64, 48, 48)   C_2 (N, 128, 24, 24)   C_3 (N, 256, 12, 12)
        C_4 (N, 512,  6,  6)   C_5 (N, 512,  3,  3)   each block's output behind its GCCA
        edge       C_2                     (N,  1, 24, 24)
        lateral    C_3, C_4, C_5           (N, 32, 12 | 6 | 3, ...)
        PD         of the three            (N, 96, 12, 12)    without PD (N, 96, 24, 24)
        RA         R_5, R_4, R_3           (N, 64) each
        features   fuse(PD, edge), R_i     (N, 128 + 3 64)    without RA (N, 128), model 1 (N, 512)
        classifier                         (N, classes)

    Parameters
    ----------
    classes : number of classes.
    channels, size : of the input image; size in pixels, at least 16.
    model : row of Table 1, 1 to 6, with the first ``model - 1`` of ``COMPONENTS``. Rows 5 and 6 are the
        same network; they differ in the loss.
    norm : batch normalisation after each convolution of the backbone. The paper does not mention any,
        nor has VGG16.
    pretrained : start the backbone from torchvision's ImageNet weights; pixels must then lie in [0, 1].
        Not printed; section 3.2 has a "random initialization of network parameters".
    width : of the lateral outputs. Not printed; 32 is Wu et al.'s.
    fused : filters of the 3x3 convolution that fuses them with the edge map. Not printed.
    dropout : before the classifier; the rate is section 3.3's, the place is not printed.

    ``model(x)`` returns logits (N, classes) and a dict: ``features``, ``aux`` (empty: Eq. 7 has one output),
    ``attention``: ``block1.gcca`` ... (N, C), ``edge``, ``P_d``, ``A_5``, ``A_4``, ``A_3`` (N, 1, H_i, W_i).
    Raises ValueError for a variant that cannot be built, FerlibError without the weights it needs.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int = 1,
        size: int = 48,
        model: int = 6,
        norm: bool = False,
        pretrained: bool = False,
        width: int = 32,
        fused: int = 128,
        dropout: float = 0.001,
    ) -> None:
        super().__init__()
        if model not in range(1, len(COMPONENTS) + 2):
            raise ValueError(f"model must be a row of Table 1, 1 to {len(COMPONENTS) + 1}, not {model!r}")
        if size < 16 or min(width, fused) < 1:
            raise ValueError(f"size must be at least 16, width and fused 1, not {size}, {width}, {fused}")
        if pretrained and channels not in (1, 3):
            raise ValueError(f"pretrained needs images of 1 or 3 channels, not {channels}")
        fusion, gcca, pd, ra, _ = (name in COMPONENTS[: model - 1] for name in COMPONENTS)
        self.prepare = ImageNetPixels() if pretrained else nn.Identity()
        self.backbone = Backbone(3 if pretrained else channels, gcca=gcca, norm=norm)
        self.head = Fusion(width, fused, pd=pd, ra=ra) if fusion else NoFusion()
        self.dropout = Dropout(dropout)
        self.classifier = Linear(self.head.features, classes)
        if pretrained:
            load_imagenet(self.backbone.blocks, norm)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Any]]:
        blocks, weights = self.backbone(self.prepare(x))
        features, maps = self.head(blocks)
        logits = self.classifier(self.dropout(features))
        return logits, {"features": features, "aux": [], "attention": weights | maps}
