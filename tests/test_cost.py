"""The cost model: images per epoch, rates from what was measured, and the arithmetic between them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from ferlib import cost, records
from ferlib.cost import Rate
from ferlib.data import DataError, ckplus, load, splits
from ferlib.experiments import EXPERIMENTS, get, quick
from ferlib.models import MODELS, build, count_multiply_adds

ROW = replace(get("se_cnn-plain"), epochs=10, dataset="synthetic", dataset_options={"n": 700})
HERE = ("cpu", "This CPU", 2)


def on(dataset, balance=None, **options):
    return replace(ROW, dataset=dataset, dataset_options=options, balance=balance or {})


def rate(train=100.0, infer=300.0, *, model="se_cnn", variant=ROW.variant, device="This CPU", **more):
    given = {"kind": "cpu", "threads": 2, "source": "a test", **more}
    return Rate(model=model, variant=variant, train=train, infer=infer, device=device, **given)


@pytest.fixture
def measured(monkeypatch):
    """Let the cost model know these rates and no others, on a machine named ``HERE``."""

    def know(*found):
        monkeypatch.setattr(cost, "rates", lambda results=None: found)
        monkeypatch.setattr(
            cost,
            "here",
            lambda device, threads: (device, *HERE[1:]) if device == "cpu" else (device, None, 2),
        )

    return know


# ---- images -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "train", "val", "test"),
    [
        (on("fer2013", protocol="official"), 28_709, 3_589, 3_589),
        (on("fer2013", protocol="merged", split_seed=1), 25_838, 2_871, 7_178),
        (on("ferplus"), 25_060, 3_199, 3_153),
        (on("ferplus", classes=7), 24_941, 3_186, 3_137),
        (on("ferplus", rule="argmax"), 28_389, 3_553, 3_546),
        (on("rafdb"), 11_043, 1_228, 3_068),
        (on("ckplus"), 705, 79, 197),
        (on("synthetic", n=700), 560, 70, 70),
        (on("fer2013", subset=3600), 2_400, 600, 600),
        (on("fer2013", {"expand_to": "max"}), 7 * 7_215, 3_589, 3_589),
        # fear, sad, ... and every other class above 4,000 stay, angry, disgust, surprise are filled up
        (on("fer2013", {"expand_to": 4000}), 3 * 4000 + 4097 + 7215 + 4830 + 4965, 3_589, 3_589),
        (on("fer2013", {"weights": "balanced"}), 28_709, 3_589, 3_589),
        (on("fer2013", train_images=9570), 9_570, 3_589, 3_589),
        (on("ckplus", train_images=9570), 705, 79, 197),  # more than there are
    ],
)
def test_images_of_an_epoch(row, train, val, test):
    assert cost.images(row) == {"train": train, "val": val, "test": test}


@pytest.mark.parametrize("row", [on("fer2013", crop=True), on("affectnet"), on("ckplus", protocol="usage")])
def test_images_are_unknown_rather_than_guessed(row):
    assert cost.images(row) is None


def test_tenths_are_those_of_the_splits():
    labels = np.repeat(np.arange(7), [ckplus.SEQUENCES[c] * 3 for c in ckplus.CLASSES])
    split = np.where(splits.portion(labels, 0.2, 0, "test"), "test", "train")
    split = splits.with_validation(split, labels, 0)
    assert cost.images(on("ckplus")) == {s: int((split == s).sum()) for s in ("train", "val", "test")}


def test_synthetic_shares_are_those_of_the_loader():
    found = load("synthetic", n=210).counts()
    expected = cost.images(on("synthetic", n=210))
    assert expected == {split: sum(each.values()) for split, each in found.items()}


@pytest.mark.parametrize("row", EXPERIMENTS.values(), ids=list(EXPERIMENTS))
def test_every_experiment_has_known_images(row):
    assert cost.images(row) is not None
    n = quick(row).dataset_options["n"]
    assert cost.images(quick(row)) == {"train": 0.8 * n, "val": 0.1 * n, "test": 0.1 * n}


@pytest.mark.parametrize("rule", ["majority", "argmax", "distribution"])
@pytest.mark.parametrize("classes", [7, 8])
def test_ferplus_counts_on_the_real_votes(real_data, rule, classes):
    try:
        found = load("ferplus", real_data, rule=rule, classes=classes).counts()
    except DataError as error:
        pytest.skip(str(error))
    expected = {split: list(each) for split, each in cost.ferplus_counts(rule, classes).items()}
    assert expected == {split: list(each.values()) for split, each in found.items()}


# ---- seconds ------------------------------------------------------------------------------------------------


def test_seconds_by_hand(measured):
    measured(rate(train=100, infer=280))
    # 560 / 100 + (70 + 70) / 280 = 6.1 s an epoch, ten of them, and 560 / 280 at the end
    assert cost.seconds(ROW) == pytest.approx(63)
    assert cost.estimate(ROW).source == "a test"
    assert cost.seconds(replace(ROW, early_stopping=None)) == pytest.approx(63)  # an upper bound


def test_a_rate_of_other_threads_is_named(measured):
    measured(rate(threads=4), rate(threads=2))
    assert cost.estimate(ROW).threads == 2
    measured(rate(threads=4))
    found = cost.estimate(ROW)  # on two threads, which nothing was measured with
    assert found.threads == 4 and found.seconds == pytest.approx(10 * (560 / 100 + 140 / 300) + 560 / 300)


def test_quick_profile_is_the_quick_row(measured):
    measured(rate(train=100, infer=100))
    row = quick(ROW)
    n = row.dataset_options["n"]  # each epoch sees all of them once, the end those to train on
    assert cost.seconds(ROW, profile="quick") == pytest.approx(row.epochs * n / 100 + 0.8 * n / 100)


def test_other_variants_scale_with_their_multiply_adds(measured):
    measured(rate(train=100, infer=280))
    same = replace(ROW, variant={"se": "none", "padding": "same"})
    counts = [
        count_multiply_adds(build("se_cnn", classes=7, se="none", padding=p)) for p in ("valid", "same")
    ]
    assert counts[1] > 2 * counts[0]
    assert cost.seconds(same) == pytest.approx(63 * counts[1] / counts[0])


def test_unmeasured_model_runs_at_the_median_of_the_others(measured):
    # 600e6 multiply-adds a second in training forward passes: that many images of one multiply-add
    measured(rate(train=2e8, infer=6e8, model=None, variant={}, size=0))
    adds = cost.multiply_adds("se_cnn", ROW.variant, 1, 48)
    assert cost.seconds(ROW) == pytest.approx((10 * (560 / 2e8 + 140 / 6e8) + 560 / 6e8) * adds)


def test_nothing_measured_is_none(measured):
    measured(rate(model="amdcnn"))
    assert cost.seconds(ROW) is None  # only another model, and no median
    measured(rate())
    assert cost.seconds(ROW, device="cuda") is None
    assert cost.seconds(on("affectnet")) is None


def test_nearest_prefers_device_then_threads_then_a_snapshot_of_the_network():
    def best(*found):
        return cost.nearest(ROW, found, *HERE).source

    median = rate(source="median", model=None, size=0)
    other_machine = rate(source="other machine", device="Other CPU")
    one_thread = rate(source="one thread", threads=1, experiment=ROW.id)
    other_variant = rate(source="other variant", variant={"se": "pool"}, experiment="se_cnn-se")
    bench = rate(source="bench")
    record = rate(source="record", experiment="se_cnn-plain-merged")
    own = rate(source="own", experiment=ROW.id)
    ranked = [bench, own, record, other_variant, one_thread, other_machine, median]
    for k, first in enumerate(ranked):
        assert best(*reversed(ranked[k:])) == first.source
    assert cost.nearest(ROW, [rate(kind="cuda")], *HERE) is None


def test_defaults_that_are_written_out_are_the_same_network():
    """A bench names what differs from the class, a row everything."""
    row = get("amdcnn-ckplus-acs3")
    assert row.variant["attention"] == "mcbam" and cost.defaults("amdcnn")["attention"] == "mcbam"
    assert rate(model="amdcnn", variant={}).same_network(row)
    assert not rate(model="amdcnn", variant={"auxiliary": 0}).same_network(row)
    assert not rate(model="amdcnn", variant={}, size=100).same_network(row)


def test_an_epoch_that_was_held_up_is_told_from_a_slow_one():
    assert cost.held_up([2.0, 2.0, 3.0, 2.0, 20.0]) == (0, 0.0)  # ten times the median is not more than that
    assert cost.held_up([2.0, 2.0, 3.0, 102.0, 2.0]) == (1, 100.0)
    assert cost.held_up([5.0]) == (0, 0.0)


def test_threads_do_not_matter_on_a_gpu():
    gpu = ("cuda", "Some GPU", 16)
    found = [
        rate(source=f"{n}", kind="cuda", device="Some GPU", threads=n, variant=v)
        for n, v in ((8, ROW.variant), (16, {}))
    ]
    assert cost.nearest(ROW, found, *gpu).source == "8"


# ---- rates --------------------------------------------------------------------------------------------------


def record(epochs=10, wall=320.0, **run):
    counts = {"train": {"a": 600, "b": 400}, "val": {"a": 100}, "test": {"a": 100}}
    part = {
        "experiment": get("se_cnn-plain").to_dict(),
        "environment": {"kind": "cpu", "device": "This CPU", "threads": 2},
        "epochs_run": epochs,
        "data": {"counts": counts, "classes": ["a", "b"]},
    }
    given = {"wall_seconds": wall, "images_per_second": 1000 * epochs / wall, **run}
    return {"reproducible": part, "run": given}


def test_rate_of_a_record_by_hand():
    # an epoch is 3 x 1,000 + 200 passes in 32 s: 100 a second
    found = cost.record_rate(record(), "here")
    assert (found.train, found.infer) == pytest.approx((100 / 3, 100))
    assert found.experiment == "se_cnn-plain" and found.same_network(get("se_cnn-plain"))


def test_a_record_predicts_itself():
    """10 epochs of what it trained and evaluated take what they took."""
    found = cost.record_rate(record(), "here")
    assert 10 * (1000 / found.train + 200 / found.infer) == pytest.approx(320)


def test_copies_that_balance_an_epoch_count_as_trained_images():
    found = cost.record_rate(record(images_per_second=2000 * 10 / 320.0), "here")
    assert found.infer == pytest.approx((3 * 2000 + 200) / 32)


def test_record_without_a_rate_gives_none():
    assert cost.record_rate(record(images_per_second=None), "here") is None


def snapshot():
    machine = {"kind": "cuda", "device": "Some GPU", "threads": 16}
    rows = [
        {
            "name": n,
            "model": n,
            "task": t,
            "variant": {},
            "channels": 1,
            "size": 48,
            "images_per_second": r,
            "flops": f,
        }
        for n, t, r, f in (
            ("se_cnn", "train", 1000.0, 6e12),
            ("se_cnn", "infer", 4000.0, 8e12),
            ("amdcnn", "train", 500.0, 3e12),
            ("gcca_vgg", "train", 50.0, 12e12),
        )
    ]
    return {"machine": machine, "models": rows}


def test_rates_of_a_snapshot_by_hand():
    found = {r.model: r for r in cost.snapshot_rates(snapshot())}
    assert set(found) == {"se_cnn", "amdcnn", "gcca_vgg", None}
    assert (found["se_cnn"].train, found["se_cnn"].infer) == (1000, 4000)
    assert (found["amdcnn"].train, found["amdcnn"].infer) == (500, 1500)  # inference was not measured
    # median 6e12 operations are 3e12 multiply-adds a second, a third of that in training images
    assert (found[None].train, found[None].infer) == (1e12, 4e12)
    assert all(r.kind == "cuda" and r.device == "Some GPU" for r in found.values())


def test_committed_evidence_gives_rates():
    found = cost.rates()
    assert len(found) >= len(records.committed())
    assert cost.seconds(get("se_cnn-plain"), device="cpu") > 0


def test_snapshots_alone_can_be_asked_for(measured):
    measured(rate(train=1, infer=1, experiment=ROW.id), rate(train=100, infer=280))
    assert cost.seconds(ROW, from_records=False) == pytest.approx(63)


@pytest.mark.parametrize("name", ["se_cnn", "amdcnn", "mobilenet_v3_small"])
def test_multiply_adds_need_no_weights(name):
    if name not in MODELS:
        pytest.skip("not in this version")
    expected = count_multiply_adds(build(name, classes=7, channels=1, size=48), channels=1, size=48)
    assert cost.multiply_adds(name, {}, 1, 48) == expected > 0


# ---- tables -------------------------------------------------------------------------------------------------


def test_table_sums_seeds_of_known_rows(measured):
    measured(rate(train=100, infer=280))
    rows = [replace(ROW, seeds=(0, 1)), replace(ROW, id="x", seeds=(0,)), on("affectnet")]
    found = cost.table(rows)
    assert found["seconds"] == pytest.approx(3 * 63) and found["runs"] == 2 + 1 + len(ROW.seeds)
    assert found["unknown"] == [ROW.id] and found["rows"][2]["seconds"] is None
    assert found["rows"][0]["seconds_per_seed"] == pytest.approx(63)
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "unknown"),
        (0.4, "0 s"),
        (45, "45 s"),
        (59.6, "1 min"),
        (170, "3 min"),
        (3599, "1 h"),
        (7500, "2 h 5 min"),
        (47 * 3600, "47 h"),
        (76 * 3600, "3 d 4 h"),
        (72 * 3600, "3 d"),
    ],
)
def test_human(seconds, text):
    assert cost.human(seconds) == text
