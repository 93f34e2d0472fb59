"""Kill a run with SIGKILL again and again and look at what is left; run as a script by test_unbreakable.py.

The parent imports torch but never uses it, so that forked children start in milliseconds and in order.
Prints one JSON object: how many kills fell into which phase, how many runs came to their end, what went wrong.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import safetensors.torch  # noqa: F401  (imported before the forks: the optimiser and the models need them)
import torch
import torch._dynamo
from toy import ROW, settings, toy

from ferlib import checkpoint, engine, records, train
from ferlib.models import se_cnn  # noqa: F401
from ferlib.pixels import Pixels

PHASES = ("training", "evaluating", "checkpoint", "record")
CAPPED = 1  # epochs of the record that is there from the start and gets replaced


class Killer:
    """Counts events of a run; ends the process at event ``at``, of all or of one phase, as kill -9 does."""

    def __init__(self, at: int | tuple[str, int] | None, note: Path) -> None:
        self.at, self.note, self.phase, self.count = at, note, "starting", 0
        self.by_phase: Counter[str] = Counter()

    def event(self) -> None:
        self.count += 1
        self.by_phase[self.phase] += 1
        self.note.write_text(f"{self.phase} {self.count}")
        if self.at in (self.count, (self.phase, self.by_phase[self.phase])):
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self) -> None:
        """Events: each batch, and the moments before and after each sync and each rename."""
        os.fsync = lambda _: None  # a kill is no power cut: the moments count, not the disk
        self.around(Pixels, "batch", None)
        self.around(os, "fsync", None)
        self.around(os, "replace", None)
        self.around(engine, "train_epoch", "training")
        self.around(engine, "evaluate_epoch", "evaluating")
        self.around(checkpoint, "write", "checkpoint")
        self.around(train, "write_record", "evaluating")
        self.around(records, "write", "record")

    def around(self, place: object, name: str, phase: str | None) -> None:
        function = getattr(place, name)

        def wrapped(*arguments, **keywords):
            before, self.phase = self.phase, phase or self.phase
            if phase is None:
                self.event()
            try:
                return function(*arguments, **keywords)
            finally:
                if phase is None:
                    self.event()
                self.phase = before

        setattr(place, name, wrapped)


def attempt(
    folder: Path, save_seconds: float, at: int | tuple[str, int] | None, seconds: float | None
) -> tuple[bool, str, int]:
    """One process of the run; whether it ended by itself, and the phase and number of its last event."""
    note = folder / "note"
    note.write_text("starting 0")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.dup2(os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
            torch.set_num_threads(1)
            killer = Killer(at, note)
            killer.watch()
            train.run(ROW, 0, settings(folder, save_seconds=save_seconds), data=toy())
            status = 0
        except BaseException as error:
            print(repr(error), file=sys.stderr)
        finally:
            os._exit(status)
    if seconds is not None:  # a run that ends before is not waited for
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not os.waitid(
            os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT
        ):
            time.sleep(0.002)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    phase, count = (note.read_text() or "writing-note 0").split()
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError((folder / "log").read_text())
    return os.WIFEXITED(status), phase, int(count)


def fresh(folder: Path, base: Path) -> Path:
    """A folder with the capped record in it, as if the run had been tried briefly before."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(base, folder)
    return folder


def main(work: Path, kills: int, timed: int) -> None:
    rng = random.Random(0)
    base = work / "base"
    base.mkdir()
    if os.fork() == 0:
        torch.set_num_threads(1)
        train.run(ROW, 0, settings(base, epochs=CAPPED), data=toy())
        os._exit(0)
    os.wait()
    shutil.rmtree(base / "runs")
    whole = fresh(work / "whole", base)
    began = time.monotonic()
    _, _, events = attempt(whole, 0.0, None, None)
    duration = time.monotonic() - began
    path = records.path_of("results", ROW.id, 0)
    capped, expected = records.read(base / path)["sha256"], records.read(whole / path)["sha256"]
    assert capped != expected
    phases: dict[str, int] = {}
    problems, ends, interruptions = [], 0, []
    folder = fresh(work / "run", base)
    done = 0
    while done < kills + timed:
        at = rng.randint(1, events // 3) if done < kills else None
        if at and done % 5 == 0:  # any event of a run may be far from its end, where the record is written
            at = (PHASES[done // 5 % len(PHASES)], rng.randint(1, 4))
        seconds = None if at else rng.uniform(0, duration)
        began = time.monotonic()
        ended, phase, _ = attempt(folder, rng.choice((0.0, 0.05, 1e9)), at, seconds)
        if ended:  # the first one may have been slow for others' sake
            duration = min(duration, time.monotonic() - began)
        record = records.read(folder / path)  # raises unless valid
        records.read_predictions(folder / path)
        if not ended:
            done += 1
            phases[phase] = phases.get(phase, 0) + 1
            continue
        ends += 1
        interruptions.append(record["run"]["interruptions"])
        left = [p.name for p in (folder / path).parent.iterdir() if p.suffix not in (".json", ".npz")]
        if record["sha256"] != expected or left:
            problems.append(f"end {ends}: other numbers" if not left else f"end {ends}: left {left}")
        folder = fresh(work / "run", base)
    print(json.dumps({"phases": phases, "ends": ends, "interruptions": interruptions, "problems": problems}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
