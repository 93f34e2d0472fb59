"""Two small networks trained on synthetic faces, for the page that explains without a kernel.

They are made again with ``python -m ferlib.explorer train`` (minutes on one core). What they see is drawn by
`ferlib.data.synthetic`; they say nothing about real faces.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ferlib import checkpoint, finished, records, weights
from ferlib.engine import Settings
from ferlib.errors import FerlibError
from ferlib.experiments import Experiment

FOLDER = Path(__file__).with_name("explorer_weights")  # not with the published ones: these know no real face
DATA = {
    "n": 4200,
    "seed": 1,
    "difficulty": 1.0,
}  # other people than those that the page shows, which have seed 0


def _row(name: str, title: str, model: str, variant: Mapping[str, Any]) -> Experiment:
    return Experiment(
        id=name,
        paper="none",
        table="none",
        row=title,
        column="synthetic",
        published=(),
        dataset="synthetic",
        dataset_options=DATA,
        model=model,
        variant=variant,
        loss="cross_entropy",
        optimiser={"name": "adam", "lr": 0.002},
        schedule={"name": "cosine", "epochs": 14},
        early_stopping=None,
        epochs=14,
        batch=64,
        augmentation={"shift": 0.08, "hflip": 0.5},
        size=48,
        seeds=(0,),
    )


ROWS = {
    row.id: row
    for row in (
        _row(
            "synthetic-plain",
            "Residual network, no attention",
            "small_resnet",
            {"stem": 16, "widths": (16, 32, 64), "depth": 1},
        ),
        _row(
            "synthetic-msca",
            "MSCA-ResNet at a quarter of its width, channel attention",
            "msca_resnet",
            {"width": 16},
        ),
    )
}


def train(name: str, folder: Path = FOLDER, runs: Path | None = None) -> Path:
    """Train the row ``name`` and write its weights and card (`ferlib.weights`) to ``folder``; returns the card's path.

    ``runs`` keeps checkpoints, from which an interrupted training goes on. FerlibError for an unknown name.
    """
    from ferlib.train import run

    if name not in ROWS:
        raise FerlibError(f"no network {name!r} for synthetic faces; choose one of {', '.join(ROWS)}")
    row = ROWS[name]
    with tempfile.TemporaryDirectory() as scratch:
        runs = runs or Path(scratch)
        settings = Settings(device="cpu", precision="float32", results=Path(scratch), runs=runs)
        record = records.read(run(row, 0, settings))
        data = record["reproducible"]["data"]
        best = checkpoint.folder_of(runs, name, 0) / "best.safetensors"
        model = finished.load_model(row, len(data["classes"]), 1, best)
    facts = {**weights.facts_of(record), "train_images": sum(data["counts"]["train"].values())}
    ready = weights.Ready(name, row, tuple(data["classes"]), 1, False, row.size, model, facts)
    return weights.save(ready, folder)


def demonstrations() -> dict[str, weights.Ready]:
    """The networks of `ROWS` with the weights that the package holds, by name."""
    return {name: weights.read(FOLDER / f"{name}.json") for name in ROWS}
