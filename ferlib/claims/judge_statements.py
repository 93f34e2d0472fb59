"""Verdicts on statements: words, curves, costs and counts, where attention looks, tests over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import f as fisher

from ferlib import chapters, tables
from ferlib.claims import Claim, facts, histories, words, zones
from ferlib.claims.verdicts import ENOUGH_SEEDS, RUN, Judgement, missing, uncertain
from ferlib.evaluate import welch
from ferlib.experiments import EXPERIMENTS
from ferlib.statements import matrix_of

REPEATS = 10  # of Chen & Chen (section 3.2)


def in_words(claim: Claim, results: Path | str) -> Judgement:
    """A statement in words, over the confusion matrix of each seed: it holds where it holds in most that can tell."""
    row, test = EXPERIMENTS[claim.experiment], words(claim.paper).get(claim.id)
    parts = tables.parts_of(results, row.id)
    if not parts or test is None:
        return Judgement(claim, missing(row) if test else "not testable")
    said = {r: [test(matrix_of([part], r)) for part in parts] for r in ("val_selected", "paper_style")}
    verdicts = {r: by_most([held for held, _ in told]) for r, told in said.items()}
    return Judgement(
        claim,
        verdicts["val_selected"],
        uncertain(parts),
        "; ".join(text for _, text in said["val_selected"]),
        runs=tables.evidence_label(parts),
        at_best_test=verdicts["paper_style"],
    )


def by_most(held: Sequence[bool | None]) -> str:
    """The verdict on a statement that was looked up in each of several runs; None is a run that cannot tell."""
    able = [h for h in held if h is not None]
    if not able:
        return "not shown"
    return "direction holds" if 2 * sum(able) > len(able) else "direction fails"


def in_history(claim: Claim, results: Path | str) -> Judgement:
    """A statement on curves, losses or training figures: it holds where it holds in most seeds that can tell."""
    rows = [EXPERIMENTS[name] for name in (claim.experiment, *claim.against.split())]
    by_seed = [{p["seed"]: p for p in tables.parts_of(results, row.id)} for row in rows]
    seeds = sorted(set.intersection(*(set(found) for found in by_seed)))
    if not seeds:
        return Judgement(claim, missing(rows[0]))
    test = histories(claim.paper)[claim.id]
    told = {seed: test(*(found[seed] for found in by_seed)) for seed in seeds}
    said = {seed: (held, text) for seed, (held, text) in told.items() if held is not None}
    if not said:
        return Judgement(
            claim, missing(rows[0]), why="; ".join(dict.fromkeys(text for _, text in told.values()))
        )
    verdict = by_most([bool(held) for held, _ in said.values()])
    groups = [[found[seed] for seed in said] for found in by_seed]
    ours = "; ".join(text for _, text in said.values())
    return Judgement(claim, verdict, uncertain(*groups), ours, runs=tables.evidence_label(groups[0]))


def from_facts(claim: Claim, results: Path | str) -> Judgement:
    """A statement on costs or on the datasets' own counts: nothing is trained for it, so nothing is provisional."""
    held, said = facts(claim.paper)[claim.id]()
    verdict = "not shown" if held is None else "direction holds" if held else "direction fails"
    return Judgement(claim, verdict, ours=said, why="needs no run")


def from_attention(claim: Claim, results: Path | str) -> Judgement:
    """Where attention looks: the mean difference in the share of the zones that the sentence names, and its interval.

    The measures are those beside the records of the two rows, see `ferlib.measures_run`: Grad-CAM of the layer by which
    each network is shown. Other layers stand beside it, since no paper names one; where one differs clearly to the
    other side, nothing is shown.
    """
    from ferlib import measures_claims
    from ferlib.measures_tables import points, runs_of
    from ferlib.measures_verdicts import by_layer, common, compare, direction, disagree

    places = zones(claim.paper)[claim.id]
    before, after = (runs_of(results, name) for name in (claim.against, claim.experiment))
    test = compare(before, after, places)
    if test is None:
        why = "the maps of the two networks are measured for no common seed"
        return Judgement(claim, missing(EXPERIMENTS[claim.experiment]), why=why)
    pairs = common(before, after)
    full = all(run.profile == "full" for pair in pairs.values() for run in pair)
    sentence = measures_claims.Claim(
        claim.paper, claim.place, claim.quantity, tuple(places), claim.against, claim.experiment
    )
    layers = by_layer(results, sentence)
    word = direction(test, layers)
    each = "; ".join(f"{layer} {points(found)}" for layer, found in layers.items())
    return Judgement(
        claim,
        {"holds": "direction holds", "opposite": "direction fails"}.get(word, word),
        len(pairs) < ENOUGH_SEEDS or not full,
        chapters.signed(100 * test["mean"]),
        runs=chapters.some(len(pairs), "seed"),
        why=f"share of Grad-CAM in {', '.join(places)}, points, by layer: {each}"
        + ("; the layers disagree" if disagree(layers) else ""),
    )


def from_heads(claim: Claim, results: Path | str) -> Judgement:
    """Whether the better classifiers of a network have the higher fusion weights, in every seed that is measured."""
    from ferlib import heads

    row = EXPERIMENTS[claim.experiment]
    parts = {p["seed"]: p for p in tables.parts_of(results, row.id)}
    found = heads.of_seeds(results, row.id, sorted(parts))
    if not found:
        why = (
            "the records hold the weights alone; `python -m ferlib.heads` measures each classifier"
            if parts
            else ""
        )
        return Judgement(claim, missing(row), why=why)
    told = [heads.best_weighs_most(one) for one in found.values()]
    used = [parts[seed] for seed in found]
    return Judgement(
        claim,
        "direction holds" if all(held for held, _ in told) else "direction fails",
        uncertain(used),
        "; ".join(text for _, text in told),
        runs=tables.evidence_label(used),
        why="test accuracy of each classifier with its weight, the main one last",
    )


SIGNIFICANT = 0.05  # where a text names a t-test and no bound


def from_tests(claim: Claim, results: Path | str) -> Judgement:
    """An independent samples t-test (Welch's) over the accuracies of our seeds, against the printed bound of its p.

    Where no bound is printed, it is whether the row is significantly better than the one it is tested against. A test
    that tells nothing apart shows nothing, whatever it was to confirm.
    """
    rows = [EXPERIMENTS[name] for name in (claim.against, claim.experiment)]
    parts = [tables.parts_of(results, row.id) for row in rows]
    if min(map(len, parts)) < 2:
        have = ", ".join(f"{len(found)} of {row.row}" for row, found in zip(rows, parts, strict=True))
        why = f"a t-test takes two seeds of each at the least; there are {have}"
        return Judgement(claim, missing(rows[1]), why=why)
    first, second = ([100 * p["result"]["val_selected"]["accuracy"] for p in found] for found in parts)
    test = welch(first, second)
    better = test["difference"] > 0
    if np.isnan(test["p"]):
        return Judgement(claim, RUN[1], why="neither row varies between its seeds")
    if test["p"] >= max(SIGNIFICANT, claim.value or 0.0):
        verdict = "not shown"
    elif not better:
        verdict = "direction fails"
    elif claim.value is None:
        verdict = "direction holds"
    else:
        verdict = "reproduced" if test["p"] < claim.value else "higher"
    return Judgement(
        claim,
        verdict,
        uncertain(*parts),
        f"{test['p']:.2g}",
        runs=tables.evidence_label(parts[1]),
        why=f"Welch's t = {test['t']:.2f}, {test['difference']:+.2f} points, {len(second)} and {len(first)} seeds",
    )


def stability(claim: Claim, parts: list[dict[str, Any]]) -> Judgement:
    """Chen & Chen's Sta (Eq. 9: the standard deviation over repeats, divided by their number) by an F-test.

    Theirs comes from ten repeats; a verdict on fewer of ours is provisional.
    """
    published = claim.value or 0.0
    k = len(parts)
    if k < 2:
        return Judgement(claim, RUN[1], why="a spread takes at least two seeds")
    accuracies = [100 * p["result"]["val_selected"]["accuracy"] for p in parts]
    ours = float(np.std(accuracies))
    verdict = "reproduced"
    if max(ours, published) > 0:
        unbiased = ours**2 * k / (k - 1), published**2 * REPEATS / (REPEATS - 1)
        ratio = unbiased[0] / unbiased[1] if unbiased[1] else float("inf")
        tail = float(fisher.cdf(ratio, k - 1, REPEATS - 1))
        if 2 * min(tail, 1 - tail) < 0.05:
            verdict = "lower" if ours < published else "higher"
    runs = tables.evidence_label(parts)
    unsure = k < REPEATS or bool(chapters.star(parts))
    return Judgement(
        claim, verdict, unsure, f"{ours:.2f}", ours - published, runs=runs, why=f"F-test, {k} repeats"
    )


def steadier(claim: Claim, results: Path | str) -> Judgement:
    """Whether the accuracy of a row spreads less over its seeds than that of another, with the F-test's p.

    The paper has ten repeats of each; a verdict on fewer of ours is provisional, and spreads that the test cannot tell
    apart show nothing.
    """
    rows = [EXPERIMENTS[name] for name in (claim.experiment, claim.against)]
    parts = [tables.parts_of(results, row.id) for row in rows]
    if min(map(len, parts)) < 2:
        have = ", ".join(f"{len(found)} of {row.row}" for row, found in zip(rows, parts, strict=True))
        why = f"a spread takes two seeds of each at the least; there are {have}"
        return Judgement(claim, missing(rows[0]), why=why)
    ours, theirs = ([100 * p["result"]["val_selected"]["accuracy"] for p in found] for found in parts)
    variances = [float(np.var(values, ddof=1)) for values in (ours, theirs)]
    tail = 0.5
    if max(variances) > 0:
        ratio = variances[0] / variances[1] if variances[1] else float("inf")
        below = float(fisher.cdf(ratio, len(ours) - 1, len(theirs) - 1))
        tail = min(below, 1 - below)
    order = "direction holds" if variances[0] < variances[1] else "direction fails"
    return Judgement(
        claim,
        order if 2 * tail < SIGNIFICANT else "not shown",
        min(map(len, parts)) < REPEATS or any(bool(chapters.star(found)) for found in parts),
        f"{variances[0] ** 0.5:.2f} against {variances[1] ** 0.5:.2f}",
        runs=tables.evidence_label(parts[0]),
        why=f"standard deviations in points; F-test p = {2 * tail:.2g}",
    )


def gathered(claim: Claim, results: Path | str) -> Judgement:
    """Whether a row's test logits are gathered better by class than another's, in every seed they share.

    `scatter_ratio` says how well. Where seeds disagree, nothing is shown.
    """
    rows = [EXPERIMENTS[name] for name in (claim.experiment, claim.against)]
    parts = [{p["seed"]: p for p in tables.parts_of(results, row.id)} for row in rows]
    seeds = sorted(parts[0].keys() & parts[1].keys())
    if not seeds:
        return Judgement(claim, missing(rows[0]), why="the two networks have no seed in common")
    pairs = [[tables.scatter(results, row.id, seed) for row in rows] for seed in seeds]
    better = [ours < theirs for ours, theirs in pairs]
    verdict = "direction holds" if all(better) else "not shown" if any(better) else "direction fails"
    used = [found[seed] for found in parts for seed in seeds]
    return Judgement(
        claim,
        verdict,
        len(seeds) < ENOUGH_SEEDS or bool(chapters.star(used)),
        "; ".join(f"{ours:.2f} against {theirs:.2f}" for ours, theirs in pairs),
        runs=tables.evidence_label([parts[0][seed] for seed in seeds]),
        why="scatter of the test logits within classes over that between class means; smaller is better gathered",
    )
