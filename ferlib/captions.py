"""What a figure shows, as a sentence computed from what was drawn; the built book puts it in front of the caption.

Each function takes what the function of the same name in `ferlib.plots`, `ferlib.effects_figures`,
`ferlib.measures_figures` or `ferlib.data.audit_figures` takes, and gives Markdown of one or two sentences, or "" where
there is nothing to say.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from IPython.display import Markdown, display

from ferlib import measures
from ferlib.chapters import REDUCED, listed, signed, some
from ferlib.couples import LAST
from ferlib.data.dataset import book_name
from ferlib.measures import MIDDLE
from ferlib.statements import Matrix
from ferlib.typeset import typeset

if TYPE_CHECKING:
    from ferlib.chapters import Estimate
    from ferlib.claims.verdicts import Judgement
    from ferlib.comparison import Gain
    from ferlib.data.audit_tables import Audit
    from ferlib.data.dataset import FaceDataset
    from ferlib.effects import Effect
    from ferlib.maps import ClassMaps
    from ferlib.measures_tables import Run
    from ferlib.plots import Point

SMALL = 48  # pixels a side, the size of most of our runs
ROLE = {"ferlib": "caption"}  # metadata of the output


def caption(sentence: str) -> None:
    """Show what the figure of this cell shows; `into_captions` finds it again. Nothing for an empty sentence."""
    if sentence:
        display(Markdown(typeset(sentence)), metadata=ROLE)


def into_captions(cells: Sequence[Any]) -> None:
    """Move what `caption` has shown in executed cells in front of the captions of their figures, in place."""
    for cell in cells:
        said = [o for o in cell.get("outputs", []) if o.get("metadata", {}).get("ferlib") == ROLE["ferlib"]]
        figure = cell.metadata.get("mystnb", {}).get("figure")
        if said and figure:
            sentence = " ".join("".join(o["data"]["text/markdown"]) for o in said)
            figure["caption"] = f"{sentence} {figure['caption']}"
            cell["outputs"] = [o for o in cell["outputs"] if o not in said]


def confusion(matrices: Mapping[str, Matrix]) -> str:
    """The class with the lowest recall of each matrix, and what it is taken for."""
    return _each({title: _worst(matrix) for title, matrix in matrices.items()})


def _worst(matrix: Matrix) -> str:
    recalls = matrix.recall()
    name = min(recalls, key=lambda c: recalls[c])
    if recalls[name] == 100:
        return "every image is recognised"
    row = matrix.counts[matrix.classes.index(name)]
    mistaken = matrix.mistaken(name)
    most = mistaken[0][0]
    others = listed(f"*{other}*" for n, other in mistaken if n == most)
    hits = row[matrix.classes.index(name)]
    return f"*{name}* is recognised least, {hits:,} of {row.sum():,}, and most often taken for {others} ({most:,})"


def intervals(rows: Sequence[Estimate], stand_in: bool = False) -> str:
    """How the printed values lie to our intervals, and between what ours lie.

    ``stand_in``: ours differ from the paper's network in what a level depends on, so that the two are not compared.
    """
    printed = [(low, high, value) for _, _, low, high, value in rows if value is not None]
    low, high = min(rows, key=lambda r: r[1]), max(rows, key=lambda r: r[1])
    ours = (
        f"Ours is {high[1]:.1f} %"
        if len(rows) == 1
        else f"Ours are all {high[1]:.1f} %"
        if f"{low[1]:.1f}" == f"{high[1]:.1f}"
        else f"Ours reach from {low[1]:.1f} % ({low[0]}) to {high[1]:.1f} % ({high[0]})"
    )
    if not printed:
        return f"{ours}."
    if stand_in:
        return f"{ours}; these rows stand in for the paper's, to whose values they are not comparable."
    inside, above, below = (
        sum(low <= v <= high for low, high, v in printed),
        sum(v > high for _, high, v in printed),
        sum(v < low for low, _, v in printed),
    )
    if len(printed) == 1:
        where = "within" if inside else "above" if above else "below"
        return f"{ours}; the published value lies {where} its interval."
    within = f"{inside} {'lies' if inside == 1 else 'lie'} within our intervals"
    return f"{ours}; of {len(printed)} published values {within}, {above} above, {below} below."


def curves(records: Mapping[str, Mapping[str, Any]]) -> str:
    """Accuracy on training and test images at the chosen epoch, and what the best epoch on test would add.

    Of runs on drawn faces it says that they are.
    """
    drawn = any(record["data"]["name"] == "synthetic" for record in records.values())
    said = _each({title: _chosen(record) for title, record in records.items()})
    return f"On drawn faces. {said}" if drawn and said else said


def _chosen(record: Mapping[str, Any]) -> str:
    history = record["history"]
    line = history[record["best_epoch"]]
    best = max(h["test_accuracy"] for h in history)
    fitted = record["result"]["val_selected"]["train"]["accuracy"]
    return (
        f"in the chosen epoch, {record['best_epoch'] + 1} of {len(history)}, {100 * line['test_accuracy']:.1f} % of "
        f"the test images are right ({100 * best:.1f} % in the best one), and of the training images "
        f"{100 * fitted:.1f} %, or {100 * line['train_accuracy']:.1f} % as augmented and met in training"
    )


def learnt(records: Mapping[str, Mapping[str, Any]]) -> str:
    """From what accuracy to what the runs of a demonstration go on test images, beside guessing evenly."""
    if not records:
        return ""
    first = next(iter(records.values()))
    guess = 100 / len(first["data"]["classes"])
    ends = {
        title: [100 * record["history"][i]["test_accuracy"] for i in (0, -1)]
        for title, record in records.items()
    }
    told = "; ".join(
        f"{title} goes from {start:.0f} % of the test images after the first epoch to {end:.0f} %"
        for title, (start, end) in ends.items()
    )
    where = "On drawn faces, " if first["data"]["name"] == "synthetic" else ""
    return (
        f"{where}{told} (guessing: {guess:.0f} %)." if where else _upper(f"{told} (guessing: {guess:.0f} %).")
    )


def order(published: Mapping[str, float], ours: Mapping[str, Mapping[str, float]]) -> str:
    """Whether our accuracies keep the order of the published ones. ``ours``: reading -> network -> accuracy."""
    wanted = sorted(published, key=lambda name: -published[name])
    kept = {reading: sorted(by, key=lambda name: -by[name]) == wanted for reading, by in ours.items()}
    if len(wanted) < 2 or any(set(by) != set(published) for by in ours.values()):
        return ""
    paper = " above ".join(wanted)
    if not any(kept.values()):
        none = " in neither reading" if len(kept) == 2 else ""
        return (
            f"The paper has {paper}; ours {'keep that order' + none if none else 'do not keep that order'}."
        )
    if all(kept.values()):
        return f"The paper has {paper}; ours keep that order{' in both readings' if len(kept) == 2 else ''}."
    return f"The paper has {paper}; ours keep that order in {listed(r for r, k in kept.items() if k)} alone."


def monitored(records: Mapping[str, Mapping[str, Any]], names: Mapping[str, str]) -> str:
    """From where to where each quantity goes."""

    def ends(history: Sequence[Mapping[str, Any]]) -> str:
        there = {label: key for key, label in names.items() if key in history[0]}
        return ", ".join(f"{label} {_between(history, key)}" for label, key in there.items())

    return _each({title: ends(record["history"]) for title, record in records.items()})


def _between(history: Sequence[Mapping[str, Any]], key: str) -> str:
    first, last = (f"{history[i][key]:.3g}" for i in (0, -1))
    return f"stays at {first}" if first == last else f"from {first} to {last}"


def mean_faces(data: FaceDataset, split: str = "train") -> str:
    """Whether the faces are drawn, and how uneven the classes are."""
    drawn = "Drawn faces, no dataset was given." if data.name == "synthetic" else ""
    counts = np.bincount(data.labels[data.split == split], minlength=len(data.classes))
    there = {book_name(name): int(n) for name, n in zip(data.classes, counts, strict=True) if n}
    few, many = min(there, key=lambda c: there[c]), max(there, key=lambda c: there[c])
    if there[few] == there[many]:
        return f"{drawn} Every class has {some(there[few], 'image')}.".strip()
    return f"{drawn} There are {there[many] / there[few]:.1f} times as many images of *{many}* as of *{few}*.".strip()


def class_maps(maps: Mapping[str, ClassMaps], layer: str | None = None) -> str:
    """How much of the mean map lies in the middle of the image; of a network's own attention also from what to what."""
    area = 100 * (MIDDLE[2] - MIDDLE[0]) * (MIDDLE[3] - MIDDLE[1])
    found, spans = {}, []
    for title, one in maps.items():
        shown = one.spatial(layer or one.default_layer()).astype(np.float64)
        if layer in one.attention:
            spans.append(f"{shown.min():.2f} to {shown.max():.2f} ({title})")
        mean = shown.mean(axis=0)
        if mean.min() >= 0 and mean.sum() > 0:
            found[title] = f"{100 * (mean * _middle(mean.shape)).sum() / mean.sum():.0f} %"
    if not found:
        return ""
    values = f"The means reach from {', '.join(spans)}. " if spans else ""
    return (
        f"{values}Share of the mean over the classes that lies in the middle half of height and width: "
        + ", ".join(f"{share} ({title})" for title, share in found.items())
        + f"; an even map has {area:.0f} %."
    )


def _middle(shape: tuple[int, ...]) -> np.ndarray:
    """The part of each cell of a grid that `MIDDLE` covers."""
    covered = []
    for n, low, high in zip(shape, MIDDLE[1::-1], MIDDLE[:1:-1], strict=True):
        edges = np.arange(n + 1) / n
        covered.append(np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0, None) * n)
    return np.outer(*covered)


def verdicts(judged: Sequence[Judgement]) -> str:
    """How many claims have a verdict, apart for those that need training runs and those that do not.

    Before them how many of the former are reproduced, after them how many of what is lower rests on shortened runs.
    """
    from ferlib.claims.judge import distinct, rests_on_runs, shortened
    from ferlib.claims.verdicts import RUN

    decided = [j for j in judged if j.verdict not in (*RUN, "not testable")]
    if not decided:
        return f"None of the {some(len(judged), 'claim')} has a verdict yet."
    said = []
    if run := [j for j in decided if rests_on_runs(j)]:
        same = sum(j.verdict == "reproduced" for j in run)
        unsure = sum(j.provisional for j in run)
        said.append(
            f"Of {some(len(run), 'claim')} that training runs have a say in ({distinct(run):,} different ones: papers "
            f"repeat themselves), {same or 'none'} {'is' if same <= 1 else 'are'} reproduced to its interval; "
            f"{unsure:,} verdicts are provisional."
        )
    for trained, which in (
        (True, "Training runs speak to"),
        (False, "Counting, adding and reading decide"),
    ):
        tally = Counter(j.verdict for j in decided if rests_on_runs(j) == trained)
        of = sum(rests_on_runs(j) == trained for j in judged)
        if tally:
            verdicts = ", ".join(f"{n:,} “{verdict}”" for verdict, n in tally.most_common())
            said.append(f"{which} {tally.total():,} of {some(of, 'claim')} so far: {verdicts}.")
    lower = [j for j in decided if j.verdict == "lower" and rests_on_runs(j)]
    if cut := sum(map(shortened, lower)):
        said.append(
            f"Of {len(lower):,} “lower” ones by runs {cut:,} had fewer epochs or training images than the paper: they "
            "measure that cut, too."
        )
    return " ".join(said)


def sizes(effects: Sequence[Effect], papers: bool = False) -> str:
    """The largest gap to the published accuracy, whether its interval holds zero, and the largest effect.

    ``papers``: name the paper of the largest effect, too.
    """
    from ferlib.claims import NAMES
    from ferlib.effects import CHANCE, elsewhere, holds_zero, measured, short

    found = measured(effects)
    gaps = [e for e in found if e.kind == "gap" and not e.stand_in]
    stand_ins = [e for e in found if e.kind == "gap" and e.stand_in]
    known = [e for e in found if e.kind != "gap" and e.kind not in CHANCE]
    others = [e for e in known if not e.unfinished]
    settled = "settled " if len(others) < len(known) else ""
    said = []
    if gaps:
        gap = max(gaps, key=_size)
        which = "The largest gap" if len(gaps) > 1 else "The gap"
        said.append(f"{which} to the published accuracy is {_points(gap)} ({gap.dataset}{_short_of(gap)})")
        if gap.low is not None and gap.reduced:
            said[0] += ", so that it is not known what a whole one leaves of it"
        elif gap.low is not None:
            said[0] += f", {'no more' if holds_zero(gap) else 'more'} than chance alone gives"
    if stand_ins:
        gap = max(stand_ins, key=_size)
        said.append(
            f"{'The largest gap' if len(stand_ins) > 1 else 'The gap'} of a stand-in is {_points(gap)} "
            f"({gap.dataset}{_short_of(gap)}), "
            "which says nothing about the paper"
        )
    on = ""
    if in_papers := [e for e in others if not elsewhere(e)]:
        if len(in_papers) < len(others):
            on = " on the papers' own datasets" if papers else " on the paper's own datasets"
        others = in_papers
    if others:
        most = max(others, key=_size)
        which = f"other {settled}effect" if gaps else f"{settled}effect"
        which = (f"The largest of the {which}s" if len(others) > 1 else f"The one {which}") + on
        where = f"{NAMES[most.paper]}, {most.dataset}" if papers else most.dataset
        said.append(f"{which} is {_points(most)} ({where}: {short(most)}{_short_of(most)})")
    return "".join(f"{sentence}. " for sentence in said).strip()


def beside_seeds(effects: Sequence[Effect]) -> str:
    """How many effects of two rows, each on the same test images, are larger than what another seed moves there."""
    from ferlib.effects import measured

    found = measured(effects)
    apart = {e.dataset: e for e in found if e.kind == "seed"}
    pairs = [e for e in found if e.p is not None]
    said = []
    for dataset in dict.fromkeys(e.dataset for e in pairs):
        own = [e for e in pairs if e.dataset == dataset]
        which = some(len(own), "effect") + " of two rows"
        if (seed := apart.get(dataset)) is None:
            said.append(f"On {dataset} no row has two seeds to hold the {which} against.")
            continue
        larger = sum(_size(e) > _size(seed) for e in own)
        few = sum(e.seeds == 1 for e in own)
        said.append(
            f"On {dataset} two seeds of one row lie {_size(seed):.1f} points apart in the mean: of the {which} "
            f"{larger or 'none'} {'are' if larger > 1 else 'is'} larger"
            + (f", and {few} {'rests' if few == 1 else 'rest'} on one seed." if few else ".")
        )
    return " ".join(said)


def _short_of(effect: Effect) -> str:
    return ", a shortened run" if effect.reduced else ""


def _size(effect: Effect) -> float:
    return abs(effect.points or 0)


def _points(effect: Effect) -> str:
    return f"{effect.points:+.2f} points"  # as the chapters' tables have it


def readings(frame: pd.DataFrame) -> str:
    """How far our readings lie from what is printed, network by network in the order of the readings; no stand-ins."""
    there = frame[frame["epoch by validation"].notna() & frame["published"].notna() & ~frame["stand_in"]]
    columns = ("best test epoch", "epoch by validation", "unseen images", "other people")
    said = []
    for _, line in there.iterrows():
        known = [column for column in columns if not np.isnan(line[column])]
        short = {"other people": REDUCED} if "reduced" in line["runs of other people"] else {}
        sizes = [
            f"{line[column] - line['published']:+.1f} ({column}{short.get(column, '')})" for column in known
        ]
        star = REDUCED if line["network"].endswith(REDUCED) else ""
        part = f" ({line['remark']})" if line["remark"] else ""
        said.append(f"{line['paper']} on {line['dataset']}{part}{star} {', '.join(sizes)}")
    return f"Distance to the published accuracy, in points: {'; '.join(said)}." if said else ""


def forest(groups: Mapping[str, Sequence[Gain]], *, by_heading: bool = True) -> str:
    """Which gains of attention differ from zero, under each heading or of all; those trained too little apart.

    Of all, each that is named has its heading up to the colon: one network may stand under several.
    """
    every = [(_lower(heading.split(":")[0]), gain) for heading, gains in groups.items() for gain in gains]
    under = {id(gain): heading for heading, gain in every}
    unfit = sorted(
        {f"{gain.title.split(',')[0]} ({heading})" for heading, gain in every if gain.undertrained}
    )
    of_all = _gains([gain for _, gain in every], lambda gain: f"{_on(gain)}, {under[id(gain)]}")
    said = [f"{heading}: {_gains(gains)}." for heading, gains in groups.items()] if by_heading else []
    said = said or [f"{_upper(of_all)}."]
    return " ".join([*said, *([f"Grey, not counted: {listed(unfit)}, trained too little."] if unfit else [])])


def steps(groups: Mapping[str, Sequence[Gain]]) -> str:
    """Which steps from one network to another differ from zero, under each heading, and how many turn at the end."""
    return _each({heading: _steps(gains) for heading, gains in groups.items()})


def diagram(paper: str) -> str:
    """How many cells the stages with attention put out: for images of the network's own size, and of our runs'."""
    from ferlib import diagrams
    from ferlib.experiments import get

    drawn = diagrams.DIAGRAMS[paper]
    own = get(drawn.experiment).size
    known = diagrams.measured(drawn)
    attending = [node.name for node in drawn.nodes if node.attends]
    at = [name for name in attending if len(known[name]) == 3]
    flat = [name for name in attending if name not in at]

    def grids(found: Mapping[str, Sequence[int]]) -> str:
        return listed("×".join(map(str, found[name][1:])) for name in at)

    small = ""
    if own != SMALL:
        small = f"; for the {SMALL}-pixel images of our runs {grids(diagrams.measured(drawn, SMALL))}"
    rest = (
        f" {listed(flat)} {'uses' if len(flat) == 1 else 'use'} attention inside and "
        f"{'puts' if len(flat) == 1 else 'put'} out pooled features, not a map."
        if flat
        else ""
    )
    return f"The stages with attention ({listed(at)}) put out maps of {grids(known)} cells{small}.{rest}"


def _steps(gains: Sequence[Gain]) -> str:
    late = [gain for gain in gains if gain.last is not None]
    turned = sum(bool(gain.turns) for gain in late)
    if len(late) == 1:
        over = "nothing is left of it" if turned else "its sign is the same"
    else:
        over = f"{turned or 'none'} of {len(late)} {'is' if turned == 1 else 'are'} gone or turned"
    said = _gains(gains, named=lambda gain: gain.title)
    return said + (f"; over the last {LAST} epochs {over}" if late else "")


def _on(gain: Gain) -> str:
    """The network and what it was tested on."""
    return gain.title.replace(", ", " on ") + gain.remark


def _gains(gains: Sequence[Gain], named: Callable[[Gain], str] = _on) -> str:
    known = [g for g in gains if g.counts]
    short = _shortened([g for g in gains if g.ours is not None and g.reduced and not g.undertrained])
    if not known:
        return f"no pair has {'whole ' if short else ''}runs yet{short}"
    up, down = [named(g) for g in known if g.above], [named(g) for g in known if g.below]
    if len(known) == 1:
        sign = "is above zero" if up else "is below zero" if down else "may be zero"
        return f"the one measured difference ({named(known[0])}) {sign}{_against_the_interval(known)}{short}"
    rest = len(known) - len(up) - len(down)
    if rest == len(known):
        both = "both" if rest == 2 else f"all {rest}"
        return f"{both} measured differences may be zero{_against_the_interval(known)}{short}"
    return (
        f"of {len(known)} measured differences, "
        f"{len(up) or 'none'} {'is' if len(up) == 1 else 'are'} above zero{_those(up)}, "
        f"{len(down) or 'none'} below{_those(down)}"
        + (f"; the other {rest if rest > 1 else 'one'} may be zero" if rest else "")
        + _against_the_interval(known)
        + " (not corrected for their number)"
        + short
    )


def _shortened(gains: Sequence[Gain]) -> str:
    """Differences of shortened runs, which count for nothing yet: named where they are few."""
    if not gains:
        return ""
    each = [f"{gain.title.replace(', ', ' on ')} {signed(gain.ours or 0.0)}" for gain in gains]
    return f"; not counted, as shortened: {'; '.join(each) if len(each) <= 3 else len(each)}"


def _against_the_interval(gains: Sequence[Gain]) -> str:
    """How many may be zero by their test, though the interval leaves it out, as a few differing images make it."""
    found = sum(not gain.clear and bool((gain.low or 0) > 0 or (gain.high or 0) < 0) for gain in gains)
    return (
        f"; of {found} of these the interval leaves zero out, but the test does not reject it"
        if found
        else ""
    )


def pareto(panels: Mapping[str, Sequence[Point]]) -> str:
    """The networks that no cheaper one reaches, by what is counted as cost (its axis without the unit)."""
    fronts = {re.split(r" \(|, ", axis)[0]: _front(points) for axis, points in panels.items()}
    each = "; ".join(f"by {cost}: {listed(front)}" for cost, front in fronts.items() if front)
    return f"In these runs, whatever their intervals, nothing cheaper reaches these, {each}." if each else ""


def _front(points: Sequence[Point]) -> list[str]:
    """Names of the points that are above every cheaper one."""
    best, front = -np.inf, []
    for name, _, accuracy, *_ in sorted(points, key=lambda p: (p[1], -p[2])):
        if accuracy > best:
            best = accuracy
            front.append(name)
    return front


def differences(frame: pd.DataFrame) -> str:
    """How many pairs differ, of those with a test in ``attrs["tested"]`` (all without it)."""
    below = np.tril(np.ones(frame.shape, dtype=bool), -1)
    every = int(below.sum())
    n = int((below & frame.attrs.get("tested", below)).sum())
    differing = int((below & frame.notna().to_numpy()).sum())
    left = (
        ""
        if n == every
        else f"; {every - n} more are not compared (hatched): only one of the two shortened, or no seed in common"
    )
    return f"{differing} of {some(n, 'pair')} differ after the correction{left}."


def regions(images: np.ndarray, masks: np.ndarray, maps: np.ndarray, titles: Sequence[str]) -> str:
    """For how many faces more of the map lies in the regions than of the area, and for which it is most and least."""
    found = dict(zip(titles, zip(measures.shares(maps, masks), masks.mean((1, 2)), strict=True), strict=True))
    known = {title: (share, area) for title, (share, area) in found.items() if not np.isnan(share)}
    if not known:
        return ""
    more = sum(share > area for share, area in known.values())
    told = [
        f"{word} for *{title}* ({100 * known[title][0]:.0f} % of the map, {100 * known[title][1]:.0f} % of the area)"
        for word, f in (("most", max), ("least", min))
        for title in [f(known, key=lambda t: known[t][0])]
    ]
    return (
        f"In {more} of {some(len(known), 'face')} the regions hold a larger share of the map than of the area, "
        f"{listed(told)}."
    )


def shares(groups: Mapping[str, Sequence[Run]]) -> str:
    """Between which networks the share in the middle of the image changes most, up and down.

    Of the pairs that `ferlib.measures_claims` sets side by side in the layer that the figure has, the same for both:
    shares of different papers' networks, or of different layers, are not compared.
    """
    from ferlib.claims import NAMES
    from ferlib.measures_claims import CLAIMS
    from ferlib.measures_verdicts import compare, networks

    by_seed: dict[str, dict[int, Run]] = {}
    for run in (run for runs in groups.values() for run in runs):
        by_seed.setdefault(run.found["experiment"], {})[run.found["seed"]] = run
    gains = {}
    for claim in {(claim.first, claim.second): claim for claim in CLAIMS}.values():
        pair = [by_seed.get(name, {}) for name in (claim.first, claim.second)]
        one_layer = len({run.found["layer"] for runs in pair for run in runs.values()}) == 1
        if one_layer and claim.layer is None and (test := compare(pair[0], pair[1], ["middle"])):
            gains[f"{NAMES[claim.paper]}, {networks(claim)}"] = 100 * test["mean"]
    if not gains:
        return ""
    ends = dict.fromkeys(f(gains, key=lambda pair: gains[pair]) for f in (max, min))
    told = [f"by {gains[pair]:+.1f} points ({pair})" for pair in ends]
    most = "most " if len(gains) > 1 else ""
    return (
        f"Of {some(len(gains), 'pair')} of networks that a paper's sentences set side by side and that are shown by "
        f"the same layer, the share in the middle of the image changes {most}{listed(told)}."
    )


def removal(runs: Mapping[str, Run]) -> str:
    """How often Grad-CAM finds what the network uses sooner than a random map does, with an interval clear of zero."""
    better = {"deletion": 0, "insertion": 0}
    for run in runs.values():
        for kind, sign in (("deletion", 1), ("insertion", -1)):
            by_map, by_chance = (
                np.array(run.found["removal"][kind][k], dtype=float) for k in ("map", "random")
            )
            test = measures.paired(sign * by_map, sign * by_chance, run.sampled())
            better[kind] += test["low"] > 0
    if len(runs) == 1:
        told = {kind: "beats" if n else "does not clearly beat" for kind, n in better.items()}
        return (
            f"In this run Grad-CAM {told['deletion']} a random map by deletion and {told['insertion']} it by "
            "insertion."
        )
    return (
        f"Grad-CAM beats a random map, with an interval clear of zero, for {better['deletion']} of {len(runs)} "
        f"networks by deletion and for {better['insertion']} by insertion (first seed of each)."
    )


def randomised(runs: Mapping[str, Run]) -> str:
    """What is left of the maps once the whole network is random. ``runs``: of each network its first seed."""
    left = []
    for run in runs.values():
        mean = run.found["summary"]["randomised"][run.found["randomised"]["order"][-1]]["mean"]
        if mean is not None:
            left.append(mean)
    if not left:
        return ""
    ends = f"{min(left):.2f} and {max(left):.2f}"
    return f"Once every part is random, the mean correlation of the first seeds lies between {ends}."


def copies(audit: Audit) -> str:
    """The share of copies, and the class that has most."""
    part = audit["fer2013"]["copies"]
    by_class = {c: p for c, p in part["by_class"].items() if p["n"]}
    most = max(by_class, key=lambda c: by_class[c]["share"])
    return (
        f"{100 * part['seen']['share']:.1f} % of the test images have a copy in training, of *{most}* "
        f"{100 * by_class[most]['share']:.1f} %."
    )


def ceilings(audit: Audit, accuracies: pd.DataFrame) -> str:
    """How many accuracies lie above what one annotator's label allows on PrivateTest."""
    bound = 100 * audit["labels"]["ceilings"]["voter"]["high"]["mean"]
    said = [
        f"{int((known > bound).sum())} of {len(known)} {whose}"
        for column, whose in (("published", "published accuracies"), ("ours", "of ours"))
        if len(known := accuracies[column].dropna())
    ]
    where = "lie above the bracket for one annotator's label, computed on PrivateTest"
    return f"{listed(said)} {where}." if said else ""


def leaks(audit: Audit) -> str:
    """The nearest neighbour's accuracy by what the split keeps together."""
    from ferlib.data.audit_leaks import GROUPINGS

    nearest = audit["ckplus"]["leaks"]["nearest"]
    each = [(100 * kinds["raw"]["accuracy"], GROUPINGS[name]) for name, kinds in nearest.items()]
    said = [f"{right:.0f} % {'' if k else 'where the split is '}{how}" for k, (right, how) in enumerate(each)]
    return f"The nearest neighbour in raw pixels is right in {listed(said)}."


def overview(frame: pd.DataFrame) -> str:
    """How many findings there are, and of which class most. ``frame`` is `ferlib.findings.overview`'s."""
    kinds = frame.sum()
    return f"{int(kinds.sum())} findings, more of the class *{kinds.idxmax()}* ({int(kinds.max())}) than of any other."


def granularity(frame: pd.DataFrame) -> str:
    """For which test parts a whole column of figures is possible, how often arbitrary figures would be, and whether
    that makes one evidence. ``frame``: lines of `ferlib.forensics.coverage`."""
    whole = frame[frame["possible"] == frame["printed"]]
    if whole.empty:
        return f"The whole column is possible in none of {len(frame)} lines."
    names = [f"{row['figures of']}: {row['test part']}" for _, row in whole.iterrows()]
    told = [f"{name} (arbitrary ones {_of_cases(p)})" for name, p in zip(names, whole["p"], strict=True)]
    beyond = [name for name, p in zip(names, whole["p"], strict=True) if p < 0.05]
    verdict = (
        f"That is seldom by chance for {'; '.join(beyond)}"
        + (", and no evidence for the others" if len(beyond) < len(whole) else "")
        if beyond
        else "So none of these is evidence that this part was tested"
    )
    return f"All figures of a column are possible in {len(whole)} of {len(frame)} lines: {'; '.join(told)}. {verdict}."


def _of_cases(p: float) -> str:
    return (
        "always"
        if p > 0.995
        else f"in {100 * p:.0f} % of cases"
        if p >= 0.01
        else f"with probability {p:.1g}"
    )


def whole_columns(sizes: Mapping[str, Sequence[int]], limits: Mapping[str, int]) -> str:
    """The sizes of a test part that allow a whole column, searched up to ``limits``."""
    return _each(
        {
            title: f"no size up to {limits[title]:,} allows the whole column"
            if not found
            else f"{found[0]:,} alone up to {limits[title]:,} allows the whole column"
            if len(found) == 1
            else f"{len(found):,} sizes up to {limits[title]:,} allow the whole column, the smallest is {found[0]:,}"
            for title, found in sizes.items()
        }
    )


def classes(audit: Audit) -> str:
    """The largest and the smallest class of each dataset, over all of its parts."""
    said = {}
    for name, title in (("fer2013", "FER2013"), ("ferplus", "FERPlus"), ("ckplus", "CK+48")):
        if counts := {c: n for c, n in audit.get(name, {}).get("classes", {}).items() if n}:
            most, least = max(counts, key=lambda c: counts[c]), min(counts, key=lambda c: counts[c])
            times = counts[most] / counts[least]
            said[title] = f"{times:.0f} times as many images of *{most}* as of *{least}*"
    return _each(said).replace(".", ", all parts together.")


def likeness(faces: Mapping[str, np.ndarray]) -> str:
    """Which two classes of each dataset have the most similar mean faces. ``faces``: ``dataset/class`` -> face."""
    said = {}
    for name, title in (("fer2013", "FER2013"), ("ferplus", "FERPlus"), ("ckplus", "CK+48")):
        own = {
            key.partition("/")[2]: f.astype(float) for key, f in faces.items() if key.startswith(f"{name}/")
        }
        gaps = {pair: np.abs(own[pair[0]] - own[pair[1]]).mean() for pair in combinations(own, 2)}
        if gaps:
            first, second = (book_name(c) for c in min(gaps, key=lambda pair: gaps[pair]))
            said[title] = f"the mean faces of *{first}* and *{second}* are most alike"
    return _each(said)


def agreement(audit: Audit) -> str:
    """Of which class FERPlus keeps FER2013's label least, and what it has instead."""
    found = audit["labels"]["confusion"]
    counts = pd.DataFrame(found["counts"], found["rows"], [book_name(c) for c in found["columns"]])
    kept = {c: counts.loc[c, c] / counts.loc[c].sum() for c in counts.index if c in counts.columns}
    least = min(kept, key=lambda c: kept[c])
    most = max(kept, key=lambda c: kept[c])
    other = counts.loc[least].drop(least).idxmax()
    return (
        f"FERPlus keeps FER2013's label most often for *{most}* ({100 * kept[most]:.0f} %), least for *{least}* "
        f"({100 * kept[least]:.0f} %), which is most often *{other}* there."
    )


def sweeps(found: Mapping[str, Mapping[float, np.ndarray]]) -> str:
    """How far a sweep's means lie apart, and seeds of one value. ``found``: name -> value -> accuracies (seeds,)."""
    said = {}
    for name, values in found.items():
        means = [float(a.mean()) for a in values.values()]
        seeds = max((float(np.ptp(a)) for a in values.values() if len(a) > 1), default=None)
        if len(means) > 1:
            apart = "" if seeds is None else f", seeds of one value by up to {seeds:.2f}"
            said[name] = f"the means differ by {max(means) - min(means):.2f} points{apart}"
    return _each(said)


def peak(shares: Mapping[str, Mapping[str, float]], aim: float = 0.8) -> str:
    """Which networks come to ``aim`` of a machine's peak; which uses most of it, and which least.

    ``shares``: machine -> network -> fraction.
    """
    every = dict.fromkeys(name for by_name in shares.values() for name in by_name)
    reached = [name for name in every if any(by.get(name, 0) >= aim for by in shares.values())]
    found = f"Of {some(len(every), 'network')} {len(reached) or 'none'} {'comes' if len(reached) < 2 else 'come'} to "
    found += f"{100 * aim:.0f} % of the peak" + (f": {'; '.join(reached)}. " if reached else ". ")
    said = {}
    for machine, by_name in shares.items():
        most, least = max(by_name, key=lambda n: by_name[n]), min(by_name, key=lambda n: by_name[n])
        said[machine] = f"from {100 * by_name[least]:.0f} % ({least}) to {100 * by_name[most]:.0f} % ({most})"
    return found + _each(said) if said else ""


def _each(said: Mapping[str, str]) -> str:
    """One sentence: alone without its title, several with theirs."""
    if not any(said.values()):
        return ""
    if len(said) == 1:
        return _upper(f"{next(iter(said.values()))}.")
    return "; ".join(f"{title}: {text}" for title, text in said.items() if text) + "."


def _those(titles: Sequence[str]) -> str:
    return f" ({'; '.join(titles)})" if titles else ""  # a title may hold commas


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
