"""Execute one notebook of the book as a job, unless its last good run had the same inputs.

Leaves what ``ferlib.book build`` looks for, so that the build finds every notebook executed and only
makes the pages.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ferlib import book
from ferlib.errors import FerlibError


def run(root: Path, page: str, parameters: dict[str, object]) -> bool:
    """Execute ``page`` (``notebooks/se_cnn``) into ``_build/executed``; False if it was kept."""
    notebook, out = root / f"{page}.ipynb", root / "_build" / "executed" / f"{page}.ipynb"
    stamp, inputs = out.with_suffix(".inputs"), book.notebook_inputs(root, notebook, parameters)
    if out.exists() and stamp.exists() and stamp.read_text() == inputs:
        return False
    stamp.unlink(missing_ok=True)
    book.execute(notebook, out, parameters, cwd=root)
    stamp.write_text(inputs)
    return True


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("page")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument(
        "--marker", type=Path, required=True, help="written when the executed notebook is there"
    )
    parser.add_argument("--profile", default="quick")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--data-root", type=Path)
    given = parser.parse_args(argv)
    # as `ferlib.book build` has them: a notebook's inputs are its code, records and parameters
    data_root = str(given.data_root.expanduser().absolute()) if given.data_root else None
    parameters = {"profile": given.profile, "data_root": data_root, "device": given.device, "seed": 0}
    try:
        ran = run(given.root.absolute(), given.page, parameters)
    except FerlibError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{given.page}: {'executed' if ran else 'unchanged, kept'}")
    given.marker.parent.mkdir(parents=True, exist_ok=True)
    given.marker.touch()
    return 0


if __name__ == "__main__":
    sys.exit(main())
