"""From the ledger's rows and the records to verdicts: what `ferlib.claims.verdicts` says, computed, never typed."""

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
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import logsumexp
from scipy.stats import norm

from ferlib import chapters, records, tables
from ferlib.claims import Claim, load
from ferlib.claims.costs_and_counts import classes_of
from ferlib.claims.judge_statements import (
    SIGNIFICANT,
    from_attention,
    from_facts,
    from_heads,
    from_tests,
    gathered,
    in_history,
    in_words,
    stability,
    steadier,
)
from ferlib.claims.verdicts import (
    LICENSED,
    RUN,
    VERDICTS,
    Judgement,
    by_interval,
    difference_interval,
    mean_interval,
    missing,
    uncertain,
)
from ferlib.couples import LAST, couple, last_epochs, lost
from ferlib.evaluate import widened
from ferlib.experiments import EXPERIMENTS, Experiment
from ferlib.wording import DATASETS, variant

READINGS = ("val_selected", "paper_style")
ACCURACY = "test accuracy"
NEED_RUNS = (
    "record",
    "gain",
    "order",
    "words",
    "history",
    "attention",
    "heads",
    "t_test",
    "spread",
    "scatter",
)


def rests_on_runs(judged: Judgement) -> bool:
    """Whether training runs decide this verdict: not where a paper's own numbers contradict each other."""
    return judged.claim.check in NEED_RUNS and judged.verdict != "contradicts itself"


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
        return epochs_run(claim, row, parts)
    if claim.value is None:
        return Judgement(claim, "not testable", why="no number is printed")
    if claim.quantity == "Sta":
        return stability(claim, parts)
    if claim.quantity in LOSSES:
        return loss(claim, parts, results)
    verdicts, shown = {}, None
    for reading in READINGS:
        found = [quantity_of(claim.quantity, p, reading) for p in parts]
        values = [f for f in found if f is not None]
        if not values:
            continue
        rates, n = [v for v, _ in values], values[0][1]
        whole = n == parts[0]["result"][reading]["n"]
        worth = independent(parts, reading) if whole else n
        d, low, high = (100 * x for x in difference_interval(rates, claim.value / 100, worth))
        verdicts[reading] = by_interval(d, low, high)
        if shown is None:
            size = f"n = {n:,}" + (f", worth {worth:,} independent ones (design effect)" if worth < n else "")
            shown = spread_of(100 * np.array(rates), 2), d, low, high, size
    if shown is None:
        return Judgement(claim, "not testable", why=f"the records hold no {claim.quantity}")
    ours, d, low, high, size = shown
    verdict = verdicts.get("val_selected", next(iter(verdicts.values())))
    best = verdicts.get("paper_style", "")
    if claim.quantity == "training accuracy":
        size += as_met(parts, "train_accuracy", 100)
    elif (other := on_merged(claim, row, parts)) is not None:
        if verdict == "reproduced" != other.verdict:
            size = f"{other.text}, which decides; on the official one {ours}, {d:+.2f} {chapters.bounds(low, high)}"
            verdict, ours, (d, low, high) = other.verdict, other.ours, other.bounds
        else:
            size += f"; {other.text}"
        best = other.verdict if best == "reproduced" else best  # what is reproduced must be so on both
    return Judgement(
        claim,
        verdict,
        uncertain(parts),
        ours,
        d,
        low,
        high,
        tables.evidence_label(parts),
        best,
        size,
    )


class Merged(NamedTuple):
    """What FER2013's merged test part says of a claim: ours, its difference with bounds (points), and in words."""

    verdict: str
    ours: str
    bounds: tuple[float, float, float]
    text: str


def on_merged(claim: Claim, row: Experiment, parts: Sequence[Mapping[str, Any]]) -> Merged | None:
    """The verdict on FER2013's merged test part and how it comes about, for a paper that tested on that part.

    Of validation and test images together, in the epoch that is best on them, which favours ours. What is reproduced
    must be so there as well. None for a row of a paper that did not, and for a quantity that the records lack there.
    """
    if f"{row.id}-merged" not in EXPERIMENTS or any("merged" not in p["result"] for p in parts):
        return None
    found = [quantity_of(claim.quantity, p, "merged") for p in parts]
    values = [f for f in found if f is not None]
    if not values or claim.value is None:
        return None
    rates, n = [v for v, _ in values], values[0][1]
    d, low, high = (100 * x for x in difference_interval(rates, claim.value / 100, n))
    verdict, ours = by_interval(d, low, high), spread_of(100 * np.array(rates), 2)
    text = (
        f"on the merged test part, which the paper used, best epoch on it, n = {n:,}: "
        f"{ours}, {d:+.2f} {chapters.bounds(low, high)}, {verdict}"
    )
    return Merged(verdict, ours, (d, low, high), text)


def shortened(judged: Judgement) -> bool:
    """Whether the runs behind a verdict had fewer epochs or training images than their row: it measures that, too."""
    return "reduced" in judged.runs


def distinct(judged: Sequence[Judgement]) -> int:
    """How many different statements these are: a paper may print one quantity of one network at several places."""
    return len(
        {(j.claim.paper, j.claim.dataset, j.claim.quantity, j.claim.model, j.claim.check) for j in judged}
    )


def independent(parts: Sequence[Mapping[str, Any]], reading: str) -> int:
    """How many independent images the test images are worth, in the mean over seeds: `ferlib.evaluate.worth`."""
    return round(float(np.mean(tables.independent([part["result"][reading] for part in parts]))))


def spread_of(values: np.ndarray, digits: int) -> str:
    """The mean over seeds, with their standard deviation where there are several."""
    spread = f" ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{values.mean():.{digits}f}{spread}"


def epochs_run(claim: Claim, row: Experiment, parts: list[dict[str, Any]]) -> Judgement:
    """After how many epochs full runs stopped: reproduced where the printed epoch is one of them or lies between."""
    epochs = [int(p["epochs_run"]) for p in parts if p["profile"] == "full"]
    if not epochs:
        return Judgement(claim, missing(row), why="shortened runs say nothing on it")
    ran, published = float(np.mean(epochs)), claim.value or 0.0
    between = min(epochs) <= published <= max(epochs)
    verdict = "reproduced" if between else ("lower" if ran < published else "higher")
    text = ", ".join(map(str, epochs))
    return Judgement(
        claim, verdict, uncertain(parts), text, ran - published, runs=tables.evidence_label(parts)
    )


LOSSES = ("test loss", "training loss")


def loss(claim: Claim, parts: list[dict[str, Any]], results: Path | str) -> Judgement:
    """A mean cross-entropy, by an interval from the losses of single test images; its width is per cent of the print.

    Records hold no single training losses: those of test images, which spread wider, stand for them.
    """
    verdicts, shown = {}, None
    for reading in READINGS:
        found = [p["result"][reading] for p in parts]
        if claim.quantity == "training loss":
            found = [result["train"] for result in found if "train" in result]
        if not found:
            continue
        means, published = [float(result["loss"]) for result in found], claim.value or 0.0
        paths = [records.path_of(results, p["experiment"]["id"], p["seed"]) for p in parts]
        values = np.concatenate([image_losses(path, reading) for path in paths])
        n = len(values) // len(parts)
        if claim.quantity == "training loss":
            n = sum(parts[0]["data"]["counts"]["train"].values())
        d, low, high = mean_interval(means, published, list(values), n)
        scale = 100 / published
        verdicts[reading] = by_interval(scale * d, scale * low, scale * high)
        shown = shown or (spread_of(np.array(means), 3), d, low, high, n)
    if shown is None:
        return Judgement(claim, "not testable", why=f"the records hold no {claim.quantity}")
    ours, d, low, high, n = shown
    runs, best = tables.evidence_label(parts), verdicts.get("paper_style", "")
    why = f"cross-entropy, n = {n:,}"
    if claim.quantity == "training loss":
        why += as_met(parts, "train_loss", 1)
    return Judgement(claim, verdicts["val_selected"], uncertain(parts), ours, d, low, high, runs, best, why)


def as_met(parts: Sequence[Mapping[str, Any]], name: str, scale: float) -> str:
    """What training itself met in the chosen epochs, with augmentation and dropout, as Keras prints it."""
    epochs = [p["result"]["val_selected"]["epoch"] for p in parts]
    met = [scale * p["history"][epoch][name] for p, epoch in zip(parts, epochs, strict=True)]
    return f"; evaluated. In training, with augmentation and dropout, {np.mean(met):.2f}"


def image_losses(path: Path, reading: str) -> np.ndarray:
    """Cross-entropy of each test image (N,) from the recorded logits."""
    arrays = records.read_predictions(path)
    logits, labels = arrays[f"{reading}_test_logits"].astype(np.float64), arrays["test_labels"]
    return np.asarray(logsumexp(logits, axis=1) - logits[np.arange(len(labels)), labels])


def direction(claim: Claim, results: Path | str) -> Judgement:
    """An order of models or a gain: mean differences in accuracy over the seeds that both have, each tested.

    Against several rows the direction holds where it holds against each, and fails where it fails against one.
    """
    first, rest = EXPERIMENTS[claim.experiment], [EXPERIMENTS[i] for i in claim.against.split()]
    parts = {row.id: tables.parts_of(results, row.id) for row in (first, *rest)}
    empty = [row for row in (first, *rest) if not parts[row.id]]
    if empty:
        return Judgement(claim, missing(empty[0]), why=f"no run of {named(empty)}")
    sign = -1 if claim.kind == "gain" and (claim.value or 0) < 0 else 1
    found = {reading: [gain_over(row, first, results, reading) for row in rest] for reading in READINGS}
    if any(one is None for of_reading in found.values() for one in of_reading):
        return Judgement(claim, RUN[1], why="no seed in common")
    chosen = [one for one in found["val_selected"] if one]
    least = min(chosen, key=lambda one: sign * one.points)
    value = claim.value
    compared = min((one.seeds for one in chosen), key=len)
    paired = all(row.dataset == first.dataset for row in rest)
    used = [[p for p in of_row if p["seed"] in compared or not paired] for of_row in parts.values()]
    labels = [tables.evidence_label(of_row) for of_row in (used[:1] if paired else used)]
    verdicts = [joint([one.outcome(sign) for one in of_reading if one]) for of_reading in found.values()]
    return Judgement(
        claim,
        verdicts[0],
        uncertain(*used),
        chapters.signed(least.points),
        None if value is None else least.points - value,
        None if value is None else least.low - value,
        None if value is None else least.high - value,
        " against ".join(dict.fromkeys(labels)),
        verdicts[1],
        "; ".join(one.text for one in chosen),
    )


def joint(outcomes: Sequence[str]) -> str:
    """Of several orders that one sentence claims: the worst."""
    return max(outcomes, key=("direction holds", "not shown", "direction fails").index)


def named(rows: Sequence[Experiment], most: int = 3) -> str:
    """Rows in a sentence: all of them where they are few, else how many and the first two."""
    if len(rows) <= most:
        return "; ".join(map(variant, rows))
    return f"{len(rows)} rows, for example {'; '.join(map(variant, rows[:2]))}"


@dataclass(frozen=True)
class Compared:
    """A row minus another: mean difference (points) over ``seeds`` with its 95 % interval and p, in words as well."""

    points: float
    low: float
    high: float
    p: float
    seeds: tuple[int, ...]
    text: str

    def outcome(self, sign: int) -> str:
        if self.p >= SIGNIFICANT or not self.points:
            return "not shown"
        return "direction holds" if sign * self.points > 0 else "direction fails"


def gain_over(other: Experiment, row: Experiment, results: Path | str, reading: str) -> Compared | None:
    """The mean gain of a row over another; None without a common seed.

    `Couple.test`: McNemar's exact test where they share one seed and the images are independent; else people on CK+
    count as a whole, and several seeds with their spread.
    """
    if other.dataset != row.dataset:
        return unpaired_gain(other, row, results, reading)
    found = couple(other.id, row.id, results, reading)
    if found is None:
        return None
    test, end = found.test(), last_epochs(other.id, row.id, results, found.seeds)
    last = f", but {end[0]:+.2f} over the last {LAST} epochs" if end and lost(test["mean"], end[0]) else ""
    return compared(test, found.seeds, f"over {variant(other)} ({found.how}){last}")


def compared(test: Mapping[str, float], seeds: Sequence[int], over: str) -> Compared:
    """From mean, low, high (points) and p."""
    text = f"{chapters.signed(test['mean'])} {chapters.bounds(test['low'], test['high'])} {over}"
    return Compared(test["mean"], test["low"], test["high"], test["p"], tuple(seeds), text)


def unpaired_gain(other: Experiment, row: Experiment, results: Path | str, reading: str) -> Compared:
    """On other test images nothing is paired: Newcombe's interval of two accuracies, widened by both rows' seeds."""
    parts = [tables.parts_of(results, r.id) for r in (other, row)]
    rates = [[float(p["result"][reading]["accuracy"]) for p in found] for found in parts]
    first, second = (float(np.mean(of_row)) for of_row in rates)
    n_first, n = (independent(found, reading) for found in parts)
    _, low, high = difference_interval(rates[1], first, n, n_first)
    low, high, _ = widened(second - first, low, high, rates[0], n_first)
    error = (high - low) / (2 * norm.ppf(0.975))
    p = float(2 * norm.sf(abs(second - first) / error)) if error else 1.0
    test = {"mean": 100 * (second - first), "low": 100 * low, "high": 100 * high, "p": p}
    seeds = [p["seed"] for p in min(parts, key=len)]
    return compared(test, seeds, f"over {variant(other)} on {DATASETS[other.dataset]}")


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
    found: Any = {}
    if path.is_file():
        with records.reading(path, "ferlib data audit", "not measured yet"):
            found = json.loads(path.read_text())
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
    return Judgement(
        claim, verdict, ours=f"{found:,}", difference=found - published, why=f"audit.json: {claim.experiment}"
    )


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
        ours=f"{exact:,.0f}" if abs(exact) >= 1000 else f"{exact:.4g}",
        difference=exact - published,
        why=f"from the paper's own {as_printed(claim.against, known)}",
    )


def as_printed(expression: str, known: Mapping[str, Claim]) -> str:
    """An expression over ids of claims with what the paper prints in their place."""

    def word(token: str) -> str:
        if token not in known:
            return {"*": "×", "-": "−"}.get(token, token)
        printed = re.sub(r"(?<=\d),\s(?=\d{3})", ",", known[token].printed)
        return f"{printed} %" if known[token].unit == "%" and "%" not in printed else printed

    words = map(word, re.findall(r"[()]|[^\s()]+", expression))
    return " ".join(words).replace("( ", "(").replace(" )", ")")


def from_nothing(claim: Claim, results: Path | str) -> Judgement:
    return Judgement(claim, "not testable", why=claim.note)


JUDGES: dict[str, Callable[[Claim, Path | str], Judgement]] = {
    "record": from_records,
    "gain": direction,
    "order": direction,
    "words": in_words,
    "history": in_history,
    "fact": from_facts,
    "attention": from_attention,
    "heads": from_heads,
    "t_test": from_tests,
    "spread": steadier,
    "scatter": gathered,
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
