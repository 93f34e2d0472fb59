"""The two pages with controls as a small book of their own, served, and a real browser to open them."""

import functools
import os
import re
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nbformat
import pytest

from ferlib import book, explorer
from ferlib.book import building

ROOT = Path(__file__).resolve().parents[2]
CACHE = os.environ.get("FERLIB_CACHE")  # before tests/conftest.py sets one of its own
PAGES = ("explorer", "your_face")
# The chapters that the two pages link to: here each is a heading alone.
CHAPTERS = sorted(
    {
        c
        for p in PAGES
        for c in re.findall(r"\]\(\.\./notebooks/(\w+)\.ipynb", (ROOT / f"book/{p}.md").read_text())
    }
)
FILES = [f"book/{p}" for p in (*PAGES, "references")] + [f"notebooks/{c}" for c in CHAPTERS]
TOC = "format: jb-book\nroot: book/intro\nchapters:\n" + "".join(f"- file: {f}\n" for f in FILES)


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """The pages' data, made from the committed records and weights."""
    out = tmp_path_factory.mktemp("explorer") / "data"
    with pytest.MonkeyPatch.context() as patch:  # the runtime of 33 MB may come from the user's own cache
        patch.delenv("FERLIB_CACHE", raising=False)
        if CACHE:
            patch.setenv("FERLIB_CACHE", CACHE)
        explorer.build(out, ROOT / "results")
    return out


@pytest.fixture(scope="session")
def html(data, tmp_path_factory):
    """The built pages, strictly, as in the book; `ferlib.book.check` has passed."""
    work = tmp_path_factory.mktemp("book")
    src = work / "src"
    shutil.copytree(ROOT / "book", src / "book", ignore=shutil.ignore_patterns("data"))
    shutil.copytree(data, src / "book" / "_static" / "explorer" / "data")
    for path in (src / "book").glob("*.md"):
        if path.stem not in (*PAGES, "references"):
            path.unlink()
    shutil.copy(ROOT / "_config.yml", src)
    (src / "_toc.yml").write_text(TOC)
    (src / "book" / "intro.md").write_text("# A trial\n\nA formula: $x^2 + y^2$.\n")
    (src / "notebooks").mkdir()
    for chapter in CHAPTERS:
        cell = nbformat.v4.new_markdown_cell(f"# {chapter}")
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), src / "notebooks" / f"{chapter}.ipynb")
    found = building.sphinx(src, work)
    assert book.check(found, src / "_toc.yml") == []
    return found


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_args):
        pass


@pytest.fixture(scope="session")
def url(html):
    """Where the pages are served on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(html)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
