"""What only a browser can say of the built book: it opens every page as a reader would, and looks.

For each page: errors on the console, files that do not arrive, requests to another origin, time to the first content
(see `judged`), weight from top to bottom before the reader starts anything, and, with all that is folded open,
sideways scrolling on a phone and serious or critical findings of axe-core (accessibility): contrast, which takes most
of the time, in both themes and of one text of each kind (see `KINDS`); all the rest at the width of a desktop and of a
phone.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from tqdm import tqdm

from ferlib.delivery import browser, flags, serving
from ferlib.errors import FerlibError
from ferlib.silence import SilentError, heard

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request, Response

HEAVIEST = 3_000_000  # bytes before the reader starts anything
SLOWEST = 1.0  # seconds to the first content, from this machine
LOADS = 3  # of each page: their median counts, an odd number
BUSY = 0.15  # seconds to the first content of an empty page that say that this machine is busy: idle, it takes 0.1
TRIES = 4  # more loads of a page that misses the limit
EMPTY = "<!doctype html><html lang='en'><head><title>Empty</title></head><body><p>Nothing.</p></body></html>"
PATIENCE = 20.0  # seconds for a page that shows nothing, or goes on loading
QUIET = 0.4  # seconds without a request: all is there
HUNG = 480.0  # seconds, more than a page takes whose every try runs out of patience: the browser hangs
BROWSERS = 2  # that a page may hang before it counts as a fault of the page
HOPELESS = 5  # browsers that hang, on whatever pages
DESKTOP, PHONE = (1280, 900), (390, 844)
GRAVE = ("serious", "critical")
FIRST_CONTENT = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
SCROLL = """async () => {
  for (let y = 0; y < document.documentElement.scrollHeight; y += innerHeight) {
    scrollTo({ top: y, behavior: "instant" });
    await Promise.race([
      new Promise(done => requestAnimationFrame(() => setTimeout(done, 20))),
      new Promise(done => setTimeout(done, 500)), // a browser that paints nothing goes on, too
    ]);
  }
}"""
TOP = "() => scrollTo({ top: 0, behavior: 'instant' })"
SIDEWAYS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
STILL = (
    "*, *::before, *::after { transition: none !important; animation: none !important; }"  # colours at once
)
UNFOLD = """() => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
  const seen = new Set(); // of thousands of tokens the first of each kind stands for all, which have its colour
  for (const token of document.querySelectorAll(".highlight pre span")) {
    const kind = `${token.className} in ${token.closest(".cell_input, .cell_output")?.className}`;
    if (seen.has(kind)) token.replaceWith(...token.childNodes);
    seen.add(kind);
  }
}"""
MARK = ' data-text-kind=""'
KINDS = """() => { // marks the first text of each colour, size and weight on each stack of backgrounds
  const seen = new Set(), below = new Map();
  const grounds = element => {
    if (!element) return "";
    if (!below.has(element)) {
      const { backgroundColor, backgroundImage, opacity } = getComputedStyle(element);
      const own = backgroundImage === "none" && opacity === "1" && backgroundColor.endsWith(", 0)");
      const up = grounds(element.parentElement);
      below.set(element, own ? up : `${up}/${backgroundColor} ${backgroundImage} ${opacity}`);
    }
    return below.get(element);
  };
  for (const element of document.body.querySelectorAll("*")) {
    if (![...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())) continue;
    if (!element.checkVisibility()) continue;
    const { color, fontSize, fontWeight, position } = getComputedStyle(element);
    const kind = [color, fontSize, fontWeight, position, element.className, grounds(element)].join("; ");
    if (!seen.has(kind)) element.dataset.textKind = "";
    seen.add(kind);
  }
  return seen.size;
}"""
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
    patience: float = PATIENCE
    weight: int = 0
    first_content: float | None = None
    how: str = ""
    under_way: set[Request] = field(default_factory=set)

    def watch(self, page: Page) -> None:
        page.on("console", lambda m: self.note(f"console: {m.text}") if m.type == "error" else None)
        page.on("pageerror", lambda error: self.note(f"script: {error}"))
        page.on("request", self.asked)
        page.on("requestfinished", lambda r: self.under_way.discard(r))
        page.on("requestfailed", self.failed)
        page.on("response", self.answered)

    def note(self, text: str) -> None:
        line = f"{self.name}.html: {' '.join(text.split())[:300]}"
        if line not in self.problems:
            self.problems.append(line)

    def asked(self, request: Request) -> None:
        if request.url.startswith(("data:", "blob:")):
            return
        self.under_way.add(request)
        if not request.url.startswith(f"{self.origin}/"):
            self.note(f"asks for {request.url}, another origin")

    def failed(self, request: Request) -> None:
        self.under_way.discard(request)
        self.note(f"{request.url} does not arrive ({request.failure})")

    def answered(self, response: Response) -> None:
        if response.status >= 400:
            self.note(f"{response.url} answers {response.status}")
        self.weight += int(response.headers.get("content-length", 0))

    def settle(self, page: Page) -> None:
        """Wait until the page has asked for nothing for a while."""
        late, quiet = time.monotonic() + self.patience, time.monotonic() + QUIET
        while (now := time.monotonic()) < quiet:
            if now > late:
                loading = sorted(request.url for request in self.under_way) or ["one file after another"]
                self.note(f"still loads {loading[0]} after {self.patience:.0f} s")
                return
            page.wait_for_timeout(50)
            if self.under_way:
                quiet = time.monotonic() + QUIET

    def judge(self) -> None:
        """Note a weight or a time that is over its limit."""
        if self.weight > HEAVIEST:
            self.note(f"weighs {self.weight / 1e6:.1f} MB, more than {HEAVIEST / 1e6:.0f} MB")
        if self.first_content is None:
            self.note(f"reports no first content within {self.patience:.0f} s")
        elif self.first_content > SLOWEST:
            how = f" ({self.how})" if self.how else ""
            self.note(
                f"shows its first content after {self.first_content:.1f} s, more than {SLOWEST:.0f} s{how}"
            )


def accessibility(page: Page, rules: str) -> list[str]:
    """Serious and critical findings of axe-core on the page as it is, a line for each rule.

    ``rules`` are those on ``contrast`` alone, of one text of each kind, or those on ``structure``, all others.
    """
    from axe_playwright_python.sync_playwright import Axe

    options: dict[str, Any] = {
        "preload": False,
        "resultTypes": ["violations"],
    }  # preloads are looked for in wrong places
    context = None
    if rules == "contrast":
        options["runOnly"] = {"type": "rule", "values": ["color-contrast"]}
        context = {"include": [["[data-text-kind]"]]} if page.evaluate(KINDS) else None
    else:
        options["rules"] = {"color-contrast": {"enabled": False}}
    found: list[dict[str, Any]] = Axe().run(page, context=context, options=options).response["violations"]
    return [
        f"axe {v['id']} ({v['impact']}, {len(v['nodes'])} places): {v['help']}; first: {_first(v['nodes'][0])}"
        for v in found
        if v["impact"] in GRAVE
    ]


def _first(node: dict[str, Any]) -> str:
    """Where a finding is; marks of ours would tell nobody, and there the page's own words stand."""
    html: str = node["html"]
    return html.replace(MARK, "") if MARK in html else str(node["target"][0])


def opened(page: Page, url: str, patience: float) -> float | None:
    """Open a page; seconds to its first content, None where none came."""
    from playwright.sync_api import TimeoutError

    page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
    try:
        page.goto(url, wait_until="load", timeout=1000 * patience)
        page.wait_for_function(FIRST_CONTENT, timeout=1000 * patience)
    except TimeoutError:
        return None
    return float(page.evaluate(FIRST_CONTENT)) / 1000


def look(page: Page, name: str, origin: str, patience: float = PATIENCE) -> Visit:
    """Open one page and measure it; the page object may be used again."""
    visit = Visit(name, origin, patience=patience)
    visit.watch(page)
    visit.first_content = opened(page, f"{origin}/{name}.html", patience)
    page.wait_for_timeout(100)  # scripts that begin on load
    page.evaluate(SCROLL)  # images further down wait for the reader
    visit.settle(page)
    weight = visit.weight  # without what comes when the reader unfolds it
    page.evaluate(TOP)
    page.add_style_tag(content=STILL)
    page.evaluate(UNFOLD)  # axe leaves out what nobody sees
    for theme, rules in (("light", "structure"), ("light", "contrast"), ("dark", "contrast")):
        page.evaluate(THEME, theme)
        _find(page, visit, theme, rules)
    page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    _find(page, visit, f"{PHONE[0]} pixels", "structure")
    if (wider := page.evaluate(SIDEWAYS)) > 1:
        visit.note(f"scrolls sideways at {PHONE[0]} pixels, by {wider}")
    visit.weight = weight
    return visit


def _find(page: Page, visit: Visit, seen: str, rules: str) -> None:
    """Note what axe finds on the page as it is ``seen`` now."""
    page.wait_for_timeout(250)  # styles settle
    for finding in accessibility(page, rules):
        visit.note(f"{seen}: {finding}")


def judged(
    first: float | None,
    again: Callable[[], float | None],
    empty: Callable[[], float | None],
    tries: int = TRIES,
) -> tuple[float | None, str]:
    """The time to the first content that counts, None where none came, and a word on how it was found.

    It is the median of three loads, ``first`` among them. Where that misses the limit, it is the median of these and
    ``tries`` (an even number) more, with an empty page loaded before each of those. Only where that empty page once
    takes longer than `BUSY`, half as much again as on an idle machine, the best of all counts: others are at work here.
    """
    times = [first, *(again() for _ in range(LOADS - 1))]
    if _within(middle := _middle(times)):
        return middle, f"median of {_shown(times)}"
    beside = []
    for _ in range(tries):
        beside.append(empty())
        times.append(again())
    busy = any(t is None or t > BUSY for t in beside)
    counts = min((t for t in times if t is not None), default=None) if busy else _middle(times)
    what = "busy machine: best" if busy else "median"
    return counts, f"{what} of {_shown(times)}; an empty page takes {_shown(beside)}"


def _middle(times: Sequence[float | None]) -> float | None:
    """The median of an odd number of times; those that never came are the longest."""
    found = sorted(math.inf if t is None else t for t in times)[len(times) // 2]
    return None if found == math.inf else found


def _within(time: float | None) -> bool:
    return time is not None and time <= SLOWEST


def _shown(times: Sequence[float | None]) -> str:
    return ", ".join("–" if t is None else f"{t:.2f}" for t in times) + " s"


def looking(pages: int, shown: bool = True) -> tqdm[NoReturn]:
    """A progress bar over pages, on a terminal."""
    return tqdm(total=pages, desc="looking", unit="page", disable=not (shown and sys.stderr.isatty()))


def check(
    html: Path,
    pages: Sequence[str],
    *,
    patience: float = PATIENCE,
    tries: int = TRIES,
    hung: float = HUNG,
    say: Callable[[Visit], None] = lambda visit: None,
    bar: bool = True,
) -> list[Visit]:
    """Every page, opened in a browser; ``say`` hears of each as soon as it was seen.

    ``patience`` (seconds) and ``tries`` (see `judged`) are those of one page; a browser that answers nothing for
    ``hung`` seconds is ended, and a fresh one goes on with the page. Raises FerlibError where browser or packages are
    missing.
    """
    if missing := why_not():
        raise FerlibError(missing)
    visits: list[Visit] = []
    left, hangs = list(pages), Counter[str]()
    with looking(len(left), bar) as progress:

        def seen(visit: Visit) -> None:
            visits.append(visit)
            left.remove(visit.name)
            say(visit)
            progress.update(1)

        while left:
            try:
                for visit in heard(_visit_all, html, left, patience, tries, patience=hung):
                    if visit is not None:
                        seen(visit)
            except SilentError:
                name = left[0]
                hangs[name] += 1
                if hangs.total() == HOPELESS:
                    fault = f"{HOPELESS} browsers hang, the last on {name}.html"
                    raise FerlibError(f"{fault}; try another in FERLIB_CHROMIUM") from None
                if hangs[name] == BROWSERS:
                    fault = f"{name}.html: hangs {BROWSERS} browsers, for {hung:.0f} s each"
                    seen(Visit(name, "", [fault]))
    return visits


def check_at_once(
    html: Path, pages: Sequence[str], browsers: int = 2, say: Callable[[Visit], None] = lambda visit: None
) -> list[Visit]:
    """`check` with several browsers, each for its share of the pages; the visits in the order of the pages."""
    shares = [pages[i::browsers] for i in range(browsers)]
    with looking(len(pages)) as progress, ThreadPoolExecutor(browsers) as pool:

        def seen(visit: Visit) -> None:
            say(visit)
            progress.update(1)

        found = list(pool.map(lambda share: check(html, share, say=seen, bar=False), shares))
    by_name = {visit.name: visit for visits in found for visit in visits}
    return [by_name[name] for name in pages]


def _visit_all(
    send: Callable[[Visit | None], None], html: Path, pages: Sequence[str], patience: float, tries: int
) -> None:
    """Send None once the browser is there, then the visit of each page; runs in a process of its own."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "index.html").write_text(EMPTY, encoding="utf8")
        with serving(html) as origin, serving(Path(folder)) as empty, sync_playwright() as driver:
            chromium = driver.chromium.launch(executable_path=browser(), args=flags())
            # a reader's browser has shown something before
            _load(chromium, f"{empty}/index.html", patience)
            send(None)
            for name in pages:
                send(_visit(chromium, name, origin, empty, patience, tries))
            chromium.close()


def _visit(chromium: Browser, name: str, origin: str, empty: str, patience: float, tries: int) -> Visit:
    page = chromium.new_page()
    visit = look(page, name, origin, patience)
    page.close()

    again = partial(_load, chromium, f"{origin}/{name}.html", patience)
    nothing = partial(_load, chromium, f"{empty}/index.html", patience)
    visit.first_content, visit.how = judged(visit.first_content, again, nothing, tries)
    visit.judge()
    return replace(visit, under_way=set())  # without what the browser hangs on it: it leaves this process


def _load(chromium: Browser, url: str, patience: float) -> float | None:
    page = chromium.new_page()  # a profile of its own, so nothing is cached
    found = opened(page, url, patience)
    page.close()
    return found
