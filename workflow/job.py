"""One run as a job of the workflow: train it in this process, and leave a trace of how it went.

``ferlib run`` does the work. This adds the decision that a finished record is never trained again, one
line in the run's log when the job starts and one when it ends (with Slurm's job id), and the marker that
Snakemake waits for. The run shares this process so that a signal from the scheduler reaches it once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import matrix

from ferlib import records
from ferlib.errors import FerlibError


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("experiment")
    parser.add_argument("seed", type=int)
    parser.add_argument("--marker", type=Path, required=True, help="written when the record is there")
    parser.add_argument("--log", type=Path, required=True, help="appended to")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--options", type=json.loads, default={}, help="the workflow's options, JSON")
    return parser


def command(experiment: str, seed: int, threads: int, chosen: matrix.Options) -> list[str]:
    """What follows ``ferlib run`` for this job."""
    words = [experiment, "--seed", str(seed), "--profile", chosen.profile]
    words += ["--device", chosen.device, "--threads", str(threads)]
    words += ["--results", chosen.results, "--runs", chosen.runs]
    for name in ("data_root", "epochs", "budget"):
        if (value := getattr(chosen, name)) is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return words


def train(words: list[str]) -> int:
    """``ferlib run`` in this process; its exit status."""
    from ferlib.train import main

    try:
        return main(words, prog="ferlib run")
    except Exception:  # a fault of the program: told like any other failure, with its trace in the log
        traceback.print_exc()
        return 1


def say(log: TextIO, console: TextIO, event: str, experiment: str, seed: int, **facts: object) -> None:
    """The same line to the run's log and to the console."""
    facts["slurm"] = os.environ.get("SLURM_JOB_ID", "-")
    facts |= {"host": socket.gethostname(), "pid": os.getpid()}
    detail = " ".join(f"{name}={value}" for name, value in facts.items())
    for file in (log, console):
        print(
            f"workflow: {time.strftime('%F %T')} {event} {experiment} seed {seed} {detail}",
            file=file,
            flush=True,
        )


@contextlib.contextmanager
def printing_to(log: TextIO) -> Iterator[None]:
    """Everything this process prints goes to ``log``, also what libraries print behind Python's back."""
    before = {number: os.dup(number) for number in (1, 2)}
    try:
        for number in before:
            os.dup2(log.fileno(), number)
        with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            yield
    finally:
        for number, old in before.items():
            os.dup2(old, number)
            os.close(old)


def logged(given: argparse.Namespace, chosen: matrix.Options, console: TextIO) -> int:
    """Train unless the record is there; everything that `ferlib run` prints goes to the run's log."""
    run = given.experiment, given.seed
    given.log.parent.mkdir(parents=True, exist_ok=True)
    with given.log.open("a", buffering=1) as log:
        if matrix.done(*run, chosen):
            say(log, console, "already there", *run)
            return 0
        say(log, console, "started", *run)
        began = time.monotonic()
        with printing_to(log):
            status = train(command(*run, given.threads, chosen))
        state = records.state_of(chosen.records, *run)
        facts = {"status": status, "seconds": round(time.monotonic() - began), "record": state}
        say(log, console, "finished" if status == 0 else "stopped", *run, **facts)
    return status


def main(argv: list[str] | None = None) -> int:
    given = arguments().parse_args(argv)
    with os.fdopen(os.dup(2), "w") as console:
        try:
            status = logged(given, matrix.options(given.options), console)
        except FerlibError as error:
            print(f"ferlib: {error}", file=console)
            return 1
        if status == 0:
            records.write_atomically(given.marker, lambda file: file.write(b""))
        else:
            print(f"{given.experiment} seed {given.seed}: its log is {given.log}", file=console)
    return status


if __name__ == "__main__":
    sys.exit(main())
