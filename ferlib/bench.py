"""``ferlib bench``: how fast this machine trains and evaluates every model, and against what.

Each case runs in a process of its own, so that its peak memory is its own. The library, a textbook PyTorch loop
and, where tensorflow is installed, Keras train the same network in turns (first to last, last to first, ...): what
else the machine does in the meantime hits all alike. Ratios are taken turn by turn.

Floating-point operations are twice the multiply-adds of convolutions and matrix products in a forward pass;
a training step counts as three forward passes (forward, gradient of the inputs, gradient of the weights).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from ferlib import baselines, commands
from ferlib.errors import BadUsage, FerlibError
from ferlib.models import MODELS
from ferlib.records import put_json
from ferlib.snapshots import SCHEMA, load_snapshots, path_of, to_text, validate, write

__all__ = ["CASES", "load_snapshots", "main", "measure", "to_text", "validate"]

BLOCKS = 4  # of a model's seconds; the spread is theirs
TURNS = 6  # of each contender, each as long as two blocks
TASKS = ("train", "infer")
PASSES = {"train": 3, "infer": 1}  # forward passes' worth of operations per image
TABLE_1_EPOCHS = 100  # Luo, section 2.3
DISTINCT = 1024  # faces that the contenders are fed with
SLOW = 1.0  # seconds of one matrix product


@dataclass(frozen=True)
class Case:
    """A model at the size, batch and number of channels that its paper trains with."""

    name: str
    model: str
    size: int
    batch: int
    channels: int = 1
    plain: bool = True  # made of plain convolutions: the share of the matmul peak has a goal
    by_default: bool = True
    variant: Mapping[str, Any] = field(default_factory=dict)  # beyond the network's defaults


def _gcca(model: int) -> Case:
    """One of Chen & Chen's six models, with its own loss; batch not printed."""
    name = "gcca_vgg" if model == 6 else f"gcca_vgg-model{model}"
    return Case(name, "gcca_vgg", 48, 64, by_default=model == 6, variant={"model": model})


CASES = {
    case.name: case
    for case in (
        Case("se_cnn", "se_cnn", 48, 64),  # Luo, section 2.1
        Case("amdcnn", "amdcnn", 48, 32),  # Shang et al., Table 2
        Case("msca_resnet", "msca_resnet", 48, 128),  # Wang & Zhang, section 3.3
        *map(_gcca, (6, 1, 2, 3, 4, 5)),
        Case(
            "gcca_vgg@224", "gcca_vgg", 224, 32, 3, by_default=False, variant={"model": 6}
        ),  # minutes on a CPU
        Case("a_mobilenet", "a_mobilenet", 224, 64, 3, plain=False),  # Nan et al., section 4.2
        Case("mobilenet_v1", "mobilenet_v1", 224, 64, 3, plain=False),
        Case("mobilenet_v2", "mobilenet_v2", 224, 64, 3, plain=False),
        Case("mobilenet_v3_small", "mobilenet_v3_small", 224, 64, 3, plain=False),
        Case("small_resnet", "small_resnet", 48, 64, plain=False),  # the house's own
    )
}
CONTENDERS = ("ferlib", "textbook", "keras")
CONTEST = Case("se_cnn-plain", "se_cnn", baselines.SIDE, 64)


# ---- in the worker: what runs -------------------------------------------------------------------------------


def row_of(case: Case) -> Any:
    """An experiment row for a case: the paper's own where there is one, else Luo's with another model.

    Data, balancing and pretrained weights have no part in it: pixels are random and already in memory. The
    rate is so low that no network diverges on them.
    """
    from ferlib.experiments import EXPERIMENTS, get

    rows = [row for row in EXPERIMENTS.values() if row.model == case.model]
    rows.sort(key=lambda row: (not case.variant.items() <= row.variant.items(), row.size != case.size))
    row = rows[0] if rows else replace(get("se_cnn-plain"), model=case.model)
    preprocess = {**row.preprocess, "channels": case.channels}
    variant = get("se_cnn-plain").variant if case is CONTEST else dict(case.variant)
    if "targets" in row.recipe:  # nobody voted on random pixels
        row = replace(row, recipe={}, loss="cross_entropy", loss_options={})
    return replace(
        row,
        id=f"bench-{case.name}",
        dataset="random",
        dataset_options={},
        variant=variant,
        size=case.size,
        batch=case.batch,
        preprocess=preprocess,
        balance={},
        schedule={"name": "constant"},
        optimiser={**row.optimiser, "lr": 1e-5},
        pretrained=None,
    )


class Library:
    """The library's own training and inference; all that the bench takes from the engine is used here.

    A block is whole epochs, about four or more; they start at one batch and grow up to FER2013's length.
    """

    last = 0.0

    def __init__(self, row: Any, task: str, images: Any, spec: Mapping[str, Any]) -> None:
        from ferlib import device as machine
        from ferlib import engine
        from ferlib.cost import multiply_adds
        from ferlib.interrupt import Stop
        from ferlib.models import count_parameters

        machine.keep_freed_memory()
        self.engine, self.row, self.task, self.images, self.stop = engine, row, task, images, Stop()
        self.settings = engine.Settings(
            device=spec["device"],
            precision=spec["precision"],
            graphs=spec["graphs"] and task == "train",
            save_seconds=math.inf,
        )
        device, channels = machine.resolve_device(spec["device"]), row.preprocess["channels"]
        self.state = engine.start(row, 0, baselines.CLASSES, channels, device)
        self.set_length(row.batch)
        self.facts = {
            **machine.environment(device, self.job.dtype),
            "variant": dict(row.variant),
            "multiply_adds": multiply_adds(row.model, row.variant, channels, row.size),
            "parameters": count_parameters(self.state.model),
        }

    def set_length(self, n: int) -> None:
        """An epoch of n images (the given ones over and over), with a first image as validation and test."""
        import numpy as np

        from ferlib.data.dataset import FaceDataset

        images = np.resize(self.images, (n + 2, *self.images.shape[1:]))
        split = np.array(["train"] * n + ["val", "test"])
        labels, classes = np.arange(n + 2) % baselines.CLASSES, tuple("abcdefg")
        data = FaceDataset("random", images, labels, classes, split, np.arange(n + 2).astype(str))
        self.n, self.job = n, self.engine.prepare(self.row, 0, data, self.settings, self.stop)
        if self.settings.graphs and self.job.device.type == "cuda":
            self.state.graphed = self.engine.GraphedStep(self.job, self.state)

    def epoch(self) -> None:
        """One epoch, or one evaluation of as many images; ``last`` is the seconds it took, the device's included."""
        began = time.perf_counter()
        if self.task == "train":
            self.state.progress.reset()
            self.engine.train_epoch(self.job, self.state, 0)
        else:
            self.engine.predict(self.state.model, self.job.parts["train"], self.job.dtype)
        self.last = time.perf_counter() - began

    def __call__(self, seconds: float) -> tuple[int, float]:
        if not self.last:  # kernels are chosen, the optimiser makes its state
            self.epoch()
        while self.last < seconds / 4 and self.n < baselines.EPOCH:
            longer = max(2, int(seconds / 4 / max(self.last, 1e-3)))
            self.set_length(min(baselines.EPOCH, self.n * longer))
            self.epoch()
        images, elapsed = 0, 0.0
        while elapsed < seconds or not images:
            self.epoch()
            elapsed += self.last
            images += self.n
        return images, elapsed


def matmul_peak(device: str, sizes: Sequence[int] = ()) -> dict[str, dict[str, float]]:
    """Best floating-point operations per second of square ``torch.matmul``, by precision, and the side it is met at."""
    import torch

    cuda = torch.device(device).type == "cuda"
    found: dict[str, dict[str, float]] = {}
    for dtype in (torch.bfloat16, torch.float32):
        best, side = 0.0, 0
        for n in sizes or ((4096, 8192, 16384) if cuda else (512, 1024, 2048)):
            a = torch.rand(n, n, device=device).to(dtype)
            slow = False
            for trial in range(9):  # the first one also chooses a kernel
                began = time.perf_counter()
                torch.matmul(a, a)
                if cuda:
                    torch.cuda.synchronize()
                taken = time.perf_counter() - began
                if 2 * n**3 / taken > best:
                    best, side = 2 * n**3 / taken, n
                if slow := trial > 0 and taken > SLOW:
                    break
            if slow:  # no fast path for this type: a larger one takes minutes
                break
        found[str(dtype).removeprefix("torch.")] = {"flops": best, "side": side}
    return found


def worker(spec: Mapping[str, Any]) -> None:
    """Run one case in this process, told through its pipes (see `ferlib.baselines.serve`)."""
    import numpy as np
    import torch

    if spec["threads"]:
        torch.set_num_threads(spec["threads"])
    from ferlib.device import environment, resolve_device, resolve_precision

    device = resolve_device(spec["device"])

    def start() -> tuple[dict[str, Any], baselines.Block]:
        if spec["what"] == "peak":
            facts = environment(device, resolve_precision(spec["precision"], device))
            return {**facts, "peak": matmul_peak(str(device))}, lambda seconds: (0, 0.0)
        case = CONTEST if spec["case"] == CONTEST.name else CASES[spec["case"]]
        if case is CONTEST:
            from ferlib.data import load

            images = load("synthetic", n=DISTINCT, size=case.size).images
        else:  # speed does not depend on what is in a picture
            side = baselines.SIDE
            images = np.random.default_rng(0).integers(0, 256, (256, side, side), dtype=np.uint8)
        library = Library(row_of(case), spec["task"], images, spec)
        return library.facts, library

    def peak() -> int:
        cuda = device.type == "cuda"
        return torch.cuda.max_memory_allocated(device) if cuda else baselines.peak_memory()

    baselines.serve(start, peak)


# ---- in the parent: who runs when ---------------------------------------------------------------------------


class Worker:
    """A process that runs one case, block by block, when it is asked to."""

    def __init__(self, command: Sequence[str], threads: int = 0) -> None:
        root = str(Path(__file__).resolve().parents[1])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, "PYTHONPATH": path}
        if threads:
            environment |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the process
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=environment,
        )
        self.peak = 0
        self.rates: list[float] = []

    def answer(self) -> dict[str, Any]:
        """The worker's next line; FerlibError with its own last words where it has ended instead."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = json.loads(line) if line else {}
        if not line or "error" in found:
            self.log.seek(0)
            words = (
                found.get("error") or (self.log.read().strip().splitlines() or ["ended without a word"])[-1]
            )
            raise FerlibError(f"a case of the bench failed: {words}")
        return found

    def ready(self) -> dict[str, Any]:
        return self.answer()["ready"]

    def block(self, seconds: float) -> float:
        """Images per second over a block."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"seconds": seconds}) + "\n")
        self.process.stdin.flush()
        found = self.answer()
        self.peak = found["peak"]
        self.rates.append(found["images"] / found["seconds"])
        return self.rates[-1]

    def close(self) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.close()
            self.process.wait(timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        self.log.close()


@contextmanager
def running(command: Sequence[str], threads: int = 0) -> Iterator[Worker]:
    worker = Worker(command, threads)
    try:
        yield worker
    except KeyboardInterrupt:
        worker.process.kill()
        raise
    finally:
        worker.close()


@dataclass(frozen=True)
class Plan:
    """What is measured how. ``seconds`` per case; ``keras_python`` is an interpreter that has tensorflow."""

    models: tuple[str, ...]
    seconds: float = 8.0
    threads: int = 0
    device: str = "auto"
    precision: str = "auto"
    graphs: bool = False
    keras_python: str | None = None

    def command(self, what: str, **more: Any) -> list[str]:
        spec = {
            "what": what,
            "threads": self.threads,
            "device": self.device,
            "precision": self.precision,
            "graphs": self.graphs,
            **more,
        }
        return [sys.executable, "-m", "ferlib.bench", "--worker", json.dumps(spec)]


def summary(rates: Sequence[float]) -> dict[str, Any]:
    """Median, lowest and highest of the rates, and the rates themselves."""
    rounded = [float(f"{rate:.5g}") for rate in rates]
    return {
        "images_per_second": statistics.median(rounded),
        "low": min(rounded),
        "high": max(rounded),
        "rates": rounded,
    }


def measure_case(plan: Plan, case: Case, task: str, step: Callable[[], object]) -> dict[str, Any]:
    """One model at one task, as a row of the snapshot (without its share of the peak)."""
    with running(plan.command("model", case=case.name, task=task), plan.threads) as worker:
        facts = worker.ready()
        for _ in range(BLOCKS):
            worker.block(plan.seconds / BLOCKS)
            step()
        row = {key: getattr(case, key) for key in ("name", "model", "size", "batch", "channels")}
        row |= {
            "task": task,
            **{key: facts[key] for key in ("variant", "multiply_adds", "parameters", "precision")},
        }
        return row | summary(worker.rates) | {"peak_memory_bytes": worker.peak}


def turns(names: Sequence[str], count: int) -> list[list[str]]:
    """Who runs after whom: first to last, then last to first, and so on."""
    return [list(names if k % 2 == 0 else reversed(names)) for k in range(count)]


def contest_commands(plan: Plan, folder: Path) -> tuple[dict[str, list[str]], dict[str, str]]:
    """A command for each contender that can run here, and why the others cannot."""
    options = [str(folder), "--batch", str(CONTEST.batch), "--threads", str(plan.threads or 1)]
    script = str(Path(baselines.__file__))
    commands = {
        "ferlib": plan.command("model", case=CONTEST.name, task="train"),
        "textbook": [sys.executable, "-m", "ferlib.baselines", "textbook", *options, "--device", plan.device],
        "keras": [plan.keras_python or sys.executable, script, "keras", *options],
    }
    missing = None if plan.keras_python else baselines.keras_missing()
    if missing:
        del commands["keras"]
    return commands, {"keras": missing} if missing else {}


def write_faces(folder: Path) -> None:
    from ferlib.data import load

    faces = load("synthetic", n=DISTINCT, size=baselines.SIDE)
    baselines.write_folder(folder, faces.images, faces.labels, baselines.EPOCH)


def contest(plan: Plan, step: Callable[[], object]) -> dict[str, Any]:
    """The library against the baselines, in turns: rates of each, and why one is missing."""
    with tempfile.TemporaryDirectory(prefix="ferlib-bench-") as name, ExitStack() as stack:
        write_faces(Path(name))
        commands, skipped = contest_commands(plan, Path(name))
        workers: dict[str, Worker] = {}
        facts: dict[str, dict[str, Any]] = {}
        for contender, command in commands.items():
            worker = stack.enter_context(running(command, plan.threads))
            try:
                facts[contender] = worker.ready()
            except FerlibError as error:
                if contender == "ferlib":
                    raise
                skipped[contender] = str(error)
                continue
            workers[contender] = worker
        sizes = {contender: found["parameters"] for contender, found in facts.items()}
        if len(set(sizes.values())) > 1:
            raise FerlibError(
                f"the contenders do not train the same network: parameters {sizes}; report this"
            )
        for order in turns(list(workers), TURNS):
            for contender in order:
                workers[contender].block(2 * plan.seconds / BLOCKS)
                step()
        rows = [
            {"name": contender, **facts[contender], **summary(worker.rates), "peak_memory_bytes": worker.peak}
            for contender, worker in workers.items()
        ]
        return {"case": asdict(CONTEST), "task": "train", "rows": rows, "skipped": skipped}


def ratios(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Rate of the library over that of each baseline: median, lowest and highest over the turns."""
    rates = {row["name"]: row["rates"] for row in rows}
    found = {}
    for name in rates.keys() - {"ferlib"}:
        each = [ours / theirs for ours, theirs in zip(rates["ferlib"], rates[name], strict=True)]
        found[name] = {"ratio": statistics.median(each), "low": min(each), "high": max(each)}
    return found


def add_shares(rows: Sequence[dict[str, Any]], peak: Mapping[str, Mapping[str, float]]) -> None:
    """Achieved floating-point operations per second of each row, alone and over the peak of its precision."""
    for row in rows:
        row["flops"] = row["images_per_second"] * 2 * row["multiply_adds"] * PASSES[row["task"]]
        row["share_of_peak"] = row["flops"] / peak[row["precision"]]["flops"]


def chosen(models: Sequence[str] | None) -> tuple[tuple[str, ...], dict[str, str]]:
    """Names of the cases asked for (default: all but the slow ones), and why some are left out."""
    unknown = [name for name in models or () if name not in CASES]
    if unknown:
        raise FerlibError(f"unknown case {unknown[0]!r}; known are {', '.join(CASES)}")
    names, skipped = [], {}
    for name in models if models is not None else [c.name for c in CASES.values() if c.by_default]:
        if find_spec(f"ferlib.models.{MODELS[CASES[name].model][0]}") is None:
            skipped[name] = "this version of the library has no such model"
        else:
            names.append(name)
    return tuple(names), skipped


def measure(
    models: Sequence[str] | None = None,
    *,
    seconds: float = 8.0,
    threads: int = 0,
    device: str = "auto",
    precision: str = "auto",
    graphs: bool = False,
    with_baselines: bool = True,
    keras_python: str | None = None,
) -> dict[str, Any]:
    """Measure and return a snapshot (see `validate`); a progress bar on a terminal.

    ``models`` are names of ``CASES``; ``seconds`` of measurement per model and task, after warming up.
    Raises FerlibError for an unknown model or device. A case that fails is told in ``skipped``.
    """
    names, skipped = chosen(models)
    plan = Plan(names, seconds, threads, device, precision, graphs, keras_python)
    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    total = len(names) * len(TASKS) * BLOCKS + with_baselines * len(CONTENDERS) * TURNS
    with tqdm(total=total, desc="bench", unit="block", disable=None) as bar:
        first = measure_peak(plan)
        plan = replace(plan, threads=first["threads"], device=device if device != "auto" else first["kind"])
        rows = []
        race = contest(plan, bar.update) if with_baselines else None
        for name in names:
            for task in TASKS:
                bar.set_postfix_str(f"{name} {task}")
                try:
                    rows.append(measure_case(plan, CASES[name], task, bar.update))
                except FerlibError as error:
                    skipped[f"{name} {task}"] = str(error)
        second = measure_peak(plan)
    peak = {k: max(first["peak"][k], second["peak"][k], key=lambda p: p["flops"]) for k in first["peak"]}
    add_shares(rows, peak)
    found = {
        "schema": SCHEMA,
        "machine": machine_of(first, load),
        "settings": {"seconds": seconds, "blocks": BLOCKS, "turns": TURNS, "graphs": graphs},
        "peak": peak,
        "models": rows,
        "contest": race,
        "ratios": ratios(race["rows"]) if race else {},
        "skipped": skipped,
    }
    return validate({**found, "goals": goals(found)}, "bench")


def measure_peak(plan: Plan) -> dict[str, Any]:
    with running(plan.command("peak"), plan.threads) as worker:
        return worker.ready()


def machine_of(facts: Mapping[str, Any], load: float | None) -> dict[str, Any]:
    """The machine by name; ``load`` is the processes that wanted a core in the minute before (load average)."""
    import platform

    from ferlib.outcome import commit

    named = {key: facts[key] for key in ("kind", "device", "threads", "torch", "precision", "ferlib")}
    date, version = time.strftime("%Y-%m-%d"), platform.python_version()
    return {**named, "cores": os.cpu_count(), "python": version, "load": load, "date": date, **commit()}


# ---- goals ---------------------------------------------------------------------------------------------------


def goals(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each goal of the project with what was measured for it; ``value`` and ``met`` are None where nothing was."""
    kind = found["machine"]["kind"]
    rate = {(row["name"], row["task"]): row["images_per_second"] for row in found["models"]}
    share = {
        (row["name"], row["task"]): row["share_of_peak"]
        for row in found["models"]
        if row["precision"] == "bfloat16"
    }
    lines = []

    def goal(text: str, target: float, value: float | None, on: str, unit: str, most: bool = False) -> None:
        value = value if on == kind else None
        met = None if value is None else bool(value <= target if most else value >= target)
        relation = "at most" if most else "at least"
        lines.append(
            {
                "goal": text,
                "on": on,
                "relation": relation,
                "target": target,
                "unit": unit,
                "value": value,
                "met": met,
            }
        )

    for name, target in (("textbook", 2.0), ("keras", 1.7)):
        value = found["ratios"].get(name, {}).get("ratio")
        goal(f"se_cnn training at batch 64 against {name}", target, value, "cpu", "x")
    for name in (c.name for c in CASES.values() if c.plain and c.by_default):
        goal(
            f"{name} training, share of the bfloat16 matmul peak", 0.8, share.get((name, "train")), "cpu", ""
        )
    for name in ("se_cnn", "amdcnn"):
        goal(f"{name} training at 48x48", 30_000, rate.get((name, "train")), "cuda", "images/s")
    seconds = table_1_seconds(rate.get(("se_cnn", "train")), rate.get(("se_cnn", "infer")))
    goal("Luo's Table 1, from the rates, no early stopping", 240, seconds, "cuda", "s", most=True)
    return lines


def table_1_seconds(train: float | None, infer: float | None) -> float | None:
    """Seconds for both rows of Luo's Table 1: 100 epochs of 28,709 images and 7,178 evaluated after each."""
    if not train or not infer:
        return None
    return 2 * TABLE_1_EPOCHS * (baselines.EPOCH / train + 7_178 / infer)


# ---- command line --------------------------------------------------------------------------------------------


def arguments(prog: str) -> argparse.ArgumentParser:
    parser = commands.parser(
        prog,
        "Images per second, memory and share of the matmul peak of every model in training and inference; "
        "the library against a textbook PyTorch loop and Keras. Let nothing else run meanwhile.",
    )
    parser.add_argument(
        "--models",
        nargs="+",
        metavar="NAME",
        help=f"default: all but {', '.join(n for n, c in CASES.items() if not c.by_default)}; of {', '.join(CASES)}",
    )
    parser.add_argument("--seconds", type=float, default=8.0, help="measured per model and task (default: 8)")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves it to torch")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--precision", default="auto", help="auto, float32 or bfloat16")
    parser.add_argument("--graphs", action="store_true", help="train with CUDA graphs (CUDA only)")
    parser.add_argument("--no-baselines", action="store_true", help="leave out the textbook loop and Keras")
    parser.add_argument(
        "--keras-python", metavar="PATH", help="interpreter with tensorflow, if this one has none"
    )
    parser.add_argument(
        "--json", metavar="FILE", help="write all of it as JSON; - prints it instead of the tables"
    )
    parser.add_argument(
        "--snapshot",
        nargs="?",
        const="",
        metavar="FILE",
        help="also write it for the repository (default: results/bench/<kind>-<device>-<threads>t.json)",
    )
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser


@commands.told
def main(argv: list[str] | None = None, prog: str = "ferlib bench") -> int:
    """Measure; returns the exit status."""
    options = arguments(prog).parse_args(argv)
    if options.worker:
        worker(json.loads(options.worker))
        return 0
    if options.seconds <= 0 or options.threads < 0:
        raise BadUsage("--seconds must be positive, --threads not negative")
    try:
        found = measure(
            options.models,
            seconds=options.seconds,
            threads=options.threads,
            device=options.device,
            precision=options.precision,
            graphs=options.graphs,
            with_baselines=not options.no_baselines,
            keras_python=options.keras_python,
        )
        report(found, options)
    except KeyboardInterrupt:
        print("ferlib: stopped; nothing was written", file=sys.stderr)
        return 1
    return 1 if any("failed" in reason for reason in found["skipped"].values()) else 0


def report(found: dict[str, Any], options: argparse.Namespace) -> None:
    """Print the tables and write the files that were asked for."""
    if options.json and options.json != "-":
        put_json(Path(options.json), found)
    print(json.dumps(found, indent=1, allow_nan=False) if options.json == "-" else to_text(found))
    if options.snapshot is not None:
        path = write(found, Path(options.snapshot or path_of(found)))
        print(f"snapshot: {path}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
