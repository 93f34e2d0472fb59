"""What is taken from, and added to, the built pages."""

from __future__ import annotations

import base64
import io
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pydata_sphinx_theme
import pytest
import yaml
from bs4 import BeautifulSoup
from fontTools.ttLib import TTFont
from PIL import Image
from pygments.styles import get_style_by_name
from pygments.token import string_to_tokentype

from ferlib import icons, plots
from ferlib.pages import PLAIN_TOKENS, finish, lighten, lighten_figure

ROOT = Path(__file__).parents[1]

ICONS = '<script defer src="../_static/scripts/fontawesome.js?digest=55c2"></script>'
MATHJAX = '<script defer="defer" src="../_static/mathjax/tex-chtml.js"></script>'
PLAIN = f"<head>{ICONS}\n{MATHJAX}\n<script src='x.js'></script></head><body><p>no formula</p></body>"


def test_icons_and_mathjax_leave_a_page_without_formulas():
    assert lighten(PLAIN) == "<head><script defer src='x.js'></script></head><body><p>no formula</p></body>"


def test_a_page_with_a_formula_loads_the_parts_of_mathjax_that_it_needs():
    for formula in ('<span class="math notranslate">', "\\(x\\)", "\\[x\\]", "$$x$$"):
        page = lighten(PLAIN.replace("no formula", formula))
        assert "mathjax/startup.js" in page and "tex-chtml.js" not in page
    config = yaml.safe_load((ROOT / "_config.yml").read_text())["sphinx"]["config"]["mathjax3_config"]
    assert {"core", "input/tex", "output/chtml", "a11y/assistive-mml"} <= set(config["loader"]["load"])


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


def test_scripts_wait_for_the_page_but_for_the_one_that_lines_in_it_go_on_from():
    page = (
        '<script src="../_static/documentation_options.js?v=1"></script><script src="../_static/doctools.js"></script>'
        "<script>DOCUMENTATION_OPTIONS.pagename = 'a';</script><script defer src=\"a.js\"></script>"
        '<script type="module" src="b.js"></script><script data-p="x-" src="../_static/design-tabs.js"></script>'
    )
    waiting = page.replace(
        '<script src="../_static/doctools', '<script defer src="../_static/doctools'
    ).replace("<script data-p", "<script defer data-p")
    assert lighten(page) == waiting == lighten(waiting)


def test_no_sheet_comes_only_after_another_one():
    """What the theme's first sheet imports comes beside it; no other sheet imports any."""
    link = '<link href="../_static/styles/theme.css?digest=55" rel="stylesheet" />'
    assert lighten(link) == f'<link rel="preload" as="style" href="../_static/basic.css" />{link}'
    assert '@import "../basic.css"' in (THEME / "styles" / "theme.css").read_text()
    assert "@import" not in (ROOT / "book" / "_static" / "book.css").read_text()


SEARCH = '<script src="{0}_static/searchtools.js"></script>\n<script src="{0}searchindex.js"></script>\n'


def test_only_the_search_page_loads_the_index_of_words(tmp_path):
    (tmp_path / "notebooks").mkdir()
    for place, up in (("search.html", ""), ("notebooks/one.html", "../")):
        (tmp_path / place).write_text(f"<head>{SEARCH.format(up)}</head>", encoding="utf8")
    finish(tmp_path)
    assert (tmp_path / "notebooks" / "one.html").read_text() == "<head></head>"
    page = f"<head>{SEARCH.format('')}</head>".replace("<script ", "<script defer ")
    assert (tmp_path / "search.html").read_text() == page


THEME = Path(pydata_sphinx_theme.__file__).parent / "theme" / "pydata_sphinx_theme" / "static"


@pytest.fixture
def themed(tmp_path):
    """Pages that name two icons, one of them in a script, with the theme's own sheet and fonts."""
    shutil.copytree(THEME, tmp_path / "_static")
    (tmp_path / "one.html").write_text('<i class="fa-solid fa-list"></i>', "utf8")
    (tmp_path / "_static" / "book.js").write_text('icon.className = "fa-solid fa-magnifying-glass"', "utf8")
    (tmp_path / "_static" / "own.css").write_text(r'.x:after{content:"\f107"}', "utf8")
    return tmp_path


def test_icons_that_nothing_names_leave_the_sheet_and_the_fonts(themed):
    sheet = themed / icons.SHEET
    before = sheet.read_text("utf8")
    icons.trim(themed)
    after = sheet.read_text("utf8")
    assert (
        ".fa-list:before" in after and ".fa-magnifying-glass:before" in after and ".fa-pix:before" in before
    )
    assert ".fa-pix:before" not in after
    assert len(before) - len(after) > 50_000 and "woff2" not in after
    fonts = sorted(path.name for path in (themed / icons.FONTS).iterdir())
    assert fonts == ["fa-brands-400.woff", "fa-regular-400.woff", "fa-solid-900.woff"]
    assert all(f"webfonts/{name}" in after for name in fonts)
    glyphs = TTFont(themed / icons.FONTS / "fa-solid-900.woff").getBestCmap()
    # a list and its alias in the sheet, an angle in a sheet of ours, a bell among the theme's variables
    assert {0xF03A, 0xF107, 0xF0F3} <= set(glyphs) and len(glyphs) < 60
    again = {path: path.read_bytes() for path in themed.rglob("*") if path.is_file()}
    icons.trim(themed)
    assert {path: path.read_bytes() for path in themed.rglob("*") if path.is_file()} == again


def test_an_icon_keeps_its_aliases():
    rule = '.fa-close:before,.fa-xmark:before{content:"\\f00d"}'
    sheet = rule + '.fa-pix:before{content:"\\e43a"}.a{color:red}'
    assert icons.rules_of(sheet, {"fa-xmark"}) == rule + ".a{color:red}"


def test_no_alternative_text_is_made_up():
    """A path in its place is what `ferlib.book.check` reports."""
    assert 'alt="../_images/ab12.svg"' in lighten('<img alt="../_images/ab12.svg" src="a.svg">')


def test_tokens_in_the_colour_of_text_need_no_mark():
    config = yaml.safe_load((ROOT / "_config.yml").read_text())["sphinx"]["config"]["html_theme_options"]
    sheet = (ROOT / "book" / "_static" / "book.css").read_text()
    names = {"n": "Name", "p": "Punctuation", "w": "Text.Whitespace"}
    assert set(PLAIN_TOKENS) == set(names)
    for theme in ("light", "dark"):
        style = get_style_by_name(config[f"pygments_{theme}_style"])
        (colour,) = re.findall(rf'html\[data-theme="{theme}"\] \.highlight pre {{ color: #(\w+); }}', sheet)
        for name in names.values():
            found = style.style_for_token(string_to_tokentype(name))
            assert found["color"].lower() == colour and not (found["bold"] or found["italic"])
    code = '<span class="n">a</span><span class="w"> </span><span class="o">=</span><span class="w"> </span>'
    assert lighten(code) == 'a <span class="o">=</span> '


def test_cells_of_a_table_lose_what_styles_no_cell():
    table = pd.DataFrame({"a": [1, 2], "b": [3, 4]}).style.hide(axis="index").set_uuid("ab12")
    page = lighten(table.to_html())
    assert "row0_col0" not in page and "data row" not in page and page.count("<td") == 4
    assert [re.sub("<[^>]*>", "", td) for td in re.findall(r"<td.*?</td>", page)] == ["1", "3", "2", "4"]
    marked = table.map(lambda v: "color: red" if v == 4 else "").to_html()
    assert 'id="T_ab12_row1_col1"' in lighten(marked) and "row0_col0" not in lighten(marked)


@pytest.fixture
def figure():
    plots.use_style()
    rng = np.random.default_rng(0)
    smooth = np.asarray(Image.fromarray(rng.integers(0, 255, (6, 6), dtype=np.uint8)).resize((48, 48)))
    fig, (left, right) = plt.subplots(1, 2)
    left.imshow(smooth, cmap="gray")
    right.imshow(smooth, cmap="magma", interpolation="bilinear")
    file = io.StringIO()
    fig.savefig(file, format="svg")
    plt.close(fig)
    return file.getvalue()


def pictures(svg):
    found = re.findall(r"data:image/(\w+);base64,\s*([A-Za-z0-9+/=\s]+)", svg)
    return [
        (kind, np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"), int))
        for kind, data in found
    ]


def test_pictures_in_figures_are_lighter_and_look_the_same(figure):
    light = lighten_figure(figure)
    assert len(light) < 0.75 * len(figure)
    before, after = pictures(figure), pictures(light)
    assert len(before) == len(after) == 2 and "webp" in {kind for kind, _ in after}
    for (_, a), (_, b) in zip(before, after, strict=True):
        assert a.shape == b.shape and np.abs(a - b).mean() < 3
    assert lighten_figure(light) == light
    assert "<metadata" in figure and not any(
        word in light for word in ("<metadata", "<!--", "xlink:href=", "\n ")
    )
    drawn = [
        [one.tag for one in ElementTree.fromstring(svg).iter() if "rdf" not in one.tag]
        for svg in (figure, light)
    ]
    shapes = [[tag for tag in tags if tag.endswith(("}path", "}use", "}image", "}g"))] for tags in drawn]
    assert shapes[0] == shapes[1] != []


def test_coordinates_keep_two_decimals_and_scales_all():
    svg = '<g transform="scale(0.015625 -0.015625)"><path d="M 1.23456 2 L 3.999 4"/><use x="7.12345" y="1"/></g>'
    assert lighten_figure(svg) == (
        '<g transform="scale(0.015625 -0.015625)"><path d="M1.23 2L3.99 4"/><use x="7.12" y="1"/></g>'
    )
    assert lighten_figure('<g transform="translate(7.8765 -1.2345) scale(0.11 -0.11)"/>') == (
        '<g transform="translate(7.87 -1.23) scale(0.11 -0.11)"/>'
    )
    assert (
        lighten_figure('<path d="M 1e-05 2 \nq -1 2 -3.5 4 \nz\n"/>') == '<path d="M1e-05 2q-1 2 -3.5 4z"/>'
    )


def test_a_name_of_a_group_stays_where_something_refers_to_it():
    svg = '<g id="a"><g id="b"/></g>\n<use href="#b"/>'
    assert lighten_figure(svg) == '<g><g id="b"/></g><use href="#b"/>'


def svg_of(draw):
    figure, ax = plt.subplots(figsize=(3, 2))
    draw(figure, ax)
    file = io.StringIO()
    figure.savefig(file, format="svg")
    plt.close(figure)
    return file.getvalue()


def test_charts_turn_dark_and_pictures_of_faces_do_not(tmp_path):
    shades = np.linspace(0, 1, 48 * 48).reshape(48, 48)

    def scatter_with_bar(figure, ax):
        figure.colorbar(ax.scatter([0, 1], [1, 0], c=[0, 1], rasterized=True), ax=ax)

    figures = {
        "line": svg_of(lambda _, ax: ax.plot([0, 1])),
        "bar": svg_of(scatter_with_bar),
        "face": svg_of(lambda _, ax: ax.imshow(shades, cmap="gray")),
        "large": svg_of(lambda _, ax: ax.imshow(shades, cmap="gray", interpolation="bilinear")),
    }
    assert all("<image" in figures[name] for name in ("bar", "face", "large"))
    (tmp_path / "_images").mkdir()
    (tmp_path / "notebooks").mkdir()
    for name, figure in figures.items():
        (tmp_path / "_images" / f"{name}.svg").write_text(figure)
    page = "".join(f'<img alt="{name}" src="../_images/{name}.svg" />' for name in figures)
    for name in ("line", "face"):
        inline = base64.b64encode(figures[name].encode()).decode()
        page += f'<img alt="{name}, inline" src="data:image/svg+xml;base64,{inline}" />'
    (tmp_path / "notebooks" / "one.html").write_text(page + '<img alt="kept" src="../_images/kept.png" />')
    finish(tmp_path)
    once = (tmp_path / "notebooks" / "one.html").read_text()
    soup = BeautifulSoup(once, "html.parser")
    assert [image["alt"] for image in soup.select("img.chart")] == ["line", "bar", "line, inline"]
    assert len(soup.select("img[loading=lazy]")) == 7
    finish(tmp_path)
    assert (tmp_path / "notebooks" / "one.html").read_text() == once
