"""What the house's own rows train with and no paper of this book has.

=========  ==========  ================================================================================
name       value       meaning
=========  ==========  ================================================================================
average    decay       evaluate, and keep, the exponential moving average of the weights over the steps
                       (Polyak & Juditsky 1992; batch normalisation's statistics are averaged too)
targets    "votes"     the annotators' votes as a distribution over classes, for losses that take one
                       (Barsoum et al. 2016, "cross-entropy loss" on the label distribution)
mirror     True        at evaluation, the mean of the probabilities of an image and its mirror image
settle     n           before evaluation, the statistics of batch normalisation taken anew from n training
                       images: for runs so short that a running mean has not left its start
=========  ==========  ================================================================================
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ferlib.errors import FerlibError

KNOWN = ("average", "targets", "mirror", "settle")


def validate(recipe: Mapping[str, Any]) -> None:
    """FerlibError for an unknown name or a value that cannot be."""
    if unknown := set(recipe) - set(KNOWN):
        raise FerlibError(f"recipe does not know {', '.join(sorted(unknown))}; it takes {', '.join(KNOWN)}")
    if not 0 < recipe.get("average", 0.5) < 1:
        raise FerlibError(f"recipe: average must lie between 0 and 1, not {recipe['average']}")
    if recipe.get("targets", "votes") != "votes":
        raise FerlibError(f"recipe: targets can be 'votes', not {recipe['targets']!r}")
    if not (isinstance(recipe.get("settle", 2), int) and recipe.get("settle", 2) > 1):
        raise FerlibError(f"recipe: settle must be a number of images from 2 on, not {recipe['settle']!r}")
    if not isinstance(recipe.get("mirror", True), bool):
        raise FerlibError(f"recipe: mirror must be true or false, not {recipe['mirror']!r}")


def averaged(model: nn.Module, recipe: Mapping[str, Any]) -> AveragedModel | None:
    """The moving average that goes along with ``model``, or None; call its ``update_parameters`` after each step.

    The average starts as a copy of the model, so that the first steps weigh little once 1 / (1 - decay) are done.
    """
    if "average" not in recipe:
        return None
    follow = get_ema_multi_avg_fn(recipe["average"])
    return AveragedModel(model, multi_avg_fn=follow, use_buffers=True)


@torch.no_grad()
def settle(model: nn.Module, x: Tensor, chosen: Collection[nn.Module] | None = None) -> None:
    """Give every batch normalisation of ``model``, or the ``chosen`` ones, the statistics of ``x`` (N, C, H, W).

    Nothing else changes. As torch's `update_bn`, but dropout stays off, so that no random number is drawn.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if chosen is not None:
        norms = [norm for norm in norms if norm in chosen]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    was_training = model.training
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over what comes
        norm.train()
    model(x)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.train(was_training)


def distributions(votes: Any, recipe: Mapping[str, Any], name: str) -> Tensor | None:
    """Votes (N, classes) as distributions, float32 summing to 1, or None; FerlibError where there are no votes."""
    if "targets" not in recipe:
        return None
    if votes is None:
        raise FerlibError(f"{name} has no votes: take ferplus, or leave targets out of the recipe")
    counts = torch.as_tensor(votes, dtype=torch.float32)
    return counts / counts.sum(1, keepdim=True)


def with_mirror(model: nn.Module, x: Tensor) -> Tensor:
    """Logits (N, classes) whose softmax is the mean over each image and its mirror image, float32."""
    both = [model(view)[0].float().log_softmax(1) for view in (x, x.flip(3))]
    return torch.logsumexp(torch.stack(both), 0) - torch.log(torch.tensor(2.0))
