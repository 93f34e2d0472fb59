"""The workflow: what it selects, what it asks the cluster for, that it never trains or deletes evidence twice."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_notebook

from ferlib import book, records
from ferlib.book import runs
from ferlib.errors import FerlibError
from ferlib.experiments import EXPERIMENTS, get, quick

ROOT = Path(__file__).resolve().parents[1]
WORKFLOW = ROOT / "workflow"

needs_snakemake = pytest.mark.skipif(
    importlib.util.find_spec("snakemake") is None,
    reason="Snakemake is not installed: pip install -e '.[workflow]'",
)


@pytest.fixture(scope="module", autouse=True)
def workflow():
    """`import matrix, job, chapter` as the Snakefile does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(WORKFLOW))
        yield


@pytest.fixture
def matrix():
    return importlib.import_module("matrix")


def write_record(results: Path, experiment: str, seed: int, profile: str) -> Path:
    """A record that holds as one, with nothing in it."""
    part = {
        **{"experiment": get(experiment).to_dict(), "seed": seed, "profile": profile},
        "changed": [] if profile == "full" else ["epochs: 34 of 100"],
        **{"data": {}, "environment": {}, "history": [], "epochs_run": 100 if profile == "full" else 34},
        **{"stopped": "last epoch", "best_epoch": 0, "result": {}},
    }
    return records.write(results, part, {"logits": np.zeros(1)}, {}, "ferlib run")


# ---- selection ----------------------------------------------------------------------------------------------


def test_without_a_selection_it_is_every_row_and_seed(matrix):
    wanted = [(row.id, seed) for row in EXPERIMENTS.values() for seed in row.seeds]
    assert matrix.selected(matrix.options({})) == wanted


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (0, (0,)),
        ("0,4-7", (0, 4, 5, 6, 7)),
        ([0, 1], (0, 1)),
        ("2", (2,)),
        ("0-99", tuple(range(100))),
    ],
)
def test_seeds_are_numbers_lists_and_ranges(matrix, given, found):
    assert matrix.options({"seeds": given}).seeds == found


def test_filters_narrow_each_other(matrix):
    chosen = matrix.options({"papers": "se_cnn", "experiments": "se_cnn-se,se_cnn-plain", "seeds": 5})
    assert sorted(matrix.selected(chosen)) == [("se_cnn-plain", 5), ("se_cnn-se", 5)]
    with pytest.raises(FerlibError, match="no experiment fits"):
        matrix.selected(replace(chosen, dataset="rafdb"))


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"paper": "se_cnn"}, "did you mean papers"),
        ({"papers": "luo"}, "use one or more of"),
        ({"experiments": "se_cnn-sse"}, "did you mean"),
        ({"dataset": "fer"}, "use ckplus|use fer2013"),
        ({"seeds": "a"}, "whole numbers and ranges"),
        ({"profile": "fast"}, "use full or quick"),
        ({"budget": 0}, "a whole number above 0"),
        ({"threads": "two"}, "a whole number above 0"),
        ({"data_root": "/no/such/folder"}, "no such folder"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(matrix, config, says):
    with pytest.raises(FerlibError, match=says) as caught:
        matrix.options(config)
    assert "\n" not in str(caught.value)


# ---- what is pending ----------------------------------------------------------------------------------------


def test_only_a_full_record_is_done(matrix, tmp_path, monkeypatch):
    monkeypatch.setenv("FERLIB_DATA", str(tmp_path))
    write_record(tmp_path, "se_cnn-se", 0, "full")
    write_record(tmp_path, "se_cnn-se", 1, "reduced")
    chosen = matrix.options({"experiments": "se_cnn-se", "seeds": "0-2", "results": str(tmp_path)})
    assert matrix.pending(chosen) == [("se_cnn-se", 1), ("se_cnn-se", 2)]
    assert matrix.pending(chosen, paper="msca_resnet") == []


def test_the_times_of_files_do_not_matter(matrix, tmp_path):
    path = write_record(tmp_path, "se_cnn-se", 0, "full")
    chosen = matrix.options({"experiments": "se_cnn-se", "seeds": 0, "results": str(tmp_path)})
    for moment in (0, 4e9):  # a checkout gives files any time
        os.utime(path, (moment, moment))
        assert matrix.pending(chosen) == []


def test_a_quick_run_is_done_with_any_record_and_keeps_apart(matrix, tmp_path):
    chosen = matrix.options(
        {
            "experiments": "se_cnn-se",
            "seeds": 0,
            "profile": "quick",
            "runs": str(tmp_path),
            "results": "elsewhere",
        }
    )
    assert matrix.pending(chosen) == [("se_cnn-se", 0)]
    write_record(tmp_path / "quick" / "records", "se_cnn-se", 0, "smoke")
    assert matrix.pending(chosen) == []


def test_quick_records_are_looked_for_where_ferlib_run_writes_them(matrix, tmp_path):
    train = pytest.importorskip("ferlib.train")
    options = train.arguments().parse_args(["se_cnn-se", "--profile", "quick", "--runs", str(tmp_path)])
    chosen = matrix.options({"profile": "quick", "runs": str(tmp_path)})
    assert train.settings_from(options).results == chosen.records


def test_pending_runs_on_real_data_ask_for_the_data(matrix, tmp_path, monkeypatch):
    monkeypatch.delenv("FERLIB_DATA", raising=False)
    with pytest.raises(FerlibError, match="data_root=DIR, or set FERLIB_DATA"):
        matrix.pending(matrix.options({"experiments": "se_cnn-se", "results": str(tmp_path)}))


# ---- resources ----------------------------------------------------------------------------------------------


@pytest.fixture
def an_hour(matrix, monkeypatch):
    monkeypatch.setattr(matrix, "expected", lambda experiment, chosen: 60.0)


def test_limits_have_a_margin_and_double_with_each_attempt(matrix, an_hour):
    chosen = matrix.options({"mem_mb": 3000})
    assert [matrix.minutes("se_cnn-se", attempt, chosen) for attempt in (1, 2, 3)] == [95, 190, 380]
    assert [matrix.memory(attempt, chosen) for attempt in (1, 2, 3)] == [3000, 6000, 12000]
    assert matrix.retries(chosen) == 3


def test_a_budget_caps_the_limit_and_gives_the_tries_that_it_takes(matrix, an_hour):
    chosen = matrix.options({"budget": 20, "experiments": "se_cnn-se"})
    assert [matrix.minutes("se_cnn-se", attempt, chosen) for attempt in (1, 4)] == [20, 20]
    assert matrix.retries(chosen) == 3 + 3 - 1


def test_short_runs_leave_room_for_the_warning(matrix, monkeypatch):
    monkeypatch.setattr(matrix, "expected", lambda experiment, chosen: 0.1)
    assert matrix.minutes("se_cnn-se", 1, matrix.options({})) == matrix.LEAST


@pytest.mark.parametrize("profile", ["full", "quick"])
def test_without_a_cost_model_there_is_a_guess(matrix, monkeypatch, profile):
    matrix.expected.cache_clear()
    monkeypatch.setitem(sys.modules, "ferlib.cost", None)
    assert matrix.expected("se_cnn-se", matrix.options({"profile": profile})) == matrix.UNKNOWN[profile]
    matrix.expected.cache_clear()


def test_the_cost_model_is_asked_for_the_row_the_device_and_the_threads(matrix, monkeypatch):
    cost = pytest.importorskip("ferlib.cost")
    matrix.expected.cache_clear()
    asked = []

    def seconds(row, *, device, threads):
        asked.append((row.id, row.epochs, device, threads))
        return 600.0

    monkeypatch.setattr(cost, "seconds", seconds)
    assert matrix.expected("se_cnn-se", matrix.options({"gres": "gpu:1", "threads": 2})) == 10
    assert matrix.expected("se_cnn-se", matrix.options({"profile": "quick"})) == 10
    assert asked == [("se_cnn-se", 100, "cuda", 2), ("se_cnn-se", quick(get("se_cnn-se")).epochs, "auto", 4)]
    matrix.expected.cache_clear()


# ---- a job --------------------------------------------------------------------------------------------------


@pytest.fixture
def run_job(tmp_path, monkeypatch):
    """Run job.py's main for se_cnn-se seed 0 with a stand-in for the training; returns status, marker and log."""
    job = importlib.import_module("job")

    def run(train):
        monkeypatch.setattr(job, "train", train)
        marker, log = tmp_path / "markers" / "seed0", tmp_path / "seed0.log"
        options = json.dumps({"results": str(tmp_path / "results"), "runs": str(tmp_path / "runs")})
        words = ["se_cnn-se", "0", "--threads", "2", "--marker", str(marker), "--log", str(log)]
        return job.main([*words, "--options", options]), marker, log.read_text()

    return run


def test_a_job_trains_says_so_and_leaves_its_marker(run_job, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    words = []

    def train(given):
        words.extend(given)
        print("epoch 1")
        write_record(tmp_path / "results", "se_cnn-se", 0, "full")
        return 0

    status, marker, log = run_job(train)
    assert status == 0 and marker.exists()
    assert re.search(
        r"started se_cnn-se seed 0 slurm=17 .*\nepoch 1\n.*finished .* status=0 .*record=full", log
    )
    assert words[:3] == ["se_cnn-se", "--seed", "0"] and words[words.index("--threads") + 1] == "2"
    assert pytest.importorskip("ferlib.train").arguments().parse_args(words).ids == ["se_cnn-se"]


def test_a_full_record_is_not_trained_again(run_job, tmp_path):
    write_record(tmp_path / "results", "se_cnn-se", 0, "full")
    status, marker, log = run_job(lambda words: pytest.fail("trained again"))
    assert status == 0 and marker.exists() and "already there" in log and "started" not in log


@pytest.mark.parametrize("status", [1, 75])
def test_a_job_that_stops_hands_its_status_on_and_leaves_no_marker(run_job, status, capfd):
    found, marker, log = run_job(lambda words: status)
    assert found == status and not marker.exists()
    assert f"stopped se_cnn-se seed 0 status={status}" in log
    assert "its log is" in capfd.readouterr().err


def test_a_fault_in_training_is_in_the_log(run_job, monkeypatch):
    job = importlib.import_module("job")
    train = pytest.importorskip("ferlib.train")
    monkeypatch.setattr(train, "main", lambda words, prog: 1 / 0)
    status, marker, log = run_job(job.train)
    assert status == 1 and not marker.exists() and "ZeroDivisionError" in log


def test_a_notebook_that_a_job_executed_is_kept_by_the_build(tmp_path, monkeypatch, capsys):
    chapter = importlib.import_module("chapter")
    source = 'profile = "quick"\ndata_root = None\ndevice = "auto"\nseed = 0'
    cells = [new_code_cell(source, metadata={"tags": ["parameters"]})]
    (tmp_path / "notebooks").mkdir()
    nbformat.write(new_notebook(cells=cells), tmp_path / "notebooks" / "trial.ipynb")
    marker = tmp_path / "marker"
    words = ["notebooks/trial", "--root", str(tmp_path), "--marker", str(marker)]
    assert chapter.main(words) == 0 and marker.exists()
    assert "executed" in capsys.readouterr().out
    assert chapter.main(words) == 0
    assert "unchanged, kept" in capsys.readouterr().out
    parameters = {"profile": "quick", "data_root": None, "device": "auto", "seed": 0}
    assert not runs.run_notebook(tmp_path, tmp_path / "_build", "notebooks/trial", parameters, False, 60)


# ---- profiles -----------------------------------------------------------------------------------------------


def test_profiles_are_yaml_and_name_no_machine():
    for name in ("local", "slurm"):
        text = (WORKFLOW / "profiles" / name / "config.yaml").read_text()
        assert isinstance(yaml.safe_load(text), dict)
    slurm = yaml.safe_load(text)
    assert slurm["executor"] == "slurm"
    # a controller that is away for an hour: see the comment in the profile
    assert slurm["slurm-status-attempts"] / slurm["max-status-checks-per-second"] >= 3600


# ---- with Snakemake -----------------------------------------------------------------------------------------


def snakemake(folder: Path, *arguments: str, **environment: str) -> str:
    """Output of an invocation in ``folder``; its exit status goes first."""
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "snakemake",
            "--snakefile",
            str(WORKFLOW / "Snakefile"),
            "--cores",
            "2",
            *arguments,
        ],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return f"{result.returncode}\n{result.stdout}{result.stderr}"


def jobs(output: str, rule: str) -> int:
    """How many jobs of a rule the table of a dry run counts."""
    found = re.search(rf"^{rule} +(\d+)$", output, re.M)
    return int(found[1]) if found else 0


@needs_snakemake
def test_the_graph_holds_the_pending_runs_with_their_resources(tmp_path):
    full = write_record(tmp_path / "results", "se_cnn-plain", 0, "full")
    write_record(tmp_path / "results", "se_cnn-se", 0, "reduced")
    os.utime(full, (0, 0))
    config = [
        "experiments=se_cnn-plain,se_cnn-se",
        "seeds=0,1",
        f"data_root={tmp_path}",
        "gres=gpu:1",
        "budget=90",
    ]
    output = snakemake(tmp_path, "--dry-run", "runs", "--config", *config)
    assert output.startswith("0\n"), output
    assert jobs(output, "run") == 3 and jobs(output, "notebook") == 0
    assert not re.search(r"experiment=se_cnn-plain, seed=0", output)
    resources = re.findall(r"^rule run:.*?resources: (.*?)$", output, re.M | re.S)
    assert len(resources) == 3
    for line in resources:
        assert "mem_mb=8000" in line and "gres=gpu:1" in line and "slurm_extra=--signal=TERM@120" in line
        assert int(re.search(r"runtime=(\d+)", line)[1]) <= 90


@needs_snakemake
def test_the_book_trains_only_what_was_selected(tmp_path):
    chapters = len(
        [p for p in book.toc_pages(ROOT / "_toc.yml") if book.page_source(ROOT, p).suffix == ".ipynb"]
    )
    alone = snakemake(tmp_path, "--dry-run", "book")
    assert (jobs(alone, "book"), jobs(alone, "notebook"), jobs(alone, "run")) == (1, chapters, 0), alone
    config = ["experiments=se_cnn-se", "seeds=90", "profile=quick"]
    both = snakemake(tmp_path, "--dry-run", "book", "--config", *config)
    assert (jobs(both, "book"), jobs(both, "notebook"), jobs(both, "run")) == (1, chapters, 1), both


@needs_snakemake
@pytest.mark.parametrize(
    ("config", "says"),
    [("paper=se_cnn", "did you mean papers"), ("experiments=se_cnn-sse", "did you mean")],
)
def test_a_wrong_option_is_told_in_a_line(tmp_path, config, says):
    output = snakemake(tmp_path, "--dry-run", "runs", "--config", config)
    assert output.startswith("1\n") and says in output and "Traceback" not in output


STAND_IN = '''
"""In the place of ferlib.train: stops once with 75, then writes the record."""
import sys, types
from pathlib import Path

def main(words, prog):
    sys.path.insert(0, TESTS)
    from test_workflow import write_record
    experiment, seed = words[0], int(words[2])
    tries = Path(words[words.index("--runs") + 1], f"tries-{experiment}-{seed}")
    tries.parent.mkdir(exist_ok=True)
    tries.write_text(tries.read_text() + "x" if tries.exists() else "x")
    if tries.read_text() == "x":
        return 75
    write_record(Path(words[words.index("--results") + 1]), experiment, seed, "full")
    return 0

sys.modules["ferlib.train"] = types.ModuleType("ferlib.train")
sys.modules["ferlib.train"].main = main
'''


@needs_snakemake
def test_a_run_that_stopped_in_good_order_is_tried_again_and_nothing_after_that(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(f"TESTS = {str(Path(__file__).parent)!r}\n{STAND_IN}")
    path = os.pathsep.join(filter(None, [str(tmp_path / "site"), os.environ.get("PYTHONPATH")]))
    config = ["experiments=se_cnn-se", "seeds=0,1", f"data_root={tmp_path}", "threads=1"]
    reduced = write_record(tmp_path / "results", "se_cnn-se", 0, "reduced")
    before = reduced.read_bytes()
    output = snakemake(tmp_path, "runs", "--config", *config, PYTHONPATH=path)
    assert output.startswith("0\n"), output
    for seed in (0, 1):
        log = (tmp_path / "runs" / "log" / "se_cnn-se" / f"seed{seed}.log").read_text()
        assert [len(re.findall(w, log)) for w in ("started", "stopped .* status=75", "finished")] == [2, 1, 1]
        assert records.state_of(tmp_path / "results", "se_cnn-se", seed) == "full"
    assert reduced.read_bytes() != before
    assert not list((tmp_path / ".snakemake" / "ferlib").iterdir())  # the markers went with the invocation
    again = snakemake(tmp_path, "--dry-run", "runs", "--config", *config)
    assert again.startswith("0\n") and jobs(again, "runs") == 1 and jobs(again, "run") == 0
