"""Nan et al.: the evidence behind the findings."""

from __future__ import annotations

import math

import numpy as np

from ferlib import forensics
from ferlib.data import ferplus, rafdb
from ferlib.experiments.a_mobilenet import ACCURACY, GAIN
from ferlib.findings.arithmetic import TITLES, columns_on, cost, number, parts_against_total, total
from ferlib.findings.finding import Evidence, Finding, Result

NAN_TABLE_2 = {  # AN DI FE HA SA SU NE CO
    "FERPlus": (2100, 119, 532, 7287, 3014, 3149, 8740, 119),
    "RAF-DB": (705, 717, 281, 4772, 1982, 1290, 2524),
}
NAN_NAMES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral", "contempt")
SERIES = ("mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small")
RAFDB_NAMES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def nan_rafdb(_: Finding) -> Result:
    makers = sum(total(c) for c in rafdb.PUBLISHED.values())
    return parts_against_total((12_271, 3_068), 15_539, makers)


def nan_ferplus(_: Finding) -> Result:
    makers = sum(total(c) for c in ferplus.PUBLISHED.values())
    return parts_against_total((25_060, 3_152, 3_199), 31_412, makers)


def nan_parameters(_: Finding) -> Result:
    plain, ours = (cost(n, channels=3, classes=8)[0] for n in ("mobilenet_v1", "a_mobilenet"))
    return (
        ours > plain,
        f"{ours - plain:,} more, {100 * (ours / plain - 1):.1f} %, by counting the layers of Table 1",
    )


def nan_v1(_: Finding) -> Result:
    """V1 is the best of the three that it is ranked among; the gains of the sentence behind are A-MobileNet's."""
    agrees, text = nan_gains(_)
    best = all(ACCURACY[d]["mobilenet_v1"] == max(ACCURACY[d][n] for n in SERIES) for d in ACCURACY)
    ranks = "; ".join(f"{TITLES[d]} {', '.join(f'{ACCURACY[d][n]:.2f}' for n in SERIES)}" for d in ACCURACY)
    return agrees and best, f"V1, V2 and V3-small: {ranks}. {text}"


def nan_best(finding: Finding) -> Result:
    gap = number(finding.printed) - number(finding.other_printed)
    n = total(rafdb.PUBLISHED["test"])
    return gap < 0, f"{gap:+.2f} points, {abs(gap) * n / 100:.0f} of {n:,} images"


def improved(order: str) -> str:
    """Numbers of the improved blocks of a reading's order, which has a letter for each: P plain, I improved."""
    numbers = [k for k, letter in enumerate(order, 1) if letter == "I"]
    return "1 to 13" if len(numbers) == len(order) else ", ".join(map(str, numbers))


def nan_order(_: Finding) -> Result:
    from ferlib.models.a_mobilenet import PLACEMENTS, RATIOS, readings

    found = [r for r in readings() if r.placement in ("table", "text")]
    orders = {r.placement: r.order for r in found}
    meets = {p: [r.ratio for r in found if r.placement == p and r.meets] for p in orders}
    said = "; ".join(
        f"{p} (blocks {improved(order)} improved), 3.4 M with ratio {' or '.join(map(str, meets[p])) or 'none'}"
        for p, order in orders.items()
    )
    return PLACEMENTS["table"] != PLACEMENTS["text"], f"{said} (of {RATIOS[0]} to {RATIOS[-1]})"


def nan_five(_: Finding) -> Result:
    from ferlib.models.a_mobilenet import readings

    found = {r.placement: r for r in readings() if r.ratio == 16 and r.placement in ("table", "table-each")}
    once, each = found["table"], found["table-each"]
    return (
        once.meets != each.meets,
        f"{once.parameters / 1e6:.2f} M with CBAM once, {each.parameters / 1e6:.2f} M with five; printed 3.4 M",
    )


def nan_center(_: Finding, batch: int = 64) -> Result:
    squares = np.random.default_rng(0).random(batch)  # of the distances to the centres
    mean, summed = squares.sum() / (2 * batch), squares.sum() / 2
    return not math.isclose(
        mean, summed
    ), f"at the printed batch of {batch} Eq. 10 has {summed / mean:.0f} times Eq. 7"


def nan_granularity(_: Finding) -> Result:
    columns = {d: [f"{v:.2f}" for v in ACCURACY[d].values()] for d in ACCURACY}
    sizes = {
        "ferplus": [total(ferplus.PUBLISHED[s]) for s in ("val", "test")],
        "rafdb": [total(rafdb.PUBLISHED["test"])],
    }
    all_fit = [len(forensics.fitting(columns[d], n)) == len(columns[d]) for d in sizes for n in sizes[d]]
    return not any(all_fit), "; ".join(
        f"{TITLES[d]} {columns_on(columns[d], n)}" for d in sizes for n in sizes[d]
    )


def nan_table2(_: Finding) -> Result:
    makers = {
        "FERPlus": tuple(ferplus.PUBLISHED["train"][c] for c in NAN_NAMES),
        "RAF-DB": tuple(rafdb.PUBLISHED["train"][c] for c in RAFDB_NAMES),
    }
    sums = ", ".join(f"{name} {sum(counts):,}" for name, counts in NAN_TABLE_2.items())
    return makers == NAN_TABLE_2, f"every class as its makers count; in all {sums}"


def nan_gains(_: Finding) -> Result:
    gains = {d: ACCURACY[d]["a_mobilenet"] - ACCURACY[d]["mobilenet_v1"] for d in GAIN}
    text = ", ".join(f"{gain:.2f}" for gain in gains.values())
    return all(round(gains[d], 2) == GAIN[d] for d in GAIN), f"A-MobileNet minus MobileNetV1: {text}"


def nan_sizes(_: Finding) -> Result:
    printed = {
        "mobilenet_v1": 3.2,
        "mobilenet_v2": 2.3,
        "mobilenet_v3_small": 1.5,
        "a_mobilenet": 3.4,
    }  # Table 3
    counted = {name: cost(name, channels=3, classes=8)[0] / 1e6 for name in printed}
    return all(round(counted[n], 1) == printed[n] for n in printed), ", ".join(
        f"{v:.2f} M" for v in counted.values()
    )


EVIDENCE: dict[str, Evidence] = {
    "a_mobilenet-rafdb": nan_rafdb,
    "a_mobilenet-ferplus": nan_ferplus,
    "a_mobilenet-parameters": nan_parameters,
    "a_mobilenet-v1": nan_v1,
    "a_mobilenet-best": nan_best,
    "a_mobilenet-order": nan_order,
    "a_mobilenet-five": nan_five,
    "a_mobilenet-center": nan_center,
    "a_mobilenet-granularity": nan_granularity,
    "a_mobilenet-table2": nan_table2,
    "a_mobilenet-gains": nan_gains,
    "a_mobilenet-sizes": nan_sizes,
}
