"""Build the book: run the notebooks, make the pages strictly, check what came out.

`python -m ferlib.book build` does three things, each only where something changed:

1. every notebook of `_toc.yml` runs through papermill, from the repository root, with checked parameters;
2. the prose pages and the executed notebooks are copied to `_build/src`, and Jupyter Book builds them with
   warnings as errors;
3. the pages are checked (missing pages, dead links and anchors, anything loaded from another origin), and
   only then do they replace `_build/html`.

A notebook that fails or pages that do not pass never replace good ones.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import hashlib
import json
import logging
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import nbformat
import yaml
from bs4 import BeautifulSoup

from ferlib.captions import into_captions
from ferlib.delivery import NAME, pack, pdf, serve, why_no_pdf
from ferlib.errors import FerlibError
from ferlib.pages import finish

PARAMETER_NAMES = ("profile", "data_root", "device", "seed", "retrain", "results_dir")
CELL_TIMEOUT = 3600  # seconds: far more than a quick profile needs, so that a hanging cell ends some time

# ---------------------------------------------------------------------------------------------------------
# Notebooks
# ---------------------------------------------------------------------------------------------------------

UNKNOWN = object()  # the default of a parameter that is not a literal: its type is not checked


def notebook_parameters(notebook: Path) -> dict[str, Any]:
    """Names and defaults from the cell tagged `parameters`.

    papermill can infer them too, but drops a line whose comment contains an equals sign.
    """
    nb = _read_notebook(notebook)
    cells = [c for c in nb.cells if "parameters" in c.get("metadata", {}).get("tags", [])]
    if len(cells) != 1:
        raise FerlibError(f"{notebook}: expected one cell tagged 'parameters', found {len(cells)}")
    try:
        body = ast.parse(cells[0].source).body
    except SyntaxError as error:
        raise FerlibError(f"{notebook}: the parameters cell is not valid Python: {error}") from None
    found: dict[str, Any] = {}
    for node in body:
        target = (
            node.targets[0]
            if isinstance(node, ast.Assign)
            else node.target
            if isinstance(node, ast.AnnAssign)
            else None
        )
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and value is not None:
            try:
                found[target.id] = ast.literal_eval(value)
            except ValueError:
                found[target.id] = UNKNOWN
    return found


def check_parameters(notebook: Path, parameters: Mapping[str, Any]) -> None:
    """Refuse names that the notebook does not have and values of the wrong type (papermill only warns)."""
    defaults = notebook_parameters(notebook)
    for name, value in parameters.items():
        _known(notebook, name, defaults)
        default = defaults[name]
        if not _fits(value, default):
            wanted = f"{_type_name(default)} (default {default!r})"
            raise FerlibError(f"{notebook}: parameter '{name}' takes {wanted}, got {value!r}")


def parse_parameter(notebook: Path, name: str, text: str) -> Any:
    """A command-line value in the type of the default: `seed 3` is a number, `profile 3` is text."""
    defaults = notebook_parameters(notebook)
    _known(notebook, name, defaults)
    default = defaults[name]
    if isinstance(default, str):
        return text
    if default is None:
        return None if text in ("", "None") else text
    if isinstance(default, bool) and text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text
    check_parameters(notebook, {name: value})
    return value


def _known(notebook: Path, name: str, defaults: Mapping[str, Any]) -> None:
    if name not in defaults:
        close = difflib.get_close_matches(name, defaults, n=2, cutoff=0.5)
        hint = f"did you mean {' or '.join(close)}?" if close else f"it has {', '.join(defaults)}"
        raise FerlibError(f"{notebook}: no parameter '{name}'; {hint}")


def _fits(value: Any, default: Any) -> bool:
    if default is UNKNOWN or (value is None and default is None):
        return True
    if default is None:
        return isinstance(value, str)
    if isinstance(default, float) and not isinstance(value, bool):
        return isinstance(value, int | float)
    return type(value) is type(default)  # exact: True is not a seed


def _type_name(default: Any) -> str:
    if default is None:
        return "text or None"
    names = {bool: "True or False", int: "a whole number", float: "a number", str: "text"}
    return names.get(type(default), f"a {type(default).__name__}")


def _read_notebook(path: Path) -> nbformat.NotebookNode:
    try:
        return nbformat.read(path, as_version=4)
    except FileNotFoundError:
        raise FerlibError(f"{path}: no such notebook") from None
    except Exception as error:  # nbformat raises several kinds for a damaged file
        raise FerlibError(f"{path}: not a readable notebook ({_one_line(error)})") from None


def _one_line(text: object, limit: int = 300) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


@contextlib.contextmanager
def _environment(**changes: str | None) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}

    def put(values: Mapping[str, str | None]) -> None:
        for name, value in values.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    put(changes)
    try:
        yield
    finally:
        put(before)


@contextlib.contextmanager
def _own_kernel() -> Iterator[None]:
    """Make the kernel `python3` mean this interpreter, whatever the user has installed or configured."""
    with tempfile.TemporaryDirectory(prefix="ferlib-kernel-") as folder:
        spec = Path(folder, "kernels", "python3", "kernel.json")
        spec.parent.mkdir(parents=True)
        argv = [sys.executable, "-m", "ipykernel_launcher", "--log-level=CRITICAL", "-f", "{connection_file}"]
        spec.write_text(json.dumps({"argv": argv, "display_name": "Python 3", "language": "python"}))
        search = os.pathsep.join(filter(None, [folder, os.environ.get("JUPYTER_PATH")]))
        with _environment(
            JUPYTER_PATH=search,
            JUPYTER_RUNTIME_DIR=str(Path(folder, "runtime")),
            IPYTHONDIR=str(Path(folder, "ipython")),
            MPLBACKEND=None,  # figures must reach the notebook, not a window
            PYDEVD_DISABLE_FILE_VALIDATION="1",
            # threads that wait for each other soon sleep: on a busy machine several times as fast as spinning
            GOMP_SPINCOUNT=os.environ.get("GOMP_SPINCOUNT", "20000"),
        ):
            yield


def execute(
    notebook: Path,
    out: Path,
    parameters: Mapping[str, Any] | None = None,
    timeout: int = CELL_TIMEOUT,
    cwd: Path | None = None,
) -> Path:
    """Run one notebook through papermill; `out` appears only if every cell succeeded.

    A failed run is kept beside `out` as `<name>.failed.ipynb`, with the error in its place.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    notebook, out, cwd = Path(notebook), Path(out).absolute(), Path(cwd or Path.cwd()).absolute()
    check_parameters(notebook, parameters or {})
    out.parent.mkdir(parents=True, exist_ok=True)
    logging.getLogger("papermill").setLevel(logging.ERROR)  # its warnings about parameters: checked above
    failed = out.with_name(out.stem + ".failed.ipynb")
    partial = out.with_name(f".{out.stem}.partial.ipynb")
    try:
        with _own_kernel():
            papermill.execute_notebook(
                str(notebook.absolute()),
                str(partial),
                parameters=dict(parameters or {}),
                kernel_name="python3",
                language="python",
                progress_bar=sys.stderr.isatty(),
                start_timeout=180,  # a busy machine is slow to start a kernel
                execution_timeout=timeout,
                cwd=str(cwd),
            )
        partial.replace(out)
    except Exception as error:
        kept = ""
        if partial.exists():
            partial.replace(failed)
            kept = f" (see {_short(failed)})"
        if isinstance(error, PapermillExecutionError):
            cell, reason = f"cell [{error.exec_count}]", f"{error.ename}: {error.evalue}"
        elif isinstance(error, TimeoutError):
            cell, reason = "a cell", f"ran longer than {timeout} s"
        else:
            cell, reason = "the run", f"{type(error).__name__}: {error}"
        raise FerlibError(f"{notebook}: {cell} failed: {_one_line(reason)}{kept}") from None
    finally:
        partial.unlink(missing_ok=True)
    failed.unlink(missing_ok=True)
    return out


def _short(path: Path) -> str:
    """Relative to the working directory where that is shorter."""
    with contextlib.suppress(ValueError):
        return str(Path(path).absolute().relative_to(Path.cwd()))
    return str(path)


# ---------------------------------------------------------------------------------------------------------
# The build
# ---------------------------------------------------------------------------------------------------------


def toc_pages(toc: Path) -> list[str]:
    """Every page that `_toc.yml` names, in reading order, without file extension."""
    try:
        tree = yaml.safe_load(toc.read_text(encoding="utf8"))
    except FileNotFoundError:
        raise FerlibError(f"{toc}: no table of contents; run this from the repository root") from None
    except yaml.YAMLError as error:
        raise FerlibError(f"{toc}: not valid YAML: {_one_line(error)}") from None
    if not isinstance(tree, dict) or "root" not in tree:
        raise FerlibError(f"{toc}: no 'root' page")

    def walk(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if "file" in node:
                yield str(node["file"])
            for value in node.values():
                yield from walk(value)
        elif isinstance(node, list):
            for item in node:
                yield from walk(item)

    pages = [str(tree["root"]), *walk(tree)]
    return [re.sub(r"\.(md|ipynb)$", "", page) for page in pages]


def page_source(root: Path, page: str) -> Path:
    for suffix in (".md", ".ipynb"):
        if (root / (page + suffix)).is_file():
            return root / (page + suffix)
    raise FerlibError(f"_toc.yml names {page}, but neither {page}.md nor {page}.ipynb exists")


def _digest(items: Iterable[str | bytes | Path]) -> str:
    total = hashlib.sha256()
    for item in items:
        data = (
            item.read_bytes() if isinstance(item, Path) else item.encode() if isinstance(item, str) else item
        )
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()


def _tree(folder: Path, pattern: str = "*") -> list[Path]:
    return sorted(p for p in folder.rglob(pattern) if p.is_file() and "__pycache__" not in p.parts)


def notebook_inputs(root: Path, notebook: Path, parameters: Mapping[str, Any]) -> str:
    """One hash over all that a notebook's outputs depend on: code, records, parameters, pins, data."""
    code = [p for p in _tree(root / "ferlib") if p.name != "book.py"]
    files = [notebook, root / "pyproject.toml", *code, *_tree(root / "results")]
    items: list[str | bytes | Path] = [json.dumps(dict(parameters), sort_keys=True), sys.version]
    for path in files:
        if path.is_file():
            items += [os.path.relpath(path, root), path]
    if data_root := parameters.get("data_root"):
        for path in _tree(Path(data_root)):
            stat = path.stat()
            items.append(f"{path} {stat.st_size} {stat.st_mtime_ns}")
    return _digest(items)


def _run_notebook(
    root: Path, work: Path, page: str, parameters: Mapping[str, Any], force: bool, timeout: int
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


def _default_jobs(profile: str) -> int:
    """Two demonstrations at once where there are two cores; whole trainings one after the other."""
    return 2 if profile == "quick" and (os.cpu_count() or 1) > 1 else 1


def _run_notebooks(
    root: Path,
    work: Path,
    pages: Sequence[str],
    parameters: Mapping[str, Any],
    force: bool,
    timeout: int,
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
            began = {pool.submit(_timed_run, root, work, page, *arguments): page for page in pages}
            try:
                for done in as_completed(began):
                    tell(began[done], *done.result())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return [times[page] for page in pages]


def _share_cores(jobs: int) -> None:
    """In a process that runs notebooks beside others: its share of the cores, as threads of its kernels."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // jobs)))


def _timed_run(
    root: Path, work: Path, page: str, parameters: Mapping[str, Any], force: bool, timeout: int
) -> tuple[bool, float]:
    start = time.perf_counter()
    ran = _run_notebook(root, work, page, parameters, force, timeout)
    return ran, time.perf_counter() - start


def _publishable(notebook: Path) -> nbformat.NotebookNode:
    """The executed notebook without times and folders: papermill's metadata and its injected cell."""
    nb = _read_notebook(notebook)
    for name in ("papermill", "widgets"):  # a page without a kernel has no use for the state of widgets
        nb.metadata.pop(name, None)
    nb.cells = [cell for cell in nb.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    for cell in nb.cells:
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
    into_captions(nb.cells)
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
    return src


# MathJax's package carries every bundle; pages load tex-chtml.js and, on demand, what lies in its folders.
_UNUSED_MATHJAX = ("mml-*.js", "tex-svg*.js", "tex-mml-*.js", "tex-chtml-full*.js", "node-main.js")


def _sphinx(src: Path, work: Path) -> Path:
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
        raise FerlibError(f"the pages did not build without warnings; the whole log is {_short(log)}")
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
    timeout: int = CELL_TIMEOUT,
    jobs: int | None = None,
) -> Path:
    """Build the book and return the path of its first page. ``jobs`` notebooks run at once (see `_default_jobs`)."""
    if jobs is not None and jobs < 1:
        raise FerlibError(f"--jobs must be at least 1, not {jobs}")
    root = Path(root).absolute()
    if data_root is not None:
        if not Path(data_root).expanduser().is_dir():
            raise FerlibError(f"data folder {data_root} does not exist; correct FERLIB_DATA or --data-root")
        data_root = str(Path(data_root).expanduser().absolute())
    work, toc = root / "_build", root / "_toc.yml"
    pages = toc_pages(toc)
    notebooks = [page for page in pages if page_source(root, page).suffix == ".ipynb"]
    parameters = {"profile": profile, "data_root": data_root, "device": device, "seed": seed}
    for page in notebooks:  # all of them before the first one runs
        check_parameters(Path(os.path.relpath(page_source(root, page))), parameters)

    times = _run_notebooks(root, work, notebooks, parameters, force, timeout, jobs or _default_jobs(profile))
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
    print(f"\nThe book is at {_short(index)}\n  {index.as_uri()}")
    return index


def _publish(src: Path, work: Path, toc: Path, force: bool) -> bool:
    """Build and check the pages beside the old ones, then put them in place. False if nothing had changed."""
    html, stamp = work / "html", work / "html.inputs"
    items: list[str | bytes | Path] = [sys.version, Path(__file__), toc.parent / "pyproject.toml"]
    for path in _tree(src):
        items += [os.path.relpath(path, src), path]
    inputs = _digest(items)
    if not force and (html / "index.html").exists() and stamp.exists() and stamp.read_text() == inputs:
        return False
    fresh = _sphinx(src, work)
    if problems := check(fresh, toc):
        for problem in problems:
            print(problem, file=sys.stderr)
        raise FerlibError(
            f"{len(problems)} problem(s) in the built pages, listed above; {_short(html)} is unchanged"
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


# ---------------------------------------------------------------------------------------------------------
# The check
# ---------------------------------------------------------------------------------------------------------

# What a browser fetches when it opens a page. Links that a reader clicks (a href) may lead elsewhere.
_FETCHED = {
    "script": ("src",),
    "img": ("src", "srcset"),
    "source": ("src", "srcset"),
    "iframe": ("src",),
    "embed": ("src",),
    "object": ("data",),
    "video": ("src", "poster"),
    "audio": ("src",),
    "track": ("src",),
    "input": ("src",),
    "use": ("href", "xlink:href"),
    "image": ("href", "xlink:href"),
}
_FETCHED_RELS = {
    "stylesheet",
    "icon",
    "apple-touch-icon",
    "preload",
    "modulepreload",
    "prefetch",
    "prerender",
    "preconnect",
    "dns-prefetch",
    "manifest",
}
_CSS_URL = re.compile(r"""url\(\s*['"]?([^'")]+)['"]?\s*\)|@import\s+['"]([^'"]+)['"]""")
_SCRIPT_FETCH = re.compile(
    r"""(?:\bimport\s*\(?|\bfrom\s+|\bfetch\s*\(|importScripts\s*\(|\.src\s*=|URL\s*=)\s*['"`]((?:https?:)?//[^'"`]+)"""
)


def check(html_dir: Path, toc: Path) -> list[str]:
    """Everything wrong with the built pages, one line each: missing pages, dead links, foreign origins."""
    html_dir = Path(os.path.abspath(html_dir))
    if not html_dir.is_dir():
        raise FerlibError(f"{html_dir}: no built book here; run 'make book' first")
    problems = [
        f"{page}.html: named in {toc.name} but not built"
        for page in dict.fromkeys(toc_pages(toc))
        if not (html_dir / (page + ".html")).is_file()
    ]
    if not (html_dir / "index.html").is_file():
        problems.append("index.html: not built")
    parsed = {
        path: BeautifulSoup(path.read_text(encoding="utf8", errors="replace"), "html.parser")
        for path in _tree(html_dir, "*.html")
        if path.relative_to(html_dir).parts[0] not in ("_static", "_sources")
    }
    anchors = {path: set(_anchors(soup)) for path, soup in parsed.items()}
    for path, soup in parsed.items():
        name = path.relative_to(html_dir).as_posix()
        for what, url in _links(soup):
            if problem := _dead(url, path, html_dir, anchors):
                problems.append(f"{name}: {what} {url}: {problem}")
        problems += [f"{name}: loads {url} from another origin" for url in _foreign(soup)]
    for path in _tree(html_dir, "*.css"):
        css = path.read_text(encoding="utf8", errors="replace")
        name = path.relative_to(html_dir).as_posix()
        problems += [f"{name}: loads {url} from another origin" for url in _css_urls(css) if _is_foreign(url)]
    return list(dict.fromkeys(problems))


def _anchors(soup: BeautifulSoup) -> Iterator[str]:
    yield from (str(tag["id"]) for tag in soup.find_all(id=True))
    yield from (str(tag["name"]) for tag in soup.find_all("a") if tag.has_attr("name"))


def _links(soup: BeautifulSoup) -> Iterator[tuple[str, str]]:
    for tag in soup.find_all(["a", "area", "link"], href=True):
        yield "link to", str(tag["href"])
    for url in _fetched(soup):
        yield "file", url
    for tag in soup.find_all("meta", attrs={"http-equiv": re.compile("^refresh$", re.I)}):
        if match := re.search(r"url=(.+)", str(tag.get("content", "")), re.I):
            yield "redirect to", match[1].strip(" '\"")


def _fetched(soup: BeautifulSoup) -> Iterator[str]:
    for tag in soup.find_all(list(_FETCHED)):
        for attribute in _FETCHED[tag.name]:
            if value := tag.get(attribute):
                if attribute == "srcset":
                    yield from (part.split()[0] for part in str(value).split(",") if part.strip())
                else:
                    yield str(value)
    for tag in soup.find_all("link", href=True):
        if _FETCHED_RELS & {str(r).lower() for r in (tag.get("rel") or [])}:
            yield str(tag["href"])


def _foreign(soup: BeautifulSoup) -> Iterator[str]:
    yield from filter(_is_foreign, _fetched(soup))
    for tag in soup.find_all("style"):
        yield from filter(_is_foreign, _css_urls(tag.get_text()))
    for tag in soup.find_all(style=True):
        yield from filter(_is_foreign, _css_urls(str(tag["style"])))
    for tag in soup.find_all("script", src=False):
        yield from _SCRIPT_FETCH.findall(tag.get_text())
    for tag in soup.find_all("base", href=True):
        yield from filter(_is_foreign, [str(tag["href"])])


def _css_urls(css: str) -> list[str]:
    return [a or b for a, b in _CSS_URL.findall(css)]


def _is_foreign(url: str) -> bool:
    parts = urlsplit(url.strip())
    return bool(parts.netloc) or parts.scheme in ("http", "https", "ws", "wss", "ftp")


def _dead(url: str, page: Path, html_dir: Path, anchors: Mapping[Path, set[str]]) -> str | None:
    """Why a link within the book leads nowhere, or None."""
    parts = urlsplit(url.strip())
    if parts.scheme or parts.netloc:
        return "a link to a local file" if parts.scheme == "file" else None
    if parts.path.startswith("/"):
        return "absolute path; it breaks unless the book is served from the root"
    target = page
    if parts.path:
        target = Path(os.path.normpath(page.parent / unquote(parts.path)))
        if not target.is_relative_to(html_dir):
            return "leaves the book"
        if target.is_dir():
            target = target / "index.html"
        if not target.is_file():
            return "no such file"
    anchor = unquote(parts.fragment)
    if anchor and anchor != "top" and target in anchors and anchor not in anchors[target]:
        return "no such anchor"
    return None


# ---------------------------------------------------------------------------------------------------------
# Command line
# ---------------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ferlib.book", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    commands = parser.add_subparsers(dest="command", required=True)

    p = commands.add_parser(
        "build", help="run the notebooks whose inputs changed and build the book in _build/html"
    )
    p.add_argument(
        "--root", type=Path, default=Path("."), help="the repository (default: the current folder)"
    )
    p.add_argument(
        "--data-root",
        default=os.environ.get("FERLIB_DATA") or None,
        help="folder of the real datasets (default: FERLIB_DATA; without either, the synthetic dataset)",
    )
    p.add_argument("--profile", default="quick", help="quick (default) or full; passed to every notebook")
    p.add_argument("--device", default="auto", help="auto (default), cpu, cuda, …; passed to every notebook")
    p.add_argument("--seed", type=int, default=0, help="passed to every notebook (default 0)")
    p.add_argument(
        "--timeout", type=int, default=CELL_TIMEOUT, help="seconds one cell may take (default %(default)s)"
    )
    p.add_argument("--force", action="store_true", help="run and build everything, changed or not")
    p.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="notebooks at once (default: two in the quick profile where there are two cores, else one)",
    )

    p = commands.add_parser("execute", help="run one notebook with checked parameters")
    p.add_argument("notebook", type=Path)
    p.add_argument("out", type=Path, help="the executed copy; written only if every cell succeeds")
    p.add_argument(
        "-p",
        "--parameter",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="may be repeated",
    )
    p.add_argument(
        "--timeout", type=int, default=CELL_TIMEOUT, help="seconds one cell may take (default %(default)s)"
    )

    p = commands.add_parser(
        "serve", help="serve the built book on this machine, for what a browser refuses from disk"
    )
    p.add_argument("html", type=Path, nargs="?", default=Path("_build/html"))
    p.add_argument("--port", type=int, default=8000, help="default %(default)s; 0 takes any free one")

    p = commands.add_parser(
        "pack", help="the built book as a zip that opens from disk, and as a PDF of all pages"
    )
    p.add_argument("html", type=Path, nargs="?", default=Path("_build/html"))
    p.add_argument("--toc", type=Path, default=Path("_toc.yml"))
    p.add_argument(
        "--out", type=Path, default=Path("_build"), help="folder of the two files (default: _build)"
    )
    p.add_argument("--no-pdf", action="store_true", help="the zip alone")

    p = commands.add_parser(
        "check", help="look for missing pages, dead links and foreign origins in a built book"
    )
    p.add_argument("html", type=Path, nargs="?", default=Path("_build/html"))
    p.add_argument("--toc", type=Path, default=Path("_toc.yml"))
    p.add_argument("--json", action="store_true", help="print the problems as a JSON list")
    p.add_argument(
        "--browser",
        action="store_true",
        help="also open each page in Chromium: console, origins, weight, accessibility, width on a phone",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    options = _parser().parse_args(["serve" if a == "--serve" else a for a in argv])
    try:
        if options.command == "build":
            build(
                options.root,
                data_root=options.data_root,
                profile=options.profile,
                device=options.device,
                seed=options.seed,
                force=options.force,
                timeout=options.timeout,
                jobs=options.jobs,
            )
        elif options.command == "execute":
            values = {n: parse_parameter(options.notebook, n, v) for n, v in options.parameter}
            print(f"wrote {_short(execute(options.notebook, options.out, values, options.timeout))}")
        elif options.command == "serve":
            serve(options.html, options.port)
        elif options.command == "pack":
            _pack(options.html, options.toc, options.out, not options.no_pdf)
        else:
            problems = check(options.html, options.toc)
            if options.browser:
                problems += _look(options.html, options.toc, options.json)
            return _report(problems, options.html, options.json)
    except FerlibError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; nothing unfinished was published", file=sys.stderr)
        return 1
    return 0


def _look(html: Path, toc: Path, quiet: bool) -> list[str]:
    from ferlib import gates  # the packages of a browser test are not part of every installation

    if missing := gates.why_not():
        print(f"not looked at in a browser: {missing}", file=sys.stderr)
        return []
    visits = gates.check(html, list(dict.fromkeys(toc_pages(toc))))
    for visit in () if quiet else visits:
        paint = "–" if visit.first_content is None else f"{visit.first_content:.2f} s"
        print(f"{visit.name:32} {visit.weight / 1e6:5.2f} MB  first content after {paint}")
    return [problem for visit in visits for problem in visit.problems]


def _pack(html: Path, toc: Path, out: Path, with_pdf: bool) -> None:
    print(f"wrote {_short(pack(html, out / f'{NAME}.zip'))}", flush=True)
    missing = why_no_pdf()
    if with_pdf and missing:
        print(missing, file=sys.stderr)
    elif with_pdf:
        print(f"wrote {_short(pdf(html, list(dict.fromkeys(toc_pages(toc))), out / f'{NAME}.pdf'))}")


def _report(problems: list[str], html: Path, as_json: bool) -> int:
    if as_json:
        print(json.dumps(problems, indent=2))
    else:
        for problem in problems:
            print(problem, file=sys.stderr)
        print(f"{html}: {len(problems) or 'no'} problem{'' if len(problems) == 1 else 's'}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
