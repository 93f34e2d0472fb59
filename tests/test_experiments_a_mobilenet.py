"""Rows of Nan et al.: every cell of Tables 3 and 4 is there, rows differ in one factor, and every row trains."""

from __future__ import annotations

import inspect
import os
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from rows import changed
from toy import stopped_and_resumed

from ferlib import engine, records, train
from ferlib.augment import validate
from ferlib.data import ckplus, ferplus, load, rafdb
from ferlib.experiments.a_mobilenet import NETS, NOT_IN_THE_PAPER, ROWS
from ferlib.forensics import compatible_counts
from ferlib.losses import CenterLoss
from ferlib.models import a_mobilenet, build, mobilenet
from ferlib.pixels import IMAGENET, Pixels, epoch_order
from ferlib.schedules import TimeDecay

ROW = {row.id.removeprefix("a_mobilenet-"): row for row in ROWS}
CLASSES = {"ferplus": 8, "rafdb": 7, "ckplus": 7}
PAPERS = [row for row in ROWS if row.variant["pretrained"] and row.published]
OURS = [row for row in ROWS if row not in PAPERS]
# Tables 3 and 4: accuracy (%), parameters (M)
TABLE_3 = {
    "MobileNetV1": ("85.40", "3.2"),
    "MobileNetV2": ("77.18", "2.3"),
    "MobileNetV3-small": ("73.24", "1.5"),
    "A-MobileNet": ("88.11", "3.4"),
}
TABLE_4 = {
    "MobileNetV1": ("81.62", "3.2"),
    "MobileNetV2": ("67.77", "2.3"),
    "MobileNetV3-small": ("68.29", "1.5"),
    "A-MobileNet": ("84.49", "3.4"),
}
CELLS = {"Table 3": TABLE_3, "Table 4": TABLE_4}


def plain(row, **changes):
    """A row that needs no download."""
    return replace(row, variant={**row.variant, "pretrained": False}, **changes)


def published(row, quantity):
    return {(p.value, p.where) for p in row.published if p.quantity == quantity}


# ---- what is there ------------------------------------------------------------------------------------------


def test_each_cell_of_tables_3_and_4_has_the_papers_row_and_no_other():
    found = [
        (row.table, row.row, quantity, p.value)
        for row in PAPERS
        for quantity in ("test accuracy", "parameters (million)")
        for p in row.published
        if p.quantity == quantity and p.where == row.table
    ]
    wanted = [
        (table, net, quantity, float(text))
        for table, rows in CELLS.items()
        for net, cells in rows.items()
        for quantity, text in zip(("test accuracy", "parameters (million)"), cells, strict=True)
    ]
    assert sorted(found) == sorted(wanted) and len(found) == 16
    assert {(row.table, row.dataset) for row in PAPERS} == {("Table 3", "ferplus"), ("Table 4", "rafdb")}


def test_the_papers_rows_are_trained_as_section_3_1_prints():
    for row in PAPERS:
        assert (row.epochs, row.batch, row.optimiser["name"], row.optimiser["lr"]) == (100, 64, "adam", 1e-4)
        assert row.schedule == {"name": "time", "decay": 1e-5}
        assert (row.variant["dropout"], row.size, row.preprocess["channels"]) == (0.5, 224, 3)
        assert row.augmentation["rotation"] == (0, 20) and row.augmentation["crop"] == 0.2
        assert row.loss == ("center" if row.row == "A-MobileNet" else "cross_entropy")


def test_ids():
    ids = [row.id for row in ROWS]
    assert len(set(ids)) == len(ids)
    for row in ROWS:
        name = re.fullmatch(
            r"a_mobilenet-(ferplus|rafdb|ckplus)-([a-z0-9_]+?)(-scratch(48|96)?)?(-grouped[0-4])?", row.id
        )
        assert name and name[1] == row.dataset and row.paper == "a_mobilenet"
        assert name[2] in NETS or name[2] in ("no_center", "no_attention", "no_linear", "linear_all")
        assert bool(name[3]) != row.variant["pretrained"]
        assert row.size == int(name[4] or 224)
        assert bool(name[5]) == (row.dataset_options.get("protocol") == "subjects")


def test_our_own_rows():
    """What the brief of this replication adds: other starts and sizes, an ablation, CK+48 with its folds."""
    for dataset in ("ferplus", "rafdb"):
        for net in NETS:
            for suffix in ("scratch", "scratch48", "scratch96"):
                assert ROW[f"{dataset}-{net}-{suffix}"].published == ROW[f"{dataset}-{net}"].published
    for change in ("no_center", "no_attention", "no_linear", "linear_all"):
        for suffix in ("", "-scratch", "-scratch48", "-scratch96"):
            assert f"ferplus-{change}{suffix}" in ROW
    for fold in range(5):
        for size in (48, 96):
            for net in (*NETS, "no_center", "no_attention", "no_linear", "linear_all"):
                options = ROW[f"ckplus-{net}-scratch{size}-grouped{fold}"].dataset_options
                assert options == {"protocol": "subjects", "folds": 5, "fold": fold}
    assert len(PAPERS) == 8 and len(ROWS) == 32 + 16 + 2 * (4 + 3 + 1) * (1 + 5)


@pytest.mark.parametrize("row", OURS, ids=lambda row: row.id)
def test_our_own_rows_say_so(row):
    assert any("Our own row" in note for note in row.deviations)
    assert (row.table == NOT_IN_THE_PAPER) == (not row.published)
    assert any("sister frame" in note for note in row.deviations) == (
        row.dataset_options.get("protocol") == "frames"
    )
    assert any("12,271" in note for note in row.deviations) == (row.dataset == "rafdb")
    assert any(f"{row.size}x{row.size} pixels" in note for note in row.deviations) == (row.size != 224)


# ---- one factor ---------------------------------------------------------------------------------------------


LOSS = {"loss", "loss_options.weight", "loss_options.step", "loss_options.reduction"}
PIXELS = {"preprocess.standardise"}
TORCHVISIONS = ("mobilenet_v2", "mobilenet_v3_small")  # and their ImageNet weights
BLOCKS = {f"variant.{name}" for name in ("placement", "ratio", "attention", "linear")}


def one_factor():
    """(row, the row that it is compared with, the settings that this one factor is made of)"""
    for name, row in ROW.items():
        if "-grouped" in name:
            options = {f"dataset_options.{key}" for key in ("protocol", "folds", "fold")}
            yield row, ROW[name.partition("-grouped")[0]], options
        elif "linear_all" in name:
            yield row, ROW[name.replace("linear_all", "a_mobilenet")], {"variant.linear"}
        elif name.startswith("ckplus-"):
            data = {"dataset", "dataset_options.rule", "dataset_options.protocol"}
            yield row, ROW[name.replace("ckplus-", "ferplus-")], data
        elif name.endswith(("scratch48", "scratch96")):
            yield row, ROW[name[:-2]], {"size"}
        elif name.endswith("-scratch"):
            # the start, and for MobileNetV1's layers the pixels that go with it
            start = {"variant.pretrained"} | (set() if row.model in TORCHVISIONS else PIXELS)
            yield row, ROW[name.removesuffix("-scratch")], start
        elif name.startswith("rafdb-"):
            yield row, ROW[name.replace("rafdb-", "ferplus-")], {"dataset", "dataset_options.rule"}
        elif name.startswith("ferplus-no_"):
            factor = {"center": LOSS, "attention": {"variant.attention"}, "linear": {"variant.linear"}}
            yield row, ROW["ferplus-a_mobilenet"], factor[name.partition("no_")[2]]
        elif name == "ferplus-mobilenet_v1":  # the paper's own comparison: its net and loss against V1
            yield row, ROW["ferplus-a_mobilenet"], {"model"} | LOSS | BLOCKS
        elif name != "ferplus-a_mobilenet":
            yield row, ROW["ferplus-mobilenet_v1"], {"model"} | PIXELS


def test_one_factor_changes_per_row():
    pairs = list(one_factor())
    assert len(pairs) == len(ROWS) - 1  # all but the one that the others go back to
    for row, base, expected in pairs:
        assert changed(row, base) == expected, (row.id, base.id)


# ---- every row can run --------------------------------------------------------------------------------------


@cache
def started(key):
    """A fresh state of the rows with this key, and its parameters as Keras counts them: no size changes a shape."""
    row = next(row for row in ROWS if key_of(row) == key)
    state = engine.start(plain(row, size=48), 0, CLASSES[row.dataset], 3, torch.device("cpu"))
    return state, mobilenet.count_keras_parameters(state.model)


def key_of(row):
    settings = plain(row)
    return repr((row.model, settings.variant, row.loss, row.loss_options, CLASSES[row.dataset]))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_row_builds(row):
    """Model, loss, optimiser, schedule, augmentation, preprocessing and balancing accept the row's settings."""
    state, parameters = started(key_of(row))
    assert isinstance(state.schedule, TimeDecay) and state.schedule.at(0) == [1e-4]
    assert state.schedule.at(109_299)[0] == pytest.approx(1e-4 / 2.09299)
    assert isinstance(state.loss, CenterLoss) == (row.loss == "center")
    validate(row.augmentation)
    Pixels(faces(), "train", torch.device("cpu"), row.size, row.preprocess)
    index, copies = epoch_order(np.array([0, 0, 0, 1]), row.balance, 0, 0)
    assert len(index) == 6 and copies.sum() == 2
    printed = published(row, "parameters (million)")
    assert {millions for millions, _ in printed} <= {round(parameters / 1e6, 1)}
    loader = {"ferplus": ferplus, "rafdb": rafdb, "ckplus": ckplus}[row.dataset].load
    assert row.dataset_options.keys() <= inspect.signature(loader).parameters.keys()
    assert row.seeds == (0, 1, 2) and row.early_stopping is None


def test_imagenet_weights_are_asked_for_by_the_papers_rows_alone(monkeypatch):
    asked = []
    for module in (a_mobilenet, mobilenet):
        monkeypatch.setattr(module, "load_imagenet_v1", lambda model: asked.append(type(model).__name__))

    def download(self, dropout):
        asked.append(type(self).__name__)
        return self.make(weights=None, dropout=dropout)

    monkeypatch.setattr(mobilenet.TorchvisionMobileNet, "download", download)
    for name in NETS:
        for row in (ROW[f"ferplus-{name}"], ROW[f"ferplus-{name}-scratch"]):
            build(row.model, classes=8, channels=3, size=64, **row.variant)
    assert asked == ["MobileNetV1", "MobileNetV2", "MobileNetV3Small", "AMobileNet"]


@cache
def faces(colour=False):
    """Synthetic faces of which training holds few that show disgust, grey or of RAF-DB's size and channels."""
    data = load("synthetic", n=70, size=100 if colour else 48)
    rare = np.flatnonzero((data.labels == 1) & (data.split == "train"))
    data = data.take(np.setdiff1d(np.arange(len(data)), rare[2:]))
    return replace(data, images=np.repeat(data.images[..., None], 3, axis=3)) if colour else data


def settings(folder, **changes):
    where = {"results": folder / "results", "runs": folder / "runs"}
    return train.Settings(threads=1, device="cpu", precision="float32", **where, **changes)


NETWORKS = (*NETS, "no_center", "no_attention", "no_linear")
SMOKE = [
    *(f"ferplus-{net}-scratch48" for net in NETWORKS),
    "rafdb-a_mobilenet-scratch96",
]


def small(name):
    return replace(ROW[name], epochs=2, batch=32)


@pytest.mark.parametrize("name", SMOKE)
def test_row_trains(name, tmp_path):
    row = replace(small(name), epochs=1)
    data = faces(colour=row.dataset == "rafdb")
    path = train.run(row, 0, settings(tmp_path), original=ROW[name], data=data)
    part = records.read(path)["reproducible"]
    assert part["profile"] == "smoke" and part["epochs_run"] == 1
    (line,) = part["history"]
    assert 0 < line["train_loss"] < 10 and line["lr"] == 1e-4


def test_a_stopped_run_with_center_loss_ends_with_the_same_numbers(tmp_path, monkeypatch):
    """Centres, the rate that falls with every update and the copies of rare classes go on where they were."""
    row = small("ferplus-a_mobilenet-scratch48")
    whole = train.run(row, 0, settings(tmp_path / "whole"), data=faces())
    cut = settings(tmp_path / "cut")
    ours = stopped_and_resumed(row, 3, cut, monkeypatch, faces())  # at the first step of the second epoch
    theirs = records.read(whole)
    assert ours["sha256"] == theirs["sha256"]
    assert (ours["run"]["interruptions"], theirs["run"]["interruptions"]) == (1, 0)
    rates = [line["lr"] for line in theirs["reproducible"]["history"]]
    assert rates == [1e-4, pytest.approx(1e-4 / (1 + 2e-5))]


# ---- notes --------------------------------------------------------------------------------------------------

ABOUT_NO_SETTING = {
    *("weights", "precision", "batch normalisation"),
    *("dataset.test", "loss_options.features", "augmentation.fill"),
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_notes_are_about_settings_of_their_row(row):
    for name in set(row.assumed) - ABOUT_NO_SETTING:
        field, _, key = name.partition(".")
        assert not key or key in getattr(row, field), name
    assert ("variant.pretrained" in row.assumed) == row.variant["pretrained"]
    assert ("weights" in row.assumed) != row.variant["pretrained"]
    assert ("loss_options.weight" in row.assumed) == (row.loss == "center")
    assert ("dataset.test" in row.assumed) == (row.dataset == "ferplus")


def test_table_2_is_the_official_training_part():
    """AN DI FE HA SA SU NE CO: the rule is settled, and the label order of our classes."""
    table_2 = {"ferplus": (2100, 119, 532, 7287, 3014, 3149, 8740, 119)}
    table_2["rafdb"] = (705, 717, 281, 4772, 1982, 1290, 2524)
    for dataset, names in (
        (ferplus, ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral", "contempt")),
        (rafdb, ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")),
    ):
        counts = table_2[dataset.__name__.rpartition(".")[2]]
        assert dataset.PUBLISHED["train"] == dict(zip(names, counts, strict=True))


def test_table_3_fits_no_single_test_set():
    """What the note on ``dataset.test`` says: baselines of 3,199 images, A-MobileNet of 3,153, nothing fits all."""
    assert [sum(ferplus.PUBLISHED[part].values()) for part in ("val", "test")] == [3199, 3153]
    fits = {
        n: {net for net, (accuracy, _) in TABLE_3.items() if compatible_counts(accuracy, n)}
        for n in (3199, 3152, 3153, 3199 + 3152, 3199 + 3153)
    }
    assert fits[3199] == {"MobileNetV1", "MobileNetV2", "MobileNetV3-small"}
    assert fits[3153] == {"A-MobileNet"}
    assert all(nets != set(TABLE_3) for nets in fits.values())


def test_number_of_updates_that_the_notes_name():
    ferplus_epoch = 8 * max(ferplus.PUBLISHED["train"].values())
    assert 100 * -(-ferplus_epoch // 64) == 109_300
    ckplus_epoch = 7 * 0.8 * 0.9 * ckplus_frames()
    assert 100 * -(-ckplus_epoch // 64) == 2000
    assert all("109,300" in row.assumed["epochs"] for row in ROWS if row.dataset == "ckplus")


def ckplus_frames():
    """Of its largest class."""
    return 3 * max(ckplus.SEQUENCES.values())


@pytest.mark.parametrize(("size", "side"), [(48, 1), (96, 3), (224, 7)])
def test_last_map_of_the_sizes_in_use(size, side):
    row = plain(ROW["ferplus-a_mobilenet"])
    model = build(row.model, classes=8, channels=3, size=size, **row.variant).eval()
    with torch.no_grad():
        maps = model(torch.rand(1, 3, size, size))[1]["attention"]
    assert maps["block13.spatial_attention"].shape == (1, 1, side, side)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_pixels_are_those_that_the_weights_were_trained_on(row):
    """MobileNetV1's checkpoint (A-MobileNet takes its layers) on [-1, 1], torchvision's on ImageNet's statistics."""
    of_v1 = row.model in ("mobilenet_v1", "a_mobilenet") and row.variant["pretrained"]
    pixels = Pixels(faces(), "train", torch.device("cpu"), 48, row.preprocess)
    x, _ = pixels.batch(slice(0, 8))
    red, green, blue = pixels.finish(x).unbind(1)
    if of_v1:
        assert torch.equal(red, 2 * x[:, 0] - 1) and torch.equal(red, green) and torch.equal(red, blue)
    else:
        for channel, mean, deviation in zip((red, green, blue), *IMAGENET, strict=True):
            assert torch.allclose(channel, (x[:, 0] - mean) / deviation)
    note = row.assumed["preprocess.standardise"]
    assert ("[-1, 1]" in note) == of_v1 and ("From scratch" in note) != row.variant["pretrained"]


# ---- the paper's text ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def paper():
    """The paper's text; FERLIB_PAPERS names a folder of texts."""
    folder = os.environ.get("FERLIB_PAPERS")
    if not folder:
        pytest.skip("FERLIB_PAPERS names no folder with the papers' texts")
    for path in sorted(Path(folder).glob("*.txt")):
        text = path.read_text(errors="replace")
        if "# A-MobileNet: An approach of facial expression recognition" in text:
            return text
    pytest.skip("FERLIB_PAPERS has no text of Nan et al.")


def table_of(text, caption):
    """{model: (accuracy, parameters)} of the rows below a caption that print parameters in millions."""
    lines = text[text.index(f"**{caption}**") :].replace("<b>", "").replace("</b>", "").splitlines()
    end = next(i for i, line in enumerate(lines) if line.startswith("A-MobileNet"))
    rows = [line.split("\t") for line in lines[: end + 1]]
    return {r[0]: (r[1], r[2].removesuffix(" M")) for r in rows if len(r) > 2 and r[2].endswith(" M")}


@pytest.mark.parametrize("caption", CELLS)
def test_tables_in_the_papers_text(paper, caption):
    found = table_of(paper, caption)
    found.pop("DBA-Net (DenseNet-161) [38]", None)  # another paper's
    assert found == CELLS[caption]


def test_published_values_stand_in_the_papers_text(paper):
    section_4 = paper[paper.index("#### 4. Conclusion") : paper.index("## References")]
    section_3_2 = paper[paper.index("### 3.2. ") : paper.index("#### 4. Conclusion")]
    text = {"section 3.2": section_3_2, "section 4": section_4}
    elsewhere = {(p.quantity, p.value, p.where) for row in PAPERS for p in row.published if p.where in text}
    assert len(elsewhere) == 7
    for quantity, value, where in elsewhere:
        written = f"{value} M" if "million" in quantity else f"{value:.2f}%"
        assert written in text[where], (quantity, where)


def test_settings_stand_in_the_papers_text(paper):
    flat = " ".join(paper.replace("$", "").split())
    for words in (
        "learning rate was 0.0001, decay was 1e-5 , the epoch was 100, dropout was 0.5, the batch size was 64",
        "crop (0-0.2), rescale, and translation",
        "25,060, 3,152, and 3,199 samples",
    ):
        assert words in flat
