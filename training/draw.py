"""Draws a scene: the setting's background, the subjects in its light, and a little foreground."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final

import numpy as np
import skia
from numpy.typing import NDArray

from training.draw_settings import BEFORE, BEHIND, islet, light_of, pond
from training.draw_subjects import LOOKS
from training.pen import INK, WHITE, Color, Pen, ellipse, mix
from training.scenes import Scene, Subject, complete

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
SIZE: Final[Mapping[str | None, tuple[float, float]]] = {  # the subject's box, in widths of the picture
    "small": (0.34, 0.40),
    None: (0.62, 0.72),
    "large": (0.84, 0.92),
}
PAIR: Final = (0.46, 0.52)


def draw(scene: Scene, size: int, rng: random.Random) -> NDArray[np.uint8]:
    """The scene as (size, size, 3) pixels; what it leaves open, and every detail, `rng` chooses."""
    scene = complete(scene, rng)
    surface = skia.Surface(size, size)
    canvas = surface.getCanvas()
    canvas.scale(size, size)
    assert scene.setting is not None
    pen = Pen(canvas, light_of(scene.setting, rng), rng)
    ground = rng.uniform(0.72, 0.8)
    BEHIND[scene.setting](pen, ground)
    for subject, x, y, width in _places(scene, ground, rng):
        _place(pen, subject, scene.setting, x, y, width)
    BEFORE[scene.setting](pen, ground)
    pixels: NDArray[np.uint8] = surface.toarray(colorType=skia.kRGB_888x_ColorType)
    return np.ascontiguousarray(pixels[..., :3])


def _places(scene: Scene, ground: float, rng: random.Random) -> list[tuple[Subject, float, float, float]]:
    """Each subject with the middle of its foot and the width of its box; the first stands on the left."""
    if len(scene.subjects) == 1:
        subject = scene.subjects[0]
        # a wide, low thing (a car, a fish) may take more of the width and still stand free
        width = rng.uniform(*SIZE[subject.size]) * (1.1 if LOOKS[subject.name].height < 0.8 else 1.0)
        return [(subject, rng.uniform(0.42, 0.58), ground + rng.uniform(0.04, 0.09), width)]
    spots = (rng.uniform(0.24, 0.28), rng.uniform(0.72, 0.76))
    return [
        (subject, x, ground + rng.uniform(0.03, 0.09), rng.uniform(*PAIR))
        for subject, x in zip(scene.subjects, spots, strict=True)
    ]


def _place(pen: Pen, subject: Subject, setting: str, x: float, y: float, width: float) -> None:
    """Draw the subject on, in or above the ground at (x, y)."""
    rng, look = pen.rng, LOOKS[subject.name]
    assert subject.color is not None
    flying = look.hover and rng.random() < 0.8
    lift = look.hover * width * rng.uniform(0.3, 1.0) if flying and not look.swims else 0.0
    if look.swims and setting != "sea":
        pond(pen, setting, x, y, width * look.width)
    elif not look.swims and setting == "sea" and not look.hover:
        islet(pen, x, y, width * (look.width + 0.3))
    else:
        shadow = ellipse(x, y + 0.005, width * look.width / 2 * (0.8 if lift else 1.0), 0.022)
        pen.fill(shadow, INK, 0, 0.18 if lift else 0.28)
    if not look.swims and not lift:
        pen.fill(ellipse(x, y + 0.003, width * look.width / 2, 0.018), INK, 0, 0.25)
    sunk = 0.03 * width if look.swims else 0.0
    with pen.moved(x, y - lift + sunk, width, rng.uniform(-look.turn, look.turn), rng.random() < 0.5):
        look.paint(pen, _nuance(RGB[subject.color], rng))
    if look.swims:
        for side in (-1, 1):
            reach = width * look.width * 0.4
            pen.line(
                [(x - reach, y + 0.018 * side), (x, y + 0.018 * side + 0.008), (x + reach, y + 0.018 * side)],
                0.007, mix((0.6, 0.8, 0.95), WHITE, 0.3), 0.6,
            )  # fmt: skip


def _nuance(color: Color, rng: random.Random) -> Color:
    """The colour, a touch lighter or darker."""
    return mix(color, WHITE if rng.random() < 0.5 else INK, rng.uniform(0.0, 0.09))
