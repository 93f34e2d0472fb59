"""Tables of the chapters: from rows and records alone."""

from __future__ import annotations

from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from recorded import CLASSES, record
from statsmodels.stats.proportion import proportion_confint

from ferlib import couples, plots, records, tables
from ferlib.evaluate import wilson
from ferlib.experiments import get
from ferlib.models import build, count_parameters
from ferlib.statements import matrix_of

matplotlib.use("Agg")
CHOSEN = tables.READINGS["val_selected"]


def test_every_row_is_there_and_says_when_nothing_was_run(tmp_path):
    record(tmp_path, "se_cnn-se")
    frame = tables.against_paper("se_cnn", tmp_path).set_index("experiment")
    assert frame.loc["se_cnn-se", "published"] == "69.04 / 69.07"
    assert frame.loc["se_cnn-se", CHOSEN].startswith("70.00 [")
    assert frame.loc["se_cnn-se", "runs"] == "reduced, 1 seed, 34 epochs"
    assert frame.loc["se_cnn-plain", "runs"] == "not run yet"
    assert frame.loc["se_cnn-plain", CHOSEN] == "–"


def test_several_seeds_give_mean_deviation_and_range(tmp_path):
    for seed, accuracy in enumerate((0.6, 0.7, 0.8)):
        record(tmp_path, "se_cnn-se", seed, accuracy)
    cell = tables.against_paper("se_cnn", tmp_path).set_index("experiment").loc["se_cnn-se", CHOSEN]
    assert cell == "70.00 ± 10.00 (60.00–80.00)"


def test_smoke_runs_never_enter_a_results_table(tmp_path):
    record(tmp_path, "se_cnn-se", profile="smoke")
    assert set(tables.against_paper("se_cnn", tmp_path)["runs"]) == {"not run yet"}


def test_runs_on_synthetic_faces_never_enter_a_results_table(tmp_path):
    record(tmp_path, "se_cnn-se", dataset="synthetic")
    frame = tables.against_paper("se_cnn", tmp_path)
    assert set(frame["runs"]) == {"not run yet"}


def test_paired_comparison(tmp_path):
    record(tmp_path, "se_cnn-plain", accuracy=0.6)
    record(tmp_path, "se_cnn-se", accuracy=0.7)
    (pair,) = couples.pairs(tmp_path, "se_cnn-plain", "se_cnn-se")
    assert pair.difference == pytest.approx(10.0)
    assert (pair.only_first, pair.only_second) == (0, 10)
    assert pair.p == pytest.approx(2 / 2**10)
    assert pair.runs == "reduced, 34 epochs"
    line = couples.paired([pair, pair]).iloc[0]
    assert line["difference (points)"] == "+10.00" and line["last 10 epochs"] == "–"  # two epochs
    longer = couples.paired([replace(pair, last=(-0.5, 1.25))])
    assert longer["last 10 epochs"].tolist() == ["-0.50 ± 1.2"]
    assert float(line["after Holm"]) == pytest.approx(2 * pair.p, rel=0.05)
    assert couples.pairs(tmp_path, "se_cnn-plain", "se_cnn-plain-same") == []
    assert couples.paired([]).empty


def run_of(epochs, stopped, *changed):
    capped = (f"epochs: {epochs} of 300",) if stopped.startswith("capped") else ()
    return {"epochs_run": epochs, "stopped": stopped, "changed": [*changed, *capped]}


def test_runs_are_compared_where_they_were_shortened_alike():
    few = "training images: 9570 of the training part"
    capped = run_of(100, "capped at 100 epochs", few)
    ended, later = (run_of(epochs, "early stopping", few) for epochs in (90, 120))
    assert tables.shortened_alike(capped, run_of(100, "capped at 100 epochs", few))
    # its own end came before the other's cap, which would not have touched it; or after
    assert tables.shortened_alike(capped, ended) and tables.shortened_alike(ended, capped)
    assert not tables.shortened_alike(capped, later)
    assert tables.shortened_alike(ended, later)
    assert not tables.shortened_alike(capped, run_of(100, "capped at 100 epochs"))
    assert not tables.shortened_alike(ended, run_of(90, "early stopping"))
    assert not tables.shortened_alike(capped, run_of(300, "last epoch", few))
    assert not tables.shortened_alike(capped, run_of(99, "capped at 99 epochs", few))
    assert tables.shortened_alike(run_of(300, "last epoch"), run_of(200, "early stopping"))


def test_models_are_compared_on_the_same_seed_and_images_only(tmp_path):
    record(tmp_path, "se_cnn-plain", seed=0)
    record(tmp_path, "se_cnn-se", seed=1)
    assert couples.pairs(tmp_path, "se_cnn-plain", "se_cnn-se") == []
    record(tmp_path, "se_cnn-plain", seed=2, profile="full")
    record(tmp_path, "se_cnn-se", seed=2)
    assert couples.pairs(tmp_path, "se_cnn-plain", "se_cnn-se") == []
    record(tmp_path, "se_cnn-plain", seed=1, n=50)
    assert couples.pairs(tmp_path, "se_cnn-plain", "se_cnn-se") == []


def test_a_record_of_another_definition_of_the_row_is_not_shown(tmp_path):
    path = record(tmp_path, "se_cnn-se")
    old = records.read(path)
    part = {**old["reproducible"]}
    part["experiment"] = {**part["experiment"], "batch": 32}
    records.write(tmp_path, part, records.read_predictions(path), {}, "made by a test")
    assert tables.parts_of(tmp_path, "se_cnn-se") == []


def test_a_reduced_run_is_called_so(tmp_path):
    part = records.read(record(tmp_path, "se_cnn-se"))["reproducible"]
    assert tables.label(part) == "CNN with SE Blocks (reduced, 34 epochs)"


def test_layers_add_up():
    row = get("se_cnn-se")
    model = build(row.model, classes=7, **row.variant)
    frame = tables.layers(model)
    assert frame["parameters"].sum() == count_parameters(model)
    assert frame.set_index("layer").loc["block1.conv2", "multiply-adds"] == 9 * 32 * 64 * 44 * 44
    assert frame.set_index("layer").loc["block3.pool", "output"] == "256 × 2 × 2"


def test_loss_and_training_without_a_record():
    frame = tables.loss_and_training(get("se_cnn-plain"), None)
    assert list(frame["quantity"]) == ["training loss", "training accuracy", "test loss", "test accuracy"]
    assert set(frame["ours, evaluated"]) == {"–"}


def test_every_assumption_and_deviation_is_shown():
    row = get("se_cnn-se")
    assert list(tables.assumptions(row)["taken, and why"]) == list(row.assumed.values())
    shown = tables.deviations("se_cnn")
    assert all(text in set(shown["deviation"]) for text in row.deviations)


def test_figures_are_drawn(tmp_path):
    part = records.read(record(tmp_path, "se_cnn-se"))["reproducible"]
    plots.use_style()
    figures = [
        plots.confusion({"one": matrix_of([part]), "two": matrix_of([part], "merged")}),
        plots.curves({"one": part}, {"one": 69.04}),
        plots.intervals([("one", 60.0, 58.0, 62.0, 69.04), ("two", 61.0, 59.0, 63.0, None)]),
        plots.faces(np.zeros((3, 8, 8), np.uint8), ["a", "b", "c"]),
        plots.gates(np.random.default_rng(0).random((14, 16)), np.arange(14) % 7, CLASSES),
    ]
    for i, figure in enumerate(figures):
        figure.savefig(tmp_path / f"{i}.svg")
        assert (tmp_path / f"{i}.svg").stat().st_size > 2000


def test_frames_of_one_person_widen_the_interval(tmp_path):
    row = get("amdcnn-ckplus-baseline")
    ids = [f"S{i // 10:03d}_001_{i:08d}" for i in range(100)]
    record(tmp_path, row.id, 0, 0.6, dataset="ckplus", profile="full", ids=ids)
    (part,) = tables.parts_of(tmp_path, row.id)
    result = part["result"]["val_selected"]
    assert (result["n"], result["worth"]) == (100, 9)
    low, high = tables.bounds(0.6, result)
    expected = proportion_confint(0.6 * 9, 9, method="wilson")
    assert (low, high) == pytest.approx(expected)
    assert f"[{100 * low:.1f}, {100 * high:.1f}], n = 100" in tables.accuracy_cell([part], "val_selected")
    assert tables.images_of(result) == "100 test images, worth 9 independent ones"
    assert tables.images_of(result, result | {"worth": 20}).endswith("worth 14 independent ones")
    record(tmp_path, row.id, 0, 0.6, dataset="ckplus", profile="full")  # everyone once
    (part,) = tables.parts_of(tmp_path, row.id)
    assert tables.bounds(0.6, part["result"]["val_selected"]) == pytest.approx(wilson(60, 100), abs=0.01)


def test_seeds_of_other_images_have_no_common_mean(tmp_path, recwarn):
    """A reader's seed on an own copy of the data must not enter the mean of the repository's."""
    part = {"profile": "full", "seed": 0, "data": {"fingerprint": "a"}, "experiment": {"id": "x"}}
    other = {**part, "seed": 1, "data": {"fingerprint": "b"}}
    short = {**part, "seed": 2, "profile": "reduced"}
    assert tables.of_one_copy([part, short]) == [part, short] and not recwarn
    with pytest.warns(UserWarning, match="x: seed 1 is of other images than the first"):
        assert tables.of_one_copy([{**other, "profile": "reduced"}, part, short]) == [part, short]
    assert tables.of_one_copy([]) == []
    fewer = {
        **short,
        "data": {"fingerprint": "c"},
        "experiment": {"id": "x", "dataset_options": {"train_images": 9}},
    }
    assert tables.of_one_copy([part, fewer]) == [part, fewer]  # fewer training images of the same copy


def test_curves_of_a_few_epochs_have_no_half_ones():
    line = {f"{part}_{what}": 0.5 for part in ("train", "val", "test") for what in ("accuracy", "loss")}
    history = [line | {"epoch": epoch, "lr": 0.1} for epoch in range(3)]
    figure = plots.curves({"x": {"history": history, "best_epoch": 1}})
    ticks = figure.axes[-1].xaxis.get_major_locator().tick_values(1, 3)
    plots.close(figure)
    assert set(ticks) >= {1, 2, 3} and all(float(tick).is_integer() for tick in ticks)
