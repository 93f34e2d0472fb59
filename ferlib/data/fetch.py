"""Downloads, for the one dataset that may be downloaded; for the others, how to ask for them."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from ferlib.data import NAMES, ckplus, fer2013, rafdb
from ferlib.errors import DataError

URL = "https://raw.githubusercontent.com/microsoft/FERPlus/master/fer2013new.csv"
SHA256 = "9206e20d62f56475939f516847d61753e4860caeac9718b560129541b776fc2c"
_HOW = {"fer2013": fer2013.HOW, "rafdb": rafdb.HOW, "ckplus": ckplus.HOW}


def fetch(name: str, root: str | os.PathLike[str] | None = None, *, url: str = URL) -> Path:
    """Download what may be downloaded into ``root/<name>`` and return the file's path.

    Only the votes of FERPlus may (MIT licence). The file appears under its name when it is complete and its
    sha256 is right, not before; a right one that is already there is kept. For every other dataset the
    DataError says how to ask for it.
    """
    if name in _HOW:
        raise DataError(f"{name} may not be redistributed. {_HOW[name]}")
    if name != "ferplus":
        known = ", ".join(NAMES)
        reason = "is drawn by ferlib itself" if name == "synthetic" else f"is unknown (known are {known})"
        raise DataError(f"{name} {reason}: there is nothing to download")
    chosen = os.fspath(root) if root is not None else os.environ.get("FERLIB_DATA", "")
    if not chosen:
        raise DataError("no data folder given: pass root=DIR (--root DIR) or set FERLIB_DATA=DIR")
    return _download(url, Path(chosen).expanduser() / "ferplus")


def _download(url: str, folder: Path) -> Path:
    import pooch  # slow to import, and needed here only
    import requests

    pooch.get_logger().setLevel(logging.WARNING)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # pooch writes to a temporary file, checks the sum and moves it into place
        return Path(pooch.retrieve(url, f"sha256:{SHA256}", "fer2013new.csv", folder))
    except requests.exceptions.RequestException as error:
        status = getattr(error.response, "status_code", None)
        reason = f"status {status}" if status else type(error).__name__
        raise DataError(
            f"cannot download {url} ({reason}): try again, or save it as {folder}/fer2013new.csv"
        ) from None
    except ValueError:
        raise DataError(
            f"what {url} sent has another sha256 than {SHA256[:12]}...: nothing was kept"
        ) from None
    except OSError as error:
        raise DataError(f"cannot write to {folder} ({error.strerror}): choose another --root") from None
