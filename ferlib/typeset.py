"""How the pages write numbers that were computed: minus signs and powers of ten."""

from __future__ import annotations

import re

import pandas as pd

_POWER = re.compile(r"(?<![\w.])(\d(?:\.\d+)?)e([+-]?)0*(\d+)(?!\w)")
_MINUS = re.compile(r"(?<![^\s(\[*|≈~±])-(?=\.?\d)")
_ZERO = re.compile(r"−(0(?:\.0+)?)(?![\d.])")
_BOUNDS = re.compile(r"(\[[+−]?[\d.]+), ([+−]?[\d.]+\])")
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def typeset(text: str) -> str:
    """A minus sign in front of negative numbers but not of zero, 2·10⁻¹⁵ for 2e-15; code in backticks stays."""
    parts = text.split("`")
    for i in range(0, len(parts), 2):
        parts[i] = _ZERO.sub(r"\1", _MINUS.sub("−", _POWER.sub(_power, parts[i])))
    return "`".join(parts)


def _power(found: re.Match[str]) -> str:
    number, sign, digits = found.groups()
    return f"{number}·10{'⁻' if sign == '-' else ''}{digits.translate(_RAISED)}"


def typeset_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """A table with its text `typeset`, the two bounds of an interval on one line; numbers stay numbers."""
    return frame.map(
        lambda cell: _BOUNDS.sub("\\1,\u00a0\\2", typeset(cell)) if isinstance(cell, str) else cell
    )
