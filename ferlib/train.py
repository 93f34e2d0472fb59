"""Training of one experiment row under one seed, to a record.

Needs torch, numpy, pandas, scipy, scikit-learn, Pillow, safetensors and tqdm: ``python -m ferlib.train ID``
runs where the packages of the command line and of the book are missing.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import importlib
import json
import os
import resource
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from ferlib import __version__, records
from ferlib.augment import augment
from ferlib.data import load
from ferlib.data.dataset import FaceDataset
from ferlib.data.duplicates import seen_in_training
from ferlib.errors import FerlibError
from ferlib.evaluate import metrics
from ferlib.experiments import Experiment, get, settings_of
from ferlib.models import build, count_parameters

EVAL_BATCH = 512


@dataclass(frozen=True)
class Settings:
    """How a row is run on this machine; nothing here belongs to the paper.

    ``epochs`` caps the row's epochs (a run that is cut short by it is 'reduced' or 'smoke').
    ``precision`` is ``auto``, ``float32`` or ``bfloat16``; ``threads`` 0 means torch's own choice.
    """

    device: str = "auto"
    precision: str = "auto"
    threads: int = 0
    epochs: int | None = None
    results: Path = Path("results")
    runs: Path = Path("runs")
    restart: bool = False
    data_root: str | None = None


def resolve_device(name: str) -> torch.device:
    """``auto`` is CUDA where there is one, else the CPU; FerlibError for a device that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise FerlibError(f"unknown device {name!r}; use auto, cpu or cuda") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise FerlibError("device 'cuda' asked for, but torch sees no CUDA device; use --device cpu")
    try:
        torch.zeros(1, device=device).item()
    except Exception as error:
        raise FerlibError(f"device {name!r} cannot be used here ({type(error).__name__}); try cpu") from None
    return device


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """``auto`` is bfloat16 where the device multiplies matrices in it, else float32."""
    if name == "auto":
        if device.type == "cuda":
            fast = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            fast = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
        name = "bfloat16" if fast else "float32"
    if name not in ("float32", "bfloat16"):
        raise FerlibError(f"unknown precision {name!r}; use auto, float32 or bfloat16")
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def stream(seed: int, purpose: str, epoch: int = 0) -> int:
    """A seed of its own for each purpose and epoch: changing one part never reshuffles another."""
    words = np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), epoch]).generate_state(2)
    return int(words[0]) << 31 ^ int(words[1])


def generator(seed: int, purpose: str, epoch: int, device: torch.device | str = "cpu") -> torch.Generator:
    return torch.Generator(device=device).manual_seed(stream(seed, purpose, epoch))


def load_data(row: Experiment, root: str | os.PathLike[str] | None = None) -> FaceDataset:
    """The row's dataset. The option ``subset`` keeps that many images, drawn evenly over splits (see ``quick``)."""
    options = dict(row.dataset_options)
    subset = options.pop("subset", None)
    data = load(row.dataset, root, **options)
    if not len(data.where("val")) and row.dataset == "fer2013":
        if subset is None:
            raise FerlibError(
                "fer2013: these class folders do not tell PublicTest from PrivateTest; run the rows ending in -merged"
            )
        data = load(row.dataset, root, **{**options, "protocol": "merged"})
    if subset is None or subset >= len(data):
        return data
    chosen = np.random.default_rng(0).permutation(len(data))
    share = {"train": 2 / 3, "val": 1 / 6, "test": 1 / 6}
    kept = [chosen[data.split[chosen] == split][: round(subset * part)] for split, part in share.items()]
    return data.take(np.sort(np.concatenate(kept)))


class Pixels:
    """One split on the training device: images uint8 (N, C, H, W) and labels int64 (N,)."""

    def __init__(self, data: FaceDataset, split: str, device: torch.device) -> None:
        index = data.where(split)
        images = torch.from_numpy(data.images[index])
        images = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2)
        self.images = images.to(device).contiguous(memory_format=torch.channels_last)
        self.labels = torch.from_numpy(data.labels[index]).to(device)
        self.ids = data.ids[index]

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, index: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Images as float in [0, 1] (section 2.1 of Luo: rescale 1/255) and their labels."""
        return self.images[index].float().div_(255), self.labels[index]


@dataclass
class State:
    """All that changes while a run goes on; what a checkpoint holds."""

    model: nn.Module
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.ReduceLROnPlateau
    history: list[dict[str, float]]
    seconds: list[float]
    kept: dict[str, dict[str, Any]]  # reading -> score, epoch, logits (and weights of val_selected)
    interruptions: int = 0


def start(row: Experiment, seed: int, classes: int, channels: int, device: torch.device) -> State:
    """A fresh model, optimiser and schedule; the seed decides the starting weights alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(seed, "init"))
        model = build(row.model, classes=classes, channels=channels, size=row.size, **row.variant)
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if row.optimiser["name"] != "adam" or row.schedule["name"] != "plateau" or row.loss != "cross_entropy":
        raise FerlibError(f"{row.id}: optimiser, schedule or loss is not known to ferlib.train")
    optimiser = torch.optim.Adam(model.parameters(), lr=row.optimiser["lr"], eps=row.optimiser["eps"])
    # Keras reduces when `patience` epochs have passed without improvement, torch one epoch later
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser,
        mode="max",
        factor=row.schedule["factor"],
        patience=row.schedule["patience"] - 1,
        threshold=row.schedule["min_delta"],
        threshold_mode="abs",
        eps=0,
    )
    return State(model, optimiser, schedule, [], [], {})


def train_epoch(
    row: Experiment, state: State, data: Pixels, seed: int, epoch: int, dtype: torch.dtype, bar: Any
) -> tuple[float, float]:
    """One pass over the training part; mean loss and accuracy as met on the way (dropout, augmentation on)."""
    device = data.labels.device
    order = torch.randperm(len(data), generator=generator(seed, "order", epoch)).to(device)
    moves = generator(seed, "augmentation", epoch, device)
    loss_sum, correct = torch.zeros((), device=device), torch.zeros((), device=device)
    state.model.train()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(stream(seed, "dropout", epoch))
        for index in order.split(row.batch):
            if len(index) == 1:
                continue  # batch normalisation has no variance over one image
            x, y = data.batch(index)
            x = augment(x, dict(row.augmentation), moves).contiguous(memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
                logits, _ = state.model(x)
            loss = F.cross_entropy(logits.float(), y)
            state.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            state.optimiser.step()
            loss_sum += loss.detach() * len(index)
            correct += (logits.argmax(1) == y).sum()
            bar.update(len(index))
    mean = float(loss_sum / len(data))
    if not np.isfinite(mean):
        raise FerlibError(
            f"{row.id} seed {seed}: the loss is not a number in epoch {epoch + 1}; lower the rate"
        )
    return mean, float(correct / len(data))


@torch.inference_mode()
def predict(model: nn.Module, data: Pixels, dtype: torch.dtype) -> np.ndarray:
    """Logits, float16 (N, classes): the precision that a record keeps, so that statistics agree with it."""
    model.eval()
    device = data.labels.device
    parts = []
    for begin in range(0, len(data), EVAL_BATCH):
        x, _ = data.batch(slice(begin, begin + EVAL_BATCH))
        with torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
            logits, _ = model(x.contiguous(memory_format=torch.channels_last))
        parts.append(logits.float().half())
    return torch.cat(parts).cpu().numpy()


def score(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Mean cross-entropy and accuracy of logits (N, classes) against labels (N,)."""
    loss = F.cross_entropy(torch.from_numpy(logits).double(), torch.from_numpy(labels))
    return float(loss), float(np.mean(logits.argmax(1) == labels))


def keep_best(state: State, epoch: int, logits: dict[str, np.ndarray], labels: dict[str, np.ndarray]) -> bool:
    """Keep predictions of the best epoch under each reading; True if validation accuracy is a new best.

    ``val_selected``: chosen on validation. ``paper_style``: best test epoch. ``merged``: best epoch over
    validation and test images together, as a paper does that takes the test part for validation.
    """
    accuracy = {part: score(logits[part], labels[part])[1] for part in ("val", "test")}
    n = {part: len(labels[part]) for part in accuracy}
    merged = sum(accuracy[p] * n[p] for p in accuracy) / sum(n.values())
    better = {}
    for reading, value in (
        ("val_selected", accuracy["val"]),
        ("paper_style", accuracy["test"]),
        ("merged", merged),
    ):
        better[reading] = reading not in state.kept or value > state.kept[reading]["score"]
        if better[reading]:
            state.kept[reading] = {
                "score": value,
                "epoch": epoch,
                "val": logits["val"],
                "test": logits["test"],
            }
    return better["val_selected"]


def stale(state: State) -> int:
    """Epochs since the best validation accuracy."""
    return len(state.history) - 1 - state.kept["val_selected"]["epoch"]


def ended_early(row: Experiment, state: State) -> bool:
    """Whether the row's early stopping has come into effect."""
    return bool(row.early_stopping and state.history and stale(state) >= row.early_stopping)


def fit(
    row: Experiment, seed: int, data: FaceDataset, settings: Settings
) -> tuple[State, str, dict[str, Pixels]]:
    """Train to the row's end, its early stop or the cap; returns the state, why it stopped, and the pixels."""
    device = resolve_device(settings.device)
    dtype = resolve_precision(settings.precision, device)
    parts = {split: Pixels(data, split, device) for split in ("train", "val", "test")}
    empty = [split for split, part in parts.items() if not len(part)]
    if empty:
        raise FerlibError(f"{data.name}: no {' and no '.join(empty)} images; choose another protocol")
    labels = {split: part.labels.cpu().numpy() for split, part in parts.items()}
    channels = parts["train"].images.shape[1]
    state = start(row, seed, len(data.classes), channels, device)
    checkpoint = checkpoint_path(row, seed, settings)
    key = run_key(row, seed, data, dtype)
    if settings.restart:
        checkpoint.unlink(missing_ok=True)
    if checkpoint.exists():
        restore(state, checkpoint, key, device)
    best_weights = checkpoint.with_name("best.safetensors")
    last = min(row.epochs, settings.epochs or row.epochs)
    resumed = 0 < len(state.history) < last and not ended_early(row, state)
    state.interruptions += resumed
    for epoch in range(len(state.history), last):
        if ended_early(row, state):
            break
        began = time.perf_counter()
        rate = state.optimiser.param_groups[0]["lr"]
        with tqdm(
            total=len(parts["train"]),
            desc=f"{row.id} seed {seed} epoch {epoch + 1}/{last}",
            unit="img",
            disable=None,
        ) as bar:
            train_loss, train_accuracy = train_epoch(row, state, parts["train"], seed, epoch, dtype, bar)
        logits = {split: predict(state.model, parts[split], dtype) for split in ("val", "test")}
        line: dict[str, float] = {
            "epoch": epoch,
            "lr": rate,
            "train_loss": train_loss,
            "train_accuracy": train_accuracy,
        }
        for split in ("val", "test"):
            line[f"{split}_loss"], line[f"{split}_accuracy"] = score(logits[split], labels[split])
            if not np.isfinite(line[f"{split}_loss"]):
                raise FerlibError(
                    f"{row.id} seed {seed}: logits overflow in epoch {epoch + 1}; lower the rate"
                )
        state.history.append(line)
        if keep_best(state, epoch, logits, labels):
            save_weights(state.model, best_weights)
        state.schedule.step(line["val_accuracy"])
        state.seconds.append(time.perf_counter() - began)
        save(state, checkpoint, key)
        report(row, seed, line, state)
    done = len(state.history)
    early = ended_early(row, state)
    stopped = (
        "early stopping" if early else "last epoch" if done == row.epochs else f"capped at {done} epochs"
    )
    return state, stopped, parts


def report(row: Experiment, seed: int, line: dict[str, float], state: State) -> None:
    """One line an epoch, for logs and terminals alike."""
    tqdm.write(
        f"{row.id} seed {seed} epoch {line['epoch'] + 1}: train {line['train_loss']:.4f} {line['train_accuracy']:.4f}"
        f"  val {line['val_loss']:.4f} {line['val_accuracy']:.4f}  test {line['test_accuracy']:.4f}"
        f"  lr {line['lr']:.2e}  {state.seconds[-1]:.0f} s",
        file=sys.stderr,
    )


def checkpoint_path(row: Experiment, seed: int, settings: Settings) -> Path:
    return settings.runs / row.id / f"seed{seed}" / "checkpoint.pt"


def run_key(row: Experiment, seed: int, data: FaceDataset, dtype: torch.dtype) -> str:
    """What a checkpoint must share with a run to be continued by it."""
    facts = {"row": settings_of(row.to_dict()), "seed": seed, "data": data.fingerprint, "dtype": str(dtype)}
    return records.sha256(facts)


def save_weights(model: nn.Module, path: Path) -> None:
    """Weights as safetensors, float32, written atomically."""
    from safetensors.torch import save as to_bytes

    tensors = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    records.write_atomically(path, lambda file: file.write(to_bytes(tensors)))


def load_weights(model: nn.Module, path: Path) -> nn.Module:
    from safetensors.torch import load_file

    model.load_state_dict(load_file(path))
    return model


def save(state: State, path: Path, key: str) -> None:
    """Write a checkpoint atomically, in a form that torch reads back without running code."""
    kept = {
        reading: {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in best.items()}
        for reading, best in state.kept.items()
    }
    content = {
        "key": key,
        "model": state.model.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "schedule": state.schedule.state_dict(),
        "history": state.history,
        "seconds": state.seconds,
        "kept": kept,
        "interruptions": state.interruptions,
    }
    records.write_atomically(path, lambda file: torch.save(content, file))


def restore(state: State, path: Path, key: str, device: torch.device) -> None:
    """Put a checkpoint's content into a fresh state; FerlibError for one of another run or a broken one."""
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise FerlibError(
            f"{path}: checkpoint cannot be read ({type(error).__name__}); use --restart"
        ) from None
    if content.get("key") != key:
        raise FerlibError(
            f"{path}: checkpoint of another row, dataset or precision; use --restart or another --runs"
        )
    state.model.load_state_dict(content["model"])
    state.optimiser.load_state_dict(content["optimiser"])
    state.schedule.load_state_dict(content["schedule"])
    state.history, state.seconds = content["history"], content["seconds"]
    state.kept = {
        reading: {k: v.cpu().numpy() if isinstance(v, Tensor) else v for k, v in best.items()}
        for reading, best in content["kept"].items()
    }
    state.interruptions = content["interruptions"]


def profile_of(
    row: Experiment,
    original: Experiment,
    data_name: str,
    epochs_run: int,
    stopped: str,
    also: Sequence[str] = (),
) -> tuple[str, list[str]]:
    """``full``, ``reduced`` or ``smoke``, and what was changed against the row (``also``: what the caller knows)."""
    changed = [] if data_name == original.dataset else [f"dataset: {data_name} instead of {original.dataset}"]
    changed += list(also)
    changed += [
        f"{name}: {getattr(row, name)} instead of {getattr(original, name)}"
        for name in (
            "dataset_options",
            "variant",
            "loss",
            "optimiser",
            "schedule",
            "early_stopping",
            "epochs",
            "batch",
            "augmentation",
            "size",
            "pretrained",
        )
        if getattr(row, name) != getattr(original, name)
    ]
    if stopped.startswith("capped"):
        changed.append(f"epochs: {epochs_run} of {original.epochs}")
    if not changed:
        return "full", []
    # reduced: the row's own data, and at least a third of its epochs or its own early stop
    enough = data_name == original.dataset and (
        stopped == "early stopping" or 3 * epochs_run >= original.epochs
    )
    return ("reduced" if enough else "smoke"), changed


def reading_result(
    best: dict[str, Any], labels: dict[str, np.ndarray], classes: tuple[str, ...], name: str
) -> dict:
    """Metrics and loss of one reading: over test images, for ``merged`` over validation and test images."""
    parts = ("val", "test") if name == "merged" else ("test",)
    logits = np.concatenate([best[p] for p in parts])
    truth = np.concatenate([labels[p] for p in parts])
    return {
        "epoch": best["epoch"],
        "loss": score(logits, truth)[0],
        **metrics(logits.argmax(1), truth, classes),
    }


def unpublished_counts(data: FaceDataset) -> list[str]:
    """What differs from the published counts per split and class, where the dataset has an official split."""
    if data.name not in ("fer2013", "ferplus", "rafdb"):
        return []
    expected = importlib.import_module(f"ferlib.data.{data.name}").published(data)
    found = data.counts()
    if expected and "val" not in expected and "val" in found:  # our validation part was cut from train
        val = found.pop("val")
        found["train"] = {c: n + val[c] for c, n in found["train"].items()}
    return ["data: counts differ from the published ones"] if expected and found != expected else []


def environment(device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()
    return {
        "device": name,
        "kind": device.type,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "precision": str(dtype).removeprefix("torch."),
        "deterministic": device.type == "cpu" or torch.are_deterministic_algorithms_enabled(),
        "ferlib": __version__,
    }


def cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return "CPU"


def commit() -> dict[str, Any]:
    """The library's source commit and whether its files differ from it; None outside a checkout."""
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=here, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "modified": bool(git("status", "--porcelain", "--", "."))}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "modified": None}


def keep_freed_memory() -> None:
    """Have glibc keep freed blocks instead of returning them to the system after every layer.

    Large tensors are otherwise mapped and unmapped anew in each step; on a CPU this costs a tenth or
    more of the time (measured with `se_cnn`). Other platforms are left alone.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            mallopt = ctypes.CDLL("libc.so.6").mallopt
            for option, value in ((-4, 0), (-1, 2**31 - 1), (-2, 2**28)):  # mmap max, trim threshold, top pad
                mallopt(option, value)


def run(
    row: Experiment,
    seed: int,
    settings: Settings,
    *,
    original: Experiment | None = None,
    data: FaceDataset | None = None,
) -> Path:
    """Train ``row`` under ``seed``, continuing from its checkpoint if there is one; returns the record's path.

    ``original`` is the row as the paper has it, where ``row`` was changed from it.
    """
    keep_freed_memory()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    for folder in (settings.results, settings.runs):
        records.writable(folder)
    if seed < 0:
        raise FerlibError(f"seed must not be negative, but is {seed}")
    source = commit()
    if data is None:
        data = load_data(row, settings.data_root)
    device = resolve_device(settings.device)
    dtype = resolve_precision(settings.precision, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    state, stopped, parts = fit(row, seed, data, settings)
    labels = {split: part.labels.cpu().numpy() for split, part in parts.items()}
    seen = seen_in_training(data)[data.where("test")]
    load_weights(state.model, checkpoint_path(row, seed, settings).with_name("best.safetensors"))
    result = results_of(state, labels, seen, data.classes)
    loss, accuracy = score(predict(state.model, parts["train"], dtype), labels["train"])
    result["val_selected"]["train"] = {"loss": loss, "accuracy": accuracy}  # dropout and augmentation off
    profile, changed = profile_of(
        row, original or row, data.name, len(state.history), stopped, unpublished_counts(data)
    )
    reproducible = {
        "experiment": row.to_dict(),
        "seed": seed,
        "profile": profile,
        "changed": changed,
        "data": {
            "name": data.name,
            "fingerprint": data.fingerprint,
            "classes": list(data.classes),
            "counts": data.counts(),
            "test_images_seen_in_training": int(seen.sum()),
        },
        "parameters": count_parameters(state.model),
        "environment": environment(device, dtype),
        "history": state.history,
        "epochs_run": len(state.history),
        "stopped": stopped,
        "best_epoch": state.kept["val_selected"]["epoch"],
        "result": result,
    }
    arrays = predictions(state, parts, labels, seen)
    return records.write(
        settings.results,
        reproducible,
        arrays,
        run_facts(state, parts, source, device),
        command(row, seed, settings),
    )


def results_of(
    state: State, labels: dict[str, np.ndarray], seen: np.ndarray, classes: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    """Metrics of each reading; for those over test images also without the ones that training holds too."""
    result = {name: reading_result(best, labels, classes, name) for name, best in state.kept.items()}
    for name in ("val_selected", "paper_style"):
        fresh = state.kept[name]["test"][~seen].argmax(1) == labels["test"][~seen]
        result[name]["unseen"] = {"n": len(fresh), "accuracy": float(fresh.mean()) if len(fresh) else None}
    return result


def predictions(
    state: State, parts: dict[str, Pixels], labels: dict[str, np.ndarray], seen: np.ndarray
) -> dict[str, np.ndarray]:
    """What is kept beside a record: logits of each reading, labels, ids, and which test images training holds."""
    arrays = {
        f"{name}_{part}_logits": state.kept[name][part] for name in state.kept for part in ("val", "test")
    }
    for part in ("val", "test"):
        arrays[f"{part}_labels"] = labels[part].astype(np.int8)
        arrays[f"{part}_ids"] = np.asarray(parts[part].ids)
    return arrays | {"test_seen_in_training": seen}


def run_facts(
    state: State, parts: dict[str, Pixels], source: dict[str, Any], device: torch.device
) -> dict[str, Any]:
    """What may differ between two runs of one seed: times, throughput, memory, commit."""
    wall = sum(state.seconds)
    images = len(parts["train"]) * len(state.history)
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device)
    else:  # of the whole process; kilobytes on Linux, bytes on macOS
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "seconds_per_epoch": [round(s, 2) for s in state.seconds],
        "wall_seconds": round(wall, 1),
        "images_per_second": round(images / wall, 1) if wall else None,
        "peak_memory_bytes": int(peak),
        "interruptions": state.interruptions,
        "finished": time.strftime("%Y-%m-%d"),
        **source,
    }


def command(row: Experiment, seed: int, settings: Settings) -> str:
    """The command that makes this record again; DATA stands for the reader's data folder."""
    words = ["ferlib", "run", row.id, "--seed", str(seed)]
    if settings.epochs is not None:
        words += ["--epochs", str(settings.epochs)]
    for name in ("device", "precision"):
        if getattr(settings, name) != "auto":
            words += [f"--{name}", getattr(settings, name)]
    if settings.threads:
        words += ["--threads", str(settings.threads)]
    return " ".join(words if row.dataset == "synthetic" else [*words, "--data-root", "DATA"])


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ferlib.train", description="Train experiments to records."
    )
    parser.add_argument("ids", nargs="+", metavar="ID", help="experiment ids, see `ferlib list`")
    parser.add_argument(
        "--seed", type=int, action="append", help="may be given several times; default: the row's"
    )
    parser.add_argument(
        "--epochs", type=int, help="stop after this many epochs (the record is then not 'full')"
    )
    parser.add_argument(
        "--data-root", help="folder with the datasets; default: environment variable FERLIB_DATA"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--precision", default="auto", help="auto, float32 or bfloat16")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves it to torch")
    parser.add_argument("--results", type=Path, default=Path("results"), help="where records go")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where checkpoints and weights go")
    parser.add_argument("--restart", action="store_true", help="ignore and replace an earlier checkpoint")
    return parser


def runs_of(options: argparse.Namespace) -> Iterator[tuple[Experiment, int]]:
    for identifier in options.ids:
        row = get(identifier)
        for seed in options.seed or row.seeds:
            yield row, seed


def main(argv: list[str] | None = None) -> int:
    options = arguments().parse_args(argv)
    if (
        (options.epochs is not None and options.epochs < 1)
        or options.threads < 0
        or min(options.seed or [0]) < 0
    ):
        print("ferlib: --epochs must be at least 1, --threads and --seed not negative", file=sys.stderr)
        return 2
    settings = Settings(
        **{k: v for k, v in vars(options).items() if k not in ("ids", "seed")},
    )
    try:
        for row, seed in list(runs_of(options)):
            path = run(row, seed, settings)
            print(json.dumps({"record": str(path), "profile": records.read(path)["reproducible"]["profile"]}))
    except FerlibError as error:
        print(f"ferlib: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("ferlib: stopped; the same command goes on from the last finished epoch", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
