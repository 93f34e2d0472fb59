"""Tables of the chapters, made from experiment rows and records; nothing in them is typed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from ferlib import records
from ferlib.evaluate import mcnemar_exact, paired_bootstrap, wilson
from ferlib.experiments import EXPERIMENTS, Experiment

READINGS = {
    "val_selected": "test, epoch chosen on validation",
    "paper_style": "test, best test epoch",
    "merged": "validation and test, best epoch on both",
}


def percent(fraction: float, digits: int = 2) -> str:
    return f"{100 * fraction:.{digits}f}"


def with_interval(result: dict[str, Any]) -> str:
    """Accuracy in percent with its Wilson 95 % interval over the test images."""
    low, high = wilson(round(result["accuracy"] * result["n"]), result["n"])
    return f"{percent(result['accuracy'])} [{percent(low, 1)}, {percent(high, 1)}]"


def evidence_label(parts: list[dict[str, Any]]) -> str:
    """How strong the runs behind a row are: profile, number of seeds, epochs."""
    if not parts:
        return "not run yet"
    profiles = sorted({p["profile"] for p in parts}, key=records.PROFILES.index)
    epochs = sorted({p["epochs_run"] for p in parts})
    seeds = f"{len(parts)} seed{'s' if len(parts) > 1 else ''}"
    return (
        f"{' and '.join(profiles)}, {seeds}, {'–'.join(map(str, epochs[:: max(len(epochs) - 1, 1)]))} epochs"
    )


def parts_of(results: Path | str, identifier: str) -> list[dict[str, Any]]:
    """Reproducible parts of one experiment's records by seed: on its own dataset, and no smoke runs."""
    found = (r["reproducible"] for r in records.load_all(results, identifier))
    return [
        p for p in found if p["data"]["name"] == EXPERIMENTS[identifier].dataset and p["profile"] != "smoke"
    ]


def published(row: Experiment, quantity: str) -> str:
    """What the paper prints for a quantity, every place that differs."""
    found = {p.value: p.where for p in row.published if p.quantity == quantity}
    return " / ".join(
        f"{value:g} ({where})" if len(found) > 1 else f"{value:g}" for value, where in found.items()
    )


def unseen_cell(parts: list[dict[str, Any]]) -> str:
    """Accuracy (epoch chosen on validation) over the test images that the training part does not also hold."""
    results = [p["result"]["val_selected"]["unseen"] for p in parts]
    if len(results) == 1:
        return with_interval(results[0])
    return f"{np.mean([100 * r['accuracy'] for r in results]):.2f}" if results else "–"


def accuracy_cell(parts: list[dict[str, Any]], reading: str) -> str:
    """One run: accuracy with its Wilson interval. Several: mean, standard deviation and range over seeds."""
    if not parts:
        return "–"
    if len(parts) == 1:
        return with_interval(parts[0]["result"][reading])
    values = 100 * np.array([p["result"][reading]["accuracy"] for p in parts])
    return f"{values.mean():.2f} ± {values.std(ddof=1):.2f} ({values.min():.2f}–{values.max():.2f})"


def against_paper(paper: str, results: Path | str) -> pd.DataFrame:
    """Published test accuracy (%) beside ours under each reading, one line per experiment of the paper."""
    lines = []
    for row in EXPERIMENTS.values():
        if row.paper != paper:
            continue
        parts = parts_of(results, row.id)
        line = {
            "experiment": row.id,
            "runs": evidence_label(parts),
            "published": published(row, "test accuracy"),
        }
        for reading, title in READINGS.items():
            # the merged test part has no validation part of its own to be counted with
            meant = reading != "merged" or row.dataset_options.get("protocol") == "official"
            line[title] = accuracy_cell(parts, reading) if meant else ""
        line["test without images seen in training"] = unseen_cell(parts)
        lines.append(line)
    return pd.DataFrame(lines)


def loss_and_training(row: Experiment, part: dict[str, Any] | None) -> pd.DataFrame:
    """Every quantity that Luo's Table 1 prints, published and ours, for one row."""
    ours: dict[str, tuple[float, float]] = {}
    if part:
        best, last = part["result"]["val_selected"], part["history"][part["best_epoch"]]
        ours = {
            "training loss": (last["train_loss"], best["train"]["loss"]),
            "training accuracy": (100 * last["train_accuracy"], 100 * best["train"]["accuracy"]),
            "test loss": (best["loss"], best["loss"]),
            "test accuracy": (100 * best["accuracy"], 100 * best["accuracy"]),
        }
    lines = []
    for quantity in dict.fromkeys(p.quantity for p in row.published):
        values = ours.get(quantity)
        digits = 2 if "accuracy" in quantity else 4
        lines.append(
            {
                "model": row.row,
                "quantity": quantity,
                "published": published(row, quantity),
                "ours, as met in training": f"{values[0]:.{digits}f}" if values else "–",
                "ours, evaluated": f"{values[1]:.{digits}f}" if values else "–",
            }
        )
    return pd.DataFrame(lines)


def paired(results: Path | str, first: str, second: str, reading: str = "val_selected") -> pd.DataFrame:
    """Same test images, two models, seed by seed: difference in points with its interval, and McNemar's p."""
    lines = []
    paths = [records.path_of(results, first, seed) for seed in EXPERIMENTS[first].seeds]
    for path in paths:
        other = records.path_of(results, second, int(path.stem.removeprefix("seed")))
        if not (path.exists() and other.exists()):
            continue
        a, b = (correct(p, reading) for p in (path, other))
        if len(a) != len(b):
            continue
        estimate, low, high = paired_bootstrap(a, b)
        test = mcnemar_exact(a, b)
        lines.append(
            {
                "seed": path.stem.removeprefix("seed"),
                "test images": f"{len(a):,}",
                "difference (points)": f"{100 * estimate:+.2f}",
                "95 % interval": f"{100 * low:+.2f} to {100 * high:+.2f}",
                f"only {first} right": int(test["only_a"]),
                f"only {second} right": int(test["only_b"]),
                "McNemar p": f"{test['p']:.2g}",
            }
        )
    return pd.DataFrame(lines)


def correct(path: Path, reading: str) -> np.ndarray:
    """Which test images (N,) the recorded predictions get right; ``merged`` spans validation and test images."""
    arrays = records.read_predictions(path)
    parts = ("val", "test") if reading == "merged" else ("test",)
    hits = [arrays[f"{reading}_{p}_logits"].argmax(1) == arrays[f"{p}_labels"] for p in parts]
    return np.concatenate(hits)


def assumptions(row: Experiment) -> pd.DataFrame:
    """What the paper leaves open and what this row takes for it."""
    return pd.DataFrame([{"choice": k, "taken, and why": v} for k, v in row.assumed.items()])


def deviations(paper: str) -> pd.DataFrame:
    """What the rows of a paper do otherwise than the paper says, and which rows."""
    found: dict[str, list[str]] = {}
    for row in EXPERIMENTS.values():
        if row.paper == paper:
            for text in row.deviations:
                found.setdefault(text, []).append(row.id)
    return pd.DataFrame([{"deviation": text, "rows": ", ".join(ids)} for text, ids in found.items()])


def layers(model: nn.Module, size: int = 48, channels: int = 1) -> pd.DataFrame:
    """Layers in order of execution: output shape, parameters and multiply-adds for one image."""
    lines: list[dict[str, Any]] = []
    names = {module: name for name, module in model.named_modules()}

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        if not isinstance(output, torch.Tensor):
            return
        work = 0
        if isinstance(module, nn.Conv2d):
            work = module.weight.numel() * output.shape[-1] * output.shape[-2]
        elif isinstance(module, nn.Linear):
            work = module.weight.numel()
        lines.append(
            {
                "layer": names[module],
                "type": type(module).__name__,
                "output": " × ".join(map(str, output.shape[1:])),
                "parameters": sum(p.numel() for p in module.parameters()),
                "multiply-adds": work,
            }
        )

    leaves = [m for m in model.modules() if not list(m.children()) and not isinstance(m, nn.Identity)]
    hooks = [m.register_forward_hook(note) for m in leaves]
    was_training = model.training
    with torch.inference_mode():
        model.eval()(torch.zeros(1, channels, size, size))
    model.train(was_training)
    for hook in hooks:
        hook.remove()
    return pd.DataFrame(lines)


def variants(paper: str, classes: int = 7) -> pd.DataFrame:
    """Parameters and multiply-adds (one image) of each different network among the rows of a paper."""
    from ferlib.models import build, count_parameters

    lines: dict[str, dict[str, Any]] = {}
    for row in EXPERIMENTS.values():
        if row.paper == paper:
            name = ", ".join(f"{k}={v}" for k, v in row.variant.items())
            if name in lines:
                continue
            model = build(row.model, classes=classes, size=row.size, **row.variant)
            lines[name] = {
                "variant": name,
                "parameters": count_parameters(model),
                "multiply-adds (million)": f"{layers(model, row.size)['multiply-adds'].sum() / 1e6:.1f}",
            }
    return pd.DataFrame(lines.values())
