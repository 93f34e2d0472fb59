"""Measures of attention maps on maps made by hand, the files that keep them, the tables and verdicts made from them."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from recorded import record
from scipy.stats import spearmanr
from scipy.stats import t as student
from torch import nn
from toy import settings, toy

from ferlib import (
    measures,
    measures_checks,
    measures_claims,
    measures_figures,
    measures_file,
    measures_run,
    measures_tables,
    measures_verdicts,
    records,
    train,
)
from ferlib.data import load as load_data
from ferlib.errors import FerlibError, RecordError
from ferlib.experiments import get, quick
from ferlib.explain import CamResult
from ferlib.maps import COARSEST
from ferlib.models import build
from ferlib.pixels import Pixels
from ferlib.stages import default_layer, layers_of

CPU = torch.device("cpu")


# --- where cells look


class Chain(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.net = nn.Sequential(*layers)

    def forward(self, x):
        return self.net(x).mean((2, 3)), {"attention": {}}


def conv(kernel, stride=1, padding=0):
    torch.manual_seed(0)
    return nn.Conv2d(1, 4, kernel, stride, padding, padding_mode="zeros")


def test_centres_are_the_middle_of_a_kernel():
    """3x3, stride 2, no padding: cell i sees the pixels 2i .. 2i + 2, whose middle is 2i + 1.5 from the edge."""
    layer = conv(3, 2)
    layer.weight.data = torch.ones_like(layer.weight)
    found = measures.centres(Chain(layer), torch.rand(4, 1, 17, 17), "net.0")
    np.testing.assert_allclose(found.rows, 2 * np.arange(8) + 1.5, atol=1e-6)
    np.testing.assert_allclose(found.columns, found.rows)
    spread = measures.even((8, 8), 17).rows
    assert found.rows[-1] < spread[-1]  # an even spread would have the last cell further right


def test_centres_at_a_padded_edge_lie_further_in():
    layer = conv(3, 1, padding=1)
    layer.weight.data = torch.ones_like(layer.weight)
    rows = measures.centres(Chain(layer), torch.rand(4, 1, 8, 8), layer).rows
    np.testing.assert_allclose(rows, [1, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7], atol=1e-6)


def test_rows_and_columns_may_differ():
    layer = nn.Conv2d(1, 1, (1, 3), stride=(1, 2))
    layer.weight.data = torch.tensor([[[[0.0, 0.0, 1.0]]]])  # reacts to the last of three pixels
    found = measures.centres(Chain(layer), torch.rand(2, 1, 4, 9), "net.0")
    np.testing.assert_allclose(found.rows, [0.5, 1.5, 2.5, 3.5])
    np.testing.assert_allclose(found.columns, [2.5, 4.5, 6.5, 8.5])


def test_cells_without_gradient_stay_and_a_mirror_is_refused():
    class Dead(nn.Module):
        def forward(self, x):
            return torch.cat([x[:, :, :2], 0 * x[:, :, 2:]], 2)

    np.testing.assert_allclose(
        measures.centres(Chain(Dead()), torch.rand(2, 1, 4, 4), "net.0").rows, [0.5, 1.5, 2.5, 3.5]
    )

    class Mirror(nn.Module):
        def forward(self, x):
            return x.flip(2)

    with pytest.raises(FerlibError, match="in their order"):
        measures.centres(Chain(Mirror()), torch.rand(2, 1, 4, 4), "net.0")


def test_stretch():
    maps = np.random.default_rng(0).random((3, 6, 5), np.float32)
    custom = measures.stretch(maps, measures.even((6, 5), 48), 48)
    np.testing.assert_allclose(custom, CamResult(maps).upsampled((48, 48)), atol=1e-6)
    peak = np.zeros((1, 3, 3))
    peak[0, 1, 2] = 1
    at = measures.Centres(np.array([4.5, 10.5, 40.5]), np.array([3.5, 20.5, 30.5]))
    placed = measures.stretch(peak, at, 48)[0]
    assert placed[10, 30] == 1 and placed[10, 47] == 1  # constant beyond the outermost centre
    assert placed[10, 25] == pytest.approx(0.5) and placed[7, 30] == pytest.approx(0.5)
    assert not placed[:5].any() and not placed[41:].any()


# --- regions

MAPS = np.array([[[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]], [[2.0, 2.0], [2.0, 2.0]]])
LEFT = np.array([[True, False], [True, False]])


def test_shares_by_hand():
    np.testing.assert_allclose(measures.shares(MAPS, LEFT), [0.4, np.nan, 0.5])
    own = np.stack([LEFT, LEFT, ~LEFT & [[True, True], [False, False]]])
    np.testing.assert_allclose(measures.shares(MAPS, own), [0.4, np.nan, 0.25])


def test_hits_by_hand():
    np.testing.assert_allclose(measures.hits(MAPS, ~LEFT), [1, np.nan, 0.5])
    np.testing.assert_allclose(measures.hits(MAPS, LEFT), [0, np.nan, 0.5])


def test_zones_do_not_overlap_and_keep_their_area():
    found = measures.zones("ckplus", 48)
    assert list(found) == ["eyes", "nose", "mouth", "brows", "middle"]
    assert sum(found[z].astype(int) for z in ("eyes", "nose", "mouth")).max() == 1
    assert (found["brows"] <= found["eyes"]).all()
    pixels = {name: int(mask.sum()) for name, mask in found.items()}
    assert pixels == {
        "eyes": 34 * 11,
        "nose": 14 * 10,
        "mouth": 23 * 14,
        "brows": 34 * 6,
        "middle": 24 * 24,
    }
    for name, mask in measures.zones("fer2013", 96).items():
        assert mask.mean() == pytest.approx(found[name].mean())
    assert found["eyes"][16, 16] and found["nose"][28, 24] and found["mouth"][39, 24]
    with pytest.raises(FerlibError, match="zones are known for ckplus, fer2013, ferplus only"):
        measures.zones("rafdb", 100)


def test_maps_with_negative_values_are_not_measured():
    """GCCA-VGG returns its edge map and its decoder's prediction beside the weights of reverse attention."""
    net, data = network("gcca_vgg", model=5), load_data("synthetic", n=70)
    pixels = Pixels(data, "test", CPU)
    own = {"own": data.extras["expressive"][data.where("test")]}
    found, maps, _ = measures_run.located(net, pixels, np.arange(len(pixels)), own, {"block4": (6, 6)})
    assert list(found) == ["block4", "A_4", "A_3"] and list(maps) == ["block4"]
    assert found["A_4"]["grid"] == [6, 6] and found["A_4"]["rows"][0] == 4
    for one in found.values():
        for kind in ("share", "even", "hit"):
            values = measures_file.array(one[kind]["own"])
            assert len(values) == len(pixels) and np.nanmin(values) >= 0 and np.nanmax(values) <= 1


def test_cells_that_see_everything_are_spread_evenly(monkeypatch):
    def mirrored(*_):
        raise FerlibError("not in their order")

    net, x = network("se_cnn"), torch.rand(2, 1, 48, 48)
    found = measures_run.places(net, x, "block2", (9, 9), 48)
    assert not np.allclose(found.rows, measures.even((9, 9), 48).rows, atol=0.5)
    monkeypatch.setattr(measures, "centres", mirrored)
    found = measures_run.places(net, x, "block2", (9, 9), 48)
    np.testing.assert_array_equal(found.columns, measures.even((9, 9), 48).columns)


# --- removal


class OnePixel(nn.Module):
    """The first class's logit is 8 times the pixel (1, 2) less 4, the others' are 0."""

    def forward(self, x):
        first = 8 * x[:, 0, 1, 2] - 4
        return torch.stack([first, 0 * first, 0 * first], 1), {"attention": {}}


def pixels():
    data = toy(60)
    images = np.zeros((60, 4, 4), np.uint8)
    images[:, 1, 2] = 255
    return Pixels(replace(data, images=images, labels=0 * data.labels), "test", CPU)


def test_removal_of_the_only_pixel_that_counts():
    data = pixels()
    high, low = (np.exp(z) / (np.exp(z) + 2) for z in (4, -4))
    good = np.zeros((2, 4, 4))
    good[:, 1, 2] = 1
    black = torch.zeros(1, 1, 4, 4)
    found = measures_checks.removal(OnePixel(), data, np.array([0, 3]), good, black, steps=4)
    np.testing.assert_allclose(found.fractions, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(found.deletion, [[high, low, low, low, low]] * 2, rtol=1e-5)
    np.testing.assert_allclose(found.insertion, [[low, high, high, high, high]] * 2, rtol=1e-5)
    np.testing.assert_allclose(found.area("deletion"), low + (high - low) / 8, rtol=1e-5)
    np.testing.assert_allclose(found.area("insertion"), high - (high - low) / 8, rtol=1e-5)
    bad = measures_checks.removal(OnePixel(), data, np.array([0, 3]), -good, black, steps=4)
    np.testing.assert_allclose(bad.deletion, [[high] * 4 + [low]] * 2, rtol=1e-5)


def test_equal_pixels_go_in_an_order_drawn_at_random():
    """From the upper left, the pixel (1, 2) would be the seventh of sixteen to go."""
    steps, black = 16, torch.zeros(1, 1, 4, 4)
    flat = np.ones((1, 4, 4))
    curves = [
        measures_checks.removal(OnePixel(), pixels(), np.array([0]), flat, black, steps=steps).deletion
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*curves)
    rank = np.random.default_rng(0).random((4, 4)).ravel().argsort().argsort()[6]
    assert int((curves[0] > 0.5).sum()) == rank + 1 != 7


def test_mean_face_has_the_size_of_the_network():
    data = toy()
    small = Pixels(data, "test", CPU, 24)
    face = measures_run.mean_face(data.images[data.where("train")], small)
    assert face.shape == (1, 1, 24, 24) and face.min() > 0 and face.max() < 1
    own = measures_run.mean_face(data.images[:2], Pixels(data, "test", CPU))
    np.testing.assert_allclose(own[0, 0].numpy(), data.images[:2].mean(0) / 255, rtol=1e-5)


# --- randomising


def network(name, **options):
    torch.manual_seed(3)
    return build(name, classes=7, **options).eval()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("amdcnn", ["awfm", "mcm", "acm", "dfem4", "dfem3", "dfem2", "dfem1", "sfem"]),
        ("se_cnn", ["classifier", "norm", "fully_connected", "block3", "block2", "block1"]),
        ("msca_resnet", ["classifier", "unit3", "unit2", "unit1", "attention", "conv"]),
    ],
)
def test_parts_from_the_top(name, expected):
    found = measures_checks.parts(network(name), torch.rand(1, 1, 48, 48))
    assert sorted(found) == sorted(expected)
    stages = [part for part in found if part[-1].isdigit()]
    assert stages == [part for part in expected if part[-1].isdigit()]
    assert found.index(expected[0]) < found.index(stages[0]) and found[-1] == expected[-1]


def test_cascade_changes_one_part_at_a_time():
    trained, fresh = network("msca_resnet"), build("msca_resnet", classes=7).eval()
    before = {k: v.clone() for k, v in trained.state_dict().items()}
    names = dict(trained.named_parameters())
    done, x = set(), torch.rand(6, 1, 48, 48)
    for name, net in measures_checks.cascade(trained, fresh, x):
        done.add(name)
        for key, value in net.named_parameters():
            source = fresh if measures_checks.part_of(key.rpartition(".")[0]) in done else trained
            assert torch.equal(value, source.get_parameter(key)), (name, key)
        for (
            key,
            value,
        ) in net.named_buffers():  # statistics too are those of training where nothing is random yet
            if measures_checks.part_of(key.rpartition(".")[0]) not in done:
                assert torch.equal(value, before[key]), (name, key)
    assert done == {measures_checks.part_of(k.rpartition(".")[0]) for k in names}
    assert all(torch.equal(v, before[k]) for k, v in trained.state_dict().items())


def test_recalibrated_statistics_are_those_of_the_images():
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3, momentum=0.3), nn.Dropout(0.9)).eval()
    x = torch.rand(8, 1, 9, 9)
    net[1].running_mean += 5
    measures_checks.recalibrate(net, x, {measures_checks.part_of("1")})
    maps = net[0](x)
    torch.testing.assert_close(net[1].running_mean, maps.mean((0, 2, 3)))
    torch.testing.assert_close(net[1].running_var, maps.var((0, 2, 3)))
    assert net[1].momentum == 0.3 and not any(m.training for m in net.modules())
    measures_checks.recalibrate(net, 2 * x, {"0", "2"})  # not the part that holds the normalisation
    torch.testing.assert_close(net[1].running_mean, maps.mean((0, 2, 3)))


def test_rank_correlation_is_spearmans():
    rng = np.random.default_rng(2)
    first, second = rng.random((4, 5, 5)), rng.integers(0, 4, (4, 5, 5))
    found = measures_checks.rank_correlation(first, second)
    expected = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(found, expected)
    assert np.isnan(measures_checks.rank_correlation(first, np.ones_like(first))).all()
    np.testing.assert_allclose(measures_checks.rank_correlation(first, np.exp(first)), 1)


# --- over images


def test_summary_leaves_out_what_is_missing_and_resamples_people():
    values = np.array([0.2] * 20 + [0.8] * 20 + [np.nan])
    found = measures.summary(values)
    assert (found["n"], found["missing"], found["mean"]) == (40, 1, pytest.approx(0.5))
    people = measures.summary(values, np.array(["a"] * 20 + ["b"] * 21))
    assert people["low"] == pytest.approx(0.2) and people["high"] == pytest.approx(0.8)
    assert 0.2 < found["low"] < 0.45 and 0.55 < found["high"] < 0.8
    assert measures.summary(np.array([np.nan]))["mean"] is None


def test_paired_takes_images_that_both_have():
    a, b = np.array([0.1, 0.2, np.nan, 0.4]), np.array([0.3, np.nan, 0.5, 0.6])
    found = measures.paired(a, b)
    assert found["n"] == 2 and found["mean"] == pytest.approx(0.2)
    with pytest.raises(FerlibError, match="all-zero"):
        measures.paired(np.array([np.nan]), np.array([1.0]))


def test_several_seeds_widen_the_interval_by_their_spread():
    rng = np.random.default_rng(1)
    people = np.repeat(np.arange(20), 5)
    image = rng.normal(0, 0.1, 20)[people]
    alike = [0.3 + image + rng.normal(0, 0.01, 100) for _ in range(3)]
    one = measures.over_seeds(alike[:1], people)
    assert one == pytest.approx({k: measures.summary(alike[0], people)[k] for k in ("mean", "low", "high")})
    same = measures.over_seeds(alike, people)
    assert same["high"] - same["low"] == pytest.approx(one["high"] - one["low"], rel=0.15)
    apart = [values + shift for values, shift in zip(alike, (-0.1, 0, 0.1), strict=True)]
    wide = measures.over_seeds(apart, people)
    assert wide["mean"] == pytest.approx(same["mean"])
    # by hand: standard error of the seeds' means and of the people's, Satterthwaite's degrees of freedom
    means = [values.mean() for values in apart]
    parts = np.var(means, ddof=1) / 3, ((one["high"] - one["low"]) / (2 * 1.96)) ** 2
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / 2 + parts[1] ** 2 / 19)
    half = student.ppf(0.975, freedom) * sum(parts) ** 0.5
    assert (wide["high"] - wide["low"]) / 2 == pytest.approx(half, rel=0.05)
    pair = measures.paired(np.zeros(100), np.stack(apart), people)
    assert (pair["mean"], pair["n"]) == (pytest.approx(wide["mean"]), 100)
    assert pair["low"] == pytest.approx(wide["low"], abs=0.01) and 0 < pair["p"] < 1


def test_seeds_with_all_zero_maps():
    whole, gaps = np.full(6, 0.4), np.array([0.2, np.nan, np.nan, 0.2, 0.2, 0.2])
    assert measures.over_seeds([whole, gaps])["mean"] == pytest.approx((4 * 0.3 + 2 * 0.4) / 6)
    assert measures.paired(np.stack([whole] * 2), np.stack([gaps, gaps]))["n"] == 4
    with pytest.raises(FerlibError, match="a seed has no values"):
        measures.over_seeds([whole, np.full(6, np.nan)])


# --- the file beside a record


def facts(mean, n=30, **layers):
    """Measures of n images of 10 people; Grad-CAM's share in each zone varies around ``mean``."""
    rng = np.random.default_rng(5)
    wave = np.clip(mean + 0.02 * rng.standard_normal(n), 0, 1)

    def one(at, zero=0):
        values = {z: measures_file.numbers(at) for z in ("eyes", "nose", "mouth", "middle")}
        centres = [4.0, 12, 20, 28, 36, 44]
        kinds = {k: dict(values) for k in ("share", "even", "hit")}
        return {"grid": [6, 6], "rows": centres, "columns": centres, "zero": zero, **kinds}

    gap = wave.copy()
    gap[-1] = np.nan
    area = {"map": [0.3, 0.2, 0.4], "random": [0.5, 0.5, 0.6]}
    curve = {"map": [0.9, 0.1], "random": [0.9, 0.1]}
    return {
        "part": "test",
        "target": "true class",
        "head": "score",
        "layer": "unit3",
        "images": {
            "ids": [f"test{i}" for i in range(n)],
            "classes": ["happy"] * n,
            "people": [f"S{i % 10}" for i in range(n)],
            "recognised": [True] * n,
        },
        "areas": {"eyes": 0.16, "nose": 0.06, "mouth": 0.14, "middle": 0.25},
        "layers": {"unit2": one(wave), "unit3": one(gap, zero=1), **layers},
        "removal": {
            "sample": [0, 10, 20],
            "fractions": [0.0, 1.0],
            "deletion": area,
            "insertion": {"map": [0.7, 0.6, 0.6], "random": [0.5, 0.4, 0.6]},
            "curves": {"deletion": curve, "insertion": curve},
        },
        "randomised": {
            "order": ["classifier", "unit3"],
            "parts": {"classifier": [0.9, 0.8, 0.7], "unit3": [0.1, None, -0.1]},
            "zero": {"classifier": 0, "unit3": 1},
            "others": [0.2, 0.1, 0.3],
        },
    }


def kept(folder, identifier, mean, seed=0, profile="reduced"):
    """A record with measures beside it; returns the record."""
    path = record(folder, identifier, seed, dataset="ckplus", profile=profile)
    found = records.read(path)
    found["reproducible"]["data"]["fingerprint"] = "f"
    measures_file.write(folder, found, facts(mean))
    return found


def test_round_trip_and_records_are_not_confused(tmp_path):
    kept(tmp_path, "msca_resnet-ckplus-plain", 0.1)
    path = measures_file.path_of(tmp_path, "msca_resnet-ckplus-plain", 0)
    found = measures_file.read(tmp_path, "msca_resnet-ckplus-plain", 0)
    assert path.name == "measures-seed0.json" and found["layer"] == "unit3"
    assert len(records.load_all(tmp_path, "msca_resnet-ckplus-plain")) == 1
    share = measures_file.array(found["layers"]["unit3"]["share"]["nose"])
    told = found["summary"]["layers"]["unit3"]["share"]["nose"]
    assert np.isnan(share[-1]) and (told["n"], told["missing"]) == (29, 1)
    expected = measures.summary(share, np.array(found["images"]["people"]))
    assert told == {k: round(v, 4) if isinstance(v, float) else v for k, v in expected.items()}
    assert found["summary"]["randomised"]["unit3"]["n"] == 2


def change(path, edit, *, seal=True):
    found = json.loads(path.read_text())
    edit(found)
    if seal:
        found["sha256"] = records.sha256({k: v for k, v in found.items() if k != "sha256"})
    path.write_text(json.dumps(found))


@pytest.mark.parametrize(
    ("edit", "seal", "told"),
    [
        (lambda f: f["layers"]["unit3"].update(zero=0), False, "checksum does not match"),
        (lambda f: f.update(schema=99), True, "not measures of schema"),
        (lambda f: f.pop("removal"), True, "'removal' is missing"),
        (lambda f: f["layers"]["unit2"]["share"]["eyes"].pop(), True, "29 entries for 30 images"),
        (lambda f: f["layers"]["unit2"]["hit"].update(eyes=[2.0] * 30), True, "values outside 0..1"),
        (lambda f: f["layers"]["unit2"].pop("even"), True, "KeyError at 'even'"),
        (lambda f: f.update(layer="unit9"), True, "not among the layers"),
        (lambda f: f.update(record_sha256="0"), True, "belongs to another run"),
    ],
)
def test_a_file_that_is_not_whole_is_refused_in_one_line(tmp_path, edit, seal, told):
    kept(tmp_path, "msca_resnet-ckplus-plain", 0.1)
    path = measures_file.path_of(tmp_path, "msca_resnet-ckplus-plain", 0)
    change(path, edit, seal=seal)
    with pytest.raises(RecordError, match=told) as error:
        measures_file.read(tmp_path, "msca_resnet-ckplus-plain", 0)
    assert "\n" not in str(error.value) and str(path) in str(error.value)
    found, wrong = measures_file.read_all(tmp_path, "msca_resnet-ckplus-plain")
    assert found == [] and len(wrong) == 1


def test_files_that_cannot_be_read_or_written(tmp_path):
    found = kept(tmp_path, "msca_resnet-ckplus-plain", 0.1)
    path = measures_file.path_of(tmp_path, "msca_resnet-ckplus-plain", 0)
    with pytest.raises(RecordError, match="more than 200,000; take fewer images"):
        measures_file.write(tmp_path, found, facts(0.1, n=4000))
    path.write_text("{")
    with pytest.raises(RecordError, match="cannot be read"):
        measures_file.read(tmp_path, "msca_resnet-ckplus-plain", 0)
    path.unlink()
    with pytest.raises(RecordError, match="no such file; `ferlib measure"):
        measures_file.read(tmp_path, "msca_resnet-ckplus-plain", 0)


def test_runs_are_read_again_where_a_file_has_changed(tmp_path):
    kept(tmp_path, "amdcnn-ckplus-cbam", 0.2)
    first = measures_tables.runs_of(tmp_path, "amdcnn-ckplus-cbam")
    assert measures_tables.runs_of(tmp_path, "amdcnn-ckplus-cbam")[0] is first[0]
    kept(tmp_path, "amdcnn-ckplus-cbam", 0.3)
    kept(tmp_path, "amdcnn-ckplus-cbam", 0.1, seed=1)
    again = measures_tables.runs_of(tmp_path, "amdcnn-ckplus-cbam")
    assert sorted(again) == [0, 1] and again[0].found["summary"] != first[0].found["summary"]
    measures_file.path_of(tmp_path, "amdcnn-ckplus-cbam", 1).unlink()
    assert sorted(measures_tables.runs_of(tmp_path, "amdcnn-ckplus-cbam")) == [0]


# --- tables and verdicts

UP, DOWN, WIDE = ({"low": a, "high": b} for a, b in ((0.1, 0.2), (-0.2, -0.1), (-0.1, 0.1)))


@pytest.mark.parametrize(
    ("test", "seeds", "profiles", "others", "expected"),
    [
        (None, 0, [], [], "not measured"),
        (UP, 1, ["full"], [], "provisional: holds"),
        (UP, 2, ["full"] * 4, [], "provisional: holds"),
        (UP, 3, ["full"] * 6, [], "holds"),
        (UP, 3, ["full"] * 5 + ["reduced"], [], "provisional: holds"),
        (DOWN, 3, ["full"] * 6, [], "opposite"),
        (WIDE, 3, ["full"] * 6, [], "not shown"),
        (DOWN, 3, ["full"] * 6, [WIDE, DOWN], "opposite"),
        (DOWN, 3, ["full"] * 6, [WIDE, UP], "not shown"),
        (UP, 1, ["full"], [DOWN], "provisional: not shown"),
    ],
)
def test_verdicts(test, seeds, profiles, others, expected):
    found = test and {**test, "by_seed": dict.fromkeys(range(seeds), 0.1)}
    layers = dict(enumerate([found, *others])) if found else {}
    assert measures_verdicts.verdict(found, profiles, layers) == expected


def test_claims_without_measures(tmp_path):
    frame = measures_verdicts.claims(tmp_path)
    assert len(frame) == len(measures_claims.CLAIMS) and set(frame["verdict"]) == {"not measured"}
    assert measures_verdicts.choices(tmp_path, measures_claims.CLAIMS[0]).empty
    for make in (measures_tables.overview, measures_tables.removal, measures_tables.randomised):
        assert make(tmp_path, ["amdcnn-ckplus-cbam"]).empty
    assert measures_tables.mean_faces(tmp_path) == {}


def test_every_paper_has_its_sentences():
    """Each of the five papers speaks of its attention; each sentence has a test or a reason why it has none."""
    frame = measures_verdicts.statements()
    assert set(frame["paper"]) == {"AMDCNN", "GCCA-VGG16", "A-MobileNet", "SE-CNN", "MSCA-ResNet"}
    texts = {(c.paper, c.text, c.where) for c in measures_claims.CLAIMS}
    assert len(frame) == len(texts) + len(measures_claims.UNTESTED)
    assert all(one.reason for one in measures_claims.UNTESTED)
    reasons = frame["tested as"].str.startswith("not: ")
    assert reasons.sum() == len(measures_claims.UNTESTED)
    assert frame["tested as"][~reasons].str.contains(" → ").all()


def test_every_claim_names_rows_and_zones():
    for claim in measures_claims.CLAIMS:
        first, second = get(claim.first), get(claim.second)
        assert first.dataset == second.dataset in measures.ALIGNED and claim.paper == second.paper
        assert set(claim.zones) <= {*measures.ZONES, "middle"} and first.id != second.id
        assert not {"eyes", "brows"} <= set(claim.zones)  # zones of a sum do not overlap
        for row in (first, second):
            if claim.layer:
                net = build(row.model, classes=7, size=row.size, **{**row.variant, "pretrained": False})
                assert min(layers_of(net, row.size)[claim.layer]) >= COARSEST


def test_claims_from_measures(tmp_path):
    kept(tmp_path, "amdcnn-ckplus-baseline", 0.2)
    kept(tmp_path, "amdcnn-ckplus-cbam", 0.15)
    kept(tmp_path, "amdcnn-ckplus-mcbam", 0.18)
    kept(tmp_path, "amdcnn-ckplus-mcbam", 0.18, seed=1)  # no partner
    frame = measures_verdicts.claims(tmp_path, "amdcnn")
    assert frame["verdict"].tolist() == ["provisional: opposite"] * 3 + ["provisional: holds"]
    assert frame["by seed (points)"].tolist() == ["-5.0", "-2.0", "-15.0", "+9.0"]
    assert frame["difference (points)"][0].startswith("-5.0 [")
    assert frame["difference (points)"][3].startswith("+9.0 [")  # three zones, 3 points each
    assert frame["share in (%)"][3] == "eyes + nose + mouth (area 36.0)"
    other = measures_verdicts.choices(tmp_path, measures_claims.CLAIMS[3])
    assert other["map of"].tolist() == ["unit3", "unit2"]
    assert other["maximum inside"][1].startswith("+9.0 [")
    ways = measures_verdicts.chosen_otherwise(tmp_path, measures_claims.CLAIMS[3])
    assert len(ways) == 6 and ways["unit3", "share"]["mean"] == pytest.approx(0.09, abs=1e-3)
    table = measures_tables.overview(tmp_path, ["amdcnn-ckplus-cbam", "amdcnn-ckplus-mcbam"])
    assert table["network"].tolist()[0] == "an even map" and len(table) == 4  # two seeds have no joint line
    assert table["network"].tolist()[3] == "AMDCNN: baseline+MCBAM, CK+48, seed 1 *"
    assert table["images"].tolist() == ["–", "30", "30", "30"]
    assert table["eyes (%)"].tolist()[0] == "16.0"
    removed = measures_tables.removal(tmp_path, ["amdcnn-ckplus-cbam"])
    assert removed["deletion: map, random"][0] == "0.30, 0.53"
    assert removed["insertion: difference"][0].startswith("+0.13 [")
    placed = measures_tables.placing(tmp_path, ["amdcnn-ckplus-cbam"])
    assert placed["first (px)"].tolist() == ["+0.0"]


def test_before_and_after_are_of_the_same_images(tmp_path):
    """Image 0 has no map with CBAM: neither network's mean counts it, so that the difference is that of the means."""
    for name, level in (("baseline", 0.2), ("cbam", 0.3)):
        kept(tmp_path, f"amdcnn-ckplus-{name}", level)
    runs = [measures_tables.runs_of(tmp_path, f"amdcnn-ckplus-{name}") for name in ("baseline", "cbam")]
    runs[0][0].found["layers"]["unit3"]["share"]["nose"][1] = 0.9  # has a map in both
    second = runs[1][0].found["layers"]["unit3"]["share"]
    second["nose"][2] = None
    runs[0][0].found["layers"]["unit3"]["share"]["nose"][2] = 5.0  # counts nowhere
    test = measures_verdicts.compare(*runs, ["nose"])
    assert test["after"] - test["before"] == pytest.approx(test["mean"]) == pytest.approx(test["by_seed"][0])
    assert test["before"] < 0.3


def test_a_verdict_that_the_correction_takes_away_says_so(tmp_path, monkeypatch):
    kept(tmp_path, "amdcnn-ckplus-baseline", 0.2)
    kept(tmp_path, "amdcnn-ckplus-cbam", 0.15)
    for p, ending in ((0.06, ", not after Holm"), (0.04, "")):
        monkeypatch.setattr(measures_verdicts, "holm", lambda values, p=p: [p] * len(values))
        told = measures_verdicts.claims(tmp_path, "amdcnn")["verdict"].tolist()
        middle, _, face, _ = told  # the claims on MCBAM have no run
        assert {middle, face} == {f"provisional: opposite{ending}"} and told[1] == told[3] == "not measured"


def test_what_other_layers_and_measures_make_of_a_claim(tmp_path):
    """CBAM has less in both layers and by all three measures: six differences, none of them up."""
    assert measures_verdicts.otherwise(tmp_path).empty
    kept(tmp_path, "amdcnn-ckplus-baseline", 0.2)
    kept(tmp_path, "amdcnn-ckplus-cbam", 0.15)
    frame = measures_verdicts.otherwise(tmp_path)
    assert frame[["clear", "more"]].to_numpy().tolist() == [[6, 0]] * 2
    assert frame["even cells"][0].startswith("-5.0 [")
    assert measures_verdicts.divided(frame).startswith("Of 2 comparisons of 2 sentences, none have clear")
    frame.loc[0, "more"] = 1
    assert measures_verdicts.divided(frame).startswith("Of 2 comparisons of 2 sentences, 1 has clear")


def test_two_comparisons_of_one_sentence_are_one_sentence(tmp_path):
    for name in ("mobilenet_v1", "no_attention", "a_mobilenet"):
        kept(tmp_path, f"a_mobilenet-ckplus-{name}-scratch48", 0.2)
    frame = measures_verdicts.otherwise(tmp_path)
    assert measures_verdicts.divided(frame).startswith("Of 2 comparisons of 1 sentence, ")


def test_other_layers_that_are_clear_and_as_the_paper_says(tmp_path, monkeypatch):
    claim = measures_claims.CLAIMS[0]
    assert measures_verdicts.elsewhere(tmp_path, claim) == {} == measures_verdicts.by_layer(tmp_path, claim)
    found = {
        ("dfem3", "share"): UP,  # the claim's own
        ("dfem3", "hit"): UP,
        ("dfem1", "share"): UP,
        ("dfem2", "share"): DOWN,
        ("dfem2", "hit"): UP,
        ("dfem4", "share"): WIDE,
        ("dfem1.spatial_attention", "share"): UP,
    }
    layers = dict.fromkeys(layer for layer, _ in found)
    run = SimpleNamespace(found={"layers": layers, "layer": "dfem3"})
    asked = []

    def compare(_first, _second, _zones, layer, kind):
        asked.append((layer, kind))
        return found.get((layer, kind))

    monkeypatch.setattr(measures_verdicts, "common", lambda *_: {0: (run, run)})
    monkeypatch.setattr(measures_verdicts, "compare", compare)
    assert measures_verdicts.elsewhere(tmp_path, claim) == {"dfem1": UP}
    assert asked == [(f"dfem{k}", "share") for k in (3, 1, 2, 4)]  # nothing else takes time
    by_layer = measures_verdicts.by_layer(tmp_path, claim)
    assert list(by_layer) == ["dfem3", "dfem1", "dfem2", "dfem4"] and measures_verdicts.disagree(by_layer)
    assert set(measures_verdicts.chosen_otherwise(tmp_path, claim)) == set(found)


def test_two_seeds_have_their_values_and_no_interval(tmp_path):
    for seed, level in enumerate((0.3, 0.4)):
        kept(tmp_path, "amdcnn-ckplus-baseline", 0.2, seed=seed, profile="full")
        kept(tmp_path, "amdcnn-ckplus-cbam", level, seed=seed, profile="full")
    claim = measures_verdicts.claims(tmp_path, "amdcnn").iloc[0]
    assert claim["difference (points)"] == "+15.0" and claim["by seed (points)"] == "+10.0; +20.0"
    assert claim["verdict"].startswith("provisional: ")
    assert measures_verdicts.otherwise(tmp_path)["share"][0] == "+10.0; +20.0"
    shown = measures_verdicts.choices(tmp_path, measures_claims.CLAIMS[0])
    assert not shown.apply(lambda column: column.str.contains("[", regex=False)).to_numpy().any()
    for make in (measures_tables.overview, measures_tables.removal, measures_tables.randomised):
        names = make(tmp_path, ["amdcnn-ckplus-cbam"])["network"].tolist()
        assert names[-2:] == [f"AMDCNN: baseline+CBAM, CK+48, seed {k}" for k in (0, 1)]


def test_layers_in_words(tmp_path):
    """Cells of two runs of a layer that are put differently are both told; the file's names are not AMDCNN's here."""
    for name in ("plain", "se"):
        kept(tmp_path, f"msca_resnet-ckplus-{name}", 0.2)
    frame = measures_tables.layers(
        tmp_path, ["msca_resnet-ckplus-plain", "msca_resnet-ckplus-se"], ("unit2",)
    )
    assert frame.to_numpy().tolist() == [
        ["MSCA-ResNet", layer, f"{number} residual unit", "6×6", "evenly spread"]
        for layer, number in (("unit3", "third"), ("unit2", "second"))
    ]
    moved = {"grid": [6, 6], "rows": [5.0, 12, 20, 28, 36, 44], "columns": [4.0, 12, 20, 28, 36, 44]}
    assert not measures_tables.evenly(moved, 48)
    assert measures_tables.layers(tmp_path, ["amdcnn-ckplus-cbam"]).empty


def test_every_layer_that_is_shown_has_words():
    for name in {name for claim in measures_claims.CLAIMS for name in (claim.first, claim.second)}:
        row = get(name)
        layer = default_layer(build(row.model, classes=7, size=row.size, **row.variant), row.size)
        said = measures_tables.stage(row.model, layer)
        assert len(said) > 3 and "{" not in said
    assert measures_tables.stage("amdcnn", "dfem3") == "third deep module (DFEM)"
    assert measures_tables.stage("mobilenet_v1", "block11") == "11th depthwise separable convolution"
    assert measures_tables.stage("a model without words", "dfem3") == "–"


def test_three_seeds_make_one_interval_and_a_verdict(tmp_path):
    for seed, shift in enumerate((0.0, 0.01, -0.01)):
        kept(tmp_path, "amdcnn-ckplus-baseline", 0.2, seed=seed, profile="full")
        kept(tmp_path, "amdcnn-ckplus-cbam", 0.3 + shift, seed=seed, profile="full")
        kept(tmp_path, "amdcnn-ckplus-mcbam", 0.3 + 12 * shift, seed=seed, profile="full")
    frame = measures_verdicts.claims(tmp_path, "amdcnn")
    assert frame["verdict"].tolist() == ["holds", "not shown", "holds", "not shown"]
    assert frame["by seed (points)"][0] == "+10.0; +11.0; +9.0"
    low, high = json.loads(frame["difference (points)"][0].partition(" ")[2].replace("+", ""))
    half = 100 * student.ppf(0.975, 2) * 0.01 / 3**0.5  # nothing but the seeds differs: 2.5 points
    assert (low, high) == (pytest.approx(10 - half, abs=0.2), pytest.approx(10 + half, abs=0.2))
    table = measures_tables.overview(tmp_path, ["amdcnn-ckplus-cbam"])
    assert table["network"].tolist()[-1] == "AMDCNN: baseline+CBAM, CK+48, 3 seeds"
    cells = [cell.partition(" ") for cell in table["nose (%)"].tolist()[1:]]
    one, *_, together = [high - low for low, high in (json.loads(bounds) for _, _, bounds in cells)]
    assert float(cells[-1][0]) == pytest.approx(30, abs=0.6) and together > 2 * one
    for make in (measures_tables.removal, measures_tables.randomised):
        names = make(tmp_path, ["amdcnn-ckplus-cbam"])["network"].tolist()
        assert names[-1] == "AMDCNN: baseline+CBAM, CK+48, 3 seeds"
    tests = measures_tables.removal_tests(tmp_path, ["amdcnn-ckplus-cbam"])
    assert [t["deletion"]["seeds"] for t in tests.values()] == [1, 1, 1, 3]
    shown = measures_tables.rounded(measures_tables.randomised(tmp_path, ["amdcnn-ckplus-cbam"]))
    assert (
        shown["all random"][0].startswith("0.00 [")
        and shown["first part that changes the map"][0] == "classifier"
    )


def test_seeds_on_other_images_are_not_put_together(tmp_path):
    for seed, n in ((0, 30), (1, 24)):
        path = record(tmp_path, "amdcnn-ckplus-cbam", seed, dataset="ckplus", profile="full")
        found = records.read(path)
        found["reproducible"]["data"]["fingerprint"] = "f"
        measures_file.write(tmp_path, found, facts(0.2, n))
    names = measures_tables.overview(tmp_path, ["amdcnn-ckplus-cbam"])["network"].tolist()
    assert names[1:] == [f"AMDCNN: baseline+CBAM, CK+48, seed {k}" for k in (0, 1)]
    runs = measures_tables.runs_of(tmp_path, "amdcnn-ckplus-cbam")
    assert list(measures_verdicts.common(runs, runs)) == [0]


def test_known_regions_over_seeds():
    one = {"unit1": {"zero": 1, "share": {"own": [0.5, None, 0.3]}, "hit": {"own": [1.0, None, 0.0]}}}
    two = {"unit1": {"zero": 0, "share": {"own": [0.7, 0.6, 0.5]}, "hit": {"own": [1.0, 1.0, 0.0]}}}
    frame = measures_tables.known({"trained": [one, two], "random": [two]}, np.array([0.1, 0.2, 0.3]))
    assert frame["seeds"].tolist() == ["–", 2, 1] and frame["maps all zero"].tolist() == ["–", 1, 0]
    assert frame["share in the known regions (%)"][0] == "20.0"  # of an even map: the area
    assert frame["share in the known regions (%)"][1] == "40.0; 60.0"
    three = measures_tables.known({"trained": [one, two, two]}, np.array([0.1, 0.2, 0.3]))
    assert three["share in the known regions (%)"][1].startswith("55.6 [")
    assert frame["maximum inside (%)"].tolist() == ["–", "60", "67"]
    assert "seeds" not in measures_tables.known({"a": [one], "b": [two]}, np.array([0.1, 0.2, 0.3]))


def test_figures(tmp_path):
    kept(tmp_path, "amdcnn-ckplus-cbam", 0.15)
    runs = {"+CBAM": measures_tables.runs_of(tmp_path, "amdcnn-ckplus-cbam")[0]}
    kept(tmp_path, "amdcnn-ckplus-cbam", 0.3, seed=1)
    kept(tmp_path, "amdcnn-ckplus-cbam", 0.3, seed=2)
    groups = dict(measures_tables.lines_of(tmp_path, ["amdcnn-ckplus-cbam"]))
    figure = measures_figures.shares(groups)
    assert [ax.get_title() for ax in figure.axes] == ["eyes", "nose", "mouth", "middle"]
    first, second, third, all_three = (bars.lines[0].get_xdata()[0] for bars in figure.axes[1].containers)
    assert all_three == pytest.approx((first + second + third) / 3) and second - first == pytest.approx(
        15, abs=1
    )
    figure = measures_figures.removal(runs)
    drawn = [line.get_xdata().tolist() for line in figure.axes[0].lines]
    by_map, by_chance = 0.3, 8 / 15  # of the areas in `facts`
    assert drawn == [pytest.approx(x) for x in ([by_chance, by_map], [by_chance], [by_map])]
    figure = measures_figures.randomised(runs)
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["classifier", "unit3"]
    for seed in ("seed 0", "3 seeds *"):
        lines = measures_figures.wrapped(f"AMDCNN: baseline+MCBAM, CK+48, {seed}", 36).splitlines()
        assert lines == ["AMDCNN: baseline+MCBAM, CK+48,", seed]
    faces = measures_figures.zones({"mean": np.random.default_rng(0).random((48, 48))})
    assert len(faces.axes[0].patches) == 5  # three zones, and the middle with a dark line under a white one
    images, masks = np.zeros((2, 8, 8), np.uint8), np.zeros((2, 8, 8), bool)
    masks[0, 2:4, 2:4] = True
    assert len(measures_figures.regions(images, masks, np.ones((2, 8, 8)), ["a", "b"]).axes) == 2


# --- the command

ROW = replace(quick(get("msca_resnet-ckplus-plain")), epochs=1, dataset_options={"n": 210, "difficulty": 0.3})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    train.run(ROW, 0, settings(folder))
    return folder


@pytest.fixture
def zoned(monkeypatch):
    """Synthetic faces fill the frame much as aligned ones do."""
    monkeypatch.setattr(measures, "ALIGNED", ("synthetic",))


def command(folder, *more):
    words = ["--results", str(folder / "results"), "--runs", str(folder / "runs"), "--device", "cpu"]
    return [ROW.id, *words, *more]


def test_command_line(trained, zoned, capsys):
    assert measures_run.main(command(trained, "--json", "--images", "6")) == 0
    told = json.loads(capsys.readouterr().out)
    path = measures_file.path_of(trained / "results", ROW.id, 0)
    assert told["measures"] == str(path) and told["layer"] == "unit3"
    found = measures_file.read(trained / "results", ROW.id, 0)
    assert list(found["layers"]) == ["unit1", "unit2", "unit3"] and len(found["images"]["ids"]) == 6
    one = found["layers"]["unit3"]["share"]
    assert list(one) == ["brows", "eyes", "middle", "mouth", "nose"] and found["areas"]["brows"] > 0.05
    assert all(a <= b for a, b in zip(one["brows"], one["eyes"], strict=True))
    assert len(found["randomised"]["others"]) == 6 and found["randomised"]["order"][0] == "classifier"
    curves = found["removal"]["curves"]["deletion"]
    assert curves["map"][0] == curves["random"][0] and curves["map"][-1] == curves["random"][-1]
    first = path.read_bytes()
    assert measures_run.main(command(trained, "--seed", "0", "--images", "6")) == 0
    assert "6 images, unit3: brows " in capsys.readouterr().out
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["--seed", "-1"], 2, "must not be negative"),
        (["--images", "0"], 2, "--images must be at least 1"),
        (["--seed", "5"], 1, "no such record"),
        (["--runs", "nowhere"], 1, "no such weights"),
        ([], 1, "synthetic: zones are known for"),
    ],
)
def test_mistakes_are_one_line(trained, capsys, words, status, told):
    assert measures_run.main(command(trained, *words)) == status
    error = capsys.readouterr().err
    assert told in error and error.startswith("ferlib: ") and error.count("\n") == 1


def test_experiments_without_records(tmp_path, capsys):
    assert measures_run.main(["se_cnn-se", "--results", str(tmp_path)]) == 1
    assert "run the experiment first" in capsys.readouterr().err


def test_a_sample_is_spread_evenly():
    assert measures_run.spread(5, 9).tolist() == [0, 1, 2, 3, 4]
    assert measures_run.spread(101, 3).tolist() == [0, 50, 100]
