"""Records: written whole or not at all, believed only when intact."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ferlib import records
from ferlib.errors import RecordError

ARRAYS = {"val_selected_test_logits": np.zeros((4, 3), np.float16), "test_labels": np.zeros(4, np.int8)}


def part(**changes):
    base = {
        "experiment": {"id": "toy"},
        "seed": 0,
        "profile": "full",
        "changed": [],
        "data": {},
        "environment": {},
        "history": [],
        "epochs_run": 5,
        "stopped": "last epoch",
        "best_epoch": 4,
        "result": {},
    }
    return {**base, **changes}


def write(folder, **changes):
    return records.write(folder, part(**changes), ARRAYS, {"wall_seconds": 1.0}, "ferlib run toy")


def test_round_trip(tmp_path):
    path = write(tmp_path)
    assert path == tmp_path / "toy" / "seed0.json"
    assert records.read(path)["reproducible"]["epochs_run"] == 5
    assert set(records.read_predictions(path)) == set(ARRAYS)
    assert [p.name for p in path.parent.iterdir() if p.name.startswith(".")] == []


def test_times_do_not_enter_the_checksum(tmp_path):
    first = records.read(write(tmp_path / "a"))
    second = records.read(records.write(tmp_path / "b", part(), ARRAYS, {"wall_seconds": 99.0}, "other"))
    assert first["sha256"] == second["sha256"]


def test_an_edited_number_is_noticed(tmp_path):
    path = write(tmp_path)
    record = json.loads(path.read_text())
    record["reproducible"]["epochs_run"] = 100
    path.write_text(json.dumps(record))
    with pytest.raises(RecordError, match="checksum"):
        records.read(path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 0}', '{"schema": 1}'])
def test_damaged_records_are_one_line(tmp_path, text):
    path = write(tmp_path)
    path.write_text(text)
    with pytest.raises(RecordError) as error:
        records.read(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)


@pytest.mark.parametrize("key", records.REPRODUCIBLE_KEYS)
def test_every_part_is_required(tmp_path, key):
    record = records.read(write(tmp_path))
    del record["reproducible"][key]
    record["sha256"] = records.sha256(record["reproducible"])
    with pytest.raises(RecordError, match=key):
        records.validate(record, "it")


def test_full_means_unchanged(tmp_path):
    with pytest.raises(RecordError, match="'full' but changed"):
        write(tmp_path, changed=["epochs: 34 of 100"])


def test_predictions_of_another_run_are_refused(tmp_path):
    path = write(tmp_path)
    np.savez(path.with_suffix(".npz"), **{**ARRAYS, "test_labels": np.ones(4, np.int8)})
    with pytest.raises(RecordError, match="does not belong"):
        records.read_predictions(path)


def test_what_was_read_once_is_read_anew_where_it_changed_and_is_nobodys(tmp_path):
    path = write(tmp_path)
    first, arrays = records.read(path), records.read_predictions(path)
    first["reproducible"]["profile"] = "changed"
    name = next(iter(arrays))
    kept = arrays[name].copy()
    arrays[name][...] = 0
    assert records.read(path)["reproducible"]["profile"] != "changed"
    assert np.array_equal(records.read_predictions(path)[name], kept)
    good = path.with_suffix(".npz").read_bytes()
    np.savez(path.with_suffix(".npz"), **{name: kept[::-1]})
    with pytest.raises(RecordError, match="does not belong to its record"):
        records.read_predictions(path)
    path.with_suffix(".npz").write_bytes(good)
    assert np.array_equal(records.read_predictions(path)[name], kept)


def test_nan_never_enters(tmp_path):
    with pytest.raises(ValueError, match="Out of range"):
        write(tmp_path, result={"accuracy": float("nan")})
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize(
    ("old", "new", "kept"),
    [
        (("full", 5), ("reduced", 50), True),
        (("reduced", 50), ("smoke", 60), True),
        (("reduced", 50), ("reduced", 40), True),
        (("reduced", 40), ("reduced", 50), False),
        (("reduced", 50), ("full", 5), False),
    ],
)
def test_evidence_only_grows(tmp_path, old, new, kept):
    def changes(profile, epochs):
        return {"profile": profile, "epochs_run": epochs, "changed": [] if profile == "full" else ["x"]}

    path = write(tmp_path, **changes(*old))
    if kept:
        with pytest.raises(RecordError, match="more evidence"):
            write(tmp_path, **changes(*new))
    else:
        write(tmp_path, **changes(*new))
    assert records.read(path)["reproducible"]["profile"] == (old if kept else new)[0]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail(file):
        file.write(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        records.write_atomically(path, fail)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_damaged_record_does_not_cost_the_run_that_replaces_it(tmp_path):
    path = write(tmp_path)
    path.write_text("{")
    assert records.read(write(tmp_path))["reproducible"]["epochs_run"] == 5
    assert (path.parent / "seed0.json.damaged").read_text() == "{"


def test_load_all_sorts_by_number(tmp_path):
    for seed in (10, 2, 0):
        write(tmp_path, seed=seed)
    (tmp_path / "toy" / "seed0 copy.json").write_text("{}")  # not the name of a record
    assert [r["reproducible"]["seed"] for r in records.load_all(tmp_path, "toy")] == [0, 2, 10]
    assert records.load_all(tmp_path, "nothing") == []


def test_committed_records_are_valid_and_never_smoke():
    for path in sorted(records.committed()):
        record = records.read(path)
        records.read_predictions(path)
        assert record["reproducible"]["profile"] in ("full", "reduced"), path
        assert record["reproducible"]["data"]["name"] != "synthetic", path
