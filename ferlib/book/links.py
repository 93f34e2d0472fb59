"""The check of the built pages: missing pages, dead links, foreign origins, images without a text, wrong names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag

from ferlib.book import spelling
from ferlib.book.contents import toc_pages
from ferlib.book.runs import tree
from ferlib.errors import FerlibError

# What a browser fetches when it opens a page. Links that a reader clicks (a href) may lead elsewhere.
_FETCHED = {
    "script": ("src",),
    "img": ("src", "srcset"),
    "source": ("src", "srcset"),
    "iframe": ("src",),
    "embed": ("src",),
    "object": ("data",),
    "video": ("src", "poster"),
    "audio": ("src",),
    "track": ("src",),
    "input": ("src",),
    "use": ("href", "xlink:href"),
    "image": ("href", "xlink:href"),
}
_FETCHED_RELS = {
    "stylesheet",
    "icon",
    "apple-touch-icon",
    "preload",
    "modulepreload",
    "prefetch",
    "prerender",
    "preconnect",
    "dns-prefetch",
    "manifest",
}
_PATH = re.compile(r"(?:\.\./)*_images/\S+")  # what Sphinx writes for want of an alternative text
_CSS_URL = re.compile(r"""url\(\s*['"]?([^'")]+)['"]?\s*\)|@import\s+['"]([^'"]+)['"]""")
_SCRIPT_FETCH = re.compile(
    r"""(?:\bimport\s*\(?|\bfrom\s+|\bfetch\s*\(|importScripts\s*\(|\.src\s*=|URL\s*=)\s*['"`]((?:https?:)?//[^'"`]+)"""
)


def check(html_dir: Path, toc: Path, *, names: bool = True) -> list[str]:
    """Everything wrong with the built pages, one line each: see the module's first line.

    Without ``names`` two things are left out that need not keep anybody from a page: the spelling of datasets and
    classes, and warnings of libraries, which show paths of the machine that built it.
    """
    html_dir = Path(os.path.abspath(html_dir))
    if not html_dir.is_dir():
        raise FerlibError(f"{html_dir}: no built book here; run 'make book' first")
    problems = [
        f"{page}.html: named in {toc.name} but not built"
        for page in dict.fromkeys(toc_pages(toc))
        if not (html_dir / (page + ".html")).is_file()
    ]
    if not (html_dir / "index.html").is_file():
        problems.append("index.html: not built")
    parsed = {
        path: BeautifulSoup(path.read_text(encoding="utf8", errors="replace"), "html.parser")
        for path in tree(html_dir, "*.html")
        if path.relative_to(html_dir).parts[0] not in ("_static", "_sources")
    }
    anchors = {path: set(_anchors(soup)) for path, soup in parsed.items()}
    for path, soup in parsed.items():
        name = path.relative_to(html_dir).as_posix()
        for what, url in _links(soup):
            if problem := _dead(url, path, html_dir, anchors):
                problems.append(f"{name}: {what} {url}: {problem}")
        problems += [f"{name}: loads {url} from another origin" for url in _foreign(soup)]
        problems += [f"{name}: {image}: no alternative text" for image in _untold(soup)]
        if names:
            problems += [f"{name}: {told}" for told in spelling.of_page(soup, name.removesuffix(".html"))]
            problems += [f"{name}: shows a warning: {text}" for text in _warned(soup)]
    for path in tree(html_dir, "*.css"):
        css = path.read_text(encoding="utf8", errors="replace")
        name = path.relative_to(html_dir).as_posix()
        problems += [f"{name}: loads {url} from another origin" for url in _css_urls(css) if _is_foreign(url)]
    return list(dict.fromkeys(problems))


def _warned(soup: BeautifulSoup) -> Iterator[str]:
    """Warnings that a library wrote beside the output of a cell, without the file that they name."""
    for tag in soup.select("div.output.stderr pre"):
        for line in tag.get_text().splitlines():
            if match := re.search(r"\b\w*Warning: .*", line):
                yield match[0]


def _anchors(soup: BeautifulSoup) -> Iterator[str]:
    yield from (str(tag["id"]) for tag in soup.find_all(id=True))
    yield from (str(tag["name"]) for tag in soup.find_all("a") if tag.has_attr("name"))


def _links(soup: BeautifulSoup) -> Iterator[tuple[str, str]]:
    for tag in soup.find_all(["a", "area", "link"], href=True):
        yield "link to", str(tag["href"])
    for url in _fetched(soup):
        yield "file", url
    for tag in soup.find_all("meta", attrs={"http-equiv": re.compile("^refresh$", re.I)}):
        if match := re.search(r"url=(.+)", str(tag.get("content", "")), re.I):
            yield "redirect to", match[1].strip(" '\"")


def _fetched(soup: BeautifulSoup) -> Iterator[str]:
    for tag in soup.find_all(list(_FETCHED)):
        for attribute in _FETCHED[tag.name]:
            if value := tag.get(attribute):
                if attribute == "srcset":
                    # a comma with nothing behind it ends an entry; data: addresses have others
                    yield from (part.split()[0] for part in re.split(r",\s+|,$", str(value)) if part.strip())
                else:
                    yield str(value)
    for tag in soup.find_all("link", href=True):
        if _FETCHED_RELS & {str(r).lower() for r in (tag.get("rel") or [])}:
            yield str(tag["href"])


def _foreign(soup: BeautifulSoup) -> Iterator[str]:
    yield from filter(_is_foreign, _fetched(soup))
    for tag in soup.find_all("style"):
        yield from filter(_is_foreign, _css_urls(tag.get_text()))
    for tag in soup.find_all(style=True):
        yield from filter(_is_foreign, _css_urls(str(tag["style"])))
    for tag in soup.find_all("script", src=False):
        yield from _SCRIPT_FETCH.findall(tag.get_text())
    for tag in soup.find_all("base", href=True):
        yield from filter(_is_foreign, [str(tag["href"])])


def _untold(soup: BeautifulSoup) -> Iterator[str]:
    """Images without an alternative text: none, a path in its place, or nothing in it where it is a figure's."""
    for image in soup.find_all("img"):
        alt, src = image.get("alt"), str(image.get("src", ""))
        figure = image.find_parent("figure")
        if alt is None or str(alt) == src or _PATH.fullmatch(str(alt)) or (figure and not str(alt).strip()):
            yield f"image {src[:80]}{_captioned(figure)}"


def _captioned(figure: Tag | None) -> str:
    """How a reader finds the figure: the beginning of its caption."""
    caption = figure.find("figcaption") if figure else None
    text = " ".join(caption.get_text().split()) if caption else ""
    return f" ({text[:60]}…)" if len(text) > 60 else f" ({text})" if text else ""


def _css_urls(css: str) -> list[str]:
    return [a or b for a, b in _CSS_URL.findall(css)]


def _is_foreign(url: str) -> bool:
    parts = urlsplit(url.strip())
    return bool(parts.netloc) or parts.scheme in ("http", "https", "ws", "wss", "ftp")


def _dead(url: str, page: Path, html_dir: Path, anchors: Mapping[Path, set[str]]) -> str | None:
    """Why a link within the book leads nowhere, or None."""
    parts = urlsplit(url.strip())
    if parts.scheme or parts.netloc:
        return "a link to a local file" if parts.scheme == "file" else None
    if parts.path.startswith("/"):
        return "absolute path; it breaks unless the book is served from the root"
    target = page
    if parts.path:
        target = Path(os.path.normpath(page.parent / unquote(parts.path)))
        if not target.is_relative_to(html_dir):
            return "leaves the book"
        if target.is_dir():
            target = target / "index.html"
        if not target.is_file():
            return "no such file"
    anchor = unquote(parts.fragment)
    if anchor and anchor != "top" and target in anchors and anchor not in anchors[target]:
        return "no such anchor"
    return None
