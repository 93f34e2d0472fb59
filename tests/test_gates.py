"""The book in a browser: bad pages are told, a good one is not, and nothing passes unseen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ferlib import book, delivery, gates
from ferlib.errors import FerlibError
from ferlib.silence import SilentError

pytestmark = pytest.mark.xdist_group("browser")  # one browser for all
ROOT = Path(__file__).resolve().parents[1]
PAGE = (
    "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>A page</title>"
    "<meta name='viewport' content='width=device-width'><link rel='icon' href='data:,'>{head}</head>"
    "<body><main><h1>A page</h1><p>It says little.</p>{body}</main></body></html>"
)
BELOW = "<p style='height: 9000px'>A long way down.</p>"
DIM = "{ color: #555; background: #444 }"
ELSEWHERE = "http://localhost:9"  # this machine, but no origin of the book
BAD = {
    "no_label": ({"body": "<input name='age'>"}, "axe label ("),
    "dark": (
        {"head": f"<style>html[data-theme='dark'] b {DIM}</style>", "body": "<b>Dim</b>"},
        "dark: axe color-contrast (",
    ),
    "folded": (
        {
            "head": f"<style>html[data-theme='light'] i {DIM}</style>",
            "body": "<details><summary>More</summary><p><i>Dim</i></p></details>",
        },
        "ratio thresholds; first: <i>Dim</i>",
    ),
    "token": (  # the first of each kind stands for all
        {
            "head": f"<style>html[data-theme='light'] .k {DIM}</style>",
            "body": "<details><summary>Code</summary><div class='highlight'><pre><span class='n'>a</span> "
            "<span class='k'>in</span> <span class='k'>in</span></pre></div></details>",
        },
        'ratio thresholds; first: <span class="k">in</span>',
    ),
    "narrow": (
        {
            "head": "<style>@media (min-width: 400px) { button { display: none } }</style>",
            "body": "<button></button>",
        },
        "390 pixels: axe button-name (",
    ),
    "elsewhere": (
        {"body": f"<img src='{ELSEWHERE}/a.png' alt='a'>"},
        f"asks for {ELSEWHERE}/a.png, another origin",
    ),
    "missing": ({"body": "<img src='gone.png' alt='a'>"}, "gone.png answers 404"),
    "script": ({"head": "<script>nothing.here()</script>"}, "nothing is not defined"),
    "heavy": (
        {"body": f"{BELOW}<img src='heavy.png' alt='a' loading='lazy' width='10' height='10'>{BELOW}"},
        "weighs 4.0 MB, more than 3 MB",
    ),
    "wide": ({"body": "<p style='width: 2000px'>wide</p>"}, "scrolls sideways at 390 pixels"),
    "late": ({"head": "<script src='slow.js'></script>"}, "shows its first content after"),
}
GROUND = {  # the same text twice, the second time on a ground too like it
    "head": "<style>b { color: #555 } html[data-theme='dark'] div { background: #444 }</style>",
    "body": "<b>Clear</b><div><b>Dim</b></div>",
}
SLOW = "const end = performance.now() + 1500; while (performance.now() < end);"


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    """A folder of bad pages, each with one fault, and a good one."""
    folder = tmp_path_factory.mktemp("site")
    for name, (parts, _) in {**BAD, "index": ({"body": BELOW}, ""), "ground": (GROUND, "")}.items():
        (folder / f"{name}.html").write_text(
            PAGE.format(**{"head": "", "body": "", **parts}), encoding="utf8"
        )
    (folder / "heavy.png").write_bytes(bytes(4_000_000))
    (folder / "slow.js").write_text(SLOW)
    forever = "<script>addEventListener('load', () => setTimeout(() => { for (;;); }, 0))</script>"
    (folder / "hangs.html").write_text(PAGE.format(head=forever, body=""), encoding="utf8")
    blank = PAGE.format(head="", body="").replace("<main>", "<main hidden>")
    (folder / "blank.html").write_text(blank, encoding="utf8")
    return folder


@pytest.fixture(scope="module")
def visits(html, needs_browser):
    names = ["index", "ground", *(name for name in BAD if name != "late")]
    found = gates.check(html, names) + gates.check(html, ["late"], tries=2)  # every further try is late, too
    return {visit.name: visit for visit in found}


def test_a_good_page_passes(visits):
    assert visits["index"].problems == []
    assert 0 < visits["index"].first_content <= gates.SLOWEST
    assert visits["index"].weight < 10_000


@pytest.mark.parametrize("name", BAD)
def test_a_fault_is_told_once_for_each_way_it_shows(visits, name):
    found = visits[name].problems
    assert any(BAD[name][1] in line for line in found), found
    others = {says for other, (_, says) in BAD.items() if other != name}
    assert not [line for line in found if any(says in line for says in others)], found


def test_a_text_is_looked_at_once_on_each_ground(visits):
    (found,) = visits["ground"].problems
    assert "dark: axe color-contrast (serious, 1 places)" in found and found.endswith("first: <b>Dim</b>")


def test_a_page_that_shows_nothing_is_told(html, needs_browser):
    (visit,) = gates.check(html, ["blank"], patience=1.0, tries=2)
    assert "blank.html: reports no first content within 1 s" in visit.problems


def test_a_page_that_hangs_the_browser_is_told_and_the_next_one_looked_at(html, needs_browser):
    heard = []
    hangs, good = gates.check(html, ["hangs", "index"], hung=10.0, say=lambda visit: heard.append(visit.name))
    assert hangs.problems == ["hangs.html: hangs 2 browsers, for 10 s each"]
    assert good.problems == [] and heard == ["hangs", "index"]


def test_two_browsers_share_the_pages_and_keep_their_order(monkeypatch):
    def visit_all(_work, _html, left, *_args, patience):
        share = list(left)
        yield from (gates.Visit(name, "", [f"by the browser of {share[0]}"]) for name in share)

    monkeypatch.setattr(gates, "why_not", lambda: None)
    monkeypatch.setattr(gates, "heard", visit_all)
    heard = []
    visits = gates.check_at_once(Path(), list("abcde"), say=lambda visit: heard.append(visit.name))
    assert [visit.name for visit in visits] == list("abcde") and sorted(heard) == list("abcde")
    assert [visit.problems[0][-1] for visit in visits] == list("ababa")


def test_browsers_that_hang_on_every_page_end_the_check(html, monkeypatch):
    def silent(*_args, patience):
        raise SilentError(f"heard nothing for {patience:.0f} s")
        yield

    monkeypatch.setattr(gates, "why_not", lambda: None)
    monkeypatch.setattr(gates, "heard", silent)
    with pytest.raises(FerlibError, match=r"^5 browsers hang, the last on c\.html; try another"):
        gates.check(html, list("abcd"))


# One slow moment of the machine


@pytest.mark.parametrize(
    ("times", "empty", "counts", "how"),
    [
        ([0.3, 0.5, 0.4], [], 0.4, "median of 0.30, 0.50, 0.40 s"),
        ([1.4, 0.5, 0.4], [], 0.5, "median of 1.40, 0.50, 0.40 s"),  # one slow moment
        ([None, 0.5, 0.4], [], 0.5, "median of –, 0.50, 0.40 s"),
        (
            [1.4, 1.2, 0.4, 0.5, 1.3],
            [0.1, 0.15],
            1.2,
            "median of 1.40, 1.20, 0.40, 0.50, 1.30 s; an empty page takes 0",
        ),
        (
            [1.4, 1.2, 0.4, 0.5, 0.6],
            [0.1, 0.15],
            0.6,
            "median of 1.40, 1.20, 0.40, 0.50, 0.60 s; an empty page takes 0",
        ),
        (
            [None, None, 0.4, 0.5, None],
            [0.1, 0.1],
            None,
            "median of –, –, 0.40, 0.50, – s; an empty page takes 0",
        ),
        (
            [1.4, 1.2, 1.3, None, 0.9],
            [0.1, 0.4],
            0.9,
            "busy machine: best of 1.40, 1.20, 1.30, –, 0.90 s; an empty",
        ),
        (
            [1.4, 1.2, 1.3, 1.5, 1.1],
            [0.3, 0.1],
            1.1,
            "busy machine: best of 1.40, 1.20, 1.30, 1.50, 1.10 s; an empty",
        ),
        (
            [None] * 5,
            [None, 0.1],
            None,
            "busy machine: best of –, –, –, –, – s; an empty page takes –, 0.10 s",
        ),
    ],
)
def test_the_median_counts_and_the_best_on_a_busy_machine_alone(times, empty, counts, how):
    loads, beside = iter(times[1:]), iter(empty)
    found, said = gates.judged(times[0], lambda: next(loads), lambda: next(beside), 2)
    assert found == counts and said.startswith(how)
    assert [*loads, *beside] == []
    assert (gates.LOADS + gates.TRIES) % 2 == gates.LOADS % 2 == 1  # there is one in the middle


def test_every_page_is_judged_by_its_own_time():
    slow, none, good = (
        gates.Visit(n, "", first_content=t, how="median of three")
        for n, t in (("a", 1.1), ("b", None), ("c", 0.9))
    )
    for visit in (slow, none, good):
        visit.judge()
    assert slow.problems == ["a.html: shows its first content after 1.1 s, more than 1 s (median of three)"]
    assert none.problems == ["b.html: reports no first content within 20 s"]
    assert good.problems == []


def test_the_pages_that_no_contents_name_are_looked_at_too(tmp_path, monkeypatch, capsys):
    looked = []

    def looked_at(html, names, say):
        looked.extend(names)
        return [gates.Visit(name, "", problems=[f"{name}.html: bad"]) for name in names[-1:]]

    monkeypatch.setattr(gates, "why_not", lambda: None)
    monkeypatch.setattr(gates, "check_at_once", looked_at)
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: one\n")
    for name in ("index", "one", "search", "genindex"):
        (tmp_path / f"{name}.html").write_text("<body><p>words</p></body>")
    assert book.main(["check", "--browser", str(tmp_path), "--toc", str(tmp_path / "_toc.yml")]) == 1
    assert looked == ["one", "search", "genindex"]  # index.html leads on at once
    assert "genindex.html: bad" in capsys.readouterr().err


# Without a browser


def test_a_check_that_was_asked_for_and_could_not_be_made_fails(html, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gates, "browser", lambda: None)
    toc = tmp_path / "_toc.yml"
    toc.write_text("format: jb-book\nroot: index\n")
    shutil.copy(html / "index.html", tmp_path)
    assert book.main(["check", str(tmp_path), "--toc", str(toc)]) == 0
    capsys.readouterr()
    assert book.main(["check", "--browser", str(tmp_path), "--toc", str(toc)]) == 1
    assert "no page was looked at in a browser: install Chromium" in capsys.readouterr().err


@pytest.mark.parametrize("there", [True, False])
def test_the_run_before_a_change_needs_a_browser(tmp_path, there):
    """`.ci/run` on a machine without apt-get, its make stubbed: it stops before the tests where no browser is."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "sh", "dirname", "env"):
        (programs / name).symlink_to(shutil.which(name))
    scripts = {
        programs / "make": "",
        programs / "id": "echo 1000",
        # the real one for the question, none for what needs a book
        tmp_path
        / ".venv"
        / "bin"
        / "python": f'if [ "$1" = -c ]; then exec {sys.executable} "$@"; fi; echo "looked: $*"',
    }
    if there:
        scripts[programs / "chromium"] = ""
    for path, lines in scripts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{lines}\n")
        path.chmod(0o755)
    environment = {k: v for k, v in os.environ.items() if k != "FERLIB_CHROMIUM"} | {"PATH": str(programs)}
    run = [str(programs / "bash"), str(tmp_path / ".ci" / "run")]
    result = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=120)
    if there:
        assert result.returncode == 0, result.stderr
        assert "looked: -m ferlib.book check --browser _build/html --toc _toc.yml" in result.stdout
    else:
        assert result.returncode == 1 and "install Chromium" in result.stderr
        assert "make test" not in result.stdout


def test_published_pages_are_looked_at_before():
    workflow = (ROOT / ".github" / "workflows" / "pages.yml").read_text()
    assert "ferlib.book check --browser" in workflow
    name = workflow.partition("FERLIB_CHROMIUM: ")[2].split()[0]
    assert name in delivery.BROWSERS
