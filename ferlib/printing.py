"""The book on paper: each page printed by a real browser, then bound with contents, page numbers and links.

What paper needs of the style sheets stands in ``book/_static/book.css`` under ``@media print``; what a style sheet
cannot do, such as fitting a wide table, is done on the loaded page by `READY`.
"""

from __future__ import annotations

import html
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ferlib import __version__
from ferlib.errors import FerlibError

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from pypdf import PdfReader, PdfWriter

TITLE = "Attention in facial expression recognition: a replication"
BOOK = "https://book.invalid/"  # where links between pages point until all is bound; no such host can exist
POINTS = 72 / 25.4  # in a millimetre
MARGIN, FOOT, WIDTH = 16, 9, 210  # mm: on the left and right, of the page number above the edge, of A4
VIEW = {"width": round((WIDTH - 2 * MARGIN) * 96 / 25.4), "height": 980}  # CSS pixels between the margins
DIGIT = 0.556  # width of a digit of Helvetica, in its size

# Run on each page before it is printed, with the names of all pages and `BOOK`. Lays open what is folded, shrinks
# what is wider than the paper, keeps short tables in one piece and words that announce something with it, sends links
# between pages to `BOOK` and drops those to anything that is not in the PDF. Chromium writes a destination for what a
# link on the same page points to, hence the invisible list. Gives the title and the headings, (level, text, anchor)
# each.
READY = """async ([pages, book]) => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  document.documentElement.dataset.theme = "light";
  await window.MathJax?.startup?.promise;
  document.querySelector("#jb-print-toc")?.remove();
  for (const box of all("details")) box.open = true;
  // a button never breaks over a page, and a repeated head shows none
  for (const button of all("th button, button:has(> img)")) button.replaceWith(...button.childNodes);
  for (const image of all("img")) image.loading = "eager";
  const article = document.querySelector("article") ?? document.body;
  for (const wide of all("article table, article mjx-container[display]")) {
    const room = wide.parentElement.getBoundingClientRect().width;
    const taken = Math.max(wide.scrollWidth, wide.getBoundingClientRect().width);
    if (room > 0 && taken > room + 1) wide.style.zoom = Math.max(0.5, room / taken);
  }
  for (const table of all("article table"))
    if (table.getBoundingClientRect().height < 330) table.style.breakInside = "avoid";
  for (const p of all("article p")) {
    const text = p.textContent.trim();
    const label = text.length < 60 && p.firstElementChild?.matches("strong") && !text.endsWith(".");
    if (text.endsWith(":") || label) p.style.breakInside = p.style.breakAfter = "avoid";
  }
  for (const a of all("a[href]")) {
    const to = new URL(a.href, location.href);
    if (to.origin !== location.origin) continue;
    const name = decodeURIComponent(to.pathname).replace(/^\\//, "").replace(/\\.html$/, "");
    if (pages.includes(name)) a.href = book + name + to.hash;
    else a.removeAttribute("href");
  }
  const anchors = document.createElement("div");
  anchors.style.cssText = "position: absolute; height: 0; overflow: hidden";
  const targets = article.querySelectorAll(":is(section, figure, div, span, dt, tr, p)[id]:not([id^='T_'])");
  for (const target of targets) anchors.append(Object.assign(document.createElement("a"), { href: "#" + target.id }));
  article.append(anchors);
  const words = (heading) => {
    const bare = heading.cloneNode(true);
    bare.querySelectorAll(".headerlink").forEach((link) => link.remove());
    return bare.textContent.trim();
  };
  await Promise.all(all("img").map((image) => image.decode().catch(() => null)));
  return {
    title: words(article.querySelector("h1") ?? document.createElement("h1")) || document.title,
    headings: [...article.querySelectorAll("section > :is(h2, h3)")].map((heading) =>
      [Number(heading.tagName[1]), words(heading), heading.parentElement.id]),
  };
}"""

FRONT = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 10pt/1.45 system-ui, "DejaVu Sans", sans-serif; margin: 0; }}
h1 {{ font-size: 24pt; line-height: 1.25; margin: 55mm 0 6mm; }} h2 {{ font-size: 14pt; break-before: page; }}
p {{ max-width: 130mm; }} a {{ color: inherit; text-decoration: none; display: flex; gap: 4mm; }}
a span:first-child {{ flex: 1; }} ol {{ list-style: none; margin: 0; padding: 0; columns: 2; column-gap: 10mm; }}
ol ol {{ columns: 1; padding-left: 4mm; font-size: 8pt; line-height: 1.4; }}
ol > li {{ margin: 0 0 2mm; break-inside: avoid; }} ol ol > li {{ margin: 0; }}
li > a:first-child {{ font-weight: 600; }} ol ol a:first-child {{ font-weight: 400; }}
</style></head><body><h1>{title}</h1>
<p>The ferlib authors. Version {version}.</p>
<p>All pages of the book on paper. Left out are the code cells that only make tables and figures, which stand in the
notebooks, and the controls of the two pages that work in a browser alone. Links between the pages lead through this
file.</p>
<p>Text under CC BY 4.0, code under the MIT licence.</p>
<h2>Contents</h2><ol>{contents}</ol></body></html>"""


@dataclass
class Chapter:
    """One printed page of the book; ``headings`` are (level, text, anchor), ``first`` counts sheets from 1."""

    name: str
    title: str
    headings: list[tuple[int, str, str]]
    printed: PdfReader
    first: int = 0
    places: dict[str, tuple[int, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, target in self.printed.named_destinations.items():
            number = self.printed.get_destination_page_number(target)
            if number is not None:
                self.places[name.removeprefix("/")] = number, float(target.get("/Top", 0) or 0)

    def place(self, anchor: str) -> tuple[int, float]:
        """Sheet (from 1) and height above its lower edge, in points, of an anchor; without one, of the beginning."""
        number, top = self.places.get(anchor, (0, float(self.printed.pages[0].mediabox.top)))
        return self.first + number, top


def sheets(page: Page) -> PdfReader:
    """What the browser's page looks like on paper."""
    from pypdf import PdfReader

    sides = f"{MARGIN}mm"
    margin = {"top": "15mm", "bottom": "18mm", "left": sides, "right": sides}
    return PdfReader(io.BytesIO(page.pdf(format="A4", print_background=True, margin=margin)))  # type: ignore[arg-type]


def chapter(page: Page, address: str, name: str, names: Sequence[str]) -> Chapter:
    """Load and print one page of the book. Raises FerlibError where it does not load."""
    from playwright.sync_api import Error

    try:
        response = page.goto(f"{address}/{name}.html", wait_until="load", timeout=60_000)
        if response is None or not response.ok:
            raise FerlibError(f"{name}.html: cannot be printed, the page does not load")
        found = page.evaluate(READY, [list(names), BOOK])
        headings = [(int(level), text, anchor) for level, text, anchor in found["headings"]]
        return Chapter(name, found["title"], headings, sheets(page))
    except Error as error:
        raise FerlibError(f"{name}.html: cannot be printed ({str(error).splitlines()[0]})") from None


def front(page: Page, chapters: Sequence[Chapter]) -> PdfReader:
    """Title and contents, with the sheets that the chapters begin on."""

    def entry(chapter: Chapter, text: str, anchor: str) -> str:
        to = html.escape(f"{BOOK}{chapter.name}" + (f"#{anchor}" if anchor else ""))
        return f'<a href="{to}"><span>{html.escape(text)}</span><span>{chapter.place(anchor)[0]}</span></a>'

    lines = []
    for one in chapters:
        inner = "".join(f"<li>{entry(one, *rest)}</li>" for level, *rest in one.headings if level == 2)
        lines.append(f"<li>{entry(one, one.title, '')}<ol>{inner}</ol></li>")
    page.set_content(
        FRONT.format(title=html.escape(TITLE), version=__version__, contents="".join(lines)),
        wait_until="load",
    )
    return sheets(page)


def number(chapters: Sequence[Chapter], before: int) -> None:
    """Tell each chapter its first sheet, with ``before`` sheets of front matter ahead of all."""
    for one in chapters:
        one.first = before + 1
        before += len(one.printed.pages)


def relink(writer: PdfWriter, chapters: Sequence[Chapter]) -> None:
    """Links to `BOOK` become links within the file."""
    from pypdf.generic import ArrayObject, FloatObject, NameObject, NullObject

    by_name = {one.name: one for one in chapters}
    for sheet in writer.pages:
        for reference in sheet.get("/Annots", ()):
            link: Any = reference.get_object()
            to = str(link.get("/A", {}).get("/URI", ""))
            if not to.startswith(BOOK):
                continue
            name, _, anchor = to.removeprefix(BOOK).partition("#")
            number, top = by_name[name].place(anchor)
            target = writer.pages[number - 1].indirect_reference
            del link["/A"]
            how = [NameObject("/XYZ"), NullObject(), FloatObject(top), NullObject()]
            link[NameObject("/Dest")] = ArrayObject([target, *how])


def footers(writer: PdfWriter, texts: Sequence[str]) -> None:
    """The number of each sheet at its foot, and a text on the left of it."""
    from pypdf.generic import ArrayObject, DecodedStreamObject, DictionaryObject, NameObject

    def stream(content: bytes) -> Any:
        made = DecodedStreamObject()
        made.set_data(content)
        return writer._add_object(made)

    names = {"Type": "Font", "Subtype": "Type1", "BaseFont": "Helvetica", "Encoding": "WinAnsiEncoding"}
    font = DictionaryObject({NameObject(f"/{k}"): NameObject(f"/{v}") for k, v in names.items()})
    reference, before = writer._add_object(font), stream(b"q\n")
    for count, (sheet, text) in enumerate(zip(writer.pages, texts, strict=True), start=1):
        resources: Any = sheet["/Resources"].get_object()
        fonts = resources.setdefault(NameObject("/Font"), DictionaryObject()).get_object()
        fonts[NameObject("/FerlibFoot")] = reference
        right = (WIDTH - MARGIN) * POINTS - len(str(count)) * DIGIT * 8
        shown = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)").encode("cp1252", "replace")
        drawn = b"\nQ 0.35 g BT /FerlibFoot 8 Tf %.1f %.1f Td (%s) Tj ET" % (
            MARGIN * POINTS,
            FOOT * POINTS,
            shown,
        )
        drawn += b" BT /FerlibFoot 8 Tf %.1f %.1f Td (%d) Tj ET\n" % (right, FOOT * POINTS, count)
        held: Any = sheet.get_object()
        own = held.raw_get("/Contents")
        streams = list(own.get_object()) if isinstance(own.get_object(), ArrayObject) else [own]
        held[NameObject("/Contents")] = ArrayObject([before, *streams, stream(drawn)])


def bind(chapters: Sequence[Chapter], make_front: Callable[[], PdfReader]) -> PdfWriter:
    """All chapters behind their contents in one file with bookmarks.

    ``make_front`` is called twice: its length must be known before the chapters have their numbers, which it prints.
    """
    from pypdf import PdfWriter
    from pypdf.generic import Fit

    number(chapters, len(make_front().pages))
    head, writer = make_front(), PdfWriter()
    texts = [""] * len(head.pages)
    for one in chapters:
        texts += [one.title] * len(one.printed.pages)
    for printed in (head, *(one.printed for one in chapters)):
        printed.root_object.pop("/Dests", None)  # names that several chapters have; the places are kept
        writer.append(printed, import_outline=False)
    for one in chapters:
        parent = writer.add_outline_item(title=one.title, page_number=one.first - 1)
        for level, text, anchor in one.headings:
            if level == 2:
                sheet, top = one.place(anchor)
                writer.add_outline_item(
                    title=text, page_number=sheet - 1, parent=parent, fit=Fit.xyz(top=top)
                )
    relink(writer, chapters)
    footers(writer, texts)
    writer.add_metadata({"/Title": TITLE, "/Author": "The ferlib authors"})
    return writer


def on_paper(page: Page) -> Page:
    """Make an empty tab of a browser show pages as they are printed, and return it."""
    page.emulate_media(media="print", color_scheme="light")
    page.set_viewport_size(VIEW)  # type: ignore[arg-type]
    return page
