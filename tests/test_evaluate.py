"""Metrics and intervals against worked examples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from ferlib.evaluate import (
    mcnemar_exact,
    metrics,
    paired_bootstrap,
    paired_clusters,
    resolvable,
    variance_split,
    wilson,
)


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


@pytest.mark.parametrize(
    ("n", "accuracy", "power"), [(3589, 0.7385, 0.8), (251, 0.9214, 0.8), (400, 0.5, 0.9)]
)
def test_resolvable_gain_has_the_power_that_statsmodels_computes(n, accuracy, power):
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    gain = resolvable(n, accuracy, power)
    found = proportion.power_proportions_2indep(gain, accuracy, n, alternative="two-sided")
    assert found.power == pytest.approx(power, abs=1e-4)


def test_resolvable_gain_of_paired_models_against_exact_power():
    """Every outcome of the z form of McNemar's test, by its probability."""
    n, disagree = 400, 0.1
    gain = resolvable(n, 0.7, disagree=disagree)
    power = 0.0
    for k in range(1, n + 1):
        better = np.arange(k + 1)
        seen = np.abs(2 * better - k) / np.sqrt(k) > 1.959964
        share = binom.pmf(better, k, (disagree + gain) / (2 * disagree))
        power += binom.pmf(k, n, disagree) * share[seen].sum()
    assert power == pytest.approx(0.8, abs=0.02)


def test_resolvable_bounds():
    # the more the models disagree the more it takes; at the least a gain must be worth about eight images
    least, some = resolvable(1000, 0.7, disagree=0.0), resolvable(1000, 0.7, disagree=0.1)
    independent = resolvable(1000, 0.7)
    assert least < some < independent
    assert 1000 * least == pytest.approx((1.96 + 0.84) ** 2, abs=0.1)
    assert resolvable(200, 0.99) == np.inf
    with pytest.raises(ValueError, match="accuracy must lie between 0 and 1"):
        resolvable(100, 74.08)


def test_clusters_of_one_agree_with_mcnemar():
    """Without clusters the sign-flip test is McNemar's: the same p up to the Monte Carlo error of its draws."""
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 400)) < np.array([[0.80], [0.86]])
    found = paired_clusters(b.astype(float) - a, np.arange(400), draws=20_000)
    p = mcnemar_exact(a, b)["p"]
    assert found["p"] == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / 20_000))
    _, low, high = paired_bootstrap(a, b)
    assert (found["low"], found["high"]) == pytest.approx((low, high), abs=0.005)


def test_clusters_widen_what_they_repeat():
    """Each image ten times over is no more evidence than once."""
    rng = np.random.default_rng(1)
    once = rng.choice([-1.0, 0.0, 1.0], size=60, p=[0.1, 0.6, 0.3])
    tenfold = paired_clusters(np.repeat(once, 10), np.repeat(np.arange(60), 10))
    single = paired_clusters(once, np.arange(60))
    naive = paired_clusters(np.repeat(once, 10), np.arange(600))
    assert tenfold == pytest.approx(single)
    assert naive["p"] < tenfold["p"] and naive["high"] - naive["low"] < tenfold["high"] - tenfold["low"]


def test_equal_models_have_p_one():
    found = paired_clusters(np.zeros(20), np.arange(20))
    assert found == {"mean": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}


def test_variance_split_by_hand():
    correct = np.array([[1, 1, 1, 0], [1, 1, 0, 0]])  # accuracies 3/4 and 1/2
    found = variance_split(correct)
    assert found["seed_sd"] == pytest.approx(np.sqrt(1 / 32))
    assert found["test_sd"] == pytest.approx(np.std([1, 1, 0.5, 0], ddof=1) / 2)
    single = (3 / 4 * 1 / 4 + 1 / 2 * 1 / 2) / 2 * (4 / 3) / 4
    assert found["total_sd"] == pytest.approx(np.sqrt(1 / 32 + single))
    with pytest.raises(ValueError, match="at least two seeds"):
        variance_split(correct[:1])


def test_variance_split_finds_what_was_put_in():
    """Images of equal difficulty, seeds whose accuracy varies with a standard deviation of 2 points."""
    rng = np.random.default_rng(2)
    levels = rng.normal(0.8, 0.02, size=400)
    found = variance_split(rng.random((400, 2000)) < levels[:, None])
    sampling = np.sqrt(0.8 * 0.2 / 2000)
    assert found["seed_sd"] == pytest.approx(np.hypot(0.02, sampling), rel=0.1)
    assert found["total_sd"] == pytest.approx(np.sqrt(0.02**2 + 2 * sampling**2), rel=0.1)
