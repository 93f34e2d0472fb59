"""Whether a map shows what the network uses and what it has learnt: removed pixels, randomised weights."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor, nn

from ferlib.explain import batches
from ferlib.pixels import Pixels
from ferlib.recipe import settle
from ferlib.stages import STAGES, evaluating, label

STEPS = 12  # between no pixel and all pixels removed


# ---------------------------------------------------------------------------------------------------------
# What happens to the prediction when pixels go
# ---------------------------------------------------------------------------------------------------------


class Removal(NamedTuple):
    """Probability of the class (N, S) with the first of S shares (S,) of the pixels deleted, or inserted."""

    fractions: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray

    def area(self, curve: str) -> np.ndarray:
        """Area (N,) under ``deletion`` (low: the map found what counts) or ``insertion`` (high), in [0, 1]."""
        values = getattr(self, curve)
        return ((values[:, 1:] + values[:, :-1]) / 2) @ np.diff(self.fractions)


def removal(
    model: nn.Module,
    data: Pixels,
    index: np.ndarray,
    maps: np.ndarray,
    reference: Tensor,
    *,
    steps: int = STEPS,
) -> Removal:
    """Deletion and insertion of images ``index`` (N,) of ``data`` in the order of ``maps`` (N, H, W), highest first.

    V. Petsiuk et al., "RISE: Randomized input sampling for explanation of black-box models", BMVC 2018, section 4.1.
    They delete to grey or black and insert into a blurred image. A blurred face of 48 pixels keeps its expression,
    and black patches are like no face: here pixels go over to ``reference`` (1, C, H, W) in [0, 1], the mean face of
    the training images, which has no expression of its own. The probability is that of the true class.
    """
    found: dict[bool, list[np.ndarray]] = {False: [], True: []}
    fractions = np.linspace(0, 1, steps + 1)
    # rank 0 is the highest; equal pixels in an order drawn at random, not from the upper left
    noise = np.random.default_rng(0).random(maps.shape[1:])
    ranks = np.stack([np.lexsort((noise.ravel(), -one.ravel())).argsort() for one in maps])
    place = torch.from_numpy(ranks.reshape(maps.shape) / ranks.shape[1])[:, None].to(reference.device)
    pixels, targets = data.batch(torch.from_numpy(index).to(reference.device))
    with evaluating(model), torch.no_grad():
        for fraction in fractions:
            for keep, curve in found.items():
                first = place < fraction
                shown = torch.where(first if keep else ~first, pixels, reference)
                curve.append(_probability(model, data, shown, targets))
    return Removal(fractions, np.stack(found[False], 1), np.stack(found[True], 1))


def _probability(model: nn.Module, data: Pixels, pixels: Tensor, targets: Tensor) -> np.ndarray:
    found = []
    for part in batches(len(pixels), pixels.shape[-1]):
        logits = model(data.finish(pixels[part]))[0].float()
        found.append(logits.softmax(1).gather(1, targets[part, None])[:, 0].double().cpu().numpy())
    return np.concatenate(found)


# ---------------------------------------------------------------------------------------------------------
# Does the map depend on what was learnt?
# ---------------------------------------------------------------------------------------------------------


def parts(model: nn.Module, images: Tensor) -> list[str]:
    """The network's parts that hold parameters (its stages, what comes before and after), the last one first."""
    order: list[str] = []
    names = {m: part_of(path) for path, m in model.named_modules()}
    own = [m for m in names if any(True for _ in m.parameters(recurse=False))]
    hooks = [m.register_forward_hook(lambda module, _i, _o: order.append(names[module])) for m in own]
    try:
        with evaluating(model), torch.no_grad():
            model(images[:1])
    finally:
        for hook in hooks:
            hook.remove()
    last = {name: i for i, name in enumerate(order)}
    return sorted(last, key=lambda name: -last[name])


def part_of(path: str) -> str:
    """The stage that a module's path belongs to, else the first name of the path."""
    names = path.split(".")
    inside = (".".join(names[: k + 1]) for k in range(len(names)))
    return next((label(stage) for stage in inside if STAGES.fullmatch(stage)), names[0])


def cascade(model: nn.Module, fresh: nn.Module, images: Tensor) -> Iterator[tuple[str, nn.Module]]:
    """The network with its parts made ``fresh``, one after another from the top: (name of the part, network).

    J. Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018, section 3. The batch normalisations of the
    parts made random so far take their statistics anew from ``images`` at each step: with those of their first
    initialisation, deep random networks put out next to nothing. The others still see what they saw in training.
    """
    net = copy.deepcopy(model)
    new = fresh.state_dict()
    done: set[str] = set()
    for name in parts(model, images):
        own = {key: value for key, value in new.items() if part_of(key.rpartition(".")[0]) == name}
        net.load_state_dict(own, strict=False)
        done.add(name)
        recalibrate(net, images, done)
        yield name, net


def recalibrate(model: nn.Module, images: Tensor, within: Collection[str]) -> None:
    """`ferlib.recipe.settle` of the batch normalisations in the parts ``within``, in place."""
    settle(model, images, [m for path, m in model.named_modules() if part_of(path) in within])


def rank_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Spearman's correlation (N,) of maps (N, h, w) cell by cell; NaN where one of the two is the same everywhere."""
    a, b = (rankdata(m.reshape(len(m), -1), axis=1) for m in (first, second))
    a, b = (r - r.mean(1, keepdims=True) for r in (a, b))
    scale = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return np.divide((a * b).sum(1), scale, out=np.full(len(a), np.nan), where=scale > 0)
