"""Rows of Chen & Chen: every cell of Tables 1 and 2 and every point of Figure 6, one factor apart, and each trains."""

from __future__ import annotations

import inspect
import os
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import data_layouts as make
import numpy as np
import pytest
import torch
from rows import changed, factors
from toy import settings, stopped_and_resumed, toy

from ferlib import augment, records, train
from ferlib.data import DataError, ckplus, fer2013, load
from ferlib.experiments.gcca_vgg import FOLDS, NOT_IN_THE_PAPER, ROWS, TABLE_1
from ferlib.losses import CrossEntropy, IslandLoss, build_loss
from ferlib.models import build, gcca_vgg
from ferlib.pixels import Pixels
from ferlib.schedules import Plateau, build_optimiser, build_schedule

ROW = {row.id.removeprefix("gcca_vgg-"): row for row in ROWS}
DATASETS = {"FER2013": "fer2013", "CK+": "ckplus"}
MODELS = (1, 2, 3, 4, 5, 6)
CELLS = [f"{dataset}-model{m}" for dataset in DATASETS.values() for m in MODELS]
PAPERS = [ROW[name] for name in CELLS]
SWEEPS = [row for row in ROWS if row.table.startswith("Figure 6")]
# Table 1: Acc (%) and Sta on FER2013, on CK+
PRINTED = {
    1: ("69.79", "0.38", "92.14", "0.31"),
    2: ("71.53", "0.35", "93.01", "0.27"),
    3: ("73.85", "0.34", "96.72", "0.24"),
    4: ("73.84", "0.26", "96.72", "0.16"),
    5: ("73.97", "0.25", "97.94", "0.13"),
    6: ("74.08", "0.24", "98.66", "0.11"),
}


def classes_of(row):
    return 6 if row.size == 48 and row.dataset == "ckplus" else 7


def plain(row, **changes):
    """A row that needs no download."""
    return replace(row, variant={**row.variant, "pretrained": False}, **changes)


# ---- what is there ------------------------------------------------------------------------------------------


def test_each_cell_of_tables_1_and_2_has_the_papers_row_and_no_other():
    found = Counter(
        (p.where, row.dataset, row.variant["model"], p.quantity, p.value)
        for row in PAPERS
        for p in row.published
        if p.where.startswith("Table")
    )
    wanted = Counter()
    for where, models in (("Table 1", MODELS), ("Table 2", (6,))):
        for m in models:
            values = iter(map(float, PRINTED[m]))
            for dataset in DATASETS.values():
                wanted.update((where, dataset, m, q, next(values)) for q in ("test accuracy", "Sta"))
    assert found == wanted and sum(found.values()) == 24 + 4


def test_each_point_of_figure_6_has_one_row():
    """(a) lambda at five values with lambda_1 = 7, (b) lambda_1 from 1 to 10 with lambda = 0.01 (section 3.3)."""
    points = Counter(
        (row.loss_options["weight"], row.loss_options["pair_weight"])
        for row in (*SWEEPS, ROW["fer2013-model6-scratch48"])
    )
    curve_a = {(weight, 7.0) for weight in (0.0005, 0.001, 0.005, 0.01, 0.05)}
    curve_b = {(0.01, float(pair)) for pair in range(1, 11)}
    assert points == dict.fromkeys(curve_a | curve_b, 1) and len(points) == 5 + 10 - 1
    for row in SWEEPS:
        options = row.loss_options
        letters = [
            c for c, on in (("(a)", options["pair_weight"] == 7), ("(b)", options["weight"] == 0.01)) if on
        ]
        assert row.table == ("Figure 6" if len(letters) == 2 else f"Figure 6{letters[0]}")
        assert (row.dataset, row.size, row.published) == ("fer2013", 48, ())


def test_what_is_printed_elsewhere_of_model_6():
    for name, swapped in (("fer2013-model6", 98.66), ("ckplus-model6", 74.08)):
        found = {(p.where, p.quantity): p.value for p in ROW[name].published}
        assert found["abstract", "test accuracy"] == float(PRINTED[6]["ckplus" in name and 2])
        assert (
            found["section 3.4", "test accuracy"] == swapped
        )  # the last sentence has them the other way round
    recalls = {p.quantity: p.value for row in PAPERS for p in row.published if "recall" in p.quantity}
    assert recalls == {"test recall of sad": 55.98, "test recall of fear": 61.01}


def test_the_papers_rows_have_what_it_prints():
    """Sections 2.6, 3.1, 3.2, 3.3: 224x224, ten repeats, dropout, halved after three stale epochs, 15 states."""
    for row in PAPERS:
        assert (row.size, row.seeds, row.variant["dropout"]) == (224, tuple(range(10)), 0.001)
        assert (row.schedule["factor"], row.schedule["patience"]) == (0.5, 3)
        joint = row.variant["model"] == 6
        assert row.loss == ("island" if joint else "cross_entropy")
        assert not joint or (row.loss_options["weight"], row.loss_options["pair_weight"]) == (0.005, 7)
        rotation = row.augmentation["rotation"]
        angles = range(-rotation["degrees"], rotation["degrees"] + 1, rotation["step"])
        assert len(row.augmentation["flip"]) * len(angles) == 15


def test_ids():
    assert len(ROW) == len(ROWS) == 64
    for name, row in ROW.items():
        found = re.fullmatch(
            r"(fer2013|ckplus)-(model[1-6]|weight\de-\d|pair\d+)(-scratch(48)?)?"
            r"(-grouped\d|-expanded_before|-expanded_after|-noflip|-norm)?",
            name,
        )
        assert found and found[1] == row.dataset == DATASETS[row.column] and row.paper == "gcca_vgg"
        assert bool(found[3]) != row.variant["pretrained"]
        assert row.size == int(found[4] or 224) and len(row.seeds) == (3 if found[4] else 10)
        assert bool(found[5]) == (row.table == NOT_IN_THE_PAPER)
        assert not found[2].startswith("model") or found[2] == f"model{row.variant['model']}"


def test_our_own_rows():
    for name in CELLS:
        for suffix in ("-scratch", "-scratch48"):
            assert ROW[name + suffix].published == ROW[name].published
            assert ROW[name + suffix].table == ROW[name].table
    for m in (1, 6):
        for fold in range(FOLDS):
            options = ROW[f"ckplus-model{m}-scratch48-grouped{fold}"].dataset_options
            assert options == {"protocol": "subjects", "folds": 5, "fold": fold, "contempt": False}
    assert all(row.published == () for row in ROWS if row.table == NOT_IN_THE_PAPER)


# ---- one factor ---------------------------------------------------------------------------------------------


LOSS = {"loss", *(f"loss_options.{key}" for key in ("weight", "pair_weight", "step", "reduction"))}
SPLIT = {f"dataset_options.{key}" for key in ("protocol", "test_fraction", "folds", "fold")}
EXPANSION = {"dataset_options.expansion", "augmentation.flip", "augmentation.rotation", "epochs"}


def one_factor():
    """(row, the row that it is compared with, the settings that this one factor is made of)"""
    for name, row in ROW.items():
        head, _, last = name.rpartition("-")
        if last == "expanded_after":
            yield row, ROW[name.replace("after", "before")], {"dataset_options.expansion"}
        elif "grouped" in last or last in ("expanded_before", "noflip", "norm"):
            factor = {"expanded_before": EXPANSION, "noflip": {"augmentation.flip"}, "norm": {"variant.norm"}}
            yield row, ROW[head], factor.get(last, SPLIT)
        elif row in SWEEPS:
            weights = {"loss_options.weight", "loss_options.pair_weight"}
            factor = weights if row.table == "Figure 6(b)" else {"loss_options.weight"}
            yield row, ROW["fer2013-model6-scratch48"], factor
        elif last == "scratch48":
            release = {"dataset_options.neutral"} if row.dataset == "ckplus" else set()
            yield row, ROW[f"{head}-scratch"], {"size"} | release
        elif last == "scratch":
            yield row, ROW[head], {"variant.pretrained"}
        elif row.variant["model"] > 1:
            yield (
                row,
                ROW[name[:-1] + str(row.variant["model"] - 1)],
                {"variant.model"} | (LOSS if row.variant["model"] == 6 else set()),
            )
        elif row.dataset == "ckplus":
            options = {f"dataset_options.{k}" for k in ("protocol", "test_fraction", "neutral", "contempt")}
            yield row, ROW["fer2013-model1"], {"dataset"} | options


def test_one_factor_changes_per_row():
    pairs = list(one_factor())
    assert len(pairs) == len(ROWS) - 1  # all but the one that the others go back to
    for row, base, expected in pairs:
        assert changed(row, base) == expected, (row.id, base.id)


def test_the_curves_of_figure_6_change_one_factor_each():
    for pair in range(1, 11):
        assert changed(ROW[f"fer2013-pair{pair}-scratch48"], ROW["fer2013-pair7-scratch48"]) <= {
            "loss_options.pair_weight"
        }


def test_no_two_rows_are_the_same_run():
    runs = [records.canonical(factors(row)) for row in ROWS]
    assert len(set(runs)) == len(runs)


# ---- every row can run --------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_row_builds(row):
    """Model, loss, optimiser, schedule, augmentation, pixels and data options accept what the row says."""
    with torch.device("meta"):
        model = build(row.model, classes=classes_of(row), size=row.size, **plain(row).variant)
        logits, out = model(torch.empty(2, 1, row.size, row.size))
    assert logits.shape == (2, classes_of(row))
    features = out["features"].shape[1]
    loss = build_loss(row.loss, classes=classes_of(row), features=features, **row.loss_options)
    assert type(loss) is (IslandLoss if row.variant["model"] == 6 else CrossEntropy)
    optimiser = build_optimiser(row.optimiser, [torch.nn.Parameter(torch.zeros(1))])
    assert isinstance(build_schedule(row.schedule, optimiser), Plateau)
    augment.validate(row.augmentation)
    assert len(Pixels(toy(), "train", torch.device("cpu"), row.size, row.preprocess))
    loader = {"fer2013": fer2013, "ckplus": ckplus}[row.dataset].load
    assert row.dataset_options.keys() <= inspect.signature(loader).parameters.keys()
    assert row.early_stopping is None and row.balance == {}


def test_the_rate_is_halved_when_three_epochs_in_a_row_bring_no_lower_loss():
    row = PAPERS[0]
    optimiser = build_optimiser(row.optimiser, [torch.nn.Parameter(torch.zeros(1))])
    schedule, rates = build_schedule(row.schedule, optimiser), []
    for loss in (1.0, 0.9, 0.95, 0.9, 0.8999, 1.0, 1.0, 1.0, 0.8):
        schedule.epoch_end({"val_loss": loss, "val_accuracy": 0.5})
        rates.append(schedule.epoch_rate() / row.optimiser["lr"])
    assert rates == [1] * 7 + [0.5] * 2


def test_imagenet_weights_are_asked_for_by_the_papers_rows_alone(monkeypatch):
    asked = []
    monkeypatch.setattr(gcca_vgg, "load_imagenet", lambda blocks, norm: asked.append(norm))
    for name in ("fer2013-model6", "fer2013-model6-scratch", "fer2013-model6-scratch48"):
        with torch.device("meta"):
            build("gcca_vgg", classes=7, **ROW[name].variant)
    assert asked == [False]


@pytest.fixture
def narrow(monkeypatch):
    """The networks with a thousandth of their parameters."""
    monkeypatch.setattr(gcca_vgg, "BLOCKS", ((16, 2), (16, 2), (16, 3), (32, 3), (32, 3)))
    monkeypatch.setattr(gcca_vgg, "HIGH", (16, 32, 32))
    monkeypatch.setattr(gcca_vgg.NoFusion, "features", 32)


def small(name, **changes):
    row = plain(ROW[name], size=16, dataset="toy", epochs=1)
    return replace(row, variant={**row.variant, "width": 4, "fused": 8}, **changes)


DISTINCT = [
    *(f"fer2013-model{m}" for m in MODELS),
    "fer2013-weight5e-2-scratch48",
    "fer2013-pair10-scratch48",
    *(f"ckplus-model6-scratch48-{what}" for what in ("expanded_before", "noflip", "norm", "grouped0")),
]


@pytest.mark.parametrize("name", DISTINCT)
def test_every_distinct_configuration_trains_to_a_record(name, narrow, tmp_path):
    path = train.run(small(name), 0, settings(tmp_path), original=ROW[name], data=toy())
    part = records.read(path)["reproducible"]
    assert part["profile"] == "smoke" and part["epochs_run"] == 1
    (line,) = part["history"]
    assert 0 < line["train_loss"] < 20 and line["lr"] == ROW[name].optimiser["lr"]


# small steps of loss do not count as a decrease, so that the rate falls within a few epochs
STALE = {"schedule": {**ROW["fer2013-model6"].schedule, "patience": 1, "min_delta": 10.0}}


@pytest.mark.parametrize("step", [2, 4, 9])
def test_a_stopped_run_resumes_to_the_same_record(step, narrow, tmp_path, monkeypatch):
    """Centres, draws of random pooling and the falling rate go on where they were; an epoch has 4 or 5 batches."""
    row = small("fer2013-model6", **STALE, batch=16)
    row = replace(row, epochs=3)
    whole = records.read(train.run(row, 0, settings(tmp_path / "whole"), data=toy()))
    rates = [line["lr"] for line in whole["reproducible"]["history"]]
    first = row.optimiser["lr"]
    assert rates == [first, first, first / 2]  # the first loss is the best by definition
    resumed = stopped_and_resumed(row, step, settings(tmp_path / "cut"), monkeypatch)
    assert resumed["sha256"] == whole["sha256"] and resumed["run"]["interruptions"] == 1


# ---- the images of CK+ --------------------------------------------------------------------------------------

SIX = ("anger", "disgust", "fear", "happy", "sadness", "surprise")


def options(name):
    return dict(ROW[name].dataset_options)


def test_contempt_can_be_left_out(tmp_path):
    make.ck48(tmp_path)
    seven, six = load("ckplus", tmp_path), load("ckplus", tmp_path, **options("ckplus-model6-scratch48"))
    assert six.classes == SIX
    kept = seven.ids[seven.labels != seven.classes.index("contempt")]
    assert six.ids.tolist() == kept.tolist()
    of = dict(zip(seven.ids, (seven.classes[label] for label in seven.labels), strict=True))
    assert [six.classes[label] for label in six.labels] == [of[name] for name in six.ids]


def test_the_papers_rows_have_the_papers_seven_classes(tmp_path):
    """Section 3.1: all eight without contempt."""
    make.ck_original(tmp_path)
    data = load("ckplus", tmp_path, **options("ckplus-model6"))
    assert data.classes == (*SIX, "neutral")
    assert set(data.extras["frame"][data.labels == 6]) == {1} and set(np.unique(data.labels)) == set(range(7))


def test_the_papers_rows_say_what_they_need(tmp_path):
    make.ck48(tmp_path)
    with pytest.raises(DataError, match="no neutral faces: use the original distribution"):
        load("ckplus", tmp_path, **options("ckplus-model6"))
    with pytest.raises(DataError, match="expansion 'twice': choose before or after"):
        load("ckplus", tmp_path, expansion="twice")


@pytest.fixture(scope="module")
def orders(tmp_path_factory):
    """A small CK+48, expanded before and after the split, and not at all."""
    folder = tmp_path_factory.mktemp("ck48")
    make.ck48(folder)
    names = ("expanded_before", "expanded_after")
    found = {n: load("ckplus", folder, **options(f"ckplus-model6-scratch48-{n}")) for n in names}
    return {**found, "none": load("ckplus", folder, **options("ckplus-model6-scratch48"))}


def bases(data, split):
    return {name.partition("/")[0] for name in data.ids[data.where(split)]}


def test_expansion_before_the_split_leaks_and_after_it_does_not(orders):
    before, after, none = orders["expanded_before"], orders["expanded_after"], orders["none"]
    assert len(before) == len(after) == 15 * len(none)
    for split in ("train", "val", "test"):
        assert len(after.where(split)) == 15 * len(none.where(split))
        assert bases(after, split) == set(none.ids[none.where(split)])
    leaked = bases(before, "test") & bases(before, "train")
    assert len(leaked) > 0.95 * len(bases(before, "test"))
    assert len(set(before.ids)) == len(before) and set(before.ids) == set(after.ids)


def test_the_fifteen_states_are_those_that_augmentation_draws(orders):
    data, recipe = orders["expanded_after"], ROW["ckplus-model6-scratch48"].augmentation
    images = data.images.reshape(-1, 15, 48, 48)
    state = data.extras["state"].reshape(-1, 15)
    assert (state == state[0]).all() and len(set(state[0])) == 15
    assert (images[:, state[0] == "none+00"][:, 0] == orders["none"].images).all()
    assert (images[:, state[0] == "horizontal+00"][:, 0] == orders["none"].images[:, :, ::-1]).all()
    assert len({image.tobytes() for image in images[0]}) == 15
    x = torch.from_numpy(orders["none"].images[:1]).float()[:, None].expand(400, -1, -1, -1)
    drawn = augment.augment(x, recipe, torch.Generator().manual_seed(0))[:, 0]
    distance = (drawn[:, None] - torch.from_numpy(images[0]).float()).abs().amax((2, 3))
    assert (distance.amin(1) <= 0.51).all()  # rounded to whole grey levels
    assert len(set(distance.argmin(1).tolist())) == 15


def test_doctor_knows_the_options(orders):
    for data in orders.values():
        assert ckplus.published(data)["all"].keys() == set(SIX)
    ratio = {ckplus.published(orders[n])["all"]["fear"] for n in ("none", "expanded_after")}
    assert ratio == {75, 15 * 75}
    assert ckplus.extra_counts(orders["none"])["sequences"][1] == 309


def test_splits_on_the_real_data(real_data):
    counts = {}
    for name in ("", "-expanded_before", "-expanded_after"):
        data = load("ckplus", real_data, **options(f"ckplus-model6-scratch48{name}"))
        counts[name] = [len(data.where(split)) for split in ("train", "val", "test")]
    assert counts[""] == [666, 75, 186] and counts["-expanded_after"] == [15 * n for n in counts[""]]
    assert sum(counts["-expanded_before"]) == 15 * 927
    tested = set()
    for fold in range(FOLDS):
        data = load("ckplus", real_data, **options(f"ckplus-model1-scratch48-grouped{fold}"))
        people = [set(data.subjects[data.where(s)]) for s in ("train", "val", "test")]
        assert sum(map(len, people)) == len(set.union(*people))
        assert len(data.where("train")) % ROW["ckplus-model1-scratch48"].batch != 1
        tested |= set(data.ids[data.where("test")])
    assert len(tested) == 927
    assert any("927 frames" in note for note in ROW["ckplus-model1-scratch48"].deviations)


# ---- notes --------------------------------------------------------------------------------------------------

ABOUT_NO_SETTING = {
    *("weights", "precision", "selection", "classifier"),
    *("random pooling", "partial decoder", "reverse attention", "side outputs"),
    *("loss_options.features", "augmentation.fill", "variant.width", "variant.fused"),
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_notes_are_about_settings_of_their_row(row):
    for name in set(row.assumed) - ABOUT_NO_SETTING:
        field, _, key = name.partition(".")
        assert not key or key in getattr(row, field), name
    model = row.variant["model"]
    for name, first in (
        ("variant.fused", 2),
        ("random pooling", 3),
        ("partial decoder", 4),
        ("reverse attention", 5),
    ):
        assert (name in row.assumed) == (model >= first)
    assert ("loss_options.step" in row.assumed) == (row.loss == "island")
    assert ("weights" in row.assumed) != row.variant["pretrained"]
    assert ("variant.norm" in row.assumed) != row.variant["norm"]
    assert ("augmentation" in row.assumed) == (len(row.augmentation.get("flip", ())) == 3)
    assert ("dataset_options.protocol" in row.assumed) == (row.dataset_options["protocol"] != "subjects")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_deviations_are_named(row):
    def said(words):
        return any(words in note for note in row.deviations)

    assert said("Our own row") == (row.size == 48)
    assert said("48x48 pixels") == (row.size == 48)
    assert said("CK+48 in place of CK+") == (row.dataset == "ckplus" and row.size == 48)
    assert said("stratified tenth") == (
        row.dataset == "ckplus" and row.dataset_options["protocol"] == "frames"
    )
    assert said("Folds by subject") == (row.dataset_options["protocol"] == "subjects")
    assert said("MTCNN")


# ---- the paper's text ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def paper():
    """The paper's text; FERLIB_PAPERS names a folder of texts."""
    folder = os.environ.get("FERLIB_PAPERS")
    for path in sorted(Path(folder).glob("*.txt")) if folder else []:
        text = path.read_text(encoding="utf-8")
        if "# A Framework for Facial Expression Recognition Combining Contextual" in text:
            return text
    pytest.skip("FERLIB_PAPERS names no folder with the paper's text")


def test_table_1_is_the_papers(paper):
    found = re.findall(r"^([1-6])\t([×√\t]+)\t([\d.]+)\t([\d.]+)\t([\d.]+)\t([\d.]+)$", paper, re.M)
    assert {int(m): tuple(values) for m, _, *values in found} == PRINTED and len(found) == 6
    header = re.search(r"^Model\t(.*?)\tFER2013", paper, re.M)[1].lower().split("\t")
    for model, signs, *_ in found:
        assert signs.count("√") == int(model) - 1
        assert model == "1" or TABLE_1[int(model)][0].lower() == header[int(model) - 2]


def test_the_own_row_of_table_2_is_the_papers(paper):
    assert re.search(r"^Proposed method\t(.*)$", paper, re.M)[1].split("\t") == list(PRINTED[6])


def test_what_the_text_prints_of_model_6(paper):
    flat = " ".join(paper.split())
    for words in (
        "average accuracy rate of 74.08% on the FER2013 dataset and 98.66% on the CK+ dataset",  # abstract
        "accuracy of 74.08% and 98.66% on the CK+ and FER2013 datasets, respectively",  # section 3.4
        "could not accurately identify sad and fear expressions, with a recognition accuracy of only 55.98% and 61.01%",
    ):
        assert words in flat


def test_settings_stand_in_the_papers_text(paper):
    flat = " ".join(paper.replace("$", "").replace("\\", "").split())
    for words in (
        "the dataset omits contempt expressions",
        "dimensions of 224 times 224 pixels",
        "rotation angle of pm 10^circ at 5^circ intervals",
        "15 times the number of image samples",
        "N ( N = 10 ) times",
        "decayed to half of its original value when the loss rate ceased to decrease within three iterations",
        "random dropout rate of 0.001",
        "lambda and lambda_1 were fixed at 0.005 and 7",
        "lambda was varied at 0.0005, 0.001, 0.005, 0.01, and 0.05",
        "lambda was initially fixed at 0.01, while lambda_1 was varied from 1 to 10",
        "random initialization of network parameters",
        "consistent experimental parameters",
    ):
        assert words in flat, words
    assert "batch normali" not in flat.lower() and "Adam" not in flat
