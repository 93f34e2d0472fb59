"""The real datasets, where FERLIB_DATA names them: what the papers and the releases print is what is read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ferlib.data import FaceDataset, ckplus, fer2013, ferplus, load, rafdb
from ferlib.data.audit import check
from ferlib.data.duplicates import count, seen_in_training


def loaded(name: str, root: Path, **options) -> FaceDataset:
    module = {"fer2013": fer2013, "ferplus": ferplus, "ckplus": ckplus, "rafdb": rafdb}[name]
    if module.find(root) is None:
        pytest.skip(f"no {name} in FERLIB_DATA")
    return load(name, root, **options)


@pytest.fixture(scope="module")
def fer(real_data: Path) -> FaceDataset:
    return loaded("fer2013", real_data)


def test_constants_agree() -> None:
    """What the releases print, against the tables beside the loaders."""
    assert [sum(fer2013.PUBLISHED[s].values()) for s in ("train", "val", "test")] == [28709, 3589, 3589]
    assert [sum(ferplus.PUBLISHED[s].values()) for s in ("train", "val", "test")] == [25060, 3199, 3153]
    assert [sum(rafdb.PUBLISHED[s].values()) for s in ("train", "test")] == [12271, 3068]
    assert sum(ckplus.SEQUENCES.values()) == 327


def test_fer2013_counts(fer: FaceDataset) -> None:
    assert fer.counts() == fer2013.PUBLISHED
    assert fer.images.shape == (35887, 48, 48)
    assert fer.images[0, 0, :5].tolist() == [70, 80, 82, 72, 58]


def test_fer2013_merged(real_data: Path, fer: FaceDataset) -> None:
    merged = loaded("fer2013", real_data, protocol="merged")
    assert [len(merged.where(s)) for s in ("train", "val", "test")] == [25838, 2871, 7178]


def test_fer2013_repeats_itself(fer: FaceDataset) -> None:
    found = count(fer)
    assert 0.07 < found.across["train/test"] / 3589 < 0.09
    assert found.across["train/test"] == seen_in_training(fer).sum()
    assert found.conflicts[0] > 0


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({}, [25060, 3199, 3153]),
        ({"classes": 7}, [24941, 3186, 3137]),
        ({"rule": "argmax"}, [28389, 3553, 3546]),
        ({"rule": "distribution"}, [27956, 3505, 3505]),
    ],
)
def test_ferplus_counts(real_data: Path, options: dict, sizes: list[int]) -> None:
    dataset = loaded("ferplus", real_data, **options)
    assert [len(dataset.where(s)) for s in ("train", "val", "test")] == sizes
    if not options:
        assert dataset.counts() == ferplus.PUBLISHED
    assert len(np.unique(dataset.ids)) == len(dataset)
    assert not [name for name in dataset.ids if name.startswith("unnamed")]  # every non-face is dropped


def test_ckplus_counts(real_data: Path) -> None:
    dataset = loaded("ckplus", real_data)
    if dataset.meta["layout"] != "CK+48":
        pytest.skip("not CK+48")
    assert len(dataset) == 981
    assert len(set(dataset.subjects)) == 118
    assert len(set(dataset.extras["sequence"])) == 327
    assert np.bincount(dataset.labels).tolist() == [135, 54, 177, 75, 207, 84, 249]
    # in each sequence the three frames are neighbours and have one label
    for name in np.unique(dataset.extras["sequence"]):
        members = dataset.extras["sequence"] == name
        assert members.sum() == 3
        assert len(set(dataset.labels[members])) == 1


def test_the_doctor_finds_nothing_wrong(real_data: Path) -> None:
    for name in ("fer2013", "ferplus", "ckplus"):
        loaded(name, real_data)
        report = check(name, real_data)
        assert report.ok, report.problems


def test_cached_load_is_quick_and_small(real_data: Path, fer: FaceDataset) -> None:
    """Under 1 s (of this process's own time, so that a busy machine does not fail it) and 400 MB."""
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of memory is read from /proc")
    code = (
        "import time\n"
        "from ferlib.data import load\n"
        "load('fer2013')\n"
        "print(time.process_time(), open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    environment = {**os.environ, "FERLIB_DATA": str(real_data)}
    out = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    seconds, kilobytes = map(float, out.stdout.split())
    assert seconds < 1
    assert kilobytes / 1024 < 400


def test_one_person_of_ckplus_is_in_fer2013(fer: FaceDataset, real_data: Path) -> None:
    """Correlations of pixels: three sister frames lie far above all others, and FERPlus keeps the picture."""
    import torch

    from ferlib.pretraining import SHARED

    def scaled(images: np.ndarray) -> torch.Tensor:
        x = torch.from_numpy(images.reshape(len(images), -1)).float()
        x = x - x.mean(1, keepdim=True)
        return x / x.norm(dim=1, keepdim=True).clamp_min(1e-6)

    frames, theirs = loaded("ckplus", real_data), scaled(fer.images)
    nearest = [(some @ theirs.T).max(1) for some in scaled(frames.images).split(100)]
    best, where = (torch.cat([getattr(one, part) for one in nearest]) for part in ("values", "indices"))
    people = np.array([name.split("_")[0] for name in frames.ids])
    assert set(frames.ids[best.numpy() > 0.95]) == {f"{SHARED}_003_0000000{k}" for k in (7, 8, 9)}
    assert float(best[torch.from_numpy(people != SHARED)].max()) < 0.92
    (picture,) = set(where[best > 0.95].tolist())
    assert (fer.ids[picture], fer.split[picture]) == ("fer0019608", "train")
    kept = loaded("ferplus", real_data)
    found = np.flatnonzero((kept.images == fer.images[picture]).all(axis=(1, 2)))
    assert [kept.split[k] for k in found] == ["train"]
