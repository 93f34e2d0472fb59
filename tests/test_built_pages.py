"""What is taken from, and added to, the built pages."""

from __future__ import annotations

from ferlib.pages import finish, lighten

ICONS = '<script defer src="../_static/scripts/fontawesome.js?digest=55c2"></script>'
MATHJAX = '<script defer="defer" src="../_static/mathjax/tex-chtml.js"></script>'
PLAIN = f"<head>{ICONS}\n{MATHJAX}\n<script src='x.js'></script></head><body><p>no formula</p></body>"


def test_icons_and_mathjax_leave_a_page_without_formulas():
    assert lighten(PLAIN) == "<head><script src='x.js'></script></head><body><p>no formula</p></body>"


def test_mathjax_stays_where_there_is_a_formula():
    for formula in ('<span class="math notranslate">', "\\(x\\)", "\\[x\\]", "$$x$$"):
        assert MATHJAX in lighten(PLAIN.replace("no formula", formula))


def test_images_wait_until_the_reader_comes_near():
    assert lighten('<img alt="a" src="a.png">') == '<img loading="lazy" alt="a" src="a.png">'
    eager = '<img alt="a" loading="eager" src="a.png">'
    assert lighten(eager) == eager
    assert lighten(lighten('<img src="a.png">')) == lighten('<img src="a.png">')


def test_files_of_the_theme_are_left_alone(tmp_path):
    for place in ("index.html", "notebooks/one.html", "_static/webpack-macros.html"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text(PLAIN, encoding="utf8")
    finish(tmp_path)
    assert ICONS not in (tmp_path / "notebooks" / "one.html").read_text()
    assert ICONS in (tmp_path / "_static" / "webpack-macros.html").read_text()


def test_no_alternative_text_is_made_up():
    """A path in its place is what `ferlib.book.check` reports."""
    assert 'alt="../_images/ab12.svg"' in lighten('<img alt="../_images/ab12.svg" src="a.svg">')
