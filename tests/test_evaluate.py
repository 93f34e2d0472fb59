"""Metrics and intervals against worked examples."""

from __future__ import annotations

import numpy as np
import pytest

from ferlib.evaluate import mcnemar_exact, metrics, paired_bootstrap, wilson


def test_metrics_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 2])
    predicted = np.array([0, 0, 1, 1, 0, 2])
    found = metrics(predicted, labels, ("a", "b", "c", "d"))
    assert found["n"] == 6 and found["accuracy"] == pytest.approx(4 / 6)
    assert found["confusion"] == [[2, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert found["per_class_recall"] == {
        "a": pytest.approx(2 / 3),
        "b": pytest.approx(1 / 2),
        "c": pytest.approx(1.0),
        "d": None,
    }
    assert found["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    # support-weighted recall is accuracy
    assert found["weighted"]["recall"] == pytest.approx(found["accuracy"])
    assert found["macro"]["recall"] == pytest.approx((2 / 3 + 1 / 2 + 1 + 0) / 4)


def test_wilson_published_example():
    # Newcombe (1998), Statistics in Medicine 17:857, Table I: 81 of 263, 15 of 148, 0 of 20
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_mcnemar_by_hand():
    a = np.array([True] * 50 + [True] * 1 + [False] * 9)
    b = np.array([True] * 50 + [False] * 1 + [True] * 9)
    found = mcnemar_exact(a, b)
    # two-sided binomial with 10 discordant pairs, 1 against 9: 2 (1 + 10) / 2^10
    assert found == {"only_a": 1, "only_b": 9, "p": pytest.approx(22 / 1024)}
    assert mcnemar_exact(a, a)["p"] == 1.0


def test_paired_bootstrap_against_theory():
    rng = np.random.default_rng(1)
    a = rng.random(2000) < 0.6
    b = np.where(rng.random(2000) < 0.9, a, ~a)
    estimate, low, high = paired_bootstrap(a, b)
    difference = b.astype(float) - a
    half = 1.96 * difference.std() / np.sqrt(2000)
    assert estimate == pytest.approx(difference.mean())
    assert (low, high) == pytest.approx((estimate - half, estimate + half), abs=0.002)
    assert paired_bootstrap(a, b) == (estimate, low, high)  # seeded
