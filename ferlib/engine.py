"""The training loop: steps, epochs, checkpoints, and what a run carries from one to the next."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm.auto import tqdm

from ferlib import checkpoint, records
from ferlib.augment import augment, validate
from ferlib.data.dataset import FaceDataset
from ferlib.device import resolve_device, resolve_precision, stream
from ferlib.errors import FerlibError
from ferlib.experiments.row import Experiment, settings_of
from ferlib.interrupt import Interrupted, Stop
from ferlib.losses import Loss, build_loss
from ferlib.models import build
from ferlib.models.start import from_published
from ferlib.outcome import score
from ferlib.pixels import Pixels, class_weights, epoch_order
from ferlib.recipe import averaged, settle, with_mirror
from ferlib.recipe import validate as validate_recipe
from ferlib.schedules import Schedule, build_optimiser, build_schedule

EVAL_PIXELS = 512 * 48 * 48  # of one evaluation batch: bounds the memory that large images need


@dataclass(frozen=True)
class Settings:
    """How a row is run on this machine; nothing here belongs to the paper.

    ``epochs`` caps the row's epochs (a run that is cut short by it is 'reduced' or 'smoke').
    ``precision`` is ``auto``, ``float32`` or ``bfloat16``; ``threads`` 0 means torch's own choice.
    ``save_seconds`` is the longest time between two checkpoints. ``graphs`` replays CUDA graphs of the step.
    """

    device: str = "auto"
    precision: str = "auto"
    threads: int = 0
    epochs: int | None = None
    results: Path = Path("results")
    runs: Path = Path("runs")
    restart: bool = False
    data_root: str | None = None
    save_seconds: float = 120.0
    graphs: bool = False


@dataclass(frozen=True)
class Job:
    """What stays the same while a run goes on."""

    row: Experiment
    seed: int
    settings: Settings
    stop: Stop
    device: torch.device
    dtype: torch.dtype
    parts: dict[str, Pixels]
    labels: dict[str, np.ndarray]
    class_weights: Tensor | None
    folder: Path
    key: str

    @property
    def name(self) -> str:
        return f"{self.row.id} seed {self.seed}"

    @property
    def mirror(self) -> bool:
        return bool(self.row.recipe.get("mirror", False))

    @property
    def last(self) -> int:
        return min(self.row.epochs, self.settings.epochs or self.row.epochs)


class Progress:
    """How far an epoch is: steps taken, sums over them on the device, random streams to go on with."""

    def __init__(self, device: torch.device) -> None:
        self.step, self.seconds = 0, 0.0
        self.loss_sum, self.correct, self.steps_done, self.bad_step = (
            torch.zeros((), device=device, dtype=kind)
            for kind in (torch.float32, torch.float32, torch.int64, torch.int64)
        )
        self.streams: dict[str, Tensor] = {}

    def reset(self) -> None:
        """To the beginning of an epoch. The tensors stay in place: a captured graph refers to them."""
        self.step, self.seconds, self.streams = 0, 0.0, {}
        for total in (self.loss_sum, self.correct, self.steps_done, self.bad_step):
            total.zero_()

    def count(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add one step's loss and hits; remember the first step whose loss is not finite (1, 2, ...; 0: none)."""
        self.loss_sum += loss * len(labels)
        self.correct += (logits.argmax(1) == labels).sum()
        self.steps_done += 1
        bad = (self.bad_step == 0) & ~torch.isfinite(loss)
        self.bad_step.copy_(torch.where(bad, self.steps_done, self.bad_step))

    def state_dict(self) -> dict[str, Any]:
        return dict(vars(self))

    def load_state_dict(self, found: dict[str, Any]) -> None:
        for name, value in found.items():
            if isinstance(value, Tensor):
                getattr(self, name).copy_(value)
            else:
                setattr(self, name, value)


@dataclass
class State:
    """All that changes while a run goes on; what a checkpoint holds."""

    model: nn.Module
    loss: Loss
    optimiser: torch.optim.Optimizer
    schedule: Schedule
    progress: Progress
    moves: torch.Generator  # of augmentation
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    kept: dict[str, dict[str, Any]] = field(default_factory=dict)  # reading -> score, epoch, logits, ...
    interruptions: int = 0
    trained_by: list[dict[str, Any]] = field(default_factory=list)
    saved: float = field(default_factory=time.monotonic)  # when the newest checkpoint was written ...
    saved_weights: str | None = None  # ... and the best weights that it refers to
    graphed: GraphedStep | None = None
    average: AveragedModel | None = None  # of the weights over the steps, where the row's recipe has one

    @property
    def judged(self) -> nn.Module:
        """The network that is evaluated and kept: the average where there is one."""
        return self.model if self.average is None else self.average.module


def prepare(row: Experiment, seed: int, data: FaceDataset, settings: Settings, stop: Stop) -> Job:
    """Data on the device, and every check that can be made before training."""
    device = resolve_device(settings.device)
    dtype = resolve_precision(settings.precision, device)
    validate_recipe(row.recipe)
    splits = ("train", "val", "test")
    parts = {s: Pixels(data, s, device, row.size, row.preprocess, row.recipe) for s in splits}
    empty = [split for split, part in parts.items() if not len(part)]
    if empty:
        raise FerlibError(f"{data.name}: no {' and no '.join(empty)} images; choose another protocol")
    labels = {split: part.labels.cpu().numpy() for split, part in parts.items()}
    validate(row.augmentation)
    weights = class_weights(labels["train"], len(data.classes), row.balance)
    facts = {"row": settings_of(row.to_dict()), "seed": seed, "data": data.fingerprint, "dtype": str(dtype)}
    return Job(
        row=row,
        seed=seed,
        settings=settings,
        stop=stop,
        device=device,
        dtype=dtype,
        parts=parts,
        labels=labels,
        class_weights=None if weights is None else weights.to(device),
        folder=checkpoint.folder_of(settings.runs, row.id, seed),
        key=records.sha256(facts),
    )


def start(row: Experiment, seed: int, classes: int, channels: int, device: torch.device) -> State:
    """A fresh model, loss, optimiser and schedule; the seed decides the starting weights alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(seed, "init"))
        model = build(row.model, classes=classes, channels=channels, size=row.size, **row.variant)
        if row.pretrained:
            from_published(model, row.pretrained)
        with torch.no_grad():
            _, out = model.eval()(torch.zeros(1, channels, row.size, row.size))
        loss = build_loss(row.loss, classes=classes, features=out["features"].shape[1], **row.loss_options)
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    loss = loss.to(device)
    parameters = [*model.parameters(), *loss.parameters()]
    optimiser = build_optimiser(row.optimiser, parameters, fused=True)
    schedule = build_schedule(row.schedule, optimiser)
    state = State(model, loss, optimiser, schedule, Progress(device), torch.Generator(device))
    state.average = averaged(model, row.recipe)
    return state


def train_epoch(job: Job, state: State, epoch: int) -> tuple[float, float]:
    """One pass over the training part; mean loss and accuracy as met on the way (dropout, augmentation on)."""
    device = job.device
    order, extra = (t.to(device) for t in epoch_order(job.labels["train"], job.row.balance, job.seed, epoch))
    batches = list(zip(order.split(job.row.batch), extra.split(job.row.batch), strict=True))
    progress = state.progress
    state.moves.manual_seed(stream(job.seed, "augmentation", epoch))
    state.model.train()
    title = f"{job.name} epoch {epoch + 1}/{job.last}"
    with (
        tqdm(
            total=len(order), initial=job.row.batch * progress.step, desc=title, unit="img", disable=None
        ) as bar,
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
    ):
        torch.manual_seed(stream(job.seed, "dropout", epoch))
        if progress.streams:
            if len(progress.streams["moves"]) != len(state.moves.get_state()):
                raise checkpoint.Unusable(
                    f"{job.name}: its checkpoint was written within an epoch on another kind of device, whose random "
                    "numbers this one cannot go on with; go on there, or --restart"
                )
            set_streams(progress.streams, state.moves, device)
        for step in range(progress.step, len(batches)):
            began = time.perf_counter()
            index, copies = batches[step]
            if len(index) > 1:  # batch normalisation has no variance over one image
                state.schedule.step_begin(epoch * len(batches) + step)
                (state.graphed or train_step)(job, state, index, copies)
            progress.step = step + 1
            job.stop.expect(time.perf_counter() - began)
            due = bool(job.stop.reason()) or time.monotonic() - state.saved > job.settings.save_seconds
            if device.type == "cuda" and (due or progress.step == len(batches)):
                torch.cuda.synchronize(device)  # steps were only queued: time them to their end
                job.stop.expect(time.perf_counter() - began)
            progress.seconds += time.perf_counter() - began
            bar.update(len(index))
            if due:
                progress.streams = get_streams(state.moves, device)
                save(job, state)
                raise_if_stopped(job, state)
    refuse_bad_loss(job, epoch, progress)
    return float(progress.loss_sum / len(order)), float(progress.correct / len(order))


def train_step(job: Job, state: State, index: Tensor, copies: Tensor) -> None:
    """One step on the training images ``index``; on CUDA nothing in it waits for the device."""
    data = job.parts["train"]
    x, y = data.batch(index)
    moved = augment(x, job.row.augmentation, state.moves)
    if "expand_to" in job.row.balance:  # only the copies of rare classes are moved
        moved = torch.where(copies[:, None, None, None], moved, x)
    with torch.autocast(job.device.type, torch.bfloat16, enabled=job.dtype == torch.bfloat16):
        logits, out = state.model(data.finish(moved))
    if data.targets is not None:
        out = {**out, "targets": data.targets[index]}
    weights = None if job.class_weights is None else job.class_weights[y]
    loss = state.loss(logits, out, y, weights)
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    state.optimiser.step()
    if state.average is not None:
        state.average.update_parameters(state.model)
    state.loss.after_step()
    state.progress.count(loss.detach(), logits.detach(), y)
    if job.device.type == "cpu":
        refuse_bad_loss(job, len(state.history), state.progress)


class GraphedStep:
    """`train_step` captured once as a CUDA graph and replayed: one launch a step instead of hundreds.

    Called like `train_step`. The first steps run as they are (cuDNN chooses its kernels, the optimiser makes its
    state), and so do batches of another size. The graph reads the learning rate from the device. FerlibError for
    what cannot be captured: a row whose step waits for the device or copies something to it.
    """

    WARM_UP = 3

    def __init__(self, job: Job, state: State) -> None:
        self.index = torch.zeros(job.row.batch, dtype=torch.int64, device=job.device)
        self.copies = torch.zeros(job.row.batch, dtype=torch.bool, device=job.device)
        self.side = torch.cuda.Stream(job.device)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.rate, self.warm = torch.zeros((), device=job.device), 0

    def __call__(self, job: Job, state: State, index: Tensor, copies: Tensor) -> None:
        if len(index) != len(self.index):
            return train_step(job, state, index, copies)
        self.index.copy_(index)
        self.copies.copy_(copies)
        self.rate.fill_(float(state.optimiser.param_groups[0]["lr"]))
        if self.graph is not None:
            return self.graph.replay()
        self.side.wait_stream(torch.cuda.current_stream(job.device))
        with torch.cuda.stream(self.side):
            train_step(job, state, self.index, self.copies)
        torch.cuda.current_stream(job.device).wait_stream(self.side)
        self.warm += 1
        if self.warm >= self.WARM_UP:
            self.capture(job, state)

    def capture(self, job: Job, state: State) -> None:
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(state.moves)
        groups = state.optimiser.param_groups
        rates = [group["lr"] for group in groups]
        for group in groups:
            group.update(lr=self.rate, capturable=True)  # as a number the rate would stay what it is now
        try:
            with torch.cuda.graph(graph):
                train_step(job, state, self.index, self.copies)
        except RuntimeError as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise FerlibError(
                f"{job.name}: no CUDA graph of its step ({reason}); run it without --graphs"
            ) from None
        finally:  # what the schedule and checkpoints know stays a number
            for group, rate in zip(groups, rates, strict=True):
                group.update(lr=rate, capturable=False)
        self.graph = graph


def refuse_bad_loss(job: Job, epoch: int, progress: Progress) -> None:
    step = int(progress.bad_step)
    if step:
        raise FerlibError(
            f"{job.name}: the loss is not a number in epoch {epoch + 1}, batch {step}; lower the rate"
            f" (the last good state is kept in {job.folder})"
        )


def get_streams(moves: torch.Generator, device: torch.device) -> dict[str, Tensor]:
    found = {"cpu": torch.get_rng_state(), "moves": moves.get_state()}
    return found | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def set_streams(streams: dict[str, Tensor], moves: torch.Generator, device: torch.device) -> None:
    torch.set_rng_state(streams["cpu"].cpu())
    moves.set_state(streams["moves"].cpu())
    if "cuda" in streams and device.type == "cuda":
        torch.cuda.set_rng_state(streams["cuda"].cpu(), device)


def raise_if_stopped(job: Job, state: State) -> None:
    reason = job.stop.reason()
    if reason:
        step = state.progress.step
        raise Interrupted(
            f"{job.name}: {reason}; saved after {len(state.history)} of {job.last} epochs"
            f"{f' and {step} batches' if step else ''}, the same command goes on from there"
        )


@torch.inference_mode()
def predict(
    model: nn.Module, data: Pixels, dtype: torch.dtype, stop: Stop | None = None, *, mirror: bool = False
) -> np.ndarray:
    """Logits, float16 (N, classes): the precision that a record keeps, so that statistics agree with it.

    With ``mirror`` they stand for the mean of the probabilities of each image and its mirror image.
    Raises Interrupted where ``stop`` says so between two batches.
    """
    model.eval()
    device = data.labels.device
    parts = []
    size = data.size or data.images.shape[-1]
    step = max(8, EVAL_PIXELS // size**2)
    for begin in range(0, len(data), step):
        x, _ = data.batch(slice(begin, begin + step))
        with torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
            x = data.finish(x)
            logits = with_mirror(model, x) if mirror else model(x)[0]
        parts.append(logits.float().half())
        if stop is not None and stop.reason():
            raise Interrupted(stop.reason() or "")
    return torch.cat(parts).cpu().numpy()


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
            state.kept[reading] = {"score": value, "epoch": epoch, **logits}
    return better["val_selected"]


def evaluate_epoch(job: Job, state: State, epoch: int, line: dict[str, float]) -> None:
    """Validation and test after an epoch: history, best readings, learning rate, checkpoint."""
    began = time.perf_counter()
    if images := job.row.recipe.get("settle"):
        data = job.parts["train"]
        spread = torch.linspace(
            0, len(data) - 1, min(images, len(data))
        ).long()  # files may be sorted by class
        with torch.autocast(job.device.type, torch.bfloat16, enabled=job.dtype == torch.bfloat16):
            settle(state.judged, data.finish(data.batch(spread.to(job.device))[0]))
    logits = {}
    for split in ("val", "test"):
        try:
            logits[split] = predict(state.judged, job.parts[split], job.dtype, job.stop, mirror=job.mirror)
        except Interrupted:
            save(job, state)
            raise_if_stopped(job, state)
        line[f"{split}_loss"], line[f"{split}_accuracy"] = score(logits[split], job.labels[split])
        if not np.isfinite(line[f"{split}_loss"]):
            raise FerlibError(f"{job.name}: logits overflow in epoch {epoch + 1}; lower the rate")
    for part in (state.model, state.loss):
        line |= getattr(part, "monitored", dict)()
    state.history.append(line)
    if keep_best(state, epoch, logits, job.labels):
        name = f"best-{epoch}.safetensors"
        checkpoint.save_weights(state.judged, job.folder / name)
        state.kept["val_selected"]["weights"] = name
    state.schedule.epoch_end(line)
    state.seconds.append(state.progress.seconds + time.perf_counter() - began)
    state.progress.reset()
    save(job, state)
    report(job, line, state)


def report(job: Job, line: dict[str, float], state: State) -> None:
    """One line an epoch, for logs and terminals alike."""
    tqdm.write(
        f"{job.name} epoch {line['epoch'] + 1}: train {line['train_loss']:.4f} {line['train_accuracy']:.4f}"
        f"  val {line['val_loss']:.4f} {line['val_accuracy']:.4f}  test {line['test_accuracy']:.4f}"
        f"  lr {line['lr']:.2e}  {state.seconds[-1]:.0f} s",
        file=sys.stderr,
    )


def stale(state: State) -> int:
    """Epochs since the best validation accuracy."""
    return len(state.history) - 1 - state.kept["val_selected"]["epoch"]


def ended_early(row: Experiment, state: State) -> bool:
    """Whether the row's early stopping has come into effect."""
    return bool(row.early_stopping and state.history and stale(state) >= row.early_stopping)


def fit(job: Job, state: State) -> str:
    """Train to the row's end, its early stop or the cap; returns why it stopped. Raises Interrupted."""
    if job.settings.graphs and job.device.type == "cuda":
        state.graphed = GraphedStep(job, state)
    for epoch in range(len(state.history), job.last):
        if ended_early(job.row, state):
            break
        rate = state.schedule.epoch_rate()
        loss, accuracy = train_epoch(job, state, epoch)
        evaluate_epoch(
            job, state, epoch, {"epoch": epoch, "lr": rate, "train_loss": loss, "train_accuracy": accuracy}
        )
    done = len(state.history)
    if ended_early(job.row, state):
        return "early stopping"
    return "last epoch" if done == job.row.epochs else f"capped at {done} epochs"


def save(job: Job, state: State) -> None:
    """Write a checkpoint; FerlibError, and nothing written, where the weights or the loss are not finite."""
    began = time.monotonic()
    refuse_bad_loss(job, len(state.history), state.progress)
    weights = state.model.state_dict()
    if not all(bool(torch.isfinite(w).all()) for w in weights.values() if w.is_floating_point()):
        raise FerlibError(
            f"{job.name}: weights are not finite in epoch {len(state.history) + 1}; lower the rate"
            f" (the last good state is kept in {job.folder})"
        )
    content = {
        "key": job.key,
        "model": weights,
        "loss": state.loss.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "schedule": state.schedule.state_dict(),
        "history": state.history,
        "seconds": state.seconds,
        "kept": checkpoint.plain(state.kept, Tensor),
        "progress": state.progress.state_dict(),
        "interruptions": state.interruptions,
        "trained_by": state.trained_by,
    }
    if state.average is not None:
        content["average"] = state.average.state_dict()
    checkpoint.write(job.folder, content)
    now = state.kept["val_selected"]["weights"] if state.kept else None
    checkpoint.remove_weights_but(
        job.folder, {now, state.saved_weights}
    )  # the one before still needs its own
    state.saved, state.saved_weights = time.monotonic(), now
    job.stop.expect(state.saved - began)


def restore(job: Job, state: State) -> bool:
    """Put the newest checkpoint's content into a fresh state; False where there is none."""
    content = checkpoint.newest(job.folder, job.key, job.device)
    if content is None:
        return False
    for name in ("model", "loss", "optimiser", "schedule", "progress"):
        getattr(state, name).load_state_dict(content[name])
    if state.average is not None:
        state.average.load_state_dict(content["average"])
    for name in ("history", "seconds", "interruptions", "trained_by"):
        setattr(state, name, content[name])
    state.kept = checkpoint.plain(content["kept"], np.ndarray)
    state.saved_weights = state.kept["val_selected"]["weights"] if state.kept else None
    return True
