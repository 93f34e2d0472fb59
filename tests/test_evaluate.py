"""Metrics and intervals against worked examples."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.stats import binom
from statsmodels.api import OLS
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from ferlib import evaluate
from ferlib.evaluate import (
    FEW,
    accuracy_interval,
    average_ranks,
    cluster_bootstrap,
    clustered_error,
    exact_flips,
    holm,
    mcnemar_exact,
    mean_interval,
    metrics,
    paired_clusters,
    paired_seeds,
    resolvable,
    scatter_ratio,
    student_interval,
    variance_split,
    welch,
    widened,
    wilson,
    worth,
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


@pytest.mark.parametrize(("correct", "n"), [(2441, 3589), (197, 197), (0, 12), (7, 9)])
def test_wilson_against_statsmodels(correct, n):
    assert wilson(correct, n) == pytest.approx(proportion_confint(correct, n, method="wilson"), abs=1e-12)


def paired(both, only_a, only_b, neither):
    """Correctness of two models with these numbers of images."""
    a = np.repeat([True, True, False, False], [both, only_a, only_b, neither])
    b = np.repeat([True, False, True, False], [both, only_a, only_b, neither])
    return a, b


def test_mcnemar_published_example():
    # Armitage & Berry, Statistical Methods in Medical Research (1994), p. 127: two media for tubercle bacilli, exact
    # two-sided P = 0.0129
    assert mcnemar_exact(*paired(20, 12, 2, 16))["p"] == pytest.approx(0.0129, abs=5e-5)


@pytest.mark.parametrize("table", [(50, 1, 9, 3), (794, 86, 150, 570), (10, 0, 4, 1), (5, 6, 6, 5)])
def test_mcnemar_against_statsmodels(table):
    both, only_a, only_b, neither = table
    expected = mcnemar([[both, only_a], [only_b, neither]], exact=True).pvalue
    assert mcnemar_exact(*paired(*table))["p"] == pytest.approx(float(expected), rel=1e-9)


def test_mcnemar_by_hand():
    a = np.array([True] * 50 + [True] * 1 + [False] * 9)
    b = np.array([True] * 50 + [False] * 1 + [True] * 9)
    found = mcnemar_exact(a, b)
    # two-sided binomial with 10 discordant pairs, 1 against 9: 2 (1 + 10) / 2^10
    assert found == {"only_a": 1, "only_b": 9, "p": pytest.approx(22 / 1024)}
    assert mcnemar_exact(a, a)["p"] == 1.0


def test_paired_interval_against_theory():
    rng = np.random.default_rng(1)
    a = rng.random(2000) < 0.6
    b = np.where(rng.random(2000) < 0.9, a, ~a)
    difference = b.astype(float) - a
    found = paired_clusters(difference, np.arange(2000))
    half = 1.96 * difference.std() / np.sqrt(2000)
    assert found["mean"] == pytest.approx(difference.mean())
    assert (found["low"], found["high"]) == pytest.approx(
        (difference.mean() - half, difference.mean() + half), abs=0.002
    )
    assert paired_clusters(difference, np.arange(2000)) == found  # seeded


def test_bootstraps_against_scipy():
    """Percentile intervals of scipy's bootstrap: of a paired difference, and of an accuracy."""
    rng = np.random.default_rng(3)
    a = rng.random(400) < 0.7
    b = np.where(rng.random(400) < 0.85, a, ~a)
    settings = {"method": "percentile", "n_resamples": 10_000, "rng": np.random.default_rng(0)}
    expected = stats.bootstrap((b.astype(float) - a,), np.mean, **settings).confidence_interval
    found = paired_clusters(b.astype(float) - a, np.arange(400))
    assert (found["low"], found["high"]) == pytest.approx(tuple(expected), abs=0.004)
    expected = stats.bootstrap((a.astype(float),), np.mean, **settings).confidence_interval
    assert cluster_bootstrap(a, np.arange(400)) == pytest.approx(tuple(expected), abs=0.004)


def test_cluster_bootstrap_against_scipy():
    """Clusters of unequal size: scipy resamples their sizes and sums as pairs."""
    rng = np.random.default_rng(4)
    who = np.repeat(np.arange(60), rng.integers(1, 9, 60))
    correct = rng.random(len(who)) < rng.beta(4, 1, 60)[who]
    size, hits = np.bincount(who), np.bincount(who, weights=correct)
    expected = stats.bootstrap(
        (hits, size),
        lambda hits, size, axis: hits.sum(axis) / size.sum(axis),
        paired=True,
        method="percentile",
        n_resamples=10_000,
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert cluster_bootstrap(correct, who) == pytest.approx(tuple(expected), abs=0.006)


def test_sign_flips_against_scipy():
    differences = np.random.default_rng(5).normal(0.4, 1, 12)
    found = paired_clusters(differences, np.arange(12), draws=20_000)
    exact = stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert found["p"] == pytest.approx(exact.pvalue, abs=0.012)


def test_holm_published_example():
    """Benjamini and Hochberg (JRSS B 57:289, 1995), section 3.2: Bonferroni and Hochberg reject three of 15.

    Holm rejects no less than the one and no more than the other.
    """
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459]
    p += [0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    corrected = holm(p)
    assert sum(value < 0.05 for value in corrected) == 3
    assert corrected[:4] == pytest.approx([15 * 0.0001, 14 * 0.0004, 13 * 0.0019, 12 * 0.0095])


def test_holm_by_hand():
    """Times 4, 3, 2 and 1 from the smallest on, and never below the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == [] and holm([0.2]) == [0.2]


def test_ranks_published_example():
    """Two data sets, nine classifiers, worked in R on Cross Validated (March 2018): chi-squared 11.733, p 0.1635."""
    ranks = np.array([[1, 8, 6, 4, 7, 2, 5, 3, 9], [1, 6, 3, 9, 7, 2, 8, 4, 5]])
    found = average_ranks(-ranks)
    assert found["ranks"] == pytest.approx(ranks.mean(0))
    assert found["statistic"] == pytest.approx(11.733, abs=5e-4) and found["p"] == pytest.approx(
        0.1635, abs=5e-5
    )


def test_critical_difference_published_example():
    """Demsar (2006), section 3.2.2 and Table 5a: four classifiers, 14 data sets, q = 2.569, CD = 1.25."""
    scores = np.random.default_rng(0).random((14, 4))
    assert average_ranks(scores)["critical"] == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 14)), abs=5e-4)
    assert average_ranks(scores)["critical"] == pytest.approx(1.25, abs=5e-3)


def test_ranks_of_equals_and_of_too_few():
    found = average_ranks(np.ones((5, 3)))
    assert found["p"] == 1 and set(found["ranks"]) == {2}
    for shape in ((1, 4), (5, 2)):
        with pytest.raises(ValueError, match="two blocks and three models"):
            average_ranks(np.ones(shape))


def test_welch_published_example():
    # Wikipedia, "Student's t-test", two samples of screw weights: unequal variances, T = 1.959, df = 7.031, P = 0.091
    first, second = (30.02, 29.99, 30.11, 29.97, 30.01, 29.99), (29.89, 29.93, 29.72, 29.98, 30.02, 29.98)
    found = welch(second, first)
    assert found["difference"] == pytest.approx(0.095)
    assert found["t"] == pytest.approx(1.959, abs=5e-4) and found["p"] == pytest.approx(0.091, abs=5e-4)


@pytest.mark.filterwarnings("error")
def test_welch_of_a_sample_that_does_not_vary_is_a_test_of_the_other_one():
    found = welch((100.0, 100.0, 100.0), (97.0, 96.0, 98.0))
    assert found["difference"] == pytest.approx(-3) and found["t"] == pytest.approx(-3 * np.sqrt(3))
    assert found["low"] == pytest.approx(
        -3 - 4.3027 / np.sqrt(3), abs=1e-3
    )  # 97.5 % of Student's t with 2 df


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
    both = 2 * (single - np.var([1, 1, 0.5, 0], ddof=1) / 4)
    assert found["total_sd"] == pytest.approx(np.sqrt(1 / 32 + single - both))
    with pytest.raises(ValueError, match="at least two seeds"):
        variance_split(correct[:1])


def test_variance_split_finds_what_was_put_in():
    """Images of equal difficulty, seeds whose accuracy varies with a standard deviation of 2 points."""
    rng = np.random.default_rng(2)
    levels = rng.normal(0.8, 0.02, size=400)
    found = variance_split(rng.random((400, 2000)) < levels[:, None])
    sampling = np.sqrt(0.8 * 0.2 / 2000)
    assert found["seed_sd"] == pytest.approx(np.hypot(0.02, sampling), rel=0.1)
    assert found["total_sd"] == pytest.approx(np.hypot(0.02, sampling), rel=0.1)


def test_variance_split_against_anova():
    """Two-way analysis of variance, seeds by images without repeats: the mean squares of statsmodels."""
    rng = np.random.default_rng(6)
    correct = (rng.random((4, 30)) < rng.beta(3, 1, 30)).astype(float)
    seed, image = np.meshgrid(np.arange(4), np.arange(30), indexing="ij")
    frame = pd.DataFrame({"y": correct.ravel(), "seed": seed.ravel(), "image": image.ravel()})
    table = anova_lm(OLS.from_formula("y ~ C(seed) + C(image)", frame).fit())
    squares = table["sum_sq"] / table["df"]
    found = variance_split(correct)
    assert found["seed_sd"] == pytest.approx(np.sqrt(squares["C(seed)"] / 30))
    assert found["test_sd"] == pytest.approx(np.sqrt(squares["C(image)"] / (4 * 30)))


def test_clustered_error_against_statsmodels():
    """Standard error of a constant, robust against clusters; without statsmodels' factor (n - 1) / (n - k), k = 1."""
    rng = np.random.default_rng(7)
    who = np.repeat(np.arange(40), rng.integers(1, 7, 40))
    values = rng.normal(size=40)[who] + rng.normal(size=len(who))
    fit = OLS(values, np.ones(len(who))).fit(cov_type="cluster", cov_kwds={"groups": who})
    assert clustered_error(values, who) == pytest.approx(float(fit.bse[0]), rel=1e-9)
    single = clustered_error(values, np.arange(len(who)))
    assert single == pytest.approx(values.std(ddof=1) / np.sqrt(len(who)))
    runs = np.stack([values, values + 1])
    assert variance_split(runs, who)["test_sd"] == pytest.approx(clustered_error(values, who))


def test_widened_by_hand():
    """Standard errors 1 (10 images) and 1 (3 seeds) add in squares; the degrees of freedom are Satterthwaite's."""
    z = stats.norm.ppf(0.975)
    by_seed = [-np.sqrt(3), 0, np.sqrt(3)]  # standard deviation sqrt(3), so that of the mean is 1
    low, high, freedom = widened(0.0, -z, z, by_seed, 10)
    assert freedom == pytest.approx(4 / (1 / 9 + 1 / 2))
    assert (low, high) == pytest.approx(np.array([-1, 1]) * stats.t.ppf(0.975, freedom) * np.sqrt(2))
    assert widened(0.5, 0.4, 0.7, [0.5], 10)[:2] == (0.4, 0.7)
    assert widened(0.5, 0.5, 0.5, [0.5, 0.5], 10)[:2] == (0.5, 0.5)


def test_seeds_that_move_all_images_alike_are_a_t_test():
    """Without spread between the images it is SciPy's t-test over the seeds, p and bounds."""
    by_seed = np.array([0.02, 0.05, -0.01, 0.04])
    found = paired_seeds(np.tile(by_seed[:, None], (1, 1000)), np.arange(1000))
    expected = stats.ttest_1samp(by_seed, 0)
    assert found["p"] == pytest.approx(expected.pvalue)
    assert (found["low"], found["high"]) == pytest.approx(tuple(expected.confidence_interval()))


def test_seeds_and_images_without_an_effect_give_even_p_values():
    """Crossed effects of seeds and images of the same size, no effect: about one p in ten below 0.1."""
    rng = np.random.default_rng(3)
    p = []
    for _ in range(300):
        seeds, images = rng.normal(0, 0.05, (4, 1)), rng.normal(0, 1, (1, 400))
        p.append(paired_seeds(seeds + images, np.arange(400), draws=500)["p"])
    assert 0.05 < np.mean(np.array(p) < 0.1) < 0.15 and 0.4 < np.mean(np.array(p) < 0.5) < 0.6


def test_seeds_that_agree_leave_the_images_alone():
    rng = np.random.default_rng(8)
    once = rng.choice([-1.0, 0.0, 1.0], size=500, p=[0.05, 0.8, 0.15])
    single, thrice = (paired_seeds(np.tile(once, (k, 1)), np.arange(500)) for k in (1, 3))
    assert (thrice["low"], thrice["high"]) == pytest.approx((single["low"], single["high"]), abs=3e-4)
    assert single == paired_clusters(once, np.arange(500))
    shifted = paired_seeds(np.stack([once, once * 0, -once]), np.arange(500))
    assert shifted["p"] > 0.9 and shifted["high"] - shifted["low"] > 3 * (single["high"] - single["low"])
    assert paired_seeds(np.zeros((3, 20)), np.arange(20)) == {"mean": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}


@pytest.mark.parametrize("between", [0.0, 0.5, 1.0])
def test_intervals_over_seeds_cover(between):
    """Three seeds crossed with 120 people, whose spread between seeds is none, half and all of that of the people."""
    rng = np.random.default_rng(9)
    covered, repeats = 0, 600
    for _ in range(repeats):
        y = rng.normal(0, between, (3, 1)) + rng.normal(0, 10, 120) + rng.normal(0, 5, (3, 120))
        reach = 1.96 * y.mean(0).std(ddof=1) / np.sqrt(120)
        low, high, _ = widened(y.mean(), y.mean() - reach, y.mean() + reach, list(y.mean(1)), 120)
        covered += low <= 0 <= high
    assert 0.92 < covered / repeats < 0.99


def test_scatter_within_over_between():
    """Two classes of two points each: within 4 x 1/2, between 4 x 9/2 (after the mean of each point is taken off)."""
    points = np.array([[0.0, 0.0], [2.0, 0.0], [6.0, 0.0], [8.0, 0.0]])  # minus the mean: halves, mirrored
    labels = np.array([0, 0, 1, 1])
    assert scatter_ratio(points, labels) == pytest.approx(1 / 9)
    assert scatter_ratio(5 * points + 3, labels) == pytest.approx(1 / 9)
    assert scatter_ratio(points, np.array([0, 1, 0, 1])) > 1


def test_the_interval_of_an_accuracy_knows_what_is_independent():
    hits, people = np.repeat([1.0, 0.0, 1.0, 1.0], 15), np.repeat(np.arange(4), 15)
    assert accuracy_interval(hits, np.arange(60)) == pytest.approx(wilson(45, 60))
    assert (
        worth(hits, people) == 3
    )  # of four people that are each right or wrong as a whole, one is the mean's
    assert np.diff(accuracy_interval(hits, people)) > 1.5 * np.diff(accuracy_interval(hits, np.arange(60)))
    apart = 1.0 - (
        np.arange(60) % 7 == 0
    )  # nine wrong, in all people alike: too few to tell, so people count
    assert apart.sum() == 60 - FEW + 1 and worth(apart, people) == 4
    assert worth(1.0 - (np.arange(60) % 6 == 0), people) > 40
    assert accuracy_interval(np.ones(60), people) == pytest.approx(wilson(4, 4))
    two = np.array([[1, 1, 0, 0], [1, 0, 1, 0]])  # seeds
    assert accuracy_interval(two, np.arange(4)) == pytest.approx(wilson(2, 4))


def test_the_interval_of_clusters_agrees_with_their_bootstrap():
    """Away from 0 and 1 Wilson's interval over as many images as the clusters are worth is the bootstrap over them."""
    rng = np.random.default_rng(4)
    who = np.repeat(np.arange(300), rng.integers(1, 9, 300))
    right = rng.random(len(who)) < rng.beta(3, 2, 300)[who]
    assert 300 < worth(right, who) < len(who)
    assert accuracy_interval(right, who) == pytest.approx(cluster_bootstrap(right, who), abs=0.004)


def test_the_interval_of_seeds_counts_their_spread():
    """Two seeds at 0.79 and 0.81 on 100 images: both variances, and Satterthwaite's degrees of freedom."""
    low, high = mean_interval([0.79, 0.81], [100, 100])
    assert (low, high) == pytest.approx(widened(0.8, *wilson(80, 100), [0.79, 0.81], 100)[:2])
    assert high - low > np.diff(wilson(80, 100))
    assert mean_interval([0.8], [100]) == pytest.approx(wilson(80, 100))
    assert mean_interval([0.9, 1.0], [20, 20])[1] == 1.0


def test_student_interval_against_scipy():
    values = [1.0, 4.0, -2.0, 3.0]
    expected = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert student_interval(values) == pytest.approx(expected)


@pytest.mark.parametrize("limit", [evaluate.REMEMBERED, 0])
def test_remembered_draws_are_those_of_the_generator(limit, monkeypatch):
    """Values that all differ: counts of single images, then signs, from one generator, as without a memory."""
    monkeypatch.setattr(evaluate, "REMEMBERED", limit)
    for cached in (evaluate._counts, evaluate._signs, evaluate._paired):
        cached.cache_clear()
    for n, of in ((12, 0), (40, 1), (12, 2)):
        values = np.random.default_rng(of).normal(size=n)
        found = paired_clusters(values, np.arange(n), draws=500, seed=3)
        rng = np.random.default_rng(3)
        means = rng.multinomial(n, np.full(n, 1 / n), size=500) @ values / n
        signs = 2 * rng.binomial(np.ones(n, int), 0.5, size=(500, n)) - 1
        low, high = np.percentile(means, [2.5, 97.5])
        assert (found["low"], found["high"]) == pytest.approx((low, high), abs=1e-12)
        as_far = np.abs(signs @ np.sort(np.abs(values))) >= abs(values.sum()) - 1e-9
        assert found["p"] == (as_far.sum() + 1) / 501
    hits = [cached.cache_info().hits for cached in (evaluate._counts, evaluate._signs)]
    assert hits == ([1, 1] if limit else [0, 0])  # of the third, which has as many as the first


def test_signs_flipped_in_every_way():
    """Whole numbers: all 2^n signs, counted one by one; as many draws as there are come near it."""
    for total in ([3, -1, 2, 2, 0, 5], [1, 1, 1, 1], [1, -1], [0, 0]):
        total = np.array(total)
        signs = np.array(list(product((-1, 1), repeat=len(total))))
        expected = np.mean(np.abs(signs @ np.abs(total)) >= abs(total.sum()))
        assert exact_flips(total) == pytest.approx(expected)
    gaps, people = np.array([1.0, 1.0, 0.0, 1.0, -1.0, 1.0]), np.array([0, 0, 1, 2, 3, 4])
    assert paired_clusters(gaps, people)["p"] == pytest.approx(8 / 16)
