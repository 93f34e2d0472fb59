"""Wang & Zhang: the evidence behind the findings."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from ferlib import forensics
from ferlib.cost import ferplus_counts
from ferlib.data import ckplus, ckplus_original, fer2013
from ferlib.experiments import get
from ferlib.findings.arithmetic import OFFICIAL_TEST, RULES, TITLES, listed, number, same, total
from ferlib.findings.finding import Evidence, Finding, Result
from ferlib.findings.parts import frames_of

WANG_RATES = {"lr1e-2": "0.01", "lr1e-3": "0.001", "lr1e-4": "0.0001", "lr1e-5": "0.00001"}
WANG_MODULES = ("plain", "se", "bn", "se_bn")  # the last is also the last row of Table 2
WANG_TABLE_4 = {"FER+": (84.29, 85.67, 86.54, 87.15, 87.40), "CK+": (94.25, 95.73, 97.03, 97.31, 98.46)}
WANG_GAINS = {"FER+": (3.51, 2.13, 1.26, 0.65, 0.4), "CK+": (5.07, 3.59, 2.29, 2.01, 0.86)}  # section 3.5


def wang(dataset: str, slug: str) -> str:
    """Printed accuracy of a row of Table 2 or 3."""
    found = (p.value for p in get(f"msca_resnet-{dataset}-{slug}").published if p.quantity == "test accuracy")
    return f"{next(found):.2f}"


def wang_column(dataset: str) -> list[str]:
    return [wang(dataset, slug) for slug in (*WANG_RATES, *WANG_MODULES)]


def wang_ferplus(_: Finding) -> Result:
    printed = (28_709, 3_589, 3_589)
    own = tuple(total(c) for c in fer2013.PUBLISHED.values())
    rules = {
        rule: tuple(int(c.sum()) for c in ferplus_counts(rule).values()) for rule in ("majority", "argmax")
    }
    text = "; ".join(
        f"{RULES[rule]}: {' / '.join(f'{n:,}' for n in counts)}" for rule, counts in rules.items()
    )
    return printed == own and printed not in rules.values(), f"printed are FER2013's own; FERPlus by {text}"


def wang_fits(_: Finding) -> Result:
    column, limit = wang_column("ferplus"), OFFICIAL_TEST
    found, chance = forensics.compatible_sizes(column, limit), forensics.expected_sizes(column, limit)
    rules = {rule: int(ferplus_counts(rule)["test"].sum()) for rule in RULES}
    text = f"up to {limit:,} only {listed(found)} fits all {len(column)} ({chance:.2f} by chance)"
    parts = ", ".join(f"{n:,} ({RULES[rule]})" for rule, n in rules.items())
    return not {*found} & {*rules.values(), limit}, f"{text}; FERPlus's rules leave {parts}"


def wang_rate(_: Finding) -> Result:
    both = {r: [float(wang(d, r)) for d in ("ferplus", "ckplus")] for r in WANG_RATES}
    best = [WANG_RATES[max(both, key=lambda r: both[r][side])] for side in (0, 1)]
    mean = WANG_RATES[max(both, key=lambda r: sum(both[r]))]
    return best[
        0
    ] != "0.0001", f"best constant rate: {best[0]} on FERPlus, {best[1]} on CK+, {mean} on the mean of both"


def wang_factor(_: Finding) -> Result:
    rates = get("msca_resnet-ckplus-se_bn").schedule["rates"]  # Table 1
    steps = [b / a for a, b in pairwise(rates)]
    text = f"steps of Table 1: {', '.join(f'{s:g}' for s in steps)}"
    return not all(math.isclose(s, 0.1) for s in steps), text


def wang_sequences(finding: Finding) -> Result:
    labelled = total(ckplus.SEQUENCES)
    return labelled != number(
        finding.printed
    ), f"{labelled} of the {finding.printed} have one of the seven labels, of {ckplus.SUBJECTS} persons"


def wang_cores(finding: Finding, maker: int = 8) -> Result:
    printed = int(finding.printed.split()[0])
    return printed != maker, f"Intel makes the i7-10700 with {maker} cores, not {printed}"


def wang_shapes(_: Finding, channels: int = 64, ratio: int = 8) -> Result:
    first = second = (channels // ratio, channels)
    fits = second[1] == first[0]
    return not fits, f"with c = {channels}: W1 z has {first[0]} entries, W2 as printed takes {second[1]}"


def wang_cosine(_: Finding) -> Result:
    true = np.eye(2)
    predicted = np.array([[0.9, 0.1], [0.45, 0.55]])
    each = (true * predicted).sum(1) / np.linalg.norm(predicted, axis=1)
    whole = (true * predicted).sum() / np.linalg.norm(true) / np.linalg.norm(predicted)
    return (
        not math.isclose(each.mean(), whole),
        f"for two images, 0.90 and 0.55 on the true class: {whole:.3f} over both at once, {each.mean():.3f} as a mean",
    )


def wang_147(_: Finding) -> Result:
    """The smallest size that fits is 15 % of the frames, and as many frames as 15 % of the sequences have."""
    column, frames, sequences = wang_column("ckplus"), frames_of("msca_resnet"), total(ckplus.SEQUENCES)
    found = forensics.compatible_sizes(column, frames)[0]
    whole = math.floor(0.15 * sequences)
    chance = forensics.chance_of_compatibility(found) ** len(column)
    text = f"all {len(column)} are fractions of {found} ({chance:.0e} by chance): 15 % of {frames} frames, and the"
    text += f" {ckplus_original.FRAMES} × {whole} frames of 15 % of the {sequences} sequences"
    text += f"; {2 * found} only if all the counts are even, one chance in {2 ** len(column)}"
    return found == math.floor(0.15 * frames) == ckplus_original.FRAMES * whole, text


def wang_gains(_: Finding) -> Result:
    own = {"FER+": float(wang("ferplus", "se_bn")), "CK+": float(wang("ckplus", "se_bn"))}
    right = [
        round(own[d] - v, 2) == g for d in own for v, g in zip(WANG_TABLE_4[d], WANG_GAINS[d], strict=True)
    ]
    return all(right), f"{sum(right)} of {len(right)} differences to Table 4 are right"


def wang_modules(_: Finding) -> Result:
    gains = {
        d: [float(wang(d, m)) - float(wang(d, "plain")) for m in ("se", "bn")] for d in ("ferplus", "ckplus")
    }
    text = "; ".join(f"{TITLES[d]}: SENet {a:+.2f}, BN {b:+.2f}" for d, (a, b) in gains.items())
    return gains["ferplus"][1] > gains["ferplus"][0] and gains["ckplus"][0] > gains["ckplus"][1], text


EVIDENCE: dict[str, Evidence] = {
    "msca_resnet-images": wang_ferplus,
    "msca_resnet-granularity": wang_fits,
    "msca_resnet-rate": wang_rate,
    "msca_resnet-factor": wang_factor,
    "msca_resnet-sequences": wang_sequences,
    "msca_resnet-cores": wang_cores,
    "msca_resnet-shapes": wang_shapes,
    "msca_resnet-eq4": wang_cosine,
    "msca_resnet-147": wang_147,
    "msca_resnet-gains": wang_gains,
    "msca_resnet-modules": wang_modules,
    "msca_resnet-tfe": same,
}
