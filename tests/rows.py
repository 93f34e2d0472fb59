"""What distinguishes two experiment rows, for the tests of each paper's rows."""

from __future__ import annotations

from ferlib.experiments import settings_of


def factors(row):
    """Settings by dotted name (``optimiser.lr``, ``batch``), without what only names the row."""
    found = {}
    for name, value in settings_of(row.to_dict()).items():
        if name not in ("id", "paper", "table", "row", "column"):
            entries = value.items() if isinstance(value, dict) else [("", value)]
            found |= {f"{name}.{key}".rstrip("."): entry for key, entry in entries}
    return found


def changed(row, base):
    """Names of the settings that differ."""
    mine, theirs = factors(row), factors(base)
    return {k for k in mine.keys() | theirs.keys() if mine.get(k, ...) != theirs.get(k, ...)}
