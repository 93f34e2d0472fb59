"""The pictures of the networks: they show what is built, all of it, and mark attention where it is."""

from __future__ import annotations

import matplotlib
import pytest

from ferlib import captions, diagrams, tables
from ferlib.experiments import get
from ferlib.models import build

matplotlib.use("Agg")
ATTENTION = {
    "se_cnn": "SEBlock",
    "a_mobilenet": "ChannelAttention",
    "amdcnn": "MCBAM",
    "gcca_vgg": "GCCA",
    "msca_resnet": "SEBlock",
}


def network(paper):
    drawn = diagrams.DIAGRAMS[paper]
    row = get(drawn.experiment)
    options = {**row.variant, **({"pretrained": False} if "pretrained" in row.variant else {})}
    return drawn, row, build(row.model, classes=drawn.classes, size=row.size, **options)


@pytest.mark.parametrize("paper", diagrams.DIAGRAMS)
def test_boxes_with_attention_are_those_that_hold_it(paper):
    drawn, _, model = network(paper)
    kind = ATTENTION[paper]
    for node in drawn.nodes:
        if node.module and node.name != "RA ×3":
            inside = {type(m).__name__ for m in model.get_submodule(node.module).modules()}
            assert node.attends == (kind in inside), node.name
    held = [path for path, m in model.named_modules() if type(m).__name__ == kind]
    shown = [node.module for node in drawn.nodes if node.attends]
    assert held and all(any(f"{path}.".startswith(f"{place}.") for place in shown) for path in held)


@pytest.mark.parametrize("paper", diagrams.DIAGRAMS)
def test_every_weight_is_in_a_box_and_every_box_on_the_way(paper):
    drawn, _, model = network(paper)
    places = [node.module for node in drawn.nodes if node.module]
    # VGG16's blocks stand in the boxes of their GCCA, the dropout and batch norm of SE-CNN in its dense layer
    own = {"gcca_vgg": ("backbone.blocks",), "se_cnn": ("norm",), "msca_resnet": ("conv",)}
    for path, _ in model.named_parameters():
        assert path.startswith((*(f"{p}." for p in places), *own.get(paper, ()))), path
    names = [node.name for node in drawn.nodes]
    assert len(set(names)) == len(names) and len({node.at for node in drawn.nodes}) == len(names)
    reached = {"image"}
    for _ in names:
        reached |= {end for start, end in drawn.arrows if start in reached}
    assert reached == set(names) == {name for arrow in drawn.arrows for name in arrow}


@pytest.mark.parametrize("paper", diagrams.DIAGRAMS)
def test_shapes_are_those_of_the_table_of_layers(paper):
    drawn, row, model = network(paper)
    outputs = set(tables.layers(model, row.size)["output"])
    known = diagrams.measured(drawn)
    assert known["classes" if "classes" in known else "AWFM"] == (drawn.classes,)
    for name, shape in known.items():
        if name not in ("AWFM", "RA ×3"):  # sums of what others put out
            assert " × ".join(map(str, shape)) in outputs, name


def test_shapes_that_the_papers_print():
    """AMDCNN's Table 1 has the inputs of the DFEMs; VGG16 halves four times; A-MobileNet ends at 7x7."""
    amdcnn = diagrams.measured(diagrams.DIAGRAMS["amdcnn"])
    assert [amdcnn[f"DFEM {k}"] for k in (1, 2, 3)] == [(32, 22, 22), (64, 11, 11), (128, 6, 6)]
    vgg = diagrams.measured(diagrams.DIAGRAMS["gcca_vgg"])
    assert vgg["block 5"] == (512, 14, 14) and vgg["PD"] == (96, 56, 56)
    assert diagrams.measured(diagrams.DIAGRAMS["a_mobilenet"])["block 13"] == (1024, 7, 7)


def test_figure_and_sentence():
    figure = diagrams.draw("amdcnn")
    words = [text.get_text() for text in figure.axes[0].texts]
    assert {"image", "DFEM 4", "48 × 48", "256 × 3 × 3", "AWFM"} <= set(words)
    assert len(figure.axes[0].patches) == len(diagrams.DIAGRAMS["amdcnn"].nodes)
    assert captions.diagram("a_mobilenet") == (
        "The stages with attention (block 4, block 6, block 11 and block 13) put out maps of 28×28, 14×14, 14×14 and "
        "7×7 cells; of images of 48 pixels they are 6×6, 3×3, 3×3 and 1×1."
    )
    assert captions.diagram("se_cnn").endswith("put out maps of 22×22, 9×9 and 2×2 cells.")
