"""The classifiers of an AMDCNN one by one."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from recorded import record
from torch.nn.functional import one_hot

from ferlib import heads, records
from ferlib.errors import FerlibError, RecordError
from ferlib.models import build

ID = "amdcnn-ckplus-acs3"


class Faces:
    """Ten images whose pixels do not matter, with the labels 0 to 9 of ten classes."""

    labels = torch.arange(10)

    def __len__(self):
        return 10

    def batch(self, part):
        return self.labels[part], self.labels[part]

    def finish(self, x):
        return x


class Fused(torch.nn.Module):
    """A main classifier that is right on 9 of the images, two auxiliary ones that are right on 4 and 7."""

    def forward(self, x):
        said = [torch.where(x < right, x, (x + 1) % 10) for right in (4, 7, 9)]
        logits = [one_hot(one, 10).float() for one in said]
        return logits[-1], {"aux": logits[:-1], "main": logits[-1]}

    def monitored(self):
        return {"alpha1": 0.2, "alpha2": 0.3, "alpha4": 0.5}


def run_of(model):
    row = SimpleNamespace(id=ID)
    return SimpleNamespace(model=model, row=row, pixels=lambda part, device: Faces())


def test_each_classifier_by_hand(monkeypatch):
    monkeypatch.setattr(heads, "BATCH", 3)
    found = heads.measure(run_of(Fused()), torch.device("cpu"))
    assert found == {
        "n": 10,
        "weights": {"alpha1": 0.2, "alpha2": 0.3, "alpha4": 0.5},
        "right": {"alpha1": 4, "alpha2": 7, "alpha4": 9},
    }
    assert heads.best_weighs_most(found) == (True, "40.0 % with 0.20, 70.0 % with 0.30, 90.0 % with 0.50")
    found["right"]["alpha1"] = 8
    assert heads.best_weighs_most(found)[0] is False


def test_the_network_names_its_classifiers_as_the_history_does():
    model = build("amdcnn", classes=7, auxiliary=2, attention="none").eval()
    with torch.no_grad():
        out = model(torch.rand(2, 1, 48, 48))[1]
    assert len(model.monitored()) == len([*out["aux"], out["main"]]) == 3


def test_a_network_with_one_classifier_is_refused():
    for model in (build("amdcnn", classes=7, auxiliary=0, attention="none"), torch.nn.Identity()):
        with pytest.raises(FerlibError, match="one classifier"):
            heads.measure(run_of(model), torch.device("cpu"))


def test_written_and_read(tmp_path):
    record(tmp_path, ID, 0, dataset="ckplus", profile="full")
    facts = {"n": 10, "weights": {"alpha1": 0.4, "alpha4": 0.6}, "right": {"alpha1": 3, "alpha4": 8}}
    path = heads.write(tmp_path, records.read(records.path_of(tmp_path, ID, 0)), facts)
    found = heads.read(tmp_path, ID, 0)
    assert {key: found[key] for key in facts} == facts
    assert list(heads.of_seeds(tmp_path, ID, [0, 1])) == [0]
    with pytest.raises(
        RecordError, match=r"no such file; .python -m ferlib.heads amdcnn-ckplus-acs3 --seed 1"
    ):
        record(tmp_path, ID, 1, dataset="ckplus", profile="full")
        heads.read(tmp_path, ID, 1)
    text = path.read_text()
    path.write_text(text.replace('"alpha4": 8', '"alpha4": 9'))
    with pytest.raises(RecordError, match="checksum"):
        heads.read(tmp_path, ID, 0)
    path.write_text(json.dumps({key: json.loads(text)[key] for key in ("n", "schema")}))
    with pytest.raises(RecordError, match="cannot be read"):
        heads.read(tmp_path, ID, 0)
    path.write_text(text)
    record(tmp_path, ID, 0, 0.9, dataset="ckplus", profile="full")
    with pytest.raises(RecordError, match="another run"):
        heads.read(tmp_path, ID, 0)
    assert heads.of_seeds(tmp_path, ID, [0]) == {}


def test_committed_files_belong_to_their_records():
    """The fused prediction may not be worse than every classifier; each weight is that of the chosen epoch."""
    for path in sorted(records.committed()[0].parents[1].glob("*/heads-seed*.json")):
        experiment, seed = path.parent.name, int(path.stem.removeprefix("heads-seed"))
        found = heads.read(path.parents[1], experiment, seed)
        part = records.read(records.path_of(path.parents[1], experiment, seed))["reproducible"]
        chosen = part["history"][part["best_epoch"]]
        assert found["n"] == part["result"]["val_selected"]["n"]
        assert np.allclose(
            [chosen[name] for name in found["weights"]], list(found["weights"].values()), atol=1e-4
        )


def test_command_tells_what_is_missing(tmp_path, capsys):
    record(tmp_path, ID, 0, dataset="ckplus", profile="full")
    assert heads.main([ID, "--results", str(tmp_path), "--runs", str(tmp_path / "runs")]) == 1
    assert "no such weights" in capsys.readouterr().err
    assert heads.main([ID, "--seed", "-1"]) == 2
    assert heads.main([ID, "--results", str(tmp_path / "none")]) == 1
    negative, missing = capsys.readouterr().err.splitlines()
    assert "must not be negative" in negative and "no records" in missing
