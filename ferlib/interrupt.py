"""Stopping a run in good order: signals, time budgets, and one process per run."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ferlib.errors import FerlibError

try:
    import fcntl
except (
    ImportError
):  # Windows has no advisory locks of this kind: there, one process per run is up to the user
    fcntl = None  # type: ignore[assignment]

EXIT_STOPPED = 75  # EX_TEMPFAIL of sysexits.h: stopped with its state saved, the same command goes on


class Interrupted(FerlibError):
    """A run stopped with its state saved; the same command goes on."""


class Busy(FerlibError):
    """Another process trains this run."""


class Stop:
    """Whether it is time to stop: a signal came or the budget is used up.

    ``budget`` in minutes counts from ``since`` (``time.monotonic``; default: now). What a stop itself
    costs is kept in reserve, measured as the longest `expect` so far.
    """

    def __init__(self, budget: float | None = None, since: float | None = None) -> None:
        self.deadline = None if budget is None else (since or time.monotonic()) + 60 * budget
        self.reserve = 0.0
        self.signal: int | None = None

    def expect(self, seconds: float) -> None:
        """Note how long something took that must still fit in before the deadline (a save, a step)."""
        self.reserve = max(self.reserve, 1 + 2 * seconds)

    def reason(self) -> str | None:
        """Why to stop now, or None."""
        if self.signal is not None:
            return f"stopped by {signal.Signals(self.signal).name}"
        if self.deadline is not None and time.monotonic() > self.deadline - self.reserve:
            return "time budget used up"
        return None

    @contextmanager
    def listening(self) -> Iterator[Stop]:
        """SIGINT, SIGTERM and SIGUSR1 (Slurm's warning) ask for a stop; a second one ends the process at once."""
        names = [n for n in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, n)]
        before = {getattr(signal, n): signal.getsignal(getattr(signal, n)) for n in names}

        def handle(number: int, _frame: Any) -> None:
            self.signal = number
            for each, old in before.items():
                signal.signal(each, old)

        for number in before:
            signal.signal(number, handle)
        try:
            yield self
        finally:
            for number, old in before.items():
                signal.signal(number, old)


@contextmanager
def exclusive(folder: Path, what: str) -> Iterator[None]:
    """Hold ``folder``/lock for this process; Busy if another one holds it. A killed process holds nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip() or "another process"
                raise Busy(f"{what} is being trained by {holder}; wait for it, or stop it first") from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%F %T')}\n")
        file.flush()
        yield


@contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Wait until no other process writes records into ``folder``. Leaves no file behind."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY) if fcntl is not None else None
    try:
        if handle is not None:
            with suppress(OSError):  # a file system without locks on folders: atomic renames still hold
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        if handle is not None:
            os.close(handle)
