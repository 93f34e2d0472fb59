"""Synthetic faces: the same under a seed, regions where they belong, hard for a line and easy for a CNN."""

from __future__ import annotations

import numpy as np
import pytest

from ferlib.data.synthetic import (
    ACTION_UNITS,
    CLASSES,
    EXPRESSION_ACTION_UNITS,
    OPTIONAL_ACTION_UNITS,
    draw,
    expressive_mask,
    expressive_regions,
    face,
    load,
)
from ferlib.data.synthetic_face import REGIONS, FaceParams, render
from ferlib.errors import DataError

EXPRESSIVE = CLASSES[:-1]
GOLDEN_MEANS = [116.79, 115.43, 113.91, 115.18, 115.40, 116.51, 116.66]  # grey level per class
GOLDEN_STD = 57.43
GOLDEN_AREAS = [0.0636, 0.0495, 0.0396, 0.0381, 0.0937]  # share of the pictures per region


@pytest.fixture(scope="module")
def faces():
    return load()


# -- the dataset ---------------------------------------------------------------------------------------------


def test_shapes_and_counts(faces):
    assert faces.name == "synthetic" and faces.classes == CLASSES
    assert faces.images.shape == (3000, 48, 48) and faces.images.dtype == np.uint8
    assert {k: (v.dtype.name, v.shape) for k, v in faces.extras.items()} == {
        "masks": ("uint8", (3000, 48, 48)),
        "expressive": ("bool", (3000, 48, 48)),
        "intensity": ("float32", (3000,)),
    }
    assert faces.ids[0] == "syn0000000" and len(set(faces.ids)) == 3000
    totals = {split: sum(counts.values()) for split, counts in faces.counts().items()}
    assert totals == {"train": 2398, "val": 301, "test": 301}


def test_splits_are_stratified_and_share_nobody(faces):
    for split, counts in faces.counts().items():
        assert max(counts.values()) - min(counts.values()) <= 1, split
    people = [set(faces.subjects[faces.where(s)]) for s in ("train", "val", "test")]
    assert not (people[0] & people[1] or people[0] & people[2] or people[1] & people[2])
    assert set(load(n=15).split) == {"train", "val", "test"}


def test_same_seed_same_faces_other_seed_other_faces():
    first, again, other = load(n=70), load(n=70), load(n=70, seed=1)
    assert first.fingerprint == again.fingerprint
    np.testing.assert_array_equal(first.extras["masks"], again.extras["masks"])
    assert first.fingerprint != other.fingerprint
    assert not (first.images == other.images).all(axis=(1, 2)).any()


@pytest.mark.parametrize("n", [1, 10, 53, 211])
def test_an_image_does_not_depend_on_how_many_there_are(faces, n):
    few = load(n=n)
    for name in ("images", "labels", "split", "ids", "subjects"):
        np.testing.assert_array_equal(getattr(few, name), getattr(faces, name)[:n], err_msg=name)
    for name, values in few.extras.items():
        np.testing.assert_array_equal(values, faces.extras[name][:n], err_msg=name)


def test_intensity_is_the_labels(faces):
    neutral = faces.labels == CLASSES.index("neutral")
    assert (faces.extras["intensity"][neutral] == 0).all()
    assert faces.extras["intensity"][~neutral].min() >= 0.6 and faces.extras["intensity"].max() <= 1
    assert load(n=14, difficulty=0).extras["intensity"].tolist() == ([1.0] * 6 + [0.0]) * 2


def test_coarse_golden_values(faces):
    """Guards against a change of the drawing; loose enough for another numpy."""
    means = [faces.images[faces.labels == k].mean() for k in range(7)]
    np.testing.assert_allclose(means, GOLDEN_MEANS, atol=0.5)
    np.testing.assert_allclose(faces.images.std(), GOLDEN_STD, atol=0.5)
    areas = [((faces.extras["masks"] & bit) > 0).mean() for bit in REGIONS.values()]
    np.testing.assert_allclose(areas, GOLDEN_AREAS, atol=0.002)


# -- one face ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("expression", EXPRESSIVE)
@pytest.mark.parametrize("seed", [0, 3])
def test_intensity_0_is_neutral_and_more_is_further_from_it(expression, seed):
    neutral = draw("neutral", seed=seed).astype(int)
    np.testing.assert_array_equal(draw(expression, 0.0, seed=seed), neutral)
    distance = [np.abs(draw(expression, a, seed=seed) - neutral).sum() for a in (0.25, 0.5, 0.75, 1.0)]
    assert distance == sorted(distance) and distance[0] > 0


@pytest.mark.parametrize("expression", EXPRESSIVE)
@pytest.mark.parametrize("size", [48, 96])
def test_an_expression_changes_only_its_regions(expression, size):
    label = CLASSES.index(expression)
    for seed in range(8):
        image, masks = render(face(expression, seed=seed), size)
        change = np.abs(image.astype(int) - draw("neutral", seed=seed, size=size))
        inside = expressive_mask(masks, label)
        assert change[inside].sum() > 0.9 * change.sum(), seed
        assert 0.05 < inside.mean() < 0.3, seed
        assert change[~inside].mean() < 1, seed  # of 255


@pytest.mark.parametrize("unit", ACTION_UNITS)
def test_an_action_unit_moves_the_regions_it_is_said_to(unit):
    image, masks = render(FaceParams(**{f"au{unit}": 1.0}), 96)
    change = np.abs(image.astype(int) - render(FaceParams(), 96)[0])
    inside = (masks & sum(REGIONS[r] for r in ACTION_UNITS[unit][1])) > 0
    assert change.sum() > 0 and change[inside].sum() > 0.85 * change.sum()


def test_masks_lie_where_a_face_has_them():
    _, masks = render(FaceParams(), 96)
    rows, columns = {}, {}
    for name, bit in REGIONS.items():
        y, x = np.nonzero(masks & bit)
        rows[name], columns[name] = y.mean(), x.mean()
        assert abs(columns[name] - 47.5) < 0.5, name  # upright and frontal: left and right alike
    assert rows["brows"] < rows["eyes"] < rows["nose"] < rows["mouth"]
    assert rows["eyes"] < rows["cheeks"] < rows["mouth"]
    assert not (masks[:12].any() or masks[-8:].any() or masks[:, :8].any())
    turned = render(FaceParams(yaw=20.0), 96)[1]
    assert np.nonzero(turned & REGIONS["nose"])[1].mean() > 47.5 + 5  # to the picture's right


def test_masks_leave_out_what_is_hidden():
    bare = render(FaceParams(), 96)[1]
    for name in ("hand", "strands"):
        image, covered = render(FaceParams(**{name: 1.0}), 96)
        assert (covered > 0).sum() < 0.98 * (bare > 0).sum(), name
        assert not (covered & ~bare).any(), name
        hidden = (bare > 0) & (covered == 0)
        assert (image != render(FaceParams(), 96)[0])[hidden].mean() > 0.9, name
    np.testing.assert_array_equal(render(FaceParams(glasses=1.0), 96)[1], bare)


@pytest.mark.parametrize("expression", CLASSES)
def test_the_same_face_at_any_size(expression):
    small = draw(expression, seed=2, size=48).astype(float)
    large = draw(expression, seed=2, size=192).astype(float).reshape(48, 4, 48, 4).mean(axis=(1, 3))
    assert np.abs(small - large).mean() < 4
    assert np.corrcoef(small.ravel(), large.ravel())[0, 1] > 0.98


def test_a_batch_is_its_faces_one_by_one():
    yaw, happy = np.array([-15.0, 0.0, 20.0]), np.array([0.0, 0.4, 1.0])
    images, masks = render(FaceParams(yaw=yaw, au12=happy, noise=0.02, grain=7), 40)
    assert images.shape == masks.shape == (3, 40, 40)
    for k in range(3):
        image, mask = render(FaceParams(yaw=yaw[k], au12=happy[k], noise=0.02, grain=7), 40)
        np.testing.assert_array_equal(image, images[k])
        np.testing.assert_array_equal(mask, masks[k])


def test_overrides_reach_the_face():
    assert face("happy", seed=1, au12=0.2, yaw=9).au12 == 0.2
    assert (draw("happy", skin=0.4) != draw("happy", skin=0.8)).mean() > 0.2


def test_noise_has_the_standard_deviation_asked_for():
    flat = {"contrast": 0.0, "noise": 0.05}
    image = render(FaceParams(**flat, grain=3), 96)[0] / 255
    assert abs(image.std() - 0.05) < 0.002 and abs(image.mean() - 0.5) < 0.002
    assert (image != render(FaceParams(**flat, grain=4), 96)[0] / 255).mean() > 0.8


# -- what FACS says ------------------------------------------------------------------------------------------


def test_expressions_are_made_of_their_action_units():
    assert CLASSES == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert {c: set(units) for c, units in EXPRESSION_ACTION_UNITS.items()} == {
        "angry": {4, 5, 7, 23},
        "disgust": {9, 15},
        "fear": {1, 2, 4, 5, 20, 26},
        "happy": {6, 12},
        "sad": {1, 4, 15},
        "surprise": {1, 2, 5, 26},
        "neutral": set(),
    }
    assert {c: set(units) for c, units in OPTIONAL_ACTION_UNITS.items()} == {"happy": {25}, "disgust": {16}}


def test_expressive_regions():
    assert expressive_regions("angry") == ("brows", "eyes", "mouth")
    assert expressive_regions("disgust") == ("nose", "mouth", "cheeks")
    assert expressive_regions("happy") == ("eyes", "mouth", "cheeks")
    assert expressive_regions("sad") == ("brows", "mouth")
    assert expressive_regions("neutral") == ()


def test_expressive_mask_by_label(faces):
    some = slice(0, 70)
    masks, labels = faces.extras["masks"][some], faces.labels[some]
    np.testing.assert_array_equal(faces.extras["expressive"][some], expressive_mask(masks, labels))
    np.testing.assert_array_equal(expressive_mask(masks[0], 0), faces.extras["expressive"][0])
    assert not faces.extras["expressive"][faces.labels == CLASSES.index("neutral")].any()
    assert faces.extras["expressive"][faces.labels != CLASSES.index("neutral")].any(axis=(1, 2)).all()


# -- bad arguments -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: load(n=-1), "n must be a whole number in 1.."),
        (lambda: load(n=0), "n must be"),
        (lambda: load(n=2.5), "n must be"),
        (lambda: load(n=7, seed=-1), "seed must be"),
        (lambda: load(n=7, size=8), "size must be a whole number in 16..1024, not 8"),
        (lambda: load(n=7, size="48"), "size must be"),
        (lambda: load(n=7, difficulty=2), "difficulty must be a number in 0..1.5, not 2"),
        (lambda: load(n=7, difficulty=float("nan")), "difficulty must be"),
        (lambda: load(n=7, classes=8), "unknown option 'classes'"),
        (lambda: draw("bored"), "unknown expression 'bored'; known are angry, disgust"),
        (lambda: draw("happy", 1.5), "intensity must be a number in 0..1, not 1.5"),
        (lambda: draw("happy", smile=1), "no parameter 'smile'"),
        (lambda: draw("happy", yaw="left"), "yaw must be a finite number, not 'left'"),
        (lambda: draw("happy", size=4), "size must be"),
        (lambda: expressive_regions("calm"), "unknown expression 'calm'"),
        (lambda: render(FaceParams(yaw=np.zeros(2), roll=np.zeros(3))), "yaw has shape (2,)"),
    ],
)
def test_bad_arguments_get_one_line(call, message):
    with pytest.raises(DataError) as error:
        call()
    assert message in str(error.value) and "\n" not in str(error.value)


# -- how hard it is ------------------------------------------------------------------------------------------


def test_a_linear_model_fails(faces):
    """Ridge classifier on standardised pixels, its penalty chosen on val: under 60 % on test."""
    from sklearn.linear_model import RidgeClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pixels = faces.images.reshape(len(faces), -1).astype(np.float32)
    train, val, test = (faces.where(s) for s in ("train", "val", "test"))
    models = [
        make_pipeline(StandardScaler(), RidgeClassifier(alpha=alpha)).fit(pixels[train], faces.labels[train])
        for alpha in (1e2, 1e3, 1e4, 1e5)
    ]
    best = max(models, key=lambda m: m.score(pixels[val], faces.labels[val]))
    accuracy = best.score(pixels[test], faces.labels[test])
    assert 1 / 7 < accuracy < 0.60


def test_a_small_cnn_succeeds(faces):
    """Three convolutions, ten epochs, the last weights, nothing chosen: over 90 % on test."""
    accuracy = _train_small_cnn(faces, epochs=10)
    assert accuracy > 0.90


def _train_small_cnn(faces, epochs, seed=0, batch=64):
    import torch
    from torch import nn

    def block(i, o):
        return nn.Sequential(
            nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU(), nn.MaxPool2d(2)
        )

    torch.manual_seed(seed)
    x = torch.from_numpy(faces.images).float()[:, None]
    x = (x - x.mean((2, 3), keepdim=True)) / x.std((2, 3), keepdim=True)
    y = torch.from_numpy(faces.labels)
    train, test = torch.from_numpy(faces.where("train")), torch.from_numpy(faces.where("test"))
    net = nn.Sequential(
        block(1, 16), block(16, 32), block(32, 64), nn.Flatten(), nn.Dropout(0.3), nn.Linear(64 * 36, 7)
    )
    optimiser = torch.optim.AdamW(net.parameters(), weight_decay=1e-2)
    steps = epochs * -(-len(train) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    for _ in range(epochs):
        for rows in train[torch.randperm(len(train))].split(batch):
            shifted = torch.roll(x[rows], torch.randint(-2, 3, (2,)).tolist(), (2, 3))
            shifted = shifted.flip(3) if torch.rand(()) < 0.5 else shifted
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(shifted), y[rows]).backward()
            optimiser.step()
            schedule.step()
    net.eval()
    with torch.no_grad():
        return (net(x[test]).argmax(1) == y[test]).float().mean().item()
