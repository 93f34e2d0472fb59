"""What the commands of ``ferlib`` have in common: their exit status, and errors in one line on stderr."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable
from typing import ParamSpec

from ferlib.errors import BadUsage, FerlibError

P = ParamSpec("P")


def parser(prog: str, description: str, note: str = "") -> argparse.ArgumentParser:
    """A parser whose help ends with ``note`` and the exit statuses of `told`."""
    epilog = f"{note} Exit status: 0 done, 1 failed, 2 bad usage.".lstrip()
    return argparse.ArgumentParser(prog=prog, description=description, epilog=epilog)


def told(main: Callable[P, int]) -> Callable[P, int]:
    """A command that tells a FerlibError of ``main`` in one line on stderr and returns 1, or 2 for BadUsage."""

    @functools.wraps(main)
    def command(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            return main(*args, **kwargs)
        except FerlibError as error:
            print(f"ferlib: {error}", file=sys.stderr)
            return 2 if isinstance(error, BadUsage) else 1

    return command
