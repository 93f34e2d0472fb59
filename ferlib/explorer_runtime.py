"""The part of onnxruntime-web (MIT licence) that a page needs, from its npm package, checked and cached."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from ferlib.data import cache
from ferlib.errors import FerlibError

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"  # of the package's tarball
FILES = ("ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
PATIENCE = 180  # seconds for a download of 33 MB


def copy_to(out: Path) -> list[Path]:
    """The files that run a network in a browser, in ``out``; downloads the package where the cache lacks it.

    Raises FerlibError in one line where it cannot be had: no npm, no network, or another file than the pinned one.
    """
    tarball = cached()
    out.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(tarball) as archive:
            for name in FILES:
                member = archive.extractfile(f"package/dist/{name}")
                assert member is not None  # a regular file, as the checksum says
                with (out / name).open("wb") as file:
                    shutil.copyfileobj(member, file)
    except OSError as error:
        raise FerlibError(f"{out}: cannot be written ({error.strerror}); free some space") from None
    return [out / name for name in FILES]


def cached() -> Path:
    """The tarball in the user's cache, after its checksum."""
    path = cache.directory() / f"{PACKAGE}-{VERSION}.tgz"
    if path.is_file() and _sha256(path) == SHA256:
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            found = _download(Path(folder))
            if (digest := _sha256(found)) != SHA256:
                raise FerlibError(
                    f"{PACKAGE} {VERSION}: sha256 {digest[:12]}… is not the pinned {SHA256[:12]}…; not used"
                )
            found.replace(path)
    except OSError as error:
        raise FerlibError(f"{path.parent}: cannot be written ({error.strerror}); set FERLIB_CACHE") from None
    return path


def _download(folder: Path) -> Path:
    """The package as it was published, through npm, which knows the user's settings and proxy."""
    npm = shutil.which("npm")
    if npm is None:
        raise FerlibError(f"{PACKAGE} is an npm package, and there is no npm here; install Node.js")
    command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--loglevel=error", "--ignore-scripts"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise FerlibError(f"npm pack {PACKAGE} took longer than {PATIENCE} s; build again later") from None
    found = list(folder.glob("*.tgz"))
    if done.returncode or len(found) != 1:
        said = " ".join(done.stderr.split())[:160]
        raise FerlibError(
            f"npm pack {PACKAGE}@{VERSION} failed ({said or done.returncode}); is there a network?"
        )
    return found[0]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
