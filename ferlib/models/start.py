"""Other starts than random weights.

Whether networks that begin from ImageNet's weights fetch them: not where other weights follow, or none matter.
And a start from weights that the book publishes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from safetensors.torch import load_file
from torch import nn

from ferlib.errors import FerlibError

PUBLISHED = Path(__file__).parents[1] / "weights"
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


def from_published(model: nn.Module, name: str, folder: Path = PUBLISHED) -> None:
    """Start from the weights ``name`` that the book publishes, all but the classifier's: its classes are others.

    FerlibError where there are no such weights, where they are not those of their card, or where they are another
    network's.
    """
    path = folder / f"{name}.safetensors"
    if not path.is_file():
        raise FerlibError(f"no published weights {name!r} in {folder}")
    card = json.loads(path.with_suffix(".json").read_text(encoding="utf8"))
    if hashlib.sha256(path.read_bytes()).hexdigest() != card["weights_sha256"]:
        raise FerlibError(f"{path} is damaged: its checksum is not that of its card; get it anew")
    theirs = {key: value for key, value in load_file(path).items() if not key.startswith("classifier.")}
    ours = {key: value for key, value in model.state_dict().items() if not key.startswith("classifier.")}
    if {key: value.shape for key, value in theirs.items()} != {k: v.shape for k, v in ours.items()}:
        raise FerlibError(f"{path.name} holds the weights of another network than {type(model).__name__}")
    model.load_state_dict(theirs, strict=False)
