"""What a notebook runs itself: its parameters, its folder, its faces, its demonstration and its whole rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from recorded import record

from ferlib import checkpoint, own_runs, records, train
from ferlib.data import is_there
from ferlib.errors import FerlibError
from ferlib.experiments import EXPERIMENTS, get, quick

BASELINE, FULL = get("amdcnn-ckplus-baseline"), get("amdcnn-ckplus-acs3")
CKPLUS = {"dataset": "ckplus", "profile": "full"}
HOW = {"data_root": None, "device": "cpu", "seed": 0, "retrain": False}
GIVEN = {"profile": "quick", **HOW, "results_dir": "results"}


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(own_runs, "say", lines.append)
    return lines


@pytest.fixture
def ran(monkeypatch):
    """Rows that would have been trained, with the settings."""
    calls = []
    monkeypatch.setattr(train, "run", lambda row, seed, settings: calls.append((row.id, seed, settings)))
    return calls


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"profile": "Full"}, "profile must be 'quick' or 'full', not 'Full'"),
        ({"retrain": "false"}, "retrain must be bool, not 'false'"),  # papermill makes text of it
        ({"seed": "1"}, "seed must be int, not '1'"),
        ({"seed": True}, "seed must be int, not True"),
        ({"results_dir": None}, "results_dir must be str, not None"),
    ],
)
def test_parameters_of_another_kind_are_refused(changed, message):
    with pytest.raises(FerlibError) as error:
        own_runs.begin(**{**GIVEN, **changed})
    assert message in str(error.value)


def test_a_notebook_opened_in_its_folder_works_in_the_root(tmp_path, monkeypatch):
    (tmp_path / "_toc.yml").touch()
    for folder in ("notebooks/mine", "results", "faces"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setattr(own_runs, "_opened_in", None)
    monkeypatch.chdir(tmp_path / "notebooks")
    assert own_runs.begin(**{**GIVEN, "data_root": "../faces"}) == (str(tmp_path / "faces"), "results")
    assert Path.cwd() == tmp_path
    assert own_runs.begin(**GIVEN) == (None, "results") and Path.cwd() == tmp_path
    # the first cells run again: seen from the notebook's folder as before
    assert own_runs.begin(**{**GIVEN, "data_root": "../faces"})[0] == str(tmp_path / "faces")
    assert own_runs.begin(**{**GIVEN, "results_dir": "mine"})[1] == str(tmp_path / "notebooks" / "mine")


def test_elsewhere_nothing_moves(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert own_runs.begin(**GIVEN) == (None, "results")
    assert Path.cwd() == tmp_path / "notebooks"


def test_the_demonstration_is_apart_from_the_results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        own_runs,
        "quick",
        lambda row, real: replace(quick(row, real=real), epochs=1, dataset_options={"n": 70}, batch=32),
    )
    shown = own_runs.run([BASELINE], profile="quick", results_dir="results", **HOW)
    ((title, part),) = shown.items()
    assert title == "baseline (synthetic, demonstration)"
    assert part["profile"] == "smoke"
    assert not (tmp_path / "results").exists()


def test_full_runs_only_what_has_no_full_record(tmp_path, ran, said):
    results = tmp_path / "mine" / "results"
    record(results, BASELINE.id, **CKPLUS)
    assert own_runs.run([BASELINE, FULL], profile="full", results_dir=str(results), **HOW) == {}
    assert [call[:2] for call in ran] == [(FULL.id, 0)]
    assert ran[0][2].runs == tmp_path / "mine" / "runs"  # beside the records
    assert BASELINE.id in said[0] and "kept" in said[0] and "trained" in said[1]


def test_a_kept_record_of_other_images_is_told(tmp_path, ran, said, monkeypatch):
    results = tmp_path / "results"
    path = record(results, BASELINE.id, **CKPLUS)

    class Own:
        fingerprint = "another"

    monkeypatch.setattr(train, "load_data", lambda *_: Own)
    how = {**HOW, "data_root": str(tmp_path), "profile": "full", "results_dir": str(results)}
    own_runs.run([BASELINE], **how)
    assert "of other images than yours" in said[0]
    Own.fingerprint = records.read(path)["reproducible"]["data"]["fingerprint"]
    own_runs.run([BASELINE], **how)
    assert "on the same images as yours" in said[1] and not ran
    monkeypatch.undo()
    assert "was not compared with your data (data folder" in own_runs.settled(
        BASELINE, 0, results, "/nowhere/at/all"
    )


def test_a_record_that_is_reduced_by_its_data_alone_is_kept_where_these_are_the_readers(
    tmp_path, monkeypatch
):
    path = record(tmp_path, BASELINE.id, dataset="ckplus", profile="reduced")
    part = records.read(path)["reproducible"]

    class Own:
        fingerprint = part["data"]["fingerprint"]

    monkeypatch.setattr(train, "load_data", lambda *_: Own)
    assert own_runs.settled(BASELINE, 0, tmp_path, None) == ""  # 34 of 100 epochs
    part["changed"] = ["data: counts differ from the published ones"]
    monkeypatch.setattr(records, "read", lambda _: {"reproducible": part})
    assert "holds a reduced record on the same images as yours" in own_runs.settled(
        BASELINE, 0, tmp_path, None
    )
    Own.fingerprint = "another"
    assert own_runs.settled(BASELINE, 0, tmp_path, None) == ""


def test_retrain_begins_again_where_a_run_had_ended_and_goes_on_elsewhere(tmp_path, ran, said):
    results = tmp_path / "results"
    for row in (BASELINE, FULL):
        record(results, row.id, **CKPLUS)
    ended = tmp_path / "runs" / BASELINE.id / "seed0"
    ended.mkdir(parents=True)
    (ended / "best.safetensors").touch()
    own_runs.run([BASELINE, FULL], profile="full", results_dir=str(results), **{**HOW, "retrain": True})
    assert [(call[0], call[2].restart) for call in ran] == [(BASELINE.id, True), (FULL.id, False)]


def test_retrain_begins_again_where_the_checkpoint_is_of_no_use(tmp_path, said, monkeypatch):
    asked = []

    def refuse(row, seed, settings):
        asked.append(settings.restart)
        if not settings.restart:
            raise checkpoint.Unusable("of another dataset")
        return tmp_path

    monkeypatch.setattr(train, "run", refuse)
    how = {"profile": "full", "results_dir": str(tmp_path / "results"), **HOW}
    with pytest.raises(checkpoint.Unusable):
        own_runs.run([BASELINE], **how)
    own_runs.run([BASELINE], **{**how, "retrain": True})
    assert asked == [False, False, True]


def test_every_results_folder_has_runs_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert own_runs.runs_beside("results") == Path("runs")
    assert own_runs.runs_beside("MINE/results") == Path("MINE/runs")
    assert own_runs.runs_beside("mine") == tmp_path / "mine-runs"
    assert own_runs.runs_beside(".") == Path(f"{tmp_path}-runs")


def test_votes_without_the_table_of_pixels_are_no_images(tmp_path):
    (tmp_path / "ferplus").mkdir()
    (tmp_path / "ferplus" / "fer2013new.csv").touch()
    (tmp_path / "fer2013" / "train" / "happy").mkdir(parents=True)
    assert not is_there("ferplus", tmp_path) and is_there("fer2013", tmp_path)
    (tmp_path / "fer2013" / "fer2013.csv").touch()
    assert is_there("ferplus", tmp_path)


def test_class_folders_of_fer2013_take_the_rows_for_them(tmp_path):
    """They merge PublicTest and PrivateTest, so that the official rows have no validation part there."""
    plain = get("se_cnn-plain")
    (tmp_path / "fer2013" / "train" / "happy").mkdir(parents=True)
    assert own_runs.as_held(plain, str(tmp_path)).id == "se_cnn-plain-merged"
    assert own_runs.as_held(BASELINE, str(tmp_path)) is BASELINE  # which has none
    (tmp_path / "fer2013" / "fer2013.csv").touch()
    assert own_runs.as_held(plain, str(tmp_path)) is plain


def test_the_faces_are_those_that_the_folder_holds(tmp_path, said, monkeypatch):
    choices = [(BASELINE, FULL), (get("amdcnn-fer2013-baseline"), get("amdcnn-fer2013-acs3"))]
    drawn = own_runs.faces(choices, None)
    assert drawn.rows == choices[0] and drawn.root is None and drawn.data.name == "synthetic" and not said
    nothing = own_runs.faces(choices, str(tmp_path))
    assert nothing.root is None and nothing.data.name == "synthetic"
    assert said == ["The data folder holds none of CK+48 and FER2013: drawn faces stand in here."]
    (tmp_path / "fer2013.csv").touch()
    asked = []
    monkeypatch.setattr(own_runs, "load", lambda name, root, **options: asked.append((name, options)))
    held = own_runs.faces(choices, str(tmp_path))
    assert held.rows == choices[1] and held.root == str(tmp_path)
    assert asked == [("fer2013", choices[1][1].dataset_options)]


@pytest.mark.parametrize("row", EXPERIMENTS.values(), ids=list(EXPERIMENTS))
def test_every_row_can_be_demonstrated_without_files(row):
    small, real = quick(row), quick(row, real=True)
    assert small.dataset == "synthetic" and small.augmentation == {}
    assert small.size <= 48
    assert not small.variant.get("pretrained")
    assert (real.dataset, real.augmentation) == (row.dataset, row.augmentation)
    assert real.dataset_options["subset"] == 3 * small.dataset_options["n"] and real.epochs > small.epochs
