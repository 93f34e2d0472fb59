"""Faces in images, crops around them, and how many faces are found in datasets that are face crops already.

The detector is MTCNN: K. Zhang et al., "Joint face detection and alignment using multitask cascaded convolutional
networks", IEEE Signal Processing Letters 23(10), 2016. It is facenet-pytorch's, which brings the weights along, with
that package's settings. It comes with the extra ``detect``; this module can be imported without it.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from tqdm.auto import tqdm

from ferlib import commands, records
from ferlib.data import load
from ferlib.data.dataset import FaceDataset
from ferlib.device import environment, use_threads
from ferlib.errors import FerlibError
from ferlib.evaluate import cluster_bootstrap, wilson
from ferlib.outcome import commit

PACKAGE = "facenet-pytorch"
THRESHOLDS = (0.6, 0.7, 0.7)  # of P-Net, R-Net and O-Net; these three are facenet-pytorch's defaults
PYRAMID = 0.709  # between the scales that P-Net sees
SMALLEST = 20  # pixels a side of the smallest face, in the image as the detector gets it
LARGEST = (
    1280  # pixels of the longer side of what the detector gets: a photograph of 12 megapixels takes seconds
)

SCHEMA = 1
FILE = "detection.json"
COMMAND = "python -m ferlib.detect measure --data-root DATA"
SAMPLE = 2000  # training images of FER2013 that are measured
CHOICE = {"fer2013": 200, "synthetic": 70}  # images on which `PREPARED` was chosen


@dataclass(frozen=True)
class Preparation:
    """What is done to an image, before detection, whose longer side has at most ``side`` pixels.

    Its edge pixels are repeated outwards over ``border`` times its longer side, for P-Net's largest window is smaller
    than the image and a face that fills it has no surroundings; then it is enlarged, bilinear, until the longer side
    without the border has ``side`` pixels.
    """

    border: float = 0.0
    side: int = 0


AS_IS = Preparation()
TRIED = tuple(Preparation(border, side) for border in (0.0, 0.25) for side in (48, 96, 144, 192, 240))
PREPARED = Preparation(border=0.25, side=144)  # the best of `TRIED`, see `choose`


@dataclass(frozen=True, eq=False)
class Face:
    """One face, in pixels of the image: x to the right and y down from the outer corner of the first pixel.

    ``box``: left, top, right, bottom; parts of it may lie outside the image. ``score``: O-Net's probability of a face.
    ``landmarks``: float32 (5, 2), x and y of the eyes, the nose, and the corners of the mouth, left ones in the image
    first.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: np.ndarray


class Prepared(NamedTuple):
    """An image as the detector takes it, float32 (1, H, W, 3) of 0 ... 255; a point p of it was p / scale - border."""

    pixels: torch.Tensor
    scale: np.ndarray
    border: int


@functools.cache
def detector() -> Any:
    """facenet-pytorch's MTCNN on the CPU, loaded once; FerlibError where the package is not installed."""
    try:
        from facenet_pytorch import MTCNN
    except ImportError:
        raise FerlibError(
            f"face detection needs {PACKAGE}, which is not installed; pip install {PACKAGE}==2.5.3"
        ) from None
    return MTCNN(min_face_size=SMALLEST, thresholds=list(THRESHOLDS), factor=PYRAMID, keep_all=True)


def find_faces(image: np.ndarray, preparation: Preparation = PREPARED) -> list[Face]:
    """The faces in an image, uint8 (H, W) or RGB (H, W, 3), the largest first; none where none is found.

    Small images are taken for face crops and prepared; see `Preparation`. Faces of fewer than 20 pixels a side are not
    looked for, in large images (`LARGEST`) in what is left of them when they are made smaller.
    Raises FerlibError where the extra is missing or the image is none.
    """
    ready = prepare(image, preparation)
    if min(ready.pixels.shape[1:3]) < SMALLEST:
        return []
    boxes, scores, points = (found[0] for found in detector().detect(ready.pixels, landmarks=True))
    if boxes is None:
        return []
    # MTCNN counts pixels from 1 and its boxes hold their last one; its landmarks count from 0
    corners = np.asarray(boxes, np.float64).reshape(-1, 2, 2) - np.array([[1, 1], [0, 0]])
    boxes = (corners / ready.scale - ready.border).reshape(-1, 4)
    points = np.asarray(points, np.float64) / ready.scale - ready.border
    faces = [
        Face(tuple(box), float(score), where.astype(np.float32))
        for box, score, where in zip(boxes.tolist(), scores, points, strict=True)
    ]
    return sorted(faces, key=lambda face: _area(face.box), reverse=True)


def prepare(image: np.ndarray, preparation: Preparation = PREPARED) -> Prepared:
    """An image with its border and in the size in which the detector takes it; FerlibError where it is none."""
    _check(image)
    pixels = torch.from_numpy(np.array(image, np.float32))
    pixels = pixels.unsqueeze(2).expand(-1, -1, 3) if pixels.ndim == 2 else pixels
    pixels = pixels.permute(2, 0, 1)[None]
    longer, border = max(image.shape[:2]), 0
    factor = min(1.0, LARGEST / longer)
    if longer <= preparation.side:
        border, factor = round(preparation.border * longer), preparation.side / longer
        pixels = F.pad(pixels, [border] * 4, mode="replicate")
    height, width = pixels.shape[2:]
    size = max(1, round(height * factor)), max(1, round(width * factor))
    if size != (height, width):
        pixels = F.interpolate(pixels, size, mode="bilinear", antialias=True)
    return Prepared(pixels.permute(0, 2, 3, 1), np.array([size[1] / width, size[0] / height]), border)


def _check(image: Any) -> None:
    shape = getattr(image, "shape", ())
    if getattr(image, "dtype", None) != np.uint8 or not (len(shape) == 2 or shape[2:] == (3,)) or 0 in shape:
        found = f"{getattr(image, 'dtype', type(image).__name__)} {tuple(shape)}"
        raise FerlibError(f"an image must be uint8 (H, W) or (H, W, 3), not {found}; convert it first")


def _area(box: Sequence[float]) -> float:
    left, top, right, bottom = box
    return max(right - left, 0.0) * max(bottom - top, 0.0)


def square(box: Sequence[float], margin: float = 0.0) -> tuple[float, float, float, float]:
    """The square about the middle of a box: its longer side, and ``margin`` times that more on each side."""
    left, top, right, bottom = box
    x, y = (left + right) / 2, (top + bottom) / 2
    half = max(right - left, bottom - top) * (0.5 + margin)
    return x - half, y - half, x + half, y + half


def crop(image: np.ndarray, face: Face, size: int, margin: float = 0.0) -> np.ndarray:
    """The `square` around a face, uint8 (size, size) or (size, size, 3), resized bilinear, with antialiasing.

    Outside the image, its edge pixels are repeated. Raises FerlibError for a square that shows nothing of the image.
    """
    _check(image)
    left, top, right, bottom = square(face.box, margin)
    height, width = image.shape[:2]
    if size < 1 or min(right, width) <= max(left, 0) or min(bottom, height) <= max(top, 0):
        raise FerlibError(
            f"nothing to crop to {size} pixels: the box {face.box} with margin {margin} holds no part of the image"
        )
    beside = [(max(0, math.ceil(-low)), max(0, math.ceil(high - end)))
              for low, high, end in ((top, bottom, height), (left, right, width))]  # fmt: skip
    whole = np.pad(image, beside + [(0, 0)] * (image.ndim - 2), mode="edge")
    (y, _), (x, _) = beside
    box = (left + x, top + y, right + x, bottom + y)
    return np.asarray(Image.fromarray(whole).resize((size, size), Image.Resampling.BILINEAR, box=box))


# -- how many faces are found ---------------------------------------------------------------------------------------


def shares(counts: np.ndarray, people: np.ndarray | None = None) -> dict[str, Any]:
    """Of images with so many faces (N,), those with exactly one, any and none: number, share, 95 % intervals.

    ``wilson`` takes the images for independent; ``by_person`` resamples whole people, where they are known (N,).
    """
    found: dict[str, Any] = {"n": len(counts)}
    for name, hits in (("one", counts == 1), ("any", counts > 0), ("none", counts == 0)):
        k = int(hits.sum())
        part: dict[str, Any] = {"images": k, "share": round(k / len(counts), 4)}
        part["wilson"] = [round(bound, 4) for bound in wilson(k, len(counts))]
        if people is not None:
            part["by_person"] = [round(bound, 4) for bound in cluster_bootstrap(hits, people)]
        found[name] = part
    return found


def framing(images: np.ndarray, found: Sequence[list[Face]]) -> dict[str, Any]:
    """How the largest face lies in its image, medians over the images with one, as parts of the image.

    ``box``: left, top, right, bottom. ``coverage``: how much of the image the box covers.
    """
    height, width = images.shape[1:3]
    boxes = np.array([faces[0].box for faces in found if faces]).reshape(-1, 4) / ([width, height] * 2)
    if not len(boxes):
        return {"box": None, "coverage": None}
    inside = np.array([_area(box) for box in boxes.clip(0, 1)])
    return {
        "box": np.median(boxes, axis=0).round(4).tolist(),
        "coverage": round(float(np.median(inside)), 4),
    }


def survey(data: FaceDataset, preparation: Preparation) -> tuple[dict[str, Any], dict[str, float]]:
    """What is found in all images of ``data``, and the median milliseconds for one, by the clock and of the CPU."""
    found, clock = [], []
    for image in tqdm(
        data.images, desc=f"{data.name}, {preparation}", unit="image", disable=None, leave=False
    ):
        began = time.perf_counter(), time.process_time()
        found.append(find_faces(image, preparation))
        clock.append((time.perf_counter() - began[0], time.process_time() - began[1]))
    counts = np.array([len(faces) for faces in found])
    classes = {name: data.labels == k for k, name in enumerate(data.classes) if (data.labels == k).any()}
    facts = {
        **shares(counts, data.subjects),
        "largest_face": framing(data.images, found),
        "classes": {name: shares(counts[own]) for name, own in classes.items()},
    }
    wall, cpu = (1000 * np.median(clock, axis=0)).round(1).tolist()
    return facts, {"milliseconds": wall, "cpu_milliseconds": cpu}


def samples(fer2013: FaceDataset) -> dict[str, FaceDataset]:
    """Training images of FER2013 in an order drawn with seed 0: the first to measure, the next to choose on."""
    order = np.random.default_rng(0).permutation(fer2013.where("train"))
    if len(order) < SAMPLE + CHOICE["fer2013"]:
        raise FerlibError(f"fer2013 has only {len(order)} training images; see `ferlib data check fer2013`")
    return {
        "measure": fer2013.take(np.sort(order[:SAMPLE])),
        "choose": fer2013.take(np.sort(order[SAMPLE : SAMPLE + CHOICE["fer2013"]])),
    }


def choose(sample: FaceDataset) -> dict[str, Any]:
    """Each of `TRIED` on a sample of FER2013 and on synthetic faces.

    ``best``: most images with exactly one face, over both together; among equals, the smallest in pixels.
    """
    sets = {"fer2013": sample, "synthetic": load("synthetic", n=CHOICE["synthetic"], size=48)}
    tried: list[dict[str, Any]] = []
    for preparation in TRIED:
        one = {name: survey(data, preparation)[0]["one"]["images"] for name, data in sets.items()}
        pixels = int(np.prod(prepare(sample.images[0], preparation).pixels.shape[1:3]))
        tried.append({**asdict(preparation), "pixels": pixels, "one": one})
    best = max(tried, key=lambda row: (sum(row["one"].values()), -row["pixels"]))
    return {
        "data": {name: {"n": len(data), "fingerprint": data.fingerprint} for name, data in sets.items()},
        "tried": tried,
        "best": {key: best[key] for key in asdict(AS_IS)},
    }


def measure(data_root: str | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """All that `FILE` holds: what does not change from run to run, and what does.

    CK+48 is measured whole, FER2013 on `SAMPLE` training images, both as they are and prepared. No test image of
    FER2013 is looked at. Raises FerlibError where the extra or the data are missing.
    """
    detector()  # where it is missing, say so before the data are read
    ckplus, fer2013 = load("ckplus", data_root), load("fer2013", data_root)
    sample = samples(fer2013)
    reproducible: dict[str, Any] = {
        "detector": {
            "package": PACKAGE,
            "version": metadata.version(PACKAGE),
            "thresholds": list(THRESHOLDS),
            "pyramid": PYRAMID,
            "smallest_face": SMALLEST,
        },
        "environment": environment(torch.device("cpu"), torch.float32),
        "preparation": asdict(PREPARED),
        "choice": choose(sample["choose"]),
        "datasets": {},
    }
    times: dict[str, Any] = {}
    parts = {
        "ckplus": (ckplus, ckplus, "all images"),
        "fer2013": (fer2013, sample["measure"], "training images drawn with seed 0"),
    }
    for name, (whole, part, which) in parts.items():
        as_is, times[f"{name} as it is"] = survey(part, AS_IS)
        prepared, times[f"{name} prepared"] = survey(part, PREPARED)
        reproducible["datasets"][name] = {
            "fingerprint": whole.fingerprint,
            "part": which,
            "part_fingerprint": part.fingerprint,
            "as_is": as_is,
            "prepared": prepared,
        }
    return reproducible, {"times": times, "finished": datetime.date.today().isoformat(), **commit()}


def write(results: Path, reproducible: dict[str, Any], run: dict[str, Any]) -> Path:
    """Write ``<results>/detection.json``; returns its path. RecordError where nothing can be written there."""
    return records.put_json(results / FILE, records.seal(SCHEMA, reproducible, run, COMMAND))


def read(results: Path | str) -> dict[str, Any]:
    """What `write` wrote; RecordError in one line where it is missing, damaged or of another schema."""
    path = Path(results) / FILE
    with records.reading(path, COMMAND, "not measured yet"):
        return records.unseal(json.loads(path.read_text()), SCHEMA)


# -- command line ---------------------------------------------------------------------------------------------------


def arguments(prog: str = "python -m ferlib.detect") -> argparse.ArgumentParser:
    about = "Face detection with MTCNN (needs facenet-pytorch 2.5.3)."
    parser = commands.parser(prog, about)
    subparser = parser.add_subparsers(dest="command", required=True).add_parser
    text = "In how many images of CK+48 and FER2013, which are face crops already, a face is found; some minutes."
    add = subparser("measure", help=text, description=text).add_argument
    add(
        "--data-root",
        metavar="DIR",
        help="folder with the datasets; default: environment variable FERLIB_DATA",
    )
    add("--results", type=Path, default=Path("results"), metavar="DIR", help=f"where {FILE} goes")
    add("--threads", type=int, default=0, metavar="N", help="CPU threads; 0 leaves it to torch")
    add("--json", action="store_true", help="print what was written")
    return parser


@commands.told
def main(argv: list[str] | None = None, prog: str = "python -m ferlib.detect") -> int:
    """Measure; returns the exit status."""
    options = arguments(prog).parse_args(argv)
    use_threads(options.threads)
    records.writable(options.results)
    path = write(options.results, *measure(options.data_root))
    print(path.read_text() if options.json else f"{path}\n{summary(read(options.results))}")
    return 0


def summary(record: dict[str, Any]) -> str:
    """A line for each dataset and preparation."""
    lines = []
    for name, facts in record["reproducible"]["datasets"].items():
        for how in ("as_is", "prepared"):
            one, any_ = facts[how]["one"], facts[how]["any"]
            low, high = (f"{100 * bound:.1f}" for bound in any_["wilson"])
            lines.append(
                f"{name:8} {how:9} a face in {any_['images']:,} of {facts[how]['n']:,} images "
                f"({100 * any_['share']:.1f} %, {low}-{high}), exactly one in {one['images']:,}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
