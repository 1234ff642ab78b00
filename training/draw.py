"""Draws a scene: the setting's background, the subjects in its light, and a little foreground."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final

import numpy as np
import skia
from numpy.typing import NDArray

from training.draw_layout import Place, extent, ground_of, places
from training.draw_settings import BEFORE, BEHIND, islet, light_of, pond
from training.draw_subjects import LOOKS
from training.pen import INK, WHITE, Color, Pen, ellipse, mix
from training.scenes import Scene, complete

RGB: Final[Mapping[str, Color]] = {
    "red": (0.86, 0.14, 0.17),
    "orange": (0.97, 0.50, 0.08),
    "yellow": (0.99, 0.83, 0.16),
    "green": (0.18, 0.62, 0.28),
    "blue": (0.13, 0.40, 0.86),
    "purple": (0.54, 0.24, 0.72),
    "pink": (0.97, 0.56, 0.72),
    "white": (0.96, 0.96, 0.97),
    "black": (0.16, 0.15, 0.18),
    "brown": (0.52, 0.33, 0.20),
}


def draw(scene: Scene, size: int, rng: random.Random) -> NDArray[np.uint8]:
    """The scene as (size, size, 3) pixels; what it leaves open, and every detail, `rng` chooses."""
    scene = complete(scene, rng)
    surface = skia.Surface(size, size)
    canvas = surface.getCanvas()
    canvas.scale(size, size)
    assert scene.setting is not None
    pen = Pen(canvas, light_of(scene.setting, rng), rng)
    ground = ground_of(scene, rng)
    BEHIND[scene.setting](pen, ground)
    for place in places(scene, ground, rng):
        _place(pen, place, scene.setting)
    if scene.setting in BEFORE:
        BEFORE[scene.setting](pen, ground)
    pixels: NDArray[np.uint8] = surface.toarray(colorType=skia.kRGB_888x_ColorType)
    return np.ascontiguousarray(pixels[..., :3])


def _place(pen: Pen, place: Place, setting: str) -> None:
    """Draw the subject on, in or above the ground at its place."""
    rng, look = pen.rng, LOOKS[place.subject.name]
    x, y, width = place.x, place.y, place.width
    assert place.subject.color is not None
    color = _nuance(RGB[place.subject.color], rng)
    flip = rng.random() < 0.5
    if place.floats:
        middle = extent(place.subject.name)[1] / 2
        with pen.moved(x, y - middle * width, width, place.turn, flip), pen.moved(0, middle, 1):
            look.paint(pen, color)
        return
    swims = look.swims and setting != "space"
    flying = look.hover and rng.random() < 0.8
    lift = look.hover * width * rng.uniform(0.3, 1.0) if flying and not swims else 0.0
    if swims and setting != "sea":
        pond(pen, setting, x, y, width * look.width)
    elif not swims and setting == "sea" and not look.hover:
        islet(pen, x, y, width * (look.width + 0.3))
    else:
        shadow = ellipse(x, y + 0.005, width * look.width / 2 * (0.8 if lift else 1.0), 0.022)
        pen.fill(shadow, INK, 0, 0.18 if lift else 0.28)
    if not swims and not lift:
        pen.fill(ellipse(x, y + 0.003, width * look.width / 2, 0.018), INK, 0, 0.25)
    sunk = 0.03 * width if swims else 0.0
    with pen.moved(x, y - lift + sunk, width, place.turn, flip):
        look.paint(pen, color)
    if swims:
        for side in (-1, 1):
            reach = width * look.width * 0.4
            pen.line(
                [(x - reach, y + 0.018 * side), (x, y + 0.018 * side + 0.008), (x + reach, y + 0.018 * side)],
                0.011, mix((0.6, 0.8, 0.95), WHITE, 0.3), 0.6,
            )  # fmt: skip


def _nuance(color: Color, rng: random.Random) -> Color:
    """The colour, a touch lighter or darker."""
    return mix(color, WHITE if rng.random() < 0.5 else INK, rng.uniform(0.0, 0.09))
