"""Figures of class-mean maps, on invented ones."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from ferlib import plots
from ferlib.errors import FerlibError
from ferlib.maps import ClassMaps


def invented(classes=("happy", "sad", "fear"), left_out=(), side=6, seed=0):
    """A smile, so to speak: random faces and maps of ``side`` cells."""
    rng = np.random.default_rng(seed)
    k = len(classes)
    zero = {"happy": 0, "sad": 2} | dict.fromkeys(classes, 0) | {"sad": 2}
    return ClassMaps(
        classes=tuple(classes),
        counts={name: 10 + i for i, name in enumerate(classes)},
        left_out=dict.fromkeys(left_out, 2),
        faces=rng.random((k, 24, 24)),
        cam={
            "unit2": rng.random((k, 12, 12)),
            "unit3": rng.random((k, side, side)),
            "unit4": rng.random((k, 3, 3)),
        },
        zero={"unit2": zero, "unit3": zero, "unit4": zero},
        attention={"unit3.spatial": 0.4 + 0.1 * rng.random((k, side, side)), "unit3.se": rng.random((k, 8))},
        grids={"unit2": (12, 12), "unit3": (side, side), "unit4": (3, 3), "unit3.spatial": (side, side)},
        part="test",
        target="true class",
        head="score",
    )


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def panels(figure):
    return [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]


def overlays(figure):
    return [ax.images[1] for ax in panels(figure) if len(ax.images) == 2]


def test_a_row_for_each_run_and_a_column_for_each_class():
    figure = plots.class_maps({"one": invented(), "two": invented(side=7, seed=1)})
    axes = panels(figure)
    assert len(axes) == 6 and len(figure.axes) == 7
    assert [ax.get_title() for ax in axes[:3]] == ["fear\nn = 12", "happy\nn = 10", "sad\nn = 11, 2 zero"]
    assert axes[3].get_title() == "n = 12"
    assert axes[0].get_ylabel() == "one\nunit3\n6×6" and axes[3].get_ylabel() == "two\nunit3\n7×7"
    assert figure.axes[-1].get_ylabel() == "mean Grad-CAM,\neach image's divided by its maximum"
    assert figure.get_size_inches()[0] < 11  # a notebook's width for seven classes
    assert plots.class_maps({"x": invented(tuple("abcdefg"))}).get_size_inches()[0] <= 11


def test_one_scale_and_one_uniform_colour_map():
    maps = {"one": invented(), "two": invented(seed=1)}
    images = overlays(plots.class_maps(maps))
    assert {image.norm.vmin for image in images} == {0} and {image.norm.vmax for image in images} == {1}
    assert {image.get_cmap().name for image in images} == {"viridis"}
    np.testing.assert_array_equal(images[4].get_array(), maps["two"].cam["unit3"][0])  # happy
    assert tuple(images[0].get_extent()) == (0, 1, 1, 0)


def test_attention_is_scaled_over_all_panels():
    maps = {"one": invented(), "two": invented(seed=1)}
    figure = plots.class_maps(maps, "unit3.spatial")
    every = np.stack([m.attention["unit3.spatial"] for m in maps.values()])
    assert {image.norm.vmin for image in overlays(figure)} == {every.min()}
    assert {image.norm.vmax for image in overlays(figure)} == {every.max()}
    assert figure.axes[-1].get_ylabel() == "mean attention"
    assert panels(figure)[0].get_ylabel() == "one\nunit3\nspatial\n6×6"


def test_the_native_grid_can_be_seen():
    found = {native: plots.class_maps({"x": invented()}, native=native) for native in (False, True)}
    assert {image.get_interpolation() for image in overlays(found[True])} == {"nearest"}
    assert {image.get_interpolation() for image in overlays(found[False])} == {"bilinear"}


def test_layers_and_classes_can_be_chosen():
    maps = {"one": invented(), "two": invented()}
    figure = plots.class_maps(maps, {"one": "unit2"}, ["sad"])
    assert [ax.get_ylabel() for ax in panels(figure)] == ["one\nunit2\n12×12", "two\nunit3\n6×6"]
    assert [image.get_array().shape for image in overlays(figure)] == [(12, 12), (6, 6)]


def test_a_class_without_a_mean_is_crossed_out():
    figure = plots.class_maps(
        {"x": invented(("happy",), left_out=("fear",)), "y": invented(("happy", "fear"))}
    )
    assert panels(figure)[0].get_title() == "fear\nn = 2, no mean"
    assert [len(ax.images) for ax in panels(figure)] == [0, 2, 2, 2] and panels(figure)[0].lines


def test_mistakes():
    with pytest.raises(FerlibError, match=r"choose one of unit2, unit3, unit4, unit3\.spatial"):
        plots.class_maps({"x": invented()}, "unit3.se")
    with pytest.raises(FerlibError, match="share no scale"):
        plots.class_maps({"x": invented(), "y": invented()}, {"y": "unit3.spatial"})
    with pytest.raises(FerlibError, match="share no scale"):
        plots.class_maps({})
