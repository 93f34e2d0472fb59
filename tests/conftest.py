"""Fixtures that every test shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ferlib.delivery import browser


@pytest.fixture(scope="session", autouse=True)
def _cache_folder(tmp_path_factory: pytest.TempPathFactory):
    """Parsed datasets go to a folder of this session, unless FERLIB_CACHE says otherwise."""
    if os.environ.get("FERLIB_CACHE"):
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FERLIB_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real datasets; tests that need it are skipped where FERLIB_DATA is not set."""
    folder = os.environ.get("FERLIB_DATA")
    if not folder:
        pytest.skip("FERLIB_DATA is not set")
    return Path(folder)


@pytest.fixture(scope="session")
def chromium():
    """A real browser for every test that needs one: playwright can be started only once in a process."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright")
    path = browser()
    if path is None:
        pytest.skip("no chromium; install Debian's package chromium, or set FERLIB_CHROMIUM")
    camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--mute-audio", *camera]
        )
        yield found
        found.close()
