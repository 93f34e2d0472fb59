"""From a picture to an expression: find the face, crop it as the datasets are cropped, ask a network."""

from __future__ import annotations

import argparse
import io
import json
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ferlib import commands, weights
from ferlib.data.folders import eight_bits
from ferlib.detect import Face, crop, find_faces
from ferlib.errors import FerlibError
from ferlib.recipe import with_mirror
from ferlib.stages import evaluating
from ferlib.weights import Ready

# The square about the detector's box that is cropped, see `ferlib.detect.square`. In the images of CK+48 and of
# FER2013 the box of a face is a little higher than the image (results/detection.json): 1.04 and 1.05 times.
MARGIN = -0.02
PIXELS = 50_000_000  # of the largest picture that is read
# what Pillow's readers raise for damaged files
DAMAGED = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    RuntimeError,
    struct.error,
    Image.DecompressionBombError,
)


class NoFace(FerlibError):
    """A picture in which the detector finds no face."""


def read_image(source: Path | bytes) -> np.ndarray:
    """A picture, from a file or its bytes, turned upright as its EXIF entry says: uint8 RGB (H, W, 3).

    Raises FerlibError for what is no picture, a damaged one, and one of more than 50 megapixels.
    """
    name = "the upload" if isinstance(source, bytes) else str(source)
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            if image.width * image.height > PIXELS:
                raise FerlibError(
                    f"{name}: {image.width}x{image.height} pixels are too many; make it smaller"
                )
            return np.array(eight_bits(ImageOps.exif_transpose(image)).convert("RGB"))
    except FileNotFoundError:
        raise FerlibError(f"{name}: no such file") from None
    except DAMAGED as error:
        reason = str(error).partition("\n")[0]
        raise FerlibError(f"{name}: cannot be read as a picture ({reason}); try a PNG or JPEG") from None


def face_in(image: np.ndarray, side: int, *, detect: bool = True) -> tuple[np.ndarray, Face | None]:
    """The largest face of a picture, cropped to (side, side[, 3]) uint8, and where it was found.

    ``detect=False`` takes the square in the middle instead, for a picture that is a crop of a face already.
    Raises FerlibError where no face is found, or the detector is not installed.
    """
    if detect:
        if not (faces := find_faces(image)):
            raise NoFace("no face found; choose another picture, or take the square in its middle")
        return crop(image, faces[0], side, MARGIN), faces[0]
    height, width = image.shape[:2]
    half = min(height, width) / 2
    box = (width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half)
    return crop(image, Face(box, 0.0, np.zeros((5, 2), np.float32)), side), None


def heads(ready: Ready, x: Tensor) -> tuple[dict[str, np.ndarray], dict[str, Tensor]]:
    """Probabilities (N, classes) of each classifier, and the attention of ``model(x)``.

    ``prediction`` is what the network is judged by (with its mirror image where the row says so), ``main`` the main
    classifier where that is another (AMDCNN), ``aux1`` ... the auxiliary ones.
    """
    with evaluating(ready.model), torch.no_grad():
        logits, out = ready.model(x)
        if ready.row.recipe.get("mirror", False):
            logits = with_mirror(ready.model, x)
    scores = {"prediction": logits} | ({"main": out["main"]} if "main" in out else {})
    scores |= {f"aux{i}": z for i, z in enumerate(out.get("aux", []), 1)}
    return {k: z.float().softmax(1).numpy() for k, z in scores.items()}, out.get("attention", {})


def predict(ready: Ready, image: np.ndarray, *, detect: bool = True) -> dict[str, Any]:
    """Of the largest face: ``label``, ``probabilities`` by class, likeliest first, and the face's ``box``."""
    face, found = face_in(image, ready.side, detect=detect)
    values = heads(ready, ready.prepare(face[None]))[0]["prediction"][0]
    order = np.argsort(-values, kind="stable")
    return {
        "label": ready.classes[order[0]],
        "probabilities": {ready.classes[k]: round(float(values[k]), 6) for k in order},
        "box": None if found is None else [round(v, 1) for v in found.box],
    }


# -- command line ---------------------------------------------------------------------------------------------------


def add_network_options(parser: argparse.ArgumentParser) -> None:
    """Options that choose a network, and what it is shown of a picture; see `chosen`."""
    add = parser.add_argument
    add("--weights", metavar="NAME|FILE", help="published weights (`ferlib weights list`) or a file")
    add("--run", metavar="ID", help="weights of this experiment's run instead")
    add("--seed", type=int, default=0, metavar="K", help="seed of the run (default: 0)")
    add("--results", type=Path, default=Path("results"), metavar="DIR", help="folder of the records")
    add("--runs", type=Path, default=Path("runs"), metavar="DIR", help="folder of the runs' weights")
    add("--no-detect", action="store_true", help="take the square in the middle, look for no face")
    add("--json", action="store_true", help="print JSON")


def chosen(options: argparse.Namespace) -> Ready:
    """The network that `add_network_options` names; by default the first of the published weights."""
    if options.run:
        return weights.from_run(options.run, options.seed, options.results, options.runs)
    if options.weights and Path(options.weights).suffix in (".safetensors", ".json", ".pt"):
        return weights.from_file(Path(options.weights), options.results)
    if options.weights:
        return weights.load(options.weights)
    if not (known := weights.names()):
        raise FerlibError(f"there are no published weights here yet; {weights.HOW}")
    return weights.load(known[0])


def arguments(prog: str = "python -m ferlib.predict") -> argparse.ArgumentParser:
    parser = commands.parser(
        prog,
        "The expression of the largest face in each picture, as annotators would label it.",
        "A label says what a face looks like, not what a person feels. A picture that fails does not stop the others.",
    )
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    add_network_options(parser)
    return parser


@commands.told
def main(argv: list[str] | None = None, prog: str = "python -m ferlib.predict") -> int:
    """Predict; returns the exit status. A picture that fails is told and does not stop the others."""
    options = arguments(prog).parse_args(argv)
    found, failed = [], False
    ready = chosen(options)
    if not options.json:
        print(f"{ready.name}: {ready.about()}")
    for path in options.images:
        try:
            one = predict(ready, read_image(path), detect=not options.no_detect)
        except FerlibError as error:
            text = str(error) + (" with --no-detect" if isinstance(error, NoFace) else "")
            print(f"ferlib: {text if text.startswith(str(path)) else f'{path}: {text}'}", file=sys.stderr)
            failed = True
            continue
        found.append({"image": str(path), "network": ready.name, **one})
        if not options.json:
            best = ", ".join(f"{name} {p:.2f}" for name, p in list(one["probabilities"].items())[:3])
            print(f"{path}: {best}")
    if options.json:
        print(json.dumps(found, indent=1))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
