"""The box at the head of a paper's chapter, from records with known predictions."""

from __future__ import annotations

import re

import pytest
from recorded import record

from ferlib import comparison, in_short
from ferlib.comparison_tables import OWN_FOLDS
from ferlib.effects import HEADS
from ferlib.errors import FerlibError

CK = [f"S{i:03d}_001_{i:08d}" for i in range(100)]
STEP = "The step to attention, as the paper takes it"


@pytest.mark.parametrize("paper", HEADS)
def test_without_records_the_box_has_what_is_printed_and_no_result(paper, tmp_path):
    lines = in_short.lines(paper, tmp_path)
    heads, (step, *others) = lines[: len(HEADS[paper])], lines[len(HEADS[paper]) :]
    assert [name for name, _ in others[:-1]] == ["Attention alone"] * (paper in in_short.WITHOUT)
    for _, text in heads:
        assert re.fullmatch(r"published \d\d\.\d\d %; not run yet\.", text)
    assert "ours" not in str(lines)
    assert step[0] == STEP and "published +" in step[1] and "run: pair" not in step[1]
    assert lines[-1][1].count("not run yet") == len(comparison.DATASETS)


def test_a_shortened_run_settles_nothing(tmp_path):
    record(tmp_path, "se_cnn-se", accuracy=0.5)
    (place, text), *_ = in_short.lines("se_cnn", tmp_path)
    assert place == "FER2013"
    assert "published 69.04 %, ours 50.00 % [40." in text and "of 100 test images" in text
    assert text.endswith("(reduced, 1 seed, 34 epochs): what whole runs reach is not known.")


@pytest.mark.parametrize(
    ("accuracy", "best", "said"),
    [
        (0.7, None, "the difference may be chance"),
        (0.5, 0.7, "the difference is gone where the test images choose the epoch"),
        (0.4, 0.5, "the difference stays where the test images choose the epoch"),
        (0.9, None, "ours is higher, beyond chance"),
    ],
)
def test_what_a_full_run_leaves_of_the_gap(tmp_path, accuracy, best, said):
    record(tmp_path, "se_cnn-se", accuracy=accuracy, best=best, profile="full")
    assert in_short.lines("se_cnn", tmp_path)[0][1].endswith(f"): {said}.")


def test_rows_that_stand_in_are_named_and_keep_what_the_paper_prints(tmp_path):
    """60 of 100 right with attention and 50 without, of the same images: ten points beside the printed 2.71."""
    for net, accuracy in (("mobilenet_v1", 0.5), ("a_mobilenet", 0.6)):
        record(tmp_path, f"a_mobilenet-ferplus-{net}-scratch48", accuracy=accuracy, dataset="ferplus")
    (_, head), (_, step), *_ = in_short.lines("a_mobilenet", tmp_path)
    assert "ours" not in head and "stands in for it (from scratch, 48×48) has 60.00 %" in head
    assert head.endswith("the two are not comparable.")
    assert step.startswith(
        "FERPlus: published +2.71, pair not run yet. Rows that stand in (from scratch, 48×48) have "
    )
    assert (
        "have +10.00 points [" in step
        and "(1 seed, shortened runs): the two are not comparable; RAF-DB" in step
    )
    assert step.endswith("RAF-DB: published +2.87, not run: licensed data.")


def test_the_paper_s_own_rows_come_first(tmp_path):
    for ending, accuracy in (("", 0.75), ("-scratch48", 0.6)):
        record(tmp_path, f"a_mobilenet-ferplus-mobilenet_v1{ending}", accuracy=0.5, dataset="ferplus")
        record(tmp_path, f"a_mobilenet-ferplus-a_mobilenet{ending}", accuracy=accuracy, dataset="ferplus")
    (_, head), (_, step), *_ = in_short.lines("a_mobilenet", tmp_path)
    assert "ours 75.00 %" in head
    assert "FERPlus: published +2.71, ours +25.00 points" in step


def test_attention_alone_where_the_paper_takes_more_away(tmp_path):
    for name, accuracy in zip(in_short.WITHOUT["a_mobilenet"], (0.9, 0.7), strict=True):
        record(tmp_path, name, accuracy=accuracy, dataset="ckplus", profile="full", ids=CK)
    *_, (name, text), _ = in_short.lines("a_mobilenet", tmp_path)
    assert name == "Attention alone" and text.startswith("CK+48, from scratch, 48×48: ours -20.00 points [")


@pytest.mark.parametrize(("profile", "runs"), [("full", "1 seed"), ("reduced", "1 seed, shortened runs")])
def test_folds_by_subject_under_the_paper_s_own_settings(tmp_path, profile, runs):
    """Eight of ten against nine of ten of the same people; nothing before every fold has run."""
    for name, accuracy in zip(OWN_FOLDS["msca_resnet"][0], (0.9, 0.8), strict=True):
        assert len(in_short.lines("msca_resnet", tmp_path)) == 4
        for fold in range(5):
            ids = [f"S{fold}{i:02d}_001_{i:08d}" for i in range(100)]
            row = f"{name}-grouped{fold}"
            record(tmp_path, row, accuracy=accuracy, dataset="ckplus", profile=profile, ids=ids)
    *_, (name, text), _ = in_short.lines("msca_resnet", tmp_path)
    assert name == "CK+48, folds by subject, with the paper's own settings"
    assert text.startswith("SENet minus neither SENet nor BN -10.00 points [") and text.endswith(f"({runs}).")


def test_the_box_is_html_with_links_to_its_chapter(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(in_short, "display", lambda box: shown.append(box.data))
    in_short.show("msca_resnet", tmp_path)
    (box,) = shown
    assert box.count("<li>") == box.count("</li>") == 4
    assert {'"#results-against-the-paper"', '"#why-they-differ"'} <= set(re.findall(r'href=("[^"]+")', box))


def test_no_such_paper(tmp_path):
    with pytest.raises(FerlibError, match="no paper 'resnet': choose one of amdcnn"):
        in_short.lines("resnet", tmp_path)
