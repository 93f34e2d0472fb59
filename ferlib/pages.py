"""What is put right on the built pages: weight that no reader needs, and figures that the dark theme may turn."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Collection
from pathlib import Path
from urllib.parse import unquote

from PIL import Image

from ferlib import icons

# The theme draws its icons twice, from a web font and from a script that holds every icon there is.
_ICONS = re.compile(r"<(?:script|link)\b[^>]*\bscripts/fontawesome\.js[^>]*>(?:\s*</script>)?\s*")
# MathJax's bundle carries a menu and a speech engine; `_config.yml` names the parts that its startup is to load.
_MATHJAX = re.compile(r"<script\b[^>]*\bmathjax/tex-chtml\.js[^>]*>\s*</script>\s*")
_BUNDLE, _STARTUP = "mathjax/tex-chtml.js", "mathjax/startup.js"
# Search while one types, which the theme offers and this book leaves off; the search page has its own.
_SEARCH = re.compile(
    r'<script src="[^"]*\b(?:_static/searchtools|_static/language_data|searchindex)\.js"></script>\s*'
)
_MATH = re.compile(r'class="[^"]*\bmath\b|\\\(|\\\[|\$\$')
_IMAGE = re.compile(r"<img\b(?![^>]*\bloading=)")
# Files of scripts keep a browser from showing what it has; all but the one that lines in the page go on from can wait.
_SCRIPT = re.compile(
    r"<script\b(?![^>]*(?:\b(?:defer|async|type)\b|documentation_options\.js))(?=[^>]*\ssrc=)"
)
# A sheet that asks for another one when it has come: the other may come at once.
_IMPORTING = re.compile(r'<link\b[^>]*\bhref="([^"]*\b_static/)styles/theme\.css[^>]*>')
# Names, punctuation and space, which both styles of code write in one colour; `book.css` gives it to all code.
PLAIN_TOKENS = ("n", "p", "w")
_TOKEN = re.compile(rf'<span class="(?:{"|".join(PLAIN_TOKENS)})">([^<]*)</span>')
# What pandas writes on every cell of a table, for styles of single cells.
_CELL_ID = re.compile(r' id="(T_\w+?_(?:row\d+_col\d+|level\d+_(?:col|row)\d+))"')
_CELL_CLASS = re.compile(r'(<t[dh]\b[^>]*?) class="(?:data|col_heading level\d+) (?:row\d+ )?col\d+"')
_PICTURE = re.compile(r"data:image/png;base64,\s*([A-Za-z0-9+/=\s]+)")
_COORDINATES = re.compile(r'\b(?:d|x|y)="[^"]*"|\btranslate\([^)]*\)')
# Of a figure as matplotlib writes it, which has its letters as paths: metadata, comments, space, names of groups.
_NOTHING = re.compile(r"\s*(?:<metadata>.*?</metadata>|<!--.*?-->)|(?<=>)\s+(?=<)|(?<=\n)[ \t\n]+", re.S)
_GROUP = re.compile(r'(<g) id="([^"]*)"')
_PATH = re.compile(r'(?<=\bd=")[^"]*')
_COMMAND = re.compile(r"\s*([A-DF-Za-df-z])\s*")  # of a path; the e of 1e-5 is none
_DIGITS = re.compile(r"(\.\d\d)\d+")
# A picture in a figure, with its width and height: of a face or a map as wide as high, of a colour bar not.
_INSIDE = re.compile(r'<image\b(?=[^>]*?\bwidth="([\d.]+))(?=[^>]*?\bheight="([\d.]+))')
_FIGURE = re.compile(
    r"<img\b(?![^>]*\bclass=)"
    r'(?=[^>]*?\bsrc="(?:[^"]*\b_images/([^"/]+\.svg)|data:image/svg\+xml;base64,([^"]+)))'
)
QUALITY = 92  # of WebP, where a picture in a figure is no smaller without loss
EFFORT = 80  # without loss: at 100 it takes thirty times as long, and the book gets no lighter


def finish(html: Path) -> None:
    """Rewrite every page and figure below ``html`` in place; they must be those that Sphinx has just written."""
    charts = set()
    for path in sorted((html / "_images").glob("*.svg")):
        _rewrite(path, figure := lighten_figure(path.read_text(encoding="utf8")))
        if is_chart(figure):
            charts.add(path.name)
    for path in sorted(html.rglob("*.html")):
        if path.relative_to(html).parts[0] not in ("_static", "_sources"):
            page = path.read_text(encoding="utf8")
            page = lighten(page if path.name == "search.html" else _SEARCH.sub("", page))
            _rewrite(path, mark_charts(page, charts))
    icons.trim(html)


def _rewrite(path: Path, text: str) -> None:
    if text != path.read_text(encoding="utf8"):
        path.write_text(text, encoding="utf8")


def lighten(page: str) -> str:
    """One page without what nobody sees; scripts wait for the page, images further down until the reader comes near."""
    page = _ICONS.sub("", page)
    page = page.replace(_BUNDLE, _STARTUP) if _MATH.search(page) else _MATHJAX.sub("", page)
    # a list whose items are none
    page = page.replace('<div role="list" class="citation-list">', '<div class="citation-list">')
    page = _IMAGE.sub('<img loading="lazy"', page)
    page = _SCRIPT.sub("<script defer", page)
    page = _IMPORTING.sub(r'<link rel="preload" as="style" href="\1basic.css" />\g<0>', page)
    page = _TOKEN.sub(r"\1", page)
    page = _CELL_ID.sub(lambda m: m[0] if f"#{m[1]}" in page else "", page)
    return _CELL_CLASS.sub(r"\1", page)


def mark_charts(page: str, charts: Collection[str]) -> str:
    """The page with the class ``chart`` on these files of ``_images`` and on charts that stand in the page itself."""

    def mark(found: re.Match[str]) -> str:
        inline = found[2] and base64.b64decode(unquote(found[2])).decode("utf8")
        return '<img class="chart"' if (is_chart(inline) if inline else found[1] in charts) else found[0]

    return _FIGURE.sub(mark, page)


def is_chart(svg: str) -> bool:
    """Whether a figure is lines, bars and words, whose light and dark may change places; faces and maps may not."""
    return not any(0.9 < float(width) / float(height) < 1.1 for width, height in _INSIDE.findall(svg))


def lighten_figure(svg: str) -> str:
    """A figure with coordinates to a hundredth of a point, without what draws nothing, and the pictures in it as WebP.

    These are a half without loss, or a tenth with a loss that nobody sees.
    """
    svg = _NOTHING.sub("", svg).replace("xlink:href=", "href=")
    svg = _GROUP.sub(lambda m: m[0] if f"#{m[2]}" in svg else m[1], svg)
    svg = _COORDINATES.sub(lambda m: _DIGITS.sub(r"\1", m[0]), svg)
    svg = _PATH.sub(lambda m: _COMMAND.sub(r"\1", m[0]), svg)
    return _PICTURE.sub(lambda m: _webp(m[0], base64.b64decode(m[1])), svg)


def _webp(before: str, png: bytes) -> str:
    image = Image.open(io.BytesIO(png)).convert("RGBA")
    if image.getchannel("A").getextrema() == (255, 255):
        image = image.convert("RGB")
    found = []
    for options in ({"lossless": True, "quality": EFFORT}, {"quality": QUALITY}):
        file = io.BytesIO()
        image.save(file, "WEBP", method=6, **options)
        found.append(file.getvalue())
    best = found[0] if len(found[0]) <= 2 * len(found[1]) else found[1]
    after = f"data:image/webp;base64,{base64.b64encode(best).decode()}"
    return after if len(after) < len(before) else before
