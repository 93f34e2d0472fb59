"""What the chapters share: tables from records whose results are known, statements, the demonstration."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from recorded import CLASSES, record

from ferlib import chapters, comparison_tables, records
from ferlib.couples import couple
from ferlib.evaluate import cluster_bootstrap, metrics, welch, wilson
from ferlib.experiments import EXPERIMENTS, get
from ferlib.statements import (
    Matrix,
    Statement,
    ahead,
    every_recall_at_least,
    fewest_correct,
    matrix_of,
    mistaken_only,
    more_correct_than,
    most_correct,
    rarest,
    recall_at_least,
    recall_below,
    recall_between,
    recall_compatible,
    recall_within,
    recalled_best,
    recalled_in_order,
    recalled_worst,
    recalls_within,
    statements,
    taken_for,
)

BASELINE, FULL = get("amdcnn-ckplus-baseline"), get("amdcnn-ckplus-acs3")
CKPLUS = {"dataset": "ckplus", "profile": "full"}


def test_claims_name_every_place_of_a_number_once():
    frame = chapters.claims([FULL]).set_index(["quantity", "published"])
    assert frame.loc[("test accuracy", "99.49"), "where"].startswith("Table 3, Table 8")
    assert frame.loc[("test accuracy", "99.54"), "where"] == "section V.A"
    assert frame.loc[("test precision", "99.54"), "where"] == "Table 3"


def test_a_tie_is_none():
    assert (ahead(0.7, 0.6), ahead(0.6, 0.7), ahead(0.1 + 0.2, 0.3)) == (True, False, None)


def test_the_librarys_own_lines_are_shown(monkeypatch):
    from ferlib.models.se_cnn import SEBlock

    shown = []
    monkeypatch.setattr(chapters, "display", shown.append)
    chapters.source(SEBlock)
    assert shown[0].data.startswith(
        "`ferlib.models.se_cnn.SEBlock`\n\n```python\nclass SEBlock(nn.Module):\n    "
    )
    assert shown[0].data.endswith("\n```")


def test_rows_of_a_table():
    found = chapters.rows_of("amdcnn", table="Table 8", dataset="rafdb")
    assert [row.id for row in found if row.table != "not in the paper"] == [
        f"amdcnn-rafdb-{slug}" for slug in ("acs3", "baseline", "mcbam", "cbam", "acs2", "acs1")
    ]


def test_granularity_of_printed_accuracies():
    frame = chapters.granularity({"full model": "99.49", "four auxiliary": "99.13"}, [197, 295]).set_index(
        "printed"
    )
    assert frame.loc["99.49", "correct of 197"] == "196"
    assert frame.loc["99.13", "correct of 295"] == "none"


def test_published_and_ours(tmp_path):
    for seed, accuracy in enumerate((0.9, 0.8)):
        record(tmp_path, FULL.id, seed, accuracy, **CKPLUS)
    frame = chapters.compared([BASELINE, FULL], tmp_path).set_index("model")
    assert frame.loc["baseline", "published"] == "97.98"
    assert frame.loc["baseline", "difference"] == "–"
    line = frame.loc["baseline+MCBAM+3ACs"]
    assert line["published"] == "99.49 / 99.54"
    assert line["test, epoch chosen on validation"] == "85.00 ± 7.07 (80.00–90.00)"
    assert line["difference"] == "-14.49"
    assert line["images"] == "100"
    assert line["runs"] == "full, 2 seeds, 34 epochs"


def test_quantities_beside_accuracy(tmp_path):
    record(tmp_path, FULL.id, accuracy=0.7, **CKPLUS)
    frame = chapters.compared([FULL], tmp_path, list(chapters.MEASURES), where="Table 3").set_index(
        "quantity"
    )
    labels = np.arange(100) % 7
    predicted = np.where(np.arange(100) < 70, labels, (labels + 1) % 7)
    result = metrics(predicted, labels, tuple("abcdefg"))
    ours = frame["test, epoch chosen on validation"]
    assert ours["test precision"] == f"{100 * result['weighted']['precision']:.2f}"
    assert ours["test recall"] == "70.00"
    assert list(frame["published"]) == ["99.49", "99.54", "99.49", "99.50"]


def test_recall_of_one_class(tmp_path):
    row = get("amdcnn-fer2013-acs3")
    record(tmp_path, row.id, accuracy=0.7)
    frame = chapters.compared([row], tmp_path, ["test recall of happy"])
    # of the 14 images with label 3 among 100, those below 70 are recognised
    right = sum(1 for i in range(70) if i % 7 == 3)
    assert frame.iloc[0]["test, epoch chosen on validation"] == f"{100 * right / 14:.2f}"
    assert frame.iloc[0]["published"] == "89.00"


def test_estimates_for_the_figure(tmp_path):
    record(tmp_path, BASELINE.id, accuracy=0.9, dataset="ckplus")
    found = chapters.estimates([BASELINE, FULL], tmp_path)
    low, high = wilson(90, 100)
    assert found == [("baseline *", pytest.approx(90), 100 * low, 100 * high, 97.98)]


def test_estimates_count_seeds_where_there_are_several(tmp_path):
    for seed, accuracy in enumerate((0.8, 0.9, 0.7)):
        record(tmp_path, BASELINE.id, seed=seed, accuracy=accuracy, dataset="ckplus")
    (_, mean, low, high, _), *_ = chapters.estimates([BASELINE], tmp_path)
    alone = [100 * bound for bound in wilson(80, 100)]
    assert mean == pytest.approx(80)
    assert low < alone[0] - 3 and high > alone[1] + 3  # the seeds' standard error alone is 5.8 points
    for seed in range(3):
        record(tmp_path, FULL.id, seed=seed, accuracy=1.0, dataset="ckplus")
    assert chapters.estimates([FULL], tmp_path)[0][1:4] == (
        100,
        pytest.approx(100 * wilson(100, 100)[0], abs=0.1),  # t for z
        100,
    )


def test_cells_are_counted_by_the_papers_own_rows(tmp_path):
    record(tmp_path, FULL.id, **CKPLUS)
    record(tmp_path, BASELINE.id, dataset="ckplus", profile="reduced")
    frame = chapters.cells("amdcnn", tmp_path).set_index("table")
    assert tuple(frame.loc["Table 8", ["cells", "full", "reduced", "none"]]) == (24, 1, 1, 22)
    assert tuple(frame.loc["Table 3", ["cells", "full", "reduced", "none"]]) == (16, 4, 0, 12)


def test_a_row_of_ours_for_a_cell_is_no_replication_of_it(tmp_path):
    record(tmp_path, "a_mobilenet-ferplus-a_mobilenet-scratch48", dataset="ferplus")
    line = chapters.cells("a_mobilenet", tmp_path).set_index("table").loc["Table 3"]
    assert (line["cells"], line["none"], line["by a stand-in"]) == (4, 4, 1)


def test_no_table_counts_what_no_record_holds():
    assert not chapters.measurable("parameters (million)")
    assert {r.paper for r in EXPERIMENTS.values()} >= {"amdcnn", "a_mobilenet"}


def test_steps_compare_with_the_first_and_with_the_one_before(tmp_path):
    rows = [get(f"amdcnn-fer2013-{slug}") for slug in ("baseline", "cbam", "mcbam")]
    for row, accuracy in zip(rows, (0.5, 0.7, 0.6), strict=True):
        record(tmp_path, row.id, accuracy=accuracy, profile="full")
    frame = chapters.steps(rows, tmp_path)
    assert list(frame["step"]) == [
        "baseline → baseline+CBAM",
        "baseline → baseline+MCBAM",
        "baseline+CBAM → baseline+MCBAM",
    ]
    assert list(frame["ours (points)"]) == ["+20.00", "+10.00", "-10.00"] and "seed by seed" not in frame
    assert list(frame["published (points)"]) == ["+0.74", "+1.22", "+0.48"]
    p = [2 / 2**20, 2 / 2**10, 2 / 2**10]
    assert [float(x) for x in frame["after Holm"]] == pytest.approx([3 * p[0], 2 * p[1], 2 * p[2]], rel=0.05)
    pairs = [(a.id, b.id) for a, b in chapters.step_pairs(rows)]
    corrected = chapters.after_holm(rows, tmp_path)  # of a conclusion below that table
    assert list(corrected) == pairs
    assert list(corrected.values()) == pytest.approx([3 * p[0], 2 * p[1], 2 * p[2]], rel=0.05)
    assert list(chapters.steps(rows, tmp_path, onward=False)["step"]) == list(frame["step"])[:2]
    assert chapters.steps(rows[:1], tmp_path).empty


def test_a_step_has_one_test_over_its_seeds(tmp_path):
    """Four seeds, 10, 20, 30 and 0 images of 100 apart: the interval is of their mean."""
    for seed, gain in enumerate((0.1, 0.2, 0.3, 0.0)):
        record(tmp_path, BASELINE.id, seed, 0.5, **CKPLUS)
        record(tmp_path, FULL.id, seed, 0.5 + gain, **CKPLUS)
    (line,) = chapters.steps([BASELINE, FULL], tmp_path).to_dict("records")
    assert line["ours (points)"] == "+15.00" and line["seed by seed"] == "+0.00 to +30.00, 4 seeds"
    low, high = (float(x) for x in re.findall(r"[+-][\d.]+", line["95 % interval"]))
    test = couple(BASELINE.id, FULL.id, tmp_path).test()
    assert (low, high) == pytest.approx((test["low"], test["high"]), abs=0.06) and low < 0 < high
    assert float(line["p"]) == pytest.approx(test["p"], rel=0.05) and test["p"] > 0.05


def test_a_shortened_run_is_not_compared_with_a_whole_one(tmp_path):
    record(tmp_path, BASELINE.id, 0, 0.5, **{**CKPLUS, "profile": "full"})
    record(tmp_path, FULL.id, 0, 0.6, **{**CKPLUS, "profile": "reduced"})
    assert couple(BASELINE.id, FULL.id, tmp_path) is None
    record(tmp_path, FULL.id, 0, 0.6, **{**CKPLUS, "profile": "full"})
    assert couple(BASELINE.id, FULL.id, tmp_path).seeds == (0,)


def test_seeds_that_contradict_each_other_show_no_step(tmp_path):
    """One seed far below, one far above: each would be clear alone, the step is not."""
    for seed, gain in enumerate((-0.3, 0.3)):
        record(tmp_path, BASELINE.id, seed, 0.5, **CKPLUS)
        record(tmp_path, FULL.id, seed, 0.5 + gain, **CKPLUS)
    (line,) = chapters.steps([BASELINE, FULL], tmp_path).to_dict("records")
    assert line["seed by seed"] == "-30.00, +30.00" and float(line["ours (points)"]) == 0
    assert float(line["p"]) > 0.5


def test_steps_without_records_are_an_empty_table(tmp_path):
    rows = [BASELINE, FULL]
    assert chapters.steps(rows, tmp_path / "nothing").empty


def test_a_test_over_seeds_needs_seeds(tmp_path):
    record(tmp_path, BASELINE.id, 0, 0.8, **CKPLUS)
    assert chapters.over_seeds(BASELINE, FULL, tmp_path) == ""
    record(tmp_path, BASELINE.id, 1, 0.82, **CKPLUS)
    for seed, accuracy in enumerate((0.9, 0.94)):
        record(tmp_path, FULL.id, seed, accuracy, **CKPLUS)
    sentence = chapters.over_seeds(BASELINE, FULL, tmp_path)
    assert "baseline+MCBAM+3ACs minus baseline: +11.00 points" in sentence
    assert "2 and 2 seeds" in sentence


def test_folds_by_subject_are_pooled_and_resampled_by_subject(tmp_path):
    assert chapters.folds_of(BASELINE) == 5
    record(tmp_path, BASELINE.id, accuracy=0.9, **CKPLUS)
    for fold, accuracy in ((0, 0.5), (1, 0.7)):
        ids = [f"S{fold}{i // 10:02d}_001_{i:08d}" for i in range(100)]
        record(tmp_path, f"{BASELINE.id}-grouped{fold}", accuracy=accuracy, ids=ids, **CKPLUS)
    (line,) = chapters.by_subject([BASELINE, FULL], tmp_path).to_dict("records")
    assert line["by subject, pooled"].startswith("60.00 [")
    assert line["by subject, pooled"].endswith("n = 200")
    assert line["by subject, mean of folds"] == "60.00 ± 14.14"
    assert line["folds"] == "2 of 5 (1, 2)"
    said = chapters.unlike_folds([BASELINE, FULL], tmp_path)
    assert said.startswith("Only folds 1, 2 have run, the same of every line")
    record(tmp_path, f"{FULL.id}-grouped1", accuracy=0.7, **CKPLUS)
    said = chapters.unlike_folds([BASELINE, FULL], tmp_path)
    assert "not comparable" in said and "folds 1, 2: " in said and "folds 2: " in said
    assert line["frames at random"].startswith("90.00 [")
    assert line["by subject, best test epochs"] == "60.00"
    assert chapters.by_subject_against([BASELINE, FULL], tmp_path).empty  # folds are missing


def test_rows_are_compared_over_their_folds(tmp_path):
    for row, reached in ((BASELINE, (0.5, 0.6, 0.5, 0.6, 0.5)), (FULL, (0.6, 0.7, 0.6, 0.7, 0.6))):
        for fold, accuracy in enumerate(reached):
            ids = [f"S{fold}{i // 10:02d}_001_{i:08d}" for i in range(100)]
            options = {**CKPLUS, "best": accuracy + 0.2}
            record(tmp_path, f"{row.id}-grouped{fold}", accuracy=accuracy, ids=ids, **options)
    assert list(chapters.by_subject([FULL], tmp_path)["by subject, best test epochs"]) == ["84.00"]
    (line,) = chapters.by_subject_against([BASELINE, FULL], tmp_path).to_dict("records")
    assert line["model"] == f"{FULL.row} minus {BASELINE.row}"
    assert (line["frames"], line["people"]) == ("500", 50)
    mean, low, high = (float(x) for x in re.findall(r"[+-][\d.]+", line["difference (points)"]))
    assert mean == 10 and 0 < low < 10 < high  # ten frames of one person in each fold
    assert line["p"] == line["after Holm"]
    assert line["at best test epochs"] == line["difference (points)"]  # the same frames are right, and others
    assert chapters.epochs_matter([BASELINE, FULL], tmp_path) == ""


def test_folds_are_compared_in_the_seeds_that_both_rows_have(tmp_path):
    """Seed 0: 10 points apart, seed 1: 30; the first row's seed 2 counts for nothing, the interval counts seeds."""
    for row, reached in ((BASELINE, (0.4, 0.4, 0.9)), (FULL, (0.5, 0.7))):
        for fold in range(5):
            ids = [f"S{fold}{i // 10:02d}_001_{i:08d}" for i in range(100)]
            for seed, accuracy in enumerate(reached):
                record(tmp_path, f"{row.id}-grouped{fold}", seed, accuracy, ids=ids, **CKPLUS)
    (found,) = chapters.subject_tests([BASELINE, FULL], tmp_path)
    test, _ = comparison_tables.own_difference((BASELINE.id, FULL.id), tmp_path)
    assert found.test == {name: test[name] for name in found.test} and found.test["mean"] == pytest.approx(20)
    assert found.test["low"] < 0 < found.test["high"] and not found.clear


def test_a_difference_that_hangs_on_the_choice_of_the_epoch_is_told(tmp_path):
    """Chosen by validation 50 against 70 right of 100, both 80 at the best test epoch."""
    for row, accuracy in ((BASELINE, 0.5), (FULL, 0.7)):
        for fold in range(5):
            ids = [f"S{fold}{i // 10:02d}_001_{i:08d}" for i in range(100)]
            record(tmp_path, f"{row.id}-grouped{fold}", accuracy=accuracy, ids=ids, best=0.8, **CKPLUS)
    (line,) = chapters.by_subject_against([BASELINE, FULL], tmp_path).to_dict("records")
    assert line["at best test epochs"].startswith("+0.00 [")
    assert f"difference of {FULL.row} is there" in chapters.epochs_matter([BASELINE, FULL], tmp_path)


def test_counts_of_matrices_stand_folded_under_their_figure(monkeypatch):
    shown = []
    monkeypatch.setattr(chapters, "display", lambda box: shown.append(box.data))
    two = Matrix(("sad", "happy"), np.array([[3, 1], [2, 4]]))
    chapters.counts({"by frames": two, "by people": Matrix(("happy",), np.array([[7]]))})
    (html,) = shown
    assert html.startswith("<details class='folded'><summary>The counts of the figure as a table</summary>")
    cells = [
        [c.text for c in row.find_all(["th", "td"])]
        for row in BeautifulSoup(html, "html.parser").find_all("tr")
    ]
    assert cells == [
        ["matrix", "true", "as happy", "as sad"],
        ["by frames", "happy", "4", "2"],
        ["by frames", "sad", "1", "3"],
        ["by people", "happy", "7", "–"],
    ]
    chapters.counts({})
    assert len(shown) == 1


def test_a_folded_table_opens_by_its_summary(monkeypatch):
    shown = []
    monkeypatch.setattr(chapters, "display", shown.append)
    chapters.folded("Not measured <yet>: 1 effect", pd.DataFrame([{"rows": "se_cnn-se"}]))
    soup = BeautifulSoup(shown[0].data, "html.parser")
    assert soup.details.summary.text == "Not measured <yet>: 1 effect" and "open" not in soup.details.attrs
    assert [cell.text for cell in soup.details.table.select("td")] == ["se_cnn-se"]


def test_classes_stand_in_one_order():
    counts = {"train": {"neutral": 3, "anger": 1, "all": 6, "happiness": 2}}
    frame = chapters.by_class(counts)
    assert frame["class"].tolist() == ["angry", "happy", "neutral", "all"]
    assert frame["train"].tolist() == [1, 2, 3, 6]


def test_a_step_stands_beside_that_of_the_last_epochs(tmp_path, monkeypatch):
    """Ten epochs of 50 % against 5 of 60 and 5 of 40: no difference, 10.5 points up and down; twelve are too many."""
    from ferlib import couples, tables

    for row in (BASELINE, FULL):
        record(tmp_path, row.id, **CKPLUS)
    ends = {BASELINE.id: [0.9] + 10 * [0.5], FULL.id: [0.1] + 5 * [0.6, 0.4]}
    known = tables.parts_of

    def parts(results, name):
        return [{**p, "history": [{"test_accuracy": a} for a in ends[name]]} for p in known(results, name)]

    monkeypatch.setattr(tables, "parts_of", parts)
    (line,) = chapters.steps([BASELINE, FULL], tmp_path).to_dict("records")
    assert line["last 10 epochs"] == "+0.00 ± 10.5"
    monkeypatch.setattr(couples, "LAST", 12)
    assert couples.last_epochs(BASELINE.id, FULL.id, tmp_path, [0]) is None


def test_effects_of_selection_seeds_and_sampling(tmp_path):
    for seed, accuracy in enumerate((0.9, 0.8)):
        record(tmp_path, BASELINE.id, seed, accuracy, **CKPLUS)
    (line,) = chapters.effects([BASELINE, FULL], tmp_path).to_dict("records")
    assert line["ours minus published"] == "-12.98"
    assert line["choosing the epoch on test adds"] == "+0.00"
    assert line["spread of seeds (sd)"] == "7.07"
    assert line["one test image is worth"] == "1.00"


def test_assumptions_that_differ_say_where():
    frame = chapters.assumptions([get("amdcnn-ckplus-acs3"), get("amdcnn-fer2013-acs3")])
    assert "data: how they are split" in {choice.partition(" (")[0] for choice in frame["choice"]}
    assert len(frame) == len(set(frame["choice"]))
    both = chapters.assumptions([get("amdcnn-ckplus-acs3"), get("amdcnn-ckplus-acs3-noflip")])
    assert sum(choice.startswith("augmentation: horizontal flip (") for choice in both["choice"]) == 2


# ---------------------------------------------------------------------------------------------------------
# Statements in words
# ---------------------------------------------------------------------------------------------------------

TRUE = np.repeat([0, 1, 2, 3], [4, 4, 4, 2])
GUESSED = np.array([0, 0, 0, 0, 1, 1, 0, 2, 0, 0, 2, 1, 3, 3])
RESULT = metrics(GUESSED, TRUE, ("d", "c", "b", "a"))  # not in the order of the alphabet
MATRIX = Matrix(("d", "c", "b", "a"), np.array(RESULT["confusion"]))
PERFECT = Matrix(("d", "c"), np.diag([3, 3]))


@pytest.mark.parametrize(
    ("test", "holds", "ours"),
    [
        (recall_at_least("c", 50), True, "50.0 % [15, 85]"),
        (recall_at_least("c", 50.1), False, "50.0 % [15, 85]"),
        (recall_below("b", 30), True, "25.0 % [5, 70]"),
        (recall_below("b", 25), False, "25.0 % [5, 70]"),
        (recall_within("b", 30, 5), True, "25.0 %"),
        (recall_within("b", 30.1, 5), False, "25.0 %"),
        (recall_between("c", 40, 60), True, "2 of 4"),
        (recall_between("d", 90, 100), False, "4 of 4"),
        (recall_compatible("c", 80), True, "50.0 % [15, 85]"),
        (recall_compatible("c", 90), False, "50.0 % [15, 85]"),
        (every_recall_at_least(25), True, "lowest: b (25.0 %)"),
        (every_recall_at_least(26), False, "lowest: b (25.0 %)"),
        (every_recall_at_least(50, "b"), True, "lowest: c (50.0 %)"),
        (mistaken_only("b", "c"), True, "not all right: c, b"),
        (mistaken_only("b"), False, "not all right: c, b"),
        (recalls_within(75), True, "recalls from 25.0 to 100.0 %"),
        (recalls_within(74), False, "recalls from 25.0 to 100.0 %"),
        (recalled_best("d"), True, "highest: d (100.0 %), a (100.0 %)"),
        (recalled_best("d", "a"), True, "highest: d (100.0 %), a (100.0 %)"),
        (recalled_best("c"), False, "highest: d (100.0 %), a (100.0 %)"),
        (recalled_worst("b"), True, "lowest: b (25.0 %)"),
        (recalled_worst("b", "c"), True, "lowest: b (25.0 %), c (50.0 %)"),
        (recalled_worst("a"), False, "lowest: b (25.0 %)"),
        (most_correct("d"), True, "most: d (4)"),
        (most_correct("a"), False, "most: d (4)"),
        (fewest_correct("b"), True, "fewest: b (1)"),
        (fewest_correct("d"), False, "fewest: b (1)"),
        (recalled_in_order("a", "c", "b"), True, "a 100.0 %, c 50.0 %, b 25.0 %"),
        (recalled_in_order("b", "c"), False, "b 25.0 %, c 50.0 %"),
        (more_correct_than("d", 3), True, "4 of 4"),
        (more_correct_than("c", 2), False, "2 of 4"),
        (taken_for("b", "d"), True, "taken for d (2), c (1)"),
        (taken_for("b", "c"), False, "taken for d (2), c (1)"),
        (taken_for("c", "b"), True, "taken for d (1), b (1)"),  # a tie: either is the most frequent
        (taken_for("b", "d", "c", both=True), True, "taken for d (2), c (1)"),
        (taken_for("b", "d", "a", both=True), False, "taken for d (2), c (1)"),
        (taken_for("d", "c"), None, "never mistaken"),
        (rarest("a"), True, "a (2)"),
        (rarest("b"), False, "a (2)"),
    ],
)
def test_predicates(test, holds, ours):
    assert test(MATRIX) == (holds, ours)


def test_where_every_image_is_recognised_nothing_can_be_told_of_mistakes():
    assert recalled_best("d")(PERFECT) == recalled_worst("d")(PERFECT) == (None, "all alike (100.0 %)")
    assert every_recall_at_least(95)(PERFECT) == (True, "all 100.0 %")
    frame = statements({"one": PERFECT}, [Statement("section 1", "d is taken for c", taken_for("d", "c"))])
    assert list(frame["holds"]) == ["cannot tell"]


def test_classes_without_images_have_no_recall():
    assert Matrix(("a", "b"), np.array([[1, 1], [0, 0]])).recall() == {"a": 50.0}


def test_the_matrix_of_a_record_has_the_classes_of_the_data(tmp_path):
    """JSON sorts the names of ``per_class_recall``: its order is not that of the matrix."""
    path = record(tmp_path, "se_cnn-se", accuracy=0.7, n=100)
    part = records.read(path)["reproducible"]
    assert list(part["result"]["val_selected"]["per_class_recall"]) == sorted(CLASSES) != list(CLASSES)
    matrix = matrix_of([part])
    for name, recall in matrix.recall().items():
        assert recall == pytest.approx(100 * part["result"]["val_selected"]["per_class_recall"][name])
    assert matrix_of([part, part]).counts.sum() == 200
    # each image that is not recognised was predicted as the next class
    assert matrix.mistaken("sad")[0][1] == "surprise"
    assert matrix.mistaken("surprise")[0][1] == "neutral"


def test_statements_are_listed_for_every_run():
    said = [Statement("section 1", "d is best", recalled_best("d"))]
    frame = statements({"one": MATRIX, "two": MATRIX}, said)
    assert list(frame["in our run of"]) == ["one", "two"]
    assert set(frame["holds"]) == {"yes"}
    assert statements({}, said).empty


# ---------------------------------------------------------------------------------------------------------
# Statistics that they rest on
# ---------------------------------------------------------------------------------------------------------


def test_bootstrap_over_single_images_agrees_with_wilson():
    correct = np.arange(400) < 300
    low, high = cluster_bootstrap(correct, np.arange(400))
    assert (low, high) == pytest.approx(wilson(300, 400), abs=0.01)


def test_clusters_of_equal_images_count_once():
    correct = np.repeat(np.arange(40) < 30, 10)
    single = cluster_bootstrap(correct, np.arange(400))
    grouped = cluster_bootstrap(correct, np.repeat(np.arange(40), 10))
    assert grouped[1] - grouped[0] == pytest.approx(np.sqrt(10) * (single[1] - single[0]), rel=0.1)


def test_welch_against_statsmodels():
    from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

    first, second = [90.1, 91.0, 90.4], [92.0, 93.1, 92.2, 91.9]
    found = welch(first, second)
    other = CompareMeans(DescrStatsW(second), DescrStatsW(first))
    t, p, _ = other.ttest_ind(usevar="unequal")
    assert (found["t"], found["p"]) == pytest.approx((t, p))
    assert (found["low"], found["high"]) == pytest.approx(other.tconfint_diff(usevar="unequal"))


def test_welch_without_any_spread():
    found = welch([90.0, 90.0], [91.0, 91.0])
    assert found["difference"] == found["low"] == found["high"] == 1.0
    assert np.isnan(found["p"])


def test_a_bound_shows_on_which_side_of_zero_it_is():
    assert chapters.bounds(-0.0, 1e-17) == chapters.bounds(-1e-17, 0.0) == "[+0.0, +0.0]"
    assert chapters.bounds(-0.003, 0.0004, 2) == "[-0.003, +0.0004]"
    assert chapters.bounds(-0.003, 0.5, 2, sign="") == "[-0.003, 0.50]"
    assert chapters.bounds(-3.04, 1.26) == "[-3.0, +1.3]"
    assert (
        chapters.bounds(-0.04, 0.0) == "[-0.04, +0.0]"
        and chapters.bounds(0.001, 0.14, 2) == "[+0.001, +0.14]"
    )


def test_no_difference_is_no_negative_one():
    assert [chapters.signed(x) for x in (-0.001, 0.0, -0.006, 1.25)] == ["+0.00", "+0.00", "-0.01", "+1.25"]
