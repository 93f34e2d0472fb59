"""What a paper says in words about its confusion matrices, as predicates over a record's metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ferlib.data.dataset import book_name
from ferlib.evaluate import wilson


class Matrix(NamedTuple):
    """A confusion matrix with its classes: ``counts`` (K, K), rows true, columns predicted."""

    classes: tuple[str, ...]
    counts: np.ndarray

    def recall(self) -> dict[str, float]:
        """Percent, of the classes that have images."""
        support = self.counts.sum(axis=1)
        return {c: 100 * self.counts[i, i] / support[i] for i, c in enumerate(self.classes) if support[i]}

    def correct(self) -> dict[str, float]:
        """Number of images that are recognised, the diagonal; of the classes that have images."""
        support = self.counts.sum(axis=1)
        return {c: float(self.counts[i, i]) for i, c in enumerate(self.classes) if support[i]}

    def mistaken(self, name: str) -> list[tuple[int, str]]:
        """Classes that images of ``name`` are wrongly taken for, with counts, the most frequent first."""
        row = self.counts[self.classes.index(name)]
        found = [(int(n), c) for n, c in zip(row, self.classes, strict=True) if c != name and n]
        return sorted(found, key=lambda pair: (-pair[0], self.classes.index(pair[1])))


Test = Callable[[Matrix], tuple[bool | None, str]]  # None: these images cannot tell


@dataclass(frozen=True)
class Statement:
    """A sentence of the paper as a predicate: ``test(matrix) -> (holds, what is so in ours)``.

    ``holds`` is None where the images cannot tell, as where all of them are recognised.
    """

    where: str
    text: str
    test: Test


def ahead(first: float, second: float) -> bool | None:
    """Whether ``first`` is above ``second``, two accuracies; None where they are equal but for rounding."""
    return None if abs(first - second) < 1e-9 else first > second


def recall_at_least(name: str, bound: float) -> Test:
    """``name``'s recall (%) is at least ``bound``, in our images as they are; its interval is told."""
    return lambda m: (m.recall()[name] >= bound, _recall_told(m, name))


def recall_below(name: str, bound: float) -> Test:
    """``name``'s recall (%) is below ``bound``, in our images as they are; its interval is told."""
    return lambda m: (m.recall()[name] < bound, _recall_told(m, name))


def recall_compatible(name: str, printed: float) -> Test:
    """The 95 % interval (Wilson) of ``name``'s recall contains the printed one (%)."""

    def test(matrix: Matrix) -> tuple[bool, str]:
        low, high = _recall_bounds(matrix, name)
        return low <= printed <= high, _recall_told(matrix, name)

    return test


def _recall_bounds(matrix: Matrix, name: str) -> tuple[float, float]:
    """The 95 % interval (Wilson) of ``name``'s recall (%)."""
    row = matrix.counts[i := matrix.classes.index(name)]
    low, high = wilson(int(row[i]), int(row.sum()))
    return 100 * low, 100 * high


def _recall_told(matrix: Matrix, name: str) -> str:
    low, high = _recall_bounds(matrix, name)
    return f"{matrix.recall()[name]:.1f} % [{low:.0f}, {high:.0f}]"


def recall_between(name: str, low: float, high: float) -> Test:
    """``name``'s recall (%) lies between the bounds, which are not met."""

    def test(matrix: Matrix) -> tuple[bool, str]:
        row = matrix.counts[i := matrix.classes.index(name)]
        return low < matrix.recall()[name] < high, f"{row[i]:,} of {row.sum():,}"

    return test


def recalls_within(points: float) -> Test:
    """The highest and the lowest recall (%) differ by at most ``points``."""

    def test(matrix: Matrix) -> tuple[bool, str]:
        low, high = min(matrix.recall().values()), max(matrix.recall().values())
        return high - low <= points, f"recalls from {low:.1f} to {high:.1f} %"

    return test


def recall_within(name: str, printed: float, points: float) -> Test:
    """``name``'s recall (%) is at most ``points`` from the printed one."""
    return lambda m: (abs((r := m.recall()[name]) - printed) <= points, f"{r:.1f} %")


def every_recall_at_least(bound: float, *but: str) -> Test:
    """Every class, but for those named, has a recall (%) of at least ``bound``."""

    def test(matrix: Matrix) -> tuple[bool, str]:
        recall, lowest = min((r, c) for c, r in matrix.recall().items() if c not in but)
        return (
            recall >= bound,
            f"lowest: {lowest} ({recall:.1f} %)" if recall < 100 else f"all {recall:.1f} %",
        )

    return test


def mistaken_only(*names: str) -> Test:
    """Some images of each of ``names`` are not recognised, and all images of all other classes are."""

    def test(matrix: Matrix) -> tuple[bool, str]:
        wrong = [c for c, r in matrix.recall().items() if r < 100]
        return set(wrong) == set(names), f"not all right: {', '.join(wrong) or 'none'}"

    return test


def recalled_best(*names: str) -> Test:
    """No other class has a higher recall than any of ``names``; None where all classes are alike."""
    return lambda m: _extreme(m.recall(), names, -1, "highest", "{:.1f} %")


def recalled_worst(*names: str) -> Test:
    """No other class has a lower recall than any of ``names``; None where all classes are alike."""
    return lambda m: _extreme(m.recall(), names, 1, "lowest", "{:.1f} %")


def most_correct(name: str) -> Test:
    """No other class has more correct images, by number, than ``name``; None where all classes are alike."""
    return lambda m: _extreme(m.correct(), (name,), -1, "most", "{:,.0f}")


def fewest_correct(name: str) -> Test:
    """No other class has fewer correct images, by number, than ``name``; None where all classes are alike."""
    return lambda m: _extreme(m.correct(), (name,), 1, "fewest", "{:,.0f}")


def _extreme(
    values: Mapping[str, float], names: Sequence[str], sign: int, word: str, shape: str
) -> tuple[bool | None, str]:
    if len({*values.values()}) == 1:
        return None, f"all alike ({shape.format(max(values.values()))})"
    ranked = sorted(values, key=lambda c: sign * values[c])
    tied = [c for c in ranked if values[c] == values[ranked[len(names) - 1]]]
    shown = dict.fromkeys([*ranked[: len(names)], *tied])
    inside = max(sign * values[c] for c in names)
    holds = all(sign * values[c] >= inside for c in ranked if c not in names)
    return holds, f"{word}: " + ", ".join(f"{c} ({shape.format(values[c])})" for c in shown)


def recalled_in_order(*names: str) -> Test:
    """The recalls of ``names`` fall from the first to the last."""

    def test(matrix: Matrix) -> tuple[bool, str]:
        found = [matrix.recall()[c] for c in names]
        return found == sorted(found, reverse=True), ", ".join(
            f"{c} {r:.1f} %" for c, r in zip(names, found, strict=True)
        )

    return test


def more_correct_than(name: str, count: int) -> Test:
    """More than ``count`` images of ``name`` are recognised."""

    def test(matrix: Matrix) -> tuple[bool, str]:
        row = matrix.counts[i := matrix.classes.index(name)]
        return bool(row[i] > count), f"{row[i]:,} of {row.sum():,}"

    return test


def correct_between(name: str, low: int, high: int) -> Test:
    """``low`` to ``high`` images of ``name`` are recognised."""

    def test(matrix: Matrix) -> tuple[bool, str]:
        row = matrix.counts[i := matrix.classes.index(name)]
        return bool(low <= row[i] <= high), f"{row[i]:,} of {row.sum():,}"

    return test


def taken_for(name: str, *others: str, both: bool = False) -> Test:
    """Images of ``name`` that are not recognised go most often to one of ``others`` (``both``: to all of them).

    None where all of them are recognised.
    """

    def test(matrix: Matrix) -> tuple[bool | None, str]:
        wrong = matrix.mistaken(name)
        if not wrong:
            return None, "never mistaken"
        if both:
            held = set(others) <= {c for _, c in wrong[: len(others)]}
        else:
            held = bool(set(others) & {c for n, c in wrong if n == wrong[0][0]})
        return held, "taken for " + ", ".join(f"{c} ({n})" for n, c in wrong[:3])

    return test


def rarest(*names: str) -> Test:
    """``names`` have the fewest images."""

    def test(matrix: Matrix) -> tuple[bool, str]:
        support = dict(zip(matrix.classes, matrix.counts.sum(axis=1), strict=True))
        ranked = sorted(support, key=lambda c: int(support[c]))[: len(names)]
        return set(ranked) == set(names), ", ".join(f"{c} ({support[c]:,})" for c in ranked)

    return test


def matrix_of(parts: Sequence[Mapping[str, Any]], reading: str = "val_selected") -> Matrix:
    """The confusion matrix of these records together (`reproducible` parts), such as all folds of one row.

    The classes have the book's names, in the order of the data: ``per_class_recall`` of a record is not in order, JSON
    sorts its names.
    """
    counts = np.sum([p["result"][reading]["confusion"] for p in parts], axis=0)
    return Matrix(tuple(map(book_name, parts[0]["data"]["classes"])), counts)


HOLDS = {True: "yes", False: "no", None: "cannot tell"}


def statements(matrices: Mapping[str, Matrix], said: Sequence[Statement]) -> pd.DataFrame:
    """Whether each statement holds in each of ``matrices`` (title -> matrix), a line for each pair."""
    lines = []
    for statement in said:
        for title, matrix in matrices.items():
            holds, ours = statement.test(matrix)
            lines.append(
                {
                    "where": statement.where,
                    "the text says": statement.text,
                    "in our run of": title,
                    "holds": HOLDS[holds],
                    "ours": ours,
                }
            )
    return pd.DataFrame(lines)
