"""The book's figures, in one style: readable in grey and by colour-blind readers, same class order everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from ferlib.data.dataset import FaceDataset

PALETTE = "colorblind"


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
        }
    )
    try:
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return
    set_matplotlib_formats("svg", metadata={"Date": None})


def confusion(results: Mapping[str, Mapping[str, Any]], classes: Sequence[str], title: str = "") -> Figure:
    """Confusion matrices side by side: colour and first line are row rates in percent, second line counts.

    ``results`` maps a title to metrics as in a record (``confusion``: rows true, columns predicted).
    """
    figure, axes = plt.subplots(1, len(results), figsize=(5.2 * len(results), 5.0), squeeze=False)
    for ax, (name, result) in zip(axes[0], results.items(), strict=True):
        counts = np.asarray(result["confusion"])
        rates = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        text = np.array(
            [
                [f"{r:.0f}\n({k})" for r, k in zip(*rows, strict=True)]
                for rows in zip(rates, counts, strict=True)
            ]
        )
        sns.heatmap(
            rates,
            annot=text,
            fmt="",
            cmap="Blues",
            vmin=0,
            vmax=100,
            square=True,
            cbar=False,
            xticklabels=list(classes),
            yticklabels=list(classes),
            annot_kws={"fontsize": 8},
            linewidths=0.5,
            ax=ax,
        )
        ax.set(title=name, xlabel="predicted", ylabel="true")
        ax.tick_params(axis="x", rotation=45)
        ax.tick_params(axis="y", rotation=0)
    if title:
        figure.suptitle(title)
    return figure


def curves(records: Mapping[str, Mapping[str, Any]], published: Mapping[str, float] | None = None) -> Figure:
    """Loss and accuracy over epochs, a column for each run; reductions of the learning rate and the best epoch marked.

    ``records`` maps a title to the reproducible part of a record; ``published`` to a printed test accuracy (%).
    """
    figure, axes = plt.subplots(
        2, len(records), figsize=(5.6 * len(records), 6.4), sharex=True, sharey="row", squeeze=False
    )
    for column, (name, record) in enumerate(records.items()):
        history = record["history"]
        epochs = [int(line["epoch"]) + 1 for line in history]
        for ax, quantity, factor in ((axes[0, column], "accuracy", 100), (axes[1, column], "loss", 1)):
            for part, style, label in (
                ("train", "-", "training"),
                ("val", "--", "validation"),
                ("test", ":", "test"),
            ):
                ax.plot(epochs, [factor * line[f"{part}_{quantity}"] for line in history], style, label=label)
            for before, after in pairwise(history):
                if after["lr"] < before["lr"]:
                    ax.axvline(after["epoch"] + 1, color="0.75", linewidth=0.8, zorder=0)
            ax.axvline(record["best_epoch"] + 1, color="0.3", linewidth=1, linestyle=(0, (1, 2)), zorder=0)
        if published and name in published:
            axes[0, column].axhline(
                published[name], color="0.2", linewidth=1, linestyle="-.", label="published test"
            )
        axes[0, column].set(title=name, ylabel="accuracy (%)" if column == 0 else "")
        axes[1, column].set(xlabel="epoch", ylabel="loss" if column == 0 else "")
    axes[0, 0].legend(loc="lower right", fontsize="small")
    return figure


def intervals(
    rows: Sequence[tuple[str, float, float, float, float | None]], xlabel: str = "accuracy (%)"
) -> Figure:
    """Estimates with intervals against the printed value: rows of (label, ours, low, high, published or None)."""
    figure, ax = plt.subplots(figsize=(7.5, 0.55 * len(rows) + 1.4))
    for y, (_, value, low, high, published) in enumerate(rows):
        ax.errorbar(value, y, xerr=[[value - low], [high - value]], fmt="o", color="C0", capsize=4)
        if published is not None:
            ax.plot(published, y, "D", color="C3", markerfacecolor="none", markersize=8)
    ax.set_yticks(range(len(rows)), [row[0] for row in rows])
    ax.invert_yaxis()
    ax.margins(y=0.25)
    ax.set_xlabel(f"{xlabel}   circle: ours with 95 % interval, diamond: published")
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
        1, len(records), figsize=(5.6 * len(records), 3.6), sharey=True, squeeze=False
    )
    styles = ("-", "--", ":", "-.")
    for column, (title, record) in enumerate(records.items()):
        ax, history = axes[0, column], record["history"]
        epochs = [int(line["epoch"]) + 1 for line in history]
        for i, (key, label) in enumerate(names.items()):
            if key in history[0]:
                ax.plot(epochs, [line[key] for line in history], styles[i % 4], label=label)
        if level is not None:
            ax.axhline(level, color="0.6", linewidth=1, zorder=0)
        ax.axvline(record["best_epoch"] + 1, color="0.3", linewidth=1, linestyle=(0, (1, 2)), zorder=0)
        ax.set(title=title, xlabel="epoch", ylabel=ylabel if column == 0 else "")
    axes[0, 0].legend(fontsize="small")
    return figure


def mean_faces(data: FaceDataset, split: str = "train") -> Figure:
    """The mean image of each class of one split: no single person can be seen in it."""
    chosen = [data.images[(data.split == split) & (data.labels == c)] for c in range(len(data.classes))]
    means = [images.mean(axis=0) for images in chosen if len(images)]
    low, high = np.percentile(means, [1, 99])  # one grey scale for all, stretched: means have little contrast
    figure, axes = plt.subplots(1, len(chosen), figsize=(1.4 * len(chosen), 1.9))
    for ax, name, images in zip(axes, data.classes, chosen, strict=True):
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
    means = np.stack([values[labels == c].mean(axis=0) for c in range(len(classes))])
    order = np.argsort(-means.std(axis=0))
    figure, ax = plt.subplots(figsize=(9, 2.6))
    sns.heatmap(
        means[:, order], cmap="cividis", vmin=0, vmax=1, yticklabels=list(classes), xticklabels=False, ax=ax
    )
    ax.set(xlabel="channels, those that differ most between classes first", title=title)
    return figure
