"""Datasets and classes have one spelling on the pages and in their sources."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from ferlib import book
from ferlib.book import spelling
from ferlib.data.dataset import EXPRESSIONS, SYNONYMS
from ferlib.wording import DATASETS

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted([*ROOT.glob("*.md"), *ROOT.glob("book/*.md"), *ROOT.glob("notebooks/*.ipynb")])


def page_of(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.name)
def test_sources_have_the_names_that_the_book_has(path):
    assert spelling.of_source(path, page_of(path)) == []


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        *((name, "FER2013") for name in ("Fer2013", "FER-2013", "FER 2013", "FER_2013", "fer2013", "FER13")),
        *((name, "FERPlus") for name in ("FER+", "FERPLUS", "FERplus", "FER-Plus", "Fer Plus", "fer+")),
        *((name, "CK+ or CK+48") for name in ("Ck+", "CK48", "CKPlus", "ckplus", "CK-+", "CK+-48", "CK 48")),
        *((name, "RAF-DB") for name in ("RAF_DB", "RAFDB", "Raf-DB", "RAF DB", "raf-db")),
        *SYNONYMS.items(),
        ("Sadness", "sad"),
    ],
)
def test_a_wrong_name_is_found(wrong, right):
    for text in (f"trained on {wrong}.", f"On {wrong}, we see", f"({wrong})", f"{wrong} and more"):
        (found,) = spelling.misspelt([text])
        assert found.startswith(f"‘{wrong}’ is written {right}: … ") and wrong in found


@pytest.mark.parametrize(
    "text",
    [
        "FER2013, FERPlus, CK+, CK+48 and RAF-DB; FER2013's test part, CK+-like, RAF-DB's",
        "on CK+ 48 pixels a side, one of 48",
        "the file fer2013.csv, the row se_cnn-se-fer2013, https://x.org/FER+, datasets/fer2013",
        "Wang & Zhang on FERPlus (their FER+), who write “on FER+ and Ck+”",
        'they "use FER-2013", and “happiness is recognised best”',
        "FER2013Train holds pictures, an offer of 13, a refer-2013",
    ],
)
def test_right_names_code_and_quotations_pass(text):
    assert spelling.misspelt([text]) == []


def test_every_dataset_of_the_library_has_its_name_in_the_check():
    names = [name for right in spelling.NAMES for name in right.split(" or ")]
    assert set(DATASETS.values()) <= set(names)
    assert spelling.misspelt(names) == []


def test_classes_have_the_names_of_the_library_or_of_a_release():
    assert set(spelling.FORMS) == set(EXPRESSIONS)
    assert not set(spelling.CLASSES) & {*EXPRESSIONS, *SYNONYMS}
    assert spelling.misnamed(["happy", "happiness", "Fear", "not"]) == []
    assert spelling.misnamed(["surprised", "Joy"]) == [
        "‘surprised’ is the class *surprise*",
        "‘Joy’ is the class *happy*",
    ]


def test_one_page_tells_the_other_names():
    assert spelling.misspelt(["FERPlus is also FERPLUS or FER+"], "book/data") == []
    assert spelling.misspelt(["*happy* is also *happiness*"], "book/data") == []
    assert spelling.misspelt(["on FER+"], "notebooks/msca_resnet")


def test_sources_are_read_as_a_reader_sees_them(tmp_path):
    path = tmp_path / "a.md"
    path.write_text(
        "`fer2013` {cite}`ckplus` [x](http://y/FER+)\n\n```bash\nferlib fer2013\n```\n\n*joy* on Fer2013\n"
    )
    assert [line.partition(" is")[0] for line in spelling.of_source(path, "a")] == ["‘Fer2013’", "‘joy’"]
    cells = [
        {
            "cell_type": "code",
            "source": ["say(f'{n} on RAFDB')\n", "x = 'rafdb'"],
            "metadata": {"mystnb": {"figure": {"caption": "Faces of FER-2013", "name": "fig-ferplus"}}},
        },
        {"cell_type": "markdown", "source": ["On FER+\n", "all is well"], "metadata": {}},
    ]
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"cells": cells}))
    found = [line.partition(" is")[0] for line in spelling.of_source(path, "a")]
    assert found == ["‘FER-2013’", "‘RAFDB’", "‘FER+’"]


def test_built_pages_are_read_as_a_reader_sees_them():
    page = """<body><!-- FER+ --><p>On <b>FER</b>2013, <code>fer2013</code>, “on FER+” and <a href="FER+">Ck+</a>.</p>
    <div class="citation"><p>The FER+ dataset</p></div><img alt="RAF DB" src="rafdb.svg"><pre>FER+</pre>
    <table><tr><td><em>surprised</em></td><td>FER</td><td>2013</td></tr></table></body>"""
    found = spelling.of_page(BeautifulSoup(page, "html.parser"), "a")
    assert [line.partition(" is")[0] for line in found] == ["‘Ck+’", "‘RAF DB’", "‘surprised’"]


def test_the_check_of_the_book_tells_the_page(tmp_path):
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    (tmp_path / "index.html").write_text("<body><p>Faces of FER-2013</p></body>")
    (problem,) = book.check(tmp_path, tmp_path / "_toc.yml")
    assert problem == "index.html: ‘FER-2013’ is written FER2013: … Faces of FER-2013 …"
