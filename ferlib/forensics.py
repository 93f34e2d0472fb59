"""Checks that need only the paper: which numbers can stand together, and which cannot.

The tests work on what is printed: a percentage as text, since its decimals count. They say what is possible, not
what happened. A number that fits a test set is no evidence for it, unless few numbers would fit, and
`chance_of_compatibility` says how few.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import binom

if TYPE_CHECKING:
    from ferlib.claims import Claim

TOLERANCE = 1e-9  # of sums and products of floats, on counts and percentages
OWN_RESULTS = ("accuracy", "metric")  # kinds of ledger rows that may be counts over a test part
COUNTED = ("test accuracy",)


# ---------------------------------------------------------------------------------------------------------
# Granularity: an accuracy is a count divided by a number of images
# ---------------------------------------------------------------------------------------------------------


def decimals(printed: str) -> int:
    """How many decimals a number is printed with."""
    return len(printed.partition(".")[2])


def compatible_counts(printed: str, n: int, *, cut: bool = False) -> list[int]:
    """All k for which k / n, in percent, rounds to the printed value (granularity test).

    ``printed`` is the text as printed: its decimals count. A value exactly half-way counts for both
    neighbours. ``cut``: digits beyond the printed ones were cut off instead of rounded.
    After Brown & Heathers, "The GRIM test", Social Psychological and Personality Science 8(4), 2017.

    >>> compatible_counts("68.01", 3589)
    [2441]
    """
    value, unit = float(printed), 10.0 ** -decimals(printed)
    low, high = (0.0, unit - 2 * TOLERANCE) if cut else (-unit / 2, unit / 2)
    first = max(0, math.ceil((value + low - TOLERANCE) / 100 * n))
    last = min(n, math.floor((value + high + TOLERANCE) / 100 * n))
    return list(range(first, last + 1))


def chance_of_compatibility(n: int, decimals: int = 2) -> float:
    """Probability that an arbitrary percentage printed with ``decimals`` places is some rounded k / n."""
    return min(1.0, n / 10 ** (decimals + 2))


def fitting(column: Iterable[str], n: int, *, cut: bool = False) -> list[str]:
    """Those of the printed percentages that are some rounded (``cut``: cut off) k / n."""
    return [printed for printed in column if compatible_counts(printed, n, cut=cut)]


def compatible_sizes(column: Sequence[str], limit: int, first: int = 1, *, cut: bool = False) -> list[int]:
    """All numbers of test images from ``first`` to ``limit`` on which every printed percentage is possible."""
    return [n for n in range(first, limit + 1) if len(fitting(column, n, cut=cut)) == len(column)]


def expected_sizes(column: Sequence[str], limit: int, first: int = 1) -> float:
    """How many sizes up to ``limit`` would fit if the column's numbers were arbitrary: found by chance."""
    return math.fsum(
        math.prod(chance_of_compatibility(n, decimals(printed)) for printed in column)
        for n in range(first, limit + 1)
    )


def chance_of_at_least(
    fits: int, column: Sequence[str], n: int, pairs: Sequence[tuple[str, str]] = ()
) -> float:
    """Probability that at least ``fits`` of as many arbitrary percentages (equal decimals) are possible on n images.

    ``pairs``: figures of the column, of two decimals, that print one quantity in two places. A pair is as arbitrary as
    its first figure: the second lies as far from it as printed.
    """
    alone = len(column) - 2 * len(pairs)
    p = chance_of_compatibility(n, min(map(decimals, column)))
    number = binom.pmf(np.arange(alone + 1), alone, p)  # of figures that are possible
    for first, second in pairs:
        number = np.convolve(number, fits_of_pair(n, round(100 * abs(float(first) - float(second)))))
    return float(number[max(fits, 0) :].sum())


def fits_of_pair(n: int, gap: int) -> np.ndarray:
    """Of all pairs of percentages with two decimals, ``gap`` hundredths apart, the shares (3,) of those of which none,
    one and both are some rounded k / n."""
    possible = np.array([bool(compatible_counts(f"{value / 100:.2f}", n)) for value in range(10_001)], int)
    return np.bincount(possible[: len(possible) - gap] + possible[gap:], minlength=3) / (len(possible) - gap)


def chance_with_gap(n: int, gap: int) -> float:
    """Probability that two percentages with two decimals, ``gap`` hundredths apart, are both some rounded k / n.

    Of all such pairs. Figures that lie a few hundredths apart are no two independent ones: where n is about
    10,000 / gap, the one makes the other likely.

    >>> chance_with_gap(10_000, 3)
    1.0
    """
    return float(fits_of_pair(n, gap)[2])


def chance_on_part(n: int, part: int, gap: int) -> float:
    """Probability that two counts of n images, ``gap`` apart, print percentages that ``part`` images allow as well.

    Two decimals, all counts alike: how little it says that figures of one test set fit a smaller one too.

    >>> round(chance_on_part(7178, 3589, 2), 2)
    0.5
    """
    possible = [bool(compatible_counts(f"{100 * k / n:.2f}", part)) for k in range(n + 1)]
    both = [first and second for first, second in zip(possible, possible[gap:], strict=False)]
    return sum(both) / len(both)


def split_sizes(total: int, shares: Sequence[Fraction]) -> dict[Fraction, tuple[int, ...]]:
    """Numbers of test images that shares of ``total`` give, rounded down and up.

    >>> split_sizes(981, [Fraction(1, 5)])
    {Fraction(1, 5): (196, 197)}
    """
    return {s: tuple(sorted({math.floor(s * total), math.ceil(s * total)})) for s in shares}


def possible_mean_and_sd(
    mean: float, sd: float, n: int, *, runs: int = 10, slack: float = 0.005, sd_slack: float | None = None
) -> bool:
    """Whether ``runs`` counts of correct images among n can have this mean accuracy and standard deviation.

    Both are in percent, as printed: true values lie within ``slack`` (half a unit of the last printed decimal;
    ``sd_slack`` where the standard deviation's differs). The standard deviation divides by ``runs``, as in Eq. 9 of
    Chen & Chen. The counts are whole: their sum T fixes the mean to multiples of 1 / (runs * n), and the sum of
    their squared deviations is that of counts as equal as possible, t - t^2 / runs with t = T mod runs, plus an
    even number, since a count and its square are odd together. After Anaya, "The GRIMMER test", PeerJ Preprints
    4:e2400v1, 2016. The condition is necessary: False rules n out, True proves nothing.

    >>> possible_mean_and_sd(50.0, 0.0, 2), possible_mean_and_sd(50.0, 0.0, 3)
    (True, False)
    """
    sd_slack = slack if sd_slack is None else sd_slack
    low, high = (
        (max(sd + h, 0.0) * n / 100) ** 2 * runs for h in (-sd_slack - TOLERANCE, sd_slack + TOLERANCE)
    )  # bounds of the sum of squared deviations
    first = max(0, math.ceil((mean - slack - TOLERANCE) / 100 * n * runs))
    last = min(n * runs, math.floor((mean + slack + TOLERANCE) / 100 * n * runs))
    for total in range(first, last + 1):
        rest = total % runs
        least = rest - rest**2 / runs
        if least + 2 * max(0, math.ceil((low - least) / 2)) <= high:
            return True
    return False


def sizes_of_runs(
    pairs: Sequence[tuple[float, float]], limit: int, *, runs: int = 10, slack: float = 0.005, first: int = 2
) -> list[int]:
    """All numbers of test images up to ``limit`` on which every printed (mean, sd) of a column is possible."""
    return [
        n
        for n in range(first, limit + 1)
        if all(possible_mean_and_sd(mean, sd, n, runs=runs, slack=slack) for mean, sd in pairs)
    ]


# ---------------------------------------------------------------------------------------------------------
# Counts, recalls, names of classes
# ---------------------------------------------------------------------------------------------------------


def accuracy_bounds(
    support: Mapping[str, int], recalls: Mapping[str, tuple[float, float]]
) -> tuple[float, float]:
    """Lowest and highest accuracy (%) over ``support`` images per class that statements on recalls (%) allow.

    A class without a statement may have any recall. Raises KeyError for a class without images here.
    """
    unknown = set(recalls) - set(support)
    if unknown:
        raise KeyError(f"no images of {', '.join(sorted(unknown))}")
    bounds = {name: recalls.get(name, (0.0, 100.0)) for name in support}
    total = sum(support.values())
    low, high = (sum(n * bounds[name][side] for name, n in support.items()) / total for side in (0, 1))
    return low, high


def renamed(order: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Which class stands behind each name if ``names`` were written over classes that are in ``order``.

    >>> renamed(("angry", "happy", "sad"), ("angry", "sad", "happy"))
    {'angry': 'angry', 'sad': 'happy', 'happy': 'sad'}
    """
    return dict(zip(names, order, strict=True))


def one_mistake(n: int, true: int, taken_for: int) -> dict[str, float]:
    """Support-weighted measures (%) of n images with one mistake.

    It is one of a class of ``true`` images, taken for a class of ``taken_for`` images.
    """
    share = 100 / n
    precision_of_other = taken_for / (taken_for + 1)
    f1_lost = true * (1 - 2 * (true - 1) / (2 * true - 1)) + taken_for / (2 * taken_for + 1)
    return {
        "accuracy": 100 - share,
        "precision": 100 - share * taken_for * (1 - precision_of_other),
        "recall": 100 - share,
        "F1-score": 100 - share * f1_lost,
    }


# ---------------------------------------------------------------------------------------------------------
# Over everything that the papers print
# ---------------------------------------------------------------------------------------------------------


def as_percent(printed: str, unit: str = "%") -> str:
    """A printed share as the text of a percentage; ``0.6982`` without a unit is ``69.82``.

    >>> as_percent("0.6982", ""), as_percent("69.82 %"), as_percent("0.9", "")
    ('69.82', '69.82', '90')
    """
    text = printed.strip().removesuffix("%").strip().replace(",", "")
    if unit == "%" or "%" in printed:
        return text
    value = Decimal(text).scaleb(2)
    return f"{value:.{max(decimals(text) - 2, 0)}f}"


def columns(claims: Iterable[Claim]) -> dict[tuple[str, str], list[str]]:
    """Printed accuracies by (paper, dataset), each number once: what one test part should explain together.

    ``claims`` are the ledger's rows. An accuracy over the test part counts its images; so does a recall weighted by
    support, which is the same number. Precision, F1 and losses count nothing and are left out, as are figures
    with fewer than two decimals of a percent, which fit nearly every test part.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for claim in claims:
        if claim.quantity not in COUNTED or claim.kind not in OWN_RESULTS or claim.value is None:
            continue
        text = as_percent(claim.printed, claim.unit)
        values = found.setdefault((claim.paper, claim.dataset), [])
        if decimals(text) >= 2 and text not in values:
            values.append(text)
    return {key: values for key, values in found.items() if values}


def coverage(
    column: Sequence[str], sizes: Mapping[str, int], runs: int = 1, pairs: Sequence[tuple[str, str]] = ()
) -> pd.DataFrame:
    """For each candidate test part, how many of a column's numbers are possible, and how many would be by chance.

    ``sizes`` maps what the part is to its number of images; ``runs`` is the number of runs that a printed accuracy
    averages (their images count together). ``pairs`` are figures that print one quantity in two places: see
    `chance_of_at_least`, which gives ``p``.
    """
    lines, whole = [], [pair for pair in pairs if set(pair) <= set(column)]
    for name, n in sizes.items():
        fits = fitting(column, n * runs)
        expected = sum(chance_of_compatibility(n * runs, decimals(printed)) for printed in column)
        lines.append(
            {
                "test part": name,
                "n": n,
                "printed": len(column),
                "possible": len(fits),
                "by chance": expected,
                "p": chance_of_at_least(len(fits), column, n * runs, whole),
                "not possible": [printed for printed in column if printed not in fits],
            }
        )
    return pd.DataFrame(lines)
