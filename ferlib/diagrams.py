"""The papers' networks as pictures: their stages, what flows where, and the size of every map, read off the network.

What stands in a box is ours; the shapes are those that one image takes through the network that is built.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from torch import nn

from ferlib.experiments import get
from ferlib.models import build
from ferlib.stages import evaluating

WIDTH, HEIGHT = 0.86, 0.7  # of a box, where columns and rows are 1 apart
INCHES = 1.2, 1.1  # of a column, of a row
PLAIN, ATTENDS = ("#eef3f8", "#5b7a99", 1.0), ("#fbe3c4", "#b35900", 2.2)  # face, edge, width of the edge


@dataclass(frozen=True)
class Node:
    """A box: ``name`` and ``what`` it does, at column and row ``at``; the shape is that of ``module``'s output.

    ``attends``: attention is in it. Without ``module`` nothing is measured, as for the image.
    """

    name: str
    at: tuple[float, float]
    module: str = ""
    what: str = ""
    attends: bool = False


@dataclass(frozen=True)
class Diagram:
    """Boxes of the network of one experiment, and arrows between them by name."""

    experiment: str
    nodes: tuple[Node, ...]
    arrows: tuple[tuple[str, str], ...]
    classes: int = 7


def chain(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple(pairwise(names))


def _mobilenet() -> Diagram:
    """Rows of six boxes; that 4, 6, 11 and 13 are the improved blocks is the reading that the chapter settles on."""
    improved = (4, 6, 11, 13)
    nodes = [Node("image", (0, 0)), Node("stem", (1, 0), "stem", "3×3, stride 2")]
    for k in range(1, 14):
        row, column = divmod(k + 1, 6)
        what = "depthwise, 1×1, CBAM" if k in improved else "depthwise, 1×1"
        nodes.append(Node(f"block {k}", (column, row), f"blocks.{k - 1}", what, k in improved))
    nodes.append(Node("classes", (3, 2), "classifier", "mean, softmax"))
    return Diagram(
        "a_mobilenet-ferplus-a_mobilenet", tuple(nodes), chain(*(node.name for node in nodes)), classes=8
    )


_BLOCK = "two 3×3, SE, pool, norm"
_DFEM = "two 3×3, pool, MCBAM; residual"
_LATERAL = "1×1"
_UNIT = "multi-scale, 3×3, SE; residual"
DIAGRAMS: Mapping[str, Diagram] = {
    "se_cnn": Diagram(
        "se_cnn-se",
        (
            Node("image", (0, 0)),
            *(Node(f"block {k}", (float(k), 0), f"block{k}", _BLOCK, True) for k in (1, 2, 3)),
            Node("dense", (4, 0), "fully_connected", "ReLU, norm, dropout"),
            Node("classes", (5, 0), "classifier", "softmax"),
        ),
        chain("image", "block 1", "block 2", "block 3", "dense", "classes"),
    ),
    "a_mobilenet": _mobilenet(),
    "amdcnn": Diagram(
        "amdcnn-ckplus-acs3",
        (
            Node("image", (0, 0)),
            Node("SFEM", (1, 0), "sfem", "two 3×3"),
            *(Node(f"DFEM {k}", (k + 1.0, 0), f"dfem.{k - 1}", _DFEM, True) for k in (1, 2, 3, 4)),
            *(Node(f"ACM {k}", (k + 1.0, 1), f"acm.{k - 1}", "auxiliary classifier") for k in (1, 2, 3)),
            Node("MCM", (5, 1), "mcm", "main classifier"),
            Node("AWFM", (3.5, 2), "awfm", "weighted sum"),
        ),
        (
            *chain("image", "SFEM", "DFEM 1", "DFEM 2", "DFEM 3", "DFEM 4", "MCM", "AWFM"),
            *((f"DFEM {k}", f"ACM {k}") for k in (1, 2, 3)),
            *((f"ACM {k}", "AWFM") for k in (1, 2, 3)),
        ),
    ),
    "gcca_vgg": Diagram(
        "gcca_vgg-fer2013-model6",
        (
            Node("image", (0, 0)),
            *(
                Node(f"block {k}", (float(k), 0), f"backbone.attention.{k - 1}", "VGG16, GCCA", True)
                for k in (1, 2, 3, 4, 5)
            ),
            Node("edge", (2, 1), "head.edge", "one filter"),
            *(Node(f"lateral {k}", (float(k), 1), f"head.lateral.{k - 3}", _LATERAL) for k in (3, 4, 5)),
            Node("PD", (4, 2), "head.decode", "partial decoder"),
            Node("fusion", (2, 2), "head.fuse", "with the edge, 3×3"),
            Node("RA ×3", (6, 1), "head.reverse", "reverse attention", True),
            Node("classes", (4, 3), "classifier", "mean, softmax"),
        ),
        (
            *chain("image", *(f"block {k}" for k in (1, 2, 3, 4, 5))),
            *((f"block {k}", f"lateral {k}") for k in (3, 4, 5)),
            *((f"lateral {k}", "PD") for k in (3, 4, 5)),
            *chain("block 2", "edge", "fusion", "classes"),
            *chain("PD", "fusion"),
            *((f"block {k}", "RA ×3") for k in (3, 4, 5)),
            *chain("PD", "RA ×3", "classes"),
        ),
    ),
    "msca_resnet": Diagram(
        "msca_resnet-ckplus-se_bn",
        (
            Node("image", (0, 0)),
            Node("stem", (1, 0), "attention", "3×3, pool, SE", True),
            *(
                Node(f"unit {k}", (k + 1.0, 0), f"unit{k}", f"{'pool, ' * (k > 1)}{_UNIT}", True)
                for k in (1, 2, 3)
            ),
            Node("classes", (5, 0), "classifier", "mean, softmax"),
        ),
        chain("image", "stem", "unit 1", "unit 2", "unit 3", "classes"),
    ),
}


def shapes(model: nn.Module, paths: Sequence[str], size: int) -> dict[str, tuple[int, ...]]:
    """The shape, without the batch, of what each of these modules puts out (first) for one image of ``size`` pixels."""
    found: dict[str, tuple[int, ...]] = {}

    def note(path: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, out: Any) -> None:
            while not isinstance(out, torch.Tensor):
                out = out[0]
            found[path] = tuple(out.shape[1:])

        return hook

    modules = dict(model.named_modules())
    hooks = [modules[path].register_forward_hook(note(path)) for path in paths]
    channels = next(m.in_channels for m in model.modules() if isinstance(m, nn.Conv2d))
    try:
        with evaluating(model), torch.no_grad():
            model(torch.zeros(1, channels, size, size))
    finally:
        for hook in hooks:
            hook.remove()
    return found


@cache
def measured(diagram: Diagram, size: int | None = None) -> Mapping[str, tuple[int, ...]]:
    """The shape in each box that has one, by its name, for images of ``size`` pixels (None: the experiment's)."""
    row = get(diagram.experiment)
    size = size or row.size
    options = {**row.variant, **({"pretrained": False} if "pretrained" in row.variant else {})}
    model = build(row.model, classes=diagram.classes, size=size, **options)
    at = {node.name: node.module for node in diagram.nodes if node.module}
    known = shapes(model, list(at.values()), size)
    return MappingProxyType({name: known[path] for name, path in at.items()})


def draw(paper: str) -> Figure:
    """The network that a paper proposes, of `DIAGRAMS`; boxes with attention in another colour and a thick edge."""
    diagram = DIAGRAMS[paper]
    known = measured(diagram)
    columns, rows = (1 + max(node.at[i] for node in diagram.nodes) for i in range(2))
    figure, ax = plt.subplots(figsize=(INCHES[0] * columns, INCHES[1] * rows))
    at = {node.name: node.at for node in diagram.nodes}
    for start, end in diagram.arrows:
        _arrow(ax, at[start], at[end])
    size = get(diagram.experiment).size
    for node in diagram.nodes:
        shape = known.get(node.name, (size, size))
        _box(ax, node, " × ".join(map(str, shape)))
    ax.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
    ax.axis("off")
    return figure


def _box(ax: plt.Axes, node: Node, shape: str) -> None:
    x, y = node.at
    face, edge, width = ATTENDS if node.attends else PLAIN
    corner = x - WIDTH / 2, y - HEIGHT / 2
    style = "round,pad=0,rounding_size=0.06"
    ax.add_patch(
        FancyBboxPatch(
            corner,
            WIDTH,
            HEIGHT,
            boxstyle=style,
            facecolor=face,
            edgecolor=edge,
            linewidth=width,
            mutation_aspect=INCHES[0] / INCHES[1],
            zorder=2,
        )
    )
    text: dict[str, Any] = {"ha": "center", "va": "center", "zorder": 3}
    ax.text(x, y - 0.21, node.name, fontsize=9.5, fontweight="bold", **text)
    ax.text(x, y + 0.02, textwrap.fill(node.what, 15), fontsize=6.9, linespacing=1.05, **text)
    ax.text(x, y + 0.24, shape, fontsize=7.5, color="0.25", **text)


def _arrow(ax: plt.Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    """From the edge of one box to that of the next: along the row, downwards, or from the side up to one further on."""
    if start[1] == end[1]:
        side = 1 if end[0] > start[0] else -1
        points = (start[0] + side * WIDTH / 2, start[1]), (end[0] - side * WIDTH / 2, end[1])
    elif start[1] < end[1]:
        points = (start[0], start[1] + HEIGHT / 2), (end[0], end[1] - HEIGHT / 2)
    else:
        points = (start[0] + WIDTH / 2, start[1]), (end[0], end[1] + HEIGHT / 2)
    style = {"arrowstyle": "-|>", "color": "0.35", "linewidth": 1.1, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", xy=points[1], xytext=points[0], arrowprops=style, zorder=1)
