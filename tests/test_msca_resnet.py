"""Wang & Zhang's network: the order its figures and text print, its equations, the rows of its Table 3."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from nets import assert_gates, overfitted, without_gradient
from torch import nn

from ferlib.errors import FerlibError
from ferlib.models import build, count_multiply_adds, count_parameters
from ferlib.models.msca_resnet import JOINS, MultiScaleConvolution, Recalibrate, batch_norm
from ferlib.models.se_cnn import SEBlock

TABLE_3 = {
    1: {"se": False, "bn": False},
    2: {"se": True, "bn": False},
    3: {"se": False, "bn": True},
    4: {"se": True, "bn": True},
}
SMALL = [
    *({**row, "width": 16} for row in TABLE_3.values()),
    {"join": "concat", "width": 16},
    {"join": "series", "width": 16},
    {"se": "branch", "width": 64},
    {"unit_kernel": 1, "kernels": (5, 7), "width": 16},
]


def make(**variant):
    torch.manual_seed(0)
    return build("msca_resnet", classes=7, **variant)


def settle(module):
    """Random batch-normalisation statistics and shifts, so that the layer is not the identity."""
    for norm in (m for m in module.modules() if isinstance(m, nn.BatchNorm2d)):
        for tensor in (norm.running_mean, norm.running_var, norm.weight.data, norm.bias.data):
            tensor.uniform_(0.5, 1.5)
    return module.eval()


def test_order_and_sizes_through_the_net():
    """Section 2.3: convolution, pool, SE, three units with a max-pool between two, average, dense."""
    model, seen = make(), []
    for name, module in model.named_children():
        module.register_forward_hook(
            lambda m, i, o, name=name: seen.append(
                (name, tuple((o[0] if isinstance(o, tuple) else o).shape[1:]))
            )
        )
    model.eval()(torch.rand(2, 1, 48, 48))
    assert seen == [
        ("conv", (64, 48, 48)),
        ("pool", (64, 24, 24)),
        ("attention", (64, 24, 24)),
        ("unit1", (64, 24, 24)),
        ("pool", (64, 12, 12)),
        ("unit2", (128, 12, 12)),
        ("pool", (128, 6, 6)),
        ("unit3", (256, 6, 6)),
        ("classifier", (7,)),
    ]


def test_order_within_a_residual_unit():
    """Section 2.3: multi-scale convolution, convolution, batch normalisation, SE, skip."""
    model, seen = make(width=16), []
    for name, module in model.unit2.named_children():
        module.register_forward_hook(lambda m, i, o, name=name: seen.append(name))
    model.eval()(torch.rand(1, 1, 48, 48))
    assert seen == ["multiscale", "conv", "norm", "attention", "skip"]
    assert isinstance(model.unit1.skip, nn.Identity) and model.unit2.skip.kernel_size == (1, 1)


def test_the_skip_carries_the_input_to_the_output():
    unit = settle(make(width=16).unit1)
    nn.init.zeros_(unit.norm.weight)
    nn.init.zeros_(unit.norm.bias)
    x = torch.rand(2, 16, 8, 8)
    torch.testing.assert_close(unit(x)[0], x)


def test_every_se_bottleneck_has_an_eighth_of_its_channels():
    blocks = [m for m in make().modules() if isinstance(m, SEBlock)]
    assert [(b.reduce.in_features, b.reduce.out_features) for b in blocks] == [
        (64, 8),  # before the units
        (64, 8),
        (64, 8),
        (128, 16),
        (128, 16),
        (256, 32),
        (256, 32),
    ]


def test_branches_of_256_channels_are_those_of_inception_3a():
    module = make().unit3.multiscale
    convs = [m for m in module.branches.modules() if isinstance(m, nn.Conv2d)]
    assert [(m.out_channels, m.kernel_size[0]) for m in convs] == [
        (64, 1),
        (96, 1),
        (128, 3),
        (16, 1),
        (32, 5),
        (32, 1),
    ]


def test_equations_1_to_3_against_numpy():
    torch.manual_seed(1)
    attention, u = Recalibrate(SEBlock(16, 8)), torch.randn(3, 16, 5, 4)
    w1, b1, w2, b2 = (p.detach().numpy() for p in attention.parameters())
    z = u.numpy().mean((2, 3))
    s = 1 / (1 + np.exp(-(np.maximum(z @ w1.T + b1, 0) @ w2.T + b2)))
    scaled, gates = attention(u)
    np.testing.assert_allclose(gates["se"].detach().numpy(), s, rtol=1e-5)
    np.testing.assert_allclose(scaled.detach().numpy(), u.numpy() * s[:, :, None, None], rtol=1e-5)


@pytest.mark.parametrize("join", JOINS)
def test_what_in_parallel_joins(join):
    torch.manual_seed(2)
    module = settle(JOINS[join](batch_norm(16), Recalibrate(SEBlock(16, 8))))
    u = torch.randn(3, 16, 4, 4)
    normed, scaled = module.norm(u), u * module.se.se(u)[:, :, None, None]
    expected = {
        "add": normed + scaled,
        "concat": torch.cat([normed, scaled], dim=1),
        "series": normed * module.se.se(normed)[:, :, None, None],
    }[join]
    torch.testing.assert_close(module(u)[0], expected)


def test_batch_normalisation_after_the_concatenation_is_that_of_each_branch():
    torch.manual_seed(3)
    parts = [torch.randn(4, c, 3, 3) * c for c in (4, 8)]
    together = batch_norm(12)(torch.cat(parts, dim=1))
    torch.testing.assert_close(together, torch.cat([batch_norm(p.shape[1])(p) for p in parts], dim=1))


@pytest.mark.parametrize(("se", "others_move"), [("module", True), ("branch", False)])
def test_gates_of_one_branch_see_the_others_only_with_one_block_for_all(se, others_move):
    module = make(se=se).eval().unit1.multiscale
    u = torch.rand(1, 64, 6, 6)
    moved = u.clone()
    moved[:, :16] += 3  # the 1x1 branch
    gates, after = (module.join.se(v)[1]["se"] for v in (u, moved))
    assert (gates[:, :16] != after[:, :16]).any()
    assert bool((gates[:, 16:] != after[:, 16:]).any()) is others_move


@pytest.mark.parametrize(
    ("less", "more", "part"), [(1, 2, "se"), (3, 4, "se"), (1, 3, "norm"), (2, 4, "norm")]
)
def test_rows_of_table_3_differ_in_one_factor(less, more, part):
    shapes = [{n: p.shape for n, p in make(**TABLE_3[row]).named_parameters()} for row in (less, more)]
    gone, come = shapes[0].items() - shapes[1].items(), shapes[1].items() - shapes[0].items()
    assert come and all(f".multiscale.join.{part}." in name for name, _ in come)
    # a branch's bias is the shift of the batch normalisation that takes its place
    assert all(part == "norm" and ".branches." in name and name.endswith(".bias") for name, _ in gone)
    assert sum(s.numel() for _, s in gone) == (448 if part == "norm" else 0)


def by_hand(w, *, se, bn, classes=7):
    def attention(c):
        return 2 * c * (c // 8) + c // 8 + c

    def module(i, c):
        reduce1, reduce2 = 3 * c // 8, c // 16
        weights = i * (c // 4) + i * reduce1 + i * reduce2 + i * (c // 8)
        weights += 9 * reduce1 * (c // 2) + 25 * reduce2 * (c // 8) + reduce1 + reduce2
        return weights + (2 * c if bn else c) + se * attention(c)

    def unit(i, c):
        return module(i, c) + 9 * c * c + 2 * c + attention(c) + (i * c + c if i != c else 0)

    units = unit(w, w) + unit(w, 2 * w) + unit(2 * w, 4 * w)
    return 10 * w + attention(w) + units + 4 * w * classes + classes


@pytest.mark.parametrize("row", TABLE_3)
def test_parameters_by_hand(row):
    for width in (32, 64):
        assert count_parameters(make(width=width, **TABLE_3[row])) == by_hand(width, **TABLE_3[row])


@pytest.mark.parametrize(
    ("width", "parameters", "millions"),
    [(32, 267_373, 21.5), (48, 599_374, 47.8), (64, 1_063_587, 84.6), (96, 2_388_649, 189.3)],
)
def test_parameters_and_multiply_adds_by_width(width, parameters, millions):
    model = make(width=width)
    assert count_parameters(model) == parameters
    assert round(count_multiply_adds(model) / 1e6, 1) == millions


@pytest.mark.parametrize("variant", SMALL, ids=str)
@pytest.mark.parametrize(("channels", "size"), [(1, 48), (3, 64)])
def test_forward_backward_reaches_every_parameter(variant, channels, size):
    """In one of several starts: an SE bottleneck of few ReLU units may start with all of them dead."""

    def make_one():
        return build("msca_resnet", classes=7, channels=channels, size=size, **variant)

    def check(logits, out):
        assert logits.shape == (4, 7) and out["features"].shape == (4, 4 * variant["width"])
        assert out["aux"] == []

    assert without_gradient(make_one, torch.randn(4, channels, size, size), check, starts=16) == set()


def test_gates_are_named_after_their_place_and_lie_in_the_open_unit_interval():
    _, out = make().eval()(torch.rand(2, 1, 48, 48))
    shapes = {
        "stem.se": (2, 64),
        "unit1.multiscale.se": (2, 64),
        "unit1.se": (2, 64),
        "unit2.multiscale.se": (2, 128),
        "unit2.se": (2, 128),
        "unit3.multiscale.se": (2, 256),
        "unit3.se": (2, 256),
    }
    assert_gates(out["attention"], shapes)


def test_without_se_in_the_module_the_se_of_figures_3_and_4_stays():
    _, out = make(se=False).eval()(torch.rand(1, 1, 48, 48))
    assert list(out["attention"]) == ["stem.se", "unit1.se", "unit2.se", "unit3.se"]


@pytest.mark.parametrize("kernels", [(3, 5), (5, 7), (3, 3)])
def test_the_module_keeps_the_resolution(kernels):
    module = MultiScaleConvolution(8, 32, kernels=kernels, se="module", bn=True, join="add", ratio=8)
    assert module(torch.rand(2, 8, 7, 9))[0].shape == (2, 32, 7, 9)


def test_no_relu_works_in_place():
    assert not any(m.inplace for m in make().modules() if isinstance(m, nn.ReLU))


@pytest.mark.parametrize("row", TABLE_3)
def test_a_batch_of_fourteen_is_overfitted(row):
    model = make(width=16, size=16, **TABLE_3[row])
    assert overfitted(model, torch.randn(14, 1, 16, 16), 20, rate=3e-3)


@pytest.mark.parametrize(
    ("se", "bn", "golden"),
    [
        (False, False, [1.0255, 0.8430, 1.2318, -0.6428]),
        (True, False, [0.1514, 0.6296, 0.1548, 1.0176]),
        (False, True, [0.2757, 0.2165, 2.1043, 0.7280]),
        (True, True, [-0.8926, 0.2301, 0.2029, 2.3104, 0.9125, -0.5220, -0.6084]),
    ],
)
def test_seeded_logits_are_golden(se, bn, golden):
    """A change of architecture, start or order of random draws shows here."""
    x = torch.linspace(0, 40, 8 * 48 * 48).reshape(8, 1, 48, 48).sin()
    x = x * torch.linspace(0.5, 2, 8)[:, None, None, None]
    logits, _ = make(se=se, bn=bn)(x)  # in training mode: normalised over the batch, so of order one
    found = logits[7][: len(golden)].detach()
    torch.testing.assert_close(found, torch.tensor(golden), atol=5e-4, rtol=0)


@pytest.mark.parametrize(
    ("variant", "word"),
    [
        ({"se": "everywhere"}, "se must be"),
        ({"join": "multiply"}, "join must be"),
        ({"width": 40}, "multiple of 16"),
        ({"width": 0}, "multiple of 16"),
        ({"kernels": (3, 4)}, "odd"),
        ({"kernels": (3,)}, "two odd"),
        ({"unit_kernel": 2}, "odd"),
        ({"ratio": 0}, "ratio must be 1"),
        ({"se": "branch", "width": 32}, "ratio must be 1 to 4"),
        ({"size": 7}, "at least 8"),
        ({"depth": 3}, "depth"),
    ],
)
def test_bad_variants_get_one_line(variant, word):
    with pytest.raises(FerlibError, match=word) as error:
        make(**variant)
    assert "\n" not in str(error.value)
