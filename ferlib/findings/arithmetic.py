"""Arithmetic that several findings share; numbers come from the caller."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache

from ferlib import forensics
from ferlib.findings.finding import Finding, Result

TITLES = {"fer2013": "FER2013", "ferplus": "FERPlus", "rafdb": "RAF-DB", "ckplus": "CK+"}
RULES = {"majority": "official rule", "argmax": "most frequent vote", "distribution": "shares of the votes"}
OFFICIAL_TEST = 3589  # of FER2013; Luo, section 2.1, prints 7,178, both test parts together


def number(text: str) -> float:
    """A printed number: ``12,271``, ``1, 773``, ``5e-07``, ``69.07%``, ``0.2 M``."""
    return float(text.replace(",", "").replace(" ", "").rstrip("%Mx"))


def differ(finding: Finding) -> Result:
    """The two places print different numbers for one quantity."""
    a, b = number(finding.printed), number(finding.other_printed)
    return a != b, f"{finding.printed} and {finding.other_printed}, {a - b:+.4g} apart"


def same(finding: Finding) -> Result:
    """Two places print the same number, in percent or as a share."""
    a, b = (number(text) for text in (finding.printed, finding.other_printed))
    a, b = (100 * x if x <= 1 else x for x in (a, b))
    return math.isclose(a, b), f"{a:.2f} and {b:.2f}"


def parts_against_total(parts: Sequence[int], total: int, published: int) -> Result:
    """Parts do not add up to the total; ``published`` is the sum of the dataset's makers."""
    found = sum(parts)
    right = {found: "the parts are right", total: "the total is right"}.get(published, "neither is theirs")
    text = f"{' + '.join(f'{n:,}' for n in parts)} = {found:,}, not {total:,}; the makers have {published:,}: {right}"
    return found != total, text


def columns_on(column: Sequence[str], n: int) -> str:
    """How many numbers of a column are possible on n images, and how many would be by chance."""
    expected = len(column) * forensics.chance_of_compatibility(n)
    return f"{len(forensics.fitting(column, n))} of {len(column)} on {n:,} ({expected:.1f} by chance)"


def total(counts: Mapping[str, int]) -> int:
    return sum(counts.values())


def listed(numbers: Sequence[int]) -> str:
    return " and ".join(f"{n:,}" for n in numbers) or "none"


@cache
def cost(
    name: str, *, channels: int, size: int = 224, classes: int = 7, **variant: object
) -> tuple[int, int]:
    """Parameters as Keras counts them and multiply-adds of one image, from shapes alone."""
    import torch

    from ferlib.models import build, count_multiply_adds
    from ferlib.models.mobilenet import count_keras_parameters

    with torch.device("meta"):
        network = build(name, classes=classes, channels=channels, size=size, **variant)
    return count_keras_parameters(network), count_multiply_adds(network, channels=channels, size=size)
