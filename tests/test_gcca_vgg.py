"""Chen & Chen's six models: what the paper prints, and what must hold for any correct reading of it."""

from __future__ import annotations

from itertools import pairwise
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from nets import overfitted
from torch import nn
from torchvision.models import vgg16, vgg16_bn
from torchvision.models._api import WeightsEnum
from torchvision.transforms.v2.functional import normalize

from ferlib.errors import FerlibError
from ferlib.models import build, count_multiply_adds, count_parameters, start
from ferlib.models.gcca_parts import ImageNetPixels, resize, stochastic_pool
from ferlib.models.gcca_vgg import (
    BLOCKS,
    COMPONENTS,
    GCCA,
    FullResolution,
    PartialDecoder,
    ReverseAttention,
)

MODELS = (1, 2, 3, 4, 5, 6)
# Table 1: multi-feature fusion, GCCA, PD, RA, joint loss function
TABLE_1 = {1: "×××××", 2: "√××××", 3: "√√×××", 4: "√√√××", 5: "√√√√×", 6: "√√√√√"}


def make(model=6, seed=0, **variant):
    torch.manual_seed(seed)
    return build("gcca_vgg", classes=7, model=model, **variant)


def on_meta(model, **variant):
    """The network without memory or arithmetic: enough to count."""
    with torch.device("meta"):
        return build("gcca_vgg", classes=7, model=model, **variant)


@pytest.mark.parametrize("model", MODELS)
def test_the_rows_of_table_1(model):
    net = on_meta(model)
    parts = [m for m in net.modules() if isinstance(m, GCCA | PartialDecoder | ReverseAttention)]
    has = {type(m): sum(isinstance(p, type(m)) for p in parts) for m in parts}
    fusion, gcca, pd, ra, loss = (sign == "√" for sign in TABLE_1[model])
    assert hasattr(net.head, "edge") == fusion
    assert has.get(GCCA, 0) == 5 * gcca  # "in each backbone block" (section 1)
    assert has.get(PartialDecoder, 0) == pd and has.get(ReverseAttention, 0) == ra
    assert loss == (model == 6) and len(COMPONENTS) == len(TABLE_1[model])


def test_a_row_adds_its_component_and_nothing_else():
    """What two neighbouring rows share has the same names and shapes; only the classifier may widen."""
    shapes = {m: {k: tuple(v.shape) for k, v in on_meta(m).named_parameters()} for m in MODELS}
    added = {
        2: ("head.",),
        3: ("backbone.attention.",),
        4: ("head.decode.",),
        5: ("head.reverse.",),
        6: ("none",),
    }
    for m, names in added.items():
        before, after = shapes[m - 1], shapes[m]
        assert set(before) <= set(after)
        assert all(k.startswith(names) for k in set(after) - set(before))
        assert [k for k in before if before[k] != after[k]] in ([], ["classifier.weight"])
    assert shapes[5] == shapes[6] and shapes[2] != shapes[3] != shapes[4] != shapes[5]


def test_rows_5_and_6_are_one_network():
    x = torch.rand(2, 1, 48, 48)
    with torch.no_grad():
        five, six = make(5).eval()(x)[0], make(6).eval()(x)[0]
    assert torch.equal(five, six)


def test_sizes_through_the_net():
    """VGG16 without its last pool: five blocks, four halvings; at 224 the last map is 14 pixels wide."""
    with torch.no_grad():
        blocks, _ = make(3).eval().backbone(torch.rand(1, 1, 48, 48))
    assert [tuple(b.shape[1:]) for b in blocks] == [
        (64, 48, 48),
        (128, 24, 24),
        (256, 12, 12),
        (512, 6, 6),
        (512, 3, 3),
    ]
    with torch.device("meta"), torch.no_grad():
        blocks, _ = on_meta(3).eval().backbone(torch.empty(1, 1, 224, 224))
    assert [b.shape[-1] for b in blocks] == [224, 112, 56, 28, 14]


@pytest.mark.parametrize("model", (1, 6))
def test_forward_at_224(model):
    net = make(model).eval()
    with torch.inference_mode():
        logits, out = net(torch.rand(1, 1, 224, 224))
    assert logits.shape == (1, 7) and logits.isfinite().all()
    assert out["features"].shape == (1, {1: 512, 6: 128 + 3 * 64}[model])


@pytest.mark.parametrize("size", (16, 41, 50))
def test_sizes_that_do_not_halve_evenly(size):
    with torch.inference_mode():
        logits, _ = make(6).eval()(torch.rand(2, 1, size, size))
    assert logits.isfinite().all()


def test_backbone_is_torchvision_s_vgg16():
    """An independent implementation with the same weights gives the same C_5, and its features end in a pool."""
    torch.manual_seed(1)
    theirs = nn.Sequential(*list(vgg16_features().children())[:-1]).eval()
    ours = on_meta(1, channels=3).to_empty(device="cpu").backbone.eval()
    for mine, source in zip(ours.blocks.parameters(), theirs.parameters(), strict=True):
        mine.data.copy_(source.data)
    x = torch.rand(2, 3, 48, 48)
    with torch.no_grad():
        torch.testing.assert_close(ours(x)[0][-1], theirs(x))


def vgg16_features(norm=False):
    """torchvision's convolutional part with random weights, without the 120 million dense ones."""
    with torch.device("meta"):
        features = (vgg16_bn if norm else vgg16)().features
    features.to_empty(device="cpu")
    for k, v in features.state_dict().items():
        if k.endswith("var"):
            v.uniform_(0.5, 2.0)
        elif v.is_floating_point():
            v.normal_(std=0.05)
        else:
            v.zero_()
    return features


# ---- GCCA


@pytest.mark.parametrize("c", [c for c, _ in BLOCKS])
def test_parameters_of_gcca_by_hand(c):
    with torch.device("meta"):
        gcca = GCCA(c)
    # section 2.3: one 1x1 kernel over the three descriptors of each channel; C/16, then C filters
    assert gcca.group.weight.shape == (c, 3, 1, 1)
    assert count_parameters(gcca.group) == 3 * c + c
    assert gcca.w1.out_channels == c // 16 and gcca.w2.out_channels == c
    assert count_parameters(gcca) == (3 * c + c) + (c * c // 16 + c // 16) + (c // 16 * c + c)


def test_equations_1_and_2_against_numpy():
    torch.manual_seed(2)
    gcca, f = GCCA(8, ratio=2).eval(), torch.rand(3, 8, 5, 5)
    for p in gcca.parameters():
        p.data.normal_()
    out, attention = gcca(f)
    a = f.double().numpy().reshape(3, 8, 25)
    avg, largest, rdm = a.mean(2), a.max(2), (a * a / a.sum(2, keepdims=True)).sum(2)
    g, bg, w1, b1, w2, b2 = (p.detach().double().numpy().squeeze() for p in gcca.parameters())
    fused = g[:, 0] * avg + g[:, 1] * largest + g[:, 2] * rdm + bg
    hidden = np.maximum(fused, 0) @ w1.T + b1
    weights = 1 / (1 + np.exp(-(np.maximum(hidden, 0) @ w2.T + b2)))
    for v in (fused, hidden):  # both sides of each ReLU are met
        assert (v > 0).any() and (v < 0).any()
    np.testing.assert_allclose(attention["gcca"].detach(), weights, rtol=1e-4)
    expected = f.numpy() * weights[:, :, None, None] + f.numpy()
    np.testing.assert_allclose(out.detach(), expected, rtol=1e-4)


def test_group_convolution_sees_only_its_own_channel():
    torch.manual_seed(3)
    gcca, f = GCCA(16).eval(), torch.rand(1, 16, 4, 4, requires_grad=True)
    seen = []
    gcca.group.register_forward_hook(lambda m, i, o: seen.append(o))
    gcca(f)
    (gradient,) = torch.autograd.grad(seen[0][0, 5].sum(), f)
    assert gradient[0, 5].abs().sum() > 0
    assert not gradient[0, [c for c in range(16) if c != 5]].any()


def test_no_channel_starts_dead():
    """The three descriptors are never negative: random group weights would silence half of the channels."""
    seen = []
    gcca = make(3).backbone.attention[2]
    gcca.group.register_forward_hook(lambda m, i, o: seen.append(o))
    gcca(torch.rand(2, 256, 6, 6))
    assert (seen[0] > 0).all()


# ---- random pooling


def test_expected_value_of_a_draw_is_the_value_in_evaluation():
    torch.manual_seed(4)
    n = 20_000
    x = torch.tensor([[0.0, 1.0, 2.0, 5.0], [0.1, 0.2, 0.3, 0.4]]).reshape(1, 2, 2, 2)
    drawn = stochastic_pool(x.expand(n, -1, -1, -1), training=True)
    expected = stochastic_pool(x, training=False)[0]
    torch.testing.assert_close(expected, torch.tensor([30 / 8, 0.3 / 1.0]))  # sum of squares over sum
    error = drawn.std(0) / n**0.5
    assert ((drawn.mean(0) - expected).abs() < 4 * error).all()


def test_each_place_is_drawn_in_proportion_to_its_activation():
    torch.manual_seed(5)
    n, x = 20_000, torch.tensor([0.0, 1.0, 2.0, 5.0])
    drawn = stochastic_pool(x.reshape(1, 1, 2, 2).expand(n, -1, -1, -1), training=True)[:, 0]
    share = torch.stack([(drawn == v).float().mean() for v in x])
    expected = x / x.sum()
    assert share[0] == 0
    assert ((share - expected).abs() <= 4 * (expected * (1 - expected) / n).sqrt()).all()


def test_draws_differ_between_images_and_channels_and_follow_torch_s_seed():
    x = torch.arange(1.0, 65.0).reshape(1, 1, 8, 8).expand(4, 3, 8, 8)
    draws = []
    for seed in (6, 6, 7):
        torch.manual_seed(seed)
        draws.append(stochastic_pool(x, training=True))
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
    assert len(draws[0].unique()) > 3


@pytest.mark.parametrize("training", (True, False))
def test_a_map_of_zeros_gives_zero_and_finite_gradients(training):
    x = torch.zeros(2, 3, 4, 4)
    x[0, 0, 1, 2] = 3.0  # the only place with any probability
    x.requires_grad_()
    pooled = stochastic_pool(x, training)
    assert pooled[0, 0].item() == pytest.approx(3.0) and pooled.sum().item() == pytest.approx(3.0)
    pooled.sum().backward()
    assert x.grad.isfinite().all() and x.grad[0, 0, 1, 2] == 1


@pytest.mark.parametrize("training", (True, False))
def test_pooling_does_not_depend_on_the_memory_format_or_precision(training):
    x = torch.rand(4, 5, 6, 7).bfloat16()
    results = []
    for y in (x, x.to(memory_format=torch.channels_last), x.float()):
        torch.manual_seed(8)
        results.append(stochastic_pool(y, training).float())
    torch.testing.assert_close(results[0], results[1])
    torch.testing.assert_close(results[0], results[2])


# ---- partial decoder


def test_partial_decoder_by_hand():
    """Centre-tap kernels turn its convolutions into matrices, so three one-pixel levels can be followed."""
    decoder = PartialDecoder(1)
    for k, layer in enumerate((m for m in decoder.children()), start=2):
        layer.weight.data.zero_()
        layer.bias.data.zero_()
        layer.weight.data[:, :, 1, 1] = k * torch.eye(layer.in_channels)
    c3, c4, c5 = (torch.full((1, 1, 1, 1), v) for v in (3.0, 5.0, 7.0))
    k54, k53, k43, up5, join4, up4, join3, out = range(2, 10)
    joined4 = join4 * np.array([5 * k54 * 7, up5 * 7])
    expected = out * join3 * np.array([3 * k43 * 5 * k53 * 7, *(up4 * joined4)])
    assert list(decoder._modules) == [
        *("times_5_4", "times_5_3", "times_4_3"),
        *("up_5", "join_4", "up_4", "join_3", "out"),
    ]
    result = decoder([c3, c4, c5], torch.rand(1, 1, 2, 2))
    np.testing.assert_allclose(result.detach().flatten(), expected, rtol=1e-6)


def test_the_partial_decoder_works_at_block_3_s_size_and_its_stand_in_at_block_2_s():
    levels, edge = [torch.rand(2, 8, s, s) for s in (12, 6, 3)], torch.rand(2, 1, 24, 24)
    assert PartialDecoder(8)(levels, edge).shape == (2, 24, 12, 12)
    assert FullResolution()(levels, edge).shape == (2, 24, 24, 24)


def test_resize_averages_down_and_interpolates_up():
    x = torch.tensor([[1.0, 3.0], [5.0, 7.0]]).reshape(1, 1, 2, 2)
    assert resize(x, torch.empty(1, 1, 1, 1)).item() == 4
    up = resize(x, torch.empty(1, 1, 4, 4))[0, 0]
    torch.testing.assert_close(up[0], torch.tensor([1.0, 1.5, 2.5, 3.0]))
    assert torch.equal(resize(x, torch.empty(1, 1, 2, 2)), x)
    assert resize(x, torch.empty(1, 1, 6, 4)).shape == (1, 1, 6, 4)


@pytest.mark.parametrize("model", (2, 4))
def test_the_edge_map_joins_the_decoded_levels(model):
    """Block 2's one-kernel map (section 2.1), where it is with fusion at its size, shrunk with PD."""
    net, seen = make(model).eval(), []
    net.head.decode.register_forward_hook(lambda m, i, o: seen.append(o))
    net.head.fuse.register_forward_pre_hook(lambda m, i: seen.append(i[0]))
    with torch.no_grad():
        _, out = net(torch.rand(2, 1, 48, 48))
        blocks, _ = net.backbone(torch.rand(2, 1, 48, 48))
    edge = out["attention"]["edge"]
    decoded, joined = seen[:2]
    assert torch.equal(joined[:, :-1], decoded)
    torch.testing.assert_close(joined[:, -1:], edge if model == 2 else F.avg_pool2d(edge, 2))
    torch.testing.assert_close(
        net.head(blocks)[1]["edge"], F.conv2d(blocks[1], *net.head.edge.parameters(), padding=1)
    )


# ---- reverse attention


def test_equations_3_and_4_step_by_step():
    """A_i from the level above, top to bottom; what a level predicts is added to what it was given."""
    torch.manual_seed(9)
    ra = ReverseAttention(6).eval()
    for p in ra.parameters():
        p.data.normal_(std=0.2)
    c = [torch.rand(2, w, s, s) for w, s in ((256, 8), (512, 4), (512, 2))]
    decoded, inputs = torch.rand(2, 6, 8, 8), {}
    for name in ("refine5", "refine4", "refine3"):
        getattr(ra, name).register_forward_hook(lambda m, i, o, name=name: inputs.update({name: (i[0], o)}))
    with torch.no_grad():
        descriptors, maps = ra(c, decoded)
        above = ra.global_map(decoded)
        assert torch.equal(maps["P_d"], above)  # section 2.5 commences from the global map
        above = F.avg_pool2d(above, 4)
        for i, c_i, predict in ((5, c[2], ra.predict5), (4, c[1], ra.predict4), (3, c[0], None)):
            given = F.interpolate(above, size=c_i.shape[-2:], mode="bilinear") if i < 5 else above
            a_i = 1 - 1 / (1 + torch.exp(-given))  # Eq. (4)
            torch.testing.assert_close(maps[f"A_{i}"], a_i)
            torch.testing.assert_close(inputs[f"refine{i}"][0], c_i * a_i)  # Eq. (3)
            torch.testing.assert_close(descriptors[5 - i], inputs[f"refine{i}"][1].mean((2, 3)))
            above = given + predict(inputs[f"refine{i}"][1]) if predict else None


def test_what_is_predicted_is_erased():
    ra = ReverseAttention(2).eval()
    nn.init.zeros_(ra.global_map.weight)
    c = [torch.rand(1, w, s, s) for w, s in ((256, 4), (512, 2), (512, 1))]
    erased, kept = [], []
    for bias, found in ((50.0, erased), (-50.0, kept)):
        nn.init.constant_(ra.global_map.bias, bias)
        hook = ra.refine5.register_forward_pre_hook(lambda m, i, found=found: found.append(i[0]))
        ra(c, torch.rand(1, 2, 4, 4))
        hook.remove()
    assert not erased[0].any()
    torch.testing.assert_close(kept[0], c[2])


# ---- the whole


@pytest.mark.parametrize("norm", (False, True))
@pytest.mark.parametrize("model", MODELS)
def test_every_parameter_gets_a_gradient(model, norm):
    net = make(model, norm=norm)
    logits, out = net(torch.rand(2, 1, 48, 48))
    assert logits.shape == (2, 7) and out["aux"] == []
    nn.functional.cross_entropy(logits, torch.tensor([0, 1])).backward()
    missing = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # the shift of a convolution is taken out again by the normalisation behind it
    assert [n for n in missing if not (norm and n.startswith("backbone.blocks") and n.endswith("bias"))] == []


def test_attention_is_named_after_its_place():
    with torch.no_grad():
        _, out = make(6)(torch.rand(2, 1, 48, 48))
    maps = {k: tuple(v.shape[1:]) for k, v in out["attention"].items()}
    assert maps == {
        **{f"block{i}.gcca": (c,) for i, (c, _) in enumerate(BLOCKS, 1)},
        "edge": (1, 24, 24),
        "P_d": (1, 12, 12),
        "A_5": (1, 3, 3),
        "A_4": (1, 6, 6),
        "A_3": (1, 12, 12),
    }
    bounded = [v for k, v in out["attention"].items() if k.startswith(("block", "A_"))]
    assert len(bounded) == 8 and all(((v > 0) & (v < 1)).all() for v in bounded)
    assert make(1).eval()(torch.rand(1, 1, 16, 16))[1]["attention"] == {}


def test_evaluation_is_deterministic_and_training_is_not():
    net, x = make(3), torch.rand(2, 1, 48, 48)
    with torch.no_grad():
        assert not torch.equal(net(x)[0], net(x)[0])
        net.eval()
        assert torch.equal(net(x)[0], net(x)[0])


def test_a_training_step_reads_nothing_back():
    """Meta tensors have no values: asking for one, which on a GPU means waiting for it, raises."""
    net = on_meta(6).train()
    logits, _ = net(torch.rand(2, 1, 48, 48, device="meta"))
    nn.functional.cross_entropy(logits, torch.zeros(2, dtype=torch.long, device="meta")).backward()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("training", (True, False))
def test_bfloat16_autocast_stays_close_to_float32(training):
    """With the same draws where there are any: what is pooled and resized keeps its precision."""
    net = make(6).train(training)
    x, results = torch.rand(2, 1, 48, 48), []
    for enabled in (False, True):
        torch.manual_seed(11)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            results.append(net(x)[0].float())
    assert (results[0] - results[1]).abs().max() < 0.05 * results[0].abs().max()


# Parameters, and multiply-adds of one grey image at 48 and 224, seven classes
COST = {
    1: (14_717_127, 702_041_600, 15_288_831_488),
    2: (14_868_520, 768_983_936, 16_746_742_656),
    3: (14_952_260, 769_064_640, 16_746_823_360),
    4: (15_229_188, 754_632_384, 16_432_520_896),
    5: (15_535_463, 772_441_920, 16_820_345_088),
    6: (15_535_463, 772_441_920, 16_820_345_088),
}


@pytest.mark.parametrize("model", MODELS)
def test_cost(model):
    net = on_meta(model)
    adds = [count_multiply_adds(net, size=size) for size in (48, 224)]
    assert (count_parameters(net), *adds) == COST[model]


def test_parameters_by_hand():
    def conv(i, o, k=3):
        return k * k * i * o + o

    widths = [1, *(c for c, depth in BLOCKS for _ in range(depth))]
    trunk = sum(conv(i, o) for i, o in pairwise(widths))
    assert len(widths) == 14 and count_parameters(on_meta(1)) == trunk + 512 * 7 + 7
    fusion = conv(128, 1) + conv(256, 32, 1) + 2 * conv(512, 32, 1) + conv(97, 128)
    pd = 4 * conv(32, 32) + 2 * conv(64, 64) + 2 * conv(96, 96)
    side = conv(256, 64, 1) + 2 * conv(512, 64, 1) + 6 * conv(64, 64) + 2 * conv(64, 1) + conv(96, 1, 1)
    gcca = sum(4 * c + 2 * c * c // 16 + c // 16 + c for c, _ in BLOCKS)
    hand = [trunk + fusion + 128 * 7 + 7]
    hand += [hand[0] + gcca, hand[0] + gcca + pd, hand[0] + gcca + pd + side + 3 * 64 * 7]
    assert [count_parameters(on_meta(m)) for m in (2, 3, 4, 5)] == hand


def test_what_section_3_4_says_of_cost():
    """PD 'reduced the computational complexity': so it does against fusion at block 2's size, and RA does not."""
    adds = {m: count_multiply_adds(on_meta(m), size=224) for m in (3, 4, 5)}
    assert adds[4] < adds[3] and adds[5] > adds[4]


def test_dropping_the_dense_layers_streamlines_the_model():
    """Section 2.2. Nine tenths of VGG16's parameters, one hundredth of its multiply-adds."""
    with torch.device("meta"):
        original = vgg16(num_classes=7)
    assert count_parameters(on_meta(1, channels=3)) < 0.12 * count_parameters(original)


# A batch of sixteen is fitted from a random start: VGG16 without normalisation does not move from a bad one.
@pytest.mark.parametrize(("model", "norm"), [*((m, False) for m in MODELS), (6, True)])
def test_a_batch_of_sixteen_is_overfitted(model, norm):
    net = make(model, seed=3, size=16, norm=norm)
    assert overfitted(net, torch.rand(16, 1, 16, 16), 60, rate=2e-4, enough=0.1, fused=True)


@pytest.mark.parametrize(
    ("model", "golden"),
    [
        (1, [-0.1901, -0.2387, 0.1521, -0.1638]),
        (2, [0.3667, 0.2221, 0.0504, -0.4226]),
        (3, [-0.1138, -1.5918, -1.0016, 0.6521]),
        (4, [5.5217, -2.7766, 3.0754, 1.6715]),
        (5, [0.0794, -1.2543, 4.4327, -5.4960]),
        (6, [0.0794, -1.2543, 4.4327, -5.4960, 1.3486, -3.6534, 0.1409]),
    ],
)
def test_seeded_logits_are_golden(model, golden):
    """A change of architecture or start shows here; models 5 and 6 differ in their loss alone."""
    net = make(model).eval()
    x = torch.linspace(0, 1, 2 * 48 * 48).reshape(2, 1, 48, 48)
    with torch.no_grad():
        logits, _ = net((40 * x).sin().abs())
    torch.testing.assert_close(logits[1][: len(golden)], torch.tensor(golden), atol=5e-3, rtol=0)


@pytest.mark.parametrize(
    ("variant", "word"),
    [
        ({"model": 0}, "1 to 6"),
        ({"model": 7}, "1 to 6"),
        ({"size": 15}, "at least 16"),
        ({"width": 0}, "width"),
        ({"pretrained": True, "channels": 4}, "1 or 3 channels"),
        ({"dropout": 2.0}, "dropout"),
        ({"depth": 19}, "depth"),
    ],
)
def test_bad_variants_get_one_line(variant, word):
    with pytest.raises(FerlibError, match=word) as error:
        make(**variant)
    assert "\n" not in str(error.value)


# ---- ImageNet


@pytest.mark.parametrize("norm", (False, True))
@pytest.mark.parametrize("channels", (1, 3))
def test_pretrained_weights_find_their_place(monkeypatch, norm, channels):
    """The backbone then computes what torchvision's network does of the normalised image."""
    torch.manual_seed(10)
    features = vgg16_features(norm).eval()
    state = {f"features.{k}": v for k, v in features.state_dict().items()}
    asked = []
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda self, **k: asked.append(self) or dict(state))
    net = make(2, pretrained=True, norm=norm, channels=channels).eval()
    assert ("vgg16_bn" in asked[0].url) == norm
    x = torch.rand(1, channels, 32, 32)
    mean, std = (torch.tensor(v)[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    with torch.no_grad():
        blocks, _ = net.backbone(net.prepare(x))
        expected = features[:-1]((x.expand(-1, 3, -1, -1) - mean) / std)
    torch.testing.assert_close(blocks[-1], expected)


@pytest.mark.parametrize("error", (URLError("no route"), RuntimeError("invalid hash value")))
def test_weights_that_cannot_be_had_give_one_line(monkeypatch, error):
    def fail(self, **options):
        raise error

    monkeypatch.setattr(WeightsEnum, "get_state_dict", fail)
    with pytest.raises(FerlibError, match=r"vgg16.*pretrained=False") as raised:
        make(1, pretrained=True)
    assert "\n" not in str(raised.value)


def test_other_weights_need_no_imagenet(monkeypatch):
    """A network whose weights come from a file is built as for ImageNet's, colours and all, without fetching them."""

    def fetch(*_, **__):
        raise AssertionError("nothing is to be fetched")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fetch)
    monkeypatch.setattr(WeightsEnum, "get_state_dict", fetch)
    with start.at_random():
        net = make(2, pretrained=True)
        for name in ("mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "a_mobilenet"):
            build(name, classes=7, pretrained=True)
    assert next(net.backbone.parameters()).shape[1] == 3 and start.fetched()
    with pytest.raises(AssertionError, match="nothing is to be fetched"):
        build("mobilenet_v1", classes=7, pretrained=True)


def test_imagenet_pixels_against_torchvision():
    x = torch.rand(2, 3, 5, 4)
    expected = normalize(x, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    assert torch.allclose(ImageNetPixels()(x), expected)
    grey = ImageNetPixels()(x[:, :1])
    assert torch.allclose(
        grey, normalize(x[:, :1].expand(-1, 3, -1, -1), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    )
    assert not ImageNetPixels().state_dict()
