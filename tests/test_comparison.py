"""The common protocol: its rows, and what is made of their records."""

from __future__ import annotations

import numpy as np
import pytest
from recorded import record

from ferlib import comparison, plots
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


def put(folder, name, accuracy, seed=0, folds=range(5)):
    for k in folds:
        ids = [f"S{k:02d}{i // 10:02d}_001_{i}" for i in range(100)]
        record(
            folder,
            f"comparison-ckplus-{name}-grouped{k}",
            seed,
            accuracy,
            dataset="ckplus",
            profile="full",
            ids=ids,
        )


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
    table = comparison.gains(found)
    assert list(table["with attention minus without (points)"]) == ["+10.00"]
    assert list(table["seeds in favour"]) == ["1 of 1"]
    matrix = comparison.significance(found)
    assert matrix.shape == (2, 2)
    plots.close(plots.differences(matrix))


def test_seeds_are_shared_ones(tmp_path):
    put(tmp_path, "se_cnn", 0.8, seed=0)
    put(tmp_path, "se_cnn", 0.9, seed=1)
    put(tmp_path, "se_cnn-plain", 0.7, seed=1)
    found = comparison.everything("ckplus", tmp_path)
    gap = comparison.difference(found["se_cnn-plain"], found["se_cnn"])
    assert gap is not None and gap["seeds"] == 1 and gap["mean"] == pytest.approx(20)
    spread = comparison.spread(list(found.values()))
    assert list(spread["network"]) == ["SE-CNN"]
    assert float(spread["between seeds"][0]) == pytest.approx(100 * np.std([0.8, 0.9], ddof=1), abs=0.01)


def test_without_records_there_is_nothing(tmp_path):
    assert comparison.everything("fer2013", tmp_path) == {}
    assert len(comparison.gains({})) == 0


def test_cost_of_a_network():
    model = comparison.network("a_mobilenet-plain")
    assert comparison.latency(model, 3, repeats=2) > 0
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
    text = comparison.in_words(gains)
    assert (
        "SE-CNN, FER2013: +1.03 published, +10.00 ours" in text
        and text.count("not run yet") == len(gains) - 1
    )
    figure = plots.forest(gains)
    image = plots.inline(figure, text)
    assert image.startswith('<img alt="Gain of attention') and "data:image/svg+xml;base64," in image
    plots.close(figure)
