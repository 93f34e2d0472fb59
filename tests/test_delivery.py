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


def test_serve_is_an_option_too(html, capsys):
    with pytest.raises(SystemExit) as stop:
        book.main(["--help"])
    assert stop.value.code == 0 and "--serve" in capsys.readouterr().out
    server = subprocess.Popen(
        [sys.executable, "-m", "ferlib.book", "--serve", str(html), "--port", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        address = re.search(r"http://\S+/index\.html", server.stdout.readline())[0]
        with urllib.request.urlopen(address) as answer:
            assert b"<h1>index</h1>" in answer.read()
    finally:
        server.terminate()
        server.wait()


@pytest.mark.parametrize("words", [[], ["--serve", "x", "check"]])
def test_one_command_or_serve(words):
    with pytest.raises(SystemExit) as stop:
        book.main(words)
    assert stop.value.code == 2


def test_the_site_has_zip_and_pdf_and_links_to_them_and_the_book_itself_none(html, tmp_path):
    page = html / "one.html"
    page.write_text(page.read_text().replace("</h1>", f"</h1>{delivery.DOWNLOADS}"), encoding="utf-8")
    toc, out = tmp_path / "_toc.yml", tmp_path / "out"
    toc.write_text("format: jb-book\nroot: one\n")
    words = ["site", str(html), "--toc", str(toc), "--forms", str(out)]
    assert book.main(words) == 1  # no zip yet
    delivery.pack(html, out / f"{delivery.NAME}.zip")
    before = page.read_bytes()
    assert book.main(words) == 0
    found = (out / "site" / "one.html").read_text()
    assert f'<a href="{delivery.NAME}.zip">as a zip that opens from disk</a> (1 MB)' in found
    assert ".pdf" not in found and delivery.DOWNLOADS not in found
    (out / f"{delivery.NAME}.pdf").write_bytes(b"%PDF")
    assert book.main(words) == 0
    assert f'<a href="{delivery.NAME}.pdf">as PDF</a>' in (out / "site" / "one.html").read_text()
    assert book.check(out / "site", toc) == []
    assert page.read_bytes() == before and not list(html.glob("*.zip"))


def test_the_landing_page_has_one_place_for_the_links():
    landing = book.page_source(ROOT, book.toc_pages(ROOT / "_toc.yml")[0])
    assert landing.read_text(encoding="utf8").count(delivery.DOWNLOADS) == 1


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
