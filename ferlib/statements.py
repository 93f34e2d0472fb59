"""What a paper says in words about its confusion matrices, as predicates over a record's metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

Test = Callable[[Mapping[str, Any]], tuple[bool, str]]


@dataclass(frozen=True)
class Statement:
    """A sentence of the paper as a predicate over metrics: ``test(result) -> (holds, what is so in ours)``."""

    where: str
    text: str
    test: Test


def recall_at_least(name: str, bound: float) -> Test:
    """``name``'s recall (%) is at least ``bound``."""

    def test(result: Mapping[str, Any]) -> tuple[bool, str]:
        value = 100 * result["per_class_recall"][name]
        return value >= bound, f"{value:.1f} %"

    return test


def recall_below(name: str, bound: float) -> Test:
    def test(result: Mapping[str, Any]) -> tuple[bool, str]:
        value = 100 * result["per_class_recall"][name]
        return value < bound, f"{value:.1f} %"

    return test


def recalled_best(name: str) -> Test:
    """``name`` has the highest recall, alone or with others."""

    def test(result: Mapping[str, Any]) -> tuple[bool, str]:
        recalls = {k: v for k, v in result["per_class_recall"].items() if v is not None}
        top = [k for k, v in recalls.items() if v == max(recalls.values())]
        return name in top, f"highest: {', '.join(top)} ({100 * max(recalls.values()):.1f} %)"

    return test


def recalled_worst(name: str) -> Test:
    """``name`` has the lowest recall, alone or with others."""

    def test(result: Mapping[str, Any]) -> tuple[bool, str]:
        recalls = {k: v for k, v in result["per_class_recall"].items() if v is not None}
        last = [k for k, v in recalls.items() if v == min(recalls.values())]
        return name in last, f"lowest: {', '.join(last)} ({100 * min(recalls.values()):.1f} %)"

    return test


def more_correct_than(name: str, count: int) -> Test:
    """More than ``count`` images of ``name`` are recognised."""

    def test(result: Mapping[str, Any]) -> tuple[bool, str]:
        row = result["confusion"][i := list(result["per_class_recall"]).index(name)]
        return row[i] > count, f"{row[i]:,} of {sum(row):,}"

    return test


def taken_for(name: str, *others: str, both: bool = False) -> Test:
    """Images of ``name`` that are not recognised go most often to one of ``others`` (``both``: to all of them)."""

    def test(result: Mapping[str, Any]) -> tuple[bool, str]:
        names = list(result["per_class_recall"])
        counts = dict(zip(names, result["confusion"][names.index(name)], strict=True))
        wrong = sorted(((n, k) for k, n in counts.items() if k != name and n), reverse=True)
        if not wrong:
            return False, "never mistaken"
        top = {k for _, k in wrong[: len(others)]} if both else {k for n, k in wrong if n == wrong[0][0]}
        held = set(others) <= top if both else bool(set(others) & top)
        return held, "taken for " + ", ".join(f"{k} ({n})" for n, k in wrong[:3])

    return test


def statements(results: Mapping[str, Mapping[str, Any]], said: Sequence[Statement]) -> pd.DataFrame:
    """Whether each statement holds in each of ``results`` (title -> metrics)."""
    lines = []
    for statement in said:
        for title, result in results.items():
            holds, ours = statement.test(result)
            lines.append(
                {
                    "where": statement.where,
                    "the text says": statement.text,
                    "in our run of": title,
                    "holds": "yes" if holds else "no",
                    "ours": ours,
                }
            )
    return pd.DataFrame(lines)
