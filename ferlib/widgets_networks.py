"""The networks that the attention explorer offers: published, finished runs, and demonstrations on drawn faces."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch.optim.swa_utils import update_bn

from ferlib import checkpoint, engine, explain, explorer_nets, maps, records, train, weights
from ferlib.data import load
from ferlib.errors import FerlibError
from ferlib.experiments import EXPERIMENTS, Experiment, get, quick
from ferlib.maps import ClassMaps
from ferlib.pixels import Pixels, load_data
from ferlib.stages import default_layer
from ferlib.weights import Ready

PAPERS = {
    "amdcnn": "AMDCNN (Shang et al. 2024)",
    "gcca_vgg": "GCCA-VGG16 (Chen & Chen 2024)",
    "a_mobilenet": "A-MobileNet (Nan et al. 2022)",
    "se_cnn": "SE-CNN (Luo 2023)",
    "msca_resnet": "MSCA-ResNet (Wang & Zhang 2023)",
    "house": "our own network",
    "synthetic": "trained on drawn faces",
}
DEMONSTRATIONS = Path("_build/runs/explorer")
FACES = 420  # drawn for class means, a tenth of them test faces
DEMONSTRATION = "a demonstration on drawn faces, no result"


@dataclass(frozen=True)
class Entry:
    """One set of weights: ``label`` as it is shown, ``load`` brings the network, or raises FerlibError."""

    label: str
    load: Callable[[], Ready]


class Catalogue:
    """What there is to choose from, by paper, variant (a row's id) and checkpoint.

    ``results`` and ``runs`` hold finished runs, ``data_root`` the datasets that their weights are checked with (None:
    they are not), ``demonstrations`` what `demonstrate` made.
    """

    def __init__(
        self,
        results: Path = Path("results"),
        runs: Path = Path("runs"),
        data_root: str | None = None,
        demonstrations: Path = DEMONSTRATIONS,
    ) -> None:
        self.results, self.runs, self.data_root = results, runs, data_root
        self.demonstrations = demonstrations

    def papers(self) -> dict[str, str]:
        """Keys of the papers that have rows, with their titles."""
        known = {row.paper for row in EXPERIMENTS.values()} | ({"synthetic"} if drawn() else set())
        return {key: PAPERS.get(key, key) for key in [*PAPERS, *sorted(known - set(PAPERS))] if key in known}

    def variants(self, paper: str) -> dict[str, str]:
        """Ids of a paper's rows with their titles, those with weights first."""
        rows = drawn() if paper == "synthetic" else {k: r for k, r in EXPERIMENTS.items() if r.paper == paper}
        ready = {key: bool(self.entries(key)) for key in rows}
        order = sorted(rows, key=lambda key: not ready[key])
        return {k: f"{'● ' if ready[k] else ''}{rows[k].row}, {rows[k].column} ({k})" for k in order}

    def entries(self, identifier: str) -> list[Entry]:
        """The weights that there are for a row: published ones, runs by seed, a demonstration."""
        if identifier in drawn():
            load = functools.partial(weights.load, identifier, explorer_nets.FOLDER)
            return [Entry("trained on drawn faces", load)]
        found = [
            Entry(f"published: {name}", functools.partial(weights.load, name))
            for name in weights.names()
            if card_of(weights.FOLDER, name) == identifier
        ]
        for path in sorted((self.results / identifier).glob("seed*.json")):
            seed = path.stem.removeprefix("seed")
            if seed.isdecimal() and checkpoint.finished(
                checkpoint.folder_of(self.runs, identifier, int(seed))
            ):
                load = functools.partial(
                    weights.from_run, identifier, int(seed), self.results, self.runs, self.data_root
                )
                found.append(Entry(f"run, seed {seed}", load))
        if (self.demonstrations / f"{identifier}.json").is_file():
            load = functools.partial(weights.load, identifier, self.demonstrations)
            found.append(Entry("demonstration", load))
        return found

    def paper_of(self, identifier: str) -> str:
        """The key of the paper that a row belongs to."""
        return "synthetic" if identifier in drawn() else get(identifier).paper

    def first(self, prefer: tuple[str, ...] = ()) -> list[tuple[str, Entry]]:
        """Every row that has weights with its first entry: those of ``prefer``, then drawn faces, then the rest."""
        order = dict.fromkeys([*prefer, *drawn(), *EXPERIMENTS])
        return [(key, found[0]) for key in order if (found := self.entries(key))]


def card_of(folder: Path, name: str) -> str:
    """The row that a card belongs to; an empty string for a card that cannot be read."""
    try:
        return str(json.loads((folder / f"{name}.json").read_text())["experiment"]["id"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


@functools.cache
def drawn() -> dict[str, Experiment]:
    """Rows of the networks that come trained on synthetic faces; empty where their weights are not there."""
    known = weights.names(explorer_nets.FOLDER)
    return {name: row for name, row in explorer_nets.ROWS.items() if name in known}


def demonstrate(identifier: str, folder: Path = DEMONSTRATIONS, seed: int = 0, **changes: object) -> Ready:
    """Train a row's network on synthetic faces for about a minute and keep it; `quick` with ``changes``.

    After so few steps batch normalisation's running statistics still lag behind the weights: they are taken again,
    over the training images. What comes out shows how a network is looked into. It is no result, and its figures
    are of synthetic faces.
    """
    original = get(identifier)
    row = replace(quick(original), **changes)  # type: ignore[arg-type]
    settings = engine.Settings(device="cpu", results=folder / "records", runs=folder, restart=True)
    path = train.run(row, seed, settings, original=original)
    facts = weights.facts_of(records.read(path))
    data, cpu = load_data(row), torch.device("cpu")
    parts = {part: Pixels(data, part, cpu, row.size, row.preprocess) for part in ("train", "test")}
    newest = checkpoint.folder_of(folder, identifier, seed) / "checkpoint.pt"
    model = weights.from_checkpoint(row, len(data.classes), parts["train"].channels, newest)
    images = parts["train"]
    steps = explain.batches(len(images), row.size)
    update_bn([images.finish(images.batch(part)[0]) for part in steps], model)
    logits = engine.predict(model.eval(), parts["test"], torch.float32)
    right = logits.argmax(1) == parts["test"].labels.numpy()
    facts |= {"accuracy": float(right.mean()), "n": len(right), "source": DEMONSTRATION}
    facts["dataset"] = "synthetic faces"
    ready = Ready(identifier, row, data.classes, images.channels, False, data.images.shape[1], model, facts)
    weights.save(ready, folder)
    return ready


def class_means(ready: Ready, results: Path) -> ClassMaps:
    """Mean Grad-CAM and mean face of each class: stored beside a run's record, or taken now over drawn faces.

    Raises FerlibError for a run without stored means: they take its whole test part.
    """
    seed, name = ready.facts.get("seed"), ready.facts["dataset"]
    if not name.startswith("synthetic"):
        return maps.read(results, ready.row.id, int(seed))[0] if seed is not None else _none(ready)
    faces = load("synthetic", n=FACES, difficulty=0.3)
    pixels = Pixels(faces, "test", torch.device("cpu"), ready.row.size, ready.row.preprocess)
    layer = default_layer(ready.model, ready.row.size)
    return explain.class_means(ready.model, pixels, ready.classes, [layer], people=None)


def _none(ready: Ready) -> ClassMaps:
    raise FerlibError(
        f"{ready.name}: no class means of these weights; those of a run come from `ferlib explain`"
    )


def open_file(text: str, catalogue: Catalogue) -> Ready:
    """The network of a file whose path was typed."""
    if not text.strip():
        raise FerlibError("no file named; type the path of weights (.safetensors) or of a checkpoint (.pt)")
    return weights.from_file(Path(text.strip()).expanduser(), catalogue.results, catalogue.data_root)
