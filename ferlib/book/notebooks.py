"""One notebook: its parameters, checked before it runs, and its run through papermill."""

from __future__ import annotations

import ast
import contextlib
import difflib
import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat

from ferlib.errors import FerlibError

CELL_TIMEOUT = 3600  # seconds: far more than a quick profile needs, so that a hanging cell ends some time
UNKNOWN = object()  # the default of a parameter that is not a literal: its type is not checked


def notebook_parameters(notebook: Path) -> dict[str, Any]:
    """Names and defaults from the cell tagged `parameters`.

    papermill can infer them too, but drops a line whose comment contains an equals sign.
    """
    nb = read_notebook(notebook)
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


def read_notebook(path: Path) -> nbformat.NotebookNode:
    try:
        return nbformat.read(path, as_version=4)
    except FileNotFoundError:
        raise FerlibError(f"{path}: no such notebook") from None
    except Exception as error:  # nbformat raises several kinds for a damaged file
        raise FerlibError(f"{path}: not a readable notebook ({one_line(error)})") from None


def one_line(text: object, limit: int = 300) -> str:
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
    timeout: int | None = None,
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
    if timeout is None and dict(parameters or {}).get("profile") != "full":  # whole trainings take their time
        timeout = CELL_TIMEOUT
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
            kept = f" (see {short(failed)})"
        if isinstance(error, PapermillExecutionError):
            cell, reason = f"cell [{error.exec_count}]", f"{error.ename}: {error.evalue}"
        elif isinstance(error, TimeoutError):
            cell, reason = "a cell", f"ran longer than {timeout} s; allow more with --timeout"
        else:
            cell, reason = "the run", f"{type(error).__name__}: {error}"
        raise FerlibError(f"{notebook}: {cell} failed: {one_line(reason)}{kept}") from None
    finally:
        partial.unlink(missing_ok=True)
    failed.unlink(missing_ok=True)
    return out


def short(path: Path) -> str:
    """Relative to the working directory where that is shorter."""
    with contextlib.suppress(ValueError):
        return str(Path(path).absolute().relative_to(Path.cwd()))
    return str(path)
