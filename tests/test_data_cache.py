"""The cache: used when nothing changed, rebuilt when something did, never in the way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import data_layouts as make
import numpy as np
import pytest

from ferlib.data import DataError, cache, load, pixelcsv


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FERLIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def parses(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the tables that were really parsed."""
    seen: list[str] = []
    real = pixelcsv.read

    def counting(path, *rest):
        seen.append(path.name)
        return real(path, *rest)

    monkeypatch.setattr(pixelcsv, "read", counting)
    return seen


def test_second_load_does_not_parse(tmp_path: Path, own_cache: Path, parses: list[str]) -> None:
    make.fer_csv(tmp_path)
    first, second = load("fer2013", tmp_path), load("fer2013", tmp_path)
    assert parses == ["fer2013.csv"]
    assert first.fingerprint == second.fingerprint
    assert np.array_equal(first.ids, second.ids)
    assert first.meta == second.meta
    assert [p.suffix for p in own_cache.iterdir()] == [".npz"]


def test_everything_survives_the_cache(tmp_path: Path, own_cache: Path) -> None:
    make.ck48(tmp_path)
    first, second = load("ckplus", tmp_path), load("ckplus", tmp_path)
    assert np.array_equal(first.subjects, second.subjects)
    assert first.extras.keys() == second.extras.keys()
    assert all(np.array_equal(first.extras[k], second.extras[k]) for k in first.extras)
    assert first.classes == second.classes


def test_changed_source_is_noticed(tmp_path: Path, own_cache: Path, parses: list[str]) -> None:
    path = make.fer_csv(tmp_path)
    before = load("fer2013", tmp_path)
    text = path.read_text().splitlines()
    text[1] = "6" + text[1][1:]
    path.write_text("\n".join(text) + "\n")
    os.utime(path, ns=(1, 1))
    after = load("fer2013", tmp_path)
    assert len(parses) == 2
    assert after.labels[0] == 6
    assert before.fingerprint != after.fingerprint
    assert len(list(own_cache.iterdir())) == 1  # the old one is replaced


def test_a_new_file_in_a_folder_is_noticed(tmp_path: Path, own_cache: Path) -> None:
    make.ck48(tmp_path)
    n = len(load("ckplus", tmp_path))
    make.save(tmp_path / "CK+48" / "anger" / "S900_001_00000001.png", make.noise(1, 48, 48)[0])
    assert len(load("ckplus", tmp_path)) == n + 1


@pytest.mark.parametrize("damage", ["empty", "truncated", "flipped", "foreign"])
def test_damaged_cache_is_rebuilt(tmp_path: Path, own_cache: Path, parses: list[str], damage: str) -> None:
    make.fer_csv(tmp_path)
    wanted = load("fer2013", tmp_path).fingerprint
    (file,) = own_cache.iterdir()
    content = bytearray(file.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    file.write_bytes(
        {"empty": b"", "truncated": content[: len(content) // 2], "flipped": content, "foreign": b"PK hello"}[
            damage
        ]
    )
    assert load("fer2013", tmp_path).fingerprint == wanted
    assert len(parses) == 2
    load("fer2013", tmp_path)
    assert len(parses) == 2  # the rebuilt file is good


def test_no_pickles_are_read(tmp_path: Path, own_cache: Path, parses: list[str]) -> None:
    make.fer_csv(tmp_path)
    load("fer2013", tmp_path)
    (file,) = own_cache.iterdir()
    with np.load(file) as stored:
        arrays = {key: stored[key] for key in stored}
    arrays["ids"] = np.array([{"an": "object"}] * len(arrays["ids"]), dtype=object)
    np.savez(file, allow_pickle=True, **arrays)
    assert load("fer2013", tmp_path).ids[0] == "fer0000000"
    assert len(parses) == 2


def test_cache_that_cannot_be_written_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make.fer_csv(tmp_path)
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("FERLIB_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(UserWarning, match="FERLIB_CACHE"):
        assert len(load("fer2013", tmp_path)) == 112


def test_a_bad_source_leaves_no_cache(tmp_path: Path, own_cache: Path) -> None:
    path = make.fer_csv(tmp_path)
    path.write_text(path.read_text()[:-20])
    with pytest.raises(DataError):
        load("fer2013", tmp_path)
    assert not own_cache.exists() or not list(own_cache.iterdir())


def test_an_interrupted_write_leaves_nothing(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make.fer_csv(tmp_path)

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(cache.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load("fer2013", tmp_path)
    assert list(own_cache.iterdir()) == []


def test_default_folder_is_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FERLIB_CACHE")
    assert cache.directory().name.lower() == "ferlib" or "ferlib" in str(cache.directory()).lower()


def test_the_package_needs_no_torch() -> None:
    code = "import sys, ferlib.data.audit, ferlib.data.fetch; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
