"""Luo's network: what the paper prints, and what must hold for any correct reading of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from nets import assert_gates, overfitted, without_gradient
from torch import nn

from ferlib.errors import FerlibError
from ferlib.models import build, count_parameters
from ferlib.models.se_cnn import SEBlock, scale

VARIANTS = [
    {"se": se, "padding": padding} for se in ("none", "pool", "conv") for padding in ("valid", "same")
]


def make(**variant):
    torch.manual_seed(0)
    return build("se_cnn", classes=7, **variant)


def test_filters_are_those_of_figure_2():
    convs = [m.out_channels for m in make().modules() if isinstance(m, nn.Conv2d)]
    assert convs == [32, 64, 128, 128, 256, 256]


@pytest.mark.parametrize(("se", "blocks"), [("none", 0), ("pool", 3), ("conv", 6)])
def test_number_of_se_blocks(se, blocks):
    assert sum(isinstance(m, SEBlock) for m in make(se=se).modules()) == blocks


def test_true_and_false_are_the_two_rows_of_table_1():
    assert count_parameters(make(se=True)) == count_parameters(make(se="pool"))
    assert count_parameters(make(se=False)) == count_parameters(make(se="none"))


def test_parameters_by_hand():
    def conv(i, o):
        return 9 * i * o + o

    convs = conv(1, 32) + conv(32, 64) + conv(64, 128) + conv(128, 128) + conv(128, 256) + conv(256, 256)
    norms = 2 * (64 + 128 + 256 + 1024)
    dense = 256 * 2 * 2 * 1024 + 1024 + 1024 * 7 + 7
    assert count_parameters(make(se="none")) == convs + norms + dense
    gates = sum(2 * c * (c // 16) + c // 16 + c for c in (64, 128, 256))
    assert count_parameters(make(se="pool")) == convs + norms + dense + gates


@pytest.mark.parametrize(("padding", "sides"), [("valid", (22, 9, 2)), ("same", (24, 12, 6))])
def test_sizes_through_the_net(padding, sides):
    model = make(padding=padding)
    seen = []
    for block in (model.block1, model.block2, model.block3):
        block.pool.register_forward_hook(lambda m, i, o: seen.append(o.shape[-1]))
    model.eval()(torch.rand(2, 1, 48, 48))
    assert tuple(seen) == sides


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize(("channels", "size"), [(1, 48), (3, 64)])
def test_forward_backward_reaches_every_parameter(variant, channels, size):
    """In one of several starts: an SE bottleneck of two or four ReLU units may start with all of them dead."""

    def make_one():
        return build("se_cnn", classes=7, channels=channels, size=size, **variant)

    def check(logits, out):
        assert logits.shape == (4, 7) and out["features"].shape == (4, 1024) and out["aux"] == []

    assert without_gradient(make_one, torch.rand(4, channels, size, size), check) == set()


def test_gates_are_named_after_their_place_and_lie_in_the_open_unit_interval():
    _, out = make(se="conv").eval()(torch.rand(2, 1, 48, 48))
    shapes = {
        "block1.se1": (2, 32),
        "block1.se2": (2, 64),
        "block2.se1": (2, 128),
        "block2.se2": (2, 128),
        "block3.se1": (2, 256),
        "block3.se2": (2, 256),
    }
    assert_gates(out["attention"], shapes)


def test_se_block_against_numpy():
    torch.manual_seed(1)
    block, x = SEBlock(8, 4), torch.randn(3, 8, 5, 5)
    w1, b1, w2, b2 = (p.detach().numpy() for p in block.parameters())
    z = x.numpy().mean((2, 3))
    gates = 1 / (1 + np.exp(-(np.maximum(z @ w1.T + b1, 0) @ w2.T + b2)))
    np.testing.assert_allclose(block(x).detach().numpy(), gates, rtol=1e-5)
    np.testing.assert_allclose(
        scale(x, block(x)).detach().numpy(), x.numpy() * gates[:, :, None, None], rtol=1e-5
    )


def test_scaling_after_the_pool_equals_scaling_before_it():
    """Figure 2 has the SE block before the pool; the code multiplies after it. Same values, same gradients."""
    torch.manual_seed(2)
    block = SEBlock(16, 4)
    x = torch.randn(2, 16, 8, 8, requires_grad=True)
    weights = torch.randn(2, 16, 4, 4)
    results = []
    for before in (True, False):
        gates = block(x)
        y = nn.functional.max_pool2d(scale(x, gates) if before else x, 2)
        y = y if before else scale(y, gates)
        (gradient,) = torch.autograd.grad((y * weights).sum(), x)
        results.append((y.detach(), gradient))
    torch.testing.assert_close(*[r[0] for r in results])
    torch.testing.assert_close(*[r[1] for r in results])


def test_start_is_keras_default():
    model = make()
    bound = np.sqrt(6 / (9 * 32 + 9 * 64))  # Glorot uniform of Conv2-64
    weight = model.block1.conv2.weight
    assert weight.abs().max() <= bound and weight.abs().max() > 0.95 * bound
    assert not model.block1.conv2.bias.any() and not model.classifier.bias.any()


@pytest.mark.parametrize("se", ["none", "pool", "conv"])
def test_a_batch_of_sixteen_is_overfitted(se):
    torch.manual_seed(3)
    model = make(se=se, dropout=(0.0, 0.0))
    assert overfitted(model, torch.rand(16, 1, 48, 48), 20)


def test_seeded_logits_are_golden():
    """A change of architecture, start or order of random draws shows here."""
    model = make(se=True, dropout=(0.0, 0.0))
    x = (
        torch.linspace(0, 1, 8 * 48 * 48).reshape(8, 1, 48, 48).sin()
        * torch.linspace(1, 2, 8)[:, None, None, None]
    )
    logits, _ = model((40 * x).sin())  # in training mode: normalised over the batch, so of order one
    golden = [0.285, 0.4526, 3.3358, 0.4794, 0.4639, 0.6464, 1.5276]
    torch.testing.assert_close(logits[3].detach(), torch.tensor(golden), atol=5e-4, rtol=0)


@pytest.mark.parametrize(
    ("variant", "word"),
    [({"se": "everywhere"}, "se must be"), ({"size": 20}, "at least 36"), ({"depth": 3}, "depth")],
)
def test_bad_variants_get_one_line(variant, word):
    with pytest.raises(FerlibError, match=word) as error:
        make(**variant)
    assert "\n" not in str(error.value)


def test_unknown_model():
    with pytest.raises(FerlibError, match="se_cnn"):
        build("resnet", classes=7)
