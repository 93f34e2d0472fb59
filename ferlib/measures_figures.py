"""Figures of the measures: zones over a mean face, shares with intervals, removal and randomisation curves."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ferlib import measures
from ferlib.measures import MIDDLE, ZONES
from ferlib.measures_file import array
from ferlib.measures_tables import SHOWN, Run

HARD = "\N{NO-BREAK SPACE}"


def zones(faces: Mapping[str, np.ndarray]) -> Figure:
    """`ZONES` and the middle of the image (dotted) over mean faces (H, W) by title."""
    columns = min(len(faces), 3)
    rows = -(-len(faces) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(2.6 * columns, 2.85 * rows), squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, (title, face) in zip(axes.flat, faces.items(), strict=False):
        low, high = np.percentile(face, [1, 99])  # stretched: means have little contrast
        ax.imshow(face, cmap="gray", vmin=low, vmax=high, extent=(0, 1, 1, 0), interpolation="bilinear")
        for i, (name, (left, top, right, bottom)) in enumerate(ZONES.items()):
            ax.add_patch(
                Rectangle(
                    (left, top), right - left, bottom - top, fill=False, edgecolor=f"C{i}", linewidth=1.8
                )
            )
            ax.text(
                left + 0.01,
                top + 0.01,
                name,
                color="white",
                fontsize="x-small",
                va="top",
                bbox={"facecolor": f"C{i}", "pad": 1, "linewidth": 0},
            )
        left, top, right, bottom = MIDDLE
        for color, line, width in (("k", "-", 2.2), ("w", ":", 1.5)):  # to be seen on bright skin
            ax.add_patch(
                Rectangle(
                    (left, top),
                    right - left,
                    bottom - top,
                    fill=False,
                    edgecolor=color,
                    linestyle=line,
                    linewidth=width,
                )
            )
        ax.set_title(title, fontsize="small")
    return figure


def shares(groups: Mapping[str, Sequence[Run]]) -> Figure:
    """Share of Grad-CAM in each zone with its 95 % interval, a line for each run, or for several seeds of one.

    The interval of several seeds counts other seeds as well. Dashed: the zone's area.
    """
    figure, axes = plt.subplots(
        1, len(SHOWN), figsize=(2.05 * len(SHOWN), 0.42 * len(groups) + 1.3), sharey=True
    )
    for ax, zone in zip(axes, SHOWN, strict=True):
        for y, runs in enumerate(groups.values()):
            values = [run.values([zone]) for run in runs]
            if not np.isnan(values).all(1).any():
                e = measures.over_seeds(values, runs[0].people)
                mean, low, high = (100 * e[k] for k in ("mean", "low", "high"))
                style = {"fmt": "o", "color": "C0"} if len(runs) == 1 else {"fmt": "D", "color": "C1"}
                ax.errorbar(mean, y, xerr=[[mean - low], [high - mean]], capsize=3, **style)
            ax.axvline(100 * runs[0].found["areas"][zone], color="0.3", linestyle="--", linewidth=1, zorder=0)
        ax.set(title=zone, xlabel="share (%)", xlim=(0, None))
    axes[0].set_yticks(range(len(groups)), [wrapped(title, 44) for title in groups], fontsize="small")
    axes[0].set_ylim(len(groups) - 0.4, -0.6)
    return figure


def wrapped(title: str, width: int = 36) -> str:
    """A run's name on as many lines as it needs beside or above a panel; a number stays beside its seed."""
    held = re.sub(r"seed \d+( \*)?|\d+ seeds( \*)?", lambda found: found[0].replace(" ", HARD), title)
    return "\n".join(textwrap.wrap(held, width, break_long_words=False)).replace(HARD, " ")


def removal(runs: Mapping[str, Run]) -> Figure:
    """Mean area under the curves of deletion (left) and insertion (right), a line for each run.

    Filled: in the order of Grad-CAM; hollow: of random maps.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.2, 0.42 * len(runs) + 1.5), sharey=True)
    for ax, kind in zip(axes, ("deletion", "insertion"), strict=True):
        for y, run in enumerate(runs.values()):
            areas = run.found["removal"][kind]
            by_map, by_chance = (float(np.nanmean(array(areas[k]))) for k in ("map", "random"))
            ax.plot([by_chance, by_map], [y, y], color="0.6", zorder=1)
            ax.plot(by_chance, y, "o", color="0.35", markerfacecolor="white", zorder=2)
            ax.plot(by_map, y, "o", color="C0", zorder=3)
        better = "lower" if kind == "deletion" else "higher"
        ax.set(title=f"{kind} ({better} is better)", xlabel="area under the curve", xlim=(0, 1))
        ax.grid(False, axis="y")
    axes[0].set_yticks(range(len(runs)), [wrapped(title, 44) for title in runs], fontsize="small")
    axes[0].set_ylim(len(runs) - 0.4, -0.6)
    figure.legend(
        handles=[
            plt.Line2D([], [], marker="o", linestyle="", color="C0", label="Grad-CAM"),
            plt.Line2D(
                [], [], marker="o", linestyle="", color="0.35", markerfacecolor="white", label="random maps"
            ),
        ],
        loc="outside lower center",
        ncols=2,
        fontsize="small",
        frameon=False,
    )
    return figure


def randomised(runs: Mapping[str, Run]) -> Figure:
    """Mean rank correlation with the trained network's map while its parts are made random from the top down."""
    columns = min(len(runs), 3)
    rows = -(-len(runs) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(max(2.7 * columns, 4), 3.2 * rows), sharey=True, squeeze=False
    )
    for ax in axes.flat[len(runs) :]:
        ax.axis("off")
    for ax, (title, run) in zip(axes.flat, runs.items(), strict=False):
        found, summary = run.found["randomised"], run.found["summary"]["randomised"]
        for x, part in enumerate(found["order"]):
            e = summary[part]
            if e["mean"] is not None:
                ax.errorbar(
                    x,
                    e["mean"],
                    yerr=[[e["mean"] - e["low"]], [e["high"] - e["mean"]]],
                    fmt="o",
                    color="C0",
                    capsize=3,
                )
        others = summary["others"]
        if others["mean"] is not None:
            ax.axhspan(others["low"], others["high"], color="0.85", zorder=0)
        ax.axhline(0, color="0.4", linewidth=0.8)
        ax.set_xticks(range(len(found["order"])), found["order"], rotation=90, fontsize="small")
        ax.set_title(f"{wrapped(title, 27)}\n{run.found['layer']}", fontsize="small")
    axes[0, 0].set_ylim(-0.5, 1.05)
    for ax in axes[:, 0]:
        ax.set_ylabel("rank correlation")
    return figure


def regions(images: np.ndarray, masks: np.ndarray, maps: np.ndarray, titles: Sequence[str]) -> Figure:
    """Synthetic faces (N, H, W), uint8, with the outline of their regions and a map (N, H, W) over each."""
    figure, axes = plt.subplots(1, len(images), figsize=(1.6 * len(images), 2.0), squeeze=False)
    for ax, image, mask, one, title in zip(axes[0], images, masks, maps, titles, strict=True):
        ax.imshow(image, cmap="gray", vmin=0, vmax=255)
        ax.imshow(one, cmap="viridis", alpha=0.55, vmin=0)
        if mask.any():
            ax.contour(mask, levels=[0.5], colors="w", linewidths=1.5)
        ax.set_title(title, fontsize="small")
        ax.axis("off")
    return figure
