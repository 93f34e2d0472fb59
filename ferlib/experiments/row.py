"""What one row of the experiments holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Published:
    """One number as printed: ``value`` in percent (accuracies) or plain (losses), ``where`` in the paper."""

    quantity: str
    value: float
    where: str


@dataclass(frozen=True)
class Experiment:
    """One training configuration. ``table``, ``row`` and ``column`` say which cell it answers.

    ``loss``, ``optimiser``, ``schedule`` and ``augmentation`` are read by `ferlib.losses.build_loss`,
    `ferlib.schedules` and `ferlib.augment.augment`, ``preprocess`` and ``balance`` by `ferlib.pixels`.
    """

    id: str
    paper: str
    table: str
    row: str
    column: str
    published: tuple[Published, ...]
    dataset: str
    dataset_options: Mapping[str, Any]
    model: str
    variant: Mapping[str, Any]
    loss: str
    optimiser: Mapping[str, Any]
    schedule: Mapping[str, Any]
    early_stopping: int | None  # epochs without a better validation accuracy; None: never
    epochs: int
    batch: int
    augmentation: Mapping[str, Any]
    size: int
    seeds: tuple[int, ...]
    pretrained: str | None = None  # published weights to start from, see `ferlib.models.start.from_published`
    loss_options: Mapping[str, Any] = field(default_factory=dict)
    preprocess: Mapping[str, Any] = field(default_factory=dict)  # beyond pixels in [0, 1]
    balance: Mapping[str, Any] = field(default_factory=dict)  # against unequal numbers of images per class
    recipe: Mapping[str, Any] = field(default_factory=dict)  # what no paper has, see `ferlib.recipe`
    assumed: Mapping[str, str] = field(default_factory=dict)
    deviations: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The row as plain JSON-able data."""
        row = asdict(self)
        row["seeds"] = list(self.seeds)
        row["deviations"] = list(self.deviations)
        row["published"] = [asdict(p) for p in self.published]
        return row


ADDED = ("loss_options", "preprocess", "balance", "recipe")  # entries that the first records lack


def settings_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """What decides a run among the entries of a row's ``to_dict``: all but what the paper printed and our notes."""
    notes = ("published", "assumed", "deviations", "seeds")
    return {k: v for k, v in row.items() if k not in notes and (v or k not in ADDED)}
