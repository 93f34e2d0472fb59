"""Several runs at once on one machine, each in a process of its own (``--jobs``).

Small networks leave a GPU, or a second core, idle; processes share it without sharing their failures.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from tqdm.auto import tqdm

from ferlib.experiments.row import Experiment
from ferlib.interrupt import EXIT_STOPPED, Stop

POLL_SECONDS = 0.2


def command(row: Experiment, seed: int, options: argparse.Namespace, minutes: float | None) -> list[str]:
    """The child's command line: one run, its share of the cores, what is left of the budget."""
    words = [sys.executable, "-m", "ferlib.train", row.id, "--seed", str(seed)]
    threads = options.threads or max(1, (os.cpu_count() or 1) // options.jobs)
    words += ["--threads", str(threads), "--save-seconds", str(options.save_seconds)]
    words += ["--profile", options.profile, "--device", options.device, "--precision", options.precision]
    words += ["--results", str(options.results), "--runs", str(options.runs)]
    if options.epochs is not None:
        words += ["--epochs", str(options.epochs)]
    if options.train_images is not None:
        words += ["--train-images", str(options.train_images)]
    if options.data_root is not None:
        words += ["--data-root", options.data_root]
    if minutes is not None:
        words += ["--budget", f"{max(minutes, 0.01):.3f}"]
    return words + [f"--{flag}" for flag in ("restart", "json", "graphs") if getattr(options, flag)]


def run_all(pairs: Sequence[tuple[Experiment, int]], options: argparse.Namespace, stop: Stop) -> int:
    """Train every (row, seed), ``options.jobs`` at a time; one that fails does not stop the others.

    Returns 0, 1 if a run failed, or EXIT_STOPPED if a signal or the budget ended some with their state saved.
    A signal is passed on to the children, which save and end.
    """
    waiting = list(pairs)
    running: dict[subprocess.Popen[bytes], str] = {}
    ended: dict[int, list[str]] = {}
    with stop.listening(), tqdm(total=len(pairs), desc="runs", unit="run", disable=None) as bar:
        passed_on = False
        while waiting or running:
            while waiting and len(running) < options.jobs and not stop.reason():
                row, seed = waiting.pop(0)
                left = None if stop.deadline is None else (stop.deadline - time.monotonic()) / 60
                child = subprocess.Popen(command(row, seed, options, left), start_new_session=True)
                running[child] = f"{row.id} seed {seed}"
            if stop.reason():
                ended.setdefault(EXIT_STOPPED, []).extend(f"{row.id} seed {seed}" for row, seed in waiting)
                waiting.clear()
            if stop.signal is not None and not passed_on:
                for child in running:
                    child.send_signal(signal.SIGTERM)
                passed_on = True
            for child in [c for c in running if c.poll() is not None]:
                # a child that the signal met before it listened had not begun
                status = (
                    EXIT_STOPPED if passed_on and child.returncode == -signal.SIGTERM else child.returncode
                )
                ended.setdefault(status, []).append(running.pop(child))
                bar.update(1)
            time.sleep(POLL_SECONDS if running else 0)
    return summary(ended)


def summary(ended: dict[int, list[str]]) -> int:
    """Say on stderr what did not finish; the exit status of the whole."""
    failed = [name for status, names in ended.items() if status not in (0, EXIT_STOPPED) for name in names]
    stopped = ended.get(EXIT_STOPPED, [])
    for names, what in ((stopped, "stopped, the same command goes on"), (failed, "failed, see above")):
        if names:
            print(f"ferlib: {len(names)} {what}: {', '.join(names)}", file=sys.stderr)
    return 1 if failed else EXIT_STOPPED if stopped else 0
