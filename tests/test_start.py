"""A start from weights that the book publishes: which weights move over, and the rows that isolate it."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from ferlib import engine
from ferlib.errors import FerlibError
from ferlib.experiments import EXPERIMENTS, quick, settings_of
from ferlib.experiments.house import STARTS
from ferlib.models import build
from ferlib.models.start import PUBLISHED, from_published

FOLDS = ["", *(f"-grouped{k}" for k in range(5))]


def started(name: str, seed: int = 0):
    row = EXPERIMENTS[name]
    return engine.start(row, seed, 7, 1, torch.device("cpu")).model.state_dict()


def test_all_but_the_classifier_is_that_of_the_published_weights():
    theirs = load_file(PUBLISHED / "house-ferplus.safetensors")
    ours, random = started("house-ckplus-from_ferplus"), started("house-ckplus")
    assert ours.keys() == theirs.keys() == random.keys()
    for name, value in ours.items():
        source = random if name.startswith("classifier.") else theirs
        assert torch.equal(value, source[name]), name
    assert not torch.equal(random["stem.weight"], theirs["stem.weight"])


def test_the_seed_decides_the_classifier_alone():
    first, second = (started("house-ckplus-from_ferplus", seed) for seed in (0, 1))
    assert {name for name in first if not torch.equal(first[name], second[name])} == {
        "classifier.weight",
        "classifier.bias",
    }


@pytest.mark.parametrize("which", FOLDS)
def test_the_two_rows_differ_in_their_start_alone(which):
    first, second = (settings_of(EXPERIMENTS[f"house-ckplus{s}{which}"].to_dict()) for s in STARTS)
    assert {key for key in first if first[key] != second[key]} == {"id", "row", "pretrained"}
    theirs = settings_of(EXPERIMENTS[f"comparison-ckplus-se_cnn{which}"].to_dict())
    other = {key for key in first if first[key] != theirs.get(key)}
    assert other == {"id", "paper", "table", "row", "model", "variant"}


def test_a_demonstration_starts_from_random_weights():
    assert quick(EXPERIMENTS["house-ckplus-from_ferplus"]).pretrained is None


@pytest.mark.parametrize(
    ("name", "variant", "words"),
    [
        ("nothing", {}, "no published weights 'nothing'"),
        ("house-ferplus", {"stem": 24}, "of another network"),
    ],
)
def test_weights_that_do_not_fit_are_one_line(name, variant, words):
    with pytest.raises(FerlibError, match=words):
        from_published(build("small_resnet", classes=7, **variant), name)


def test_damaged_weights_are_one_line(tmp_path):
    for suffix in (".json", ".safetensors"):
        shutil.copy(PUBLISHED / f"house-ferplus{suffix}", tmp_path)
    weights = tmp_path / "house-ferplus.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(FerlibError, match="checksum is not that of its card"):
        from_published(build("small_resnet", classes=7), "house-ferplus", tmp_path)


def test_the_weights_are_those_that_the_records_started_from():
    """Other weights under this name are another experiment: they need rows of their own."""
    card = json.loads((PUBLISHED / "house-ferplus.json").read_text())
    assert card["weights_sha256"] == "57c5ddbf442a29a1b81e12f9e44af655895858927b6fa020d158a42d7c82a16f"
