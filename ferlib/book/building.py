"""Notebooks and prose to pages: staged, built strictly by Jupyter Book, checked, and only then published."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import nbformat

from ferlib import captions
from ferlib.book import repository
from ferlib.book.contents import page_source, toc_pages
from ferlib.book.links import check
from ferlib.book.notebooks import check_parameters, read_notebook, short
from ferlib.book.runs import default_jobs, digest, run_notebooks, tree
from ferlib.errors import FerlibError
from ferlib.pages import finish


def _publishable(notebook: Path) -> nbformat.NotebookNode:
    """The executed notebook without times and folders: papermill's metadata and its injected cell."""
    nb = read_notebook(notebook)
    for name in ("papermill", "widgets"):  # a page without a kernel has no use for the state of widgets
        nb.metadata.pop(name, None)
    nb.cells = [cell for cell in nb.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    for cell in nb.cells:
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
    captions.into_captions(nb.cells)
    return nb


def stage(root: Path, work: Path, pages: Iterable[str]) -> Path:
    """Collect the book's source in `_build/src`: configuration, prose with its assets, executed notebooks."""
    src = work / "src"
    shutil.rmtree(src, ignore_errors=True)
    src.mkdir(parents=True)
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy2(root / name, src / name)
    if (root / "book").is_dir():
        shutil.copytree(root / "book", src / "book")
    if (work / "explorer").is_dir():
        shutil.copytree(work / "explorer", src / "book" / "_static" / "explorer" / "data", dirs_exist_ok=True)
    for page in pages:
        origin = page_source(root, page)
        target = src / origin.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        if origin.suffix == ".ipynb":
            nbformat.write(_publishable(work / "executed" / (page + ".ipynb")), target)
        elif not target.exists():
            shutil.copy2(origin, target)
    repository.enter(src, repository.address())
    return src


# MathJax's package carries every bundle; pages load startup.js and by it what lies in its folders.
_UNUSED_MATHJAX = ("mml-*.js", "tex-*.js", "node-main.js")


def sphinx(src: Path, work: Path) -> Path:
    """Run Jupyter Book strictly on the staged source, from scratch, into a folder of its own."""
    out = work / "pages"
    shutil.rmtree(out, ignore_errors=True)
    arguments = ["build", str(src), "--path-output", str(out), "--all", "-W", "-n", "--keep-going"]
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", *arguments]
    log = work / "sphinx.log"
    result = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    log.write_text(result.stdout, encoding="utf8")
    html = out / "_build" / "html"
    if result.returncode != 0 or not html.is_dir():
        plain = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout)
        complaints = [line for line in plain.splitlines() if re.search(r"WARNING|ERROR|[Ee]rror:", line)]
        for line in complaints[:40] or plain.splitlines()[-15:]:
            print(line.replace(str(src) + os.sep, ""), file=sys.stderr)
        raise FerlibError(f"the pages did not build without warnings; the whole log is {short(log)}")
    for pattern in _UNUSED_MATHJAX:
        for path in (html / "_static" / "mathjax").glob(pattern):
            path.unlink()
    finish(html)
    return html


def build(
    root: Path = Path("."),
    *,
    data_root: str | None = None,
    profile: str = "quick",
    device: str = "auto",
    seed: int = 0,
    force: bool = False,
    timeout: int | None = None,
    jobs: int | None = None,
) -> Path:
    """Build the book and return the path of its first page. ``jobs`` notebooks run at once (see `default_jobs`)."""
    if jobs is not None and jobs < 1:
        raise FerlibError(f"--jobs must be at least 1, not {jobs}")
    root = Path(root).absolute()
    if data_root is not None:
        if not Path(data_root).expanduser().is_dir():
            raise FerlibError(f"data folder {data_root} does not exist; correct FERLIB_DATA or --data-root")
        data_root = str(Path(data_root).expanduser().absolute())
    repository.address()  # refused before anything runs
    work, toc = root / "_build", root / "_toc.yml"
    pages = toc_pages(toc)
    notebooks = [page for page in pages if page_source(root, page).suffix == ".ipynb"]
    parameters = {"profile": profile, "data_root": data_root, "device": device, "seed": seed}
    for page in notebooks:  # all of them before the first one runs
        check_parameters(Path(os.path.relpath(page_source(root, page))), parameters)

    times = run_notebooks(root, work, notebooks, parameters, force, timeout, jobs or default_jobs(profile))
    if {"book/explorer", "book/your_face"} & set(pages):
        from ferlib import explorer

        with _timed(times, "the explorer's files") as note:
            note["said"] = explorer.build(work / "explorer", root / "results")
    with _timed(times, "build the pages") as note:
        src = stage(root, work, pages)
        note["said"] = "rebuilt" if _publish(src, work, toc, force) else "unchanged, kept"
    width = max(len(name) for name, *_ in times)
    print("\nstep".ljust(width + 1), "    time")
    for name, seconds, said in times:
        print(name.ljust(width), f"{seconds:6.1f} s  {said}")
    index = work / "html" / "index.html"
    print(f"\nThe book is at {short(index)}\n  {index.as_uri()}")
    return index


def _publish(src: Path, work: Path, toc: Path, force: bool) -> bool:
    """Build and check the pages beside the old ones, then put them in place. False if nothing had changed."""
    html, stamp = work / "html", work / "html.inputs"
    code = tree(Path(__file__).parents[1], "*.py")
    items: list[str | bytes | Path] = [sys.version, *code, toc.parent / "pyproject.toml"]
    for path in tree(src):
        items += [os.path.relpath(path, src), path]
    inputs = digest(items)
    if not force and (html / "index.html").exists() and stamp.exists() and stamp.read_text() == inputs:
        return False
    fresh = sphinx(src, work)
    if url := repository.address():
        repository.link_records(fresh, toc.parent / "results", url)
    if problems := check(fresh, toc, names=False):
        for problem in problems:
            print(problem, file=sys.stderr)
        raise FerlibError(
            f"{len(problems)} problem(s) in the built pages, listed above; {short(html)} is unchanged"
        )
    stamp.unlink(missing_ok=True)
    shutil.rmtree(html, ignore_errors=True)
    fresh.replace(html)
    shutil.rmtree(work / "pages", ignore_errors=True)
    stamp.write_text(inputs)
    return True


@contextlib.contextmanager
def _timed(times: list[tuple[str, float, str]], name: str) -> Iterator[dict[str, str]]:
    print(f"{name} …", flush=True)
    note = {"said": ""}
    start = time.perf_counter()
    yield note
    times.append((name, time.perf_counter() - start, note["said"]))
