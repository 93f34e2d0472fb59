"""Optimisers and learning-rate schedules, built from the plain mappings of experiment rows.

The papers trained in Keras; where torch differs in a way that matters, the schedule follows Keras and says so.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from ferlib.errors import FerlibError

# name -> (torch's class, keys that must be there, keys that may be)
OPTIMISERS: dict[str, tuple[type[torch.optim.Optimizer], set[str], set[str]]] = {
    "adam": (torch.optim.Adam, {"lr"}, {"eps", "betas", "weight_decay"}),
    "adamw": (torch.optim.AdamW, {"lr"}, {"eps", "betas", "weight_decay"}),
    "sgd": (torch.optim.SGD, {"lr"}, {"momentum", "nesterov", "weight_decay"}),
}
MONITORS = {"val_accuracy": "max", "val_loss": "min"}


def build_optimiser(
    spec: Mapping[str, Any], parameters: Iterable[Any], *, fused: bool = False
) -> torch.optim.Optimizer:
    """The optimiser of ``spec``, such as ``{"name": "adam", "lr": 0.002, "eps": 1e-7}``.

    A key that is left out has torch's default (Keras' epsilon is 1e-7, torch's 1e-8). ``weight_decay`` is
    an L2 term in ``adam`` and ``sgd``, decoupled in ``adamw``. ``fused`` asks for torch's one-kernel form.
    Epsilon is added as in Kingma & Ba's Algorithm 1, after the bias correction; Keras adds it before.
    Raises FerlibError for an unknown name, a missing or unknown key, or a value that torch refuses.
    """
    name, options = options_of(spec, "optimiser", {k: v[1:] for k, v in OPTIMISERS.items()})
    if "betas" in options:
        options["betas"] = tuple(options["betas"])
    if fused:  # False would also rule out torch's own choice of a fast form
        options["fused"] = True
    try:
        return OPTIMISERS[name][0](parameters, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise FerlibError(f"optimiser {name!r}: {reason}; put the row's optimiser right") from None


class Schedule:
    """A constant rate, and what every schedule answers to.

    ``step_begin(step)`` comes before each optimiser step, ``step`` counted from 0 over the whole run;
    ``epoch_end(metrics)`` after each epoch. The next rate stands in ``optimiser.param_groups[i]["lr"]``
    from the construction on, and from the end of one epoch to the first step of the next.
    ``state_dict`` is plain data; restore it after the optimiser's.
    """

    def __init__(self, optimiser: torch.optim.Optimizer) -> None:
        self.optimiser = optimiser

    def step_begin(self, step: int) -> None:
        """Before optimiser step ``step`` (0, 1, ...)."""

    def epoch_end(self, metrics: Mapping[str, float]) -> None:
        """After an epoch; ``metrics`` holds ``val_accuracy`` and ``val_loss``."""

    def epoch_rate(self) -> float:
        """The rate that the epoch now begun or about to begin started with, first parameter group."""
        return float(self.optimiser.param_groups[0]["lr"])

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        pass


class Plateau(Schedule):
    """Keras' ReduceLROnPlateau (cooldown 0) through torch's.

    An epoch improves on the best so far by more than ``min_delta``, in absolute terms. Keras multiplies the
    rate when ``patience`` epochs have passed without improvement, torch one epoch later.
    """

    def __init__(
        self,
        optimiser: torch.optim.Optimizer,
        *,
        factor: float,
        patience: int,
        min_delta: float,
        monitor: str = "val_accuracy",
        min_lr: float = 0,
    ) -> None:
        super().__init__(optimiser)
        require(0 < factor < 1, "plateau", "factor must lie between 0 and 1")
        require(
            isinstance(patience, int) and patience >= 1, "plateau", "patience must be an integer from 1 on"
        )
        require(min_delta >= 0 and min_lr >= 0, "plateau", "min_delta and min_lr must not be negative")
        require(monitor in MONITORS, "plateau", f"monitor must be one of {', '.join(MONITORS)}")
        self.monitor = monitor
        self.inner = ReduceLROnPlateau(
            optimiser,
            mode=MONITORS[monitor],  # type: ignore[arg-type]
            factor=factor,
            patience=patience - 1,
            threshold=min_delta,
            threshold_mode="abs",
            min_lr=min_lr,
            eps=0,
        )

    def epoch_end(self, metrics: Mapping[str, float]) -> None:
        self.inner.step(metrics[self.monitor])

    def state_dict(self) -> dict[str, Any]:
        return self.inner.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.inner.load_state_dict(dict(state))


class ByEpoch(Schedule):
    """The rate as a function of the first rate and the epoch, counted from 0 as Keras' LearningRateScheduler."""

    def __init__(self, optimiser: torch.optim.Optimizer, rate: Callable[[float, int], float]) -> None:
        super().__init__(optimiser)
        self.rate, self.epoch = rate, 0
        self.first = [float(group["lr"]) for group in optimiser.param_groups]
        self.apply()

    def apply(self) -> None:
        for group, first in zip(self.optimiser.param_groups, self.first, strict=True):
            group["lr"] = self.rate(first, self.epoch)

    def epoch_end(self, metrics: Mapping[str, float]) -> None:
        self.epoch += 1
        self.apply()

    def state_dict(self) -> dict[str, Any]:
        return {"first": self.first, "epoch": self.epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.first, self.epoch = list(state["first"]), state["epoch"]
        self.apply()


class TimeDecay(Schedule):
    """Keras' legacy ``decay``: step k, counted from 0, has the rate first / (1 + decay k).

    TensorFlow 2.0-2.10, ``OptimizerV2._decayed_lr``: k is the number of updates made before this one.
    """

    def __init__(self, optimiser: torch.optim.Optimizer, *, decay: float) -> None:
        super().__init__(optimiser)
        require(decay >= 0, "time", "decay must not be negative")
        self.decay, self.done, self.epoch_began = decay, 0, 0
        self.first = [float(group["lr"]) for group in optimiser.param_groups]

    def at(self, step: int) -> list[float]:
        return [first / (1 + self.decay * step) for first in self.first]

    def apply(self, step: int) -> None:
        for group, rate in zip(self.optimiser.param_groups, self.at(step), strict=True):
            group["lr"] = rate

    def step_begin(self, step: int) -> None:
        self.done = step + 1
        self.apply(step)

    def epoch_end(self, metrics: Mapping[str, float]) -> None:
        self.epoch_began = self.done
        self.apply(self.done)

    def epoch_rate(self) -> float:
        return self.at(self.epoch_began)[0]

    def state_dict(self) -> dict[str, Any]:
        return {"first": self.first, "done": self.done, "epoch_began": self.epoch_began}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.first, self.done, self.epoch_began = list(state["first"]), state["done"], state["epoch_began"]
        self.apply(self.done)


def from_table(optimiser: torch.optim.Optimizer, *, until: Iterable[int], rates: Iterable[float]) -> Schedule:
    """``rates[i]`` up to and including epoch ``until[i]``, counted from 0; the last rate after that.

    Wang & Zhang, Table 1, starts its first column at epoch 0: 0-80, 81-120, 121-160, 161-180, >180. Those are
    81, 40, 40, 20 and 19 of 200 epochs, and to the digit the schedule of Keras' ``examples/cifar10_resnet.py``
    (``epoch > 80``, ... with epochs from 0). Counting from 1 would be ``until`` less one.
    """
    until, rates = list(until), list(rates)
    require(len(rates) == len(until) + 1, "table", "there must be one rate more than epochs in until")
    rising = all(a < b for a, b in zip([-1, *until], until, strict=False))
    require(rising, "table", "until must hold rising epochs from 0 on")
    require(all(rate > 0 for rate in rates), "table", "rates must be positive")
    same = all(float(group["lr"]) == rates[0] for group in optimiser.param_groups)
    require(same, "table", "the first of rates must be the optimiser's lr")
    return ByEpoch(optimiser, lambda first, epoch: rates[bisect_left(until, epoch)])


def step_decay(optimiser: torch.optim.Optimizer, *, every: int, factor: float) -> Schedule:
    """The first rate times ``factor`` to the number of whole ``every`` epochs that are over."""
    require(isinstance(every, int) and every >= 1, "step", "every must be an integer from 1 on")
    require(0 < factor <= 1, "step", "factor must lie between 0 and 1")
    return ByEpoch(optimiser, lambda first, epoch: first * factor ** (epoch // every))


def cosine(optimiser: torch.optim.Optimizer, *, epochs: int, warmup: int = 0) -> Schedule:
    """Half a cosine from the first rate down over ``epochs``, after ``warmup`` of them that rise to it linearly.

    Loshchilov & Hutter, "SGDR", ICLR 2017, Eq. 5 without restarts, once an epoch.
    """
    require(isinstance(epochs, int) and epochs >= 1, "cosine", "epochs must be an integer from 1 on")
    require(isinstance(warmup, int) and 0 <= warmup < epochs, "cosine", "warmup must be below epochs")

    def rate(first: float, epoch: int) -> float:
        if epoch < warmup:
            return first * (epoch + 1) / (warmup + 1)
        done = min(1.0, (epoch - warmup) / (epochs - warmup))
        return first * (1 + math.cos(math.pi * done)) / 2

    return ByEpoch(optimiser, rate)


# name -> (what builds it, keys that must be there, keys that may be)
SCHEDULES: dict[str, tuple[Callable[..., Schedule], set[str], set[str]]] = {
    "constant": (Schedule, set(), set()),
    "plateau": (Plateau, {"factor", "patience", "min_delta"}, {"monitor", "min_lr"}),
    "table": (from_table, {"until", "rates"}, set()),
    "time": (TimeDecay, {"decay"}, set()),
    "step": (step_decay, {"every", "factor"}, set()),
    "cosine": (cosine, {"epochs"}, {"warmup"}),
}


def build_schedule(spec: Mapping[str, Any], optimiser: torch.optim.Optimizer) -> Schedule:
    """The schedule of ``spec`` over the rates that ``optimiser`` has now.

    ``constant``; ``plateau`` with factor, patience (epochs), min_delta and, where given, monitor
    (``val_accuracy`` or ``val_loss``) and min_lr; ``table`` with until (epochs) and rates; ``time`` with
    decay (per step); ``step`` with every (epochs) and factor; ``cosine`` with epochs and, where given, warmup.
    Raises FerlibError for an unknown name, a missing or unknown key, or a value that makes no sense.
    """
    name, options = options_of(spec, "schedule", {k: v[1:] for k, v in SCHEDULES.items()})
    try:
        return SCHEDULES[name][0](optimiser, **options)
    except (TypeError, ValueError) as error:
        raise FerlibError(f"schedule {name!r}: {error}; put the row's schedule right") from None


def options_of(
    spec: Mapping[str, Any], what: str, known: Mapping[str, tuple[set[str], set[str]]]
) -> tuple[str, dict[str, Any]]:
    """Name and options of ``spec``; FerlibError where they are not those of one of ``known``."""
    options = dict(spec)
    name = options.pop("name", None)
    if not isinstance(name, str) or name not in known:
        raise FerlibError(f"unknown {what} {name!r}; known are {', '.join(known)}")
    required, optional = known[name]
    if missing := required - set(options):
        raise FerlibError(f"{what} {name!r} needs {', '.join(sorted(missing))}")
    if unknown := set(options) - required - optional:
        allowed = ", ".join(sorted(required | optional)) or "nothing"
        raise FerlibError(
            f"{what} {name!r} does not know {', '.join(sorted(map(str, unknown)))}; it takes {allowed}"
        )
    return name, options


def require(holds: bool, name: str, message: str) -> None:
    if not holds:
        raise FerlibError(f"schedule {name!r}: {message}")
