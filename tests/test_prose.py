"""Prose of the book holds no number of ours that was typed: such numbers are glued or computed."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "book").glob("*.md")])
# a rate, a difference of rates, or anything with two decimals: what a result looks like
RESULT = re.compile(r"\d+(?:\.\d+)?\s?(?:%|points\b|per cent)|\b\d+\.\d\d+\b")
# what may be typed: levels of intervals, tests and power, and settings and printed values where their page says them
LEVELS = re.compile(r"(?<![\d.])(?:95|80|5)\s?%|(?<![\d.])0\.05\b(?!\d)")
SETTINGS = {
    "a_mobilenet.ipynb": ("running statistics that keep 0.99",),
    "amdcnn.ipynb": ("*p* < 0.001", "an even map has 25 %"),
    "data_audit.ipynb": ("human accuracy at about 65 %",),  # cited
    "evidence.md": ("narrower than ±3 points",),
    "gcca_vgg.ipynb": ("0.005 and 7 (section 2.6)",),
    "intro.md": ("Python 3.11",),
    "ledger.ipynb": ("narrower than ± 3 points",),
    "msca_resnet.ipynb": (
        "constant rate 0.001",
        "constant rate of 0.001",
        "constant rates 0.01 and 0.001",
        "constant 0.001",
        "the rate falls to 0.0001",
        "is 15 % of the",
    ),
    "running.md": ("Python 3.11",),
    "se_cnn.ipynb": ("we take 10 % of the side",),
}


def typed(text: str, page: str) -> list[str]:
    """Numbers that look like results, each with what stands around it, but for code, roles and formulas."""
    text = re.sub(r"```.*?```|`[^`]*`|\$[^$]*\$|\]\([^)]*\)", " ", text, flags=re.S)
    text = re.sub(r"\s+", " ", text)
    for allowed in SETTINGS.get(page, ()):
        text = text.replace(allowed, "")
    text = LEVELS.sub("", text)
    return [text[max(0, m.start() - 40) : m.end() + 20] for m in RESULT.finditer(text)]


def strings(source: str) -> list[str]:
    """Constant text of a code cell that reaches the page: arguments of ``say``, but for the computed parts."""
    lines = [line for line in source.splitlines() if not line.lstrip().startswith(("%", "!"))]
    found = []
    for call in ast.walk(ast.parse("\n".join(lines))):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "say":
            found += [
                node.value
                for argument in call.args
                for node in ast.walk(argument)
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            ]
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_result_is_typed(page):
    if page.suffix == ".md":
        texts = [page.read_text(encoding="utf-8")]
    else:
        cells = json.loads(page.read_text(encoding="utf-8"))["cells"]
        texts = ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"]
        texts += [s for c in cells if c["cell_type"] == "code" for s in strings("".join(c["source"]))]
    found = [hit for text in texts for hit in typed(text, page.name)]
    assert not found, found


def test_the_check_sees_what_it_is_for():
    assert typed("Our runs reach 97.5 % on CK+.", "x.md")
    assert typed("a gain of 2 points", "x.md")
    assert typed("an F1-score of 0.87", "x.md")
    assert not typed("a 95 % interval of {glue:text}`gain` points, `0.99` as in $p < 0.05$", "x.md")
    assert typed("a 95 % interval around 64.4 %", "x.md")
    said = " ".join(strings('say(f"reaches {100 * a:.1f} %, not 99.9 %")'))
    assert "100 * a" not in said and typed(said, "x.md")
    assert not typed(" ".join(strings('say(f"reaches {100 * a:.1f} %")')), "x.md")
