"""The audit as evidence: measures against counts by hand and simulations, the files, what the chapter shows of them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import data_layouts as make
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from recorded import record
from typer.testing import CliRunner

from ferlib import tables as record_tables
from ferlib.cli import app
from ferlib.data import FaceDataset, audit_figures, audit_labels, audit_leaks, audit_tables, fer2013, measured
from ferlib.data.audit_labels import Labelled
from ferlib.data.ferplus_votes import VOTES
from ferlib.errors import FerlibError, RecordError
from ferlib.experiments import get
from ferlib.outcome import commit
from ferlib.records import path_of as record_path

COMMITTED = Path(__file__).resolve().parents[1] / "results"
CK_CLASSES = make.CK_CLASSES


@pytest.fixture(scope="module", autouse=True)
def _two_seeds():
    """Drawing splits takes most of the time; two seeds show what five do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audit_leaks, "SEEDS", range(2))
        yield


def ballots(**counts: int) -> np.ndarray:
    """One row of ten columns with these votes."""
    return np.array([[counts.get(name, 0) for name in VOTES]])


def film(people: int = 20, frames: int = 3, seed: int = 0) -> FaceDataset:
    """CK+48 of noise: two sequences of each person, of different classes, whose frames differ by little."""
    rng = np.random.default_rng(seed)
    images, labels, subjects, sequence = [], [], [], []
    for person in range(people):
        for k in range(2):
            first = rng.integers(20, 230, (48, 48))
            for _ in range(frames):
                images.append(first + rng.integers(-3, 4, (48, 48)))
                labels.append((person + 3 * k) % 7)
                subjects.append(f"S{person:03d}")
                sequence.append(f"S{person:03d}_{k:03d}")
    n = len(images)
    return FaceDataset(
        "ckplus",
        np.array(images, np.uint8),
        np.array(labels),
        CK_CLASSES,
        np.full(n, "train"),
        np.arange(n).astype(str),
        subjects=np.array(subjects),
        extras={"sequence": np.array(sequence)},
        meta={"layout": "CK+48", "source": "CK+48"},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small copies of FER2013, FERPlus and CK+48; an image of training is also in the test part."""
    root = tmp_path_factory.mktemp("data")
    images, labels, usages = make.fer_rows()
    images[-1] = images[0]
    (root / "fer2013").mkdir()
    (root / "fer2013" / "fer2013.csv").write_text(make.table_text(images, labels, usages))
    make.ferplus_csv(root / "ferplus", usages, make.votes(len(labels)))
    data = film()
    for i, (image, label, name) in enumerate(
        zip(data.images, data.labels, data.extras["sequence"], strict=True)
    ):
        make.save(root / "ckplus" / "CK+48" / CK_CLASSES[label] / f"{name}_{i:08d}.png", image)
    return root


@pytest.fixture(scope="module")
def whole(folder: Path):
    return measured.measure(folder)


# -- labels ---------------------------------------------------------------------------------------------------------


def test_one_annotator_by_hand() -> None:
    agreed, torn = ballots(fear=10), ballots(anger=5, sadness=5)
    assert audit_labels.one_voter(agreed) == audit_labels.left_out_voter(agreed) == 1
    assert audit_labels.one_voter(torn) == 0.5
    assert audit_labels.left_out_voter(torn) == 0  # without him, the other five are more
    assert audit_labels.two_voters(torn)[0] == pytest.approx(2 * 20 / 90)
    sad = np.array([fer2013.CLASSES.index("sad")])
    assert audit_labels.voter_and_label(torn, sad) == 0.5
    assert audit_labels.guess(torn, sad) == 0.5
    assert audit_labels.guess(ballots(NF=10), sad)[0] == pytest.approx(1 / 7)


def test_left_out_voter_is_every_vote_left_out_in_turn() -> None:
    votes = make.votes(50)
    found = []
    for row in votes:
        answers = np.repeat(np.arange(10), row)
        right = []
        for i, answer in enumerate(answers):
            others = np.bincount(np.delete(answers, i), minlength=10)
            best = np.flatnonzero(others == others.max())
            right.append((answer in best) / len(best))
        found.append(np.mean(right))
    assert np.allclose(audit_labels.left_out_voter(votes), found)


def test_the_bracket_holds_the_best_accuracy() -> None:
    """Annotators drawn from known probabilities: the best answer's accuracy lies between the two bounds."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(10, 0.08), size=4000)
    votes = rng.multinomial(10, p)
    low, high = audit_labels.left_out_voter(votes), audit_labels.one_voter(votes)
    best = p.max(axis=1).mean()
    assert low.mean() + 0.002 < best < high.mean() - 0.002
    assert high.mean() - low.mean() < 0.06  # as wide as on the real votes, at about their agreement
    assert audit_labels.two_voters(votes).mean() == pytest.approx((p**2).sum(axis=1).mean(), abs=0.01)


def test_majority_as_a_label_of_fer2013() -> None:
    votes = np.concatenate(
        [ballots(happiness=8, neutral=2), ballots(contempt=7, anger=3), ballots(anger=5, sadness=5)]
    )
    assert audit_labels.majority(votes).tolist() == [fer2013.CLASSES.index("happy"), -1, -2]


def labelled() -> Labelled:
    """Four images in training, two in test, of which one has two copies in training."""
    happy, sad, fear = (fer2013.CLASSES.index(c) for c in ("happy", "sad", "fear"))
    votes = [ballots(happiness=10), ballots(happiness=10), ballots(sadness=9, neutral=1), ballots(neutral=10)]
    votes += [ballots(happiness=10), ballots(fear=6, surprise=4)]
    return Labelled(
        labels=np.array([happy, happy, sad, sad, sad, fear]),
        split=np.array(["train"] * 4 + ["test"] * 2),
        votes=np.concatenate(votes),
        group=np.array([0, 0, 1, 2, 0, 3]),
        seen=np.array([False] * 4 + [True, False]),
    )


def test_agreement_by_hand() -> None:
    data = labelled()
    found = audit_labels.agreement(data)
    assert set(found) == {"all", "train", "test"}
    assert (found["all"]["images"], found["all"]["n"]) == (4, 6)
    assert (found["test"]["images"], found["test"]["n"], found["test"]["without_majority"]) == (1, 2, 0)
    assert audit_labels.by_class(data)["sad"]["same"]["images"] == 1
    counts = np.array(audit_labels.confusion(data)["counts"])
    assert counts.sum() == 6
    assert counts[fer2013.CLASSES.index("sad")].tolist()[:4] == [1, 1, 0, 1]


def test_what_is_learned_by_heart() -> None:
    data = labelled()
    assert audit_labels.copied(data).tolist() == [False]  # its copies are happy, it is sad
    right = data._replace(labels=np.where(data.seen, data.labels[0], data.labels))
    assert audit_labels.copied(right).tolist() == [True]
    found = audit_labels.copies(data)
    assert (found["same_label"]["n"], found["same_label"]["images"], found["same_votes"]["images"]) == (
        1,
        1,
        1,
    )


# -- datasets -------------------------------------------------------------------------------------------------------


def test_imbalance_by_hand() -> None:
    data = replace(
        film(), name="fer2013", labels=np.repeat([0, 1, 2], (90, 24, 6)), classes=("a", "b", "c", "d")
    )
    data = data.with_split(np.where(np.arange(120) % 4 == 0, "test", "train"))
    found = measured.imbalance(data)
    assert (found["most_frequent"], found["rarest"]) == ("a", ["d"])
    test = data.labels[data.split == "test"]
    assert found["majority"]["images"] == (test == 0).sum() and found["majority"]["n"] == 30
    even = replace(data, labels=np.tile([0, 1, 2, 3], 30), split=np.full(120, "train"))
    assert measured.imbalance(even)["effective"] == pytest.approx(4)
    assert measured.imbalance(data)["effective"] < 3


def test_a_mean_face_hides_everyone() -> None:
    data = film()
    faces = measured.mean_faces(data)
    assert faces == {}  # no class shows ten people
    few = replace(data, labels=np.arange(120) // 3 % 2)  # each person's first sequence and the second one
    assert set(measured.mean_faces(few)) == {"ckplus/anger", "ckplus/contempt"}
    one = np.where(np.arange(len(data)) < 60, "S000", data.subjects)  # one person is half of all
    assert measured.mean_faces(replace(few, subjects=one)) == {}
    copied = np.concatenate([np.repeat(data.images[:1], 60, axis=0), data.images[60:]])
    web = replace(data, name="fer2013", images=copied, labels=np.zeros(120, np.int64), subjects=None)
    expected = np.concatenate([copied[:1], copied[60:]]).mean(axis=0) / 255
    assert np.allclose(measured.mean_faces(web)["fer2013/anger"], expected, atol=1e-3)


def test_leaks_of_a_film_of_noise() -> None:
    """Frames of a sequence are alike and nothing else is: only a sister is found, and only by frame."""
    data = film()
    found = audit_leaks.measure(data)
    near = {grouping: kinds["raw"] for grouping, kinds in found["nearest"].items()}
    frames, sequences, subjects = (near[name] for name in audit_leaks.GROUPINGS)
    assert frames["neighbour"]["same sequence"]["n"] == round(frames["sister_in_training"] * frames["n"])
    assert frames["neighbour"]["same sequence"]["right"] == frames["neighbour"]["same sequence"]["n"]
    assert frames["accuracy"] > 0.8 > 0.45 > max(sequences["accuracy"], subjects["accuracy"])
    assert sequences["sister_in_training"] == subjects["sister_in_training"] == 0
    assert sequences["person_in_training"] > 0.5 > subjects["person_in_training"] == 0
    assert sequences["n"] == subjects["n"] == len(data) * len(audit_leaks.SEEDS)
    for part in near.values():
        assert sum(g["n"] for g in part["neighbour"].values()) == part["n"]
        assert sum(g["right"] for g in part["neighbour"].values()) == part["right"]
        assert part["by_person"][0] <= part["accuracy"] <= part["by_person"][1]
    assert len(found["draws"]) == len(audit_leaks.FRACTIONS) * len(audit_leaks.SEEDS)
    assert audit_leaks.measure(replace(data, subjects=None)) is None


def test_raw_distances_are_exact() -> None:
    images = make.noise(4, 48, 48)
    wide = images.astype(np.int64)
    assert audit_leaks.distance(images, "raw")[1, 3] == ((wide[1] - wide[3]) ** 2).sum()
    brighter = np.clip(images // 2 + np.array([0, 9, 0, 0], np.uint8)[:, None, None], 0, 255)
    brighter[0] = brighter[1] - 9
    assert audit_leaks.distance(brighter, "standardised")[0, 1] == pytest.approx(0, abs=1e-9)


# -- the files ------------------------------------------------------------------------------------------------------


def leaves(value, path=()):
    if isinstance(value, dict):
        for key, part in value.items():
            yield from leaves(part, (*path, key))
    else:
        yield path, value


def test_measured_whole(whole) -> None:
    part, faces, run = whole
    record = {"reproducible": part}
    assert measured.at(record, "fer2013.splits.train.happy") == 12
    assert measured.at(record, "fer2013.splits.test.total") == 14
    assert measured.at(record, "fer2013.copies.seen.images") == 1
    assert measured.at(record, "ferplus.splits.test.total") <= 14
    assert measured.at(record, "ckplus.classes.happy") == int((film().labels == 4).sum())
    assert measured.at(record, "ckplus.total") == 120 and measured.at(record, "ckplus.subjects") == 20
    assert set(part["ferplus"]["rules"]) == {
        f"{r}{c}" for r in ("majority", "argmax", "distribution") for c in (8, 7)
    }
    assert {key.split("/")[0] for key in faces} >= {"fer2013"}
    assert set(run) >= {"seconds", "finished", *commit()}
    with pytest.raises(FerlibError, match=r"nothing at 'fer2013\.splits\.train\.joy'"):
        measured.at(record, "fer2013.splits.train.joy")


def test_measuring_repeats_itself(whole, folder: Path) -> None:
    again, faces, _ = measured.measure(folder)
    assert (
        again == whole[0]
        and again["faces_sha256"] == whole[0]["faces_sha256"]
        and set(faces) == set(whole[1])
    )


def test_nothing_of_an_image_is_stored(whole, folder: Path) -> None:
    text = json.dumps(whole[0])
    assert str(folder) not in text and "S001" not in text and "fer0000000" not in text
    for path, value in leaves(whole[0]):
        if isinstance(value, list) and path[-1] not in ("draws", "counts"):
            assert len(value) <= len(VOTES), path


def test_only_what_is_there_is_measured(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "ckplus").symlink_to(folder / "ckplus")
    part, _, _ = measured.measure(tmp_path)
    assert "ckplus" in part and not {"fer2013", "ferplus", "labels"} & set(part)
    assert audit_tables.ceilings(part).empty and not audit_tables.nearest(part).empty
    (tmp_path / "none").mkdir()
    with pytest.raises(FerlibError, match="nothing to measure"):
        measured.measure(tmp_path / "none")


def test_written_read_and_told(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = CliRunner().invoke(
        app, ["data", "audit", "--root", str(folder), "--results", str(tmp_path)], catch_exceptions=False
    )
    assert found.exit_code == 0 and "1 of" not in found.output
    assert "of the test images are in training" in found.output and "nearest neighbour" in found.output
    record, faces = measured.read(tmp_path)
    assert record["reproducible"]["faces_sha256"] and faces
    assert str(folder) not in (tmp_path / "audit.json").read_text()


def test_an_audit_of_less_replaces_nothing(whole, tmp_path: Path) -> None:
    part, faces, run = whole
    path = measured.write(tmp_path, part, faces, run)
    less = {name: value for name, value in part.items() if name not in ("fer2013", "labels")}
    before = path.read_bytes()
    with pytest.raises(RecordError, match="also holds fer2013, labels"):
        measured.write(tmp_path, less, faces, run)
    assert path.read_bytes() == before
    measured.write(tmp_path, part, faces, run)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: text.replace('"total": 120', '"total": 121'), "checksum"),
        (lambda text: text[:-20], "cannot be read"),
        (lambda text: text.replace('"schema": 1', '"schema": 0'), "schema"),
        (lambda text: "[]", "schema"),
    ],
)
def test_a_damaged_audit_is_refused(whole, tmp_path: Path, damage, said: str) -> None:
    path = measured.write(tmp_path, *whole)
    path.write_text(damage(path.read_text()))
    with pytest.raises(RecordError, match=said) as error:
        measured.read(tmp_path)
    assert "\n" not in str(error.value) and "ferlib data audit" in str(error.value)


def test_foreign_faces_and_missing_files_are_told(whole, tmp_path: Path) -> None:
    part, faces, run = whole
    path = measured.write(tmp_path, part, faces, run)
    np.savez(path.with_suffix(".npz"), other=np.zeros(3))
    with pytest.raises(RecordError, match="does not belong"):
        measured.read(tmp_path)
    path.with_suffix(".npz").write_bytes(b"PK")
    with pytest.raises(RecordError, match="cannot be read"):
        measured.read(tmp_path)
    path.with_suffix(".npz").unlink()
    with pytest.raises(RecordError, match="not measured yet"):
        measured.read(tmp_path)


def test_the_committed_audit_counts_what_is_published() -> None:
    record, faces = measured.read(COMMITTED)
    for split, counts in fer2013.PUBLISHED.items():
        for name, n in counts.items():
            assert measured.at(record, f"fer2013.splits.{split}.{name}") == n
    from ferlib.data import ckplus, ferplus

    for split, counts in ferplus.PUBLISHED.items():
        assert measured.at(record, f"ferplus.splits.{split}.total") == sum(counts.values())
    assert measured.at(record, "ckplus.subjects") == ckplus.SUBJECTS
    assert record["reproducible"]["ckplus"]["sequences_of"] == ckplus.SEQUENCES
    book = COMMITTED.parent / "book"
    whole = (
        f"{measured.at(record, 'ckplus.total')} frames of {measured.at(record, 'ckplus.sequences')} sequences"
    )
    assert f"{whole} of {ckplus.SUBJECTS} people" in (book / "data.md").read_text(encoding="utf-8")
    assert f"which CK+48 holds, show {ckplus.SUBJECTS} " in (book / "limits.md").read_text(encoding="utf-8")
    assert sum(path.stat().st_size for path in COMMITTED.glob("audit.*")) < 200_000
    assert all(max(face.shape) <= measured.FACE for face in faces.values())


# -- what the chapter shows -----------------------------------------------------------------------------------------

TABLES = (
    audit_tables.images,
    audit_tables.rules,
    audit_tables.duplicates,
    audit_tables.imbalance,
    audit_tables.agreement,
    audit_tables.ceilings,
    audit_tables.draws,
    audit_tables.nearest,
)
FIGURES = (
    audit_figures.classes,
    audit_figures.copies,
    audit_figures.agreement,
    audit_figures.leaks,
)


def test_without_an_audit_nothing_is_shown() -> None:
    assert all(make_table({}).empty for make_table in TABLES)
    assert all(figure({}) is None for figure in FIGURES)
    assert audit_figures.mean_faces({}, {}) is None
    assert audit_figures.ceilings({}, audit_tables.on_fer2013("nowhere")) is None


def test_tables_and_figures_of_an_audit(whole, tmp_path: Path) -> None:
    part, faces, _ = whole
    assert all(len(make_table(part)) for make_table in TABLES)
    shown = [figure(part) for figure in FIGURES]
    shown += [audit_figures.mean_faces(faces, part)]
    shown += [audit_figures.ceilings(part, audit_tables.on_fer2013(tmp_path))]
    assert all(figure is not None for figure in shown)
    images = audit_tables.images(part).set_index("class")
    assert images.loc["happy", "FER2013 train"] == "12" and images.loc["neutral", "CK+48 all"] == "–"
    assert list(images.columns[:3]) == ["FER2013 train", "FER2013 val", "FER2013 test"]
    named = [
        *audit_tables.agreement(part)["else mostly"].str.partition(" ")[0],
        *audit_tables.imbalance(part)["rarest"],
    ]
    assert {name for text in named for name in text.split(", ")} <= set(audit_tables.ORDER)
    heat = shown[2].axes[0]
    ticks = [[t.get_text() for t in axis.get_ticklabels()] for axis in (heat.yaxis, heat.xaxis)]
    assert ticks[0] == list(audit_tables.ORDER[:-1]) and ticks[1] == [*audit_tables.ORDER, audit_labels.NONE]
    plt.close("all")


def test_what_copies_add(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """100 test images, 20 of them seen: 18 of these right, 48 of the rest."""
    row = get("se_cnn-plain")
    recall = dict.fromkeys(fer2013.CLASSES, 0.5) | {"happy": 0.8}
    result = {"n": 100, "accuracy": 0.66, "unseen": {"n": 80, "accuracy": 0.6}, "per_class_recall": recall}
    both = {"n": 200, "accuracy": 0.7}
    part = {"profile": "full", "result": {"val_selected": result, "merged": both}}
    monkeypatch.setattr(record_tables, "parts_of", lambda _, name: [part] if name == row.id else [])
    by_class = {name: {"images": 0} for name in fer2013.CLASSES} | {
        "happy": {"images": 15},
        "sad": {"images": 5},
    }
    audit = {"fer2013": {"copies": {"by_class": by_class}}}
    found = audit_tables.effect(row, tmp_path, audit)
    assert found["seen"] == pytest.approx(0.9) and found["effect"] == pytest.approx(0.06)
    assert found["interval"][0] < 0.06 < found["interval"][1] and found["interval"][0] > 0
    assert found["expected"] == pytest.approx((15 * 0.8 + 5 * 0.5) / 20)
    assert audit_tables.effect(row, tmp_path, {})["expected"] is None
    assert audit_tables.effect(get("se_cnn-se"), tmp_path, audit) is None
    frame = audit_tables.without_copies(tmp_path, audit)
    assert frame["copies add (points)"].str.startswith("+6.00\u00a0[").all() and len(frame) == 1
    # Luo prints 7,178 test images: ours beside it are those of both parts
    line = audit_tables.on_fer2013(tmp_path).set_index("label").loc["SE-CNN: Original CNN"]
    assert line["ours"] == pytest.approx(70) and line["low"] < 70 < line["high"]
    del part["result"]["merged"]
    assert audit_tables.on_fer2013(tmp_path)["ours"].isna().all()


def test_the_test_part_that_a_paper_prints() -> None:
    frame = audit_tables.on_fer2013("nowhere")
    papers = frame["label"].str.partition(":")[0]
    said = {paper: set(frame.loc[papers == paper, "test part"]) for paper in papers}
    assert said == {
        "SE-CNN": {"7,178 images"},
        "AMDCNN": {"3,589 images"},
        "GCCA-VGG16": {"split not printed"},
    }
    assert (
        audit_tables.tested_on("se_cnn")[1] == "merged"
        and audit_tables.tested_on("gcca_vgg")[1] == "val_selected"
    )
    told = audit_tables.test_parts(frame)
    n = int((frame["test part"] == "split not printed").sum())
    assert told.endswith(f"and of {n} no split is printed") and "said to be of 7,178 images" in told
    only = frame[frame["test part"] == "3,589 images"].iloc[:1]
    assert audit_tables.test_parts(only) == "1 is said to be of 3,589 images"


def test_networks_by_frame_and_by_person(tmp_path: Path) -> None:
    """A row by frame alone, then with some of its folds, then with all of them in two seeds."""
    assert audit_tables.by_subject([]).empty and audit_tables.lost([]) == ""
    assert not audit_tables.both_splits(tmp_path)
    row = "msca_resnet-ckplus-se"
    frames = [f"S{i // 10:02d}_001_{i}" for i in range(100)]
    record(tmp_path, row, 0, 0.9, dataset="ckplus", profile="full", ids=frames)

    def shown() -> tuple[pd.DataFrame, str]:
        found = audit_tables.both_splits(tmp_path)
        assert [one.row.id for one in found] == [row]
        return audit_tables.by_subject(found), audit_tables.waiting_by_subject(found)

    def line() -> dict[str, str]:
        frame, _ = shown()
        assert list(frame["network"]) == ["MSCA-ResNet: SENet"]
        return {name: cell.replace("\u00a0", " ") for name, cell in frame.iloc[0].items()}

    frame, first = shown()
    assert frame.empty and audit_tables.lost(audit_tables.both_splits(tmp_path)) == ""
    assert "1 of them has the random split alone, with 90.0 %." in first
    assert first.endswith("`ferlib list --pending --dataset ckplus` shows what has to run.")
    for seed in (0, 1):
        for k in range(5):
            ids = [f"S{k}{i // 10:02d}_001_{i}" for i in range(100)]
            accuracy = 0.6 + 0.1 * seed
            record(tmp_path, f"{row}-grouped{k}", seed, accuracy, dataset="ckplus", profile="full", ids=ids)
        if seed == 0:
            record_path(tmp_path, f"{row}-grouped4", 0).unlink()
            assert shown()[0].empty and "random split alone" not in shown()[1]
            assert "1 has a part of the folds: MSCA-ResNet: SENet 60.0 [" in shown()[1]
            assert "% on the people of 4 of 5 folds, 90.0 by frame. " in shown()[1]
            record(tmp_path, f"{row}-grouped4", 0, 0.6, dataset="ckplus", profile="full", ids=ids)
            single = line()["by person (%)"]
    both = line()
    assert single.startswith("60.00 [") and both["by person (%)"].startswith("65.00 [")
    assert both["frames at random (%)"].startswith("90.00 [") and both["lost (points)"] == "25.00"
    assert both["images"] == "100 and 500" and both["seeds"] == "1 and 2"
    found = audit_tables.both_splits(tmp_path)
    assert audit_tables.lost(found) == "On new people the one row of this table loses 25.0 points."
    assert "2 rows" in audit_tables.lost(found * 2) and "between 25.0 and 25.0" in audit_tables.lost(
        found * 2
    )
    width = [float(np.ptp(np.array(cell.split("[")[1].split("]")[0].split(", "), float))) for cell in (
        single, both["by person (%)"]
    )]  # fmt: skip
    assert width[1] > width[0] + 5  # the seeds are ten points apart
    waiting = [int(text.partition(" of ")[0]) for text in (first, shown()[1])]
    assert waiting[1] == waiting[0] - 1 and "random split alone" not in shown()[1]


def test_nothing_in_the_table_by_person_breaks_a_line(tmp_path: Path) -> None:
    row = "msca_resnet-ckplus-se"
    for k, name in enumerate((row, *(f"{row}-grouped{k}" for k in range(5)))):
        ids = [f"S{k}{i // 10:02d}_001_{i}" for i in range(100)]
        record(tmp_path, name, 0, 0.7, dataset="ckplus", profile="reduced", ids=ids)
    (line,) = audit_tables.by_subject(audit_tables.both_splits(tmp_path)).to_dict("records")
    assert line["by person (%)"].startswith("70.00\u00a0*\u00a0[")
    assert not [name for name, cell in line.items() if name != "network" and " " in cell]


def test_networks_that_wait_for_a_record(tmp_path: Path) -> None:
    def counts() -> list[tuple[int, int]]:
        text = audit_tables.waiting_for_copies(tmp_path)
        assert "`ferlib list --pending --dataset fer2013`" in text and text.endswith(
            f"have no record yet ({audit_tables.ONE_CELL})."
        )
        return [(int(a), int(b)) for a, b in re.findall(r"(\d+) of (\d+) networks on", text)]

    before = counts()
    assert all(lacking == every for lacking, every in before) and len(before) == 2
    record(tmp_path, "amdcnn-fer2013-acs3", 0)
    (lacking, every), ferplus = counts()
    assert lacking == every - 1 and ferplus == before[1]


def test_what_copies_add_over_seeds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two seeds of one mean: the interval is that of one seed, widened by how far they are apart."""
    row = get("se_cnn-plain")

    def part(unseen: float) -> dict:
        result = {"n": 1000, "accuracy": 0.66, "unseen": {"n": 800, "accuracy": unseen}}
        return {"profile": "full", "result": {"val_selected": result}}

    def effect_of(*values: float) -> dict:
        parts = [part(value) for value in values]
        monkeypatch.setattr(record_tables, "parts_of", lambda _, name: parts)
        return audit_tables.effect(row, tmp_path, {})

    one, two = effect_of(0.62), effect_of(0.60, 0.64)
    assert two["effect"] == pytest.approx(one["effect"]) == pytest.approx(0.04)
    images = (one["interval"][1] - one["interval"][0]) / (2 * 1.959964)
    assert np.ptp(two["interval"]) > 2 * 1.959964 * np.hypot(images, 0.02)


def test_rows_find_their_part_of_the_audit() -> None:
    parts = {name: {"copies": {"by_class": {name: 1}}} for name in measured.RULES}
    merged = {"copies": {"by_class": {"merged": 1}}}
    audit = {
        "ferplus": {"rules": parts},
        "fer2013": {"merged": merged, "copies": {"by_class": {"official": 1}}},
    }
    seen = {name: list(audit_tables.seen_of(get(name), audit)) for name in (
        "amdcnn-ferplus-acs3", "msca_resnet-ferplus-se_bn", "se_cnn-plain-merged", "se_cnn-plain"
    )}  # fmt: skip
    assert list(seen.values()) == [["argmax7"], ["majority8"], ["merged"], ["official"]]


def test_the_real_copies_give_the_committed_audit(real_data: Path) -> None:
    """The cheap part of it: FER2013 and the labels."""
    record, _ = measured.read(COMMITTED)
    part = record["reproducible"]
    if fer2013.find(real_data) is None:
        pytest.skip("no fer2013 in FERLIB_DATA")
    rows = audit_labels.joined(real_data)
    if rows is None:
        pytest.skip("no fer2013.csv with FERPlus's votes in FERLIB_DATA")
    assert audit_labels.agreement(rows) == part["labels"]["agreement"]
    assert int(rows.seen.sum()) == part["fer2013"]["copies"]["seen"]["images"]
