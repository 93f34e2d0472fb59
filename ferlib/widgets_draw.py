"""What the attention explorer shows, as HTML with small pictures in it, and as a figure for a page without a kernel."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from ferlib.data.dataset import book_name
from ferlib.explain import CamResult
from ferlib.maps import ClassMaps
from ferlib.plots import HEAT, OPACITY
from ferlib.widgets_state import CELLS, SHOWN, Look

FACE, SMALL = 232, 96  # pixels a side on the screen
STYLE = """<style>
.fer-look { font-family: var(--jp-ui-font-family, sans-serif); font-size: 13px;
  color: var(--jp-ui-font-color1, inherit); }
.fer-look p { margin: 2px 0; line-height: 1.3; }
.fer-look table { border-collapse: separate; border-spacing: 3px 1px; width: 100%; font-size: 12px; }
.fer-look th, .fer-look td { padding: 0 3px; font-weight: normal; text-align: left; line-height: 1.3; }
.fer-look td { min-width: 40px; background: linear-gradient(#0173b266, #0173b266) no-repeat left / var(--p, 0) 100%; }
.fer-look tr.target th { font-weight: bold; text-decoration: underline; }
.fer-look .maps { display: flex; flex-wrap: wrap; gap: 6px; }
.fer-look figure { margin: 0; max-width: 112px; }
.fer-look figcaption { font-size: 11px; line-height: 1.2; overflow-wrap: anywhere; }
.fer-over { position: relative; line-height: 0; overflow: hidden; }
.fer-over img { width: 100%; height: 100%; position: absolute; inset: 0; margin: 0; max-width: none; }
.fer-cells img.map { image-rendering: pixelated; }
.fer-look .wrong { color: var(--jp-error-color0, #b00020); }
</style>"""
BRUSH_STYLE = f"""<style>
.fer-stack {{ display: grid !important; width: {FACE}px; height: {FACE}px; overflow: hidden; }}
.fer-stack > * {{ grid-area: 1 / 1; margin: 0 !important; width: {FACE}px; height: {FACE}px; }}
.fer-stack .widget-html-content, .fer-stack .jupyter-widgets-html-content {{ height: 100%; }}
.fer-brush {{ display: grid !important; grid-template: repeat({CELLS}, 1fr) / repeat({CELLS}, 1fr); z-index: 1; }}
.fer-brush button {{ width: auto; height: auto; margin: 0; padding: 0; border: 0; min-width: 0;
  background: transparent; box-shadow: none; touch-action: none; }}
.fer-brush button.fer-stroke {{ background: #de8f0588; }}
.fer-brush button:hover, .fer-brush button:focus-visible {{ outline: 2px solid #de8f05; outline-offset: -2px; }}
.fer-camera video {{ width: {FACE}px; max-width: 100%; display: block; }}
.fer-camera video[hidden] {{ display: none; }}
</style>"""


def png(values: np.ndarray) -> str:
    """uint8 (H, W), (H, W, 3) or (H, W, 4) as the source of an ``img``."""
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "png", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def heat(values: np.ndarray, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Values as colours, uint8 (..., 3); ``low`` and ``high`` are the ends of the scale."""
    scaled = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    return (255 * matplotlib.colormaps[HEAT](scaled)[..., :3]).round().astype(np.uint8)


def over(face: np.ndarray, values: np.ndarray, opacity: float, cells: bool, side: int, alt: str) -> str:
    """A map with values in 0 ... 1 over a face, interpolated (bilinear); ``cells`` shows the grid as it is."""
    if not cells:
        values = CamResult(values[None].astype(np.float32)).upsampled((SHOWN, SHOWN))[0]
    return (
        f'<div class="fer-over{" fer-cells" if cells else ""}" style="width:{side}px;height:{side}px">'
        f'<img src="{png(face)}" alt=""><img class="map" src="{png(heat(values))}" '
        f'alt="{html.escape(alt)}" title="{html.escape(alt)}" style="opacity:{opacity:.2f}"></div>'
    )


def bars(look: Look) -> str:
    """A table of probabilities: a row for each class, a column for each classifier."""
    columns = list(look.probabilities)
    lines = ["<tr><th></th>" + "".join(f"<th>{html.escape(name)}</th>" for name in columns) + "</tr>"]
    for k, name in enumerate(look.classes):
        shares = [100 * float(look.probabilities[head][k]) for head in columns]
        cells = "".join(f'<td style="--p:{share:.1f}%">{share:.0f} %</td>' for share in shares)
        kind = ' class="target"' if name == look.target else ""
        lines.append(f"<tr{kind}><th>{html.escape(name)}</th>{cells}</tr>")
    return f"<table>{''.join(lines)}</table>"


def breakable(name: str) -> str:
    """A name in which a line may break after each part."""
    return html.escape(name).replace(".", ".<wbr>").replace("_", "_<wbr>")


def stages(look: Look, opacity: float, cells: bool) -> str:
    """The network's own attention: spatial maps over the face, each on its own scale, and channel gates from 0 to 1."""
    shown = []
    for name, values in look.attention.maps.items():
        low, high = float(values.min()), float(values.max())
        place = over(
            look.face, (values - low) / max(high - low, 1e-12), opacity, cells, SMALL, f"attention {name}"
        )
        grid = "×".join(map(str, values.shape))
        shown.append(
            f"<figure>{place}<figcaption>{breakable(name)}<br>{grid}, {low:.2f} to {high:.2f}</figcaption></figure>"
        )
    for name, values in look.attention.gates.items():
        low, high = float(values.min()), float(values.max())
        strip = (
            f'<img src="{png(heat(values[None]))}" alt="gates {name}" '
            f'style="width:{SMALL}px;height:14px;image-rendering:pixelated">'
        )
        note = f"{breakable(name)}<br>{len(values)} gates, {low:.2f} to {high:.2f}"
        shown.append(f"<figure>{strip}<figcaption>{note}</figcaption></figure>")
    return (
        f'<div class="maps">{"".join(shown)}</div>'
        if shown
        else "<p>This network has no attention module.</p>"
    )


def panel(look: Look, opacity: float = OPACITY, cells: bool = False) -> str:
    """All about one network's look at the face."""
    grid = "×".join(map(str, look.cam.shape))
    nothing = " Nothing in this layer speaks for the class: the map is zero everywhere." if look.zero else ""
    alt = f"Grad-CAM for {look.target} in {look.layer}"
    return (
        f'<div class="fer-look"><p>{html.escape(look.about)}</p>{bars(look)}'
        f"<p>Grad-CAM for <b>{html.escape(look.target)}</b> in {look.layer} ({grid}).{nothing}</p>"
        f"{over(look.face, look.cam, opacity, cells, FACE, alt)}"
        f"<p>Its own attention:</p>{stages(look, opacity, cells)}</div>"
    )


def means(found: ClassMaps, layer: str, opacity: float = OPACITY, cells: bool = False) -> str:
    """Mean Grad-CAM over the mean face of each class; the default layer where there is no ``layer``."""
    layer = layer if layer in found.cam else found.default_layer()
    low, high = np.percentile(found.faces, [1, 99])  # means have little contrast, see `plots.mean_faces`
    faces = (255 * np.clip((found.faces - low) / max(high - low, 1e-6), 0, 1)).astype(np.uint8)
    shown = []
    for name, face, values in zip(found.classes, faces, found.cam[layer], strict=True):
        title = book_name(name)
        place = over(face, values, opacity, cells, SMALL, f"mean Grad-CAM of {title} in {layer}")
        note = f"{html.escape(title)}<br>n = {found.counts[name]:,}"
        shown.append(f"<figure>{place}<figcaption>{note}</figcaption></figure>")
    text = f"<p>Means over {found.part} images, Grad-CAM for the true class in {layer}:</p>"
    return f'<div class="fer-look">{text}<div class="maps">{"".join(shown)}</div></div>'


def problem(text: str) -> str:
    """One line in a panel that has nothing to show."""
    return f'<div class="fer-look"><p class="wrong" role="alert">{html.escape(text)}</p></div>'


def figure(looks: Sequence[Look], opacity: float = OPACITY) -> Figure:
    """What the explorer shows, without a kernel: a row for each network, its face, Grad-CAM, maps and probabilities."""
    wide = max(len(look.attention.maps) for look in looks)
    fig, axes = plt.subplots(
        len(looks),
        wide + 3,
        figsize=(1.9 * (wide + 3) + 1.2, 2.3 * len(looks)),
        squeeze=False,
        layout="constrained",
    )
    for line, look in zip(axes, looks, strict=True):
        shown = {look.name: None, f"Grad-CAM, {look.target}\n{look.layer}": look.cam}
        shown |= {name.replace(".", "\n"): values for name, values in look.attention.maps.items()}
        for ax in line:
            ax.axis("off")
        for ax, (title, values) in zip(line, shown.items(), strict=False):
            ax.imshow(look.face, cmap="gray", vmin=0, vmax=255, extent=(0, 1, 1, 0))
            if values is not None:
                ax.imshow(values, cmap=HEAT, alpha=opacity, extent=(0, 1, 1, 0), interpolation="bilinear")
            ax.set_title(title, fontsize="x-small")
        ax = line[-1]
        ax.axis("on")
        for i, (head, values) in enumerate(look.probabilities.items()):
            ax.plot(100 * values, range(len(look.classes)), "osd^v"[i % 5], label=head)
        ax.set(
            xlim=(-3, 103),
            yticks=range(len(look.classes)),
            yticklabels=look.classes,
            xlabel="probability (%)",
        )
        ax.invert_yaxis()
        ax.tick_params(labelsize="x-small")
        if len(look.probabilities) > 1:
            ax.legend(fontsize="xx-small")
    return fig
