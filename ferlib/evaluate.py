"""Metrics, intervals and tests, on top of scikit-learn, scipy and statsmodels."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.stats import (
    binomtest,
    friedmanchisquare,
    norm,
    rankdata,
    studentized_range,
    ttest_ind,
)
from scipy.stats import t as student
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    precision_recall_fscore_support,
)


def metrics(predicted: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> dict[str, Any]:
    """All that a record says of one set of predictions (N,) against labels (N,).

    Rates are fractions. ``confusion`` counts images, rows are true classes, columns predicted ones.
    ``per_class_recall`` is None for a class without images; such classes count as 0 in macro averages.
    """
    index = np.arange(len(classes))
    found: dict[str, Any] = {"n": len(labels), "accuracy": float(accuracy_score(labels, predicted))}
    for average in ("macro", "weighted"):
        precision, recall, f1, _ = precision_recall_fscore_support(
            labels, predicted, labels=index, average=average, zero_division=0
        )
        found[average] = {"precision": float(precision), "recall": float(recall), "f1": float(f1)}
    counts = confusion_matrix(labels, predicted, labels=index)
    support = counts.sum(axis=1)
    found["per_class_recall"] = {
        name: float(counts[i, i] / support[i]) if support[i] else None for i, name in enumerate(classes)
    }
    recalls = [r for r in found["per_class_recall"].values() if r is not None]
    found["balanced_accuracy"] = float(np.mean(recalls))
    found["confusion"] = counts.tolist()
    return found


def wilson(correct: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a proportion of ``correct`` among ``n``, as fractions."""
    interval = binomtest(int(correct), int(n)).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def mcnemar_exact(a_correct: np.ndarray, b_correct: np.ndarray) -> dict[str, float]:
    """McNemar's exact test on paired correctness (N,) of two models on the same images.

    Returns ``only_a`` and ``only_b`` (images that only one of them gets right) and the two-sided
    binomial ``p``; p is 1 where the models never disagree.
    """
    only_a = int(np.sum(a_correct & ~b_correct))
    only_b = int(np.sum(~a_correct & b_correct))
    p = binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    return {"only_a": only_a, "only_b": only_b, "p": float(p)}


def percentiles(draws: np.ndarray, confidence: float) -> tuple[float, float]:
    """Percentile interval of bootstrap draws."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


def cluster_bootstrap(
    correct: np.ndarray,
    cluster: np.ndarray,
    *,
    draws: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Bounds of the accuracy over ``correct`` (N,) when whole clusters (N,), subjects say, are resampled."""
    size, hits = by_cluster(correct, cluster)
    return percentiles(resampled_means(size, hits, draws, np.random.default_rng(seed)), confidence)


FEW = 10  # wrong images (or right ones): fewer do not show whether they go together


def worth(right: np.ndarray, cluster: np.ndarray) -> int:
    """As how many independent images the test images count whose results ``right`` (N,) go by ``cluster`` (N,).

    Their number divided by the design effect, Kish's: the variance of the accuracy over clusters to that over images.
    Where fewer than `FEW` are wrong, or right, there is too little to see of it, and clusters count.
    """
    independent, rate = len(np.unique(cluster)), float(np.mean(right))
    hits = float(np.sum(right))
    if min(hits, len(cluster) - hits) < FEW or independent == len(cluster):
        return independent
    effect = (
        clustered_error(np.asarray(right, dtype=float), cluster) ** 2 * len(cluster) / (rate * (1 - rate))
    )
    return round(len(cluster) / max(1.0, effect))


def accuracy_interval(correct: np.ndarray, cluster: np.ndarray) -> tuple[float, float]:
    """95 % bounds of the accuracy over ``correct``, (N,) or (seeds, N), for other images, or clusters (N,) of them.

    Wilson's interval over as many images as these are `worth`, in the mean over seeds.
    """
    runs = np.atleast_2d(correct)
    return bounds(float(runs.mean()), [worth(run, cluster) for run in runs])


def mean_interval(by_seed: Sequence[float], independent: Sequence[int]) -> tuple[float, float]:
    """95 % bounds of the mean of the seeds' accuracies: `bounds`, `widened` by the spread of several seeds."""
    rate = float(np.mean(by_seed))
    low, high, _ = widened(rate, *bounds(rate, independent), by_seed, round(float(np.mean(independent))))
    return max(low, 0.0), min(high, 1.0)


def seeds_interval(correct: np.ndarray, cluster: np.ndarray) -> tuple[float, float]:
    """`mean_interval` of the accuracy over ``correct`` (seeds, N): for other seeds and clusters (N,) of images."""
    return mean_interval([float(run.mean()) for run in correct], [worth(run, cluster) for run in correct])


def bounds(rate: float, independent: Sequence[int]) -> tuple[float, float]:
    """Wilson's 95 % bounds of ``rate`` over the mean of ``independent`` images; the number right may be a fraction."""
    from statsmodels.stats.proportion import proportion_confint

    n = round(float(np.mean(independent)))
    low, high = proportion_confint(rate * n, n, method="wilson")
    return float(low), float(high)


def by_cluster(values: np.ndarray, cluster: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number and sum of ``values`` (N,) in each cluster, both (clusters,)."""
    _, index = np.unique(cluster, return_inverse=True)
    return np.bincount(index), np.bincount(index, weights=np.asarray(values, dtype=float))


def resampled_means(size: np.ndarray, total: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Mean (draws,) over clusters drawn with replacement, from their sizes and sums.

    Where many clusters are alike, as single images are, they are drawn by their kind: the same distribution, faster.
    """
    kinds, members = np.unique(np.stack([size, total]), axis=1, return_counts=True)
    if 10 * len(members) > len(size):
        chosen = _drawn(_counts, len(size), draws, rng)
        return np.asarray((chosen @ total) / (chosen @ size))
    chosen = rng.multinomial(len(size), members / len(size), size=draws)
    return np.asarray((chosen @ kinds[1]) / (chosen @ kinds[0]))


def flipped_sums(total: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Sum (draws,) of the clusters' sums (clusters,) with signs at random; equal amounts are drawn together."""
    amounts, members = np.unique(np.abs(total[total != 0]), return_counts=True)
    if np.all(members == 1):
        return np.asarray(_drawn(_signs, len(members), draws, rng) @ amounts)
    positive = rng.binomial(members, 0.5, size=(draws, len(members)))
    return np.asarray((2 * positive - members) @ amounts)


# Drawing takes most of an interval's time, and the same images have many intervals, each with the same draws.
REMEMBERED = 12_000_000  # numbers in one array of draws, 48 MB; larger ones are drawn again


def _drawn(
    draw: Callable[[int, int, str], tuple[np.ndarray, str]], n: int, draws: int, rng: np.random.Generator
) -> np.ndarray:
    """What ``draw`` gives, (draws, n), for the state of ``rng`` (PCG64), which is left as if it had drawn."""
    make = draw.__wrapped__ if n * draws > REMEMBERED else draw  # type: ignore[attr-defined]
    drawn, after = make(n, draws, json.dumps(rng.bit_generator.state))
    rng.bit_generator.state = json.loads(after)
    return drawn


def _at(state: str) -> np.random.Generator:
    rng = np.random.default_rng()
    rng.bit_generator.state = json.loads(state)
    return rng


@lru_cache(maxsize=8)
def _counts(n: int, draws: int, state: str) -> tuple[np.ndarray, str]:
    """How often each of ``n`` is drawn in as many draws with replacement, and the state after them."""
    rng = _at(state)
    counts = rng.multinomial(n, np.full(n, 1 / n), size=draws).astype(np.float32)
    counts.setflags(write=False)
    return counts, json.dumps(rng.bit_generator.state)


@lru_cache(maxsize=3)
def _signs(n: int, draws: int, state: str) -> tuple[np.ndarray, str]:
    """``n`` signs a draw, 1 or -1, and the state after them."""
    rng = _at(state)
    signs = (2 * rng.binomial(np.ones(n, int), 0.5, size=(draws, n)) - 1).astype(np.float32)
    signs.setflags(write=False)
    return signs, json.dumps(rng.bit_generator.state)


def exact_flips(total: np.ndarray) -> float:
    """How likely the sum of whole numbers ``total`` (clusters,), signs at random, is as far from 0 as it is."""
    amounts = np.abs(total[total != 0])
    chance = np.ones(1)  # of each sum, from minus to plus that of all amounts
    for amount in amounts:
        flipped = np.zeros(len(chance) + 2 * amount)
        flipped[: len(chance)] += chance / 2
        flipped[2 * amount :] += chance / 2
        chance = flipped
    sums = np.arange(len(chance)) - amounts.sum()
    return float(min(1.0, chance[np.abs(sums) >= abs(total.sum())].sum()))


def paired_clusters(
    difference: np.ndarray,
    cluster: np.ndarray,
    *,
    draws: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, float]:
    """Mean of paired differences (N,) whose errors are independent between ``cluster`` (N,) only, subjects say.

    Returns ``mean``, the bounds ``low`` and ``high`` of a bootstrap over clusters, and the two-sided ``p`` of a
    permutation test that flips the sign of whole clusters: under the null hypothesis either model might have had
    either result on a cluster. p is 1 where no difference is left. It is exact for whole numbers, as of a single
    seed; else it comes from ``draws`` at random and is at least 1 / (draws + 1).
    """
    size, total = by_cluster(difference, cluster)
    return dict(_paired(size.tobytes(), total.tobytes(), draws, seed, confidence))


@lru_cache(maxsize=1024)  # a page asks for the same comparison in its figure, its table and its text
def _paired(sizes: bytes, totals: bytes, draws: int, seed: int, confidence: float) -> dict[str, float]:
    size, total = np.frombuffer(sizes, np.intp), np.frombuffer(totals)
    rng = np.random.default_rng(seed)
    low, high = percentiles(resampled_means(size, total, draws, rng), confidence)
    observed = abs(total.sum())
    if np.array_equal(total, np.round(total)):
        p = exact_flips(total.astype(int))
    else:
        extreme = int(np.sum(np.abs(flipped_sums(total, draws, rng)) >= observed - 1e-9))
        p = (extreme + 1) / (draws + 1)
    return {"mean": float(total.sum() / size.sum()), "low": low, "high": high, "p": p}


def seed_error(by_seed: Sequence[float]) -> float:
    """Standard error of a mean over seeds, from their spread; 0 for a single seed, which tells nothing of it."""
    return float(np.std(by_seed, ddof=1)) / len(by_seed) ** 0.5 if len(by_seed) > 1 else 0.0


def student_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Student's interval for the mean of which ``values``, two at least, are a sample."""
    reach = float(student.ppf((1 + confidence) / 2, len(values) - 1)) * seed_error(values)
    return float(np.mean(values)) - reach, float(np.mean(values)) + reach


def widened(
    mean: float,
    low: float,
    high: float,
    by_seed: Sequence[float],
    clusters: int,
    confidence: float = 0.95,
) -> tuple[float, float, float]:
    """Bounds that count new seeds as well as new images, and the degrees of freedom of the standard error.

    ``low`` and ``high`` bound ``mean`` for the sampling of ``clusters`` independent images or subjects alone;
    ``by_seed`` are the seeds' own means on the same images. Seeds and images are crossed, so their variances add
    (what varies with both is counted twice, which makes the bounds a little too wide where there are many seeds; with
    two or three that lie far apart they are a little too narrow), and the degrees of freedom are
    Satterthwaite's, as for readers and cases: Hillis, "A comparison of denominator degrees of freedom methods for
    multiple observer ROC analysis", Statistics in Medicine 26:596, 2007. One seed leaves the bounds as they are.
    """
    if len(by_seed) < 2:
        return low, high, float(clusters - 1)
    z = float(norm.ppf((1 + confidence) / 2))
    images, seeds = ((high - low) / (2 * z)) ** 2, seed_error(by_seed) ** 2
    if images + seeds == 0:
        return low, high, float(clusters - 1)
    freedom = (images + seeds) ** 2 / (images**2 / max(clusters - 1, 1) + seeds**2 / (len(by_seed) - 1))
    scale = float(student.ppf((1 + confidence) / 2, freedom)) / z
    below, above = (scale * float(np.hypot(reach, z * seeds**0.5)) for reach in (mean - low, high - mean))
    return mean - below, mean + above, float(freedom)


def paired_seeds(
    differences: np.ndarray,
    cluster: np.ndarray,
    *,
    draws: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, float]:
    """Mean of paired differences (seeds, N) on the same images, in ``cluster`` (N,): for other seeds and other images.

    One seed: `paired_clusters`, which counts the sampling of clusters alone. Several: its bounds `widened` by the
    spread of the seeds, and ``p`` of a t-test with the same standard error and degrees of freedom.
    """
    differences = np.asarray(differences, dtype=float)
    found = paired_clusters(differences.mean(0), cluster, draws=draws, seed=seed, confidence=confidence)
    by_seed = differences.mean(1)
    if len(by_seed) < 2:
        return found
    images = (found["high"] - found["low"]) / (2 * float(norm.ppf((1 + confidence) / 2)))
    clusters = len(np.unique(cluster))
    low, high, freedom = widened(
        found["mean"], found["low"], found["high"], list(by_seed), clusters, confidence
    )
    error = float(np.hypot(images, seed_error(list(by_seed))))
    p = 2 * float(student.sf(abs(found["mean"]) / error, freedom)) if error else float(found["mean"] == 0)
    return {"mean": found["mean"], "low": low, "high": high, "p": p}


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values after Holm's correction, in their order; an empty list for none.

    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6:65, 1979.
    """
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(list(p_values), method="holm")[1]] if len(p_values) else []


def average_ranks(scores: np.ndarray, confidence: float = 0.95) -> dict[str, Any]:
    """Ranks of models (columns) averaged over blocks (rows) of ``scores``, the best has rank 1; ties share theirs.

    ``p`` is that of Friedman's chi-squared test, ``critical`` Nemenyi's critical difference of two average ranks:
    Demsar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7:1, 2006, section 3.2.2. It takes
    three models and two blocks at the least, else ValueError.
    """
    blocks, models = np.shape(scores)
    if blocks < 2 or models < 3:
        raise ValueError(f"ranks take two blocks and three models at the least, not {blocks} and {models}")
    ranks = rankdata(-np.asarray(scores, dtype=float), axis=1)
    alike = bool(np.all(ranks == ranks[:, :1]))
    test = None if alike else friedmanchisquare(*np.asarray(scores, dtype=float).T)
    q = studentized_range.ppf(confidence, models, np.inf) / np.sqrt(2)
    return {
        "ranks": ranks.mean(0),
        "statistic": 0.0 if test is None else float(test.statistic),
        "p": 1.0 if test is None else float(test.pvalue),
        "critical": float(q * np.sqrt(models * (models + 1) / (6 * blocks))),
    }


def clustered_error(values: np.ndarray, cluster: np.ndarray) -> float:
    """Standard error of the mean of ``values`` (N,) that are independent between ``cluster`` (N,) only.

    The linearised ratio of sums over clusters (Cochran, "Sampling Techniques", 1977, section 6.3); with clusters of
    one the usual standard error.
    """
    size, total = by_cluster(values, cluster)
    residual = total - size * total.sum() / size.sum()
    return float(np.sqrt(len(size) / (len(size) - 1) * np.square(residual).sum()) / size.sum())


def variance_split(correct: np.ndarray, cluster: np.ndarray | None = None) -> dict[str, float]:
    """Where the spread of an accuracy comes from: ``correct`` (seeds, images), right or wrong; at least two seeds.

    ``seed_sd``: between seeds on these very images (sample standard deviation of the seeds' accuracies). ``test_sd``:
    standard error, over test sets of this size, of the accuracy averaged over the seeds. ``total_sd``: of one run on
    a new test set. Both of the variances behind it, between seeds and of one run's sampling, hold what varies from
    image to image and seed to seed; it is counted once. Fractions; images are independent, or
    clusters (N,) of them, subjects say.
    Bouthillier et al., "Accounting for variance in machine learning benchmarks", MLSys 2021, section 2.
    """
    correct = np.asarray(correct, dtype=float)
    if correct.ndim != 2 or len(correct) < 2:
        raise ValueError(f"at least two seeds on the same images, not an array of shape {correct.shape}")
    cluster = np.arange(correct.shape[1]) if cluster is None else cluster
    seeds = float(correct.mean(1).var(ddof=1))
    single = float(np.mean([clustered_error(run, cluster) ** 2 for run in correct]))
    test = clustered_error(correct.mean(0), cluster)
    # of one run s2_image + s2_both, of the mean over k seeds s2_image + s2_both / k
    both = max(0.0, single - test**2) * len(correct) / (len(correct) - 1)
    return {"seed_sd": seeds**0.5, "test_sd": test, "total_sd": (seeds + max(0.0, single - both)) ** 0.5}


def welch(first: Sequence[float], second: Sequence[float], confidence: float = 0.95) -> dict[str, float]:
    """Welch's t-test of two independent samples: ``difference`` of means (second minus first), bounds, ``t``, ``p``.

    Where neither sample varies, ``t`` and ``p`` are nan, and the bounds are the difference itself.
    """
    difference = float(np.mean(second) - np.mean(first))
    if np.ptp(first) == np.ptp(second) == 0:
        return {"difference": difference, "low": difference, "high": difference, "t": np.nan, "p": np.nan}
    with warnings.catch_warnings():  # of a sample whose values are all alike, whose variance of 0 is exact
        warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)
        test = ttest_ind(second, first, equal_var=False)
    interval = test.confidence_interval(confidence)
    bounds = {"low": float(interval.low), "high": float(interval.high)}
    return {"difference": difference, **bounds, "t": float(test.statistic), "p": float(test.pvalue)}


def resolvable(
    n: int,
    accuracy: float,
    power: float = 0.8,
    *,
    confidence: float = 0.95,
    disagree: float | None = None,
) -> float:
    """Smallest gain over ``accuracy`` that ``n`` test images show with this power (fractions).

    Two-sided test at 1 - ``confidence``, normal approximation. By default of two proportions, as if the two models
    erred independently of each other; models on the same images mostly err on the same ones, which makes smaller
    gains visible. ``disagree`` says on what fraction of the images exactly one of them is right: McNemar's test,
    after Connor, "Sample size for testing differences in proportions for the paired-sample design", Biometrics
    43:207, 1987. It cannot be less than the gain itself, so 0 is the most favourable case. inf where not even a
    faultless model could be told from one of this accuracy. Raises ValueError for an accuracy outside (0, 1).
    """
    if not 0 < accuracy < 1:
        raise ValueError(f"accuracy must lie between 0 and 1, not {accuracy}")
    z_size, z_power = norm.ppf((1 + confidence) / 2), norm.ppf(power)

    def excess(gain: float) -> float:
        if disagree is None:
            middle, better = accuracy + gain / 2, accuracy + gain
            null = 2 * middle * (1 - middle)
            own = accuracy * (1 - accuracy) + better * (1 - better)
        else:
            null = max(disagree, gain)
            own = null - gain**2
        return float(gain * np.sqrt(n) - z_size * np.sqrt(null) - z_power * np.sqrt(max(own, 0.0)))

    most = 1 - accuracy
    return float(brentq(excess, most * 1e-9, most)) if excess(most) > 0 else float("inf")


def scatter_ratio(points: np.ndarray, labels: np.ndarray) -> float:
    """Scatter of ``points`` (N, D) within classes over that between the class means; smaller is better gathered.

    It does not depend on scale. What the values of a point share is taken off first: softmax does not see it.
    """
    z = np.asarray(points, dtype=np.float64)
    z = z - z.mean(axis=1, keepdims=True)
    present, index = np.unique(labels, return_inverse=True)
    centres = np.stack([z[labels == c].mean(axis=0) for c in present])[index]
    return float(np.square(z - centres).sum() / np.square(centres - z.mean(axis=0)).sum())
