"""The attention explorer in JupyterLab, opened in a real browser: a slider is moved, a cell of the face is covered.

Needs playwright and chromium (Debian's package, or what ``FERLIB_CHROMIUM`` names), and is skipped without them.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest

from ferlib import widgets_networks

WAIT = int(os.environ.get("FERLIB_BROWSER_SECONDS", "120"))  # for a kernel and its imports, on a busy machine
pytestmark = pytest.mark.xdist_group("browser")  # one browser for all
CELL = """\
from pathlib import Path
from ferlib import widgets
view = widgets.explore(demonstrations=Path("none"))
view.box"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab of its own on one notebook, which nothing outside this machine can reach."""
    if not widgets_networks.drawn():
        pytest.skip("no weights of networks on drawn faces here")
    folder, home = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("home")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "trial.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    own = {f"JUPYTER_{name}": str(home / name) for name in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")}
    options = {"ServerApp.ip": "127.0.0.1", "ServerApp.port": port, "IdentityProvider.token": token}
    options |= {"ServerApp.root_dir": folder, "ServerApp.open_browser": False, "ServerApp.allow_root": True}
    command = [sys.executable, "-m", "jupyterlab", *(f"--{key}={value}" for key, value in options.items())]
    with (home / "log").open("w") as log:
        server = subprocess.Popen(command, env={**os.environ, **own}, stdout=log, stderr=subprocess.STDOUT)
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


@pytest.mark.slow
def test_a_slider_and_the_brush_in_jupyterlab(chromium, lab):
    page = chromium.new_page(viewport={"width": 1500, "height": 1400})
    page.set_default_timeout(1000 * WAIT)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(lab)
    page.locator(".jp-Notebook .jp-Cell .cm-content").first.click()
    page.keyboard.press("Control+Enter")
    panel = page.locator(".fer-look:has(table)")
    panel.nth(1).wait_for()
    assert panel.count() == 2
    bars = panel.first.locator("table")
    slider = page.locator(".widget-slider:has-text('Intensity') .noUi-handle").first
    slider.focus()

    def after(action):
        before = bars.inner_html()
        action()
        page.wait_for_function(
            "before => document.querySelector('.fer-look table').innerHTML !== before", arg=before
        )
        return before

    happy = after(lambda: [page.keyboard.press("ArrowLeft") for _ in range(12)])
    assert "0.40" in page.locator(".widget-slider:has-text('Intensity')").first.inner_text()
    after(lambda: [page.keyboard.press("ArrowRight") for _ in range(12)])
    page.wait_for_function(
        "before => document.querySelector('.fer-look table').innerHTML === before", arg=happy
    )
    cell = page.locator(".fer-brush button").nth(8 * 6 + 3)  # on the mouth
    face = page.locator(".fer-stack img").first
    assert cell.bounding_box()["width"] == pytest.approx(face.bounding_box()["width"] / 8, abs=1)
    other = panel.nth(1).inner_html()
    after(cell.click)
    page.wait_for_function(
        "before => document.querySelectorAll('.fer-look:has(table)')[1].innerHTML !== before", arg=other
    )
    if shot := os.environ.get("FERLIB_SCREENSHOT"):
        page.screenshot(path=shot)
    assert errors == []
