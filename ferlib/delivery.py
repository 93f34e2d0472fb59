"""The built book in other forms: served here, as a zip that opens from disk, as a PDF, as a site with both."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import shutil
import sys
import threading
import zipfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tqdm import tqdm

from ferlib.errors import FerlibError
from ferlib.records import write_atomically
from ferlib.silence import SilentError, heard

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NAME = "attention-fer-book"
FORMS = {".pdf": "as PDF", ".zip": "as a zip that opens from disk"}
DOWNLOADS = "<!-- downloads -->"  # on the landing page: where a site links to the other forms
PRINTERS = 2  # browsers that print at once
HUNG = 400.0  # seconds without a page printed by any browser, or for the binding at the end: one hangs


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # a page asks for thirty files: not each over a connection of its own
    disable_nagle_algorithm = True  # or the end of each waits until its beginning is confirmed

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a line for each file would bury what matters."""


_Handler.extensions_map = {**_Handler.extensions_map, ".mjs": "text/javascript", ".wasm": "application/wasm"}


@contextlib.contextmanager
def serving(html: Path, port: int = 0) -> Iterator[str]:
    """The folder ``html`` at http://127.0.0.1:port (0: any free one) while the context lasts; yields the address."""
    if not (html / "index.html").is_file():
        raise FerlibError(f"{html}: no built book here; run 'make book' first")
    handler = functools.partial(_Handler, directory=str(html))
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        raise FerlibError(
            f"port {port} cannot be had ({error.strerror}); choose another with --port"
        ) from None
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def serve(html: Path, port: int) -> None:
    """Serve the book until Ctrl-C."""
    with serving(html, port) as address:
        print(f"The book is at {address}/index.html (Ctrl-C ends this)", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


def pack(html: Path, out: Path) -> Path:
    """A zip of the book with one folder inside; the same book gives the same bytes."""
    if not (html / "index.html").is_file():
        raise FerlibError(f"{html}: no built book here; run 'make book' first")

    def write(file: io.BufferedIOBase) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            for path in sorted(p for p in html.rglob("*") if p.is_file()):
                entry = zipfile.ZipInfo(f"{NAME}/{path.relative_to(html).as_posix()}", (2000, 1, 1, 0, 0, 0))
                entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                archive.writestr(entry, path.read_bytes())

    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, write)  # type: ignore[arg-type]
    return out


def site(html: Path, landing: str, forms: Path) -> Path:
    """The book with its zip and PDF from the folder ``forms``, in ``forms/site``; page ``landing`` links to them.

    The pages of ``html`` stay as they are: the zip is made of them, and a link in it would lead nowhere.
    """
    if not (html / "index.html").is_file():
        raise FerlibError(f"{html}: no built book here; run 'make book' first")
    found = [file for suffix in FORMS if (file := forms / f"{NAME}{suffix}").is_file()]
    if not found:
        raise FerlibError(f"{forms}: neither zip nor PDF here; run 'make book' first")
    out = forms / "site"
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(html, out)
    page = out / f"{landing}.html"
    links = []
    for file in found:
        shutil.copy2(file, out)
        address = os.path.relpath(out / file.name, page.parent)
        size = max(1, round(file.stat().st_size / 1e6))
        links.append(f'<a href="{address}">{FORMS[file.suffix]}</a> ({size} MB)')
    text = page.read_text(encoding="utf8")
    if DOWNLOADS not in text:
        raise FerlibError(f"{page}: no {DOWNLOADS}, where the links to zip and PDF belong")
    page.write_text(text.replace(DOWNLOADS, f"<p>The whole book {' or '.join(links)}.</p>"), encoding="utf8")
    return out


def browser() -> str | None:
    """The browser that prints: what ``FERLIB_CHROMIUM`` names, or the first of Chromium and Chrome that is there."""
    names = (os.environ.get("FERLIB_CHROMIUM"), *BROWSERS)
    return next((found for name in names if name and (found := shutil.which(name))), None)


def flags() -> list[str]:
    """Options that Chromium needs here: as root it has no sandbox."""
    return ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []


def why_no_pdf() -> str | None:
    """What is missing for a PDF, in one line; None where nothing is."""
    if browser() is None:
        return "no PDF: install Chromium (Debian: apt install chromium) or name one in FERLIB_CHROMIUM"
    try:
        import playwright  # noqa: F401
        import pypdf  # noqa: F401
    except ModuleNotFoundError as error:
        return f"no PDF: pip install {error.name}"
    return None


def pdf(html: Path, pages: Sequence[str], out: Path) -> Path:
    """All ``pages`` (names without .html, in order) as one PDF, printed by a real browser: see `ferlib.printing`.

    Raises FerlibError where browser or packages are missing, or a page does not load.
    """
    if missing := why_no_pdf():
        raise FerlibError(missing.removeprefix("no PDF: "))
    for _ in range(2):  # a browser may hang; a fresh one seldom does
        with contextlib.suppress(SilentError):
            deque(heard(_print, html, pages, out, patience=HUNG), maxlen=0)
            return out
    raise FerlibError("no PDF: browsers hang, twice; name another in FERLIB_CHROMIUM")


def _print(send: Callable[[str], None], html: Path, pages: Sequence[str], out: Path) -> None:
    """Print into ``out``, and send a sign of life after each page; runs in a process of its own.

    `PRINTERS` browsers print the pages, a fresh one title and contents, in which the sheets of all have numbers.
    """
    from playwright.sync_api import Page, sync_playwright

    from ferlib import printing

    @contextlib.contextmanager
    def tab() -> Iterator[Page]:
        with sync_playwright() as driver:
            chromium = driver.chromium.launch(executable_path=browser(), args=flags())
            yield printing.on_paper(chromium.new_page())
            chromium.close()

    one_at_a_time, failed = threading.Lock(), threading.Event()
    with (
        serving(html) as address,
        ThreadPoolExecutor(PRINTERS) as pool,
        tqdm(total=len(pages), desc="printing", unit="page", disable=not sys.stderr.isatty()) as progress,
    ):

        def printed(share: Sequence[str]) -> dict[str, printing.Chapter]:
            found = {}
            with tab() as page:
                for name in share:
                    if failed.is_set():  # the other one: its error is told
                        break
                    try:
                        found[name] = printing.chapter(page, address, name, pages)
                    except FerlibError:
                        failed.set()
                        raise
                    with one_at_a_time:
                        progress.update(1)
                        send(name)
            return found

        shares = [share for i in range(PRINTERS) if (share := pages[i::PRINTERS])]
        chapters = {name: one for found in pool.map(printed, shares) for name, one in found.items()}
        with tab() as page:
            in_order = [chapters[name] for name in pages]
            writer = printing.bind(in_order, lambda: printing.front(page, in_order))
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, lambda file: writer.write(file))
