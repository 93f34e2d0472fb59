"""Checks that need only the paper."""

from __future__ import annotations

import math


def compatible_counts(printed: str, n: int) -> list[int]:
    """All k for which k / n, in percent, rounds to the printed value (granularity test).

    ``printed`` is the text as printed: its decimals count. A value exactly half-way counts for both
    neighbours. After Brown & Heathers, "The GRIM test", Social Psychological and Personality Science 8(4), 2017.

    >>> compatible_counts("68.01", 3589)
    [2441]
    """
    value = float(printed)
    half = 0.5 * 10.0 ** -len(printed.partition(".")[2]) + 1e-9
    first = max(0, math.ceil((value - half) / 100 * n))
    last = min(n, math.floor((value + half) / 100 * n))
    return list(range(first, last + 1))


def chance_of_compatibility(n: int, decimals: int = 2) -> float:
    """Probability that an arbitrary percentage printed with ``decimals`` places is some rounded k / n."""
    return min(1.0, n / 10 ** (decimals + 2))
