"""The common protocol: its rows, and what is made of their records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from recorded import record
from rows import changed
from scipy.stats import t

from ferlib import captions, comparison, comparison_tables, plots, records
from ferlib.data import audit_tables
from ferlib.evaluate import accuracy_interval, paired_clusters, widened, wilson, worth
from ferlib.experiments import EXPERIMENTS
from ferlib.experiments.comparison import NETWORKS
from ferlib.experiments.row import settings_of
from ferlib.models import build

OWN = ("id", "row", "model", "variant", "column", "preprocess")


@pytest.mark.parametrize("dataset", comparison.DATASETS)
def test_networks_differ_in_nothing_but_the_network(dataset):
    def training(name, k):
        row = comparison.rows_of(name, dataset)[k].to_dict()
        kept = {key: value for key, value in settings_of(row).items() if key not in OWN}
        return kept, row["preprocess"]["standardise"], row["size"]

    for k in range(len(comparison.rows_of("amdcnn", dataset))):
        first = training("amdcnn", k)
        assert all(training(name, k) == first for name in NETWORKS)


@pytest.mark.parametrize("name", NETWORKS)
def test_by_frames_and_by_subject_differ_in_the_split_alone(name):
    frames, fold = EXPERIMENTS[f"comparison-ckplus-{name}"], comparison.rows_of(name, "ckplus")[0]
    assert changed(frames, fold) == {
        f"dataset_options.{key}" for key in ("protocol", "test_fraction", "folds", "fold")
    }
    assert frames in audit_tables.frame_rows() and audit_tables.fold_rows(frames) == comparison.rows_of(
        name, "ckplus"
    )


def test_every_attention_network_has_a_twin_of_its_own_family():
    twins = {name: twin for name, (*_, twin) in NETWORKS.items() if twin}
    assert len(twins) == 5 and not set(twins) & set(twins.values())
    for name, twin in twins.items():
        assert twin == f"{name}-plain"
        own, other = (comparison.rows_of(n, "ckplus")[0] for n in (name, twin))
        assert (own.model, own.variant) != (other.model, other.variant)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_build_at_48_pixels(name):
    row = comparison.rows_of(name, "fer2013")[0]
    build(row.model, classes=7, channels=int(row.preprocess.get("channels", 1)), size=row.size, **row.variant)


def put(folder, name, accuracy, seed=0, folds=range(5), profile="full"):
    for k in folds:
        ids = [f"S{k:02d}{i // 10:02d}_001_{i}" for i in range(100)]
        record(
            folder,
            f"comparison-ckplus-{name}-grouped{k}",
            seed,
            accuracy,
            dataset="ckplus",
            profile=profile,
            ids=ids,
        )


def test_shortened_runs_stand_beside_their_twins_and_in_no_mean(tmp_path):
    """GCCA's pair was shortened: it has a difference, is compared with no whole run, and the mean is of the others."""
    for name, accuracy in (("amdcnn", 0.7), ("se_cnn", 0.8), ("msca_resnet", 0.6)):
        put(tmp_path, name, accuracy)
        put(tmp_path, f"{name}-plain", 0.5)
    put(tmp_path, "gcca_vgg", 0.1, profile="reduced")
    put(tmp_path, "gcca_vgg-plain", 0.3, profile="reduced")
    found = comparison.everything("ckplus", tmp_path)
    assert comparison.difference(found["gcca_vgg-plain"], found["gcca_vgg"])["mean"] == pytest.approx(-20)
    assert comparison.difference(found["gcca_vgg"], found["amdcnn"]) is None
    pairs, test = comparison.overall(found)
    assert pairs == 3 and test["mean"] == pytest.approx(20)
    matrix = comparison.significance(found)
    assert np.tril(matrix.attrs["tested"], -1).sum() == 6 * 5 // 2 + 1
    assert np.isnan(matrix.loc[comparison.title("gcca_vgg"), comparison.title("amdcnn")])
    assert "GCCA-VGG16 and its twin were shortened" in comparison_tables.verdict(found, "ckplus")


def test_folds_are_pooled_and_subjects_kept_together(tmp_path):
    put(tmp_path, "se_cnn", 0.8)
    put(tmp_path, "se_cnn-plain", 0.7)
    put(tmp_path, "amdcnn", 0.9, folds=range(4))  # a fold is missing: no result
    found = comparison.everything("ckplus", tmp_path)
    assert set(found) == {"se_cnn", "se_cnn-plain"}
    t = found["se_cnn"]
    assert t.correct.shape == (1, 500) and t.accuracy == pytest.approx(0.8)
    assert t.fitted == pytest.approx(0.8)  # what the records say of training images
    assert len(set(t.clusters)) == 50 and len(set(t.ids)) == 500
    low, high = t.interval
    assert (
        low < 0.8 < high and high - low > 0.15
    )  # whole subjects are right or wrong: wider than images alone
    table = comparison_tables.gains(found)
    assert list(table["network minus twin (points)"]) == ["+10.00"]
    assert list(table["seeds in favour"]) == ["1 of 1"]
    matrix = comparison.significance(found)
    assert matrix.shape == (2, 2)
    figure = plots.differences(matrix)  # each pair once
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list(matrix.index[1:])
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == list(matrix.columns[:-1])
    plots.close(figure)


def test_seeds_are_shared_ones(tmp_path):
    put(tmp_path, "se_cnn", 0.8, seed=0)
    put(tmp_path, "se_cnn", 0.9, seed=1)
    put(tmp_path, "se_cnn-plain", 0.7, seed=1)
    found = comparison.everything("ckplus", tmp_path)
    gap = comparison.difference(found["se_cnn-plain"], found["se_cnn"])
    assert gap is not None and gap["seeds"] == 1 and gap["mean"] == pytest.approx(20)
    spread = comparison_tables.spread(list(found.values()))
    assert list(spread["network"]) == ["SE-CNN"]
    assert float(spread["between seeds"][0]) == pytest.approx(100 * np.std([0.8, 0.9], ddof=1), abs=0.01)
    assert "One seed" not in comparison_tables.counted(found)
    assert "only one seed is shared" in comparison_tables.counted(found)


def test_intervals_count_the_seeds(tmp_path):
    """Three seeds of one accuracy, and three that differ: the second interval is wider by their spread."""
    for seed in range(3):
        put(tmp_path, "se_cnn", 0.8, seed)
        put(tmp_path, "se_cnn-plain", 0.7 + 0.05 * seed, seed)
    found = comparison.everything("ckplus", tmp_path)
    alike, apart = found["se_cnn"], found["se_cnn-plain"]
    test = accuracy_interval(alike.correct, alike.clusters)
    assert alike.interval == pytest.approx(test, abs=0.005)  # 50 subjects: t in place of z
    low, high = accuracy_interval(apart.correct, apart.clusters)
    by_seed = list(apart.correct.mean(1))
    images = round(np.mean([worth(run, apart.clusters) for run in apart.correct]))
    assert apart.interval == pytest.approx(widened(0.75, low, high, by_seed, images)[:2])
    assert np.diff(apart.interval) > high - low + 0.02
    gap = comparison.difference(apart, alike)
    images = paired_clusters((alike.correct.astype(float) - apart.correct).mean(0), apart.clusters)
    assert gap["seeds"] == 3 and gap["positive"] == 2
    assert gap["high"] - gap["low"] > 100 * (images["high"] - images["low"]) + 1
    assert gap["p"] > images["p"] and "spread between seeds" in comparison_tables.counted(found)


def test_faultless_networks_have_an_interval_too(tmp_path):
    put(tmp_path, "se_cnn", 1.0)
    low, high = comparison.everything("ckplus", tmp_path)["se_cnn"].interval
    assert (low, high) == pytest.approx(wilson(50, 50))  # as many as subjects


ORDER = ("se_cnn", "se_cnn-plain", "a_mobilenet", "a_mobilenet-plain", "amdcnn", "amdcnn-plain", "gcca_vgg")
ACCURACIES = (0.95, 0.60, 0.90, 0.50, 0.80, 0.80, 0.85)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Seven networks, three pairs of them, two seeds each."""
    folder = tmp_path_factory.mktemp("many")
    for name, accuracy in zip(ORDER, ACCURACIES, strict=True):
        for seed in range(2):
            put(folder, name, round(accuracy - 0.01 * seed, 2), seed)
    return comparison.everything("ckplus", folder), folder


def test_pairs_are_significant_over_seeds_and_subjects(many):
    found, _ = many
    matrix = comparison.significance(found)
    assert list(matrix.index) == [
        comparison.title(n) for n in sorted(ORDER, key=lambda n: -found[n].accuracy)
    ]
    best, worst = comparison.title("se_cnn"), comparison.title("a_mobilenet-plain")
    assert matrix.loc[best, worst] == pytest.approx(45) == -matrix.loc[worst, best]
    same = (comparison.title("amdcnn"), comparison.title("amdcnn-plain"))
    assert np.isnan(matrix.loc[same])
    raw = comparison.difference(found["a_mobilenet-plain"], found["se_cnn"])["p"]
    assert raw < 0.05 / 21  # so that Holm over the 21 pairs leaves it below 0.05
    table = comparison_tables.gains(found).set_index("network")
    assert table.loc["SE-CNN", "network minus twin (points)"] == "+35.00"
    assert list(table["seeds in favour"]) == ["0 of 2", "2 of 2", "2 of 2"]


def test_what_is_left_without_a_chosen_epoch(many):
    """All test images of the folds together, each fold's own history; the mean of the seeds."""
    found, folder = many
    parts = [
        records.read(records.path_of(folder, row.id, 0))["reproducible"]
        for row in comparison.rows_of("se_cnn", "ckplus")
    ]
    images = [part["result"]["val_selected"]["n"] for part in parts]
    ends = [[epoch["test_accuracy"] for epoch in part["history"][-10:]] for part in parts]
    if len(ends[0]) < 10:
        assert np.isnan(found["se_cnn"].ends[0]).all()
    else:
        assert found["se_cnn"].ends[0] == pytest.approx(np.average(ends, axis=0, weights=images))
    one = replace(found["se_cnn"], ends=np.full((2, 10), 0.8))
    twin = replace(found["se_cnn-plain"], ends=np.array([[0.7] * 10, [0.9] * 10]))
    assert comparison.difference(twin, one)["last"] == pytest.approx(0)
    assert comparison.at_the_end(twin, one, [0]) == pytest.approx(10)
    pair = {"se_cnn": one, "se_cnn-plain": replace(twin, ends=np.full((2, 10), 0.9))}
    assert comparison.alike(pair, "CK+48")[3].turns == ", but -10.00 over the last 10 epochs"
    assert list(comparison_tables.gains(pair)["last 10 epochs"]) == ["-10.00"]


def test_which_gain_a_pair_can_show(many):
    """1.96 and 0.84 standard errors, of which the interval has 3.92."""
    found, _ = many
    said = comparison_tables.shown_from(found)
    test = next(one.test for one in comparison.against_twins(found) if one.name == "se_cnn")
    size = (test["high"] - test["low"]) * (1.959964 + 0.841621) / (2 * 1.959964)
    assert f"{size:.1f} points (SE-CNN)" in said and said.startswith("the smallest true gain that")
    assert comparison_tables.shown_from({}) == ""


def test_ranks_over_the_folds(many):
    found, _ = many
    table, said = comparison_tables.ranks(found)
    assert list(table["network"])[:2] == [comparison.title("se_cnn"), comparison.title("a_mobilenet")]
    assert list(table["average rank"])[:3] == ["1.00", "2.00", "3.00"]
    assert list(table["average rank"])[3:5] == ["4.50", "4.50"]  # AMDCNN and its twin
    critical = 2.949 * np.sqrt(7 * 8 / (6 * 5))  # Demsar (2006), Table 5a, seven classifiers
    assert f"{critical:.2f} apart" in said and said.startswith("5 folds, 7 networks")
    column = "behind the first by more than the critical difference"
    assert list(table[column]) == ["no"] * 5 + ["yes"] * 2
    two = {name: found[name] for name in ORDER[:2]}
    assert len(comparison_tables.ranks(two)[0]) == 0


def test_attention_over_all_pairs(many):
    found, _ = many
    pairs, test = comparison.overall(found)
    assert pairs == 3 and test["mean"] == pytest.approx((35 + 40 + 0) / 3)
    assert test["low"] < test["mean"] < test["high"]
    text = comparison_tables.verdict(found, "ckplus")
    assert text.startswith("of 3 networks with a twin none counts here. ")
    slow = found | {"se_cnn": replace(found["se_cnn"], fitted=0.95)}
    slow |= {name: replace(slow[name], fitted=0.95) for name in slow if not name.startswith("a_mobilenet")}
    assert comparison_tables.verdict(slow, "ckplus").startswith(
        "of 2 of the 3 networks with a twin, the interval of the difference, before any correction, lies above zero "
        "for 1 (SE-CNN), below it for none; clear after the correction for several tests: 1 (SE-CNN)."
    )
    quick = {name: replace(one, fitted=0.95) for name, one in found.items()}
    assert comparison_tables.verdict(quick, "ckplus").startswith(
        "of 3 networks with a twin, the interval of the difference, before any correction, lies above zero for 2 "
        "(A-MobileNet and SE-CNN), below it for none; clear after the correction for several tests: 2 "
        "(A-MobileNet and SE-CNN)."
    )
    assert "SE-CNN and its twin fit 80 % and 80 % of their training images" in text
    assert "points above their twins" not in text  # no pair fits its images
    assert "SE-CNN differs from its twin in attention alone; the other twins lack more than that." in text
    assert text.endswith("2 pairs wait for runs. 2 seeds each: provisional.")
    fitted = {name: replace(one, fitted=0.95) for name, one in found.items()}
    text = comparison_tables.verdict(fitted, "ckplus")
    assert "training images" not in text
    assert (
        "Over the 3 pairs the networks with attention lie on average 25.00 points above their twins" in text
    )
    fitted["se_cnn-plain"] = found["se_cnn-plain"]  # gains of 40 and 0 points are left
    text = comparison_tables.verdict(fitted, "ckplus")
    assert (
        "Over the 2 other pairs the networks with attention lie on average 20.00 points above their twins"
        in text
    )
    fitted["se_cnn-plain"] = replace(found["se_cnn-plain"], fitted=0.7)
    assert "training images" not in comparison_tables.verdict(fitted, "fer2013")  # whose labels are noisy


def test_networks_that_differ_in_attention_alone():
    for name, (*_, twin) in NETWORKS.items():
        if twin:
            own, other = (comparison.rows_of(n, "ckplus")[0] for n in (name, twin))
            keys = own.variant.keys() | other.variant.keys()
            differing = {key for key in keys if own.variant.get(key) != other.variant.get(key)}
            assert (own.model == other.model and differing == {"se"}) == (name in comparison_tables.ALONE)


def test_the_twin_keeps_as_many_se_blocks_as_the_page_says():
    with_, without = (comparison.network(name) for name in ("msca_resnet", "msca_resnet-plain"))
    blocks = [sum(isinstance(m, type(with_.attention.se)) for m in net.modules()) for net in (with_, without)]
    assert blocks == [7, 4] and "four of its seven SE blocks" in comparison_tables.KEPT


def test_twins_stand_beside_the_papers_own_steps(many):
    found, _ = many
    gains = {g.title: g for g in comparison.alike(found, "CK+48")}
    assert list(gains) == [
        f"{n}, CK+48" for n in ("AMDCNN", "GCCA-VGG16", "A-MobileNet", "SE-CNN", "MSCA-ResNet")
    ]
    assert gains["SE-CNN, CK+48"].ours == pytest.approx(35) and gains["SE-CNN, CK+48"].seeds == 2
    assert gains["GCCA-VGG16, CK+48"].ours is None and {g.published for g in gains.values()} == {None}


BEYOND = "beyond the chance of test images the gain lies"


def landing(gains, found, results=Path("nowhere")):
    """The landing page's answer as one text, and what stands below its figure."""
    lead, sentences, rest = comparison_tables.landing(gains, found, results)
    return " ".join([lead, *sentences]), rest


def test_the_landing_page_has_what_there_is(many):
    found = {name: replace(one, fitted=1.0) for name, one in many[0].items()}
    gains = [
        comparison.Gain("A", 1.0),
        comparison.Gain("B", 3.0, 2.0, 0.5, 3.5, 3),
        comparison.Gain("C", 8.0),
    ]
    none, rest = landing(gains, {"ckplus": {}, "fer2013": {}})
    assert rest == "" and none == (
        "Whether attention alone helps cannot be said yet. The papers print gains of 1.00 to 8.00 points for 3 steps "
        f"to attention; 1 of these has whole runs here, B +2.00 [+0.5, +3.5]; {BEYOND} above zero in "
        "1 (B), below it in none. No two networks have run with their twins under one protocol yet."
    )
    text, rest = landing(gains, {"ckplus": found, "fer2013": {}})
    n, test = comparison.overall(found)
    assert (
        f"differ from their twins by {test['mean']:+.2f} [{test['low']:+.1f}, {test['high']:+.1f}] points"
        in text
    )
    assert rest == ""
    assert text.startswith("Whether attention alone helps cannot be said yet. The papers print gains of ")
    assert text.endswith(f" points on CK+48 ({n} pairs); with 2 seeds on CK+48 this is provisional.")


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (
            -4.0,
            0.9,
            "1 of the 3 printed gains can be held against such a pair: +50.00 for SE-CNN on CK+ (trained alike: "
            "+35.00 [",
        ),
        (-4.0, 1.1, "such a pair: +1.00 for SE-CNN on CK+ (trained alike: +35.00 ["),
        (0.1, 3.1, "Attention is shown to help on CK+48, folds by subject. "),
    ],
)
def test_the_landing_page_says_what_attention_alone_does(many, monkeypatch, low, high, words):
    """Whether the print is excluded is told of each network by its own pair, not by the mean."""
    found, _ = many

    def overall(tested, fitted=0.0, among=tuple(NETWORKS)):
        alone = among == comparison_tables.ALONE
        mean = {
            "mean": 0.5 if alone else -1.0,
            "low": low if alone else -9.0,
            "high": high,
            "p": 0.2,
            "last": -0.3,
            "seeds": 2.0,
        }
        return (2 if alone else 4, mean) if tested else None

    monkeypatch.setattr(comparison_tables, "overall", overall)
    printed = (("AMDCNN, CK+", 8.0), ("SE-CNN, FER2013", 3.0), ("SE-CNN, CK+", 50.0 if high < 1 else 1.0))
    gains = [comparison.Gain(name, value) for name, value in printed]
    text, rest = landing(gains, {"ckplus": found, "fer2013": {}})
    assert (
        words in text
        and text.startswith("Attention is not shown to help. ") == (low < 0)
        and ("after correction for 3 pairs) is excluded" in text) == (high < 1)
        and ("is not excluded" in text) == (high > 1)
    )
    alone = f"+0.50 [{low:+.1f}, {high:+.1f}] points on CK+48 (95 % intervals; over the last 10 epochs"
    assert (
        "SE-CNN and MSCA-ResNet, which differ from their twins in attention alone (MSCA-ResNet's twin keeps four of "
        f"its seven SE blocks), gain on average {alone}" in text
    )
    assert "where none is chosen, -0.30)" in text and "-1.00" not in text + rest


def test_shortened_runs_are_told_as_such_on_the_landing_page(many):
    found = {
        name: replace(one, fitted=1.0, reduced=name in ("se_cnn", "se_cnn-plain"))
        for name, one in many[0].items()
    }
    gains = [comparison.Gain("A", 1.0, 0.5, -1.0, 2.0, 1, reduced=True), comparison.Gain("B", 2.0)]
    text, rest = landing(gains, {"ckplus": found, "fer2013": {}})
    assert (
        "for 2 steps to attention; none of these have whole runs here; shortened runs of A +0.50 are no verdict yet."
        in text
    )
    whole = replace(gains[0], reduced=False)
    for one, words in (
        (whole, "in none."),
        (replace(whole, ours=-1.0, high=-0.1), "in 1 (A, one run each)."),
    ):
        below, _ = landing([one], {"ckplus": {}, "fer2013": {}})
        assert "1 of these has whole runs here, A " in below
        assert f"; {BEYOND} above zero in none, below it {words}" in below
    assert rest == "Left out of the means: SE-CNN (+35.00 points on CK+48; shortened)."
    assert "shortened runs" in comparison_tables.in_words({"one": comparison.alike(found, "CK+48")})


def test_a_pair_that_was_trained_too_little_is_named_with_its_difference(many):
    """SE-CNN's pair left out by hand: the others' mean, and why and how far apart it lies."""
    found = {name: replace(one, fitted=0.5 if name == "se_cnn" else 0.95) for name, one in many[0].items()}
    assert [one.name for one in comparison_tables.unfitted(found, "ckplus")] == ["se_cnn"]
    n, _ = comparison.overall(found)
    fewer, mean = comparison.overall(found, 0.9)
    assert fewer == n - 1
    gaps = [one.test["mean"] for one in comparison.against_twins(found)]
    reach = t.ppf(0.975, len(gaps) - 1) * np.std(gaps, ddof=1) / len(gaps) ** 0.5
    assert comparison.across(found) == pytest.approx((np.mean(gaps) - reach, np.mean(gaps) + reach))
    text, rest = landing([comparison.Gain("A", 1.0)], {"ckplus": found, "fer2013": {}})
    assert f"{mean['mean']:+.2f} [" in text and f"({fewer} pairs)" in text
    assert rest == (
        "Left out of the means: SE-CNN (+35.00 points on CK+48; it or its twin does not fit even its training images)."
    )
    groups = comparison_tables.groups(
        [comparison.Gain("A", 1.0)], {"ckplus": found, "fer2013": {}}, "nowhere"
    )
    (own, unseen, alone, more) = groups.values()
    assert [g.title for g in unseen] == ["A-MobileNet, CK+48", "AMDCNN, CK+48", "MSCA-ResNet, CK+48"]
    assert [(g.title, g.undertrained) for g in alone] == [
        ("SE-CNN, CK+48", True),
        ("MSCA-ResNet, CK+48", False),
    ]
    assert len(own) == 1 and len(more) == 3 and not any(g.undertrained for g in more)
    ran, waiting = comparison_tables.that_ran(groups)
    assert "Each paper's own protocol" not in ran and waiting.startswith(
        "Pair not run yet (each paper's own protocol): A. "
    )
    unfit = replace(groups["Each paper's own protocol"][0], ours=35.0, low=30.0, high=40.0, undertrained=True)
    figure = plots.forest({"one": [comparison.Gain("B", 3.0, 2.0, 0.5, 3.5, 3), unfit]})
    assert figure.axes[0].get_xlim()[1] < 5  # it is written at the edge
    assert any("+35.0 →" in text.get_text() for text in figure.axes[0].texts)
    plots.close(figure)
    said = captions.forest(ran, by_heading=False)
    assert said.startswith("Of ") and said.endswith(
        "Grey, not counted: SE-CNN (one protocol for all), trained too little."
    )
    said = comparison_tables.verdict(found, "ckplus")
    assert "less than 90 % counts as trained too little" in said and "over the last 10 epochs" in said
    assert "they tell the mean to within " in said and "whole pairs" not in said


def test_a_pair_under_two_ways_of_training(many, monkeypatch, tmp_path):
    """The same two networks, once as they are and once in the other order: opposite signs."""
    found, _ = many
    pair = {"amdcnn-ckplus-baseline-grouped0": "se_cnn", "amdcnn-ckplus-acs3-grouped0": "se_cnn-plain"}
    common = ("comparison-ckplus-amdcnn-plain-grouped0", "comparison-ckplus-amdcnn-grouped0")
    pair |= dict(zip(common, ("se_cnn-plain", "se_cnn"), strict=True))
    monkeypatch.setattr(
        comparison_tables, "pooled", lambda name, rows, *_: found.get(pair.get(rows[0].id, ""))
    )
    here = {"amdcnn-plain": found["se_cnn-plain"], "amdcnn": found["se_cnn"]}
    text = comparison_tables.own_folds(here, tmp_path)
    assert text.startswith("AMDCNN, on the same people under its paper's own settings: -35.00 [")
    assert "] points (2 seeds), here +35.00 [" in text and "MSCA" not in text
    assert "Over the 2 seeds that all four networks have, the two lie -70.00 [" in text
    assert text.endswith("as far as 2 seeds can tell, the way of training decides, too.")
    here = {"amdcnn-plain": found["se_cnn"], "amdcnn": found["se_cnn-plain"]}
    pair |= dict(zip(common, ("se_cnn", "se_cnn-plain"), strict=True))
    assert comparison_tables.own_folds(here, tmp_path).endswith("need not disagree.")
    assert comparison_tables.own_folds({}, tmp_path) == ""


def test_a_network_timed_faster_than_its_smaller_twin_is_noise():
    cost = {name: {"latency (ms)": 2.0, "multiply-adds": 2.0} for name in NETWORKS}
    assert comparison.mistimed(cost) == []
    cost["msca_resnet-plain"] = {"latency (ms)": 3.0, "multiply-adds": 1.0}
    cost["se_cnn-plain"] = {"latency (ms)": 1.0, "multiply-adds": 1.0}
    assert comparison.mistimed(cost) == [comparison.title("msca_resnet")]


@pytest.mark.parametrize("fitted", [0.95, 0.5])
def test_attention_alone_on_people_not_seen_is_told_beside_the_answer(many, monkeypatch, fitted):
    """A-MobileNet's own pair is SE-CNN's here, 35 points apart: the exception, unless it does not fit its images."""
    found = {name: replace(one, fitted=fitted) for name, one in many[0].items()}
    pair = {"a_mobilenet-ckplus-no_attention-scratch48": "se_cnn-plain"}
    pair |= {"a_mobilenet-ckplus-a_mobilenet-scratch48": "se_cnn"}
    pair |= {
        "amdcnn-ckplus-baseline": "amdcnn-plain",
        "amdcnn-ckplus-mcbam": "amdcnn",
    }  # alike on every image
    monkeypatch.setattr(comparison_tables, "pooled", lambda name, *_: found.get(pair.get(name, "")))
    gains = comparison_tables.unseen_people("nowhere")
    assert [(g.title.partition(",")[0], g.ours, g.counts) for g in gains] == [
        ("A-MobileNet", pytest.approx(35), fitted > 0.9),
        ("AMDCNN", 0, fitted > 0.9),
        ("MSCA-ResNet", None, False),
    ]
    test = {"mean": 0.5, "low": -1.0, "high": 2.0, "p": 0.5, "last": 0.1, "seeds": 2.0}
    monkeypatch.setattr(comparison_tables, "overall", lambda *_: (2, test))
    lead, _, more = comparison_tables.landing(
        [comparison.Gain("A", 1.0)], {"ckplus": found, "fer2013": {}}, "nowhere"
    )
    exception = ", with one exception (A-MobileNet on CK+48, 2 seeds)" if fitted > 0.9 else ""
    assert lead == f"Attention is not shown to help{exception}."
    assert more.startswith(
        "With each paper's settings (A-MobileNet at 48×48 pixels, from random weights), but on people"
    )
    assert "attention alone gives A-MobileNet +35.00 [" in more and "MSCA-ResNet" not in more
    assert ("after correction for 2 pairs); AMDCNN +0.00 [" in more) == (fitted > 0.9)
    assert ("trained too little); AMDCNN" in more) == (fitted < 0.9)


def test_a_pair_of_attention_alone_differs_in_that_alone():
    for without, with_ in comparison_tables.OWN_ALONE.values():
        one, other = (EXPERIMENTS[f"{name}-grouped0"] for name in (without, with_))
        named = ("id", "row", "variant", "assumed", "deviations", "published", "table")
        fields = [f for f in one.__dataclass_fields__ if f not in named]
        assert [getattr(one, f) for f in fields] == [getattr(other, f) for f in fields]
        keys = one.variant.keys() | other.variant.keys()
        differing = {key for key in keys if one.variant.get(key) != other.variant.get(key)}
        assert differing and differing <= {"attention", "se"}


def test_other_seeds_of_the_papers_own_rows(tmp_path):
    assert comparison_tables.other_seeds(tmp_path) == ""
    for seed, accuracy in enumerate((0.5, 0.6)):
        record(tmp_path, "amdcnn-ckplus-acs3", seed, accuracy=accuracy, dataset="ckplus")
    assert "lie on average 10.0 (AMDCNN on CK+48) points apart" in comparison_tables.other_seeds(tmp_path)


def test_one_pair_says_so(many):
    found, folder = many
    text = comparison_tables.verdict({name: found[name] for name in ORDER[:2]}, "ckplus")
    assert text.startswith(
        "SE-CNN is the only network that has run with its twin; the difference is +35.00 points"
    )
    assert "4 pairs wait for runs" in text and "Over the" not in text
    assert comparison_tables.verdict({}, "ckplus") == "no network has run with its twin yet."
    assert comparison.overall({}) is None
    waiting = comparison_tables.waiting("ckplus", folder)
    assert waiting == "Without a result so far: VGG16, MSCA-ResNet (SE), MSCA-ResNet without module SE."


def test_networks_with_some_folds_wait(tmp_path):
    put(tmp_path, "se_cnn", 0.8)
    put(tmp_path, "amdcnn", 0.9, folds=range(3))
    assert "AMDCNN (MCBAM, 3 ACs) (3 of 5 folds), " in comparison_tables.waiting("ckplus", tmp_path)
    cost = {"se_cnn": {"multiply-adds": 2e6, "parameters": 1e6, "latency (ms)": 3.0}}
    found = comparison.everything("ckplus", tmp_path)
    panels = comparison.points(found, cost)
    for what, (axis, unit) in comparison.COSTS.items():
        (name, x, accuracy, low, high, twin), *rest = panels[axis]
        assert (name, x, twin, rest) == ("SE-CNN", cost["se_cnn"][what] / unit, "SE-CNN without SE", [])
        assert low < accuracy < high and accuracy == pytest.approx(80)
    assert list(comparison_tables.summary(found, cost)["accuracy (%)"]) == ["80.00"]


def test_without_records_there_is_nothing(tmp_path):
    assert comparison.everything("fer2013", tmp_path) == {}
    assert len(comparison_tables.gains({})) == 0


def test_cost_of_a_network():
    cost = comparison.costs(rounds=1)
    assert set(cost) == set(NETWORKS) and all(one["latency (ms)"] > 0 for one in cost.values())
    assert all(
        EXPERIMENTS[r.id].table == "Common protocol" for r in comparison.rows_of("a_mobilenet", "ckplus")
    )


def test_the_headline_says_what_ran_and_what_did_not(tmp_path):
    for seed in (0, 1, 2):
        record(tmp_path, "se_cnn-plain", seed, 0.7, profile="full")
        record(tmp_path, "se_cnn-se", seed, 0.8, profile="full")
    gains = comparison.headline(tmp_path)
    ours = next(g for g in gains if g.title == "SE-CNN, FER2013")
    assert ours.ours == pytest.approx(10) and ours.seeds == 3 and not ours.reduced
    assert ours.published == pytest.approx(69.04 - 68.01)
    assert sum(g.ours is None for g in gains) == len(gains) - 1
    groups = {"Own": gains, "Alike": comparison.alike({}, "CK+48")}
    text = comparison_tables.in_words(groups)
    assert text.startswith("Gain of attention in points. Own: AMDCNN, FER2013 +")
    assert "SE-CNN, FER2013 +1.03 published, +10.00 ours" in text
    assert "Alike: AMDCNN, CK+48, pair not run yet; GCCA-VGG16, CK+48, pair not run yet;" in text
    # RAF-DB, and CK+ with the neutral faces that its common release lacks
    assert text.count("not run yet") == len(gains) - 4 + 5 and text.count("licensed") == 3
    figure = plots.forest(groups)
    labels = [(label.get_text(), label.get_fontweight()) for label in figure.axes[0].get_yticklabels()]
    assert labels[0] == ("Own", "bold") and labels[1] == ("AMDCNN, FER2013", "normal")
    assert len(labels) == len(gains) + 5 + 2
    image = plots.inline(figure, text)
    assert image.startswith('<img alt="Gain of attention') and "data:image/svg+xml;base64," in image
    narrow = plots.forest(groups, narrow=True)
    names = {written.get_text() for written in narrow.axes[0].texts}
    assert names >= {name for name, _ in labels} and not len(narrow.axes[0].get_yticks())
    assert narrow.get_size_inches()[0] < 6 < figure.get_size_inches()[0]
    both = plots.inline(figure, text, narrow)
    assert both.startswith('<picture><source media="(max-width: 600px)" srcset="data:image/svg+xml')
    assert both.endswith("></picture>") and both.count("data:image/svg+xml;base64,") == 2
    assert both.count('<img alt="Gain of attention') == 1
    plots.close(narrow)
    plots.close(figure)
    answer = comparison_tables.answer(gains)
    assert (
        "1 of the pairs has runs so far. Of the 1 with whole runs the gain lies above zero in 1, below it"
        in answer
    )
    assert "and the spread between seeds" in answer and "All of these rest on three seeds" in answer


def test_steps_of_a_table_that_have_runs(tmp_path):
    """Of three rows two have runs: of their three steps one; the tick of the last epochs stands where they say."""
    rows = [EXPERIMENTS[f"amdcnn-fer2013-{slug}"] for slug in ("baseline", "cbam", "mcbam")]
    for row, accuracy in zip(rows[::2], (0.5, 0.6), strict=True):
        record(tmp_path, row.id, accuracy=accuracy, profile="full")
    (gain,) = comparison.steps(rows, tmp_path)
    assert gain.title == "baseline → baseline+MCBAM" and gain.ours == pytest.approx(10)
    assert gain.published == pytest.approx(1.22) and gain.last is None  # two epochs
    figure = plots.forest({"FER2013": [replace(gain, last=-40.0)]}, "second network minus first")
    (axes,) = figure.axes
    (tick,) = (line for line in axes.get_lines() if line.get_marker() == "|" and line.get_markersize() == 12)
    assert tick.get_xdata() == [-40] and axes.get_xlim()[0] < -40
    assert axes.get_xlabel().startswith("second network minus first")
    assert any("last 10 epochs" in text.get_text() for text in figure.legends[0].get_texts())
    assert any(text.get_text() == "+1.22" for text in axes.texts)
    plots.close(figure)


def test_the_headline_counts_seeds_and_people(tmp_path):
    """Of one seed the frames of a person count together; of several seeds their spread is added."""
    ids = [f"S{i // 10:02d}_001_{i}" for i in range(100)]
    names = ("msca_resnet-ckplus-plain", "msca_resnet-ckplus-se")
    one = {"dataset": "ckplus", "profile": "full", "ids": ids}
    for name, accuracy in zip(names, (0.7, 0.8), strict=True):
        record(tmp_path, name, 0, accuracy, **one)
    gain = comparison.headline(tmp_path)[-1]
    assert gain.seeds == 1 and gain.ours == pytest.approx(10)
    assert (gain.low, gain.high) == pytest.approx((0, 30), abs=0.1)  # one of ten people: ten frames at once
    answer = comparison_tables.answer([gain])
    assert "There is one seed of each" in answer and "1 rests on fewer than three seeds" in answer
    for name, accuracy in zip(names, (0.9, 0.8), strict=True):
        record(tmp_path, name, 1, accuracy, **one)
    both = comparison.headline(tmp_path)[-1]
    assert both.seeds == 2 and both.ours == pytest.approx(0) and both.low < -10 and both.high > 10
    assert "for the 1 with one seed the test images alone" in comparison_tables.answer([gain, both])
    shortened = comparison_tables.answer([gain, replace(both, reduced=True)])
    assert (
        "2 of the pairs have runs so far, 1 of them shortened" in shortened and "Of the 1 with" in shortened
    )
    assert comparison_tables.answer([replace(both, reduced=True)]).endswith("which counts for nothing yet.")
    found = comparison.couple(*names, tmp_path)
    assert found.seeds == (0, 1) and found.test()["p"] == pytest.approx(1)


def test_names_over_cost_do_not_overlap():
    """Three networks at nearly the same cost and accuracy; a twin goes under the name of its network."""
    points = [(f"Network {k} (SE)", 100 + k, 80.0, 78.0, 82.0, f"plain {k}") for k in range(3)]
    points += [(f"plain {k}", 99 + k, 79.0, 77.0, 81.0, None) for k in range(3)]
    points.append(("far", 10_000, 85.0, 84.0, 86.0, None))
    figure = plots.pareto({"cost": points, "another cost": [*points[1:3], *points[4:]]})
    for ax, expected in zip(figure.axes, (range(3), range(1, 3)), strict=True):
        labels = [text for text in ax.texts if text.get_text()]
        assert sorted(text.get_text() for text in labels) == [*(f"Network {k}" for k in expected), "far"]
        boxes = [text.get_window_extent() for text in labels]
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    plots.close(figure)


def test_a_gain_that_hangs_on_the_chosen_epoch_is_told():
    """Below zero where validation chose, above it over the last epochs; with the same sign nothing is said."""
    gain = comparison.Gain("A, B", 1.0, -2.0, -3.0, -1.0, 1, reduced=True, last=0.4)
    assert gain.remark == ", one shortened run each, but +0.40 over the last 10 epochs"
    assert not gain.below and replace(gain, reduced=False).below
    assert (
        "below it in 1 (A on B, one run each, but +0.40 over the last 10 epochs)."
        in (landing([replace(gain, reduced=False)], {"ckplus": {}, "fer2013": {}})[0])
    )
    assert (
        replace(gain, last=-0.4, seeds=3).remark == ", shortened"
        and comparison.Gain("A", None, last=1.0).remark == ""
    )
