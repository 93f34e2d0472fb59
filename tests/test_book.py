"""The book's machinery: parameters, execution, the strict build, the check of the pages."""

import json
import os
import re
import shutil
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from ferlib import book, gates
from ferlib.book import repository, runs
from ferlib.errors import FerlibError

ROOT = Path(__file__).resolve().parents[1]
PARAMETERS = """\
profile = "quick"  # quick | full (epochs=100, lr=0.002)
data_root: str | None = None
device = "auto"
seed = 0
retrain = False
rate = 0.5
results_dir = "results"
"""


def write_notebook(path: Path, *cells: str, title: str = "# Trial") -> Path:
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nb = new_notebook(metadata={"kernelspec": kernel})
    nb.cells = [
        new_markdown_cell(title),
        new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
        *map(new_code_cell, cells),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nb, path)
    return path


@pytest.fixture
def notebook(tmp_path):
    return write_notebook(tmp_path / "trial.ipynb", "print(seed)")


# Parameters


def test_parameters_are_read_with_their_defaults(notebook):
    defaults = book.notebook_parameters(notebook)
    assert set(book.PARAMETER_NAMES) < set(defaults)
    assert defaults["profile"] == "quick" and defaults["data_root"] is None and defaults["retrain"] is False


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"profile": "full", "data_root": "/data", "seed": 3, "retrain": True},
        {"data_root": None, "rate": 1},
    ],
)
def test_good_parameters_pass(notebook, parameters):
    book.check_parameters(notebook, parameters)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"profil": "full"}, "no parameter 'profil'; did you mean profile?"),
        ({"dataroot": "/data"}, "did you mean data_root"),
        ({"xyzzy": 1}, "it has profile, data_root"),
        ({"seed": "0"}, "'seed' takes a whole number"),
        ({"seed": True}, "'seed' takes a whole number"),
        ({"seed": 1.5}, "'seed' takes a whole number"),
        ({"retrain": 1}, "'retrain' takes True or False"),
        ({"profile": None}, "'profile' takes text"),
        ({"data_root": 7}, "'data_root' takes text or None"),
        ({"rate": True}, "'rate' takes a number"),
    ],
)
def test_bad_parameters_are_refused_in_one_line(notebook, parameters, says):
    with pytest.raises(FerlibError) as error:
        book.check_parameters(notebook, parameters)
    assert says in str(error.value) and "\n" not in str(error.value)


def test_command_line_values_take_the_type_of_the_default(notebook):
    def parse(name, text):
        return book.parse_parameter(notebook, name, text)

    assert parse("seed", "3") == 3
    assert parse("profile", "3") == "3"
    assert parse("retrain", "true") is True
    assert parse("data_root", "None") is None
    assert parse("data_root", "/data") == "/data"
    assert parse("rate", "1e-3") == 0.001
    with pytest.raises(FerlibError, match="whole number"):
        parse("seed", "three")


def test_a_notebook_needs_one_parameters_cell(tmp_path):
    path = tmp_path / "bare.ipynb"
    nbformat.write(new_notebook(), path)
    with pytest.raises(FerlibError, match="one cell tagged 'parameters', found 0"):
        book.notebook_parameters(path)


def test_an_unreadable_notebook_is_one_line(tmp_path):
    (tmp_path / "broken.ipynb").write_text("{not json")
    for name in ("broken.ipynb", "missing.ipynb"):
        with pytest.raises(FerlibError) as error:
            book.notebook_parameters(tmp_path / name)
        assert name in str(error.value) and "\n" not in str(error.value)


# Execution


def outputs(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "".join(o.get("text", "") for c in cells for o in c.get("outputs", []))


def test_execute_runs_in_the_given_folder_with_this_interpreter(tmp_path, monkeypatch):
    # a kernel of the same name that someone installed for the user must not be taken
    for name in ("JUPYTER_DATA_DIR", "JUPYTER_PATH"):
        wrong = tmp_path / name / "kernels" / "python3" / "kernel.json"
        wrong.parent.mkdir(parents=True)
        wrong.write_text(json.dumps({"argv": ["false"], "display_name": "wrong", "language": "python"}))
        monkeypatch.setenv(name, str(tmp_path / name))
    path = write_notebook(tmp_path / "n.ipynb", "import os, sys\nprint(sys.executable, os.getcwd(), seed)")
    cwd = tmp_path / "there"
    cwd.mkdir()
    out = book.execute(path, tmp_path / "out" / "n.ipynb", {"seed": 5}, timeout=60, cwd=cwd)
    assert outputs(out).split() == [sys.executable, str(cwd), "5"]
    assert [p.name for p in out.parent.iterdir()] == ["n.ipynb"]


def test_a_failed_run_is_kept_aside_and_replaces_nothing(tmp_path, capsys):
    path = write_notebook(tmp_path / "n.ipynb", "print('first')", "1 / (seed - 1)", "print('never')")
    out = tmp_path / "out.ipynb"
    book.execute(path, out, {"seed": 0}, timeout=60)
    good = out.read_bytes()
    assert book.main(["execute", str(path), str(out), "-p", "seed", "1"]) == 1
    message = capsys.readouterr().err.strip()
    assert "\n" not in message
    assert message.startswith("ferlib:") and "ZeroDivisionError: division by zero" in message
    assert "cell [4]" in message and "out.failed.ipynb" in message
    assert out.read_bytes() == good
    assert "ZeroDivisionError" in (tmp_path / "out.failed.ipynb").read_text()
    assert not list(tmp_path.glob(".*"))
    book.execute(path, out, {"seed": 0}, timeout=60)
    assert not (tmp_path / "out.failed.ipynb").exists()


def test_a_cell_that_hangs_is_stopped(tmp_path):
    path = write_notebook(tmp_path / "n.ipynb", "import time; time.sleep(60)")
    with pytest.raises(FerlibError, match="ran longer than 1 s"):
        book.execute(path, tmp_path / "out.ipynb", timeout=1)
    assert not (tmp_path / "out.ipynb").exists()


def test_a_mistyped_parameter_stops_before_anything_runs(notebook, tmp_path, capsys):
    assert book.main(["execute", str(notebook), str(tmp_path / "out.ipynb"), "-p", "sed", "1"]) == 1
    assert "did you mean seed" in capsys.readouterr().err
    assert not list(tmp_path.glob("out*"))


def test_bad_usage_exits_2():
    with pytest.raises(SystemExit) as stop:
        book.main(["build", "--seed", "three"])
    assert stop.value.code == 2


# The build


@pytest.fixture
def tree(tmp_path):
    """A book of two pages under the real configuration."""
    root = tmp_path / "repo"
    (root / "book").mkdir(parents=True)
    for name in ("_config.yml", "pyproject.toml"):
        shutil.copy(ROOT / name, root / name)
    shutil.copy(ROOT / "book" / "references.bib", root / "book")
    shutil.copytree(ROOT / "book" / "_static", root / "book" / "_static")
    (root / "_toc.yml").write_text("format: jb-book\nroot: book/intro\nchapters:\n- file: notebooks/one\n")
    (root / "book" / "intro.md").write_text("# Intro\n\nSee {doc}`../notebooks/one`.\n\n$a^2$\n")
    write_notebook(root / "notebooks" / "one.ipynb", "print('data', data_root)", title="# One")
    return root


def test_build_is_strict_incremental_and_never_replaces_good_pages(tree, capsys):
    index = book.build(tree)
    assert index == tree / "_build" / "html" / "index.html" and index.is_file()
    page = tree / "_build" / "html" / "notebooks" / "one.html"
    text = page.read_text()
    assert "data None" in text
    assert "injected" not in text and str(tree) not in text
    assert (tree / "_build" / "html" / "_static" / "mathjax" / "startup.js").is_file()
    assert book.check(tree / "_build" / "html", tree / "_toc.yml") == []
    said = capsys.readouterr().out
    assert "_build/html/index.html" in said and " s  profile quick" in said

    # nothing changed: nothing runs
    before = page.stat().st_mtime_ns
    book.build(tree)
    assert capsys.readouterr().out.count("unchanged, kept") == 2
    assert page.stat().st_mtime_ns == before

    # prose changed, with a warning: it fails and the good pages stay
    intro = tree / "book" / "intro.md"
    good = intro.read_text()
    intro.write_text(good + "\n{doc}`nowhere`\n")
    with pytest.raises(FerlibError, match="did not build without warnings"):
        book.build(tree)
    assert "nowhere" in capsys.readouterr().err
    assert page.stat().st_mtime_ns == before

    # a record changed: the notebook runs again; its outputs are the same, so the pages stay
    intro.write_text(good)
    (tree / "results").mkdir()
    (tree / "results" / "seed0.json").write_text("{}")
    book.build(tree)
    said = capsys.readouterr().out
    assert "profile quick" in said and said.count("unchanged, kept") == 1


def test_with_an_address_the_book_leads_to_its_repository(tree, monkeypatch):
    monkeypatch.setenv("FERLIB_REPOSITORY", "https://github.com/someone/faces.git/")
    (tree / "results" / "one-row").mkdir(parents=True)
    cited = (ROOT / "book" / "cite.md").read_text()
    bibtex = cited[cited.index("```bibtex") : cited.rindex("```") + 3]
    (tree / "book" / "intro.md").write_text(f"# Intro\n\n{bibtex}\n")
    row = "<tr><td><code>one-row</code> <code>no-row</code></td></tr>"
    named = f"from IPython.display import HTML\nHTML('<table>{row}</table>')"
    write_notebook(tree / "notebooks" / "one.ipynb", named, title="# One")
    book.build(tree)
    html = tree / "_build" / "html"
    intro = (html / "book" / "intro.html").read_text()
    url = "https://github.com/someone/faces"
    assert f'href="{url}"' in intro and f'href="{url}/issues/new?' in intro
    assert f"url     = {{{url}}}," in re.sub("<[^>]+>", "", intro)
    page = (html / "notebooks" / "one.html").read_text()
    assert f'<a href="{url}/tree/main/results/one-row"><code>one-row</code></a>' in page
    assert page.count("/tree/main/results/") == 1
    assert book.check(html, tree / "_toc.yml") == []


def test_without_an_address_nothing_is_left_of_it(tmp_path, monkeypatch):
    monkeypatch.delenv("FERLIB_REPOSITORY", raising=False)
    assert repository.address() is None
    shutil.copytree(ROOT / "book", tmp_path / "book")
    shutil.copy(ROOT / "_config.yml", tmp_path)
    marked = [p.name for p in (ROOT / "book").glob("*.md") if repository.MARK in p.read_text()]
    assert {"cite.md", "intro.md", "running.md"} <= set(marked)
    repository.enter(tmp_path, None)
    assert [p.name for p in (tmp_path / "book").glob("*.md") if "repository }}" in p.read_text()] == []
    assert "year    = {" in (tmp_path / "book" / "cite.md").read_text()
    assert (tmp_path / "_config.yml").read_bytes() == (ROOT / "_config.yml").read_bytes()


@pytest.mark.parametrize("wrong", ["someone/faces", "https://github.com/someone", "https://a.b/c/d e"])
def test_an_address_that_is_none_is_refused_before_anything_runs(tree, monkeypatch, wrong):
    monkeypatch.setenv("FERLIB_REPOSITORY", wrong)
    with pytest.raises(FerlibError, match="not an address such as"):
        book.build(tree)
    assert not (tree / "_build").exists()


def test_build_refuses_a_data_folder_that_is_not_there(tree):
    with pytest.raises(FerlibError, match="does not exist"):
        book.build(tree, data_root=str(tree / "nowhere"))


def test_toc_entry_without_a_file_is_one_line(tree):
    (tree / "notebooks" / "one.ipynb").unlink()
    with pytest.raises(FerlibError, match=r"names notebooks/one, but neither"):
        book.build(tree)


def test_inputs_notice_code_parameters_and_data(tree):
    path = tree / "notebooks" / "one.ipynb"
    data = tree / "data"
    data.mkdir()
    seen = {book.notebook_inputs(tree, path, {"seed": 0}), book.notebook_inputs(tree, path, {"seed": 1})}
    (tree / "ferlib").mkdir()
    (tree / "ferlib" / "models.py").write_text("a = 1\n")
    seen.add(book.notebook_inputs(tree, path, {"seed": 0}))
    seen.add(book.notebook_inputs(tree, path, {"seed": 0, "data_root": str(data)}))
    (data / "faces.csv").write_text("0,1\n")
    seen.add(book.notebook_inputs(tree, path, {"seed": 0, "data_root": str(data)}))
    assert len(seen) == 5


# The check

GOOD = """<html><head><link rel="stylesheet" href="_static/a.css?v=1"><link rel="canonical" href="https://x.org/">
</head><body id="body"><a href="two.html#part">ok</a> <a href="#body">ok</a> <a href="https://example.org">ok</a>
<a href="mailto:a@b.c">ok</a> <img src="data:image/png;base64,AA==" alt=""><a href="#">ok</a></body></html>"""


@pytest.fixture
def html(tmp_path):
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: index\nchapters:\n- file: two\n")
    site = tmp_path / "html"
    (site / "_static").mkdir(parents=True)
    (site / "_static" / "a.css").write_text("body { background: url(b.png) }")
    (site / "index.html").write_text(GOOD)
    (site / "two.html").write_text('<h2 id="part">Part</h2><a href="index.html">back</a>')
    return site


def problems(site: Path) -> list[str]:
    return book.check(site, site.parent / "_toc.yml")


def test_check_accepts_good_pages(html):
    assert problems(html) == []


def test_check_finds_a_page_that_was_not_built(html):
    (html / "two.html").unlink()
    assert "two.html: named in _toc.yml but not built" in problems(html)


@pytest.mark.parametrize(
    ("markup", "says"),
    [
        ('<a href="three.html">x</a>', "three.html: no such file"),
        ('<a href="index.html#nope">x</a>', "index.html#nope: no such anchor"),
        ('<a href="#nope">x</a>', "#nope: no such anchor"),
        ('<a href="../secret.html">x</a>', "leaves the book"),
        ('<a href="/two.html">x</a>', "absolute path"),
        ('<a href="file:///tmp/x.html">x</a>', "local file"),
        ('<img src="missing.png">', "missing.png: no such file"),
        ('<img srcset="missing.png 2x">', "missing.png: no such file"),
        ('<img srcset="data:image/png;base64,AAAA 1x, missing.png 2x">', "missing.png: no such file"),
        ('<meta http-equiv="Refresh" content="0; url=gone.html">', "gone.html: no such file"),
        (
            '<script src="https://cdn.example.org/a.js"></script>',
            "loads https://cdn.example.org/a.js from another",
        ),
        ('<script src="//cdn.example.org/a.js"></script>', "another origin"),
        ('<link rel="stylesheet" href="https://fonts.example.org/css">', "another origin"),
        ('<link rel="preconnect" href="https://fonts.example.org">', "another origin"),
        ('<img src="https://example.org/a.png">', "another origin"),
        ('<iframe src="https://example.org"></iframe>', "another origin"),
        ('<style>@import "https://example.org/a.css";</style>', "another origin"),
        ('<p style="background:url(https://example.org/a.png)">x</p>', "another origin"),
        ('<script>import("https://cdn.example.org/m.js")</script>', "another origin"),
        ('<script>let THEBE_URL = "https://cdn.example.org/t.js"</script>', "another origin"),
        ('<base href="https://example.org/">', "another origin"),
    ],
)
def test_check_finds(html, markup, says):
    (html / "two.html").write_text(f'<h2 id="part">Part</h2>{markup}')
    found = problems(html)
    assert len(found) >= 1 and all(line.startswith("two.html: ") for line in found)
    assert any(says in line for line in found)


def test_check_accepts_a_picture_that_holds_its_own_data_for_two_widths(html):
    source = f'<source media="(max-width: 600px)" srcset="data:image/svg+xml;base64,{300 * "PD94"}">'
    image = '<img alt="Two curves" src="data:image/svg+xml;base64,PD94">'
    (html / "two.html").write_text(f'<h2 id="part">Part</h2><picture>{source}{image}</picture>')
    assert problems(html) == []


FIGURE = '<figure><img src="_images/a.png"{}><figcaption>Accuracy over epochs</figcaption></figure>'


@pytest.mark.parametrize("alt", ["", ' alt=""', ' alt="../_images/ab12.svg"', ' alt="_images/a.png"'])
def test_check_finds_a_figure_without_an_alternative_text(html, alt):
    (html / "_images").mkdir()
    (html / "_images" / "a.png").touch()
    page = '<h2 id="part">Part</h2>' + FIGURE
    (html / "two.html").write_text(page.format(alt))
    (problem,) = problems(html)
    assert problem == "two.html: image _images/a.png (Accuracy over epochs): no alternative text"
    (html / "two.html").write_text(page.format(' alt="Two curves"'))
    assert problems(html) == []


def test_a_warning_of_a_library_is_found_and_keeps_nobody_from_a_page(html):
    page = (
        '<h2 id="part">Part</h2><div class="output stderr"><div class="highlight"><pre>{}</pre></div></div>'
    )
    (html / "two.html").write_text(page.format("/a/lib.py:592: RuntimeWarning: Precision loss\n  f(x)"))
    assert problems(html) == ["two.html: shows a warning: RuntimeWarning: Precision loss"]
    assert book.check(html, html.parent / "_toc.yml", names=False) == []
    (html / "two.html").write_text(page.format("epoch 1: 3 s"))
    assert problems(html) == []


def test_a_wrong_name_is_found_and_keeps_nobody_from_a_page(html):
    (html / "two.html").write_text('<h2 id="part">Part</h2><p>Trained on FER-2013.</p>')
    assert len(problems(html)) == 1 and "is written FER2013" in problems(html)[0]
    assert book.check(html, html.parent / "_toc.yml", names=False) == []


def test_build_refuses_a_figure_without_an_alternative_text_and_no_wrong_name(tree, capsys):
    drawn = "import matplotlib.pyplot as plt\n_ = plt.plot([1, 2])\nplt.show()"
    path = write_notebook(tree / "notebooks" / "one.ipynb", drawn, title="# On FER-2013")
    with pytest.raises(FerlibError, match=r"1 problem.*built pages"):
        book.build(tree)
    told = capsys.readouterr().err
    assert "notebooks/one.html: image ../_images/" in told and "no alternative text" in told
    nb = nbformat.read(path, as_version=4)
    nb.cells[-1].metadata["mystnb"] = {"image": {"alt": "A line that rises"}}
    nbformat.write(nb, path)
    site = book.build(tree).parent
    assert 'alt="A line that rises"' in (site / "notebooks" / "one.html").read_text()
    assert "is written FER2013" in book.check(site, tree / "_toc.yml")[0]


def test_check_reads_style_sheets(html):
    (html / "_static" / "a.css").write_text("@font-face { src: url('https://fonts.example.org/f.woff2') }")
    assert problems(html) == ["_static/a.css: loads https://fonts.example.org/f.woff2 from another origin"]


def test_check_command_reports_and_exits_1(html, capsys):
    toc = str(html.parent / "_toc.yml")
    assert book.main(["check", str(html), "--toc", toc]) == 0
    (html / "two.html").write_text("<a href='gone.html'>x</a>")
    assert book.main(["check", str(html), "--toc", toc, "--json"]) == 1
    out = capsys.readouterr().out
    assert json.loads(out[out.index("[") :])
    assert book.main(["check", str(html.parent / "nowhere"), "--toc", toc]) == 1
    assert "make book" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["no npm here", None])
def test_a_page_without_its_network_passes_only_where_none_is_asked_for(html, monkeypatch, capsys, missing):
    monkeypatch.setattr(gates, "why_not", lambda: None)
    monkeypatch.setattr(gates, "check_at_once", lambda *_, **__: [])
    data = html / "_static" / "explorer" / "data"
    data.mkdir(parents=True)
    about = {"missing": missing} if missing else {"megabytes": 13}
    (data / "face.js").write_text(f"window.FERLIB_FACE = {json.dumps(about)};\n")
    words = ["check", "--browser", str(html), "--toc", str(html.parent / "_toc.yml")]
    monkeypatch.delenv("FERLIB_NEED_RUNTIME", raising=False)
    assert book.main(words) == 0
    monkeypatch.setenv("FERLIB_NEED_RUNTIME", "1")
    assert book.main(words) == (1 if missing else 0)
    assert ("without its network: no npm here" in capsys.readouterr().err) == bool(missing)


# Several notebooks at once


def test_notebooks_that_train_begin_first():
    pages = [f"notebooks/{name}" for name in ("ledger", "se_cnn", "forensics", "attention")]
    assert runs.longest_first(ROOT, pages) == [pages[1], pages[3], pages[0], pages[2]]


def test_notebooks_run_at_once_and_a_failure_keeps_the_others(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ferlib").mkdir()
    (tmp_path / "pyproject.toml").touch()
    for name in ("a", "b"):
        write_notebook(tmp_path / f"{name}.ipynb", "import os; print(os.environ['OMP_NUM_THREADS'])")
    write_notebook(tmp_path / "bad.ipynb", "1 / 0")
    parameters = {"profile": "quick", "data_root": None, "device": "cpu", "seed": 0}
    work = tmp_path / "_build"
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    times = runs.run_notebooks(tmp_path, work, ["a", "b"], parameters, False, 60, jobs=2)
    assert [name for name, *_ in times] == ["run a.ipynb", "run b.ipynb"]
    share = str(max(1, (os.cpu_count() or 1) // 2))
    assert outputs(work / "executed" / "a.ipynb").strip() == share
    assert all(said == "profile quick" for *_, said in times)
    with pytest.raises(FerlibError, match=r"bad\.ipynb.*ZeroDivisionError"):
        runs.run_notebooks(tmp_path, work, ["a", "bad"], parameters, False, 60, jobs=2)
    assert "a.ipynb: kept" in capsys.readouterr().out
    assert not (work / "executed" / "bad.ipynb").exists()


def test_demonstrations_share_the_cores_and_trainings_do_not(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert (runs.default_jobs("quick"), runs.default_jobs("full")) == (2, 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert runs.default_jobs("quick") == 1
