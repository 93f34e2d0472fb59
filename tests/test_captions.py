"""The sentences in front of captions, on values from which they can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import pytest

from ferlib import captions, couples
from ferlib.claims.verdicts import Judgement
from ferlib.comparison import Gain
from ferlib.data.dataset import EXPRESSIONS, display_order
from ferlib.effects import Effect
from ferlib.maps import ClassMaps
from ferlib.statements import Matrix

MATRIX = Matrix(("fear", "sad", "happy"), np.array([[6, 3, 1], [1, 9, 0], [0, 0, 5]]))


def test_of_confusion_matrices_the_class_recognised_least():
    assert captions.confusion({"x": MATRIX}) == (
        "*fear* is recognised least, 6 of 10, and most often taken for *sad* (3)."
    )
    perfect = Matrix(("a", "b"), np.diag([3, 4]))
    assert captions.confusion({"x": MATRIX, "y": perfect}) == (
        "x: *fear* is recognised least, 6 of 10, and most often taken for *sad* (3); y: every image is recognised."
    )


def test_of_intervals_where_the_published_values_lie():
    rows = [("A", 90.0, 88.0, 92.0, 91.0), ("B", 80.0, 78.0, 82.0, 90.0), ("C", 85.0, 83.0, 87.0, 70.0)]
    assert captions.intervals(rows) == (
        "Ours reach from 80.0 % (B) to 90.0 % (A); of 3 published values 1 lies within our intervals, 1 above, 1 below."
    )
    assert captions.intervals(rows[1:2]) == "Ours is 80.0 %; the published value lies above its interval."
    assert captions.intervals([("A", 90.0, 88.0, 92.0, None)]) == "Ours is 90.0 %."


def line(train, test, **more):
    return {"train_accuracy": train, "test_accuracy": test, **more}


def test_of_curves_the_chosen_and_the_best_epoch():
    result = {"val_selected": {"train": {"accuracy": 0.95}}}
    record = {"history": [line(0.5, 0.4), line(0.9, 0.6), line(1.0, 0.7)], "best_epoch": 1, "result": result}
    record["data"] = {"name": "fer2013"}
    assert captions.curves({"x": record}) == (
        "In the chosen epoch, 2 of 3, 60.0 % of the test images are right (70.0 % in the best one), and of the "
        "training images 95.0 %, or 90.0 % as augmented and met in training."
    )


def test_of_monitored_quantities_the_ends():
    record = {"history": [line(0, 0, s=30.0, t=1.0), line(0, 0, s=12.5, t=1.0)]}
    assert captions.monitored({"x": record}, {"s": "scale", "t": "rest", "u": "none"}) == (
        "Scale from 30 to 12.5, rest stays at 1."
    )


def test_of_mean_faces_how_uneven_the_classes_are():
    data = SimpleNamespace(
        name="fer2013",
        labels=np.array([0] * 9 + [1] * 2 + [2] * 4),
        split=np.array(["train"] * 11 + ["test"] * 4),
        classes=("happy", "fear", "sad"),
    )
    assert captions.mean_faces(data) == "There are 4.5 times as many images of *happy* as of *fear*."
    data.labels = np.array([0] * 5 + [1] * 6 + [2] * 4)
    data.split = np.array(["test"] + ["train"] * 8 + ["test"] * 6)
    assert captions.mean_faces(data) == "Every class has 4 images."
    data.name = "synthetic"
    assert captions.mean_faces(data) == "Drawn faces, no dataset was given. Every class has 4 images."


@pytest.mark.parametrize(
    "grid, share",
    [
        (np.ones((6, 6)), "25 %"),  # even, and the middle cuts through cells
        (np.pad(np.ones((2, 2)), 1), "100 %"),
        (np.eye(6)[:1].repeat(6, axis=0), "0 %"),  # the first column
    ],
)
def test_of_class_maps_the_share_of_the_middle(grid, share):
    grids = {"layer": grid.shape}
    maps = ClassMaps(
        ("a",), {"a": 9}, {}, grid[None], {"layer": grid[None]}, {}, {}, grids, "test", "true", "score"
    )
    assert captions.class_maps({"x": maps}, "layer") == (
        f"Share of the mean over the classes that lies in the middle half of height and width: {share} (x); "
        "an even map has 25 %."
    )
    own = replace(maps, cam={}, attention={"layer": grid[None] / 2})
    assert captions.class_maps({"x": own}, "layer").startswith(
        f"The means reach from {grid.min() / 2:.2f} to 0.50 (x). Share of "
    )


def judged(check, verdict, model="one"):
    claim = SimpleNamespace(check=check, paper="a", dataset="b", quantity="c", model=model)
    return Judgement(claim, verdict)


def test_of_verdicts_those_that_need_training_apart():
    counted = [judged("parameters", "reproduced")] * 3 + [judged("record", "contradicts itself")]
    trained = [judged("record", "lower")] * 2 + [judged("order", "not shown")]
    waiting = [judged("record", "not run: compute"), judged("record", "not testable")]
    assert captions.verdicts(counted + trained + waiting) == (
        "Of 3 claims that training runs have a say in (2 different ones: papers repeat themselves), none is reproduced "
        "to its interval; 0 verdicts are provisional. "
        "Training runs speak to 3 of 5 claims so far: 2 “lower”, 1 “not shown”. "
        "Counting, adding and reading decide 4 of 4 claims so far: 3 “reproduced”, 1 “contradicts itself”."
    )
    cut = [replace(trained[0], runs="reduced, 1 seed, 34 epochs"), replace(trained[1], runs="full, 1 seed")]
    assert captions.verdicts(cut).endswith(
        "Of 2 “lower” ones by runs 1 had fewer epochs or training images than the paper: they measure that cut, too."
    )
    assert captions.verdicts(waiting) == "None of the 2 claims has a verdict yet."


def effect(kind, points, dataset="CK+48", **more):
    what = "one: this, not that"
    return Effect(kind, "amdcnn", dataset, what, ("row",), points=points, n=10, runs=2, **more)


def test_of_effects_the_largest_beside_chance():
    found = [effect("gap", -3.0, low=-7.0, high=1.0), effect("gap", 1.0), effect("people", 9.0)]
    assert captions.sizes(found).startswith(
        "The largest gap to the published accuracy is -3.00 points (CK+48), no more than chance alone gives. "
        "The one other effect is +9.00 points (CK+48: "
    )
    clear = effect("gap", -3.0, low=-4.0, high=-2.0, reduced=True)
    assert captions.sizes([clear, effect("seed", 9.0)]) == (
        "The gap to the published accuracy is -3.00 points (CK+48, a shortened run), "
        "so that it is not known what a whole one leaves of it."
    )
    clear = effect("gap", 3.0, low=2.0, high=4.0)
    assert captions.sizes([clear, effect("gap", 8.0, stand_in=True)]) == (
        "The gap to the published accuracy is +3.00 points (CK+48), more than chance alone gives. "
        "The gap of a stand-in is +8.00 points (CK+48), which says nothing about the paper."
    )
    assert captions.sizes([effect("gap", None)]) == ""


def test_of_a_demonstration_what_was_learnt():
    history = [{"test_accuracy": 0.2}, {"test_accuracy": 0.7}]
    run = {"history": history, "data": {"name": "synthetic", "classes": list("abcde")}}
    assert captions.learnt({"A": run, "B": run}) == (
        "On drawn faces, A goes from 20 % of the test images after the first epoch to 70 %; "
        "B goes from 20 % of the test images after the first epoch to 70 % (guessing: 20 %)."
    )
    assert captions.learnt({}) == ""


def test_of_an_order_whether_ours_keep_it():
    printed, same, turned = {"A": 1.0, "B": 2.0}, {"A": 3.0, "B": 4.0}, {"A": 4.0, "B": 3.0}
    assert captions.order(printed, {"x": turned, "y": turned}) == (
        "The paper has B above A; ours keep that order in neither reading."
    )
    assert captions.order(printed, {"x": same}) == "The paper has B above A; ours keep that order."
    assert captions.order(printed, {"x": same, "y": turned}).endswith("ours keep that order in x alone.")
    assert captions.order(printed, {"x": {"A": 1.0}}) == ""


def test_of_effects_of_two_rows_how_many_another_seed_would_hide():
    found = [effect("loss", 5.0, p=0.01, seeds=1), effect("size", -9.0, p=0.01, seeds=3), effect("seed", 6.0)]
    assert captions.beside_seeds(found) == (
        "On CK+48 two seeds of one row lie 6.0 points apart in the mean: of the 2 effects of two rows 1 is larger, "
        "and 1 rests on one seed."
    )
    assert captions.beside_seeds(found[:1]) == (
        "On CK+48 no row has two seeds to hold the 1 effect of two rows against."
    )
    assert captions.beside_seeds([effect("seed", 6.0)]) == ""


def test_of_readings_each_networks_distance():
    frame = pd.DataFrame(
        {
            "paper": ["A", "B", "C", "D"],
            "dataset": ["CK+48", "FER2013", "FERPlus", "CK+48"],
            "network": ["a", "b *", "c", "d"],
            "stand_in": [False, False, False, True],
            "remark": ["", "official test part", "", "stand-in"],
            "published": [90.0, 80.0, 70.0, 99.0],
            "best test epoch": [91.0, 79.0, np.nan, 50.0],
            "epoch by validation": [88.0, 78.0, np.nan, 50.0],
            "unseen images": [np.nan] * 4,
            "other people": [np.nan, 60.0, np.nan, np.nan],
            "runs of other people": ["", "n = 9, reduced, 1 seed", "", ""],
        }
    )
    assert captions.readings(frame) == (
        "Distance to the published accuracy, in points: A on CK+48 +1.0 (best test epoch), -2.0 (epoch by validation); "
        "B on FER2013 (official test part) * -1.0 (best test epoch), -2.0 (epoch by validation), "
        "-20.0 (other people *)."
    )
    assert captions.readings(frame.iloc[2:]) == ""


def gain(title, ours, low, high):
    return Gain(title=title, published=1.0, ours=ours, low=low, high=high, **GAIN)


GAIN = {f: None for f in Gain.__dataclass_fields__ if f not in ("title", "published", "ours", "low", "high")}


def test_of_gains_those_that_differ_from_zero():
    found = [gain("A", 2.0, 1.0, 3.0), gain("B", -2.0, -3.0, -1.0), gain("C", 0.5, -1.0, 2.0)]
    assert captions.forest({"Own": [*found, gain("D", None, None, None)], "Common": []}) == (
        "Own: of 3 measured differences, 1 is above zero (A), 1 below (B); the other one may be zero "
        "(not corrected for their number). Common: no pair has runs yet."
    )


def test_of_all_gains_each_is_named_with_its_heading():
    """One network stands under two of them, and counts under one."""
    own, unfit = gain("A, CK+48", 2.0, 1.0, 3.0), replace(gain("A, CK+48", 9.0, 8.0, 10.0), undertrained=True)
    groups = {"Own": [own, gain("B, CK+48", 0.5, -1.0, 2.0)], "One for all: alone": [unfit]}
    assert captions.forest(groups, by_heading=False) == (
        "Of 2 measured differences, 1 is above zero (A on CK+48, own), none below; the other one may be zero "
        "(not corrected for their number). Grey, not counted: A (one for all), trained too little."
    )


def test_of_steps_those_that_turn_at_the_end():
    found = [gain("A → B", 2.0, 1.0, 3.0), gain("A → C", -0.5, -3.0, 1.0)]
    late = [replace(one, last=-0.25) for one in found]
    assert captions.steps({"CK+": late, "FER2013": late[:1]}) == (
        "CK+: of 2 measured differences, 1 is above zero (A → B), none below; the other one may be zero "
        "(not corrected for their number); over the last 10 epochs 1 of 2 is gone or turned; "
        "FER2013: the one measured difference (A → B) is above zero; over the last 10 epochs nothing is left of it."
    )
    assert captions.steps({"CK+": [found[1]] * 2}) == "Both measured differences may be zero."
    assert captions.steps({"CK+": [found[1]] * 3}) == "All 3 measured differences may be zero."
    assert captions.steps({"CK+": late[1:]}).endswith(
        "may be zero; over the last 10 epochs its sign is the same."
    )
    assert captions.steps({}) == ""


def test_a_step_that_the_test_does_not_bear_out_may_be_zero():
    """The interval of a handful of frames is too narrow: then p decides."""
    step = gain("A → B", 2.0, 1.0, 3.0)
    for p, word in ((0.04, "is above zero."), (0.09, "may be zero; of 1"), (None, "is above zero.")):
        assert f"(A → B) {word}" in captions.steps({"CK+": [replace(step, p=p)]})
    assert (
        captions.steps({"CK+": [replace(step, p=0.09), gain("B → C", 0.0, -1.0, 1.0)]})
        == "Both measured differences may be zero; of 1 of these the interval leaves zero out, but the test does not "
        "reject it."
    )
    assert (
        replace(step, low=-3.0, high=-1.0, p=0.04).below
        and not replace(step, low=-3.0, high=-1.0, p=0.06).below
    )


@pytest.mark.parametrize(
    ("difference", "last", "lost"),
    [
        (1.0, 0.5, False),
        (1.0, -0.1, True),
        (-2.72, 0.0, True),
        (0.0, 0.4, False),
        (0.001, 1.0, False),
        (2.0, 1e-9, True),
        (-2.54, -0.05, True),
        (-2.54, -0.26, False),
    ],
)
def test_what_is_lost_over_the_last_epochs(difference, last, lost):
    assert couples.lost(difference, last) == lost


def test_of_cost_the_front():
    points = [("A", 1, 80.0, 0, 0, None), ("B", 2, 70.0, 0, 0, None), ("C", 3, 90.0, 0, 0, "A")]
    expected = "In these runs, whatever their intervals, nothing cheaper reaches these, by time: A and C."
    assert captions.pareto({"time (s), here": points}) == expected
    points.insert(0, ("D", 1, 79.0, 0, 0, None))  # as dear as A, and worse
    assert captions.pareto({"time": points}) == expected
    turned = [(name, -cost, *rest) for name, cost, *rest in points]
    assert captions.pareto({"time": points, "size": turned}) == f"{expected[:-1]}; by size: C."
    assert captions.pareto({"time": []}) == ""


def test_of_differences_how_many_pairs():
    frame = pd.DataFrame([[np.nan, 2.0, np.nan], [-2.0, np.nan, np.nan], [np.nan, np.nan, np.nan]])
    assert captions.differences(frame) == "1 of 3 pairs differ after the correction."


def test_of_differences_how_many_were_compared():
    frame = pd.DataFrame([[np.nan, 2.0, np.nan], [-2.0, np.nan, np.nan], [np.nan, np.nan, np.nan]])
    frame.attrs["tested"] = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=bool)
    assert captions.differences(frame) == (
        "1 of 1 pair differ after the correction; 2 more are not compared (hatched): only one of the two shortened, "
        "or no seed in common."
    )


def run(middle, deletion=(0.9, 0.3), insertion=(0.1, 0.9), left=-0.125, **names):
    found = {
        "experiment": "amdcnn-ckplus-baseline",
        "seed": 0,
        "layer": "dfem3",
        **names,
        "removal": {
            "deletion": {"map": [0.2] * 2, "random": deletion},
            "insertion": {"map": [0.2] * 2, "random": insertion},
        },
        "randomised": {"order": ["head", "stem"]},
        "summary": {"randomised": {"head": {"mean": 0.5}, "stem": {"mean": left}}},
    }
    return SimpleNamespace(
        found=found,
        people=None,
        values=lambda zones, layer=None, kind="share": np.array(middle),
        alike=lambda other: True,
        sampled=lambda: None,
    )


def test_of_measures():
    runs = {"A": run([0.5, 0.3]), "B": run([0.1, np.nan], left=0.25)}
    assert captions.removal({"A": run([0.5])}) == (
        "In this run Grad-CAM beats a random map by deletion and does not clearly beat it by insertion."
    )
    # B's mean is better by deletion as well, but not in every image
    assert captions.removal({"A": run([0.5]), "B": run([0.5], (0.1, 0.9), (0.1, 0.1))}) == (
        "Grad-CAM beats a random map, with an interval clear of zero, for 1 of 2 networks by deletion and for 1 by "
        "insertion (first seed of each)."
    )
    assert captions.randomised(runs) == (
        "Once every part is random, the mean correlation of the first seeds lies between -0.12 and 0.25."
    )


def test_of_shares_differences_within_a_paper_and_layer():
    before, after = run([0.5, 0.3]), run([0.4, 0.2], experiment="amdcnn-ckplus-mcbam")
    other = run([0.9, 0.9], experiment="amdcnn-ckplus-cbam", layer="dfem2")
    told = captions.shares({"A": [before], "B": [after], "of another layer": [other]})
    assert told == (
        "Of 1 pair of networks that a paper's sentences set side by side and that are shown by the same layer, the "
        "share in the middle of the image changes by -10.0 points (AMDCNN, baseline → baseline+MCBAM)."
    )
    other.found["layer"] = "dfem3"
    told = captions.shares({"A": [before], "B": [after], "C": [other]})
    assert "3 pairs" in told and "changes most by +50.0 points (AMDCNN, baseline → baseline+CBAM) and" in told
    assert told.endswith("by -60.0 points (AMDCNN, baseline+CBAM → baseline+MCBAM).")
    assert captions.shares({"A": [before]}) == ""


def test_of_regions_how_much_of_the_map_they_hold():
    masks = np.zeros((3, 2, 2), bool)
    masks[:, 0, 0] = True  # a quarter
    maps = np.ones((3, 2, 2))
    maps[0, 0, 0], maps[1, 0, 0], maps[2] = 7, 0, 0
    assert captions.regions(maps, masks, maps, ["happy", "sad", "angry"]) == (
        "In 1 of 2 faces the regions hold a larger share of the map than of the area, most for *happy* (70 % of the "
        "map, 25 % of the area) and least for *sad* (0 % of the map, 25 % of the area)."
    )


def test_of_the_audit():
    audit = {
        "fer2013": {
            "copies": {
                "seen": {"share": 0.08},
                "by_class": {"sad": {"n": 10, "share": 0.1}, "fear": {"n": 10, "share": 0.2}, "x": {"n": 0}},
            }
        },
        "labels": {"ceilings": {"voter": {"high": {"mean": 0.7}}}},
        "ckplus": {
            "leaks": {
                "nearest": {
                    "frames": {"raw": {"accuracy": 0.98}},
                    "subjects": {"raw": {"accuracy": 0.512}},
                }
            }
        },
    }
    assert captions.copies(audit) == "8.0 % of the test images have a copy in training, of *fear* 20.0 %."
    frame = pd.DataFrame({"published": [71.0, 69.0], "ours": [60.0, np.nan]})
    assert captions.ceilings(audit, frame) == (
        "1 of 2 published accuracies and 0 of 1 of ours lie above the bracket for one annotator's label, computed on "
        "PrivateTest."
    )
    assert captions.leaks(audit) == (
        "The nearest neighbour in raw pixels is right in 98 % where the split is by frame and 51 % by person."
    )


def test_the_book_puts_the_sentence_in_front_of_the_caption():
    cell = nbformat.v4.new_code_cell("plot", metadata={"mystnb": {"figure": {"caption": "What it is."}}})
    picture = nbformat.v4.new_output("display_data", {"image/png": ""})
    said = nbformat.v4.new_output("display_data", {"text/markdown": "What it shows."}, metadata=captions.ROLE)
    other = nbformat.v4.new_output("display_data", {"text/markdown": "Beside it."})
    cell.outputs = [said, picture, other]
    plain = nbformat.v4.new_code_cell("no figure")
    plain.outputs = [said]
    captions.into_captions([cell, plain, nbformat.v4.new_markdown_cell("text")])
    assert cell.metadata["mystnb"]["figure"]["caption"] == "What it shows. What it is."
    assert cell.outputs == [picture, other]
    assert plain.outputs == [said]


def test_captions_are_marked_and_empty_ones_are_not_shown(monkeypatch):
    shown = []
    monkeypatch.setattr(captions, "display", lambda text, metadata: shown.append((text.data, metadata)))
    captions.caption("")
    captions.caption("It rises by -1.")
    assert shown == [("It rises by −1.", {"ferlib": "caption"})]


def test_classes_come_in_one_order_whatever_a_dataset_calls_them():
    names = ("contempt", "something", "sadness", "anger", "happiness")
    assert [names[i] for i in display_order(names)] == [
        "anger",
        "happiness",
        "sadness",
        "contempt",
        "something",
    ]
    assert display_order(EXPRESSIONS) == list(range(8))


def test_of_findings_the_commonest_class():
    frame = pd.DataFrame({"unclear": [2, 1], "typing slip": [1, 0]}, index=["A", "B"])
    assert captions.overview(frame) == "4 findings, more of the class *unclear* (3) than of any other."


def test_of_granularity_the_columns_that_are_possible():
    names = ["figures of", "test part", "n", "printed", "possible", "p"]
    lines = [("A", "x", 3589, 4, 4, 0.004), ("A", "y", 7178, 4, 4, 0.4), ("B", "z", 3153, 4, 1, 0.9)]
    frame = pd.DataFrame(lines, columns=names)
    assert captions.granularity(frame) == (
        "All figures of a column are possible in 2 of 3 lines: A: x (arbitrary ones with probability 0.004); "
        "A: y (arbitrary ones in 40 % of cases). That is seldom by chance for A: x, and no evidence for the others."
    )
    assert captions.granularity(frame[1:]).endswith("So none of these is evidence that this part was tested.")
    assert captions.granularity(frame[2:]) == "The whole column is possible in none of 1 lines."
    assert captions.whole_columns({"A": [147, 294], "B": [], "C": [12]}, {"A": 981, "B": 50, "C": 50}) == (
        "A: 2 sizes up to 981 allow the whole column, the smallest is 147; "
        "B: no size up to 50 allows the whole column; C: 12 alone up to 50 allows the whole column."
    )


def test_of_datasets_sizes_likeness_and_agreement():
    audit = {
        "fer2013": {"classes": {"happy": 80, "disgust": 8, "contempt": 0}},
        "labels": {
            "confusion": {
                "rows": ["happy", "fear"],
                "columns": ["happiness", "fear", "surprise"],
                "counts": [[9, 0, 1], [0, 2, 6]],
            }
        },
    }
    assert (
        captions.classes(audit) == "10 times as many images of *happy* as of *disgust*, all parts together."
    )
    assert captions.agreement(audit) == (
        "FERPlus keeps FER2013's label most often for *happy* (90 %), least for *fear* (25 %), "
        "which is most often *surprise* there."
    )
    faces = {
        f"ckplus/{name}": np.full((2, 2), value)
        for name, value in (("fear", 0), ("anger", 5), ("sadness", 9))
    }
    assert captions.likeness(faces) == "The mean faces of *angry* and *sad* are most alike."
    assert captions.likeness({}) == ""


def test_of_sweeps_the_means_beside_the_seeds():
    found = {"λ": {0.1: np.array([60.0, 62.0]), 0.2: np.array([63.0, 64.0])}, "λ1": {1.0: np.array([60.0])}}
    assert captions.sweeps(found) == "The means differ by 2.50 points, seeds of one value by up to 2.00."


def test_of_speed_the_ends():
    assert captions.peak({"M": {"A": 0.5, "B": 0.625, "C": 0.12}}) == (
        "Of 3 networks none comes to 80 % of the peak. From 12 % (C) to 62 % (B)."
    )
    assert captions.peak({"M": {"A": 0.5, "B": 0.81}}).startswith(
        "Of 2 networks 1 comes to 80 % of the peak: B. "
    )
