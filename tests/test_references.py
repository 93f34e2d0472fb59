"""The bibliography: every citation has its entry, every entry a link and a place where it is cited."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

pybtex = pytest.importorskip("pybtex.database")

ROOT = Path(__file__).parents[1]
CITED = re.compile(r"\{cite(?::\w+)?\}`([^`]+)`")
LINKS = {"doi": re.compile(r"10\.\d{4,}/\S+"), "url": re.compile(r"https://\S+")}


def citations() -> dict[str, set[str]]:
    """Pages that cite a key, by key."""
    found: dict[str, set[str]] = {}
    for page in (*(ROOT / "book").glob("*.md"), *(ROOT / "notebooks").glob("*.ipynb")):
        text = page.read_text(encoding="utf-8")
        if page.suffix == ".ipynb":
            text = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
        for keys in CITED.findall(text):
            for key in keys.split(","):
                found.setdefault(key.strip(), set()).add(page.name)
    return found


@pytest.fixture(scope="module")
def entries():
    return pybtex.parse_file(
        str(ROOT / "book" / "references.bib")
    ).entries  # a key that stands twice is an error


def test_every_citation_has_an_entry(entries):
    missing = {key: pages for key, pages in citations().items() if key not in entries}
    assert not missing, missing


def test_every_entry_is_cited(entries):
    unused = sorted(set(entries) - set(citations()))
    assert not unused, unused


def test_every_entry_has_authors_title_year_and_one_link(entries):
    for key, entry in entries.items():
        assert entry.persons["author"], key
        assert entry.fields["title"] and re.fullmatch(r"(19|20)\d\d", entry.fields["year"]), key
        links = [name for name in LINKS if name in entry.fields]
        assert len(links) == 1 and LINKS[links[0]].fullmatch(entry.fields[links[0]]), key
        assert re.match(r"[a-z]+(\d{4})", key).group(1) == entry.fields["year"], key


def test_no_source_has_two_entries(entries):
    links = [entry.fields.get("doi", entry.fields.get("url")).lower() for entry in entries.values()]
    assert len(links) == len(set(links))


def test_the_citation_file_names_the_five_papers_as_the_bibliography_does(entries):
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf8"))
    assert (
        cited["cff-version"] == "1.2.0"
        and cited["type"] == "software"
        and cited["title"]
        and cited["message"]
    )
    text = (ROOT / "book" / "references.bib").read_text(encoding="utf8")
    keys = re.findall(r"@\w+\{(\w+),", text.partition("\n% Attention modules")[0])
    assert len(keys) == 5 == len(cited["references"])
    for key, reference in zip(keys, cited["references"], strict=True):
        entry = entries[key]
        assert reference["type"] == {"article": "article", "inproceedings": "conference-paper"}[entry.type], (
            key
        )
        names = [(a["family-names"], a["given-names"]) for a in reference["authors"]]
        assert names == [
            (" ".join(a.last_names), " ".join(a.first_names)) for a in entry.persons["author"]
        ], key
        said = {"title": reference["title"], "year": str(reference["year"])}
        said |= {name: str(reference[name]) for name in ("volume", "doi", "url") if name in reference}
        said |= {"number": reference["issue"]} if "issue" in reference else {}
        said |= {"pages": f"{reference['start']}--{reference['end']}"} if "start" in reference else {}
        said["series" if "series" in entry.fields else "journal"] = reference["journal"]
        said |= {"booktitle": reference["collection-title"]} if "collection-title" in reference else {}
        assert said == {name: re.sub(r"[{}]", "", value) for name, value in entry.fields.items()}, key
