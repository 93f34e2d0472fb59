"""What the table of contents names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ferlib.book.notebooks import one_line
from ferlib.errors import FerlibError


def toc_pages(toc: Path) -> list[str]:
    """Every page that `_toc.yml` names, in reading order, without file extension."""
    try:
        tree = yaml.safe_load(toc.read_text(encoding="utf8"))
    except FileNotFoundError:
        raise FerlibError(f"{toc}: no table of contents; run this from the repository root") from None
    except yaml.YAMLError as error:
        raise FerlibError(f"{toc}: not valid YAML: {one_line(error)}") from None
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
