"""The book as a zip, as a PDF, and served."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest

from ferlib import book, delivery
from ferlib.errors import FerlibError

ROOT = Path(__file__).resolve().parents[1]
PAGE = (
    "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{0} — Book</title></head>"
    "<body><h1>{0}</h1><a href='two.html'>two</a></body></html>"
)


@pytest.fixture
def html(tmp_path):
    folder = tmp_path / "html"
    folder.mkdir()
    for name in ("index", "one", "two"):
        (folder / f"{name}.html").write_text(PAGE.format(name), encoding="utf-8")
    (folder / "net.wasm").write_bytes(b"\\0asm")
    return folder


def test_the_zip_holds_the_book_and_is_the_same_twice(html, tmp_path):
    first = delivery.pack(html, tmp_path / "a" / "book.zip")
    (html / "one.html").touch()
    second = delivery.pack(html, tmp_path / "b.zip")
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        assert archive.testzip() is None
        assert f"{delivery.NAME}/index.html" in archive.namelist() and len(archive.namelist()) == 4
        assert archive.read(f"{delivery.NAME}/one.html") == (html / "one.html").read_bytes()


def test_what_the_page_from_disk_says_works_in_the_unpacked_folder(html, tmp_path):
    """The zip has one folder with index.html in it, and no _build."""
    script = (ROOT / "book" / "_static" / "explorer" / "face.js").read_text(encoding="utf8")
    assert "folder with the book's index.html" in script and "_build" not in script
    (command,) = re.findall(r"python (-m http\.server[^,]*),", script)
    with zipfile.ZipFile(delivery.pack(html, tmp_path / "book.zip")) as archive:
        archive.extractall(tmp_path / "unpacked")
    (folder,) = (tmp_path / "unpacked").iterdir()
    server = subprocess.Popen(
        [sys.executable, "-u", *command.split(), "0", "--bind", "127.0.0.1"],  # any free port
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        port = re.search(r"port (\d+)", server.stdout.readline())[1]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/one.html") as answer:
            assert b"<h1>one</h1>" in answer.read()
    finally:
        server.terminate()
        server.wait()
    with pytest.raises(SystemExit) as stop:
        book.main([re.findall(r"ferlib book (\w+)", script)[0], "--help"])
    assert stop.value.code == 0


def test_served_pages_have_the_types_that_browsers_ask_for(html):
    with delivery.serving(html) as address:
        with urllib.request.urlopen(f"{address}/one.html") as answer:
            assert b"<h1>one</h1>" in answer.read()
        with urllib.request.urlopen(f"{address}/net.wasm") as answer:
            assert answer.headers["Content-Type"] == "application/wasm"
        port = int(address.rpartition(":")[2])
        with pytest.raises(FerlibError, match="choose another with --port"), delivery.serving(html, port):
            pass


def test_without_a_book_one_line_says_so(tmp_path, capsys):
    assert book.main(["pack", str(tmp_path)]) == 1
    assert book.main(["--serve", str(tmp_path)]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2 and all("run 'make book' first" in line for line in errors)


def test_without_a_browser_the_zip_is_still_made(html, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(delivery, "browser", lambda: None)
    toc = tmp_path / "_toc.yml"
    toc.write_text("format: jb-book\nroot: one\n")
    assert book.main(["pack", str(html), "--toc", str(toc), "--out", str(tmp_path / "out")]) == 0
    assert "no PDF: install Chromium" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "out").iterdir()] == [f"{delivery.NAME}.zip"]


@pytest.mark.skipif(delivery.why_no_pdf() is not None, reason=str(delivery.why_no_pdf()))
def test_the_pdf_has_every_page_in_order(html, tmp_path):
    from pypdf import PdfReader

    out = delivery.pdf(html, ["two", "one"], tmp_path / "book.pdf")
    found = PdfReader(out)
    assert [page.extract_text().split()[0] for page in found.pages][-2:] == ["two", "one"]
    assert [entry.title for entry in found.outline] == ["two", "one"]
    with pytest.raises(FerlibError, match=r"missing\.html"):
        delivery.pdf(html, ["missing"], tmp_path / "none.pdf")
    assert not (tmp_path / "none.pdf").exists()
