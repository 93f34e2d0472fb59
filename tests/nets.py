"""What the tests of every paper's network ask of it."""

from __future__ import annotations

import torch
from torch import nn


def without_gradient(make, x, check, starts=8):
    """Parameters that no one of several starts gives a gradient: units behind a ReLU may start dead in one.

    ``make()`` builds the network anew, ``check(logits, out)`` looks at what it returns for ``x`` (4, C, H, W).
    """
    reached, names = set(), {"none yet"}
    for seed in range(starts):
        if names == reached:
            break
        torch.manual_seed(seed)
        model = make()
        logits, out = model(x)
        check(logits, out)
        nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 3])).backward()
        names = {n for n, _ in model.named_parameters()}
        reached |= {n for n, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    return names - reached


def overfitted(model, x, steps, rate=1e-3, enough=0.0, **adam):
    """Whether some steps of Adam learn a batch by heart: its labels run through the seven classes.

    By heart: all of them right, or where dropout and the like stay on, a loss under ``enough`` at some step.
    """
    y = torch.arange(len(x)) % 7
    optimiser = torch.optim.Adam(model.parameters(), rate, **adam)
    for _ in range(steps):
        loss = nn.functional.cross_entropy(model(x)[0], y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if loss < enough:
            return True
    return not enough and bool((model(x)[0].argmax(1) == y).all())


def assert_gates(maps, shapes):
    """Attention maps of these names and shapes, all in the open unit interval."""
    assert {name: tuple(each.shape) for name, each in maps.items()} == shapes
    assert all(((each > 0) & (each < 1)).all() for each in maps.values())
