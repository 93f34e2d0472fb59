"""The bench: what it counts, in which order, what it writes; its workers with tiny work."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from ferlib import baselines, bench, snapshots
from ferlib.errors import FerlibError, RecordError
from ferlib.models import MODELS, build, count_parameters
from ferlib.models.layers import Dropout

SPEC = {"device": "cpu", "precision": "float32", "graphs": False}


def model_row(name="se_cnn", task="train", rate=100.0, adds=1_000_000_000, precision="bfloat16"):
    case = bench.CASES[name]
    row = {key: getattr(case, key) for key in ("name", "model", "size", "batch", "channels")}
    row |= {"task": task, "variant": {}, "precision": precision, "multiply_adds": adds, "parameters": 1}
    return row | bench.summary([rate, rate]) | {"peak_memory_bytes": 5_000_000}


def contest(**rates):
    rows = [
        {"name": name, **bench.summary(each), "peak_memory_bytes": 7_000_000} for name, each in rates.items()
    ]
    case = {"name": "se_cnn-plain", "batch": 64}
    return {"case": case, "task": "train", "rows": rows, "skipped": {"keras": "no tensorflow"}}


def snapshot(kind="cpu", rows=None, race=None):
    found = {
        "schema": snapshots.SCHEMA,
        "machine": {
            "kind": kind,
            "device": "Some CPU @ 2.50GHz",
            "threads": 2,
            "torch": "2",
            "precision": "bfloat16",
            "cores": 2,
            "date": "2026-01-01",
        },
        "settings": {},
        "peak": {"bfloat16": {"flops": 1e12, "side": 512}, "float32": {"flops": 2e11, "side": 512}},
        "models": rows if rows is not None else [model_row(), model_row(task="infer", rate=400.0)],
        "contest": race,
        "ratios": bench.ratios(race["rows"]) if race else {},
        "skipped": {},
    }
    bench.add_shares(found["models"], found["peak"])
    return {**found, "goals": bench.goals(found)}


# ---- what is counted ----------------------------------------------------------------------------------------


def test_every_model_has_a_case():
    assert {case.model for case in bench.CASES.values()} == set(MODELS)


def test_contenders_run_forth_and_back():
    assert bench.turns(["a", "b", "c"], 3) == [["a", "b", "c"], ["c", "b", "a"], ["a", "b", "c"]]


def test_ratios_are_taken_turn_by_turn():
    """The machine halves its speed in the second turn; ratios do not see it, nor would medians of rates agree."""
    rows = contest(ferlib=[200.0, 90.0, 210.0], textbook=[100.0, 50.0, 100.0])["rows"]
    assert bench.ratios(rows) == {"textbook": {"ratio": 2.0, "low": 1.8, "high": 2.1}}


def test_a_training_image_counts_three_forward_passes():
    train, infer = (model_row(task=task, rate=100.0, adds=10**9) for task in bench.TASKS)
    slow = model_row(rate=10.0, precision="float32")
    peak = {"bfloat16": {"flops": 1e12}, "float32": {"flops": 2e11}}
    bench.add_shares([train, infer, slow], peak)
    assert train["flops"] == 6e11 and train["share_of_peak"] == pytest.approx(0.6)
    assert infer["flops"] == 2e11 and infer["share_of_peak"] == pytest.approx(0.2)
    assert slow["share_of_peak"] == pytest.approx(0.3)  # of its own precision's peak


def test_table_1_by_hand():
    # 2 rows x 100 epochs x (28,709 trained at 28,709/s + 7,178 evaluated at 14,356/s)
    assert bench.table_1_seconds(28_709, 14_356) == pytest.approx(300)
    assert bench.table_1_seconds(None, 1.0) is None


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_goals_of_other_machines_are_not_measured(kind):
    race = contest(ferlib=[200.0], textbook=[100.0], keras=[150.0])
    rows = [model_row(rate=31_000.0), model_row(task="infer", rate=1e6), model_row("amdcnn", rate=20_000.0)]
    goals = snapshot(kind, rows, race)["goals"]
    assert all((goal["value"] is None) == (goal["met"] is None) for goal in goals)
    measured = {goal["goal"]: goal["met"] for goal in goals if goal["value"] is not None}
    if kind == "cpu":
        assert measured == {
            "se_cnn training at batch 64 against textbook": True,
            "se_cnn training at batch 64 against keras": False,
            "se_cnn training, share of the bfloat16 matmul peak": True,
            "amdcnn training, share of the bfloat16 matmul peak": True,
        }
    else:
        assert measured == {
            "se_cnn training at 48x48": True,
            "amdcnn training at 48x48": False,
            "Luo's Table 1, from the rates, no early stopping": True,
        }


def test_float32_says_nothing_about_the_bfloat16_goal():
    found = snapshot(rows=[model_row(precision="float32")])
    assert all(goal["value"] is None for goal in found["goals"])


def test_matmul_peak_is_of_the_size_it_names():
    found = bench.matmul_peak("cpu", sizes=(16, 32))
    assert set(found) == {"bfloat16", "float32"}
    assert all(peak["flops"] > 0 and peak["side"] in (16, 32) for peak in found.values())


def test_matmul_peak_tries_no_larger_side_than_one_that_is_slow(monkeypatch):
    monkeypatch.setattr(bench, "SLOW", 0.0)
    assert {peak["side"] for peak in bench.matmul_peak("cpu", sizes=(16, 512)).values()} == {16}


# ---- snapshots ----------------------------------------------------------------------------------------------


def test_snapshot_round_trip(tmp_path):
    found = snapshot(race=contest(ferlib=[2.0], textbook=[1.0]))
    path = snapshots.path_of(found, tmp_path)
    assert path == tmp_path / "bench" / "cpu-some-cpu-2-50ghz-2t.json"
    assert snapshots.write(found, path) == path
    assert bench.load_snapshots(tmp_path) == [found]
    assert bench.load_snapshots(tmp_path / "nothing") == []


def test_snapshot_that_lacks_a_case_replaces_none(tmp_path):
    path = tmp_path / "bench" / "a.json"
    snapshots.write(snapshot(rows=[model_row(), model_row("amdcnn")]), path)
    with pytest.raises(RecordError, match="also holds amdcnn"):
        snapshots.write(snapshot(rows=[model_row()]), path)
    assert len(bench.load_snapshots(tmp_path)[0]["models"]) == 2


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda s: s.update(schema=99), "schema"),
        (lambda s: s.pop("goals"), "goals"),
        (lambda s: s["machine"].update(threads="2"), "machine.threads"),
        (lambda s: s["models"][0].pop("flops"), "models.0..flops"),
    ],
)
def test_damaged_snapshot_is_one_line(tmp_path, damage, word):
    found = copy.deepcopy(snapshot())
    damage(found)
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "x.json").write_text(json.dumps(found))
    with pytest.raises(RecordError, match=word) as error:
        bench.load_snapshots(tmp_path)
    assert "\n" not in str(error.value)


def test_truncated_snapshot_is_one_line(tmp_path):
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "x.json").write_text(json.dumps(snapshot())[:99])
    with pytest.raises(RecordError, match="cannot be read"):
        bench.load_snapshots(tmp_path)


def test_committed_snapshots_are_valid():
    for found in bench.load_snapshots():
        assert found["models"]


def test_tables_tell_rates_ratios_goals_and_reasons():
    found = snapshot(race=contest(ferlib=[300.0, 310.0], textbook=[150.0, 100.0]))
    text = snapshots.to_text({**found, "skipped": {"amdcnn": "no such model"}})
    for words in ("Some CPU", "se_cnn", "2.55 x (2.00 to 3.10)", "±2%", "not measured", "60%"):
        assert words in text
    assert "busy" not in text
    loaded = {**found, "machine": {**found["machine"], "load": 3.0, "cores": 2}}
    assert snapshots.busy(loaded).startswith("the machine was busy (load 3.0 on 2 cores)")
    assert snapshots.busy(loaded) in snapshots.to_text(loaded).split("\n")
    for load in (snapshots.BUSY, None):
        assert snapshots.busy({"machine": {"load": load, "cores": 2}}) == ""
    assert "left out: amdcnn: no such model" in text and "left out: keras: no tensorflow" in text


# ---- workers ------------------------------------------------------------------------------------------------


def faces(n=16):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, 48, 48), dtype=np.uint8), np.arange(n) % 7


def test_folder_has_every_class_and_an_epochs_length(tmp_path):
    images, labels = faces()
    assert baselines.write_folder(tmp_path, images, labels, 50) == 48
    files = sorted(tmp_path.rglob("*.png"))
    assert len(files) == 48 and {f.parent.name for f in files} == set("0123456")
    for name in ("00003.png", "00003-2.png"):
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "3" / name)), images[3])


def test_settling_steps_are_not_timed(monkeypatch):
    now = iter(range(0, 1000, 10))
    monkeypatch.setattr(baselines.time, "perf_counter", lambda: next(now))
    steps = iter([1, 1, 64, 64, 64, 64])
    assert baselines.timed(steps, settle=2)(25) == (128, 30)  # readings at 0, 10, 20, 30
    assert next(steps) == 64


def test_textbook_trains_the_same_network(tmp_path):
    torch.manual_seed(0)
    baselines.write_folder(tmp_path, *faces(), 16)
    facts, block = baselines.textbook(tmp_path, batch=4, workers=0)
    assert facts["parameters"] == count_parameters(build("se_cnn", classes=7, se="none"))
    images, seconds = block(0)
    assert images == 4 and seconds > 0


class StubKeras:
    """Enough of Keras to count parameters by hand."""

    class Input:
        def __init__(self, shape):
            self.out, self.count = shape, 0

    class layers:
        class Conv2D:
            def __init__(self, filters, kernel, activation):
                self.filters, self.kernel, self.activation = filters, kernel, activation

            def after(self, shape):
                self.count = self.filters * (shape[-1] * self.kernel**2 + 1)
                return shape[0] - self.kernel + 1, shape[1] - self.kernel + 1, self.filters

        class MaxPooling2D:
            count = 0

            def after(self, shape):
                return shape[0] // 2, shape[1] // 2, shape[2]

        class BatchNormalization:
            def after(self, shape):
                self.count = 2 * shape[-1]
                return shape

        class Dropout:
            count = 0

            def __init__(self, rate):
                self.rate = rate

            def after(self, shape):
                return shape

        class Flatten:
            count = 0

            def after(self, shape):
                return (int(np.prod(shape)),)

        class Dense:
            def __init__(self, units, activation):
                self.units, self.activation = units, activation

            def after(self, shape):
                self.count = self.units * (shape[-1] + 1)
                return (self.units,)

    @staticmethod
    def Sequential(stack):
        shape = stack[0].out
        for layer in stack[1:]:
            shape = layer.after(shape)
        return stack


def test_keras_network_is_that_of_se_cnn():
    ours = build("se_cnn", classes=7, se="none")
    stack = baselines.keras_network(StubKeras)
    assert sum(layer.count for layer in stack) == count_parameters(ours)
    kinds = (StubKeras.layers.Dropout, Dropout), (StubKeras.layers.Conv2D, nn.Conv2d)
    (theirs, mine), (convs, modules) = (
        ([x for x in stack if isinstance(x, k)], [m for m in ours.modules() if isinstance(m, t)])
        for k, t in kinds
    )
    assert [layer.rate for layer in theirs] == [module.p for module in mine]
    assert [c.filters for c in convs] == [m.out_channels for m in modules]
    assert [c.kernel for c in convs] == [m.kernel_size[0] for m in modules]


def test_keras_baseline_runs(tmp_path):
    pytest.importorskip("tensorflow", reason="tensorflow is not installed")
    baselines.write_folder(tmp_path, *faces(), 64)
    facts, block = baselines.keras(tmp_path, batch=4, threads=1)
    assert facts["parameters"] == count_parameters(build("se_cnn", classes=7, se="none"))
    images, seconds = block(0)
    assert images == 4 and seconds > 0


def test_without_tensorflow_keras_is_left_out_with_a_reason(monkeypatch, tmp_path):
    monkeypatch.setattr(baselines.importlib.util, "find_spec", lambda name: None)
    commands, skipped = bench.contest_commands(bench.Plan(()), tmp_path)
    assert set(commands) == {"ferlib", "textbook"} and "tensorflow is not installed" in skipped["keras"]
    commands, skipped = bench.contest_commands(bench.Plan((), keras_python="/opt/tf/python"), tmp_path)
    assert commands["keras"][0] == "/opt/tf/python" and not skipped


def test_library_blocks_train_and_evaluate():
    torch.manual_seed(0)
    row = bench.replace(bench.row_of(bench.CONTEST), batch=4)
    library = bench.Library(row, "train", faces()[0], SPEC)
    assert library.facts["parameters"] == count_parameters(build("se_cnn", classes=7, se="none"))
    weight = library.state.model.classifier.weight
    before = weight.detach().clone()
    images, seconds = library(0)
    assert images == 4 and seconds > 0 and not torch.equal(weight, before)
    library.task, before = "infer", weight.detach().clone()
    images, seconds = library(0)
    assert images == 4 and seconds > 0 and torch.equal(weight, before)


def test_library_epochs_grow_until_they_fill_a_quarter_block(monkeypatch):
    library = bench.Library.__new__(bench.Library)
    library.n = 4

    def epoch():
        library.last = library.n / 1000  # 1,000 images a second

    monkeypatch.setattr(library, "epoch", epoch, raising=False)
    monkeypatch.setattr(library, "set_length", lambda n: setattr(library, "n", n), raising=False)
    images, seconds = library(2.0)
    assert 0.5 <= library.n / 1000 <= 1.0
    assert images / seconds == pytest.approx(1000) and 2.0 <= seconds <= 3.0


@pytest.mark.parametrize("name", list(bench.CASES))
def test_row_of_a_case(name):
    case = bench.CASES[name]
    row = bench.row_of(case)
    assert (row.model, row.size, row.batch) == (case.model, case.size, case.batch)
    assert row.preprocess["channels"] == case.channels and row.variant == case.variant


def test_the_joint_loss_is_that_of_model_6_alone():
    losses = {m: bench.row_of(bench.CASES[f"gcca_vgg-model{m}"]).loss for m in range(1, 6)}
    assert set(losses.values()) == {"cross_entropy"}
    assert bench.row_of(bench.CASES["gcca_vgg"]).loss == "island"


SERVE = """
from ferlib.baselines import serve
def start():
    print("noise on stdout")
    def block(seconds):
        print("more noise")
        if seconds == 13:
            raise RuntimeError("broken\\nin two lines")
        return int(100 * seconds), seconds
    return {"parameters": 3}, block
serve(start)
"""


def test_worker_answers_through_noise_and_tells_its_error():
    with bench.running([sys.executable, "-c", SERVE]) as worker:
        assert worker.ready() == {"parameters": 3}
        assert worker.block(0.5) == 100 and worker.block(2) == 100
        assert worker.rates == [100, 100] and worker.peak > 1e6
        with pytest.raises(FerlibError, match="RuntimeError: broken in two lines"):
            worker.block(13)
    assert worker.process.poll() is not None


def test_worker_that_dies_leaves_its_last_words():
    with (
        bench.running([sys.executable, "-c", "import sys; sys.exit('no such device')"]) as worker,
        pytest.raises(FerlibError, match="no such device"),
    ):
        worker.ready()


def test_peak_memory_is_of_this_process_not_of_its_parent():
    """A parent with 200 MB starts a child with a tenth of it."""
    ballast = np.ones(25_000_000)
    code = "from ferlib.baselines import serve; serve(lambda: ({}, lambda s: (1, 1.0)))"
    with bench.running([sys.executable, "-c", code]) as worker:
        worker.ready()
        worker.block(0)
    assert worker.peak < ballast.nbytes / 2 < baselines.peak_memory()


# ---- the whole ----------------------------------------------------------------------------------------------

FACTS = {
    "kind": "cpu",
    "device": "Some CPU",
    "threads": 1,
    "torch": "2",
    "precision": "bfloat16",
    "ferlib": "0",
    "peak": {"bfloat16": {"flops": 1e12, "side": 512}, "float32": {"flops": 1e11, "side": 512}},
}


@pytest.fixture
def pretended(monkeypatch):
    """Everything but the measuring."""

    def measure_case(plan, case, task, step):
        if case.name == "amdcnn":
            raise FerlibError("a case of the bench failed: out of memory")
        return model_row(case.name, task)

    monkeypatch.setattr(bench, "measure_peak", lambda plan: FACTS)
    monkeypatch.setattr(bench, "measure_case", measure_case)
    monkeypatch.setattr(bench, "contest", lambda plan, step: contest(ferlib=[3.0], textbook=[1.0]))


def test_json_and_snapshot_are_written_where_asked(pretended, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert bench.main(["--models", "se_cnn", "--json", "all.json"]) == 0
    assert "3.00 x" in capsys.readouterr().out
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["all.json"]
    assert bench.main(["--models", "se_cnn", "--json", "-", "--snapshot"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert bench.load_snapshots("results") == [printed]
    assert printed["machine"]["cores"] and printed["ratios"]["textbook"]["ratio"] == 3
    assert Path("results/bench/cpu-some-cpu-1t.json").is_file()


def test_a_case_that_fails_is_told_and_the_others_are_measured(pretended, capsys):
    assert bench.main(["--models", "amdcnn", "se_cnn", "--no-baselines"]) == 1
    text = capsys.readouterr().out
    assert "left out: amdcnn train: a case of the bench failed: out of memory" in text and "se_cnn" in text


def test_a_missing_module_is_left_out(monkeypatch):
    monkeypatch.setitem(bench.MODELS, "se_cnn", ("not_written_yet", "X"))
    names, skipped = bench.chosen(None)
    assert "se_cnn" not in names and "gcca_vgg@224" not in names and "no such model" in skipped["se_cnn"]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--models", "resnet"], 1, "unknown case 'resnet'"),
        (["--seconds", "0"], 2, "--seconds"),
        (["--threads", "-1"], 2, "--threads"),
    ],
)
def test_bad_usage_is_one_line(arguments, status, words, capsys):
    assert bench.main(arguments) == status
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


@pytest.mark.slow
def test_bench_of_one_model_from_end_to_end(tmp_path):
    path = tmp_path / "x.json"
    options = ["--models", "small_resnet", "--seconds", "0.04", "--threads", "1", "--device", "cpu"]
    assert bench.main([*options, "--no-baselines", "--json", str(path)]) == 0
    found = snapshots.read(path)
    assert [row["task"] for row in found["models"]] == ["train", "infer"]
    assert all(len(row["rates"]) == bench.BLOCKS and row["flops"] > 0 for row in found["models"])
    assert found["machine"]["threads"] == 1 and found["contest"] is None
