"""The styles: what a drawn scene becomes as a line drawing, in neon, as pixel art or in watercolor."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.draw_filters import Bytes, Floats, bloom, contours, largest, noise, oklab, soften, widen
from training.pen import INK, WHITE, Color, mix

PX: Final = 256  # styled pictures are made at this size
GRID: Final = 64  # big pixels along a side of pixel art

PAPER: Final[Color] = (0.985, 0.965, 0.925)
TONED: Final[Color] = (0.56, 0.61, 0.66)  # paper on which a white line shows
DARK: Final[Color] = (0.045, 0.035, 0.085)  # the wall behind neon
BLACK: Final[Color] = (0.004, 0.004, 0.008)  # no tube shines in these two: what they cover is dark or dull
BROWN: Final[Color] = (0.38, 0.24, 0.15)
TUBES: Final[Mapping[str, Color]] = {  # the light called by each name; of black, that of its rim
    "red": (1.0, 0.14, 0.16),
    "orange": (1.0, 0.42, 0.03),
    "yellow": (1.0, 0.84, 0.14),
    "green": (0.12, 1.0, 0.34),
    "blue": (0.10, 0.36, 1.0),
    "purple": (0.66, 0.26, 1.0),
    "pink": (1.0, 0.38, 0.64),
    "white": (0.96, 0.97, 1.0),
    "black": (0.74, 0.76, 0.90),
    "brown": (0.64, 0.44, 0.30),
}


@dataclass(frozen=True, slots=True)
class Layers:
    """A scene drawn apart: the setting, (N, N, 4) bytes, and each subject with its named colour."""

    setting: Bytes
    subjects: Sequence[tuple[Bytes, str, Color]]


@dataclass(frozen=True, slots=True)
class Style:
    """How the layers are drawn, and what is made of them."""

    render: Callable[[Layers, random.Random], Floats]
    grid: int = PX  # the size the layers are drawn at
    flat: bool = False  # whether in plain light, without shading
    lamps: bool = False


def line_drawing(layers: Layers, rng: random.Random) -> Floats:
    """Bold lines in each subject's colour; the setting in pencil and a pale wash."""
    toned = any(name == "white" for _, name, _ in layers.subjects)
    paper = np.array(TONED if toned else PAPER, np.float32)
    setting = _floats(layers.setting)
    wash = 1 - 0.5 * (1 - np.sqrt(setting))
    grey = wash.mean(-1, keepdims=True)
    picture = paper * (grey + 1.7 * (wash - grey))
    pencil = soften(contours(layers.setting[..., :3], 14, 44))
    picture = picture * (1 - 0.42 * pencil[..., None])
    for layer, _, color in layers.subjects:
        mask = soften(_mask(layer))
        inside = np.array(mix(_color(paper), color, 0.2), np.float32)
        picture = _laid(picture, inside, mask)
        lines = soften(widen(contours(layer, 40, 90)))
        picture = _laid(picture, np.array(color, np.float32), np.minimum(lines * 1.25, 1))
    grained: Floats = picture * (1 + 0.012 * _shifted(noise(2 * PX, 2, 1), rng)[..., None])
    return grained


def neon(layers: Layers, rng: random.Random) -> Floats:
    """Glowing tubes along each subject's contours; the setting in dim thin ones on a dark wall."""
    setting = _floats(layers.setting)
    wall = np.array(DARK, np.float32) + 0.07 * setting
    vivid = (setting / (largest(setting)[..., None] + 0.02)) ** 2
    light = vivid * (0.5 * soften(widen(contours(layers.setting[..., :3], 10, 40))))[..., None]
    hot = np.zeros(setting.shape[:2], np.float32)
    for layer, name, color in layers.subjects:
        mask = _mask(layer)
        dark, tube = name == "black", np.array(TUBES[name], np.float32)
        inside = np.array({"black": BLACK, "brown": BROWN}.get(name, mix(DARK, color, 0.2)), np.float32)
        wall = _laid(wall, inside, mask)
        lines = soften(widen(contours(layer, 40, 100)), 2)
        light = light * (1 - np.maximum(widen(mask, 2), lines))[..., None]
        if dark:
            rim = soften(widen(contours(layer[..., 3:], 60, 160)), 2)
            light += tube * (0.62 * rim + 0.16 * lines)[..., None]
        elif name == "brown":
            wall = _laid(wall, tube, lines)
            light += 0.14 * tube * lines[..., None]
        else:
            light += tube * np.minimum(lines * 1.35, 1)[..., None]
            hot = np.maximum(hot, 0.5 * np.clip(lines * 2.6 - 1.6, 0, 1))
    picture = wall * (1 - np.minimum(largest(light), 1)[..., None]) + light
    picture = _laid(picture, np.ones(3, np.float32), hot)
    return picture + bloom(light)


def pixel_art(layers: Layers, rng: random.Random) -> Floats:
    """A grid of big pixels in a small palette; subjects have a dark outline."""
    picture = _floats(layers.setting)
    for layer, name, _ in layers.subjects:
        mask = (layer[..., 3] > 120).astype(np.float32)
        ring = widen(mask) - mask
        pale = name == "black" and picture[ring > 0].mean(-1).mean() < 0.4 if ring.any() else False
        picture = _laid(picture, np.array((0.62, 0.65, 0.76) if pale else INK, np.float32), ring)
        picture = _laid(picture, _floats(layer) / np.maximum(_mask(layer), 0.01)[..., None], mask)
    cells = (np.clip(picture, 0, 1) * 31.99).astype(np.intp)
    codes = _nearest()[cells[..., 0], cells[..., 1], cells[..., 2]]
    chosen: Floats = np.array(_palette(), np.float32)[codes]
    return chosen.repeat(PX // GRID, 0).repeat(PX // GRID, 1)


SHADES: Final[tuple[tuple[Color, float], ...]] = (
    (INK, 0.62), (INK, 0.34), (INK, 0.14), (WHITE, 0.0), (WHITE, 0.24), (WHITE, 0.52),
)  # fmt: skip
PAINTS: Final[tuple[Color, ...]] = (
    (0.86, 0.14, 0.17), (0.97, 0.50, 0.08), (0.99, 0.83, 0.16), (0.18, 0.62, 0.28), (0.13, 0.40, 0.86),
    (0.54, 0.24, 0.72), (0.97, 0.56, 0.72), (0.96, 0.96, 0.97), (0.16, 0.15, 0.18), (0.52, 0.33, 0.20),
    (0.40, 0.70, 0.95), (0.16, 0.50, 0.74), (0.16, 0.20, 0.42), (0.08, 0.04, 0.16), (0.96, 0.80, 0.52),
    (0.55, 0.61, 0.66), (0.42, 0.49, 0.56), (0.34, 0.44, 0.45), (0.30, 0.35, 0.43), (0.88, 0.38, 0.42),
    (0.40, 0.18, 0.30), (0.48, 0.76, 0.34), (0.70, 0.79, 0.88),
)  # fmt: skip


def _palette() -> list[Color]:
    return [mix(paint, end, share) for paint in PAINTS for end, share in SHADES]


@cache
def _nearest() -> NDArray[np.intp]:
    """(32, 32, 32) of places in the palette: the nearest to each colour of five bits a channel."""
    steps = (np.arange(32, dtype=np.float32) + 0.5) / 32
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1)
    best = np.full(grid.shape[:3], np.inf, np.float32)
    codes = np.zeros(grid.shape[:3], np.intp)
    for code, color in enumerate(_palette()):
        off = ((oklab(grid) - oklab(np.array(color, np.float32))) ** 2).sum(-1)
        codes[off < best] = code
        best = np.minimum(best, off)
    return codes


def watercolor(layers: Layers, rng: random.Random) -> Floats:
    """Washes with soft wobbling edges, pigment gathered at their rims, on grained paper with a border."""
    picture = 1 - 0.80 * (1 - _floats(layers.setting))
    for layer, name, _ in layers.subjects:
        # a paler gap is left around it, widest around what is dark
        gap = soften(widen(_mask(layer), 2), 2) * (0.5 if name == "black" else 0.22)
        picture = _laid(picture, np.ones(3, np.float32), gap)
        mask, strength = _mask(layer)[..., None], 0.72 if name == "white" else 1.0
        picture = picture * (1 - mask) + mask - strength * (mask - _floats(layer))
    wet = _wobbled(picture, rng)
    rims = soften(contours((wet * 255).astype(np.uint8), 16, 70), 1)
    broad, fine = (_shifted(noise(2 * PX, cell, cell), rng) for cell in (48, 14))
    grain = _shifted(noise(2 * PX, 2, 2), rng)
    edge = _inward() + 3.5 * _shifted(noise(2 * PX, 14, 3), rng)
    sheet = np.clip((edge - 8) / 3, 0, 1)
    density = 0.88 + 0.55 * rims + 0.34 * broad + 0.22 * fine + 0.09 * grain
    density += 0.5 * np.clip((edge - 8) / 3, 0, 1) * np.clip((17 - edge) / 6, 0, 1)
    inked = np.exp(np.log(np.maximum(soften(wet, 2), 0.02)) * (density * sheet)[..., None])
    dry: Floats = np.array(PAPER, np.float32) * inked * (1 + 0.025 * grain[..., None])
    return dry


def _wobbled(picture: Floats, rng: random.Random) -> Floats:
    """The picture with its pixels moved a little, neighbours alike."""
    rows, columns = np.ogrid[:PX, :PX]
    down, right = (
        (2.6 * _shifted(noise(2 * PX, 20, 4), rng) + 0.9 * _shifted(noise(2 * PX, 6, 5), rng)).round()
        for _ in range(2)
    )
    rows = np.clip(rows + down.astype(np.intp), 0, PX - 1)
    columns = np.clip(columns + right.astype(np.intp), 0, PX - 1)
    moved: Floats = picture[rows, columns]
    return moved


@cache
def _inward() -> Floats:
    """(PX, PX): how many pixels each lies from the border."""
    along = np.minimum(np.arange(PX), np.arange(PX)[::-1]).astype(np.float32)
    return np.minimum(along[:, None], along[None, :])


def _floats(layer: Bytes) -> Floats:
    return layer[..., :3] * np.float32(1 / 255)


def _mask(layer: Bytes) -> Floats:
    return layer[..., 3] * np.float32(1 / 255)


def _laid(picture: Floats, paint: Floats, share: Floats) -> Floats:
    """The picture under the paint, which covers so much of each pixel."""
    return picture + (paint - picture) * share[..., None]


def _color(values: Floats) -> Color:
    return float(values[0]), float(values[1]), float(values[2])


def _shifted(field: Floats, rng: random.Random) -> Floats:
    """A square of a picture's size out of the field."""
    top, left = (rng.randrange(side - PX + 1) for side in field.shape)
    return field[top : top + PX, left : left + PX]


STYLES: Final[Mapping[str, Style]] = {
    "watercolor": Style(watercolor),
    "pixel art": Style(pixel_art, GRID),
    "line drawing": Style(line_drawing, flat=True),
    "neon": Style(neon, flat=True, lamps=True),
}


def styled(style: Style, layers: Layers, size: int, rng: random.Random) -> Bytes:
    """The layers in that style, as (size, size, 3) bytes."""
    picture: Bytes = np.clip(style.render(layers, rng) * 255 + 0.5, 0, 255).astype(np.uint8)
    if size == PX:
        return picture
    image = Image.fromarray(picture)
    resized: Bytes = np.asarray(image.resize((size, size), Image.Resampling.BOX))
    return resized
