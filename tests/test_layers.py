"""Layers that compute what torch's own compute."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ferlib.models.layers import Dropout, Linear, global_average, global_maximum


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_global_pooling_equals_torchs_with_its_gradients(layout):
    x = torch.randn(3, 5, 4, 6, dtype=torch.float64).contiguous(memory_format=layout)
    for ours, theirs in (
        (global_average, lambda x: x.mean((2, 3))),
        (global_maximum, lambda x: x.amax((2, 3))),
    ):
        gradients = []
        for function in (ours, theirs):
            leaf = x.clone().requires_grad_()
            (function(leaf) * torch.arange(5)).sum().backward()
            gradients.append(leaf.grad)
        assert torch.equal(ours(x), theirs(x))
        torch.testing.assert_close(*gradients)


def test_global_average_gradient():
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(global_average, (x,))


@pytest.mark.parametrize("p", [0.0, 0.25, 0.5, 0.1])
@pytest.mark.parametrize("shape", [(64, 1024), (16, 8, 9, 7), (3, 5)])
def test_dropout_is_torchs_in_distribution(p, shape):
    torch.manual_seed(0)
    x = torch.rand(shape) + 1
    if x.ndim == 4:
        x = x.contiguous(memory_format=torch.channels_last)
    layer = Dropout(p)
    y = torch.stack([layer(x) for _ in range(200)])
    kept = y != 0
    n = kept[0].numel() * 200
    assert abs(kept.float().mean() - (1 - p)) < 4 * (p * (1 - p) / n) ** 0.5 + 1e-9
    torch.testing.assert_close(y[kept], (x / (1 - p)).expand_as(y)[kept])
    # each place has its own draws: no byte of the 64-bit draws is special
    places = kept.float().mean(0)
    assert (places - (1 - p)).abs().max() < 6 * (p * (1 - p) / 200) ** 0.5 + 1e-6
    assert layer(x).stride() == x.stride()
    assert layer.eval()(x) is x


def test_dropout_masks_its_gradient_and_follows_the_seed():
    layer, x = Dropout(0.5), torch.ones(4, 3, 5, 5, requires_grad=True)
    torch.manual_seed(1)
    y = layer(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())
    torch.manual_seed(1)
    assert torch.equal(layer(x), y)
    assert not torch.equal(layer(x), y)


def test_dropout_neighbours_are_independent():
    torch.manual_seed(0)
    kept = (Dropout(0.5)(torch.ones(2**18)) != 0).float()
    for lag in (1, 7, 8, 64):
        correlation = torch.corrcoef(torch.stack([kept[:-lag], kept[lag:]]))[0, 1]
        assert abs(correlation) < 5 / kept.numel() ** 0.5


@pytest.mark.parametrize("p", [-0.1, 1.0])
def test_bad_dropout(p):
    with pytest.raises(ValueError, match="at least 0 and below 1"):
        Dropout(p)


def test_logits_are_float32_under_autocast():
    x = torch.randn(4, 16)
    plain, ours = nn.Linear(16, 3), Linear(16, 3)
    ours.load_state_dict(plain.state_dict())
    with torch.autocast("cpu", torch.bfloat16):
        y = ours(x.bfloat16())
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, plain(x.bfloat16().float()))
