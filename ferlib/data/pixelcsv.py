"""Tables of faces written as text: ``emotion,pixels,Usage`` with 48 x 48 grey values in each row.

FER2013 (``fer2013.csv``, ``icml_face_data.csv``) and CK+ (``ckextended.csv``) come this way. The text of
FER2013 is 300 MB; it is read in blocks by a second thread (bz2, gzip and lzma release the interpreter
lock) while numpy turns the digits of the block before into bytes, and every row is checked on the way.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

import numpy as np
from tqdm import tqdm

from ferlib.errors import DataError

SIDE = 48
PIXELS = SIDE * SIDE
SUFFIXES = ("", ".gz", ".bz2", ".xz", ".zip")
USAGES = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}
COLUMNS = ("emotion", "pixels", "usage")
_DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, RuntimeError)
_BLOCK = 1 << 23  # bytes of text per block
_LONGEST = 1 << 16  # bytes; a row of 2,304 three-digit values has about 9,300
_MOST = 200_000  # rows; five times FER2013


@dataclass(frozen=True)
class Table:
    """images uint8 (N, 48, 48); labels int64 (N,) as in the file; split str (N,); row order is kept."""

    images: np.ndarray
    labels: np.ndarray
    split: np.ndarray


def read(path: Path, labels: int, usages: Mapping[str, str] = USAGES) -> Table:
    """Read a table of faces, plain or compressed.

    ``labels`` is the number of classes (0..labels-1 are allowed), ``usages`` maps the file's usages to
    train, val and test. DataError names file and line of the first row that is wrong.
    """
    images, emotions, splits = [], [], []
    first = 2  # line number of the block's first row; line 1 is the header
    with _opened(path) as file, tqdm(desc=path.name, unit=" rows", disable=None, leave=False) as bar:
        order = _header(path, _line(path, file))
        for block in _blocks(path, file):
            rows = [_fields(path, first + i, line, order) for i, line in enumerate(block)]
            emotions += [_label(path, first + i, row[0], labels) for i, row in enumerate(rows)]
            splits += [_split(path, first + i, row[2], usages) for i, row in enumerate(rows)]
            images.append(_pixels(path, first, [row[1] for row in rows]))
            first += len(rows)
            bar.update(len(rows))
            if first > _MOST:
                raise DataError(f"{path.name} has more than {_MOST:,} rows: this is not a table of faces")
    if not emotions:
        raise DataError(f"{path.name} has no rows below its header: get a fresh copy")
    return Table(np.concatenate(images), np.array(emotions, np.int64), np.array(splits))


def place(path: Path, line: int) -> str:
    """How errors name a row: line of the file (1 is the header) and row index (0 is the first face)."""
    return f"{path.name}, line {line} (row {line - 2})"


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The uncompressed bytes as a stream; damage found while reading becomes a DataError."""
    try:
        with contextlib.ExitStack() as stack:
            yield _stream(path, stack)
    except _DAMAGED as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{path.name} cannot be read ({reason}): get a fresh copy") from None


def _stream(path: Path, stack: contextlib.ExitStack) -> IO[bytes]:
    if path.suffix == ".zip":
        archive = stack.enter_context(zipfile.ZipFile(path))
        return stack.enter_context(archive.open(_member(path, archive.namelist())))
    if path.name.endswith(".tar.gz"):
        tar = stack.enter_context(tarfile.open(path))  # noqa: SIM115 (the stack closes it)
        files = [member.name for member in tar.getmembers() if member.isfile()]
        return cast(IO[bytes], tar.extractfile(_member(path, files)))
    opener: Any = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}.get(path.suffix)
    if opener is None:
        return stack.enter_context(path.open("rb"))
    return cast(IO[bytes], stack.enter_context(opener(path, "rb")))


def _member(path: Path, names: list[str]) -> str:
    """The one CSV in an archive. Nothing is ever extracted, names that climb out are refused all the same."""
    for name in names:
        parts = PurePosixPath(name.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or ":" in name.partition("/")[0]:
            raise DataError(f"{path.name} holds the unsafe path {name[:60]!r}: do not use this archive")
    tables = [name for name in names if name.endswith(".csv") and "__MACOSX" not in name]
    wanted = path.name.partition(".")[0] + ".csv"
    named = [name for name in tables if PurePosixPath(name).name == wanted]
    if len(named or tables) != 1:
        raise DataError(f"{path.name} holds {len(tables)} CSV files: exactly one, {wanted}, is expected")
    return (named or tables)[0]


def _line(path: Path, file: IO[bytes]) -> bytes:
    line = file.readline(_LONGEST)
    if len(line) == _LONGEST:
        raise DataError(
            f"{path.name}, line 1 is longer than {_LONGEST:,} bytes: this is not a table of faces"
        )
    return line


def _header(path: Path, line: bytes) -> tuple[int, int, int]:
    """Positions of emotion, pixels and usage; blanks, quotes and capitals in the names do not matter."""
    text = line.decode("utf-8-sig", errors="replace")
    names = [name.strip().strip('"').strip().lower() for name in text.split(",")]
    missing = [column for column in COLUMNS if column not in names]
    if missing:
        raise DataError(
            f"{path.name}, line 1 has no column {missing[0]!r} (found {', '.join(names)[:80]!r}): "
            "the header must name emotion, pixels and Usage"
        )
    return names.index("emotion"), names.index("pixels"), names.index("usage")


def _blocks(path: Path, file: IO[bytes]) -> Iterator[list[bytes]]:
    """Blocks of whole lines; the next block is being read while the caller works on this one."""
    rest = b""
    with ThreadPoolExecutor(1) as reader:
        upcoming = reader.submit(file.read, _BLOCK)
        while text := upcoming.result():
            upcoming = reader.submit(file.read, _BLOCK)
            *lines, rest = (rest + text).split(b"\n")
            if len(rest) > _LONGEST:
                raise DataError(
                    f"{path.name} has a line of more than {_LONGEST:,} bytes: not a table of faces"
                )
            while lines and not lines[-1].strip():
                lines.pop()  # blank lines at the end
            if lines:
                yield lines
    if rest.strip():
        yield [rest]


def _fields(path: Path, line: int, text: bytes, order: tuple[int, int, int]) -> tuple[bytes, bytes, bytes]:
    fields = text.split(b",")
    if len(fields) <= max(order):
        raise DataError(
            f"{place(path, line)} has {len(fields)} columns, not {max(order) + 1}: repair the row"
        )
    emotion, pixels, usage = (fields[i].strip(b' "\r') for i in order)
    return emotion, pixels, usage


def _label(path: Path, line: int, text: bytes, labels: int) -> int:
    if not (text.isdigit() and len(text) < 3 and int(text) < labels):
        shown = text[:20].decode(errors="replace")
        raise DataError(f"{place(path, line)} has emotion {shown!r}: it must be 0..{labels - 1}")
    return int(text)


def _split(path: Path, line: int, text: bytes, usages: Mapping[str, str]) -> str:
    usage = text.decode(errors="replace")
    if usage not in usages:
        raise DataError(f"{place(path, line)} has Usage {usage[:20]!r}: it must be {', '.join(usages)}")
    return usages[usage]


def _pixels(path: Path, first: int, rows: list[bytes]) -> np.ndarray:
    """Digits to bytes, (rows, 48, 48). All rows at once; one by one only to say which of them is wrong."""
    for i, row in enumerate(rows):
        if row.count(b" ") != PIXELS - 1:
            _complain(path, first + i, row)
    text = np.frombuffer(b" ".join(rows) + b" ", np.uint8)
    digits = text - np.uint8(ord("0"))  # wraps around: whatever is no digit becomes 10 or more
    ends = np.flatnonzero(text == ord(" "))
    lengths = np.diff(ends, prepend=-1) - 1
    value = digits[ends - 1].astype(np.uint16)
    value += np.where(lengths > 1, digits[ends - 2], 0) * np.uint16(10)
    value += np.where(lengths > 2, digits[ends - 3], 0) * np.uint16(100)
    sound = lengths.min() >= 1 and lengths.max() <= 3 and value.max() <= 255
    if not sound or np.count_nonzero(digits > 9) != len(ends):
        for i, row in enumerate(rows):
            _complain(path, first + i, row)
    return value.astype(np.uint8).reshape(-1, SIDE, SIDE)


def _complain(path: Path, line: int, row: bytes) -> None:
    """Raise for the first thing that is wrong with a row of pixels, if anything is."""
    values = row.split(b" ")
    if len(row.split()) != PIXELS:
        raise DataError(f"{place(path, line)} has {len(row.split())} pixels, not {PIXELS}: get a fresh copy")
    for value in values:
        if not (value.isdigit() and len(value) <= 3 and int(value) <= 255):
            shown = value[:20].decode(errors="replace")
            raise DataError(f"{place(path, line)} has the pixel {shown!r}: each must be a number 0..255")
