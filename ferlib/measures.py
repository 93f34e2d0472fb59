"""Attention maps in numbers: where their cells look, what share of them lies in a region, means over images.

A map is an array (h, w) on a layer's own grid, not negative. An all-zero map has no shares, no maximum and no
ranks: it counts as NaN everywhere, and `summary` tells how many there were.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ferlib.errors import FerlibError
from ferlib.evaluate import cluster_bootstrap, paired_seeds, widened
from ferlib.explain import tapped
from ferlib.stages import evaluating, find_layer

# left, top, right, bottom as fractions of the side, drawn once over the mean face of CK+48 and checked against the
# class means: raised brows (surprise), a smile's corners and a dropped jaw lie inside. They do not overlap.
ZONES: dict[str, tuple[float, float, float, float]] = {
    "eyes": (7 / 48, 11 / 48, 41 / 48, 22 / 48),  # with the brows
    "nose": (17 / 48, 22 / 48, 31 / 48, 32 / 48),
    "mouth": (13 / 48, 32 / 48, 36 / 48, 46 / 48),
}
BROWS = (7 / 48, 11 / 48, 41 / 48, 17 / 48)  # the upper part of the zone of the eyes
MIDDLE = (0.25, 0.25, 0.75, 0.75)  # of the image, for claims on "the middle of the face"
ALIGNED = ("ckplus", "fer2013", "ferplus")  # faces that fill the frame as `ZONES` suppose; CK+48 best of all


# ---------------------------------------------------------------------------------------------------------
# From the grid of a layer to the pixels of the image
# ---------------------------------------------------------------------------------------------------------


class Centres(NamedTuple):
    """Where the rows (h,) and columns (w,) of a grid look: pixels from the upper and left edge of the image."""

    rows: np.ndarray
    columns: np.ndarray


def even(grid: tuple[int, int], size: int) -> Centres:
    """The cells spread evenly over ``size`` pixels, as maps are stretched by custom."""
    rows, columns = ((np.arange(n) + 0.5) * size / n for n in grid)
    return Centres(rows, columns)


def centres(model: nn.Module, images: Tensor, layer: nn.Module | str, *, seed: int = 0) -> Centres:
    """Centres of gravity of what the cells of ``layer`` react to in images (N, C, H, W), as the model takes them.

    The effective receptive field of a cell (W. Luo et al., "Understanding the effective receptive field in deep
    convolutional neural networks", NeurIPS 2016, section 1) is its squared gradient by each pixel, here summed over
    images, channels and a whole row or column of cells, whose signs are drawn at random so that they cannot cancel.
    A row without any gradient is left where `even` has it. Raises FerlibError where the rows change their order.
    """
    kept: list[Tensor] = []
    with evaluating(model), tapped(find_layer(model, layer)) as tap:
        handle = tap.register_forward_hook(lambda _m, _i, out: kept.append(out))
        x = images.detach().requires_grad_()
        try:
            model(x)
        finally:
            handle.remove()
        signs = torch.randint(0, 2, kept[0].shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
        signed = kept[0] * signs.to(kept[0])
        usual = even((kept[0].shape[2], kept[0].shape[3]), x.shape[-1])
        found = Centres(*(_along(signed, x, axis, usual[axis - 2]) for axis in (2, 3)))
    if any((np.diff(one) <= 0).any() for one in found):
        raise FerlibError(f"cells of {layer!r} do not look at the image in their order; choose another layer")
    return found


def _along(signed: Tensor, x: Tensor, axis: int, usual: np.ndarray) -> np.ndarray:
    pixels = np.arange(x.shape[axis]) + 0.5
    places = usual.copy()
    for k in range(signed.shape[axis]):
        (gradient,) = torch.autograd.grad(signed.select(axis, k).sum(), x, retain_graph=True)
        others = [i for i in range(4) if i != axis]
        weight = gradient.double().square().sum(others).cpu().numpy()
        if weight.sum() > 0:
            places[k] = weight @ pixels / weight.sum()
    return places


def stretch(maps: np.ndarray, at: Centres, size: int) -> np.ndarray:
    """Maps (N, h, w) over the image, float64 (N, size, size): linear between the centres, constant beyond them.

    With `even` centres this is `CamResult.upsampled`.
    """
    pixels = np.arange(size) + 0.5
    rows, columns = (
        np.stack([np.interp(pixels, place, cell) for cell in np.eye(len(place))], 1) for place in at
    )
    return rows @ maps.astype(np.float64) @ columns.T


# ---------------------------------------------------------------------------------------------------------
# Regions
# ---------------------------------------------------------------------------------------------------------


def zones(name: str, size: int) -> dict[str, np.ndarray]:
    """Masks bool (size, size) of `ZONES`, of ``brows`` and of ``middle`` for images of the dataset ``name``.

    The last two overlap the others: the brows are the upper part of the zone of the eyes.

    Raises FerlibError for a dataset whose faces need not lie there.
    """
    if name not in ALIGNED:
        raise FerlibError(
            f"{name}: zones are known for {', '.join(ALIGNED)} only; add them to ferlib.measures"
        )
    place = (np.arange(size) + 0.5) / size
    found = {}
    for zone, (left, top, right, bottom) in {**ZONES, "brows": BROWS, "middle": MIDDLE}.items():
        rows, columns = (place > top) & (place < bottom), (place > left) & (place < right)
        found[zone] = rows[:, None] & columns
    return found


def shares(maps: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Share (N,) of each map's (N, H, W) sum that lies in ``mask``, bool (H, W) or (N, H, W).

    The energy-based pointing game of H. Wang et al., "Score-CAM", CVPR Workshops 2020, section 4.3; an even map
    has the mask's share of the area.
    """
    inside, total = (maps * mask).sum((1, 2)), maps.sum((1, 2))
    return np.divide(inside, total, out=np.full(len(maps), np.nan), where=total > 0)


def hits(maps: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Whether each map's maximum lies in ``mask`` (N,): 1 or 0, and between them where several pixels share it.

    The pointing game of J. Zhang et al., "Top-down neural attention by excitation backprop", IJCV 126, 2018,
    section 4.2, without its tolerance of 15 pixels, which would cover a third of a 48-pixel face.
    """
    top = maps >= maps.max((1, 2), keepdims=True)
    found = (top & np.broadcast_to(mask, maps.shape)).sum((1, 2)) / top.sum((1, 2))
    return np.where(maps.max((1, 2)) > 0, found, np.nan)


# ---------------------------------------------------------------------------------------------------------
# Over images
# ---------------------------------------------------------------------------------------------------------


def summary(values: np.ndarray, people: np.ndarray | None = None) -> dict[str, float | int | None]:
    """``n`` images with a value, their ``mean``, the bounds ``low`` and ``high`` of a 95 % bootstrap, ``missing`` ones.

    The bootstrap resamples ``people`` (N,), where it is known who is shown, else images. Without any value, None.
    """
    there = ~np.isnan(values)
    who = np.arange(len(values)) if people is None else people
    facts: dict[str, float | int | None] = {"n": int(there.sum()), "missing": int((~there).sum())}
    if not there.any():
        return {**facts, "mean": None, "low": None, "high": None}
    low, high = cluster_bootstrap(values[there], who[there])
    return {**facts, "mean": float(values[there].mean()), "low": low, "high": high}


def paired(first: np.ndarray, second: np.ndarray, people: np.ndarray | None = None) -> dict[str, float]:
    """Mean of second minus first over the images that have both, which are ``n``, and `evaluate.paired_seeds`' entries.

    Both are (N,), or (S, N) for several seeds: then the interval counts other seeds as well as other images or
    ``people`` (N,). Raises FerlibError where no image has both.
    """
    differences = np.atleast_2d(second - first)
    there = ~np.isnan(differences).any(0)
    if not there.any():
        raise FerlibError("no image has a value of both; look at the all-zero maps")
    who = np.arange(differences.shape[1]) if people is None else people
    return {"n": float(there.sum()), **paired_seeds(differences[:, there], who[there])}


def over_seeds(values: Sequence[np.ndarray], people: np.ndarray | None = None) -> dict[str, float]:
    """Mean over the seeds' values (N,) on the same images, ``mean``, and bounds for other seeds and other people.

    See `evaluate.widened`; one seed leaves the bounds of `summary`. An image without a value in some seeds counts by
    the others. Raises FerlibError where a seed has no value at all.
    """
    table = np.stack(values)
    if np.isnan(table).all(1).any():
        raise FerlibError("a seed has no values; look at the all-zero maps")
    there = ~np.isnan(table).all(0)
    by_image = np.nanmean(table[:, there], axis=0)
    who = (np.arange(table.shape[1]) if people is None else people)[there]
    mean = float(by_image.mean())
    low, high = cluster_bootstrap(by_image, who)
    low, high, _ = widened(mean, low, high, np.nanmean(table, axis=1).tolist(), len(np.unique(who)))
    return {"mean": mean, "low": low, "high": high}
