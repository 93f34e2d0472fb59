"""What is put right on the built pages: weight that no reader needs."""

from __future__ import annotations

import re
from pathlib import Path

# The theme draws its icons twice, from a web font and from a script that holds every icon there is.
_ICONS = re.compile(r"<(?:script|link)\b[^>]*\bscripts/fontawesome\.js[^>]*>(?:\s*</script>)?\s*")
_MATHJAX = re.compile(r"<script\b[^>]*\bmathjax/tex-chtml\.js[^>]*>\s*</script>\s*")
_MATH = re.compile(r'class="[^"]*\bmath\b|\\\(|\\\[|\$\$')
_IMAGE = re.compile(r"<img\b(?![^>]*\bloading=)")


def finish(html: Path) -> None:
    """Rewrite every page below ``html`` in place. The pages must be those that Sphinx has just written."""
    for path in sorted(html.rglob("*.html")):
        if path.relative_to(html).parts[0] in ("_static", "_sources"):
            continue
        before = path.read_text(encoding="utf8")
        after = lighten(before)
        if after != before:
            path.write_text(after, encoding="utf8")


def lighten(page: str) -> str:
    """One page without unused scripts; images further down load when the reader comes near."""
    page = _ICONS.sub("", page)
    if not _MATH.search(page):
        page = _MATHJAX.sub("", page)
    # a list whose items are none
    page = page.replace('<div role="list" class="citation-list">', '<div class="citation-list">')
    page = _IMAGE.sub('<img loading="lazy"', page)
    return page
