"""Grad-CAM, the modules' attention, class means, and the files that keep them."""

from __future__ import annotations

import copy
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_records import ARRAYS, part
from torch import nn
from toy import settings, toy

from ferlib import explain, finished, maps, records, stages, train
from ferlib.data import load as load_data
from ferlib.data.dataset import FaceDataset
from ferlib.errors import FerlibError, RecordError
from ferlib.experiments import get
from ferlib.maps import ClassMaps
from ferlib.models import MODELS, build
from ferlib.models.gcca_vgg import GCCAVGG
from ferlib.pixels import Pixels

CPU = torch.device("cpu")


class Layer(nn.Module):
    """A_1 = 2 X and A_2 = 5 - X; returns its map alone or with gates, as the papers' blocks do."""

    def __init__(self, gates):
        super().__init__()
        self.conv, self.gates = nn.Conv2d(1, 2, 1), gates
        self.conv.weight.data = torch.tensor([2.0, -1.0]).view(2, 1, 1, 1)
        self.conv.bias.data = torch.tensor([0.0, 5.0])

    def forward(self, x):
        return (self.conv(x), {"se": x.mean((2, 3))}) if self.gates else self.conv(x)


class Tiny(nn.Module):
    """y_c = w_c · mean(A): Grad-CAM's weights of the two maps are w_c over the number of pixels."""

    def __init__(self, gates=True):
        super().__init__()
        self.layer, self.gates = Layer(gates), gates
        self.w = nn.Parameter(torch.tensor([[1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]))

    def forward(self, x):
        a = stages.first(self.layer(x))
        logits = a.mean((2, 3)) @ self.w.T
        return (logits, {"features": a.mean((2, 3)), "aux": [], "attention": {}}) if self.gates else logits


X = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 1, 2, 2)
BY_HAND = [
    [[0, 0.25], [1, 1.75]],
    [[0.5, 0], [0, 0]],
    [[0, 0], [0, 0]],
]  # ReLU(±(3X - 5) / 4), ReLU(-(X + 5) / 4)


@pytest.mark.parametrize("gates", [False, True], ids=["tensors", "tuples"])
@pytest.mark.parametrize("batch", [None, 1, 2])
def test_grad_cam_by_hand(gates, batch):
    """Of networks and layers that return a tensor, and of those that return a tuple."""
    net = Tiny(gates)
    found = explain.grad_cam(net, X.expand(3, -1, -1, -1), torch.arange(3), net.layer, batch=batch)
    np.testing.assert_allclose(found.maps, BY_HAND)
    assert found.zero.tolist() == [False, False, True]
    np.testing.assert_allclose(found.normalised().maps[0], [[0, 1 / 7], [4 / 7, 1]], rtol=1e-6)
    assert not found.normalised().maps[2].any()


def test_upsampling_is_bilinear_between_cell_centres():
    cam = explain.CamResult(np.array([[[0, 4], [0, 4]]], np.float32))
    np.testing.assert_allclose(cam.upsampled((2, 4)), [[[0, 1, 3, 4]] * 2])


def test_maps_that_are_not_numbers_are_refused():
    with pytest.raises(FerlibError, match="not finite"):
        explain.grad_cam(Tiny(), X * float("nan"), torch.zeros(1, dtype=int), "layer")


def test_arguments_that_do_not_fit():
    net = Tiny()
    with pytest.raises(FerlibError, match="1 images, 2 targets"):
        explain.grad_cam(net, X, torch.zeros(2, dtype=int), "layer")
    with pytest.raises(FerlibError, match="name the layer"):
        explain.grad_cam(net, X, torch.zeros(1, dtype=int))
    with pytest.raises(FerlibError, match="no classifier 'aux1'; this model has score, output"):
        explain.grad_cam(net, X, torch.zeros(1, dtype=int), "layer", head="aux1")
    net.add_module("bad", nn.ReLU(inplace=True))
    with pytest.raises(FerlibError, match="in-place"):
        explain.grad_cam(net, X, torch.zeros(1, dtype=int), "layer")


def images(n=2, channels=1, size=48):
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(3))


def network(name, size=48, **options):
    """With running means and variances of some images, without which deep random networks put out next to nothing."""
    torch.manual_seed(0)
    net = build(name, classes=7, size=size, **options)
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d)]
    for norm in norms:
        norm.momentum = None
    with torch.no_grad():
        net.train()(images(6, options.get("channels", 1), size))
    return net.eval()


def precise(net, x):
    """Both in float64: in float32 an activation within rounding of a ReLU's kink may fall on either side.

    GCCA-VGG computes its pooling in float32 and stays there. Third comes the tolerance.
    """
    return (net, x, 1e-3) if isinstance(net, GCCAVGG) else (net.double(), x.double(), 1e-5)


def by_autograd(net, x, targets, layer, score):
    """Eq. (1) and (2) written out, one image at a time."""
    found = []
    module = stages.find_layer(net, layer)
    for one, target in zip(x, targets, strict=True):
        kept = []
        hook = module.register_forward_hook(lambda _m, _i, out, kept=kept: kept.append(stages.first(out)))
        y = score(net(one[None]))[0, target]
        hook.remove()
        (gradient,) = torch.autograd.grad(y, kept[0])
        alpha = gradient.mean((2, 3), keepdim=True)
        found.append(torch.relu((alpha * kept[0]).sum(1))[0].detach().numpy())
    return np.stack(found)


@pytest.mark.parametrize("name", MODELS)
def test_every_network_with_its_layers(name):
    net, x, rtol = precise(network(name), images(3))
    net, targets = net.train(), torch.tensor([1, 4, 5])
    layers = stages.layers_of(net)
    default = stages.default_layer(net)
    assert len(layers) >= 3 and default in layers and min(layers[default]) >= maps.COARSEST
    assert not any(getattr(module, "inplace", False) for module in net.modules())
    found = explain.grad_cam(net, x, targets)
    assert net.training and found.maps.shape == (3, *layers[default]) and found.maps.dtype == np.float32
    expected = by_autograd(net.eval(), x, targets, default, lambda out: out[1].get("main", out[0]))
    assert found.maps.max() > 0
    np.testing.assert_allclose(found.maps, expected, rtol=rtol, atol=rtol * 1e-2 * expected.max())
    for layer, grid in list(layers.items())[-2:]:
        assert explain.grad_cam(net, x, targets, layer).maps.shape == (3, *grid)


def test_layer_names():
    assert list(stages.layers_of(network("amdcnn"))) == ["dfem1", "dfem2", "dfem3", "dfem4"]
    assert list(stages.layers_of(network("msca_resnet"))) == ["unit1", "unit2", "unit3"]
    assert stages.layers_of(network("se_cnn")) == {"block1": (22, 22), "block2": (9, 9), "block3": (2, 2)}
    gcca = stages.layers_of(network("gcca_vgg"))
    assert list(gcca) == [*(f"block{i}" for i in range(1, 6)), "fused"]
    assert "fused" not in stages.layers_of(network("gcca_vgg", model=1))
    colour = network("a_mobilenet", channels=3, size=224)
    assert stages.layers_of(colour, 224)["block13"] == (7, 7)
    assert stages.default_layer(colour, 224) == "block13"
    assert stages.find_layer(colour, "block4") is colour.blocks[3]
    assert stages.find_layer(colour, "blocks.3.depthwise") is colour.blocks[3].depthwise
    with pytest.raises(FerlibError, match=r"no layer 'dfem1'; choose one of block1, block2"):
        stages.find_layer(colour, "dfem1")
    with pytest.raises(FerlibError, match="no layer 'Conv2d'"):
        stages.find_layer(colour, nn.Conv2d(1, 1, 1))


def test_where_no_grid_is_fine_the_finest_is_taken():
    assert maps.deepest({"a": (4, 4), "b": (3, 3), "c": (2, 2)}) == "a"
    assert maps.deepest({"a": (9, 9), "b": (5, 5), "c": (4, 4)}) == "b"


def test_the_score_is_that_before_the_softmax():
    """AMDCNN returns log-probabilities fused from four classifiers; each of them can be explained."""
    net, x, rtol = precise(network("amdcnn"), images(3))
    targets = torch.tensor([0, 2, 5])
    heads = {
        "score": lambda out: out[1]["main"],
        "output": lambda out: out[0],
        "aux2": lambda out: out[1]["aux"][1],
    }
    found = {}
    for head, score in heads.items():
        found[head] = explain.grad_cam(net, x, targets, "dfem2", head=head).maps
        expected = by_autograd(net, x, targets, "dfem2", score)
        np.testing.assert_allclose(found[head], expected, rtol=rtol, atol=rtol * 1e-2 * expected.max())
    assert not np.allclose(found["score"], found["output"], rtol=0.1)


@pytest.mark.parametrize("name", MODELS)
def test_several_layers_at_once_are_as_one_by_one(name):
    """One backward pass for all layers, against captum's for each."""
    net, x, rtol = precise(network(name), images(3))
    targets = torch.tensor([1, 4, 5])
    layers = list(stages.layers_of(net))
    found = explain.grad_cams(net.requires_grad_(False), x, targets, layers, batch=2)
    assert list(found) == layers
    for layer in layers:
        expected = explain.grad_cam(net, x, targets, layer).maps
        np.testing.assert_allclose(
            found[layer].maps, expected, rtol=rtol, atol=rtol * 1e-2 * expected.max(), err_msg=layer
        )


def test_a_layer_behind_the_classifier_is_told_in_one_line():
    net, targets = network("amdcnn"), torch.tensor([0, 2])
    told = "dfem3 stands behind classifier 'aux1'; choose an earlier layer"
    with pytest.raises(FerlibError, match=told):
        explain.grad_cam(net, images(), targets, "dfem3", head="aux1")
    with pytest.raises(FerlibError, match=told):
        explain.grad_cams(net, images(), targets, ["dfem1", "dfem3"], head="aux1")
    assert explain.grad_cam(net, images(), targets, "dfem1", head="aux1").maps.max() > 0


def test_frozen_weights_can_be_explained():
    net = network("msca_resnet")
    x, targets = images(), torch.tensor([1, 4])
    expected = explain.grad_cam(net, x, targets)
    frozen = explain.grad_cam(net.requires_grad_(False), x, targets)
    np.testing.assert_array_equal(frozen.maps, expected.maps)


@pytest.mark.parametrize(
    "name", ["amdcnn", "gcca_vgg", "a_mobilenet", "se_cnn", "msca_resnet", "mobilenet_v2"]
)
def test_module_attention_is_what_the_network_returns(name):
    net, x = network(name), images(3)
    found = explain.module_attention(net, x, batch=2)
    with torch.no_grad():
        expected = net(x)[1]["attention"]
    assert {*found.maps, *found.gates} == set(expected) and (expected or name == "mobilenet_v2")
    for key, values in (found.maps | found.gates).items():
        whole = expected[key][:, 0] if key in found.maps else expected[key]
        np.testing.assert_allclose(values, whole.numpy(), rtol=1e-4, atol=1e-5)
    assert name not in ("amdcnn", "a_mobilenet", "gcca_vgg") or found.maps


# --- class means


def means_of(data, net=None, **options):
    net = net or network("se_cnn", size=36)
    return explain.class_means(net, Pixels(data, "test", CPU), data.classes, batch=7, **options)


def test_class_means_are_the_means():
    data, net = toy(), build("se_cnn", classes=3, size=36)
    found = means_of(data, net)
    pixels = Pixels(data, "test", CPU)
    x, y = pixels.batch(slice(None))
    labels = y.numpy()
    assert found.classes == ("low", "mid", "high") and found.left_out == {}
    assert list(found.counts.values()) == np.bincount(labels).tolist()
    assert (found.part, found.target, found.head) == ("test", "true class", "score")
    assert set(found.cam) == {"block1", "block2"} and found.grids["block1"] == (16, 16)
    gates = explain.module_attention(net, x).gates
    for layer, means in found.cam.items():
        cam = explain.grad_cam(net, x, y, layer, batch=7)
        peak = np.maximum(cam.maps.max((1, 2)), 1e-30)[:, None, None]
        for k, name in enumerate(found.classes):
            chosen = labels == k
            np.testing.assert_allclose(means[k], (cam.maps / peak)[chosen].mean(0), rtol=1e-4, atol=1e-6)
            assert found.zero[layer][name] == cam.zero[chosen].sum()
            np.testing.assert_allclose(found.faces[k], x.numpy()[chosen, 0].mean(0), rtol=1e-5)
            expected = gates["block2.se2"][chosen].mean(0)
            np.testing.assert_allclose(found.attention["block2.se2"][k], expected, rtol=1e-4)


def test_all_zero_maps_are_counted_by_class():
    """With the second class's score turned round, its all-zero maps become others; none may vanish from the count."""
    data = toy()

    class Silent(Tiny):
        def __init__(self):
            super().__init__()
            self.w.data = torch.tensor([[1.0, 1.0], [-1.0, -1.0], [1.0, 1.0]])

    found = means_of(data, Silent(), layers=["layer"])
    n = found.counts["mid"]
    assert n > 0 and found.zero == {"layer": {"low": 0, "mid": n, "high": 0}}
    assert not found.cam["layer"][1].any() and found.cam["layer"][[0, 2]].max() > 0


def test_a_class_of_few_images_or_people_is_left_out():
    data = toy()
    test = data.where("test")
    labels = data.labels.copy()
    labels[test] = [0] * 9 + [1] * 2 + [2] * 9
    few = replace(data, labels=labels)
    found = means_of(few)
    assert found.classes == ("low", "high") and found.left_out == {"mid": 2}
    assert all(len(values) == 2 for values in (found.faces, *found.cam.values(), *found.attention.values()))
    np.testing.assert_allclose(found.faces[1], data.images[test[11:]].mean(0) / 255, rtol=1e-5)
    people = np.array(["a", "b", "c"] * 3 + ["d"] * 2 + ["e", "f"] * 4 + ["e"])
    assert means_of(few, people=people).left_out == {"mid": 2, "high": 9}
    with pytest.raises(FerlibError, match="choose another part"):
        means_of(few, people=np.array(["a", "b"] * 10))


def test_faces_are_grey_and_large_maps_are_averaged_down():
    images = np.random.default_rng(0).integers(0, 255, (9, 96, 96, 3), dtype=np.uint8)
    labels, split = np.arange(9, dtype=np.int64) % 3, np.array(["test"] * 9)
    data = FaceDataset("toy", images, labels, ("a", "b", "c"), split, np.arange(9).astype(str))
    net = build("amdcnn", classes=3, channels=3, size=96)
    found = means_of(data, net)
    assert found.faces.shape == (3, maps.FACE, maps.FACE)
    grey = images[labels == 1].mean(0) @ (0.299, 0.587, 0.114) / 255
    assert found.faces[1].mean() == pytest.approx(grey.mean(), rel=1e-5)
    assert found.grids["dfem1"] == (46, 46) and found.cam["dfem1"].shape == (3, maps.GRID, maps.GRID)
    assert found.attention["dfem2.spatial_attention"].shape == (3, 23, 23)


# --- the file beside a record


def some_maps(**changes):
    rng = np.random.default_rng(1)
    base = ClassMaps(
        classes=("sad", "happy"),
        counts={"sad": 3, "happy": 5},
        left_out={"fear": 2},
        faces=rng.random((2, 48, 48), np.float32),
        cam={"unit10": rng.random((2, 6, 6), np.float32), "unit2": rng.random((2, 3, 3), np.float32)},
        zero={"unit10": {"happy": 0, "sad": 1}, "unit2": {"happy": 0, "sad": 0}},
        attention={"unit2.se": rng.random((2, 32), np.float32)},
        grids={"unit10": (6, 6), "unit2": (3, 3)},
        part="test",
        target="true class",
        head="score",
    )
    return replace(base, **changes)


@pytest.fixture
def kept(tmp_path):
    """A folder of results with one record and its maps."""
    facts = part(data={"name": "toy", "fingerprint": "f"})
    path = records.write(tmp_path, facts, ARRAYS, {}, "ferlib run toy")
    maps.write(tmp_path, records.read(path), some_maps(), weights_difference=0.0)
    return tmp_path


def test_round_trip(kept):
    found, header = maps.read(kept, "toy", 0)
    ours = some_maps()
    assert maps.path_of(kept, "toy", 0) == kept / "toy" / "seed0.maps.npz"
    assert found.facts() == ours.facts()
    assert list(found.counts) == list(found.zero["unit2"]) == ["sad", "happy"]  # in label order
    assert list(found.cam) == ["unit10", "unit2"] and found.default_layer() == "unit10"
    for name, values in ours.arrays().items():
        np.testing.assert_array_equal(found.arrays()[name], values)
    assert found.faces.dtype == np.float32
    assert header["data"] == {"name": "toy", "fingerprint": "f"} and header["weights_difference"] == 0
    assert [path.name for path in (kept / "toy").iterdir() if path.name.startswith(".")] == []
    assert records.load_all(kept, "toy") and records.read_predictions(kept / "toy" / "seed0.json")


def test_committed_maps_are_those_of_their_records():
    for path in records.committed():
        run = (path.parents[1], path.parent.name, int(path.stem.removeprefix("seed")))
        found = maps.path_of(*run)
        if found.exists():
            means, header = maps.read(*run)
            assert min(means.counts.values()) >= maps.FEWEST and found.stat().st_size < maps.LIMIT
            assert header["data"]["fingerprint"] == records.read(path)["reproducible"]["data"]["fingerprint"]


def edited(path, **changes):
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(arrays["header"].tobytes())
    if "faces" in changes:
        arrays["faces"] = changes.pop("faces")(arrays["faces"])
    arrays["header"] = np.frombuffer(json.dumps(header | changes).encode(), np.uint8)
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda p: p.unlink(), "no such file"),
        (lambda p: p.write_bytes(b""), "cannot be read"),
        (lambda p: p.write_bytes(p.read_bytes()[:-300]), "cannot be read"),
        (lambda p: p.write_bytes(b"x" + p.read_bytes()[1:2000]), "cannot be read"),
        (lambda p: np.savez(p, faces=np.zeros(3)), "cannot be read"),
        (lambda p: np.savez(p, header=np.frombuffer(b"[1]", np.uint8)), "cannot be read"),
        (lambda p: edited(p, schema=0), "checksum"),
        (lambda p: edited(p, counts={"happy": 500, "sad": 300}), "checksum"),
        (lambda p: edited(p, faces=lambda f: f + np.float16(0.25)), "checksum"),
    ],
)
def test_damaged_files_are_one_line(kept, damage, told):
    path = maps.path_of(kept, "toy", 0)
    damage(path)
    with pytest.raises(RecordError, match=told) as error:
        maps.read(kept, "toy", 0)
    assert "\n" not in str(error.value) and "ferlib explain toy --seed 0" in str(error.value)


def test_maps_of_another_run_are_refused(kept):
    other = records.write(kept, part(seed=1, data={"name": "toy", "fingerprint": "f"}), ARRAYS, {}, "x")
    shutil.copy(maps.path_of(kept, "toy", 0), maps.path_of(kept, "toy", 1))
    with pytest.raises(RecordError, match="belongs to another run"):
        maps.read(kept, "toy", 1)
    maps.write(kept, records.read(other), some_maps())
    assert maps.read(kept, "toy", 1)[1]["seed"] == 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"counts": {"happy": 5, "sad": 2}}, "needs 3 images; leave out sad"),
        ({"classes": (), "counts": {}}, "needs 3 images"),
        ({"faces": np.full((2, 48, 48), np.nan, np.float32)}, "not finite"),
        ({"attention": {"edge": np.full((2, 6, 6), 1e5, np.float32)}}, "not finite"),
        ({"faces": np.random.default_rng(0).random((2, 300, 300), np.float32)}, "choose fewer layers"),
    ],
)
def test_what_is_never_written(kept, changes, told):
    path = maps.path_of(kept, "toy", 0)
    before = path.read_bytes()
    with pytest.raises(RecordError, match=told):
        maps.write(kept, records.read(kept / "toy" / "seed0.json"), some_maps(**changes))
    assert path.read_bytes() == before and len(list(path.parent.iterdir())) == 3


def test_a_map_by_its_name():
    ours = some_maps(attention={"a": np.zeros((2, 4, 4)), "gates": np.zeros((2, 8))})
    assert ours.spatial("a").shape == (2, 4, 4) and ours.spatial("unit2").shape == (2, 3, 3)
    with pytest.raises(FerlibError, match="no maps of 'gates' here; choose one of unit10, unit2, a"):
        ours.spatial("gates")


# --- from a run to its maps

ROW = replace(
    get("msca_resnet-ckplus-se_bn"),
    dataset="synthetic",
    dataset_options={"n": 240},
    variant={"width": 16},
    epochs=2,
    batch=32,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    train.run(ROW, 0, settings(folder))
    return folder


def command(folder, *more):
    words = ["--results", str(folder / "results"), "--runs", str(folder / "runs"), "--device", "cpu"]
    return [ROW.id, *words, *more]


def test_command_line(trained, capsys):
    assert explain.main(command(trained, "--json")) == 0
    told = json.loads(capsys.readouterr().out)
    found, header = maps.read(trained / "results", ROW.id, 0)
    assert told["maps"] == str(maps.path_of(trained / "results", ROW.id, 0))
    assert told["layers"] == ["unit1", "unit2", "unit3"] and told["counts"] == found.counts
    record = records.read(records.path_of(trained / "results", ROW.id, 0))
    assert header["record_sha256"] == record["sha256"] and header["weights_difference"] < 0.01
    counts = record["reproducible"]["data"]["counts"]["test"]
    assert found.counts | found.left_out == counts
    first = maps.path_of(trained / "results", ROW.id, 0).read_bytes()
    assert explain.main(command(trained, "--seed", "0")) == 0
    assert "all-zero maps: unit1" in capsys.readouterr().out
    assert maps.path_of(trained / "results", ROW.id, 0).read_bytes() == first
    assert explain.main(command(trained, "--layer", "unit3", "--part", "val")) == 0
    found, _ = maps.read(trained / "results", ROW.id, 0)
    assert list(found.cam) == ["unit3"] and found.part == "val"


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["--seed", "-1"], 2, "must not be negative"),
        (["--threads", "-1"], 2, "must not be negative"),
        (["--seed", "5"], 1, "no such record"),
        (["--layer", "unit9"], 1, "no layer 'unit9'; choose one of unit1, unit2, unit3"),
        (["--runs", "nowhere"], 1, "no such weights"),
        (["--device", "abacus"], 1, "unknown device"),
    ],
)
def test_mistakes_are_one_line(trained, capsys, words, status, told):
    assert explain.main(command(trained, *words)) == status
    error = capsys.readouterr().err
    assert told in error and error.startswith("ferlib: ") and error.count("\n") == 1


def test_experiments_without_records(tmp_path, capsys):
    assert explain.main(["se_cnn-se", "--results", str(tmp_path)]) == 1
    assert "run the experiment first" in capsys.readouterr().err
    assert explain.main(["se_cnn-sea", "--results", str(tmp_path)]) == 1
    assert "did you mean se_cnn-se" in capsys.readouterr().err


def load(folder):
    return finished.load(ROW.id, 0, folder / "results", folder / "runs", None, CPU)


def test_weights_must_be_those_of_the_record(trained, tmp_path):
    from safetensors.torch import load_file, save_file

    assert load(trained).difference < 0.01
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "runs" / ROW.id / "seed0" / "best.safetensors"
    good = load_file(path)
    changed = copy.deepcopy(good)
    changed["classifier.weight"] = changed["classifier.weight"].flip(0)
    save_file(changed, path)
    with pytest.raises(FerlibError, match="not the weights of"):
        load(tmp_path)
    save_file({k: v for k, v in good.items() if not k.startswith("conv.")}, path)
    with pytest.raises(FerlibError, match="cannot be loaded") as error:
        load(tmp_path)
    assert "\n" not in str(error.value)
    path.write_bytes(b"nothing")
    with pytest.raises(FerlibError, match="cannot be loaded"):
        load(tmp_path)


def test_data_must_be_those_of_the_record(trained, monkeypatch):
    monkeypatch.setattr(finished, "load_data", lambda row, root: toy())
    with pytest.raises(FerlibError, match="not the data of"):
        load(trained)


def test_difference_of_logits():
    z = np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 1.0]])
    assert finished.compare(z + np.array([[5], [-3]]), z) == pytest.approx(0)
    assert finished.compare(1.1 * z, z) == pytest.approx(0.1)
    assert finished.compare(z[:1], z) == float("inf")


# --- against an implementation of others


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("amdcnn", "dfem.2.convs"),
        ("gcca_vgg", "head.fuse"),
        ("a_mobilenet", "blocks.4.pointwise"),
        ("se_cnn", "block2.conv2"),
        ("msca_resnet", "unit3.norm"),
        ("mobilenet_v3_small", "features.8"),
    ],
)
def test_agrees_with_the_grad_cam_package(name, layer):
    """PyPI's grad-cam takes layers that return tensors and gives maps scaled to [0, 1] twice, resized by OpenCV."""
    reason = "needs the package grad-cam (pip install -e .[crosscheck])"
    pytorch_grad_cam = pytest.importorskip("pytorch_grad_cam", reason=reason)
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    net, x, tolerance = precise(network(name), images(4))
    targets = torch.tensor([0, 3, 6, 2])
    with pytorch_grad_cam.GradCAM(explain.Scores(net), [net.get_submodule(layer)]) as theirs:
        expected = theirs(x, [ClassifierOutputTarget(int(t)) for t in targets])

    def scaled(values):
        values = values - values.min((1, 2), keepdims=True)
        return values / (1e-7 + values.max((1, 2), keepdims=True))

    cam = explain.grad_cam(net, x, targets, layer)
    found = scaled(explain.CamResult(scaled(cam.maps)).upsampled((48, 48)))
    assert expected.max() > 0.99
    np.testing.assert_allclose(found, expected, atol=tolerance)


def test_a_stored_mean_face_is_over_the_whole_dataset_and_of_many_people():
    data = load_data("synthetic", n=140)
    faces = explain.class_faces(data, data.classes[1:3])
    own = data.images[data.labels == 2]
    np.testing.assert_allclose(faces[1], own.mean(axis=0) / 255, rtol=1e-5)
    few = replace(data, subjects=np.array([f"S{i % 9}" for i in range(140)]))
    with pytest.raises(FerlibError, match="no mean face is made of fewer than 10"):
        explain.class_faces(few, data.classes[:1])
