"""Build the book: run the notebooks, make the pages strictly, check what came out.

`python -m ferlib.book build` does three things, each only where something changed:

1. every notebook of `_toc.yml` runs through papermill, from the repository root, with checked parameters;
2. the prose pages and the executed notebooks are copied to `_build/src`, and Jupyter Book builds them with
   warnings as errors;
3. the pages are checked (missing pages, dead links and anchors, anything loaded from another origin, images
   without a text, names of datasets), and only then do they replace `_build/html`.

A notebook that fails or pages that do not pass never replace good ones.
"""

from __future__ import annotations

from ferlib.book.building import build, stage
from ferlib.book.command import main
from ferlib.book.contents import page_source, toc_pages
from ferlib.book.links import check
from ferlib.book.notebooks import (
    CELL_TIMEOUT,
    check_parameters,
    execute,
    notebook_parameters,
    parse_parameter,
)
from ferlib.book.runs import notebook_inputs

PARAMETER_NAMES = ("profile", "data_root", "device", "seed", "retrain", "results_dir")

__all__ = [
    "CELL_TIMEOUT",
    "PARAMETER_NAMES",
    "build",
    "check",
    "check_parameters",
    "execute",
    "main",
    "notebook_inputs",
    "notebook_parameters",
    "page_source",
    "parse_parameter",
    "stage",
    "toc_pages",
]
