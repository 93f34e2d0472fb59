"""The votes of FERPlus: how its files are read, and how ten votes become a label.

The rules follow https://github.com/microsoft/FERPlus, ``src/ferplus.py``, on whole arrays.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ferlib.data import folders, pixelcsv
from ferlib.errors import DataError

CLASSES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
VOTES = (*CLASSES, "unknown", "NF")  # the columns of the votes file; NF: not a face
_POSSIBLE = frozenset(str(n) for n in range(11))  # ten annotators


def targets(votes: np.ndarray, rule: str) -> np.ndarray:
    """Votes (N, 10) to weights of the classes, float64 (N, 8); a row of zeros is an image that is dropped."""
    if rule == "argmax":
        kept = _only(votes, votes.argmax(axis=1))
    else:
        clean = np.where(votes > 1, votes, 0)  # a single vote is an outlier
        kept = _peak(clean) if rule == "majority" else _strongest(clean)
    kept = kept.astype(float)
    kept[kept.argmax(axis=1) >= len(CLASSES)] = 0  # unknown or not a face
    weights = kept[:, : len(CLASSES)]
    total = weights.sum(axis=1, keepdims=True)
    return np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)


def _only(votes: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Everything but one column of each row set to zero."""
    return np.where(np.arange(votes.shape[1]) == column[:, None], votes, 0)


def _peak(votes: np.ndarray) -> np.ndarray:
    enough = votes.max(axis=1) > 0.5 * votes.sum(axis=1)
    return np.where(enough[:, None], _only(votes, votes.argmax(axis=1)), 0)


def _strongest(votes: np.ndarray) -> np.ndarray:
    """The mode "probability" of the official ferplus.py, all rows at once.

    Round by round the class with the most votes, with all that tie with it, is taken over, until three
    quarters of the votes are in or three classes are. Unknown or non-face ends it, and counts only if it
    came first. What is left must be more than half of the votes and no more than three classes.
    """
    total = votes.sum(axis=1)
    left, taken = votes.copy(), np.zeros_like(votes)
    part, count = np.zeros(len(votes)), np.zeros(len(votes), int)
    going = np.ones(len(votes), bool)
    for _ in range(3):
        going &= (part < 0.75 * total) & (count < 3)
        best = left.max(axis=1, keepdims=True)
        tied = (left == best) & going[:, None]
        tied[:, 9] &= ~tied[:, 8]  # the code leaves the loop at the first of the two
        taken, left = np.where(tied, left, taken), np.where(tied, 0, left)
        part += np.where(tied, best, 0).sum(axis=1)
        ended = tied[:, 8:].any(axis=1)
        late = ended & (taken.sum(axis=1) > best[:, 0])  # emotions stand before unknown or non-face
        taken[late, 8:] = 0
        count += tied.sum(axis=1) - late
        going &= ~ended
    sound = (taken.sum(axis=1) > 0.5 * total) & (count <= 3)
    return np.where(sound[:, None], taken, 0)


def votes_file(source: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Usage as split (N,), image names (N,) and votes (N, 10). Rows without a name get their number."""
    usage, names, votes = [], [], []
    for line, row in _rows(source):
        if line == 1:
            if [c.strip().lower() for c in row] != ["usage", "image name", *(v.lower() for v in VOTES)]:
                raise DataError(f"{source.name}, line 1 must read: Usage,Image name,{','.join(VOTES)}")
            continue
        at = pixelcsv.place(source, line)
        if len(row) != 2 + len(VOTES):
            raise DataError(f"{at} has {len(row)} columns, not {2 + len(VOTES)}: get a fresh copy")
        if row[0] not in pixelcsv.USAGES:
            raise DataError(f"{at} has Usage {row[0][:20]!r}: it must be {', '.join(pixelcsv.USAGES)}")
        usage.append(pixelcsv.USAGES[row[0]])
        names.append(row[1].strip() or f"unnamed{line - 2:07d}")
        votes.append(_counts(at, row[2:]))
    return np.array(usage), unique(names), np.array(votes, np.int64).reshape(-1, len(VOTES))


def _rows(source: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        with open(source, newline="", encoding="utf-8-sig") as file:
            yield from enumerate(csv.reader(file), start=1)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{source.name} cannot be read ({error}): get a fresh copy") from None


def _counts(at: str, row: list[str]) -> list[int]:
    for value in row:
        if value.strip() not in _POSSIBLE:
            raise DataError(f"{at} has the vote {value[:20]!r}: each must be a number 0..10")
    return [int(value) for value in row]


def unique(names: list[str]) -> np.ndarray:
    """Names (N,) with ``#2`` behind the second use: the official file gives four names to two rows each."""
    seen: Counter[str] = Counter()
    result = []
    for name in names:
        seen[name] += 1
        result.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return np.array(result)


def label_file(source: Path) -> list[tuple[str, list[int]]]:
    """Rows ``name,votes...`` of a label.csv; an older one has the face's box as second column."""
    rows = []
    for line, row in _rows(source):
        at = f"{source.parent.name}/{source.name}, line {line}"
        votes = row[2:] if len(row) == 2 + len(VOTES) else row[1:]
        if len(votes) != len(VOTES):
            raise DataError(
                f"{at} has {len(row)} columns, not {1 + len(VOTES)} or {2 + len(VOTES)}: get a fresh copy"
            )
        rows.append((folders.plain_name(row[0], at), _counts(at, votes)))
    if not rows:
        raise DataError(f"{source} is empty: get a fresh copy")
    return rows
