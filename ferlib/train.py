"""Training of one experiment row under one seed, to a record.

Needs torch, numpy, pandas, scipy, scikit-learn, Pillow, safetensors and tqdm: ``python -m ferlib.train ID``
runs where the packages of the command line and of the book are missing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

from ferlib import checkpoint, commands, outcome, records
from ferlib.checkpoint import load_weights
from ferlib.data.dataset import FaceDataset
from ferlib.data.duplicates import seen_in_training
from ferlib.device import environment, keep_freed_memory, resolve_device
from ferlib.engine import (
    Job,
    Settings,
    State,
    ended_early,
    fit,
    predict,
    prepare,
    raise_if_stopped,
    restore,
    start,
)
from ferlib.errors import BadUsage, FerlibError, RecordError
from ferlib.experiments import Experiment, get, quick
from ferlib.interrupt import EXIT_STOPPED, Busy, Interrupted, Stop, exclusive
from ferlib.models import count_parameters
from ferlib.pixels import epoch_order, load_data


def run(
    row: Experiment,
    seed: int,
    settings: Settings,
    *,
    original: Experiment | None = None,
    data: FaceDataset | None = None,
    stop: Stop | None = None,
) -> Path:
    """Train ``row`` under ``seed``, continuing from its checkpoint if there is one; returns the record's path.

    ``original`` is the row as the paper has it, where ``row`` was changed from it. Raises Interrupted when
    ``stop`` says so (the state is saved then), `Busy` while another process trains this run.
    """
    keep_freed_memory()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    for folder in (settings.results, settings.runs):
        records.writable(folder)
    if seed < 0:
        raise FerlibError(f"seed must not be negative, but is {seed}")
    with exclusive(checkpoint.folder_of(settings.runs, row.id, seed), f"{row.id} seed {seed}"):
        if data is None:
            data = load_data(row, settings.data_root)
        refuse_less_evidence(row, seed, data, settings, original or row)
        device = resolve_device(settings.device)
        try:
            job = prepare(row, seed, data, settings, stop or Stop())
            if job.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(job.device)
            state = begin(job, len(data.classes))
            stopped = fit(job, state)
        except torch.OutOfMemoryError:
            raise FerlibError(
                f"{row.id} seed {seed}: no memory left on {device}, the last checkpoint is kept; close what else "
                "uses it, use fewer --jobs, a row of smaller images (-scratch48), or --device cpu"
            ) from None
        return write_record(job, state, stopped, data, original or row)


def refuse_less_evidence(
    row: Experiment, seed: int, data: FaceDataset, settings: Settings, original: Experiment
) -> None:
    """Refuse, before it trains, a run whose record could not take the place of the one that is there."""
    path = records.path_of(settings.results, row.id, seed)
    try:
        there = records.evidence(records.read(path))
    except RecordError:  # none, or a damaged one, which the new one replaces
        return
    last = min(row.epochs, settings.epochs or row.epochs)
    ends = ["last epoch" if last == row.epochs else f"capped at {last} epochs"]
    ends += ["early stopping"] if row.early_stopping and row.early_stopping < last else []
    counts = outcome.unpublished_counts(data)
    best = max(
        records.weight(
            outcome.profile_of(row, original, data.name, last, end, counts)[0], row.dataset_options, last
        )
        for end in ends
    )
    if there > best:
        raise RecordError(
            f"{path}: holds a run with more evidence than this one could have; write to another folder"
        )


def begin(job: Job, classes: int) -> State:
    """A fresh state, or the one that the newest checkpoint holds."""
    state = start(job.row, job.seed, classes, job.parts["train"].channels, job.device)
    if job.settings.restart:
        checkpoint.clear(job.folder)
    going_on = restore(job, state)
    unfinished = len(state.history) < job.last and not ended_early(job.row, state)
    state.interruptions += going_on and unfinished
    here = {**outcome.commit(), **environment(job.device, job.dtype)}
    if unfinished and here not in state.trained_by:
        state.trained_by.append(here)
    return state


def tidy(job: Job, state: State) -> Path:
    """The best weights under their lasting name."""
    source = job.folder / state.kept["val_selected"]["weights"]
    lasting = job.folder / "best.safetensors"
    try:
        blob = source.read_bytes()
        records.write_atomically(lasting, lambda file: file.write(blob))
    except OSError as error:
        raise FerlibError(
            f"{lasting}: cannot be written ({error}); free some space, or use --restart"
        ) from None
    return lasting


def write_record(job: Job, state: State, stopped: str, data: FaceDataset, original: Experiment) -> Path:
    """Evaluate what only the end needs, and write the record of a finished run."""
    seen = seen_in_training(data)[data.where("test")]
    load_weights(state.model, tidy(job, state))
    result = outcome.results_of(state.kept, job.labels, seen, data.classes)
    try:
        logits = predict(state.model, job.parts["train"], job.dtype, job.stop, mirror=job.mirror)
    except Interrupted:
        raise_if_stopped(job, state)
    loss, accuracy = outcome.score(logits, job.labels["train"])
    result["val_selected"]["train"] = {"loss": loss, "accuracy": accuracy}  # dropout and augmentation off
    profile, changed = outcome.profile_of(
        job.row, original, data.name, len(state.history), stopped, outcome.unpublished_counts(data)
    )
    here = environment(job.device, job.dtype)
    machines = [{k: v for k, v in one.items() if k in here} for one in state.trained_by]
    here["deterministic"] = here["deterministic"] and all(one == here for one in machines)
    reproducible = {
        "experiment": job.row.to_dict(),
        "seed": job.seed,
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
        "environment": here,
        "history": state.history,
        "epochs_run": len(state.history),
        "stopped": stopped,
        "best_epoch": state.kept["val_selected"]["epoch"],
        "result": result,
    }
    ids = {split: part.ids for split, part in job.parts.items()}
    images = sum(
        len(epoch_order(job.labels["train"], job.row.balance, job.seed, e)[0])
        for e in range(len(state.history))
    )
    return records.write(
        job.settings.results,
        reproducible,
        outcome.predictions(state.kept, job.labels, ids, seen),
        outcome.run_facts(state.seconds, images, state.interruptions, state.trained_by, job.device),
        command(job.row, job.seed, job.settings),
    )


def command(row: Experiment, seed: int, settings: Settings) -> str:
    """The command that makes this record again; DATA stands for the reader's data folder."""
    words = ["ferlib", "run", row.id, "--seed", str(seed)]
    if settings.epochs is not None:
        words += ["--epochs", str(settings.epochs)]
    if "train_images" in row.dataset_options:
        words += ["--train-images", str(row.dataset_options["train_images"])]
    for name in ("device", "precision"):
        if getattr(settings, name) != "auto":
            words += [f"--{name}", getattr(settings, name)]
    if settings.threads:
        words += ["--threads", str(settings.threads)]
    return " ".join(words if row.dataset == "synthetic" else [*words, "--data-root", "DATA"])


def add_run_options(parser: argparse.ArgumentParser, *, seeds: str, runs: str) -> None:
    """Options of every command that works on runs; ``seeds`` says which by default, ``runs`` what lies there."""
    add = parser.add_argument
    add("ids", nargs="+", metavar="ID", help="experiment ids, see `ferlib list`")
    add(
        "--seed",
        type=int,
        action="append",
        metavar="K",
        help=f"may be given several times; default: {seeds}",
    )
    add(
        "--data-root",
        metavar="DIR",
        help="folder with the datasets; default: environment variable FERLIB_DATA",
    )
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... (default: auto)")
    add("--threads", type=int, default=0, metavar="N", help="CPU threads; 0 leaves it to torch")
    add("--results", type=Path, default=Path("results"), metavar="DIR", help="folder of the records")
    add("--runs", type=Path, default=Path("runs"), metavar="DIR", help=f"folder of {runs}")


def arguments(prog: str = "python -m ferlib.train") -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Train experiments to records. A run that was interrupted goes on where it was.",
        epilog="Exit status: 0 done, 1 failed, 2 bad usage, "
        f"{EXIT_STOPPED} to be tried again: stopped (signal or --budget) with the state saved, "
        "or another process is at it.",
    )
    add = parser.add_argument
    add_run_options(parser, seeds="the row's", runs="checkpoints and weights")
    add(
        "--profile",
        choices=("full", "quick"),
        default="full",
        help="full: the row as it is. quick: a few epochs on synthetic faces; with --data-root on a part of its images",
    )
    add("--epochs", type=int, metavar="N", help="stop after N epochs (the record is then not 'full')")
    add(
        "--train-images",
        type=int,
        metavar="N",
        help="train on N images of the training part, of each class its share (the record is then not 'full')",
    )
    add("--precision", default="auto", help="auto, float32 or bfloat16 (default: auto)")
    add(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="runs at once, each in a process of its own (default: 1)",
    )
    add(
        "--budget",
        type=float,
        metavar="MIN",
        help="stop in time before MIN minutes are over, with the state saved",
    )
    add("--save-seconds", type=float, default=120.0, metavar="S", help="longest time between two checkpoints")
    add("--graphs", action="store_true", help="replay training steps as CUDA graphs (CUDA only)")
    add("--pending", action="store_true", help="leave out what has a full record")
    add("--restart", action="store_true", help="ignore and replace an earlier checkpoint")
    add("--json", action="store_true", help="print one JSON object per record")
    return parser


def settings_from(options: argparse.Namespace) -> Settings:
    """Settings of the command line; a quick run keeps its records apart from the evidence."""
    settings = Settings(**{k: v for k, v in vars(options).items() if k in Settings.__dataclass_fields__})
    if options.profile == "quick":
        return replace(settings, results=settings.runs / "quick" / "records", runs=settings.runs / "quick")
    return settings


def mistakes(options: argparse.Namespace) -> str | None:
    """What is wrong with the options' values, or None."""
    if options.epochs is not None and options.epochs < 1:
        return "--epochs must be at least 1"
    if options.train_images is not None and (options.train_images < 1 or options.profile == "quick"):
        return "--train-images must be at least 1, and goes with --profile full"
    if min(options.seed or [0]) < 0 or options.threads < 0:
        return "--seed and --threads must not be negative"
    if options.jobs < 1:
        return "--jobs must be at least 1"
    if options.budget is not None and options.budget <= 0:
        return "--budget must be more than 0 minutes"
    return None


@commands.told
def main(argv: list[str] | None = None, prog: str = "python -m ferlib.train") -> int:
    """Run every (ID, seed) asked for; returns the exit status."""
    began = time.monotonic()
    options = arguments(prog).parse_args(argv)
    if wrong := mistakes(options):
        raise BadUsage(wrong)
    try:
        originals = [get(identifier) for identifier in options.ids]
        pairs = [(row, k) for row in originals for k in (options.seed or row.seeds)]
        if options.pending:
            pairs = [(row, k) for row, k in pairs if records.state_of(options.results, row.id, k) != "full"]
        if options.jobs > 1 and len(pairs) > 1:
            from ferlib.pool import run_all

            return run_all(pairs, options, Stop(options.budget, began))
        with Stop(options.budget, began).listening() as stop:
            for original, k in pairs:
                real = options.data_root is not None
                row = quick(original, real=real) if options.profile == "quick" else original
                if options.train_images is not None:
                    fewer = {**row.dataset_options, "train_images": options.train_images}
                    row = replace(row, dataset_options=fewer)
                tell(run(row, k, settings_from(options), original=original, stop=stop), options.json)
    except (Busy, Interrupted) as error:
        print(f"ferlib: {error}", file=sys.stderr)
        return EXIT_STOPPED
    return 0


def tell(path: Path, as_json: bool) -> None:
    """One line on stdout for a record."""
    found = records.read(path)["reproducible"]
    accuracy = found["result"]["val_selected"]["accuracy"]
    line = {"record": str(path), "profile": found["profile"], "accuracy": accuracy}
    print(
        json.dumps(line) if as_json else f"{path}: {found['profile']}, test accuracy {accuracy:.4f}",
        flush=True,
    )


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
