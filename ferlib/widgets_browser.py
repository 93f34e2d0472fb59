"""What only the reader's browser can do for the attention explorer: a camera's picture, a stroke of the brush.

Two small widgets of anywidget, whose JavaScript stands here and loads nothing from elsewhere. Where that package is not
installed, the explorer works without them: pictures come from files, and the brush covers a cell with each click.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as w
import traitlets

MISSING = "A camera of this computer needs the package anywidget (pip install anywidget)."
CAMERA = """
export default { render({ model, el }) {
  el.classList.add("fer-camera");
  const make = (tag, text) => Object.assign(document.createElement(tag), text ? { textContent: text } : {});
  const start = make("button", "Start the camera"), take = make("button", "Take the picture");
  const video = Object.assign(make("video"), { autoplay: true, muted: true, playsInline: true });
  const said = make("p");
  said.setAttribute("role", "status");
  let stream = null;
  const stop = () => {
    if (stream) stream.getTracks().forEach(track => track.stop());
    stream = video.srcObject = null;
    video.hidden = take.disabled = true;
    start.textContent = "Start the camera";
  };
  start.onclick = async () => {
    said.textContent = "";
    if (stream) return stop();
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" } });
      video.srcObject = stream;
      video.hidden = take.disabled = false;
      start.textContent = "Stop the camera";
    } catch (error) {
      said.textContent = window.isSecureContext ? `No camera: ${error.message}` :
        "Browsers give a camera to pages from localhost or over https only.";
    }
  };
  take.onclick = () => {
    if (!video.videoWidth) return void (said.textContent = "The camera has not started yet.");
    const canvas = Object.assign(make("canvas"), { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob(async blob => {
      model.set("picture", new DataView(await blob.arrayBuffer()));
      model.set("taken", model.get("taken") + 1);
      model.save_changes();
    }, "image/png");
  };
  stop();
  el.append(start, take, video, said);
  return stop;
} };
"""
STROKES = """
export default { render({ model, el }) {
  let brush = null, stroke = [], many = false;
  const find = () => brush ??= el.closest(".fer-brushbox")?.querySelector(".fer-brush");
  const cell = event => {
    const button = document.elementFromPoint(event.clientX, event.clientY)?.closest("button");
    return find()?.contains(button) ? [...brush.querySelectorAll("button")].indexOf(button) : -1;
  };
  const mark = () => brush.querySelectorAll("button").forEach((one, k) =>
    one.classList.toggle("fer-stroke", stroke.length > 1 && stroke.includes(k)));
  const down = event => { if (event.isPrimary && event.button === 0 && cell(event) >= 0) stroke = [cell(event)]; };
  const move = event => {
    const k = stroke.length ? cell(event) : -1;
    if (k < 0 || stroke.includes(k)) return;
    stroke.push(k);
    mark();
  };
  const up = () => {
    if (many = stroke.length > 1) {
      model.set("stroke", stroke);
      model.set("strokes", model.get("strokes") + 1);
      model.save_changes();
    }
    stroke = [];
    if (find()) mark();
  };
  const click = event => {  // what follows a stroke that ends where it began
    if (many && find()?.contains(event.target)) { event.stopPropagation(); event.preventDefault(); }
    many = false;
  };
  const heard = { pointerdown: down, pointermove: move, pointerup: up, pointercancel: up, click };
  for (const [name, handler] of Object.entries(heard)) document.addEventListener(name, handler, true);
  return () => {
    for (const [name, handler] of Object.entries(heard)) document.removeEventListener(name, handler, true);
  };
} };
"""


def made(esm: str, **traits: Any) -> Any:
    """A widget of anywidget with this JavaScript and these traits, all of them synchronised; None without anywidget."""
    try:
        anywidget = importlib.import_module("anywidget")
    except ImportError:
        return None
    tagged = {name: trait.tag(sync=True) for name, trait in traits.items()}
    return type("Browser", (anywidget.AnyWidget,), {"_esm": esm, **tagged})()


def camera(taken: Callable[[bytes], None]) -> w.Widget:
    """Buttons for a camera; ``taken`` gets the bytes of each picture, a PNG. Without anywidget a line that says so."""
    found = made(CAMERA, picture=traitlets.Any(), taken=traitlets.Int())  # of bytes a memoryview arrives
    if found is None:
        return w.HTML(MISSING)
    found.observe(lambda _change: taken(bytes(found.picture)), "taken")
    return found


def strokes(drawn: Callable[[Sequence[int]], None]) -> w.Widget:
    """Nothing to be seen; ``drawn`` gets the places among the buttons of ``.fer-brush`` that a stroke passes, in order.

    The brush and this stand in one ``.fer-brushbox``. Without anywidget there are no strokes.
    """
    found = made(STROKES, stroke=traitlets.List(), strokes=traitlets.Int())
    if found is None:
        return w.HTML()
    found.observe(lambda _change: drawn(list(found.stroke)), "strokes")
    return found
