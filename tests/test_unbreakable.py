"""What a run survives: kill -9, signals, budgets, full and read-only disks, damaged files, NaN, a second process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toy import ROW, settings, toy

from ferlib import checkpoint, engine, records, train
from ferlib.errors import FerlibError, RecordError
from ferlib.interrupt import Busy, Interrupted, Stop, exclusive

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return train.run(ROW, 0, settings(tmp_path_factory.mktemp("one")), data=toy())


def stopping_after(monkeypatch, steps, action):
    """Do ``action`` after that many training steps of the process."""
    step, count = engine.train_step, iter(range(1, 10**6))

    def counted(*arguments):
        step(*arguments)
        if next(count) == steps:
            action()

    monkeypatch.setattr(engine, "train_step", counted)


def raise_(error):
    raise error


def folder(where):
    return checkpoint.folder_of(where / "runs", ROW.id, 0)


def test_fifty_kills_at_random_points(tmp_path):
    """SIGKILL at 50 events, 10 of them in given phases, and 10 times: a valid record, the same numbers in the end."""
    command = [sys.executable, str(HERE / "killing.py"), str(tmp_path), "50", "10"]
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    print(told)
    assert told["problems"] == []
    assert sum(told["phases"].values()) == 60
    assert {"training", "evaluating", "checkpoint", "record"} <= set(told["phases"])
    assert told["ends"] >= 3 and sum(told["interruptions"]) >= 5


@pytest.mark.parametrize("step", [1, 3, 4, 6, 12])
def test_stopped_within_an_epoch_it_ends_with_the_same_reproducible_part(
    finished, tmp_path, monkeypatch, step
):
    stop = Stop()
    stopping_after(monkeypatch, step, lambda: setattr(stop, "signal", signal.SIGTERM))
    with pytest.raises(Interrupted, match="SIGTERM; saved after"):
        train.run(ROW, 0, settings(tmp_path), data=toy(), stop=stop)
    record = records.read(train.run(ROW, 0, settings(tmp_path), data=toy()))
    assert record["sha256"] == records.read(finished)["sha256"]
    assert record["run"]["interruptions"] == 1
    assert len(record["run"]["trained_by"]) == 1


def test_a_raised_interrupt_loses_only_what_came_after_the_last_checkpoint(finished, tmp_path, monkeypatch):
    """Jupyter's stop button raises in the middle of a step, where nothing can be saved."""
    stopping_after(monkeypatch, 6, lambda: raise_(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        train.run(ROW, 0, settings(tmp_path), data=toy())
    assert len(checkpoint.read(folder(tmp_path) / "checkpoint.pt")["history"]) == 1
    path = train.run(ROW, 0, settings(tmp_path), data=toy())
    assert records.read(path)["sha256"] == records.read(finished)["sha256"]


def test_a_used_up_budget_saves_and_says_how_to_go_on(finished, tmp_path):
    with pytest.raises(
        Interrupted, match="time budget used up; saved after 0 of 3 epochs and 1 batches"
    ) as error:
        train.run(ROW, 0, settings(tmp_path), data=toy(), stop=Stop(budget=0.001))
    assert "\n" not in str(error.value)
    path = train.run(ROW, 0, settings(tmp_path), data=toy(), stop=Stop(budget=60))
    assert records.read(path)["sha256"] == records.read(finished)["sha256"]


def test_the_budget_keeps_time_for_saving():
    stop = Stop(budget=1)
    assert stop.reason() is None
    stop.expect(29.6)
    assert stop.reason() == "time budget used up"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_the_command_with_75_and_the_next_one_finishes(tmp_path, name):
    words = ["se_cnn-se", "--seed", "0", "--profile", "quick", "--epochs", "1", "--threads", "1"]
    code = (
        "import sys; from dataclasses import replace; from ferlib import train; full = train.quick\n"
        "def small(row, **options):\n"
        "    return replace(full(row, **options), size=36, dataset_options={'n': 300, 'difficulty': 0.3})\n"
        "train.quick = small; sys.exit(train.main())"
    )
    command = [sys.executable, "-c", code, *words, "--save-seconds", "0", "--runs", str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    saved = checkpoint.folder_of(tmp_path / "quick", "se_cnn-se", 0) / "checkpoint.pt"
    while not saved.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(getattr(signal, name))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 75
    assert f"stopped by {name}" in errors and "the same command goes on" in errors
    assert checkpoint.read(saved)["progress"]["step"] > 0
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert (
        records.read(tmp_path / "quick" / "records" / "se_cnn-se" / "seed0.json")["run"]["interruptions"] == 1
    )


def test_two_processes_on_one_run(tmp_path):
    with (
        exclusive(folder(tmp_path), "it"),
        pytest.raises(Busy, match=rf"trained by process {os.getpid()} on"),
    ):
        train.run(ROW, 0, settings(tmp_path), data=toy())
    train.run(
        replace(ROW, epochs=1), 0, settings(tmp_path), data=toy()
    )  # a lock that nobody holds is no obstacle


def test_nan_loss_stops_with_epoch_and_batch_and_keeps_the_last_good_state(tmp_path, monkeypatch):
    step = engine.train_step

    def poisoned(job, state, *rest):
        if len(state.history) == 1 and state.progress.step == 2:
            with torch.no_grad():
                state.model.classifier.bias.fill_(float("nan"))
        step(job, state, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(engine, "train_step", poisoned)
        with pytest.raises(FerlibError, match="not a number in epoch 2, batch 3; lower the rate") as error:
            train.run(ROW, 0, settings(tmp_path, save_seconds=0), data=toy())
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("results/**/*.json"))
    kept = checkpoint.read(folder(tmp_path) / "checkpoint.pt")
    assert kept["progress"]["step"] == 2 and all(torch.isfinite(w).all() for w in kept["model"].values())


def test_weights_that_are_not_finite_are_never_saved(tmp_path, monkeypatch):
    """A last step can give a finite loss and leave weights that are not."""

    def poison(job, state, *rest):
        step(job, state, *rest)
        with torch.no_grad():
            state.model.classifier.bias.fill_(float("inf"))

    step = engine.train_step
    monkeypatch.setattr(engine, "train_step", poison)
    with pytest.raises(FerlibError, match="weights are not finite in epoch 1"):
        train.run(ROW, 0, settings(tmp_path, save_seconds=0), data=toy())
    assert not (folder(tmp_path) / "checkpoint.pt").exists()


def damage(path, how):
    blob = path.read_bytes()
    middle = len(blob) // 2
    path.write_bytes(
        {
            "truncated": blob[:middle],
            "one bit": blob[:middle] + bytes([blob[middle] ^ 1]) + blob[middle + 1 :],
            "empty": b"",
            "other": b"nothing of ours",
        }[how]
    )


@pytest.mark.parametrize("how", ["truncated", "one bit", "empty", "other"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(finished, tmp_path, capfd, how):
    train.run(ROW, 0, settings(tmp_path, epochs=2), data=toy())
    damage(folder(tmp_path) / "checkpoint.pt", how)
    path = train.run(ROW, 0, settings(tmp_path), data=toy())
    assert "going on from the one before" in capfd.readouterr().err
    assert records.read(path)["sha256"] == records.read(finished)["sha256"]


def test_two_damaged_checkpoints_are_one_line_and_restart_begins_again(finished, tmp_path):
    train.run(ROW, 0, settings(tmp_path, epochs=2), data=toy())
    for name in ("checkpoint.pt", "previous.pt"):
        damage(folder(tmp_path) / name, "truncated")
    with pytest.raises(FerlibError, match="use --restart to begin again") as error:
        train.run(ROW, 0, settings(tmp_path), data=toy())
    assert "\n" not in str(error.value)
    path = train.run(ROW, 0, settings(tmp_path, restart=True), data=toy())
    assert records.read(path)["sha256"] == records.read(finished)["sha256"]


def test_a_checkpoint_of_another_experiment_is_refused(tmp_path):
    train.run(ROW, 0, settings(tmp_path, epochs=1), data=toy())
    with pytest.raises(FerlibError, match="checkpoint of another"):
        train.run(ROW, 0, settings(tmp_path), data=toy(seed=1))
    with pytest.raises(FerlibError, match="checkpoint of another"):
        train.run(replace(ROW, batch=8), 0, settings(tmp_path), data=toy())


def test_a_checkpoint_cannot_run_code(tmp_path):
    """A pickle that would call os.mkdir is refused, whatever its checksum says."""
    import hashlib
    import io

    class Bad:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "was here"),)

    buffer = io.BytesIO()
    torch.save({"key": Bad()}, buffer)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(checkpoint.MAGIC + hashlib.sha256(buffer.getvalue()).digest() + buffer.getvalue())
    with pytest.raises(FerlibError, match="cannot be read"):
        checkpoint.read(path)
    assert not (tmp_path / "was here").exists()


def test_best_weights_are_those_of_the_two_checkpoints_alone(finished):
    runs = finished.parents[2] / "runs" / ROW.id / "seed0"
    assert 1 <= len(list(runs.glob("best-*.safetensors"))) <= 2
    assert (runs / "best.safetensors").exists()


@pytest.fixture
def small_disk(tmp_path):
    """A small file system, easily filled."""
    where = tmp_path / "disk"
    where.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=80m", "tmpfs", str(where)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield where
    subprocess.run(["umount", "-l", str(where)], check=True)


def test_a_full_disk_keeps_the_last_checkpoint(finished, small_disk, tmp_path):
    """The first checkpoint fits, a second one does not."""
    filler = small_disk / "filler"
    runs = {"runs": small_disk / "runs", "save_seconds": 0.0}
    train.run(ROW, 0, settings(tmp_path, runs=small_disk / "runs", epochs=1), data=toy())
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    filler.write_bytes(bytes(max(0, free - 2**20)))
    with pytest.raises(FerlibError, match=r"No space left on device.*free some space") as error:
        train.run(ROW, 0, settings(tmp_path, **runs), data=toy())
    assert "\n" not in str(error.value)
    filler.unlink()
    path = train.run(ROW, 0, settings(tmp_path, runs=small_disk / "runs"), data=toy())
    assert records.read(path)["sha256"] == records.read(finished)["sha256"]


def test_a_full_disk_keeps_the_old_record(finished, small_disk):
    record, arrays = records.read(finished), records.read_predictions(finished)
    less = {**record["reproducible"], "profile": "smoke"}
    path = records.write(small_disk, less, arrays, record["run"], "first")
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    (small_disk / "filler").write_bytes(bytes(free))
    with pytest.raises(RecordError, match="No space left on device"):
        records.write(small_disk, record["reproducible"], arrays, record["run"], "second")
    assert records.read(path)["command"] == "first"
    records.read_predictions(path)
    (small_disk / "filler").unlink()
    records.write(small_disk, record["reproducible"], arrays, record["run"], "second")
    assert records.read(path)["command"] == "second"
    assert sorted(p.name for p in path.parent.iterdir()) == ["seed0.json", "seed0.npz"]


def test_a_read_only_results_folder_is_told_before_training(tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", str(results)], capture_output=True
    ).returncode:
        pytest.skip("mounting a read-only file system needs root")
    try:
        with pytest.raises(RecordError, match="cannot be written to") as error:
            train.run(ROW, 0, settings(tmp_path), data=toy())
        assert "\n" not in str(error.value) and not (tmp_path / "runs").exists()
    finally:
        subprocess.run(["umount", "-l", str(results)], check=True)


def test_a_writer_killed_between_predictions_and_record_is_healed(finished, tmp_path):
    """The pair is whole in each state that a kill can leave, and the next writer clears it up."""
    record, arrays = records.read(finished), records.read_predictions(finished)
    less = {**record["reproducible"], "profile": "smoke"}
    path = records.write(tmp_path, less, arrays, record["run"], "first")
    other = {k: v + (1 if v.dtype.kind == "f" else 0) for k, v in arrays.items() if v.dtype.kind != "U"}
    elsewhere = records.write(tmp_path / "b", record["reproducible"], other, record["run"], "second")
    waiting = path.with_suffix(".npz.new")
    waiting.write_bytes(elsewhere.with_suffix(".npz").read_bytes())  # killed before the record
    assert set(records.read_predictions(path)) == set(arrays)
    path.write_bytes(elsewhere.read_bytes())  # killed after it
    assert set(records.read_predictions(path)) == set(other)
    records.write(tmp_path, record["reproducible"], other, record["run"], "third")
    assert not waiting.exists() and set(records.read_predictions(path)) == set(other)


def test_several_runs_at_once(tmp_path):
    rows = ["house-ferplus", "house-fer2013"]
    words = [*rows, "--seed", "0", "--profile", "quick", "--epochs", "1", "--jobs", "2"]
    command = [sys.executable, "-m", "ferlib.train", *words, "--runs", str(tmp_path), "--json"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert {json.loads(line)["profile"] for line in result.stdout.splitlines()} == {"smoke"}
    assert len(list((tmp_path / "quick" / "records").glob("*/seed0.json"))) == 2
    broken = subprocess.run(
        [*command, "--data-root", str(tmp_path / "nowhere")], capture_output=True, text=True
    )
    assert broken.returncode == 1 and "2 failed, see above" in broken.stderr
