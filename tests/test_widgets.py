"""The attention explorer: its state, what it draws, the widget driven without a browser, and once in JupyterLab."""

from __future__ import annotations

import base64
import io
import re
import sys
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
import torch
from PIL import Image
from test_weights import ready

from ferlib import (
    explain,
    weights,
    widgets,
    widgets_browser,
    widgets_draw,
    widgets_networks,
    widgets_state,
)
from ferlib.data import synthetic
from ferlib.errors import FerlibError
from ferlib.experiments import get
from ferlib.widgets_networks import Catalogue, Entry
from ferlib.widgets_state import BANDS, CELLS, Explorer, band, block, cover, drawn_face

CLASSES = synthetic.CLASSES
AMDCNN, SECNN = "amdcnn-ckplus-acs3", "se_cnn-se"
FACE = drawn_face("happy", 1.0, 0)


@pytest.fixture(scope="module")
def networks():
    """AMDCNN, with spatial attention and auxiliary classifiers, and SE-CNN, with gates alone; random weights."""
    return {
        name: replace(ready(get(name), CLASSES, side=48), name=name, facts={"dataset": "nothing"})
        for name in (AMDCNN, SECNN)
    }


@pytest.fixture
def explorer(networks):
    return Explorer(FACE, [networks[AMDCNN], networks[SECNN]])


# -- state ----------------------------------------------------------------------------------------------------------


def test_covered_cells_have_the_mean_of_the_face_and_the_others_are_as_they_were():
    face = np.arange(256, dtype=np.uint8).reshape(16, 16)
    found = cover(face, {(0, 1), (7, 7)})
    assert (found[0:2, 2:4] == 128).all() and (found[14:, 14:] == 128).all()  # the mean is 127.5
    kept = np.ones((16, 16), bool)
    kept[0:2, 2:4] = kept[14:, 14:] = False
    assert (found[kept] == face[kept]).all() and face[0, 2] == 2
    colour = cover(np.full((20, 20, 3), (10, 20, 30), np.uint8), {(3, 3)})
    assert (colour == (10, 20, 30)).all()


def test_cells_cover_every_pixel_once():
    grid = {(row, column) for row in range(CELLS) for column in range(CELLS)}
    face = np.arange(50 * 50).reshape(50, 50).astype(np.uint8)
    assert len(np.unique(cover(face, grid))) == 1
    touched = sum((cover(face, {cell}) != face).sum() for cell in grid)
    assert touched == (face != face.mean().round()).sum()


def test_rectangles_and_bands():
    assert block((1, 2), (2, 0)) == {(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)}
    assert block((5, 5), (5, 5)) == {(5, 5)}
    for name in BANDS:
        assert band(name) and all(0 <= r < CELLS and 0 <= c < CELLS for r, c in band(name))


@pytest.mark.parametrize("name", BANDS)
def test_bands_cover_what_they_are_called_after(name):
    """Most pixels of the region, by the masks of drawn faces."""
    _, masks = synthetic.render(synthetic.face("neutral"), 48)
    bits = sum(synthetic.REGIONS[region] for region in name.split(" and "))
    hidden = np.zeros((48, 48), bool)
    for row, column in band(name):
        hidden[row * 6 : row * 6 + 6, column * 6 : column * 6 + 6] = True
    assert hidden[(masks & bits) > 0].mean() > 0.75


def test_a_look_is_what_the_network_and_grad_cam_say(explorer, networks):
    look, one = explorer.look(0), networks[AMDCNN]
    x = torch.from_numpy(FACE)[None, None].float() / 255
    with torch.no_grad():
        logits, out = one.model(x)
    expected = {"prediction": logits, "main": out["main"]} | {
        f"aux{i + 1}": z for i, z in enumerate(out["aux"])
    }
    assert list(look.probabilities) == list(expected)
    for name, z in expected.items():
        np.testing.assert_allclose(look.probabilities[name], z.softmax(1)[0], rtol=1e-4, atol=1e-6)
    k = int(logits.argmax())
    assert (look.label, look.target, look.layer) == (CLASSES[k], CLASSES[k], "dfem3")
    cam = explain.grad_cam(one.model, x, torch.tensor([k]), "dfem3").normalised()
    np.testing.assert_allclose(look.cam, cam.maps[0], atol=1e-4)
    np.testing.assert_allclose(
        look.attention.maps["dfem1.spatial_attention"],
        out["attention"]["dfem1.spatial_attention"][0, 0],
        atol=1e-5,
    )
    assert set(explorer.look(1).attention.gates) == {f"block{i}.se2" for i in (1, 2, 3)}


def test_only_what_changed_is_computed_again(explorer, networks, monkeypatch):
    passes, cams = [], []
    heads, grad_cam = widgets_state.heads, explain.grad_cam
    monkeypatch.setattr(widgets_state, "heads", lambda *a: passes.append(1) or heads(*a))
    monkeypatch.setattr(explain, "grad_cam", lambda *a, **k: cams.append(1) or grad_cam(*a, **k))

    def counts():
        explorer.look(0)
        return len(passes), len(cams)

    assert [counts(), counts()] == [(1, 1), (1, 1)]
    explorer.target = "fear" if explorer.look(0).target != "fear" else "sad"
    assert counts() == (1, 2)
    explorer.layers[0] = "dfem1"
    assert counts() == (1, 3)
    explorer.toggle((3, 3))
    assert counts() == (2, 4)
    explorer.put(0, networks[SECNN])
    assert counts() == (3, 5)


def test_covering_changes_what_the_network_is_shown_and_uncovering_brings_it_back(explorer):
    before = explorer.look(0)
    explorer.covered = band("mouth")
    during = explorer.look(0)
    assert (during.face == cover(FACE, band("mouth"))).all()
    assert not np.array_equal(during.probabilities["prediction"], before.probabilities["prediction"])
    for cell in band("mouth"):
        explorer.toggle(cell)
    np.testing.assert_array_equal(
        explorer.look(0).probabilities["prediction"], before.probabilities["prediction"]
    )


def test_classes_and_classifiers_that_one_network_lacks(explorer, networks):
    explorer.put(1, replace(networks[SECNN], classes=("contempt", *CLASSES[1:])))
    assert explorer.classes() == [*CLASSES, "contempt"] and explorer.heads() == [
        "score",
        "aux1",
        "aux2",
        "aux3",
    ]
    explorer.target = "contempt"
    assert explorer.look(0).target == explorer.look(0).label and explorer.look(1).target == "contempt"
    main = [explorer.look(side).cam.copy() for side in range(2)]
    explorer.layers[0], explorer.head = "dfem1", "aux1"
    of_aux = explorer.look(0).cam
    explorer.head = "score"
    assert not np.array_equal(explorer.look(0).cam, of_aux)
    explorer.head = "aux1"
    np.testing.assert_array_equal(explorer.look(1).cam, main[1])


def test_no_network_is_told(explorer):
    explorer.put(1, None)
    with pytest.raises(FerlibError, match="choose a checkpoint"):
        explorer.look(1)


def test_images_of_a_dataset():
    face, label, n = widgets_state.dataset_face("synthetic", None, "test", 8)
    data = synthetic.load(n=700)
    k = data.where("test")[8]
    assert (
        (face == data.images[k]).all() and label == CLASSES[data.labels[k]] and n == len(data.where("test"))
    )
    with pytest.raises(FerlibError, match=f"0 to {n - 1}"):
        widgets_state.dataset_face("synthetic", None, "test", n)


def test_pictures_without_a_face_take_the_middle_only_when_asked():
    buffer = io.BytesIO()
    Image.fromarray(np.full((60, 90), 77, np.uint8)).save(buffer, "png")
    pytest.importorskip("facenet_pytorch")
    with pytest.raises(FerlibError, match="square in the middle"):
        widgets_state.picture_face(buffer.getvalue())
    face, told = widgets_state.picture_face(buffer.getvalue(), centre=True)
    assert face.shape == (144, 144, 3) and (face == 77).all() and "middle" in told
    with pytest.raises(FerlibError, match="cannot be read as a picture"):
        widgets_state.picture_face(b"junk", centre=True)


# -- drawing --------------------------------------------------------------------------------------------------------


def pictures(text):
    """The pictures in a piece of HTML as arrays."""
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', text)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(one)))) for one in found]


def test_pictures_in_the_html_are_what_was_drawn():
    image = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    (found,) = pictures(f'<img src="{widgets_draw.png(image)}">')
    assert (found == image).all()
    low, high = widgets_draw.heat(np.array([0.0, 1.0]))
    assert tuple(low) == (68, 1, 84) and tuple(high) == (253, 231, 37)  # the ends of viridis


def test_a_panel_shows_every_class_classifier_and_stage(explorer):
    look = explorer.look(0)
    text = widgets_draw.panel(look, opacity=0.35)
    for name in (*CLASSES, *look.probabilities, *look.attention.maps, *look.attention.gates, look.layer):
        assert name in text
    assert "opacity:0.35" in text and text.count("alt=") == text.count("<img")
    assert len(pictures(text)) == 2 * (1 + len(look.attention.maps)) + len(look.attention.gates)
    native = widgets_draw.panel(look, cells=True)
    assert look.cam.shape in [image.shape[:2] for image in pictures(native)]


def test_names_cannot_break_the_page(explorer):
    text = widgets_draw.panel(replace(explorer.look(1), about="<script>x</script>"))
    assert "<script>" not in text and "<script>" not in widgets_draw.problem("<script>")


def test_a_map_of_zeros_is_told(explorer):
    look = explorer.look(0)
    assert "zero everywhere" in widgets_draw.panel(replace(look, zero=True, cam=np.zeros_like(look.cam)))
    assert "zero everywhere" not in widgets_draw.panel(replace(look, zero=False))


def test_a_figure_for_a_page_without_kernel(explorer):
    figure = widgets_draw.figure([explorer.look(0), explorer.look(1)])
    titles = [ax.get_title() for ax in figure.axes]
    assert any("Grad-CAM" in title for title in titles) and "dfem4\nspatial_attention" in titles


# -- the widget -----------------------------------------------------------------------------------------------------


class Shelf(Catalogue):
    """A catalogue of the two networks above; everything else has no weights."""

    def __init__(self, networks, folder):
        super().__init__(folder / "results", folder / "runs", None, folder / "demonstrations")
        self.networks = networks

    def entries(self, identifier):
        found = [Entry("random", lambda: self.networks[identifier])] if identifier in self.networks else []
        return [*found, *super().entries(identifier)]


@pytest.fixture
def view(networks, tmp_path):
    made = widgets.View(Shelf(networks, tmp_path))
    made.pickers[0].choose("amdcnn", AMDCNN)
    made.pickers[1].choose("se_cnn", SECNN)
    assert 'role="alert"' not in made.message.value
    return made


def panels(view):
    return [picker.panel.value for picker in view.pickers]


def test_the_widget_begins_with_what_there_is(view):
    assert all("Grad-CAM" in text for text in panels(view))
    assert [name for _, name in view.head.options] == ["score", "aux1", "aux2", "aux3"]
    assert view.pickers[0].layer.value == "dfem3"
    assert view.pickers[0].variant.options[0][0].startswith("● ")


@pytest.mark.parametrize(
    "change",
    [
        lambda view: setattr(view.expression, "value", "fear"),
        lambda view: setattr(view.intensity, "value", 0.3),
        lambda view: setattr(view.person, "value", 5),
        lambda view: setattr(view.index, "value", 3),
        lambda view: setattr(view.opacity, "value", 0.1),
        lambda view: setattr(view.cells, "value", True),
        lambda view: setattr(view.target, "value", "disgust"),
        lambda view: view.buttons[4, 4].click(),
    ],
)
def test_every_control_changes_both_panels(view, change):
    before = panels(view)
    change(view)
    assert all(old != new for old, new in zip(before, panels(view), strict=True))
    assert "alert" not in view.message.value


def test_a_layer_changes_its_own_side_only(view):
    before = panels(view)
    view.pickers[0].layer.value = "dfem2"
    assert panels(view)[0] != before[0] and panels(view)[1] == before[1]


def test_the_brush(view):
    view.buttons[2, 2].click()
    view.buttons[2, 3].click()
    view.buttons[2, 2].click()
    assert view.explorer.covered == {(2, 3)}
    view.brush.value = True
    view.buttons[6, 1].click()
    assert "opposite corner" in view.message.value
    view.buttons[5, 2].click()
    assert view.explorer.covered == {(2, 3)} | block((5, 1), (6, 2))
    view.bands["uncover all"].click()
    assert view.explorer.covered == set()
    view.bands["mouth"].click()
    assert view.explorer.covered == band("mouth")
    (shown,) = pictures(view.face.value)
    assert (shown == cover(FACE, band("mouth"))).all()


def test_an_upload_that_is_no_picture_is_told_and_the_face_stays(view):
    before = panels(view)
    view.upload.value = (
        {
            "name": "x.png",
            "type": "image/png",
            "size": 4,
            "content": b"junk",
            "last_modified": datetime.now(),
        },
    )
    assert "cannot be read as a picture" in view.message.value and panels(view) == before


def png(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png")
    return buffer.getvalue()


def test_a_picture_of_the_camera_is_shown_and_the_square_in_the_middle_tried_again(view, monkeypatch):
    def no_face(content, *, centre=False):
        if not centre:
            raise FerlibError("no face found: tick “square in the middle”")
        return np.asarray(Image.open(io.BytesIO(content))), "the middle"

    monkeypatch.setattr(widgets_state, "picture_face", no_face)
    view.explorer.covered = band("mouth")
    before, picture = panels(view), png(np.full((48, 48, 3), 90, np.uint8))
    view.on_camera(picture)
    assert "square in the middle" in view.message.value and panels(view) == before
    assert view.explorer.covered == band("mouth")
    view.centre.value = True
    assert view.caption.value == "the middle" and view.explorer.covered == set()
    assert all(old != new for old, new in zip(before, panels(view), strict=True))


def test_a_stroke_covers_what_it_passes_and_uncovers_from_a_covered_cell(view):
    view.on_stroke([9, 10, 11])
    assert view.explorer.covered == {(1, 1), (1, 2), (1, 3)}
    view.on_stroke([8, 9])
    assert view.explorer.covered == {(1, 0), (1, 1), (1, 2), (1, 3)}
    view.on_stroke([10, 11, 12])
    assert view.explorer.covered == {(1, 0), (1, 1)}
    view.brush.value = True
    view.on_stroke([18, 27, 36])
    assert view.explorer.covered == {(1, 0), (1, 1)} | block((2, 2), (4, 4))


@pytest.mark.parametrize("make", [widgets_browser.camera, widgets_browser.strokes])
def test_without_anywidget_there_is_no_camera_and_the_brush_clicks(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    found = make(lambda _value: None)
    assert type(found).__name__ == "HTML"
    assert ("pip install anywidget" in found.value) == (make is widgets_browser.camera)


def test_what_the_browser_sends_arrives():
    pytest.importorskip("anywidget", reason="needs the package anywidget")
    got = []
    camera, strokes = widgets_browser.camera(got.append), widgets_browser.strokes(got.append)
    camera.set_state({"picture": memoryview(b"png"), "taken": 1})
    strokes.set_state({"stroke": [3, 4], "strokes": 1})
    strokes.set_state({"stroke": [3, 4], "strokes": 2})  # the same stroke again
    assert got == [b"png", [3, 4], [3, 4]]
    for text in (widgets_browser.CAMERA, widgets_browser.STROKES):
        assert "http" not in text.replace("over https only", "") and "import" not in text


def test_an_unexpected_error_is_told_in_one_line(view, monkeypatch):
    def broken(*_):
        raise RuntimeError("two\nlines <b>")

    monkeypatch.setattr(widgets_state, "drawn_face", broken)
    view.intensity.value = 0.5
    assert "RuntimeError: two lines &lt;b&gt;" in view.message.value
    monkeypatch.undo()
    view.intensity.value = 0.6
    assert "RuntimeError" not in view.message.value


def test_missing_data_weights_and_files_are_told(view, monkeypatch):
    monkeypatch.delenv("FERLIB_DATA", raising=False)
    view.data.value = "ckplus"
    assert "FERLIB_DATA" in view.message.value
    view.pickers[1].choose("gcca_vgg", "gcca_vgg-ckplus-model6-scratch48")
    assert "no weights of this variant" in view.message.value and "no network" in panels(view)[1]
    view.pickers[0].file.value = "/nowhere/x.safetensors"
    assert "no such file" in view.message.value
    view.pickers[1].means.click()
    assert "no network" in view.message.value


def test_class_means_of_drawn_faces(view, networks, monkeypatch):
    monkeypatch.setattr(widgets_networks, "FACES", 210)
    one = replace(networks[SECNN], facts={"dataset": "synthetic faces"})
    monkeypatch.setitem(networks, SECNN, one)
    view.pickers[1].list_weights()
    view.pickers[1].means.click()
    assert view.message.value == '<span role="status"></span>'
    assert len(pictures(view.pickers[1].means_panel.value)) == 2 * len(CLASSES)
    view.pickers[0].means.click()  # AMDCNN's are of data that are not there
    assert "no class means" in view.message.value


def test_published_weights_are_offered_without_runs_of_ones_own(tmp_path):
    if not weights.names():
        pytest.skip("no published weights here")
    catalogue = Catalogue(tmp_path, tmp_path, None, tmp_path)
    identifiers = [key for key, entry in catalogue.first() if entry.label.startswith("published")]
    assert len(identifiers) == len({widgets_networks.card_of(weights.FOLDER, n) for n in weights.names()})
    view = widgets.explore(tmp_path, tmp_path, demonstrations=tmp_path, prefer=(identifiers[0],))
    ready = view.explorer.networks[0]
    assert ready.row.id == identifiers[0] and "Grad-CAM" in view.pickers[0].panel.value
    assert view.pickers[0].checkpoint.label.startswith("published")


def test_a_layer_behind_an_auxiliary_classifier_is_told_in_its_panel(view):
    view.head.value = "aux1"
    assert "dfem3 stands behind classifier" in panels(view)[0] and "Grad-CAM for" in panels(view)[1]
    view.pickers[0].layer.value = "dfem1"
    assert "Grad-CAM for" in panels(view)[0]


def test_networks_on_drawn_faces_are_offered(tmp_path):
    if not widgets_networks.drawn():
        pytest.skip("no weights of networks on drawn faces here")
    view = widgets.explore(tmp_path, tmp_path, demonstrations=tmp_path)
    assert all(one is not None for one in view.explorer.networks)
    for name in ("happy", "surprise"):
        view.expression.value = name
        assert [view.explorer.look(side).label for side in range(2)] == [name, name]


@pytest.mark.slow
def test_a_demonstration_is_trained_kept_and_offered(tmp_path):
    changes = {"dataset_options": {"n": 105, "difficulty": 0.3}, "epochs": 1}
    made = widgets_networks.demonstrate("msca_resnet-ckplus-plain", tmp_path, **changes)
    assert made.facts["source"] == widgets_networks.DEMONSTRATION and "no result" in made.about()
    catalogue = Catalogue(tmp_path / "none", tmp_path / "none", None, tmp_path)
    (entry,) = catalogue.entries("msca_resnet-ckplus-plain")
    x = made.prepare(FACE[None])
    torch.testing.assert_close(entry.load().model(x)[0], made.model(x)[0])


def test_weights_that_cannot_be_loaded_are_passed_over(networks, tmp_path, monkeypatch):
    """As a run's are whose dataset is another copy than the one at hand."""

    def refused():
        raise FerlibError("not the data of this record")

    class Spoilt(Shelf):
        def first(self, prefer=()):
            return [
                ("gcca_vgg-ckplus-model1", Entry("run, seed 0", refused)),
                *super().first((AMDCNN, SECNN))[:2],
            ]

        def entries(self, identifier):
            return (
                [Entry("run, seed 0", refused)]
                if identifier.startswith("gcca")
                else super().entries(identifier)
            )

    monkeypatch.setattr(widgets, "Catalogue", lambda *_, **__: Spoilt(networks, tmp_path))
    made = widgets.explore(tmp_path, tmp_path, None)
    assert [one.name for one in made.explorer.networks] == [AMDCNN, SECNN]
