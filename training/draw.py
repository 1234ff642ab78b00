"""Draws a scene: the setting's background, the subjects in its light, and a little foreground."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import skia
from numpy.typing import NDArray

from training.draw_layout import Place, extent, ground_of, places
from training.draw_settings import BEFORE, BEHIND, islet, light_of, pond
from training.draw_styles import STYLES, Layers, Style, styled
from training.draw_subjects import LOOKS
from training.pen import INK, WHITE, Color, Light, Pen, ellipse, mix
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
    return draw_placed(scene, size, rng)[0]


def draw_placed(scene: Scene, size: int, rng: random.Random) -> tuple[NDArray[np.uint8], list[Place]]:
    """The same, with the places of its subjects."""
    scene = complete(scene, rng)
    assert scene.setting is not None
    light, ground = light_of(scene.setting, rng), ground_of(scene, rng)
    where = places(scene, ground, rng)
    if scene.style:
        style = STYLES[scene.style]
        return styled(style, _layers(style, scene.setting, light, ground, where, rng), size, rng), where
    surface, pen = _sheet(size, light, rng)
    BEHIND[scene.setting](pen, ground)
    for place in where:
        _paint_footing(pen, place, scene.setting)
        _paint_subject(pen, place, scene.setting)
        _paint_ripples(pen, place, scene.setting)
    if scene.setting in BEFORE:
        BEFORE[scene.setting](pen, ground)
    return np.ascontiguousarray(_pixels(surface)[..., :3]), where


def _layers(
    style: Style, setting: str, light: Light, ground: float, where: Sequence[Place], rng: random.Random
) -> Layers:
    """The same scene with the setting, foreground included, apart from each subject."""
    surface, pen = _sheet(style.grid, light, rng)
    BEHIND[setting](pen, ground)
    for place in where:
        _paint_footing(pen, place, setting)
        _paint_ripples(pen, place, setting)
    if setting in BEFORE:
        BEFORE[setting](pen, ground)
    if style.flat:
        light = replace(light, strength=0.0, contrast=0.0, lamps=style.lamps)
    subjects = []
    for place in where:
        sheet, pen = _sheet(style.grid, light, rng)
        _paint_subject(pen, place, setting)
        color = place.subject.color
        assert color is not None
        subjects.append((_pixels(sheet), color, RGB[color]))
    return Layers(_pixels(surface), subjects)


def _sheet(size: int, light: Light, rng: random.Random) -> tuple[skia.Surface, Pen]:
    surface = skia.Surface(size, size)
    surface.getCanvas().scale(size, size)
    return surface, Pen(surface.getCanvas(), light, rng)


def _pixels(surface: skia.Surface) -> NDArray[np.uint8]:
    """(N, N, 4) red, green, blue and how much is covered; colours are multiplied by the latter."""
    pixels: NDArray[np.uint8] = surface.makeImageSnapshot().toarray(
        colorType=skia.kRGBA_8888_ColorType, alphaType=skia.kPremul_AlphaType
    )
    return pixels


def _swims(place: Place, setting: str) -> bool:
    return LOOKS[place.subject.name].swims and setting != "space" and not place.floats


def _paint_footing(pen: Pen, place: Place, setting: str) -> None:
    """What the subject stands on: its shadow, a pond or an islet."""
    if place.floats:
        return
    look, x, y = LOOKS[place.subject.name], place.x, place.y
    width = place.width * look.width
    swims = _swims(place, setting)
    if swims and setting != "sea":
        pond(pen, setting, x, y, width)
    elif not swims and setting == "sea" and not look.hover:
        islet(pen, x, y, width + 0.3 * place.width)
    else:
        shadow = ellipse(x, y + 0.005, width / 2 * (0.8 if place.lift else 1.0), 0.022)
        pen.fill(shadow, INK, 0, 0.18 if place.lift else 0.28)
    if not swims and not place.lift:
        pen.fill(ellipse(x, y + 0.003, width / 2, 0.018), INK, 0, 0.25)


def _paint_subject(pen: Pen, place: Place, setting: str) -> None:
    paint, color, width = LOOKS[place.subject.name].paint, place.subject.color, place.width
    assert color is not None
    shade = _nuance(RGB[color], pen.rng)
    # what floats turns about its middle, what stands about its foot
    middle = extent(place.subject.name)[1] / 2 if place.floats else 0.0
    sunk = 0.03 * width if _swims(place, setting) else 0.0
    y = place.y - place.lift + sunk - middle * width
    with pen.moved(place.x, y, width, place.turn, place.flip), pen.moved(0, middle, 1):
        paint(pen, shade)


def _paint_ripples(pen: Pen, place: Place, setting: str) -> None:
    """Two lines of water about what swims."""
    if not _swims(place, setting):
        return
    x, y, reach = place.x, place.y, place.width * LOOKS[place.subject.name].width * 0.4
    for side in (-1, 1):
        low = y + 0.018 * side
        pen.line([(x - reach, low), (x, low + 0.008), (x + reach, low)], 0.011, (0.76, 0.88, 0.97), 0.6)


def _nuance(color: Color, rng: random.Random) -> Color:
    """The colour, a touch lighter or darker."""
    return mix(color, WHITE if rng.random() < 0.5 else INK, rng.uniform(0.0, 0.09))
