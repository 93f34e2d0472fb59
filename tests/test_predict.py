"""`ferlib predict` and `ferlib mood`: pictures, faces, one-line errors, the choice of a song."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_weights import ready

from ferlib import detect, mood, predict, weights
from ferlib.data import synthetic
from ferlib.errors import FerlibError
from ferlib.experiments import get

CLASSES = synthetic.CLASSES
RESULTS = Path(__file__).resolve().parents[1] / "results"


def png(image, **more):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png", **more)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    """A network with random weights as published ones."""
    return weights.save(ready(get("se_cnn-se"), CLASSES, side=48), tmp_path_factory.mktemp("weights"))


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "face.png"
    path.write_bytes(png(synthetic.draw("happy", size=144)))
    return path


def test_pictures_are_turned_upright():
    image = np.zeros((4, 8, 3), np.uint8)
    image[:, :4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: rotate by 90 degrees clockwise to view
    found = predict.read_image(png(image, exif=exif))
    assert found.shape == (8, 4, 3)
    assert (found[:4] == 255).all() and (found[4:] == 0).all()


@pytest.mark.parametrize("content", [b"", b"not a picture", png(np.zeros((9, 9), np.uint8))[:40]])
def test_what_is_no_picture_is_told_in_one_line(content):
    with pytest.raises(FerlibError) as error:
        predict.read_image(content)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "raised", [RuntimeError("bad frame"), EOFError("no more"), NotImplementedError("DXT9")]
)
def test_what_a_reader_of_damaged_pictures_raises_is_told_in_one_line(monkeypatch, raised):
    def fail(*_):
        raise raised

    monkeypatch.setattr(predict.Image, "open", fail)
    with pytest.raises(FerlibError, match="cannot be read as a picture"):
        predict.read_image(b"anything")


def test_a_picture_of_too_many_pixels_is_not_decoded(monkeypatch):
    monkeypatch.setattr(predict, "PIXELS", 99)
    with pytest.raises(FerlibError, match="10x10 pixels are too many"):
        predict.read_image(png(np.zeros((10, 10), np.uint8)))


def test_the_square_in_the_middle():
    image = np.zeros((10, 20), np.uint8)
    image[:, 5:15] = 200
    face, found = predict.face_in(image, 10, detect=False)
    assert found is None and (face == 200).all()


def test_a_face_is_found_in_its_surroundings_and_cropped():
    pytest.importorskip("facenet_pytorch")
    image = np.full((300, 400), 128, np.uint8)
    image[100:244, 60:204] = synthetic.draw("surprise", size=144)
    face, found = predict.face_in(image, 48)
    left, top, right, bottom = found.box
    assert 60 <= (left + right) / 2 <= 204 and 100 <= (top + bottom) / 2 <= 244
    assert face.shape == (48, 48)


def test_no_face_says_what_to_do():
    pytest.importorskip("facenet_pytorch")
    with pytest.raises(predict.NoFace, match="no face found"):
        predict.face_in(np.full((200, 200, 3), 90, np.uint8), 48)


def test_the_crop_is_that_of_the_datasets():
    """The margin makes the detector's box as much higher than the crop as it is in CK+48 and FER2013."""
    measured = detect.read(RESULTS)["reproducible"]["datasets"]
    for facts in measured.values():
        left, top, right, bottom = facts["prepared"]["largest_face"]["box"]
        assert bottom - top > right - left
        assert pytest.approx((1 / (bottom - top) - 1) / 2, abs=0.01) == predict.MARGIN


def test_probabilities_are_those_of_the_network(card, picture):
    one = weights.read(card)
    found = predict.predict(one, predict.read_image(picture), detect=False)
    face = np.asarray(Image.fromarray(synthetic.draw("happy", size=144)).resize((48, 48), 2))
    expected = one.model(one.prepare(face[None]))[0].softmax(1)[0].detach().numpy()
    assert [found["probabilities"][c] for c in CLASSES] == pytest.approx(expected.tolist(), abs=1e-6)
    assert found["label"] == CLASSES[expected.argmax()] and found["box"] is None


def test_mirrored_rows_are_judged_with_the_mirror_image():
    one = ready(get("house-fer2013"), CLASSES, side=48)
    x = one.prepare(synthetic.draw("fear", yaw=15)[None])
    found = predict.heads(one, x)[0]["prediction"]
    both = [one.model(view)[0].softmax(1).detach().numpy() for view in (x, x.flip(3))]
    np.testing.assert_allclose(found, (both[0] + both[1]) / 2, rtol=1e-4)


def test_command_line_as_json(card, picture, capsys):
    assert predict.main([str(picture), "--weights", str(card), "--no-detect", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["image"] == str(picture) and set(found["probabilities"]) == set(CLASSES)
    assert sum(found["probabilities"].values()) == pytest.approx(1, abs=1e-4)


def test_one_bad_picture_does_not_stop_the_others(card, picture, tmp_path, capsys):
    missing = tmp_path / "missing.png"
    assert predict.main([str(missing), str(picture), "--weights", str(card), "--no-detect"]) == 1
    out, err = capsys.readouterr()
    assert str(picture) in out and err == f"ferlib: {missing}: no such file\n"


def test_a_picture_without_a_face_is_told_with_the_option_that_helps(card, picture, monkeypatch, capsys):
    monkeypatch.setattr(predict, "find_faces", lambda image: [])
    assert predict.main([str(picture), "--weights", str(card)]) == 1
    told = capsys.readouterr().err
    assert told == (
        f"ferlib: {picture}: no face found; choose another picture, or take the square in its middle with --no-detect\n"
    )
    assert predict.main([str(picture), "--weights", str(card), "--no-detect"]) == 0


def test_without_any_weights_one_line_says_how_to_get_some(tmp_path, picture, monkeypatch, capsys):
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    monkeypatch.setattr(weights, "names", lambda: [])
    assert predict.main([str(picture)]) == 1
    out, err = capsys.readouterr()
    assert out == "" and "ferlib run" in err and err.count("\n") == 1


# -- mood -----------------------------------------------------------------------------------------------------------


def songs(folder, *names):
    for name in names:
        (folder / name).touch()
    return folder


def test_moods_from_names(tmp_path):
    folder = songs(tmp_path, "Happy - one.mp3", "two (sad).ogg", "happy3.txt", "unhappy.mp3")
    found = mood.tagged(folder)
    assert [p.name for p in found["happy"]] == ["Happy - one.mp3"]
    assert [p.name for p in found["sad"]] == ["two (sad).ogg"]


def test_moods_from_a_table(tmp_path):
    songs(tmp_path, "1.mp3", "2.mp3", "3.mp3")
    (tmp_path / "moods.csv").write_text("file,mood\n1.mp3,Happy\n2.mp3,happy\n3.mp3,sadness\n")
    drawn = {mood.pick(tmp_path, "happy", random.Random(k)).name for k in range(20)}
    assert drawn == {"1.mp3", "2.mp3"}
    assert mood.pick(tmp_path, "sad", random.Random(0)).name == "3.mp3"
    assert mood.pick(tmp_path, "sadness", random.Random(0)).name == "3.mp3"
    assert mood.pick(tmp_path, "happiness", random.Random(0)).name in drawn


@pytest.mark.parametrize(
    "text, told",
    [
        ("file;mood\n1.mp3;happy\n", "first line is"),
        ("file,mood\n9.mp3,happy\n", "9.mp3"),
        ("file,mood\n", "no songs"),
    ],
)
def test_a_bad_table_is_told(tmp_path, text, told):
    (tmp_path / "moods.csv").write_text(text)
    with pytest.raises(FerlibError, match=told):
        mood.tagged(tmp_path)


def test_a_mood_without_song_is_told(tmp_path):
    with pytest.raises(FerlibError, match="no song is tagged 'fear'"):
        mood.pick(songs(tmp_path, "happy.mp3"), "fear", random.Random(0))
    with pytest.raises(FerlibError, match="no such folder"):
        mood.tagged(tmp_path / "nothing")


def test_mood_from_picture_to_song(card, picture, tmp_path, capsys):
    folder = tmp_path / "music"
    folder.mkdir()
    songs(folder, *(f"{name}.ogg" for name in CLASSES))
    assert mood.main([str(folder), str(picture), "--weights", str(card), "--no-detect", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert Path(found["song"]).stem == found["label"]
