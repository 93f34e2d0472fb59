"""The dataset doctor, and the one download."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from functools import partial
from pathlib import Path

import data_layouts as make
import numpy as np
import pytest

from ferlib.data import FaceDataset, fetch, load
from ferlib.data.audit import check, examine
from ferlib.data.duplicates import count, identical, seen_in_training
from ferlib.errors import DataError


def twins() -> FaceDataset:
    """Images 0 1 | 2 3 4 | 5 6 7 of train, val, test with known copies."""
    images = make.noise(8, 48, 48)
    images[1] = images[3] = images[5] = images[0]
    images[6] = images[2]
    labels = np.array([0, 0, 1, 1, 0, 0, 1, 1])
    split = np.array(["train"] * 2 + ["val"] * 3 + ["test"] * 3)
    return FaceDataset("x", images, labels, ("a", "b"), split, np.arange(8).astype(str))


def test_duplicates_by_hand() -> None:
    found = count(twins())
    assert (found.groups, found.images) == (2, 6)
    assert found.within == {"train": 1, "val": 0, "test": 0}
    assert found.across == {"train/val": 1, "train/test": 1, "val/test": 2}
    assert found.conflicts == (1, 4)
    assert found.conflicts_across == {"train/val": 1, "train/test": 0, "val/test": 1}
    assert seen_in_training(twins()).nonzero()[0].tolist() == [5]
    assert len(set(identical(twins().images))) == 4


def test_report_on_a_small_copy(tmp_path: Path) -> None:
    make.fer_csv(tmp_path)
    report = check("fer2013", tmp_path)
    assert not report.ok
    assert any("28,709" in problem and "fresh" in problem for problem in report.problems)
    assert report.layout == "csv"
    assert (report.size, report.colour) == ((48, 48), "grey")
    text = report.to_text()
    assert "0 angry" in text
    assert "published" in text
    assert "fer2013.csv" in text
    assert max(map(len, text.splitlines())) <= 120
    assert json.loads(json.dumps(report.to_dict()))["counts"]["train"]["angry"] == 12


@pytest.mark.parametrize("name", ["fer2013", "ferplus", "rafdb", "ckplus"])
def test_report_on_nothing(tmp_path: Path, name: str) -> None:
    report = check(name, tmp_path)
    assert not report.ok
    assert f"DIR/{name}/" in report.to_text()
    assert "http" in report.how
    json.dumps(report.to_dict())


def test_report_on_a_damaged_copy(tmp_path: Path) -> None:
    (tmp_path / "fer2013.csv").write_text("emotion,pixels,Usage\n0,1 2 3,Training\n")
    report = check("fer2013", tmp_path)
    assert (report.ok, report.layout, report.source) == (False, "csv", "fer2013.csv")
    assert "line 2" in report.problems[0]


def test_report_on_subjects(tmp_path: Path) -> None:
    make.ck48(tmp_path)
    frames, subjects = check("ckplus", tmp_path), check("ckplus", tmp_path, protocol="subjects")
    assert frames.subjects["all"] == 20
    assert frames.subjects["train/test"] > 0
    assert any("same sequence" in note for note in frames.notes)
    assert subjects.subjects["train/test"] == 0
    assert not any("same sequence" in note for note in subjects.notes)
    assert any("20 subjects instead of 118" in p for p in frames.problems)
    dataset = load("ckplus", tmp_path)
    assert (
        examine(dataset.with_split(dataset.split, protocol="subjects"))
        .problems[-1]
        .startswith("subjects are")
    )


def test_merged_release_is_compared_with_merged_counts(tmp_path: Path) -> None:
    make.fer_folders(tmp_path, names=False)
    report = check("fer2013", tmp_path)
    assert sum(report.published["test"].values()) == 7178
    assert any("validation" in note for note in report.notes)
    assert check("fer2013", tmp_path, protocol="merged").notes == ()


def test_nothing_to_examine(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        check("imagenet", tmp_path)
    with pytest.raises(DataError):
        check("fer2013", tmp_path / "nowhere")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path):
    """A folder and the local address at which it is served."""
    folder = tmp_path / "served"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(folder))
    ) as http_server:
        thread = threading.Thread(target=http_server.serve_forever, daemon=True)
        thread.start()
        yield folder, f"http://127.0.0.1:{http_server.server_port}"
        http_server.shutdown()
        thread.join()


def test_fetch(tmp_path: Path, server, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, address = server
    (folder / "votes.csv").write_text("votes")
    monkeypatch.setattr(fetch, "SHA256", hashlib.sha256(b"votes").hexdigest())
    path = fetch.fetch("ferplus", tmp_path / "data", url=f"{address}/votes.csv")
    assert path == tmp_path / "data" / "ferplus" / "fer2013new.csv"
    assert path.read_text() == "votes"
    (folder / "votes.csv").unlink()
    fetch.fetch("ferplus", tmp_path / "data", url=f"{address}/votes.csv")  # what is there is kept


@pytest.mark.parametrize("kind", ["wrong sum", "absent", "no server", "no folder"])
def test_fetch_that_fails_leaves_nothing(tmp_path: Path, server, kind: str) -> None:
    folder, address = server
    (folder / "votes.csv").write_text("something else")
    url = {"absent": f"{address}/nothing.csv", "no server": "http://127.0.0.1:9/x"}.get(
        kind, f"{address}/votes.csv"
    )
    root = tmp_path / "data"
    if kind == "no folder":
        root.write_text("a file")
    with pytest.raises(DataError) as caught:
        fetch.fetch("ferplus", root, url=url)
    assert "\n" not in str(caught.value)
    assert not root.is_dir() or not [p for p in root.rglob("*") if p.is_file()]


@pytest.mark.parametrize(
    ("name", "word"), [("fer2013", "kaggle"), ("rafdb", "whdeng"), ("ckplus", "jeffcohn")]
)
def test_fetch_says_how_to_ask(tmp_path: Path, name: str, word: str) -> None:
    with pytest.raises(DataError, match=word):
        fetch.fetch(name, tmp_path)
    for other in ("synthetic", "imagenet"):
        with pytest.raises(DataError, match="nothing to download"):
            fetch.fetch(other, tmp_path)
