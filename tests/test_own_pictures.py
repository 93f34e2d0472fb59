"""Own pictures: brought into FER2013's folders, and 16-bit ones."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from ferlib import cli, predict
from ferlib.data import load, own
from ferlib.data.fer2013 import CLASSES
from ferlib.errors import DataError

SPOKEN = ("Anger", "disgust", "fear", "happiness", "sad", "Surprise", "neutral")


def pictures(folder, n=5, names=SPOKEN):
    rng = np.random.default_rng(0)
    for k, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            pixels = rng.integers(0, 256, (60 + k, 80, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


def test_pictures_of_any_size_become_a_dataset(tmp_path):
    source = pictures(tmp_path / "mine", 15)
    Image.new("RGB", (50, 50), "red").save(source / "happiness" / "0.jpg")  # of the same stem as another
    (source / "neutral" / "broken.png").write_bytes(b"no picture")
    told = own.import_pictures(source, tmp_path / "root", detect=False)
    assert "106 pictures in" in told and "1 left out" in told
    assert "broken.png: cannot be read as a picture" in told
    data = load("fer2013", tmp_path / "root", protocol="merged")
    assert data.classes == CLASSES and data.images.shape == (106, 48, 48)
    assert min(data.counts()["test"].values()) >= 1
    assert sum(data.counts()["test"].values()) in (20, 21)  # a fifth of 107 files, one of them broken
    again = own.import_pictures(source, tmp_path / "second", detect=False)
    assert again.replace("second", "root") == told


def test_the_middle_square_is_scaled(tmp_path):
    source = pictures(tmp_path / "mine")
    wide = np.zeros((96, 200, 3), np.uint8)
    wide[:, 52:148] = 200  # the middle square, of one grey
    Image.fromarray(wide).save(source / "sad" / "wide.png")
    own.import_pictures(source, tmp_path / "root", detect=False)
    (path,) = (tmp_path / "root").rglob("wide.png")
    with Image.open(path) as image:
        assert image.mode == "L" and image.size == (48, 48)
        assert np.all(np.asarray(image)[:, 1:-1] == 200)


def test_own_parts_are_kept(tmp_path):
    for part, n in (("train", 3), ("test", 2)):
        pictures(tmp_path / "mine" / part, n)
    own.import_pictures(tmp_path / "mine", tmp_path / "root", detect=False)
    assert len(list((tmp_path / "root" / "fer2013" / "test").rglob("*.png"))) == 14


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda s: (s / "contempt").mkdir(), "contempt names no class"),
        (lambda s: [p.unlink() for p in (s / "fear").iterdir()], "fear holds no images"),
        (
            lambda s: [p.unlink() for p in sorted((s / "fear").iterdir())[1:]],
            "fewer than 2 pictures for the class 'fear'",
        ),
        (
            lambda s: [p.write_bytes(b"") for p in (s / "sad").iterdir()],
            "no usable picture for train/sad, test/sad",
        ),
        (lambda s: (s / "train").mkdir(), "train but not the other"),
    ],
)
def test_what_cannot_be_a_dataset_is_refused_and_leaves_nothing(tmp_path, spoil, said):
    source = pictures(tmp_path / "mine")
    spoil(source)
    with pytest.raises(DataError, match=said) as error:
        own.import_pictures(source, tmp_path / "root", detect=False)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "root").exists() or not any((tmp_path / "root").iterdir())


def test_an_older_copy_is_kept(tmp_path):
    source = pictures(tmp_path / "mine")
    own.import_pictures(source, tmp_path / "root", detect=False)
    with pytest.raises(DataError, match="is there already"):
        own.import_pictures(source, tmp_path / "root", detect=False)


def test_sixteen_bits_are_scaled_and_not_cut_off(tmp_path):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(48, 0)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    seen = predict.read_image(tmp_path / "ramp.png")
    assert np.array_equal(seen[0, :, 0], np.arange(256))


def test_on_the_command_line(tmp_path):
    source = pictures(tmp_path / "mine")
    done = CliRunner().invoke(cli.app, ["data", "import", str(source), str(tmp_path / "root"), "--no-detect"])
    assert done.exit_code == 0 and "35 pictures in" in done.stdout
    assert len(list((tmp_path / "root").rglob("*.png"))) == 35
