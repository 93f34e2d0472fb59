"""Augmentation does what its namesakes in Keras and torchvision do."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage, stats
from torchvision.transforms import v2
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tvf

from ferlib import augment as module
from ferlib.augment import augment, perspective_matrix, rotation_matrix, shift, validate, warp
from ferlib.errors import FerlibError

BILINEAR = InterpolationMode.BILINEAR
PERSPECTIVE = {"distortion": 0.5, "p": 1.0}
EVERYTHING = {
    "rotation": (0, 10),
    "shift": 0.05,
    "zoom": 0.3,
    "crop": 0.2,
    "perspective": {"distortion": 0.5, "p": 0.5},
    "hflip": 0.5,
    "vflip": 0.5,
}
ONE_BY_ONE = [
    *({name: amount} for name, amount in EVERYTHING.items()),
    {"zoom": {"range": 0.3, "isotropic": True}},
    {"crop": {"scale": (0.3, 1.0)}},
    {"flip": ("none", "horizontal", "vertical")},
    {"rotation": {"degrees": 10, "step": 5}},
    EVERYTHING,
]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def blob(n=400):
    x = torch.zeros(n, 1, 48, 48)
    x[:, :, 24, 24] = 1
    return x


def centre(x):
    axis = torch.arange(48.0)
    mass = x.sum((1, 2, 3))
    return (x.sum((1, 2)) * axis).sum(1) / mass, (x.sum((1, 3)) * axis).sum(1) / mass


def present_shift(x, fraction, generator):
    """The formula under which the first records were made, kept here word for word."""
    offset = torch.rand((len(x), 2), generator=generator, device=generator.device).to(x.device)
    theta = torch.zeros(len(x), 2, 3, device=x.device)
    theta[:, 0, 0] = theta[:, 1, 1] = 1
    theta[:, :, 2] = (2 * offset - 1) * 2 * fraction
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


@pytest.mark.parametrize("shape", [(64, 1, 48, 48), (7, 3, 40, 57), (1, 1, 224, 224)])
@pytest.mark.parametrize("fraction", [0.1, 0.05, 0.0])
def test_shift_alone_keeps_every_bit_of_the_committed_records(shape, fraction):
    x = torch.rand(shape, generator=seeded(1)).contiguous(memory_format=torch.channels_last)
    before, now = seeded(7), seeded(7)
    for _ in range(3):  # batches of an epoch
        assert torch.equal(augment(x, {"shift": fraction}, now), present_shift(x, fraction, before))
    assert torch.equal(before.get_state(), now.get_state())


def test_pixel_centres_are_affine_grids_to_the_bit():
    identity = torch.eye(3)[None, :2]
    for side in range(1, 260):
        grid = F.affine_grid(identity, [1, 1, side, side], align_corners=False)[0]
        for axis in (grid[0, :, 0], grid[:, 0, 1]):
            assert torch.equal(module._pixels(side, identity), axis)


def test_shift_is_uniform_in_the_range_on_both_axes_and_independent():
    x, y = centre(shift(blob(), 0.1, torch.Generator().manual_seed(0)))
    for axis in (x - 24, y - 24):
        assert -4.8 <= axis.min() < -4.5 and 4.5 < axis.max() <= 4.8  # 10 % of 48 pixels
        assert abs(axis.mean()) < 0.4
        assert axis.std() == pytest.approx(9.6 / 12**0.5, rel=0.08)
    assert abs(torch.corrcoef(torch.stack([x, y]))[0, 1]) < 0.1


def test_shift_by_whole_pixels_moves_and_repeats_the_border():
    image = torch.arange(48.0).expand(1, 1, 48, 48)
    moved = shift(image, 0.1, torch.Generator().manual_seed(3))
    inner = moved[0, 0, 0, 8:40] - image[0, 0, 0, 8:40]
    assert inner.std() < 1e-3 and abs(inner.mean()) <= 4.8
    assert moved.min() >= 0 and moved.max() <= 47
    assert moved[0, 0, 0, 0] == pytest.approx(max(0.0, float(inner.mean())), abs=1e-3)


def test_no_shift_changes_nothing():
    x = torch.rand(3, 3, 48, 48)
    torch.testing.assert_close(shift(x, 0.0, torch.Generator()), x, atol=1e-4, rtol=0)


def test_shift_of_one_side_leaves_the_other():
    x, y = centre(augment(blob(), {"shift": {"height": 0.1}}, seeded()))
    assert (x - 24).abs().max() < 1e-3 and y.std() > 2


# --- the same warp as torchvision and scipy, for given parameters


def matrices_of(name, amount, n, height, width):
    return module.OPERATIONS[name](amount)(module._draws(n, {name}, seeded())[name], height, width)


@pytest.mark.parametrize("shape", [(2, 1, 48, 48), (2, 3, 40, 57)])
@pytest.mark.parametrize("angle", [-170.0, -10.0, 3.3, 90.0])
def test_rotation_is_torchvisions(shape, angle):
    x = torch.rand(shape, generator=seeded(2))
    ours = augment(x, {"rotation": (angle, angle), "fill": "zeros"}, seeded())
    torch.testing.assert_close(ours, tvf.rotate(x, angle, BILINEAR, fill=None), atol=1e-4, rtol=0)
    again = warp(x, rotation_matrix(torch.full((2,), angle), *shape[2:]), "zeros")
    torch.testing.assert_close(again, ours, atol=1e-5, rtol=0)


@pytest.mark.parametrize("scale", [0.7, 1.3])
def test_isotropic_zoom_is_torchvisions_scale(scale):
    x = torch.rand(2, 3, 40, 57, generator=seeded(2))
    ours = augment(x, {"zoom": {"range": (scale, scale), "isotropic": True}, "fill": "zeros"}, seeded())
    theirs = tvf.affine(x, 0.0, [0, 0], scale, [0.0, 0.0], BILINEAR, fill=None)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("height, width", [(48, 48), (40, 57)])
def test_perspective_is_torchvisions(height, width):
    rng = np.random.default_rng(0)
    x = torch.rand(20, 3, height, width, generator=seeded(2))
    start = [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]]
    inward = rng.integers(0, (width // 4 + 1, height // 4 + 1), (20, 4, 2))
    ends = np.abs(np.array(start) - inward)
    ours = warp(x, perspective_matrix(torch.tensor(ends).float(), height, width), "zeros")
    for image, end, got in zip(x, ends.tolist(), ours, strict=True):
        expected = tvf.perspective(image, start, end, BILINEAR, fill=None)
        torch.testing.assert_close(got, expected, atol=1e-3, rtol=0)


def test_resized_crop_is_torchvisions_inside_the_window():
    """Its border differs by design: torchvision cuts first and repeats the window's own edge."""
    height, width = 40, 57
    x = torch.rand(50, 1, height, width, generator=seeded(2))
    recipe = {"crop": {"scale": (0.3, 0.9), "ratio": (0.5, 2.0)}}
    matrix = matrices_of("crop", recipe["crop"], 50, height, width)
    w, h = matrix[:, 0, 0] * width, matrix[:, 1, 1] * height
    window = torch.stack(
        [((matrix[:, 1, 2] + 1) * height - h) / 2, ((matrix[:, 0, 2] + 1) * width - w) / 2, h, w], 1
    )
    torch.testing.assert_close(window, window.round(), atol=1e-3, rtol=0)
    ours = augment(x, recipe, seeded())
    for image, (i, j, h, w), got in zip(x, window.round().int().tolist(), ours, strict=True):
        assert 0 <= i <= height - h and 0 <= j <= width - w
        expected = tvf.resized_crop(image, i, j, h, w, [height, width])
        edge = 2 + max(height // h, width // w)
        inner = (slice(None), slice(edge, -edge), slice(edge, -edge))
        torch.testing.assert_close(got[inner], expected[inner], atol=1e-4, rtol=0)


def keras(image, theta, down, right, zoom_x, zoom_y, mode="nearest"):
    """What Keras 3's apply_affine_transform does to one channel: rotation, shift, zoom about the centre."""
    c, s = math.cos(math.radians(theta)), math.sin(math.radians(theta))
    rotation = np.array([[c, -s], [s, c]])  # on (x, y)
    matrix = rotation @ np.diag([zoom_x, zoom_y])
    middle = (np.array(image.shape)[::-1] - 1) / 2
    offset = rotation @ np.array([right, down]) + middle - matrix @ middle
    swap = np.array([[0, 1], [1, 0]])  # scipy's coordinates are (row, column)
    return ndimage.affine_transform(image, swap @ matrix @ swap, swap @ offset, order=1, mode=mode)


@pytest.mark.parametrize("fill, mode", [("nearest", "nearest"), ("zeros", "grid-constant")])
@pytest.mark.parametrize("height, width", [(48, 48), (40, 57)])
def test_rotation_shift_zoom_are_keras_in_one_resampling(fill, mode, height, width):
    n = 16
    x = torch.rand(n, 1, height, width, generator=seeded(2))
    ours = augment(x, {"rotation": (0, 10), "shift": 0.05, "zoom": 0.3, "fill": fill}, seeded(5))
    draws = module._draws(n, {"rotation"}, seeded(5))
    angle = 10 * draws["rotation"][:, 0]
    offset = 0.1 * draws["shift"] - 0.05
    zoom = 0.7 + 0.6 * draws["zoom"]
    for i in range(n):
        right, down = offset[i, 0] * width, offset[i, 1] * height
        expected = keras(x[i, 0].double().numpy(), *map(float, (angle[i], down, right, *zoom[i])), mode=mode)
        np.testing.assert_allclose(ours[i, 0].numpy(), expected, atol=2e-4)


def test_crop_removes_each_side_and_stretches_the_rest():
    ramp = torch.arange(48.0).expand(9, 2, 48, 48).clone()
    ramp[:, 1] = ramp[:, 0].mT
    ours = augment(ramp, {"crop": 0.2}, seeded(5))
    sides = 48 * 0.2 * module._draws(9, {"crop"}, seeded(5))["crop"]
    left, right, top, bottom = sides[:, :4].unbind(1)
    place = (torch.arange(48) + 0.5) / 48
    columns = left[:, None] + place * (48 - left - right)[:, None] - 0.5
    rows = top[:, None] + place * (48 - top - bottom)[:, None] - 0.5
    torch.testing.assert_close(ours[:, 0, 20], columns.clamp(0, 47), atol=1e-3, rtol=0)
    torch.testing.assert_close(ours[:, 1, :, 20], rows.clamp(0, 47), atol=1e-3, rtol=0)


def test_entries_act_in_the_recipes_order():
    x = torch.rand(3, 1, 48, 48)
    turned = torch.rot90(x, 1, (2, 3))  # counter-clockwise
    first = augment(x, {"rotation": (90, 90), "hflip": 1}, seeded())
    torch.testing.assert_close(first, turned.flip(3), atol=1e-4, rtol=0)
    last = augment(x, {"hflip": 1, "rotation": (90, 90)}, seeded())
    torch.testing.assert_close(last, torch.rot90(x.flip(3), 1, (2, 3)), atol=1e-4, rtol=0)


def test_what_one_entry_moves_out_of_the_frame_another_brings_back():
    """A chain of resamplings would have lost the border: zoomed in by 2, then out by 2, is the image."""
    x = torch.rand(2, 1, 48, 48)
    zoom, back = torch.diag(torch.tensor([0.5, 0.5, 1.0])), torch.diag(torch.tensor([2.0, 2.0, 1.0]))
    together = module._multiply(zoom.expand(2, 3, 3), back.expand(2, 3, 3))
    torch.testing.assert_close(warp(x, together), x, atol=1e-4, rtol=0)
    chained = warp(warp(x, zoom.expand(2, 3, 3)), back.expand(2, 3, 3))
    assert (chained - x).abs().max() > 0.5


def test_borders_repeat_or_are_black():
    x = torch.ones(4, 1, 48, 48)
    recipe = {"zoom": {"range": (0.5, 0.5), "isotropic": True}}
    assert torch.allclose(augment(x, recipe, seeded()), x, atol=1e-6)
    small = augment(x, {**recipe, "fill": "zeros"}, seeded())
    assert small[..., 14:34, 14:34].min() > 0.999 and small[..., :10, :].max() == 0
    edge = torch.arange(48.0).expand(1, 1, 48, 48)
    repeated = augment(edge, recipe, seeded())
    assert repeated[..., :11].max() == 0 and repeated[..., -11:].min() == 47


# --- the same distributions as torchvision


def pattern(size=48):
    """A Gaussian spot of its own in each of five channels: the centre and towards the four corners."""
    axis = torch.arange(float(size))
    middle, far = (size - 1) / 2, size * 0.22
    places = [(0, 0), (-1, -1), (1, -1), (1, 1), (-1, 1)]  # x, y
    spots = [
        torch.exp(-((axis - middle - far * x) ** 2)[None] / 4 - ((axis - middle - far * y) ** 2)[:, None] / 4)
        for x, y in places
    ]
    return torch.stack(spots)


def spots_of(x):
    """Centroids (N, 5, 2) of the channels, (x, y) from the image's centre."""
    axis = torch.arange(float(x.shape[-1])) - (x.shape[-1] - 1) / 2
    mass = x.sum((2, 3))
    return torch.stack([(x.sum(2) * axis).sum(2) / mass, (x.sum(3) * axis).sum(2) / mass], 2)


def angle_of(spots):
    across = spots[:, 3] - spots[:, 1]  # top left to bottom right: at 45 degrees, y down
    return [45 - torch.rad2deg(torch.atan2(across[:, 1], across[:, 0]))]


def size_of(spots):
    return [(spots[:, 2] - spots[:, 1]).norm(dim=1), (spots[:, 4] - spots[:, 1]).norm(dim=1)]


def offset_of(spots):
    return list(spots[:, 0].round().T)  # torchvision's RandomAffine shifts by whole pixels


def corners_of(spots):
    return list(spots[:, 1:].flatten(1).T)


def window_of(spots):
    """Size of the image and place of its centre, in both directions."""
    size = spots[:, 3] - spots[:, 1]
    return [*size.T, *(spots[:, 1:].mean(1) / size).T]


N = 400
COUNTERPARTS = {
    "rotation": ({"rotation": 10}, v2.RandomRotation(10, BILINEAR), angle_of),
    "rotation one-sided": ({"rotation": (0, 10)}, v2.RandomRotation((0, 10), BILINEAR), angle_of),
    "shift": ({"shift": 0.1}, v2.RandomAffine(0, (0.1, 0.1), interpolation=BILINEAR), offset_of),
    "zoom": (
        {"zoom": {"range": 0.3, "isotropic": True}},
        v2.RandomAffine(0, scale=(0.7, 1.3), interpolation=BILINEAR),
        size_of,
    ),
    "perspective": ({"perspective": PERSPECTIVE}, v2.RandomPerspective(0.5, 1.0), corners_of),
    "crop": (
        {"crop": {"scale": (0.75, 1.0), "ratio": (0.8, 1.25)}},
        v2.RandomResizedCrop(48, (0.75, 1.0), (0.8, 1.25)),
        window_of,
    ),
}


@pytest.mark.parametrize("name", COUNTERPARTS)
def test_distribution_is_torchvisions(name):
    recipe, theirs, measures = COUNTERPARTS[name]
    image = pattern()
    ours = augment(image.expand(N, -1, -1, -1), {**recipe, "fill": "zeros"}, seeded(11))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(12)
        expected = torch.stack([theirs(image) for _ in range(N)])
    pairs = zip(measures(spots_of(ours)), measures(spots_of(expected)), strict=True)
    for i, (a, b) in enumerate(pairs):
        assert a.std() > 0.01
        # whole pixels give ties, which rounding errors must not break
        result = stats.ks_2samp(a.numpy().round(3), b.numpy().round(3))
        assert result.pvalue > 0.001, f"{name}, measure {i}: {result}"


def test_the_distribution_test_sees_a_wrong_amount():
    """Its power: a tenth more rotation, or the other direction, is found at this size."""
    image = pattern().expand(N, -1, -1, -1)
    angles = {
        r: angle_of(spots_of(augment(image, {"rotation": r}, seeded(seed))))[0]
        for seed, r in enumerate([(0, 10), (0, 12), (-10, 0)])
    }
    for other in ((0, 12), (-10, 0)):
        assert stats.ks_2samp(angles[(0, 10)].numpy(), angles[other].numpy()).pvalue < 0.001


def test_zoom_draws_its_axes_apart_as_keras_does():
    """Sampling at f times the distance makes the image 1 / f as large."""
    zoomed = augment(pattern().expand(N, -1, -1, -1), {"zoom": 0.3}, seeded())
    x, y = (0.44 * 48 / size for size in size_of(spots_of(zoomed)))
    for factor in (x, y):
        assert stats.kstest(factor.numpy(), stats.uniform(0.7, 0.6).cdf).pvalue > 0.001
    assert abs(np.corrcoef(x, y)[0, 1]) < 0.15


def test_rotation_by_steps_takes_each_angle_equally_often():
    image = pattern().expand(N, -1, -1, -1)
    angle = angle_of(spots_of(augment(image, {"rotation": {"degrees": [-10, 10], "step": 5}}, seeded())))[0]
    values, counts = np.unique((angle / 5).round().numpy() * 5, return_counts=True)
    assert (angle - (angle / 5).round() * 5).abs().max() < 0.05
    assert values.tolist() == [-10, -5, 0, 5, 10] and stats.chisquare(counts).pvalue > 0.001


def test_perspective_draws_whole_pixels_up_to_torchvisions_bound():
    height, width, n = 40, 57, 3000
    matrix = matrices_of("perspective", PERSPECTIVE, n, height, width).double()
    start = torch.tensor([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]]).double()
    sides = torch.tensor([width, height])
    places = torch.cat([2 * start / sides - 1, torch.ones(4, 1)], 1)  # in the coordinates of `warp`
    moved = places @ torch.linalg.inv(matrix).mT
    ends = (moved[..., :2] / moved[..., 2:] + 1) * sides / 2
    inward = (ends - start).abs().flatten(1)
    torch.testing.assert_close(inward, inward.round(), atol=1e-3, rtol=0)
    for i, column in enumerate(inward.round().int().T.numpy()):
        counts = np.bincount(column)
        assert len(counts) == [width // 4 + 1, height // 4 + 1][i % 2]
        assert stats.chisquare(counts).pvalue > 0.001


def test_resized_crop_puts_the_window_anywhere():
    matrix = matrices_of("crop", {"scale": (0.25, 0.25), "ratio": (1, 1)}, 3000, 40, 40)
    assert torch.equal(matrix[:, 0, 0], torch.full((3000,), 0.5))
    for axis in (0, 1):
        place = (matrix[:, axis, 2] + 1) * 20 - 10
        counts = np.bincount(place.round().int().numpy())
        assert len(counts) == 21 and stats.chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize("height, width", [(10, 40), (40, 10), (12, 13)])
def test_resized_crop_falls_back_to_the_middle_as_torchvision_does(height, width):
    """A window of the whole area and another shape fits nowhere."""
    options = {"scale": (1.0, 1.0), "ratio": (0.5, 0.6) if height < width else (2.0, 2.5)}
    theirs = v2.RandomResizedCrop((height, width), **options).make_params([torch.rand(1, height, width)])
    matrix = matrices_of("crop", options, 5, height, width)
    w, h = theirs["width"], theirs["height"]
    x, y = (2 * theirs["left"] + w) / width - 1, (2 * theirs["top"] + h) / height - 1
    expected = torch.tensor([[w / width, 0, x], [0, h / height, y], [0, 0, 1]])
    torch.testing.assert_close(matrix, expected.expand(5, 3, 3))


@pytest.mark.parametrize("p", [0.0, 0.5, 0.9, 1.0])
def test_perspective_moves_that_share_of_the_images(p):
    x = pattern().expand(N, -1, -1, -1)
    ours = augment(x, {"perspective": {"distortion": 0.5, "p": p}}, seeded())
    moved = int(((ours - x).abs().amax((1, 2, 3)) > 1e-3).sum())
    assert stats.binomtest(moved, N, p).pvalue > 0.001


def test_flips_copy_pixels_at_their_rates_and_independently():
    x = torch.rand(2000, 1, 6, 5, generator=seeded(1))
    for name, p, dim in (("hflip", 0.5, 3), ("vflip", 0.2, 2)):
        out = augment(x, {name: p}, seeded())
        flipped = (out == x.flip(dim)).all((1, 2, 3))
        assert torch.equal(out, torch.where(flipped[:, None, None, None], x.flip(dim), x))
        assert stats.binomtest(int(flipped.sum()), 2000, p).pvalue > 0.001
        assert torch.equal(augment(x, {name: 0}, seeded()), x)
        assert torch.equal(augment(x, {name: 1}, seeded()), x.flip(dim))
    out = augment(x, {"hflip": 0.5, "vflip": 0.5}, seeded())
    kinds = [(out == y).all((1, 2, 3)).sum().item() for y in (x, x.flip(3), x.flip(2), x.flip(2, 3))]
    assert sum(kinds) == 2000 and stats.chisquare(kinds).pvalue > 0.001


def test_one_flip_of_a_list():
    x = torch.rand(1500, 1, 6, 5, generator=seeded(1))
    out = augment(x, {"flip": ["none", "horizontal", "vertical"]}, seeded())
    kinds = [(out == y).all((1, 2, 3)).sum().item() for y in (x, x.flip(3), x.flip(2))]
    assert sum(kinds) == 1500 and stats.chisquare(kinds).pvalue > 0.001
    assert torch.equal(augment(x, {"flip": ["both"]}, seeded()), x.flip(2, 3))


# --- draws


def test_seeded():
    x = torch.rand(5, 1, 48, 48)
    a, b = (augment(x, {"shift": 0.1}, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(a, b)


@pytest.mark.parametrize("recipe", ONE_BY_ONE, ids=str)
def test_seeded_and_different_between_images_and_batches(recipe):
    x = torch.rand(1, 1, 48, 48, generator=seeded(1)).expand(40, -1, -1, -1)
    one, two, other = seeded(7), seeded(7), seeded(8)
    first, second = augment(x, recipe, one), augment(x, recipe, one)
    assert torch.equal(first, augment(x, recipe, two)) and torch.equal(second, augment(x, recipe, two))
    for different in (second, augment(x, recipe, other)):
        assert not torch.equal(first, different)
    kinds = 2 if recipe.keys() <= {"hflip", "vflip"} else 3 if "flip" in recipe else 5
    assert len({image.numpy().tobytes() for image in first}) >= kinds


@pytest.mark.parametrize("name", ["shift", "rotation", "zoom", "perspective"])
def test_no_entry_changes_the_draws_of_another(name):
    """In the first batch whatever the recipe, in later ones unless it is the shift alone."""
    x = torch.rand(8, 1, 48, 48, generator=seeded(1))
    idle = {"zoom": 0, "crop": 0, "hflip": 0, "perspective": {"distortion": 0, "p": 1}, "shift": 0}
    entry = {name: EVERYTHING[name]}
    others = {k: v for k, v in idle.items() if k != name}
    recipes = [entry, {**entry, "hflip": 0}, {**entry, **others}, {**others, **entry}]
    generators = [seeded(3) for _ in recipes]
    for batch in range(3):
        results = [augment(x, recipe, g) for recipe, g in zip(recipes, generators, strict=True)]
        if name == "shift" and batch > 0:
            assert (results.pop(0) - results[-1]).abs().max() > 0.1
        for result in results[1:]:
            torch.testing.assert_close(result, results[0], atol=5e-4, rtol=0)


def test_every_recipe_but_shift_alone_takes_as_much_from_the_generator():
    x = torch.rand(8, 1, 16, 16)
    states = []
    for recipe in [r for r in ONE_BY_ONE if r.keys() != {"shift"}]:
        generator = seeded(3)
        augment(x, recipe, generator)
        states.append(generator.get_state())
    assert all(torch.equal(state, states[0]) for state in states[1:])
    generator = seeded(3)
    assert augment(x, {}, generator) is x
    assert torch.equal(generator.get_state(), seeded(3).get_state())


def test_draws_are_uniform_and_independent_between_entries_batches_and_images():
    generator = seeded(5)
    u = torch.cat(
        [torch.cat(list(module._draws(2000, {"zoom"}, generator).values()), 1) for _ in range(2)], 1
    ).numpy()
    assert u.shape[1] == 2 * (2 + sum(module.DRAWS.values()))
    assert all(stats.kstest(column, "uniform").pvalue > 1e-4 for column in u.T)  # 78 columns
    correlation = np.corrcoef(np.concatenate([u[:-1], u[1:]], 1).T) - np.eye(2 * u.shape[1])
    assert np.abs(correlation[: u.shape[1]]).max() < 0.12  # 5.4 standard errors, 9,000 pairs


# --- what is kept, and what is refused

IDENTITIES = [
    {"shift": 0},
    {"rotation": 0},
    {"zoom": 0},
    {"zoom": {"range": [1, 1], "isotropic": True}},
    {"crop": 0},
    {"crop": {"scale": [1, 1], "ratio": [1, 1]}},
    {"perspective": {"distortion": 0, "p": 1}},
    {"perspective": {"distortion": 0.5, "p": 0}},
    {"hflip": 0, "vflip": 0},
    {"flip": ["none"]},
    {"rotation": 0, "shift": 0, "zoom": 0, "crop": 0, "hflip": 0, "perspective": {"distortion": 0, "p": 1}},
]


@pytest.mark.parametrize("recipe", IDENTITIES, ids=str)
@pytest.mark.parametrize("fill", ["nearest", "zeros"])
def test_zero_amounts_change_nothing(recipe, fill):
    x = torch.rand(4, 3, 48, 48, generator=seeded(1))
    torch.testing.assert_close(augment(x, {**recipe, "fill": fill}, seeded()), x, atol=1e-4, rtol=0)


@pytest.mark.parametrize("recipe", ONE_BY_ONE, ids=str)
@pytest.mark.parametrize("shape", [(1, 1, 48, 48), (1, 3, 21, 34), (6, 3, 33, 8), (6, 1, 2, 3)])
def test_shape_type_range_and_memory_format_are_kept(recipe, shape):
    x = torch.rand(shape, generator=seeded(1))
    plain = augment(x, recipe, seeded(4))
    for dtype, tolerance in ((torch.float32, 0), (torch.float64, 1e-3), (torch.bfloat16, 0.02)):
        for memory_format in (torch.contiguous_format, torch.channels_last):
            y = x.to(dtype).contiguous(memory_format=memory_format)
            out = augment(y, recipe, seeded(4))
            assert out.shape == x.shape and out.dtype == dtype
            assert out.is_contiguous(memory_format=memory_format)
            assert out.min() >= 0 and out.max() <= 1 + 1e-6
            torch.testing.assert_close(out.float(), plain, atol=tolerance, rtol=0)
    assert torch.equal(x, torch.rand(shape, generator=seeded(1)))  # the input is left as it was


@pytest.mark.parametrize("size", [2, 3, 4, 5, 10, 16])
def test_strong_perspective_stays_finite_on_tiny_images(size):
    x = torch.rand(1, 1, size, size).expand(3000, -1, -1, -1)
    for fill in ("nearest", "zeros"):
        recipe = {"perspective": {"distortion": 0.66, "p": 1}, "zoom": 0.3, "fill": fill}
        out = augment(x, recipe, seeded())
        assert out.isfinite().all() and out.min() >= 0 and out.max() <= 1 + 1e-6


def test_perspective_repeats_the_near_border_beyond_the_horizon():
    """Columns keep their order: the right end of the output never shows the left border."""
    ramp = torch.arange(48.0).expand(3000, 1, 48, 48)
    out = augment(ramp, {"perspective": {"distortion": 0.66, "p": 1}}, seeded())
    assert (out.diff(dim=3) > -1e-2).all()


@pytest.mark.parametrize("recipe", ONE_BY_ONE, ids=str)
def test_nothing_depends_on_values_on_the_host(recipe):
    """Tensors on the device 'meta' hold no values: whatever would wait for a GPU's result fails there."""
    out = augment(torch.empty(4, 3, 48, 48, device="meta"), recipe, seeded())
    assert out.shape == (4, 3, 48, 48) and out.device.type == "meta"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("recipe", ONE_BY_ONE, ids=str)
def test_cuda_agrees_with_the_cpu_never_waits_and_can_be_captured(recipe):
    x = torch.rand(16, 3, 48, 48, generator=seeded(1))
    same = augment(x.cuda(), recipe, seeded(4)).cpu()  # one CPU generator decides both
    torch.testing.assert_close(same, augment(x, recipe, seeded(4)), atol=1e-3, rtol=0)
    y, generator = x.cuda(), torch.Generator("cuda").manual_seed(4)
    torch.cuda.set_sync_debug_mode("error")
    try:
        eager = [augment(y, recipe, generator) for _ in range(3)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    generator.manual_seed(4)
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(generator)
    with torch.cuda.graph(graph):
        out = augment(y, recipe, generator)
    generator.manual_seed(4)
    for expected in eager:
        graph.replay()
        assert torch.equal(out, expected)


def test_autocast_does_not_coarsen_the_geometry():
    x = torch.rand(4, 1, 48, 48)
    plain = augment(x, EVERYTHING, seeded())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(augment(x, EVERYTHING, seeded()), plain)


@pytest.mark.parametrize("recipe", ONE_BY_ONE, ids=str)
def test_recipes_survive_json(recipe):
    x = torch.rand(4, 1, 48, 48)
    written = json.loads(json.dumps(recipe))
    validate(written)
    assert torch.equal(augment(x, recipe, seeded()), augment(x, written, seeded()))


def test_unknown_name():
    with pytest.raises(FerlibError, match="shift"):
        augment(torch.rand(1, 1, 8, 8), {"swirl": 1.0}, torch.Generator())


@pytest.mark.parametrize(
    "recipe, told",
    [
        ({"swirl": 1}, "known are shift"),
        ({"shift": 1}, "part of the side"),
        ({"shift": -0.1}, "part of the side"),
        ({"shift": "0.1"}, "part of the side"),
        ({"shift": True}, "part of the side"),
        ({"shift": float("nan")}, "part of the side"),
        ({"shift": {"depth": 0.1}}, "width and height"),
        ({"shift": {}}, "width and height"),
        ({"rotation": (10, 0)}, "low, high"),
        ({"rotation": (0, 10, 20)}, "low, high"),
        ({"rotation": 181}, "180"),
        ({"rotation": {"step": 5}}, "degrees"),
        ({"rotation": {"degrees": 10, "step": 3}}, "divides"),
        ({"rotation": {"degrees": 10, "step": 0}}, "positive step"),
        ({"rotation": "10"}, "degrees"),
        ({"zoom": 1}, "0.99"),
        ({"zoom": (0, 1)}, "within"),
        ({"zoom": {"range": 0.3, "isotropic": 1}}, "true or false"),
        ({"crop": 0.5}, "0.5"),
        ({"crop": {"ratio": (1, 2)}}, "scale"),
        ({"crop": {"scale": (0, 1)}}, "scale"),
        ({"crop": {"scale": (0.5, 1), "ratio": (0, 1)}}, "ratio"),
        ({"perspective": 0.5}, "distortion"),
        ({"perspective": {"distortion": 0.5}}, "'p'"),
        ({"perspective": {"distortion": 0.7, "p": 0.5}}, "0.66"),
        ({"perspective": {"distortion": 0.5, "p": 2}}, "probability"),
        ({"hflip": 1.5}, "probability"),
        ({"vflip": None}, "probability"),
        ({"flip": "horizontal"}, "list"),
        ({"flip": []}, "list"),
        ({"flip": ["none", "none"]}, "once"),
        ({"flip": ["diagonal"]}, "horizontal"),
        ({"flip": [["none"]]}, "horizontal"),
        ({3: 0.1}, "unknown augmentation 3"),
        ({"fill": "reflect"}, "nearest or zeros"),
        ({"fill": ["nearest"]}, "nearest or zeros"),
        (["shift"], "map names"),
        ("shift", "map names"),
        (None, "map names"),
    ],
    ids=str,
)
def test_bad_recipes_are_refused_in_one_line_that_says_what_may_stand_there(recipe, told):
    for call in (validate, lambda r: augment(torch.rand(1, 1, 8, 8), r, seeded())):
        with pytest.raises(FerlibError, match=told) as caught:
            call(recipe)
        assert "\n" not in str(caught.value)
