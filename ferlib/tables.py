"""Tables of the chapters, made from experiment rows and records; nothing in them is typed."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from ferlib import evaluate, records, wording
from ferlib.data.dataset import book_name
from ferlib.evaluate import scatter_ratio, worth
from ferlib.experiments import EXPERIMENTS, Experiment, settings_of

READINGS = {
    "val_selected": "test, epoch chosen on validation",
    "paper_style": "test, best test epoch",
    "merged": "validation and test, best epoch on both",
}


def percent(fraction: float, digits: int = 2) -> str:
    return f"{100 * fraction:.{digits}f}"


def with_interval(result: dict[str, Any]) -> str:
    """Accuracy in percent with its 95 % interval (`bounds`), and the number of test images."""
    low, high = bounds(result["accuracy"], result)
    return f"{percent(result['accuracy'])} [{percent(low, 1)}, {percent(high, 1)}], n = {result['n']:,}"


def images_of(*results: Mapping[str, Any]) -> str:
    """The number of test images, and on CK+ as how many independent ones they count, in the mean over seeds."""
    n, worth_of = results[0]["n"], round(float(np.mean(independent(results))))
    return f"{n:,} test images" + (f", worth {worth_of:,} independent ones" if worth_of < n else "")


def bounds(rate: float, *results: Mapping[str, Any]) -> tuple[float, float]:
    """Wilson's 95 % bounds (fractions) of ``rate`` over as many images as the test images of ``results`` are worth.

    In the mean over these, the results of the seeds: `ferlib.evaluate.accuracy_interval`, from records alone.
    """
    return evaluate.bounds(rate, independent(results))


def independent(results: Sequence[Mapping[str, Any]]) -> list[int]:
    """As how many independent images the test images of each result count: `ferlib.evaluate.worth`."""
    return [result.get("worth", result["n"]) for result in results]


def evidence_label(parts: list[dict[str, Any]]) -> str:
    """How strong the runs behind a row are: profile, number of seeds, epochs, training images where fewer."""
    if not parts:
        return "not run yet"
    profiles = sorted({p["profile"] for p in parts}, key=records.PROFILES.index)
    epochs = sorted({p["epochs_run"] for p in parts})
    seeds = f"{len(parts)} seed{'s' if len(parts) > 1 else ''}"
    fewer = listed_images(parts)
    return f"{' and '.join(profiles)}, {seeds}, {'–'.join(map(str, epochs[:: max(len(epochs) - 1, 1)]))} epochs{fewer}"


def listed_images(parts: list[dict[str, Any]]) -> str:
    """The numbers of training images of runs that had fewer than there are, with a comma before them, or nothing."""
    images = {p["experiment"]["dataset_options"].get("train_images") for p in parts} - {None}
    return f", {' and '.join(f'{n:,}' for n in sorted(images))} training images" if images else ""


def counts_for_tables(part: dict[str, Any]) -> bool:
    """Whether a record may stand in a table of results: no smoke run, and of the row as it is defined today."""
    row = EXPERIMENTS[part["experiment"]["id"]]
    wanted = json.loads(records.canonical(settings_of(row.to_dict())))
    ours = settings_of(part["experiment"])
    ours["dataset_options"] = {k: v for k, v in ours["dataset_options"].items() if k != "train_images"}
    # a setting that was changed on purpose is named in ``changed``; fewer epochs or images leave the row as it is
    as_it_is = ("epochs: ", "data: ", "training images: ")
    same = any(not text.startswith(as_it_is) for text in part["changed"]) or ours == wanted
    return same and part["profile"] != "smoke" and part["data"]["name"] == row.dataset


def parts_of(results: Path | str, identifier: str) -> list[dict[str, Any]]:
    """Reproducible parts of one experiment's records, by seed, as far as they may stand in a table.

    Classes have the book's names, as in every table and figure; a record has those of its dataset.
    On CK+ each result has an entry ``worth``: as how many independent images its test images count. Seeds of
    other images than the rest, such as of a reader's own copy, are left out with a warning: they have no common mean.
    """
    found = (r["reproducible"] for r in records.load_all(results, identifier))
    parts = of_one_copy([part for part in found if counts_for_tables(part)])
    for part in parts:
        _name_classes(part)
        if part["data"]["name"] == "ckplus":
            path = records.path_of(results, identifier, part["seed"])
            for reading, result in part["result"].items():
                result["worth"] = min(result["n"], _worth(path, part["predictions_sha256"], reading))
    return parts


def _name_classes(part: dict[str, Any]) -> None:
    """`book_name` for every class of a record, in place."""
    part["data"]["classes"] = [book_name(name) for name in part["data"]["classes"]]
    tables = [(part["data"].get("counts", {}), split) for split in part["data"].get("counts", {})]
    tables += [
        (result, "per_class_recall") for result in part["result"].values() if "per_class_recall" in result
    ]
    for holder, key in tables:
        holder[key] = {book_name(name): value for name, value in holder[key].items()}


def of_one_copy(parts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that saw the images which the first full run saw, or the first run where none is full.

    Runs that were given fewer training images are compared with each other.
    """
    first: dict[Any, dict[str, Any]] = {}
    for part in sorted(parts, key=lambda part: part["profile"] != "full"):
        first.setdefault(_cut(part), part)
    same = [p for p in parts if p["data"]["fingerprint"] == first[_cut(p)]["data"]["fingerprint"]]
    if others := [str(part["seed"]) for part in parts if part not in same]:
        warnings.warn(
            f"{parts[0]['experiment']['id']}: seed {', '.join(others)} is of other images than the first full one "
            "and is left out; keep records of your own data in a results folder apart",
            stacklevel=3,
        )
    return same


def _cut(part: Mapping[str, Any]) -> Any:
    return part["experiment"].get("dataset_options", {}).get("train_images")


@cache
def _worth(path: Path, _: str, reading: str) -> int:
    ids, right = correct(path, reading)
    return worth(right, clusters_of(ids, "ckplus"))


def label(part: dict[str, Any]) -> str:
    """The row's name in the paper; with what was reduced where it was."""
    name = part["experiment"]["row"]
    reduced = f"{part['profile']}, {part['epochs_run']} epochs{listed_images([part])}"
    return name if part["profile"] == "full" else f"{name} ({reduced})"


def published(row: Experiment, quantity: str) -> str:
    """What the paper prints for a quantity; where its places differ, all of them (table first)."""
    return " / ".join(dict.fromkeys(f"{p.value:g}" for p in row.published if p.quantity == quantity))


def unseen_cell(parts: list[dict[str, Any]]) -> str:
    """Accuracy (epoch chosen on validation) over the test images that the training part does not also hold."""
    results = [p["result"]["val_selected"]["unseen"] for p in parts]
    if len(results) == 1:
        return with_interval(results[0])
    return (
        f"{np.mean([100 * r['accuracy'] for r in results]):.2f}, n = {results[0]['n']:,}" if results else "–"
    )


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
                "model": label(part) if part else row.row,
                "quantity": quantity,
                "published": published(row, quantity),
                "ours, as met in training": f"{values[0]:.{digits}f}" if values else "–",
                "ours, evaluated": f"{values[1]:.{digits}f}" if values else "–",
            }
        )
    return pd.DataFrame(lines)


def shortened_alike(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two runs were shortened in the same way, if at all, so that their difference is not one of training.

    A run that its own early stop ended before the other's cap would have been the same under that cap.
    """
    capped = {one["epochs_run"] for one in (first, second) if one["stopped"].startswith("capped")}
    terms = []
    for one in (first, second):
        own_end = one["stopped"] == "early stopping" and all(one["epochs_run"] <= cap for cap in capped)
        left = [text for text in one["changed"] if not text.startswith("epochs: ")]
        terms.append(
            (sorted(left), None if own_end else [text for text in one["changed"] if text not in left])
        )
    (a, a_epochs), (b, b_epochs) = terms
    return a == b and (a_epochs == b_epochs or None in (a_epochs, b_epochs))


def clusters_of(ids: np.ndarray, dataset: str) -> np.ndarray:
    """What is independent among test images (N,): people on CK+, whose names stand first in an id; else the images."""
    return np.array([str(i).split("_")[0] for i in ids]) if dataset == "ckplus" else ids


def correct(path: Path, reading: str) -> tuple[np.ndarray, np.ndarray]:
    """Ids (N,) of the test images and which of them the recorded predictions get right (N,).

    ``merged`` spans validation and test images.
    """
    arrays = records.read_predictions(path)
    parts = ("val", "test") if reading == "merged" else ("test",)
    hits = [arrays[f"{reading}_{p}_logits"].argmax(1) == arrays[f"{p}_labels"] for p in parts]
    return np.concatenate([arrays[f"{p}_ids"] for p in parts]), np.concatenate(hits)


def scatter(results: Path | str, identifier: str, seed: int) -> float:
    """`scatter_ratio` of the recorded test logits, in the epoch chosen on validation."""
    arrays = records.read_predictions(records.path_of(results, identifier, seed))
    return scatter_ratio(arrays["val_selected_test_logits"], arrays["test_labels"])


def assumptions(row: Experiment) -> pd.DataFrame:
    """What the paper leaves open and what this row takes for it."""
    return pd.DataFrame([{"choice": wording.choice(k), "taken, and why": v} for k, v in row.assumed.items()])


def deviations(paper: str) -> pd.DataFrame:
    """What the rows of a paper do otherwise than the paper says, and which rows."""
    found: dict[str, list[str]] = {}
    for row in EXPERIMENTS.values():
        if row.paper == paper:
            for text in row.deviations:
                found.setdefault(text, []).append(row.id)
    return pd.DataFrame([{"rows": named(ids), "deviation": text} for text, ids in found.items()])


def named(ids: list[str], most: int = 4) -> str:
    """Ids in a cell of a table: all of them where they are few, else how many and the first."""
    return ", ".join(ids) if len(ids) <= most else f"{len(ids)} rows: {', '.join(ids[:2])}, …"


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
