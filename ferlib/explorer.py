"""What the book's pages `explorer` and `your_face` show without a kernel, made before the pages are built.

``explorer.js`` holds two parts. Class means: `ferlib.maps` of finished runs, so means over the images of a class
and nothing of a single image. Synthetic faces: for each person, expression and intensity the picture, its
regions, and of each network of `ferlib.explorer_nets` the probabilities and Grad-CAM of each class. Arrays are
bytes, gzipped and in base64, so that a page opened from disk can read them too. ``face.js``, ``face.onnx`` and
``runtime/`` hold a network that runs in the reader's browser.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import gzip
import hashlib
import json
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch

from ferlib import commands, explorer_nets, explorer_onnx, explorer_runtime, maps, records, tables, weights
from ferlib.claims.page import NAMES
from ferlib.data import synthetic
from ferlib.data.dataset import book_name
from ferlib.data.synthetic_face import REGIONS, render
from ferlib.errors import FerlibError
from ferlib.experiments import EXPERIMENTS
from ferlib.explain import grad_cam
from ferlib.plots import HEAT, OPACITY
from ferlib.stages import layers_of
from ferlib.weights import Ready
from ferlib.wording import DATASETS

PEOPLE = (0, 2, 3, 5)  # of the synthetic dataset with seed 0
STEPS = 10  # of intensity, beside 0
FINEST = 12  # cells a side of a layer whose Grad-CAM is kept: finer ones cost most and show edges
LEVELS = 32  # of a synthetic face's map: 5 bits can be seen and compress well
LIMIT = 1_500_000  # bytes of explorer.js
PARTS = {"dfem": "feature block {} (DFEM{})", "block": "block {}", "unit": "unit {}"}  # of `ferlib.stages`


class Bytes:
    """Arrays one after the other as bytes; ``add`` tells where one lies."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.length = 0

    def add(self, values: np.ndarray) -> dict[str, Any]:
        """Append uint8 or little-endian uint16; returns ``at`` (a byte) and ``shape``."""
        blob = np.ascontiguousarray(values).tobytes()
        place = {"at": self.length, "shape": list(values.shape)}
        self.parts.append(blob)
        self.length += len(blob)
        return place

    def text(self) -> str:
        return base64.b64encode(gzip.compress(b"".join(self.parts), 9, mtime=0)).decode()


# -- class means ---------------------------------------------------------------------------------------------


def scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """uint8: ``low`` is 0, ``high`` is 255, what lies beyond is clipped."""
    return np.rint(np.clip((values - low) / max(high - low, 1e-6), 0, 1) * 255).astype(np.uint8)


def class_means(results: Path, blob: Bytes) -> dict[str, Any]:
    """Every experiment that has maps, in the order of the tables, by its lowest seed; equal faces are kept once."""
    faces: dict[str, dict[str, Any]] = {}
    runs = []
    for identifier in EXPERIMENTS:
        names = [p.name for p in (results / identifier).glob("seed*.maps.npz")]
        if not names:
            continue
        seed = min(int(name.removeprefix("seed").removesuffix(".maps.npz")) for name in names)
        part = records.read(records.path_of(results, identifier, seed))["reproducible"]
        if part["profile"] == "smoke":
            continue
        means, header = maps.read(results, identifier, seed)
        low, high = np.percentile(
            means.faces, [1, 99]
        )  # as in `plots.class_maps`: means have little contrast
        pixels = scaled(means.faces, float(low), float(high))
        key = hashlib.sha256(pixels.tobytes()).hexdigest()[:12]
        if key not in faces:
            faces[key] = blob.add(pixels)
        runs.append(_run_facts(part, means, header) | {"faces": key, "layers": _layers(means, blob)})
    return {"runs": runs, "faces": faces}


def in_words(layer: str) -> str:
    """A layer of a record as readers see it: ``dfem3`` is feature block 3 (DFEM3); others keep their names."""
    found = re.fullmatch(r"(dfem|block|unit)(\d+)(\.spatial_attention)?", layer)
    return PARTS[found[1]].format(found[2], found[2]) if found else layer


def _run_facts(part: dict[str, Any], means: maps.ClassMaps, header: Mapping[str, Any]) -> dict[str, Any]:
    experiment = part["experiment"]
    return {
        "id": header["experiment"],
        "seed": header["seed"],
        "paper": NAMES.get(experiment["paper"], experiment["paper"]),
        "name": tables.label(part),
        "data": DATASETS[part["data"]["name"]],
        "part": means.part,
        "accuracy": part["result"]["val_selected"]["accuracy"],
        "n": part["result"]["val_selected"]["n"],
        "classes": [book_name(name) for name in means.classes],
        "counts": [means.counts[name] for name in means.classes],
        "left_out": {book_name(name): n for name, n in means.left_out.items()},
        "default": means.default_layer(),
    }


def _layers(means: maps.ClassMaps, blob: Bytes) -> list[dict[str, Any]]:
    """Grad-CAM of each layer, between 0 and 1, and each spatial attention between its own bounds."""
    found = []
    for name, values in means.cam.items():
        zero = [means.zero[name][c] for c in means.classes]
        found.append({"name": name, "kind": "cam", "low": 0.0, "high": 1.0, "zero": zero})
        found[-1] |= {"title": f"Grad-CAM on {in_words(name)}"}
        found[-1] |= blob.add(scaled(values, 0, 1)) | {"grid": list(means.grids[name])}
    for name, values in means.attention.items():
        if values.ndim == 3:
            low, high = float(values.min()), float(values.max())
            found.append({"name": name, "kind": "attention", "low": round(low, 4), "high": round(high, 4)})
            found[-1] |= {"title": f"own attention of {in_words(name)}"}
            found[-1] |= blob.add(scaled(values, low, high)) | {"grid": list(means.grids[name])}
    return found


# -- synthetic faces -----------------------------------------------------------------------------------------


def frames() -> list[tuple[int, str, float]]:
    """(person, expression, intensity) of every picture: per person neutral, then each expression's steps."""
    shown = [(c, k / STEPS) for c in synthetic.CLASSES if c != "neutral" for k in range(1, STEPS + 1)]
    return [(person, c, v) for person in PEOPLE for c, v in [("neutral", 0.0), *shown]]


def pictures(size: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """Images and masks uint8 (N, size, size) of `frames`."""
    drawn = [render(synthetic.face(c, v, seed=person), size) for person, c, v in frames()]
    images, masks = zip(*drawn, strict=True)
    return np.stack(images), np.stack(masks)


def synthetic_faces(nets: Mapping[str, Ready], blob: Bytes) -> dict[str, Any]:
    """Pictures, masks, and what every network makes of them."""
    images, masks = pictures()
    x = torch.from_numpy(images).float().div(255)[:, None]
    return {
        "people": list(PEOPLE),
        "classes": list(synthetic.CLASSES),
        "steps": STEPS,
        "regions": REGIONS,
        "expressive": {c: list(synthetic.expressive_regions(c)) for c in synthetic.CLASSES},
        "images": blob.add(images),
        "masks": blob.add(masks),
        "nets": [_seen_by(name, net, x, blob) for name, net in nets.items()],
    }


def _seen_by(name: str, net: Ready, x: torch.Tensor, blob: Bytes) -> dict[str, Any]:
    """Probabilities (N, classes) in thousandths, Grad-CAM (N, classes, h, w) of each layer that is coarse enough."""
    with torch.no_grad():
        probabilities = net.model(x)[0].softmax(1).numpy()
    layers = []
    for layer, grid in layers_of(net.model, x.shape[-1]).items():
        if max(grid) > FINEST:
            continue
        cams = [
            grad_cam(net.model, x, torch.full((len(x),), c), layer).normalised().maps
            for c in range(len(net.classes))
        ]
        coarse = np.rint(np.stack(cams, axis=1) * (LEVELS - 1)).astype(np.uint8)
        about = {"name": layer, "title": in_words(layer), "grid": list(grid), "levels": LEVELS}
        layers.append(about | blob.add(coarse))
    thousandths = np.rint(probabilities * 1000).astype("<u2")
    return {"name": name, **figures(net), "probabilities": blob.add(thousandths), "layers": layers}


def figures(net: Ready) -> dict[str, Any]:
    """What a page says of a network; ``train_images`` is null where the card does not tell."""
    facts = net.facts
    return {
        "title": net.row.row,
        "data": DATASETS.get(facts["dataset"], facts["dataset"]),
        "mirror": bool(net.row.recipe.get("mirror", False)),
        **{key: facts.get(key) for key in ("profile", "accuracy", "n", "train_images")},
    }


# -- the files -----------------------------------------------------------------------------------------------


def explorer(results: Path, nets: Mapping[str, Ready]) -> str:
    """``explorer.js``: one assignment; FerlibError where it grows over `LIMIT`."""
    blob = Bytes()
    content = {
        "palette": _palette(),
        "opacity": OPACITY,
        "means": class_means(results, blob),
        "synthetic": synthetic_faces(nets, blob),
    }
    text = _script("FERLIB_EXPLORER", content | {"bytes": blob.text()})
    if len(text) > LIMIT:
        raise FerlibError(
            f"explorer.js has {len(text):,} bytes, more than {LIMIT:,}; show fewer people or runs"
        )
    return text


def _palette() -> str:
    """256 colours of `plots.HEAT`, red, green, blue."""
    colours = matplotlib.colormaps[HEAT](np.arange(256))[:, :3]
    return base64.b64encode(np.rint(255 * colours).astype(np.uint8).tobytes()).decode()


def _script(name: str, content: Any) -> str:
    return f"window.{name} = {json.dumps(content, separators=(',', ':'), allow_nan=False)};\n"


def face(out: Path, net: Ready) -> str | None:
    """``face.js``, ``face.onnx`` and ``runtime/``; returns why they were left out, or None.

    Then the page says so instead of offering what cannot work.
    """
    drawn = Bytes()
    images = [synthetic.draw(c, 1.0, seed=PEOPLE[0]) for c in synthetic.CLASSES]
    about: dict[str, Any] = {
        **figures(net),
        "classes": list(net.classes),
        "palette": _palette(),
        "opacity": OPACITY,
        "examples": list(synthetic.CLASSES),
        "images": drawn.add(np.stack(images)),
        "bytes": drawn.text(),
        "package": f"{explorer_runtime.PACKAGE} {explorer_runtime.VERSION}",
    }
    reason = None
    try:
        about |= {"network": explorer_onnx.export(net, out / "face.onnx")}
        files = explorer_runtime.copy_to(out / "runtime")
        about |= {"megabytes": round(sum(f.stat().st_size for f in files) / 1e6)}
    except FerlibError as error:
        reason = str(error)
        about |= {"missing": reason}
        shutil.rmtree(out / "runtime", ignore_errors=True)
    (out / "face.js").write_text(_script("FERLIB_FACE", about), encoding="utf8")
    return reason


def missing(out: Path) -> str | None:
    """Why the folder ``out`` has no network for the reader's browser; None where it has one."""
    script = (out / "face.js").read_text(encoding="utf8")
    about = json.loads(script.partition(" = ")[2].rstrip().removesuffix(";"))
    return about.get("missing")


def inputs(results: Path, card: Path) -> str:
    """One hash over all that the files depend on."""
    here = Path(__file__).parent
    code = [
        *here.glob("explorer*.py"),
        *(here / f"{name}.py" for name in ("explain", "maps", "stages", "weights")),
    ]
    folders = [here / "models", here / "data", explorer_nets.FOLDER]
    files = [*code, *(p for f in folders for p in f.glob("*.*"))]
    files += [*results.glob("*/seed*.maps.npz"), *results.glob("*/seed*.json")]
    files += [card, card.with_suffix(".safetensors")]
    total = hashlib.sha256(f"{torch.__version__} {matplotlib.__version__}".encode())
    for path in sorted(filter(Path.is_file, files)):
        total.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def default_card(folder: Path = weights.FOLDER) -> Path:
    """The network for the reader's own face where none is named: of the published ones the first that a page can show.

    Without any, one that knows drawn faces only.
    """
    for name in weights.names(folder):
        net = weights.read(folder / f"{name}.json")
        with contextlib.suppress(FerlibError):
            explorer_onnx.suitable(net)
            return folder / f"{name}.json"
    return explorer_nets.FOLDER / f"{next(iter(explorer_nets.ROWS))}.json"


def build(out: Path, results: Path = Path("results"), card: Path | None = None) -> str:
    """Make everything in the folder ``out`` where something changed; returns what happened in a few words.

    ``card`` (`ferlib.weights`) is that of the network for the reader's own face. What could not be had
    (onnxruntime-web without a network) is left out, told, and tried again at the next call.
    """
    card = card or default_card()
    stamp = out.with_name(out.name + ".inputs")
    wanted = inputs(results, card)
    if (out / "face.js").is_file() and stamp.is_file() and stamp.read_text() == wanted:
        return "unchanged, kept"
    shutil.rmtree(out, ignore_errors=True)
    stamp.unlink(missing_ok=True)
    out.mkdir(parents=True)
    text = explorer(results, explorer_nets.demonstrations())
    (out / "explorer.js").write_text(text, encoding="utf8")
    if reason := face(out, weights.read(card)):
        return f"made without the network in the browser: {reason}"
    stamp.write_text(wanted)
    return "made"


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = commands.parser(prog, "The files behind the book's pages that explain without a kernel.")
    add = parser.add_subparsers(dest="command", required=True).add_parser
    p = add("build", help="make the files in OUT")
    p.add_argument("out", type=Path)
    p.add_argument("--results", type=Path, default=Path("results"), help="records and their maps")
    p.add_argument(
        "--card", type=Path, help="of the weights for the reader's own face; default: published ones"
    )
    p = add("train", help="train the networks of the synthetic faces again")
    p.add_argument("name", nargs="*", help=f"of {', '.join(explorer_nets.ROWS)}; default: all")
    p.add_argument("--out", type=Path, default=explorer_nets.FOLDER)
    p.add_argument("--runs", type=Path, help="folder for checkpoints; an interrupted training goes on")
    return parser


@commands.told
def main(argv: list[str] | None = None, prog: str = "python -m ferlib.explorer") -> int:
    """Build or train; returns the exit status."""
    options = _parser(prog).parse_args(argv)
    if options.command == "build":
        print(build(options.out, options.results, options.card))
    else:
        for name in options.name or explorer_nets.ROWS:
            print(explorer_nets.train(name, options.out, options.runs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
