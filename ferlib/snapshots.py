"""What ``ferlib bench`` leaves: its schema, its files under ``results/bench``, its tables.

A snapshot holds ``machine``, ``settings``, ``peak`` (matrix products, by precision), ``models`` (a row for each
case and task), ``contest`` (the library against two plain baselines), ``ratios``, ``goals`` and ``skipped``.
Rates are images per second, memory is in bytes, ``flops`` floating-point operations per second.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ferlib.errors import RecordError
from ferlib.records import put_json

SCHEMA = 1
BUSY = 0.5  # load average from which a machine is not idle
PARTS: dict[str, type] = {
    "machine": dict,
    "settings": dict,
    "peak": dict,
    "models": list,
    "ratios": dict,
    "skipped": dict,
    "goals": list,
}
MACHINE: dict[str, type] = {
    "kind": str,
    "device": str,
    "threads": int,
    "torch": str,
    "precision": str,
    "date": str,
    "cores": int,
}
ROW: dict[str, type] = {
    "name": str,
    "model": str,
    "size": int,
    "batch": int,
    "channels": int,
    "task": str,
    "variant": dict,
    "precision": str,
    "multiply_adds": int,
    "images_per_second": float,
    "rates": list,
    "peak_memory_bytes": int,
    "flops": float,
    "share_of_peak": float,
}


def validate(snapshot: Any, name: str) -> dict[str, Any]:
    """The snapshot itself if it has every part in its type, else RecordError in one line."""
    if not isinstance(snapshot, dict) or snapshot.get("schema") != SCHEMA:
        raise RecordError(
            f"{name}: not a bench snapshot of schema {SCHEMA}; run `ferlib bench --snapshot` again"
        )
    checks: list[tuple[str, Any, dict[str, type]]] = [("", snapshot, PARTS)]
    if isinstance(snapshot.get("machine"), dict):
        checks.append(("machine.", snapshot["machine"], MACHINE))
    if isinstance(snapshot.get("models"), list):
        checks += [(f"models[{i}].", row, ROW) for i, row in enumerate(snapshot["models"])]
    for prefix, part, kinds in checks:
        for key, kind in kinds.items():
            value = part.get(key) if isinstance(part, dict) else None
            if not isinstance(value, (float, int) if kind is float else kind):
                raise RecordError(f"{name}: '{prefix}{key}' is missing or not a {kind.__name__}")
    return snapshot


def path_of(snapshot: Mapping[str, Any], results: Path | str = "results") -> Path:
    """``results/bench/<kind>-<device>-<threads>t.json``."""
    machine = snapshot["machine"]
    slug = re.sub(r"[^a-z0-9]+", "-", machine["device"].lower()).strip("-")
    return Path(results) / "bench" / f"{machine['kind']}-{slug}-{machine['threads']}t.json"


def write(snapshot: dict[str, Any], path: Path) -> Path:
    """Write a snapshot; RecordError instead of dropping a case that the one in its place holds."""
    if path.exists():
        held = {(row["name"], row["task"]) for row in read(path)["models"]}
        lost = sorted(held - {(row["name"], row["task"]) for row in snapshot["models"]})
        if lost:
            names = ", ".join(sorted({name for name, _ in lost}))
            raise RecordError(
                f"{path}: also holds {names} and is kept; measure them too, or name another file"
            )
    return put_json(path, validate(snapshot, str(path)))


def read(path: Path) -> dict[str, Any]:
    try:
        return validate(json.loads(path.read_text()), str(path))
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: cannot be read ({error}); run `ferlib bench --snapshot` again") from None


def load_snapshots(results: Path | str | None = None) -> list[dict[str, Any]]:
    """All snapshots under ``results/bench`` (default: those that the repository holds), in order of their names."""
    folder = Path(__file__).resolve().parents[1] / "results" if results is None else Path(results)
    return [read(path) for path in sorted((folder / "bench").glob("*.json"))]


def busy(snapshot: Mapping[str, Any]) -> str:
    """That the machine was busy just before it was measured, with its load; "" where it was not or nobody knows."""
    machine = snapshot["machine"]
    load = machine.get("load") or 0
    if load <= BUSY:
        return ""
    cores = f"{machine['cores']} core" + ("" if machine["cores"] == 1 else "s")
    return f"the machine was busy (load {load} on {cores}): rates are too low, ratios rough"


def spread(row: Mapping[str, Any]) -> str:
    """Half the range of the rates over their median, in percent."""
    return f"±{50 * (row['high'] - row['low']) / row['images_per_second']:.0f}%"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns of text, the first to the left, the others to the right."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()
        for row in rows
    ]


def to_text(snapshot: Mapping[str, Any]) -> str:
    """The tables that ``ferlib bench`` prints."""
    machine, peak = snapshot["machine"], snapshot["peak"]
    lines = [
        f"{machine['device']} ({machine['kind']}), {machine['cores']} cores, {machine['threads']} threads, "
        f"torch {machine['torch']}, {machine['precision']}, {machine['date']}",
        "matrix-product peak: "
        + ", ".join(
            f"{name} {p['flops'] / 1e9:,.0f} GFLOP/s (side {p['side']:.0f})" for name, p in peak.items()
        ),
    ]
    lines += filter(None, [busy(snapshot)])
    if snapshot["models"]:
        head = ("model", "pixels", "batch", "task", "images/s", "spread", "GFLOP/s", "of peak", "memory")
        lines += ["", *aligned([head, *(model_cells(row) for row in snapshot["models"])])]
        lines.append("GFLOP/s: 2 x multiply-adds of a forward pass, three times that for a training step")
    if snapshot.get("contest"):
        case = snapshot["contest"]["case"]
        lines += ["", f"{case['name']}, training at batch {case['batch']}, in turns"]
        lines += aligned(
            [("contender", "images/s", "spread", "memory", "ferlib is"), *contest_cells(snapshot)]
        )
    lines += [
        "",
        *aligned([("goal", "on", "target", "measured", ""), *(goal_cells(g) for g in snapshot["goals"])]),
    ]
    skipped = {**snapshot["skipped"], **(snapshot.get("contest") or {}).get("skipped", {})}
    lines += [f"left out: {name}: {reason}" for name, reason in skipped.items()]
    return "\n".join(lines)


def model_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        row["name"],
        str(row["size"]),
        str(row["batch"]),
        row["task"],
        f"{row['images_per_second']:,.0f}",
        spread(row),
        f"{row['flops'] / 1e9:,.0f}",
        f"{100 * row['share_of_peak']:.0f}%",
        f"{row['peak_memory_bytes'] / 1e6:,.0f} MB",
    )


def contest_cells(snapshot: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for row in snapshot["contest"]["rows"]:
        ratio = snapshot["ratios"].get(row["name"])
        times = f"{ratio['ratio']:.2f} x ({ratio['low']:.2f} to {ratio['high']:.2f})" if ratio else ""
        rate, memory = f"{row['images_per_second']:,.0f}", f"{row['peak_memory_bytes'] / 1e6:,.0f} MB"
        yield row["name"], rate, spread(row), memory, times


def goal_cells(goal: Mapping[str, Any]) -> tuple[str, ...]:
    def number(value: float) -> str:
        if goal["unit"]:
            return f"{value:,.2f} x" if goal["unit"] == "x" else f"{value:,.0f} {goal['unit']}"
        return f"{100 * value:.0f}%"

    value = "not measured" if goal["value"] is None else number(goal["value"])
    verdict = {None: "", True: "met", False: "missed"}[goal["met"]]
    return goal["goal"], goal["on"], f"{goal['relation']} {number(goal['target'])}", value, verdict
