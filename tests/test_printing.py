"""The book on paper: contents, page numbers, links within the file, nothing folded, nothing cut off."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ferlib import delivery, printing

pytestmark = [
    pytest.mark.skipif(delivery.why_no_pdf() is not None, reason=str(delivery.why_no_pdf())),
    pytest.mark.xdist_group("browser"),
]
STYLE = Path(__file__).parents[1] / "book" / "_static" / "book.css"
SHEET = 210 * printing.POINTS  # width of A4
HEAD = (
    "<!doctype html><html lang='en' data-theme='dark'><head><meta charset='utf-8'><title>{0} — Book</title>"
    "<link rel='stylesheet' href='book.css'></head><body><main class='bd-main'><article class='bd-article'>"
    "<section id='top'><h1>{0}<a class='headerlink' href='#top'>#</a></h1>{1}</section></article></main></body></html>"
)
ONE = """
<section id="first"><h2>First (part)</h2><p>See <a href="two.html#deep">over there</a>, <a href="#far">below</a>,
<a href="https://example.org/">outside</a> and <a href="gone.html">nowhere</a>.</p>
<div class="cell"><details class="hide above-input"><summary>Show source</summary><pre>drawing_code()</pre></details>
<details class="hide below-input"><summary>Show output</summary><p>folded result</p></details></div></section>
<section id="far" style="break-before: page"><h2>Far</h2><div class="ledger-controls">Search</div>
<div class="ledger-scroll"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div></section>
"""
TWO = """<p>Words.</p><section id="deep" style="break-before: page"><h2>Deep &amp; down</h2>
<p>Back to <a href="one.html">one</a>.</p></section>"""


@pytest.fixture(scope="module")
def bound(tmp_path_factory):
    """The two pages in one file, read again, and the words of each sheet."""
    from pypdf import PdfReader

    folder = tmp_path_factory.mktemp("book")
    heads = "".join(f"<th><button type='button'>column{c}</button></th>" for c in range(14))
    rows = "".join(f"<tr><td>row{r}</td>" + "<td>measured</td>" * 13 + "</tr>" for r in range(160))
    one = ONE.format(heads=heads, rows=rows)
    for name, body in (("index", ""), ("one", one), ("two", TWO)):
        (folder / f"{name}.html").write_text(HEAD.format(name.title(), body), encoding="utf-8")
    shutil.copy(STYLE, folder)
    found = PdfReader(delivery.pdf(folder, ["two", "one"], folder / "out.pdf"))
    return found, [" ".join(sheet.extract_text().split()) for sheet in found.pages]


@pytest.fixture
def book(bound):
    return bound[0]


@pytest.fixture
def texts(bound):
    return bound[1]


def sheet_of(texts, words):
    """Index of the first sheet behind the contents that has the words."""
    return next(i for i, text in enumerate(texts) if i > 1 and words in text)


def links(book):
    """(sheet, what it leads to: an address or the index of a sheet) of each link behind the contents."""
    found = []
    for i, sheet in enumerate(book.pages[2:], start=2):
        for link in (reference.get_object() for reference in sheet.get("/Annots", ())):
            target = (
                link["/A"]["/URI"] if "/A" in link else book.get_page_number(link["/Dest"][0].get_object())
            )
            found.append((i, target))
    return found


def test_title_and_contents_stand_in_front_with_the_numbers_of_the_sheets(book, texts):
    assert printing.TITLE in texts[0] and book.metadata.title == printing.TITLE
    assert texts[1].startswith("Contents")
    for words in ("Two", "Deep & down", "One", "First (part)", "Far"):
        assert f"{words} {sheet_of(texts, words) + 1}" in texts[1]
    assert sheet_of(texts, "Two") < sheet_of(texts, "One")


def test_every_sheet_has_its_number_and_its_chapter_at_the_foot(texts):
    for i, text in enumerate(texts):
        assert text.endswith(f"{'' if i < 2 else 'Two ' if i < 4 else 'One '}{i + 1}")


def test_bookmarks_of_chapters_and_their_sections(book, texts):
    def titles(entries):
        return [titles(entry) if isinstance(entry, list) else entry.title for entry in entries]

    assert titles(book.outline) == ["Two", ["Deep & down"], "One", ["First (part)", "Far"]]
    assert book.get_destination_page_number(book.outline[1][0]) == sheet_of(texts, "Deep & down")


def test_links_lead_through_the_file(book, texts):
    two, deep, one, far = (sheet_of(texts, words) for words in ("Words.", "Deep", "First", "Far"))
    found = links(book)
    assert (deep, one) in found and (one, deep) in found and (one, far) in found
    assert {target for _, target in found if isinstance(target, str)} == {"https://example.org/"}
    assert two < deep < one < far


def test_what_is_folded_is_open_but_for_code_that_only_draws(texts):
    found = texts[sheet_of(texts, "First")]
    assert "folded result" in found
    assert not any(words in found for words in ("drawing_code", "Show source", "Show output"))
    assert "Search" not in texts[sheet_of(texts, "Far")]


def test_a_wide_table_is_shrunk_and_a_long_one_repeats_its_head(book, texts):
    first, edges = sheet_of(texts, "Far"), []

    def note(words, outer, inner, *_):
        if words.strip():
            edges.append(inner[4] * outer[0] + outer[4])

    assert len(texts) > first + 1 and all("column13" in text for text in texts[first:])
    book.pages[-1].extract_text(visitor_text=note)
    assert min(edges) > 0 and max(edges) < SHEET
