"""Wide tables and large figures on a narrow page, as `book.js` and `book.css` make them readable."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("browser")
STATIC = Path(__file__).resolve().parents[2] / "book" / "_static"
NAMES = ("model", "published", "validation", "test", "images", "difference", "runs")
HEAD = "".join(f"<th>{name}</th>" for name in NAMES)
LINE = "<td>baseline</td>" + "<td>full, two seeds, all of the epochs</td>" * (len(NAMES) - 1)
TABLE = (
    "<div class='cell_output'><div class='output text_html'>"
    f"<table><thead><tr>{HEAD}</tr></thead><tbody><tr>{LINE}</tr></tbody></table></div></div>"
)
LARGE = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='900' height='300'/%3E"
SMALL = LARGE.replace("900", "120")
PAGE = (
    "<!DOCTYPE html><html data-theme='light'><head><style>img { max-width: 100% }</style></head><body>"
    f"<article class='bd-article'>{TABLE}"
    f'<figure><img alt="Nine curves" src="{LARGE}"></figure>'
    f'<figure><img alt="A dot" src="{SMALL}"></figure></article></body></html>'
)


@pytest.fixture
def page(chromium, tmp_path):
    """The page on a phone, with the book's style and script."""
    links = "<link rel='stylesheet' href='book.css'><script src='book.js'></script></head>"
    (tmp_path / "page.html").write_text(PAGE.replace("</head>", links))
    for name in ("book.css", "book.js"):
        (tmp_path / name).write_bytes((STATIC / name).read_bytes())
    context = chromium.new_context(viewport={"width": 390, "height": 844})
    found = context.new_page()
    found.goto((tmp_path / "page.html").as_uri())
    found.wait_for_selector("button.enlarge")
    yield found
    context.close()


def test_a_wide_table_scrolls_by_itself_and_says_so(page):
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    box = page.locator(".output")
    assert box.evaluate("e => e.scrollWidth > e.clientWidth && e.tabIndex === 0")
    assert "goes-on" in box.get_attribute("class")
    box.evaluate("e => { e.scrollLeft = e.scrollWidth }")
    page.wait_for_function("!document.querySelector('.output').classList.contains('goes-on')")


def test_the_first_column_stays_in_sight(page):
    first, last = page.locator("tbody td:first-child"), page.locator("tbody td:last-child")
    left = first.bounding_box()["x"]
    before = last.bounding_box()["x"]
    page.locator(".output").evaluate("e => { e.scrollLeft = e.scrollWidth }")
    assert first.bounding_box()["x"] == pytest.approx(left, abs=1)
    assert last.bounding_box()["x"] < before - 100


def test_a_figure_that_had_to_shrink_opens_in_its_own_size(page):
    assert page.locator("button.enlarge").count() == 1  # the small one needs none
    page.get_by_role("button", name="Enlarge: Nine curves").click()
    large = page.locator("dialog[open] img")
    assert large.get_attribute("alt") == "Nine curves"
    assert large.bounding_box()["width"] == 900
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
