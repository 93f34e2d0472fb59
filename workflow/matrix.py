"""Which runs an invocation of the workflow asks for, which of them are pending, and what each needs.

Knows nothing of Snakemake: the Snakefile, the jobs and the tests import it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from ferlib import records
from ferlib.errors import FerlibError
from ferlib.experiments import EXPERIMENTS, Experiment, get, quick

MARGIN = 1.5  # of the expected time, for a busy or slower node
STARTUP = 5  # minutes: imports over a shared file system, reading the data, a cold GPU
LEAST = 10  # minutes: below this the signal before the limit would come during the start
UNKNOWN = {"full": 12 * 60, "quick": 10}  # minutes expected where the cost model has no answer
MEMORY = 8000  # MB; measured peak of se_cnn on a CPU: 1,800


@dataclass(frozen=True)
class Options:
    """What ``snakemake --config NAME=VALUE …`` takes.

    Lists are separated by commas, seeds may be ranges (``seeds=0,4-7``). ``budget`` (minutes) is the longest
    that one job may last, a queue's limit say: a run that needs more is continued by the next job.
    ``gres`` goes to Slurm as it is (``gpu:1``). ``notebooks`` is the profile the notebooks run in.
    """

    papers: tuple[str, ...] = ()
    experiments: tuple[str, ...] = ()
    dataset: str | None = None
    seeds: tuple[int, ...] = ()
    profile: str = "full"
    epochs: int | None = None
    notebooks: str = "quick"
    results: str = "results"
    runs: str = "runs"
    data_root: str | None = None
    device: str = "auto"
    gres: str | None = None
    threads: int = 4
    mem_mb: int = MEMORY
    budget: int | None = None

    @property
    def selective(self) -> bool:
        """Whether runs were selected; the book trains only those that were."""
        return bool(self.papers or self.experiments or self.dataset or self.seeds)

    @property
    def records(self) -> Path:
        """Where the records of this profile go, as `ferlib run` has it."""
        return Path(self.runs) / "quick" / "records" if self.profile == "quick" else Path(self.results)


def options(config: Mapping[str, Any]) -> Options:
    """Checked options; FerlibError in one line for an unknown name or a value that cannot be."""
    kinds = {f.name: f.type for f in fields(Options)}
    for name in config:
        if name not in kinds:
            close = get_close_matches(name, kinds, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(kinds)}"
            raise FerlibError(f"--config {name}=…: no such option; {hint}")
    values = {name: _value(name, str(kinds[name]), value) for name, value in config.items()}
    found = Options(**{name: value for name, value in values.items() if value is not None})
    for name, known in (
        ("profile", ("full", "quick")),
        ("notebooks", ("quick", "full")),
        ("dataset", (None, *sorted({row.dataset for row in EXPERIMENTS.values()}))),
    ):
        if getattr(found, name) not in known:
            raise FerlibError(
                f"--config {name}={getattr(found, name)}: use {' or '.join(filter(None, known))}"
            )
    papers = {row.paper for row in EXPERIMENTS.values()}
    if unknown := [name for name in found.papers if name not in papers]:
        raise FerlibError(f"--config papers={unknown[0]}: use one or more of {', '.join(sorted(papers))}")
    for name in found.experiments:
        get(name)
    if found.data_root is not None and not Path(found.data_root).is_dir():
        raise FerlibError(f"--config data_root={found.data_root}: no such folder")
    return found


def _value(name: str, kind: str, value: Any) -> Any:
    """A value as Snakemake parsed it (YAML: ``seeds=0`` is a number, ``seeds=0,1`` text) in the option's type."""
    if value is None:
        return None
    try:
        if name == "seeds":
            return tuple(seed for part in _parts(value) for seed in _range(part))
        if kind.startswith("tuple"):
            return tuple(_parts(value))
        if kind.startswith("int"):
            number = int(str(value))
            if number < 1:
                raise ValueError
            return number
    except ValueError:
        raise FerlibError(
            f"--config {name}={value}: use {_WANTED.get(name, 'a whole number above 0')}"
        ) from None
    return str(value)


_WANTED = {"seeds": "whole numbers and ranges, 0,4-7 say"}


def _parts(value: Any) -> list[str]:
    items = value if isinstance(value, list | tuple) else str(value).split(",")
    return [str(item).strip() for item in items if str(item).strip()]


def _range(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def selected(chosen: Options) -> list[tuple[str, int]]:
    """Experiment and seed of every run that was asked for; without a selection, of every row."""
    found = [
        (row.id, seed)
        for row in EXPERIMENTS.values()
        if (not chosen.papers or row.paper in chosen.papers)
        and (not chosen.experiments or row.id in chosen.experiments)
        and (not chosen.dataset or row.dataset == chosen.dataset)
        for seed in chosen.seeds or row.seeds
    ]
    if not found:
        raise FerlibError("no experiment fits the selection; `ferlib list` shows them all")
    return found


def done(experiment: str, seed: int, chosen: Options) -> bool:
    """Whether the record is there: a full one, in the quick profile any."""
    state = records.state_of(chosen.records, experiment, seed)
    return state != "none" if chosen.profile == "quick" else state == "full"


def pending(chosen: Options, paper: str | None = None) -> list[tuple[str, int]]:
    """The selected runs, of one paper or of all, that have to be trained."""
    found = [
        (experiment, seed)
        for experiment, seed in selected(chosen)
        if (paper is None or get(experiment).paper == paper) and not done(experiment, seed, chosen)
    ]
    real = [e for e, _ in found if chosen.profile == "full" and get(e).dataset != "synthetic"]
    if real and not (chosen.data_root or os.environ.get("FERLIB_DATA")):
        raise FerlibError(
            f"{real[0]} needs {get(real[0]).dataset}: --config data_root=DIR, or set FERLIB_DATA"
        )
    return found


def row_of(experiment: str, chosen: Options) -> Experiment:
    """The row as the profile trains it."""
    row = get(experiment)
    return quick(row, real=chosen.data_root is not None) if chosen.profile == "quick" else row


@cache
def expected(experiment: str, chosen: Options) -> float:
    """Minutes that the cost model expects of this run; a guess where it has no answer."""
    try:
        from ferlib.cost import seconds
    except ImportError:
        return UNKNOWN[chosen.profile]
    device = "cuda" if chosen.gres and chosen.device == "auto" else chosen.device
    found = seconds(row_of(experiment, chosen), device=device, threads=chosen.threads)
    return found / 60 if found and math.isfinite(found) else UNKNOWN[chosen.profile]


def minutes(experiment: str, attempt: int, chosen: Options) -> int:
    """Time limit of the job: margin over the expected time, doubled with each attempt, within the budget."""
    wanted = max(LEAST, math.ceil(STARTUP + MARGIN * expected(experiment, chosen))) * 2 ** (attempt - 1)
    return min(wanted, chosen.budget or wanted)


def memory(attempt: int, chosen: Options) -> int:
    """MB of main memory, doubled with each attempt."""
    return chosen.mem_mb * 2 ** (attempt - 1)


def retries(chosen: Options, fixed: int = 3) -> int:
    """Three for what may go wrong, and as many as the longest run needs to get through in jobs of ``budget``."""
    if not chosen.budget:
        return fixed
    longest = max(expected(experiment, chosen) for experiment in {e for e, _ in selected(chosen)})
    return fixed + math.ceil(longest / chosen.budget) - 1
