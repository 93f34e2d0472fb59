"""Networks that are ready to use, from published weights or a run's, with all that is needed to show them a face.

Published weights are two files in one folder: ``<name>.safetensors``, and ``<name>.json``, the card, which holds the
experiment's row, the class names, how the images are prepared, the figures of the record that the weights belong to,
and checksums over the weights and over itself.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from ferlib import checkpoint, commands, finished, records
from ferlib.data import is_there
from ferlib.data.dataset import FaceDataset, book_name
from ferlib.device import resolve_device, resolve_precision
from ferlib.engine import predict
from ferlib.errors import FerlibError
from ferlib.experiments import Experiment
from ferlib.models.start import PUBLISHED
from ferlib.pixels import Pixels, load_data

FOLDER = PUBLISHED
SCHEMA = 1
COLOUR, SIDES, SIDE = ("rafdb",), {"rafdb": 100}, 48  # the datasets in colour, pixels a side of their images
CHECKED = 64  # test images on which a run's weights are compared with its record
ABOUT_USE = {  # on every card, after Mitchell et al., "Model cards for model reporting", 2019
    "for": "Research and teaching on what such networks attend to and get wrong, on faces whose owners agreed.",
    "not for": "Judging anybody. The classes are what people saw in a picture, not what a person felt; no decision on "
    "a person should rest on them, in hiring, teaching, policing, health care or anywhere else.",
    "limits": "Trained and tested on one dataset, whose sources do not tell who is shown: how it does for groups of "
    "people, in other light, on video or at another size of face is not known.",
    "licence": "MIT, as the code; the dataset keeps its own terms.",
}
KEYS = {"experiment": dict, "classes": list, "channels": int, "colour": bool, "side": int, "record": dict}


@dataclass(frozen=True, eq=False)
class Ready:
    """A network in evaluation mode, on the CPU, and what it takes.

    ``classes``: names in the order of its outputs, under the book's names (`book_name`). ``colour``: trained on colour
    images. ``side``: pixels a side of the images it was trained on, before they were scaled to ``row.size``.
    ``facts``: figures of the record, where the weights come from.
    """

    name: str
    row: Experiment
    classes: tuple[str, ...]
    channels: int
    colour: bool
    side: int
    model: nn.Module
    facts: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(map(book_name, self.classes)))

    def prepare(self, faces: np.ndarray) -> Tensor:
        """Faces uint8 (N, H, W) or (N, H, W, 3) as the network takes them, float32 (N, channels, size, size).

        They are made grey or coloured and scaled to ``side`` first, as the images were that it was trained on.
        """
        if faces.ndim == 4 and not self.colour:
            faces = np.stack([np.asarray(Image.fromarray(face).convert("L")) for face in faces])
        elif faces.ndim == 3 and self.colour:
            faces = np.repeat(faces[..., None], 3, axis=3)
        faces = scaled(faces, self.side)
        n = len(faces)
        ids = np.arange(n).astype(str)
        data = FaceDataset(self.name, faces, np.zeros(n, np.int64), self.classes, np.full(n, "test"), ids)
        pixels = Pixels(data, "test", torch.device("cpu"), self.row.size, self.row.preprocess)
        return pixels.finish(pixels.batch(slice(None))[0])

    def about(self) -> str:
        """One line: what it is, what it was trained on and how well it did there."""
        accuracy, n = self.facts.get("accuracy"), self.facts.get("n")
        level = "" if accuracy is None else f", {100 * accuracy:.1f} % of {n:,} test images right"
        if (profile := self.facts.get("profile", "full")) != "full":
            level += f" ({profile} run)"
        source = self.facts.get("source", "")
        return f"{self.row.row}, {self.facts['dataset']}{level}" + (f"; {source}" if source else "")


def scaled(faces: np.ndarray, side: int) -> np.ndarray:
    """uint8 (N, H, W[, 3]) to (N, side, side[, 3]), bilinear, with antialiasing; unchanged where the size is right."""
    if faces.shape[1:3] == (side, side):
        return faces
    x = torch.from_numpy(np.ascontiguousarray(faces)).float()
    x = x[:, None] if x.ndim == 3 else x.permute(0, 3, 1, 2)
    x = F.interpolate(x, (side, side), mode="bilinear", antialias=True).round().clamp(0, 255).to(torch.uint8)
    return (x[:, 0] if faces.ndim == 3 else x.permute(0, 2, 3, 1)).numpy()


# -- cards ----------------------------------------------------------------------------------------------------------


def names(folder: Path = FOLDER) -> list[str]:
    """What `load` can load from a folder."""
    return sorted(path.stem for path in folder.glob("*.json"))


def save(ready: Ready, folder: Path = FOLDER) -> Path:
    """Write a network's weights and card to ``folder``; returns the card's path."""
    card = folder / f"{ready.name}.json"
    records.writable(folder)
    weights = card.with_suffix(".safetensors")
    checkpoint.save_weights(ready.model, weights)
    facts: dict[str, Any] = {
        "schema": SCHEMA,
        "name": ready.name,
        "experiment": ready.row.to_dict(),
        "classes": list(ready.classes),
        "channels": ready.channels,
        "colour": ready.colour,
        "side": ready.side,
        "size": ready.row.size,
        "preprocess": dict(ready.row.preprocess),
        "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "record": dict(ready.facts),
        "use": ABOUT_USE,
    }
    return records.put_json(card, {**facts, "sha256": records.checksum(facts)})


def load(name: str, folder: Path = FOLDER) -> Ready:
    """Published weights by name. FerlibError where there are none, or where weights and card do not belong together."""
    card = folder / f"{name}.json"
    if not card.is_file():
        known = f"choose one of {', '.join(found)}" if (found := names(folder)) else HOW
        raise FerlibError(f"no weights {name!r} in {folder}; {known}")
    return read(card)


HOW = "train a network first, `ferlib run se_cnn-se --data-root DATA`, then name it with --run se_cnn-se"


def read(card: Path) -> Ready:
    """The network of one card; FerlibError in one line where card or weights are damaged."""
    weights = card.with_suffix(".safetensors")
    try:
        facts = json.loads(card.read_text())
        intact = facts["schema"] == SCHEMA and records.checksum(facts) == facts["sha256"]
        for key, kind in KEYS.items():
            intact = intact and isinstance(facts[key], kind)
        same = hashlib.sha256(weights.read_bytes()).hexdigest() == facts["weights_sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise FerlibError(
            f"{card}: card or weights cannot be read ({reason}); get both files again"
        ) from None
    if not intact:
        raise FerlibError(f"{card}: checksum does not match, edited or damaged; get both files again")
    if not same:
        raise FerlibError(f"{weights}: not the weights that {card.name} describes; get both files again")
    row = finished.row_of(facts["experiment"])
    classes = tuple(facts["classes"])
    model = finished.load_model(row, len(classes), facts["channels"], weights)
    return Ready(
        card.stem, row, classes, facts["channels"], facts["colour"], facts["side"], model, facts["record"]
    )


def export(run: finished.Finished, name: str, folder: Path = FOLDER) -> Path:
    """Write a finished run's weights and card; returns the card's path.

    `finished.load` has compared the network's predictions with the record's, so that the figures on the card are
    those of these very weights.
    """
    images = run.data.images
    channels = run.pixels("test", torch.device("cpu")).channels
    facts = facts_of(run.record)
    model = run.model.to("cpu")
    row, classes = run.row, run.data.classes
    return save(
        Ready(name, row, tuple(classes), channels, images.ndim == 4, images.shape[1], model, facts), folder
    )


def facts_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a card tells of the record that its weights belong to; accuracy at the epoch chosen on validation."""
    part = record["reproducible"]
    result = part["result"]["val_selected"]
    return {
        "dataset": part["data"]["name"],
        "fingerprint": part["data"]["fingerprint"],
        "seed": part["seed"],
        "profile": part["profile"],
        "changed": part["changed"],
        "accuracy": result["accuracy"],
        "n": result["n"],
        "recall": {book_name(name): result["per_class_recall"][name] for name in part["data"]["classes"]},
        "best_epoch": part["best_epoch"],
        "record_sha256": record["sha256"],
    }


def card_text(ready: Ready) -> str:
    """The card for people: what the network is, what it reaches, class by class, and what it is for."""
    found = ready.facts.get("recall", {})
    lines = [f"{ready.name}: {ready.about()}", ""]
    lines += [f"  {book_name(name):<12} {100 * value:5.1f} % recall" for name, value in found.items()]
    return "\n".join([*lines, "", *(f"{name}: {text}" for name, text in ABOUT_USE.items())])


# -- runs and files -------------------------------------------------------------------------------------------------


def from_run(
    identifier: str,
    seed: int = 0,
    results: Path = Path("results"),
    runs: Path = Path("runs"),
    data_root: str | None = None,
    *,
    weights: Path | None = None,
) -> Ready:
    """The network of a run, by its record and weights (default: the run's ``best.safetensors``).

    Where ``data_root`` holds the dataset its predictions of the first 64 test images are compared with the record's
    (`finished.compare`); elsewhere nothing can be compared, and ``facts["source"]`` says so.
    Raises FerlibError where record or weights are missing or do not belong together.
    """
    path = records.path_of(results, identifier, seed)
    record = records.read(path)
    part = record["reproducible"]
    row, name = finished.row_of(part["experiment"]), part["data"]["name"]
    weights = weights or checkpoint.folder_of(runs, identifier, seed) / "best.safetensors"
    if not weights.is_file():
        raise FerlibError(f"{weights}: no such weights; name another --runs, or run the experiment again")
    colour, classes = name in COLOUR, tuple(part["data"]["classes"])
    channels = int(row.preprocess.get("channels", 3 if colour else 1))
    if weights.suffix == ".safetensors":
        model = finished.load_model(row, len(classes), channels, weights)
    else:
        model = from_checkpoint(row, len(classes), channels, weights)
    facts = {**facts_of(record), "source": f"seed {seed}, weights not compared with the record"}
    ready = Ready(
        f"{identifier} seed {seed}", row, classes, channels, colour, SIDES.get(name, SIDE), model, facts
    )
    if data_root is not None and is_there(row.dataset, data_root):
        _compare(ready, load_data(row, data_root), path, part)
        facts["source"] = f"seed {seed}, weights compared with the record"
    return ready


def from_checkpoint(row: Experiment, classes: int, channels: int, path: Path) -> nn.Module:
    """The row's network as a checkpoint of its training has it, the newest epoch's."""
    from ferlib.models import build, start

    content = checkpoint.read(path)
    with start.at_random():
        model = build(row.model, classes=classes, channels=channels, size=row.size, **row.variant)
    try:
        model.load_state_dict(content["model"])
    except (KeyError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise FerlibError(f"{path}: does not fit {row.id} ({reason}); name another file") from None
    return model.eval()


def _compare(ready: Ready, data: FaceDataset, path: Path, part: Mapping[str, Any]) -> None:
    cpu = torch.device("cpu")
    if data.fingerprint != part["data"]["fingerprint"]:
        raise FerlibError(f"{data.name}: not the data of {path}; see `ferlib data check`")
    few = data.take(data.where("test")[:CHECKED])
    pixels = Pixels(few, "test", cpu, ready.row.size, ready.row.preprocess)
    precision = resolve_precision(part["environment"]["precision"], cpu)
    logits = predict(ready.model, pixels, precision, mirror=bool(ready.row.recipe.get("mirror", False)))
    recorded = records.read_predictions(path)["val_selected_test_logits"][:CHECKED]
    difference = finished.compare(logits, recorded)
    if not difference <= finished.TOLERANCE:
        raise FerlibError(
            f"{ready.name}: not the weights of {path}, predictions differ by {difference:.0%}; name another --runs"
        )


def from_file(path: Path, results: Path = Path("results"), data_root: str | None = None) -> Ready:
    """The network of one file: a card, weights beside their card, or weights or a checkpoint in a run's folder.

    A run's folder is ``<experiment>/seed<k>``, and its record must lie in ``results``. Raises FerlibError otherwise.
    """
    if not path.is_file():
        raise FerlibError(f"{path}: no such file")
    card = path.with_suffix(".json")
    if card.is_file():
        return read(card)
    seed = path.parent.name.removeprefix("seed")
    if path.suffix not in (".safetensors", ".pt") or not seed.isdecimal():
        raise FerlibError(
            f"{path}: nothing tells its network; it needs {card.name} beside it or a run's folder"
        )
    newest = path.suffix == ".pt"  # of an epoch that the record's predictions are not of
    return from_run(
        path.parent.parent.name, int(seed), results, data_root=None if newest else data_root, weights=path
    )


# -- command line ---------------------------------------------------------------------------------------------------


def arguments(prog: str = "python -m ferlib.weights") -> argparse.ArgumentParser:
    about = "Published weights: which there are, and how a finished run becomes one of them."
    parser = commands.parser(prog, about)
    subparser = parser.add_subparsers(dest="command", required=True).add_parser
    listing = subparser("list", help="names, networks and figures of the weights in the folder")
    showing = subparser(
        "card", help="the card of one network: its figures, class by class, and what it is for"
    )
    showing.add_argument("name", metavar="NAME", help="see `ferlib weights list`")
    text = "Write a finished run's weights and their card; its test predictions must be the recorded ones."
    making = subparser("export", help=text, description=text)
    for one in (listing, showing, making):
        one.add_argument("--folder", type=Path, default=FOLDER, metavar="DIR", help="where the weights lie")
    listing.add_argument("--json", action="store_true", help="print JSON")
    add = making.add_argument
    add("id", metavar="ID", help="experiment id, see `ferlib list`")
    add("--seed", type=int, default=0, metavar="K", help="seed of the run (default: 0)")
    add("--name", metavar="NAME", help="of the files (default: the id)")
    add("--data-root", metavar="DIR", help="folder with the datasets; default: FERLIB_DATA")
    add("--results", type=Path, default=Path("results"), metavar="DIR", help="folder of the records")
    add("--runs", type=Path, default=Path("runs"), metavar="DIR", help="folder of the weights")
    return parser


@commands.told
def main(argv: list[str] | None = None, prog: str = "python -m ferlib.weights") -> int:
    """List or export; returns the exit status."""
    options = arguments(prog).parse_args(argv)
    if options.command == "list":
        found = [read(options.folder / f"{name}.json") for name in names(options.folder)]
        if options.json:
            print(json.dumps([{"name": one.name, **one.facts} for one in found], indent=1))
        else:
            print("\n".join(f"{one.name}: {one.about()}" for one in found) or f"none yet; {HOW}")
        return 0
    if options.command == "card":
        print(card_text(load(options.name, options.folder)))
        return 0
    device = resolve_device("cpu")
    run = finished.load(options.id, options.seed, options.results, options.runs, options.data_root, device)
    print(export(run, options.name or options.id, options.folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
