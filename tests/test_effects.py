"""Known effects and their sizes, from records whose predictions are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from recorded import record

from ferlib import captions, effects, effects_figures, plots, tables
from ferlib.chapters import folds_of, printed_accuracy
from ferlib.errors import FerlibError
from ferlib.experiments import EXPERIMENTS
from ferlib.experiments.contrasts import CONTRASTS, HEADS, Contrast
from ferlib.experiments.row import settings_of

FRAMES = [f"S{i // 5:03d}_001_{i}" for i in range(100)]  # 20 people, five frames each


def only(found, kind, **wanted):
    found = [e for e in found if e.kind == kind and all(getattr(e, k) == v for k, v in wanted.items())]
    assert len(found) == 1, found
    return found[0]


# -- the rows ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("c", CONTRASTS, ids=lambda c: f"{c.first} {c.second}")
def test_a_contrast_isolates_one_thing(c):
    """Two rows of one paper and dataset; what differs beyond names is one setting, or one with its consequences."""
    first, second = EXPERIMENTS[c.first], EXPERIMENTS[c.second]
    assert c.kind in effects.KINDS
    assert (first.paper, first.dataset) == (second.paper, second.dataset)
    a, b = (settings_of(row.to_dict()) for row in (first, second))
    different = {k for k in a if a[k] != b.get(k)}
    # weights from ImageNet ask for the pixels they were trained on, a start from scratch for the row's own
    allowed = {
        "start": {"variant", "pretrained", "preprocess"},
        "size": {"size"},
        "loss": {"loss", "loss_options"},
        "expansion": {"dataset_options", "augmentation"},
        "part": {"dataset_options"},
        "labels": {"dataset_options"},
        "augmentation": {"augmentation"},
        "detail": {"variant", "schedule"},
    }[c.kind] | {"id", "row", "column", "table", "published", "seeds"}
    assert different, "the two rows train alike"
    assert different <= allowed, different - allowed


def test_every_head_is_a_network_that_the_paper_prints():
    assert list(HEADS) == ["amdcnn", "gcca_vgg", "a_mobilenet", "se_cnn", "msca_resnet"]
    for paper, groups in HEADS.items():
        for ids in groups:
            assert {EXPERIMENTS[i].paper for i in ids} == {paper}
            assert len({EXPERIMENTS[i].dataset for i in ids}) == 1
            assert all(printed_accuracy(EXPERIMENTS[i]) for i in ids)


# -- sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "told"), [((0.7, 0.6), "none of 1 are gone"), ((0.6, 0.6), "1 of 1 is gone")]
)
def test_a_contrast_stands_beside_its_last_epochs(tmp_path, monkeypatch, end, told):
    """First minus second, as at the chosen epochs: 20 points there, and 10 or none over the last ten."""
    (c,) = (c for c in CONTRASTS if c.second == "msca_resnet-ckplus-cross_entropy")
    for name, accuracy in ((c.first, 0.9), (c.second, 0.7)):
        record(tmp_path, name, accuracy=accuracy, dataset="ckplus", profile="full", ids=FRAMES, best=0.95)
    ends, known = dict(zip((c.first, c.second), end, strict=True)), tables.parts_of

    def parts(results, name):
        return [{**p, "history": 10 * [{"test_accuracy": ends[name]}]} for p in known(results, name)]

    monkeypatch.setattr(tables, "parts_of", parts)
    found = effects.contrast(c, tmp_path)
    assert found.points == pytest.approx(20) and found.last == pytest.approx((100 * (end[0] - end[1]), 0))
    assert effects.frame([found])["last 10 epochs"].tolist() == [f"{100 * (end[0] - end[1]):+.2f} ± 0.0"]
    assert f"over the last 10 epochs {told} or turned" in effects.told("loss", [found])
    figure = effects_figures.sizes([found])
    assert any(line.get_marker() == "|" for line in figure.axes[0].get_lines())


def test_nothing_is_measured_without_records(tmp_path):
    for paper in HEADS:
        found = effects.of_paper(paper, tmp_path)
        assert found and not effects.measured(found)
        assert len(effects.frame(found)) == 0
        assert len(effects.waiting(found, tmp_path)) == len(found)
        assert effects_figures.sizes(found) is None
    assert effects_figures.readings(effects.readings(tmp_path)) is None
    assert len(effects.remaining(tmp_path)) == 0


def test_no_such_paper(tmp_path):
    with pytest.raises(FerlibError, match="no paper 'resnet': choose one of amdcnn"):
        effects.of_paper("resnet", tmp_path)


def test_a_contrast_on_the_same_images_by_hand(tmp_path):
    """80 and 70 of 100 right, and those 70 among the 80: ten points, each image one of 3,589 single ones or fewer."""
    c = Contrast("detail", "se_cnn-se-same", "se_cnn-se", "padded")
    for seed in (0, 1):
        record(tmp_path, c.first, seed, 0.8, profile="full")
        record(tmp_path, c.second, seed, 0.7, profile="full")
    found = effects.contrast(c, tmp_path)
    assert found.points == pytest.approx(10)
    error = 100 * np.sqrt(0.1 * 0.9 / 100)  # ten differences of 1 among 100, the same in both seeds
    assert (found.high - found.low) / 2 == pytest.approx(1.98 * error, rel=0.08)
    assert (found.n, found.runs, found.seeds, found.reduced) == (100, 4, 2, False)
    assert found.bounds == "95 %, images and seeds"


def test_runs_of_few_epochs_settle_nothing(tmp_path):
    """Records of two epochs: the size stands in its table, and in no superlative and not at a glance."""
    c = next(c for c in CONTRASTS if c.first.startswith("se_cnn") and "merged" not in c.first + c.second)
    for row, accuracy in ((c.first, 0.9), (c.second, 0.5)):
        record(tmp_path, row, accuracy=accuracy, profile="full")
    found = effects.contrast(c, tmp_path)
    assert found.unfinished and found.points == pytest.approx(40)
    assert "not settled in 1, whose runs of few epochs were still learning" in effects.told(c.kind, [found])
    assert captions.sizes([found]) == "" and captions.sizes([replace(found, unfinished=False)])
    _, glance = effects.at_a_glance(tmp_path)
    ((column, name),) = (
        (column, name)
        for column, kinds in effects.GLANCE.items()
        for name, of_kinds in kinds.items()
        if c.kind in of_kinds
    )
    cell = glance.set_index("network").loc["SE-CNN, FER2013", column]
    assert f"{name} not settled" in cell.split("; ")
    figure = effects_figures.sizes([found])
    assert [line.get_marker() for line in figure.axes[0].lines[:1]] == ["x"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["not settled: still learning"]
    plots.close(figure)


def test_papers_at_a_glance(tmp_path):
    """Without records nothing is measured; of a network by frames and by people the size, of two networks the range."""
    empty, sizes = effects.at_a_glance(tmp_path)
    assert set(empty["what remains"]) == {"not run"} and set(empty["epoch by validation"]) == {"–"}
    assert list(sizes.columns) == ["network", *effects.GLANCE]
    cells = {part for column in effects.GLANCE for cell in sizes[column] for part in cell.split("; ")}
    assert all(part == "–" or part.endswith("not run") for part in cells)
    for seed, (accuracy, best) in enumerate(((0.7, 0.75), (0.6, 0.75))):
        record(tmp_path, "amdcnn-ckplus-acs3", seed, accuracy, best=best, dataset="ckplus", profile="full")
    record(tmp_path, "amdcnn-ckplus-baseline", 0, 0.5, best=0.5, dataset="ckplus", profile="reduced")
    levels, sizes = (
        frame.set_index("network").loc["AMDCNN, CK+48"] for frame in effects.at_a_glance(tmp_path)
    )
    assert (levels["best test epoch"], levels["epoch by validation"]) == ("75.00", "65.00")
    assert sizes["chance"].startswith("another seed ± 10.0; other images ± ")
    assert sizes["choice of the epoch"] == "+6.7 *"


def test_what_is_gone_at_the_end_stands_apart_at_a_glance():
    steps = [effects.Effect("detail", "amdcnn", "CK+48", "x", (), points=p) for p in (2.0, -1.0, 0.5)]
    assert effects._at_a_glance(steps) == "-1.0 to +2.0" and effects._at_a_glance([]) == ""
    steps[0] = replace(steps[0], last=(0.1, 0.3))
    assert effects.gone(steps[0]) and effects._at_a_glance(steps) == "-1.0 to +0.5, +2.0 gone at the end"
    assert effects._at_a_glance(steps[:1]) == "+2.0 gone at the end"
    steps = [replace(e, seeds=1) for e in steps]
    assert effects.of_one_seed(steps).startswith(
        "3 of the 3 settled differences between two rows rest on one seed"
    )
    assert effects.of_one_seed([]) == ""


def test_a_dataset_that_the_paper_does_not_use_gives_no_superlative():
    """Nan et al. print nothing on CK+, Shang et al. do."""
    ours = effects.Effect(
        "people", "a_mobilenet", "CK+48", "x: y", (), points=40.0, low=30.0, high=50.0, seeds=1
    )
    theirs = replace(ours, paper="amdcnn", points=10.0)
    assert effects.elsewhere(ours) and not effects.elsewhere(theirs)
    said = captions.sizes([ours, theirs], papers=True)
    assert said.startswith("The one effect on the papers' own datasets is +10.00 points (AMDCNN, CK+48")
    told = effects.told("people", [ours, theirs])
    assert "** +10.0 points; on a dataset that the paper does not use +40.0 points" in told
    assert list(effects.frame([ours])["dataset"]) == ["CK+48 (not in its paper)"]


def test_only_shared_seeds_are_compared(tmp_path):
    c = Contrast("detail", "se_cnn-se-same", "se_cnn-se", "padded")
    record(tmp_path, c.first, 0, 0.8)
    record(tmp_path, c.second, 1, 0.1)
    assert effects.contrast(c, tmp_path).points is None
    record(tmp_path, c.second, 0, 0.7)
    found = effects.contrast(c, tmp_path)
    assert found.points == pytest.approx(10) and found.runs == 2 and found.reduced


def test_other_images_widen_the_interval(tmp_path):
    """The same ten points between two test parts have the errors of both."""
    c = Contrast("part", "se_cnn-se-merged", "se_cnn-se", "merged")
    record(tmp_path, c.first, 0, 0.8, ids=[f"other{i}" for i in range(100)])
    record(tmp_path, c.second, 0, 0.7)
    found = effects.contrast(c, tmp_path)
    error = 100 * np.sqrt(0.8 * 0.2 / 100 + 0.7 * 0.3 / 100)
    assert found.points == pytest.approx(10) and found.p is None
    assert found.high - found.low == pytest.approx(2 * 1.959964 * error, rel=0.03)
    # Newcombe's interval of 80 and 70 of 100 (Statistics in Medicine 17:873, method 10), from Wilson's by hand
    assert (found.low, found.high) == pytest.approx((-2.03, 21.67), abs=0.01)


def test_seeds_that_differ_widen_the_difference_between_other_images(tmp_path):
    c = Contrast("part", "se_cnn-se-merged", "se_cnn-se", "merged")
    for folder, accuracies in (("alike", (0.8, 0.8)), ("apart", (0.7, 0.9))):
        for seed, accuracy in enumerate(accuracies):
            record(tmp_path / folder, c.first, seed, accuracy, ids=[f"other{i}" for i in range(100)])
            record(tmp_path / folder, c.second, seed, 0.7)
    alike, apart = (effects.contrast(c, tmp_path / folder) for folder in ("alike", "apart"))
    assert alike.points == pytest.approx(apart.points)
    assert apart.high - apart.low > 1.5 * (alike.high - alike.low)
    assert alike.bounds == "95 %, images and seeds"


def test_people_of_ck_are_what_is_independent(tmp_path):
    row = EXPERIMENTS["amdcnn-ckplus-acs3"]
    record(tmp_path, row.id, 0, 0.9, dataset="ckplus", profile="full", ids=FRAMES)
    assert effects.people(row, tmp_path).points is None
    for k in range(folds_of(row)):
        ids = [f"S{k}{i // 5:02d}_001_{i}" for i in range(100)]
        record(tmp_path, f"{row.id}-grouped{k}", 0, 0.6, dataset="ckplus", profile="full", ids=ids)
        assert (effects.people(row, tmp_path).points is None) == (k < folds_of(row) - 1)
    found = effects.people(row, tmp_path)
    assert found.points == pytest.approx(30) and found.bounds == "95 %, people"
    # 2 of 20 people wrong in all their frames: as wide as 20 images, not as 100
    of_random = 100 * np.sqrt(0.9 * 0.1 / 20)
    of_folds = 100 * np.sqrt(0.6 * 0.4 / 100)
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.hypot(of_random, of_folds), rel=0.1)


def test_selection_and_seeds_are_read_off_each_run(tmp_path):
    row = EXPERIMENTS["amdcnn-ckplus-acs3"]
    for seed, (chosen, best) in enumerate([(0.9, 0.95), (0.8, 0.9), (0.86, 0.86)]):
        record(tmp_path, row.id, seed, chosen, dataset="ckplus", profile="full", ids=FRAMES, best=best)
    picked = effects.selection([row], tmp_path)
    assert (picked.points, picked.low, picked.high) == pytest.approx((5, 0, 10))
    apart = effects.seeds([row], tmp_path)
    assert (apart.points, apart.low, apart.high) == pytest.approx(((10 + 4 + 6) / 3, 4, 10))
    assert picked.runs == apart.runs == 3


def test_copies_count_as_the_audit_does(tmp_path):
    """80 of 100 right, 60 of the 80 that training lacks: 80 % against 75 %."""
    row = EXPERIMENTS["se_cnn-se"]
    record(tmp_path, row.id, 0, 0.8, unseen=(80, 0.75))
    found = effects.copies(row, tmp_path)
    assert found.points == pytest.approx(5)
    assert found.low < 5 < found.high


def test_seeds_that_differ_widen_a_gap(tmp_path):
    row = "amdcnn-ckplus-acs3"
    for folder, accuracies in (("alike", (0.9, 0.9, 0.9)), ("apart", (0.8, 0.9, 1.0))):
        for seed, accuracy in enumerate(accuracies):
            record(tmp_path / folder, row, seed, accuracy, dataset="ckplus", profile="full", ids=FRAMES)
    alike, apart = (effects.gap([row], tmp_path / folder) for folder in ("alike", "apart"))
    assert alike.points == pytest.approx(apart.points)
    assert apart.high - apart.low > 1.2 * (alike.high - alike.low)


def test_gap_is_of_the_first_network_that_has_a_record(tmp_path):
    ids = HEADS["se_cnn"][0]
    record(tmp_path, ids[-1], 0, 0.6)
    found = effects.gap(ids, tmp_path)
    assert found.needs == (ids[-1],)
    assert found.points == pytest.approx(printed_accuracy(EXPERIMENTS[ids[-1]]) - 60)
    assert found.low < found.points < found.high


def test_a_faultless_run_has_an_interval_too(tmp_path):
    record(tmp_path, "msca_resnet-ckplus-se_bn", 0, 1.0, dataset="ckplus", profile="full", ids=FRAMES)
    found = effects.gap(["msca_resnet-ckplus-se_bn"], tmp_path)
    assert found.high > found.low
    others = effects.sample(EXPERIMENTS["msca_resnet-ckplus-se_bn"], tmp_path)
    assert others.low < others.high == pytest.approx(0)  # 100 % cannot rise
    assert others.points == pytest.approx((others.high - others.low) / 2)


def test_what_remains_of_a_gap(tmp_path):
    """The published 99.49: 99 of 100 is not told from it; 80 is, unless the best test epoch has it; 60 stays open."""
    row = "amdcnn-ckplus-acs3"
    for chosen, best, state in (
        (0.99, 0.99, "may be zero"),
        (0.8, 0.99, "gone at the best test epoch"),
        (0.6, 0.8, "open: +19.49 at the best test epoch"),
    ):
        record(tmp_path / state[:4], row, 0, chosen, dataset="ckplus", profile="full", ids=FRAMES, best=best)
        found = effects.remaining(tmp_path / state[:4])
        assert list(found["state"]) == [state]
    record(tmp_path / "short", "se_cnn-se", 0, 0.3, best=0.35)
    assert effects.remaining(tmp_path / "short")["state"][0] == "not known: shortened runs"
    record(tmp_path / "above", "se_cnn-se", 0, 0.9, best=0.95)  # the published 69.04
    assert effects.remaining(tmp_path / "above")["state"][0].startswith("above the published accuracy")


# -- what is shown ----------------------------------------------------------------------------------------------------


def test_the_page_fills_itself_in(tmp_path):
    for seed in (0, 1):
        record(tmp_path, "se_cnn-se", seed, 0.6 + seed / 50, best=0.65, unseen=(92, 0.58))
    record(tmp_path, "se_cnn-se-same", 0, 0.7)
    found = effects.of_paper("se_cnn", tmp_path)
    padded, *others = (e for e in found if e.kind == "detail")
    assert padded.points == pytest.approx(10) and {e.points for e in others} == {None}
    assert only(found, "seed").points == pytest.approx(2)
    frame = effects.frame(found)
    assert len(frame) + len(effects.waiting(found, tmp_path)) == len(found)
    assert (frame["points"].str[0].isin(["+", "-", "±"])).all()
    figure = effects_figures.sizes(found, papers=True)
    labels = figure.axes[0].get_yticklabels()
    heads = [label.get_text().replace("\n", " ") for label in labels if label.get_fontweight() == "bold"]
    assert len(labels) - len(heads) == len(frame)
    assert [head.lower() for head in heads] == [
        t.lower() for t in dict.fromkeys(map(effects.title, found)) if t in set(frame["effect"])
    ]
    plots.close(figure)
    plots.close(effects_figures.readings(effects.readings(tmp_path)))
    told = effects.told("detail", found)
    assert "+10.0 points, from shortened runs" in told and "2 further comparisons wait" in told
    assert "Not measured yet: 1 comparison" in effects.told("part", found)
    assert effects.told("people", []) == ""
    assert "zero" not in effects.told("sample", found)  # an interval around our own accuracy tests nothing
    assert "zero" in effects.told("copies", found)


def test_of_a_kind_a_sentence_and_a_table(tmp_path, monkeypatch):
    said, shown = [], []
    monkeypatch.setattr(effects_figures.chapters, "say", said.append)
    monkeypatch.setattr(effects_figures.chapters, "table", shown.append)
    record(tmp_path, "se_cnn-se", 0, 0.6)
    record(tmp_path, "se_cnn-se-same", 0, 0.7)
    effects_figures.of_kinds(("detail", "part"), effects.of_paper("se_cnn", tmp_path))
    assert [text.partition(".**")[0] for text in said] == [
        "**A detail that is not printed",
        "**Which part of the data is the test set",
    ]
    (table,) = shown
    assert list(table["paper, dataset"]) == ["SE-CNN, FER2013"]
