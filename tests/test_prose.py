"""Prose of the book holds no number of ours that was typed: such numbers are glued or computed."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
from book_sources import PAGES, source, texts_and_cells

from ferlib.claims import load as load_claims
from ferlib.experiments import EXPERIMENTS

ROOT = Path(__file__).parents[1]
GUIDES = ("README.md", "RELEASING.md")  # of the repository, in no book
MODULES = sorted(set((ROOT / "ferlib").rglob("*.py")) - set((ROOT / "ferlib" / "experiments").glob("*.py")))
# a rate, a difference of rates, or anything with two decimals, or one behind two digits: what a result looks like
UNIT = r"\d+(?:\.\d+)?(?:\s?%|[\s-]points?\b|\s?per\s?cent\b)"
RESULT = re.compile(UNIT + r"|\b\d+\.\d\d+\b|\b\d\d+\.\d\b")
# what may be typed: levels of intervals, tests and power, beside the word that says so ...
LEVEL = re.compile(r"(?<![\d.])(?:(?:95|80|5)\s?%|0\.05\b(?!\d))")
OF_WHAT = re.compile(r"interval|power|level|chance|significan|Holm|by luck|correction", re.I)
# ... and settings and printed values where their page says them
SETTINGS = {
    "augment.py": ("[0, 0.99]", "0.01 to 100", "[0, 0.66]"),  # what a setting may be
    "a_mobilenet.ipynb": ("running statistics that keep 0.99", "not printed (10 % here)"),
    "amdcnn.ipynb": ("*p* < 0.001", "an even map has 25 %"),
    "data_audit.ipynb": ("human accuracy at about 65 %", "a human accuracy of 65 ± 5 %"),  # cited
    "effects.py": ("95 %, people", "95 %, images", "95 %, {}"),  # of which resampling
    "forensics.ipynb": ("a value near 0.05 is no discovery",),
    "evidence.md": ("no further than 3 points", "further than 3 points to one side"),
    "gcca_vgg.ipynb": ("0.005 and 7 (section 2.6)", "which gain could its images show at 80 %?"),
    "intro.md": ("Python 3.11", "Python 3.12"),
    "ledger.ipynb": ("at most ± 3 points", "Below 0.05 the **direction holds**"),
    "msca_resnet.ipynb": (
        "constant rate 0.001",
        "constant rate of 0.001",
        "constant rates 0.01 and 0.001",
        "constant 0.001",
        "the rate falls to 0.0001",
        "is 15 % of the",
        "moved by up to 5 % of the side",
    ),
    "msca_resnet.py": (
        "15 % of {} frames",
        "15 % of the {} sequences",
        "for two images, 0.90 and 0.55 on the true class",  # an example that is reckoned with
    ),
    "printing.py": ("10pt/1.45 system-ui", "line-height: 1.25"),
    "running.md": ("Python 3.11", "Python 3.12"),
    "se_cnn.py": ("arbitrary pairs 0.03 apart",),  # what the printed pair differs by
    "se_cnn.ipynb": ("we take 10 % of the side", "shift of up to 10 % of the side"),
}

# rates in assumptions that are settings, or shares of counts that stand beside them
ASSUMED = ("10 %", "15 %", "to 0.4 %", "(86 to 89 %)")
# a constant that is nothing but a number: of a result's size, not a grey or a share of a picture's side
LONE = re.compile(r"[+−-]?\d\d+\.\d+")
# words of a result in an alternative text, which is typed before any run ...
TOLD = re.compile(r"\b(?:ris(?:es?|ing)|falls?|falling|lowest|highest|best|worst|(?:in|de)creas\w+)\b", re.I)
# ... but for what is drawn so whatever the runs say: an order, a reading's name, a formula, a schedule ...
DRAWN_SO = {
    "a_mobilenet.ipynb": ("Three falling curves", "the rarest class falling slowest"),  # simulated features
    "comparison.ipynb": ("best first",),
    "discrepancies.ipynb": ("the best test epoch",),
    "forensics.ipynb": ("a rising line for what chance gives",),
    "msca_resnet.ipynb": ("falling in steps",),  # the rate, as it was set
}


def typed(text: str, page: str) -> list[str]:
    """Numbers that look like results, each with what stands around it, but for code, roles and formulas.

    Code or a formula that is nothing but a number is read like the text around it.
    """
    text = re.sub(r"```.*?```|\]\([^)]*\)", " ", text, flags=re.S)
    text = re.sub(r"([`$])([^`$]*)\1", lambda m: alone(m[2]), text, flags=re.S)
    text = re.sub(r"\s+", " ", text)
    for allowed in SETTINGS.get(page, ()):
        text = text.replace(allowed, "")
    text = LEVEL.sub(lambda m: "" if OF_WHAT.search(around(m, 60)) else m[0], text)
    return [around(m, 40) for m in RESULT.finditer(text)]


def alone(code: str) -> str:
    """Code or a formula without its marks where it is a number and its unit, else nothing."""
    plain = re.sub(r"\\[,;! ]|[{}\\~]", "", code)
    return plain if re.fullmatch(r"\s*[+−-]?\d+(?:\.\d+)?\s?%?\s*", plain) and "%" in plain else " "


def around(found: re.Match[str], characters: int) -> str:
    return found.string[max(0, found.start() - characters) : found.end() + characters]


def strings(source: str) -> list[str]:
    """Constant text of a code cell that reaches the page: arguments of ``say``, but for the computed parts."""
    lines = [line for line in source.splitlines() if not line.lstrip().startswith(("%", "!"))]
    found = []
    for call in ast.walk(ast.parse("\n".join(lines))):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "say":
            found += [text for argument in call.args for text in constants(argument)]
    return found


def constants(tree: ast.AST) -> list[str]:
    """Constant strings below ``tree`` but for docstrings; an f-string as one, ``{}`` for what is computed."""
    nodes = list(ast.walk(tree))
    skip = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    skip |= {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    skip |= {id(node.format_spec) for node in nodes if isinstance(node, ast.FormattedValue)}
    specs = [node.format_spec for node in nodes if isinstance(node, ast.FormattedValue) and node.format_spec]
    skip |= {id(part) for spec in specs for part in ast.walk(spec)}
    found = []
    for node in nodes:
        if id(node) in skip:
            continue
        if isinstance(node, ast.JoinedStr):
            found.append("".join(str(v.value) if isinstance(v, ast.Constant) else "{}" for v in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return found


def captions(cell: dict) -> list[str]:
    """Captions and alternative texts of a cell's figure."""
    figure = cell.get("metadata", {}).get("mystnb", {})
    return [text for part in figure.values() if isinstance(part, dict) for text in part.values()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_result_is_typed(page):
    texts, cells = texts_and_cells(page)
    texts += [text for cell in cells for text in strings(source(cell))]
    texts += [caption for c in cells for caption in captions(c)]
    found = [hit for text in texts for hit in typed(text, page.name)]
    assert not found, found


def written(source: str, name: str, theirs: frozenset[str] = frozenset()) -> list[str]:
    """Numbers that look like results in a module's constant text: in sentences, and alone.

    A setting of a drawing or a sheet of styles is no sentence; 100% is a width. What a paper prints, ``theirs``, may
    stand alone: it is what findings reckon with.
    """
    texts = [text.strip() for text in constants(ast.parse(source))]
    sentences = [text for text in texts if " " in text and "100%" not in text]
    bare = [text for text in texts if LONE.fullmatch(text) and text not in theirs]
    return [hit for text in (*sentences, *bare) for hit in typed(text, name)]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(ROOT)))
def test_no_result_is_typed_into_a_sentence_of_the_library(module):
    found = written(module.read_text(encoding="utf-8"), module.name, frozenset(printed(module.stem)))
    assert not found, found


def results_told(page: Path) -> list[str]:
    """Alternative texts of a notebook's figures with words of a result."""
    _, cells = texts_and_cells(page)
    found = []
    for cell in cells:
        alt = cell.get("metadata", {}).get("mystnb", {}).get("image", {}).get("alt", "")
        plain = alt
        for allowed in DRAWN_SO.get(page.name, ()):
            plain = plain.replace(allowed, "")
        found += [alt] if TOLD.search(plain) else []
    return found


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.suffix == ".ipynb"], ids=lambda page: page.name
)
def test_no_alternative_text_tells_a_result(page):
    """It is typed before any run; what a figure shows is computed, in front of its caption."""
    assert results_told(page) == []
    source = page.read_text(encoding="utf-8")
    allowed = DRAWN_SO.get(page.name, ())
    assert [text for text in allowed if text not in source] == []


def test_words_of_results_in_alternative_texts_are_seen(tmp_path):
    def told(alt: str) -> list[str]:
        cell = {"cell_type": "code", "source": [], "metadata": {"mystnb": {"image": {"alt": alt}}}}
        (tmp_path / "a.ipynb").write_text(json.dumps({"cells": [cell]}), encoding="utf-8")
        return results_told(tmp_path / "a.ipynb")

    for alt in (
        "Four curves, two rising",
        "Accuracy increases",
        "Bars, disgust lowest",
        "Loss falls",
        "best class",
    ):
        assert told(alt) == [alt]
    assert told("Four curves of the fusion weights over epochs, a comprising line, bestowed") == []


def broken(text: str, folder: Path) -> list[str]:
    """Relative links in Markdown that lead to no file, or to no heading of it."""
    found = []
    for link in re.findall(r"\]\((?!https?://|mailto:)([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        target = folder / path
        there = target.exists() and not anchor
        if anchor and (target.is_file() or not path):
            there = anchor in headings(target.read_text(encoding="utf-8") if path else text)
        found += [] if there else [link]
    return found


def headings(markdown: str) -> set[str]:
    """Anchors of the headings of a Markdown file, as GitHub makes them."""
    plain = re.sub(r"^(```+|~~~+).*?^\1", "", markdown, flags=re.S | re.M)
    titles = re.findall(r"^#+ +(.+?) *#*$", plain, flags=re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("guide", GUIDES)
def test_links_of_the_guides_lead_somewhere(guide):
    assert broken((ROOT / guide).read_text(encoding="utf-8"), ROOT) == []


def test_links_that_lead_nowhere_are_seen(tmp_path):
    (tmp_path / "a.md").write_text("# Run `it`, twice\n```bash\n# no heading\n```\n", encoding="utf-8")
    good = "# Here\n[a](a.md) ![b](a.md) [c](a.md#run-it-twice) [d](#here) [e](https://x.org/y) [f](mailto:a@b.c)"
    assert broken(good, tmp_path) == []
    bad = "[a](b.md) ![b](_static/c.png) [c](a.md#no-heading) [d](#there)"
    assert broken(bad, tmp_path) == ["b.md", "_static/c.png", "a.md#no-heading", "#there"]


def printed(paper: str) -> set[str]:
    """The numbers that a paper prints as its own results, as it prints them."""
    return {claim.printed for claim in load_claims() if claim.paper == paper}


def test_no_result_of_ours_is_typed_into_an_assumption():
    """An assumption may cite the paper's figures, reckon with counts, and state settings."""
    texts = {
        (row.paper, text) for row in EXPERIMENTS.values() for text in (*row.assumed.values(), *row.deviations)
    }
    for paper, text in sorted(texts):
        plain = text
        for allowed in ASSUMED:
            plain = plain.replace(allowed, "")
        counts = [int(number) for number in re.findall(r"(?<![\d.])\d{2,4}(?![\d.%])", text)]
        reckoned = {f"{100 * k / n:.2f}" for k in counts for n in counts if n}
        rates = re.findall(r"(\d+(?:\.\d+)?)(?= (?:and|to) \d+(?:\.\d+)? %| ?%)", plain)
        assert set(rates) <= reckoned | {number.rstrip(" %") for number in printed(paper)}, text


def test_the_check_sees_what_it_is_for():
    assert typed("Our runs reach 97.5 % on CK+.", "x.md")
    assert typed("Our runs reach 97.5 on CK+.", "x.md")
    assert typed("87.5 percent", "x.md")
    assert typed("a gain of 2 points", "x.md")
    assert typed("a 2-point gain", "x.md")
    assert typed("a gain of 5 %", "x.md")
    assert typed("95 % of them are right", "x.md")
    assert typed("an F1-score of 0.87", "x.md")
    assert typed("`97.53 %` and nothing else", "x.md")
    assert typed(r"reaches $97.53\,\%$", "x.md")
    assert not typed("a 95 % interval of {glue:text}`gain` points, `0.99` as in $p < 0.05$", "x.md")
    assert not typed("80 % power at the 5 % level", "x.md")
    assert typed("a 95 % interval around 64.4 %", "x.md")
    said = " ".join(strings('say(f"reaches {100 * a:.1f} %, not 99.9 %")'))
    assert "100 * a" not in said and typed(said, "x.md")
    assert not typed(" ".join(strings('say(f"reaches {100 * a:.1f} %")')), "x.md")
    code = 'def f():\n    """97.5 %"""\n    return f"{x:.1%} of 64.4 %" + y["z"]'
    assert constants(ast.parse(code)) == ["{} of 64.4 %", "z"]
    assert written("x = 'reaches 97.53 on CK+'", "x.py") and written("x = '97.53'", "x.py")
    assert written("x = 'an F1-score of 0.87'", "x.py") and written("x = f'{y} beats 97.5'", "x.py")
    assert not written("'''A module with 97.53.'''; grey = '0.85'; x = 'w=0.06,pad'", "x.py")
    assert not written("x = '97.53'", "x.py", frozenset({"97.53"}))
    assert captions({"metadata": {"mystnb": {"figure": {"caption": "a"}, "image": {"alt": "b"}}}}) == [
        "a",
        "b",
    ]
