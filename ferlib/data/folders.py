"""Datasets that are folders of image files: which files there are, in which order, and what is in them.

Files are taken in the order of their names, so the same folder gives the same arrays on any platform.
Images are opened as JPEG, PNG or BMP only, and their size is checked before a pixel is decoded.
"""

from __future__ import annotations

import os
import struct
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from ferlib.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
MOST_BYTES = 1 << 25  # 32 MB; a CK+ frame, the largest image here, has 0.3 MB
MOST_PIXELS = 1 << 24
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
_SAME = {
    "angry": "anger",
    "disgusted": "disgust",
    "fearful": "fear",
    "happy": "happiness",
    "sad": "sadness",
    "surprised": "surprise",
}


def plain(name: str) -> str:
    """A class name in its plain form: 'Happy', 'happy' and 'happiness' all give 'happiness'."""
    lowered = name.strip().lower()
    return _SAME.get(lowered, lowered)


def places(root: Path, *names: str) -> list[Path]:
    """The folders in which a dataset is looked for: ``root/<name>`` where it exists, then ``root``."""
    return [folder for folder in (root / name for name in names) if folder.is_dir()] + [root]


def subfolders(folder: Path) -> list[Path]:
    """Subfolders in the order of their names, hidden ones left out."""
    return sorted((p for p in _entries(folder) if p.is_dir()), key=_by_name)


def image_files(folder: Path, suffixes: Sequence[str] | None = SUFFIXES) -> list[Path]:
    """Image files of a folder in the order of their names (None: files of any suffix); none at all is an error."""
    every = (p for p in _entries(folder) if p.is_file())
    files = sorted((p for p in every if suffixes is None or p.suffix.lower() in suffixes), key=_by_name)
    if not files:
        raise DataError(f"folder {folder} holds no images (.jpg, .png): copy them there or remove the folder")
    return files


def _by_name(path: Path) -> str:
    return path.name  # paths themselves compare otherwise on Windows


def _exists(entry: os.DirEntry[str]) -> bool:
    """False for a link that leads nowhere."""
    return entry.is_file() or entry.is_dir()


def _entries(folder: Path) -> Iterable[Path]:
    try:
        with os.scandir(folder) as entries:
            return [
                Path(entry.path) for entry in entries if not entry.name.startswith(".") and _exists(entry)
            ]
    except OSError as error:
        raise DataError(f"folder {folder} cannot be read: {error.strerror}") from None


def labelled_files(
    folder: Path, names: Mapping[str, int], suffixes: Sequence[str] | None = SUFFIXES
) -> list[tuple[Path, int]]:
    """Image files with labels from class folders; ``names`` maps folder names (plain form) to labels.

    Every class must have its folder, and a folder that names no class is an error: a class that is
    silently missing would change every result.
    """
    found: dict[str, Path] = {}
    for sub in subfolders(folder):
        name = plain(sub.name)
        if name not in names:
            raise DataError(f"folder {sub} names no class: expected are {', '.join(names)}")
        if name in found:
            raise DataError(f"folders {found[name]} and {sub.name} name the same class: merge them")
        found[name] = sub
    missing = [name for name in names if name not in found]
    if missing:
        raise DataError(f"folder {folder} has no subfolder for the class {missing[0]!r}: complete the copy")
    return [(file, label) for name, label in names.items() for file in image_files(found[name], suffixes)]


def plain_name(text: str, where: str) -> str:
    """A file name taken from a list; anything that would lead out of the images' folder is refused."""
    if text != os.path.basename(text) or "\\" in text or text in ("", ".", ".."):
        raise DataError(f"{where} names the file {text[:60]!r}: a plain file name is expected")
    return text


def read(
    files: Sequence[Path],
    shape: tuple[int, ...],
    base: Path,
    prepare: Callable[[Image.Image, Path], Image.Image] | None = None,
) -> tuple[np.ndarray, dict[str, int]]:
    """Decode images to uint8 (N, \\*shape), ``shape`` (H, W) for grey or (H, W, 3) for RGB.

    ``prepare`` turns a file's image into one of the wanted size; without it another size is an error.
    Returns the images and how many files had which Pillow mode. ``base`` shortens paths in errors.
    """
    images = np.empty((len(files), *shape), np.uint8)
    modes: Counter[str] = Counter()
    for i, file in enumerate(tqdm(files, desc=base.name, unit=" images", disable=None, leave=False)):
        shown = Path(os.path.relpath(file, base)).as_posix()
        image = _decode(file, shown)
        modes[image.mode] += 1
        image = image.convert("RGB" if len(shape) == 3 else "L")
        image = prepare(image, file) if prepare else image
        if image.size != (shape[1], shape[0]):
            wanted = f"{shape[1]} x {shape[0]}"
            raise DataError(
                f"{shown} is {image.width} x {image.height}, not {wanted}: use the original files"
            )
        images[i] = np.asarray(image)
    return images, dict(sorted(modes.items()))


def eight_bits(image: Image.Image) -> Image.Image:
    """The image with 8 bits a channel: 16 bits are scaled, where Pillow would cut them off at 255.

    Raises ValueError for floating-point pixels and those of more than 16 bits, whose range nothing tells.
    """
    if image.mode == "F":
        raise ValueError("floating-point pixels")
    if image.mode == "I" or image.mode.startswith("I;16"):
        pixels = np.asarray(image).astype(np.int64)
        if pixels.min() < 0 or pixels.max() > 65535:
            raise ValueError("pixels of more than 16 bits")
        return Image.fromarray((pixels // 257).astype(np.uint8))
    image.load()
    return image


def _decode(file: Path, shown: str) -> Image.Image:
    try:
        if file.stat().st_size > MOST_BYTES:
            raise DataError(f"{shown} is larger than {MOST_BYTES >> 20} MB: this is no face of the dataset")
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image: Image.Image = Image.open(file, formats=("JPEG", "PNG", "BMP"))
        if image.width * image.height > MOST_PIXELS:
            raise DataError(f"{shown} is {image.width} x {image.height}: too large for a face of the dataset")
        image = eight_bits(image)
    except FileNotFoundError:
        raise DataError(f"{shown} is missing in {file.parent}: complete the copy") from None
    except _BROKEN as error:
        reason = str(error).replace(str(file), file.name).splitlines() or [type(error).__name__]
        raise DataError(f"{shown} is no readable image ({reason[0][:80]}): get a fresh copy") from None
    return image
