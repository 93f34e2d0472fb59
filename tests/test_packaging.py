"""The repository's own files agree with each other: pins, table of contents, notebooks, make targets."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import nbformat
import pytest
import yaml
from typer.testing import CliRunner

import ferlib
from ferlib import book
from ferlib.cli import app

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def _project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _pins() -> list[str]:
    project = _project()
    return [*project["dependencies"], *project["optional-dependencies"]["dev"]]


def test_direct_dependencies_are_pinned_exactly():
    assert [pin for pin in _pins() if not re.fullmatch(r"[a-z0-9-]+==[\w.]+", pin)] == []


def test_environment_yml_has_the_pins_of_pyproject():
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    (pip,) = (entry["pip"] for entry in dependencies if isinstance(entry, dict))
    assert sorted(set(pip) - {"-e ."}) == sorted(_pins())
    assert any(str(entry).startswith("python>=3.11") for entry in dependencies)


def test_python_is_at_least_3_11():
    assert _project()["requires-python"] == ">=3.11"


def test_toc_pages_exist():
    for page in book.toc_pages(ROOT / "_toc.yml"):
        assert book.page_source(ROOT, page).is_file()


def test_book_configuration_never_executes_notebooks_itself():
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert config["execute"]["execute_notebooks"] == "off"
    assert config["only_build_toc_files"] is True
    assert config["sphinx"]["config"]["nb_ipywidgets_js"] == {}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_notebook_takes_the_six_parameters(path):
    defaults = book.notebook_parameters(path)
    assert set(book.PARAMETER_NAMES) <= set(defaults)
    assert {name: defaults[name] for name in book.PARAMETER_NAMES} == {
        "profile": "quick",
        "data_root": None,
        "device": "auto",
        "seed": 0,
        "retrain": False,
        "results_dir": "results",
    }


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_notebook_has_no_stored_outputs(path):
    nb = nbformat.read(path, as_version=4)
    for cell in nb.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
    assert "widgets" not in nb.metadata and "papermill" not in nb.metadata


def test_every_notebook_is_in_the_book():
    pages = book.toc_pages(ROOT / "_toc.yml")
    assert [p.name for p in NOTEBOOKS if f"notebooks/{p.stem}" not in pages] == []


def _make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "PYTHON")}
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


def test_make_alone_prints_help():
    result = _make(ROOT)
    assert result.returncode == 0
    assert "make book" in result.stdout and "make test" in result.stdout


def _env_with(folder: Path, script: str) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """``make env`` in a folder of its own with an interpreter that is ``script``."""
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "pyproject.toml").touch()
    python = folder / "python-of-the-test"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    return python, _make(folder, "env", f"PYTHON={python}")


def test_make_refuses_an_old_python_in_one_line(tmp_path):
    _, result = _env_with(tmp_path, "exit 1")
    assert result.returncode != 0
    first, *rest = result.stderr.splitlines()
    assert first.startswith("error:") and "3.11 or newer" in first
    assert all(line.startswith("make") for line in rest)
    assert not (tmp_path / ".venv").exists()


def test_make_says_that_a_newer_python_is_not_tested(tmp_path):
    python, result = _env_with(tmp_path, 'case "$2" in *"< (3, 11)"*) exit 0;; *) exit 1;; esac')
    assert result.returncode != 0  # it makes no environment
    assert result.stdout.startswith(
        f"note: {python} is newer than Python 3.12, the newest that this is tested with"
    )


def _targets(text: str) -> set[str]:
    return set(re.findall(r"\bmake[ \"',\]\[]+([a-z][a-z-]*)", text))


def test_the_container_takes_the_steps_of_the_readme():
    container = (ROOT / "Containerfile").read_text()
    steps = "\n".join(line for line in container.splitlines() if line.startswith(("RUN make", "CMD")))
    asked = _targets(steps)
    made = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert asked == {"env", "book"} and asked <= made
    assert asked - {"env"} <= _targets((ROOT / "README.md").read_text())  # which make the environment first


def test_records_made_in_the_container_name_what_its_image_was_told():
    """The arguments of the command that builds it reach the environment that `outcome.commit` reads."""
    container = (ROOT / "Containerfile").read_text()
    page = (ROOT / "book" / "running.md").read_text()
    for name, value in (("FERLIB_COMMIT", "commit"), ("FERLIB_MODIFIED", "changed")):
        assert f"ARG {name}" in container and f"{name}=${name}" in container
        assert f'--build-arg {name}="${value}"' in page and f"\n{value}=$(git " in page


def test_the_container_needs_no_data_to_build_the_book():
    """A data folder that is not mounted would stop it; who mounts one names it."""
    assert "FERLIB_DATA" not in (ROOT / "Containerfile").read_text()
    section = (
        (ROOT / "book" / "running.md").read_text().partition("## In a container")[2].partition("\n## ")[0]
    )
    assert "-e FERLIB_DATA=/data" in section and "--device nvidia.com/gpu=all" in section
    assert "book/running.md#in-a-container" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", [".dockerignore", ".containerignore"])
def test_the_image_copies_no_environment_and_nothing_built(name):
    patterns = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
    for path in (".git", ".venv", "_build", "runs", "ferlib.egg-info", ".mypy_cache", ".ruff_cache"):
        assert _ignored(path, patterns), path
    assert _ignored("ferlib/data/__pycache__", patterns) and _ignored("tests/.pytest_cache", patterns)
    kept = (
        "book",
        "ferlib",
        "notebooks",
        "results",
        "tests",
        "workflow",
        "Makefile",
        "pyproject.toml",
        ".ci",
    )
    assert [path for path in kept if _ignored(path, patterns)] == []


def _ignored(path: str, patterns: list[str]) -> bool:
    """Whether a pattern of an ignore file names ``path``: from the root, or anywhere behind ``**/``."""
    name = path.rpartition("/")[2]
    return any(
        fnmatch(name, pattern[3:]) if pattern.startswith("**/") else fnmatch(path, pattern)
        for pattern in patterns
    )


def test_licences_are_there():
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
    assert "Attribution 4.0 International" in (ROOT / "LICENSE-text").read_text()
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["license"] == ["MIT", "CC-BY-4.0"]
    cited = (ROOT / "book" / "cite.md").read_text()
    assert "MIT" in cited and "CC BY 4.0" in cited


def test_one_version_everywhere():
    package = _project()["version"]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]
    assert ferlib.__version__ == package == cited
    printed = re.search(r"version = \{(.+?)\}", (ROOT / "book" / "cite.md").read_text())
    released = str(yaml.safe_load((ROOT / "CITATION.cff").read_text())["date-released"])
    assert printed[1] == package
    assert re.search(r"year    = \{(\d+)\}", (ROOT / "book" / "cite.md").read_text())[1] == released[:4]


def test_the_release_checklist_names_what_exists():
    text = (ROOT / "RELEASING.md").read_text()
    files = re.findall(r"`([\w./-]+\.(?:toml|py|cff|json|yml))`", text)
    assert len(files) >= 5
    for name in files:
        assert (ROOT / name).exists() or (ROOT / ".github/workflows" / name).exists(), name
    for command, option in re.findall(r"`ferlib (\w+)(?: (--\w+))?", text):
        shown = CliRunner().invoke(app, [command, "--help"])
        assert shown.exit_code == 0 and (option or "") in shown.output, command


@pytest.mark.xdist_group("packaging")
def test_tests_of_one_group_stay_in_one_process(request):
    """What a module sets up once it would otherwise set up in every process, two browsers at a time."""
    if not getattr(request.config.option, "loadgroup", False):
        pytest.skip("not one of several processes that were told of groups")
    assert request.node.nodeid.endswith("@packaging")


def test_the_python_of_the_page_on_running_it_runs():
    page = (ROOT / "book" / "running.md").read_text()
    code = page.partition("```python\n")[2].partition("```")[0]
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shape, maps, names = done.stdout.strip().splitlines()
    assert shape.startswith("torch.Size([4, 7]) ['block1.se2',") and maps == "(4, 9, 9)"
    assert names.startswith("['")
