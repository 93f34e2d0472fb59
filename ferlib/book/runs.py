"""The notebooks of the book: those whose inputs changed run, several at once."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from ferlib.book.notebooks import execute


def digest(items: Iterable[str | bytes | Path]) -> str:
    total = hashlib.sha256()
    for item in items:
        data = (
            item.read_bytes() if isinstance(item, Path) else item.encode() if isinstance(item, str) else item
        )
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()


def tree(folder: Path, pattern: str = "*") -> list[Path]:
    return sorted(p for p in folder.rglob(pattern) if p.is_file() and "__pycache__" not in p.parts)


def notebook_inputs(root: Path, notebook: Path, parameters: Mapping[str, Any]) -> str:
    """One hash over all that a notebook's outputs depend on: code, records, parameters, pins, data."""
    code = [p for p in tree(root / "ferlib") if p.parent.name != "book"]
    files = [notebook, root / "pyproject.toml", *code, *tree(root / "results")]
    items: list[str | bytes | Path] = [json.dumps(dict(parameters), sort_keys=True), sys.version]
    for path in files:
        if path.is_file():
            items += [os.path.relpath(path, root), path]
    if data_root := parameters.get("data_root"):
        for path in tree(Path(data_root)):
            stat = path.stat()
            items.append(f"{path} {stat.st_size} {stat.st_mtime_ns}")
    return digest(items)


def run_notebook(
    root: Path, work: Path, page: str, parameters: Mapping[str, Any], force: bool, timeout: int | None
) -> bool:
    """Execute a notebook unless its last good run had the same inputs. True if it ran."""
    notebook = Path(os.path.relpath(root / (page + ".ipynb")))
    out = work / "executed" / (page + ".ipynb")
    stamp = out.with_suffix(".inputs")
    inputs = notebook_inputs(root, notebook, parameters)
    if not force and out.exists() and stamp.exists() and stamp.read_text() == inputs:
        return False
    stamp.unlink(missing_ok=True)
    execute(notebook, out, parameters, timeout, cwd=root)
    stamp.write_text(inputs)
    return True


def default_jobs(profile: str) -> int:
    """Two demonstrations at once where there are two cores; whole trainings one after the other."""
    return 2 if profile == "quick" and (os.cpu_count() or 1) > 1 else 1


def run_notebooks(
    root: Path,
    work: Path,
    pages: Sequence[str],
    parameters: Mapping[str, Any],
    force: bool,
    timeout: int | None,
    jobs: int,
) -> list[tuple[str, float, str]]:
    """Execute the notebooks, ``jobs`` at once, each in a process of its own; a line and a time for each.

    The first that fails ends it: those that run are waited for and keep their results, no other begins.
    """
    times: dict[str, tuple[str, float, str]] = {}

    def tell(page: str, ran: bool, seconds: float) -> None:
        said = f"profile {parameters['profile']}" if ran else "unchanged, kept"
        print(f"run {page}.ipynb: {'done' if ran else 'kept'} after {seconds:.0f} s", flush=True)
        times[page] = (f"run {page}.ipynb", seconds, said)

    arguments = (parameters, force, timeout)
    if min(jobs, len(pages)) <= 1:
        for page in pages:
            tell(page, *_timed_run(root, work, page, *arguments))
    else:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, context, _share_cores, (jobs,)) as pool:
            began = {
                pool.submit(_timed_run, root, work, page, *arguments): page
                for page in longest_first(root, pages)
            }
            try:
                for done in as_completed(began):
                    tell(began[done], *done.result())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return [times[page] for page in pages]


def longest_first(root: Path, pages: Iterable[str]) -> list[str]:
    """Notebooks that train before those that read records: a long one that begins last is waited for alone."""
    return sorted(pages, key=lambda page: "own_runs.run(" not in (root / f"{page}.ipynb").read_text("utf8"))


def _share_cores(jobs: int) -> None:
    """In a process that runs notebooks beside others: its share of the cores, as threads of its kernels."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // jobs)))


def _timed_run(
    root: Path, work: Path, page: str, parameters: Mapping[str, Any], force: bool, timeout: int | None
) -> tuple[bool, float]:
    start = time.perf_counter()
    ran = run_notebook(root, work, page, parameters, force, timeout)
    return ran, time.perf_counter() - start
