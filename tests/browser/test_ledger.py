"""The ledger's table as a reader uses it: search, choices, sorting, the address of a row."""

import re
from dataclasses import replace
from pathlib import Path

import claimed
import pytest

from ferlib.claims import page
from ferlib.claims.verdicts import Judgement

pytestmark = pytest.mark.xdist_group("browser")
STATIC = Path(__file__).resolve().parents[2] / "book" / "_static"
HEAD = "<!DOCTYPE html><html data-theme='light'><head><meta charset='utf-8'><link rel='stylesheet' href='book.css'>"
PAGE = f"{HEAD}<script src='ledger.js'></script></head><body><article class='bd-article'>{{}}</article></body></html>"
CLAIM = replace(claimed.CLAIM, id="a")
ORDER = replace(CLAIM, kind="gain", check="order", printed="", quantity="more accurate", dataset="CK+")
WORDS = replace(
    CLAIM, kind="words", check="words", printed="", quantity="happy is best", note="our bound: 95 %"
)
ROWS = (  # a number with more digits than a larger one, signs, thousands, words, nothing
    Judgement(CLAIM, "lower", ours="66.68", difference=-1.33, low=-2.5, high=0.25),
    Judgement(replace(CLAIM, id="b"), "lower", True, "66.7 ± 0.2", -1.31, -17.0, 3.0),
    Judgement(replace(ORDER, id="c"), "direction fails", True, "-17.00"),
    Judgement(replace(ORDER, id="d"), "direction holds", ours="+3.00", why="by people"),
    Judgement(
        replace(CLAIM, id="e", paper="amdcnn", check="audit", printed="2,000", kind="count", unit=""),
        "higher",
        ours="2,500",
        difference=500.0,
    ),
    Judgement(replace(WORDS, id="f"), "direction holds", ours="highest: happy (86.7 %)"),
    Judgement(replace(CLAIM, id="g", paper="gcca_vgg", dataset="RAF-DB"), "not run: licensed data"),
    Judgement(replace(CLAIM, id="h", printed="9.01"), "reproduced", ours="9.00", difference=-0.01),
)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Where the table lies, with the book's style and script."""
    folder = tmp_path_factory.mktemp("ledger")
    filler = [Judgement(replace(WORDS, id=f"z{i:02}"), "not testable") for i in range(60)]
    (folder / "page.html").write_text(PAGE.format(page.html([*ROWS, *filler])), encoding="utf-8")
    for name in ("book.css", "ledger.js"):
        (folder / name).write_bytes((STATIC / name).read_bytes())
    return (folder / "page.html").as_uri()


@pytest.fixture
def ledger(chromium, address):
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    found = context.new_page()
    found.goto(address)
    found.wait_for_selector(".ledger-count")
    yield found
    context.close()


def column_named(ledger, name):
    """The button in the head of a column; its name to a screen reader has the arrow of the sorting too."""
    return ledger.locator("th button", has_text=re.compile(f"^{name}$"))


def shown(ledger):
    """Ids of the rows in sight, in their order, without those that fill the table."""
    script = (
        "rows => rows.map(row => row.id.slice('claim-'.length)).filter(id => !id.startsWith('z')).join('')"
    )
    return ledger.eval_on_selector_all("tbody tr:not([hidden])", script)


def test_search_finds_every_word_in_any_cell(ledger):
    assert shown(ledger) == "abcdefgh" and ledger.inner_text(".ledger-count") == "68 claims"
    for words, expected in {
        "people": "d",
        "table licensed": "g",
        "BOUND happy": "f",  # our reading of the claim is told too
        "-17.00": "c",  # with the keyboard's minus
        "−17.00": "c",
        "nowhere": "",
        "": "abcdefgh",
    }.items():
        ledger.get_by_label("Search").fill(words)
        assert shown(ledger) == expected, words


@pytest.mark.parametrize(
    ("name", "choice", "expected"),
    [
        ("Paper", "AMDCNN", "e"),
        ("Paper", "GCCA-VGG16", "g"),
        ("Dataset", "CK+", "cd"),
        ("Dataset", "RAF-DB", "g"),
        ("Verdict", "lower", "ab"),  # provisional or not
        ("Verdict", "direction fails", "c"),
        ("Verdict", "direction holds", "df"),
        ("Verdict", "provisional", "bc"),
        ("Verdict", "not run: licensed data", "g"),
    ],
)
def test_each_choice_finds_its_rows(ledger, name, choice, expected):
    ledger.get_by_label(name).select_option(choice)
    assert shown(ledger) == expected
    assert ledger.inner_text(".ledger-count") == f"{len(expected)} of 68 claims"
    ledger.get_by_label(name).select_option("all")
    assert shown(ledger) == "abcdefgh"


def test_no_verdict_is_offered_twice(ledger):
    offered = ledger.get_by_label("Verdict").locator("option").all_inner_texts()
    assert offered[0] == "all" and offered[1:] == sorted(set(offered[1:]))
    assert not [text for text in offered if text.startswith("provisional: ")]


def test_search_and_choices_work_together(ledger):
    ledger.get_by_label("Dataset").select_option("FER2013")
    ledger.get_by_label("Verdict").select_option("lower")
    ledger.get_by_label("Search").fill("provisional")
    assert shown(ledger) == "b"


@pytest.mark.parametrize(
    ("column", "ascending", "descending"),
    [
        ("Ours", "cdhabe", "ebahdc"),  # -17, 3, 9, 66.68, 66.7, 2500
        ("Published", "habge", "eabgh"),
        ("Ours minus published", "abhe", "ehba"),
    ],
)
def test_numbers_are_sorted_as_numbers_and_what_has_none_comes_last(ledger, column, ascending, descending):
    button = column_named(ledger, column)
    for expected, direction in ((ascending, "ascending"), (descending, "descending")):
        button.click()
        found = shown(ledger)
        assert found[: len(expected)] == expected
        assert sorted(found) == sorted("abcdefgh")
        assert ledger.locator("th[aria-sort]").get_attribute("aria-sort") == direction


def test_words_are_sorted_as_words(ledger):
    button = column_named(ledger, "Paper")
    button.click()
    assert shown(ledger) == "egabcdfh"  # AMDCNN, GCCA-VGG16, SE-CNN in the order they had
    button.click()
    assert shown(ledger) == "abcdfhge"


def test_the_address_of_a_row_leads_to_it(chromium, address):
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    ledger = context.new_page()
    ledger.goto(f"{address}#claim-z30")
    ledger.wait_for_selector(".ledger-count")
    row, head = ledger.locator("#claim-z30").bounding_box(), ledger.locator("thead").bounding_box()
    assert head["y"] + head["height"] - 1 <= row["y"] <= 800 - row["height"]
    context.close()
