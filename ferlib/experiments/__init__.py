"""Every cell of every results table in the papers, as data.

``EXPERIMENTS`` maps an id to a frozen row. Rows of one table differ in one factor. A value that the
paper prints carries no note; one that it leaves open has a reason in ``assumed``. One file per paper.
"""

from __future__ import annotations

from dataclasses import replace

from ferlib.errors import FerlibError
from ferlib.experiments import a_mobilenet, amdcnn, comparison, gcca_vgg, house, msca_resnet, se_cnn
from ferlib.experiments.row import Experiment, Published, settings_of

__all__ = ["EXPERIMENTS", "Experiment", "Published", "get", "quick", "settings_of"]

PAPERS = (se_cnn, amdcnn, a_mobilenet, gcca_vgg, msca_resnet)
EXPERIMENTS: dict[str, Experiment] = {
    row.id: row for source in (*PAPERS, comparison, house) for row in source.ROWS
}


def get(identifier: str) -> Experiment:
    """The row with this id; FerlibError names the close ones if there is none."""
    if identifier not in EXPERIMENTS:
        from difflib import get_close_matches

        close = get_close_matches(identifier, EXPERIMENTS, n=3) or sorted(EXPERIMENTS)[:3]
        raise FerlibError(
            f"unknown experiment {identifier!r}; did you mean {', '.join(close)}? See `ferlib list`"
        )
    return EXPERIMENTS[identifier]


# images, epochs and rate of a demonstration, which trains for less than a minute on two cores; VGG16 is slow, and
# learns nothing at the higher rate
QUICK = (700, 4, 1e-3)
QUICK_EXCEPTIONS = {"gcca_vgg": (210, 3, 1e-4)}


def quick(row: Experiment, *, real: bool = False) -> Experiment:
    """The same network shrunk to a minute's demonstration on synthetic faces, easier than the default ones.

    48x48 pixels at the most, no pretrained weights; smaller batches, another rate and images that are not augmented
    let it learn something in so few steps. ``real=True`` takes images of the row's own dataset instead, three times as
    many for six epochs, augmented as in the row: some minutes. Either way the record can only be a ``smoke`` run,
    which never enters a results table, and it lists every change.
    """
    images, epochs, rate = QUICK_EXCEPTIONS.get(row.model, QUICK)
    variant = {**row.variant, "pretrained": False} if "pretrained" in row.variant else row.variant
    small = replace(
        row,
        epochs=epochs,
        batch=16,
        optimiser={**row.optimiser, "lr": rate},
        size=min(row.size, 48),
        variant=variant,
        pretrained=None,
        balance={},
        # too few steps for a moving average, of weights or of batch normalisation's statistics
        recipe={k: v for k, v in row.recipe.items() if k != "average"} | {"settle": 128},
    )
    if real:
        options = {**row.dataset_options, "subset": 3 * images}
        return replace(small, epochs=6, dataset_options=options)
    if "targets" in row.recipe:  # nobody voted on synthetic faces
        recipe = {name: value for name, value in row.recipe.items() if name != "targets"}
        small = replace(small, recipe=recipe, loss="cross_entropy")
    return replace(
        small, augmentation={}, dataset="synthetic", dataset_options={"n": images, "difficulty": 0.3}
    )
