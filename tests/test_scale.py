"""What the five papers' tables stand for: runs, sides of their images, operations."""

from __future__ import annotations

import pytest

from ferlib import scale


def test_the_printed_runs_are_counted_once():
    assert sum(group.runs for group in scale.printed()) == 185


def test_a_group_names_every_side_of_its_images():
    """AMDCNN has 100 pixels on RAF-DB and 48 elsewhere."""
    groups = {group.paper: group for group in scale.printed()}
    (line,) = scale.summary([groups["amdcnn"]])
    assert line["sizes"] == [48, 100] and line["runs"] == 24


def test_a_training_image_counts_three_passes_of_two_operations(monkeypatch):
    row = scale.printed()[0].rows[0]
    monkeypatch.setattr(scale, "images", lambda _: {"train": 10, "val": 2, "test": 3})
    monkeypatch.setattr(scale, "multiply_adds", lambda *_: 7)
    assert scale.operations(row) == pytest.approx(2 * 7 * row.epochs * (30 + 2 + 3))
