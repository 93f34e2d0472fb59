"""The tables of the audit's chapter, made from the audit (`ferlib.data.measured`) and from run records.

``audit`` is always the reproducible part; what it lacks, because a dataset was not there, gives an empty table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ferlib import chapters, comparison, tables, wording
from ferlib.chapters import cell_of, interval, listed, printed_accuracy, signed, some, star
from ferlib.claims import load as load_claims
from ferlib.data.audit_labels import NONE
from ferlib.data.audit_leaks import GROUPINGS, RELATIONS
from ferlib.data.dataset import EXPRESSIONS as ORDER
from ferlib.data.dataset import SPLITS, book_name
from ferlib.data.measured import RULES
from ferlib.evaluate import widened
from ferlib.experiments import EXPERIMENTS, Experiment

TITLES = {"fer2013": "FER2013", "ferplus": "FERPlus", "ckplus": "CK+48"}
READING = "val_selected"
# where the ledger compares a printed number of test images of FER2013 with ours -> which reading has these images
TEST_PARTS = {"fer2013.splits.test.total": READING, "fer2013.merged.splits.test.total": "merged"}
UNKNOWN = "split not printed"
NBSP = "\u00a0"
ONE_CELL = "rows of one cell of a paper's table, such as other sizes or from scratch, count as one network"
Audit = Mapping[str, Any]


def bounds(interval: list[float], digits: int = 1) -> str:
    low, high = (f"{100 * bound:.{digits}f}" for bound in interval)
    return f"[{low}, {high}]"


def cell(part: Mapping[str, Any], digits: int = 1) -> str:
    """A share in percent with its Wilson interval."""
    return f"{100 * part['share']:.{digits}f} {bounds(part['wilson'])}" if part["n"] else "–"


def mean_cell(part: Mapping[str, Any]) -> str:
    return f"{100 * part['mean']:.1f} {bounds(part['interval'])}"


def in_order(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts by class under the common names, in the common order; without ``total``."""
    named = {book_name(name): n for name, n in counts.items() if name != "total"}
    return {name: named[name] for name in ORDER if name in named}


def parts_of(part: Mapping[str, Any]) -> dict[str, Mapping[str, int]]:
    """Counts by split, in the order of `SPLITS` (JSON sorts names); all images as one part where there is no split."""
    splits = part.get("splits")
    if not splits:
        return {"all": {**part["classes"], "total": part["total"]}}
    return {split: splits[split] for split in SPLITS if split in splits}


def images(audit: Audit) -> pd.DataFrame:
    """Images by class (lines) and by split of FER2013 and FERPlus and in all of CK+ (columns)."""
    columns = {}
    for name, title in TITLES.items():
        for split, counts in parts_of(audit[name]).items() if name in audit else ():
            columns[f"{title} {split}"] = in_order(counts) | {"sum": counts["total"]}
    frame = pd.DataFrame(columns, index=[*ORDER, "sum"])
    shown = frame.map(lambda n: "–" if pd.isna(n) else f"{int(n):,}")
    return shown.rename_axis("class").reset_index() if columns else pd.DataFrame()


def rules(audit: Audit) -> pd.DataFrame:
    """Every way to make labels from FERPlus's votes: images by split, and how many test images training holds."""
    lines = []
    found = audit.get("ferplus", {}).get("rules", {})
    for part in (found[name] for name in RULES if name in found):
        counts = {split: f"{found['total']:,}" for split, found in parts_of(part).items()}
        seen = part["copies"]["seen"]
        line = {"rule": part["rule"], "classes": part["classes"], **counts}
        lines.append(
            line | {"test images also in training": f"{seen['images']:,}", "of the test (%)": cell(seen)}
        )
    return pd.DataFrame(lines)


def duplicates(audit: Audit) -> pd.DataFrame:
    """Byte-identical images within and across the splits, and under different labels."""
    lines = []
    for name, title in TITLES.items():
        twins = audit.get(name, {}).get("duplicates")
        if not twins:
            continue
        line = {
            "dataset": title,
            "groups of identical images": f"{twins['groups']:,}",
            "images in them": f"{twins['images']:,}",
        }
        official = name != "ckplus"  # CK+ has no split of its own
        for pair in ("train/val", "train/test", "val/test"):
            line[pair] = f"{twins['across'].get(pair, 0):,}" if official else "–"
        line["groups with several labels"] = f"{twins['conflicts']['groups']:,}"
        lines.append(line)
    return pd.DataFrame(lines)


def imbalance(audit: Audit) -> pd.DataFrame:
    """How uneven the classes are, and what always answering the most frequent one scores."""
    lines = []
    for name, title in TITLES.items():
        part = audit.get(name, {}).get("imbalance")
        if part:
            lines.append(
                {
                    "dataset": title,
                    "classes": part["classes"],
                    "effective classes": f"{part['effective']:.1f}",
                    "most frequent": book_name(part["most_frequent"]),
                    "rarest": ", ".join(map(book_name, part["rarest"])),
                    "most to least frequent, in training": f"{part['ratio']:.1f}",
                    "accuracy of always the most frequent (%)": cell(part["majority"]),
                    "its balanced accuracy (%)": f"{100 / part['classes']:.1f}",
                }
            )
    return pd.DataFrame(lines)


def agreement(audit: Audit) -> pd.DataFrame:
    """By class of FER2013: how many images have a majority, how many of them the same label, what else they are."""
    labels = audit.get("labels")
    if not labels:
        return pd.DataFrame()
    names, rows = labels["confusion"]["columns"], labels["confusion"]["rows"]
    lines = []
    for name in (c for c in ORDER if c in rows):
        counts = dict(zip(names, labels["confusion"]["counts"][rows.index(name)], strict=True))
        others = {c: n for c, n in counts.items() if book_name(c) != name and c != NONE}
        most = max(others, key=lambda c: others[c])
        part = labels["by_class"][name]
        lines.append(
            {
                "FER2013": name,
                "images": f"{part['majority']['n']:,}",
                "with a majority (%)": cell(part["majority"]),
                "same label, of these (%)": cell(part["same"]),
                "else mostly": f"{book_name(most)} ({100 * others[most] / max(part['same']['n'], 1):.0f} %)",
            }
        )
    return pd.DataFrame(lines)


def ceilings(audit: Audit) -> pd.DataFrame:
    """What FER2013's labels allow on PrivateTest, a line for each assumption."""
    labels = audit.get("labels")
    if not labels:
        return pd.DataFrame()
    found = labels["ceilings"]
    voter = found["voter"]
    low, high = voter["low"], voter["high"]
    lines = [
        (
            "one annotator's answer",
            "the likeliest answer",
            f"{100 * low['mean']:.1f} to {100 * high['mean']:.1f} {bounds([low['interval'][0], high['interval'][1]])}",
            low["n"],
        ),
        (
            "FER2013's",
            "FERPlus's majority, where there is one",
            cell(found["majority"]),
            found["majority"]["n"],
        ),
        (
            "FER2013's",
            "the most frequent of the seven classes among the votes",
            mean_cell(found["guess"]),
            found["guess"]["n"],
        ),
        (
            "FER2013's",
            "the label that FER2013 tends to give to such votes",
            cell(found["fitted"]),
            found["fitted"]["n"],
        ),
    ]
    names = ("the label is", "the oracle answers", "accuracy (%)", "images")
    return pd.DataFrame([dict(zip(names, (*line[:3], f"{line[3]:,}"), strict=True)) for line in lines])


# -- CK+ ------------------------------------------------------------------------------------------------------------


def draws(audit: Audit) -> pd.DataFrame:
    """Random splits of CK+ by frame: shares over the seeds, mean and range, for each size of the test part."""
    leaks = audit.get("ckplus", {}).get("leaks")
    if not leaks:
        return pd.DataFrame()
    frame = pd.DataFrame(leaks["draws"])
    lines = []
    for fraction, part in frame.groupby("fraction"):
        line = {
            "test part": f"{100 * float(str(fraction)):.0f} %",
            "frames": f"{part['n'].iloc[0]:,}",
        }
        for column, title in (
            ("sister_in_training", "with a frame of the same sequence in training (%)"),
            ("person_in_training", "of a person in training (%)"),
            ("nearest_right", "nearest neighbour is right (%)"),
        ):
            values = 100 * part[column] / part["n"]
            line[title] = f"{values.mean():.1f} ({values.min():.1f}–{values.max():.1f})"
        lines.append(line)
    return pd.DataFrame(lines)


def nearest(audit: Audit) -> pd.DataFrame:
    """Accuracy of the nearest neighbour for each grouping, and whose face it finds on raw pixels."""
    leaks = audit.get("ckplus", {}).get("leaks")
    lines = []
    for grouping in GROUPINGS if leaks else ():
        kinds = leaks["nearest"][grouping]
        part = kinds["raw"]
        line: dict[str, str] = {"split": GROUPINGS[grouping]}
        for kind, found in kinds.items():
            line[f"{kind} pixels (%)"] = f"{100 * found['accuracy']:.1f} {bounds(found['by_person'])}"
        for name in RELATIONS:
            found = part["neighbour"][name]
            right = f" ({100 * found['right'] / found['n']:.0f} %)" if found["n"] else ""
            line[f"finds {name} (is right)"] = f"{100 * found['n'] / part['n']:.0f} %{right}"
        lines.append(line)
    return pd.DataFrame(lines)


@dataclass(frozen=True)
class Split:
    """A network of CK+ by frame and by person, as far as there are records."""

    row: Experiment
    frames: comparison.Tested | None
    people: comparison.Tested | None  # None where a fold is missing
    some: comparison.Tested | None = None  # then of the folds that there are
    folds: str = ""  # how many these are: 4 of 5

    @property
    def fall(self) -> float | None:
        """Points that are lost on new people; None where a reading is missing."""
        if self.frames is None or self.people is None:
            return None
        return 100 * (self.frames.accuracy - self.people.accuracy)


def both_splits(results: Path | str) -> list[Split]:
    """Every row of CK+ that has folds by subject and a record by frame or of a fold."""
    found = []
    for row in frame_rows():
        if folds := fold_rows(row):
            frames, people = (comparison.pooled(row.id, rows, results) for rows in ([row], folds))
            ran = [fold for fold in folds if tables.parts_of(results, fold.id)]
            part = comparison.pooled(row.id, ran, results) if ran and people is None else None
            if frames or people or part:
                found.append(Split(row, frames, people, part, f"{len(ran)} of {len(folds)}"))
    return found


def by_subject(found: Sequence[Split]) -> pd.DataFrame:
    """CK+ split by frame and by person: a line for each network that has both readings.

    ``by person``: test images of all folds pooled. Accuracies in percent, of several seeds the mean, with a 95 %
    interval for other people and, of several seeds, other seeds. ``images`` and ``seeds``: by frame and by person.
    """
    lines = []
    for one in found:
        if one.frames is not None and one.people is not None and one.fall is not None:
            both = (one.frames, one.people)
            lines.append(
                {
                    "network": wording.network(one.row),
                    "frames at random (%)": accuracy_cell(one.frames),
                    "by person (%)": accuracy_cell(one.people),
                    "lost (points)": f"{one.fall:.2f}",
                    "images": " and ".join(f"{len(part.ids):,}" for part in both).replace(" ", NBSP),
                    "seeds": " and ".join(str(len(part.seeds)) for part in both).replace(" ", NBSP),
                }
            )
    return pd.DataFrame(lines)


def lost(found: Sequence[Split]) -> str:
    """How much the networks with both readings lose on new people, in a sentence; empty where there is none."""
    falls = [one.fall for one in found if one.fall is not None]
    if not falls:
        return ""
    gained = sum(fall <= 0 for fall in falls)
    if len(falls) == 1:
        return f"On new people the one row of this table loses {falls[0]:.1f} points."
    return (
        f"On new people the {len(falls)} rows of this table lose between {min(falls):.1f} and {max(falls):.1f} "
        f"points, in the median {np.median(falls):.1f}{f'; {gained} lose nothing' if gained else ''}."
    )


def waiting_by_subject(found: Sequence[Split]) -> str:
    """How many networks of CK+ lack one of the two readings, and the command that lists them; empty where none does.

    Rows of one cell (other sizes, from scratch) count as one network.
    """
    every = {(row.paper, cell_of(row)) for row in frame_rows() if fold_rows(row)}
    both = {(one.row.paper, cell_of(one.row)) for one in found if one.fall is not None}
    waiting = every - both
    if not waiting:
        return ""
    frames: dict[tuple[str, str], list[float]] = {}
    parts: dict[tuple[str, str], list[str]] = {}
    for one in found:
        key = (one.row.paper, cell_of(one.row))
        if key in waiting and one.some is not None:
            by_frame = "" if one.frames is None else f", {100 * one.frames.accuracy:.1f} by frame"
            low, high = one.some.interval
            parts.setdefault(key, []).append(
                f"{wording.network(one.row)}{star_of(one.some.reduced)} {100 * one.some.accuracy:.1f} "
                f"{bounds([low, high])} % on the people of {one.folds} folds{by_frame}"
            )
    for one in found:
        key = (one.row.paper, cell_of(one.row))
        if one.frames is not None and key in waiting and key not in parts:
            frames.setdefault(key, []).append(100 * one.frames.accuracy)
    reached = [accuracy for values in frames.values() for accuracy in values]
    told = (
        f" {len(frames)} of them {'has' if len(frames) == 1 else 'have'} the random split alone, "
        f"with {' to '.join(dict.fromkeys(f'{end:.1f}' for end in (min(reached), max(reached))))} %."
        if frames
        else ""
    )
    if parts:
        each = "; ".join(text for texts in parts.values() for text in texts)
        told += f" {len(parts)} {'has' if len(parts) == 1 else 'have'} a part of the folds: {each}."
    if neither := len(waiting - frames.keys() - parts.keys()):
        told += f" {neither} {'has' if neither == 1 else 'have'} neither."
    return (
        f"{len(waiting)} of {some(len(every), 'network')} {'lacks' if len(waiting) == 1 else 'lack'} one of the two "
        f"readings ({ONE_CELL}).{told} "
        "`ferlib list --pending --dataset ckplus` shows what has to run."
    )


def accuracy_cell(found: comparison.Tested) -> str:
    """Accuracy in percent with its interval, on one line; a star where runs are reduced."""
    text = f"{100 * found.accuracy:.2f}{star_of(found.reduced)} {bounds(list(found.interval))}"
    return text.replace(" ", NBSP)


def star_of(reduced: bool) -> str:
    return chapters.REDUCED if reduced else ""


def fold_rows(row: Experiment) -> list[Experiment]:
    """The rows by subject of one that is split by frame; empty where it has none."""
    return [EXPERIMENTS[f"{row.id}-grouped{k}"] for k in range(chapters.folds_of(row))]


def waiting_for_copies(results: Path | str) -> str:
    """How many networks have no record on FER2013, on FERPlus, and the commands that list them; empty for none.

    Rows of one cell (other sizes, from scratch) count as one network.
    """
    told = []
    for name in ("fer2013", "ferplus"):
        rows = [row for row in EXPERIMENTS.values() if row.dataset == name]
        every = {(row.paper, cell_of(row)) for row in rows}
        done = {(row.paper, cell_of(row)) for row in rows if tables.parts_of(results, row.id)}
        if every - done:
            count = f"{len(every - done)} of {some(len(every), 'network')} on {TITLES[name]}"
            told.append(f"{count} (`ferlib list --pending --dataset {name}`)")
    return f"{listed(told)} have no record yet ({ONE_CELL})." if told else ""


def frame_rows() -> list[Experiment]:
    """Rows on CK+ that are split by frame."""
    return [
        row
        for row in EXPERIMENTS.values()
        if row.dataset == "ckplus" and row.dataset_options.get("protocol") == "frames"
    ]


# -- records --------------------------------------------------------------------------------------------------------


def without_copies(results: Path | str, audit: Audit) -> pd.DataFrame:
    """What the test images that training also holds do to each network's accuracy, a line for each row with a record.

    ``copies add``: accuracy on the whole test part minus that on the images not in training, in points, with a 95 %
    interval (Newcombe's, of the difference between seen and unseen images, times the share of seen ones; of several
    seeds, whose mean it is, widened by their spread). ``by their classes``: what the network would score on the images
    in training if it recognised each class among them as often as among all test images.
    """
    lines = []
    for row in EXPERIMENTS.values():
        found = effect(row, results, audit) if row.dataset in ("fer2013", "ferplus") else None
        if found:
            lines.append(
                {
                    "dataset": TITLES[row.dataset],
                    "network": found["label"].replace(chapters.REDUCED, chapters.REDUCED.replace(" ", NBSP)),
                    "test (%)": f"{100 * found['all']:.2f}",
                    "not in training (%)": f"{100 * found['unseen']:.2f}",
                    "in training (%)": f"{100 * found['seen']:.2f}",
                    "by their classes (%)": "–"
                    if found["expected"] is None
                    else f"{100 * found['expected']:.2f}",
                    "copies add (points)": f"{signed(100 * found['effect'])}{NBSP}{bounds(found['interval'], 2)}",
                    "seeds": found["seeds"],
                }
            )
    return pd.DataFrame(lines)


def effect(row: Experiment, results: Path | str, audit: Audit) -> dict[str, Any] | None:
    """Accuracies of one row on all, seen and unseen test images (fractions); None without record or seen images."""
    from statsmodels.stats.proportion import confint_proportions_2indep

    whole = tables.parts_of(results, row.id)
    parts = [p["result"][READING] for p in whole]
    if not parts or parts[0]["n"] == parts[0]["unseen"]["n"]:
        return None
    n, rest = parts[0]["n"], parts[0]["unseen"]["n"]
    right = np.mean([p["accuracy"] for p in parts]) * n
    right_unseen = np.mean([p["unseen"]["accuracy"] for p in parts]) * rest
    right_seen, seen = right - right_unseen, n - rest
    interval = confint_proportions_2indep(
        round(right_seen), seen, round(right_unseen), rest, method="newcomb", compare="diff"
    )
    scale = seen / n
    by_seed = [p["accuracy"] - p["unseen"]["accuracy"] for p in parts]
    low, high, _ = widened(
        float(np.mean(by_seed)), scale * float(interval[0]), scale * float(interval[1]), by_seed, n
    )
    return {
        "label": wording.network(row) + star(whole),
        "n": n,
        "n_seen": seen,
        "all": right / n,
        "seen": right_seen / seen,
        "unseen": right_unseen / rest,
        "effect": right / n - right_unseen / rest,
        "interval": [low, high],
        "seeds": len(parts),
        "expected": expected(seen_of(row, audit), parts, seen),
    }


def seen_of(row: Experiment, audit: Audit) -> Mapping[str, Any]:
    """The audit's counts of test images in training, by class, under this row's protocol; empty where it has none."""
    options = row.dataset_options
    part = audit.get(row.dataset, {})
    if row.dataset == "ferplus":
        part = part.get("rules", {}).get(f"{options.get('rule', 'majority')}{options.get('classes', 8)}", {})
    elif options.get("protocol") == "merged":
        part = part.get("merged", {})
    found: Mapping[str, Any] = part.get("copies", {}).get("by_class", {})
    return found


def expected(seen: Mapping[str, Any], results: list[Any], n: int) -> float | None:
    """Mean recall over the classes, weighted by the seen images of each; None where the audit counts others than n."""
    counts = {book_name(name): part["images"] for name, part in seen.items()}
    if not counts or sum(counts.values()) != n:
        return None
    recall = {
        c: np.mean([r["per_class_recall"][c] for r in results]) if k else 0.0 for c, k in counts.items()
    }
    return float(sum(k * recall[c] for c, k in counts.items()) / n)


def on_fer2013(results: Path | str) -> pd.DataFrame:
    """Accuracies on FER2013 that the papers print for their own networks, and ours beside them (%).

    One line for each printed cell, with ours from the first of its rows that has a record of the same test images
    (`tested_on`): mean over seeds and Wilson's interval, of several seeds widened by their spread. Columns ``label``,
    ``test part`` (what the paper prints of it), ``published``, ``ours``, ``low``, ``high``; NaN where there is none.
    """
    lines: dict[tuple[str, str, float], dict[str, Any]] = {}
    for row in EXPERIMENTS.values():
        printed = printed_accuracy(row)
        if row.dataset != "fer2013" or row.dataset_options.get("protocol") != "official" or printed is None:
            continue
        key = (row.paper, cell_of(row), printed)
        part, reading = tested_on(row.paper)
        line = lines.setdefault(
            key,
            {
                "label": f"{wording.SOURCES[row.paper]}: {cell_of(row)}",
                "test part": part,
                "published": printed,
            },
        )
        parts = [p for p in tables.parts_of(results, row.id) if reading in p["result"]]
        if parts and "ours" not in line:
            value, low, high = interval(parts, reading)
            line |= {"ours": 100 * value, "low": 100 * low, "high": 100 * high}
            line["label"] += star(parts)
    columns = ["label", "test part", "published", "ours", "low", "high"]
    return pd.DataFrame(list(lines.values())).reindex(columns=columns)


def tested_on(paper: str) -> tuple[str, str]:
    """The images of FER2013 that a paper says it tested on, in words, and the reading of a record that has them.

    As the ledger quotes it; of a paper that prints no split ours are PrivateTest's.
    """
    for claim in load_claims(paper):
        if claim.check == "audit" and claim.experiment in TEST_PARTS and claim.value is not None:
            return f"{int(claim.value):,} images", TEST_PARTS[claim.experiment]
    return UNKNOWN, READING


def test_parts(frame: pd.DataFrame) -> str:
    """How many of `on_fer2013`'s printed accuracies are said to be of which images, as a part of a sentence."""
    counts = Counter(frame["test part"])
    told = [f"{n} {'is' if n == 1 else 'are'} said to be of {p}" for p, n in counts.items() if p != UNKNOWN]
    silent = [f"of {counts[UNKNOWN]} no split is printed"] if counts[UNKNOWN] else []
    return listed([*told, *silent])


def runs_behind(results: Path | str) -> str:
    """How many rows of FER2013 and FERPlus have a record, in words."""
    rows = [row for row in EXPERIMENTS.values() if row.dataset in ("fer2013", "ferplus")]
    done = sum(bool(tables.parts_of(results, row.id)) for row in rows)
    return f"{done} of {some(len(rows), 'row')}"
