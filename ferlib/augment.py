"""Batched augmentation on the training device. Images are float (N, C, H, W) in [0, 1].

A recipe is an ordered mapping from names to amounts; every image gets its own draws.

=============  ===========================================  ==================================================
name           amount                                       per image
=============  ===========================================  ==================================================
shift          f, or {"width": f, "height": f}              both offsets uniform in [-f, f] of the side: Keras'
                                                            ``width_shift_range``, ``height_shift_range``
rotation       r, (low, high), or {"degrees": either,       angle uniform in [-r, r] or [low, high], or one of
               "step": s}                                   low, low + s, ..., high; positive is counter-
                                                            clockwise, as in torchvision's ``rotate``, Keras 3
zoom           z, (low, high), or {"range": either,         Keras' ``zoom_range``: each axis sampled at its own
               "isotropic": bool}                           f in [1 - z, 1 + z] times the distance from the
                                                            centre (f < 1 enlarges); isotropic: one f, enlarged
                                                            f times, as torchvision's ``RandomAffine(scale=)``
crop           c                                            from each side on its own a part uniform in [0, c]
                                                            is removed, the rest resized back
crop           {"scale": (low, high), "ratio": (low,        torchvision's ``RandomResizedCrop``: part of the
               high)}                                       area, width : height (3/4 to 4/3 if not given)
perspective    {"distortion": d, "p": p}                    torchvision's ``RandomPerspective``: with probability
                                                            p each corner moves inward by up to d of the half
                                                            side
hflip, vflip   p                                            mirrored left-right, upside down with probability p
flip           some of "none", "horizontal", "vertical",    one of those listed, equally likely
               "both"
fill           "nearest" (if not given) or "zeros"          what is seen beyond the border: its pixels repeated
                                                            (Keras' default) or black (torchvision's)
=============  ===========================================  ==================================================

One resampling. Each entry is a 3 x 3 homography that leads from a place in the output to the place in the
input; they are multiplied in the recipe's order (the first entry acts on the image first) and the image is
sampled once, bilinearly. ``ImageDataGenerator`` does the same for its affine part, and {"rotation", "shift",
"zoom", "hflip"} in this order is its order. A chain of torchvision transforms samples once per entry: it
blurs more, and what one entry moves out of the frame the next cannot bring back. A crop here still sees the
pixels beside its window, which changes the outermost half pixel. Flips alone copy pixels.

Sources. Shift: Luo, section 2.1. Shift, rotation, zoom: Wang & Zhang, section 3.1 (``ImageDataGenerator``).
Perspective and both flips: Shang et al., section IV.C, no amounts. Rotation by steps: Chen & Chen, section 3.1
(±10° by 5°; with none, horizontal or vertical as ``flip`` these are the 15 images that they count).
Rotation 0-20° and "crop (0-0.2)": Nan et al., section 3.1; that each side loses its own part, as in imgaug's
``Crop(percent=(0, 0.2))``, is assumed.

Draws. All come from the generator, so a step that is captured as a CUDA graph draws anew in each replay. A
call takes N x 2 numbers for ``shift`` and then, unless the recipe holds nothing else, one block with a place
for every other entry, used or not. So within a batch no entry's draws depend on which others there are, on
their order or on any amount; and in the batches that follow neither, among all recipes but {"shift": f}
alone, which takes less. A CPU and a CUDA generator of one seed draw differently.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ferlib.errors import FerlibError

FILLS = {"nearest": "border", "zeros": "zeros"}  # Keras' name -> grid_sample's
FLIPS = {"hflip": "h", "vflip": "v", "flip": "hv"}  # what each may mirror
MIRRORED = {"none": "", "horizontal": "h", "vertical": "v", "both": "hv"}
ATTEMPTS = 10  # of RandomResizedCrop to find a window inside the image
HORIZON = 1e-3  # least depth: beyond the horizon of a perspective lies what was at the border before it
BELOW_ONE = math.nextafter(1.0, 0.0)


Matrix = Callable[[Tensor, int, int], Tensor]  # (uniform numbers (N, k), H, W) -> (N, 3, 3)


def augment(x: Tensor, recipe: Mapping[str, Any], generator: torch.Generator) -> Tensor:
    """Apply the recipe (see the module) to x (N, C, H, W); same shape, dtype, device and memory format.

    Works without a round trip to the host if the generator lives on the device of x, so that it may be
    captured as a CUDA graph. FerlibError for an unknown name or an amount that cannot be.
    """
    entries, fill = _read(recipe)
    if not entries:
        return x
    height, width = x.shape[2:]
    draws = _draws(len(x), entries.keys(), generator)
    matrices = [entry(draws[name].to(x.device), height, width) for name, entry in entries.items()]
    matrix = functools.reduce(_multiply, matrices)
    if entries.keys() <= FLIPS.keys():
        return _mirror(x, matrix, set().union(*(FLIPS[name] for name in entries)))
    return warp(x, matrix, fill, affine="perspective" not in entries)


def validate(recipe: Mapping[str, Any]) -> None:
    """FerlibError if `augment` would refuse the recipe."""
    _read(recipe)


def shift(x: Tensor, fraction: float, generator: torch.Generator) -> Tensor:
    """Each image moved by its own amount: the recipe {"shift": fraction}."""
    return augment(x, {"shift": fraction}, generator)


def warp(x: Tensor, matrix: Tensor, fill: str = "nearest", *, affine: bool = False) -> Tensor:
    """Sample each image of x (N, C, H, W) where its matrix (N, 3, 3) leads, bilinearly.

    The matrices map the output's (x, y, 1) to the input's up to scale; the image spans [-1, 1] on both axes,
    x to the right, y down. ``affine`` promises that the last row is (0, 0, 1).
    """
    n, (height, width) = len(x), x.shape[2:]
    dtype = torch.promote_types(x.dtype, torch.float32)  # half precision cannot hold a pixel's place
    matrix = matrix.to(dtype)
    across = matrix[:, :, :1] * _pixels(width, matrix)  # (N, 3, W)
    down = matrix[:, :, 1:2] * _pixels(height, matrix) + matrix[:, :, 2:]  # (N, 3, H)
    # sums of a row's and a column's part: a tenth of the time of F.affine_grid, the same bits for a shift
    grid = torch.empty((n, height, width, 2), dtype=dtype, device=x.device)
    for axis in (0, 1):
        torch.add(down[:, axis, :, None], across[:, axis, None], out=grid[..., axis])
    if not affine:
        depth = (down[:, 2, :, None] + across[:, 2, None]).clamp_(min=HORIZON)
        for axis in (0, 1):
            grid[..., axis].div_(depth)
    out = F.grid_sample(x.to(dtype), grid, mode="bilinear", padding_mode=FILLS[fill], align_corners=False)
    return out.to(x.dtype).contiguous(memory_format=_memory_format(x))


def rotation_matrix(degrees: Tensor, height: int, width: int) -> Tensor:
    """(N,) angles -> (N, 3, 3) for `warp`: the content turns counter-clockwise about the centre."""
    angle = torch.deg2rad(degrees)
    sine, cosine = torch.sin(angle), torch.cos(angle)
    # pixels are square, the [-1, 1] coordinates only where height equals width
    return _rows(angle, cosine, -sine * (height / width), 0, sine * (width / height), cosine, 0, 0, 0, 1)


def perspective_matrix(corners: Tensor, height: int, width: int) -> Tensor:
    """Corners (N, 4, 2) -> (N, 3, 3) for `warp`: (x, y) in pixels of where the image's corners go.

    In order: those from (0, 0), (W-1, 0), (W-1, H-1), (0, H-1), as torchvision's ``perspective`` counts them;
    they must be the corners of a convex quadrilateral around the centre. Heckbert, Fundamentals of Texture
    Mapping and Image Warping (1989), section 2.2.3: unit square to quadrilateral, and its inverse by the adjoint.
    """
    # torchvision's coefficients act on pixel centres at i + 0.5, so that corner 0 lies on the image's edge
    (x0, x1, x2, x3), (y0, y1, y2, y3) = (
        (corners[..., axis] * (2 / side) - 1).unbind(1) for axis, side in ((0, width), (1, height))
    )
    dx1, dx2, dx3 = x1 - x2, x3 - x2, x0 - x1 + x2 - x3
    dy1, dy2, dy3 = y1 - y2, y3 - y2, y0 - y1 + y2 - y3
    area = dx1 * dy2 - dx2 * dy1
    g, h = (dx3 * dy2 - dx2 * dy3) / area, (dx1 * dy3 - dx3 * dy1) / area
    columns = (
        torch.stack((x1 - x0 + g * x1, y1 - y0 + g * y1, g), 1),
        torch.stack((x3 - x0 + h * x3, y3 - y0 + h * y3, h), 1),
        torch.stack((x0, y0, torch.ones_like(x0)), 1),
    )
    to_square = torch.stack([torch.linalg.cross(columns[i - 2], columns[i - 1]) for i in range(3)], 1)
    scale_x, scale_y = 2 * (width - 1) / width, 2 * (height - 1) / height
    matrix = _multiply(_rows(corners, scale_x, 0, -1, 0, scale_y, -1, 0, 0, 1), to_square)
    return matrix / matrix[:, 2:, 2:]


def _shift(amount: Any) -> Matrix:
    options = _options(amount, ("width", "height")) or {"width": amount, "height": amount}
    part = {
        side: _number(f, 0, BELOW_ONE, "must be a part of the side in [0, 1)") for side, f in options.items()
    }

    def matrix(u: Tensor, height: int, width: int) -> Tensor:
        offset = (2 * u - 1) * 2  # the grid spans [-1, 1], twice the side
        x, y = offset[:, 0] * part.get("width", 0.0), offset[:, 1] * part.get("height", 0.0)
        return _rows(u, 1, 0, x, 0, 1, y, 0, 0, 1)

    return matrix


def _rotation(amount: Any) -> Matrix:
    options = _options(amount, ("degrees", "step")) or {"degrees": amount}
    what = "must be degrees up to 180 or a (low, high) pair of them"
    low, high = _range(options.get("degrees"), 0, -180, 180, what)
    stepped = "step" in options
    step = _number(options.get("step", 1), 1e-3, 360, "must have a positive step in degrees")
    steps = round((high - low) / step)
    if stepped and not math.isclose(steps * step, high - low, abs_tol=1e-6):
        raise ValueError(f"must have a step that divides the range, but it is {step:g}")

    def matrix(u: Tensor, height: int, width: int) -> Tensor:
        angle = (u * (steps + 1)).floor() * step if stepped else u * (high - low)
        return rotation_matrix(low + angle[:, 0], height, width)

    return matrix


def _zoom(amount: Any) -> Matrix:
    options = _options(amount, ("range", "isotropic")) or {"range": amount}
    what = "must be a number in [0, 0.99] or a (low, high) pair within 0.01 to 100"
    low, high = _range(options.get("range"), 1, 0.01, 100, what)
    isotropic = options.get("isotropic", False)
    if not isinstance(isotropic, bool):
        raise ValueError(f"must have true or false for isotropic, but has {isotropic!r}")

    def matrix(u: Tensor, height: int, width: int) -> Tensor:
        f = low + u * (high - low)
        x, y = (1 / f[:, 0], 1 / f[:, 0]) if isotropic else f.unbind(1)
        return _rows(u, x, 0, 0, 0, y, 0, 0, 0, 1)

    return matrix


def _crop(amount: Any) -> Matrix:
    options = _options(amount, ("scale", "ratio"))
    if options:
        scale = _pair(options.get("scale"), 1e-6, 1, "must have a scale (low, high) within (0, 1]")
        ratio = _pair(
            options.get("ratio", (3 / 4, 4 / 3)), 1e-3, 1e3, "must have a ratio (low, high) above 0"
        )
        return functools.partial(_resized_crop, scale=scale, ratio=ratio)
    most = _number(amount, 0, math.nextafter(0.5, 0), "must be a part of the side in [0, 0.5)")

    def matrix(u: Tensor, height: int, width: int) -> Tensor:
        left, right, top, bottom = (u[:, :4] * most).unbind(1)
        return _rows(u, 1 - left - right, 0, left - right, 0, 1 - top - bottom, top - bottom, 0, 0, 1)

    return matrix


def _resized_crop(u: Tensor, height: int, width: int, scale: Any, ratio: Any) -> Tensor:
    """A window of whole pixels: the first of ten that fits, else the largest in the middle (torchvision)."""
    tries = u[:, 2:].unflatten(1, (ATTEMPTS, 2))
    area = height * width * (scale[0] + tries[..., 0] * (scale[1] - scale[0]))
    log_ratio = [math.log(r) for r in ratio]
    aspect = torch.exp(log_ratio[0] + tries[..., 1] * (log_ratio[1] - log_ratio[0]))
    w, h = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
    fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
    first, found = fits.int().argmax(1, keepdim=True), fits.any(1)
    whole_w = min(width, round(height * ratio[1]))
    whole_h = min(height, round(width / ratio[0]))
    w = torch.where(found, w.gather(1, first)[:, 0], whole_w)
    h = torch.where(found, h.gather(1, first)[:, 0], whole_h)
    left = torch.where(found, (u[:, 0] * (width - w + 1)).floor(), (width - whole_w) // 2)
    top = torch.where(found, (u[:, 1] * (height - h + 1)).floor(), (height - whole_h) // 2)
    x, y = (2 * left + w) / width - 1, (2 * top + h) / height - 1
    return _rows(u, w / width, 0, x, 0, h / height, y, 0, 0, 1)


def _perspective(amount: Any) -> Matrix:
    options = _options(amount, ("distortion", "p"))
    if options.keys() != {"distortion", "p"}:
        raise ValueError(f"must be {{'distortion': d, 'p': p}}, but is {amount!r}")
    # from 2/3 on, a corner could come to lie inside the triangle of the other three
    distortion = _number(options["distortion"], 0, 0.66, "must have a distortion in [0, 0.66]")
    p = _number(options["p"], 0, 1, "must have a probability p in [0, 1]")

    def matrix(u: Tensor, height: int, width: int) -> Tensor:
        corners = u[:, 1:].unflatten(1, (4, 2)).clone()
        for axis, side in enumerate((width, height)):
            # whole pixels, as torchvision draws them; the second bound holds back images of a few pixels only
            reach = min(int(distortion * (side // 2)), max(0, side - 2) // 3)
            corners[..., axis].mul_(reach + 1).floor_()
        corners[:, 1:3, 0].neg_().add_(width - 1)  # the right-hand ones
        corners[:, 2:, 1].neg_().add_(height - 1)  # the lower ones
        moved = perspective_matrix(corners, height, width)
        return torch.where((u[:, 0] < p)[:, None, None], moved, torch.eye(3, device=u.device))

    return matrix


def _flip(amount: Any, axis: str) -> Matrix:
    p = _number(amount, 0, 1, "must be a probability in [0, 1]")

    def matrix(u: Tensor, height: int, width: int) -> Tensor:
        sign = 1 - 2 * (u[:, 0] < p).float()
        return _rows(u, sign if axis == "h" else 1, 0, 0, 0, sign if axis == "v" else 1, 0, 0, 0, 1)

    return matrix


def _one_flip(amount: Any) -> Matrix:
    listed = list(amount) if isinstance(amount, Sequence) and not isinstance(amount, str) else []
    known = all(isinstance(name, str) and name in MIRRORED for name in listed)
    if not listed or not known or len(set(listed)) < len(listed):
        raise ValueError(f"must list some of {', '.join(MIRRORED)} once each, but is {amount!r}")

    def matrix(u: Tensor, height: int, width: int) -> Tensor:
        choice = (u[:, 0] * len(listed)).floor()
        signs = {axis: torch.ones_like(choice) for axis in "hv"}
        for i, name in enumerate(listed):
            for axis in MIRRORED[name]:
                signs[axis] = torch.where(choice == i, -1.0, signs[axis])
        return _rows(u, signs["h"], 0, 0, 0, signs["v"], 0, 0, 0, 1)

    return matrix


OPERATIONS: dict[str, Callable[[Any], Matrix]] = {
    "shift": _shift,
    "rotation": _rotation,
    "zoom": _zoom,
    "crop": _crop,
    "perspective": _perspective,
    "hflip": functools.partial(_flip, axis="h"),
    "vflip": functools.partial(_flip, axis="v"),
    "flip": _one_flip,
}
# Uniform numbers per image, in the order of the block; a new entry goes to the end.
DRAWS = {
    "rotation": 1,
    "zoom": 2,
    "crop": 2 + 2 * ATTEMPTS,
    "perspective": 9,
    "hflip": 1,
    "vflip": 1,
    "flip": 1,
}


def _read(recipe: Any) -> tuple[dict[str, Matrix], str]:
    if not isinstance(recipe, Mapping):
        raise FerlibError(f"an augmentation must map names to amounts, but is {recipe!r}")
    entries, fill = {}, "nearest"
    for name, amount in recipe.items():
        if name == "fill":
            fill = amount
        elif name in OPERATIONS:
            try:
                entries[name] = OPERATIONS[name](amount)
            except ValueError as error:
                raise FerlibError(f"augmentation {name!r} {error}") from None
        else:
            raise FerlibError(f"unknown augmentation {name!r}; known are {', '.join(OPERATIONS)}, fill")
    if not isinstance(fill, str) or fill not in FILLS:
        raise FerlibError(f"augmentation 'fill' must be {' or '.join(FILLS)}, but is {fill!r}")
    return entries, fill


def _options(amount: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """The amount, if it is a mapping of options; an empty one otherwise."""
    if not isinstance(amount, Mapping):
        return {}
    if not amount or not amount.keys() <= set(names):
        raise ValueError(f"takes {' and '.join(names)}, but is {dict(amount)!r}")
    return dict(amount)


def _number(value: Any, low: float, high: float, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise ValueError(f"{what}, but is {value!r}")
    return float(value)


def _pair(value: Any, low: float, high: float, what: str) -> tuple[float, float]:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise ValueError(f"{what}, but is {value!r}")
    first, second = (_number(v, low, high, what) for v in value)
    if first > second:
        raise ValueError(f"{what}, but is {value!r}")
    return first, second


def _range(value: Any, centre: float, low: float, high: float, what: str) -> tuple[float, float]:
    """A pair as it is, a number as the range that reaches so far to both sides of the centre."""
    if isinstance(value, Sequence):
        return _pair(value, low, high, what)
    reach = _number(value, 0, centre - low, what)
    return centre - reach, centre + reach


def _draws(n: int, names: Collection[str], generator: torch.Generator) -> dict[str, Tensor]:
    """The batch's uniform numbers, (N, k) for each name; see 'Draws' at the top."""
    draws = {"shift": torch.rand((n, 2), generator=generator, device=generator.device)}
    if names != {"shift"}:
        block = torch.rand((sum(DRAWS.values()), n), generator=generator, device=generator.device)
        draws |= zip(DRAWS, block.T.split(list(DRAWS.values()), dim=1), strict=True)
    return draws


def _rows(like: Tensor, *entries: Tensor | float) -> Tensor:
    """Nine entries, (N,) each or a number, row by row -> (N, 3, 3)."""
    matrix = like.new_empty((len(like), 9))
    for i, entry in enumerate(entries):
        matrix[:, i] = entry
    return matrix.unflatten(1, (3, 3))


def _multiply(a: Tensor, b: Tensor) -> Tensor:
    """Matrix product of (N, 3, 3) in full float32: autocast and TF32 take matmul's precision away."""
    return (a[..., None] * b[:, None]).sum(2)


def _pixels(side: int, like: Tensor) -> Tensor:
    """Pixel centres (side,) in [-1, 1], rounded as F.affine_grid does."""
    return torch.linspace(-1, 1, side, dtype=like.dtype, device=like.device).mul_(side - 1).div_(side)


def _mirror(x: Tensor, matrix: Tensor, axes: set[str]) -> Tensor:
    """x (N, C, H, W) flipped along those axes where the matrix has a negative sign: no pixel is interpolated."""
    for i, dim, axis in ((0, 3, "h"), (1, 2, "v")):
        if axis in axes:
            x = torch.where((matrix[:, i, i] < 0)[:, None, None, None], x.flip(dim), x)
    return x


def _memory_format(x: Tensor) -> torch.memory_format:
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format
