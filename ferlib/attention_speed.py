"""How long attention maps take: those of a whole test part, and one change in the live explorer.

``python -m ferlib.attention_speed`` measures both with random weights on drawn faces: neither matters to the time. It
writes ``results/attention-speed.json`` for the book. The machine should be idle; its load is written down as well.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from ferlib import commands, explain, records, wording
from ferlib.data import synthetic
from ferlib.data.dataset import FaceDataset
from ferlib.device import environment, use_threads
from ferlib.errors import BadUsage, FerlibError
from ferlib.experiments import Experiment, get
from ferlib.models import build, start
from ferlib.outcome import commit
from ferlib.pixels import Pixels
from ferlib.stages import default_layer, layers_of
from ferlib.weights import Ready

SCHEMA = 1
FILE = "attention-speed.json"
IMAGES = 3589  # of FER2013's test part
MAPS, CHANGE = 120.0, 0.3  # seconds that the maps of so many images, and a change in the explorer, may take
DRAWN = 140  # different faces behind them
TIMES = 8  # that each control of the explorer is used
ROWS = (  # the networks that take 48x48 pixels
    "amdcnn-ckplus-acs3",
    "gcca_vgg-ckplus-model6-scratch48",
    "a_mobilenet-ckplus-a_mobilenet-scratch48",
    "se_cnn-se",
    "msca_resnet-ckplus-se_bn",
    "house-fer2013",
)
PAIR = ("amdcnn-ckplus-acs3", "se_cnn-se")  # side by side in the explorer


def network(row: Experiment) -> Ready:
    """The row's network with random weights, as published weights would bring it."""
    channels = int(row.preprocess.get("channels", 1))
    with torch.random.fork_rng(), start.at_random():
        torch.manual_seed(0)
        model = build(
            row.model, classes=len(synthetic.CLASSES), channels=channels, size=row.size, **row.variant
        )
    return Ready(
        row.id, row, synthetic.CLASSES, channels, False, row.size, model.eval(), {"dataset": "no data"}
    )


def faces(n: int, row: Experiment) -> Pixels:
    """n drawn faces as a test part, a few over and over."""
    drawn = synthetic.load(n=min(n, DRAWN), size=48)
    index = np.resize(np.arange(len(drawn)), n)
    data = FaceDataset(
        "drawn",
        drawn.images[index],
        drawn.labels[index],
        drawn.classes,
        np.full(n, "test"),
        np.arange(n).astype(str),
    )
    return Pixels(data, "test", torch.device("cpu"), row.size, row.preprocess)


def maps(row: Experiment, images: int = IMAGES) -> dict[str, Any]:
    """Seconds of one network: ``one`` for Grad-CAM of its default layer, ``all`` for what `ferlib explain` makes."""
    ready, data = network(row), faces(images, row)
    layer = default_layer(ready.model, row.size)
    x, targets = data.batch(slice(0, 32))
    explain.grad_cam(ready.model, data.finish(x), targets, layer)  # kernels are chosen
    began = time.perf_counter(), time.process_time()
    x, targets = data.batch(slice(None))
    explain.grad_cam(ready.model, data.finish(x), targets, layer)
    one = time.perf_counter() - began[0], time.process_time() - began[1]
    began = time.perf_counter(), time.process_time()
    means = explain.class_means(ready.model, data, ready.classes)
    whole = time.perf_counter() - began[0], time.process_time() - began[1]
    return {
        "id": row.id,
        "model": row.model,
        "layer": layer,
        "grid": list(layers_of(ready.model, row.size)[layer]),
        "layers": len(means.cam),
        "images": images,
        "one": {"seconds": one[0], "cpu_seconds": one[1]},
        "all": {"seconds": whole[0], "cpu_seconds": whole[1]},
    }


# -- the live explorer ----------------------------------------------------------------------------------------------


def explorer(pair: tuple[str, str] = PAIR) -> Any:
    """The explorer's widget with two networks of random weights."""
    from ferlib import widgets
    from ferlib.widgets_networks import Catalogue, Entry

    class Shelf(Catalogue):
        def entries(self, identifier: str) -> list[Entry]:
            known = identifier in pair
            return [Entry("random weights", lambda: network(get(identifier)))] if known else []

    nowhere = Path(os.devnull)
    view = widgets.View(Shelf(nowhere, nowhere, None, nowhere))
    for picker, identifier in zip(view.pickers, pair, strict=True):
        picker.choose(get(identifier).paper, identifier)
    return view


def uses(view: Any) -> Iterator[tuple[str, Callable[[], None]]]:
    """Each control of the explorer, and one use of it after another."""

    def setting(widget: Any, values: Any) -> Iterator[Callable[[], None]]:
        for value in values:
            if value != widget.value:
                yield functools.partial(setattr, widget, "value", value)

    some = range(1, TIMES + 1)
    controls = {
        "expression": (view.expression, [c for c in synthetic.CLASSES if c != "happy"]),
        "intensity": (view.intensity, [1 - 0.05 * k for k in some]),
        "person": (view.person, some),
        "image of a dataset": (view.index, some),
        "class to explain": (view.target, synthetic.CLASSES),
        "layer": (view.pickers[0].layer, [name for _, name in view.pickers[0].layer.options][::-1]),
        "classifier to explain": (view.head, ("aux1", "aux2", "aux3", "score")),  # of the first layer now
        "opacity": (view.opacity, [0.05 * k for k in some]),
        "cells as they are": (view.cells, [k % 2 == 0 for k in range(TIMES)]),
    }
    for name, (widget, values) in controls.items():
        for use in setting(widget, values):
            yield name, use
    for k in range(TIMES):
        yield "cell covered", view.buttons[k, k % 5].click


def changes(view: Any) -> list[dict[str, Any]]:
    """Seconds of each use of each control, until both sides are drawn anew; FerlibError where one went wrong.

    The dataset that an image is taken from is in memory by then.
    """
    view.on_dataset(None)
    spent: dict[str, list[float]] = {}
    for name, use in uses(view):
        began = time.perf_counter()
        use()
        spent.setdefault(name, []).append(time.perf_counter() - began)
        if 'role="alert"' in view.message.value:
            raise FerlibError(f"the explorer failed at {name!r}: {view.message.value}")
    return [{"control": name, "seconds": [round(s, 5) for s in one]} for name, one in spent.items()]


# -- the file -------------------------------------------------------------------------------------------------------


def measure(images: int = IMAGES, rows: tuple[str, ...] = ROWS) -> dict[str, Any]:
    """All that `FILE` holds."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    machine = environment(torch.device("cpu"), torch.float32)
    return {
        "schema": SCHEMA,
        "machine": {
            **machine,
            "cores": os.cpu_count(),
            "load": None if load is None else round(load, 2),
            "date": datetime.date.today().isoformat(),
            **commit(),
        },
        "maps": [maps(get(name), images) for name in tqdm(rows, desc="maps", unit="network", disable=None)],
        "changes": {"networks": list(PAIR), "controls": changes(explorer())},
    }


def write(results: Path, found: Mapping[str, Any]) -> Path:
    """Write ``<results>/attention-speed.json``; RecordError where nothing can be written there."""
    return records.put_json(results / FILE, found)


def read(results: Path | str) -> dict[str, Any]:
    """What `write` wrote; RecordError in one line where it is missing, damaged or of another schema."""
    path = Path(results) / FILE
    with records.reading(path, "python -m ferlib.attention_speed", "not measured yet"):
        found: dict[str, Any] = json.loads(path.read_text())
        if found["schema"] != SCHEMA or not {"machine", "maps", "changes"} <= found.keys():
            raise ValueError(f"not of schema {SCHEMA}")
    return found


def map_lines(found: Mapping[str, Any]) -> list[dict[str, str]]:
    """A line for each network: seconds for one layer and for all, and whether both are within `MAPS`."""
    lines = []
    for one in found["maps"]:
        enough = max(one[kind]["seconds"] for kind in ("one", "all")) <= MAPS
        lines.append(
            {
                "network": wording.network(get(one["id"])),
                "images": f"{one['images']:,}",
                "Grad-CAM, one layer (s)": f"{one['one']['seconds']:.0f}",
                "layer": f"{one['layer']}, {'×'.join(map(str, one['grid']))}",
                "all layers, attention, means (s)": f"{one['all']['seconds']:.0f} ({one['layers']} layers)",
                f"within {MAPS:.0f} s": "yes" if enough else "no",
            }
        )
    return lines


def change_lines(found: Mapping[str, Any]) -> list[dict[str, str]]:
    """A line for each control of the explorer: median and slowest use, and whether that is within `CHANGE`."""
    lines = []
    for one in found["changes"]["controls"]:
        spent = one["seconds"]
        lines.append(
            {
                "control": one["control"],
                "uses": str(len(spent)),
                "median (ms)": f"{1000 * median(spent):.0f}",
                "slowest (ms)": f"{1000 * max(spent):.0f}",
                f"within {1000 * CHANGE:.0f} ms": "yes" if max(spent) <= CHANGE else "no",
            }
        )
    return lines


def machine_line(found: Mapping[str, Any]) -> str:
    """Where and how it was measured."""
    machine = found["machine"]
    load = "" if machine["load"] is None else f", load before {machine['load']:.1f}"
    return (
        f"{machine['device']}, {machine['cores']} cores, {machine['threads']} threads, "
        f"torch {machine['torch']}, {machine['date']}{load}"
    )


# -- command line ---------------------------------------------------------------------------------------------------


def arguments(prog: str = "python -m ferlib.attention_speed") -> argparse.ArgumentParser:
    about = "How long the attention maps of a test part take, and a change in the live explorer; minutes."
    parser = commands.parser(prog, about)
    add = parser.add_argument
    add("--results", type=Path, default=Path("results"), metavar="DIR", help=f"where {FILE} goes")
    add("--images", type=int, default=IMAGES, metavar="N", help=f"of the test part (default: {IMAGES})")
    add("--threads", type=int, default=0, metavar="N", help="CPU threads; 0 leaves it to torch")
    return parser


@commands.told
def main(argv: list[str] | None = None, prog: str = "python -m ferlib.attention_speed") -> int:
    """Measure; returns the exit status."""
    options = arguments(prog).parse_args(argv)
    if options.images < 21:
        raise BadUsage("--images must be at least 21: three of each class")
    use_threads(options.threads)
    records.writable(options.results)
    path = write(options.results, measure(options.images))
    found = read(options.results)
    print(f"{path}: {machine_line(found)}")
    for line in [*map_lines(found), *change_lines(found)]:
        print("; ".join(f"{key}: {value}" for key, value in line.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
