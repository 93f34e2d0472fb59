"""What the pages without a kernel are made from: class means, synthetic faces, a network for the browser."""

import base64
import gzip
import hashlib
import json
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ferlib import explorer, explorer_nets, explorer_onnx, explorer_runtime, maps, records, weights
from ferlib.data import synthetic
from ferlib.data.dataset import book_name
from ferlib.errors import FerlibError
from ferlib.explain import grad_cam
from ferlib.models import build
from ferlib.pixels import Pixels

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"


@pytest.fixture
def few(monkeypatch):
    """Two people, two steps of intensity."""
    monkeypatch.setattr(explorer, "PEOPLE", (0, 3))
    monkeypatch.setattr(explorer, "STEPS", 2)


@pytest.fixture(scope="module")
def nets():
    return explorer_nets.demonstrations()


def ready(
    model="small_resnet", *, variant=None, preprocess=None, recipe=None, colour=False, channels=1, **row
):
    """An untrained network as published weights would bring it."""
    variant = {"stem": 16, "widths": (16, 32), "depth": 1} if variant is None else variant
    base = next(iter(explorer_nets.ROWS.values()))
    options = {"preprocess": preprocess or {}, "recipe": recipe or {}, **row}
    made = replace(base, model=model, variant=variant, **options)
    torch.manual_seed(0)
    network = build(model, classes=7, channels=channels, size=made.size, **variant).eval()
    facts = {"dataset": "synthetic", "profile": "full", "accuracy": 0.5, "n": 2}
    return weights.Ready("trial", made, synthetic.CLASSES, channels, colour, made.size, network, facts)


def unpacked(text):
    """The content of a file of one assignment, and its bytes."""
    content = json.loads(text.partition(" = ")[2].rstrip(";\n"))
    return content, gzip.decompress(base64.b64decode(content["bytes"]))


def array(blob, place, kind=np.uint8):
    n = int(np.prod(place["shape"]))
    return np.frombuffer(blob, kind, n, place["at"]).reshape(place["shape"])


# Class means


def test_class_means_are_those_of_the_records():
    blob = explorer.Bytes()
    found = explorer.class_means(RESULTS, blob)
    content = b"".join(blob.parts)
    kept = {p.parent.name for p in RESULTS.glob("*/seed*.maps.npz")}
    full = {i for i in kept if records.load_all(RESULTS, i)[0]["reproducible"]["profile"] != "smoke"}
    assert {run["id"] for run in found["runs"]} == full and full
    for run in found["runs"]:
        means, _ = maps.read(RESULTS, run["id"], run["seed"])
        assert run["classes"] == [book_name(name) for name in means.classes]
        assert set(run["classes"]) <= {*synthetic.CLASSES, "contempt"}  # one vocabulary on the page
        assert not set(run["left_out"]) - {*synthetic.CLASSES, "contempt"}
        part = records.read(records.path_of(RESULTS, run["id"], run["seed"]))["reproducible"]
        assert run["accuracy"] == part["result"]["val_selected"]["accuracy"]
        for layer in run["layers"]:
            shown = layer["low"] + array(content, layer) / 255 * (layer["high"] - layer["low"])
            error = np.abs(shown - means.spatial(layer["name"])).max()
            assert error <= (layer["high"] - layer["low"]) / 255 + 1e-4
    shapes = [place["shape"] for place in found["faces"].values()]
    assert len(shapes) < len(found["runs"])  # equal faces are kept once


def test_faces_are_means_over_enough_people():
    """A class's face on the page is the mean that `ferlib.maps` keeps, stretched, and of nothing else."""
    blob = explorer.Bytes()
    found = explorer.class_means(RESULTS, blob)
    content = b"".join(blob.parts)
    for run in found["runs"]:
        means, _ = maps.read(RESULTS, run["id"], run["seed"])
        faces = array(content, found["faces"][run["faces"]])
        assert len(faces) == len(means.classes)
        for shown, mean in zip(faces, means.faces, strict=True):
            inside = (shown > 0) & (shown < 255)
            assert np.corrcoef(shown[inside], mean[inside])[0, 1] > 0.999
        assert min(run["counts"]) >= maps.FEWEST


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("dfem3", "feature block 3 (DFEM3)"),
        ("dfem3.spatial_attention", "feature block 3 (DFEM3)"),
        ("block11", "block 11"),
        ("unit2", "unit 2"),
        ("fused", "fused"),
        ("features.3", "features.3"),
    ],
)
def test_layers_in_words(layer, words):
    assert explorer.in_words(layer) == words


def test_without_runs_there_are_no_means(tmp_path):
    assert explorer.class_means(tmp_path, explorer.Bytes()) == {"runs": [], "faces": {}}


def test_a_smoke_run_is_not_shown(tmp_path):
    source = next(RESULTS.glob("*/seed0.maps.npz"))
    target = tmp_path / source.parent.name
    shutil.copytree(source.parent, target)
    assert len(explorer.class_means(tmp_path, explorer.Bytes())["runs"]) == 1
    record = json.loads((target / "seed0.json").read_text())
    means, _ = maps.read(tmp_path, target.name, 0)
    record["reproducible"] |= {"profile": "smoke", "changed": ["epochs: 1 of 9"]}
    record["sha256"] = records.sha256(record["reproducible"])
    (target / "seed0.json").write_text(json.dumps(record))
    maps.write(tmp_path, record, means)
    assert explorer.class_means(tmp_path, explorer.Bytes())["runs"] == []


# Synthetic faces


def test_synthetic_part_has_the_networks_answers(few, nets):
    blob = explorer.Bytes()
    found = explorer.synthetic_faces(nets, blob)
    content = b"".join(blob.parts)
    images, masks = array(content, found["images"]), array(content, found["masks"])
    order = explorer.frames()
    assert len(images) == len(order) == 2 * (1 + 6 * 2)
    i = order.index((3, "surprise", 0.5))
    assert (images[i] == synthetic.draw("surprise", 0.5, seed=3)).all()
    assert (images[order.index((0, "neutral", 0.0))] == synthetic.draw("happy", 0.0, seed=0)).all()
    assert masks.shape == images.shape and masks.any()
    x = torch.from_numpy(images[i].copy()).float().div(255)[None, None]
    for one in found["nets"]:
        model = nets[one["name"]].model
        with torch.no_grad():
            expected = model(x)[0].softmax(1)[0].numpy()
        assert array(content, one["probabilities"], "<u2")[i] / 1000 == pytest.approx(expected, abs=6e-4)
        assert [layer["grid"] for layer in one["layers"]] == [[12, 12], [6, 6]]
        for layer in one["layers"]:
            assert layer["title"] == explorer.in_words(layer["name"]) != layer["name"]
            cam = grad_cam(model, x, torch.tensor([4]), layer["name"]).normalised().maps[0]
            shown = array(content, layer)[i, 4] / (explorer.LEVELS - 1)
            assert np.abs(shown - cam).max() <= 0.5 / (explorer.LEVELS - 1) + 1e-4


def test_the_file_is_the_same_twice_and_bounded(few, nets, monkeypatch):
    text = explorer.explorer(RESULTS, nets)
    assert text == explorer.explorer(RESULTS, nets)
    content, blob = unpacked(text)
    assert len(blob) > 100_000 and set(content) == {"palette", "opacity", "means", "synthetic", "bytes"}
    monkeypatch.setattr(explorer, "LIMIT", 1000)
    with pytest.raises(FerlibError, match="more than 1,000; show fewer"):
        explorer.explorer(RESULTS, nets)


def test_cards_say_what_the_weights_reach(nets):
    options = explorer_nets.DATA
    data = synthetic.load(**options)
    test = Pixels(data, "test", torch.device("cpu"), 48)
    for net in nets.values():
        with torch.no_grad():
            right = (net.model(test.batch(slice(None))[0])[0].argmax(1) == test.labels).float().mean()
        assert float(right) == pytest.approx(net.facts["accuracy"], abs=1.5 / len(test))
        assert net.facts["n"] == len(test) and net.facts["accuracy"] > 0.85
        assert net.facts["fingerprint"] == data.fingerprint
    assert sum(p.stat().st_size for p in explorer_nets.FOLDER.iterdir()) < 1_000_000


# The network for the browser


@pytest.mark.parametrize(
    "options",
    [
        {"preprocess": {"standardise": "image"}, "recipe": {"mirror": True}},
        {"preprocess": {"standardise": "imagenet", "channels": 3}, "channels": 3},
        {"model": "msca_resnet", "variant": {"width": 16}, "preprocess": {"standardise": "symmetric"}},
    ],
    ids=["image-mirror", "imagenet-rgb", "symmetric-msca"],
)
def test_the_exported_network_is_that_of_pytorch(options):
    """Probabilities of the whole way from grey pixels, with the row's own preprocessing."""
    net = ready(**options)
    faces = synthetic.load(n=3, seed=5).images
    x = torch.from_numpy(faces).float().div(255)[:, None]
    explained = explorer_onnx.Explained(net).eval()
    with torch.no_grad():
        probabilities, cam, *_ = explained(x)
        prepared = net.prepare(faces)
        wanted = net.model(prepared)[0].softmax(1)
        if net.row.recipe.get("mirror"):
            wanted = (wanted + net.model(prepared.flip(3))[0].softmax(1)) / 2
    assert torch.allclose(probabilities, wanted, atol=1e-5)
    assert cam.shape[:2] == (3, 7)
    assert explorer_onnx.exactness(net, x) < 1e-4
    assert not net.model.training and not any(m._forward_hooks for m in net.model.modules())


def test_onnx_runs_as_pytorch_does(tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    net = ready(recipe={"mirror": True}, preprocess={"standardise": "image"})
    about = explorer_onnx.export(net, tmp_path / "face.onnx")
    assert about == {"size": 48, "outputs": ["probabilities", "cam"]}
    assert [p.name for p in tmp_path.iterdir()] == ["face.onnx"]  # the weights are inside
    session = runtime.InferenceSession(tmp_path / "face.onnx")
    explained = explorer_onnx.Explained(net).eval()
    for image in synthetic.load(n=4, seed=6).images:
        x = torch.from_numpy(image).float().div(255)[None, None]
        found = session.run(None, {"image": x.numpy()})
        with torch.no_grad():
            wanted = explained(x)
        for mine, theirs in zip(found, wanted, strict=True):
            assert np.abs(mine - theirs.numpy()).max() < 1e-5


def test_networks_that_a_page_cannot_show_are_refused():
    with pytest.raises(FerlibError, match="no single linear layer behind a global average"):
        explorer_onnx.suitable(ready("se_cnn", variant={}))
    net = ready()
    net.model.classifier.register_forward_hook(lambda _module, _inputs, out: 2 * out)
    with pytest.raises(FerlibError, match=r"class activation maps are [0-9.]+ off the logits"):
        explorer_onnx.suitable(net)
    with pytest.raises(FerlibError, match="takes colour"):
        explorer_onnx.suitable(ready(colour=True, channels=3))
    with pytest.raises(FerlibError, match="100 pixels a side"):
        explorer_onnx.suitable(ready(size=100))


def test_a_published_network_is_taken_where_it_suits(tmp_path):
    assert explorer.default_card(tmp_path).parent == explorer_nets.FOLDER
    weights.save(replace(ready("se_cnn", variant={}), name="a_unsuitable"), tmp_path)
    weights.save(replace(ready(), name="b_suitable"), tmp_path)
    assert explorer.default_card(tmp_path) == tmp_path / "b_suitable.json"


# The files


@pytest.fixture
def quick(few, monkeypatch):
    """A build without the long parts: no ONNX export, no runtime."""
    monkeypatch.setattr(explorer_onnx, "export", lambda net, path: path.write_bytes(b"onnx") and {"size": 48})
    monkeypatch.setattr(explorer_runtime, "copy_to", lambda out: [])
    monkeypatch.setattr(explorer, "explorer", lambda results, nets: "window.X = {};\n")


def test_build_makes_the_files_once(quick, tmp_path):
    out = tmp_path / "data"
    assert explorer.build(out, RESULTS) == "made"
    assert sorted(p.name for p in out.iterdir()) == ["explorer.js", "face.js", "face.onnx"]
    before = (out / "face.js").stat().st_mtime_ns
    assert explorer.build(out, RESULTS) == "unchanged, kept"
    assert (out / "face.js").stat().st_mtime_ns == before
    assert explorer.build(out, tmp_path) == "made"  # other results


def test_what_could_not_be_had_is_told_and_tried_again(quick, tmp_path, monkeypatch):
    def refuse(out):
        (out / "half").parent.mkdir(parents=True)
        (out / "half").write_text("")
        raise FerlibError("no network here")

    monkeypatch.setattr(explorer_runtime, "copy_to", refuse)
    out = tmp_path / "data"
    assert explorer.build(out, RESULTS).endswith("no network here")
    content, _ = unpacked((out / "face.js").read_text())
    assert content["missing"] == "no network here" and not (out / "runtime").exists()
    assert explorer.missing(out) == "no network here"
    monkeypatch.setattr(explorer_runtime, "copy_to", lambda out: [])
    assert explorer.build(out, RESULTS) == "made"
    assert explorer.missing(out) is None


def test_command_line(quick, tmp_path, capsys):
    assert explorer.main(["build", str(tmp_path / "data"), "--results", str(RESULTS)]) == 0
    assert capsys.readouterr().out == "made\n"
    assert explorer.main(["build", str(tmp_path / "x"), "--card", str(tmp_path / "none.json")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("ferlib: ") and error.count("\n") == 1


# The runtime


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A tarball of the package's shape, pinned, and an empty cache."""
    monkeypatch.setenv("FERLIB_CACHE", str(tmp_path / "cache"))
    tarball = tmp_path / "package.tgz"
    with tarfile.open(tarball, "w:gz") as archive:
        for name in explorer_runtime.FILES:
            file = tmp_path / name
            file.write_text(name)
            archive.add(file, f"package/dist/{name}")
    monkeypatch.setattr(explorer_runtime, "SHA256", hashlib.sha256(tarball.read_bytes()).hexdigest())
    return tarball


def npm(folder: Path, script: str, monkeypatch) -> None:
    """A stand-in for npm on the PATH."""
    folder.mkdir()
    (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_runtime_is_downloaded_once_and_checked(package, tmp_path, monkeypatch):
    npm(tmp_path / "bin", f"echo x >> {tmp_path}/calls; cp {package} onnxruntime-web-9.tgz", monkeypatch)
    for out in ("a", "b"):
        files = explorer_runtime.copy_to(tmp_path / out)
        assert [f.read_text() for f in files] == list(explorer_runtime.FILES)
    assert (tmp_path / "calls").read_text() == "x\n"


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo other > x.tgz", "is not the pinned"),
        ("echo no such host >&2; exit 1", "failed .no such host.; is there a network"),
        ("sleep 20", "took longer than"),
    ],
)
def test_a_runtime_that_cannot_be_had_is_one_line(package, tmp_path, monkeypatch, script, says):
    monkeypatch.setattr(explorer_runtime, "PATIENCE", 2)
    npm(tmp_path / "bin", script, monkeypatch)
    with pytest.raises(FerlibError, match=says) as error:
        explorer_runtime.copy_to(tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "cache").iterdir())


def test_without_npm_it_says_so(package, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FerlibError, match="no npm here; install Node"):
        explorer_runtime.copy_to(tmp_path / "out")
