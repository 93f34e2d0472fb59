"""The theme brings some two thousand icons, as rules and as fonts, of which the book shows a few dozen."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from fontTools import subset

SHEET = "_static/styles/pydata-sphinx-theme.css"
FONTS = "_static/vendor/fontawesome/webfonts"
DRAWINGS = "fontawesome.js"  # every icon there is once more, as drawings; no page loads it
_NAME = re.compile(r"\bfa-[a-z0-9-]+")
_RULE = re.compile(r'((?:\.fa-[\w-]+:before,?)+)\{content:"[^"]*"\}')
_ESCAPE = re.compile(r"\\([ef][0-9a-f]{3})(?![0-9a-f])")
_PRIVATE = re.compile("[\ue000-\uf8ff]")
_SOURCE = re.compile(
    r'src:url\(([^)]*/fa-[\w-]+)\.woff2\) format\("woff2"\),url\([^)]*\) format\("truetype"\)'
)


def trim(html: Path) -> None:
    """Leave, of the icons below ``html``, those that a page, a script or a style sheet names. A second call changes
    nothing; pages of a theme without that style sheet are left as they are."""
    sheet = html / SHEET
    if not sheet.is_file():
        return
    static = html / "_static"
    scripts = [path for path in (*static.glob("*.js"), *static.glob("scripts/*.js")) if path.name != DRAWINGS]
    names = {
        name for path in (*html.rglob("*.html"), *scripts) for name in _NAME.findall(path.read_text("utf8"))
    }
    rules = rules_of(sheet.read_text("utf8"), names)
    sheet.write_text(_SOURCE.sub(r'src:url(\1.woff) format("woff")', rules), "utf8")
    drawn = "".join(path.read_text("utf8") for path in html.rglob("*.css"))
    for font in sorted((html / FONTS).glob("*.ttf")):
        cut(font, glyphs_of(drawn))
        font.unlink()
        font.with_suffix(".woff2").unlink(missing_ok=True)


def rules_of(sheet: str, names: Iterable[str]) -> str:
    """The sheet without the rules of icons that are not in ``names``; aliases of one that is stay with it."""
    known = set(names)

    def kept(found: re.Match[str]) -> str:
        return found[0] if known.intersection(_NAME.findall(found[1])) else ""

    return _RULE.sub(kept, sheet)


def glyphs_of(sheet: str) -> set[int]:
    """The code points of the private use area that a sheet writes, as themselves or escaped."""
    return {ord(c) for c in _PRIVATE.findall(sheet)} | {int(c, 16) for c in _ESCAPE.findall(sheet)}


def cut(font: Path, points: Iterable[int]) -> Path:
    """Write the glyphs of ``points`` of a TrueType font beside it as WOFF, and return that file's path."""
    options = subset.Options(flavor="woff", notdef_outline=True)
    opened = subset.load_font(str(font), options)
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=points)
    cutter.subset(opened)
    out = font.with_suffix(".woff")
    subset.save_font(opened, str(out), options)
    return out
