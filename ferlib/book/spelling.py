"""The check of names: a dataset and a class are written in one way wherever a reader meets them.

Code, addresses, identifiers, the bibliography and what stands in quotation marks are left alone.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from bs4 import BeautifulSoup, NavigableString, Tag
from bs4.element import PreformattedString

from ferlib.data.dataset import SYNONYMS

_EDGES = r"(?<![\w.])(?:{})(?!\w|\.\w)"  # fer2013.csv is a file
NAMES: Mapping[str, re.Pattern[str]] = {  # every way to write a dataset or a class, by the ways that are ours
    name: re.compile(_EDGES.format(pattern), re.I)
    for name, pattern in {
        "FER2013": r"FER[ _-]?(?:20)?13",
        "FERPlus": r"FER(?:[ _-]?Plus|[_-]?\+)",
        "CK+ or CK+48": r"CK[ _-]?Plus(?:[_-]?48)?|CK[_-]?\+(?:[_-]?48)?|CK[ _-]?48",
        "RAF-DB": r"RAF[ _-]?DB",
        **{ours: theirs for theirs, ours in SYNONYMS.items()},
    }.items()
}
# other forms of the words, in emphasis as the classes stand; what a release calls them is its own
FORMS = {
    "angry": ("angriness", "rage"),
    "disgust": ("disgusted", "disgusting"),
    "fear": ("fearful", "afraid", "scared"),
    "happy": ("joy", "joyful", "happyness"),
    "sad": ("unhappy", "sorrow"),
    "surprise": ("surprised", "surprising", "suprise"),
    "neutral": ("neutrality", "calm"),
    "contempt": ("contemptuous",),
}
CLASSES = {form: name for name, forms in FORMS.items() for form in forms}
AS_PRINTED = {"book/data": ("FER+", "FERPLUS", *SYNONYMS)}  # the page that tells which names there are

_QUOTED = re.compile(r"“[^”]*”|\"[^\"]*\"")
_ADDRESS = re.compile(r"\b(?:https?://|www\.)\S+")
_THEIRS = re.compile(r"\btheir FER\+")
_NOT_PROSE = ("code", "pre", "kbd", "samp", "script", "style", "blockquote", "q", "template", "svg")
_INLINE = ("a", "abbr", "b", "em", "i", "span", "strong", "sub", "sup", "small", "mark")


def misspelt(paragraphs: Iterable[str], page: str = "") -> list[str]:
    """Names of datasets and classes that are not written as ours, each with the right way and what stands around it."""
    found = []
    for paragraph in paragraphs:
        text = " ".join(_THEIRS.sub("", _ADDRESS.sub("", _QUOTED.sub("", paragraph))).split())
        for right, pattern in NAMES.items():
            for match in pattern.finditer(text):
                if not _accepted(match, right, page):
                    around = text[max(0, match.start() - 30) : match.end() + 30]
                    found.append(f"‘{match[0]}’ is written {right}: … {around} …")
    return list(dict.fromkeys(found))


def _accepted(match: re.Match[str], right: str, page: str) -> bool:
    name, text = match[0], match.string
    beside = text[: match.start()][-1:] + text[match.end() :][:1]
    identifier = name.islower() and ("-" in beside or "/" in beside)  # se_cnn-fer2013, datasets/fer2013
    return name in right.split(" or ") or name in AS_PRINTED.get(page, ()) or identifier


def misnamed(emphasised: Iterable[str]) -> list[str]:
    """Emphasised words that mean a class under another name than any dataset's."""
    wrong = dict.fromkeys(word.strip() for word in emphasised if word.strip().lower() in CLASSES)
    return [f"‘{word}’ is the class *{CLASSES[word.lower()]}*" for word in wrong]


# ---------------------------------------------------------------------------------------------------------
# Built pages
# ---------------------------------------------------------------------------------------------------------


def of_page(soup: BeautifulSoup, page: str) -> list[str]:
    """Wrong names in the text of a built page and in the texts of its images; ``page`` without ``.html``."""
    body = soup.body or soup
    alt = [str(image["alt"]) for image in body.find_all("img", alt=True)]
    emphasised = [e.get_text() for e in body.find_all("em") if not _apart(e)]
    return misspelt([*_paragraphs(body), *alt], page) + misnamed(emphasised)


def _paragraphs(body: Tag) -> Iterator[str]:
    """What is read in one go: the text of each block, inline elements with it."""
    block: object = None
    parts: list[str] = []
    for text in body.find_all(string=True):
        if isinstance(text, PreformattedString) or _apart(text):
            continue
        around = next((p for p in text.parents if p.name not in _INLINE), None)
        if around is not block:
            yield "".join(parts)
            block, parts = around, []
        parts.append(str(text))
    yield "".join(parts)


def _apart(node: NavigableString | Tag) -> bool:
    """Whether text is no prose of ours: code, a drawing, a quotation, the bibliography."""
    return any(p.name in _NOT_PROSE or "citation" in (p.get("class") or ()) for p in node.parents)


# ---------------------------------------------------------------------------------------------------------
# Sources
# ---------------------------------------------------------------------------------------------------------


def of_source(path: Path, page: str) -> list[str]:
    """The same for a Markdown file or a notebook: its text, its captions, and the sentences in its code."""
    text = path.read_text(encoding="utf8")
    if path.suffix != ".ipynb":
        return _of_markdown(text, page)
    cells = json.loads(text)["cells"]
    found = []
    for cell in cells:
        source = "".join(cell["source"])
        figure = cell["metadata"].get("mystnb", {})
        told = [t for part in figure.values() if isinstance(part, dict) for t in part.values()]
        said = [source] if cell["cell_type"] == "markdown" else [*told, *_sentences(source)]
        found += [problem for one in said for problem in _of_markdown(one, page)]
    return list(dict.fromkeys(found))


def _of_markdown(text: str, page: str) -> list[str]:
    text = re.sub(r"^(```+|:::+)[^\n]*\n.*?^\1\s*$|<!--.*?-->", "", text, flags=re.S | re.M)
    text = re.sub(r"(\{[\w:-]+\})?(`+)(.*?)\2", "", text, flags=re.S)  # code and roles
    text = re.sub(r"\]\([^)]*\)|<[^>\n]*>|\$[^$]*\$", "", text)
    paragraphs = re.split(r"\n\s*\n|\|", text)
    return misspelt(paragraphs, page) + misnamed(re.findall(r"(?<![*\w])\*([^*\n]+)\*(?![*\w])", text))


def _sentences(source: str) -> Iterator[str]:
    """Constant text of a code cell that has words in it; keys and names of files have none."""
    lines = [line for line in source.splitlines() if not line.lstrip().startswith(("%", "!"))]
    for node in ast.walk(ast.parse("\n".join(lines))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
            yield node.value
