"""Measures of a run's attention maps beside its record: ``<results>/<experiment>/measures-seed<k>.json``.

The name does not begin with ``seed``, so that nothing takes it for a run record. The file holds numbers per image,
none of its pixels and no map:

``images``: ``ids``, their true ``classes``, ``people`` (null where it is not known who is shown), ``recognised``.
``areas``: share of the image in each zone; ``brows`` is a part of ``eyes``. ``layers``: by layer or spatial attention
map its ``grid``, where its cells look (``rows``, ``columns``, pixels), the number of all-zero maps ``zero``, and for
each zone per image (maps with negative values have no shares and are left out) the
``share`` of the map's sum, the same with cells spread evenly over the image (``even``), and whether the maximum
lies in it (``hit``). ``removal``: of the images ``sample`` (indices) the areas under the deletion and insertion
curves, in the order of Grad-CAM (``map``) and of a random map (``random``), and the mean curves. ``randomised``: of
the same images the rank correlation of the map before and after, part by part from the top (``parts``), and with the
map of another image (``others``). ``summary``: means and intervals of all of these. A value that is not there is null.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ferlib import beside, records
from ferlib.errors import RecordError
from ferlib.measures import summary

SCHEMA = 1
LIMIT = 200_000  # bytes of a file
DIGITS = 4
KEYS: dict[str, type] = {
    "experiment": str,
    "seed": int,
    "record_sha256": str,
    "data": dict,
    "part": str,
    "target": str,
    "head": str,
    "layer": str,
    "images": dict,
    "areas": dict,
    "layers": dict,
    "removal": dict,
    "randomised": dict,
    "summary": dict,
}


def path_of(results: Path | str, experiment: str, seed: int) -> Path:
    return Path(results) / experiment / f"measures-seed{seed}.json"


def numbers(values: np.ndarray) -> list[Any]:
    """Rounded to `DIGITS`, NaN as null."""
    return [None if np.isnan(v) else round(float(v), DIGITS) for v in np.asarray(values, float)]


def array(values: list[Any]) -> np.ndarray:
    """Back again: float64, null as NaN."""
    return np.array([np.nan if v is None else v for v in values], float)


def summarise(found: Mapping[str, Any]) -> dict[str, Any]:
    """Means and 95 % intervals over images, or people where they are known, of all that a file has per image."""
    people = found["images"]["people"]
    who = None if people is None else np.array(people)
    sample = None if who is None else who[found["removal"]["sample"]]

    def mean(values: list[Any], over: np.ndarray | None) -> dict[str, Any]:
        entries = summary(array(values), over)
        return {k: round(v, DIGITS) if isinstance(v, float) else v for k, v in entries.items()}

    def each(by_name: Mapping[str, list[Any]], over: np.ndarray | None) -> dict[str, Any]:
        return {name: mean(values, over) for name, values in by_name.items()}

    return {
        "layers": {
            layer: {kind: each(one[kind], who) for kind in ("share", "even", "hit")}
            for layer, one in found["layers"].items()
        },
        "removal": {curve: each(found["removal"][curve], sample) for curve in ("deletion", "insertion")},
        "randomised": {
            **each(found["randomised"]["parts"], sample),
            "others": mean(found["randomised"]["others"], sample),
        },
    }


def write(results: Path | str, record: Mapping[str, Any], facts: Mapping[str, Any]) -> Path:
    """Write ``facts`` (all of `KEYS` that are not taken from ``record`` or computed here); returns the path.

    Raises RecordError for a part that is missing or damaged, and where nothing can be written.
    """
    part = record["reproducible"]
    path = path_of(results, part["experiment"]["id"], part["seed"])
    found = {**beside.origin(record, SCHEMA), **facts}
    found = json.loads(records.canonical({**found, "summary": summarise(found)}))
    found["sha256"] = records.checksum(found)
    validate(found, path)
    text = json.dumps(found, indent=None, separators=(",", ":"), allow_nan=False)
    text = text.replace('},"', '},\n"') + "\n"  # a line for each part: changes can be read
    if len(text) > LIMIT:
        raise RecordError(
            f"{path}: {len(text):,} bytes, more than {LIMIT:,}; take fewer images (--images) or layers"
        )
    return records.put(path, lambda file: file.write(text.encode()))


def validate(found: Any, path: Path) -> dict[str, Any]:
    """``found`` itself if it has every part, as many numbers as images, and its checksum holds; else RecordError."""
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise RecordError(f"{path}: not measures of schema {SCHEMA}; make them again with `ferlib measure`")
    again = f"make it again: `ferlib measure {found.get('experiment')} --seed {found.get('seed')}`"
    for key, kind in KEYS.items():
        if not isinstance(found.get(key), kind):
            raise RecordError(f"{path}: '{key}' is missing or not a {kind.__name__}; {again}")
    if records.checksum(found) != found.get("sha256"):
        raise RecordError(f"{path}: checksum does not match, edited or damaged; {again}")
    try:
        problem = _problem(found)
    except (KeyError, TypeError, ValueError) as error:
        problem = f"{type(error).__name__} at {error}"
    if problem:
        raise RecordError(f"{path}: {problem}; {again}")
    return found


def _problem(found: Mapping[str, Any]) -> str | None:
    """What does not fit together, or None."""
    n, sample = len(found["images"]["ids"]), len(found["removal"]["sample"])
    counted = {f"images.{k}": (v, n) for k, v in found["images"].items() if v is not None}
    for layer, one in found["layers"].items():
        for kind in ("share", "even", "hit"):
            counted |= {f"{layer}.{kind}.{zone}": (v, n) for zone, v in one[kind].items()}
    for curve in ("deletion", "insertion"):
        counted |= {f"{curve}.{order}": (v, sample) for order, v in found["removal"][curve].items()}
    counted |= {f"randomised.{name}": (v, sample) for name, v in found["randomised"]["parts"].items()}
    counted["randomised.others"] = (found["randomised"]["others"], sample)
    for name, (values, wanted) in counted.items():
        if len(values) != wanted:
            return f"{name} has {len(values)} entries for {wanted} images"
        low = -1 if name.startswith("randomised") else 0
        if not name.startswith("images") and not all(v is None or low <= v <= 1 for v in values):
            return f"{name} has values outside {low}..1"
    if found["layer"] not in found["layers"]:
        return f"layer {found['layer']!r} is not among the layers"
    return None


def read(results: Path | str, experiment: str, seed: int) -> dict[str, Any]:
    """The measures of one run. RecordError in one line where they are missing, damaged, or of another record."""
    path = path_of(results, experiment, seed)
    command = f"ferlib measure {experiment} --seed {seed}"
    record = records.read(records.path_of(results, experiment, seed))
    with records.reading(path, command):
        found = json.loads(path.read_text())
    validate(found, path)
    beside.check_origin(found, record, path, command)
    return found


def read_all(results: Path | str, experiment: str) -> tuple[list[dict[str, Any]], list[str]]:
    """The measures of all seeds of one experiment that have them, and what is wrong with those left out."""
    found, wrong = [], []
    for path in sorted((Path(results) / experiment).glob("measures-seed*.json")):
        try:
            found.append(read(results, experiment, int(path.stem.removeprefix("measures-seed"))))
        except (RecordError, ValueError) as error:
            wrong.append(str(error))
    return sorted(found, key=lambda one: one["seed"]), wrong
