"""Fixtures that every test shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ferlib.delivery import browser
from ferlib.gates import why_not


@pytest.fixture(scope="session", autouse=True)
def _cache_folder(tmp_path_factory: pytest.TempPathFactory):
    """Parsed datasets go to a folder of this session, unless FERLIB_CACHE says otherwise."""
    if os.environ.get("FERLIB_CACHE"):
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FERLIB_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk():
    """Files need not reach the disk: no test cuts the power, which alone would show it, and the disk is slow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _papers_folder():
    """FERLIB_PAPERS, where the tests look for the papers' texts: beside the checkout, unless it says otherwise."""
    beside = Path(__file__).parents[2] / "shared" / "papers"
    with pytest.MonkeyPatch.context() as patch:
        if not os.environ.get("FERLIB_PAPERS") and beside.is_dir():
            patch.setenv("FERLIB_PAPERS", str(beside))
        yield


@pytest.fixture(scope="session")
def papers(_papers_folder) -> Path:
    """The folder of the papers' texts; tests that need it are skipped where there is none."""
    folder = os.environ.get("FERLIB_PAPERS")
    if not folder:
        pytest.skip("FERLIB_PAPERS names no folder with the papers' texts")
    return Path(folder)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real datasets; tests that need it are skipped where FERLIB_DATA is not set."""
    folder = os.environ.get("FERLIB_DATA")
    if not folder:
        pytest.skip("FERLIB_DATA is not set")
    return Path(folder)


@pytest.fixture(scope="session")
def needs_browser() -> None:
    """Skip a test where no browser can be had; fail it where there must be one (FERLIB_NEED_BROWSER, as in .ci/run)."""
    if missing := why_not():
        (pytest.fail if os.environ.get("FERLIB_NEED_BROWSER") else pytest.skip)(missing)


@pytest.fixture(scope="session")
def chromium(needs_browser):
    """A real browser for every test that needs one: playwright can be started only once in a thread."""
    playwright = pytest.importorskip("playwright.sync_api")
    camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(
            executable_path=browser(), args=["--no-sandbox", "--disable-gpu", "--mute-audio", *camera]
        )
        yield found
        found.close()
