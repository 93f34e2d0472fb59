"""What is made of the two starts' records: their difference on people not seen, their lines over epochs."""

from __future__ import annotations

import numpy as np
import pytest
from recorded import record

from ferlib import plots, pretraining, records

PEOPLE = 12  # of a fold, with two frames each


def recorded(folder, start, accuracy, seeds=(0,), best=None, suffixes=pretraining.SPLITS["folds by subject"]):
    for seed in seeds:
        for k, suffix in enumerate(suffixes):
            ids = [f"S{20 * k + i // 2:03d}_00{i % 2}_0000001{i % 2}.png" for i in range(2 * PEOPLE)]
            record(folder, start + suffix, seed, accuracy, "ckplus", len(ids), "full", ids=ids, best=best)


def test_the_difference_on_people_not_seen(tmp_path):
    random, ferplus = pretraining.IDS
    recorded(tmp_path, random, 0.5, seeds=(0, 1))
    assert (
        pretraining.table(tmp_path).empty
        and not pretraining.said(tmp_path)
        and not pretraining.for_scale(tmp_path)
    )
    recorded(tmp_path, ferplus, 0.75, seeds=(0, 1, 2), best=1.0)
    frame = pretraining.table(tmp_path)
    assert list(frame["epoch"]) == ["epoch by validation", "best test epoch"]
    assert set(frame["CK+48"]) == {"folds by subject"}
    assert list(frame["random start (%)"]) == ["50.0", "50.0"]
    assert list(frame["start from FERPlus (%)"]) == ["75.0", "100.0"]
    assert frame["difference (points)"][0].startswith("+25.00 [") and list(frame["seeds"]) == [2, 2]
    said = pretraining.said(tmp_path)
    assert "from FERPlus gives +25.00 [" in said and said.endswith("from 50.0 % to 75.0 %, 2 seeds).")


def test_without_the_person_that_both_datasets_show(tmp_path, monkeypatch):
    """S000 and S001 are the ends of the first fold: right in both networks, and wrong in both."""
    for start, accuracy in zip(pretraining.IDS, (0.5, 0.75), strict=True):
        recorded(tmp_path, start, accuracy)
    monkeypatch.setattr(pretraining, "SHARED", "S000")
    gained = (
        100 * 5 * 6 / (5 * 2 * PEOPLE - 2)
    )  # six of each fold's frames are right with the second network alone
    assert f"Without S000: +{gained:.2f} [" in pretraining.said(tmp_path)


def test_frames_at_random_and_attention_alone_stand_beside(tmp_path):
    for start, accuracy in zip(pretraining.IDS, (0.5, 0.75), strict=True):
        recorded(tmp_path, start, accuracy)
        recorded(tmp_path, start, 0.75, suffixes=pretraining.SPLITS[pretraining.SEEN])
    for name, accuracy in (("se_cnn", 0.75), ("se_cnn-plain", 0.5), ("amdcnn", 0.75), ("amdcnn-plain", 0.5)):
        recorded(tmp_path, f"comparison-ckplus-{name}", accuracy)
    _, _, beside = pretraining.said(tmp_path).partition("). ")
    seen, beside = beside.split(". ", 1)
    assert (
        seen == "On frames at random, of people whom training has seen: +0.00 [+0.0, +0.0]: that may be zero"
    )
    assert beside.startswith("Attention alone, on the same people under the same protocol: SE-CNN +25.00 [")
    assert "AMDCNN" not in beside


def test_a_difference_that_may_be_zero_is_called_so(tmp_path):
    for start in pretraining.IDS:
        recorded(tmp_path, start, 0.5)
    assert pretraining.said(tmp_path).endswith("1 seed): that may be zero.")
    assert pretraining.for_scale(tmp_path).endswith("random weights (1 seed): that may be zero.")


def test_lines_are_means_over_the_images_of_all_folds(tmp_path):
    assert pretraining.curves(tmp_path) is None and pretraining.caption(tmp_path) == ""
    for start, accuracy in zip(pretraining.IDS, (0.2, 0.6), strict=True):
        recorded(tmp_path, start, 0.5, seeds=(0, 1))
        for k, row in enumerate(pretraining.rows(start, "folds by subject")):
            for seed in (0, 1):
                path = records.path_of(tmp_path, row.id, seed)
                found = records.read(path)
                for epoch in found["reproducible"]["history"]:
                    epoch["test_accuracy"] = accuracy + 0.01 * k + 0.1 * seed + 0.2 * epoch["epoch"]
                records.put_json(path, found | {"sha256": records.checksum(found["reproducible"])})
    lines = pretraining.histories(pretraining.IDS[0], "folds by subject", tmp_path)
    np.testing.assert_allclose(lines, [[22, 42], [32, 52]])
    plots.use_style()
    figure = pretraining.curves(tmp_path)
    (axes,) = figure.axes
    assert axes.get_title() == "folds by subject" and len(axes.lines) == 2 and len(axes.collections) == 2
    assert (
        "has after epoch 1 what the random start reaches over its last 10 epochs, 37.0 %"
        in pretraining.caption(tmp_path)
    )


@pytest.mark.parametrize("split", pretraining.SPLITS)
def test_rows_of_a_split(split):
    for start in pretraining.IDS:
        found = pretraining.rows(start, split)
        assert {row.dataset_options["protocol"] for row in found} == {
            "subjects" if split == "folds by subject" else "frames"
        }
