"""What only a browser can say of the built book: it opens every page as a reader would, and looks.

For each page: errors on the console, files that do not arrive, requests to another origin, weight before the reader
starts anything, time to the first content, sideways scrolling on a phone, and serious or critical findings of axe-core
(accessibility) in the light and the dark theme.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from ferlib.delivery import browser, flags, serving
from ferlib.errors import FerlibError

if TYPE_CHECKING:
    from playwright.sync_api import Page, Request, Response

HEAVIEST = 3_000_000  # bytes before the reader starts anything
SLOWEST = 1.0  # seconds to the first content, from this machine
DESKTOP, PHONE = (1280, 900), (390, 844)
GRAVE = ("serious", "critical")
FIRST_CONTENT = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
SIDEWAYS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
THEME = "theme => { document.documentElement.dataset.theme = theme; document.documentElement.dataset.mode = theme; }"


def why_not() -> str | None:
    """What is missing, in one line; None where nothing is."""
    if browser() is None:
        return "install Chromium (Debian: apt install chromium) or name one in FERLIB_CHROMIUM"
    try:
        import axe_playwright_python  # noqa: F401
        import playwright  # noqa: F401
    except ModuleNotFoundError as error:
        return f"pip install {error.name}"
    return None


@dataclass
class Visit:
    """What happened while a page was open."""

    name: str
    origin: str
    problems: list[str] = field(default_factory=list)
    weight: int = 0
    first_content: float | None = None

    def watch(self, page: Page) -> None:
        page.on("console", lambda m: self.note(f"console: {m.text}") if m.type == "error" else None)
        page.on("pageerror", lambda error: self.note(f"script: {error}"))
        page.on("request", self.asked)
        page.on("requestfailed", lambda r: self.note(f"{r.url} does not arrive ({r.failure})"))
        page.on("response", self.answered)

    def note(self, text: str) -> None:
        line = f"{self.name}.html: {' '.join(text.split())[:300]}"
        if line not in self.problems:
            self.problems.append(line)

    def asked(self, request: Request) -> None:
        if not request.url.startswith((self.origin, "data:", "blob:")):
            self.note(f"asks for {request.url}, another origin")

    def answered(self, response: Response) -> None:
        if response.status >= 400:
            self.note(f"{response.url} answers {response.status}")
        self.weight += int(response.headers.get("content-length", 0))


def accessibility(page: Page) -> list[str]:
    """Serious and critical findings of axe-core on the page as it is, a line for each rule."""
    from axe_playwright_python.sync_playwright import Axe

    options = {
        "preload": False,
        "resultTypes": ["violations"],
    }  # what axe preloads, it looks for in wrong places
    found: list[dict[str, Any]] = Axe().run(page, options=options).response["violations"]
    return [
        f"axe {v['id']} ({v['impact']}, {len(v['nodes'])} places): {v['help']}; first: {v['nodes'][0]['target'][0]}"
        for v in found
        if v["impact"] in GRAVE
    ]


def look(page: Page, name: str, origin: str) -> Visit:
    """Open one page and measure it; the page object may be used again."""
    visit = Visit(name, origin)
    visit.watch(page)
    page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
    page.goto(f"{origin}/{name}.html", wait_until="load", timeout=60_000)
    page.wait_for_timeout(100)  # scripts that begin on load
    paint = page.evaluate(FIRST_CONTENT)
    visit.first_content = None if paint is None else paint / 1000
    if visit.weight > HEAVIEST:
        visit.note(f"weighs {visit.weight / 1e6:.1f} MB, more than {HEAVIEST / 1e6:.0f} MB")
    for theme in ("light", "dark"):
        page.evaluate(THEME, theme)
        page.wait_for_timeout(250)  # colours fade over
        for finding in accessibility(page):
            visit.note(f"{theme}: {finding}")
    page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    if (wider := page.evaluate(SIDEWAYS)) > 1:
        visit.note(f"scrolls sideways at {PHONE[0]} pixels, by {wider}")
    return visit


def check(html: Path, pages: Sequence[str]) -> list[Visit]:
    """Every page, opened in a browser. Raises FerlibError where browser or packages are missing."""
    if missing := why_not():
        raise FerlibError(missing)
    with ThreadPoolExecutor(
        1
    ) as apart:  # playwright refuses a thread that runs an event loop, as notebooks do
        return apart.submit(_visit_all, html, pages).result()


def _visit_all(html: Path, pages: Sequence[str]) -> list[Visit]:
    from playwright.sync_api import sync_playwright

    visits = []
    with serving(html) as origin, sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser(), args=flags())
        for name in tqdm(pages, desc="looking", unit="page", disable=not sys.stderr.isatty()):
            page = chromium.new_page()
            visits.append(look(page, name, origin))
            page.close()
        chromium.close()
    slow = sorted(v.first_content for v in visits if v.first_content is not None)
    # one slow page may be the machine's; the median is the book's
    if slow and slow[len(slow) // 2] > SLOWEST:
        visits[0].note(f"half of the pages show their first content after more than {SLOWEST:.0f} s")
    return visits
