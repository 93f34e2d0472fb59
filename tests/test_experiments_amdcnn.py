"""The rows of Shang et al.: one for each printed cell, one factor apart, and each of them trains."""

from __future__ import annotations

import inspect
import math
import os
import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from rows import changed, factors
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
from toy import settings, stopped_and_resumed, toy

from ferlib import augment, engine, records, train
from ferlib.data import load
from ferlib.data.dataset import FaceDataset
from ferlib.data.ferplus_votes import targets, votes_file
from ferlib.data.synthetic import load as synthetic
from ferlib.experiments.amdcnn import (
    COLUMNS,
    ELSEWHERE,
    FOLDS,
    NOT_IN_THE_PAPER,
    QUANTITIES,
    ROWS,
    TABLE_3,
    TABLE_8,
)
from ferlib.forensics import compatible_counts
from ferlib.models.amdcnn import AMDCNN
from ferlib.models.amdcnn_readings import count, enumerate_readings, settled
from ferlib.pixels import Pixels, class_weights

BY_ID = {row.id: row for row in ROWS}
READINGS = {"acs3-norm_once", "mcbam-test30"}  # other readings of a cell that has its own row
CONTROLS = {"acs3-noflip", *(f"{v}-grouped{k}" for v in ("baseline", "mcbam", "acs3") for k in range(FOLDS))}


def get(dataset, slug):
    return BY_ID[f"amdcnn-{dataset}-{slug}"]


def slug(row):
    return row.id.split("-", 2)[2]


def printed(row, where, quantity="test accuracy"):
    return [p.value for p in row.published if (p.quantity, p.where) == (quantity, where)]


# -- the rows against the tables -----------------------------------------------------------------------------


def test_every_cell_of_the_papers_own_results_has_one_row():
    """Table 3: 4 datasets, 5 quantities each; Table 8: 6 variants on 4 datasets; Tables 4 to 7: the own lines."""
    tables = Counter(
        (p.where, p.quantity, row.column)
        for row in ROWS
        if slug(row) not in READINGS
        for p in row.published
        if p.where.startswith("Table")
    )
    columns = COLUMNS.values()
    assert tables == {
        **{("Table 3", quantity, column): 1 for quantity in QUANTITIES for column in columns},
        **{("Table 8", "test accuracy", column): 6 for column in columns},
        **{(f"Table {4 + i}", "test accuracy", column): 1 for i, column in enumerate(columns)},
        **{(f"Table {4 + i}", "parameters (million)", column): 1 for i, column in enumerate(columns)},
    }


def test_the_full_model_answers_both_tables():
    for dataset in COLUMNS:
        row = get(dataset, "acs3")
        assert printed(row, "Table 3") == printed(row, "Table 8") == [TABLE_3[dataset][0]]
        assert row.table == "Tables 3 and 8" and row.row == "baseline+MCBAM+3ACs"


def test_ids_are_unique_and_tell_the_dataset():
    assert len(BY_ID) == len(ROWS) == 24 + len(READINGS) + len(CONTROLS) + 1  # -noflip on two datasets
    for row in ROWS:
        assert row.id.startswith(f"amdcnn-{row.dataset}-") and row.column == COLUMNS[row.dataset]
        assert (row.paper, row.model) == ("amdcnn", "amdcnn")
    assert {slug(r) for r in ROWS} == set(TABLE_8) | READINGS | CONTROLS


def test_every_row_has_three_seeds_and_the_papers_settings():
    """Table 2: 300 epochs, rate 1e-4, patience 50, balanced weights; Table 3: batches; section IV.C: Adam, flips."""
    for row in ROWS:
        assert row.seeds == (0, 1, 2) and row.epochs == 300 and row.early_stopping == 50
        assert row.batch == (8 if row.dataset == "ckplus" else 32)
        assert (row.optimiser["name"], row.optimiser["lr"]) == ("adam", 0.0001)
        assert row.balance == {"weights": "balanced"} and row.loss == "am_softmax"
        assert {"hflip", "perspective"} <= row.augmentation.keys()
        assert ("vflip" in row.augmentation) == (not row.id.endswith("-noflip"))


def test_rows_with_little_time_left_are_not_the_first_ones():
    """The full model and its baseline lead; what needs licensed images comes last."""
    assert [row.id for row in ROWS[:2]] == ["amdcnn-fer2013-acs3", "amdcnn-fer2013-baseline"]
    assert {slug(row) for row in ROWS[2:8]} == set(TABLE_8) and {r.dataset for r in ROWS[2:8]} == {"ckplus"}
    assert [row.dataset for row in ROWS].index("rafdb") == len(ROWS) - 6


@pytest.mark.parametrize("dataset", COLUMNS)
def test_each_step_of_table_8_changes_one_factor(dataset):
    steps = [changed(get(dataset, a), get(dataset, b)) for a, b in pairwise(TABLE_8)]
    assert steps == [{"variant.attention"}] * 2 + [{"variant.auxiliary"}] * 3


@pytest.mark.parametrize("name", TABLE_8)
def test_datasets_differ_in_what_the_paper_says(name):
    """Nothing but the data, Table 3's batch and RAF-DB's own images."""
    base = get("fer2013", name)
    data = {"dataset", "dataset_options.protocol"}
    options = {"dataset_options.rule", "dataset_options.classes"}
    assert changed(get("ferplus", name), base) == data | options
    assert changed(get("ckplus", name), base) == data | {"dataset_options.test_fraction", "batch"}
    assert changed(get("rafdb", name), base) == data | {"size", "preprocess.channels"}


@pytest.mark.parametrize(
    ("dataset", "name", "factor"),
    [
        ("ckplus", "acs3-noflip", "augmentation.vflip"),
        ("fer2013", "acs3-noflip", "augmentation.vflip"),
        ("ckplus", "acs3-norm_once", "variant.norm"),
        ("ckplus", "mcbam-test30", "dataset_options.test_fraction"),
    ],
)
def test_one_factor_changes_per_row_of_ours(dataset, name, factor):
    row, base = get(dataset, name), get(dataset, name.partition("-")[0])
    assert changed(row, base) == {factor}
    assert row.row.startswith(f"{base.row} (")
    kept = name in READINGS
    assert (row.published, row.table) == ((base.published, base.table) if kept else ((), NOT_IN_THE_PAPER))


def test_grouped_rows_differ_from_their_variant_in_the_split_alone():
    for name in ("baseline", "mcbam", "acs3"):
        for fold in range(FOLDS):
            row = get("ckplus", f"{name}-grouped{fold}")
            assert {n.partition(".")[0] for n in changed(row, get("ckplus", name))} == {"dataset_options"}
            assert row.dataset_options == {"protocol": "subjects", "folds": FOLDS, "fold": fold}
            assert row.published == () and row.table == NOT_IN_THE_PAPER


def test_no_two_rows_are_the_same_run():
    runs = [records.canonical(factors(row)) for row in ROWS]
    assert len(set(runs)) == len(runs)


def test_every_note_belongs_to_something_that_the_row_has():
    free = {"selection", "weights", "precision", "variant.pool"}
    arguments = set(inspect.signature(AMDCNN).parameters)
    for row in ROWS:
        for note in row.assumed.keys() - free:
            field, _, option = note.partition(".")
            assert field in row.to_dict(), note
            known = arguments if field == "variant" else getattr(row, field)
            assert not option or option in known, (row.id, note)
        attention, auxiliary = row.variant["attention"], row.variant["auxiliary"]
        assert ("variant.ratio" in row.assumed) == (attention != "none")
        assert ("variant.fusion" in row.assumed) == (attention == "mcbam")
        assert ("variant.attention" in row.assumed) == (attention == "cbam")
        assert ("loss_options.auxiliary" in row.assumed) == (auxiliary > 0)
        assert set(row.loss_options) - {"auxiliary"} <= {n.partition(".")[2] for n in row.assumed}


# -- what the printed figures tell of the data ---------------------------------------------------------------

ON_CKPLUS = [f"{values[3]:.2f}" for *_, values in TABLE_8.values()]


def test_no_number_of_frames_fits_more_than_four_of_the_six_accuracies_on_ckplus():
    fitting = {n: [v for v in ON_CKPLUS if compatible_counts(v, n)] for n in range(1, 982)}
    assert max(map(len, fitting.values())) == 4
    assert min(n for n, values in fitting.items() if len(values) >= 3) == 295  # three tenths, rounded up
    assert {v: compatible_counts(v, 295) for v in fitting[295]} == {
        "98.31": [290],
        "98.64": [291],
        "98.98": [292],
    }
    parts = [get("ckplus", name).dataset_options["test_fraction"] for name in ("acs3", "mcbam-test30")]
    assert [math.ceil(part * 981) for part in parts] == [197, 295]
    assert fitting[197] == ["98.98", "99.49"] and compatible_counts("99.49", 197) == [196]


def test_one_surprise_frame_taken_for_a_class_of_nine_or_ten_gives_table_3_on_ckplus():
    """Of a fifth of the 981 frames; the class of surprise has 249 and its part matters little."""
    matching = set()
    for taken_for in range(1, 60):
        labels = np.repeat([0, 1, 2], [taken_for, 50, 147 - taken_for])
        predicted = labels.copy()
        predicted[taken_for] = 0
        scores = precision_recall_fscore_support(labels, predicted, average="weighted")[:3]
        if [round(100 * s, 2) for s in (accuracy_score(labels, predicted), *scores)] == [
            *TABLE_3["ckplus"][:4]
        ]:
            matching.add(taken_for)
    assert matching == {9, 10}


def test_splits_on_the_real_data(real_data):
    def sizes(name):
        data = load("ckplus", real_data, **get("ckplus", name).dataset_options)
        return data, [len(data.where(s)) for s in ("train", "val", "test")]

    assert sizes("acs3")[1] == [705, 79, 197] and 705 % 8 == 1  # the batch of one that the note tells of
    assert sizes("mcbam-test30")[1] == [617, 69, 295]
    tested = set()
    for fold in range(FOLDS):
        data, parts = sizes(f"acs3-grouped{fold}")
        people = [set(data.subjects[data.where(s)]) for s in ("train", "val", "test")]
        assert sum(map(len, people)) == len(set.union(*people)) == 118
        assert parts[0] % 8 != 1
        tested |= set(data.ids[data.where("test")])
    assert len(tested) == 981


def test_the_printed_35485_images_of_ferplus_are_the_files_of_the_argmax_rule(real_data):
    """From the votes alone; the loader marks a second row of the same file name by #."""
    row = get("ferplus", "acs3")
    usage, names, votes = votes_file(real_data / "ferplus" / "fer2013new.csv")
    weights = targets(votes, row.dataset_options["rule"])
    labelled = weights.max(axis=1) > 0
    second = np.array(["#" in name for name in names])
    assert [int(part.sum()) for part in (labelled, labelled & second)] == [35488, 3]
    files = [int((labelled & ~second & (usage == part)).sum()) for part in ("train", "val", "test")]
    assert files == [28386, 3553, 3546] and sum(files) == 35485
    used = labelled & (weights.argmax(axis=1) < row.dataset_options["classes"])
    counts = " / ".join(f"{(used & (usage == part)).sum():,}" for part in ("train", "val", "test"))
    assert row.deviations[0].startswith(counts) and int((used & second).sum()) == 3


def test_size_and_channels_of_rafdb_are_those_that_the_printed_flops_tell():
    row = get("rafdb", "acs3")
    by_channels = {channels: settled(enumerate_readings(channels)) for channels in (1, 3)}
    best = min(by_channels, key=lambda channels: by_channels[channels]["miss"])
    assert best == row.preprocess["channels"] and by_channels[best]["rafdb_size"] == row.size
    defaults = {k: p.default for k, p in inspect.signature(AMDCNN).parameters.items()}
    ours = count(defaults, size=row.size).multiply_adds / 633.31e6
    assert 0.996 < ours < 1 and 5 < count(defaults, size=224).multiply_adds / 633.31e6 < 5.5


# -- against the paper's text --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def paper():
    """The text with tables as lines of tab-separated cells."""
    folder = os.environ.get("FERLIB_PAPERS")
    found = sorted(Path(folder).glob("000_*.txt")) if folder else []
    if not found:
        pytest.skip("FERLIB_PAPERS does not name a folder with the paper's text")
    return found[0].read_text(encoding="utf-8")


def lines_of(paper, number):
    """Cells of a table's lines, without its header."""
    block = re.search(rf"^TABLE {number}\. .*\n\n((?:.*\t.*\n)+)", paper, re.M)[1]
    return [line.split("\t") for line in block.splitlines()][1:]


def test_table_2_is_the_papers(paper):
    row = get("fer2013", "acs3")
    assert dict(lines_of(paper, 2)) == {
        "epochs": str(row.epochs),
        "batch_size": f"{row.batch} / {get('ckplus', 'acs3').batch}",
        "learning_rate": f"{row.optimiser['lr']:.4f}",
        "patience": str(row.early_stopping),
        "compute_sample_weight": row.balance["weights"],
    }


def test_table_3_is_the_papers(paper):
    lines = lines_of(paper, 3)
    assert [line[0].lower().replace("-", "").replace("+", "plus") for line in lines] == list(COLUMNS)
    for dataset, (_, batch, *values, flops) in zip(COLUMNS, lines, strict=True):
        row = get(dataset, "acs3")
        assert row.batch == int(batch)
        table = [p.value for p in row.published if p.where == "Table 3"]
        assert [*(f"{v / 100:.4f}" for v in table[:4]), f"{table[4]:.2f}"] == [*values, flops]


def test_table_8_is_the_papers(paper):
    for name, (title, *values) in zip(TABLE_8, lines_of(paper, 8), strict=True):
        for dataset, value in zip(COLUMNS, values, strict=True):
            row = get(dataset, name)
            assert row.row == title and [f"{v / 100:.4f}" for v in printed(row, "Table 8")] == [value]
            assert row.variant["auxiliary"] == int(re.search(r"(\d?)ACs|$", title)[1] or 0)
            assert (row.variant["attention"] in title.lower()) != (row.variant["attention"] == "none")


def test_tables_4_to_7_are_the_papers(paper):
    for dataset, (table, *_) in ELSEWHERE.items():
        (ours,) = [line for line in lines_of(paper, table[-1]) if line[0] == "Ours"]
        row = get(dataset, "acs3")
        (accuracy,), (parameters,) = printed(row, table), printed(row, table, "parameters (million)")
        assert ours == ["Ours", f"{parameters:g}", f"{accuracy / 100:.4f}"]


PLACES = {
    "abstract": ("ABSTRACT", "INDEX TERMS"),
    "section V.A": ("A. EXPERIMENTAL RESULTS AND COMPARISON", "1) EXPERIMENTS WITH"),
    "section V.A.1": ("1) EXPERIMENTS WITH", "2) EXPERIMENTS WITH"),
    "section V.A.2": ("2) EXPERIMENTS WITH", "3) EXPERIMENTS WITH"),
    "section V.A.3": ("3) EXPERIMENTS WITH", "4) EXPERIMENTS WITH"),
    "section V.A.4": ("4) EXPERIMENTS WITH", "B. ABLATION EXPERIMENTS"),
    "section VI": ("VI. DISCUSSION", "VII. CONCLUSION"),
    "section VII": ("VII. CONCLUSION", "ACKNOWLEDGMENT"),
}


def test_what_stands_in_the_text_is_the_papers(paper):
    prose = "\n".join(line for line in paper.splitlines() if "\t" not in line)
    checked = 0
    for row in ROWS:
        for p in (p for p in row.published if not p.where.startswith("Table")):
            begin, end = PLACES[p.where]
            text = prose[prose.index(begin) : prose.index(end, prose.index(begin) + 1)]
            forms = (
                [f"{p.value:.2f}"]
                if "FLOPs" in p.quantity
                else [f"{p.value / 100:.4f}", f"{p.value:.2f}%", f"{p.value / 100:.2f}"]
            )
            assert any(re.search(rf"\b{re.escape(form)}(?!\d)", text) for form in forms), (row.id, p)
            checked += 1
    assert checked >= 20


# -- every row trains ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", [r for r in ROWS if "grouped" not in r.id], ids=lambda r: r.id)
def test_every_row_is_built(row):
    """Model, loss, optimiser, schedule, augmentation, pixels and class weights accept what the row says."""
    state = engine.start(row, 0, 7, 1, torch.device("cpu"))
    logits, out = state.model.eval()(torch.zeros(2, 1, row.size, row.size))
    assert logits.shape == (2, 7) and len(out["aux"]) == row.variant["auxiliary"]
    assert len(out["attention"]) == (0 if row.variant["attention"] == "none" else 8)
    assert torch.isfinite(state.loss(logits, out, torch.arange(2)))
    assert state.loss.monitored()["am_scale"] == pytest.approx(row.loss_options["scale"])
    assert state.schedule.epoch_rate() == 0.0001
    augment.validate(row.augmentation)
    data = synthetic(n=35)
    assert len(Pixels(data, "train", torch.device("cpu"), row.size, row.preprocess))
    assert class_weights(data.labels, 7, row.balance) == pytest.approx(np.ones(7))


def test_rafdb_rows_turn_colour_images_grey():
    row = get("rafdb", "acs3")
    images = np.random.default_rng(0).integers(0, 256, (6, 100, 100, 3), dtype=np.uint8)
    labels, ids = np.arange(6), np.array([f"train_{i:05d}" for i in range(6)])
    data = FaceDataset("rafdb", images, labels, tuple("abcdefg"), np.full(6, "train"), ids)
    part = Pixels(data, "train", torch.device("cpu"), row.size, row.preprocess)
    x = part.finish(part.batch(torch.arange(6))[0])
    assert x.shape == (6, 1, 100, 100)
    # ITU-R BT.601 luma, which OpenCV and Pillow use
    assert np.abs(x[:, 0].numpy() - images @ np.array([0.299, 0.587, 0.114]) / 255).max() < 1 / 255


DISTINCT = [get("ckplus", name) for name in (*TABLE_8, "acs3-norm_once", "acs3-noflip")]
DISTINCT.append(get("rafdb", "acs3"))


def small(row, **changes):
    """A second's work of the row: few small images."""
    few = {"size": 24, "epochs": 1}
    return replace(row, **{"dataset": "synthetic", "dataset_options": {"n": 70}, **few, **changes})


@pytest.mark.parametrize("row", DISTINCT, ids=lambda r: r.id)
def test_every_distinct_configuration_trains_to_a_record(row, tmp_path):
    path = train.run(small(row), 0, settings(tmp_path), original=row)
    part = records.read(path)["reproducible"]
    assert part["profile"] == "smoke" and part["epochs_run"] == 1
    (line,) = part["history"]
    heads = row.variant["auxiliary"] + 1
    alphas = [value for key, value in line.items() if key.startswith("alpha")]
    assert len(alphas) == heads and sum(alphas) == pytest.approx(1)
    assert line["lr"] == 0.0001 and line["am_scale"] > 0 and line["am_scale"] != 30
    assert (
        line["train_loss"] > heads
    )  # one AM-Softmax term for each head, of about s * m and more, and the fused one


RESUMED = small(get("ckplus", "acs3"), dataset="toy", epochs=2, batch=16)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return records.read(train.run(RESUMED, 0, settings(tmp_path_factory.mktemp("whole")), data=toy()))


@pytest.mark.parametrize("step", [2, 4, 7])
def test_a_stopped_run_resumes_to_the_same_record(uninterrupted, tmp_path, monkeypatch, step):
    """Within an epoch and at its end, of 4 batches: the learned scale and Adam's moments of it go on too."""
    resumed = stopped_and_resumed(RESUMED, step, settings(tmp_path), monkeypatch)
    assert resumed["sha256"] == uninterrupted["sha256"] and resumed["run"]["interruptions"] == 1
    scales = [line["am_scale"] for line in uninterrupted["reproducible"]["history"]]
    assert len(set(scales)) == 2 and 30 not in scales
