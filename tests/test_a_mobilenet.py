"""A-MobileNet and the MobileNets beside it: what Nan et al. print, and what must hold for any reading of it."""

from __future__ import annotations

from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision
from nets import overfitted, without_gradient
from torch import nn

from ferlib.errors import FerlibError
from ferlib.models import build, count_multiply_adds, count_parameters
from ferlib.models.a_mobilenet import (
    PLACEMENTS,
    PRINTED_MILLIONS,
    ChannelAttention,
    ImprovedDSC,
    SpatialAttention,
    readings,
)
from ferlib.models.mobilenet import DSC, V1_FILE, ConvNorm, count_keras_parameters

NETS = ("mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "a_mobilenet")
VARIANTS = [
    *[("a_mobilenet", {"placement": placement}) for placement in PLACEMENTS],
    *[("a_mobilenet", {"linear": linear}) for linear in ("all", "none")],
    ("a_mobilenet", {"attention": False}),
    ("a_mobilenet", {"ratio": 64}),
    *[(name, {}) for name in NETS[:3]],
]
# Table 1: filter shape (height, width, in, out; "dw" is one channel in), input size (height, width, channels)
TABLE_1 = [
    ((3, 3, 3, 32), (224, 224, 3)),
    ((3, 3, 1, 32), (112, 112, 32)),
    ((1, 1, 32, 64), (112, 112, 32)),
    ((3, 3, 1, 64), (112, 112, 64)),
    ((1, 1, 64, 128), (56, 56, 64)),
    ((3, 3, 1, 128), (56, 56, 128)),
    ((1, 1, 128, 128), (56, 56, 128)),
    ((3, 3, 1, 128), (56, 56, 128)),
    ((1, 1, 128, 256), (28, 28, 128)),
    ("ChannelAttention", (28, 28, 256)),
    ("SpatialAttention", (28, 28, 256)),
    ((3, 3, 1, 256), (28, 28, 256)),
    ((1, 1, 256, 256), (28, 28, 256)),
    ((3, 3, 1, 256), (28, 28, 256)),
    ((1, 1, 256, 512), (14, 14, 256)),
    ("ChannelAttention", (14, 14, 512)),
    ("SpatialAttention", (14, 14, 512)),
    *[((3, 3, 1, 512), (14, 14, 512)), ((1, 1, 512, 512), (14, 14, 512))] * 5,
    ("ChannelAttention", (14, 14, 512)),
    ("SpatialAttention", (14, 14, 512)),
    ((3, 3, 1, 512), (14, 14, 512)),
    ((1, 1, 512, 1024), (7, 7, 512)),
    ((3, 3, 1, 1024), (7, 7, 1024)),
    ((1, 1, 1024, 1024), (7, 7, 1024)),
    ("ChannelAttention", (7, 7, 1024)),
    ("SpatialAttention", (7, 7, 1024)),
]


def make(name="a_mobilenet", *, classes=7, **variant):
    torch.manual_seed(0)
    return build(name, classes=classes, **variant)


def test_layers_are_those_of_table_1():
    model, seen = make(channels=3, size=224).eval(), []

    def note(module, inputs, _):
        c, h, w = inputs[0].shape[1:]
        kernel = tuple(module.conv.weight.permute(2, 3, 1, 0).shape) if isinstance(module, ConvNorm) else None
        seen.append((kernel or type(module).__name__, (h, w, c)))

    for module in model.modules():
        if isinstance(module, ConvNorm | ChannelAttention | SpatialAttention):
            module.register_forward_hook(note)
    with torch.no_grad():
        _, out = model(torch.rand(1, 3, 224, 224))
    assert seen == TABLE_1
    assert out["features"].shape == (1, 1024)  # Avg Pool 7x7
    assert (model.classifier.in_features, model.classifier.out_features) == (1024, 7)  # FC 1024x7


@pytest.mark.parametrize("classes", [7, 8])
@pytest.mark.parametrize(("name", "millions"), list(zip(NETS, (3.2, 2.3, 1.5, 3.4), strict=True)))
def test_printed_parameter_counts(name, millions, classes):
    """Tables 3 and 4, as Keras counts; RAF-DB has 7 classes, FERPlus 8."""
    model = make(name, classes=classes, channels=3, size=224)
    assert round(count_keras_parameters(model) / 1e6, 1) == millions


def test_counts_are_those_of_keras_and_need_the_running_statistics():
    """Keras 3.11's ``count_params()`` of MobileNet, MobileNetV2 and MobileNetV3Small with 8 classes."""
    counts = [count_keras_parameters(make(n, classes=8, channels=3)) for n in NETS[:3]]
    assert counts == [3_237_064, 2_268_232, 1_538_168]
    assert (
        round(count_parameters(make("mobilenet_v2", classes=8, channels=3)) / 1e6, 1) == 2.2
    )  # printed: 2.3


def test_v3_small_needs_its_wide_last_layer():
    model = make("mobilenet_v3_small", classes=8, channels=3)
    narrow = count_keras_parameters(model.features) + 576 * 8 + 8
    assert round(narrow / 1e6, 1) == 0.9  # printed: 1.5


def test_what_the_parameter_count_leaves_of_placement_and_ratio():
    for classes in (7, 8):
        rows = readings(classes=classes)
        assert len({(r.placement, r.ratio) for r in rows}) == len(rows) == 24
        kept = [r for r in rows if r.meets]
        assert {(r.placement, r.ratio) for r in kept} == {
            ("table", 16),
            ("text", 32),
            ("table-each", 32),
            ("all", 64),
        }
        assert {r.order for r in kept if r.nine_and_four} == {"PPPIPIPPPPIPI", "PPPPPPPPPIIII"}
        (ours,) = [r for r in kept if r.ratio == 16]
        assert count_keras_parameters(make(classes=classes, channels=3)) == ours.parameters
        assert round(ours.increase / 1e6, 1) == 0.2  # section 3.2
        assert round(ours.parameters / 1e6, 1) == PRINTED_MILLIONS


@pytest.mark.parametrize(
    ("placement", "ratio"), [("table", 16), ("text", 32), ("table-each", 64), ("all", 8)]
)
def test_readings_are_what_the_nets_count(placement, ratio):
    (row,) = [r for r in readings(classes=8) if (r.placement, r.ratio) == (placement, ratio)]
    with torch.device("meta"):
        model = build("a_mobilenet", classes=8, channels=3, size=224, placement=placement, ratio=ratio)
    assert row.parameters == count_keras_parameters(model)
    assert row.multiply_adds == count_multiply_adds(model, channels=3, size=224)
    built = "".join("I" if isinstance(block, ImprovedDSC) else "P" for block in model.blocks)
    assert row.order == built


def test_multiply_adds_are_howard_et_als():
    model = make("mobilenet_v1", classes=1000, channels=3, size=224)
    assert round(count_multiply_adds(model, channels=3, size=224) / 1e6) == 569  # Howard et al. Table 4


def test_attention_hardly_costs_multiply_adds():
    plain, ours = (make(n, channels=3, size=224) for n in ("mobilenet_v1", "a_mobilenet"))
    ratio = count_multiply_adds(ours, channels=3, size=224) / count_multiply_adds(plain, channels=3, size=224)
    assert 1 < ratio < 1.001


@pytest.mark.parametrize(
    ("linear", "expected"), [("improved", {4, 6, 11, 13}), ("all", set(range(1, 14))), ("none", set())]
)
def test_which_depthwise_convolutions_are_linear(linear, expected):
    model = make(linear=linear)
    no_activation = {
        i for i, b in enumerate(model.blocks, 1) if isinstance(b.depthwise.activation, nn.Identity)
    }
    assert no_activation == expected
    assert all(isinstance(b.pointwise.activation, nn.ReLU6) for b in model.blocks)
    assert isinstance(model.stem.activation, nn.ReLU6)
    seen = {}
    for i, block in enumerate(model.blocks, 1):
        block.depthwise.register_forward_hook(lambda m, x, y, i=i: seen.update({i: (y.min(), y.max())}))
    model(3 * torch.randn(4, 1, 64, 64))
    assert {i for i, (low, _) in seen.items() if low < 0} == expected
    assert all(high <= 6 for i, (_, high) in seen.items() if i not in expected)


def test_dropout_is_the_papers():
    assert make().dropout.p == 0.5


def test_without_its_two_changes_it_is_mobilenet_v1():
    plain = make("mobilenet_v1", dropout=0.0)
    ours = make(attention=False, linear="none", dropout=0.0)
    ours.load_state_dict(plain.state_dict())
    x = torch.rand(4, 1, 64, 64)
    torch.testing.assert_close(ours(x)[0], plain(x)[0])


@pytest.mark.parametrize(("name", "variant"), VARIANTS, ids=str)
def test_forward_backward_reaches_every_parameter(name, variant):
    """In one of several starts: units behind ReLU6 may start dead."""

    def check(logits, out):
        assert logits.shape == (4, 7) and out["aux"] == []

    x = torch.randn(4, 1, 48, 48)
    assert without_gradient(lambda: build(name, classes=7, size=48, **variant), x, check) == set()


@pytest.mark.parametrize(("name", "width"), list(zip(NETS, (1024, 1280, 1024, 1024), strict=True)))
@pytest.mark.parametrize("size", [32, 100, 224])
def test_forward_and_backward_at_the_sizes_in_use(name, width, size):
    model = make(name, channels=3, size=size)
    logits, out = model(torch.rand(2, 3, size, size))
    logits.sum().backward()
    assert logits.shape == (2, 7) and out["features"].shape == (2, width)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("name", NETS)
def test_features_are_what_the_last_layer_classifies(name):
    model = make(name, dropout=0.0)  # in training mode: normalised over the batch, so of order one
    logits, out = model(torch.rand(4, 1, 48, 48))
    last = model.classifier if isinstance(model.classifier, nn.Linear) else model.classifier[-1]
    assert logits.std() > 1e-3
    torch.testing.assert_close(last(out["features"]), logits)


@pytest.mark.parametrize("name", NETS)
def test_nothing_works_in_place(name):
    assert not any(getattr(module, "inplace", False) for module in make(name).modules())


def test_attention_maps():
    _, out = make(size=64).eval()(torch.rand(2, 1, 64, 64))
    assert {k: tuple(v.shape) for k, v in out["attention"].items()} == {
        "block4.channel_attention": (2, 256),
        "block4.spatial_attention": (2, 1, 8, 8),
        "block6.channel_attention": (2, 512),
        "block6.spatial_attention": (2, 1, 4, 4),
        "block11.channel_attention": (2, 512),
        "block11.spatial_attention": (2, 1, 4, 4),
        "block13.channel_attention": (2, 1024),
        "block13.spatial_attention": (2, 1, 2, 2),
    }
    assert all(((v > 0) & (v < 1)).all() for v in out["attention"].values())
    assert make(attention=False).eval()(torch.rand(1, 1, 48, 48))[1]["attention"] == {}


def test_cbam_against_numpy():
    """Eq. (1)-(3) written out, the 7x7 convolution as a sum over shifted, zero-padded maps."""
    torch.manual_seed(1)
    block = ImprovedDSC(6, 8, 1, linear=True, ratio=4).eval()
    x = torch.randn(2, 6, 5, 5)
    plain, _ = DSC.forward(block, x)
    f = plain.detach().numpy()
    w0, b0, w1, b1 = (p.detach().numpy() for p in block.channel_attention.parameters())

    def sigmoid(v):
        return 1 / (1 + np.exp(-v))

    def mlp(v):
        return np.maximum(v @ w0.T + b0, 0) @ w1.T + b1

    channel = sigmoid(mlp(f.mean((2, 3))) + mlp(f.max((2, 3))))
    f1 = f * channel[:, :, None, None]
    pooled = np.pad(np.stack([f1.mean(1), f1.max(1)], 1), ((0, 0), (0, 0), (3, 3), (3, 3)))
    kernel = block.spatial_attention.conv.weight.detach().numpy()[0]
    shifts = [(i, j) for i in range(7) for j in range(7)]
    response = sum(
        np.tensordot(pooled[:, :, i : i + 5, j : j + 5], kernel[:, i, j], (1, 0)) for i, j in shifts
    )
    spatial = sigmoid(response)[:, None]
    y, gates = block(x)
    np.testing.assert_allclose(gates["channel_attention"].detach().numpy(), channel, rtol=1e-5)
    np.testing.assert_allclose(gates["spatial_attention"].detach().numpy(), spatial, rtol=1e-5)
    np.testing.assert_allclose(y.detach().numpy(), f1 * spatial, rtol=1e-4, atol=1e-6)


TORCHVISION = [
    ("mobilenet_v2", torchvision.models.mobilenet_v2, "mobilenet_v2-b0353104.pth"),
    ("mobilenet_v3_small", torchvision.models.mobilenet_v3_small, "mobilenet_v3_small-047dcff4.pth"),
]


@pytest.mark.parametrize(("name", "original", "_"), TORCHVISION, ids=[t[0] for t in TORCHVISION])
def test_same_weights_same_logits_as_torchvision(name, original, _):
    torch.manual_seed(1)
    theirs, ours, x = original(num_classes=7), make(name, channels=3, size=64), torch.rand(8, 3, 64, 64)
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = (
                1.0  # one pass gives the running statistics of x, so that logits are of order one
            )
    theirs(x)
    nn.init.normal_(theirs.classifier[-1].weight)
    ours.load_state_dict(theirs.state_dict())
    expected = theirs.eval()(x)
    assert expected.std() > 0.1
    torch.testing.assert_close(ours.eval()(x)[0], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_small"])
def test_a_grey_image_is_seen_as_a_colour_image_without_colour(name):
    grey, colour = (make(name, channels=channels).features[0] for channels in (1, 3))
    x = torch.rand(2, 1, 48, 48)
    seen = grey(x)
    assert seen.std() > 0.1
    torch.testing.assert_close(seen, colour(x.repeat(1, 3, 1, 1)), atol=1e-4, rtol=0)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty download folder, and no network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def offline(*_, **__):
        raise URLError("no network\nhere")

    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("name", NETS)
def test_weights_that_cannot_be_downloaded_get_one_line(name, hub):
    with pytest.raises(FerlibError, match="no network here") as error:
        make(name, pretrained=True)
    assert "\n" not in str(error.value) and str(hub) in str(error.value)


@pytest.mark.parametrize(("name", "original", "file"), TORCHVISION, ids=[t[0] for t in TORCHVISION])
def test_torchvision_weights_are_taken_from_its_folder(name, original, file, hub):
    torch.manual_seed(5)
    weights = original().state_dict()
    torch.save(weights, hub / file)
    model = make(name, channels=3, pretrained=True)
    for key, value in model.features.state_dict(prefix="features.").items():
        torch.testing.assert_close(value, weights[key])
    assert model(torch.rand(2, 3, 48, 48))[0].shape == (2, 7)


@pytest.fixture
def v1_weights(hub):
    """A file with the names and shapes of the published MobileNetV1 checkpoint, its contents random."""
    torch.manual_seed(6)
    weights = {}
    for i, (kernel, _) in enumerate([row for row in TABLE_1 if not isinstance(row[0], str)]):
        name = f"mobilenet_v1.layer.{i - 1}" if i else "mobilenet_v1.conv_stem"
        height, width, c_in, c_out = kernel
        weights[f"{name}.convolution.weight"] = torch.randn(c_out, c_in, height, width)
        for part in ("weight", "bias", "running_mean", "running_var"):
            weights[f"{name}.normalization.{part}"] = torch.rand(c_out)
    torch.save(weights, hub / V1_FILE)
    return weights


@pytest.mark.parametrize("name", ["mobilenet_v1", "a_mobilenet"])
@pytest.mark.parametrize("channels", [1, 3])
def test_v1_weights_reach_their_layers(name, channels, v1_weights):
    model = make(name, channels=channels, pretrained=True)
    stem = v1_weights["mobilenet_v1.conv_stem.convolution.weight"]
    torch.testing.assert_close(
        model.stem.conv.weight.detach(), stem.sum(1, keepdim=True) if channels == 1 else stem
    )
    for i, block in enumerate(model.blocks):
        for layer, key in ((block.depthwise, 2 * i), (block.pointwise, 2 * i + 1)):
            prefix = f"mobilenet_v1.layer.{key}"
            assert torch.equal(layer.conv.weight, v1_weights[f"{prefix}.convolution.weight"])
            for part in ("weight", "bias", "running_mean", "running_var"):
                assert torch.equal(getattr(layer.norm, part), v1_weights[f"{prefix}.normalization.{part}"])


def test_start_is_keras_default():
    """Glorot uniform; for a depthwise kernel Keras counts 9 C inputs and 9 outputs."""
    model = make()
    weight, bound = model.blocks[5].depthwise.conv.weight, np.sqrt(6 / (9 * 256 + 9))
    assert weight.abs().max() <= bound and weight.abs().max() > 0.95 * bound
    norm = model.stem.norm
    assert (norm.eps, norm.momentum) == (1e-3, 0.01)


@pytest.mark.parametrize("name", NETS)
def test_a_batch_of_sixteen_is_overfitted(name):
    model = make(name, size=32, dropout=0.0)
    assert overfitted(model, torch.rand(16, 1, 32, 32), 8)


def test_seeded_logits_are_golden():
    """A change of architecture, start or order of random draws shows here."""
    model = make(size=64, dropout=0.0).double()
    x = torch.linspace(0, 1, 4 * 64 * 64, dtype=torch.float64).reshape(4, 1, 64, 64).sin()
    logits, _ = model((40 * x * torch.linspace(1, 2, 4)[:, None, None, None]).sin())
    golden = [0.1345, -0.1089, 0.0485, -0.1307, 0.0075, 0.0238, -0.1119]
    torch.testing.assert_close(
        logits[1].detach(), torch.tensor(golden, dtype=torch.float64), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize(
    ("name", "variant", "word"),
    [
        ("a_mobilenet", {"placement": "everywhere"}, "placement must be"),
        ("a_mobilenet", {"linear": True}, "linear must be"),
        ("a_mobilenet", {"ratio": 0}, "ratio must be from 1 to 256"),
        ("a_mobilenet", {"ratio": 512}, "ratio must be from 1 to 256"),
        ("a_mobilenet", {"depth": 3}, "depth"),
        *[(name, {"size": 31}, "at least 32 pixels") for name in NETS],
        *[(name, {"channels": 2}, "channels must be 1") for name in NETS],
        ("mobilenet_v2", {"placement": "text"}, "placement"),
        ("mobilenet_v1", {"dropout": 2.0}, "dropout"),
    ],
)
def test_bad_variants_get_one_line(name, variant, word):
    with pytest.raises(FerlibError, match=word) as error:
        make(name, **variant)
    assert "\n" not in str(error.value)
