"""Splits that the datasets do not bring along: fixed by a seed, stratified, grouped where subjects are known.

scikit-learn draws them, so the same labels and seed give the same split on every platform.
"""

from __future__ import annotations

import warnings

import numpy as np

from ferlib.errors import DataError


def portion(labels: np.ndarray, fraction: float, seed: int, what: str) -> np.ndarray:
    """Boolean mask (N,) of a stratified ``fraction`` of the images, drawn image by image."""
    from sklearn.model_selection import StratifiedShuffleSplit

    if not 0 < fraction < 1:
        raise DataError(f"the {what} fraction is {fraction}: it must lie between 0 and 1")
    draw = StratifiedShuffleSplit(n_splits=1, test_size=fraction, random_state=seed)
    try:
        _, chosen = next(draw.split(np.zeros(len(labels)), labels))
    except ValueError as error:
        raise DataError(f"{len(labels)} images are too few for a stratified {what} part: {error}") from None
    return _mask(chosen, len(labels))


def fold_of(
    labels: np.ndarray, groups: np.ndarray, folds: int, fold: int, seed: int, what: str
) -> np.ndarray:
    """Boolean mask (N,) of fold ``fold`` of ``folds``: no group is in two folds, classes are balanced."""
    from sklearn.model_selection import StratifiedGroupKFold

    if folds < 2 or not 0 <= fold < folds:
        raise DataError(f"fold {fold} of {folds} {what} folds: folds must be 2 or more, fold 0..folds-1")
    known = len(np.unique(groups))
    if known < folds:
        raise DataError(f"{known} subjects are too few for {folds} {what} folds: ask for fewer folds")
    draw = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # some class is smaller than the folds are many
            chosen = list(draw.split(np.zeros(len(labels)), labels, groups))[fold][1]
    except ValueError as error:
        raise DataError(f"{len(labels)} images are too few for {folds} {what} folds: {error}") from None
    return _mask(chosen, len(labels))


def with_validation(
    split: np.ndarray, labels: np.ndarray, seed: int, groups: np.ndarray | None = None
) -> np.ndarray:
    """``split`` (N,) with a stratified tenth of train made val, by whole subjects where ``groups`` are."""
    train = np.flatnonzero(split == "train")
    if groups is None:
        chosen = portion(labels[train], 0.1, seed, "validation")
    else:
        chosen = fold_of(labels[train], groups[train], 10, 0, seed, "validation")
    result = split.astype("<U5")
    result[train[chosen]] = "val"
    return result


def _mask(chosen: np.ndarray, n: int) -> np.ndarray:
    mask = np.zeros(n, bool)
    mask[chosen] = True
    return mask
