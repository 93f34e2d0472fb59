"""The rows of Wang & Zhang: one for each printed cell, one factor apart, and each of them trains."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rows import changed, factors
from toy import settings, stopped_and_resumed, toy

from ferlib import augment, engine, records, train
from ferlib.data import load
from ferlib.data.synthetic import load as synthetic
from ferlib.experiments.msca_resnet import FOLDS, NOT_IN_THE_PAPER, ROWS, TABLE_2, TABLE_3
from ferlib.forensics import compatible_counts
from ferlib.pixels import Pixels, class_weights
from ferlib.schedules import build_schedule

BY_ID = {row.id: row for row in ROWS}
DATASETS = {"FERPlus": "ferplus", "CK+": "ckplus"}
READINGS = {
    "image_cosine",
    "argmax",
    "one_sided",
    "one_pool",
}  # other readings of a cell that has its own row


def get(dataset, slug):
    return BY_ID[f"msca_resnet-{dataset}-{slug}"]


def slug(row):
    return row.id.split("-", 2)[2]


def cells():
    """(where, column) -> number of rows that answer a cell of it, readings left out."""
    return Counter((p.where, row.column) for row in ROWS if slug(row) not in READINGS for p in row.published)


def test_every_cell_of_the_papers_own_results_has_one_row():
    """Table 2: 5 schedules, Table 3: 4 modules, Table 4: the own row; two datasets each."""
    tables = {"Table 2": 5, "Table 3": 4, "Table 4": 1, "abstract": 1, "section 3.4.2": 1}
    assert cells() == {(where, column): n for where, n in tables.items() for column in DATASETS}


def test_ids_are_unique_and_tell_the_dataset():
    assert len(BY_ID) == len(ROWS) == 46
    assert all(row.id.startswith(f"msca_resnet-{DATASETS[row.column]}-") for row in ROWS)
    assert all(row.dataset == DATASETS[row.column] and row.paper == "msca_resnet" for row in ROWS)


def test_every_row_has_three_seeds_and_the_papers_settings():
    """Section 3.3: batches of 128 and 7, 200 epochs, 48 x 48, Adam."""
    for row in ROWS:
        assert len(row.seeds) >= 3 and row.epochs == 200 and row.size == 48 and row.early_stopping is None
        assert row.batch == {"ferplus": 128, "ckplus": 7}[row.dataset]
        assert row.optimiser["name"] == "adam"


RATE = {"schedule.name", "schedule.until", "schedule.rates"}
FACTOR = {
    **{name: RATE | {"optimiser.lr"} for name, *_ in TABLE_2.values()},
    "lr1e-3": RATE,  # the first rate of Table 1
    "plain": {"variant.se", "variant.bn"},
    "se": {"variant.bn"},
    "bn": {"variant.se"},
    "image_cosine": {"loss_options.over"},
    "cross_entropy": {"loss", "loss_options.over"},
    "argmax": {"dataset_options.rule"},
    "one_sided": {"augmentation.rotation"},
    "one_pool": {"variant.pools"},
    **{f"width{w}": {"variant.width"} for w in (32, 48, 96)},
}


@pytest.mark.parametrize("row", [r for r in ROWS if slug(r) in FACTOR], ids=lambda r: r.id)
def test_one_factor_changes_per_row(row):
    assert changed(row, get(row.dataset, "se_bn")) == FACTOR[slug(row)]


def test_rows_of_table_3_form_a_two_by_two():
    for dataset in DATASETS.values():
        assert changed(get(dataset, "plain"), get(dataset, "se")) == {"variant.se"}
        assert changed(get(dataset, "plain"), get(dataset, "bn")) == {"variant.bn"}


def test_grouped_rows_differ_from_their_variant_in_the_split_alone():
    grouped = [row for row in ROWS if "grouped" in row.id]
    assert {row.id for row in grouped} == {
        f"msca_resnet-ckplus-{v}-grouped{k}" for v in ("plain", "se", "bn", "se_bn") for k in range(FOLDS)
    }
    for row in grouped:
        other = BY_ID[row.id.rsplit("-", 1)[0]]
        assert {name.partition(".")[0] for name in changed(row, other)} == {"dataset_options"}
        assert row.published == () and row.table == NOT_IN_THE_PAPER


def test_no_two_rows_are_the_same_run():
    runs = [records.canonical(factors(row)) for row in ROWS]
    assert len(set(runs)) == len(runs)


def test_every_note_belongs_to_something_that_the_row_has():
    free = {"selection", "weights", "precision"}
    fields = set(ROWS[0].to_dict())
    for row in ROWS:
        names = {note.partition(".")[0] for note in row.assumed if note not in free}
        assert names <= fields, row.id
        for note in ("schedule.until", "loss_options.over", "dataset_options.rule"):
            field, option = note.split(".")
            assert (note in row.assumed) == (option in getattr(row, field)), (row.id, note)


def test_printed_accuracies_are_fractions_of_147_frames_and_of_no_fewer():
    values = [f"{p.value:.2f}" for row in ROWS if row.dataset == "ckplus" for p in row.published]
    fitting = [n for n in range(1, 982) if all(compatible_counts(v, n) for v in values)]
    assert fitting == [147, 294, 441, 588, 735, 882]
    assert int(0.15 * 981) == 147 == 21 * 7


@pytest.mark.parametrize("n", [3589, 3546, 3153])
def test_printed_accuracies_fit_no_usual_test_part_of_ferplus(n):
    values = {f"{p.value:.2f}" for row in ROWS if row.dataset == "ferplus" for p in row.published}
    assert len(values) == 8 and sum(bool(compatible_counts(v, n)) for v in values) <= 3


def test_splits_on_the_real_data(real_data):
    data = load("ckplus", real_data, **get("ckplus", "se_bn").dataset_options)
    assert {s: len(data.where(s)) for s in ("train", "val", "test")} == {"train": 750, "val": 84, "test": 147}
    tested = set()
    for fold in range(FOLDS):
        data = load("ckplus", real_data, **get("ckplus", f"se_bn-grouped{fold}").dataset_options)
        people = [set(data.subjects[data.where(s)]) for s in ("train", "val", "test")]
        assert sum(map(len, people)) == len(set.union(*people)) == 118
        tested |= set(data.ids[data.where("test")])
    assert len(tested) == 981


@pytest.mark.parametrize(
    ("name", "counts"), [("se_bn", "25,060 / 3,199 / 3,153"), ("argmax", "28,389 / 3,553 / 3,546")]
)
def test_ferplus_counts_are_those_of_the_note(real_data, name, counts):
    row = get("ferplus", name)
    data = load("ferplus", real_data, **row.dataset_options)
    assert " / ".join(f"{len(data.where(s)):,}" for s in ("train", "val", "test")) == counts
    assert any(counts in text for text in row.deviations)


# -- against the paper's text --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def paper():
    """The text with tables as lines of tab-separated cells."""
    folder = os.environ.get("FERLIB_PAPERS")
    found = sorted(Path(folder).glob("004_*.txt")) if folder else []
    if not found:
        pytest.skip("FERLIB_PAPERS does not name a folder with the paper's text")
    return found[0].read_text(encoding="utf-8")


def value_of(row, where):
    (value,) = [p.value for p in row.published if p.where == where]
    return f"{value / 100:.4f}"


def test_table_2_is_the_papers(paper):
    names = {rate: name for rate, (name, *_) in TABLE_2.items()} | {"Our learning rate strategy": "se_bn"}
    found = re.findall(r"^(0\.0*1|Our learning rate strategy)\t(0\.\d{4})\t(0\.\d{4})$", paper, re.M)
    assert len(found) == 5
    for rate, *values in found:
        assert values == [value_of(get(d, names[rate]), "Table 2") for d in DATASETS.values()]
        first = get("ckplus", names[rate]).optimiser["lr"]
        assert first == (0.001 if names[rate] == "se_bn" else float(rate))


def test_table_3_is_the_papers(paper):
    """A cross stands for what was left out; the ticks are lost in the text's cells."""
    found = re.findall(r"^([1-4])\t(×?)\t(×?)\t(0\.\d{4})\t(0\.\d{4})$", paper, re.M)
    assert [number for number, *_ in found] == ["1", "2", "3", "4"]
    for number, no_se, no_bn, *values in found:
        name = TABLE_3.get(int(number), ("se_bn",))[0]
        for dataset, value in zip(DATASETS.values(), values, strict=True):
            row = get(dataset, name)
            assert value == value_of(row, "Table 3")
            assert (row.variant["se"], row.variant["bn"]) == (not no_se, not no_bn)


def test_table_4_abstract_and_text_are_the_papers(paper):
    table = re.findall(r"Our methods?\t(0\.\d{4})", paper)
    assert table == [value_of(get(d, "se_bn"), "Table 4") for d in DATASETS.values()]
    abstract = re.search(r"reaches ([\d.]+)% and ([\d.]+)%", paper)
    text = re.search(r"accuracy of ([\d.]+)% and ([\d.]+)%", paper)
    for where, found in (("abstract", abstract), ("section 3.4.2", text)):
        expected = [float(value_of(get(d, "se_bn"), where)) * 100 for d in DATASETS.values()]
        assert [float(v) for v in found.groups()] == pytest.approx(expected)


def test_table_1_is_the_papers(paper):
    """'080 81120 121160 161180 >180' is 0-80, 81-120, ...: the text lost its dashes."""
    epochs, rates = (
        re.search(rf"^{name}\t(.*)$", paper, re.M)[1].split("\t") for name in ("Epoch", "Learning rate")
    )
    schedule = get("ckplus", "se_bn").schedule
    assert [float(r) for r in rates] == schedule["rates"]
    begins = [0, *(last + 1 for last in schedule["until"])]
    printed = [f"{a}{b}" for a, b in zip(begins, schedule["until"], strict=False)]
    assert epochs == [*printed, f">{schedule['until'][-1]}"]


# -- every row trains ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", [r for r in ROWS if "grouped" not in r.id], ids=lambda r: r.id)
def test_every_row_is_built(row):
    """Model, loss, optimiser, schedule, augmentation, pixels and class weights accept what the row says."""
    classes = {"ferplus": 8, "ckplus": 7}[row.dataset]
    state = engine.start(row, 0, classes, 1, torch.device("cpu"))
    logits, out = state.model.eval()(torch.zeros(2, 1, row.size, row.size))
    assert logits.shape == (2, classes) and out["features"].shape == (2, 4 * row.variant["width"])
    assert torch.isfinite(state.loss(logits, out, torch.arange(2)))
    augment.validate(row.augmentation)
    data = synthetic(n=35)
    assert len(Pixels(data, "train", torch.device("cpu"), row.size, row.preprocess))
    assert class_weights(data.labels, 7, row.balance) is None


def test_the_rates_of_200_epochs():
    """Table 1: 81, 40, 40, 20 and 19 epochs; the other rows of Table 2 keep theirs."""

    def rates(row):
        optimiser = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=row.optimiser["lr"])
        schedule = build_schedule(row.schedule, optimiser)
        found = Counter()
        for _ in range(row.epochs):
            found[schedule.epoch_rate()] += 1
            schedule.epoch_end({"val_accuracy": 0.5, "val_loss": 1.0})
        return found

    assert rates(get("ckplus", "se_bn")) == {1e-3: 81, 1e-4: 40, 1e-5: 40, 1e-6: 20, 5e-7: 19}
    for rate, (name, *_) in TABLE_2.items():
        assert rates(get("ferplus", name)) == {float(rate): 200}


DISTINCT = [
    get("ckplus", name)
    for name in (
        "se_bn",
        "plain",
        "se",
        "bn",
        "lr1e-2",
        "lr1e-5",
        "image_cosine",
        "cross_entropy",
        "one_sided",
    )
]


def small(row, **changes):
    """A second's work of the row: its narrowest net on few small images."""
    few = {"variant": {**row.variant, "width": 16}, "size": 24, "epochs": 1}
    return replace(row, **{"dataset": "synthetic", "dataset_options": {"n": 70}, **few, **changes})


@pytest.mark.parametrize("row", DISTINCT, ids=lambda r: r.id)
def test_every_distinct_configuration_trains_to_a_record(row, tmp_path):
    path = train.run(small(row), 0, settings(tmp_path), original=row)
    part = records.read(path)["reproducible"]
    assert part["profile"] == "smoke" and part["epochs_run"] == 1
    (line,) = part["history"]
    assert line["lr"] == row.optimiser["lr"]
    if row.loss == "cosine":
        assert -1 < line["train_loss"] < 0


STEPPED = small(
    get("ckplus", "se_bn"),
    dataset="toy",
    epochs=3,
    batch=16,
    schedule={"name": "table", "until": [0, 1], "rates": [1e-3, 1e-4, 1e-5]},
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return records.read(train.run(STEPPED, 0, settings(tmp_path_factory.mktemp("whole")), data=toy()))


@pytest.mark.parametrize("step", [2, 4, 7])
def test_a_stopped_run_resumes_to_the_same_record(whole, tmp_path, monkeypatch, step):
    """Within an epoch, at its end and after the rate has changed; an epoch has 4 batches."""
    resumed = stopped_and_resumed(STEPPED, step, settings(tmp_path), monkeypatch)
    assert resumed["sha256"] == whole["sha256"] and resumed["run"]["interruptions"] == 1
    assert [line["lr"] for line in whole["reproducible"]["history"]] == STEPPED.schedule["rates"]
