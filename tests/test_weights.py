"""Published weights: cards, checksums, runs and files, and what a network is shown."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toy import ROW, settings, toy

from ferlib import checkpoint, finished, records, train, weights
from ferlib.data.dataset import EXPRESSIONS, book_name
from ferlib.errors import FerlibError
from ferlib.experiments import get
from ferlib.models import build
from ferlib.pixels import Pixels

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[1]


def ready(row=ROW, classes=("low", "mid", "high"), channels=1, colour=False, side=36, **variant):
    torch.manual_seed(0)
    model = build(row.model, classes=len(classes), channels=channels, size=row.size, **row.variant).eval()
    facts = {"dataset": "toy", "accuracy": 0.75, "n": 20}
    return weights.Ready("net", row, classes, channels, colour, side, model, facts)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of one epoch: its folder, its data."""
    folder, data = tmp_path_factory.mktemp("run"), toy()
    train.run(replace(ROW, epochs=1), 0, settings(folder), data=data, original=ROW)
    return folder, data


def test_a_card_brings_back_the_same_network(tmp_path):
    one = ready()
    card = weights.save(one, tmp_path)
    assert weights.names(tmp_path) == ["net"]
    found = weights.load("net", tmp_path)
    x = one.prepare(toy().images[:4])
    torch.testing.assert_close(found.model(x)[0], one.model(x)[0], rtol=0, atol=0)
    assert (found.classes, found.row, found.facts) == (one.classes, one.row, one.facts)
    assert json.loads(card.read_text())["size"] == 36


def edited_card(folder):
    card = folder / "net.json"
    card.write_text(card.read_text().replace('"low"', '"lower"'))


def other_weights(folder):
    checkpoint.save_weights(torch.nn.Linear(2, 2), folder / "net.safetensors")


def short_card(folder):
    (folder / "net.json").write_text((folder / "net.json").read_text()[:100])


def no_weights(folder):
    (folder / "net.safetensors").unlink()


@pytest.mark.parametrize("damage", [edited_card, other_weights, short_card, no_weights])
def test_damage_is_told_in_one_line(tmp_path, damage):
    weights.save(ready(), tmp_path)
    damage(tmp_path)
    with pytest.raises(FerlibError) as error:
        weights.load("net", tmp_path)
    assert "net" in str(error.value) and "\n" not in str(error.value)


def test_unknown_name_says_what_there_is(tmp_path):
    with pytest.raises(FerlibError, match="ferlib run"):
        weights.load("none", tmp_path)
    weights.save(ready(), tmp_path)
    with pytest.raises(FerlibError, match="choose one of net"):
        weights.load("none", tmp_path)


def test_a_face_is_prepared_as_the_training_images_were():
    data = toy()
    row = replace(get("a_mobilenet-ckplus-a_mobilenet-scratch48"), size=64)
    one = ready(row, channels=3)
    expected = Pixels(data, "test", CPU, row.size, row.preprocess)
    torch.testing.assert_close(
        one.prepare(data.images[data.where("test")]), expected.finish(expected.batch(slice(None))[0])
    )


def test_colour_becomes_grey_and_large_pictures_are_brought_to_the_datasets_size():
    one, grey = ready(), toy().images[:1]
    colour = np.repeat(grey[..., None], 3, axis=3)
    torch.testing.assert_close(one.prepare(colour), one.prepare(grey))
    large = np.repeat(np.repeat(grey, 3, axis=1), 3, axis=2)
    assert one.prepare(large).shape == (1, 1, 36, 36)
    assert (one.prepare(large) - one.prepare(grey)).abs().mean() < 0.05
    rafdb = ready(replace(ROW, size=40), channels=3, colour=True)
    assert rafdb.prepare(grey).shape == (1, 3, 40, 40)


def test_a_run_by_its_record(run, monkeypatch):
    folder, data = run
    one = weights.from_run(ROW.id, 0, folder / "results", folder / "runs")
    assert one.classes == data.classes and "not compared" in one.about()
    assert one.facts["profile"] != "full" and f"({one.facts['profile']} run)" in one.about()
    monkeypatch.setattr(weights, "load_data", lambda row, root: data)
    one = weights.from_run(ROW.id, 0, folder / "results", folder / "runs", "somewhere")
    assert "not compared" not in one.about()
    monkeypatch.setattr(weights, "load_data", lambda row, root: toy(seed=1))
    with pytest.raises(FerlibError, match="not the data"):
        weights.from_run(ROW.id, 0, folder / "results", folder / "runs", "somewhere")


def test_weights_of_another_run_are_refused_where_the_data_are_there(run, tmp_path, monkeypatch):
    folder, data = run
    checkpoint.save_weights(ready().model, tmp_path / ROW.id / "seed0" / "best.safetensors")
    monkeypatch.setattr(weights, "load_data", lambda row, root: data)
    with pytest.raises(FerlibError, match="not the weights"):
        weights.from_run(ROW.id, 0, folder / "results", tmp_path, "somewhere")
    with pytest.raises(FerlibError, match="no such weights"):
        weights.from_run(ROW.id, 0, folder / "results", tmp_path / "nothing")


def test_files_of_a_run(run, tmp_path):
    folder, data = run
    place = checkpoint.folder_of(folder / "runs", ROW.id, 0)
    x = torch.rand(2, 1, 36, 36)
    best = weights.from_file(place / "best.safetensors", folder / "results")
    newest = weights.from_file(place / "checkpoint.pt", folder / "results")  # one epoch: it is the best
    torch.testing.assert_close(best.model(x)[0], newest.model(x)[0])
    lost = tmp_path / "lost.safetensors"
    lost.write_bytes((place / "best.safetensors").read_bytes())
    with pytest.raises(FerlibError, match="nothing tells its network"):
        weights.from_file(lost)
    weights.save(best, tmp_path)
    assert weights.from_file(tmp_path / f"{best.name}.safetensors").classes == data.classes


def test_export_keeps_the_figures_of_the_record(run, tmp_path):
    from ferlib import records

    folder, data = run
    record = records.read(records.path_of(folder / "results", ROW.id, 0))
    one = weights.from_run(ROW.id, 0, folder / "results", folder / "runs")
    weights.export(finished.Finished(record, one.row, data, one.model, 0.0), "toy", tmp_path)
    found = weights.load("toy", tmp_path)
    assert found.facts["accuracy"] == record["reproducible"]["result"]["val_selected"]["accuracy"]
    assert found.facts["record_sha256"] == record["sha256"]
    assert (found.side, found.colour, found.channels) == (36, False, 1)


def test_command_line(tmp_path, capsys):
    assert weights.main(["list", "--folder", str(tmp_path)]) == 0
    assert "none yet" in capsys.readouterr().out
    weights.save(ready(), tmp_path)
    assert weights.main(["list", "--folder", str(tmp_path)]) == 0
    assert "75.0 % of 20 test images" in capsys.readouterr().out
    assert weights.main(["export", "se_cnn-se", "--results", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("ferlib: ")


def test_the_published_weights_are_whole():
    for name in weights.names():
        assert set(weights.load(name).classes) <= set(EXPRESSIONS)  # whatever their dataset calls them


def test_a_network_speaks_of_classes_as_the_book_does(tmp_path):
    one = ready(classes=("neutral", "happiness", "sadness", "anger", "own name"))
    assert one.classes == ("neutral", "happy", "sad", "angry", "own name")
    assert json.loads(weights.save(one, tmp_path).read_text())["classes"] == list(one.classes)


def test_the_published_card_tells_class_by_class_what_the_record_holds(capsys):
    assert weights.main(["card", "house-ferplus"]) == 0
    text = capsys.readouterr().out
    card = json.loads((weights.FOLDER / "house-ferplus.json").read_text())
    record = records.read(records.path_of(ROOT / "results", "house-ferplus", card["record"]["seed"]))
    assert record["sha256"] == card["record"]["record_sha256"]
    recall = record["reproducible"]["result"]["val_selected"]["per_class_recall"]
    recall = {book_name(name): value for name, value in recall.items()}
    assert {book_name(name): value for name, value in card["record"]["recall"].items()} == recall
    for name in map(book_name, card["classes"]):
        assert f"  {name:<12} {100 * recall[name]:5.1f} % recall" in text
    assert card["use"] == weights.ABOUT_USE and all(line in text for line in weights.ABOUT_USE.values())
