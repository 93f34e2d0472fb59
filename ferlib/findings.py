"""Findings of the forensics: ``claims/findings.csv`` has each one in words, this module the evidence behind it.

A finding sets one place of a paper against another place, another paper, the dataset or the described network. Where
there is arithmetic in it, `EVIDENCE` holds a function that computes it: ``finding -> (holds, text)``; ``holds`` says
whether the finding stands, ``text`` what was computed. Constants are numbers that the papers print, with their place.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from ferlib import claims, forensics
from ferlib.cost import ferplus_counts
from ferlib.data import ckplus, ckplus_original, fer2013, ferplus, rafdb
from ferlib.errors import FerlibError
from ferlib.experiments import get
from ferlib.experiments.a_mobilenet import ACCURACY, GAIN
from ferlib.experiments.amdcnn import TABLE_3, TABLE_8
from ferlib.experiments.gcca_vgg import TABLE_1

KINDS = (
    "typing slip",
    "unclear",
    "cannot both hold",
    "not what the described design gives",
    "checks out",
)
DATASET, DESIGN = (
    "the dataset",
    "the described network",
)  # what a place is set against, beside the five papers
Result = tuple[bool, str]


@dataclass(frozen=True)
class Finding:
    """One row. ``line`` and ``printed`` are the place's line in the stored text and a part of that line.

    ``against`` is empty (another place of the same paper), another paper's short name, `DATASET` or `DESIGN`;
    ``other``, ``other_line`` and ``other_printed`` are the place that it is set against, as far as it has any.
    ``changes`` says what the finding changes for a reader, ``resolve`` what would settle it.
    """

    id: str
    paper: str
    kind: str
    what: str
    place: str
    line: int
    printed: str
    against: str
    other: str
    other_line: int
    other_printed: str
    changes: str
    resolve: str


@cache
def load(path: Path | None = None) -> tuple[Finding, ...]:
    """All findings, in the order of the file. FerlibError for a file that has other columns or an unknown class."""
    path = path or Path(__file__).with_name("claims") / "findings.csv"
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        if reader.fieldnames != [f.name for f in fields(Finding)]:
            raise FerlibError(f"{path.name}: the columns must be {','.join(f.name for f in fields(Finding))}")
        rows = list(reader)
    found = []
    for row in rows:
        lines = {name: int(row[name] or 0) for name in ("line", "other_line")}
        finding = Finding(**{**row, **lines})  # type: ignore[arg-type]
        if finding.kind not in KINDS:
            raise FerlibError(f"{path.name}, {finding.id}: unknown class {finding.kind!r}")
        found.append(finding)
    return tuple(found)


def evidence(finding: Finding) -> Result:
    """Whether the finding stands by arithmetic, and what was computed; (True, "") where it stands in words alone."""
    test = EVIDENCE.get(finding.id)
    return test(finding) if test else (True, "")


def overview(findings: Sequence[Finding] | None = None) -> pd.DataFrame:
    """Number of findings by paper (rows) and class (columns)."""
    found = load() if findings is None else findings
    frame = pd.DataFrame([(f.paper, f.kind) for f in found], columns=["paper", "class"])
    table = pd.crosstab(frame["paper"], frame["class"])
    papers = list(dict.fromkeys(f.paper for f in found))
    return table.reindex(index=papers, columns=list(KINDS), fill_value=0)


# ---------------------------------------------------------------------------------------------------------
# Test parts that a protocol implies
# ---------------------------------------------------------------------------------------------------------

SHARES = (Fraction(1, 10), Fraction(3, 20), Fraction(1, 5), Fraction(1, 4), Fraction(3, 10))  # of CK+
RUNS = {"gcca_vgg": 10}  # that a printed accuracy is the mean of (section 3.2)


def frames_of(paper: str) -> int:
    """Frames of CK+: the last three of each labelled sequence; in Chen & Chen neutral ones and not contempt."""
    every = ckplus_original.FRAMES * total(ckplus.SEQUENCES)
    changed = ckplus.NEUTRAL["original"] - ckplus_original.FRAMES * ckplus.SEQUENCES["contempt"]
    return every + (changed if paper == "gcca_vgg" else 0)


def implied_parts(paper: str, dataset: str) -> dict[str, int]:
    """Test parts of a dataset that are official or usual: what they are -> number of images.

    CK+ has no official ones: shares of the frames, rounded up and down, and all of them.
    Raises KeyError for another dataset.
    """
    if dataset == "CK+":
        frames = frames_of(paper)
        parts = forensics.split_sizes(frames, SHARES)
        usual = {f"{float(100 * s):g} % of {frames:,}": sizes[-1] for s, sizes in parts.items()}
        below = {
            f"{float(100 * s):g} %, rounded down": sizes[0] for s, sizes in parts.items() if len(sizes) > 1
        }
        return {**usual, **below, "all frames": frames}
    test = total(fer2013.PUBLISHED["test"])
    majority = {split: total(ferplus.PUBLISHED[split]) for split in ("val", "test")}
    most = dict(zip(ferplus.CLASSES, ferplus_counts("argmax")["test"].astype(int), strict=True))
    return {
        "FER2013": {"private test": test, "both test parts": 2 * test},
        "FERPlus": {
            "private test, official rule": majority["test"],
            "public test, official rule": majority["val"],
            "private, most frequent vote": int(sum(most.values())),
            "the same, seven classes": int(sum(most.values()) - most["contempt"]),
            "private, FER2013's own": test,
        },
        "RAF-DB": {"test": total(rafdb.PUBLISHED["test"])},
    }[dataset]


# ---------------------------------------------------------------------------------------------------------
# Arithmetic that several findings share; numbers come from the caller
# ---------------------------------------------------------------------------------------------------------


def number(text: str) -> float:
    """A printed number: ``12,271``, ``1, 773``, ``5e-07``, ``69.07%``, ``0.2 M``."""
    return float(text.replace(",", "").replace(" ", "").rstrip("%Mx"))


def differ(finding: Finding) -> Result:
    """The two places print different numbers for one quantity."""
    a, b = number(finding.printed), number(finding.other_printed)
    return a != b, f"{finding.printed} and {finding.other_printed}, {a - b:+.4g} apart"


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


# ---------------------------------------------------------------------------------------------------------
# Shang et al.
# ---------------------------------------------------------------------------------------------------------

TITLES = {"fer2013": "FER2013", "ferplus": "FERPlus", "rafdb": "RAF-DB", "ckplus": "CK+"}
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
    column, frames = shang_column("ckplus"), ckplus_original.FRAMES * total(ckplus.SEQUENCES)
    most = max(len(forensics.fitting(column, n)) for n in range(1, frames + 1))
    return most < len(column), f"no part of up to {frames} frames admits more than {most} of {len(column)}"


def named_sizes() -> dict[int, str]:
    """Validation and test parts of FER2013 and, under each rule, of FERPlus: number of images -> what they are."""
    found = {total(fer2013.PUBLISHED["test"]): "a test part of FER2013"}
    for rule in ("majority", "argmax", "distribution"):
        for split in ("val", "test"):
            counts = dict(zip(ferplus.CLASSES, ferplus_counts(rule)[split].astype(int), strict=True))
            every = int(sum(counts.values()))
            found[every] = f"FERPlus' {split} part, {rule}, eight classes"
            found[every - int(counts["contempt"])] = f"FERPlus' {split} part, {rule}, seven classes"
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
    fewer = [c for c in counts if counts[c] < counts["fear"]]
    text = f"fear {counts['fear']:,} of {total(counts):,}; fewer have {', '.join(f'{c} {counts[c]:,}' for c in fewer)}"
    return len(fewer) >= len(counts) // 2, f"{text}; the mean is {total(counts) / len(counts):,.0f}"


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
    n = forensics.split_sizes(ckplus_original.FRAMES * total(ckplus.SEQUENCES), [Fraction(1, 5)])
    size = max(next(iter(n.values())))
    surprise = round(ckplus_original.FRAMES * ckplus.SEQUENCES["surprise"] / 5)
    fits = [k for k in range(1, 60) if rounded_measures(size, surprise, k) == TABLE_3["ckplus"][:4]]
    text = (
        f"one of {surprise} surprise frames among {size} taken for a class of {' or '.join(map(str, fits))}"
    )
    return bool(fits), f"{text} gives {', '.join(f'{v:.2f}' for v in TABLE_3['ckplus'][:4])}"


def rounded_measures(n: int, true: int, taken_for: int) -> tuple[float, ...]:
    return tuple(round(v, 2) for v in forensics.one_mistake(n, true, taken_for).values())


def shang_parameters(_: Finding) -> Result:
    from ferlib.models.amdcnn_readings import PRINTED, settled

    kept = settled(shang_readings())
    misses = " and ".join(f"{round(100 * kept[name], 2) + 0.0:+.2f} %" for name in ("miss_48", "miss_rafdb"))
    text = f"{kept['parameters'] / 1e6:.2f} M parameters; FLOPs {misses}"
    return bool(round(kept["parameters"] / 1e6, 1) == PRINTED["parameters"] / 1e6), text


def shang_sizes(_: Finding) -> Result:
    sides = [48, 46, 44]  # two convolutions of 3x3 without padding
    while len(sides) < 7:
        sides.append(math.ceil(sides[-1] / 2))
    return sides == [48, 46, 44, 22, 11, 6, 3], " → ".join(map(str, sides))


# ---------------------------------------------------------------------------------------------------------
# Chen & Chen
# ---------------------------------------------------------------------------------------------------------


def chen(dataset: str) -> list[tuple[float, float]]:
    """Acc and Sta of the six models of Table 1."""
    return [row[1] if dataset == "FER2013" else row[2] for row in TABLE_1.values()]


def chen_steps(_: Finding) -> Result:
    gains = {d: round(chen(d)[3][0] - chen(d)[2][0], 2) + 0.0 for d in ("FER2013", "CK+")}
    return all(g <= 0 for g in gains.values()), "PD: " + ", ".join(
        f"{g:+.2f} on {d}" for d, g in gains.items()
    )


def chen_swapped(finding: Finding) -> Result:
    fer, ck = (chen(d)[-1][0] for d in ("FER2013", "CK+"))
    return number(finding.printed) == fer, f"{fer:.2f} is FER2013's in Tables 1 and 2, {ck:.2f} CK+'s"


def chen_sad(finding: Finding) -> Result:
    counts, said = fer2013.PUBLISHED["train"], int(finding.printed.split()[-1])
    near = min(counts, key=lambda c: abs(counts[c] - said))
    return (
        near != "sad",
        f"sad {counts['sad']:,}, happy {counts['happy']:,}; near {said} is {near}, {counts[near]:,}",
    )


def chen_recalls(_: Finding) -> Result:
    recalls = {"sad": "55.98", "fear": "61.01"}  # section 3.5
    test = fer2013.PUBLISHED["test"]
    fits = {c: bool(forensics.compatible_counts(r, test[c])) for c, r in recalls.items()}
    ten = {c: bool(forensics.compatible_counts(r, 10 * test[c])) for c, r in recalls.items()}
    said = [
        f"{c} {r} of {test[c]}: one run {word(fits[c])}, ten runs {word(ten[c])}" for c, r in recalls.items()
    ]
    return not all(fits.values()), "; ".join(said)


def word(holds: bool) -> str:
    return "possible" if holds else "not possible"


def chen_sta(_: Finding) -> Result:
    sta = chen("FER2013")[-1][1]
    return sta**2 != sta, f"with Sta {sta:.2f} the mean square would be {sta**2:.2f}"


def chen_resolution(_: Finding) -> Result:
    sides = {block: 224 // 2 ** (block - 1) for block in range(1, 6)}
    return sides[2] > sides[
        5
    ], f"at 224×224 block 2 has {sides[2]} pixels a side, blocks 3 to 5 {sides[3]}, {sides[4]} and {sides[5]}"


def chen_factor(finding: Finding) -> Result:
    angles = len(ckplus.ANGLES)
    states, rest = divmod(int(finding.printed.split()[0]), angles)
    text = f"{angles} angles × {states} states of flipping; with a horizontal flip {2 * angles}, with both {4 * angles}"
    return rest == 0 and states not in (2, 4), text


def chen_eq4(_: Finding) -> Result:
    widths = {1: 64, 2: 128, 3: 256, 4: 512, 5: 512}  # VGG16
    misfit = [i for i in (3, 4, 5) if widths.get(i + 1) != widths[i]]
    said = [f"i = {i}: {widths[i]} against {widths.get(i + 1, 'no C6')}" for i in (3, 4, 5)]
    return bool(misfit), f"channels of C_i and C_(i+1): {'; '.join(said)}"


def chen_eq6(_: Finding, classes: int = 7) -> Result:
    centres = np.random.default_rng(0).normal(size=(classes, 16))
    units = centres / np.linalg.norm(centres, axis=1, keepdims=True)
    pairs = units @ units.T + 1
    more = pairs.sum() - pairs[~np.eye(classes, dtype=bool)].sum()
    text = f"each centre's cosine with itself adds 1 + 1: {more:.0f} for {classes} classes, wherever they are"
    return math.isclose(more, 2 * classes), text


def chen_pairs(_: Finding) -> Result:
    pairs, frames = chen("CK+"), frames_of("gcca_vgg")
    tenth, fifth = math.ceil(frames / 10), math.ceil(frames / 5)
    smallest = forensics.sizes_of_runs(pairs, 1000)[0]
    fits = {n: sum(forensics.possible_mean_and_sd(a, s, n) for a, s in pairs) for n in (tenth, fifth)}
    said = ", ".join(f"{k} of {len(pairs)} on {n}" for n, k in fits.items())
    return (
        smallest > fifth,
        f"pairs possible: {said} frames (a tenth, a fifth); all of them first on {smallest}",
    )


def chen_others(_: Finding) -> Result:
    cells = [row for row in claims.others("gcca_vgg") if row.quantity == "Sta"]
    methods, runs = len({row.method for row in cells}), 10  # section 3.2
    text = f"{methods} methods, {len(cells)} cells of {runs} runs each: {runs * len(cells)} runs"
    return methods > 0, text


def chen_speed(_: Finding) -> Result:
    four, five = (cost("gcca_vgg", channels=1, model=m)[1] for m in (4, 5))
    text = f"model 5 needs {100 * (five / four - 1):+.1f} % multiply-adds against model 4 in our reading"
    return five > four, f"{text}; RA only adds layers"


def chen_dropout(finding: Finding, features: int = 512) -> Result:
    dropped = number(finding.printed) * features
    return dropped < 1, f"of {features} features {dropped:.1f} is dropped on average"


def chen_ckplus(_: Finding) -> Result:
    every = ckplus_original.FRAMES * total(ckplus.SEQUENCES)
    without = every - ckplus_original.FRAMES * ckplus.SEQUENCES["contempt"]
    return (
        every == 981,
        f"981 = {ckplus_original.FRAMES} × {total(ckplus.SEQUENCES)}; without contempt {without}, and neutral added",
    )


def chen_rarest(_: Finding) -> Result:
    rarest = min(ckplus.SEQUENCES, key=lambda c: ckplus.SEQUENCES[c])
    return rarest == "contempt", ", ".join(
        f"{c} {n}" for c, n in sorted(ckplus.SEQUENCES.items(), key=lambda p: p[1])[:3]
    )


# ---------------------------------------------------------------------------------------------------------
# Nan et al.
# ---------------------------------------------------------------------------------------------------------

NAN_TABLE_2 = {  # AN DI FE HA SA SU NE CO
    "FERPlus": (2100, 119, 532, 7287, 3014, 3149, 8740, 119),
    "RAF-DB": (705, 717, 281, 4772, 1982, 1290, 2524),
}
NAN_NAMES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral", "contempt")
RAFDB_NAMES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


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
    gains = {d: ACCURACY[d]["a_mobilenet"] - ACCURACY[d]["mobilenet_v1"] for d in GAIN}
    agrees = all(round(gains[d], 2) == GAIN[d] for d in GAIN)
    return agrees, "A-MobileNet minus MobileNetV1: " + ", ".join(
        f"{g:.2f}" for g in gains.values()
    ) + ", the figures of the next sentence"


def nan_best(finding: Finding) -> Result:
    gap = number(finding.printed) - number(finding.other_printed)
    n = total(rafdb.PUBLISHED["test"])
    return gap < 0, f"{gap:+.2f} points, {abs(gap) * n / 100:.0f} of {n:,} images"


def nan_order(_: Finding) -> Result:
    from ferlib.models.a_mobilenet import PLACEMENTS, RATIOS, readings

    found = [r for r in readings() if r.placement in ("table", "text")]
    orders = {r.placement: r.order for r in found}
    meets = {p: [r.ratio for r in found if r.placement == p and r.meets] for p in orders}
    said = "; ".join(
        f"{p} {orders[p]}, 3.4 M with ratio {' or '.join(map(str, meets[p])) or 'none'}" for p in orders
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
    return nan_v1(_)[0], nan_v1(_)[1].partition(", the")[0]


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


# ---------------------------------------------------------------------------------------------------------
# Luo
# ---------------------------------------------------------------------------------------------------------

LUO = {"Table 1": ("68.01", "69.04"), "abstract": ("68.04", "69.07")}
OFFICIAL_TEST = 3589  # of FER2013; section 2.1 prints 7,178, both test parts together


def both_tests() -> dict[str, int]:
    return {c: fer2013.PUBLISHED["val"][c] + fer2013.PUBLISHED["test"][c] for c in fer2013.CLASSES}


def luo_pairs(_: Finding) -> Result:
    gaps = [float(b) - float(a) for a, b in zip(*LUO.values(), strict=True)]
    counts = [
        forensics.compatible_counts(v, OFFICIAL_TEST)
        for pair in zip(*LUO.values(), strict=True)
        for v in pair
    ]
    one = all(b[0] - a[0] == 1 for a, b in zip(counts[::2], counts[1::2], strict=True))
    text = ", ".join(f"{g:+.2f}" for g in gaps)
    return all(gaps), f"{text}: {'one image of 3,589 each' if one else 'points'}"


def luo_reaching(finding: Finding) -> Result:
    printed = finding.printed.rstrip("%")
    plain, se = LUO["Table 1"]
    gain = float(se) - float(plain)
    return printed == LUO["abstract"][
        0
    ], f"the gain of {gain:.2f} leads to {se} in Table 1; {printed} is the abstract's original CNN"


def luo_images(_: Finding) -> Result:
    column = [v for pair in LUO.values() for v in pair]
    fits = [len(forensics.fitting(column, n)) for n in (OFFICIAL_TEST, 2 * OFFICIAL_TEST)]
    chance = 100 * forensics.chance_of_compatibility(OFFICIAL_TEST) ** len(column)
    given = 100 * forensics.chance_with_gap(OFFICIAL_TEST, 3) ** 2  # 68.01 and 68.04, 69.04 and 69.07
    text = (
        f"{fits[0]} of {len(column)} possible on 3,589, {fits[1]} on 7,178; on 3,589 by chance {chance:.1f} %"
    )
    return fits[0] == len(column), f"{text}, or {given:.0f} % given that figures come in pairs 0.03 apart"


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
    """No class has more than ``most`` right if happy is the best and has four hundred and some."""
    merged, test = both_tests(), fer2013.PUBLISHED["test"]
    recalls = {c: (0.0, 100 * min(1.0, most / n)) for c, n in merged.items()}
    highest = forensics.accuracy_bounds(merged, recalls)[1]
    text = f"of 7,178 images at most {highest:.0f} % would then be right; of 3,589 happy's recall would be"
    text += f" at most {100 * most / test['happy']:.0f} %, below the accuracy"
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


# ---------------------------------------------------------------------------------------------------------
# Wang & Zhang
# ---------------------------------------------------------------------------------------------------------

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
    text = "; ".join(f"{rule}: {' / '.join(f'{n:,}' for n in counts)}" for rule, counts in rules.items())
    return printed == own and printed not in rules.values(), f"printed are FER2013's own; FER+ by {text}"


def wang_fits(_: Finding) -> Result:
    column, limit = wang_column("ferplus"), OFFICIAL_TEST
    found, chance = forensics.compatible_sizes(column, limit), forensics.expected_sizes(column, limit)
    rules = [int(ferplus_counts(rule)["test"].sum()) for rule in ("majority", "argmax", "distribution")]
    text = f"up to {limit:,} only {listed(found)} fits all {len(column)} ({chance:.2f} by chance)"
    return not {*found} & {*rules, limit}, f"{text}; the rules leave {listed(rules)}"


def wang_rate(_: Finding) -> Result:
    both = {r: [float(wang(d, r)) for d in ("ferplus", "ckplus")] for r in WANG_RATES}
    best = [WANG_RATES[max(both, key=lambda r: both[r][side])] for side in (0, 1)]
    mean = WANG_RATES[max(both, key=lambda r: sum(both[r]))]
    return best[
        0
    ] != "0.0001", f"best constant rate: {best[0]} on FER+, {best[1]} on CK+, {mean} on the mean of both"


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
    column, frames = wang_column("ckplus"), ckplus_original.FRAMES * total(ckplus.SEQUENCES)
    found = forensics.compatible_sizes(column, frames)
    chance = forensics.chance_of_compatibility(found[0]) ** len(column)
    return found[0] == math.floor(
        0.15 * frames
    ), f"all {len(column)} are fractions of {found[0]} = 15 % of {frames} ({chance:.0e} by chance)"


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


def same(finding: Finding) -> Result:
    """Two places print the same number, in percent or as a share."""
    a, b = (number(text) for text in (finding.printed, finding.other_printed))
    a, b = (100 * x if x <= 1 else x for x in (a, b))
    return math.isclose(a, b), f"{a:.2f} and {b:.2f}"


EVIDENCE: dict[str, Callable[[Finding], Result]] = {
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
    "gcca_vgg-swapped": chen_swapped,
    "gcca_vgg-improves": chen_steps,
    "gcca_vgg-sad": chen_sad,
    "gcca_vgg-recalls": chen_recalls,
    "gcca_vgg-sta": chen_sta,
    "gcca_vgg-resolution": chen_resolution,
    "gcca_vgg-factor": chen_factor,
    "gcca_vgg-eq4": chen_eq4,
    "gcca_vgg-eq6": chen_eq6,
    "gcca_vgg-pairs": chen_pairs,
    "gcca_vgg-others": chen_others,
    "gcca_vgg-speed": chen_speed,
    "gcca_vgg-dropout": chen_dropout,
    "gcca_vgg-ckplus": chen_ckplus,
    "gcca_vgg-rarest": chen_rarest,
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
    "se_cnn-pairs": luo_pairs,
    "se_cnn-reaching": luo_reaching,
    "se_cnn-images": luo_images,
    "se_cnn-validation": luo_validation,
    "se_cnn-disgust": luo_disgust,
    "se_cnn-happy": luo_happy,
    "se_cnn-blocks": luo_blocks,
    "se_cnn-gain": luo_gain,
    "msca_resnet-images": wang_ferplus,
    "msca_resnet-granularity": wang_fits,
    "msca_resnet-rate": wang_rate,
    "msca_resnet-factor": wang_factor,
    "msca_resnet-sequences": wang_sequences,
    "msca_resnet-shapes": wang_shapes,
    "msca_resnet-eq4": wang_cosine,
    "msca_resnet-147": wang_147,
    "msca_resnet-gains": wang_gains,
    "msca_resnet-modules": wang_modules,
    "msca_resnet-tfe": same,
}
