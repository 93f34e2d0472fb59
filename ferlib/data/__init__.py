"""Datasets: ``load(name, root)`` finds the layout on disk, parses it once and returns a ``FaceDataset``.

==========  =====================================================  ====================================
name        looked for in ``root`` and ``root/<name>``             options
==========  =====================================================  ====================================
fer2013     fer2013.csv[.gz .bz2 .xz .zip], icml_face_data.csv,    ``protocol='official'|'merged'``,
            fer2013.zip, fer2013.tar.gz,                           ``split_seed``
            train/<class>/ + test/<class>/
ferplus     fer2013new.csv beside FER2013, or                      ``rule='majority'|'argmax'|
            FER2013Train|Valid|Test/ with label.csv                'distribution'``, ``classes=8|7``
rafdb       basic/Image/aligned/ + basic/EmoLabel/, or             ``split_seed``
            DATASET/train|test/<1..7>/
ckplus      CK+48/<class>/, cohn-kanade-images/ + Emotion/,        ``protocol='frames'|'subjects'``,
            ckextended.csv                                         ``test_fraction``, ``folds``, ``fold``,
                                                                   ``split_seed``, ``neutral``,
                                                                   ``contempt``, ``expansion``
synthetic   nothing on disk                                        ``n``, ``seed``, ``size``, ...
==========  =====================================================  ====================================
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from ferlib.data.dataset import SPLITS, FaceDataset
from ferlib.errors import DataError

NAMES = ("fer2013", "ferplus", "rafdb", "ckplus", "synthetic")

__all__ = ["NAMES", "SPLITS", "DataError", "FaceDataset", "find_root", "is_there", "load"]


def load(name: str, root: str | os.PathLike[str] | None = None, **options: Any) -> FaceDataset:
    """Load a dataset by name.

    Parameters
    ----------
    name : one of ``NAMES``.
    root : folder that holds the datasets (see the table above); None means the environment variable
        ``FERLIB_DATA``. ``synthetic`` needs none.
    options : the dataset's own, see the table above and the loader's docstring.

    Raises
    ------
    DataError : one line that names what is missing or wrong and what to do about it.
    """
    if name not in NAMES:
        raise DataError(f"unknown dataset {name!r}: choose one of {', '.join(NAMES)}")
    loader = importlib.import_module(f"ferlib.data.{name}")
    folder = None if name == "synthetic" else find_root(root)
    try:
        dataset: FaceDataset = loader.load(folder, **options)
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise DataError(f"{name}: {str(error).split(') ')[-1]}; see help(ferlib.data.{name}.load)") from None
    return dataset


def is_there(name: str, root: str | os.PathLike[str] | None = None) -> bool:
    """Whether the folder holds a dataset, in any of the layouts (what has no files is everywhere; votes are no images).

    Raises DataError where there is no folder.
    """
    if name == "synthetic" or name not in NAMES:
        return True
    module, folder = importlib.import_module(f"ferlib.data.{name}"), find_root(root)
    return module.find(folder) is not None and (name != "ferplus" or module.has_pixels(folder))


def find_root(root: str | os.PathLike[str] | None = None) -> Path:
    """``root``, or the folder that ``FERLIB_DATA`` names; DataError where there is none."""
    chosen = os.fspath(root) if root is not None else os.environ.get("FERLIB_DATA", "")
    if not chosen:
        raise DataError(
            "no data folder given: pass root=DIR (--root or --data-root DIR) or set FERLIB_DATA=DIR"
        )
    folder = Path(chosen).expanduser()
    if not folder.is_dir():
        raise DataError(
            f"data folder {folder} does not exist: correct root (--root or --data-root) or FERLIB_DATA"
        )
    return folder
