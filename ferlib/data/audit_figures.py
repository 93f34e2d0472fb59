"""The figures of the audit's chapter, in the style of `ferlib.plots`; the classes in one order and one colour each.

``audit`` is the reproducible part of `ferlib.data.measured`. Each returns None where the audit lacks what it draws.
"""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ferlib.data.audit_leaks import GROUPINGS
from ferlib.data.audit_tables import ORDER, TITLES, Audit, in_order, parts_of
from ferlib.data.dataset import book_name
from ferlib.plots import row_rates

SHADES = {"train": "C0", "val": "C1", "test": "C2", "all": "C0"}


def classes(audit: Audit) -> Figure | None:
    """Images by class, a panel for each dataset; the bars are stacked by split where there is one."""
    there = [name for name in TITLES if name in audit]
    if not there:
        return None
    figure, axes = plt.subplots(
        1, len(there), figsize=(2.6 * len(there) + 1, 3.4), sharey=True, squeeze=False
    )
    for ax, name in zip(axes[0], there, strict=True):
        part = audit[name]
        begin = np.zeros(len(ORDER))
        for split, counts in parts_of(part).items():
            own = in_order(counts)
            width = np.array([own.get(c, 0) for c in ORDER])
            ax.barh(ORDER, width, left=begin, color=SHADES[split], label=split)
            begin += width
        for y, n in enumerate(begin):
            ax.text(n, y, f" {int(n):,}" if n else " –", va="center", fontsize="x-small")
        ax.set(title=TITLES[name], xlabel="images", xlim=(0, 1.3 * begin.max()))
        ax.tick_params(axis="x", labelsize="x-small")
        ax.grid(axis="y", visible=False)
    axes[0, 0].invert_yaxis()
    used = {split for name in there for split in audit[name].get("splits", {})}
    shown = [
        plt.Rectangle((0, 0), 1, 1, color=SHADES[s], label=s) for s in SHADES if s in used and s != "all"
    ]
    if shown:
        figure.legend(handles=shown, loc="outside lower center", ncols=3, fontsize="small", frameon=False)
    return figure


def mean_faces(faces: Mapping[str, np.ndarray], audit: Audit) -> Figure | None:
    """Mean face of each class, a row for each dataset; a blank where a dataset lacks a class or people for it."""
    there = [name for name in TITLES if any(key.startswith(f"{name}/") for key in faces)]
    if not there:
        return None
    figure, axes = plt.subplots(
        len(there), len(ORDER), figsize=(1.08 * len(ORDER), 1.42 * len(there)), squeeze=False
    )
    for line, name in zip(axes, there, strict=True):
        own = {key.partition("/")[2]: face for key, face in faces.items() if key.startswith(f"{name}/")}
        low, high = np.percentile([*own.values()], [1, 99])  # one grey scale for a dataset
        by_name = {book_name(key): (key, face) for key, face in own.items()}
        for ax, title in zip(line, ORDER, strict=True):
            ax.set(xticks=[], yticks=[], box_aspect=1)
            for spine in ax.spines.values():
                spine.set_visible(False)
            if title in by_name:
                key, face = by_name[title]
                ax.imshow(face.astype(np.float32), cmap="gray", vmin=low, vmax=high)
                ax.set_xlabel(f"{audit[name]['classes'][key]:,}", fontsize="x-small", labelpad=2)
            ax.grid(False)
        line[0].set_ylabel(TITLES[name], fontsize="small")
    for ax, title in zip(axes[0], ORDER, strict=True):
        ax.set_title(title, fontsize="small")
    return figure


def copies(audit: Audit) -> Figure | None:
    """By class: share of FER2013's test images that training also holds, with 95 % intervals; dashed: all classes."""
    part = audit.get("fer2013", {}).get("copies")
    if not part:
        return None
    names = [c for c in ORDER if part["by_class"].get(c, {}).get("n")]
    found = [part["by_class"][c] for c in names]
    values = np.array([100 * p["share"] for p in found])
    ends = 100 * np.array([p["wilson"] for p in found]).T
    figure, ax = plt.subplots(figsize=(6.5, 3.2))
    ax.barh(names, values, color="C0", height=0.6)
    ax.errorbar(values, names, xerr=[values - ends[0], ends[1] - values], fmt="none", color="0.2", capsize=3)
    for y, p in enumerate(found):
        note = ax.text(ends[1][y] + 0.8, y, f"{p['images']:,} of {p['n']:,}", va="center", fontsize="x-small")
        note.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})
    ax.axvline(100 * part["seen"]["share"], color="0.3", linestyle="--", linewidth=1)
    ax.set(xlabel="test images with a copy in training (%)", xlim=(0, 1.25 * max(ends[1].max(), 1)))
    ax.grid(axis="y", visible=False)
    ax.invert_yaxis()
    return figure


def agreement(audit: Audit) -> Figure | None:
    """FER2013's label (rows) against FERPlus's majority (columns): percent of the row, and images."""
    labels = audit.get("labels")
    if not labels:
        return None
    found = labels["confusion"]
    rows = [c for c in ORDER if c in found["rows"]]
    common = [book_name(c) for c in found["columns"]]
    columns = [*(c for c in ORDER if c in common), *(c for c in common if c not in ORDER)]
    picked = np.ix_([found["rows"].index(c) for c in rows], [common.index(c) for c in columns])
    counts = np.array(found["counts"])[picked]
    figure, ax = plt.subplots(figsize=(7.6, 5.4))
    row_rates(ax, counts, rows, columns, separator=",")
    ax.set(xlabel="FERPlus, majority of ten annotators", ylabel="FER2013's label")
    ax.tick_params(axis="x", rotation=35)
    return figure


def ceilings(audit: Audit, accuracies: pd.DataFrame) -> Figure | None:
    """What the labels allow on PrivateTest (bands, lines) beside what is printed and what we measured.

    ``accuracies`` is `audit_tables.on_fer2013`; what a paper prints of its test part stands behind each name.
    """
    labels = audit.get("labels")
    if not labels or not len(accuracies):
        return None
    found = labels["ceilings"]
    order = accuracies.sort_values("published").reset_index(drop=True)
    figure, ax = plt.subplots(figsize=(8.2, 0.32 * len(order) + 2.2))
    low, high = (100 * found["voter"][end]["mean"] for end in ("low", "high"))
    ax.axvspan(low, high, color="C1", alpha=0.25, linewidth=0, label="best answer to one annotator's label")
    for name, style, colour, text in (
        ("fitted", "--", "C4", "oracle of the votes, adapted to FER2013's labels"),
        ("majority", ":", "0.25", "oracle of FERPlus's majority, where there is one"),
    ):
        ax.axvline(100 * found[name]["share"], color=colour, linestyle=style, linewidth=1.6, label=text)
    ax.plot(order["published"], order.index, "D", color="C3", markerfacecolor="none", label="published")
    done = order[order["ours"].notna()]
    if len(done):
        reach = [done["ours"] - done["low"], done["high"] - done["ours"]]
        ax.errorbar(
            done["ours"], done.index, xerr=reach, fmt="o", color="C0", capsize=3, label="ours, 95 % interval"
        )
    names = [f"{label} ({part})" for label, part in zip(order["label"], order["test part"], strict=True)]
    ax.set_yticks(range(len(order)), names, fontsize="small")
    ax.set(xlabel="accuracy on FER2013 (%)")
    figure.legend(loc="outside lower center", ncols=2, fontsize="x-small")
    return figure


def leaks(audit: Audit) -> Figure | None:
    """CK+: the nearest neighbour's accuracy against the share of test frames with a sister, and by grouping."""
    part = audit.get("ckplus", {}).get("leaks")
    if not part:
        return None
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.8, 3.9))
    frame = pd.DataFrame(part["draws"])
    for marker, (fraction, own) in zip("osD^v", frame.groupby("fraction"), strict=False):
        x, y = (100 * own[name] / own["n"] for name in ("sister_in_training", "nearest_right"))
        left.plot(x, y, marker, alpha=0.8, label=f"{100 * float(str(fraction)):.0f} % test frames")
    ends = [min(left.get_xlim()[0], left.get_ylim()[0]), 100.5]
    left.plot(ends, ends, color="0.5", linewidth=1, zorder=0)
    left.set(
        xlim=ends,
        ylim=ends,
        xlabel="test frames with a sister in training (%)",
        ylabel="nearest neighbour is right (%)",
        title=f"random split by frame, {part['seeds']} seeds",
    )
    left.legend(fontsize="x-small", loc="lower right")
    left.set_aspect("equal")
    for k, kind in enumerate(("raw", "standardised")):
        found = [part["nearest"][grouping][kind] for grouping in part["nearest"]]
        values = 100 * np.array([p["accuracy"] for p in found])
        reach = np.abs(100 * np.array([p["by_person"] for p in found]).T - values)
        right.errorbar(
            np.arange(len(found)) + 0.16 * k - 0.08,
            values,
            yerr=reach,
            fmt="os"[k],
            capsize=4,
            label=f"{kind} pixels",
        )
    right.axhline(
        100 * audit["ckplus"]["imbalance"]["majority"]["share"],
        color="0.4",
        linestyle="--",
        linewidth=1,
        label="most frequent class",
    )
    right.set_xticks(range(len(part["nearest"])), [GROUPINGS[grouping] for grouping in part["nearest"]])
    right.set(
        xlim=(-0.5, len(part["nearest"]) - 0.5),
        ylim=(0, 100),
        xlabel="split",
        ylabel="accuracy (%)",
        title="nearest neighbour",
    )
    right.legend(fontsize="x-small")
    return figure
