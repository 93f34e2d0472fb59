"""The notebook of the attention explorer in JupyterLab, opened in a real browser and used there.

Needs playwright and chromium (Debian's package, or what ``FERLIB_CHROMIUM`` names), and is skipped without them.
``FERLIB_RESPONSE_MS=300 pytest -s tests/test_widgets_lab.py`` holds the time from a key to both sides drawn anew to a
limit, which only an idle machine can keep; without it the time is told.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import secrets
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

from ferlib import widgets_networks

WAIT = int(os.environ.get("FERLIB_BROWSER_SECONDS", "120"))  # for a kernel and its imports, on a busy machine
pytestmark = pytest.mark.xdist_group("browser")  # one browser for all
LIMIT = float(os.environ.get("FERLIB_RESPONSE_MS", "inf"))
NOTEBOOK = Path(__file__).resolve().parents[1] / "notebooks" / "attention_explorer.ipynb"
# from each key to the second panel drawn after it
WATCH = """() => {
  window.ferTimes = [];
  let pressed = null, panels = 0;
  document.addEventListener('keydown', () => { pressed = performance.now(); panels = 0; }, true);
  const isPanel = node => node.nodeType === 1 && (node.matches('.fer-look') || node.querySelector('.fer-look'));
  new MutationObserver(records => {
    panels += records.filter(record => [...record.addedNodes].some(isPanel)).length;
    if (pressed !== null && panels >= 2) { ferTimes.push(performance.now() - pressed); pressed = null; }
  }).observe(document.querySelector('.jp-Notebook'), { subtree: true, childList: true });
}"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab of its own on the notebook, which nothing outside this machine can reach.

    Up to the explorer: the cells behind it draw its state for the page without a kernel. There are no records, runs or
    data where it lies.
    """
    if not widgets_networks.drawn():
        pytest.skip("no weights of networks on drawn faces here")
    folder, home = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("home")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    last = next(i for i, cell in enumerate(notebook.cells) if cell.source.strip() == "view.box")
    notebook.cells = notebook.cells[: last + 1]
    nbformat.write(notebook, folder / "trial.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    own = {f"JUPYTER_{name}": str(home / name) for name in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")}
    options = {"ServerApp.ip": "127.0.0.1", "ServerApp.port": port, "IdentityProvider.token": token}
    options |= {"ServerApp.root_dir": folder, "ServerApp.open_browser": False, "ServerApp.allow_root": True}
    command = [sys.executable, "-m", "jupyterlab", *(f"--{key}={value}" for key, value in options.items())]
    environment = {key: value for key, value in os.environ.items() if key != "FERLIB_DATA"} | own
    with (home / "log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        address = f"http://127.0.0.1:{port}"
        _until_up(server, f"{address}/api/status?token={token}", home / "log")
        yield f"{address}/lab/tree/trial.ipynb?token={token}&reset"
    finally:
        server.terminate()
        server.wait(30)


def _until_up(server, url, log):
    began = time.monotonic()
    while time.monotonic() - began < WAIT and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                json.load(answer)
                return
        except OSError:
            time.sleep(0.3)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


@pytest.fixture(scope="module")
def explorer(chromium, lab):
    """The notebook with all its cells run, and what its page complained of."""
    page = chromium.new_page(viewport={"width": 1500, "height": 1400})
    page.set_default_timeout(1000 * WAIT)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(lab)
    page.get_by_text("| Idle").first.wait_for()  # the kernel
    page.locator(".jp-Notebook .jp-Cell").first.click()
    for _ in nbformat.read(NOTEBOOK, as_version=4).cells[:5]:
        page.keyboard.press("Shift+Enter")
    page.locator(".fer-look:has(table)").nth(1).wait_for()
    yield page
    if shot := os.environ.get("FERLIB_SCREENSHOT"):
        page.screenshot(path=shot)
    assert errors == []
    page.close()


def bars(page, side=0):
    return page.locator(".fer-look:has(table)").nth(side).locator("table").inner_html()


def after(page, action, side=0):
    """The bars of one side before an action that changes them."""
    before = bars(page, side)
    action()
    page.wait_for_function(
        "([before, side]) => document.querySelectorAll('.fer-look table')[side].innerHTML !== before",
        arg=[before, side],
    )
    return before


def press(page, key, times=1):
    page.locator(".widget-slider:has-text('Intensity') .noUi-handle").first.focus()
    for _ in range(times):
        page.keyboard.press(key)


@pytest.mark.slow
def test_a_slider_in_jupyterlab(explorer):
    assert explorer.locator(".fer-look:has(table)").count() == 2
    happy = after(explorer, lambda: press(explorer, "ArrowLeft", 12))
    assert "0.40" in explorer.locator(".widget-slider:has-text('Intensity')").first.inner_text()
    after(explorer, lambda: press(explorer, "ArrowRight", 12))
    explorer.wait_for_function(
        "before => document.querySelector('.fer-look table').innerHTML === before", arg=happy
    )


@pytest.mark.slow
def test_the_brush_in_jupyterlab(explorer):
    cells = explorer.locator(".fer-brush button")
    mouth = cells.nth(8 * 6 + 3)
    explorer.wait_for_function(  # the picture may be on its way: the test before moved a slider
        """() => {
          const [face, cell] = [".fer-stack img", ".fer-brush button"].map(
            wanted => document.querySelector(wanted)?.getBoundingClientRect().width);
          return face > 0 && Math.abs(cell - face / 8) <= 1;
        }"""
    )
    whole = bars(explorer)
    after(explorer, mouth.click, side=1)  # one cell is too little for the other network
    if importlib.util.find_spec("anywidget") is None:
        pytest.skip("strokes need the package anywidget")

    def stroke(columns):
        for i, column in enumerate(columns):
            cells.nth(8 * 6 + column).hover()
            if i == 0:
                explorer.mouse.down()
        explorer.mouse.up()

    after(explorer, lambda: stroke((2, 3, 4, 5)))
    picture = explorer.locator(".fer-stack img").first
    covered = picture.get_attribute("src")
    after(explorer, lambda: stroke((5, 4, 3, 2)))  # begins on a covered cell: uncovers
    explorer.wait_for_function(
        "whole => document.querySelector('.fer-look table').innerHTML === whole", arg=whole
    )
    assert picture.get_attribute("src") != covered


@pytest.mark.slow
def test_a_picture_of_the_camera_in_jupyterlab(explorer):
    if importlib.util.find_spec("anywidget") is None:
        pytest.skip("a camera needs the package anywidget")
    explorer.get_by_role("tab", name="Your picture").click()
    explorer.get_by_label("no face found: square in the middle").check()  # the camera here shows no face
    explorer.get_by_role("button", name="Start the camera").click()
    explorer.wait_for_function("document.querySelector('.fer-camera video').videoWidth > 0")
    before = explorer.locator(".fer-stack img").first.get_attribute("src")
    after(explorer, lambda: explorer.get_by_role("button", name="Take the picture").click())
    assert explorer.locator(".fer-stack img").first.get_attribute("src") != before
    explorer.locator(".widget-html-content").get_by_text("No face was looked at").first.wait_for()
    explorer.get_by_role("button", name="Stop the camera").click()
    explorer.wait_for_function("document.querySelector('.fer-camera video').srcObject === null")
    explorer.get_by_role("tab", name="Drawn face").click()
    after(explorer, lambda: press(explorer, "ArrowLeft"))


@pytest.mark.slow
def test_from_a_key_to_both_sides(explorer, capsys):
    """Told, and held to a limit where one is set: only an idle machine can keep it."""
    explorer.evaluate(WATCH)
    for k in range(10):
        press(explorer, "ArrowLeft")
        explorer.wait_for_function("k => window.ferTimes.length > k", arg=k)
    times = explorer.evaluate("window.ferTimes")
    middle = statistics.median(times)
    with capsys.disabled():
        print(
            f"\nfrom a key to both sides: median {middle:.0f} ms, slowest {max(times):.0f} ms, {len(times)} keys"
        )
    assert len(times) == 10 and math.isfinite(middle) and middle <= LIMIT
