"""What the papers say on where attention looks, as comparisons of measured shares with a computed verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ferlib import measures
from ferlib.chapters import some
from ferlib.claims import NAMES
from ferlib.evaluate import holm
from ferlib.experiments import get
from ferlib.measures_claims import CLAIMS, UNTESTED, Claim
from ferlib.measures_tables import SEEDS, Run, each_seed, percent, points, runs_of
from ferlib.wording import variant


def common(first: Mapping[int, Run], second: Mapping[int, Run]) -> dict[int, tuple[Run, Run]]:
    """Runs of both by seed, for the seeds that both have, all on the images of the first of them."""
    found: dict[int, tuple[Run, Run]] = {}
    for seed in sorted(first.keys() & second.keys()):
        pair = first[seed], second[seed]
        like = next(iter(found.values()), pair)[0]
        if all(like.alike(run) for run in pair):
            found[seed] = pair
    return found


def compare(
    first: Mapping[int, Run],
    second: Mapping[int, Run],
    zones: Sequence[str],
    layer: str | None = None,
    kind: str = "share",
) -> dict[str, Any] | None:
    """Second minus first on the same images over the seeds that both have: see `measures.paired`; None without any.

    Also the means ``before`` and ``after``, and ``by_seed`` the mean differences of the single seeds, all over the same
    images: those that have a map of either network in every seed.
    """
    pairs = common(first, second)
    if not pairs:
        return None
    before, after = (
        np.stack([pair[i].values(zones, layer, kind) for pair in pairs.values()]) for i in range(2)
    )
    test = measures.paired(before, after, next(iter(pairs.values()))[0].people)
    there = ~np.isnan(after - before).any(0)
    return {
        "before": float(before[:, there].mean()),
        "after": float(after[:, there].mean()),
        "by_seed": dict(zip(pairs, (after - before)[:, there].mean(1).tolist(), strict=True)),
        **test,
    }


def direction(test: Mapping[str, Any], layers: Mapping[str, Mapping[str, Any]]) -> str:
    """``holds`` where the interval lies above zero, ``opposite`` where below, else ``not shown``.

    ``not shown`` as well where two of ``layers``, see `by_layer`, differ clearly to different sides: no paper names
    its layer.
    """
    if holds_zero(test) or disagree(layers):
        return "not shown"
    return "holds" if test["low"] > 0 else "opposite"


def verdict(
    test: Mapping[str, Any] | None, profiles: Iterable[str], layers: Mapping[str, Mapping[str, Any]]
) -> str:
    """`direction`, with ``provisional`` before it below `SEEDS` seeds or where a run is reduced.

    ``not measured`` without a test.
    """
    if test is None:
        return "not measured"
    word = direction(test, layers)
    return word if len(test["by_seed"]) >= SEEDS and set(profiles) <= {"full"} else f"provisional: {word}"


def holds_zero(test: Mapping[str, Any]) -> bool:
    """Whether the interval of a difference holds zero."""
    return bool(test["low"] <= 0 <= test["high"])


def disagree(layers: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether of differences by layer one lies clearly above zero and one clearly below."""
    return any(t["low"] > 0 for t in layers.values()) and any(t["high"] < 0 for t in layers.values())


def difference(test: Mapping[str, Any]) -> str:
    """The mean difference in points, with its interval but where there are two seeds; these stand beside it."""
    return f"{100 * test['mean']:+.1f}" if 1 < len(test["by_seed"]) < SEEDS else points(test)


def networks(claim: Claim) -> str:
    """The two networks of a claim as their paper's table calls them, size and start of rows from scratch left out."""
    both = (variant(get(one)) for one in (claim.first, claim.second))
    return " → ".join(name.partition(", from scratch")[0] for name in both)


def layer_of(claim: Claim, used: Sequence[Run]) -> str:
    """The layer whose map a claim is tested on; of two networks with other layers both."""
    return claim.layer or " → ".join(dict.fromkeys(run.found["layer"] for run in used)) or "–"


def claims(results: Path | str, paper: str | None = None) -> pd.DataFrame:
    """Each of `CLAIMS`: the measured share in its zones before and after, the paired difference, a verdict."""
    chosen = [claim for claim in CLAIMS if paper in (None, claim.paper)]
    pairs = [(runs_of(results, claim.first), runs_of(results, claim.second)) for claim in chosen]
    tests = [compare(a, b, claim.zones, claim.layer) for claim, (a, b) in zip(chosen, pairs, strict=True)]
    corrected = iter(holm([test["p"] for test in tests if test]))
    lines = []
    for claim, (a, b), test in zip(chosen, pairs, tests, strict=True):
        used = [run for both in common(a, b).values() for run in both]
        layers = by_layer(results, claim)
        area = f" (area {percent(used[0].area(claim.zones))})" if used else ""
        lines.append(
            {
                "the text says": f"{claim.text} ({claim.where})",
                "networks": networks(claim),
                "map of": layer_of(claim, used),
                "share in (%)": " + ".join(claim.zones) + area,
                "first → second (%)": f"{percent(test['before'])} → {percent(test['after'])}"
                if test
                else "–",
                "difference (points)": difference(test) if test else "–",
                "by seed (points)": each_seed(test["by_seed"]) if test else "–",
                "p (Holm)": f"{(p := next(corrected)):.2g}" if test else "–",
                "verdict": verdict(test, [run.profile for run in used], layers)
                + (", layers disagree" if disagree(layers) else "")
                + (", not after Holm" if test and p >= 0.05 and not holds_zero(test) else ""),
            }
        )
    return pd.DataFrame(lines)


def statements() -> pd.DataFrame:
    """Every sentence of `CLAIMS` and how it is tested, and of `UNTESTED` with the reason, paper by paper."""
    lines: dict[tuple[str, str], dict[str, str]] = {}
    for claim in CLAIMS:
        how = f"{' + '.join(claim.zones)}: {networks(claim)}" + (
            f" ({claim.reading})" if claim.reading else ""
        )
        line = {
            "paper": NAMES[claim.paper],
            "the text says": f"{claim.text} ({claim.where})",
            "tested as": how,
        }
        known = lines.setdefault((claim.paper, line["the text says"]), line)
        if known is not line:
            known["tested as"] += f"; {how}"
    for one in UNTESTED:
        text = f"{one.text} ({one.where})"
        lines[one.paper, text] = {
            "paper": NAMES[one.paper],
            "the text says": text,
            "tested as": f"not: {one.reason}",
        }
    papers = dict.fromkeys(paper for paper, _ in lines)
    return pd.DataFrame([line for paper in papers for key, line in lines.items() if key[0] == paper])


WAYS = {
    "share": "share, cells where they look",
    "even": "share, cells evenly spread",
    "hit": "maximum inside",
}


BRIEF = {"share": "share", "even": "even cells", "hit": "maximum"}  # the same where there is little room


def chosen_otherwise(
    results: Path | str, claim: Claim, kinds: Iterable[str] = tuple(WAYS), *, whole: bool = False
) -> dict[tuple[str, str], dict[str, Any]]:
    """A claim's difference by layer (that of the claim first) and kind of `WAYS`, over the common seeds.

    ``whole``: in Grad-CAM of whole layers alone, without the modules' own maps.
    """
    a, b = runs_of(results, claim.first), runs_of(results, claim.second)
    pairs = common(a, b)
    if not pairs:
        return {}
    before, after = next(iter(pairs.values()))
    layers = [n for n in before.found["layers"] if n in after.found["layers"]]
    found = {}
    for layer in sorted(layers, key=lambda n: n != (claim.layer or before.found["layer"])):
        for kind in kinds if not (whole and spatial(layer)) else ():
            if test := compare(a, b, claim.zones, layer, kind):
                found[layer, kind] = test
    return found


def choices(results: Path | str, claim: Claim) -> pd.DataFrame:
    """`chosen_otherwise` as a table: a line for each layer, a column for each kind."""
    lines: dict[str, dict[str, str]] = {}
    for (layer, kind), test in chosen_otherwise(results, claim).items():
        lines.setdefault(layer, {"map of": layer})[WAYS[kind]] = points(test)
    return pd.DataFrame(list(lines.values()))


def by_layer(results: Path | str, claim: Claim) -> dict[str, dict[str, Any]]:
    """The difference in Grad-CAM's share, over the common seeds, in each layer: that of the claim first."""
    found = chosen_otherwise(results, claim, ("share",), whole=True)
    return {layer: test for (layer, _), test in found.items()}


def elsewhere(results: Path | str, claim: Claim) -> dict[str, dict[str, Any]]:
    """Of `by_layer` the other layers whose difference is clear and as the paper says: its interval is above zero."""
    others = list(by_layer(results, claim).items())[1:]
    return {layer: test for layer, test in others if test["low"] > 0}


def spatial(layer: str) -> bool:
    """Whether a map is a module's own spatial attention, not Grad-CAM of a layer."""
    return "." in layer


def otherwise(results: Path | str) -> pd.DataFrame:
    """A line for each measured claim: what becomes of its difference in another way of `WAYS` and in other layers.

    Of Grad-CAM in all layers it tells in how many differences the second network has more, ``more``, among those whose
    interval leaves zero out, ``clear``. ``attrs["sentences"]`` counts the papers' sentences behind the lines.
    """
    lines, texts = [], set()
    for claim in CLAIMS:
        found = chosen_otherwise(results, claim, whole=True)
        if not found:
            continue
        first = next(layer for layer, _ in found)
        clear = [test for test in found.values() if not holds_zero(test)]
        texts.add((claim.paper, claim.text))
        lines.append(
            {
                "networks": f"{NAMES[claim.paper]}: {networks(claim)}",
                "zones": " + ".join(claim.zones),
                "layer": first,
                **{
                    said: points(found[first, kind]) for kind, said in BRIEF.items() if (first, kind) in found
                },
                "clear": len(clear),
                "more": sum(test["low"] > 0 for test in clear),
            }
        )
    frame = pd.DataFrame(lines)
    frame.attrs["sentences"] = len(texts)
    return frame


def divided(frame: pd.DataFrame) -> str:
    """How many comparisons of `otherwise` have clear differences of both signs, in a sentence."""
    clear, more = frame["clear"], frame["more"]
    both = frame[(more > 0) & (more < clear)]
    return (
        f"Of {some(len(frame), 'comparison')} of {some(frame.attrs['sentences'], 'sentence')}, "
        f"{len(both) or 'none'} {'has' if len(both) == 1 else 'have'} clear differences of both signs, by "
        "the layer, the placing of its cells or the measure."
    )
