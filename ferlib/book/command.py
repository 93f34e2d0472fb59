"""``ferlib book``, ``python -m ferlib.book``: the command line."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from ferlib import commands
from ferlib.book.building import build
from ferlib.book.contents import toc_pages
from ferlib.book.links import check
from ferlib.book.notebooks import CELL_TIMEOUT, execute, parse_parameter, short
from ferlib.delivery import NAME, pack, pdf, serve, site, why_no_pdf
from ferlib.errors import FerlibError

BESIDE = (
    "search",
    "genindex",
)  # pages that no table of contents names; index.html leads to the first page at once


def _parser(prog: str) -> argparse.ArgumentParser:
    about = "Build the book: run the notebooks, make the pages strictly, check what came out."
    parser = commands.parser(prog, about)
    parser.add_argument(
        "--serve",
        nargs="?",
        const=Path("_build/html"),
        type=Path,
        metavar="HTML",
        help="the same as the command serve: the built book on this machine (default: _build/html)",
    )
    parser.add_argument(
        "--port", type=int, default=8000, help="for --serve; default 8000, 0 takes any free one"
    )
    steps = parser.add_subparsers(dest="command")

    p = steps.add_parser(
        "build", help="run the notebooks whose inputs changed and build the book in _build/html"
    )
    p.add_argument(
        "--root", type=Path, default=Path("."), help="the repository (default: the current folder)"
    )
    p.add_argument(
        "--data-root",
        default=os.environ.get("FERLIB_DATA") or None,
        help="folder of the real datasets (default: FERLIB_DATA; without either, the synthetic dataset)",
    )
    p.add_argument("--profile", default="quick", help="quick (default) or full; passed to every notebook")
    p.add_argument("--device", default="auto", help="auto (default), cpu, cuda, …; passed to every notebook")
    p.add_argument("--seed", type=int, default=0, help="passed to every notebook (default 0)")
    p.add_argument(
        "--timeout", type=int, help=f"seconds one cell may take ({CELL_TIMEOUT}; any time with profile full)"
    )
    p.add_argument("--force", action="store_true", help="run and build everything, changed or not")
    p.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="notebooks at once (default: two in the quick profile where there are two cores, else one)",
    )

    p = steps.add_parser("execute", help="run one notebook with checked parameters")
    p.add_argument("notebook", type=Path)
    p.add_argument("out", type=Path, help="the executed copy; written only if every cell succeeds")
    p.add_argument(
        "-p",
        "--parameter",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="may be repeated",
    )
    p.add_argument(
        "--timeout", type=int, help=f"seconds one cell may take ({CELL_TIMEOUT}; any time with profile full)"
    )

    p = steps.add_parser(
        "serve", help="serve the built book on this machine, for what a browser refuses from disk"
    )
    p.add_argument("html", type=Path, nargs="?", default=Path("_build/html"))
    p.add_argument("--port", type=int, default=argparse.SUPPRESS, help="default 8000; 0 takes any free one")

    p = steps.add_parser(
        "pack", help="the built book as a zip that opens from disk, and as a PDF of all pages"
    )
    p.add_argument("html", type=Path, nargs="?", default=Path("_build/html"))
    p.add_argument("--toc", type=Path, default=Path("_toc.yml"))
    p.add_argument(
        "--out", type=Path, default=Path("_build"), help="folder of the two files (default: _build)"
    )
    p.add_argument("--no-pdf", action="store_true", help="the zip alone")

    p = steps.add_parser(
        "site",
        help="the built book with zip and PDF, and links to them on its first page, as it is published",
    )
    p.add_argument("html", type=Path, nargs="?", default=Path("_build/html"))
    p.add_argument("--toc", type=Path, default=Path("_toc.yml"))
    p.add_argument(
        "--forms", type=Path, default=Path("_build"), help="folder of zip and PDF, and of the site (_build)"
    )

    p = steps.add_parser(
        "check",
        help="look for missing pages, dead links, foreign origins, untold images and wrong names in a built book",
    )
    p.add_argument("html", type=Path, nargs="?", default=Path("_build/html"))
    p.add_argument("--toc", type=Path, default=Path("_toc.yml"))
    p.add_argument("--json", action="store_true", help="print the problems as a JSON list")
    p.add_argument(
        "--browser",
        action="store_true",
        help="also open each page in Chromium: console, origins, weight, accessibility, width on a phone",
    )
    return parser


@commands.told
def main(argv: list[str] | None = None, prog: str = "python -m ferlib.book") -> int:
    argv = sys.argv[1:] if argv is None else argv
    parser = _parser(prog)
    options = parser.parse_args(argv)
    if (options.serve is None) == (options.command is None):
        parser.error("give one command, or --serve; --help lists them")
    if options.serve is not None:
        options.command, options.html = "serve", options.serve
    try:
        return _do(options)
    except KeyboardInterrupt:
        raise FerlibError("interrupted; nothing unfinished was published") from None


def _do(options: argparse.Namespace) -> int:
    if options.command == "build":
        build(
            options.root,
            data_root=options.data_root,
            profile=options.profile,
            device=options.device,
            seed=options.seed,
            force=options.force,
            timeout=options.timeout,
            jobs=options.jobs,
        )
    elif options.command == "execute":
        values = {n: parse_parameter(options.notebook, n, v) for n, v in options.parameter}
        print(f"wrote {short(execute(options.notebook, options.out, values, options.timeout))}")
    elif options.command == "serve":
        serve(options.html, options.port)
    elif options.command == "pack":
        _pack(options.html, options.toc, options.out, not options.no_pdf)
    elif options.command == "site":
        landing = toc_pages(options.toc)[0]
        print(f"wrote {short(site(options.html, landing, options.forms))}")
    else:
        problems = check(options.html, options.toc)
        if options.browser:
            problems += _look(options.html, options.toc, options.json)
        return _report(problems, options.html, options.json)
    return 0


def _look(html: Path, toc: Path, quiet: bool) -> list[str]:
    from ferlib import gates  # the packages of a browser test are not part of every installation

    if missing := gates.why_not():  # asked for and not done: no page has passed
        return [f"no page was looked at in a browser: {missing}"]

    def say(visit: gates.Visit) -> None:
        if quiet:
            return
        paint = "–" if visit.first_content is None else f"{visit.first_content:.2f} s"
        weight = f"{visit.weight / 1e6:5.2f} MB"
        print(f"{visit.name:32} {weight}  first content after {paint} ({visit.how})", flush=True)

    others = [name for name in BESIDE if (html / f"{name}.html").is_file()]
    names = list(dict.fromkeys([*toc_pages(toc), *others]))
    visits = gates.check_at_once(html, names, say=say)
    return [*_lacking(html), *(problem for visit in visits for problem in visit.problems)]


def _lacking(html: Path) -> list[str]:
    """With FERLIB_NEED_RUNTIME, a page that was built without the network that should run in the browser."""
    data = html / "_static" / "explorer" / "data"
    if not (os.environ.get("FERLIB_NEED_RUNTIME") and (data / "face.js").is_file()):
        return []
    from ferlib import explorer

    reason = explorer.missing(data)
    return [f"book/your_face.html: without its network: {reason}"] if reason else []


def _pack(html: Path, toc: Path, out: Path, with_pdf: bool) -> None:
    print(f"wrote {short(pack(html, out / f'{NAME}.zip'))}", flush=True)
    missing = why_no_pdf()
    if with_pdf and missing:
        print(missing, file=sys.stderr)
    elif with_pdf:
        print(f"wrote {short(pdf(html, list(dict.fromkeys(toc_pages(toc))), out / f'{NAME}.pdf'))}")


def _report(problems: list[str], html: Path, as_json: bool) -> int:
    if as_json:
        print(json.dumps(problems, indent=2))
    else:
        for problem in problems:
            print(problem, file=sys.stderr)
        print(f"{html}: {len(problems) or 'no'} problem{'' if len(problems) == 1 else 's'}")
    return 1 if problems else 0
