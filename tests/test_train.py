"""Training: determinism, resumption, labels of evidence, refusal of what would go wrong."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from recorded import record
from toy import ROW, settings, toy

from ferlib import checkpoint, device, engine, outcome, records, train
from ferlib.data import ckplus
from ferlib.data.dataset import FaceDataset
from ferlib.errors import FerlibError, RecordError
from ferlib.experiments import EXPERIMENTS, get
from ferlib.interrupt import Interrupted, Stop
from ferlib.pixels import Pixels, fewer


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return train.run(ROW, 0, settings(tmp_path_factory.mktemp("one")), data=toy())


def test_same_seed_same_record(finished, tmp_path):
    again = train.run(ROW, 0, settings(tmp_path), data=toy())
    assert records.read(again)["sha256"] == records.read(finished)["sha256"]


def test_other_seed_other_record(finished, tmp_path):
    other = train.run(ROW, 1, settings(tmp_path), data=toy())
    assert records.read(other)["sha256"] != records.read(finished)["sha256"]


def test_a_capped_run_can_be_extended(finished, tmp_path):
    short = records.read(train.run(ROW, 0, settings(tmp_path, epochs=1), data=toy()))
    assert short["reproducible"]["profile"] == "reduced"
    assert short["reproducible"]["changed"] == ["epochs: 1 of 3"]
    long = records.read(train.run(ROW, 0, settings(tmp_path), data=toy()))
    assert long["sha256"] == records.read(finished)["sha256"]


def test_the_seed_streams_are_apart():
    names = ("init", "order", "augmentation", "dropout")
    seeds = {device.stream(s, name, epoch) for s in (0, 1) for name in names for epoch in range(3)}
    assert len(seeds) == 2 * 4 * 3


def test_augmentation_does_not_reshuffle_the_order_or_the_start(tmp_path):
    """With dropout off and a zero shift, augmentation on and off must see the same batches."""
    row = replace(ROW, variant={**ROW.variant, "dropout": (0.0, 0.0)}, epochs=1)
    plain = {"precision": "float32"}
    off = train.run(replace(row, augmentation={}), 0, settings(tmp_path / "a", **plain), data=toy())
    zero = train.run(
        replace(row, augmentation={"shift": 0.0}), 0, settings(tmp_path / "b", **plain), data=toy()
    )
    first, second = (records.read(p)["reproducible"]["history"][0]["train_loss"] for p in (off, zero))
    assert first == pytest.approx(second, rel=1e-2)


def test_it_learns(tmp_path):
    row = replace(ROW, epochs=6, early_stopping=None)
    result = records.read(train.run(row, 0, settings(tmp_path), data=toy(160)))["reproducible"]["result"]
    assert result["val_selected"]["train"]["accuracy"] > 0.9


def test_bfloat16_and_float32_agree(tmp_path):
    """Parity of the fast path: nearly the same first epoch, and both learn the task."""
    found = []
    for precision in ("float32", "bfloat16"):
        where = settings(tmp_path / precision, precision=precision)
        row = replace(ROW, batch=64, epochs=3)
        found.append(records.read(train.run(row, 0, where, data=toy(140)))["reproducible"])
    first, second = (part["history"][0] for part in found)
    assert first["train_loss"] == pytest.approx(second["train_loss"], rel=0.02)
    assert first["train_accuracy"] == pytest.approx(second["train_accuracy"], abs=0.03)
    accuracies = [part["result"]["val_selected"]["accuracy"] for part in found]
    assert min(accuracies) > 0.9 and accuracies[0] == pytest.approx(accuracies[1], abs=0.1)


def test_early_stopping_counts_epochs_without_a_better_validation_accuracy(tmp_path):
    row = replace(ROW, epochs=12, early_stopping=2, optimiser={**ROW.optimiser, "lr": 1e-9})
    found = records.read(train.run(row, 0, settings(tmp_path), data=toy()))["reproducible"]
    assert found["stopped"] == "early stopping"
    assert found["epochs_run"] == found["best_epoch"] + 1 + 2


def test_learning_rate_is_reduced_as_keras_does(tmp_path):
    """ReduceLROnPlateau: after `patience` epochs without improvement the next epoch has the lower rate."""
    schedule = {"name": "plateau", "factor": 0.5, "patience": 2, "min_delta": 1e-4}
    row = replace(
        ROW, epochs=6, early_stopping=None, schedule=schedule, optimiser={**ROW.optimiser, "lr": 1e-9}
    )
    history = records.read(train.run(row, 0, settings(tmp_path), data=toy()))["reproducible"]["history"]
    accuracies = [line["val_accuracy"] for line in history]
    expected, rate, best, wait = [], 1e-9, -1.0, 0
    for accuracy in accuracies:  # Keras' callback, by hand
        expected.append(rate)
        if accuracy > best + 1e-4:
            best, wait = accuracy, 0
        else:
            wait += 1
            if wait >= 2:
                rate, wait = rate * 0.5, 0
    np.testing.assert_allclose([line["lr"] for line in history], expected)


def test_readings_of_a_record(finished):
    record = records.read(finished)["reproducible"]
    arrays = records.read_predictions(finished)
    history = record["history"]
    best_val = int(np.argmax([line["val_accuracy"] for line in history]))
    best_test = int(np.argmax([line["test_accuracy"] for line in history]))
    assert record["result"]["val_selected"]["epoch"] == record["best_epoch"] == best_val
    assert record["result"]["paper_style"]["epoch"] == best_test
    assert record["result"]["merged"]["n"] == 40
    for reading in ("val_selected", "paper_style"):
        predicted = arrays[f"{reading}_test_logits"].argmax(1)
        accuracy = np.mean(predicted == arrays["test_labels"])
        assert accuracy == record["result"][reading]["accuracy"]
        assert accuracy == history[record["result"][reading]["epoch"]]["test_accuracy"]


def test_images_that_training_holds_too_are_left_out_of_the_second_accuracy(tmp_path):
    data = toy()
    images = data.images.copy()
    test = data.where("test")
    images[test[:5]] = images[data.where("train")[:5]]
    path = train.run(replace(ROW, epochs=1), 0, settings(tmp_path), data=replace(data, images=images))
    record, arrays = records.read(path)["reproducible"], records.read_predictions(path)
    assert record["data"]["test_images_seen_in_training"] == 5
    assert arrays["test_seen_in_training"].tolist() == [True] * 5 + [False] * 15
    hits = arrays["val_selected_test_logits"].argmax(1) == arrays["test_labels"]
    assert record["result"]["val_selected"]["unseen"] == {"n": 15, "accuracy": hits[5:].mean()}


@pytest.mark.parametrize(
    ("epochs", "stopped", "expected"),
    [
        (100, "last epoch", "full"),
        (41, "early stopping", "full"),
        (34, "capped at 34 epochs", "reduced"),
        (33, "capped at 33 epochs", "smoke"),
    ],
)
def test_profile(epochs, stopped, expected):
    row = get("se_cnn-se")
    assert outcome.profile_of(row, row, "fer2013", epochs, stopped)[0] == expected


def test_another_dataset_or_a_changed_row_is_never_full():
    row = get("se_cnn-se")
    assert outcome.profile_of(row, row, "synthetic", 100, "last epoch")[0] == "smoke"
    changed = outcome.profile_of(replace(row, batch=32), row, "fer2013", 100, "last epoch")
    assert changed == ("reduced", ["batch: 32 instead of 64"])


def test_fewer_training_images_are_a_reduced_run(tmp_path):
    row = replace(ROW, dataset_options={**ROW.dataset_options, "train_images": 30})
    path = train.run(row, 0, settings(tmp_path), original=ROW, data=fewer(toy(), 30))
    part = records.read(path)["reproducible"]
    assert part["profile"] == "reduced" and part["changed"] == ["training images: 30 of the training part"]
    assert part["data"]["counts"]["train"] == {"low": 10, "mid": 10, "high": 10}
    assert sum(part["data"]["counts"]["test"].values()) == 20
    assert " --train-images 30 " in records.read(path)["command"]
    with pytest.raises(RecordError, match="more evidence"):
        train.run(
            replace(row, dataset_options={**ROW.dataset_options, "train_images": 15}),
            0,
            settings(tmp_path, runs=tmp_path / "others"),
            original=ROW,
            data=fewer(toy(), 15),
        )
    train.run(ROW, 0, settings(tmp_path, runs=tmp_path / "whole"), data=toy())  # replaces it


def test_fewer_training_images_of_fewer_epochs_are_no_evidence():
    row = get("se_cnn-se")
    cut = replace(row, dataset_options={**row.dataset_options, "train_images": 9570})
    changed = "training images: 9570 of the training part"
    assert outcome.profile_of(cut, row, "fer2013", 100, "last epoch") == ("reduced", [changed])
    assert outcome.profile_of(cut, row, "fer2013", 33, "capped at 33 epochs")[0] == "smoke"


def test_dataset_without_validation_images(tmp_path):
    data = toy()
    data = data.with_split(np.where(data.split == "val", "test", data.split))
    with pytest.raises(FerlibError, match="no val images"):
        train.run(ROW, 0, settings(tmp_path), data=data)


def test_weights_are_kept_as_safetensors_and_give_the_recorded_predictions(finished):
    from ferlib.models import build

    runs = finished.parents[2] / "runs"
    model = build("se_cnn", classes=3, size=ROW.size, **ROW.variant).to(memory_format=torch.channels_last)
    checkpoint.load_weights(model, runs / ROW.id / "seed0" / "best.safetensors")
    part = Pixels(toy(), "test", torch.device("cpu"))
    dtype = device.resolve_precision("auto", torch.device("cpu"))
    expected = records.read_predictions(finished)["val_selected_test_logits"]
    np.testing.assert_array_equal(engine.predict(model, part, dtype), expected)


def test_devices_and_precisions():
    with pytest.raises(FerlibError, match="unknown device"):
        device.resolve_device("abacus")
    with pytest.raises(FerlibError, match="unknown precision"):
        device.resolve_precision("float8", torch.device("cpu"))
    if not torch.cuda.is_available():
        with pytest.raises(FerlibError, match="no CUDA"):
            device.resolve_device("cuda")


def test_module_command_line(capsys):
    assert train.main(["se_cnn-sea"]) == 1
    assert "did you mean se_cnn-se" in capsys.readouterr().err
    assert train.main(["se_cnn-se", "--epochs", "0"]) == 2
    assert train.main(["se_cnn-se", "--seed", "-1"]) == 2
    assert train.main(["se_cnn-se", "--train-images", "0"]) == 2
    assert train.main(["se_cnn-se", "--train-images", "9", "--profile", "quick"]) == 2


def test_what_has_a_full_record_can_be_left_out(tmp_path, monkeypatch):
    record(tmp_path, "se_cnn-se", 0, 0.7, profile="full")
    record(tmp_path, "se_cnn-se", 1, 0.7, profile="reduced")
    ran = []
    monkeypatch.setattr(train, "run", lambda row, seed, *_, **__: ran.append(seed))
    monkeypatch.setattr(train, "tell", lambda *_: None)
    assert train.main(["se_cnn-se", "--pending", "--results", str(tmp_path)]) == 0
    assert ran == [1, 2]


def test_the_row_is_told_how_many_training_images(tmp_path, monkeypatch):
    rows = []
    monkeypatch.setattr(train, "run", lambda row, *_, original, **__: rows.append((row, original)))
    monkeypatch.setattr(train, "tell", lambda *_: None)
    assert train.main(["se_cnn-se", "--seed", "0", "--train-images", "500", "--results", str(tmp_path)]) == 0
    ((row, original),) = rows
    assert row.dataset_options == {**original.dataset_options, "train_images": 500}
    assert original == get("se_cnn-se")


def test_a_folder_that_cannot_be_written_is_told_before_training(tmp_path):
    (tmp_path / "results").write_text("a file")
    with pytest.raises(RecordError, match="choose another folder"):
        train.run(ROW, 0, settings(tmp_path), data=toy())
    assert not (tmp_path / "runs").exists()


def test_no_memory_is_told_in_one_line(tmp_path, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")

    monkeypatch.setattr(engine, "train_step", full)
    with pytest.raises(
        FerlibError, match=r"seed 0: no memory left on cpu.*fewer --jobs, a row of smaller images"
    ):
        train.run(ROW, 0, settings(tmp_path), data=toy())


def test_random_numbers_of_another_kind_of_device_are_refused(tmp_path, monkeypatch):
    """A GPU's generator has a state of 16 bytes; a checkpoint within an epoch holds one."""
    stopped = Stop(budget=0)
    with pytest.raises(Interrupted):
        train.run(ROW, 0, settings(tmp_path), data=toy(), stop=stopped)
    read = checkpoint.newest

    def elsewhere(*given):
        content = read(*given)
        content["progress"]["streams"]["moves"] = torch.zeros(16, dtype=torch.uint8)
        return content

    monkeypatch.setattr(checkpoint, "newest", elsewhere)
    with pytest.raises(FerlibError, match=r"another kind of device.*or --restart"):
        train.run(ROW, 0, settings(tmp_path), data=toy())


class Recorder:
    """Stands for what CUDA has: streams, a graph whose replay runs what was captured."""

    captured = None

    def register_generator_state(self, _):
        pass

    def replay(self):
        self.captured()

    def wait_stream(self, _):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


def test_a_graphed_step_reads_the_rate_that_the_schedule_sets(tmp_path, monkeypatch):
    """On a stand-in for CUDA: steps as they are, then one captured with the rate on the device, then replays."""
    for name in ("Stream", "CUDAGraph"):
        monkeypatch.setattr(torch.cuda, name, lambda *_: Recorder())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda *_: Recorder())
    monkeypatch.setattr(torch.cuda, "stream", lambda _: Recorder())
    monkeypatch.setattr(torch.cuda, "graph", lambda _: Recorder())
    seen, row = [], ROW
    job = engine.prepare(row, 0, toy(), settings(tmp_path), Stop())
    state = engine.start(row, 0, 7, job.parts["train"].channels, job.device)
    group = state.optimiser.param_groups[0]
    first = group["lr"]

    def step(_, state, index, copies):
        seen.append((type(group["lr"]), float(group["lr"]), group.get("capturable", False)))

    monkeypatch.setattr(engine, "train_step", step)
    graphed = engine.GraphedStep(job, state)
    index, copies = torch.arange(row.batch), torch.zeros(row.batch, dtype=torch.bool)
    for k in range(3):
        group["lr"] = first / (k + 1)  # a rate that changes with each step captures once all the same
        graphed(job, state, index, copies)
    assert [kind for kind, *_ in seen] == [float, float, float, torch.Tensor]
    assert seen[-1][1:] == (pytest.approx(first / 3), True)
    assert group["lr"] == first / 3 and not group["capturable"]
    replays = []
    graphed.graph.captured = lambda: replays.append(float(graphed.rate))
    group["lr"] = 0.125
    graphed(job, state, index, copies)
    assert replays == [0.125] and len(seen) == 4
    graphed(job, state, index[:3], copies[:3])  # the rest of an epoch
    assert len(seen) == 5 and seen[-1][0] is float


def test_what_cannot_be_captured_says_so(tmp_path, monkeypatch):
    for name in ("Stream", "CUDAGraph"):
        monkeypatch.setattr(torch.cuda, name, lambda *_: Recorder())
    monkeypatch.setattr(torch.cuda, "graph", lambda _: Recorder())
    job = engine.prepare(ROW, 0, toy(), settings(tmp_path), Stop())
    state = engine.start(ROW, 0, 7, job.parts["train"].channels, job.device)

    def refuse(*_):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(engine, "train_step", refuse)
    with pytest.raises(
        FerlibError, match=r"no CUDA graph of its step \(operation.*capturing\); run it without"
    ):
        engine.GraphedStep(job, state).capture(job, state)
    assert isinstance(state.optimiser.param_groups[0]["lr"], float)


def test_the_recorded_command_names_no_path(finished):
    assert (
        records.read(finished)["command"]
        == f"ferlib run {ROW.id} --seed 0 --device cpu --threads 1 --data-root DATA"
    )


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (("", ""), (None, None)),
        (("abc", ""), ("abc", None)),
        (("abc", "0"), ("abc", False)),
        (("abc", "       2"), ("abc", True)),  # as wc counts on macOS
        (("", "0"), (None, None)),
    ],
)
def test_without_git_the_commit_is_what_the_image_was_told(monkeypatch, tmp_path, told, says):
    monkeypatch.setenv("PATH", str(tmp_path))  # no git
    monkeypatch.setenv("FERLIB_COMMIT", told[0])
    monkeypatch.setenv("FERLIB_MODIFIED", told[1])
    assert tuple(outcome.commit().values()) == says


def test_in_a_checkout_git_alone_says_the_commit(monkeypatch):
    monkeypatch.delenv("FERLIB_COMMIT", raising=False)
    alone = outcome.commit()
    monkeypatch.setenv("FERLIB_COMMIT", "abc")
    assert alone["commit"] is None or outcome.commit() == alone


def test_truncated_data_is_never_full():
    data = toy()
    assert outcome.unpublished_counts(data) == []
    short = replace(data, name="fer2013", classes=tuple("abcdefg"), meta={"protocol": "official"})
    assert outcome.unpublished_counts(short) == ["data: counts differ from the published ones"]


def test_ck_plus_is_full_with_three_frames_of_every_sequence_only():
    classes = tuple(ckplus.SEQUENCES)
    labels = np.repeat(np.arange(7), [3 * n for n in ckplus.SEQUENCES.values()])
    n = len(labels)

    def faces(kept, **extras):
        split, ids = np.array(["train"] * n), np.array([f"frame{i}" for i in range(n)])
        images = np.zeros((n, 1, 1), np.uint8)
        return FaceDataset("ckplus", images, labels, classes, split, ids, extras=extras).take(
            np.flatnonzero(kept)
        )

    every = np.ones(n, bool)
    told = ["data: counts differ from the published ones"]
    assert n == 981 and outcome.unpublished_counts(faces(every)) == []
    assert outcome.unpublished_counts(faces(np.arange(n) > 0)) == told
    peaks = outcome.unpublished_counts(faces(np.arange(n) % 3 == 0))
    assert peaks == ["data: one frame of each sequence, not the last three"]
    state = np.where(np.arange(n) == 0, "mirror+00", "none+00")  # a copy in another state counts no frame
    assert outcome.unpublished_counts(faces(every, state=state)) == told


def test_a_run_whose_record_would_not_be_kept_is_refused_before_it_trains(finished, tmp_path, monkeypatch):
    record = records.read(finished)
    path = records.write(
        tmp_path / "results", record["reproducible"], records.read_predictions(finished), record["run"], ""
    )
    monkeypatch.setattr(engine, "train_step", lambda *_: pytest.fail("it trained"))
    row = replace(ROW, epochs=ROW.epochs + 1)
    with pytest.raises(RecordError, match="more evidence than this one could have"):
        train.run(row, 0, settings(tmp_path, epochs=1), data=toy(), original=row)
    assert path.exists() and not list((tmp_path / "runs").rglob("checkpoint.pt"))


def test_data_are_found_without_pooch(monkeypatch):
    from ferlib.data import cache

    monkeypatch.delenv("FERLIB_CACHE", raising=False)
    monkeypatch.setitem(sys.modules, "pooch", None)
    assert cache.directory() == Path.home() / ".cache" / "ferlib"


def test_less_evidence_never_replaces_more(finished, tmp_path):
    record = records.read(finished)
    arrays = records.read_predictions(finished)
    records.write(tmp_path, record["reproducible"], arrays, record["run"], "first")
    less = {**record["reproducible"], "profile": "smoke"}
    with pytest.raises(RecordError, match="more evidence"):
        records.write(tmp_path, less, arrays, record["run"], "second")
    assert records.read(records.path_of(tmp_path, ROW.id, 0))["command"] == "first"


def test_training_needs_nothing_but_torch_and_the_usual_science_packages():
    """ferlib.train must import where the command line's and the book's packages are missing."""
    import subprocess
    import sys

    code = (
        "import sys\n"
        "for name in ('typer','papermill','captum','seaborn','matplotlib','statsmodels','pooch','ipywidgets'):\n"
        "    sys.modules[name] = None\n"
        "import ferlib.train, ferlib.data.fer2013\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_rows_are_complete():
    for row in EXPERIMENTS.values():
        assert row.assumed and row.seeds
        # figures of sweeps print no numbers
        ours = row.table == "not in the paper" or row.paper in ("house", "comparison")
        assert row.published or ours or row.table.startswith("Figure")
        assert row.to_dict()["id"] == row.id
