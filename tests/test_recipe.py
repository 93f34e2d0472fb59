"""The house's recipe: weight averages, label distributions, mirrored evaluation, and their way through a run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from toy import ROW, settings, toy

from ferlib import recipe, records, train
from ferlib.errors import FerlibError
from ferlib.experiments import get
from ferlib.experiments.house import ROWS
from ferlib.interrupt import Interrupted, Stop
from ferlib.losses import build_loss
from ferlib.models import build, count_parameters

# from eight channels on: with AVX2 and no AVX-512, oneDNN writes beyond its arrays in the gradient of a strided 1x1
# convolution of fewer, channels last
SMALL = {"stem": 8, "widths": (8, 16), "depth": 1}
HOUSE = replace(
    ROW, model="small_resnet", variant=SMALL, loss="cross_entropy", recipe={"average": 0.9, "mirror": True}
)


@pytest.mark.parametrize(
    "bad",
    [{"average": 1.0}, {"targets": "labels"}, {"mirror": "yes"}, {"mixup": 0.2}],
    ids=lambda b: next(iter(b)),
)
def test_bad_recipes_are_refused(bad):
    with pytest.raises(FerlibError, match="recipe"):
        recipe.validate(bad)


def test_average_follows_the_weights_by_hand():
    model = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(0.0)
    average = recipe.averaged(model, {"average": 0.9})
    average.update_parameters(model)  # the first call copies
    for value in (1.0, 2.0):
        with torch.no_grad():
            model.weight.fill_(value)
        average.update_parameters(model)
    assert average.module.weight.item() == pytest.approx(0.9 * (0.1 * 1.0) + 0.1 * 2.0)
    assert recipe.averaged(model, {}) is None


def test_votes_become_distributions():
    votes = np.array([[8, 2, 0], [0, 5, 5]], dtype=np.float32)
    found = recipe.distributions(votes, {"targets": "votes"}, "ferplus")
    assert torch.allclose(found, torch.tensor([[0.8, 0.2, 0.0], [0.0, 0.5, 0.5]]))
    assert recipe.distributions(votes, {}, "ferplus") is None
    with pytest.raises(FerlibError, match="no votes"):
        recipe.distributions(None, {"targets": "votes"}, "fer2013")


def test_mirror_is_the_mean_of_two_probabilities():
    torch.manual_seed(0)
    model = build("small_resnet", classes=3, size=16, **SMALL).eval()
    x = torch.rand(5, 1, 16, 16)
    with torch.no_grad():
        found = recipe.with_mirror(model, x).softmax(1)
        expected = (model(x)[0].softmax(1) + model(x.flip(3))[0].softmax(1)) / 2
    assert torch.allclose(found, expected, atol=1e-6)
    assert torch.allclose(recipe.with_mirror(model, x), recipe.with_mirror(model, x.flip(3)), atol=1e-6)


def test_label_distribution_loss_by_hand():
    loss = build_loss("label_distribution", classes=3, features=1, smoothing=0.3)
    logits = torch.tensor([[1.0, 0.0, -1.0]])
    targets = torch.tensor([[0.5, 0.5, 0.0]])
    expected = -(torch.tensor([0.45, 0.45, 0.1]) * F.log_softmax(logits, 1)[0]).sum()
    assert loss(logits, {"targets": targets}, torch.tensor([0])) == pytest.approx(float(expected))
    with pytest.raises(FerlibError, match="needs votes"):
        loss(logits, {}, torch.tensor([0]))


def test_smoothed_cross_entropy_by_hand():
    loss = build_loss("cross_entropy", classes=4, features=1, smoothing=0.2)
    logits = torch.tensor([[2.0, 0.0, 0.0, 0.0]])
    q = torch.tensor([0.85, 0.05, 0.05, 0.05])
    assert loss(logits, {"aux": []}, torch.tensor([0])) == pytest.approx(
        float(-(q * logits.log_softmax(1)[0]).sum())
    )


def test_rows_keep_to_what_they_promise():
    for row in ROWS:
        classes = 8 if row.dataset == "ferplus" else 7
        model = build(row.model, classes=classes, size=row.size, **row.variant)
        assert count_parameters(model) <= 1.7e6, row.id
        recipe.validate(row.recipe)
        assert not row.published
    assert get("house-ferplus").loss == "label_distribution"


def test_class_activation_map_averages_to_the_logits():
    torch.manual_seed(1)
    model = build("small_resnet", classes=3, size=16, **SMALL).eval()
    with torch.no_grad():
        logits, out = model(torch.rand(2, 1, 16, 16))
        cam = F.conv2d(out["map"], model.classifier.weight[..., None, None])
    assert torch.allclose(cam.mean((2, 3)) + model.classifier.bias, logits, atol=1e-5)


def test_an_interrupted_run_with_an_average_ends_like_an_uninterrupted_one(tmp_path):
    whole = records.read(train.run(HOUSE, 0, settings(tmp_path / "a"), data=toy(), original=HOUSE))
    steps = settings(tmp_path / "b", save_seconds=0.0)
    stop = Stop()
    calls = []
    stop.reason = lambda: "asked to" if len(calls) == 5 or calls.append(1) else None  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        train.run(HOUSE, 0, steps, data=toy(), original=HOUSE, stop=stop)
    again = records.read(train.run(HOUSE, 0, steps, data=toy(), original=HOUSE))
    assert again["sha256"] == whole["sha256"]
    assert again["run"]["interruptions"] == 1


def test_the_kept_weights_are_the_averaged_ones(tmp_path):
    """What the record predicts is what the kept weights give, with the mirror image."""
    path = train.run(HOUSE, 0, settings(tmp_path), data=toy(), original=HOUSE)
    kept = next((tmp_path / "runs").rglob("best.safetensors"))
    from ferlib.checkpoint import load_weights
    from ferlib.pixels import Pixels

    model = load_weights(build(HOUSE.model, classes=3, size=HOUSE.size, **HOUSE.variant), kept).eval()
    test = Pixels(toy(), "test", torch.device("cpu"), HOUSE.size)
    with torch.no_grad():
        x = test.finish(test.batch(slice(None))[0])
        found = recipe.with_mirror(model, x)
    stored = records.read_predictions(path)["val_selected_test_logits"]
    assert np.abs(found.numpy() - stored).max() < 0.05  # bfloat16 in the run


def test_settled_statistics_are_those_of_the_images():
    torch.manual_seed(3)
    model = build("small_resnet", classes=3, size=16, **SMALL)
    model.train()
    x = torch.rand(64, 1, 16, 16)
    state = torch.get_rng_state()
    recipe.settle(model, x)
    assert torch.equal(torch.get_rng_state(), state) and model.training  # dropout drew nothing
    first = model.blocks[0].norm1
    with torch.no_grad():
        stem = model.stem(x)
    assert torch.allclose(first.running_mean, stem.mean((0, 2, 3)), atol=1e-6)
    assert torch.allclose(first.running_var, stem.var((0, 2, 3)), rtol=1e-4)
    assert first.momentum == 0.1
    recipe.settle(torch.nn.Linear(2, 2), x)  # a network without normalisation: nothing to do
