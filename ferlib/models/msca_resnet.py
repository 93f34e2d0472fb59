"""Multiscale convolutional attention-based residual network (Wang & Zhang, 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ferlib.models.layers import Linear, global_average
from ferlib.models.se_cnn import SEBlock, keras_init, scale

SE_PLACES = ("none", "module", "branch")


class Recalibrate(nn.Module):
    """The channel attention module of Figure 1: u (N, C, H, W) -> s u and {"se": s}, s (N, C) in (0, 1).

    Equations (1)-(3) are those of Hu, Shen & Sun that Luo's network uses too, with another ratio.
    """

    def __init__(self, se: nn.Module) -> None:
        super().__init__()
        self.se = se

    def forward(self, u: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        s = self.se(u)  # Eq. (1), (2)
        return scale(u, s), {"se": s}  # Eq. (3)


class Unchanged(nn.Module):
    """Stands where Table 3 has a cross under SENet: u -> u and no gates."""

    def forward(self, u: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return u, {}


class SEPerBranch(nn.Module):
    """One SE block for each branch of the module: u (N, sum(widths), H, W) -> gates (N, sum(widths))."""

    def __init__(self, widths: Sequence[int], ratio: int) -> None:
        super().__init__()
        self.widths = list(widths)
        self.blocks = nn.ModuleList(SEBlock(c, ratio) for c in widths)

    def forward(self, u: Tensor) -> Tensor:
        parts = u.split(self.widths, dim=1)
        return torch.cat([block(part) for block, part in zip(self.blocks, parts, strict=True)], dim=1)


class InSeries(nn.Module):
    """Batch normalisation, then SE: u (N, C, H, W) -> (N, C, H, W) and the gates."""

    def __init__(self, norm: nn.Module, se: nn.Module) -> None:
        super().__init__()
        self.norm, self.se = norm, se

    def forward(self, u: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return self.se(self.norm(u))


class AddedInParallel(InSeries):
    """Both see u; their outputs are added: u (N, C, H, W) -> (N, C, H, W) and the gates."""

    def forward(self, u: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        recalibrated, gates = self.se(u)
        return self.norm(u) + recalibrated, gates


class ConcatenatedInParallel(InSeries):
    """Both see u; their outputs are concatenated: u (N, C, H, W) -> (N, 2 C, H, W) and the gates."""

    def forward(self, u: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        recalibrated, gates = self.se(u)
        return torch.cat([self.norm(u), recalibrated], dim=1), gates


JOINS = {"add": AddedInParallel, "concat": ConcatenatedInParallel, "series": InSeries}


class MultiScaleConvolution(nn.Module):
    """Figure 2: an Inception module with batch normalisation and SE in parallel after its convolutions.

    (N, c_in, H, W) -> (N, self.c_out, H, W) and the gates. Branches 1x1, k1 x k1, k2 x k2 and a 3x3
    max-pool; widths and 1x1 reductions are the shares of inception (3a) in Szegedy et al., "Going deeper
    with convolutions", CVPR 2015, Table 1: 64, 96 -> 128, 16 -> 32 and 32 of 256 output channels.
    Batch normalisation acts on each channel alone, so after the concatenation it is what it would be
    in each branch; for SE the two differ (``se``).
    """

    def __init__(
        self, c_in: int, c: int, *, kernels: Sequence[int], se: str, bn: bool, join: str, ratio: int
    ) -> None:
        super().__init__()
        widths = [c // 4, c // 2, c // 8, c // 8]
        bias = not bn  # the shift of the batch normalisation is the bias
        self.branches = nn.ModuleList(
            [
                nn.Conv2d(c_in, widths[0], 1, bias=bias),
                reduced(c_in, 3 * c // 8, widths[1], kernels[0], bias),
                reduced(c_in, c // 16, widths[2], kernels[1], bias),
                nn.Sequential(nn.MaxPool2d(3, 1, padding=1), nn.Conv2d(c_in, widths[3], 1, bias=bias)),
            ]
        )
        norm = batch_norm(c) if bn else nn.Identity()
        both = bn and se != "none"
        self.join = JOINS[join if both else "series"](norm, attention(se, widths, ratio))
        self.c_out = 2 * c if both and join == "concat" else c

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        y, gates = self.join(torch.cat([branch(x) for branch in self.branches], dim=1))
        return torch.relu(y), gates


class ResidualUnit(nn.Module):
    """Figure 3: multi-scale convolution, convolution, batch normalisation, SE, then the skip connection.

    (N, c_in, H, W) -> (N, c, H, W) and the gates. The skip is the identity, or a linear 1x1
    convolution where the widths differ (He et al., CVPR 2016, Eq. 2).
    """

    def __init__(self, c_in: int, c: int, *, kernel: int, ratio: int, **module: Any) -> None:
        super().__init__()
        self.multiscale = MultiScaleConvolution(c_in, c, ratio=ratio, **module)
        self.conv = nn.Conv2d(self.multiscale.c_out, c, kernel, padding=kernel // 2, bias=False)
        self.norm = batch_norm(c)
        self.attention = Recalibrate(SEBlock(c, ratio))
        self.skip = nn.Identity() if c_in == c else nn.Conv2d(c_in, c, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        y, inner = self.multiscale(x)
        y, outer = self.attention(self.norm(self.conv(y)))
        return torch.relu(self.skip(x) + y), {f"multiscale.{k}": v for k, v in inner.items()} | outer


class MSCAResNet(nn.Module):
    """Convolution, pool, SE, three residual units with max-pools between, average, dense (section 2.3).

    F. Wang, H. Zhang, "Multiscale convolutional attention-based residual network expression
    recognition", Journal of Internet Technology 24(5), 2023, doi:10.53106/160792642023092405015.

    The paper prints the order of the layers (section 2.3), the SE ratio (section 2.1) and the input
    size (section 3.3); its text has no kernel, no filter count and no feature size. Shapes for a 48x48 grey image
    and ``width=64``::

        input                                   (N,   1, 48, 48)
        convolution, max-pool, SE               (N,  64, 24, 24)
        unit1                                   (N,  64, 24, 24)   max-pool -> (N,  64, 12, 12)
        unit2                                   (N, 128, 12, 12)   max-pool -> (N, 128,  6,  6)
        unit3                                   (N, 256,  6,  6)   average  -> (N, 256)
        dense, softmax                          (N, classes)

    Parameters
    ----------
    classes : number of classes.
    channels, size : of the input image; size in pixels, at least 8.
    se, bn : the columns of Table 3, SENet and BN in the multi-scale convolution module; its rows 1-4 are
        (False, False), (True, False), (False, True), (True, True). The SE modules of Figures 3 and 4 and
        the batch normalisation of Figure 3 stay in all four. ``se=True`` or ``'module'`` is one SE block
        over all branches together, ``'branch'`` one for each. Section 2.2 can be read either way.
    join : what "in parallel" (sections 1, 2.2) joins: ``'add'`` both outputs, ``'concat'``, or
        ``'series'``, batch normalisation first. Not printed. Without effect unless both are there.
    pools : max-pools between the units: 2, or 1 behind the first. Section 2.3 has "a maximum pooling layer
        in the middle".
    width : filters of the first convolution and unit1, a multiple of 16; unit2 has 2 width, unit3 4 width.
    kernels : of the module's two large branches. Not printed; Szegedy et al.'s.
    unit_kernel : of the convolution after the module. Not printed; 3 is He et al.'s.
    ratio : reduction of every SE bottleneck, section 2.1.

    ``model(x)`` returns logits (N, classes) and a dict: ``features`` (N, 4 width), ``aux`` (empty list),
    ``attention`` (gates (N, C) by name: ``stem.se``, ``unit1.multiscale.se``, ``unit1.se``, ...).
    Raises ValueError for a variant that cannot be built.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int = 1,
        size: int = 48,
        se: bool | str = True,
        bn: bool = True,
        join: str = "add",
        width: int = 64,
        kernels: Sequence[int] = (3, 5),
        unit_kernel: int = 3,
        ratio: int = 8,
        pools: int = 2,
    ) -> None:
        super().__init__()
        place = {True: "module", False: "none"}[se] if isinstance(se, bool) else se
        check(place, join, width, [*kernels, unit_kernel], ratio, size, pools)
        module = {"kernels": kernels, "se": place, "bn": bn, "join": join}
        self.conv = nn.Conv2d(channels, width, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.last_pool = self.pool if pools == 2 else nn.Identity()
        self.attention = Recalibrate(SEBlock(width, ratio))
        self.unit1 = ResidualUnit(width, width, kernel=unit_kernel, ratio=ratio, **module)
        self.unit2 = ResidualUnit(width, 2 * width, kernel=unit_kernel, ratio=ratio, **module)
        self.unit3 = ResidualUnit(2 * width, 4 * width, kernel=unit_kernel, ratio=ratio, **module)
        self.classifier = Linear(4 * width, classes)
        self.apply(keras_init)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Any]]:
        x, stem = self.attention(self.pool(torch.relu(self.conv(x))))
        x, first = self.unit1(x)
        x, second = self.unit2(self.pool(x))
        x, third = self.unit3(self.last_pool(x))
        features = global_average(x)
        gates = {"stem": stem, "unit1": first, "unit2": second, "unit3": third}
        attention = {f"{place}.{k}": v for place, found in gates.items() for k, v in found.items()}
        return self.classifier(features), {"features": features, "aux": [], "attention": attention}


def reduced(c_in: int, c_mid: int, c: int, kernel: int, bias: bool) -> nn.Sequential:
    """Szegedy et al., Figure 2b: a 1x1 convolution and ReLU, nothing else, before the large one."""
    large = nn.Conv2d(c_mid, c, kernel, padding=kernel // 2, bias=bias)
    return nn.Sequential(nn.Conv2d(c_in, c_mid, 1), nn.ReLU(), large)


def attention(se: str, widths: Sequence[int], ratio: int) -> nn.Module:
    """The SE part of the multi-scale convolution module over branches of these widths."""
    if se == "none":
        return Unchanged()
    return Recalibrate(SEBlock(sum(widths), ratio) if se == "module" else SEPerBranch(widths, ratio))


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """Keras' defaults: momentum 0.99 (here 1 - 0.99), epsilon 1e-3."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def check(se: str, join: str, width: int, kernels: Sequence[int], ratio: int, size: int, pools: int) -> None:
    """ValueError for what cannot be built."""
    if se not in SE_PLACES:
        raise ValueError(f"se must be one of {', '.join(SE_PLACES)}, True or False, not {se!r}")
    if join not in JOINS:
        raise ValueError(f"join must be one of {', '.join(JOINS)}, not {join!r}")
    if width < 16 or width % 16:
        raise ValueError(f"width must be a multiple of 16, not {width!r}")
    if len(kernels) != 3 or any(k % 2 == 0 or k < 1 for k in kernels):
        raise ValueError(f"kernels must be two odd numbers and unit_kernel one, not {kernels!r}")
    narrowest = width // 8 if se == "branch" else width
    if not 1 <= ratio <= narrowest:
        raise ValueError(f"ratio must be 1 to {narrowest} for se={se!r} and width={width}, not {ratio!r}")
    if pools not in (1, 2):
        raise ValueError(f"pools must be 1 or 2, not {pools!r}")
    if size < 8:
        raise ValueError(f"size must be at least 8 pixels, not {size!r}")
