"""How accurate each classifier of an AMDCNN is, with its fusion weight: ``<results>/<experiment>/heads-seed<k>.json``.

Shang et al. (section III.C) say that better classifiers get higher weights. A record holds the weights of each epoch
(``alpha1`` to ``alpha3`` of the auxiliary classifiers, ``alpha4`` of the main one) and the accuracy of the fused
prediction alone; the accuracy of each classifier on the test part takes the network's weights once more.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ferlib import beside, commands, finished, records
from ferlib.device import resolve_device, use_threads
from ferlib.errors import FerlibError, RecordError
from ferlib.train import add_run_options

SCHEMA = 1
BATCH = 256
KEYS: dict[str, type] = {"record_sha256": str, "n": int, "weights": dict, "right": dict}


def path_of(results: Path | str, experiment: str, seed: int) -> Path:
    return Path(results) / experiment / f"heads-seed{seed}.json"


def measure(run: finished.Finished, device: torch.device) -> dict[str, Any]:
    """Of one finished run: ``n`` test images, by classifier its fusion weight and how many images it gets ``right``.

    Raises FerlibError for a network with a single classifier.
    """
    weights: Mapping[str, float] = getattr(run.model, "monitored", dict)()
    if sum(name.startswith("alpha") for name in weights) < 2:
        raise FerlibError(f"{run.row.id}: has one classifier, nothing is fused; choose a row with ACs")
    data = run.pixels("test", device)
    right = dict.fromkeys(weights, 0)
    with torch.no_grad():
        for begin in range(0, len(data), BATCH):
            x, labels = data.batch(slice(begin, begin + BATCH))
            out = run.model(data.finish(x))[1]
            for name, logits in zip(weights, [*out["aux"], out["main"]], strict=True):
                right[name] += int((logits.argmax(1) == labels).sum())
    return {"n": len(data), "weights": {k: round(v, 6) for k, v in weights.items()}, "right": right}


def write(results: Path | str, record: Mapping[str, Any], facts: Mapping[str, Any]) -> Path:
    """Write ``facts`` of `measure` beside their record; returns the path. RecordError where nothing can be written."""
    part = record["reproducible"]
    path = path_of(results, part["experiment"]["id"], part["seed"])
    found = {**beside.origin(record, SCHEMA), **facts}
    return records.put_json(path, {**found, "sha256": records.checksum(found)})


def read(results: Path | str, experiment: str, seed: int) -> dict[str, Any]:
    """What `write` wrote; RecordError in one line where it is missing, damaged, or of another record."""
    path, again = path_of(results, experiment, seed), f"python -m ferlib.heads {experiment} --seed {seed}"
    record = records.read(records.path_of(results, experiment, seed))
    with records.reading(path, again):
        found: dict[str, Any] = json.loads(path.read_text())
        if any(not isinstance(found[key], kind) for key, kind in KEYS.items()) or found["schema"] != SCHEMA:
            raise ValueError(f"not of schema {SCHEMA}")
        if records.checksum(found) != found.get("sha256"):
            raise ValueError("checksum does not match")
    beside.check_origin(found, record, path, again)
    return found


def of_seeds(results: Path | str, experiment: str, seeds: list[int]) -> dict[int, dict[str, Any]]:
    """`read` of the seeds that have such a file, those that are damaged or of another record left out."""
    found = {}
    for seed in seeds:
        try:
            found[seed] = read(results, experiment, seed)
        except RecordError:
            continue
    return found


def best_weighs_most(found: Mapping[str, Any]) -> tuple[bool, str]:
    """The most accurate classifier has the highest fusion weight, the least accurate one the lowest; ties will do."""
    weight, right = found["weights"], found["right"]
    top, bottom = max(weight, key=lambda name: weight[name]), min(weight, key=lambda name: weight[name])
    held = right[top] == max(right.values()) and right[bottom] == min(right.values())
    share = {name: 100 * count / found["n"] for name, count in right.items()}
    return held, ", ".join(f"{share[name]:.1f} % with {weight[name]:.2f}" for name in weight)


def arguments(prog: str = "python -m ferlib.heads") -> argparse.ArgumentParser:
    about = "Accuracy of each classifier of finished AMDCNN runs, written beside their records."
    parser = commands.parser(prog, about)
    add_run_options(parser, seeds="all with a record", runs="the weights")
    return parser


@commands.told
def main(argv: list[str] | None = None, prog: str = "python -m ferlib.heads") -> int:
    """Measure every (ID, seed) asked for; returns the exit status."""
    options = arguments(prog).parse_args(argv)
    use_threads(options.threads)
    device = resolve_device(options.device)
    for run in finished.chosen(options, device):
        path = write(options.results, run.record, measure(run, device))
        print(f"{path}: {best_weighs_most(read(options.results, run.row.id, run.seed))[1]}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
