"""Work in a process of its own that is ended where it falls silent: a browser that hangs keeps no time limit."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

from ferlib.errors import FerlibError

LAST_WORDS = 10.0  # seconds for a process that has said its last to end by itself


class SilentError(FerlibError):
    """Nothing was heard for too long; the process was ended."""


def heard(work: Callable[..., None], *args: Any, patience: float) -> Iterator[Any]:
    """What ``work(send, *args)`` sends, as it comes; ``work`` and ``args`` are pickled for a fresh interpreter.

    Raises SilentError ``patience`` seconds after the last thing heard, and FerlibError with what ended ``work``
    otherwise. The process has ended in each case, and where the iterator is closed early.
    """
    fresh = multiprocessing.get_context("spawn")
    here, there = fresh.Pipe(duplex=False)
    process = fresh.Process(target=_run, args=(there, work, args), daemon=True)
    process.start()
    there.close()  # the child alone holds it now: ``here`` ends when the child does
    try:
        while here.poll(patience):
            try:
                kind, what = here.recv()
            except EOFError:
                process.join(LAST_WORDS)
                raise FerlibError(f"{work.__name__} ended with status {process.exitcode}") from None
            if kind == "sent":
                yield what
                continue
            process.join(LAST_WORDS)
            if kind == "error":
                raise FerlibError(what)
            return
        raise SilentError(f"heard nothing for {patience:.0f} s")
    finally:
        process.kill()
        process.join()
        here.close()


def _run(there: Connection, work: Callable[..., None], args: tuple[Any, ...]) -> None:
    """In the child: the work, and what became of it."""
    try:
        work(lambda what: there.send(("sent", what)), *args)
    except FerlibError as error:
        there.send(("error", str(error)))
    except Exception as error:  # told in one line by the parent
        there.send(("error", f"{type(error).__name__}: {error}".splitlines()[0]))
    else:
        there.send(("done", None))
