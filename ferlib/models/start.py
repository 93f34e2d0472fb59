"""Whether networks that begin from ImageNet's weights fetch them: not where other weights follow, or none matter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_FETCHED: ContextVar[bool] = ContextVar("fetched", default=True)


def fetched() -> bool:
    """Whether ``pretrained=True`` brings the weights, and not just the network that takes them."""
    return _FETCHED.get()


@contextmanager
def at_random() -> Iterator[None]:
    """Within it networks are built with random weights; ``pretrained`` only decides how they take pixels."""
    token = _FETCHED.set(False)
    try:
        yield
    finally:
        _FETCHED.reset(token)
