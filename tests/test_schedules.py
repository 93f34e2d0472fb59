"""Optimisers and schedules against the formulas of Keras and of the papers, by hand."""

from __future__ import annotations

import io
import math
from types import MappingProxyType

import numpy as np
import pytest
import torch

from ferlib.errors import FerlibError
from ferlib.schedules import build_optimiser, build_schedule

PLATEAU = {"name": "plateau", "factor": 0.5, "patience": 3, "min_delta": 1e-4}
TABLE = {"name": "table", "until": [80, 120, 160, 180], "rates": [1e-3, 1e-4, 1e-5, 1e-6, 5e-7]}
SPECS = [
    {"name": "constant"},
    PLATEAU,
    {**PLATEAU, "monitor": "val_loss", "min_lr": 1e-4},
    {"name": "table", "until": [1, 3], "rates": [1e-3, 1e-4, 1e-5]},
    {"name": "time", "decay": 1e-2},
    {"name": "step", "every": 2, "factor": 0.1},
]


def adam(lr=1e-3):
    return build_optimiser({"name": "adam", "lr": lr}, [torch.nn.Parameter(torch.ones(2))])


def rate(optimiser):
    return optimiser.param_groups[0]["lr"]


def course(spec, metrics, lr=1e-3, steps=5):
    """The rate that each epoch starts with, and that of every step."""
    optimiser = adam(lr)
    schedule = build_schedule(spec, optimiser)
    starts, inner = [], []
    for epoch, values in enumerate(metrics):
        starts.append(rate(optimiser))
        assert schedule.epoch_rate() == starts[-1]
        for k in range(steps):
            schedule.step_begin(epoch * steps + k)
            inner.append(rate(optimiser))
        schedule.epoch_end(values)
    return starts, inner


def random_metrics(n, seed):
    rng = np.random.default_rng(seed)
    accuracy = np.round(rng.random(n), 2)  # with ties
    return [{"val_accuracy": float(a), "val_loss": float(2 - a)} for a in accuracy]


def one_step(spec, gradients, start=1.0):
    """The parameter after one step for each of ``gradients``."""
    parameter = torch.nn.Parameter(torch.tensor([start], dtype=torch.float64))
    optimiser = build_optimiser(spec, [parameter])
    for g in gradients:
        parameter.grad = torch.tensor([g], dtype=torch.float64)
        optimiser.step()
    return parameter.item()


# -- optimisers


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_adam_by_hand(name, decay):
    """Kingma & Ba, Algorithm 1; weight decay in the gradient, for adamw on the weights (Loshchilov & Hutter)."""
    spec = {"name": name, "lr": 0.1, "eps": 0.5, "betas": [0.8, 0.9], "weight_decay": decay}
    w, m, v = 1.0, 0.0, 0.0
    for t, gradient in enumerate([0.3, -0.7, 0.2], start=1):
        g = gradient + (decay * w if name == "adam" else 0)
        w -= 0.1 * decay * w if name == "adamw" else 0
        m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g * g
        w -= 0.1 * (m / (1 - 0.8**t)) / (math.sqrt(v / (1 - 0.9**t)) + 0.5)
    assert one_step(spec, [0.3, -0.7, 0.2]) == pytest.approx(w, rel=1e-9)


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_is_that_of_keras(nesterov):
    """Keras keeps the velocity with the rate in it: v = momentum v - lr g; w += v, or momentum v - lr g."""
    w, v = 1.0, 0.0
    for g in (0.3, -0.7, 0.2):
        v = 0.9 * v - 0.1 * g
        w += 0.9 * v - 0.1 * g if nesterov else v
    spec = {"name": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": nesterov}
    assert one_step(spec, [0.3, -0.7, 0.2]) == pytest.approx(w, rel=1e-9)


def test_the_optimiser_of_committed_records_is_unchanged():
    parameters = [torch.nn.Parameter(torch.ones(2))]
    ours = build_optimiser(MappingProxyType({"name": "adam", "lr": 0.002, "eps": 1e-7}), parameters)
    assert type(ours) is torch.optim.Adam
    assert ours.defaults == torch.optim.Adam(parameters, lr=0.002, eps=1e-7).defaults


def test_fused_is_asked_for_and_does_the_same():
    ends = []
    for fused in (False, True):
        parameter = torch.nn.Parameter(torch.linspace(1, 2, 5))
        optimiser = build_optimiser({"name": "adam", "lr": 0.1}, iter([parameter]), fused=fused)
        assert bool(optimiser.defaults["fused"]) is fused
        parameter.grad = torch.linspace(-1, 1, 5)
        optimiser.step()
        ends.append(parameter.detach())
    torch.testing.assert_close(*ends)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "lion", "lr": 1e-3}, "unknown optimiser 'lion'; known are adam, adamw, sgd"),
        ({"lr": 1e-3}, "unknown optimiser None"),
        ({"name": "adam"}, "optimiser 'adam' needs lr"),
        ({"name": "adam", "lr": 1e-3, "momentum": 0.9}, "does not know momentum; it takes betas, eps, lr"),
        ({"name": "sgd", "lr": 1e-3, "eps": 1e-7}, "does not know eps"),
        ({"name": "adam", "lr": -1}, "optimiser 'adam': Invalid learning rate: -1"),
        ({"name": "adam", "lr": "fast"}, "optimiser 'adam': "),
        ({"name": "sgd", "lr": 0.1, "nesterov": True}, "Nesterov momentum requires a momentum"),
    ],
)
def test_bad_optimisers_get_one_line(spec, message):
    with pytest.raises(FerlibError) as error:
        build_optimiser(spec, [torch.nn.Parameter(torch.ones(2))])
    assert message in str(error.value) and "\n" not in str(error.value)


# -- schedules


def test_constant():
    starts, inner = course({"name": "constant"}, random_metrics(4, 0), lr=3e-4)
    assert set(starts) == set(inner) == {3e-4}


@pytest.mark.parametrize("patience", [1, 2, 3])
@pytest.mark.parametrize(("monitor", "sign"), [("val_accuracy", 1), ("val_loss", -1)])
@pytest.mark.parametrize("min_lr", [0, 2e-4])
def test_plateau_is_the_callback_of_keras(patience, monitor, sign, min_lr):
    spec = {"name": "plateau", "factor": 0.5, "patience": patience, "min_delta": 0.05, "min_lr": min_lr}
    for seed in range(5):
        metrics = random_metrics(40, seed)
        expected, lr, best, wait = [], 1e-3, -math.inf, 0
        for values in metrics:  # keras.callbacks.ReduceLROnPlateau.on_epoch_end, maximising sign * value
            expected.append(lr)
            wait += 1
            if sign * values[monitor] > best + 0.05:
                best, wait = sign * values[monitor], 0
            elif wait >= patience:
                lr, wait = max(lr * 0.5, min_lr) if lr > min_lr else lr, 0
        assert len(set(expected)) > 2
        assert course({**spec, "monitor": monitor}, metrics)[0] == expected


def test_plateau_of_three_stale_epochs_by_hand():
    """Chen & Chen, section 4: half the rate when the loss has not decreased within three epochs."""
    spec = {**PLATEAU, "min_delta": 0, "monitor": "val_loss"}
    losses = [1.0, 0.9, 0.95, 0.9, 0.91, 0.92, 0.8, 0.8, 0.8, 0.8, 0.7]
    metrics = [{"val_loss": x, "val_accuracy": 0.5} for x in losses]
    assert course(spec, metrics, lr=8)[0] == [8, 8, 8, 8, 8, 4, 4, 4, 4, 4, 2]


def test_plateau_of_committed_records_is_unchanged_bit_for_bit():
    """Checkpoints and records were made with torch's class set up as here, monitoring val_accuracy."""
    optimiser, reference = adam(2e-3), adam(2e-3)
    schedule = build_schedule(PLATEAU, optimiser)
    torch_schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
        reference, mode="max", factor=0.5, patience=2, threshold=1e-4, threshold_mode="abs", eps=0
    )
    for values in random_metrics(60, 7):
        schedule.epoch_end(values)
        torch_schedule.step(values["val_accuracy"])
        assert rate(optimiser) == rate(reference)
        assert schedule.state_dict() == torch_schedule.state_dict()
    assert rate(optimiser) < 1e-4


def test_table_1_of_wang_and_zhang():
    """0-80, 81-120, 121-160, 161-180, >180 of 200 epochs, the first of which is epoch 0."""
    starts, inner = course(TABLE, random_metrics(200, 1), steps=2)
    assert starts == [1e-3] * 81 + [1e-4] * 40 + [1e-5] * 40 + [1e-6] * 20 + [5e-7] * 19
    assert inner == [r for r in starts for _ in range(2)]


def test_table_1_is_the_schedule_of_keras_cifar10_example():
    """examples/cifar10_resnet.py of keras-team/keras: `epoch > 80` and so on, epochs counted from 0."""

    def keras(epoch):
        above = [bound for bound in (80, 120, 160, 180) if epoch > bound]
        return 1e-3 * {0: 1, 80: 1e-1, 120: 1e-2, 160: 1e-3, 180: 0.5e-3}[max([0, *above])]

    np.testing.assert_allclose(
        course(TABLE, random_metrics(200, 1), steps=0)[0], [keras(e) for e in range(200)]
    )


def test_time_decay_is_that_of_keras():
    """OptimizerV2._decayed_lr: lr / (1 + decay * iterations), iterations being 0 at the first update."""
    starts, inner = course({"name": "time", "decay": 1e-2}, random_metrics(4, 0), lr=1e-4, steps=7)
    np.testing.assert_allclose(inner, [1e-4 / (1 + 1e-2 * k) for k in range(28)], rtol=1e-12)
    assert starts == inner[::7]


def test_time_decay_of_nan_et_al_by_the_end_of_training():
    """25,060 images in batches of 64 for 100 epochs: the rate has fallen from 1e-4 to 1e-4 / 1.392."""
    steps = 100 * math.ceil(25_060 / 64)
    optimiser = adam(1e-4)
    build_schedule({"name": "time", "decay": 1e-5}, optimiser).step_begin(steps - 1)
    assert rate(optimiser) == pytest.approx(1e-4 / 1.392, rel=1e-4)


def test_step_decay_by_hand():
    starts, _ = course({"name": "step", "every": 3, "factor": 0.5}, random_metrics(8, 0), lr=8)
    assert starts == [8, 8, 8, 4, 4, 4, 2, 2]


def test_parameter_groups_keep_their_proportion():
    groups = [{"params": [torch.nn.Parameter(torch.ones(1))], "lr": lr} for lr in (1e-2, 1e-3)]
    optimiser = build_optimiser({"name": "sgd", "lr": 1.0}, groups)
    schedule = build_schedule({"name": "step", "every": 1, "factor": 0.1}, optimiser)
    schedule.epoch_end({})
    assert [g["lr"] for g in optimiser.param_groups] == pytest.approx([1e-3, 1e-4])


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("stop", [0, 3, 13, 15, 22])
def test_a_resumed_schedule_goes_on_as_if_it_had_not_stopped(spec, stop):
    """Stopped after ``stop`` steps of 30, five to an epoch; the state passes torch.load(weights_only=True)."""
    metrics = [{"val_accuracy": 0.5, "val_loss": 1.0}] * 6

    def go(optimiser, schedule, first, last):
        rates = []
        for k in range(first, last):
            schedule.step_begin(k)
            rates.append((rate(optimiser), schedule.epoch_rate()))
            if k % 5 == 4:
                schedule.epoch_end(metrics[k // 5])
        return rates

    optimiser = adam()
    schedule = build_schedule(spec, optimiser)
    expected = go(optimiser, schedule, 0, 30)
    optimiser = adam()
    schedule = build_schedule(spec, optimiser)
    before = go(optimiser, schedule, 0, stop)
    file = io.BytesIO()
    torch.save({"optimiser": optimiser.state_dict(), "schedule": schedule.state_dict()}, file)
    file.seek(0)
    content = torch.load(file, weights_only=True)
    optimiser = adam()
    schedule = build_schedule(spec, optimiser)
    optimiser.load_state_dict(content["optimiser"])
    schedule.load_state_dict(content["schedule"])
    assert before + go(optimiser, schedule, stop, 30) == expected


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"name": "cyclic"},
            "unknown schedule 'cyclic'; known are constant, plateau, table, time, step, cosine",
        ),
        ({}, "unknown schedule None"),
        ({"name": ["step"]}, "unknown schedule"),
        ({"name": "constant", "factor": 0.5}, "does not know factor; it takes nothing"),
        ({"name": "plateau", "factor": 0.5}, "'plateau' needs min_delta, patience"),
        ({**PLATEAU, "cooldown": 2}, "does not know cooldown"),
        ({**PLATEAU, "patience": 0}, "patience must be an integer from 1 on"),
        ({**PLATEAU, "patience": 2.5}, "patience must be an integer from 1 on"),
        ({**PLATEAU, "factor": 1.0}, "factor must lie between 0 and 1"),
        ({**PLATEAU, "monitor": "accuracy"}, "monitor must be one of val_accuracy, val_loss"),
        ({**PLATEAU, "min_delta": -1e-4}, "must not be negative"),
        ({**TABLE, "rates": [1e-3]}, "one rate more than epochs"),
        ({**TABLE, "until": [80, 80, 160, 180]}, "rising epochs"),
        ({**TABLE, "rates": [1e-3, 0, 0, 0, 0]}, "rates must be positive"),
        ({**TABLE, "rates": [1e-2, 1e-4, 1e-5, 1e-6, 5e-7]}, "first of rates must be the optimiser's lr"),
        ({"name": "time", "decay": -1}, "decay must not be negative"),
        ({"name": "time", "decay": "slow"}, "schedule 'time': "),
        ({"name": "step", "every": 0, "factor": 0.5}, "every must be an integer from 1 on"),
        ({"name": "step", "every": 2, "factor": 2}, "factor must lie between 0 and 1"),
    ],
)
def test_bad_schedules_get_one_line(spec, message):
    with pytest.raises(FerlibError) as error:
        build_schedule(spec, adam())
    assert message in str(error.value) and "\n" not in str(error.value)


def test_cosine_by_hand():
    """Two epochs up to the first rate, then half a cosine to zero over the other eight."""
    optimiser = adam(1.0)
    schedule = build_schedule({"name": "cosine", "epochs": 10, "warmup": 2}, optimiser)
    rates = []
    for _ in range(10):
        rates.append(schedule.epoch_rate())
        schedule.epoch_end({})
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert rates[6] == pytest.approx(0.5)
    assert rates[9] == pytest.approx((1 + math.cos(math.pi * 7 / 8)) / 2)
    assert schedule.epoch_rate() == pytest.approx(0.0)
