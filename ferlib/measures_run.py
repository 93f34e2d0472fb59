"""``ferlib measure``: the measures of finished runs, written beside their records."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ferlib import commands, finished, measures, measures_checks, measures_file
from ferlib.device import resolve_device, use_threads
from ferlib.errors import BadUsage, FerlibError
from ferlib.experiments import Experiment
from ferlib.explain import batches, grad_cam, grad_cams, module_attention
from ferlib.maps import COARSEST, deepest
from ferlib.measures_file import numbers
from ferlib.models import build, start
from ferlib.pixels import Pixels
from ferlib.stages import layers_of
from ferlib.train import add_run_options

SAMPLE = 40  # images whose pixels are removed and whose networks are randomised
WATCHED = 8  # images that tell where the cells look
MOST = 600  # test images, evenly chosen where there are more: the file stays small
SEED = 0  # of the random maps and the fresh weights


def spread(n: int, most: int) -> np.ndarray:
    """Indices of at most ``most`` of n images, evenly over their order."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))


def batch_of(data: Pixels, index: np.ndarray) -> tuple[Tensor, Tensor]:
    """Images as the network takes them, and their labels."""
    pixels, labels = data.batch(torch.from_numpy(index).to(data.images.device))
    return data.finish(pixels), labels


def located(
    model: nn.Module,
    data: Pixels,
    index: np.ndarray,
    masks: Mapping[str, np.ndarray],
    layers: Mapping[str, tuple[int, int]],
) -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, measures.Centres]]:
    """Shares and hits of Grad-CAM for the true class, and of the network's own spatial attention, by layer.

    Also the Grad-CAM maps by layer, on its grid, and where its cells look. ``masks`` are (H, W), or one for each
    image (N, H, W).
    """
    size = data.size or data.images.shape[-1]
    watched, _ = batch_of(data, index[spread(len(index), WATCHED)])
    at = {layer: places(model, watched, layer, grid, size) for layer, grid in layers.items()}
    found: dict[str, list[np.ndarray]] = {}
    for part in batches(len(index), size):
        x, labels = batch_of(data, index[part])
        for layer, cam in grad_cams(model, x, labels, list(layers)).items():
            found.setdefault(layer, []).append(cam.maps)
        for name, values in module_attention(model, x).maps.items():
            if min(values.shape[1:]) >= COARSEST:
                found.setdefault(name, []).append(values)
    maps = {name: np.concatenate(values) for name, values in found.items()}
    # of GCCA-VGG's maps some are no weights but features or logits (edge, P_d): signed numbers have no shares
    maps = {name: values for name, values in maps.items() if values.min() >= 0}
    for name in maps:  # attention of a stage's module weighs the map that the stage puts out
        stage = name.partition(".")[0]
        if name not in at:
            grid = (maps[name].shape[1], maps[name].shape[2])
            at[name] = at[stage] if layers.get(stage) == grid else measures.even(grid, size)
    facts = {name: in_zones(values, at[name], masks, size) for name, values in maps.items()}
    return facts, {layer: maps[layer] for layer in layers}, at


def places(
    model: nn.Module, images: Tensor, layer: str, grid: tuple[int, int], size: int
) -> measures.Centres:
    """`measures.centres`, or an even spread where those are not in order: there all cells see most of the image."""
    try:
        return measures.centres(model, images, layer)
    except FerlibError:
        return measures.even(grid, size)


def in_zones(
    maps: np.ndarray, at: measures.Centres, masks: Mapping[str, np.ndarray], size: int
) -> dict[str, Any]:
    """One entry of a file's ``layers``."""
    grid = maps.shape[1:]
    placed = measures.stretch(maps, at, size)
    custom = measures.stretch(maps, measures.even((grid[0], grid[1]), size), size)
    return {
        "grid": list(grid),
        "rows": numbers(at.rows),
        "columns": numbers(at.columns),
        "zero": int((maps.max((1, 2)) == 0).sum()),
        "share": {zone: numbers(measures.shares(placed, mask)) for zone, mask in masks.items()},
        "even": {zone: numbers(measures.shares(custom, mask)) for zone, mask in masks.items()},
        "hit": {zone: numbers(measures.hits(placed, mask)) for zone, mask in masks.items()},
    }


def mean_face(images: np.ndarray, data: Pixels) -> Tensor:
    """Mean (1, C, H, W) in [0, 1] of uint8 images, in the size of the network's."""
    mean = torch.from_numpy(images.mean(axis=0, dtype=np.float64) / 255).float()
    mean = (mean[None, None] if mean.ndim == 2 else mean.permute(2, 0, 1)[None]).to(data.images.device)
    return mean if data.size is None else F.interpolate(mean, (data.size, data.size), mode="bilinear")


def removed(
    model: nn.Module,
    data: Pixels,
    index: np.ndarray,
    maps: np.ndarray,
    at: measures.Centres,
    reference: Tensor,
) -> dict[str, Any]:
    """A file's ``removal`` without ``sample``; the random maps have the layer's own grid and centres."""
    size = data.size or data.images.shape[-1]
    noise = np.random.default_rng(SEED).random(maps.shape)
    curves = {
        order: measures_checks.removal(model, data, index, measures.stretch(m, at, size), reference)
        for order, m in (("map", maps), ("random", noise))
    }
    facts: dict[str, Any] = {"fractions": numbers(curves["map"].fractions), "curves": {}}
    for kind in ("deletion", "insertion"):
        facts[kind] = {order: numbers(one.area(kind)) for order, one in curves.items()}
        facts["curves"][kind] = {
            order: numbers(getattr(one, kind).mean(axis=0)) for order, one in curves.items()
        }
    return facts


def randomised(
    model: nn.Module, fresh: nn.Module, data: Pixels, index: np.ndarray, maps: np.ndarray, layer: str
) -> dict[str, Any]:
    """A file's ``randomised``."""
    x, labels = batch_of(data, index)
    parts, zero = {}, {}
    for name, net in measures_checks.cascade(model, fresh, x):
        after = grad_cam(net, x, labels, layer)
        parts[name] = numbers(measures_checks.rank_correlation(maps, after.maps))
        zero[name] = int(after.zero.sum())
    others = measures_checks.rank_correlation(maps, np.roll(maps, 1, axis=0))
    return {"order": list(parts), "parts": parts, "zero": zero, "others": numbers(others)}


def fresh_like(row: Experiment, classes: int, channels: int, device: torch.device) -> nn.Module:
    """The row's network with random weights, as a training would begin without pretraining."""
    with torch.random.fork_rng(), start.at_random():
        torch.manual_seed(SEED)
        model = build(row.model, classes=classes, channels=channels, size=row.size, **row.variant)
    return model.to(device).eval()


def measure(
    run: finished.Finished, device: torch.device, images: int = MOST, part: str = "test"
) -> dict[str, Any]:
    """All that a file holds of one finished run, see `ferlib.measures_file`."""
    data, size = run.pixels(part, device), run.row.size
    index = spread(len(data), images)
    masks = measures.zones(run.data.name, size)
    layers = {name: grid for name, grid in layers_of(run.model, size).items() if min(grid) >= COARSEST}
    layer = deepest(layers)
    facts, maps, at = located(run.model, data, index, masks, layers)
    sample = spread(len(index), SAMPLE)
    chosen, own = index[sample], maps[layer][sample]
    train = run.data.images[run.data.where("train")]
    reference = mean_face(train, data)
    people = run.people(part)
    return {
        "part": part,
        "target": "true class",
        "head": "score",
        "layer": layer,
        "images": {
            "ids": data.ids[index].tolist(),
            "classes": [run.data.classes[k] for k in data.labels.cpu().numpy()[index]],
            "people": None if people is None else people[index].tolist(),
            "recognised": recognised(run.model, data, index),
        },
        "areas": {zone: round(float(mask.mean()), measures_file.DIGITS) for zone, mask in masks.items()},
        "layers": facts,
        "removal": {
            "sample": sample.tolist(),
            "reference": "mean face of the training part",
            **removed(run.model, data, chosen, own, at[layer], reference),
        },
        "randomised": randomised(
            run.model,
            fresh_like(run.row, len(run.data.classes), data.channels, device),
            data,
            chosen,
            own,
            layer,
        ),
    }


def recognised(model: nn.Module, data: Pixels, index: np.ndarray) -> list[bool]:
    found: list[bool] = []
    with torch.no_grad():
        for part in batches(len(index), data.size or data.images.shape[-1]):
            x, labels = batch_of(data, index[part])
            found += (model(x)[0].argmax(1) == labels).tolist()
    return found


def arguments(prog: str = "python -m ferlib.measures_run") -> argparse.ArgumentParser:
    parser = commands.parser(
        prog,
        "Measures of finished runs' attention maps, written beside their records: shares in zones of the face, "
        "pointing game, deletion and insertion, randomised weights.",
    )
    add_run_options(parser, seeds="all with a record", runs="the weights")
    add = parser.add_argument
    add("--images", type=int, default=MOST, metavar="N", help=f"at most N test images (default: {MOST})")
    add("--json", action="store_true", help="print one JSON object per file")
    return parser


@commands.told
def main(argv: list[str] | None = None, prog: str = "python -m ferlib.measures_run") -> int:
    """Measure every (ID, seed) asked for; returns the exit status."""
    options = arguments(prog).parse_args(argv)
    if options.images < 1:
        raise BadUsage("--images must be at least 1")
    use_threads(options.threads)
    device = resolve_device(options.device)
    for run in finished.chosen(options, device):
        path = measures_file.write(options.results, run.record, measure(run, device, options.images))
        tell(path, measures_file.read(options.results, run.row.id, run.seed), options.json)
    return 0


def tell(path: Path, found: Mapping[str, Any], as_json: bool) -> None:
    """One line on stdout for a file."""
    one = found["summary"]["layers"][found["layer"]]["share"]
    means = {zone: entry["mean"] for zone, entry in one.items()}
    if as_json:
        print(json.dumps({"measures": str(path), "layer": found["layer"], "share": means}), flush=True)
        return
    text = ", ".join(f"{zone} {'–' if mean is None else f'{mean:.1%}'}" for zone, mean in means.items())
    zero = found["layers"][found["layer"]]["zero"]
    n = len(found["images"]["ids"])
    print(f"{path}: {n} images, {found['layer']}: {text}; all-zero maps: {zero}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
