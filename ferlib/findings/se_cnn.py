"""Luo: the evidence behind the findings."""

from __future__ import annotations

import math

from ferlib import forensics
from ferlib.data import fer2013
from ferlib.findings.arithmetic import OFFICIAL_TEST, total
from ferlib.findings.finding import Evidence, Finding, Result

LUO = {"Table 1": ("68.01", "69.04"), "abstract": ("68.04", "69.07")}
WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def pairs() -> tuple[tuple[str, str], ...]:
    """What Table 1 and the abstract print of one network: two places, one quantity."""
    return tuple(zip(*LUO.values(), strict=True))


def images_apart(n: int) -> set[int]:
    """By how many of n images the two places of a network differ; empty where not all figures are possible."""
    counts = [[forensics.compatible_counts(v, n) for v in pair] for pair in pairs()]
    if not all(found for pair in counts for found in pair):
        return set()
    return {abs(b[0] - a[0]) for a, b in counts}


def both_tests() -> dict[str, int]:
    return {c: fer2013.PUBLISHED["val"][c] + fer2013.PUBLISHED["test"][c] for c in fer2013.CLASSES}


def by_chance(predicted: int, true: int) -> float:
    """Images of a class on the diagonal if labels and predictions of both test parts stand in unrelated orders."""
    return predicted * true / total(both_tests())


def luo_pairs(_: Finding) -> Result:
    gaps = [float(b) - float(a) for a, b in zip(*LUO.values(), strict=True)]
    apart = {n: images_apart(n) for n in (OFFICIAL_TEST, 2 * OFFICIAL_TEST)}
    said = [f"{WORDS[next(iter(k))]} of {n:,}" for n, k in apart.items() if len(k) == 1]
    text = " and ".join(f"{g:+.2f}" for g in gaps)
    return all(gaps), f"{text}, each {' or '.join(said)} images" if said else f"{text} points"


def luo_reaching(finding: Finding) -> Result:
    printed = finding.printed.rstrip("%")
    plain, se = LUO["Table 1"]
    gain = float(se) - float(plain)
    return printed == LUO["abstract"][
        0
    ], f"the gain of {gain:.2f} leads to {se} in Table 1; {printed} is the abstract's original CNN"


def luo_images(_: Finding) -> Result:
    """All four figures are possible on the printed number of test images, and on half of it."""
    twice = pairs()  # 68.01 and 68.04, 69.04 and 69.07
    printed = 2 * OFFICIAL_TEST  # section 2.1
    counts = [[forensics.compatible_counts(v, printed) for v in pair] for pair in twice]
    if not all(found for pair in counts for found in pair):
        return False, f"not all are possible on {printed:,}"
    if not all(forensics.compatible_counts(v, OFFICIAL_TEST) for pair in twice for v in pair):
        return False, f"not all are possible on {OFFICIAL_TEST:,}"
    gaps = [abs(second[0] - first[0]) for first, second in counts]
    half = [forensics.chance_on_part(printed, OFFICIAL_TEST, gap) for gap in gaps]
    arbitrary = forensics.chance_with_gap(OFFICIAL_TEST, 3) ** len(twice)
    right = ", ".join(f"{found[0]:,}" for pair in counts for found in pair)
    text = f"{right} of {printed:,}; on {OFFICIAL_TEST:,} all are possible too. Were {printed:,} tested, each pair"
    text += f" would fit {OFFICIAL_TEST:,} in {100 * half[0]:.0f} % of cases, both in {100 * math.prod(half):.0f} %"
    return True, f"{text}; arbitrary pairs 0.03 apart in {100 * arbitrary:.0f} %"


def luo_validation(_: Finding) -> Result:
    printed = 28_709 + 7_178  # section 2.1
    every = sum(total(c) for c in fer2013.PUBLISHED.values())
    return (
        printed == every,
        f"28,709 + 7,178 = {printed:,}; FER2013 has {every:,}: none are left for validation",
    )


def luo_disgust(_: Finding, disgust: int = 93, happy: int = 1773) -> Result:
    train, test = fer2013.PUBLISHED["train"], both_tests()
    text = f"{happy:,} / {disgust} = {happy / disgust:.1f}; training has {train['disgust']} and {train['happy']:,}"
    text += f" ({train['happy'] / train['disgust']:.1f} times), both test parts {test['disgust']} and {test['happy']:,}"
    return round(happy / disgust) != 17 and train["disgust"] != disgust, text


def luo_happy(_: Finding, most: int = 499) -> Result:
    """No class has more than ``most`` right if happy, the largest, is the best with four hundred and some.

    That supposes a matrix whose labels and predictions belong to each other.
    """
    merged, test = both_tests(), fer2013.PUBLISHED["test"]
    recalls = {c: (0.0, 100 * min(1.0, most / n)) for c, n in merged.items()}
    highest = forensics.accuracy_bounds(merged, recalls)[1]
    text = f"of 7,178 images at most {highest:.0f} % would then be right; of 3,589 happy's recall would be"
    text += f" at most {100 * most / test['happy']:.0f} %, below the accuracy. Were the labels shuffled and "
    text += f"1,773 the predictions of happy, {by_chance(1773, merged['happy']):.0f} would be right by chance"
    return highest < float(LUO["Table 1"][0]), text


def luo_blocks(_: Finding) -> Result:
    import torch

    from ferlib.models import build, count_parameters

    with torch.device("meta"):
        extra = {se: count_parameters(build("se_cnn", classes=7, se=se)) for se in ("none", "pool", "conv")}
    added = [extra[se] - extra["none"] for se in ("pool", "conv")]
    return added[0] != added[1], f"three blocks add {added[0]:,} parameters, six {added[1]:,}"


def luo_gain(_: Finding) -> Result:
    gains = [round(float(b) - float(a), 2) for a, b in LUO.values()]
    return set(gains) == {1.03}, f"{', '.join(f'{g:.2f}' for g in gains)} from table and abstract"


EVIDENCE: dict[str, Evidence] = {
    "se_cnn-pairs": luo_pairs,
    "se_cnn-reaching": luo_reaching,
    "se_cnn-images": luo_images,
    "se_cnn-validation": luo_validation,
    "se_cnn-disgust": luo_disgust,
    "se_cnn-happy": luo_happy,
    "se_cnn-blocks": luo_blocks,
    "se_cnn-gain": luo_gain,
}
