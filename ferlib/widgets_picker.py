"""One side of the attention explorer: the menus that choose a network and a layer, and what the network sees."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets as w

from ferlib import widgets_draw as draw
from ferlib.errors import FerlibError
from ferlib.weights import Ready
from ferlib.widgets_networks import class_means, demonstrate, open_file

if TYPE_CHECKING:
    from ferlib.widgets import View

WIDE = {"description_width": "96px"}
log = logging.getLogger(__name__)


def guarded(method: Callable[..., None]) -> Callable[..., None]:
    """Whatever a handler raises becomes the line at the top: an exception in a handler would reach nobody.

    While ``view.quiet`` is set, menus are being filled, and nothing is handled.
    """

    @functools.wraps(method)
    def handle(self: Any, *arguments: Any) -> None:
        view = getattr(self, "view", self)
        if view.quiet:
            return
        try:
            view.say("")
            method(self, *arguments)
        except FerlibError as error:
            view.say(str(error), wrong=True)
        except Exception as error:
            log.exception("in %s", method.__name__)
            text = " ".join(f"{type(error).__name__}: {error}".split())
            view.say(f"that failed: {text[:300]}", wrong=True)

    return handle


def dropdown(options: Any, description: str, **more: Any) -> w.Dropdown:
    return w.Dropdown(
        options=options, description=description, style=WIDE, layout=w.Layout(width="auto"), **more
    )


def fill(menu: w.Dropdown, options: list[tuple[str, Any]], value: Any = None) -> None:
    """Other options for a menu, and of them ``value``, or the first where that is not one."""
    values = [one for _, one in options]
    menu.options = options  # a menu that was empty stays without a choice
    menu.value = value if value in values else next(iter(values), None)


class Picker:
    """One side: paper, variant, checkpoint, a file or a demonstration; the layer; and what the network sees."""

    def __init__(self, view: View, side: int) -> None:
        self.view, self.side = view, side
        papers = [(title, key) for key, title in view.catalogue.papers().items()]
        self.paper = dropdown(papers, "Paper", value=None)
        self.variant = dropdown([], "Variant")
        self.checkpoint = dropdown([], "Weights")
        self.layer = dropdown([], "Layer")
        self.file = w.Text(
            description="File", placeholder="weights or checkpoint", style=WIDE, continuous_update=False
        )
        self.train = w.Button(
            description="Train a demonstration", tooltip="a minute on drawn faces; no result"
        )
        self.panel = w.HTML()
        self.means = w.Button(
            description="Class means", tooltip="mean Grad-CAM over the mean face of each class"
        )
        self.means_panel = w.HTML()
        more = w.Accordion([w.VBox([self.file, self.train])], titles=("Other weights",), selected_index=None)
        parts = [
            self.paper,
            self.variant,
            self.checkpoint,
            more,
            self.layer,
            self.panel,
            self.means,
            self.means_panel,
        ]
        self.box = w.VBox(parts, layout=w.Layout(flex="1 1 330px", min_width="300px"))
        self.paper.observe(self.on_paper, "value")
        self.variant.observe(self.on_variant, "value")
        self.checkpoint.observe(self.on_checkpoint, "value")
        self.layer.observe(self.on_layer, "value")
        self.file.observe(self.on_file, "value")
        self.train.on_click(self.on_train)
        self.means.on_click(self.on_means)

    @guarded
    def choose(self, paper: str, identifier: str) -> None:
        """Set the menus as a reader would."""
        self.list_variants(paper)
        with self.view.quietly():
            self.paper.value, self.variant.value = paper, identifier
        self.list_weights()

    @guarded
    def on_paper(self, _change: Any) -> None:
        self.list_variants(self.paper.value)
        self.list_weights()

    @guarded
    def on_variant(self, _change: Any) -> None:
        self.list_weights()

    def list_variants(self, paper: str) -> None:
        with self.view.quietly():
            found = self.view.catalogue.variants(paper)
            fill(self.variant, [(title, key) for key, title in found.items()])

    def list_weights(self, last: bool = False) -> None:
        """Fill the menu of weights and take the first, or the last."""
        entries = self.view.catalogue.entries(self.variant.value) if self.variant.value else []
        with self.view.quietly():
            fill(self.checkpoint, [(one.label, one) for one in entries], entries[-1] if last else None)
        if not entries:
            self.take(None)
            raise FerlibError("no weights of this variant here; train a demonstration, or choose one with ●")
        self.take(self.checkpoint.value.load())

    @guarded
    def on_checkpoint(self, _change: Any) -> None:
        if self.checkpoint.value is not None:
            self.take(self.checkpoint.value.load())

    @guarded
    def on_file(self, _change: Any) -> None:
        self.take(open_file(self.file.value, self.view.catalogue))

    @guarded
    def on_train(self, _button: Any) -> None:
        self.view.say("training on drawn faces, about a minute ...")
        if self.variant.value is None or self.paper.value == "synthetic":
            raise FerlibError("choose a paper and a variant to train a demonstration of")
        self.train.disabled = True
        try:
            demonstrate(self.variant.value, self.view.catalogue.demonstrations)
        finally:
            self.train.disabled = False
        self.list_weights(last=True)
        self.view.say("")

    @guarded
    def on_layer(self, _change: Any) -> None:
        if self.layer.value is not None:
            self.view.explorer.layers[self.side] = self.layer.value
            self.draw()

    @guarded
    def on_means(self, _button: Any) -> None:
        view, ready = self.view, self.view.explorer.networks[self.side]
        if ready is None:
            raise FerlibError("no network on this side yet")
        view.say("class means ...")
        found = class_means(ready, view.catalogue.results)
        self.means_panel.value = draw.means(found, self.layer.value, view.opacity.value, view.cells.value)
        view.say("")

    def take(self, ready: Ready | None) -> None:
        """Another network on this side: its layers, classes and classifiers go into the menus."""
        explorer = self.view.explorer
        explorer.put(self.side, ready)
        self.means_panel.value = ""
        layers = explorer.layers_of(self.side) if ready else {}
        names = [(f"{name} ({h}×{v})", name) for name, (h, v) in layers.items()]
        with self.view.quietly():
            fill(self.layer, names, explorer.look(self.side).layer if ready else None)
        self.view.refill()
        self.view.draw()

    def draw(self) -> None:
        """The panel anew; its own problem stands in its place."""
        try:
            look = self.view.explorer.look(self.side)
            self.panel.value = draw.panel(look, self.view.opacity.value, self.view.cells.value)
        except FerlibError as error:
            self.panel.value = draw.problem(str(error))
