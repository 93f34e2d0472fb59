"""What the ledger says of a claim: the verdicts, and the rules that all kinds of claims share.

``reproduced``
    A 95 % interval for the difference to the published value holds zero, and reaches no further than 3 points to
    either side: width never earns the verdict. Counts, parameters and multiply-adds agree to the printed
    digits. A number that follows from others of the paper does follow.
``lower``, ``higher``
    Ours against the published value, where it is not reproduced.
``direction holds``, ``direction fails``
    Of an order of models, a gain, or a statement in words.
``not shown``
    Of an order, a gain, a test, a spread or a place of attention: the difference cannot be told from none (p of 0.05
    or more; of attention, an interval that holds zero; of gathered classes, seeds that disagree; of counts, a tie;
    of mistakes, images that are all recognised).
``contradicts itself``
    The paper prints the same quantity otherwise at another place, or its own numbers do not give this one.
``too few images``
    That interval holds zero, but reaches further than 3 points to one side: the test cannot tell. With several seeds
    it may also be the spread between them that makes it wide.
``not run: licensed data``, ``not run: compute``, ``not testable``
    No record yet, or nothing that a record could answer.

``provisional`` stands before a verdict that rests on fewer than three seeds or on reduced runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from ferlib import chapters
from ferlib.claims import Claim
from ferlib.evaluate import bounds, widened
from ferlib.experiments import Experiment

ENOUGH_SEEDS = 3
WIDEST = 3.0  # points: half-width of the interval beyond which no value counts as reproduced
LICENSED = ("rafdb",)
RUN = ("not run: licensed data", "not run: compute")
VERDICTS = (
    "reproduced",
    "lower",
    "higher",
    "direction holds",
    "direction fails",
    "not shown",
    "contradicts itself",
    "too few images",
    "not testable",
    *RUN,
)


@dataclass(frozen=True)
class Judgement:
    """What the ledger says of one claim. ``low`` and ``high`` bound ours minus published, in the claim's unit."""

    claim: Claim
    verdict: str
    provisional: bool = False
    ours: str = "–"
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    runs: str = ""
    at_best_test: str = ""  # the verdict when the epoch is chosen on the test images
    why: str = ""

    @property
    def title(self) -> str:
        return ("provisional: " if self.provisional else "") + self.verdict


def difference_interval(
    ours: Sequence[float], published: float, n: int, n_published: int | None = None
) -> tuple[float, float, float]:
    """Ours minus published and its 95 % interval; rates as fractions, ``ours`` one for each seed.

    Counts the sampling of both test sets by Newcombe's hybrid of Wilson's intervals (Statistics in Medicine 17:873,
    1998, method 10), and where there are several seeds, their spread: `ferlib.evaluate.widened`. Seeds share the test
    images, so their mean has the sampling error of one run.
    """
    mean = float(np.mean(ours))
    size = n_published or n
    low, high = bounds(mean, [n])
    low_p, high_p = bounds(published, [size])
    difference = mean - published
    below = np.hypot(mean - low, high_p - published)
    above = np.hypot(high - mean, published - low_p)
    lower, upper, _ = widened(difference, float(difference - below), float(difference + above), ours, n)
    return difference, lower, upper


def mean_interval(
    ours: Sequence[float], published: float, values: Sequence[float], n: int
) -> tuple[float, float, float]:
    """Ours minus a published mean over ``n`` images and its 95 % interval; ``ours`` one mean for each seed.

    ``values`` are those of single images, of which a paper prints no spread: ours stands for both.
    """
    difference = float(np.mean(ours)) - published
    reach = float(norm.ppf(0.975) * np.std(values, ddof=1) * np.sqrt(2 / n))
    low, high, _ = widened(difference, difference - reach, difference + reach, ours, n)
    return difference, low, high


def by_interval(difference: float, low: float, high: float, widest: float = WIDEST) -> str:
    """The verdict on a difference (points) with its interval."""
    if not low <= 0 <= high:
        return "lower" if difference < 0 else "higher"
    return "reproduced" if max(difference - low, high - difference) <= widest else "too few images"


def uncertain(*groups: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a verdict on these records is provisional: fewer than three seeds or a run that is not full."""
    return any(len(parts) < ENOUGH_SEEDS or chapters.star(parts) for parts in groups)


def missing(row: Experiment) -> str:
    """Why a row has no record. Neutral faces of CK+ are in the owners' release alone, not in CK+48."""
    licensed = row.dataset in LICENSED or (row.dataset == "ckplus" and row.dataset_options.get("neutral"))
    return RUN[0] if licensed else RUN[1]
