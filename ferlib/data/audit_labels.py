"""How far the two sets of labels of the same faces agree, FER2013's and FERPlus's, and what that allows to reach.

Row i of FERPlus's votes (Barsoum et al., "Training deep networks for facial expression recognition with crowd-sourced
label distribution", ICMI 2016) belongs to row i of FER2013's table, so both must be there in these layouts. Everything
returned is a count, a share or an interval over many images, ready for JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import ttest_1samp

from ferlib.data import fer2013, ferplus
from ferlib.data.duplicates import identical, seen_in_training
from ferlib.data.ferplus_votes import CLASSES, VOTES, targets, votes_file
from ferlib.errors import DataError
from ferlib.evaluate import wilson

PARTNER = {
    "neutral": "neutral",
    "happiness": "happy",
    "surprise": "surprise",
    "sadness": "sad",
    "anger": "angry",
    "disgust": "disgust",
    "fear": "fear",
}  # FERPlus's classes and FER2013's; contempt has none
NONE = "no majority"


class Labelled(NamedTuple):
    """Every row of FER2013: label (N,), split (N,), votes (N, 10) in the order of `VOTES`, group of copies (N,)."""

    labels: np.ndarray
    split: np.ndarray
    votes: np.ndarray
    group: np.ndarray
    seen: np.ndarray  # test images that the training part holds, too

    def part(self, split: str) -> Labelled:
        return Labelled(*(values[self.split == split] for values in self))


def joined(root: Path) -> Labelled | None:
    """Labels and votes by row; None where a layout is there that has lost the rows, or one of the two is missing."""
    table, votes = fer2013.find(root), ferplus.find(root)
    if table is None or votes is None or (table[0], votes[0]) != ("csv", "votes"):
        return None
    faces = fer2013.table(root)
    usage, _, counts = votes_file(votes[1])
    if not np.array_equal(usage, faces.split):
        raise DataError(f"{votes[1].name} does not belong to this FER2013; see 'ferlib data check ferplus'")
    group = identical(faces.images)
    return Labelled(faces.labels, faces.split, counts, group, seen_in_training(faces, group))


def share(hits: np.ndarray) -> dict[str, Any]:
    """Of images (N,) those that hit: ``n``, ``images``, ``share`` and Wilson's 95 % interval."""
    k, n = int(np.sum(hits)), len(hits)
    if not n:
        return {"n": 0, "images": 0, "share": None, "wilson": None}
    return {"n": n, "images": k, "share": k / n, "wilson": list(wilson(k, n))}


def mean(values: np.ndarray) -> dict[str, Any]:
    """Mean of values (N,), one for each image, with Student's 95 % interval over the images."""
    interval = ttest_1samp(values, 0.0).confidence_interval()
    return {"n": len(values), "mean": float(values.mean()), "interval": [interval.low, interval.high]}


def majority(votes: np.ndarray) -> np.ndarray:
    """FERPlus's label (N,) under the official majority rule, as a label of FER2013.

    -1: contempt, which FER2013 does not have; -2: no majority, or one for unknown or non-face.
    """
    weights = targets(votes, "majority")
    names = [PARTNER.get(name) for name in CLASSES]
    partner = np.array([-1 if name is None else fer2013.CLASSES.index(name) for name in names])
    return np.where(weights.max(axis=1) > 0, partner[weights.argmax(axis=1)], -2)


def measure(data: Labelled) -> dict[str, Any]:
    """All that the votes tell of the labels, and the other way round."""
    return {
        "agreement": agreement(data),
        "by_class": by_class(data),
        "confusion": confusion(data),
        "annotators": annotators(data.votes),
        "copies": copies(data),
        "ceilings": ceilings(data),
    }


def agreement(data: Labelled) -> dict[str, Any]:
    """FER2013's label against the majority: share of images where they are the same, and Cohen's kappa.

    Over the images that have a majority; contempt counts as a disagreement.
    """
    from sklearn.metrics import cohen_kappa_score

    found = {}
    for name in ("all", "train", "val", "test"):
        part = data if name == "all" else data.part(name)
        other = majority(part.votes)
        kept = other > -2
        if kept.any():
            same = part.labels[kept] == other[kept]
            kappa = float(cohen_kappa_score(part.labels[kept], other[kept]))
            found[name] = {**share(same), "kappa": kappa, "without_majority": int((~kept).sum())}
    return found


def by_class(data: Labelled) -> dict[str, Any]:
    """For each class of FER2013: how many of its images have a majority, and how many of these the same label."""
    other = majority(data.votes)
    found: dict[str, Any] = {}
    for k, name in enumerate(fer2013.CLASSES):
        own = data.labels == k
        kept = own & (other > -2)
        found[name] = {"same": share(other[kept] == k), "majority": share(kept[own])}
    return found


def confusion(data: Labelled) -> dict[str, Any]:
    """Images by FER2013's class (rows) and by FERPlus's majority (columns, the last one: no majority)."""
    weights = targets(data.votes, "majority")
    column = np.where(weights.max(axis=1) > 0, weights.argmax(axis=1), len(CLASSES))
    counts = np.zeros((len(fer2013.CLASSES), len(CLASSES) + 1), int)
    np.add.at(counts, (data.labels, column), 1)
    return {"rows": list(fer2013.CLASSES), "columns": [*CLASSES, NONE], "counts": counts.tolist()}


def annotators(votes: np.ndarray) -> dict[str, Any]:
    """How far the annotators agree with each other: Fleiss' kappa (rows with ten votes), and how many agree at all."""
    from statsmodels.stats.inter_rater import fleiss_kappa

    whole = votes[votes.sum(axis=1) == 10]
    return {
        "votes": int(votes.sum()),
        "fleiss_kappa": float(fleiss_kappa(whole)),
        "unanimous": share(whole.max(axis=1) == 10),
        "more_than_half": share(whole.max(axis=1) > 5),
    }


def copies(data: Labelled) -> dict[str, Any]:
    """Byte-identical images, the first two rows of each group: how often their labels, and their votes, are equal.

    ``copied`` is what a network scores on the test images seen in training that has learned the label of every
    training image by heart (the most frequent one of all copies; a tie is broken in favour of the test label).
    ``consensus``: the mean share of the votes that an image's first answer has, over the test images that are seen
    in training and over the others: are the seen ones easier?
    """
    order = np.argsort(data.group, kind="stable")
    new = np.diff(data.group[order], prepend=-1) != 0
    at = np.flatnonzero(new[:-1] & ~new[1:])
    a, b = order[at], order[at + 1]
    first = one_voter(data.votes)
    parts = {"seen": data.seen, "unseen": (data.split == "test") & ~data.seen}
    return {
        "same_label": share(data.labels[a] == data.labels[b]),
        "same_votes": share((data.votes[a] == data.votes[b]).all(axis=1)),
        "copied": share(copied(data)),
        "consensus": {name: mean(first[mask]) for name, mask in parts.items() if mask.sum() > 1},
    }


def copied(data: Labelled) -> np.ndarray:
    """Of the test images seen in training (M,): whether their copies there have the same label, most of them."""
    counts = np.zeros((data.group.max() + 1, len(fer2013.CLASSES)), int)
    train = data.split == "train"
    np.add.at(counts, (data.group[train], data.labels[train]), 1)
    own = counts[data.group[data.seen]]
    return own[np.arange(len(own)), data.labels[data.seen]] == own.max(axis=1)


# -- what accuracy the labels allow ---------------------------------------------------------------------------------


def one_voter(votes: np.ndarray) -> np.ndarray:
    """(N,): share of an image's votes that its most frequent answer has."""
    return np.asarray(votes.max(axis=1) / votes.sum(axis=1))


def left_out_voter(votes: np.ndarray) -> np.ndarray:
    """(N,): how often the most frequent answer of the others is that of a voter drawn at random (ties: split)."""
    found = np.zeros(len(votes))
    for k in range(votes.shape[1]):
        others = votes.copy()
        others[:, k] -= 1
        tied = others == others.max(axis=1, keepdims=True)
        asked = votes[:, k] / votes.sum(axis=1)  # 0 where nobody gave this answer
        found += asked * tied[:, k] / tied.sum(axis=1)
    return found


def two_voters(votes: np.ndarray) -> np.ndarray:
    """(N,): chance that two voters of an image, drawn at random, gave the same answer."""
    n = votes.sum(axis=1)
    return np.asarray((votes * (votes - 1)).sum(axis=1) / (n * (n - 1)))


def voter_and_label(votes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N,): chance that a voter of an image, drawn at random, gave its label of FER2013."""
    return np.asarray(seven(votes)[np.arange(len(labels)), labels] / votes.sum(axis=1))


def seven(votes: np.ndarray) -> np.ndarray:
    """Votes (N, 7) for FER2013's classes, in its order."""
    plus = {own: name for name, own in PARTNER.items()}
    return votes[:, [VOTES.index(plus[name]) for name in fer2013.CLASSES]]


def guess(votes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N,): chance that the most frequent of FER2013's classes among the votes is the label (ties: split)."""
    counts = seven(votes)
    tied = counts == counts.max(axis=1, keepdims=True)
    return np.asarray(tied[np.arange(len(labels)), labels] / tied.sum(axis=1))


def ceilings(data: Labelled) -> dict[str, Any]:
    """What accuracy on the test part (PrivateTest) the labels allow, each under its own assumption.

    ``voter``: if a test label were one annotator's answer, the best possible answer would score between ``low`` and
    ``high``. For the ten votes are draws from what annotators think of an image: the share of the most frequent
    answer is at least, in expectation, the probability of the likeliest one, and the answer of the other nine is at
    most as good as the likeliest. Whether a label is like an annotator's answer shows in how often two annotators
    agree (``two_voters``) and how often one agrees with the label (``voter_and_label``).
    ``majority``: an oracle that gives FERPlus's majority, scored on FER2013's labels, where there is one.
    ``guess``: the same on all test images, with the most frequent of the seven classes.
    ``fitted``: an oracle that knows the votes and has learned from the training part which label FER2013 tends to
    give to such votes (multinomial logistic regression).
    """
    test = data.part("test")
    other = majority(test.votes)
    kept = other > -2
    return {
        "voter": {
            "low": mean(left_out_voter(test.votes)),
            "high": mean(one_voter(test.votes)),
            "two_voters": mean(two_voters(test.votes)),
            "voter_and_label": mean(voter_and_label(test.votes, test.labels)),
        },
        "majority": share(test.labels[kept] == other[kept]),
        "guess": mean(guess(test.votes, test.labels)),
        "fitted": fitted(data),
    }


def fitted(data: Labelled) -> dict[str, Any]:
    """The oracle that has learned FER2013's habits; how it sees the votes is chosen on the validation part."""
    from sklearn.linear_model import LogisticRegression

    views: Mapping[str, Any] = {
        "share of the votes": lambda v: v / v.sum(axis=1, keepdims=True),
        "log(1 + votes)": np.log1p,
    }
    train, val, test = (data.part(name) for name in ("train", "val", "test"))
    scores, models = {}, {}
    for name, view in views.items():
        models[name] = LogisticRegression(max_iter=500).fit(view(train.votes), train.labels)
        scores[name] = float(models[name].score(view(val.votes), val.labels))
    best = max(scores, key=lambda name: scores[name])
    hits = models[best].predict(views[best](test.votes)) == test.labels
    return {**share(hits), "view": best, "validation": scores}
