"""Figures of `ferlib.effects`: sizes of effects with their bounds, and one network read in five ways."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from ferlib import chapters
from ferlib.claims.page import NAMES
from ferlib.couples import LAST
from ferlib.effects import CHANCE, Effect, frame, measured, place, short, title, told, waiting
from ferlib.plots import LATE
from ferlib.wording import without_constant

STRICTER, BELOW = ("unseen images", "other people"), 0.2  # drawn below the others, by this part of a line
LABEL = 38  # letters of a line below a heading: what a phone shows beside the marks
UNSETTLED: dict[str, Any] = {"color": "0.55", "marker": "x", "linestyle": ""}
READINGS = {  # column of `ferlib.effects.readings` -> marker
    "published": "D",
    "best test epoch": "^",
    "epoch by validation": "o",
    "unseen images": "s",
    "other people": "P",
}


def sizes(effects: Sequence[Effect], *, papers: bool = False) -> Figure | None:
    """Every measured effect in points, one line each under its kind; None where none is measured.

    ``papers``: of several papers; the kind stands once above its lines, which name paper and dataset. Chance is
    drawn to both sides of zero: of seeds as far as two lie apart in the mean, of test images as far as the interval
    reaches around our accuracy.
    """
    found = measured(effects)
    if not found:
        return None
    lines: list[tuple[str, Effect | None]] = []
    for kind, group in groupby(found, title):
        if papers:
            lines.append((textwrap.fill(kind[0].upper() + kind[1:], LABEL), None))
        lines += [(_name(e, papers), e) for e in group]
    names = [name for name, _ in lines]
    figure, ax = plt.subplots(figsize=(9, 1.4 + 0.18 * sum(2 + n.count("\n") for n in names)))
    ax.set_yticks(range(len(lines)), names, fontsize="small")
    for y, (label, (_, e)) in enumerate(zip(ax.get_yticklabels(), lines, strict=True)):
        if e is None:
            label.set_fontweight("bold")
        else:
            _draw(ax, y, e)
    ax.axvline(0, color="0.3", linewidth=1)
    ax.set_ylim(len(lines) - 0.4, -0.6)
    ax.grid(False, axis="y")
    ax.set_xlabel("points of test accuracy")
    ax.tick_params(labeltop=len(found) > 20)  # of a tall figure the lower scale is out of sight
    figure.legend(handles=_key(found), loc="outside lower center", ncols=3, fontsize="small", frameon=False)
    return figure


def _name(e: Effect, papers: bool) -> str:
    """A line's label; below a heading with its kind it has of `short` what the heading does not say."""
    if not papers:
        return textwrap.fill(f"{place(e)}: {short(e)}", 56)
    rest = short(e).removeprefix(title(e)).removeprefix(": ")
    return textwrap.fill(f"{NAMES[e.paper]}, {place(e)}" + (f": {rest}" if rest else ""), LABEL)


def _draw(ax: plt.Axes, y: int, e: Effect) -> None:
    assert e.points is not None
    if e.kind in CHANCE:
        low, high = -e.points, e.points
        if e.kind == "sample" and e.low is not None and e.high is not None:
            low, high = e.low, e.high
        ax.plot([low, high], [y, y], color="0.55", linewidth=6, solid_capstyle="butt")
        return
    if e.unfinished:
        ax.plot(e.points, y, **UNSETTLED)
        return
    color, marker = ("C1", "D") if e.kind == "gap" else ("C0", "o")
    if e.low is not None and e.high is not None:
        style = ":" if e.bounds == "range" else "-"
        ax.plot([e.low, e.high], [y, y], color=color, linestyle=style)
    if e.last is not None:
        ax.plot(e.last[0], y, **LATE)
    ax.plot(
        e.points,
        y,
        color=color,
        marker=marker,
        markerfacecolor="white" if e.reduced or e.seeds < 3 else color,
    )


def _key(found: Sequence[Effect]) -> list[plt.Line2D]:
    line = plt.Line2D
    ours: dict[str, Any] = {"color": "C0", "marker": "o"}
    key = []
    if any(e.kind == "gap" for e in found):
        key.append(line([], [], color="C1", marker="D", label="published minus ours, 95 % interval"))
    unsettled, found = any(e.unfinished for e in found), [e for e in found if not e.unfinished]
    if any(e.bounds.startswith("95") and e.kind != "gap" for e in found if e.kind not in CHANCE):
        key.append(line([], [], **ours, label="effect, 95 % interval"))
    if any(e.bounds == "range" and e.kind not in CHANCE for e in found):
        key.append(line([], [], **ours, linestyle=":", label="mean and range over runs"))
    if any(e.reduced or e.seeds < 3 for e in found if e.kind not in CHANCE):
        key.append(
            line(
                [], [], **ours, markerfacecolor="white", linestyle="", label="under three seeds, or shortened"
            )
        )
    if any(e.last is not None for e in found):
        key.append(line([], [], **LATE, label=f"effect over the last {LAST} epochs"))
    if unsettled:
        key.append(line([], [], **UNSETTLED, label="not settled: still learning"))
    if any(e.kind in CHANCE for e in found):
        key.append(line([], [], color="0.55", linewidth=6, label="chance"))
    return key


def readings(frame: pd.DataFrame) -> Figure | None:
    """Accuracy of each paper's network, published and in our readings; lines without a run are left out.

    A row that stands in for the paper's own is marked: its distance to what is published says nothing of the paper.
    The stricter readings are drawn a little lower, so that their intervals do not cover each other.
    """
    found = frame[frame["epoch by validation"].notna()].reset_index(drop=True)
    if not len(found):
        return None
    figure, ax = plt.subplots(figsize=(9, 1.4 + 0.6 * len(found)))
    for column, marker in READINGS.items():
        color = "C1" if column == "published" else "C0"
        face = color if column in ("published", "epoch by validation") else "white"
        below = [y + (BELOW if column in STRICTER else 0) for y in found.index]
        for y, value, bounds in zip(below, found[column], found["bounds"], strict=True):
            if column in bounds:
                low, high = (100 * bound for bound in bounds[column])
                ax.errorbar(value, y, xerr=[[value - low], [high - value]], color=color, capsize=3)
        ax.plot(
            found[column],
            below,
            linestyle="",
            color=color,
            marker=marker,
            markerfacecolor=face,
            markersize=8,
            label=column,
        )
    for y, values in enumerate(found[list(READINGS)].to_numpy(dtype=float)):
        ax.plot([pd.Series(values).min(), pd.Series(values).max()], [y, y], color="0.8", zorder=0)
    ax.set_yticks(
        found.index,
        [
            textwrap.fill(
                f"{p}, {d}{' *' if n.endswith(' *') else ''}{f' ({remark})' if remark else ''}", LABEL
            )
            for p, d, n, remark in found[["paper", "dataset", "network", "remark"]].to_numpy()
        ],
    )
    ax.set_ylim(len(found) - 0.5, -0.5)
    ax.grid(False, axis="y")
    ax.set_xlabel("test accuracy (%)")
    figure.legend(loc="outside lower center", ncols=5, fontsize="small", frameon=False)
    return figure


def lines(effects: Sequence[Effect], results: Path | str) -> None:
    """Show a chapter's effects as a table, and under it, folded, those whose rows have no record yet."""
    shown = frame(effects)
    if len(shown):  # one column less, so that the table fits into a page
        shown["reading"] = shown.pop("dataset") + ": " + shown["reading"]
        shown = shown.rename(columns={"reading": "dataset: reading"})
    chapters.table_or(shown, "No effect is measured yet: no row of this paper has a record.")
    if len(open_ones := waiting(effects, results)):
        chapters.folded(
            f"Not measured yet, for want of records: {chapters.some(len(open_ones), 'effect')}", open_ones
        )


def of_kinds(kinds: Sequence[str], effects: Sequence[Effect]) -> None:
    """Show what `told` says of each kind, over all papers, and below it a table of the measured ones."""
    for kind in kinds:
        chapters.say(told(kind, effects))
        found = [e for e in measured(effects) if e.kind == kind]
        if not found:
            continue
        shown = frame(found).drop(columns=["effect", "dataset"])
        shown.insert(0, "paper, dataset", [f"{NAMES[e.paper]}, {place(e)}" for e in found])
        shown.insert(1, "points", shown.pop("points"))
        shown, same = without_constant(shown, ("interval over", "images"))
        chapters.table(shown)
        if same:
            chapters.say(same)
