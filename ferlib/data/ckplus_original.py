"""CK+ as its owners hand it out: folders of whole video frames, emotion labels and facial landmarks.

From each labelled sequence the last three frames are taken (the expression at its peak), as in CK+48. How
CK+48 was cropped is not documented, so the crop here is ours (assumed):

- with ``Landmarks/``: the square around the frame's 68 landmarks, 1.2 times their longer extent;
- without: the central square of the frame, as high as the frame.

Either is turned to grey and resized to 48 x 48 (Pillow's bilinear filter, which averages when it shrinks).
Pixels therefore differ from CK+48's, and the fingerprint with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ferlib.data import folders, pixelcsv
from ferlib.errors import DataError

FRAMES = 3  # of each labelled sequence, counted from its end
MARGIN = 1.2  # side of the crop over the longer extent of the landmarks (assumed)
LANDMARKS = 68


@dataclass(frozen=True)
class Crop:
    """How frames are cropped: its name for the record, the files it needs, what it does."""

    name: str
    files: Callable[[Sequence[Path]], list[Path]]
    apply: Callable[[Image.Image, Path], Image.Image]


def images_folder(base: Path) -> Path | None:
    """``cohn-kanade-images``, directly or in the folder that its archive makes."""
    return _either(base, "cohn-kanade-images", "extended-cohn-kanade-images/cohn-kanade-images")


def labelled_frames(base: Path, neutral: int | None = None) -> list[tuple[Path, int]]:
    """The last three frames of every labelled sequence with its label 0..6; neutral adds the first frame."""
    images = images_folder(base)
    emotion = _either(base, "Emotion", "Emotion_labels/Emotion")
    if images is None or emotion is None:
        raise DataError(f"{base} has cohn-kanade-images/ but no Emotion/: unpack Emotion_labels.zip there")
    found = []
    for file in sorted(emotion.glob("S*/*/*_emotion.txt")):
        sequence = file.parent.relative_to(emotion)
        if not (images / sequence).is_dir():
            raise DataError(f"{file.name} labels {images / sequence}, which is missing: complete the copy")
        frames = folders.image_files(images / sequence)
        if len(frames) < FRAMES + (neutral is not None):
            raise DataError(f"{images / sequence} has only {len(frames)} frames: complete the copy")
        label = _label(file)
        found += [(frame, label) for frame in frames[-FRAMES:]]
        if neutral is not None:
            found.append((frames[0], neutral))
    if not found:
        raise DataError(f"{emotion} holds no S###/###/*_emotion.txt: unpack Emotion_labels.zip again")
    return found


def cropper(base: Path) -> Crop:
    """The crop by landmarks where they are there, else the central square."""
    marks = _either(base, "Landmarks", "Landmarks/Landmarks")
    images = images_folder(base)
    if marks is None or images is None:
        return Crop("centre", lambda frames: [], lambda image, file: _square(image, *_centre(image)))

    def beside(frame: Path) -> Path:
        return marks / frame.parent.relative_to(images) / f"{frame.stem}_landmarks.txt"

    def around(image: Image.Image, frame: Path) -> Image.Image:
        points = _points(beside(frame))
        low, high = points.min(axis=0), points.max(axis=0)
        middle = (low + high) / 2
        return _square(image, float(middle[0]), float(middle[1]), MARGIN * float((high - low).max()))

    return Crop("landmarks", lambda frames: [_existing(beside(frame)) for frame in frames], around)


def _either(base: Path, *names: str) -> Path | None:
    """The deepest of the given folders that exists and holds subject folders."""
    return next((base / name for name in names if any((base / name).glob("S[0-9]*"))), None)


def _label(file: Path) -> int:
    text = file.read_text(encoding="ascii", errors="replace").strip()
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if value not in range(1, 8):
        raise DataError(f"{file.name}, line 1 reads {text[:20]!r}: the emotion must be 1..7")
    return int(value) - 1


def _existing(file: Path) -> Path:
    if not file.is_file():
        raise DataError(
            f"{file} is missing: complete Landmarks/ or remove it (then the frame's centre is used)"
        )
    return file


def _points(file: Path) -> np.ndarray:
    try:
        points = np.array([line.split() for line in file.read_text().split("\n") if line.strip()], float)
    except (ValueError, OSError, UnicodeDecodeError):
        points = np.empty((0, 0))
    if points.shape != (LANDMARKS, 2) or not np.isfinite(points).all():
        raise DataError(f"{file.name} does not hold {LANDMARKS} lines 'x y': get a fresh copy")
    return points


def _centre(image: Image.Image) -> tuple[float, float, float]:
    return image.width / 2, image.height / 2, min(image.size)


def _square(image: Image.Image, x: float, y: float, side: float) -> Image.Image:
    """The square of ``side`` around (x, y), pushed inside the image and no larger than it, at 48 x 48."""
    side = max(1.0, min(side, *image.size))
    left = min(max(x - side / 2, 0), image.width - side)
    top = min(max(y - side / 2, 0), image.height - side)
    box = (left, top, left + side, top + side)
    size = (pixelcsv.SIDE, pixelcsv.SIDE)
    return image.resize(size, Image.Resampling.BILINEAR, box=box)
