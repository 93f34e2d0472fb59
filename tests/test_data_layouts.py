"""Every layout is read to the arrays it was made of, in a fixed order, with the right split."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from functools import partial
from pathlib import Path

import data_layouts as make
import numpy as np
import pytest

from ferlib.data import load
from ferlib.data.ferplus_votes import targets


def as_split(usages: list[str]) -> np.ndarray:
    names = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}
    return np.array([names[u] for u in usages])


def check_fer(dataset) -> None:
    images, labels, usages = make.fer_rows()
    assert dataset.classes == make.FER_CLASSES
    assert np.array_equal(dataset.images, images)
    assert np.array_equal(dataset.labels, labels)
    assert dataset.labels.dtype == np.int64
    assert np.array_equal(dataset.split, as_split(usages))
    assert dataset.ids[0] == "fer0000000"
    assert len(set(dataset.ids)) == len(dataset)


def _zipped(text: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("fer2013/fer2013.csv", text)
        archive.writestr("__MACOSX/fer2013/._fer2013.csv", b"")
    return buffer.getvalue()


def _tarred(text: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in (("fer2013/README", b"hello"), ("fer2013/fer2013.csv", text)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize("inside", ["", "fer2013"])
def test_fer2013_csv(tmp_path: Path, inside: str) -> None:
    make.fer_csv(tmp_path / inside)
    check_fer(load("fer2013", tmp_path))


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("fer2013.csv.gz", gzip.compress),
        ("fer2013.csv.bz2", bz2.compress),
        ("fer2013.csv.xz", partial(lzma.compress, preset=0)),
        ("fer2013.csv.zip", _zipped),
        ("fer2013.zip", _zipped),
        ("fer2013.tar.gz", _tarred),
    ],
)
def test_fer2013_compressed(tmp_path: Path, name: str, pack) -> None:
    (tmp_path / name).write_bytes(pack(make.table_text(*make.fer_rows()).encode()))
    check_fer(load("fer2013", tmp_path))


def test_icml_face_data_has_leading_blanks(tmp_path: Path) -> None:
    text = make.table_text(*make.fer_rows(), header="emotion, Usage, pixels", order=(0, 2, 1))
    (tmp_path / "icml_face_data.csv").write_text(text)
    check_fer(load("fer2013", tmp_path))


def test_windows_lines_quotes_and_blank_end(tmp_path: Path) -> None:
    lines = make.table_text(*make.fer_rows()).splitlines()
    quoted = [",".join(f'"{field}"' for field in line.split(",")) for line in lines]
    (tmp_path / "fer2013.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*quoted, "", "", ""]).encode())
    check_fer(load("fer2013", tmp_path))


def test_fer2013_folders_with_names(tmp_path: Path) -> None:
    make.fer_folders(tmp_path / "fer2013", names=True)
    dataset = load("fer2013", tmp_path)
    images, labels, usages = make.fer_rows()
    assert dataset.classes == make.FER_CLASSES  # not the alphabetical order of the folders
    index = np.array([int(name[-9:-4]) for name in dataset.ids])
    assert sorted(index) == list(range(len(images)))
    assert np.array_equal(dataset.images, images[index])
    assert np.array_equal(dataset.labels, labels[index])
    assert np.array_equal(dataset.split, as_split(usages)[index])
    assert dataset.meta["protocol"] == "official"


def test_fer2013_folders_without_names_have_merged_test(tmp_path: Path) -> None:
    make.fer_folders(tmp_path, names=False, suffix="jpg")
    dataset = load("fer2013", tmp_path)
    assert set(dataset.split) == {"train", "test"}
    assert (dataset.split == "test").sum() == 28
    assert "merged" in dataset.meta["protocol"]


@pytest.mark.parametrize("layout", ["csv", "names", "no names"])
def test_merged_protocol(tmp_path: Path, layout: str) -> None:
    if layout == "csv":
        make.fer_csv(tmp_path)
    else:
        make.fer_folders(tmp_path, names=layout == "names")
    one, again = (load("fer2013", tmp_path, protocol="merged") for _ in range(2))
    other = load("fer2013", tmp_path, protocol="merged", split_seed=1)
    assert {s: len(one.where(s)) for s in ("train", "val", "test")} == {"train": 75, "val": 9, "test": 28}
    assert np.array_equal(one.split, again.split)
    assert one.fingerprint == again.fingerprint != other.fingerprint
    assert len(set(one.labels[one.where("val")])) == 7


@pytest.fixture
def votes_and_faces(tmp_path: Path) -> Path:
    images, _, usages = make.fer_rows()
    make.fer_csv(tmp_path / "fer2013")
    make.ferplus_csv(tmp_path / "ferplus", usages, make.votes(len(images)))
    return tmp_path


def test_majority_by_hand() -> None:
    votes = np.array(
        [
            [6, 4, 0, 0, 0, 0, 0, 0, 0, 0],  # neutral: 6 of 10
            [5, 5, 0, 0, 0, 0, 0, 0, 0, 0],  # no more than half
            [4, 2, 1, 1, 1, 1, 0, 0, 0, 0],  # single votes go: 4 of 6
            [1, 1, 1, 1, 1, 1, 1, 1, 1, 1],  # nothing is left
            [0, 0, 0, 0, 0, 0, 0, 0, 8, 2],  # unknown
            [0, 2, 0, 0, 0, 0, 0, 0, 0, 8],  # not a face
        ]
    )
    weights = targets(votes, "majority")
    assert weights.argmax(1)[[0, 2]].tolist() == [0, 0]
    assert (weights.max(1) > 0).tolist() == [True, False, True, False, False, False]


def test_argmax_and_distribution_by_hand() -> None:
    votes = np.array(
        [
            [0, 5, 5, 0, 0, 0, 0, 0, 0, 0],
            [4, 3, 0, 2, 1, 0, 0, 0, 0, 0],
            [3, 0, 0, 0, 0, 0, 0, 0, 3, 4],
            [0, 4, 0, 0, 0, 0, 0, 0, 4, 2],  # happiness stands before the tied unknown, but is only 4 of 10
            [0, 0, 0, 5, 0, 0, 0, 0, 4, 1],  # sadness, then unknown ends it: 5 of 9
            [3, 3, 2, 2, 0, 0, 0, 0, 0, 0],  # four classes are too many
            [0, 0, 2, 0, 2, 2, 2, 2, 0, 0],
        ]
    )
    argmax = targets(votes, "argmax")
    assert [int(a.argmax()) if a.max() else None for a in argmax] == [1, 0, None, 1, 3, 0, 2]
    share = targets(votes, "distribution")
    assert np.allclose(share[0, :3], [0, 0.5, 0.5])
    assert np.allclose(share[1, :4], [4 / 7, 3 / 7, 0, 0])
    assert np.allclose(share[4, 3], 1)
    assert share[[2, 3, 5, 6]].max() == 0


@pytest.mark.parametrize("rule", ["majority", "argmax", "distribution"])
def test_ferplus_joins_votes_with_pixels(votes_and_faces: Path, rule: str) -> None:
    dataset = load("ferplus", votes_and_faces, rule=rule)
    images, _, usages = make.fer_rows()
    counts = make.votes(len(images))
    row = dataset.extras["row"]
    assert 10 < len(dataset) < len(images)
    assert len(dataset.classes) == 8
    assert np.array_equal(dataset.images, images[row])
    assert np.array_equal(dataset.split, as_split(usages)[row])
    assert dataset.ids.tolist() == [f"fer{i:07d}.png" for i in row]
    assert np.array_equal(dataset.labels, counts[row].argmax(1)) or rule != "argmax"
    assert dataset.votes.shape == (len(dataset), 8)
    if rule == "distribution":
        assert np.allclose(dataset.votes.sum(1), 1)
    else:
        assert np.array_equal(dataset.votes, counts[row, :8])


@pytest.mark.parametrize("box", [False, True])
def test_ferplus_folders_equal_the_join(votes_and_faces: Path, tmp_path: Path, box: bool) -> None:
    images, _, usages = make.fer_rows()
    make.ferplus_folders(tmp_path / "other" / "ferplus", images, usages, make.votes(len(images)), box)
    for options in ({}, {"rule": "distribution"}, {"classes": 7}):
        joined = load("ferplus", votes_and_faces, **options)
        generated = load("ferplus", tmp_path / "other", **options)
        assert joined.fingerprint == generated.fingerprint
        assert np.array_equal(joined.ids, generated.ids)
        assert np.array_equal(joined.votes, generated.votes)


def test_ferplus_without_contempt(votes_and_faces: Path) -> None:
    eight, seven = (load("ferplus", votes_and_faces, rule="argmax", classes=n) for n in (8, 7))
    assert seven.classes == eight.classes[:7]
    assert len(seven) == (eight.labels < 7).sum() < len(eight)
    assert seven.votes.shape[1] == 7


def test_ferplus_names_used_twice_stay_apart(tmp_path: Path) -> None:
    images, _, usages = make.fer_rows()
    path = make.ferplus_csv(tmp_path, usages, np.tile([10] + [0] * 9, (len(images), 1)))
    path.write_text(path.read_text().replace("fer0000005.png", "fer0000003.png"))
    make.fer_csv(tmp_path)
    dataset = load("ferplus", tmp_path)
    assert dataset.ids[[3, 5]].tolist() == ["fer0000003.png", "fer0000003.png#2"]


def test_rafdb_layouts_agree(tmp_path: Path) -> None:
    make.rafdb(tmp_path / "a" / "rafdb", "basic")
    make.rafdb(tmp_path / "b", "kaggle")
    official, kaggle = load("rafdb", tmp_path / "a"), load("rafdb", tmp_path / "b")
    assert official.fingerprint == kaggle.fingerprint
    assert np.array_equal(official.ids, kaggle.ids)
    assert official.images.shape == (98, 100, 100, 3)
    assert official.classes == make.FER_CLASSES
    assert {s: len(official.where(s)) for s in ("train", "val", "test")} == {
        "train": 75,
        "val": 9,
        "test": 14,
    }
    for i in (0, 5, 6):  # the files' own order is mapped by name
        assert official.classes[official.labels[i]] == make.RAF_ORDER[i % 7]
    assert np.array_equal(official.images[0], make.noise(84, 100, 100, 3, seed=12)[0])


def test_ck48(tmp_path: Path) -> None:
    make.ck48(tmp_path / "ckplus")
    dataset = load("ckplus", tmp_path)
    assert dataset.classes == make.CK_CLASSES
    assert len(dataset) == 180
    assert len(set(dataset.subjects)) == 20
    assert len(set(dataset.extras["sequence"])) == 60
    assert list(dataset.ids) == sorted(dataset.ids)
    of = {f"{s}_{q}": label for s, q, label in make.ck_sequences()}
    assert [of[s] for s in dataset.extras["sequence"]] == dataset.labels.tolist()
    assert set(dataset.extras["frame"]) == {15, 16, 17}


def test_ck_protocols(tmp_path: Path) -> None:
    make.ck48(tmp_path)
    frames = load("ckplus", tmp_path, test_fraction=0.3, split_seed=4)
    assert len(frames.where("test")) == 54
    assert len(frames.where("val")) == 13
    folds = [load("ckplus", tmp_path, protocol="subjects", folds=5, fold=k) for k in range(5)]
    tested = np.concatenate([f.where("test") for f in folds])
    assert sorted(tested) == list(range(180))  # every frame is tested once
    for fold in folds:
        who = [set(fold.subjects[fold.split == s]) for s in ("train", "val", "test")]
        assert all(who)
        assert not (who[0] & who[1] or who[0] & who[2] or who[1] & who[2])


def test_ck_original_takes_the_last_three_frames(tmp_path: Path) -> None:
    make.ck_original(tmp_path / "ckplus")
    dataset = load("ckplus", tmp_path)
    assert len(dataset) == 180
    assert dataset.classes == make.CK_CLASSES
    assert set(dataset.extras["frame"]) == {3, 4, 5}
    assert "S999" not in dataset.subjects  # not labelled
    assert dataset.meta["crop"] == "centre"
    assert dataset.images.shape == (180, 48, 48)
    first = dataset.images[0]
    assert first[0, 0] == 30  # frame 3; the colour frames become grey
    assert first[24, 14] == 200
    of = {f"{s}_{q}": label for s, q, label in make.ck_sequences()}
    assert [of[s] for s in dataset.extras["sequence"]] == dataset.labels.tolist()


def test_ck_original_crops_to_landmarks_and_adds_neutral(tmp_path: Path) -> None:
    make.ck_original(tmp_path, landmarks=True)
    dataset = load("ckplus", tmp_path, neutral=True)
    assert dataset.meta["crop"] == "landmarks"
    assert dataset.classes == (*make.CK_CLASSES, "neutral")
    assert (dataset.labels == 7).sum() == 60
    assert set(dataset.extras["frame"][dataset.labels == 7]) == {1}
    # the square of 24 around the bright one of 20: its rim is 2 of 24 wide
    assert (dataset.images[0, 8:40, 8:40] == 200).all()
    assert dataset.images[0, 1, 1] < 60


def test_ck_csv(tmp_path: Path) -> None:
    make.ck_csv(tmp_path)
    seven = load("ckplus", tmp_path, protocol="usage")
    eight = load("ckplus", tmp_path, protocol="usage", neutral=True)
    assert seven.classes == make.CK_CLASSES
    assert (len(seven), len(eight)) == (84, 96)
    assert eight.classes[eight.labels[6]] == "neutral"
    assert eight.classes[eight.labels[7]] == "contempt"
    assert seven.classes[seven.labels[1]] == "disgust"
    assert seven.subjects is None
    assert {s: len(eight.where(s)) for s in ("train", "val", "test")} == {"train": 80, "val": 8, "test": 8}
    assert len(load("ckplus", tmp_path).where("test")) == 17


def test_hidden_files_are_not_data(tmp_path: Path) -> None:
    make.ck48(tmp_path)
    (tmp_path / "CK+48" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "CK+48" / "anger" / "._S010_001_00000015.png").write_bytes(b"x")
    (tmp_path / "CK+48" / "anger" / "Thumbs.db").write_bytes(b"x")
    assert len(load("ckplus", tmp_path)) == 180
