"""The command line: help that is enough, exit statuses, one-line errors, JSON for scripts."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from ferlib import cli
from ferlib.experiments import EXPERIMENTS

RUNNER = CliRunner()


def call(*arguments, **environment):
    return RUNNER.invoke(cli.app, list(arguments), env=environment)


OWN = ("run", "explain", "measure", "predict", "mood", "weights", "detect", "claims", "bench", "explorer")
HELPED = [
    [],
    ["data"],
    ["data", "check"],
    ["data", "fetch"],
    ["data", "import"],
    ["list"],
    ["book"],
    *([name] for name in OWN),
]


@pytest.mark.parametrize("words", HELPED)
def test_help(words):
    result = call(*words, "--help")
    assert result.exit_code == 0 and "usage" in result.stdout.lower()


def test_bad_usage_is_2():
    assert call("run").exit_code == 2
    assert call("run", "se_cnn-se", "--profile", "fast").exit_code == 2
    assert call("nothing").exit_code == 2


def test_list_as_json_names_every_experiment_and_seed(tmp_path):
    rows = json.loads(call("list", "--json", "--results", str(tmp_path)).stdout)
    assert len(rows) == sum(len(row.seeds) for row in EXPERIMENTS.values())
    assert {row["state"] for row in rows} == {"none"}


def test_costs_of_a_gpu_are_told_where_there_is_none():
    result = call("list", "--device", "cuda:1", "--json", "--paper", "se_cnn")
    assert result.exit_code == 0 and len(json.loads(result.stdout)) > 3
    assert call("list", "--device", "quantum").exit_code == 1


def test_list_ends_with_counts_of_all_runs_by_paper_and_dataset():
    """The counts take in the runs with a full record also where the lines above leave them out."""
    lines = call("list", "--pending", "--paper", "se_cnn").stdout.splitlines()
    blank = lines.index("")
    rows = json.loads(call("list", "--json", "--paper", "se_cnn").stdout)
    assert blank == sum(row["state"] != "full" for row in rows)
    assert lines[blank + 1].split()[:4] == ["runs", "full", "reduced", "none"]
    name, dataset, *counts = lines[blank + 2].split()[:5]
    assert (name, dataset) == ("se_cnn", "fer2013") and sum(map(int, counts)) == len(rows)
    assert lines[-1].startswith("all")


def test_data_check_of_the_synthetic_faces():
    result = call("data", "check", "synthetic", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)[0]["ok"] is True


def test_data_check_of_a_missing_dataset_is_1_and_shows_the_tree(tmp_path):
    result = call("data", "check", "fer2013", "--root", str(tmp_path))
    assert result.exit_code == 1
    assert "fer2013.csv" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "se_cnn-sea"],
        ["data", "check", "fer2014"],
        ["list", "--paper", "se_cn"],
        ["list", "--dataset", "fer2014"],
        ["data", "fetch", "rafdb", "--root", "."],
        ["run", "se_cnn-se", "--data-root", "/nowhere/at/all"],
    ],
)
def test_errors_are_one_line_on_stderr_and_exit_status_1(arguments):
    code = "import sys; from ferlib.cli import main; sys.argv = ['ferlib', *sys.argv[1:]]; main()"
    result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.startswith("ferlib: ") and result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
