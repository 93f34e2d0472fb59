"""``ferlib claims``: the ledger on the command line."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from ferlib import commands
from ferlib.claims import PAPERS, load
from ferlib.claims.judge import VERDICTS, Judgement, contradictions, counts, judge


def as_dict(judgement: Judgement) -> dict[str, Any]:
    """One line of the ledger as plain JSON-able data."""
    claim = judgement.claim
    facts = ("id", "paper", "place", "kind", "quantity", "dataset", "model", "printed", "unit", "experiment")
    found: dict[str, Any] = {name: getattr(claim, name) for name in facts}
    for name in (
        "ours",
        "difference",
        "low",
        "high",
        "runs",
        "verdict",
        "provisional",
        "at_best_test",
        "why",
    ):
        value = getattr(judgement, name)
        found[name] = round(value, 4) if isinstance(value, float) else value
    return found | {"note": claim.note}


def arguments(prog: str) -> argparse.ArgumentParser:
    parser = commands.parser(
        prog,
        "Every number and statement that the papers report as their own, and what the records say of it.",
        f"Verdicts: {', '.join(VERDICTS)}; 'provisional' stands before those that rest on fewer than three seeds or on "
        "reduced runs.",
    )
    add = parser.add_argument
    add("--paper", choices=PAPERS, help="only this paper's")
    add("--dataset", metavar="NAME", help="only claims on this dataset: FER2013, FERPlus, CK+, RAF-DB")
    add(
        "--verdict",
        metavar="WORDS",
        help="only verdicts that hold these words: 'lower', 'not run', 'provisional'",
    )
    add("--place", metavar="WORDS", help="only places that hold these words: 'abstract', 'Table 3'")
    add("--results", type=Path, default=Path("results"), metavar="DIR", help="folder of the records")
    add("--counts", action="store_true", help="only how many claims have which verdict")
    add("--json", action="store_true", help="print JSON")
    return parser


def chosen(options: argparse.Namespace) -> list[Judgement]:
    def wanted(part: str | None, whole: str) -> bool:
        return part is None or part.casefold() in whole.casefold()

    claims = load()
    contradicted = contradictions(claims)  # of all of them: one may lie in a row that is not shown
    asked = [
        claim
        for claim in claims
        if options.paper in (None, claim.paper)
        and (options.dataset is None or options.dataset.casefold() == claim.dataset.casefold())
        and wanted(options.place, claim.place)
    ]
    judged = [judge(claim, options.results, contradicted) for claim in asked]
    return [one for one in judged if wanted(options.verdict, one.title)]


def line(judgement: Judgement, width: int) -> str:
    claim = judgement.claim
    what = " ".join(filter(None, (claim.dataset, claim.model, claim.quantity)))
    printed = f"{claim.printed} {claim.unit}".strip()
    text = f"{claim.paper:12} {claim.place:22.22} {judgement.title:34} {printed:>14} {judgement.ours:>22.22}  {what}"
    return text if width <= 0 else text[:width].rstrip()


@commands.told
def main(argv: list[str] | None = None, prog: str = "ferlib claims") -> int:
    """Print the ledger, or the part asked for."""
    import sys

    options = arguments(prog).parse_args(argv)
    found = chosen(options)
    if options.counts:
        table = counts(found) if found else None
        if options.json:
            print("{}" if table is None else table.to_json(orient="index", indent=1))
        elif table is not None:
            print(table.to_string())
    elif options.json:
        print(json.dumps([as_dict(j) for j in found], indent=1, ensure_ascii=False))
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
        print("\n".join(line(j, width) for j in found))
    if not found:
        print("ferlib: no claim is like that; `ferlib claims --counts` says what there is", file=sys.stderr)
    return 0
