"""Grey faces drawn from numbers: signed distances, soft edges, Lambert light. No image is behind them.

Coordinates: x right, y down, both in [-1, 1] over the picture; a head of scale 1 is about 1.4 wide and 1.9
high. Every edge is softened by one pixel (or by the face's blur, if wider), so that the same ``FaceParams``
give the same face at any size. Arrays are float32, (N, H, W), and parameters broadcast as (N, 1, 1).

Per pixel only + - * / and square roots are used, which IEEE 754 rounds alike everywhere, and the sensor's
noise is a sum of raw random bytes: a face is the same bit for bit whatever batch it is drawn in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from types import SimpleNamespace
from typing import Any

import numpy as np

from ferlib.errors import DataError

REGIONS = {"brows": 1, "eyes": 2, "nose": 4, "mouth": 8, "cheeks": 16}
MIN_SIZE, MAX_SIZE = 16, 1024
Value = Any  # a number for one face, or a float array (N,) for N faces


@dataclass(frozen=True)
class FaceParams:
    """One face (numbers) or a batch of faces (arrays of one length N). The defaults are a calm, clean face.

    Lengths are in units of half the picture's width, tones run from 0 black to 1 white, angles are degrees,
    ``au…`` are intensities in [0, 1] of the action units of Ekman & Friesen (1978).
    """

    # identity
    face_width: Value = 0.70  # half width of the head
    face_length: Value = 0.95  # half height
    jaw: Value = 0.08  # 0 round, 0.3 pointed
    skin: Value = 0.74
    hair: Value = 0.16
    hairline: Value = 0.70  # height above the head's middle
    fringe: Value = 0.0  # -1 parted left .. 1 parted right
    hair_length: Value = 0.4  # 0 short, ears free .. 1 to the shoulders
    brow_thickness: Value = 0.036
    brow_arch: Value = 0.05
    brow_height: Value = 0.25  # above the eyes
    eye_spacing: Value = 0.33  # half the distance between the eyes
    eye_size: Value = 1.0
    eye_slant: Value = 0.08
    iris: Value = 0.30
    nose_width: Value = 0.12
    nose_length: Value = 0.33
    mouth_width: Value = 0.25  # half width
    mouth_height: Value = 0.50  # below the head's middle
    lip: Value = 0.068  # thickness of the lower lip
    lip_tone: Value = 0.64  # of the skin's tone
    stubble: Value = 0.0
    # action units
    au1: Value = 0.0  # inner brow raiser
    au2: Value = 0.0  # outer brow raiser
    au4: Value = 0.0  # brow lowerer
    au5: Value = 0.0  # upper lid raiser
    au6: Value = 0.0  # cheek raiser
    au7: Value = 0.0  # lid tightener
    au9: Value = 0.0  # nose wrinkler
    au12: Value = 0.0  # lip corner puller
    au15: Value = 0.0  # lip corner depressor
    au16: Value = 0.0  # lower lip depressor
    au20: Value = 0.0  # lip stretcher
    au23: Value = 0.0  # lip tightener
    au25: Value = 0.0  # lips part
    au26: Value = 0.0  # jaw drop
    # pose and framing
    yaw: Value = 0.0  # > 0 towards the picture's right
    pitch: Value = 0.0  # > 0 down
    roll: Value = 0.0  # > 0 clockwise
    scale: Value = 0.96
    shift_x: Value = 0.0
    shift_y: Value = 0.02
    # light and camera
    light_x: Value = -0.35
    light_y: Value = -0.45
    ambient: Value = 0.55  # share of the light without direction
    contrast: Value = 1.0
    brightness: Value = 0.0
    background: Value = 0.55
    background_slope: Value = 0.15
    blur: Value = 0.0  # width of the softest edge
    noise: Value = 0.0  # standard deviation of the sensor's noise
    grain: Value = 0  # seed of that noise
    # occlusion: 0 none, 1 there
    glasses: Value = 0.0
    hand: Value = 0.0
    strands: Value = 0.0
    occluder_side: Value = 0.5  # where hand and strands lie, -1 left .. 1 right


def render(params: FaceParams, size: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """Draw. Returns images uint8 and masks uint8 (bits of ``REGIONS``), (H, W), or (N, H, W) for a batch.

    A mask says where a region lies as seen: pixels behind a hand or strands of hair belong to none.
    """
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or not MIN_SIZE <= size <= MAX_SIZE:
        raise DataError(f"synthetic: size must be a whole number in {MIN_SIZE}..{MAX_SIZE}, not {size!r}")
    columns = {f.name: np.atleast_1d(getattr(params, f.name)) for f in fields(params)}
    n = max(len(c) for c in columns.values())
    odd = [k for k, c in columns.items() if c.shape not in ((1,), (n,))]
    if odd:
        raise DataError(
            f"synthetic: {odd[0]} has shape {columns[odd[0]].shape}, not that of a number or ({n},)"
        )
    columns = {k: np.broadcast_to(c, (n,)) for k, c in columns.items()}
    images = np.empty((n, size, size), np.uint8)
    masks = np.empty((n, size, size), np.uint8)
    step = max(1, 120_000 // size**2)  # a chunk's arrays stay in the processor's cache
    for start in range(0, n, step):
        rows = slice(start, start + step)
        chunk = {k: c[rows] for k, c in columns.items()}
        images[rows], masks[rows] = _draw_chunk(chunk, size)
    single = all(np.ndim(getattr(params, f.name)) == 0 for f in fields(params))
    return (images[0], masks[0]) if single else (images, masks)


def _draw_chunk(columns: dict[str, np.ndarray], size: int) -> tuple[np.ndarray, np.ndarray]:
    p = SimpleNamespace(**{k: v.astype(np.float32)[:, None, None] for k, v in columns.items()})
    s = _scene(p, size)
    _background(s, p)
    _head(s, p)
    shape = _shape(p)
    _skin(s, p, shape)
    neutral = _shape(SimpleNamespace(**{k: v * (not k.startswith("au")) for k, v in vars(p).items()}))
    _wrinkles(s, p, shape)
    _nose(s, p, shape)
    _eyes(s, p, shape)
    _brows(s, p, shape)
    _mouth(s, p, shape)
    _hair(s, p)
    masks = _regions(s, p, shape, neutral)
    _occluders(s, p, masks)
    image = 0.5 + (s.image - 0.5) * p.contrast + p.brightness
    image = image + p.noise * _noise(columns["grain"], size)
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8), masks


# -- tools ---------------------------------------------------------------------------------------------------


def _cover(d: np.ndarray, soft: np.ndarray) -> np.ndarray:
    """Share of a pixel ``soft`` wide that is inside (d < 0) a shape with signed distance d."""
    return np.clip(0.5 - d / soft, 0, 1)


def _stroke(d: np.ndarray, width: Any, soft: np.ndarray) -> np.ndarray:
    """Share of a pixel covered by a line, d from its middle, ``width`` half its width. Exact if straight."""
    half = 0.5 * soft
    return np.maximum(np.minimum(d + half, width) - np.maximum(d - half, -width), 0) / soft


def _bell(q: np.ndarray) -> np.ndarray:
    """(1 - q)^2 up to q = 1, then 0: a soft bump over q = squared distance / squared radius."""
    r = np.maximum(1 - q, 0)
    return r * r


def _over(image: np.ndarray, alpha: np.ndarray, tone: Any) -> None:
    image += alpha * (tone - image)


def _noise(grain: np.ndarray, size: int) -> np.ndarray:
    """(N, H, W) near-normal noise of variance 1: each value a sum of four random bytes (Philox, raw)."""
    out = np.empty((len(grain), size, size), np.float32)
    words = (size * size + 1) // 2
    for k, seed in enumerate(grain):
        raw = np.random.Philox(key=[int(seed), 0x6E6F697365]).random_raw(words)
        quads = raw.astype("<u8").view(np.uint8).reshape(-1, 4)[: size * size]
        out[k] = quads.sum(axis=1, dtype=np.int32).reshape(size, size)
    return (out - 510) / np.float32(147.8)  # four bytes: mean 4 * 127.5, variance 4 * (256^2 - 1) / 12


# -- where each pixel lies on the face -----------------------------------------------------------------------


def _scene(p: SimpleNamespace, size: int) -> SimpleNamespace:
    """Pixel grids and the empty picture.

    hx, hy: place on the upright head; nx, ny, nz: the normal of its ellipsoid; outline: signed distance to
    its edge. x, y: place on the face as it turns with yaw and pitch; u = |x|, side = sign of x, since a face
    is its own mirror image; nose_x: x for the nose, which stands out and so moves further. soft: edge width.
    """
    grid = (2 * np.arange(size, dtype=np.float32) + 1) / size - 1
    px = (grid[None, None, :] - p.shift_x) / p.scale
    py = (grid[None, :, None] - p.shift_y) / p.scale
    (sin_r, cos_r), (sin_y, cos_y), (sin_p, cos_p) = map(_sin_cos, (p.roll, p.yaw, p.pitch))
    hx, hy = px * cos_r + py * sin_r, py * cos_r - px * sin_r
    ny = hy / p.face_length
    below = np.maximum(ny, 0)
    nx = hx / (p.face_width * (1 - p.jaw * below * below))
    r2 = nx * nx + ny * ny
    nz = np.sqrt(np.maximum(1 - r2, 0))
    # parallel view of an ellipsoid turned by yaw and pitch: where on its front does each pixel look?
    depth = 0.72 * nz
    x, z = hx * cos_y - depth * sin_y, hx * sin_y + depth * cos_y
    y = hy * cos_p - z * sin_p
    soft = np.sqrt((2 / size / p.scale) ** 2 + p.blur * p.blur)
    return SimpleNamespace(
        image=np.zeros(r2.shape, np.float32), grid=grid, soft=soft, hx=hx, hy=hy, nx=nx, ny=ny, nz=nz,
        outline=(np.sqrt(r2) - 1) * p.face_width,
        x=x, y=y, u=np.abs(x), side=np.sign(x), nose_x=x - 0.16 * sin_y,
    )  # fmt: skip


def _sin_cos(degrees: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One at a time by ``math``: numpy's own may differ in the last bit with the length of the array."""
    turn = [math.radians(a) for a in degrees.ravel().tolist()]
    both = [np.array([f(a) for a in turn], np.float32).reshape(degrees.shape) for f in (math.sin, math.cos)]
    return both[0], both[1]


def _shape(p: SimpleNamespace) -> SimpleNamespace:
    """What the muscles do: brows, lids, nose and mouth under the action units, each (N, 1, 1)."""
    e, eye_y = p.eye_size, -0.10
    wide = 0.09 * p.au12 + 0.02 * p.au15 + 0.085 * p.au20
    return SimpleNamespace(
        eye_y=eye_y,
        # brows: base, and what is added towards the inner and the outer end
        brow_in=0.13 - 0.035 * p.au4,
        brow_out=0.55,
        brow_y=eye_y - p.brow_height + 0.045 * p.au4 * (1 - 0.6 * p.au1),
        brow_inner=-0.105 * p.au1 + 0.095 * p.au4 * (1 - 0.75 * p.au1),
        brow_outer=-0.10 * p.au2 + 0.02 * p.au4 * p.au1,
        brow_arch=p.brow_arch + 0.02 * p.au2 - 0.03 * p.au4,
        forehead=eye_y - 0.20 - p.brow_height - 0.05 * p.au1 - 0.03 * p.au2,  # the wrinkles above the brows
        # lids: heights above and below the line through the corners
        lid_up=e * (0.062 + 0.05 * p.au5 - 0.014 * p.au7 - 0.006 * p.au6),
        lid_low=e * (0.046 + 0.006 * p.au5 - 0.026 * p.au7 - 0.034 * p.au6),
        # nose
        nose_y=eye_y + p.nose_length - 0.045 * p.au9,
        nose_w=p.nose_width * (1 + 0.18 * p.au9 + 0.08 * p.au12),
        # mouth
        mouth_y=p.mouth_height + 0.015 * p.au12 - 0.045 * p.au9 - 0.015 * p.au15 + 0.01 * p.au26,
        mouth_w=p.mouth_width + wide - 0.045 * p.au23 - 0.055 * p.au26 * (1 - p.au20),
        corner=-0.125 * p.au12 + 0.10 * p.au15 + 0.025 * p.au20,
        open_up=0.020 * p.au25 + 0.03 * p.au26 + 0.025 * p.au9 * p.au25,
        open_low=0.065 * p.au25 * (1 + 0.5 * p.au12) + 0.15 * p.au26 + 0.03 * p.au16,
        lip_up=p.lip * 0.72 * (1 - 0.55 * p.au23 - 0.1 * p.au12),
        lip_low=p.lip * (1 - 0.5 * p.au23 - 0.1 * p.au12 + 0.15 * p.au16),
    )


# -- layers from the back to the front -----------------------------------------------------------------------


def _background(s: SimpleNamespace, p: SimpleNamespace) -> None:
    """A wall, lighter to one side; hair behind the head, neck and clothes."""
    slope = p.background_slope
    s.image += p.background + slope * (s.grid[None, None, :] - 0.6 * s.grid[None, :, None])
    shine = _bell((s.hx - 0.6 * p.light_x) ** 2 / 0.35 + (s.hy + 0.8) ** 2 / 0.16)
    s.hair_tone = p.hair * (0.72 + 0.5 * shine)
    start = np.maximum(1.4 * p.hair_length - 0.5, -0.08)  # where the hair beside the face begins to thin out
    taper = np.maximum(s.hy - start, 0)
    width = p.face_width * (1.10 + 0.08 * p.hair_length)
    beside = np.abs(s.hx) - width + (2.6 - 2.2 * p.hair_length) * taper * taper
    cap = np.sqrt((s.hx / width) ** 2 + ((s.hy + 0.08) / p.face_length) ** 2 / 1.08)
    s.hair_edge = np.where(s.hy < -0.08, (cap - 1) * p.face_width, beside)
    _over(s.image, _cover(s.hair_edge, 1.5 * s.soft), s.hair_tone)
    neck = np.maximum(np.abs(s.hx) - 0.62 * p.face_width, 0.4 - s.hy)
    _over(s.image, _cover(neck, s.soft), p.skin * (0.55 + 0.25 * s.hx * p.light_x))
    cloth = 1.02 + 0.35 * s.hx**2 - s.hy
    _over(s.image, _cover(cloth, s.soft), 0.9 - p.background * 0.8)


def _head(s: SimpleNamespace, p: SimpleNamespace) -> None:
    """Ears, where the hair is short, and the head's coverage, which ``_skin`` fills."""
    lug = p.face_width * 0.98
    ear = np.sqrt(((np.abs(s.hx) - lug) / 0.09) ** 2 + (s.hy / 0.19) ** 2) - 1
    _over(s.image, _cover(ear * 0.09, s.soft) * (p.hair_length < 0.45), p.skin * 0.7)
    s.head = _cover(s.outline, s.soft)


def _skin(s: SimpleNamespace, p: SimpleNamespace, m: SimpleNamespace) -> None:
    """Lambert light on an ellipsoid with bumps for sockets, eyeballs, nose, cheeks, lips and chin."""
    gx, gy = np.zeros_like(s.image), np.zeros_like(s.image)

    def bump(dx: np.ndarray, dy: np.ndarray, rx: Any, ry: Any, height: Any, mirror: bool = False) -> None:
        r = np.maximum(1 - (dx / rx) ** 2 - (dy / ry) ** 2, 0) * (4 * height)
        gx_ = r * dx / rx**2
        np.subtract(gx, gx_ * s.side if mirror else gx_, out=gx)
        np.subtract(gy, r * dy / ry**2, out=gy)

    cheek = p.au6 * 0.5 + p.au12 * 0.5
    bump(s.nose_x, s.y - m.nose_y + 0.20, 0.13, 0.34, 0.055)  # bridge
    bump(s.nose_x, s.y - m.nose_y + 0.02, 1.05 * m.nose_w, 0.12, 0.06)  # tip
    bump(s.u - 0.8 * m.nose_w, s.y - m.nose_y - 0.01, 0.07, 0.075, 0.02, True)  # wings
    bump(s.u - p.eye_spacing + 0.03, s.y - m.eye_y + 0.02, 0.24, 0.19, -0.05, True)  # sockets
    bump(s.u - p.eye_spacing, s.y - m.eye_y, 0.17, 0.12, 0.03, True)  # eyeballs
    bump(s.u - 0.38, s.y - 0.20 + 0.05 * cheek, 0.25, 0.22, 0.035 + 0.04 * cheek, True)  # cheeks
    bump(s.x, s.y - p.mouth_height, p.mouth_width * 1.3, 0.22, 0.04)  # muzzle
    bump(s.x, s.y - 0.80, 0.20, 0.15, 0.035)  # chin
    nx, ny, nz = 0.8 * s.nx - gx, 0.75 * s.ny - gy, s.nz + 0.25
    lz = 0.75
    length = np.sqrt((nx * nx + ny * ny + nz * nz) * (p.light_x**2 + p.light_y**2 + lz * lz))
    light = np.maximum(nx * p.light_x + ny * p.light_y + nz * lz, 0) / length
    s.shade = p.ambient + (1 - p.ambient) * light * 1.15
    tone = p.skin * s.shade
    beard = _bell(np.maximum(0.95 - s.y, 0) ** 2 / 0.4) * p.stubble
    _over(s.image, s.head, tone * (1 - 0.35 * beard))


def _darken(s: SimpleNamespace, amount: np.ndarray) -> None:
    s.image *= 1 - amount * s.head


def _wrinkles(s: SimpleNamespace, p: SimpleNamespace, m: SimpleNamespace) -> None:
    """Creases that action units leave in the skin."""
    # naso-labial fold, from the wing of the nose to beside the mouth's corner (AU9, AU12)
    top, end = m.nose_y - 0.02 - 0.05 * p.au9, p.mouth_height + 0.02
    v = (s.y - top) / (end - top)
    far = 1.16 * (p.mouth_width + 0.09 * p.au12)
    fold = m.nose_w * 1.15 + (far - m.nose_w * 0.9) * v * (0.65 + 0.35 * v)
    inside = _bell((2 * v - 1) ** 2)
    strength = 0.10 + 0.30 * p.au12 + 0.5 * p.au9 * (1 - 0.3 * p.au12)
    _darken(s, _stroke(0.8 * (s.u - fold), 0.022, s.soft + 0.03) * inside * strength)
    # lower lid pouch and crow's feet (AU6)
    t = (s.u - p.eye_spacing) / (0.17 * p.eye_size)
    pouch = s.y - (m.eye_y + m.lid_low + 0.055 - 0.02 * t * t)
    _darken(s, _stroke(pouch, 0.012, s.soft + 0.015) * _bell(t * t) * (0.12 + 0.45 * p.au6 + 0.2 * p.au7))
    away = s.u - p.eye_spacing - 0.2
    ray = np.abs(np.abs(s.y - m.eye_y - 0.01) - 0.035 - 0.25 * away)
    _darken(s, _stroke(ray, 0.008, s.soft + 0.01) * _bell((away / 0.09) ** 2) * 0.5 * p.au6)
    # glabella: upright furrows (AU4); forehead: level lines (AU1, AU2); bridge: level lines (AU9)
    furrow = _bell(((s.y - m.brow_y - m.brow_inner * 0.6) / 0.12) ** 2)
    _darken(s, _stroke(s.u - 0.045, 0.012, s.soft + 0.012) * furrow * 0.55 * p.au4 * (1 - 0.6 * p.au1))
    level = s.y - m.forehead - 0.10 * s.x * s.x
    ripple = np.abs(np.abs(level) - 0.035)
    span = _bell((s.x / 0.40) ** 2) * (0.35 * p.au1 + 0.25 * p.au2)
    _darken(s, _stroke(ripple, 0.009, s.soft + 0.012) * span)
    bridge = np.abs(np.abs(s.y - m.eye_y - 0.015 - 0.5 * s.u) - 0.04)
    _darken(s, _stroke(bridge, 0.012, s.soft + 0.02) * _bell((s.u / 0.15) ** 2) * 0.7 * p.au9)


def _nose(s: SimpleNamespace, p: SimpleNamespace, m: SimpleNamespace) -> None:
    """Nostrils, wings, and the shadow under the tip."""
    x, u = s.nose_x, np.abs(s.nose_x)
    under = _bell((x / (1.1 * m.nose_w)) ** 2 + ((s.y - m.nose_y - 0.075) / 0.05) ** 2)
    _darken(s, 0.28 * under)
    nostril = np.sqrt(((u - 0.48 * m.nose_w) / 0.038) ** 2 + ((s.y - m.nose_y - 0.055) / 0.019) ** 2) - 1
    _darken(s, 0.72 * _cover(nostril * 0.019, s.soft))
    wing = np.sqrt(((u - 0.70 * m.nose_w) / 0.06) ** 2 + ((s.y - m.nose_y - 0.01) / 0.065) ** 2) - 1
    outer = np.maximum(u - 0.78 * m.nose_w, 0) / 0.05
    _darken(s, _stroke(wing * 0.06, 0.009, s.soft) * np.minimum(outer, 1) * (0.5 + 0.3 * p.au9))


def _eyes(s: SimpleNamespace, p: SimpleNamespace, m: SimpleNamespace) -> None:
    """Both eyes at once, by |x|: white, iris, pupil, catchlight, lashes, lid crease."""
    w = 0.155 * p.eye_size
    t = (s.u - p.eye_spacing) / w
    arc = 1 - t * t
    y = s.y - m.eye_y + p.eye_slant * w * t
    upper, lower = -m.lid_up * arc * (1 - 0.18 * t), m.lid_low * arc
    crease = y - upper + 0.034
    _darken(s, _stroke(crease, 0.008, s.soft) * _bell((t / 1.15) ** 2) * 0.45)
    opening = np.maximum(upper - y, y - lower)
    alpha = _cover(opening, s.soft)
    white = (0.55 + 0.37 * p.skin) * (1 - 0.3 * _bell(((y - upper) / 0.05) ** 2))
    _over(s.image, alpha, white * (0.35 + 0.65 * s.shade))
    r2 = (s.u - p.eye_spacing) ** 2 + (y + 0.006) ** 2
    r = np.sqrt(r2)
    size = 0.072 * p.eye_size
    _over(s.image, alpha * _cover(r - size, s.soft), p.iris * (0.55 + 0.6 * r / size))
    _over(s.image, alpha * _cover(r - 0.42 * size, s.soft), 0.02)
    glint = np.sqrt((s.u - p.eye_spacing + 0.024 * s.side) ** 2 + (y + 0.030) ** 2)
    _over(s.image, alpha * _cover(glint - 0.017, s.soft), 0.97)
    inside = _cover((np.abs(t) - 1.06) * w, s.soft)
    lash = 0.12 * p.skin
    _over(s.image, _stroke(y - upper, 0.013 * (1 + 0.3 * t), s.soft) * inside * 0.95, lash)
    _over(s.image, _stroke(y - lower, 0.006, s.soft) * inside * 0.55, lash)


def _brow_line(s: SimpleNamespace, m: SimpleNamespace) -> tuple[np.ndarray, np.ndarray]:
    """(v, y): place along the brow, 0 at its inner and 1 at its outer end, and the brow's height there."""
    v = (s.u - m.brow_in) / (m.brow_out - m.brow_in)
    c = np.clip(v, 0, 1)
    rest = 1 - c
    raised = m.brow_inner * rest * rest + m.brow_outer * c * (1.6 - 0.9 * c)
    arch = m.brow_arch * 4 * c * rest * (0.6 + 0.8 * c)
    return v, m.brow_y + raised - arch + 0.05 * c * c * c


def _brows(s: SimpleNamespace, p: SimpleNamespace, m: SimpleNamespace) -> None:
    v, line = _brow_line(s, m)
    c = np.clip(v, 0, 1)
    thick = p.brow_thickness * (1 - 0.6 * c * c - 0.5 * _bell(c * c / 0.04))
    along = (np.maximum(-v, v - 1)) * 0.42
    d = np.maximum(np.abs(s.y - line) * 0.93 - thick, along)
    dense = 0.92 - 0.35 * _bell(c * c / 0.06)  # thinner at the inner end
    _over(s.image, _cover(d, s.soft + 0.018) * dense, 0.75 * np.minimum(p.hair, 0.5 * p.skin))


def _mouth(s: SimpleNamespace, p: SimpleNamespace, m: SimpleNamespace) -> None:
    """Lips, what is between them, and their line; bounded by four curves over t = x / half width."""
    y, t = s.y, s.x / m.mouth_w
    t2 = t * t
    arc = 1 - t2
    line = m.mouth_y + m.corner * t2 * (0.55 + 0.45 * t2) - 0.35 * m.corner
    square = arc * (1 + t2 * (0.35 + 0.65 * p.au20))  # a stretched mouth opens to a box
    top, bottom = line - m.open_up * square, line + m.open_low * square
    bow = 1 - 0.28 * _bell((s.x / 0.06) ** 2)
    lip_top = top - m.lip_up * arc * (1 + 0.9 * t2) * bow
    lip_bottom = bottom + m.lip_low * arc * (1 + 0.3 * t2)
    middle = (s.x / (0.8 * m.mouth_w)) ** 2
    _darken(s, 0.22 * _bell(middle + ((y - lip_bottom - 0.045) / 0.055) ** 2))
    gloss = 1 + 0.22 * _bell(middle + ((y - 0.5 * (bottom + lip_bottom)) / 0.035) ** 2)
    tone = p.skin * p.lip_tone * s.shade * np.where(y < line, 0.88, 1.0).astype(np.float32) * gloss
    _over(s.image, _cover(np.maximum(lip_top - y, y - lip_bottom), s.soft), tone)
    parted = np.clip((m.open_up + m.open_low) / 0.05, 0, 1)
    inside = _cover(np.maximum(top - y, y - bottom), s.soft) * parted
    _teeth(s, p, m, inside, y - top, bottom - y, arc)
    ends = _cover((np.abs(t) - 1.03) * m.mouth_w, s.soft)
    closed = _stroke(y - line, 0.011 * (1 + 0.5 * p.au23), s.soft) * ends * (1 - 0.75 * parted)
    _over(s.image, closed * 0.9, 0.16 * p.skin)
    beside = ((np.abs(t) - 1.02) * m.mouth_w / 0.05) ** 2 + ((y - m.mouth_y - 0.65 * m.corner) / 0.05) ** 2
    _darken(s, _bell(beside) * (0.2 + 0.12 * p.au12 + 0.2 * p.au15 + 0.15 * p.au20))


def _teeth(
    s: SimpleNamespace, p: SimpleNamespace, m: SimpleNamespace,
    inside: np.ndarray, below: np.ndarray, above: np.ndarray, arc: np.ndarray,
) -> None:  # fmt: skip
    """The open mouth: dark, tongue, upper teeth; lower teeth where AU16 or AU20 bare them."""
    _over(s.image, inside, 0.07 + 0.06 * p.skin)
    _over(s.image, inside * _bell((s.x / (0.8 * m.mouth_w)) ** 2 + (above / 0.08) ** 2) * 0.8, 0.38)
    height = np.minimum(0.055 + 0.02 * p.au12, 0.75 * (m.open_up + m.open_low)) * (arc + 0.35) / 1.35
    row = _cover(below - height, s.soft) * _cover(np.abs(s.x) - 0.94 * m.mouth_w, s.soft)
    _over(s.image, inside * row, 0.86)
    _over(s.image, inside * 0.5 * (p.au16 + p.au20) * _cover(above - 0.04 * arc, s.soft), 0.72)


def _hair(s: SimpleNamespace, p: SimpleNamespace) -> None:
    """Hair in front: above the hairline and, if long, down both sides of the face."""
    part = s.x + 0.5 * p.fringe
    edge = -p.hairline + (0.28 - 0.5 * np.abs(p.fringe)) * s.x * s.x + 0.45 * np.abs(p.fringe) * part * part
    temple = p.face_width * (0.96 - 0.08 * p.hair_length) - np.abs(s.hx)
    temple = temple + 0.35 * np.maximum(s.hy + 0.45, 0) * (1 - p.hair_length)
    d = np.maximum(np.minimum(s.y - edge, temple), s.hair_edge)
    s.hair = _cover(d, 1.5 * s.soft + 0.03)
    _over(s.image, s.hair, s.hair_tone)


# -- regions and occlusion -----------------------------------------------------------------------------------


def _regions(s: SimpleNamespace, p: SimpleNamespace, m: SimpleNamespace, rest: SimpleNamespace) -> np.ndarray:
    """Bits of ``REGIONS``, uint8 (N, H, W): a region holds its part of the face at rest and as it is now."""
    _, now = _brow_line(s, m)
    _, was = _brow_line(s, rest)
    top, low = np.minimum(now, was) - 0.09, np.maximum(now, was) + 0.075
    lines = np.where(np.maximum(p.au1, p.au2) > 0, m.forehead + 0.10 * s.x * s.x - 0.07, 1)  # wrinkles above
    top = np.where(s.u < 0.40, np.minimum(top, lines), top)
    brows = (s.y > top) & (s.y < low) & (s.u < 0.61)
    w = 0.155 * p.eye_size
    high = np.maximum(m.lid_up, rest.lid_up) + 0.06
    eyes = ((s.u - p.eye_spacing - 0.02) / (w + 0.10)) ** 2 + ((s.y - m.eye_y - 0.01) / high) ** 2 < 1
    nose_low = rest.nose_y + 0.11
    nose = (s.y > m.eye_y - 0.08) & (s.y < nose_low) & (s.u < 0.09 + np.maximum(s.y - m.eye_y, 0) * 0.42)
    mid = p.mouth_height + 0.5 * np.maximum(m.open_low - 0.02, 0)
    half = 0.12 + 0.5 * m.open_low + 0.5 * np.abs(m.corner)
    across = np.maximum(m.mouth_w, rest.mouth_w) + 0.07
    mouth = (s.x / across) ** 2 + ((s.y - mid) / half) ** 2 < 1
    cheeks = ((s.u - 0.36) / 0.25) ** 2 + ((s.y - 0.24) / 0.26) ** 2 < 1
    masks = np.zeros(s.image.shape, np.uint8)
    seen = (s.outline < 0) & (s.hair < 0.5)
    for bit, where in zip(REGIONS.values(), (brows, eyes, nose, mouth, cheeks), strict=True):
        masks |= np.where(where & seen, np.uint8(bit), np.uint8(0))
    return masks


def _occluders(s: SimpleNamespace, p: SimpleNamespace, masks: np.ndarray) -> None:
    """Glasses over some faces, a hand or loose hair before others; drawn only for the rows that have them."""
    grids = {k: getattr(s, k) for k in ("image", "soft", "hx", "hy", "y", "u", "outline", "hair_tone")}
    for name, paint in (("glasses", _glasses), ("hand", _hand), ("strands", _strands)):
        rows = np.flatnonzero(getattr(p, name)[:, 0, 0] > 0)
        if not rows.size:
            continue
        some = SimpleNamespace(**{k: v[rows] for k, v in grids.items()})
        alpha, tone = paint(some, SimpleNamespace(**{k: v[rows] for k, v in vars(p).items()}))
        _over(some.image, alpha, tone)
        s.image[rows] = some.image
        if name != "glasses":  # one looks through glasses
            masks[rows] *= alpha < 0.5


def _glasses(s: SimpleNamespace, p: SimpleNamespace) -> tuple[np.ndarray, Any]:
    dx, dy = np.abs(s.u - p.eye_spacing) - 0.17, np.abs(s.y + 0.08) - 0.10
    out = np.sqrt(np.maximum(dx, 0) ** 2 + np.maximum(dy, 0) ** 2) + np.minimum(np.maximum(dx, dy), 0) - 0.05
    frame = _stroke(out, 0.016, s.soft)
    bridge = _stroke(s.y + 0.11, 0.014, s.soft) * _cover(s.u - p.eye_spacing + 0.20, s.soft)
    temple = _stroke(s.y + 0.10, 0.014, s.soft) * _cover(p.eye_spacing + 0.20 - s.u, s.soft)
    temple = temple * _cover(s.outline, s.soft)
    return np.maximum(np.maximum(frame, bridge), temple) * 0.9, np.float32(0.12)


def _hand(s: SimpleNamespace, p: SimpleNamespace) -> tuple[np.ndarray, Any]:
    """Four fingers laid on one side of the chin and cheek."""
    side = np.where(p.occluder_side < 0, -1, 1).astype(np.float32)
    x = s.hx * side - 0.30 - 0.15 * np.abs(p.occluder_side)
    alpha, tone = np.zeros_like(s.image), np.zeros_like(s.image)
    for k in range(4):
        across = x - 0.118 * k + 0.15 * (s.hy - 0.6)
        beyond = np.maximum(0.36 + 0.05 * (k - 1.4) ** 2 - s.hy, 0)
        finger = _cover(np.sqrt(across * across + beyond * beyond) - 0.066, s.soft)
        _over(tone, finger, p.skin * (0.55 + 0.35 * _bell((across / 0.08) ** 2)))
        alpha = np.maximum(alpha, finger)
    return alpha, tone


def _strands(s: SimpleNamespace, p: SimpleNamespace) -> tuple[np.ndarray, Any]:
    """Two locks of hair falling over one side of the forehead, to a point beside the eye."""
    side = np.where(p.occluder_side < 0, -1, 1).astype(np.float32)
    x = s.hx * side - 0.10 - 0.25 * np.abs(p.occluder_side)
    alpha = np.zeros_like(s.image)
    for k in range(2):
        down = 0.10 * k + 0.08 - s.hy  # what is left of the lock
        middle = x - 0.16 * k - 0.22 * (s.hy + 0.75) ** 2
        alpha = np.maximum(alpha, _stroke(middle, 0.13 * np.clip(down, 0, 0.8), s.soft))
    return alpha * _cover(s.outline, s.soft), s.hair_tone
