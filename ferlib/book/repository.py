"""The public address of the repository, which FERLIB_REPOSITORY names: buttons, text, and links to the records."""

from __future__ import annotations

import os
import re
from pathlib import Path

import yaml

from ferlib.errors import FerlibError

VARIABLE = "FERLIB_REPOSITORY"
MARK = "{{ repository }}"  # in a prose page; a line with it is left out where there is no address
_RECORD = re.compile(r"<code>([\w.-]+)</code>")  # as the ledger names a record


def address() -> str | None:
    """The address in ``FERLIB_REPOSITORY``, https://HOST/OWNER/NAME; None where it is not set."""
    url = os.environ.get(VARIABLE, "").strip().rstrip("/").removesuffix(".git")
    if url and not re.fullmatch(r"https://[\w.:-]+(/[\w.-]+){2,}", url):
        raise FerlibError(f"{VARIABLE} is {url}, not an address such as https://github.com/OWNER/NAME")
    return url or None


def enter(src: Path, url: str | None) -> None:
    """Put the address into the staged source: buttons of the theme, and `MARK` in the prose pages."""
    for page in sorted((src / "book").glob("*.md")):
        lines = page.read_text(encoding="utf8").splitlines(keepends=True)
        kept = [line.replace(MARK, url or "") for line in lines if url or MARK not in line]
        page.write_text("".join(kept), encoding="utf8")
    if url is None:
        return
    path = src / "_config.yml"
    config = yaml.safe_load(path.read_text(encoding="utf8"))
    config["sphinx"]["config"]["html_theme_options"] |= {
        "repository_url": url,
        "repository_provider": "gitlab" if "gitlab" in url else "github",
        "use_repository_button": True,
        "use_issues_button": True,
    }
    path.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf8")


def link_records(html: Path, results: Path, url: str) -> None:
    """Make each name of a record on the built pages a link to its folder in the repository."""
    known = {path.name for path in results.glob("*") if path.is_dir()}

    def linked(found: re.Match[str]) -> str:
        target = f"{url}/tree/main/results/{found[1]}"
        return f'<a href="{target}">{found[0]}</a>' if found[1] in known else found[0]

    for path in sorted((html / "notebooks").glob("*.html")):
        page = path.read_text(encoding="utf8")
        path.write_text(_RECORD.sub(linked, page), encoding="utf8")
