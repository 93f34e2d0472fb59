"""Music for a face: the application of A-MobileNet.

Nan, Ju, Hua, Zhang & Wang, "A-MobileNet: An approach of facial expression recognition", 2022, section 3.2, Figure 10: a
player that finds a face with MTCNN, recognises its expression and plays from the songs that were tagged with that
mood beforehand. Here the picture is a file, and the choice is printed; any player can take it from there.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import re
import sys
from pathlib import Path

from ferlib import commands
from ferlib.data.dataset import book_name
from ferlib.errors import FerlibError
from ferlib.predict import add_network_options, chosen, predict, read_image

TAGS = "moods.csv"
AUDIO = (".mp3", ".ogg", ".opus", ".flac", ".wav", ".m4a", ".aac")


def tagged(folder: Path) -> dict[str, list[Path]]:
    """Songs by mood: from ``moods.csv`` (columns ``file`` and ``mood``) in the folder, else from the files' names.

    A name counts for each of its words: ``happy - first song.mp3`` is for *happy*. Raises FerlibError for a folder
    without songs, a table without those columns, and a song in it that is not there.
    """
    if not folder.is_dir():
        raise FerlibError(f"{folder}: no such folder")
    found: dict[str, list[Path]] = {}
    if (folder / TAGS).is_file():
        pairs = _table(folder)
    else:
        songs = sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO)
        pairs = [(song, word) for song in songs for word in set(re.findall(r"[a-z]+", song.stem.lower()))]
    for song, mood in pairs:
        found.setdefault(book_name(mood), []).append(song)
    if not found:
        raise FerlibError(f"{folder}: no songs ({', '.join(AUDIO)}) and no {TAGS}; name another folder")
    return found


def _table(folder: Path) -> list[tuple[Path, str]]:
    path = folder / TAGS
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FerlibError(f"{path}: cannot be read ({error}); save it as UTF-8") from None
    pairs = []
    for row in rows:
        if not row.get("file") or not row.get("mood"):
            raise FerlibError(f"{path}: every line needs a file and a mood; the first line is `file,mood`")
        if not (folder / row["file"]).is_file():
            raise FerlibError(f"{path}: names {row['file']}, which is not in {folder}; correct the table")
        pairs.append((folder / row["file"], row["mood"].strip().lower()))
    return pairs


def pick(folder: Path, expression: str, rng: random.Random) -> Path:
    """A song for an expression, drawn evenly; FerlibError where none has that mood."""
    songs = tagged(folder)
    mood = book_name(expression)
    if mood not in songs:
        raise FerlibError(f"{folder}: no song is tagged {mood!r}; add one to {TAGS} or to a file's name")
    return rng.choice(songs[mood])


def arguments(prog: str = "python -m ferlib.mood") -> argparse.ArgumentParser:
    parser = commands.parser(
        prog,
        "A song from a folder for the expression of the face in a picture (Nan et al. 2022, Figure 10).",
        f"Moods come from FOLDER/{TAGS} (file,mood) or from words in the files' names.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("image", type=Path, metavar="IMAGE")
    add_network_options(parser)
    parser.add_argument("--draw", type=int, metavar="N", help="seed of the draw among several songs")
    return parser


@commands.told
def main(argv: list[str] | None = None, prog: str = "python -m ferlib.mood") -> int:
    """Print the song's path; returns the exit status."""
    options = arguments(prog).parse_args(argv)
    tagged(options.folder)  # a folder that cannot be used is told before the network is loaded
    found = predict(chosen(options), read_image(options.image), detect=not options.no_detect)
    song = pick(options.folder, found["label"], random.Random(options.draw))
    if options.json:
        print(json.dumps({"image": str(options.image), "song": str(song), **found}, indent=1))
    else:
        print(f"{found['label']} {found['probabilities'][found['label']]:.2f}", file=sys.stderr)
        print(song)
    return 0


if __name__ == "__main__":
    sys.exit(main())
