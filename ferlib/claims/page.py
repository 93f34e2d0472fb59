"""The ledger as a table for the book: plain HTML, which ``book/_static/ledger.js`` makes searchable and sortable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from ferlib.chapters import bounds
from ferlib.claims import NAMES, Claim, Other
from ferlib.claims.judge import Judgement, rests_on_runs
from ferlib.claims.verdicts import RUN
from ferlib.typeset import typeset
from ferlib.wording import cell

FILTERS = {"Paper": 0, "Dataset": 3, "Verdict": 2}  # column of each choice above the table


def what(claim: Claim) -> str:
    """Model and quantity, or the statement."""
    return ": ".join(filter(None, (cell(claim.model), cell(claim.quantity))))


def printed(claim: Claim | Other) -> str:
    unit = "" if claim.unit == "fraction" else claim.unit
    return f"{claim.printed} {unit}".strip() or "in words"


def ours(judgement: Judgement) -> str:
    """What our records say, with its unit where the print beside it has another or none."""
    claim, text = judgement.claim, judgement.ours
    if text == "–":
        return text
    if claim.check in ("gain", "order", "attention"):
        return f"{text} points"
    rate = claim.kind in ("accuracy", "metric") and claim.unit in ("%", "fraction")
    return f"{text} %" if rate and claim.check == "record" else text


def measured(judgement: Judgement) -> float | None:
    """Ours as one number in the unit of the print, to sort by; None for words and for several numbers."""
    if judgement.claim.value is not None and judgement.difference is not None:
        return judgement.claim.value + judgement.difference
    try:
        return float(judgement.ours)
    except ValueError:
        return None


def why(judgement: Judgement) -> str:
    """The runs, what was computed, and how we read the claim, where that is not all that is said anyway."""
    note = judgement.claim.note
    reading = f"note: {cell(note)}" if note and note != judgement.why else ""
    return "; ".join(filter(None, (judgement.runs, judgement.why, reading)))


def records_of(judgement: Judgement) -> list[str]:
    """The rows whose records decide the verdict, by their ids, which are the folders in ``results``."""
    if judgement.verdict in RUN or not rests_on_runs(judgement):
        return []
    return list(dict.fromkeys([*judgement.claim.against.split(), judgement.claim.experiment]))


def interval(judgement: Judgement) -> str:
    """Ours minus published, with the bounds where there are any; of whole numbers without decimals."""
    difference = judgement.difference
    if difference is None:
        return ""
    counted = judgement.claim.check == "audit" or judgement.claim.kind == "count"
    whole = counted and difference == round(difference)
    digits = 3 if judgement.claim.quantity.endswith("loss") else 2
    text = f"{difference:+,.0f}" if whole or abs(difference) >= 1000 else f"{difference:+.{digits}f}"
    if judgement.low is None or judgement.high is None:
        return "0" if whole and not difference else text
    return f"{text} {bounds(judgement.low, judgement.high, 3 if digits == 3 else 1)}"


COLUMNS: dict[str, Callable[[Judgement], str]] = {
    "Paper": lambda j: NAMES[j.claim.paper],
    "Place": lambda j: j.claim.place,
    "Verdict": lambda j: j.title,  # early, so that a narrow screen shows it
    "Dataset": lambda j: j.claim.dataset or "–",
    "What": lambda j: what(j.claim),
    "Published": lambda j: printed(j.claim),
    "Ours": ours,
    "Ours minus published": interval,
    "Why": why,
}
NUMBERS: dict[str, Callable[[Judgement], float | None]] = {  # columns that are sorted by number
    "Published": lambda j: j.claim.value,
    "Ours": measured,
    "Ours minus published": lambda j: j.difference,
}


def telling(judgements: Sequence[Judgement]) -> list[Judgement]:
    """Accuracies that runs decide first, then what else they decide, then counts, then what has no verdict yet."""

    def rank(j: Judgement) -> int:
        if j.verdict in (*RUN, "not testable"):
            return 3
        if not rests_on_runs(j):
            return 2
        return 0 if j.claim.check == "record" else 1

    return sorted(judgements, key=rank)


def html(judgements: Sequence[Judgement]) -> str:
    """The whole table. Without scripts it is all there, unfiltered."""
    head = "".join(f'<th scope="col">{name}</th>' for name in COLUMNS)
    body = []
    for j in judgements:
        cells = []
        for name, column in COLUMNS.items():
            key = NUMBERS[name](j) if name in NUMBERS else None
            data = "" if key is None else f' data-order="{key:.10g}"'
            if name == "Verdict" and j.provisional:  # found as what it is, and among all that are provisional
                data = f' data-choices="{escape(j.verdict)}|provisional"'
            text = escape(typeset(column(j)))
            if name == "Why" and (ids := records_of(j)):
                named = ", ".join(f"<code>{escape(one)}</code>" for one in ids)
                text += f"{'; ' if text else ''}{'records' if len(ids) > 1 else 'record'} {named}"
            if name == "Place":  # the row's address
                text = f'<a href="#claim-{escape(j.claim.id)}">{text}</a>'
            cells.append(f"<td{data}>{text}</td>")
        kind = j.verdict.split(":")[0].replace(" ", "-")
        body.append(f'<tr id="claim-{escape(j.claim.id)}" class="verdict-{kind}">{"".join(cells)}</tr>')
    filters = " ".join(f'{name.lower()}="{column}"' for name, column in FILTERS.items())
    chosen = " ".join(f"data-filter-{part}" for part in filters.split())
    return (
        f'<div class="ledger" {chosen}><div class="ledger-scroll" tabindex="0" role="region" '
        f'aria-label="The ledger"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div></div>"
    )
