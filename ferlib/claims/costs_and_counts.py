"""Statements that need no run: what networks cost, and what the makers of a dataset count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch

from ferlib.claims import Fact
from ferlib.cost import channels_of
from ferlib.cost import multiply_adds as adds_of
from ferlib.data.dataset import book_name
from ferlib.experiments import EXPERIMENTS, Experiment
from ferlib.models import build, count_parameters

Counts = Mapping[str, int]


def unbalanced(counts: Counts, factor: float) -> Fact:
    """The largest class has at least ``factor`` times the images of the smallest."""
    most, least = max(counts, key=lambda c: counts[c]), min(counts, key=lambda c: counts[c])
    held = counts[most] >= factor * counts[least]
    return lambda: (held, f"{most} {counts[most]:,}, {least} {counts[least]:,}")


def rarest(counts: Counts, *names: str) -> Fact:
    """``names`` are the classes with the fewest images."""
    ranked = sorted(counts, key=lambda c: counts[c])[: len(names)]
    return lambda: (set(ranked) == set(names), ", ".join(f"{book_name(c)} ({counts[c]:,})" for c in ranked))


def more_than(counts: Counts, name: str, number: int) -> Fact:
    """There are more than ``number`` images of ``name``."""
    return lambda: (counts[name] > number, f"{counts[name]:,}")


def fewer_than_most(counts: Counts, name: str) -> Fact:
    """More classes have more images than ``name`` than have fewer; None where as many have more as fewer."""
    more = sum(n > counts[name] for n in counts.values())
    fewer = sum(n < counts[name] for n in counts.values())
    held = None if more == fewer else more > fewer
    return lambda: (held, f"{counts[name]:,} images: {more} classes have more, {fewer} fewer")


def classes_of(row: Experiment) -> int:
    """Classes of a row's network: eight where FERPlus keeps contempt."""
    return 8 if row.dataset == "ferplus" and row.dataset_options.get("classes", 8) == 8 else 7


def channels_in(row: Experiment) -> int:
    """Of the network's first convolution: three where it starts from ImageNet's weights and repeats a grey image."""
    return 3 if row.model == "gcca_vgg" and row.variant.get("pretrained") else channels_of(row)


@cache
def parameters(row: str) -> int:
    """Trainable parameters of a row's network, counted without allocating or downloading weights."""
    e = EXPERIMENTS[row]
    variant = {k: v for k, v in e.variant.items() if k != "pretrained"}
    with torch.device("meta"):
        model = build(e.model, classes=classes_of(e), channels=channels_in(e), size=e.size, **variant)
    return count_parameters(model)


@cache
def multiply_adds(row: str) -> int:
    """Multiply-adds for an image in the network of a row, at its input size."""
    e = EXPERIMENTS[row]
    return adds_of(e.model, e.variant, channels_in(e), e.size, classes_of(e))


def cheaper(row: str, other: str) -> Fact:
    """The network of ``row`` takes fewer multiply-adds for an image than that of ``other``."""

    def test() -> tuple[bool, str]:
        own, theirs = multiply_adds(row), multiply_adds(other)
        return own < theirs, f"{own / 1e9:.2f} against {theirs / 1e9:.2f} G multiply-adds"

    return test


def hardly_dearer(row: str, other: str, percent: float) -> Fact:
    """An image takes at most ``percent`` more multiply-adds in the network of ``row`` than in that of ``other``."""

    def test() -> tuple[bool, str]:
        more = 100 * (multiply_adds(row) / multiply_adds(other) - 1)
        return more <= percent, f"{more:+.2f} % multiply-adds"

    return test


def above(row: str, other: str, **options: Any) -> tuple[float, float]:
    """By how many percent ``row``, with some options changed, has more parameters and multiply-adds than ``other``."""
    e = EXPERIMENTS[row]
    variant = {k: v for k, v in e.variant.items() if k != "pretrained"} | options
    with torch.device("meta"):
        model = build(e.model, classes=classes_of(e), channels=channels_in(e), size=e.size, **variant)
    adds = adds_of(e.model, variant, channels_in(e), e.size, classes_of(e))
    return 100 * (count_parameters(model) / parameters(other) - 1), 100 * (adds / multiply_adds(other) - 1)


def told(size: float, work: float) -> str:
    return f"{size:+.2f} % parameters, {work:+.2f} % multiply-adds"


def hardly_larger_and_dearer(row: str, other: str, percent: float) -> Fact:
    """Neither parameters nor multiply-adds of ``row`` are more than ``percent`` above those of ``other``."""

    def test() -> tuple[bool, str]:
        more = above(row, other)
        return max(more) <= percent, told(*more)

    return test


def hardly_larger_for_any(row: str, other: str, percent: float, option: str, values: Sequence[Any]) -> Fact:
    """`hardly_larger_and_dearer` for each of ``values`` of an open option of ``row``; None where it hangs on it."""

    def test() -> tuple[bool | None, str]:
        more = {value: above(row, other, **{option: value}) for value in values}
        held = {max(one) <= percent for one in more.values()}
        text = "; ".join(f"{value}: {told(*one)}" for value, one in more.items())
        return held.pop() if len(held) == 1 else None, f"by {option}, {text}"

    return test


def no_more_parameters(row: str, *others: str) -> Fact:
    """The network of ``row`` has no more parameters than any of ``others``."""

    def test() -> tuple[bool, str]:
        own, *theirs = (parameters(name) for name in (row, *others))
        against = ", ".join(f"{count / 1e6:.2f}" for count in theirs)
        return all(own <= count for count in theirs), f"{own / 1e6:.2f} M against {against}"

    return test
