"""Shang et al.: the evidence behind the findings."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache

import pandas as pd

from ferlib import forensics
from ferlib.cost import ferplus_counts
from ferlib.data import ckplus, ckplus_original, fer2013, ferplus
from ferlib.experiments.a_mobilenet import ACCURACY
from ferlib.experiments.amdcnn import TABLE_3, TABLE_8
from ferlib.findings.arithmetic import RULES, TITLES, columns_on, differ, listed, number, same, total
from ferlib.findings.finding import Evidence, Finding, Result
from ferlib.findings.parts import frames_of

SHANG_TESTS = {"fer2013": 3589, "ferplus": 3519, "rafdb": 3068}  # official; most frequent vote; official


def shang_column(dataset: str) -> list[str]:
    at = list(TABLE_3).index(dataset)
    return [f"{row[3][at]:.2f}" for row in TABLE_8.values()]


def shang_recall(_: Finding) -> Result:
    gaps = {d: round(v[2] - v[0], 2) for d, v in TABLE_3.items()}
    counts = [
        forensics.compatible_counts(f"{v:.2f}", SHANG_TESTS["fer2013"]) for v in TABLE_3["fer2013"][:3:2]
    ]
    one_apart = counts[0] and counts[1] and counts[0][0] - counts[1][0] == 1
    text = f"recall minus accuracy: {', '.join(f'{g:+.2f}' for g in gaps.values())}"
    text += f"; on FER2013 that is one image of {SHANG_TESTS['fer2013']:,}" if one_apart else ""
    return gaps["fer2013"] != 0 and sum(g == 0 for g in gaps.values()) == 3, text


def shang_precision(finding: Finding) -> Result:
    holds, text = differ(finding)
    precision = f"{TABLE_3['ckplus'][1] / 100:.4f}"
    return holds and precision == finding.printed, f"{text}; Table 3 has {precision} as precision"


@cache
def shang_readings() -> pd.DataFrame:
    from ferlib.models.amdcnn_readings import enumerate_readings

    return enumerate_readings()


def shang_flops_at_224(_: Finding) -> Result:
    from ferlib.models.amdcnn_readings import CHOICES, PRINTED

    readings = shang_readings()
    least = readings.groupby("rafdb_size")["multiply_adds_rafdb"].min() / PRINTED["flops_rafdb"]
    near = readings.iloc[int(readings["miss_rafdb"].abs().to_numpy().argmin())]
    networks = len(readings.drop_duplicates(list(CHOICES)))
    text = f"at 224×224 the cheapest of {networks:,} readings of the network needs {least[224]:.1f} times the printed"
    return bool(least[224] > 1.01), f"{text} FLOPs; the nearest has {near['rafdb_size']}×{near['rafdb_size']}"


def shang_ferplus_images(finding: Finding) -> Result:
    votes = {
        rule: int(sum(c.sum() for c in ferplus_counts(rule).values())) for rule in ("majority", "argmax")
    }
    text = f"official rule {votes['majority']:,}; most frequent vote {votes['argmax']:,}"
    gap = votes["argmax"] - int(number(finding.printed))
    return votes["majority"] != number(finding.printed), f"{text}, {gap} more than printed"


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def shang_eq3(_: Finding) -> Result:
    found = [sigmoid(1) + 1, 2 * sigmoid(1), sigmoid(2)]
    text = f"with both perceptrons at 1: first line {found[0]:.2f}, second {found[1]:.2f}, one sigmoid around the sum"
    return len({round(x, 6) for x in found}) == 3, f"{text} (CBAM; Nan et al., Eq. 2) {found[2]:.2f}"


def shang_dataset(_: Finding) -> Result:
    flops = {name: TABLE_3[d][-1] for d, name in TITLES.items()}
    text = ", ".join(f"{name} {value:.2f}" for name, value in flops.items())
    return flops["RAF-DB"] != flops["CK+"], f"Table 3: {text}"


def shang_eq15(_: Finding, classes: int = 7) -> Result:
    accuracy = TABLE_3["fer2013"][0]
    counted = 100 - 2 * (100 - accuracy) / classes
    return (
        counted != accuracy,
        f"summed over {classes} classes it would make {accuracy:.2f} % into {counted:.2f} %",
    )


def shang_table8(_: Finding) -> Result:
    found = {d: forensics.fitting(shang_column(d), n) for d, n in SHANG_TESTS.items()}
    text = "; ".join(f"{TITLES[d]} {columns_on(shang_column(d), n)}" for d, n in SHANG_TESTS.items())
    return all(len(values) < len(TABLE_8) for values in found.values()), text


def shang_table8_ckplus(_: Finding) -> Result:
    column, frames = shang_column("ckplus"), frames_of("amdcnn")
    most = max(len(forensics.fitting(column, n)) for n in range(1, frames + 1))
    return most < len(column), f"no part of up to {frames} frames admits more than {most} of {len(column)}"


def named_sizes() -> dict[int, str]:
    """Validation and test parts of FER2013 and, under each rule, of FERPlus: number of images -> what they are."""
    found = {total(fer2013.PUBLISHED["test"]): "a test part of FER2013"}
    for rule, labels in RULES.items():
        for split, part in (("val", "validation"), ("test", "test")):
            counts = dict(zip(ferplus.CLASSES, ferplus_counts(rule)[split].astype(int), strict=True))
            every = int(sum(counts.values()))
            found[every] = f"FERPlus' {part} part, {labels}, eight classes"
            found[every - int(counts["contempt"])] = f"FERPlus' {part} part, {labels}, seven classes"
    return found


def shang_cut(_: Finding, limit: int = 4000) -> Result:
    column, known = shang_column("fer2013"), named_sizes()
    cut, rounded = (forensics.compatible_sizes(column, limit, cut=c) for c in (True, False))
    text = f"all six fit {listed(cut)} if cut off, {listed(rounded)} if rounded"
    named = "; ".join(f"{n:,} is {known[n]}" for n in cut if n in known)
    chance = 2 * math.fsum(forensics.chance_of_compatibility(n) ** len(column) for n in known)
    tried = f"of {len(known)} sizes tried in both ways {chance:.2f} would fit by chance"
    return bool(named), f"{text}. {named}; {tried}"


def shang_fear(_: Finding) -> Result:
    counts = fer2013.PUBLISHED["train"]
    told = [f"{c} {n:,}" for c, n in sorted(counts.items(), key=lambda item: item[1])]
    at = [text.partition(" ")[0] for text in told].index("fear")
    text = f"fear {counts['fear']:,}, the mean is {total(counts) / len(counts):,.0f}"
    text += f"; fewer have {', '.join(told[:at])}; more have {', '.join(told[at + 1 :])}"
    return at == len(counts) // 2, text  # the middle of seven


def shang_names(_: Finding) -> Result:
    behind = forensics.renamed(sorted(fer2013.CLASSES), fer2013.CLASSES)
    moved = {name: true for name, true in behind.items() if name != true}
    text = ", ".join(f"“{name}” would be {true}" for name, true in moved.items())
    best = {behind[c] for c in ("happy", "sad", "neutral")}  # V.A.1, the three named first
    agreed = {"happy", "surprise", "neutral"}  # Wang & Zhang 3.5; Nan et al. 3.2 put these three first
    said = f"V.A.1's best three, happy, sad and neutral, would be {', '.join(sorted(best))}"
    return best == agreed, f"{text}. {said}, which Nan et al. (3.2) and Wang & Zhang (3.5) name"


def shang_reference(_: Finding) -> Result:
    own, table_6 = TABLE_3["ferplus"][0], TABLE_3["rafdb"][0]
    nan = {d: ACCURACY[d]["a_mobilenet"] for d in ("ferplus", "rafdb")}
    text = f"on RAF-DB it is {table_6 - nan['rafdb']:.2f} below and listed, on FERPlus {nan['ferplus'] - own:.2f} above"
    return nan["ferplus"] > own and nan["rafdb"] < table_6, f"{text} and not"


def shang_reference_39(finding: Finding) -> Result:
    own, theirs = TABLE_3["ferplus"][0], 100 * number(finding.other_printed)
    return (
        theirs > own,
        f"{100 * number(finding.printed):.2f} and {theirs:.2f}, the latter {theirs - own:+.2f} against {own:.2f}",
    )


def shang_widths(_: Finding) -> Result:
    from ferlib.models.amdcnn import WIDTHS

    return (
        3 not in WIDTHS,
        f"three maps against {', '.join(map(str, WIDTHS))} channels, and no rule to bring them together",
    )


def shang_one_mistake(_: Finding) -> Result:
    """From a fifth of the frames and from a fifth of the sequences, of which all frames are tested."""
    fifth, every = Fraction(1, 5), {1: frames_of("amdcnn"), ckplus_original.FRAMES: total(ckplus.SEQUENCES)}
    sizes = {step: forensics.split_sizes(n, [fifth])[fifth] for step, n in every.items()}
    fits = {
        step: {step * n: classes_taken_for(step * n, step) for n in found} for step, found in sizes.items()
    }
    frames, sequences = (
        " and ".join(f"{n} ({' or '.join(map(str, found))})" for n, found in part.items() if found)
        for part in fits.values()
    )
    text = f"one surprise frame taken for a small class gives {', '.join(f'{v:.2f}' for v in TABLE_3['ckplus'][:4])}"
    text += f". Test frames, and frames of the other class: {frames} of a fifth of the {every[1]} frames"
    text += f"; {sequences} of a fifth of the {total(ckplus.SEQUENCES)} whole sequences"
    return bool(frames and sequences), text


def classes_taken_for(n: int, step: int) -> list[int]:
    """Sizes of the class, in whole steps, for which one surprise frame of n is taken where Table 3 comes out."""
    share = Fraction(ckplus.SEQUENCES["surprise"], total(ckplus.SEQUENCES))
    surprise = step * round(share * n / step)
    return [k for k in range(step, n // 3, step) if rounded_measures(n, surprise, k) == TABLE_3["ckplus"][:4]]


def rounded_measures(n: int, true: int, taken_for: int) -> tuple[float, ...]:
    return tuple(round(v, 2) for v in forensics.one_mistake(n, true, taken_for).values())


def shang_parameters(_: Finding) -> Result:
    from ferlib.models.amdcnn_readings import PRINTED, settled

    kept = settled(shang_readings())
    misses = " and ".join(f"{round(100 * kept[name], 2) + 0.0:+.2f} %" for name in ("miss_48", "miss_rafdb"))
    text = f"{kept['parameters'] / 1e6:.2f} M parameters; FLOPs {misses}"
    near = max(abs(kept["miss_48"]), abs(kept["miss_rafdb"])) < 0.005
    return bool(near and round(kept["parameters"] / 1e6, 1) == PRINTED["parameters"] / 1e6), text


def shang_sizes(_: Finding) -> Result:
    sides = [48, 46, 44]  # two convolutions of 3x3 without padding
    while len(sides) < 7:
        sides.append(math.ceil(sides[-1] / 2))
    return sides == [48, 46, 44, 22, 11, 6, 3], " → ".join(map(str, sides))


EVIDENCE: dict[str, Evidence] = {
    "amdcnn-ckplus-accuracy": shang_precision,
    "amdcnn-fer2013-recall": shang_recall,
    "amdcnn-flops-rafdb": differ,
    "amdcnn-flops-dataset": shang_dataset,
    "amdcnn-rafdb-size": shang_flops_at_224,
    "amdcnn-ferplus-images": shang_ferplus_images,
    "amdcnn-eq3": shang_eq3,
    "amdcnn-eq8": shang_widths,
    "amdcnn-eq15": shang_eq15,
    "amdcnn-table8": shang_table8,
    "amdcnn-table8-ckplus": shang_table8_ckplus,
    "amdcnn-table8-cut": shang_cut,
    "amdcnn-fear": shang_fear,
    "amdcnn-names": shang_names,
    "amdcnn-table5": shang_reference,
    "amdcnn-reference39": shang_reference_39,
    "amdcnn-one-mistake": shang_one_mistake,
    "amdcnn-parameters": shang_parameters,
    "amdcnn-table1": shang_sizes,
    "amdcnn-nan": same,
}
