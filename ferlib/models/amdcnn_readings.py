"""Which reading of AMDCNN meets the parameters and FLOPs that Shang et al. print? All of them, counted.

Section III leaves open the residual block's kernel and stride, the width of the classifier modules' convolution,
the attention ratio, how MSAM's three maps become one and whether attention stands before the pool. Tables 3 to
7 print 1.6 M parameters, 138.98 MFLOPs at 48x48 pixels and 633.31 for RAF-DB, whose input size is open too:
section IV.A prints 224x224. ``count`` is arithmetic over the layers (a test compares it with torch's counter over
`AMDCNN` itself), so that thousands of readings take a fraction of a second.

What a "FLOP" is stays open as well, so each reading is counted in four units: a multiply-add as one or as two
operations, with and without one addition per output (the bias that Keras' layers have by default, and that some
counters count). Batch normalisation, activations, pools and products with attention maps are in none of them.
"""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import pandas as pd

from ferlib.models.amdcnn import KNOWN, WIDTHS, head_width

PRINTED = {"parameters": 1.6e6, "flops_48": 138.98e6, "flops_rafdb": 633.31e6}  # Tables 3 to 7
CHOICES: dict[str, tuple[Any, ...]] = {
    "residual_kernel": KNOWN["residual_kernel"],
    "residual_stride": KNOWN["residual_stride"],
    "head": ("classes", 32, 64, 128, "half", "same"),
    "ratio": (2, 4, 8, 16),
    "fusion": KNOWN["fusion"],
    "place": KNOWN["place"],
}
RAFDB_SIZES = (96, 100, 112, 224)
# operations per multiply-add, per output
UNITS = {
    "multiply-adds": (1, 0),
    "multiply-adds and biases": (1, 1),
    "two per multiply-add": (2, 0),
    "two per multiply-add and biases": (2, 1),
}
TIE = 4  # decimals of a relative miss, 0.01 %: what Table 3's digits can tell apart


class Count(NamedTuple):
    """Of one image's forward pass. ``keras_parameters`` include running means and variances, as Keras' total does."""

    parameters: int
    keras_parameters: int
    multiply_adds: int
    outputs: int


def conv(kernel: int, c_in: int, c_out: int, side: int) -> tuple[int, int, int]:
    """Weights; multiply-adds and outputs where the output has ``side`` pixels a side."""
    weights = kernel**2 * c_in * c_out
    return weights, weights * side**2, c_out * side**2


def linear(c_in: int, c_out: int, times: int = 1) -> tuple[int, int, int]:
    """Weights with biases; multiply-adds and outputs of ``times`` passes."""
    return c_in * c_out + c_out, times * c_in * c_out, times * c_out


def count(reading: dict[str, Any], *, size: int, channels: int = 1, classes: int = 7) -> Count:
    """Cost of the full model (MCBAM, three auxiliary classifiers); ``reading`` has a value for each of `CHOICES`."""
    side, normalised = size - 4, 32
    layers = [conv(3, channels, 16, size - 2), conv(3, 16, 16, side)]  # SFEM
    for c in WIDTHS:
        half = (side + 1) // 2
        at = side if reading["place"] == "before" else half
        hidden, width = c // reading["ratio"], head_width(reading["head"], c, classes)
        residual_side = side if reading["residual_stride"] == 1 else half
        layers += [conv(3, c // 2, c, side), conv(3, c, c, side)]
        layers += [conv(reading["residual_kernel"], c // 2, c, residual_side)]
        layers += [linear(c, hidden, 2), linear(hidden, c, 2)]  # CAM: one perceptron, two passes
        layers += [conv(k, 2, 1, at) for k in (5, 3, 1)]  # MSAM
        layers += [conv(1, 3, 1, at)] if reading["fusion"] == "conv" else []
        layers += [conv(3, c, width, half), linear(width, classes)]  # ACM, MCM
        normalised += 3 * c + width
        side = half
    weights, multiply_adds, outputs = (sum(column) for column in zip(*layers, strict=True))
    trained = weights + 2 * normalised + len(WIDTHS)  # the last: AWFM's scores
    return Count(trained, trained + 2 * normalised, multiply_adds, outputs)


def enumerate_readings(channels: int = 1) -> pd.DataFrame:
    """Every combination of `CHOICES`, `RAFDB_SIZES` and `UNITS`, the closest to the printed FLOPs first.

    ``channels`` of the RAF-DB images: 1 (Table 1's input layer, section IV.C's grey images) or 3 (its colours).
    Columns: the choices, ``rafdb_size``, ``unit``; ``parameters``, ``keras_parameters``; ``multiply_adds_48``,
    ``multiply_adds_rafdb``, twice those as ``flops_48``, ``flops_rafdb``; ``count_48``, ``count_rafdb`` in the row's
    unit and their misses ``miss_48``, ``miss_rafdb``, relative to the printed figures; ``miss``, the larger of the two
    in size, to `TIE` decimals; ``meets`` (both counts of the parameters print as 1.6 M).
    """
    rows = []
    for values in product(*CHOICES.values()):
        reading = dict(zip(CHOICES, values, strict=True))
        small = count(reading, size=48)
        parameters = {"parameters": small.parameters, "keras_parameters": small.keras_parameters}
        meets = all(round(n / 1e6, 1) == PRINTED["parameters"] / 1e6 for n in parameters.values())
        for size in RAFDB_SIZES:
            large = count(reading, size=size, channels=channels)
            for unit in UNITS:
                row = {**reading, "rafdb_size": size, "unit": unit, **parameters, "meets": meets}
                rows.append(row | misses(small, large, unit))
    table = pd.DataFrame(rows)
    table["miss"] = table[["miss_48", "miss_rafdb"]].abs().max(axis=1).round(TIE)
    return table.sort_values("miss", kind="stable", ignore_index=True)  # ties in the order of `CHOICES`


def misses(small: Count, large: Count, unit: str) -> dict[str, float]:
    """Counts at 48 pixels and of RAF-DB's images, and how far they are from the printed figures."""
    found: dict[str, float] = {}
    per_multiply_add, per_output = UNITS[unit]
    for place, cost in (("48", small), ("rafdb", large)):
        total = per_multiply_add * cost.multiply_adds + per_output * cost.outputs
        found |= {f"multiply_adds_{place}": cost.multiply_adds, f"flops_{place}": 2 * cost.multiply_adds}
        found |= {f"count_{place}": total, f"miss_{place}": total / PRINTED[f"flops_{place}"] - 1}
    return found


def settled(readings: pd.DataFrame) -> pd.Series:
    """The closest reading that meets the parameters: the defaults of `AMDCNN`."""
    return readings[readings["meets"]].iloc[0]
