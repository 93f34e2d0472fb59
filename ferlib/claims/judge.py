"""From the ledger's rows and the records to verdicts. A verdict is computed, never typed.

``reproduced``
    Ours and the published value differ by no more than a 95 % interval for the difference, and that interval is
    narrower than ± 3 points: width never earns the verdict. Counts, parameters and multiply-adds agree to the printed
    digits. A number that follows from others of the paper does follow.
``lower``, ``higher``
    Ours against the published value, where it is not reproduced.
``direction holds``, ``direction fails``
    Of an order of models, a gain, or a statement in words.
``contradicts itself``
    The paper prints the same quantity otherwise at another place, or its own numbers do not give this one.
``too few images``
    The difference lies inside an interval wider than ± 3 points: the test cannot tell.
``not run: licensed data``, ``not run: compute``, ``not testable``
    No record yet, or nothing that a record could answer.

``provisional`` stands before a verdict that rests on fewer than three seeds or on reduced runs.
"""

from __future__ import annotations

import ast
import json
import operator
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import f as fisher
from scipy.stats import t as student

from ferlib import chapters, tables
from ferlib.claims import Claim, histories, load, words
from ferlib.evaluate import wilson
from ferlib.experiments import EXPERIMENTS, Experiment
from ferlib.statements import matrix_of

ENOUGH_SEEDS = 3
WIDEST = 3.0  # points: half-width of the interval beyond which no value counts as reproduced
LICENSED = ("rafdb",)
RUN = ("not run: licensed data", "not run: compute")
VERDICTS = (
    "reproduced",
    "lower",
    "higher",
    "direction holds",
    "direction fails",
    "contradicts itself",
    "too few images",
    "not testable",
    *RUN,
)


@dataclass(frozen=True)
class Judgement:
    """What the ledger says of one claim. ``low`` and ``high`` bound ours minus published, in the claim's unit."""

    claim: Claim
    verdict: str
    provisional: bool = False
    ours: str = "–"
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    runs: str = ""
    at_best_test: str = ""  # the verdict when the epoch is chosen on the test images
    why: str = ""

    @property
    def title(self) -> str:
        return ("provisional: " if self.provisional else "") + self.verdict


def difference_interval(
    ours: Sequence[float], published: float, n: int, n_published: int | None = None
) -> tuple[float, float, float]:
    """Ours minus published and its 95 % interval; rates as fractions, ``ours`` one for each seed.

    Counts the sampling of both test sets by Newcombe's hybrid of Wilson's intervals (Statistics in Medicine 17:873,
    1998, method 10), and where there are several seeds, their mean's t-interval, added in quadrature. Seeds share the
    test images, so their mean has the sampling error of one run.
    """
    mean = float(np.mean(ours))
    size = n_published or n
    low, high = wilson(round(mean * n), n)
    low_p, high_p = wilson(round(published * size), size)
    k = len(ours)
    seeds = float(student.ppf(0.975, k - 1) * np.std(ours, ddof=1) / np.sqrt(k)) if k > 1 else 0.0
    difference = mean - published
    # Wilson's bounds belong to whole counts of images: never inside the estimate
    below = np.sqrt(max(mean - low, 0) ** 2 + max(high_p - published, 0) ** 2 + seeds**2)
    above = np.sqrt(max(high - mean, 0) ** 2 + max(published - low_p, 0) ** 2 + seeds**2)
    return difference, float(difference - below), float(difference + above)


def by_interval(difference: float, low: float, high: float, widest: float = WIDEST) -> str:
    """The verdict on a difference (points) with its interval."""
    if not low <= 0 <= high:
        return "lower" if difference < 0 else "higher"
    return "reproduced" if max(difference - low, high - difference) <= widest else "too few images"


def uncertain(*groups: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a verdict on these records is provisional: fewer than three seeds or a run that is not full."""
    return any(len(parts) < ENOUGH_SEEDS or chapters.star(parts) for parts in groups)


def missing(row: Experiment) -> str:
    """Why a row has no record. Neutral faces of CK+ are in the owners' release alone, not in CK+48."""
    licensed = row.dataset in LICENSED or (row.dataset == "ckplus" and row.dataset_options.get("neutral"))
    return RUN[0] if licensed else RUN[1]


def quantity_of(quantity: str, part: Mapping[str, Any], reading: str) -> tuple[float, int] | None:
    """A printed quantity of one record as a fraction, and over how many test images; None for what none holds."""
    result = part["result"][reading]
    if quantity == "training accuracy":  # of the epoch chosen on validation, without dropout and augmentation
        n = sum(part["data"]["counts"]["train"].values())
        return (result["train"]["accuracy"], n) if "train" in result else None
    value = chapters.measure(quantity, result)
    if value is None:
        return None
    if not quantity.startswith(chapters.RECALL_OF):
        return value / 100, int(result["n"])
    of = list(part["data"]["classes"]).index(quantity.removeprefix(chapters.RECALL_OF))
    return value / 100, int(sum(result["confusion"][of]))


def from_records(claim: Claim, results: Path | str) -> Judgement:
    row = EXPERIMENTS[claim.experiment]
    parts = tables.parts_of(results, row.id)
    if not parts:
        return Judgement(claim, missing(row))
    if claim.quantity == "epochs run":
        epochs = [int(p["epochs_run"]) for p in parts if p["profile"] == "full"]
        if not epochs:
            return Judgement(claim, missing(row), why="shortened runs say nothing on it")
        ran, published = float(np.mean(epochs)), claim.value or 0.0
        verdict = "reproduced" if published in epochs else ("lower" if ran < published else "higher")
        text = ", ".join(map(str, epochs))
        return Judgement(
            claim, verdict, uncertain(parts), text, ran - published, runs=tables.evidence_label(parts)
        )
    if claim.value is None:
        return Judgement(claim, "not testable", why="no number is printed")
    if claim.quantity == "Sta":
        return stability(claim, parts)
    verdicts, shown = {}, None
    for reading in ("val_selected", "paper_style"):
        found = [quantity_of(claim.quantity, p, reading) for p in parts]
        values = [f for f in found if f is not None]
        if not values:
            return Judgement(claim, "not testable", why=f"no interval is defined for {claim.quantity}")
        rates, n = [v for v, _ in values], values[0][1]
        d, low, high = (100 * x for x in difference_interval(rates, claim.value / 100, n))
        verdicts[reading] = by_interval(d, low, high)
        if shown is None:
            spread = f" ± {100 * np.std(rates, ddof=1):.2f}" if len(rates) > 1 else ""
            shown = f"{100 * np.mean(rates):.2f}{spread}", d, low, high, n
    assert shown is not None
    ours, d, low, high, n = shown
    return Judgement(
        claim,
        verdicts["val_selected"],
        uncertain(parts),
        ours,
        d,
        low,
        high,
        tables.evidence_label(parts),
        verdicts["paper_style"],
        f"n = {n:,}",
    )


def stability(claim: Claim, parts: list[dict[str, Any]]) -> Judgement:
    """Chen & Chen's Sta (Eq. 9: the standard deviation over repeats, divided by their number) by an F-test.

    Theirs comes from ten repeats; a verdict on fewer of ours is provisional.
    """
    repeats, published = 10, claim.value or 0.0
    k = len(parts)
    if k < 2:
        return Judgement(claim, RUN[1], why="a spread takes at least two seeds")
    accuracies = [100 * p["result"]["val_selected"]["accuracy"] for p in parts]
    ours = float(np.std(accuracies))
    verdict = "reproduced"
    if max(ours, published) > 0:
        unbiased = ours**2 * k / (k - 1), published**2 * repeats / (repeats - 1)
        ratio = unbiased[0] / unbiased[1] if unbiased[1] else float("inf")
        tail = float(fisher.cdf(ratio, k - 1, repeats - 1))
        if 2 * min(tail, 1 - tail) < 0.05:
            verdict = "lower" if ours < published else "higher"
    runs = tables.evidence_label(parts)
    unsure = k < repeats or bool(chapters.star(parts))
    return Judgement(
        claim, verdict, unsure, f"{ours:.2f}", ours - published, runs=runs, why=f"F-test, {k} repeats"
    )


def direction(claim: Claim, results: Path | str) -> Judgement:
    """An order of models or a gain: the sign of the mean difference in accuracy over the seeds that both have."""
    first, rest = EXPERIMENTS[claim.experiment], [EXPERIMENTS[i] for i in claim.against.split()]
    records = {row.id: tables.parts_of(results, row.id) for row in (first, *rest)}
    empty = [row for row in (first, *rest) if not records[row.id]]
    if empty:
        return Judgement(claim, missing(empty[0]), why="no run of " + ", ".join(row.row for row in empty))
    sign = -1 if claim.kind == "gain" and (claim.value or 0) < 0 else 1
    verdicts, said = {}, []
    smallest = None
    for reading in ("val_selected", "paper_style"):
        gains = []
        for row in rest:
            if row.dataset != first.dataset:  # other test images: nothing is paired
                means = [
                    np.mean([p["result"][reading]["accuracy"] for p in records[r.id]]) for r in (row, first)
                ]
                gains.append(100 * float(means[1] - means[0]))
                if reading == "val_selected":
                    said.append(f"{chapters.signed(gains[-1])} over {row.row} on {row.column}")
                continue
            pairs = tables.pairs(results, row.id, first.id, reading)
            if not pairs:
                return Judgement(claim, RUN[1], why="no seed in common")
            gains.append(float(np.mean([p.difference for p in pairs])))
            if reading == "val_selected":
                p = min(pair.p for pair in pairs)
                said.append(f"{chapters.signed(gains[-1])} over {row.row} (McNemar p {p:.2g})")
        verdicts[reading] = "direction holds" if min(sign * g for g in gains) > 0 else "direction fails"
        smallest = min(gains, key=lambda g: sign * g) if smallest is None else smallest
    return Judgement(
        claim,
        verdicts["val_selected"],
        uncertain(*records.values()),
        chapters.signed(smallest or 0.0),
        None if claim.value is None else (smallest or 0.0) - claim.value,
        runs=tables.evidence_label(records[first.id]),
        at_best_test=verdicts["paper_style"],
        why="; ".join(said),
    )


def in_words(claim: Claim, results: Path | str) -> Judgement:
    """A statement in words, over the confusion matrices of all seeds together."""
    row, test = EXPERIMENTS[claim.experiment], words(claim.paper).get(claim.id)
    parts = tables.parts_of(results, row.id)
    if not parts or test is None:
        return Judgement(claim, missing(row) if test else "not testable")
    said = {r: test(matrix_of(parts, r)) for r in ("val_selected", "paper_style")}
    verdicts = {r: "direction holds" if held else "direction fails" for r, (held, _) in said.items()}
    return Judgement(
        claim,
        verdicts["val_selected"],
        uncertain(parts),
        said["val_selected"][1],
        runs=tables.evidence_label(parts),
        at_best_test=verdicts["paper_style"],
    )


def in_history(claim: Claim, results: Path | str) -> Judgement:
    """A statement on curves, losses or training figures: it holds where it holds in every seed."""
    rows = [EXPERIMENTS[name] for name in (claim.experiment, *claim.against.split())]
    by_seed = [{p["seed"]: p for p in tables.parts_of(results, row.id)} for row in rows]
    seeds = sorted(set.intersection(*(set(found) for found in by_seed)))
    if not seeds:
        return Judgement(claim, missing(rows[0]))
    test = histories(claim.paper)[claim.id]
    said = [test(*(found[seed] for found in by_seed)) for seed in seeds]
    verdict = "direction holds" if all(held for held, _ in said) else "direction fails"
    groups = [[found[seed] for seed in seeds] for found in by_seed]
    runs = tables.evidence_label(groups[0])
    return Judgement(claim, verdict, uncertain(*groups), "; ".join(text for _, text in said), runs=runs)


@cache
def network(identifier: str) -> tuple[int, int, int]:
    """Trainable parameters, all numbers that Keras counts (with batch normalisation's statistics), multiply-adds."""
    from ferlib.cost import channels_of
    from ferlib.models import build, count_multiply_adds, count_parameters

    row = EXPERIMENTS[identifier]
    variant = {**row.variant, "pretrained": False} if "pretrained" in row.variant else row.variant
    channels = channels_of(row)
    model = build(row.model, classes=classes_of(row), channels=channels, size=row.size, **variant)
    buffers = sum(
        b.numel() for name, b in model.named_buffers() if name.endswith(("running_mean", "running_var"))
    )
    trainable = count_parameters(model)
    return trainable, trainable + buffers, count_multiply_adds(model, channels=channels, size=row.size)


def classes_of(row: Experiment) -> int:
    return 8 if row.dataset == "ferplus" and row.dataset_options.get("classes", 8) == 8 else 7


SCALE = {"M": 1e6, "million": 1e6, "MFLOPs": 1e6, "K": 1e3, "G": 1e9, "GFLOPs": 1e9}


def from_network(claim: Claim, results: Path | str) -> Judgement:
    """Parameters (as Keras counts them where that paper does) or multiply-adds, to the printed digits."""
    trainable, keras, multiply_adds = network(claim.experiment)
    counts = {
        "parameters": keras if claim.paper == "a_mobilenet" else trainable,
        "multiply_adds": multiply_adds,
    }
    scale = SCALE.get(claim.unit, 1.0)
    published = claim.value or 0.0
    ours = counts[claim.check] / scale
    digits = len(claim.printed.partition(".")[2])
    off = 100 * (ours / published - 1)
    text = f"{ours:,.{max(digits, 2)}f}" if scale > 1 else f"{ours:,.0f}"
    same = abs(ours - published) <= claim.half_unit + 1e-9
    verdict = "reproduced" if same else ("lower" if ours < published else "higher")
    return Judgement(claim, verdict, ours=text, difference=ours - published, why=f"{off:+.2f} %")


def from_audit(claim: Claim, results: Path | str) -> Judgement:
    """A count in the data, measured once (`ferlib data audit`) and kept in ``audit.json`` among the results."""
    path = Path(results) / "audit.json"
    found: Any = json.loads(path.read_text()) if path.is_file() else {}
    found = found.get("reproducible", found)
    for step in claim.experiment.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    if not isinstance(found, int | float):
        dataset = claim.experiment.partition(".")[0]
        return Judgement(claim, RUN[0] if dataset in LICENSED else "not testable", why="not measured")
    published = claim.value or 0.0
    verdict = (
        "reproduced"
        if abs(found - published) <= claim.half_unit + 1e-9
        else ("lower", "higher")[found > published]
    )
    return Judgement(claim, verdict, ours=f"{found:,}", difference=found - published, why=claim.experiment)


OPERATORS: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def evaluated(expression: str, known: Mapping[str, Claim]) -> tuple[float, float]:
    """An expression over ids of claims, numbers and + - * /: its value, and the most that rounding may hide.

    Ids hold hyphens: an operator stands between spaces. ValueError for anything else.
    """
    names = {f"v{i}": name for i, name in enumerate(known)}
    places = {name: v for v, name in names.items()}
    text = " ".join(places.get(token, token) for token in re.findall(r"[()]|[^\s()]+", expression))

    def value(node: ast.AST, moved: Mapping[str, float]) -> float:
        if isinstance(node, ast.Expression):
            return value(node.body, moved)
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            return OPERATORS[type(node.op)](value(node.left, moved), value(node.right, moved))
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            return float(node.value)
        if isinstance(node, ast.Name) and node.id in names:
            claim = known[names[node.id]]
            return (claim.value or 0.0) + moved.get(node.id, 0.0)
        raise ValueError(f"{expression!r}: only ids, numbers and + - * / between spaces")

    tree = ast.parse(text, mode="eval")
    exact = value(tree, {})
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    hidden = sum(abs(value(tree, {v: known[names[v]].half_unit}) - exact) for v in used)
    return exact, hidden


def from_arithmetic(claim: Claim, results: Path | str) -> Judgement:
    known = {c.id: c for c in load(claim.paper)}
    exact, hidden = evaluated(claim.against, known)
    published = claim.value or 0.0
    if claim.kind == "count":  # whole numbers hide nothing
        hidden = 0.0
    follows = abs(exact - published) <= hidden + claim.half_unit + 1e-9
    return Judgement(
        claim,
        "reproduced" if follows else "contradicts itself",
        ours=f"{exact:.4g}",
        difference=exact - published,
        why=f"from the paper's own {claim.against}",
    )


def from_nothing(claim: Claim, results: Path | str) -> Judgement:
    return Judgement(claim, "not testable", why=claim.note)


JUDGES: dict[str, Callable[[Claim, Path | str], Judgement]] = {
    "record": from_records,
    "gain": direction,
    "order": direction,
    "words": in_words,
    "history": in_history,
    "parameters": from_network,
    "multiply_adds": from_network,
    "audit": from_audit,
    "arithmetic": from_arithmetic,
    "none": from_nothing,
}


def contradictions(claims: Sequence[Claim]) -> dict[str, str]:
    """Id of each claim whose number differs from the one that most places, tables first, print -> what they print."""
    groups: dict[tuple[str, str], list[Claim]] = {}
    for claim in claims:
        if claim.same and claim.value is not None:
            groups.setdefault((claim.paper, claim.same), []).append(claim)
    found = {}
    for members in groups.values():
        tally = Counter(round(m.value or 0.0, 9) for m in members)
        in_tables = {round(m.value or 0.0, 9) for m in members if m.place.startswith("Table")}
        value = max(tally, key=lambda v: (v in in_tables, tally[v]))
        main = next(m for m in members if round(m.value or 0.0, 9) == value)
        for m in members:
            allowed = m.half_unit + main.half_unit if m.half_unit != main.half_unit else 0.0
            if abs((m.value or 0.0) - value) > allowed + 1e-9:
                found[m.id] = f"{main.place} prints {main.printed}"
    return found


def judge(claim: Claim, results: Path | str, contradicted: Mapping[str, str]) -> Judgement:
    """The verdict on one claim; one that the paper itself prints otherwise elsewhere is not run against."""
    if claim.id in contradicted:
        return Judgement(claim, "contradicts itself", why=contradicted[claim.id])
    return JUDGES[claim.check](claim, results)


def ledger(results: Path | str, claims: Sequence[Claim] | None = None) -> list[Judgement]:
    """Every claim with its verdict, in the order of the papers."""
    rows = load() if claims is None else claims
    contradicted = contradictions(rows)
    return [judge(claim, results, contradicted) for claim in rows]


def counts(judgements: Sequence[Judgement]) -> pd.DataFrame:
    """Claims by verdict (rows) and paper (columns), with totals; verdicts that none has are left out."""
    frame = pd.DataFrame([{"verdict": j.title, "paper": j.claim.paper} for j in judgements])
    table = pd.crosstab(frame["verdict"], frame["paper"])
    order = [t for v in VERDICTS for t in (v, f"provisional: {v}") if t in table.index]
    table = table.loc[order, [p for p in dict.fromkeys(frame["paper"])]]
    table["all"] = table.sum(axis=1)
    table.loc["all"] = table.sum()
    return table
