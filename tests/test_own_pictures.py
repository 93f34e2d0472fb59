"""Own pictures: brought into FER2013's folders, and 16-bit ones."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from ferlib import cli, predict
from ferlib.data import load, own
from ferlib.data.fer2013 import CLASSES
from ferlib.errors import DataError, FerlibError

SPOKEN = ("Anger", "disgust", "fear", "happiness", "sad", "Surprise", "neutral")


def pictures(folder, n=12, names=SPOKEN):
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
    (source / "neutral" / "notes.txt").write_text("no picture")
    told = own.import_pictures(source, tmp_path / "root", detect=False)
    assert "106 pictures in" in told and "2 left out" in told
    assert "notes.txt: cannot be read as a picture" in told
    assert "broken.png: cannot be read as a picture" in told
    data = load("fer2013", tmp_path / "root", protocol="merged")
    assert data.classes == CLASSES and data.images.shape == (106, 48, 48)
    assert min(data.counts()["test"].values()) >= 1
    assert sum(data.counts()["test"].values()) == 21  # a fifth of each class
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
    for part, n in (("train", 10), ("test", 2)):
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
            "no usable picture for train/fear",
        ),
        (lambda s: [p.write_bytes(b"") for p in (s / "sad").iterdir()], "no usable picture for train/sad"),
        (
            lambda s: [p.unlink() for p in sorted((s / "fear").iterdir())[2:]],
            "too few for a stratified validation part",
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


@pytest.mark.parametrize("there", ["fer2013/train/happy", "FER2013/train/happy", "fer2013.csv"])
def test_fer2013_is_not_hidden_by_own_pictures(tmp_path, there):
    source = pictures(tmp_path / "mine", 2)
    (tmp_path / "root" / there).mkdir(parents=True) if "train" in there else None
    if "csv" in there:
        (tmp_path / "root").mkdir()
        (tmp_path / "root" / there).touch()
    with pytest.raises(DataError, match="is there already, and would be taken for these pictures"):
        own.import_pictures(source, tmp_path / "root", detect=False)


def test_a_rare_class_has_a_test_picture(tmp_path):
    source = pictures(tmp_path / "mine", 20)
    for path in sorted((source / "disgust").iterdir())[3:]:
        path.unlink()
    assert "test: angry 4, disgust 1," in own.import_pictures(source, tmp_path / "root", detect=False)


def test_sixteen_bits_are_scaled_and_not_cut_off(tmp_path):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(48, 0)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    seen = predict.read_image(tmp_path / "ramp.png")
    assert np.array_equal(seen[0, :, 0], np.arange(256))


def test_on_the_command_line(tmp_path):
    source = pictures(tmp_path / "mine")
    done = CliRunner().invoke(cli.app, ["data", "import", str(source), str(tmp_path / "root"), "--no-detect"])
    assert done.exit_code == 0 and "84 pictures in" in done.stdout
    assert len(list((tmp_path / "root").rglob("*.png"))) == 84


def test_pixels_whose_range_nothing_tells_are_refused(tmp_path):
    Image.fromarray(np.full((8, 8), 100_000, np.int32)).save(tmp_path / "deep.tiff")
    with pytest.raises(FerlibError, match="more than 16 bits"):
        predict.read_image(tmp_path / "deep.tiff")
