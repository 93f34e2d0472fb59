"""What a paper claims and what its chapter found, in a box at the chapter's head. Nothing in it is typed.

The published accuracies and the gaps are those of `ferlib.effects`, attention's gains those of `ferlib.comparison`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from IPython.display import HTML, display

from ferlib import chapters, comparison, effects, tables, wording
from ferlib.claims.verdicts import RUN, missing
from ferlib.comparison import STEPS, Gain, Tested, gain_of
from ferlib.comparison_tables import ALONE, FITTED, OWN_FOLDS, own_difference
from ferlib.effects import HEADS, Left
from ferlib.errors import FerlibError
from ferlib.evaluate import seeds_interval
from ferlib.experiments import EXPERIMENTS
from ferlib.experiments.comparison import NETWORKS
from ferlib.typeset import typeset

# how ids of rows end that stand in for the paper's own, from another start or at another size, as far as they exist
STARTS = ("-scratch", "-scratch96", "-scratch48")
# steps of ours that take nothing but attention away from a paper's network whose own step takes more
WITHOUT = {
    "a_mobilenet": (
        "a_mobilenet-ckplus-no_attention-scratch48",
        "a_mobilenet-ckplus-a_mobilenet-scratch48",
    ),
}
RULE = {  # where the comparison says how little is too little
    "ckplus": "comparison.html#ck-48-folds-by-subject",
    "fer2013": "comparison.html#fer2013-official-split",
}
LEFT = {
    Left.CHANCE: "the difference may be chance",
    Left.GONE: "the difference is gone where the test images choose the epoch",
    Left.ABOVE: "ours is higher, beyond chance",
    Left.OPEN: "the difference stays where the test images choose the epoch",
    Left.UNKNOWN: "what whole runs reach is not known",
}


def show(paper: str, results: Path | str) -> None:
    """Show the box of a paper, for ``amdcnn``, ``gcca_vgg``, ``a_mobilenet``, ``se_cnn`` or ``msca_resnet``."""
    items = "".join(
        f"<li><strong>{escape(name)}</strong>: {typeset(text)}</li>" for name, text in lines(paper, results)
    )
    more = (
        'Brackets are 95 % intervals. <a href="#results-against-the-paper">The tables</a>, '
        '<a href="#why-they-differ">what explains the differences</a>, '
        '<a href="comparison.html">all networks compared</a>.'
    )
    display(
        HTML(
            '<div class="admonition note"><p class="admonition-title">In short</p>'
            f"<ul>{items}</ul><p>{more}</p></div>"
        )
    )


def lines(paper: str, results: Path | str) -> list[tuple[str, str]]:
    """Heading and sentence of each point: the paper's network on each dataset, then what attention adds.

    Raises FerlibError for a paper that is none of the five.
    """
    if paper not in HEADS:
        raise FerlibError(f"no paper {paper!r}: choose one of {', '.join(HEADS)}")
    return [
        *(_accuracy(ids, results) for ids in HEADS[paper]),
        ("The step to attention, as the paper takes it", f"{'; '.join(steps(paper, results))}."),
        *_alone(paper, results),
        *_by_subject(paper, results),
        ("Under one protocol for all networks", _alike(paper, results)),
    ]


def steps(paper: str, results: Path | str) -> list[str]:
    """The paper's steps to attention (`STEPS`); where its own rows have no common run, of rows that stand in.

    The two are kept apart: what is printed is not what rows from another start could give.
    """
    found = []
    for _, without, with_ in (step for step in STEPS if EXPERIMENTS[step[2]].paper == paper):
        own = gain_of(wording.dataset(EXPERIMENTS[with_]), without, with_, results)
        text = _step(own)
        for start in STARTS if own.ours is None else ():
            pair = without + start, with_ + start
            if (
                all(i in EXPERIMENTS for i in pair)
                and (other := gain_of("", *pair, results)).ours is not None
            ):
                text += f". Rows that stand in ({_start(pair[1])}) have {_points(other)}: the two are not comparable"
                break
        found.append(text)
    return found


def _start(identifier: str) -> str:
    """How a row that stands in begins, as its name ends: ``from scratch, 48×48``."""
    return wording.variant(EXPERIMENTS[identifier]).partition(", ")[2]


def _accuracy(ids: Sequence[str], results: Path | str) -> tuple[str, str]:
    row, own = effects.head(ids, results), EXPERIMENTS[ids[0]]
    place = wording.dataset(own)
    published = f"published {chapters.printed_accuracy(row):.2f} %"
    left = effects.left_of(ids, results)
    if left is None:
        return place, f"{published}; not run yet."
    gap, printed = left.chosen, chapters.printed_accuracy(row) or 0.0
    ours, low, high = (printed - (value or 0.0) for value in (gap.points, gap.high, gap.low))
    runs = tables.evidence_label(tables.parts_of(results, row.id))
    found = f"{ours:.2f} % [{low:.1f}, {high:.1f}] of {gap.n:,} test images ({runs})"
    on = "" if wording.dataset(row) == place else f", {wording.dataset(row)}"
    if effects.stands_in(row):
        text = (
            f"{published}; its own row is {RUN[0] if missing(own) == RUN[0] else 'not run yet'}. A row that "
            f"stands in for it ({_start(row.id)}{on}) has {found}: the two are not comparable."
        )
    else:
        text = f"{published}, ours {found}: {LEFT[left.state]}."
    others = effects.people(row, results)
    if others.points is not None:
        images, right = chapters.pooled(row, results)
        low, high = (100 * bound for bound in seeds_interval(right, tables.clusters_of(images, row.dataset)))
        seeds = chapters.some(len(right), "seed") + (", shortened runs" if others.reduced else "")
        text += (
            f" On people whom training did not see: {100 * right.mean():.2f} % [{low:.1f}, {high:.1f}] of "
        )
        text += f"{len(images):,} test images ({seeds})."
    return place, text


def _step(gain: Gain) -> str:
    published = "" if gain.published is None else f"published {chapters.signed(gain.published)}, "
    if gain.ours is None:
        missing = gain.missing if "not run" in gain.missing else f"not run: {gain.missing}"
        return f"{gain.title}: {published}{missing}"
    return f"{gain.title}: {published}ours {_points(gain)}"


def _points(gain: Gain) -> str:
    """Ours, with its bounds and its runs."""
    runs = chapters.some(gain.seeds, "seed") + (", shortened runs" if gain.reduced else "") + gain.turns
    found = chapters.bounds(gain.low or 0.0, gain.high or 0.0)
    return f"{chapters.signed(gain.ours or 0.0)} points {found} ({runs})"


def _alone(paper: str, results: Path | str) -> list[tuple[str, str]]:
    """Attention alone, of a paper whose own step takes more away with it; nothing for the others."""
    if paper not in WITHOUT:
        return []
    without, with_ = WITHOUT[paper]
    name = f"{wording.dataset(EXPERIMENTS[with_])}, {_start(with_)}"
    return [("Attention alone", f"{_step(gain_of(name, without, with_, results))}.")]


def _by_subject(paper: str, results: Path | str) -> list[tuple[str, str]]:
    """Attention minus none on folds by subject under the paper's own settings, where both networks have run on them.

    With the epochs that validation chose, and at the best test epochs.
    """
    said = []
    for pair in OWN_FOLDS.get(paper, ()):
        found, best = (own_difference(pair, results, reading) for reading in ("val_selected", "paper_style"))
        if found is None or best is None:
            continue
        test, shortened = found
        runs = chapters.some(int(test["seeds"]), "seed") + (", shortened runs" if shortened else "")
        without, with_ = (wording.variant(EXPERIMENTS[i]) for i in pair)
        said.append(
            f"{with_} minus {without} {_size(test)}, at the best test epochs {_size(best[0])} ({runs})"
        )
    return [("CK+48, folds by subject, with the paper's own settings", f"{'; '.join(said)}.")] if said else []


def _size(test: Mapping[str, float]) -> str:
    return f"{chapters.signed(test['mean'])} points {chapters.bounds(test['low'], test['high'])}"


def _trained_too_little(pair: Sequence[Tested], dataset: str) -> list[str]:
    """Which of two networks do not fit their training images, with a link to the rule of the comparison."""
    few = [comparison.title(one.name) for one in pair if one.fitted < FITTED[dataset]]
    if not few:
        return []
    rule = f'<a href="{RULE[dataset]}">the rule of the comparison</a>'
    return [f"{chapters.listed(few)} trained too little by {rule}"]


def _alike(paper: str, results: Path | str) -> str:
    """The paper's network minus its twin under the common protocol, on each dataset."""
    said = []
    for dataset, heading in comparison.DATASETS.items():
        pair = [comparison.tested(name, dataset, results) for name in (NETWORKS[paper][3], paper) if name]
        first, second = pair if len(pair) == 2 else (None, None)
        if first is None or second is None or (test := comparison.difference(first, second)) is None:
            said.append(f"{heading}: not run yet")
            continue
        remarks = [chapters.some(int(test["seeds"]), "seed")]
        remarks += ["shortened runs"] if second.reduced else _trained_too_little((first, second), dataset)
        said.append(f"{heading}: {_size(test)} ({', '.join(remarks)})")
    more = (
        ""
        if paper in ALONE
        else " The network without attention lacks other parts, too, so that this is not attention's effect alone."
    )
    return f"{'; '.join(said)}.{more}"
