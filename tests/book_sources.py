"""Sources of the book's pages, Markdown and notebooks alike, for tests of what stands in them."""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted([*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "book").glob("*.md")])


def source(cell: dict) -> str:
    """The text of a notebook's cell, as one string."""
    return "".join(cell["source"])


def texts_and_cells(page: Path) -> tuple[list[str], list[dict]]:
    """Markdown texts of a page, and its code cells (none in a Markdown file)."""
    if page.suffix == ".md":
        return [page.read_text(encoding="utf-8")], []
    cells = json.loads(page.read_text(encoding="utf-8"))["cells"]
    markdown = [source(cell) for cell in cells if cell["cell_type"] == "markdown"]
    return markdown, [cell for cell in cells if cell["cell_type"] == "code"]
