"""The book's figures, in one style: readable in grey and by colour-blind readers, same class order everywhere."""

from __future__ import annotations

import base64
import html
import io
import textwrap
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from matplotlib.transforms import Bbox
from seaborn.utils import relative_luminance

from ferlib.couples import LAST
from ferlib.data.dataset import FaceDataset, book_name, display_order
from ferlib.errors import FerlibError
from ferlib.statements import Matrix
from ferlib.typeset import typeset

if TYPE_CHECKING:
    from ferlib.comparison import Gain
    from ferlib.maps import ClassMaps

PALETTE = "colorblind"
HEAT, OPACITY = "viridis", 0.55  # of maps over faces


def use_style() -> None:
    """Set the style for every figure of a notebook; vector output where a kernel shows it."""
    sns.set_theme(context="notebook", style="whitegrid", palette=PALETTE)
    plt.rcParams.update(
        {
            "figure.constrained_layout.use": True,
            "figure.facecolor": "white",
            "axes.titlesize": "medium",
            "svg.hashsalt": "ferlib",  # equal figures, equal files
            "svg.fonttype": "path",
            "image.interpolation": "none",  # an SVG then holds the image's own pixels, a fraction of the resampled ones
        }
    )
    try:
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return
    set_matplotlib_formats("svg", metadata={"Date": None})


def confusion(matrices: Mapping[str, Matrix], title: str = "") -> Figure:
    """Confusion matrices by title, side by side: colour and first line are row rates in percent, second counts."""
    figure, axes = plt.subplots(1, len(matrices), figsize=(4.5 * len(matrices), 4.6), squeeze=False)
    for ax, (name, (names, counts)) in zip(axes[0], matrices.items(), strict=True):
        order = display_order(names)
        classes = [book_name(names[i]) for i in order]
        row_rates(ax, counts[np.ix_(order, order)], classes, classes, square=True)
        ax.set(title=name, xlabel="predicted", ylabel="true")
        ax.tick_params(axis="x", rotation=45)
    if title:
        figure.suptitle(title)
    return figure


def row_rates(
    ax: Axes,
    counts: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    square: bool = False,
    separator: str = "",
) -> None:
    """Draw a table of counts: colour and first line are row rates in percent, second counts.

    ``separator`` of thousands in the counts.
    """
    rates = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    text = np.array(
        [
            [f"{r:.0f}\n({k:{separator}})" for r, k in zip(*pair, strict=True)]
            for pair in zip(rates, counts, strict=True)
        ]
    )
    sns.heatmap(
        rates,
        annot=text,
        fmt="",
        cmap="Blues",
        vmin=0,
        vmax=100,
        square=square,
        cbar=False,
        xticklabels=columns,
        yticklabels=rows,
        annot_kws={"fontsize": 8},
        linewidths=0.5,
        ax=ax,
    )
    for label, rate in zip(
        ax.texts, rates.flat, strict=True
    ):  # black on a middle blue, which is seaborn's white
        label.set_color(legible(plt.get_cmap("Blues")(rate / 100)))
    ax.tick_params(axis="y", rotation=0)


def legible(ground: Sequence[float]) -> str:
    """Black or white, whichever has more contrast on a colour (WCAG 2.2, relative luminance and contrast ratio)."""
    light = relative_luminance(ground) + 0.05
    return "black" if light / 0.05 >= 1.05 / light else "white"


def curves(records: Mapping[str, Mapping[str, Any]], published: Mapping[str, float] | None = None) -> Figure:
    """Loss and accuracy over epochs, a column for each run; reductions of the learning rate and the best epoch marked.

    ``records`` maps a title to the reproducible part of a record; ``published`` to a printed test accuracy (%).
    """
    figure, axes = plt.subplots(
        2, len(records), figsize=(4.7 * len(records), 5.6), sharex=True, sharey="row", squeeze=False
    )
    marks: dict[str, Any] = {}
    for column, (name, record) in enumerate(records.items()):
        history = record["history"]
        epochs = [int(line["epoch"]) + 1 for line in history]
        for ax, quantity, factor in ((axes[0, column], "accuracy", 100), (axes[1, column], "loss", 1)):
            for part, style, label in (
                ("train", "-", "training"),
                ("val", (0, (6, 1.5)), "validation"),
                ("test", "-.", "test"),  # only the best epoch is dotted
            ):
                values = [factor * line[f"{part}_{quantity}"] for line in history]
                ax.plot(epochs, values, linestyle=style, label=label)
            for before, after in pairwise(history):
                if after["lr"] < before["lr"]:
                    marks["learning rate reduced"] = ax.axvline(after["epoch"] + 1, **REDUCTION)
            marks["best epoch (validation)"] = ax.axvline(record["best_epoch"] + 1, **BEST)
            ax.grid(False, axis="x")  # upright lines mean something here
        if published and name in published:
            marks["published test"] = axes[0, column].axhline(
                published[name], color="0.2", linewidth=1, linestyle=(0, (8, 3))
            )
        axes[0, column].set(title=name, ylabel="accuracy (%)" if column == 0 else "")
        axes[1, column].set(xlabel="epoch", ylabel="loss" if column == 0 else "")
        axes[1, column].xaxis.set_major_locator(MaxNLocator(integer=True))  # no half epochs
    drawn = dict(zip(("training", "validation", "test"), axes[0, 0].lines, strict=False)) | marks
    figure.legend(
        list(drawn.values()),
        list(drawn),
        loc="outside lower center",
        ncols=3,
        fontsize="small",
        frameon=False,
    )
    return figure


def intervals(
    rows: Sequence[tuple[str, float, float, float, float | None]],
    xlabel: str = "accuracy (%)",
    hollow: Sequence[bool] = (),
) -> Figure:
    """Estimates with intervals against the printed value: rows of (label, ours, low, high, published or None).

    ``hollow``: for each row whether its circle is, for fewer than three seeds or shortened runs; none without it.
    """
    figure, ax = plt.subplots(figsize=(7.5, 0.55 * len(rows) + 1.4))
    for y, (_, value, low, high, published) in enumerate(rows):
        face = "white" if y < len(hollow) and hollow[y] else "C0"
        reach = [[value - low], [high - value]]
        ax.errorbar(value, y, xerr=reach, fmt="o", color="C0", markerfacecolor=face, capsize=4)
        if published is not None:
            ax.plot(published, y, "D", color="C3", markerfacecolor="none", markersize=8)
    ax.set_yticks(range(len(rows)), [row[0] for row in rows])
    ax.invert_yaxis()
    ax.margins(y=0.25)
    diamonds = ", diamond: published" if any(row[4] is not None for row in rows) else ""
    ax.set_xlabel(f"{xlabel}   circle: ours with 95 % interval{diamonds}")
    return figure


def monitored(
    records: Mapping[str, Mapping[str, Any]],
    names: Mapping[str, str],
    ylabel: str,
    level: float | None = None,
) -> Figure:
    """Quantities that a run's history follows beside loss and accuracy, over epochs, a column for each run.

    ``names`` maps a key of the history to its label, ``level`` draws a line to compare with.
    """
    figure, axes = plt.subplots(
        1, len(records), figsize=(4.7 * len(records), 3.3), sharey=True, squeeze=False
    )
    styles = ("-", "--", ":", "-.")
    for column, (title, record) in enumerate(records.items()):
        ax, history = axes[0, column], record["history"]
        epochs = [int(line["epoch"]) + 1 for line in history]
        for i, (key, label) in enumerate(names.items()):
            if key in history[0]:
                ax.plot(epochs, [line[key] for line in history], styles[i % 4], label=label)
        if level is not None:
            ax.axhline(level, color="0.3", linewidth=1, linestyle="--", zorder=0)
        ax.axvline(record["best_epoch"] + 1, color="0.3", linewidth=1, linestyle=(0, (1, 2)), zorder=0)
        ax.grid(False)  # two more lines than these would hide among them
        ax.set(title=title, xlabel="epoch", ylabel=ylabel if column == 0 else "")
    axes[0, 0].legend(fontsize="small")
    return figure


def mean_faces(data: FaceDataset, split: str = "train") -> Figure:
    """The mean image of each class of one split: no single person can be seen in it."""
    order = display_order(data.classes)
    chosen = [data.images[(data.split == split) & (data.labels == c)] for c in order]
    means = [images.mean(axis=0) for images in chosen if len(images)]
    low, high = np.percentile(means, [1, 99])  # one grey scale for all, stretched: means have little contrast
    figure, axes = plt.subplots(1, len(chosen), figsize=(1.4 * len(chosen), 1.9))
    for ax, name, images in zip(axes, [book_name(data.classes[c]) for c in order], chosen, strict=True):
        if len(images):
            shown = np.clip((images.mean(axis=0) - low) / max(high - low, 1e-6), 0, 1)
            ax.imshow(shown, cmap="gray", vmin=0, vmax=1)
        ax.set_title(f"{name}\n{len(images):,}", fontsize="small")
        ax.axis("off")
    return figure


def faces(images: np.ndarray, titles: Sequence[str] | None = None, columns: int = 7) -> Figure:
    """A sheet of single images (N, H, W). Only for synthetic faces, or on the reader's own machine."""
    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(1.5 * columns, 1.7 * rows), squeeze=False)
    for i, ax in enumerate(axes.flat):
        ax.axis("off")
        if i < len(images):
            ax.imshow(images[i], cmap="gray", vmin=0, vmax=255 if images.dtype == np.uint8 else 1)
            if titles:
                ax.set_title(titles[i], fontsize="small")
    return figure


def gates(values: np.ndarray, labels: np.ndarray, classes: Sequence[str], title: str = "") -> Figure:
    """Mean SE gate per class (rows) and channel (columns, ordered by their spread over the classes)."""
    shown = display_order(classes)
    means = np.stack([values[labels == c].mean(axis=0) for c in shown])
    order = np.argsort(-means.std(axis=0))
    figure, ax = plt.subplots(figsize=(9, 2.6))
    sns.heatmap(
        means[:, order],
        cmap="cividis",
        vmin=0,
        vmax=1,
        yticklabels=[book_name(classes[c]) for c in shown],
        xticklabels=False,
        ax=ax,
    )
    ax.set(xlabel="channels, those that differ most between classes first", title=title)
    return figure


def class_maps(
    maps: Mapping[str, ClassMaps],
    layer: str | Mapping[str, str] | None = None,
    classes: Sequence[str] | None = None,
    *,
    native: bool = False,
) -> Figure:
    """Class-mean maps over class-mean faces: a row for each run, a column for each class, one scale for all panels.

    ``maps`` maps a title to a run's class means. ``layer`` names a layer, or a spatial attention map of the network's
    own (``dfem3.spatial_attention``): one for all rows or one by title; None is `ClassMaps.default_layer`.
    ``native`` shows the cells of the grid as they are, else they are interpolated (bilinear). Above a panel: n,
    the images behind its mean, and how many of them have an all-zero map; a cross where a class has no mean.
    Raises FerlibError for a layer that a run does not have, and where Grad-CAM and attention would share a scale.
    """
    named = layer if isinstance(layer, Mapping) else dict.fromkeys(maps, layer)
    chosen = {title: named.get(title) or found.default_layer() for title, found in maps.items()}
    shown = [found.spatial(chosen[title]) for title, found in maps.items()]
    kinds = {chosen[title] in found.cam for title, found in maps.items()}
    if len(kinds) != 1:
        raise FerlibError(
            "Grad-CAM and attention share no scale; draw them in two figures, of one run or more"
        )
    is_cam = kinds == {True}
    low, high = (0.0, 1.0) if is_cam else (min(m.min() for m in shown), max(m.max() for m in shown))
    names = list(classes or dict.fromkeys(name for found in maps.values() for name in found.classes))
    if classes is None:
        names = [names[i] for i in display_order(names)]
    figure, axes = plt.subplots(
        len(maps),
        len(names),
        figsize=(1.1 * len(names) + 1.2, 1.45 * len(maps) + 0.3),
        squeeze=False,
        layout="constrained",
    )
    scale = Normalize(low, high)
    for line, (title, found) in zip(axes, maps.items(), strict=True):
        for ax, name in zip(line, names, strict=True):
            _class_map(ax, found, chosen[title], name, scale, native)
        h, w = found.grids[chosen[title]]
        line[0].set_ylabel("\n".join([title, *chosen[title].split("."), f"{h}×{w}"]), fontsize="small")
    for ax, name in zip(axes[0], names, strict=True):
        ax.set_title(f"{book_name(name)}\n{ax.get_title()}", fontsize="small")
    kind = "mean Grad-CAM,\neach image's divided by its maximum" if is_cam else "mean attention"
    bar = figure.colorbar(ScalarMappable(scale, HEAT), ax=axes, aspect=30, pad=0.01, alpha=OPACITY)
    bar.set_label(kind, fontsize="small")
    return figure


def _class_map(ax: Axes, found: ClassMaps, layer: str, name: str, scale: Normalize, native: bool) -> None:
    """One panel of `class_maps`, without the class's name."""
    ax.set(xticks=[], yticks=[], xlim=(0, 1), ylim=(1, 0), aspect="equal")
    ax.grid(False)
    if name not in found.classes:
        ax.set_title(f"n = {found.left_out.get(name, 0)}, no mean", fontsize="small")
        ax.plot([0, 1, np.nan, 0, 1], [0, 1, np.nan, 1, 0], color="0.8", linewidth=1)
        return
    k, whole = found.classes.index(name), (0, 1, 1, 0)
    low, high = np.percentile(found.faces, [1, 99])  # as in `mean_faces`: means have little contrast
    ax.imshow(found.faces[k], cmap="gray", vmin=low, vmax=high, extent=whole, interpolation="bilinear")
    ax.imshow(
        found.spatial(layer)[k],
        cmap=HEAT,
        norm=scale,
        alpha=OPACITY,
        extent=whole,
        interpolation="nearest" if native else "bilinear",
    )
    zero = found.zero.get(layer, {}).get(name, 0)
    ax.set_title(f"n = {found.counts[name]}" + (f", {zero} zero" if zero else ""), fontsize="small")


REDUCTION: dict[str, Any] = {"color": "0.7", "linewidth": 1, "zorder": 0}
BEST: dict[str, Any] = {"color": "0.2", "linewidth": 1.2, "linestyle": (0, (1, 2)), "zorder": 0}
SHADES = {  # verdict -> colour, hatch: told apart in grey by the hatches
    "reproduced": ("#029e73", ""),
    "direction holds": ("#029e73", "//"),
    "higher": ("#0173b2", ""),
    "lower": ("#de8f05", ""),
    "direction fails": ("#de8f05", "//"),
    "not shown": ("#d9c9a3", "\\\\"),
    "contradicts itself": ("#cc78bc", ""),
    "too few images": ("#949494", "xx"),
    "not testable": ("#d9d9d9", ""),
    "not run: compute": ("white", ""),
    "not run: licensed data": ("white", "..."),
}


def verdicts(counts: Mapping[str, pd.DataFrame]) -> Figure:
    """Claims by verdict as one bar for each paper; paler where provisional. ``counts``: title -> `judge.counts`'."""
    papers = [[name for name in frame.columns if name != "all"] for frame in counts.values()]
    figure, axes = plt.subplots(
        len(counts),
        squeeze=False,
        sharex=True,
        figsize=(9, sum(0.5 * len(p) + 0.6 for p in papers) + 1.6),
        height_ratios=[len(p) for p in papers],
    )
    order = [f"{prefix}{name}" for name in SHADES for prefix in ("", "provisional: ")]
    handles = {}
    for ax, names, (heading, frame) in zip(axes[:, 0], papers, counts.items(), strict=True):
        left = np.zeros(len(names))
        for title in (t for t in order if t in frame.index):
            colour, hatch = SHADES[title.removeprefix("provisional: ")]
            n = frame.loc[title, names].to_numpy(dtype=float)
            pale = 0.45 if title.startswith("provisional") else 1.0
            look: dict[str, Any] = {"color": (*to_rgb(colour), pale), "hatch": hatch, "linewidth": 0.6}
            handles[title] = ax.barh(names, n, left=left, edgecolor="#333333", **look)
            left += n
        ax.invert_yaxis()
        ax.set_title(heading)
        ax.grid(False, axis="y")
    axes[-1, 0].set_xlabel("claims")
    shown = [t for t in order if t in handles]
    figure.legend([handles[t] for t in shown], shown, loc="outside lower center", ncols=3, fontsize="small")
    return figure


Place = tuple[float, float]
Point = tuple[
    str, float, float, float, float, str | None
]  # name, cost, accuracy, low, high, name of its twin


def pareto(panels: Mapping[str, Sequence[Point]]) -> Figure:
    """Accuracy (percent, with its interval) over costs (logarithmic), one under the other: their axes and points.

    An arrow leads from a twin to its network; one name stands for both.
    """
    figure, axes = plt.subplots(len(panels), figsize=(9, 4.2 * len(panels)), squeeze=False)
    named = []
    for ax, (xlabel, points) in zip(axes[:, 0], panels.items(), strict=True):
        ax.set(xscale="log", xlabel=xlabel, ylabel="accuracy (%)")
        named.append((ax, *_costs(ax, points)))
    axes[0, 0].legend(
        handles=[
            plt.Line2D([], [], color="C0", marker="o", linestyle="", label="with attention"),
            plt.Line2D([], [], color="C1", marker="s", linestyle="", label="its twin"),
            plt.Line2D([], [], color="0.6", linestyle=":", label="best at this cost or less"),
        ],
        fontsize="small",
        loc="lower center",
        bbox_to_anchor=(0.5, 1),
        ncols=3,
        frameon=False,
    )
    figure.draw_without_rendering()  # now every panel has its place
    for ax, labels, below, places in named:
        centres = [ax.transData.transform(place) for place in places]
        _stack(labels, below, [Bbox.from_extents(x - 5, y - 5, x + 5, y + 5) for x, y in centres])
    return figure


def _costs(ax: Axes, points: Sequence[Point]) -> tuple[list[Annotation], list[Place], list[Place]]:
    """One panel of `pareto`: names, where each could stand below its bars instead, and where the markers are."""
    at = {name: (cost, accuracy) for name, cost, accuracy, *_ in points}
    bounds = {name: high for name, _cost, _accuracy, _low, high, _twin in points}
    lows = {name: low for name, _cost, _accuracy, low, _high, _twin in points}
    twins = {twin for *_, twin in points}
    best = -np.inf
    front: list[Place] = []
    labels: list[Annotation] = []
    below: list[Place] = []
    for name, cost, accuracy, low, high, twin in sorted(points, key=lambda p: p[1]):
        colour, marker = ("C0", "o") if twin else ("C1", "s")
        ax.errorbar(
            cost,
            accuracy,
            yerr=[[max(accuracy - low, 0)], [max(high - accuracy, 0)]],
            color=colour,
            marker=marker,
            capsize=3,
            alpha=0.9,
        )
        if name not in twins:  # one name for both: two would write over each other
            above = (cost, max(high, bounds.get(str(twin), high)))
            label = ax.annotate(
                name.partition(" (")[0],
                above,
                xytext=(0, 5),
                textcoords="offset points",
                fontsize="small",
                ha="center",
                bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "alpha": 0.7, "linewidth": 0},
            )
            labels.append(label)
            below.append((cost, min(low, lows.get(str(twin), low))))
        if twin in at:
            ax.annotate("", at[name], at[twin], arrowprops={"arrowstyle": "->", "color": "0.4"})
        if accuracy > best:
            best = accuracy
            front.append((cost, accuracy))
    ax.step(*zip(*front, strict=True), where="post", color="0.6", linestyle=":", zorder=0)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.margins(x=0.14, y=0.12)  # for the names
    return labels, below, list(at.values())


def _stack(labels: Sequence[Annotation], below: Sequence[Place], markers: Sequence[Bbox]) -> None:
    """Keep each name from earlier ones and from the markers (boxes on the screen): under its bars, else further up."""

    def clear(i: int) -> bool:
        here = labels[i].get_window_extent()
        others = [other.get_window_extent() for other in labels[:i]]
        return not any(here.overlaps(one) for one in [*others, *markers])

    for i, label in enumerate(labels):
        above = label.xy, label.xyann
        if clear(i):
            continue
        label.xy, label.xyann = below[i], (0, -16)
        if clear(i):
            continue
        label.xy, label.xyann = above
        for _ in range(2 * len(labels)):
            if clear(i):
                break
            x, y = label.xyann
            label.xyann = (x, y + 11)


def differences(frame: pd.DataFrame) -> Figure:
    """A matrix of differences in points, row minus column, each pair once.

    A nan is drawn as a dash, not significant; hatched where ``attrs["tested"]`` (all without it) has no test.
    """
    below = np.tril(np.ones(frame.shape, dtype=bool), -1)
    tested = (below & frame.attrs.get("tested", below))[1:, :-1]
    below = below[1:, :-1]
    frame = frame.iloc[1:, :-1].where(below)
    side = 0.75 * len(frame) + 3
    figure, ax = plt.subplots(figsize=(side, side * 0.8))
    largest = float(np.nanmax(np.abs(frame.to_numpy()))) if frame.notna().any(axis=None) else 1.0
    sns.heatmap(
        frame,
        annot=frame.map(lambda value: typeset(f"{value:+.1f}")).to_numpy(),
        mask=frame.isna().to_numpy(),
        fmt="",
        cmap="PuOr",
        center=0,
        vmin=-largest,
        vmax=largest,
        ax=ax,
        linewidths=0.5,
        cbar_kws={"label": "points, row minus column"},
    )
    for y, x in zip(*np.nonzero(below & frame.isna().to_numpy()), strict=True):
        if tested[y, x]:
            ax.text(x + 0.5, y + 0.5, "–", ha="center", va="center", color="0.4")
        else:
            ax.add_patch(plt.Rectangle((x, y), 1, 1, fill=False, hatch="////", edgecolor="0.6", linewidth=0))
    ax.grid(False)
    ax.set(xlabel="", ylabel="")
    ax.tick_params(axis="y", rotation=0)
    plt.setp(ax.get_xticklabels(), rotation=40, ha="right", rotation_mode="anchor")
    return figure


def forest(
    groups: Mapping[str, Sequence[Gain]], what: str = "network minus its twin", *, narrow: bool = False
) -> Figure:
    """Gains under headings: published ones as diamonds, ours as dots with intervals, a tick for the last epochs.

    ``what`` is subtracted from what, for the axis. Lines without a run of ours say why. Grey crosses: trained too
    little to tell; what lies beyond the others of these is written at the edge. ``narrow`` puts a name above its
    line, so that a phone shows both at once.
    """
    lines: list[str | Gain] = []
    for heading, gains in groups.items():
        lines += [heading, *gains]
    size = (5.2, 0.56 * len(lines) + 2) if narrow else (9, 0.46 * len(lines) + 1.6)
    figure, ax = plt.subplots(figsize=size)
    edges = _edges([gain for gain in lines if not isinstance(gain, str)])
    for y, gain in enumerate(lines):
        if not isinstance(gain, str):
            _draw_gain(ax, y, gain, edges)
    ax.axvline(0, color="0.3", linewidth=1)
    ax.set_xlim(*edges)
    if narrow:
        _names_above(ax, lines)
    else:
        names = [line if isinstance(line, str) else textwrap.fill(line.title, WRAPPED) for line in lines]
        ax.set_yticks(range(len(lines)), names)
        for label, line in zip(ax.get_yticklabels(), lines, strict=True):
            label.set_fontweight("bold" if isinstance(line, str) else "normal")
            label.set_fontsize("small" if "\n" in label.get_text() else "medium")
    ax.set_ylim(len(lines) - 0.4, -0.6)
    ax.grid(False, axis="y")
    ax.set_xlabel(f"{what} (points of test accuracy)")
    ours: dict[str, Any] = {"color": "C0", "marker": "o"}
    told = [gain for gain in lines if not isinstance(gain, str)]
    key = [plt.Line2D([], [], color="C1", marker="D", linestyle="", label="published")]
    key = key if any(gain.published is not None for gain in told) else []
    key += [
        plt.Line2D([], [], **ours, label="ours, 95 % interval"),
        plt.Line2D(
            [], [], **ours, markerfacecolor="white", label="ours, fewer than three seeds or shortened"
        ),
    ]
    if any(gain.last is not None and not gain.undertrained for gain in told):
        key.append(plt.Line2D([], [], **LATE, label=f"ours, mean of the last {LAST} epochs"))
    if any(gain.undertrained for gain in told):
        key.append(plt.Line2D([], [], color=UNTOLD, marker="x", label="ours, trained too little to tell"))
    columns = 1 if narrow else 2
    figure.legend(handles=key, loc="outside lower center", ncols=columns, fontsize="small", frameon=False)
    return figure


def _names_above(ax: plt.Axes, lines: Sequence[str | Gain]) -> None:
    """The name of each line of a forest at its left, in the room above its marks; headings on lines of their own."""
    blank = {"facecolor": "white", "linewidth": 0, "pad": 1}
    for y, line in enumerate(lines):
        heading = isinstance(line, str)
        ax.text(
            0.015,
            y if heading else y - 0.36,
            line if isinstance(line, str) else line.title,
            transform=ax.get_yaxis_transform(),
            va="center",
            fontsize="medium" if heading else "small",
            fontweight="bold" if heading else "normal",
            bbox=blank,
            zorder=1.7,  # above the grid, below all marks
        )
    ax.set_yticks([])


UNTOLD = "0.55"  # what says little
LATE: dict[str, Any] = {
    "color": "0.15",
    "marker": "|",
    "markersize": 12,
    "markeredgewidth": 2,
    "linestyle": "",
}
WRAPPED = 44  # characters of a name on one line


def _edges(gains: Sequence[Gain]) -> tuple[float, float]:
    """Limits that hold every published gain and every interval of ours but those that were trained too little."""
    values = [0.0, *(g.published for g in gains if g.published is not None)]
    for g in gains:
        if not g.undertrained and g.low is not None and g.high is not None:
            values += [g.low, g.high, *([] if g.last is None else [g.last])]
    low, high = min(values), max(values)
    margin = 0.06 * (high - low or 1)
    return low - margin, high + margin


def _draw_gain(ax: plt.Axes, y: int, gain: Gain, edges: tuple[float, float]) -> None:
    near: dict[str, Any] = {"textcoords": "offset points", "va": "center"}
    if gain.published is not None:
        at = gain.published, y - 0.12
        at_edge = gain.published > edges[1] - 0.08 * (edges[1] - edges[0])  # no room on the right
        ax.plot(*at, marker="D", color="C1", linestyle="")
        ax.annotate(
            f"{gain.published:+.2f}".replace("-", "−"),
            at,
            xytext=(-6 if at_edge else 6, 0),
            color="0.25",
            fontsize="x-small",
            ha="right" if at_edge else "left",
            **near,
        )
    if gain.ours is None or gain.low is None or gain.high is None:
        blank = {"facecolor": "white", "linewidth": 0, "pad": 1}  # no line of the grid runs through words
        ax.annotate(
            gain.missing,
            (0, y + 0.1),
            xytext=(-4, 0),
            color="0.45",
            fontsize="small",
            ha="right",
            bbox=blank,
            **near,
        )
        return
    if gain.undertrained and not edges[0] < gain.ours < edges[1]:
        right = gain.ours > edges[1]
        ax.annotate(
            f"{gain.ours:+.1f} →" if right else f"← {gain.ours:+.1f}",
            (edges[right], y),
            xytext=(-4 if right else 4, 0),
            color="0.35",
            fontsize="small",
            ha="right" if right else "left",
            **near,
        )
        return
    reach = [[max(gain.ours - gain.low, 0)], [max(gain.high - gain.ours, 0)]]
    color, marker = (UNTOLD, "x") if gain.undertrained else ("C0", "o")
    face = "white" if gain.reduced or gain.seeds < 3 else color
    ax.errorbar(gain.ours, y + 0.15, xerr=reach, color=color, marker=marker, markerfacecolor=face, capsize=3)
    if gain.last is not None and not gain.undertrained:
        ax.plot(gain.last, y + 0.15, **LATE)


def inline(figure: Figure, alt: str, narrow: Figure | None = None) -> str:
    """The figure as an HTML image that holds its own data, for glue on another page (which takes HTML and text).

    ``narrow`` takes its place on screens of up to 600 pixels.
    """

    def data(one: Figure) -> str:
        with io.BytesIO() as file:
            one.savefig(file, format="svg", metadata={"Date": None})
            return f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode()}"

    image = f'<img alt="{html.escape(alt)}" src="{data(figure)}">'
    if narrow is None:
        return image
    return f'<picture><source media="(max-width: 600px)" srcset="{data(narrow)}">{image}</picture>'


def close(figure: Figure) -> None:
    """Forget a figure that was displayed already, so that the kernel does not show it twice."""
    plt.close(figure)
