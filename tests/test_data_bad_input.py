"""Bad input: one line that names file and row, nothing half done."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path

import data_layouts as make
import numpy as np
import pytest
from PIL import Image

from ferlib.data import load
from ferlib.errors import DataError


def refused(name: str, root: Path | None, *words: str, **options) -> str:
    """The message with which ``load`` refuses; it is one line and holds the words."""
    with pytest.raises(DataError) as caught:
        load(name, root, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message
    return message


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return make.fer_csv(tmp_path / "fer2013")


def edit(path: Path, line: int, change) -> None:
    """Change one line (1 is the header) of a text file."""
    lines = path.read_text().split("\n")
    lines[line - 1] = change(lines[line - 1])
    path.write_text("\n".join(lines))


def test_unknown_name_and_missing_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused("imagenet", tmp_path, "fer2013", "ckplus")
    refused("fer2013", tmp_path / "nowhere", "nowhere", "does not exist")
    monkeypatch.delenv("FERLIB_DATA", raising=False)
    refused("fer2013", None, "FERLIB_DATA")
    monkeypatch.setenv("FERLIB_DATA", str(tmp_path))
    refused("fer2013", None, str(tmp_path))


@pytest.mark.parametrize("name", ["fer2013", "ferplus", "rafdb", "ckplus"])
def test_nothing_there(tmp_path: Path, name: str) -> None:
    refused(name, tmp_path, str(tmp_path), "ferlib data check")


def test_unknown_options(table: Path, tmp_path: Path) -> None:
    root = table.parent
    refused("fer2013", root, "protocol", "merged", protocol="mine")
    refused("fer2013", root, "fer2013", "colour", colour=True)
    make.ck48(tmp_path)
    refused("ckplus", tmp_path, "folds", protocol="subjects", fold=5)
    refused("ckplus", tmp_path, "fraction", test_fraction=1.5)
    refused("ckplus", tmp_path, "neutral", neutral=True)
    refused("ckplus", tmp_path, "Usage", protocol="usage")


@pytest.mark.parametrize(
    ("line", "change", "words"),
    [
        (1, lambda s: s.replace("pixels", "pixel"), ("line 1", "'pixels'")),
        (1, lambda s: s.replace("Usage", "split"), ("line 1", "'usage'")),
        (17, lambda s: s.replace(" ", "", 1), ("line 17", "row 15", "2303")),
        (17, lambda s: s.replace(",", ",7 ", 1), ("line 17", "2305")),
        (2, lambda s: f"0,256 {s.split(' ', 1)[1]}", ("line 2", "row 0", "'256'")),
        (113, lambda s: f"0,1x {s.split(' ', 1)[1]}", ("line 113", "row 111", "'1x'")),
        (9, lambda s: f"0,-1 {s.split(' ', 1)[1]}", ("line 9", "'-1'")),
        (9, lambda s: f"0,1.5 {s.split(' ', 1)[1]}", ("line 9", "'1.5'")),
        (9, lambda s: "7" + s[1:], ("line 9", "'7'", "0..6")),
        (9, lambda s: "-1" + s[1:], ("line 9", "'-1'", "0..6")),
        (9, lambda s: "9" * 5000 + s[1:], ("line 9", "0..6")),
        (9, lambda s: s.replace("Training", "Testing"), ("line 9", "'Testing'", "PublicTest")),
        (9, lambda s: s.replace(",Training", ""), ("line 9", "2 columns")),
        (9, lambda s: s.replace(" ", "  ", 1), ("line 9",)),
        (9, lambda s: "", ("line 9", "1 columns")),
        (9, lambda s: "x" * 100_000, ("line",)),
    ],
)
def test_bad_rows(table: Path, line: int, change, words) -> None:
    edit(table, line, change)
    refused("fer2013", table.parent, "fer2013.csv", *words)


def test_shifted_rows_do_not_compensate(table: Path) -> None:
    """One pixel too few and, in the next row, one too many: the sum is right, the rows are not."""
    edit(table, 5, lambda s: s.replace(" ", "", 1))
    edit(table, 6, lambda s: s.replace(",", ",7 ", 1))
    refused("fer2013", table.parent, "line 5", "2303")


@pytest.mark.parametrize("content", [b"", b"\n", b"emotion,pixels,Usage\n", b"\0" * 100_000, b"\xff\xfe\x00"])
def test_tables_without_a_table(table: Path, content: bytes) -> None:
    table.write_bytes(content)
    refused("fer2013", table.parent, "fer2013.csv")


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zip"])
def test_damaged_archives(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"fer2013.csv{suffix}").write_bytes(b"this is no archive at all")
    refused("fer2013", tmp_path, f"fer2013.csv{suffix}", "fresh copy")


def test_truncated_archive(table: Path) -> None:
    import gzip

    packed = gzip.compress(table.read_bytes())
    table.unlink()
    (table.parent / "fer2013.csv.gz").write_bytes(packed[: len(packed) // 2])
    refused("fer2013", table.parent, "fer2013.csv.gz", "fresh copy")


@pytest.mark.parametrize(
    "name", ["../fer2013.csv", "/etc/fer2013.csv", "a/../../fer2013.csv", "..\\x.csv", "C:/x.csv"]
)
def test_zip_that_climbs_out(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "fer2013.csv.zip", "w") as archive:
        archive.writestr("fer2013.csv", make.table_text(*make.fer_rows()))
        archive.writestr(zipfile.ZipInfo(name), "x")
    refused("fer2013", tmp_path, "fer2013.csv.zip", "unsafe path")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fer2013.csv.zip"]


def test_zip_without_or_with_many_tables(tmp_path: Path) -> None:
    for names in ([], ["a.csv", "b.csv"]):
        with zipfile.ZipFile(tmp_path / "fer2013.csv.zip", "w") as archive:
            for name in names:
                archive.writestr(name, "emotion,pixels,Usage\n")
        refused("fer2013", tmp_path, f"{len(names)} CSV files")


def test_folders_incomplete(tmp_path: Path) -> None:
    make.fer_folders(tmp_path / "fer2013", names=True)
    base = tmp_path / "fer2013"
    (base / "train" / "joy").mkdir()
    refused("fer2013", tmp_path, "joy", "names no class")
    (base / "train" / "joy").rmdir()
    (base / "test" / "Happiness").mkdir()
    refused("fer2013", tmp_path, "same class")
    (base / "test" / "Happiness").rmdir()
    for file in (base / "test" / "fear").iterdir():
        file.unlink()
    refused("fer2013", tmp_path, "fear", "no images")
    (base / "test" / "fear").rmdir()
    refused("fer2013", tmp_path, "test", "'fear'")


def test_folder_names_half_told(tmp_path: Path) -> None:
    make.fer_folders(tmp_path, names=True)
    one = next((tmp_path / "test" / "sad").iterdir())
    one.rename(one.with_name("other.png"))
    refused("fer2013", tmp_path, "other.png", "PublicTest_")


def test_ferplus_needs_rows_in_order(tmp_path: Path) -> None:
    images, _, usages = make.fer_rows()
    make.fer_folders(tmp_path / "fer2013", names=True)
    make.ferplus_csv(tmp_path / "ferplus", usages, make.votes(len(images)))
    refused("ferplus", tmp_path, "order of")


def _png(width: int, height: int) -> bytes:
    """A PNG whose header promises a size that its data do not keep."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "no readable image"),
        (b"not an image", "no readable image"),
        (_png(48, 48)[:60], "no readable image"),
        (_png(6000, 6000), "too large"),
        (_png(12000, 9000), "S010"),
        (_png(60000, 60000), "S010"),
    ],
)
def test_broken_and_huge_images(tmp_path: Path, content: bytes, word: str) -> None:
    make.ck48(tmp_path)
    name = "S010_001_00000015.png"
    (file,) = (tmp_path / "CK+48").rglob(name)
    file.write_bytes(content)
    refused("ckplus", tmp_path, name, word)


def test_large_file_and_wrong_size_and_format(tmp_path: Path) -> None:
    make.ck48(tmp_path)
    name = "S010_001_00000015.png"
    (file,) = (tmp_path / "CK+48").rglob(name)
    with open(file, "r+b") as handle:
        handle.truncate(40 << 20)
    refused("ckplus", tmp_path, name, "32 MB")
    make.save(file, np.zeros((50, 48), np.uint8))
    refused("ckplus", tmp_path, name, "48 x 50, not 48 x 48")
    buffer = io.BytesIO()
    Image.new("L", (48, 48)).save(buffer, "GIF")
    file.write_bytes(buffer.getvalue())
    refused("ckplus", tmp_path, name, "no readable image")


def test_votes(tmp_path: Path) -> None:
    images, _, usages = make.fer_rows()
    make.fer_csv(tmp_path)
    path = make.ferplus_csv(tmp_path, usages, make.votes(len(images)))
    good = path.read_text()

    def with_edit(line: int, change) -> None:
        path.write_text(good)
        edit(path, line, change)

    path.write_text("\n".join(good.splitlines()[:-1]) + "\n")
    refused("ferplus", tmp_path, "111 rows", "112 rows")
    with_edit(1, lambda s: s.replace("fear", "awe"))
    refused("ferplus", tmp_path, "fer2013new.csv, line 1")
    with_edit(4, lambda s: s + ",3")
    refused("ferplus", tmp_path, "line 4", "13 columns")
    with_edit(4, lambda s: s[:-1] + "x")
    refused("ferplus", tmp_path, "line 4", "vote")
    with_edit(4, lambda s: s[:-1] + "11")
    refused("ferplus", tmp_path, "line 4", "0..10")
    with_edit(4, lambda s: s.replace("Training", "Train"))
    refused("ferplus", tmp_path, "line 4", "'Train'")
    with_edit(4, lambda s: s.replace("Training", "PublicTest"))
    refused("ferplus", tmp_path, "line 4", "another Usage")
    path.write_text(good)
    refused("ferplus", tmp_path, "rule", rule="guess")
    refused("ferplus", tmp_path, "classes", classes=6)


def test_ferplus_folders(tmp_path: Path) -> None:
    images, _, usages = make.fer_rows()
    make.ferplus_folders(tmp_path, images, usages, make.votes(len(images)))
    labels = tmp_path / "FER2013Valid" / "label.csv"
    good = labels.read_text()
    edit(labels, 3, lambda s: s.replace("fer", "../fer"))
    refused("ferplus", tmp_path, "FER2013Valid/label.csv, line 3", "plain file name")
    labels.write_text(good)
    edit(labels, 3, lambda s: s + ",1,1")
    refused("ferplus", tmp_path, "FER2013Valid/label.csv, line 3", "columns")
    labels.write_text(good)
    next((tmp_path / "FER2013Test").glob("*.png")).unlink()
    refused("ferplus", tmp_path, "FER2013Test", "missing")
    labels.unlink()
    refused("ferplus", tmp_path, "label.csv", "missing")


def test_rafdb_labels(tmp_path: Path) -> None:
    make.rafdb(tmp_path, "basic")
    labels = tmp_path / "basic" / "EmoLabel" / "list_patition_label.txt"
    good = labels.read_text()
    for change, words in [
        (lambda s: s[:-1] + "8", ("'train_00003.jpg 8'", "1..7")),
        (lambda s: s[:-1] + "0", ("1..7",)),
        (lambda s: "train_00003.jpg", ("train_00001.jpg 5",)),
        (lambda s: "valid_1.jpg 3", ("'valid_1.jpg 3'",)),
        (lambda s: "train_/../../x.jpg 3", ("plain file name",)),
        (lambda s: "train_09999.jpg 3", ("train_09999_aligned.jpg", "complete the copy")),
    ]:
        labels.write_text(good)
        edit(labels, 3, change)
        refused("rafdb", tmp_path, "list_patition_label.txt, line 3", *words)
    labels.write_text(good)
    edit(labels, 3, lambda s: "train_00001.jpg 5")
    refused("rafdb", tmp_path, "train_00001", "twice")
    labels.unlink()
    refused("rafdb", tmp_path, "list_patition_label.txt")


def test_rafdb_in_two_classes(tmp_path: Path) -> None:
    make.rafdb(tmp_path, "kaggle")
    twice = tmp_path / "DATASET" / "train" / "4" / "train_00001_aligned.jpg"
    twice.write_bytes((tmp_path / "DATASET" / "train" / "1" / "train_00001_aligned.jpg").read_bytes())
    refused("rafdb", tmp_path, "train_00001", "twice")


def test_ck48_names_and_repeats(tmp_path: Path) -> None:
    make.ck48(tmp_path)
    (file,) = (tmp_path / "CK+48").rglob("S010_001_00000015.png")
    other = file.parent.parent / ("anger" if file.parent.name != "anger" else "fear") / file.name
    other.write_bytes(file.read_bytes())
    refused("ckplus", tmp_path, "S010_001_00000015", "same frame")
    other.rename(other.with_name("face1.png"))
    refused("ckplus", tmp_path, "face1.png", "S010_004_00000017.png")


def test_ck_original(tmp_path: Path) -> None:
    make.ck_original(tmp_path, landmarks=True)
    emotion = tmp_path / "Emotion/S010/001/S010_001_00000005_emotion.txt"
    for text in ("8.0", "0.0", "happy", "", "nan"):
        emotion.write_text(text)
        refused("ckplus", tmp_path, emotion.name, "1..7")
    emotion.write_text("1.0")
    marks = tmp_path / "Landmarks/S010/001/S010_001_00000005_landmarks.txt"
    for text in ("1 2\n3 4\n", "", "a b\n" * 68, "nan nan\n" * 68, "1 2 3\n" * 68):
        marks.write_text(text)
        refused("ckplus", tmp_path, marks.name, "68 lines")
    marks.unlink()
    refused("ckplus", tmp_path, marks.name, "missing")
    frames = tmp_path / "cohn-kanade-images/S010/001"
    for file in sorted(frames.iterdir())[:3]:
        file.unlink()
    refused("ckplus", tmp_path, "S010", "2 frames")


def test_ck_csv_knows_no_subjects(tmp_path: Path) -> None:
    make.ck_csv(tmp_path)
    refused("ckplus", tmp_path, "who is shown", protocol="subjects")
