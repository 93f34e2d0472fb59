"""The pictures of the networks: they show what is built, all of it, and mark attention where it is."""

from __future__ import annotations

import re
from functools import partial

import matplotlib
import pytest
import torch

from ferlib import captions, diagrams
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


def tensors(found):
    if isinstance(found, torch.Tensor):
        return [found]
    parts = found.values() if isinstance(found, dict) else found
    return [one for part in parts for one in tensors(part)]


@pytest.mark.parametrize("paper", diagrams.DIAGRAMS)
def test_what_flows_is_what_the_arrows_say(paper):
    """A box moves with another one if and only if arrows lead from that one to it: by the gradient."""
    drawn, row, _ = network(paper)
    options = {**row.variant, **({"pretrained": False} if "pretrained" in row.variant else {})}
    model = build(row.model, classes=drawn.classes, size=48, **options).eval()
    out = {}
    for node in drawn.nodes:
        if node.module:
            keep = partial(lambda name, _m, _i, found: out.update({name: tensors(found)}), node.name)
            model.get_submodule(node.module).register_forward_hook(keep)
    image = torch.rand(2, 1, 48, 48, requires_grad=True)
    model(image)
    out["image"] = [image]
    for node in drawn.nodes:
        reached = {node.name}
        for _ in drawn.nodes:
            reached |= {end for start, end in drawn.arrows if start in reached}
        for other in drawn.nodes:
            if other.name == node.name:
                continue
            end = sum(one.sum() for one in out[other.name])
            grads = torch.autograd.grad(end, out[node.name][:1], retain_graph=True, allow_unused=True)
            assert (grads[0] is not None) == (other.name in reached), (node.name, other.name)


def test_shapes_that_can_be_worked_out_by_hand():
    """AMDCNN: the inputs of Table 1. The others: unpadded 3x3 convolutions and halvings, from 48 or 224 pixels."""
    known = {paper: diagrams.measured(drawn) for paper, drawn in diagrams.DIAGRAMS.items()}
    amdcnn, vgg, mobile = (known[paper] for paper in ("amdcnn", "gcca_vgg", "a_mobilenet"))
    assert [amdcnn[f"DFEM {k}"] for k in (1, 2, 3)] == [(32, 22, 22), (64, 11, 11), (128, 6, 6)]
    assert amdcnn["SFEM"] == (16, 44, 44) and amdcnn["AWFM"] == amdcnn["MCM"] == (7,)
    assert vgg["block 5"] == (512, 14, 14) and vgg["PD"] == (96, 56, 56) and vgg["fusion"] == (128, 56, 56)
    assert (
        mobile["stem"] == (32, 112, 112) and mobile["block 13"] == (1024, 7, 7) and mobile["classes"] == (8,)
    )
    assert [known["se_cnn"][f"block {k}"][1:] for k in (1, 2, 3)] == [(22, 22), (9, 9), (2, 2)]
    units = [known["msca_resnet"][name] for name in ("stem", "unit 1", "unit 2", "unit 3")]
    assert units == [(64, 24, 24), (64, 24, 24), (128, 12, 12), (256, 6, 6)]


def test_arrows_of_the_reverse_attention():
    """It weighs what blocks 3, 4 and 5 put out, each of them directly (Eq. 3), with the decoder's map."""
    arrows = diagrams.DIAGRAMS["gcca_vgg"].arrows
    assert {start for start, end in arrows if end == "RA ×3"} == {"block 3", "block 4", "block 5", "PD"}


def test_figure_and_sentence():
    figure = diagrams.draw("amdcnn")
    words = [text.get_text() for text in figure.axes[0].texts]
    assert {"image", "DFEM 4", "48 × 48", "256 × 3 × 3", "AWFM"} <= set(words)
    assert len(figure.axes[0].patches) == len(diagrams.DIAGRAMS["amdcnn"].nodes)
    assert captions.diagram("a_mobilenet") == (
        "The stages with attention (block 4, block 6, block 11 and block 13) put out maps of 28×28, 14×14, 14×14 and "
        "7×7 cells; for the 48-pixel images of our runs 6×6, 3×3, 3×3 and 1×1."
    )
    for paper, count in {"se_cnn": 3, "amdcnn": 4, "gcca_vgg": 5, "msca_resnet": 4}.items():
        said = captions.diagram(paper)
        names, _, sizes = said.partition(") put out maps of ")
        assert (
            len(re.split(", | and ", names)) == count == len(re.findall(r"\d+×\d+", sizes.split(";")[0]))
        ), said
    assert captions.diagram("se_cnn").endswith("put out maps of 22×22, 9×9 and 2×2 cells.")
    with pytest.raises(TypeError):
        diagrams.measured(diagrams.DIAGRAMS["se_cnn"])["image"] = (1,)
