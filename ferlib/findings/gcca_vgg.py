"""Chen & Chen: the evidence behind the findings."""

from __future__ import annotations

import math

import numpy as np

from ferlib import claims, forensics
from ferlib.data import ckplus, ckplus_original, fer2013
from ferlib.data.dataset import book_name
from ferlib.experiments.gcca_vgg import TABLE_1
from ferlib.findings.arithmetic import cost, number, total
from ferlib.findings.finding import Evidence, Finding, Result
from ferlib.findings.parts import frames_of


def chen(dataset: str) -> list[tuple[float, float]]:
    """Acc and Sta of the six models of Table 1."""
    return [row[1] if dataset == "FER2013" else row[2] for row in TABLE_1.values()]


def chen_improves(_: Finding) -> Result:
    """Every model against model 1, as the sentence says; PD as a step of its own beside it."""
    least, text = [], []
    for dataset in ("FER2013", "CK+"):
        (accuracy, sta), *rest = chen(dataset)
        least += [min(a for a, _ in rest) - accuracy, sta - max(s for _, s in rest)]
        text.append(
            f"{dataset}: accuracy higher by {least[-2]:.2f} or more, Sta lower by {least[-1]:.2f} or more"
        )
    steps = [round(chen(d)[3][0] - chen(d)[2][0], 2) + 0.0 for d in ("FER2013", "CK+")]
    step = "; PD as a step {:+.2f} and {:+.2f}, which the text calls not obvious".format(*steps)
    return all(gain > 0 for gain in least), "; ".join(text) + step


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
    text = f"pairs possible: {said} frames (a tenth, a fifth of {frames:,}, our inference)"
    return smallest > fifth, f"{text}; all of them first on {smallest}"


def chen_others(_: Finding) -> Result:
    cells = [row for row in claims.others("gcca_vgg") if row.quantity == "Sta"]
    methods, runs = len({row.method for row in cells}), 10  # section 3.2
    text = f"{methods} methods, {len(cells)} cells of {runs} runs each: {runs * len(cells)} runs"
    return methods > 0, text


def chen_speed(_: Finding) -> Result:
    four, five = (cost("gcca_vgg", channels=1, model=m)[1] for m in (4, 5))
    text = f"model 5 needs {100 * (five / four - 1):+.1f} % multiply-adds against model 4 in our reading"
    return five > four, f"{text}; RA only adds layers"


def chen_card(finding: Finding, maker: int = 11) -> Result:
    printed = int(finding.printed.split()[-2])
    return printed != maker, f"NVIDIA makes the GTX 1080 Ti with {maker} GB, the GTX 1080 with 8"


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
        f"{book_name(c)} {n}" for c, n in sorted(ckplus.SEQUENCES.items(), key=lambda p: p[1])[:3]
    )


EVIDENCE: dict[str, Evidence] = {
    "gcca_vgg-swapped": chen_swapped,
    "gcca_vgg-improves": chen_improves,
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
    "gcca_vgg-card": chen_card,
    "gcca_vgg-dropout": chen_dropout,
    "gcca_vgg-ckplus": chen_ckplus,
    "gcca_vgg-rarest": chen_rarest,
}
