"""The command line ``ferlib``. Exit status 0: done, 1: ran and failed, 2: bad usage."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ferlib import __version__
from ferlib.errors import FerlibError

app = typer.Typer(
    help="Replication of attention-based facial expression recognition: data, runs, records, book.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
data_app = typer.Typer(help="Look at datasets on disk, or get them.", no_args_is_help=True)
app.add_typer(data_app, name="data")

Root = Annotated[
    Path | None,
    typer.Option("--root", help="Folder with the datasets. Default: environment variable FERLIB_DATA."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Results = Annotated[Path, typer.Option("--results", help="Folder of the records.")]


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@data_app.command("check")
def data_check(
    names: Annotated[
        list[str] | None, typer.Argument(help="Datasets. Default: all.", metavar="[NAME]...")
    ] = None,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """The dataset doctor: layout, counts against the published ones, duplicates, overlap, what to put right."""
    from ferlib.data import NAMES
    from ferlib.data.audit import check

    reports = [check(name, root) for name in names or NAMES]
    if as_json:
        typer.echo(json.dumps([report.to_dict() for report in reports], indent=1))
    else:
        typer.echo("\n\n".join(report.to_text() for report in reports))
    # asked for by name, a dataset must be there and sound; in a tour of all, a missing one is only told
    if not all(report.ok or (not names and not report.layout) for report in reports):
        raise typer.Exit(1)


@data_app.command("audit")
def data_audit(
    root: Root = None,
    results: Annotated[Path, typer.Option("--results", help="Folder for audit.json and audit.npz.")] = Path(
        "results"
    ),
    as_json: Json = False,
) -> None:
    """Measure copies, labels, imbalance and leaks of FER2013, FERPlus and CK+ for the book: sums, never an image."""
    from ferlib.data.measured import measure, read, summary, write
    from ferlib.records import writable

    writable(results)
    path = write(results, *measure(root))
    typer.echo(path.read_text() if as_json else f"{path}\n{summary(read(results)[0])}")


@data_app.command("fetch")
def data_fetch(
    name: Annotated[str, typer.Argument(help="ferplus; for the others this says how to ask their owners.")],
    root: Root = None,
) -> None:
    """Download what may be downloaded (checksummed); say how to get the rest."""
    from ferlib.data.fetch import fetch

    typer.echo(fetch(name, root))


@data_app.command("import")
def data_import(
    source: Annotated[Path, typer.Argument(help="Folder with a folder of pictures for each class.")],
    root: Annotated[Path, typer.Argument(help="Data folder to make, for --data-root.")],
    no_detect: Annotated[
        bool, typer.Option("--no-detect", help="Take the square in the middle: the pictures are faces alone.")
    ] = False,
    test: Annotated[float, typer.Option(help="Share of the pictures for testing.")] = 0.2,
) -> None:
    """Bring labelled pictures of your own into the form that the networks are trained on: 48 x 48 pixels, grey."""
    from ferlib.data.own import import_pictures

    typer.echo(import_pictures(source, root, detect=not no_detect, test=test))


@app.command("list")
def list_(
    pending: Annotated[bool, typer.Option("--pending", help="Only runs without a full record.")] = False,
    paper: Annotated[str | None, typer.Option(help="Only this paper's, se_cnn say.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Only runs on this dataset.")] = None,
    device: Annotated[str, typer.Option(help="Expected cost on this device: auto, cpu or cuda.")] = "auto",
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Every experiment and seed: what its record holds (none, reduced or full) and what a full run costs.

    The cost is the time of all epochs, from measured speeds; early stopping makes runs shorter. A question mark
    stands where nothing was measured on such a device. At the end: the counts by paper and dataset.
    """
    from ferlib import cost
    from ferlib.device import resolve_device
    from ferlib.experiments import EXPERIMENTS
    from ferlib.records import state_of

    for word, wanted, names in (
        ("paper", paper, sorted({row.paper for row in EXPERIMENTS.values()})),
        ("dataset", dataset, sorted({row.dataset for row in EXPERIMENTS.values()})),
    ):
        if wanted and wanted not in names:
            raise FerlibError(f"there is no {word} {wanted!r}: choose one of {', '.join(names)}")
    # costs are known of devices that are elsewhere
    kind = "cuda" if device.partition(":")[0] == "cuda" else resolve_device(device).type
    rows: list[dict[str, Any]] = []
    for row in EXPERIMENTS.values():
        if (paper and row.paper != paper) or (dataset and row.dataset != dataset):
            continue
        expected = cost.seconds(row, device=kind)
        for seed in row.seeds:
            facts = {"id": row.id, "seed": seed, "paper": row.paper, "dataset": row.dataset}
            state = state_of(results, row.id, seed)
            rows.append({**facts, "table": row.table, "state": state, "seconds": expected})
    shown = [r for r in rows if not (pending and r["state"] == "full")]
    if as_json:
        typer.echo(json.dumps(shown, indent=1))
        return
    width = max((len(r["id"]) for r in shown), default=2)
    for r in shown:
        price = "?" if r["seconds"] is None else cost.human(r["seconds"])
        typer.echo(
            f"{r['id']:{width}}  seed {r['seed']}  {r['dataset']:9}  {r['table']:8}  {r['state']:7}  {price:>11}"
        )
    typer.echo("\n" + "\n".join(_counted(rows, kind)))


def _counted(rows: list[dict[str, Any]], kind: str) -> list[str]:
    """How many runs have which record, and what the others cost, by paper and dataset, with the sum over all."""
    from ferlib import cost

    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(f"{row['paper']} {row['dataset']}", []).append(row)
    states = ("full", "reduced", "none")
    lines = [f"{'runs':26}" + "".join(f"{state:>9}" for state in states) + f"   still to run on {kind}"]
    for name, those in [*groups.items(), ("all", rows)]:
        counts = "".join(f"{sum(row['state'] == state for row in those):9}" for state in states)
        prices = [row["seconds"] for row in those if row["state"] != "full"]
        unknown = "" if None not in prices else ", some unknown"
        lines.append(f"{name:26}{counts}   {cost.human(sum(p for p in prices if p is not None))}{unknown}")
    return lines


PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def passed_on(name: str, module: str, about: str) -> None:
    """A command whose words are read by the ``main`` of its module, imported when it is wanted."""

    @app.command(name, help=about, context_settings=PASS_ON)
    def command(context: typer.Context) -> None:
        raise typer.Exit(importlib.import_module(module).main(context.args, prog=f"ferlib {name}"))


passed_on(
    "run",
    "ferlib.train",
    "Train experiments to records: `ferlib run ID... --help`; a run that was interrupted goes on.",
)
passed_on(
    "explain",
    "ferlib.explain",
    "Where finished runs look: class means of Grad-CAM and of their own attention, beside the records.",
)
passed_on(
    "measure",
    "ferlib.measures_run",
    "Finished runs' attention maps in numbers: shares in zones of the face, deletion, randomised weights.",
)
passed_on(
    "predict",
    "ferlib.predict",
    "The expression of the face in each picture: `ferlib predict IMAGE... --help`.",
)
passed_on(
    "mood",
    "ferlib.mood",
    "A song from a folder for the face in a picture: `ferlib mood FOLDER IMAGE --help`.",
)
passed_on(
    "weights",
    "ferlib.weights",
    "Published weights: list them, or make them of a finished run: `ferlib weights list|export --help`.",
)
passed_on(
    "detect",
    "ferlib.detect",
    "How many faces of a dataset a detector (MTCNN) finds: `ferlib detect measure --help`.",
)
passed_on(
    "claims",
    "ferlib.claims.command",
    "The ledger: every number that the papers report, with a verdict computed from the records.",
)
passed_on(
    "bench",
    "ferlib.bench",
    "Speed of every model here, beside plain PyTorch and Keras loops: `ferlib bench --help`.",
)
passed_on(
    "explorer",
    "ferlib.explorer",
    "What the book's pages without a kernel show: `ferlib explorer build|train`, each with --help.",
)
passed_on(
    "book",
    "ferlib.book.command",
    "Execute the notebooks and build the book: `ferlib book build|execute|serve|pack|site|check`, each with --help.",
)


def main() -> None:
    """Entry point: errors that the user can put right are one line on stderr and exit status 1."""
    try:
        app()
    except FerlibError as error:
        print(f"ferlib: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)


if __name__ == "__main__":
    main()
