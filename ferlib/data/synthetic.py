"""The embedded dataset: synthetic faces with seven expressions, known action units and known regions.

Expressions are put together from facial action units (AU) as in P. Ekman & W. V. Friesen, *Facial Action
Coding System* (Consulting Psychologists Press, 1978) and its emotion tables (EMFACS), see
``EXPRESSION_ACTION_UNITS``. The drawing itself is in ``synthetic_face``; here are the people, the poses, the
light, the labels and the split. AU9's slight pull on brows and lids and AU26's on the outline of the chin are
left out, so that the regions of an expression stay apart and hold all of it.

Person k shows each of the seven expressions once: images 7k .. 7k + 6, in class order, each with its own
pose, light and camera. Splits follow people (of ten, eight are train, one val, one test): they are stratified
and nobody is in two of them; 15 images (3 people) fill all three. Every random number comes from Philox keyed
by (seed, person or image), so that image i and its split are the same whatever n is.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from ferlib.data.dataset import FaceDataset
from ferlib.data.synthetic_face import REGIONS, FaceParams, render
from ferlib.errors import DataError

CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")  # FER2013's order

# AU -> its name in FACS, and the regions (``REGIONS``) whose look it changes
ACTION_UNITS: dict[int, tuple[str, tuple[str, ...]]] = {
    1: ("inner brow raiser", ("brows",)),
    2: ("outer brow raiser", ("brows",)),
    4: ("brow lowerer", ("brows",)),
    5: ("upper lid raiser", ("eyes",)),
    6: ("cheek raiser and lid compressor", ("eyes", "cheeks")),
    7: ("lid tightener", ("eyes",)),
    9: ("nose wrinkler", ("nose", "mouth", "cheeks")),
    12: ("lip corner puller", ("mouth", "cheeks")),
    15: ("lip corner depressor", ("mouth",)),
    16: ("lower lip depressor", ("mouth",)),
    20: ("lip stretcher", ("mouth",)),
    23: ("lip tightener", ("mouth",)),
    25: ("lips part", ("mouth",)),
    26: ("jaw drop", ("mouth",)),
}

# which AUs make an expression is EMFACS; how strongly each is drawn at intensity 1 is ours
EXPRESSION_ACTION_UNITS: dict[str, dict[int, float]] = {
    "angry": {4: 1.0, 5: 0.5, 7: 0.8, 23: 1.0},
    "disgust": {9: 1.0, 15: 0.7},
    "fear": {1: 0.9, 2: 0.6, 4: 0.6, 5: 1.0, 20: 0.9, 26: 0.45},
    "happy": {6: 0.9, 12: 1.0},
    "sad": {1: 1.0, 4: 0.7, 15: 1.0},
    "surprise": {1: 1.0, 2: 1.0, 5: 0.9, 26: 1.0},
    "neutral": {},
}
# seen in some: a smile that shows teeth, a lower lip pushed down
OPTIONAL_ACTION_UNITS: dict[str, dict[int, float]] = {"happy": {25: 1.0}, "disgust": {16: 1.0}}

# what makes a person, each drawn evenly between two bounds (units as in FaceParams)
IDENTITY: dict[str, tuple[float, float]] = {
    "face_width": (0.62, 0.76),
    "face_length": (0.90, 0.99),
    "jaw": (0.0, 0.2),
    "skin": (0.42, 0.88),
    "hair": (0.04, 0.5),
    "hairline": (0.62, 0.78),
    "fringe": (-0.9, 0.9),
    "hair_length": (0.0, 1.0),
    "brow_thickness": (0.026, 0.048),
    "brow_arch": (0.02, 0.07),
    "brow_height": (0.22, 0.28),
    "eye_spacing": (0.30, 0.36),
    "eye_size": (0.9, 1.12),
    "eye_slant": (-0.02, 0.18),
    "iris": (0.15, 0.45),
    "nose_width": (0.10, 0.155),
    "nose_length": (0.28, 0.37),
    "mouth_width": (0.215, 0.285),
    "mouth_height": (0.46, 0.53),
    "lip": (0.045, 0.09),
    "lip_tone": (0.55, 0.78),
    "stubble": (0.0, 0.4),
}
# what changes from one picture to the next, at difficulty 1; difficulty d spreads it d times as far
# around FaceParams' own value
SCENE: dict[str, tuple[float, float]] = {
    "yaw": (-18.0, 18.0),
    "pitch": (-10.0, 10.0),
    "roll": (-10.0, 10.0),
    "scale": (0.86, 1.08),
    "shift_x": (-0.09, 0.09),
    "shift_y": (-0.07, 0.10),
    "light_x": (-1.1, 1.1),
    "light_y": (-1.0, 0.3),
    "ambient": (0.35, 0.75),
    "contrast": (0.8, 1.15),
    "brightness": (-0.10, 0.10),
    "background": (0.1, 0.9),
    "background_slope": (-0.3, 0.3),
    "blur": (0.0, 0.035),
    "noise": (0.0, 0.03),
}
# share of pictures with each, at difficulty 1
OCCLUSION: dict[str, float] = {"glasses": 0.10, "hand": 0.06, "strands": 0.08}
LOWEST_INTENSITY = 0.6  # at difficulty 1; 1 at difficulty 0
META = {"layout": "drawn", "source": "ferlib.data.synthetic", "protocol": "80/10/10 by person"}
AU_SPREAD = 0.25  # each AU's strength varies by so much from picture to picture at difficulty 1


def load(
    root: object = None,
    *,
    n: int = 3000,
    seed: int = 0,
    size: int = 48,
    difficulty: float = 1.0,
    **options: Any,
) -> FaceDataset:
    """n faces of size x size pixels. ``root`` is not used: nothing is read from disk.

    ``extras``: ``masks`` uint8 (N, H, W), bits of ``REGIONS``; ``expressive`` bool (N, H, W), the regions
    that carry the picture's own expression (none for neutral); ``intensity`` float32 (N,), 0 for neutral.
    ``difficulty`` 0 is a frontal, evenly lit, clean picture at full intensity; 1 is the default; at most 1.5.
    """
    _check(n, seed, difficulty, options)
    index = np.arange(n)
    people, labels = index // len(CLASSES), index % len(CLASSES)
    params, intensity = _sample(seed, people, labels, float(difficulty))
    images, masks = render(params, size)
    return FaceDataset(
        name="synthetic",
        images=images,
        labels=labels.astype(np.int64),
        classes=CLASSES,
        split=np.array(["train", "val", "test", *["train"] * 7])[people % 10],
        ids=np.array([f"syn{i:07d}" for i in index]),
        subjects=np.array([f"person{k:06d}" for k in people]),
        extras={"masks": masks, "expressive": expressive_mask(masks, labels), "intensity": intensity},
        meta={**META, "seed": seed, "difficulty": difficulty},
    )


def face(expression: str, intensity: float = 1.0, *, seed: int = 0, **overrides: Any) -> FaceParams:
    """Parameters of one clean, frontal face: person ``seed`` of ``load(seed=0)``, evenly lit.

    ``overrides`` set any field of ``FaceParams``, after the expression: ``yaw=15``, ``au12=0.3``.
    """
    _known(expression)
    if not isinstance(intensity, (int, float, np.floating)) or not 0 <= intensity <= 1:
        raise DataError(f"synthetic: intensity must be a number in 0..1, not {intensity!r}")
    _whole("seed", seed, 0, 2**60 - 1)
    unknown = sorted(set(overrides) - {f.name for f in fields(FaceParams)})
    if unknown:
        raise DataError(f"synthetic: a face has no parameter {unknown[0]!r}; see FaceParams for those it has")
    for name, value in overrides.items():
        if not isinstance(value, (int, float, np.number)) or not np.isfinite(value):
            raise DataError(f"synthetic: {name} must be a finite number, not {value!r}")
    person = {k: float(v[0]) for k, v in _people(0, np.array([seed])).items()}
    units = EXPRESSION_ACTION_UNITS[expression] | {
        k: 0.7 * v for k, v in OPTIONAL_ACTION_UNITS.get(expression, {}).items()
    }
    return FaceParams(**{**person, **{f"au{k}": intensity * v for k, v in units.items()}, **overrides})


def draw(
    expression: str, intensity: float = 1.0, *, seed: int = 0, size: int = 48, **overrides: Any
) -> np.ndarray:
    """One clean face with the chosen expression, uint8 (size, size); masks: ``render(face(...), size)``."""
    return render(face(expression, intensity, seed=seed, **overrides), size)[0]


def expressive_regions(expression: str) -> tuple[str, ...]:
    """The regions that carry an expression, by its action units, in ``REGIONS``' order; none for neutral."""
    _known(expression)
    units = {**EXPRESSION_ACTION_UNITS[expression], **OPTIONAL_ACTION_UNITS.get(expression, {})}
    found = {region for unit in units for region in ACTION_UNITS[unit][1]}
    return tuple(r for r in REGIONS if r in found)


def expressive_mask(masks: np.ndarray, labels: np.ndarray | int) -> np.ndarray:
    """Bool, as ``masks`` (H, W) or (N, H, W): pixels in a region that carries the expression ``labels``."""
    bits = np.array([sum(REGIONS[r] for r in expressive_regions(c)) for c in CLASSES], np.uint8)[labels]
    return (masks & np.asarray(bits)[..., None, None]) > 0


# -- sampling ------------------------------------------------------------------------------------------------


def _uniforms(seed: int, stream: int, index: np.ndarray, k: int) -> np.ndarray:
    """(len(index), k) numbers in [0, 1); row i is from Philox keyed by (seed, stream and index[i])."""
    raw = np.empty((len(index), k), np.uint64)
    for row, i in enumerate(index):
        raw[row] = np.random.Philox(key=[seed, (stream << 61) + int(i)]).random_raw(k)
    return (raw >> np.uint64(11)) * 2.0**-53


def _people(seed: int, people: np.ndarray) -> dict[str, np.ndarray]:
    """Identity parameters, each (len(people),)."""
    u = _uniforms(seed, 1, people, len(IDENTITY))
    return {k: lo + (hi - lo) * u[:, j] for j, (k, (lo, hi)) in enumerate(IDENTITY.items())}


def _sample(seed: int, people: np.ndarray, labels: np.ndarray, d: float) -> tuple[FaceParams, np.ndarray]:
    """Parameters of all pictures, and their expression intensity, float32 (N,)."""
    unique, where = np.unique(people, return_inverse=True)
    columns = {k: v[where] for k, v in _people(seed, unique).items()}
    u = _uniforms(seed, 2, np.arange(len(labels)), len(SCENE) + len(OCCLUSION) + len(ACTION_UNITS) + 3)
    draws = iter(u.T)  # one column of fresh numbers for each use, in a fixed order
    rest = FaceParams()
    for name, (lo, hi) in SCENE.items():
        usual = getattr(rest, name)
        columns[name] = usual + d * (lo + (hi - lo) * next(draws) - usual)
    for name, share in OCCLUSION.items():
        columns[name] = (next(draws) < share * d).astype(float)
    columns["occluder_side"] = 2 * next(draws) - 1
    columns["grain"] = (next(draws) * 2**53).astype(np.int64)
    intensity = (1 - d * (1 - LOWEST_INTENSITY) * next(draws)) * (labels != CLASSES.index("neutral"))
    must = _table(EXPRESSION_ACTION_UNITS)
    may = _table(OPTIONAL_ACTION_UNITS)
    for j, unit in enumerate(ACTION_UNITS):
        v = next(draws)
        strength = must[labels, j] * (1 + AU_SPREAD * d * (2 * v - 1)) + may[labels, j] * v
        columns[f"au{unit}"] = np.clip(strength, 0, 1) * intensity
    for name in ("blur", "noise"):
        columns[name] = np.maximum(columns[name], 0)
    return FaceParams(**columns), intensity.astype(np.float32)


def _table(units: dict[str, dict[int, float]]) -> np.ndarray:
    """(classes, action units): strengths, 0 where an expression does without."""
    return np.array([[units.get(c, {}).get(k, 0.0) for k in ACTION_UNITS] for c in CLASSES])


def _known(expression: str) -> None:
    if expression not in CLASSES:
        raise DataError(f"synthetic: unknown expression {expression!r}; known are {', '.join(CLASSES)}")


def _whole(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise DataError(f"synthetic: {name} must be a whole number in {low}..{high}, not {value!r}")


def _check(n: object, seed: object, difficulty: object, options: dict[str, Any]) -> None:
    if options:
        raise DataError(f"synthetic: unknown option {min(options)!r}; known are n, seed, size, difficulty")
    _whole("n", n, 1, 10_000_000)
    _whole("seed", seed, 0, 2**63 - 1)
    if isinstance(difficulty, bool) or not isinstance(difficulty, (int, float)) or not 0 <= difficulty <= 1.5:
        raise DataError(f"synthetic: difficulty must be a number in 0..1.5, not {difficulty!r}")
