"""Settings of rows in words, and which of them their papers print."""

from __future__ import annotations

import re

from ferlib import settings
from ferlib.experiments import EXPERIMENTS, get
from ferlib.wording import NAMES

RAW = re.compile(r"[{}\[_]|\b(?:True|False|None)\b")  # what a dict, a list or a bool would leave


def cells(frame, line):
    return frame.set_index("setting").loc[line].tolist()


def test_every_option_of_every_row_has_plain_words():
    for row in EXPERIMENTS.values():
        for line, said in settings.LINES.items():
            text = said(row)
            assert not RAW.search(re.sub(r"\[-?[01], 1\]", "", text)) and "none" not in text, (
                row.id,
                line,
                text,
            )
    assert set(settings.BELONGS) <= set(settings.LINES)


def test_every_deviation_and_every_open_choice_has_its_line():
    for row in EXPERIMENTS.values():
        if row.paper in NAMES:
            assert all(settings.deviates(text) in ("", *settings.LINES) for text in row.deviations), row.id
            assert all(settings.deviates(text) is not None for text in row.deviations), row.id
            assert all(settings.line_of(choice) in ("", *settings.LINES) for choice in row.assumed), row.id
    every = [text for row in EXPERIMENTS.values() for text in (*row.deviations, *row.assumed.values())]
    assert not [start for start in settings.DEVIATING if not any(text.startswith(start) for text in every)]


def test_what_is_printed_and_what_is_not():
    one = settings.table([get("se_cnn-se")])
    assert cells(one, "learning rate") == ["0.002", "as printed"]
    assert cells(one, "optimiser") == ["Adam, epsilon 1e-07", "partly"]
    assert cells(one, "early stopping")[1] == "as printed"
    assert cells(one, "initialisation") == ["from scratch", "not printed"]
    assert cells(one, "split")[1] == "we deviate"
    chen = settings.table([get("gcca_vgg-fer2013-model6"), get("gcca_vgg-ckplus-model6")])
    assert cells(chen, "learning rate") == ["0.0001", "not printed"]
    assert cells(chen, "split")[1] == "FER2013: not printed; CK+: not printed, we deviate"
    assert cells(chen, "pixels")[0] == "grey as three channels, by ImageNet's mean and standard deviation"
    assert "early stopping" not in set(chen["setting"])


def test_datasets_that_differ_stand_by_name():
    rows = [get(f"amdcnn-{name}-acs3") for name in ("fer2013", "ferplus", "rafdb", "ckplus")]
    frame = settings.table(rows)
    assert cells(frame, "batch") == ["FER2013, FERPlus, RAF-DB: 32 images; CK+48: 8 images", "as printed"]
    assert cells(frame, "input size")[1] == "FER2013, FERPlus, CK+48: as printed; RAF-DB: we deviate"
    assert cells(frame, "images")[0].startswith("FER2013; FERPlus, labels: most frequent vote")
    assert "FERPlus: not printed" in cells(frame, "split")[1]
    assert cells(settings.table([get("msca_resnet-ferplus-se_bn")]), "split")[1] == "partly"
