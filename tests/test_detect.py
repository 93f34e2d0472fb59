"""Face detection: geometry by hand, the detector on drawn faces, the evidence file and what it says."""

from __future__ import annotations

import inspect
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import find_objects, label

from ferlib import detect
from ferlib.data import load
from ferlib.data.dataset import FaceDataset
from ferlib.data.synthetic_face import REGIONS
from ferlib.detect import AS_IS, PREPARED, Face, Preparation
from ferlib.errors import FerlibError, RecordError
from ferlib.evaluate import wilson

RESULTS = Path(__file__).resolve().parents[1] / "results"
NOWHERE = np.zeros((5, 2), np.float32)


@pytest.fixture
def mtcnn():
    pytest.importorskip("facenet_pytorch", reason="the extra 'detect' is not installed")
    return detect.detector()


@pytest.fixture
def missing(monkeypatch):
    """As where the extra is not installed."""
    monkeypatch.setitem(sys.modules, "facenet_pytorch", None)
    detect.detector.cache_clear()
    yield
    detect.detector.cache_clear()


class Bright:
    """A detector that takes every bright rectangle for a face, in MTCNN's numbers."""

    def detect(self, pixels, landmarks):
        assert pixels.dtype == torch.float32 and pixels.shape[0] == 1 and pixels.shape[3] == 3 and landmarks
        found = find_objects(label(pixels[0, :, :, 0].numpy() > 125)[0])
        if not found:
            return [None], [[None]], [None]
        # boxes count from 1 and their last pixel is included, landmarks count from 0
        boxes = [[x.start + 1, y.start + 1, x.stop, y.stop] for y, x in found]
        points = [[[x.start, y.start]] * 5 for y, x in found]
        scores = np.full(len(boxes), 0.9)
        return [np.array(boxes, object)], [scores.astype(object)], [np.array(points, object)]


@pytest.fixture
def bright(monkeypatch):
    monkeypatch.setattr(detect, "detector", Bright)


# -- without the extra ----------------------------------------------------------------------------------------------


def test_without_the_extra_one_line_says_what_to_install(missing):
    with pytest.raises(FerlibError) as error:
        detect.find_faces(np.zeros((48, 48), np.uint8))
    assert "pip install facenet-pytorch==2.5.3" in str(error.value) and "\n" not in str(error.value)


def test_without_the_extra_the_command_fails_before_it_looks_for_data(missing, tmp_path, capsys):
    assert detect.main(["measure", "--data-root", str(tmp_path / "none"), "--results", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("ferlib: face detection needs") and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [[], ["look"], ["measure", "--threads", "many"]])
def test_bad_usage_is_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        detect.main(arguments)
    assert stop.value.code == 2


def test_negative_threads_are_bad_usage(capsys):
    assert detect.main(["measure", "--threads", "-1"]) == 2


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((48, 48)),
        np.zeros((48, 48, 4), np.uint8),
        np.zeros((1, 48, 48, 3), np.uint8),
        np.zeros((0, 48), np.uint8),
        [[1, 2], [3, 4]],
        None,
    ],
)
def test_what_is_no_image_is_refused(image):
    for take in (
        detect.prepare,
        detect.find_faces,
        lambda x: detect.crop(x, Face((0, 0, 1, 1), 1, NOWHERE), 8),
    ):
        with pytest.raises(FerlibError, match="uint8"):
            take(image)


@pytest.mark.parametrize(
    ("shape", "preparation", "size", "border"),
    [
        ((48, 48), Preparation(0.25, 144), (216, 216), 12),
        ((48, 48), AS_IS, (48, 48), 0),
        ((30, 60), Preparation(0.25, 120), (120, 180), 15),  # a border of 15 all around, then twice the size
        ((200, 150), Preparation(0.25, 144), (200, 150), 0),  # large enough
        ((640, 2560, 3), PREPARED, (320, 1280), 0),  # too large
    ],
)
def test_prepared_size(shape, preparation, size, border):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    ready = detect.prepare(image, preparation)
    assert ready.pixels.shape == (1, *size, 3) and ready.border == border
    if size == shape[:2]:
        assert np.array_equal(ready.pixels[0, :, :, 0].numpy(), image)


def test_the_border_repeats_the_edge():
    image = np.arange(16, dtype=np.uint8).reshape(4, 4)
    ready = detect.prepare(image, Preparation(0.5, 4))
    assert np.array_equal(ready.pixels[0, :, :, 1].numpy(), np.pad(image, 2, mode="edge"))


@pytest.mark.parametrize(
    "preparation", [AS_IS, Preparation(0, 120), Preparation(0.25, 60), Preparation(0.25, 240), PREPARED]
)
@pytest.mark.parametrize("colour", [False, True])
def test_boxes_are_in_pixels_of_the_image(bright, preparation, colour):
    image = np.zeros((60, 50), np.uint8)
    image[10:30, 5:45] = 250  # 40 x 20
    image[40:50, 20:30] = 250
    large, small = detect.find_faces(np.stack([image] * 3, axis=2) if colour else image, preparation)
    # enlarged edges are soft: half a pixel of the image
    assert np.allclose(large.box, (5, 10, 45, 30), atol=0.5)
    assert np.allclose(small.box, (20, 40, 30, 50), atol=0.5)
    assert np.allclose(large.landmarks, (5, 10), atol=0.5) and large.landmarks.dtype == np.float32
    assert large.score == 0.9


def test_boxes_in_an_image_that_is_made_smaller(bright):
    image = np.zeros((2000, 2560), np.uint8)
    image[400:1200, 600:1000] = 250
    (face,) = detect.find_faces(image)
    assert np.allclose(face.box, (600, 400, 1000, 1200), atol=2)


def test_no_face(bright):
    assert detect.find_faces(np.zeros((48, 48), np.uint8)) == []
    assert detect.find_faces(np.full((5, 400), 250, np.uint8)) == []  # less than the smallest face


def test_square():
    assert detect.square((10, 20, 30, 60)) == (0, 20, 40, 60)
    assert detect.square((10, 20, 30, 60), margin=0.25) == (-10, 10, 50, 70)
    assert detect.square((0, 0, 8, 4), margin=-0.25) == (2, 0, 6, 4)


def face(*box: float) -> Face:
    return Face(box, 1.0, NOWHERE)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(48, 48), (48, 48, 3)])
def test_the_crop_of_a_whole_image_is_the_image(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert np.array_equal(detect.crop(image, face(0, 0, 48, 48), 48), image)


def test_a_crop_at_its_own_size_is_a_slice():
    image = np.random.default_rng(0).integers(0, 256, (40, 60), dtype=np.uint8)
    assert np.array_equal(detect.crop(image, face(10, 5, 30, 25), 20), image[5:25, 10:30])
    assert np.array_equal(detect.crop(image, face(15, 10, 25, 20), 20, margin=0.5), image[5:25, 10:30])


def test_outside_the_image_a_crop_repeats_the_edge():
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    expected = np.pad(image, ((4, 0), (0, 4), (0, 0)), mode="edge")
    assert np.array_equal(detect.crop(image, face(0, -4, 20, 16), 20), expected)


def test_a_crop_is_bilinear_between_pixels():
    """A ramp of 4 a pixel, whose pixel i has its middle at i + 1/2, stays that ramp."""
    image = np.tile(4 * np.arange(48, dtype=np.uint8), (48, 1))
    found = detect.crop(image, face(10.5, 10, 30.5, 30), 40)
    x = 10.5 + (np.arange(40) + 0.5) / 2
    assert np.allclose(found, np.tile(4 * (x - 0.5), (40, 1)), atol=1)


@pytest.mark.parametrize("box", [(50, 0, 60, 10), (0, -20, 10, -5), (5, 5, 5, 5)])
def test_a_crop_of_nothing_is_refused(box):
    with pytest.raises(FerlibError, match="holds no part of the image"):
        detect.crop(np.zeros((48, 48), np.uint8), face(*box), 48)


def test_a_crop_of_no_size_is_refused():
    with pytest.raises(FerlibError, match="0 pixels"):
        detect.crop(np.zeros((48, 48), np.uint8), face(0, 0, 9, 9), 0)


# -- counting -------------------------------------------------------------------------------------------------------


def test_shares_by_hand():
    found = detect.shares(np.array([1, 0, 1, 2, 1, 0, 1, 1, 3, 1]))
    assert {name: found[name]["images"] for name in ("one", "any", "none")} == {"one": 6, "any": 8, "none": 2}
    assert found["n"] == 10 and found["any"]["share"] == 0.8
    assert found["none"]["wilson"] == [round(bound, 4) for bound in wilson(2, 10)]
    assert "by_person" not in found["one"]


def test_intervals_by_person_are_wider_where_people_differ():
    counts = np.repeat([1, 0], [60, 40])
    many = detect.shares(counts, people=np.arange(100))["one"]["by_person"]
    few = detect.shares(counts, people=np.repeat(np.arange(10), 10))["one"]["by_person"]
    assert few[1] - few[0] > 2 * (many[1] - many[0])


def test_framing_by_hand():
    images = np.zeros((4, 20, 10), np.uint8)
    found = [[face(-5, 0, 5, 10), face(0, 0, 1, 1)], [], [face(0, 5, 10, 25)], [face(0, 5, 10, 25)]]
    assert detect.framing(images, found) == {"box": [0, 0.25, 1, 1.25], "coverage": 0.75}
    assert detect.framing(images, [[], [], [], []]) == {"box": None, "coverage": None}


def crops(name: str, n: int, people: int | None = None) -> FaceDataset:
    """Images with a bright rectangle in all but every fourth, two in every seventh."""
    images = np.zeros((n, 24, 24), np.uint8)
    images[:, 0, 0] = np.arange(n) % 100
    images[np.arange(n) % 4 > 0, 4:20, 4:12] = 250
    images[np.arange(n) % 7 == 0, 4:20, 14:20] = 250
    split = np.array(["train"] * (n - n // 5) + ["test"] * (n // 5))
    ids = np.array([f"{name}{i}" for i in range(n)])
    who = None if people is None else np.array([f"p{i % people}" for i in range(n)])
    return FaceDataset(name, images, np.arange(n) % 2, ("a", "b"), split, ids, subjects=who)


def test_samples_are_training_images_and_apart(monkeypatch):
    monkeypatch.setattr(detect, "SAMPLE", 30)
    monkeypatch.setitem(detect.CHOICE, "fer2013", 10)
    data = crops("fer2013", 60)
    found = detect.samples(data)
    assert [len(found[name]) for name in ("measure", "choose")] == [30, 10]
    assert not set(found["measure"].ids) & set(found["choose"].ids)
    assert set(found["measure"].split) | set(found["choose"].split) == {"train"}
    assert np.array_equal(found["measure"].ids, detect.samples(data)["measure"].ids)
    with pytest.raises(FerlibError, match="only 32 training images"):
        detect.samples(crops("fer2013", 40))


@pytest.fixture
def measured(bright, monkeypatch):
    """`measure` on small datasets, with the detector of bright rectangles."""
    sets = {
        "fer2013": crops("fer2013", 60),
        "ckplus": crops("ckplus", 40, people=5),
        "synthetic": crops("s", 8),
    }
    monkeypatch.setattr(detect, "load", lambda name, *_, **__: sets[name])
    monkeypatch.setattr(detect, "SAMPLE", 30)
    monkeypatch.setitem(detect.CHOICE, "fer2013", 10)
    monkeypatch.setattr(detect.metadata, "version", lambda _: "0")
    return lambda: detect.measure("anywhere")


def leaves(value, path=()):
    if isinstance(value, dict):
        for key, below in value.items():
            yield from leaves(below, (*path, key))
    else:
        yield path, value


def test_measure_counts_and_repeats_itself(measured):
    (first, run), (second, _) = measured(), measured()
    assert json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
    found = first["datasets"]["ckplus"]["prepared"]
    n = np.arange(40)
    faces = (n % 4 > 0).astype(int) + (n % 7 == 0)
    assert found["n"] == 40 and found["one"]["images"] == (faces == 1).sum()
    assert found["none"]["images"] == (faces == 0).sum()
    assert found["classes"]["b"]["any"]["images"] == (faces[1::2] > 0).sum()
    assert "by_person" in found["one"] and "by_person" not in first["datasets"]["fer2013"]["as_is"]["one"]
    assert np.allclose(found["largest_face"]["box"], np.array([4, 4, 12, 20]) / 24, atol=0.03)
    assert set(run["times"]) == {
        f"{d} {how}" for d in ("ckplus", "fer2013") for how in ("as it is", "prepared")
    }


def test_of_equal_preparations_the_smallest_is_best(measured):
    choice = measured()[0]["choice"]
    assert len({sum(row["one"].values()) for row in choice["tried"]}) == 1
    assert choice["best"] == asdict(detect.TRIED[0])


def test_nothing_of_an_image_is_stored(measured):
    """Facts about one image would need lists as long as there are images, or names of images."""
    for path, value in leaves(measured()[0]):
        if isinstance(value, list) and path[-1] != "tried":
            assert len(value) <= 4, path
        assert not (isinstance(value, str) and value in crops("ckplus", 40).ids)


def test_written_read_and_told(measured, tmp_path, capsys):
    assert detect.main(["measure", "--results", str(tmp_path / "new")]) == 0
    out = capsys.readouterr().out
    assert "ckplus   prepared  a face in " in out and "of 40 images" in out
    record = detect.read(tmp_path / "new")
    assert record["reproducible"]["preparation"] == asdict(PREPARED)
    text = (tmp_path / "new" / "detection.json").read_text()
    assert "anywhere" not in text and str(tmp_path) not in text


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: text.replace('"thresholds"', '"threshold"'), "checksum"),
        (lambda text: text[:-20], "cannot be read"),
        (lambda text: text.replace('"schema": 1', '"schema": 0'), "schema"),
        (lambda text: "[]", "schema"),
    ],
)
def test_a_damaged_file_is_refused(measured, tmp_path, damage, said):
    path = detect.write(tmp_path, *measured())
    path.write_text(damage(path.read_text()))
    with pytest.raises(RecordError, match=said) as error:
        detect.read(tmp_path)
    assert "\n" not in str(error.value) and "python -m ferlib.detect measure" in str(error.value)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(RecordError, match="not measured yet"):
        detect.read(tmp_path)


def test_a_folder_that_cannot_be_written_is_told(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert detect.main(["measure", "--results", str(tmp_path / "file")]) == 1
    assert "cannot be written" in capsys.readouterr().err


# -- the evidence ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def evidence():
    return detect.read(RESULTS)["reproducible"]


def test_the_evidence_is_about_what_is_used(evidence):
    assert evidence["preparation"] == evidence["choice"]["best"] == asdict(PREPARED)
    assert [Preparation(row["border"], row["side"]) for row in evidence["choice"]["tried"]] == list(
        detect.TRIED
    )
    assert evidence["detector"]["package"] == detect.PACKAGE
    assert evidence["detector"]["thresholds"] == list(detect.THRESHOLDS)


def test_the_evidence_adds_up(evidence):
    assert {n: d["prepared"]["n"] for n, d in evidence["datasets"].items()} == {
        "ckplus": 981,
        "fer2013": 2000,
    }
    for data in evidence["datasets"].values():
        for found in (data["as_is"], data["prepared"]):
            assert found["any"]["images"] + found["none"]["images"] == found["n"]
            for part in [found, *found["classes"].values()]:
                for name in ("one", "any", "none"):
                    k, n = part[name]["images"], part["n"]
                    assert part[name]["share"] == round(k / n, 4)
                    assert np.allclose(part[name]["wilson"], wilson(k, n), atol=6e-5)
            for name in ("one", "any", "none"):
                assert sum(c[name]["images"] for c in found["classes"].values()) == found[name]["images"]
            assert len(found["largest_face"]["box"]) == 4


# -- with the extra -------------------------------------------------------------------------------------------------


def test_the_settings_are_the_packages_own(mtcnn):
    defaults = {k: p.default for k, p in inspect.signature(type(mtcnn)).parameters.items()}
    assert (tuple(defaults["thresholds"]), defaults["factor"]) == (detect.THRESHOLDS, detect.PYRAMID)
    assert defaults["min_face_size"] == detect.SMALLEST


@pytest.mark.parametrize("preparation", [AS_IS, PREPARED])
def test_drawn_faces_are_found_where_they_are(mtcnn, preparation):
    data = load("synthetic", n=14, size=48, difficulty=0.3)
    found = [detect.find_faces(image, preparation) for image in data.images]
    assert [len(faces) for faces in found] == [1] * 14
    y, x = np.mgrid[:48, :48] + 0.5
    for faces, mask in zip(found, data.extras["masks"], strict=True):
        eyes, nose, mouth = (mask & REGIONS[name] > 0 for name in ("eyes", "nose", "mouth"))
        left, right, tip, *corners = faces[0].landmarks
        for where, region in (((left + right) / 2, eyes), (np.mean(corners, axis=0), mouth)):
            assert np.linalg.norm(where - [x[region].mean(), y[region].mean()]) < 3
        assert nose[tuple(tip[::-1].astype(int))]
        assert left[0] < right[0] and corners[0][0] < corners[1][0]
        inside = detect.square(faces[0].box)
        assert all(inside[0] < p[0] < inside[2] and inside[1] < p[1] < inside[3] for p in faces[0].landmarks)
        assert 0.7 < faces[0].score <= 1


def test_boxes_do_not_depend_on_the_resolution(mtcnn):
    """Taken as MTCNN counts, from 1, they would be half a pixel of 48 apart."""
    small, large = (
        np.array(
            [
                detect.find_faces(i, AS_IS)[0].box
                for i in load("synthetic", n=14, size=s, difficulty=0.3).images
            ]
        )
        for s in (48, 192)
    )
    assert np.abs((small - large / 4).mean(axis=0)).max() < 0.6


def test_a_mirrored_face_has_a_mirrored_box(mtcnn):
    image = load("synthetic", n=1, size=96, difficulty=0).images[0]
    (one,), (other,) = detect.find_faces(image), detect.find_faces(image[:, ::-1])
    left, top, right, bottom = other.box
    assert np.allclose(one.box, (96 - right, top, 96 - left, bottom), atol=4)


def test_several_faces_the_largest_first(mtcnn):
    small, large = (load("synthetic", n=1, size=s, difficulty=0).images[0] for s in (96, 160))
    scene = np.full((240, 320), 128, np.uint8)
    scene[20:116, 10:106], scene[40:200, 140:300] = small, large
    first, second = detect.find_faces(scene)
    assert first.box[0] > 140 and second.box[2] < 106
    assert detect.find_faces(np.stack([scene] * 3, axis=2))[0].box == first.box
    again = detect.find_faces(detect.crop(scene, second, 96, margin=0.2))
    assert len(again) == 1


def test_no_face_where_there_is_none(mtcnn):
    rng = np.random.default_rng(0)
    for image in (np.full((48, 48), 128, np.uint8), rng.integers(0, 256, (60, 90, 3), dtype=np.uint8)):
        assert detect.find_faces(image) == []
    for shape in ((1, 1), (1, 300), (19, 19, 3), (149, 21)):
        assert detect.find_faces(rng.integers(0, 256, shape, dtype=np.uint8)) == []


def test_the_evidence_of_one_class_again(mtcnn, real_data, evidence):
    data = load("ckplus", real_data)
    recorded = evidence["datasets"]["ckplus"]
    assert data.fingerprint == recorded["fingerprint"]
    own = data.take(data.labels == data.classes.index("contempt"))
    found, times = detect.survey(replace(own, subjects=None), PREPARED)
    assert found["n"] == 54 and times["milliseconds"] > 0
    # a face near a threshold may fall to the other side on another processor
    assert abs(found["one"]["images"] - recorded["prepared"]["classes"]["contempt"]["one"]["images"]) <= 1
