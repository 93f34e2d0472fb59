"""Augmentation does what its Keras namesake does."""

from __future__ import annotations

import pytest
import torch

from ferlib.augment import augment, shift
from ferlib.errors import FerlibError


def blob(n=400):
    x = torch.zeros(n, 1, 48, 48)
    x[:, :, 24, 24] = 1
    return x


def centre(x):
    axis = torch.arange(48.0)
    mass = x.sum((1, 2, 3))
    return (x.sum((1, 2)) * axis).sum(1) / mass, (x.sum((1, 3)) * axis).sum(1) / mass


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


def test_seeded():
    x = torch.rand(5, 1, 48, 48)
    a, b = (augment(x, {"shift": 0.1}, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(a, b)


def test_unknown_name():
    with pytest.raises(FerlibError, match="shift"):
        augment(torch.rand(1, 1, 8, 8), {"swirl": 1.0}, torch.Generator())
