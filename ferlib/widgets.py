"""The attention explorer in JupyterLab: ipywidgets over `ferlib.widgets_state`, whose networks are `widgets_networks`.

``explore()`` in a notebook cell. Whatever goes wrong is told in the line at the top of the widget. A picture comes from
a file, from the computer's camera (`widgets_browser`), or on a telephone from the camera behind the upload button.
"""

from __future__ import annotations

import contextlib
import functools
import html
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ipywidgets as w

from ferlib import widgets_browser as browser
from ferlib import widgets_draw as draw
from ferlib import widgets_state as state
from ferlib.data import NAMES, SPLITS
from ferlib.data.synthetic import CLASSES
from ferlib.plots import OPACITY
from ferlib.widgets_networks import Catalogue
from ferlib.widgets_picker import WIDE, Picker, dropdown, fill, guarded
from ferlib.widgets_state import BANDS, CELLS, PREDICTED, Explorer

HEADS = {"score": "main score"}
STAYS = "Pictures stay on the machine that this notebook runs on."


class View:
    """The widget: ``box`` is shown, ``explorer`` is its state."""

    def __init__(self, catalogue: Catalogue, data_root: str | None = None) -> None:
        self.catalogue, self.data_root = catalogue, data_root
        self.quiet = False
        self.explorer = Explorer(state.drawn_face("happy", 1.0, 0))
        self.corner: state.Cell | None = None
        self.picture = b""
        self.message = w.HTML(layout=w.Layout(min_height="26px"))
        self.caption = w.HTML()
        self.opacity = w.FloatSlider(OPACITY, min=0, max=1, step=0.05, description="Opacity", style=WIDE)
        self.cells = w.Checkbox(False, description="show the grid's own cells", indent=False)
        self.target = dropdown([("predicted class", PREDICTED)], "Grad-CAM for")
        self.head = dropdown([("main score", "score")], "of classifier")
        self.pickers = [Picker(self, side) for side in range(2)]
        brush = self.make_brush()
        common = w.VBox(
            [self.make_pictures(), self.caption, brush, self.opacity, self.cells, self.target, self.head]
        )
        common.layout = w.Layout(flex="0 1 330px", min_width="300px")
        row = w.HBox([common, *(picker.box for picker in self.pickers)])
        row.layout = w.Layout(flex_flow="row wrap", align_items="flex-start", grid_gap="14px")
        self.box = w.VBox([w.HTML(draw.STYLE + draw.BRUSH_STYLE), self.message, row])
        for widget in (self.opacity, self.cells, self.target, self.head):
            widget.observe(self.on_choice, "value")
        self.draw()

    # -- the picture --

    def make_pictures(self) -> w.Tab:
        self.expression = dropdown(CLASSES, "Expression", value="happy")
        self.intensity = w.FloatSlider(1.0, min=0, max=1, step=0.05, description="Intensity", style=WIDE)
        self.person = w.IntSlider(0, min=0, max=199, description="Person", style=WIDE)
        self.data = dropdown(NAMES, "Dataset", value="synthetic")
        self.split = dropdown(SPLITS, "Part", value="test")
        self.index = w.BoundedIntText(0, min=0, max=10**6, description="Image", style=WIDE)
        self.upload = w.FileUpload(accept="image/*", multiple=False, description="Choose a picture")
        self.camera = browser.camera(self.on_camera)
        self.centre = w.Checkbox(False, description="no face found: square in the middle", indent=False)
        for widget in (self.expression, self.intensity, self.person):
            widget.observe(self.on_drawn, "value")
        for widget in (self.data, self.split, self.index):
            widget.observe(self.on_dataset, "value")
        self.upload.observe(self.on_upload, "value")
        self.centre.observe(self.on_picture, "value")
        tabs = [
            w.VBox([self.expression, self.intensity, self.person]),
            w.VBox([self.data, self.split, self.index]),
            w.VBox([self.upload, self.camera, self.centre, w.HTML(STAYS)]),
        ]
        return w.Tab(tabs, titles=("Drawn face", "Dataset", "Your picture"))

    @guarded
    def on_drawn(self, _change: Any) -> None:
        face = state.drawn_face(self.expression.value, self.intensity.value, self.person.value)
        self.show(face, f"Drawn: {self.expression.value}, {self.intensity.value:.2f}")

    @guarded
    def on_dataset(self, _change: Any) -> None:
        name, part, index = self.data.value, self.split.value, self.index.value
        face, label, n = state.dataset_face(name, self.data_root, part, index)
        self.show(face, f"{name}, {part} {index} of {n:,}, labelled {label}")

    @guarded
    def on_upload(self, _change: Any) -> None:
        if self.upload.value:
            self.take(bytes(self.upload.value[0]["content"]))

    @guarded
    def on_camera(self, picture: bytes) -> None:
        self.take(picture)

    @guarded
    def on_picture(self, _change: Any) -> None:
        if self.picture:
            self.take(self.picture)

    def take(self, picture: bytes) -> None:
        """A picture's face is found, cropped and shown, uncovered; where that fails, all stays as it is."""
        self.picture = picture  # for another try with the square in the middle
        face, caption = state.picture_face(picture, centre=self.centre.value)
        self.explorer.covered = set()
        self.show(face, caption)

    def show(self, face: Any, caption: str) -> None:
        self.explorer.face = face
        self.caption.value = html.escape(caption)
        self.draw()

    # -- covering --

    def make_brush(self) -> w.VBox:
        """Transparent buttons over the face, a cell each; two clicks mark a rectangle where that is chosen."""
        self.face = w.HTML()
        self.buttons = {}
        for row in range(CELLS):
            for column in range(CELLS):
                button = w.Button(tooltip=f"cover row {row + 1}, column {column + 1}")
                button.on_click(functools.partial(self.on_cell, (row, column)))
                self.buttons[row, column] = button
        grid = w.GridBox(list(self.buttons.values()))
        grid.add_class("fer-brush")
        self.brush = w.ToggleButtons(
            options=[("cells", False), ("rectangle: two corners", True)], value=False
        )
        self.brush.style.button_width = "auto"
        auto = w.Layout(width="auto")
        self.bands = {name: w.Button(description=name, layout=auto) for name in (*BANDS, "uncover all")}
        for button in self.bands.values():
            button.on_click(self.on_band)
        bands = w.HBox(list(self.bands.values()), layout=w.Layout(flex_flow="row wrap"))
        stack = w.Box([self.face, grid])
        stack.add_class("fer-stack")
        self.strokes = browser.strokes(self.on_stroke)
        alone = isinstance(self.strokes, w.HTML)  # without anywidget
        hint = w.HTML(
            "Click the face to cover it:" if alone else "Click the face, or draw over it, to cover it:"
        )
        box = w.VBox([hint, stack, self.strokes, self.brush, bands])
        box.add_class("fer-brushbox")
        return box

    @guarded
    def on_cell(self, cell: state.Cell, _button: Any) -> None:
        if not self.brush.value:
            self.explorer.toggle(cell)
        elif self.corner is None:
            self.corner = cell
            self.say("now the opposite corner")
            return
        else:
            self.explorer.covered |= state.block(self.corner, cell)
        self.corner = None
        self.draw()

    @guarded
    def on_stroke(self, places: Sequence[int]) -> None:
        """A stroke covers the cells that it passes, or uncovers them where it begins on a covered one."""
        cells = [divmod(place, CELLS) for place in places]
        passed = state.block(cells[0], cells[-1]) if self.brush.value else set(cells)
        covered = self.explorer.covered
        self.explorer.covered = covered - passed if cells[0] in covered else covered | passed
        self.corner = None
        self.draw()

    @guarded
    def on_band(self, button: w.Button) -> None:
        known = button.description in BANDS
        self.explorer.covered = self.explorer.covered | state.band(button.description) if known else set()
        self.corner = None
        self.draw()

    # -- what both sides share --

    @contextlib.contextmanager
    def quietly(self) -> Iterator[None]:
        """While menus are filled, their handlers do nothing."""
        before, self.quiet = self.quiet, True
        try:
            yield
        finally:
            self.quiet = before

    @guarded
    def on_choice(self, _change: Any) -> None:
        self.explorer.target, self.explorer.head = self.target.value, self.head.value
        self.draw()

    def refill(self) -> None:
        """Classes and classifiers of the networks that are there now; a choice that is still there stays."""
        classes = [("predicted class", PREDICTED), *((name, name) for name in self.explorer.classes())]
        heads = [(HEADS.get(name, f"auxiliary {name[3:]}"), name) for name in self.explorer.heads()]
        with self.quietly():
            for menu, options in ((self.target, classes), (self.head, heads)):
                fill(menu, options, menu.value)
        self.explorer.target, self.explorer.head = self.target.value, self.head.value

    def draw(self) -> None:
        """Everything that depends on the state."""
        face = state.cover(self.explorer.face, self.explorer.covered)
        self.face.value = f'<img src="{draw.png(face)}" alt="the face" style="width:100%;display:block">'
        for picker in self.pickers:
            picker.draw()

    def say(self, text: str, wrong: bool = False) -> None:
        self.message.value = (
            draw.problem(text) if wrong else f'<span role="status">{html.escape(text)}</span>'
        )


def explore(
    results: str | Path = "results",
    runs: str | Path = "runs",
    data_root: str | None = None,
    prefer: tuple[str, ...] = (),
    **folders: Path,
) -> View:
    """The explorer, with the first two networks that there are; show its ``box``.

    ``prefer``: ids of rows that are taken first. ``data_root``: for images of the datasets, and to check runs with;
    None takes FERLIB_DATA for the former. ``folders``: see `Catalogue`.
    """
    catalogue = Catalogue(Path(results), Path(runs), data_root, **folders)
    view = View(catalogue, data_root)
    ready = iter(catalogue.first(prefer))
    for side, picker in enumerate(view.pickers):
        for identifier, _ in ready:  # weights that are there but cannot be loaded are passed over
            picker.choose(catalogue.paper_of(identifier), identifier)
            if view.explorer.networks[side]:
                break
    return view
