"""The comparison's tables and sentences, made from what `ferlib.comparison` loads and tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm

from ferlib import chapters, tables
from ferlib.comparison import (
    DATASETS,
    ENOUGH_SEEDS,
    Against,
    Gain,
    Tested,
    across,
    against_twins,
    alike,
    difference,
    measured,
    overall,
    pooled,
    rows_of,
    shared_gaps,
    title,
)
from ferlib.couples import LAST, in_points
from ferlib.evaluate import average_ranks, holm, paired_seeds, variance_split
from ferlib.experiments import EXPERIMENTS
from ferlib.experiments.comparison import NETWORKS

# Accuracy on training images below which a network's training is too far from its end to be compared. FER2013's labels
# are noisy: people agree with 65 % of them (Goodfellow et al. 2013, section 3), so that a network needs to fit no more.
FITTED = {"ckplus": 0.9, "fer2013": 0.65}
AGREEMENT = {"fer2013": " (the accuracy of people on its labels)"}
ALONE = ("se_cnn", "msca_resnet")  # networks that differ from their twins in attention and in nothing else
WHOLE = ("a_mobilenet",)  # networks whose twin, that of their paper's step, lacks more than attention
KEPT = " (MSCA-ResNet's twin keeps four of its seven SE blocks)"  # Table 3 takes it from the multiscale modules alone


def waiting(dataset: str, results: Path | str) -> str:
    """Which networks have no result yet, and on CK+48 how many of their folds a seed has; empty where all have one."""
    lines = []
    for name in NETWORKS:
        by_fold = [{p["seed"] for p in tables.parts_of(results, row.id)} for row in rows_of(name, dataset)]
        if set.intersection(*by_fold):
            continue
        most = max((sum(seed in seeds for seeds in by_fold) for seed in set.union(*by_fold)), default=0)
        lines.append(title(name) + (f" ({most} of {len(by_fold)} folds)" if most else ""))
    return f"Without a result so far: {', '.join(lines)}." if lines else ""


def counted(found: dict[str, Tested]) -> str:
    """What the intervals and tests of these results count, in a sentence."""
    numbers = {len(t.seeds) for t in found.values()}
    if numbers <= {1}:
        return (
            "One seed each: the intervals and p-values count the choice of test images, not that of the seed. "
            "A difference that they confirm may still be one of two particular trainings."
        )
    text = "The intervals and p-values count the choice of test images and the spread between seeds."
    if 1 in numbers:
        text += " Where only one seed is shared, they count the test images alone."
    return text


def summary(found: dict[str, Tested], cost: dict[str, dict[str, float]]) -> pd.DataFrame:
    """One line for each network: multiply-adds and accuracy (percent)."""
    lines = []
    for name, t in found.items():
        low, high = t.interval
        by_seed = 100 * t.correct.mean(1)
        spread = f" ± {by_seed.std(ddof=1):.2f}" if len(by_seed) > 1 else ""
        lines.append(
            {
                "network": title(name),
                "multiply-adds (million)": f"{cost[name]['multiply-adds'] / 1e6:.0f}",
                "accuracy (%)": f"{100 * t.accuracy:.2f}{spread}{chapters.REDUCED if t.reduced else ''}",
                "95 % interval (%)": f"{100 * low:.1f} to {100 * high:.1f}",
                "on training images (%)": f"{100 * t.fitted:.1f}",
                "seeds": len(t.seeds),
                "images": f"{len(t.ids):,}",
            }
        )
    return pd.DataFrame(lines)


def gains(found: dict[str, Tested]) -> pd.DataFrame:
    """Attention against its twin, network by network; p also after Holm's correction over the table.

    Beside the interval stands what is left without a chosen epoch: `ferlib.comparison.at_the_end`.
    """
    return pd.DataFrame(
        [
            {
                "network": title(one.name),
                "network minus twin (points)": chapters.signed(one.test["mean"]),
                "95 % interval (points)": f"{one.test['low']:+.1f} to {one.test['high']:+.1f}",
                f"last {LAST} epochs": "–" if np.isnan(one.test["last"]) else f"{one.test['last']:+.2f}",
                "p": f"{one.test['p']:.2g}",
                "after Holm": f"{one.corrected:.2g}",
                "seeds in favour": f"{one.test['positive']:.0f} of {one.test['seeds']:.0f}",
            }
            for one in against_twins(found)
        ]
    )


def verdict(found: dict[str, Tested], dataset: str) -> str:
    """Does attention help when training is equal, by how much, and could it be chance? In sentences."""
    tests = against_twins(found)
    if not tests:
        return "no network has run with its twin yet."
    short = [one for one in tests if found[one.name].reduced]
    slow = unfitted(found, dataset)
    apart = [one.name for one in (*short, *slow)]
    said = [alone(tests[0]) if len(tests) == 1 else together(tests, apart)]
    if short:
        names = chapters.listed(title(one.name) for one in short)
        twins = "its twin" if len(short) == 1 else "their twins"
        said.append(f"{names} and {twins} were shortened, before the rate had fallen, and count in no mean.")
    for one in slow:
        fitted = " and ".join(f"{100 * fit:.0f} %" for fit in fit_of(found, one.name))
        said.append(
            f"{title(one.name)} and its twin fit {fitted} of their training images. A pair of which one fits less than "
            f"{100 * FITTED[dataset]:.0f} %{AGREEMENT.get(dataset, '')} counts as trained too little: their difference "
            "may be one of how fast they train."
        )
    mean = overall(found, FITTED[dataset])
    if mean is not None:
        which = "other pairs" if slow or short else "pairs"
        side = "above" if mean[1]["mean"] > 0 else "below"
        said.append(
            f"Over the {mean[0]} {which} the networks with attention lie on average "
            f"{abs(mean[1]['mean']):.2f} points {side} their twins "
            f"({mean[1]['low']:+.1f} to {mean[1]['high']:+.1f}, p = {mean[1]['p']:.2g}; {_last(mean[1])}"
            f"{_shared(mean[1], found)})."
        )
        low, high = across(found, FITTED[dataset])
        said.append(
            f"That is of these networks; as a sample of others, whose gains would differ as theirs do, they tell the "
            f"mean to within {low:+.1f} to {high:+.1f}."
        )
    if by_attention := [title(one.name) for one in tests if one.name in ALONE]:
        verb = "differs from its twin" if len(by_attention) == 1 else "differ from their twins"
        rest = "; the other twins lack more than that" if len(tests) > len(by_attention) else ""
        text = f"{chapters.listed(by_attention)} {verb} in attention alone"
        if (mean := overall(found, FITTED[dataset], ALONE)) is not None:
            test = mean[1]
            text += (
                f", on average by {chapters.signed(test['mean'])} points ({test['low']:+.1f} to "
                f"{test['high']:+.1f}, p = {test['p']:.2g}; {_last(test)}{_shared(test, found)})"
            )
        said.append(f"{text}{rest}.")
    if wait := sum(twin is not None for *_, twin in NETWORKS.values()) - len(tests):
        said.append(f"{chapters.some(wait, 'pair')} {'wait' if wait > 1 else 'waits'} for runs.")
    seeds = [int(one.test["seeds"]) for one in tests]
    least, most = min(seeds), max(seeds)
    each = f"{least} to {most} seeds" if least < most else chapters.some(least, "seed")
    few = least < ENOUGH_SEEDS or any(found[one.name].reduced for one in tests)
    return " ".join([*said, f"{each} each{': provisional' if few else ''}."])


def groups(
    gains: Sequence[Gain], found: Mapping[str, dict[str, Tested]], results: Path | str
) -> dict[str, list[Gain]]:
    """What `plots.forest` draws, by heading: ``gains`` (`comparison.headline`), then each network against its twin.

    Of the latter `unseen_people` come first, then those of the common protocol, and of these the networks that differ
    from their twins in attention alone before the others. ``found`` is `comparison.everything` of each dataset;
    without a result a dataset is left out, except CK+48.
    """
    alone: list[Gain] = []
    more: list[Gain] = []
    for dataset, tested in found.items():
        if not tested and dataset != "ckplus":
            continue
        unfit = {one.name for one in unfitted(tested, dataset)}
        names = [name for name, (*_, twin) in NETWORKS.items() if twin]
        for name, gain in zip(names, alike(tested, _place(dataset)), strict=True):
            (alone if name in ALONE else more).append(replace(gain, undertrained=name in unfit))
    return {
        "Each paper's own protocol": list(gains),
        "Its settings, people not seen: attention alone": unseen_people(results),
        "One protocol for all: attention alone": alone,
        "One protocol for all: twins that lack more": more,
    }


def that_ran(groups: Mapping[str, Sequence[Gain]]) -> tuple[dict[str, list[Gain]], str]:
    """The pairs of `groups` that have run, and a sentence on those that have not; empty where all have."""
    ran = {heading: [g for g in gains if g.ours is not None] for heading, gains in groups.items()}
    waiting: dict[str, list[str]] = {}
    for heading, gains in groups.items():
        for gain in (g for g in gains if g.ours is None):
            why = f"{gain.missing} ({heading[:1].lower()}{heading[1:]})"
            waiting.setdefault(why, []).append(gain.title.replace(", ", " on "))
    said = " ".join(f"{_upper(why)}: {'; '.join(names)}." for why, names in waiting.items())
    return {heading: gains for heading, gains in ran.items() if gains}, said


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def landing(
    gains: Sequence[Gain], found: Mapping[str, dict[str, Tested]], results: Path | str
) -> tuple[str, list[str], str]:
    """The answer, in a few words, and its three sentences.

    The sentences: the papers' own protocols, attention alone under one protocol, which printed gains that excludes.
    Last what the figure has beside it: the pairs that are in no mean, and those of other splits; empty where nothing.
    """
    alone, every = _means(found, ALONE), _means(found, tuple(NETWORKS))
    said = [_own(gains)]
    if not every and not alone:
        return (
            _answer({}, []),
            [*said, "No two networks have run with their twins under one protocol yet."],
            "",
        )
    if alone:
        names = chapters.listed(_plain(name) for name in ALONE)
        said.append(
            f"Trained alike, {names}, which differ from their twins in attention alone{KEPT}, gain on average "
            f"{_sizes(alone)} (95 % intervals; over the last {LAST} epochs, where none is chosen, {_lasts(alone)})."
        )
    else:
        said.append(
            f"Trained alike, the networks with attention differ from their twins by {_with_more(every)}."
        )
    few = [
        f"{chapters.some(int(test['seeds']), 'seed')} on {_place(name)}"
        for name, (_, test) in (alone or every).items()
        if test["seeds"] < ENOUGH_SEEDS
    ]
    provisional = f"; with {chapters.listed(few)} this is provisional" if few else ""
    if fates := _fates(gains, alone, found):
        said.append(f"{fates}{provisional}.")
    elif provisional:
        said[-1] = said[-1].removesuffix(".") + f"{provisional}."
    unseen = unseen_people(results)
    more = [_on_people(unseen, results), _with_classifiers(results), _left_out(found, every)]
    return _answer(alone, unseen), said, " ".join(filter(None, more))


def _own(gains: Sequence[Gain]) -> str:
    """What the papers print for attention, and what their own protocols give here, in a sentence."""
    networks = [_plain(name) for name in WHOLE if any(g.title.startswith(_plain(name)) for g in gains)]
    apart = f" (for {chapters.listed(networks)} the whole network)" if networks else ""
    published = sorted(gain.published for gain in gains if gain.published is not None)
    whole = [gain for gain in gains if gain.counts]
    short = [gain for gain in gains if gain.ours is not None and gain.reduced]
    text = (
        f"The papers print gains of {published[0]:.2f} to {published[-1]:.2f} points for {len(gains)} steps to "
        f"attention{apart}; {len(whole) or 'none'} of these {'has' if len(whole) == 1 else 'have'} whole runs here"
    )
    if 0 < len(whole) <= 3:
        each = [
            f"{g.title.replace(', ', ' on ')} {chapters.signed(g.ours or 0.0)} "
            f"{chapters.bounds(g.low or 0.0, g.high or 0.0)}"
            for g in whole
        ]
        text += f", {chapters.listed(each)}"
    if whole:
        text += (
            f"{';' if len(whole) <= 3 else ', and'} beyond the chance of test images the gain lies above zero in "
            f"{_those([g for g in whole if g.above])}, below it in {_those([g for g in whole if g.below])}"
        )
    if short:
        each = [f"{g.title.replace(', ', ' on ')} {chapters.signed(g.ours or 0.0)}" for g in short]
        text += f"; shortened runs of {chapters.listed(each)} are no verdict yet"
    return f"{text}."


def unseen_people(results: Path | str) -> list[Gain]:
    """Attention alone on CK+48 in folds by subject, with each paper's own settings (`OWN_ALONE`)."""
    gains = []
    for name, pair in OWN_ALONE.items():
        gain = Gain(f"{_plain(name)}, CK+48", None)
        if (both := own_pair(pair, results)) is not None and (test := difference(*both)) is not None:
            reduced = any(one.reduced for one in both)
            slow = min(one.fitted for one in both) < FITTED["ckplus"]
            gain = replace(measured(gain, test, len(both[0].ids), reduced), undertrained=slow)
        gains.append(gain)
    return gains


def _corrected(gains: Sequence[Gain]) -> dict[str, float]:
    """p of each that counts after Holm's correction for their number, by title."""
    known = [gain for gain in gains if gain.counts and gain.p is not None]
    return dict(zip([g.title for g in known], holm([g.p or 0.0 for g in known]), strict=True))


def _on_people(unseen: Sequence[Gain], results: Path | str) -> str:
    """What `unseen_people` shows, in a sentence; empty without runs."""
    corrected = _corrected(unseen)
    said = []
    for gain, pair in zip(unseen, OWN_ALONE.values(), strict=True):
        if gain.ours is None or (both := own_pair(pair, results)) is None:
            continue
        without, with_ = (100 * float(one.correct.mean()) for one in both)
        text = (
            f"{gain.title.partition(', ')[0]} {chapters.signed(gain.ours or 0.0)} "
            f"{chapters.bounds(gain.low or 0.0, gain.high or 0.0)}"
        )
        known = [f"from {without:.1f} % to {with_:.1f} %", chapters.some(gain.seeds, "seed")]
        known += [f"{gain.last:+.2f} over the last {LAST} epochs"] if gain.last is not None else []
        if gain.title in corrected and (gain.above or gain.below):
            known.append(f"p = {corrected[gain.title]:.2g} after correction for {len(corrected)} pairs")
        known += ["shortened"] if gain.reduced else ["trained too little"] if gain.undertrained else []
        said.append(f"{text} points ({', '.join(known)})")
    if not said:
        return ""
    return (
        "With each paper's settings (A-MobileNet at 48×48 pixels, from random weights), but on people of CK+48 whom "
        f"training did not see, attention alone gives {'; '.join(said)}."
    )


def _with_classifiers(results: Path | str) -> str:
    """AMDCNN's whole step on people not seen, of which attention is a part only; empty without runs."""
    pair = OWN_FOLDS["amdcnn"][-1]
    chosen, best = (own_difference(pair, results, how) for how in ("val_selected", "paper_style"))
    if chosen is None or best is None:
        return ""
    return (
        f"AMDCNN with its auxiliary classifiers as well: {bounded(chosen[0])} points there, {bounded(best[0])} at "
        f"the best test epochs ({chapters.some(int(chosen[0]['seeds']), 'seed')})."
    )


def _those(gains: Sequence[Gain]) -> str:
    names = [g.title.replace(", ", " on ") + g.remark for g in gains]
    return f"{len(gains)} ({'; '.join(names)})" if gains else "none"


Means = Mapping[str, tuple[int, Mapping[str, float]]]  # by dataset: number of pairs, their mean and its test


def _means(found: Mapping[str, dict[str, Tested]], among: Sequence[str]) -> Means:
    means = {name: overall(found[name], FITTED[name], among) for name in DATASETS}
    return {name: mean for name, mean in means.items() if mean is not None}


def _answer(alone: Means, unseen: Sequence[Gain]) -> str:
    """What follows for attention alone, in a few words: from the means, and from networks on their own settings."""
    if not alone:
        return "Whether attention alone helps cannot be said yet."
    if shown := [name for name, (_, test) in alone.items() if test["low"] > 0]:
        return f"Attention is shown to help on {chapters.listed(DATASETS[name] for name in shown)}."
    corrected = _corrected(unseen)
    if apart := [g for g in unseen if g.above and corrected.get(g.title, 1.0) < 0.05]:
        names = chapters.listed(
            f"{gain.title.replace(', ', ' on ')}, {chapters.some(gain.seeds, 'seed')}" for gain in apart
        )
        number = "one exception" if len(apart) == 1 else f"{len(apart)} exceptions"
        return f"Attention is not shown to help, with {number} ({names})."
    return "Attention is not shown to help."


def _fates(gains: Sequence[Gain], alone: Means, found: Mapping[str, dict[str, Tested]]) -> str:
    """Which printed gains the pairs of `ALONE`, trained alike, can be held against, and what these say of them."""
    published = {gain.title: gain.published for gain in gains}
    fates: dict[bool, list[str]] = {}
    for name in alone:
        place = _place(name).removesuffix("48")  # CK+48 is CK+ in the papers
        for one in against_twins(found[name]):
            printed = published.get(f"{_plain(one.name)}, {place}")
            if one.name in ALONE and printed is not None:
                text = f"{printed:+.2f} for {_plain(one.name)} on {place}"
                clear = one.test["low"] > 0 or one.test["high"] < 0
                pairs = len(against_twins(found[name]))
                after = f", p = {one.corrected:.2g} after correction for {pairs} pairs" if clear else ""
                text += f" (trained alike: {bounded(one.test)}{after})"
                fates.setdefault(one.test["high"] < printed, []).append(text)
    if not fates:
        return ""
    tried = sum(map(len, fates.values()))
    every = sum(gain is not None for gain in published.values())
    said = [
        f"{chapters.listed(texts)} {'is' if len(texts) == 1 else 'are'} {'excluded' if out else 'not excluded'}"
        for out, texts in sorted(fates.items())
    ]
    return f"{tried} of the {every} printed gains can be held against such a pair: {'; '.join(said)}"


def unfitted(found: dict[str, Tested], dataset: str) -> list[Against]:
    """Whole pairs with a difference of which one network was trained too little (`FITTED`)."""
    return [
        one
        for one in against_twins(found)
        if not found[one.name].reduced and min(fit_of(found, one.name)) < FITTED[dataset]
    ]


def _left_out(found: Mapping[str, dict[str, Tested]], means: Means) -> str:
    """Which pairs are in no mean, why, and how far apart they lie, in a sentence; empty where there are none."""
    slow: dict[str, list[str]] = {}
    short = []
    for name in means:
        for one in unfitted(found[name], name):
            gap = f"{chapters.signed(one.test['mean'])} points on {_place(name)}"
            slow.setdefault(_plain(one.name), []).append(gap)
        for one in against_twins(found[name]):
            if found[name][one.name].reduced:
                short.append(
                    f"{_plain(one.name)} ({chapters.signed(one.test['mean'])} points on {_place(name)}"
                )
    said = [
        f"{name} ({chapters.listed(gaps)}; it or its twin does not fit even its training images)"
        for name, gaps in slow.items()
    ]
    said += [f"{name}; shortened)" for name in short]
    return f"Left out of the means: {'; '.join(said)}." if said else ""


def _plain(name: str) -> str:
    """A network's name without what stands in brackets."""
    return NETWORKS[name][0].partition(" (")[0]


def _place(dataset: str) -> str:
    return DATASETS[dataset].split(",")[0]


def _sizes(means: Means) -> str:
    return " and ".join(f"{bounded(test)} points on {_place(name)}" for name, (_, test) in means.items())


def _last(test: Mapping[str, float]) -> str:
    return f"{chapters.signed(test['last'])} over the last {LAST} epochs"


def _shared(test: Mapping[str, float], found: Mapping[str, Tested]) -> str:
    """Which seeds a mean is over, where some networks have more than all of them share; empty elsewhere."""
    if all(len(one.seeds) == test["seeds"] for one in found.values() if not one.reduced):
        return ""
    return f"; over the {chapters.some(int(test['seeds']), 'seed')} that all of these have"


def _lasts(means: Means) -> str:
    return " and ".join(chapters.signed(test["last"]) for _, test in means.values())


def _with_more(means: Means) -> str:
    return " and ".join(
        f"{bounded(test)} points on {_place(name)} ({pairs} pairs)" for name, (pairs, test) in means.items()
    )


def fit_of(found: dict[str, Tested], name: str) -> tuple[float, ...]:
    """Accuracy on their training images of a network and its twin."""
    return tuple(found[one].fitted for one in (name, NETWORKS[name][3]) if one)


def alone(one: Against) -> str:
    """The only pair, in a sentence."""
    test = one.test
    return (
        f"{title(one.name)} is the only network that has run with its twin; the difference is "
        f"{chapters.signed(test['mean'])} points ({test['low']:+.1f} to {test['high']:+.1f}, p = {test['p']:.2g})."
    )


def together(tests: Sequence[Against], apart: Sequence[str] = ()) -> str:
    """Which differences are shown to be above zero or below, in a sentence; those of ``apart`` count for neither."""
    counted = [one for one in tests if one.name not in apart]

    def which(chosen: list[Against]) -> str:
        names = f" ({chapters.listed([title(one.name) for one in chosen])})" if chosen else ""
        return f"{len(chosen) or 'none'}{names}"

    if not counted:
        return f"of {len(tests)} networks with a twin none counts here."
    above = which([one for one in counted if one.test["low"] > 0])
    below = which([one for one in counted if one.test["high"] < 0])
    held = which([one for one in counted if one.corrected < 0.05])
    some = f"{len(counted)} of the {len(tests)}" if apart else f"{len(tests)}"
    return (
        f"of {some} networks with a twin, the interval of the difference, before any correction, lies above zero "
        f"for {above}, below it for {below}; clear after the correction for several tests: {held}."
    )


def shown_from(found: dict[str, Tested]) -> str:
    """Which true gain each pair shows with a chance of 80 %, two-sided at 5 %, as a clause; empty without a pair.

    By the standard error that its own interval has: people count as a whole, and several seeds with their spread.
    """
    z = norm.ppf(0.975)
    sizes = {
        title(one.name): (z + norm.ppf(0.8)) * (one.test["high"] - one.test["low"]) / (2 * z)
        for one in against_twins(found)
    }
    each = [f"{size:.1f} points ({name})" for name, size in sorted(sizes.items(), key=lambda item: item[1])]
    return (
        f"the smallest true gain that such a test shows four times in five is {chapters.listed(each)}."
        if each
        else ""
    )


def by_fold(found: dict[str, Tested]) -> pd.DataFrame:
    """Accuracy (fractions) of each network (columns) in each fold, mean over its seeds."""
    return pd.DataFrame(
        {
            title(name): [float(t.correct[:, t.folds == fold].mean()) for fold in np.unique(t.folds)]
            for name, t in found.items()
        }
    )


def ranks(found: dict[str, Tested]) -> tuple[pd.DataFrame, str]:
    """Average ranks over the folds, best first, with a sentence on what they can tell; empty below three networks.

    `average_ranks`: Friedman's test, and Nemenyi's critical difference of two average ranks.
    """
    scores = by_fold(found)
    if len(scores) < 2 or scores.shape[1] < 3:
        return pd.DataFrame(), ""
    test = average_ranks(scores.to_numpy())
    order = np.argsort(test["ranks"], kind="stable")
    best = test["ranks"][order[0]]
    lines = [
        {
            "network": scores.columns[i],
            "average rank": f"{test['ranks'][i]:.2f}",
            "accuracy by fold (%)": f"{100 * scores.iloc[:, i].min():.1f} to {100 * scores.iloc[:, i].max():.1f}",
            "behind the first by more than the critical difference": "yes"
            if test["ranks"][i] - best > test["critical"]
            else "no",
        }
        for i in order
    ]
    said = (
        f"{len(scores)} folds, {scores.shape[1]} networks: Friedman's test gives p = {test['p']:.2g}, and two average "
        f"ranks must be {test['critical']:.2f} apart. So few folds tell only networks apart that rank far from each "
        "other in all of them; the pairs above, which count subjects, are the sharper test."
    )
    return pd.DataFrame(lines), said


def spread(found: Sequence[Tested]) -> pd.DataFrame:
    """Standard deviations (points) from seeds and from the test set, where there are several seeds."""
    return pd.DataFrame(
        [
            {
                "network": title(t.name),
                "between seeds": f"{100 * split['seed_sd']:.2f}",
                "test images": f"{100 * split['test_sd']:.2f}",
                "one run on a new test set": f"{100 * split['total_sd']:.2f}",
            }
            for t in found
            if len(t.seeds) > 1
            for split in [variance_split(t.correct, t.clusters)]
        ]
    )


def answer(gains: Sequence[Gain]) -> str:
    """What `headline` says, in sentences: how many gains are shown, what the intervals count, how firm it is."""
    have = [g for g in gains if g.ours is not None and g.low is not None and g.high is not None]
    published = [g.published for g in gains if g.published is not None]
    licensed = [
        g.title.replace(", ", " on ") for g in gains if g.missing == "licensed data" and g.ours is None
    ]
    said = [
        f"The papers report gains of {min(published):.2f} to {max(published):.2f} points for "
        f"{chapters.some(len(published), 'pair')} of network and dataset"
        + (
            f", {len(licensed)} of them on licensed data that we do not have ({'; '.join(licensed)})."
            if licensed
            else "."
        )
    ]
    if not have:
        return " ".join([*said, "We have runs of none of them so far."])
    whole, short = [g for g in have if g.counts], [g for g in have if not g.counts]
    above, below = sum(g.above for g in whole), sum(g.below for g in whole)
    said.append(
        f"{len(have)} of the pairs {'has' if len(have) == 1 else 'have'} runs so far"
        + (f", {len(short)} of them shortened, which counts for nothing yet" if short else "")
        + "."
    )
    if not whole:
        return " ".join(said)
    said.append(
        f"Of the {len(whole)} with whole runs the gain lies above zero in {above or 'none'}, below it in "
        f"{below or 'none'}, and may be zero in {len(whole) - above - below or 'none'}."
    )
    single = sum(g.seeds == 1 for g in whole)
    if single == len(whole):
        said.append("There is one seed of each, so the intervals count the choice of the test images alone.")
    elif not single:
        said.append("The intervals count the choice of the test images and the spread between seeds.")
    else:
        said.append(
            f"The intervals count the choice of the test images and the spread between seeds, for the {single} with "
            "one seed the test images alone."
        )
    few = sum(g.seeds < ENOUGH_SEEDS for g in whole)
    said.append(
        f"{few} {'rests' if few == 1 else 'rest'} on fewer than three seeds, so the answer is provisional."
        if few
        else "All of these rest on three seeds or more of full runs."
    )
    return " ".join(said)


def in_words(groups: Mapping[str, Sequence[Gain]]) -> str:
    """The figure `plots.forest` for those who do not see it."""
    return "Gain of attention in points. " + " ".join(
        f"{heading}: {'; '.join(_in_words(gain) for gain in gains)}." for heading, gains in groups.items()
    )


def _in_words(gain: Gain) -> str:
    said = [
        gain.title if gain.published is None else f"{gain.title} {chapters.signed(gain.published)} published"
    ]
    if gain.ours is None or gain.low is None or gain.high is None:
        return f"{said[0]}, {gain.missing}"
    said.append(f"{chapters.signed(gain.ours)} ours")
    said.append(f"{chapters.signed(gain.low)} to {chapters.signed(gain.high)}")
    said.append(chapters.some(gain.seeds, "seed"))
    return ", ".join([*said, "shortened runs"] if gain.reduced else said)


# networks whose papers' own rows have folds by subject with their twins: without attention, with (rows by frames);
# the last pair of a paper is that of the common protocol, where `own_folds` compares the two
OWN_FOLDS = {
    "a_mobilenet": (
        ("a_mobilenet-ckplus-no_attention-scratch48", "a_mobilenet-ckplus-a_mobilenet-scratch48"),
    ),
    "amdcnn": (
        ("amdcnn-ckplus-baseline", "amdcnn-ckplus-mcbam"),
        ("amdcnn-ckplus-baseline", "amdcnn-ckplus-acs3"),
    ),
    "msca_resnet": (("msca_resnet-ckplus-plain", "msca_resnet-ckplus-se"),),
}
OWN_ALONE = {name: pairs[0] for name, pairs in OWN_FOLDS.items()}  # the first pair differs in attention alone


def own_pair(
    pair: tuple[str, str], results: Path | str, reading: str = "val_selected"
) -> tuple[Tested, Tested] | None:
    """Both networks of one of `OWN_FOLDS` on CK+48 by subject, under the paper's own settings; None where one lacks.

    ``reading`` is that of `comparison.pooled`.
    """
    first, second = (
        pooled(
            i,
            [EXPERIMENTS[f"{i}-grouped{k}"] for k in range(chapters.folds_of(EXPERIMENTS[i]))],
            results,
            reading,
        )
        for i in pair
    )
    return None if first is None or second is None else (first, second)


def own_difference(
    pair: tuple[str, str], results: Path | str, reading: str = "val_selected"
) -> tuple[dict[str, float], bool] | None:
    """`comparison.difference` of `own_pair`, attention minus none, and whether runs were shortened; None without."""
    if (both := own_pair(pair, results, reading)) is None or (test := difference(*both)) is None:
        return None
    return test, any(one.reduced for one in both)


def own_folds(found: Mapping[str, Tested], results: Path | str) -> str:
    """The differences of `OWN_FOLDS` on CK+48 by subject beside those of the common protocol; empty where none.

    Both are of the same frames, so how far they lie apart is tested frame by frame, people as a whole; with the epoch
    that validation chose and with each run's best test epoch.
    """
    said = []
    for name, pairs in OWN_FOLDS.items():
        if name in WHOLE:  # its twin of the common protocol lacks more than attention
            continue
        own, shortened = own_difference(pairs[-1], results) or (None, False)
        here = next((one.test for one in against_twins(dict(found)) if one.name == name), None)
        if own is None or here is None:
            continue
        runs = chapters.some(int(own["seeds"]), "seed") + (", shortened runs" if shortened else "")
        text = (
            f"{_plain(name)}, on the same people under its paper's own settings: {bounded(own)} points ({runs}), "
            f"here {bounded(here)} ({chapters.some(int(here['seeds']), 'seed')})"
        )
        chosen, best = (
            _apart(name, pairs[-1], results, reading) for reading in ("val_selected", "paper_style")
        )
        said.append(f"{text}. {_of_training(chosen, best)}" if chosen and best else f"{text}.")
    return " ".join(said)


def _apart(name: str, pair: tuple[str, str], results: Path | str, reading: str) -> dict[str, float] | None:
    """The gain under the paper's own settings minus that of the common protocol, over the seeds that all four have."""
    own = own_pair(pair, results, reading)
    here = [pooled(i, rows_of(i, "ckplus"), results, reading) for i in (NETWORKS[name][3] or name, name)]
    if own is None or here[0] is None or here[1] is None:
        return None
    every = (*own, here[0], here[1])
    seeds = sorted(set.intersection(*(set(one.seeds) for one in every)))
    if not seeds or any(not np.array_equal(one.ids, every[0].ids) for one in every):
        return None
    gaps = shared_gaps(*own, seeds) - shared_gaps(here[0], here[1], seeds)
    return {**in_points(paired_seeds(gaps, own[0].clusters)), "seeds": float(len(seeds))}


def _of_training(chosen: Mapping[str, float], best: Mapping[str, float]) -> str:
    """Whether two gains lie apart, and what that hangs on, in a sentence."""
    seeds = chapters.some(int(chosen["seeds"]), "seed")
    sizes = (
        f"Over the {seeds} that all four networks have, the two lie {bounded(chosen)} points apart with the epoch "
        f"that validation chose, {bounded(best)} at each run's best test epoch"
    )
    clear = [test["low"] > 0 or test["high"] < 0 for test in (chosen, best)]
    if all(clear):
        return f"{sizes}: as far as {seeds} can tell, the way of training decides, too."
    if any(clear):
        return f"{sizes}: with {seeds} it hangs on how an epoch is chosen, not on the way of training alone."
    return f"{sizes}: the two ways of training need not disagree."


def bounded(test: Mapping[str, float]) -> str:
    """A difference in points with its bounds."""
    return f"{chapters.signed(test['mean'])} {chapters.bounds(test['low'], test['high'])}"


def other_seeds(results: Path | str) -> str:
    """How far two seeds of a row lie apart under the papers' own protocols, in a sentence; empty where unknown."""
    from ferlib import effects

    known = [
        (e.points, f"{effects.NAMES[paper]} on {e.dataset}")
        for paper in effects.HEADS
        for e in effects.of_paper(paper, results)
        if e.kind == "seed" and e.points is not None
    ]
    if not known:
        return ""
    places = chapters.listed(f"{points:.1f} ({place})" for points, place in known)
    return (
        f"Under the papers' own protocols two seeds of one row lie on average {places} points apart, which the "
        "intervals of single seeds leave out."
    )
