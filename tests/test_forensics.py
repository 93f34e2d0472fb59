"""Granularity: which printed accuracies a test set of n images can give."""

from __future__ import annotations

import numpy as np
import pytest

from ferlib.forensics import chance_of_compatibility, compatible_counts


@pytest.mark.parametrize(
    ("printed", "n", "expected"),
    [
        ("68.01", 3589, [2441]),  # 2441 / 3589 = 68.0134 %
        ("69.05", 3589, []),  # 2478 gives 69.04, 2479 gives 69.07
        ("33.33", 3, [1]),
        ("33.34", 3, []),
        ("100", 10, [10]),
        ("0.0", 7, [0]),
        ("12.5", 8, [1]),
        ("50", 1000, list(range(495, 506))),
    ],
)
def test_by_hand(printed, n, expected):
    assert compatible_counts(printed, n) == expected


def test_every_true_count_is_found():
    for k in range(0, 3590, 7):
        assert k in compatible_counts(f"{100 * k / 3589:.2f}", 3589)


def test_chance_against_simulation():
    values = np.random.default_rng(0).integers(0, 10_000, 4000) / 100
    share = np.mean([bool(compatible_counts(f"{v:.2f}", 3589)) for v in values])
    assert share == pytest.approx(chance_of_compatibility(3589), abs=0.025)
