"""Where a network looks: Grad-CAM on any of its layers, its modules' own attention, and class means of both.

R. R. Selvaraju et al., "Grad-CAM: Visual explanations from deep networks via gradient-based localization",
ICCV 2017, section 3, Eq. (1)-(2), as captum computes it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from captum.attr import LayerGradCam
from torch import Tensor, nn
from tqdm.auto import tqdm

from ferlib import commands, finished, maps
from ferlib.data.dataset import SPLITS, FaceDataset
from ferlib.device import resolve_device, use_threads
from ferlib.errors import FerlibError
from ferlib.maps import ClassMaps, ClassSums
from ferlib.pixels import LUMA, Pixels
from ferlib.stages import default_layer, evaluating, find_layer, layers_of
from ferlib.train import add_run_options

FINEST = 56  # cells a side of a layer whose class means are kept unless asked for
PEOPLE = 10  # behind a mean face that is stored
BATCH_PIXELS = 128 * 48 * 48
UNUSED = "not have been used in the graph"  # torch's words where a score does not depend on a layer


class Scores(nn.Module):
    """Of a model that returns ``(logits, out)``, or logits alone, the scores (N, classes) to be explained.

    ``head``: ``'score'`` the scores before the softmax, which Grad-CAM is defined on: ``out["main"]`` where the
    model returns log-probabilities fused from several classifiers (AMDCNN), else the logits. ``'output'`` what
    the model returns first. ``'aux1'`` ... the auxiliary classifiers.
    """

    def __init__(self, model: nn.Module, head: str = "score") -> None:
        super().__init__()
        self.model, self.head = model, head

    def forward(self, x: Tensor) -> Tensor:
        found = self.model(x)
        logits, out = (found, {}) if isinstance(found, Tensor) else found
        heads = {"score": out.get("main", logits), "output": logits}
        heads |= {f"aux{i}": z for i, z in enumerate(out.get("aux", []), 1)}
        if self.head not in heads:
            raise FerlibError(f"no classifier {self.head!r}; this model has {', '.join(heads)}")
        return heads[self.head]


@dataclass(frozen=True)
class CamResult:
    """Grad-CAM of N images on the layer's own grid: ``maps`` float32 (N, h, w), not negative, not normalised."""

    maps: np.ndarray

    @property
    def zero(self) -> np.ndarray:
        """Which maps are zero everywhere, bool (N,): the ReLU of Eq. (2) left nothing that speaks for the class."""
        return self.maps.max(axis=(1, 2)) == 0

    def normalised(self) -> CamResult:
        """Each map divided by its own maximum; all-zero maps stay zero."""
        peak = self.maps.max(axis=(1, 2), keepdims=True)
        return CamResult(np.divide(self.maps, peak, out=np.zeros_like(self.maps), where=peak > 0))

    def upsampled(self, size: tuple[int, int]) -> np.ndarray:
        """float32 (N, H, W): the grid stretched over the whole image, bilinear.

        As is the custom, the grid is taken for evenly spread over the image. Padding, or its absence, puts the cells
        elsewhere: in 48x48 images the outermost of `se_cnn`'s block2 see a place 5 pixels further in, all those of
        `amdcnn`'s dfem3 one 1.5 pixels further up and left.
        """
        return F.interpolate(torch.from_numpy(self.maps)[:, None], size, mode="bilinear")[:, 0].numpy()


class Attention(NamedTuple):
    """What a model's own modules weigh with, by name: spatial ``maps`` (N, h, w), channel ``gates`` (N, C)."""

    maps: dict[str, np.ndarray]
    gates: dict[str, np.ndarray]


@contextmanager
def tapped(layer: nn.Module) -> Iterator[nn.Module]:
    """A module through which the layer's map flows alone: captum takes no layer that also returns its gates."""
    tap = nn.Identity()

    def through(_module: nn.Module, _inputs: Any, out: Any) -> Any:
        return tap(out) if isinstance(out, Tensor) else (tap(out[0]), *out[1:])

    handle = layer.register_forward_hook(through)
    try:
        yield tap
    finally:
        handle.remove()


@contextmanager
def depending(head: str, layer: nn.Module | str | None) -> Iterator[None]:
    """FerlibError where the score of ``head`` does not depend on ``layer``, as of an auxiliary classifier before it."""
    try:
        yield
    except RuntimeError as error:
        if UNUSED not in str(error):
            raise
        name = layer if isinstance(layer, str) else "this layer"
        raise FerlibError(f"{name} stands behind classifier {head!r}; choose an earlier layer") from None


def batches(n: int, size: int, batch: int | None = None) -> Iterator[slice]:
    """Slices over n images of ``size`` pixels a side; by default small enough for the gradients' memory."""
    step = batch or max(4, BATCH_PIXELS // size**2)
    yield from (slice(begin, begin + step) for begin in range(0, n, step))


def grad_cam(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    layer: nn.Module | str | None = None,
    *,
    head: str = "score",
    batch: int | None = None,
) -> CamResult:
    """Grad-CAM of images (N, C, H, W), as `Pixels.finish` leaves them, for the classes ``targets`` (N,).

    ``layer``: see `find_layer`; None is `default_layer`. ``head``: see `Scores`. ``batch`` bounds the memory. The
    model runs in evaluation mode, where an image's map does not depend on the others.
    Raises FerlibError for an unknown layer or head, a layer behind the head, in-place activations, and maps that are
    not finite.
    """
    module = find_layer(model, layer if layer is not None else default_layer(model, images.shape[-1]))
    check(model, images, targets)
    found = []
    with evaluating(model), tapped(module) as tap:
        captum = LayerGradCam(Scores(model, head), tap)
        for part in batches(len(images), images.shape[-1], batch):
            x = images[part].detach().requires_grad_()  # a graph even where all weights are frozen
            with depending(head, layer):
                cam = captum.attribute(x, targets[part], relu_attributions=True)
            found.append(cam.detach()[:, 0].cpu())
    return finite(found)


def grad_cams(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    layers: Sequence[str],
    *,
    head: str = "score",
    batch: int | None = None,
) -> dict[str, CamResult]:
    """`grad_cam` of several layers by name, from one forward and one backward pass, which captum makes for each.

    Raises FerlibError as `grad_cam` does.
    """
    check(model, images, targets)
    found: dict[str, list[Tensor]] = {name: [] for name in layers}
    kept: dict[str, Tensor] = {}
    with evaluating(model), ExitStack() as stack, torch.enable_grad():
        for name in layers:
            tap = stack.enter_context(tapped(find_layer(model, name)))
            tap.register_forward_hook(lambda _module, _inputs, out, name=name: kept.update({name: out}))
        for part in batches(len(images), images.shape[-1], batch):
            scores = Scores(model, head)(images[part].detach().requires_grad_())
            chosen = scores.gather(1, targets[part, None]).sum()
            with depending(head, layers[-1]):
                gradients = torch.autograd.grad(chosen, [kept[name] for name in layers])
            for name, gradient in zip(layers, gradients, strict=True):
                weights = gradient.mean((2, 3), keepdim=True)  # Eq. (1)
                found[name].append((weights * kept[name]).sum(1).relu().detach().cpu())  # Eq. (2)
    return {name: finite(parts) for name, parts in found.items()}


def check(model: nn.Module, images: Tensor, targets: Tensor) -> None:
    """FerlibError for what Grad-CAM cannot be made of."""
    if len(images) != len(targets):
        raise FerlibError(
            f"Grad-CAM needs a target for each image: {len(images)} images, {len(targets)} targets"
        )
    if any(getattr(m, "inplace", False) for m in model.modules()):
        raise FerlibError(f"{type(model).__name__} has in-place activations; build it with inplace=False")


def finite(parts: Sequence[Tensor]) -> CamResult:
    """The batches' maps as one result; FerlibError where they are not finite."""
    result = torch.cat(list(parts)).float().numpy()
    if not np.isfinite(result).all():
        raise FerlibError("Grad-CAM is not finite; look at the weights and the images")
    return CamResult(result)


def module_attention(model: nn.Module, images: Tensor, *, batch: int | None = None) -> Attention:
    """``out["attention"]`` of images (N, C, H, W), float32: spatial maps and channel gates by name."""
    found: dict[str, list[Tensor]] = {}
    with evaluating(model), torch.no_grad():
        for part in batches(len(images), images.shape[-1], batch):
            for name, values in model(images[part])[1]["attention"].items():
                found.setdefault(name, []).append(values.float().cpu())
    whole = {name: torch.cat(parts).numpy() for name, parts in found.items()}
    return Attention(
        maps={name: values[:, 0] for name, values in whole.items() if values.ndim == 4},
        gates={name: values for name, values in whole.items() if values.ndim == 2},
    )


def class_means(
    model: nn.Module,
    data: Pixels,
    classes: Sequence[str],
    layers: Sequence[str] | None = None,
    *,
    part: str = "test",
    head: str = "score",
    people: np.ndarray | None = None,
    batch: int | None = None,
) -> ClassMaps:
    """Mean Grad-CAM for the true class, mean attention and mean face of every class of ``data``.

    Each image's Grad-CAM is divided by its own maximum, on the layer's grid, before the mean over the class; an
    all-zero map has none, counts as zeros and is told in ``zero``. Wrongly recognised images count as well.
    ``layers``: names, default those of `layers_of` with at most 56x56 cells. Maps of more than 28x28 cells and
    faces of more than 64x64 pixels are averaged down. ``people`` (N,) tells who is shown. A class with fewer than
    3 images, or 3 people where they are known, is left out: its mean would be near one person's face.
    ``part`` names the images in the result. Raises FerlibError where every class is left out, and as `grad_cam`.
    """
    size = data.size or data.images.shape[-1]
    layers = layers or [name for name, grid in layers_of(model, size).items() if max(grid) <= FINEST]
    sums = ClassSums(classes, data.labels.cpu().numpy(), people)
    with tqdm(total=len(data), desc=f"Grad-CAM, {part}", unit="image", disable=None) as bar:
        for index in batches(len(data), size, batch):
            pixels, targets = data.batch(index)
            sums.add("faces", grey(pixels), index)
            x = data.finish(pixels)
            for layer, cam in grad_cams(model, x, targets, layers, head=head).items():
                sums.add(f"cam/{layer}", cam.normalised().maps, index)
                sums.add(f"zero/{layer}", cam.zero, index)
            bar.update(len(x))
            for kind in module_attention(model, x):
                for name, values in kind.items():
                    sums.add(f"attention/{name}", values, index)
    return sums.means(part=part, target="true class", head=head)


def grey(images: Tensor) -> np.ndarray:
    """(N, C, H, W) in [0, 1] -> (N, H, W)."""
    if images.shape[1] == 3:
        images = (images * images.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
    return images[:, 0].cpu().numpy()


def class_faces(data: FaceDataset, classes: Sequence[str]) -> np.ndarray:
    """Mean face (K, H, W) in grey, 0 to 1, of each of ``classes`` over the whole dataset, whatever the part.

    The mean of a part of CK+48 would be of no more than eight people for some classes. Raises FerlibError for a
    class that shows fewer than 10.
    """
    images = data.images.mean(axis=3) if data.images.ndim == 4 else data.images
    faces = []
    for name in classes:
        own = data.labels == data.classes.index(name)
        people = own.sum() if data.subjects is None else len(np.unique(data.subjects[own]))
        if people < PEOPLE:
            raise FerlibError(
                f"{data.name}: only {people} people show {name!r}; no mean face is made of fewer than {PEOPLE}"
            )
        faces.append(images[own].mean(axis=0) / 255)
    return maps.shrink(np.stack(faces), maps.FACE)


def explained(run: finished.Finished, options: argparse.Namespace, device: torch.device) -> Path:
    """Class means of one finished run, written beside its record; returns their path."""
    found = class_means(
        run.model,
        run.pixels(options.part, device),
        run.data.classes,
        options.layer,
        part=options.part,
        people=run.people(options.part),
    )
    found = replace(found, faces=class_faces(run.data, found.classes))
    return maps.write(options.results, run.record, found, weights_difference=round(run.difference, 6))


def arguments(prog: str = "python -m ferlib.explain") -> argparse.ArgumentParser:
    about = "Class-mean Grad-CAM and attention maps of finished runs, written beside their records."
    parser = commands.parser(prog, about)
    add_run_options(parser, seeds="all with a record", runs="the weights")
    add = parser.add_argument
    add("--layer", action="append", metavar="NAME", help="may be given several times; default: every stage")
    add("--part", choices=SPLITS, default="test", help="which images (default: test)")
    add("--json", action="store_true", help="print one JSON object per file")
    return parser


@commands.told
def main(argv: list[str] | None = None, prog: str = "python -m ferlib.explain") -> int:
    """Make the maps of every (ID, seed) asked for; returns the exit status."""
    options = arguments(prog).parse_args(argv)
    use_threads(options.threads)
    device = resolve_device(options.device)
    for run in finished.chosen(options, device):
        path = explained(run, options, device)
        tell(path, maps.read(options.results, run.row.id, run.seed)[0], options.json)
    return 0


def tell(path: Path, found: ClassMaps, as_json: bool) -> None:
    """One line on stdout for a file."""
    zero = {layer: sum(by_class.values()) for layer, by_class in found.zero.items()}
    if as_json:
        facts = {"maps": str(path), "part": found.part, "counts": found.counts, "left_out": found.left_out}
        print(json.dumps({**facts, "layers": list(found.cam), "zero": zero}), flush=True)
        return
    n = sum(found.counts.values())
    empty = ", ".join(f"{layer} {k}" for layer, k in zero.items())
    left = f"; left out: {', '.join(found.left_out)}" if found.left_out else ""
    print(f"{path}: {n} {found.part} images, all-zero maps: {empty}{left}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
