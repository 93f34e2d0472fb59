"""Test parts that a protocol implies."""

from __future__ import annotations

from fractions import Fraction

from ferlib import forensics
from ferlib.cost import ferplus_counts
from ferlib.data import ckplus, ckplus_original, fer2013, ferplus, rafdb
from ferlib.findings.arithmetic import total

SHARES = (Fraction(1, 10), Fraction(3, 20), Fraction(1, 5), Fraction(1, 4), Fraction(3, 10))  # of CK+
RUNS = {"gcca_vgg": 10}  # that a printed accuracy is the mean of (section 3.2)


def frames_of(paper: str) -> int:
    """Frames of CK+: the last three of each labelled sequence; in Chen & Chen neutral ones and not contempt."""
    every = ckplus_original.FRAMES * total(ckplus.SEQUENCES)
    changed = ckplus.NEUTRAL["original"] - ckplus_original.FRAMES * ckplus.SEQUENCES["contempt"]
    return every + (changed if paper == "gcca_vgg" else 0)


def implied_parts(paper: str, dataset: str) -> dict[str, int]:
    """Test parts of a dataset that are official or usual: what they are -> number of images.

    CK+ has no official ones: shares of the frames, rounded up and down, and all of them.
    Raises KeyError for another dataset.
    """
    if dataset == "CK+":
        frames = frames_of(paper)
        parts = forensics.split_sizes(frames, SHARES)
        usual = {f"{float(100 * s):g} % of {frames:,}": sizes[-1] for s, sizes in parts.items()}
        below = {
            f"{float(100 * s):g} %, rounded down": sizes[0] for s, sizes in parts.items() if len(sizes) > 1
        }
        return {**usual, **below, "all frames": frames}
    test = total(fer2013.PUBLISHED["test"])
    majority = {split: total(ferplus.PUBLISHED[split]) for split in ("val", "test")}
    most = dict(zip(ferplus.CLASSES, ferplus_counts("argmax")["test"].astype(int), strict=True))
    return {
        "FER2013": {"private test": test, "both test parts": 2 * test},
        "FERPlus": {
            "private test, official rule": majority["test"],
            "public test, official rule": majority["val"],
            "private, most frequent vote": int(sum(most.values())),
            "the same, seven classes": int(sum(most.values()) - most["contempt"]),
            "private, FER2013's own": test,
        },
        "RAF-DB": {"test": total(rafdb.PUBLISHED["test"])},
    }[dataset]
