"""Subjects that grow or swim, each in a unit box: x from -0.5 to 0.5, y from -1 (top) to 0 (the ground)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import skia

from training.pen import INK, WHITE, WOOD, Color, Pen, Point, around, curve, ellipse, mix

STEM: Final[Color] = (0.30, 0.56, 0.26)
HAZE: Final[Color] = (0.60, 0.66, 0.80)  # the bluish light that models white and black things


def _luma(color: Color) -> float:
    return 0.3 * color[0] + 0.59 * color[1] + 0.11 * color[2]


def is_white(color: Color) -> bool:
    return min(color) > 0.8


def is_black(color: Color) -> bool:
    return max(color) < 0.3


def shadow(color: Color, share: float) -> Color:
    """A second tone that stays apart from the first: darker, but lighter on black, bluish on white."""
    if is_black(color):
        return mix(color, HAZE, share)
    return mix(color, (0.42, 0.50, 0.70), share) if is_white(color) else mix(color, INK, share)


def pale(color: Color, share: float) -> Color:
    """A lighter second tone; on white, which knows none, a light shadow."""
    if is_black(color):
        return mix(color, HAZE, share * 0.7)
    return mix(color, HAZE, share * 0.4) if is_white(color) else mix(color, WHITE, share)


def _edge(color: Color) -> Color | None:
    """The rim that keeps a white thing apart from snow, and a black one from the night."""
    if is_white(color):
        return mix(color, (0.46, 0.54, 0.74), 0.62)
    return mix(color, (0.62, 0.68, 0.86), 0.5) if is_black(color) else None


def solid(pen: Pen, shape: skia.Path, color: Color, shade: float = 1.0) -> None:
    """Fill a main part of the subject; white and black ones get a rim, broad in the shadow or the light."""
    edge = _edge(color)
    if edge is None:
        pen.fill(shape, color, shade)
        return
    pen.fill(shape, edge, 0)
    bounds, rim = shape.getBounds(), 0.014
    x, y = (bounds.left() + bounds.right()) / 2, (bounds.top() + bounds.bottom()) / 2
    shift = pen.light.side * (rim if is_white(color) else -rim) * 0.6
    inner = skia.Path(shape)
    inner.transform(skia.Matrix.Translate(-x, -y))
    inner.transform(skia.Matrix.Scale(1 - 2 * rim / bounds.width(), 1 - 2 * rim / bounds.height()))
    inner.transform(skia.Matrix.Translate(x + shift, y - rim * 0.4 if is_white(color) else y + rim * 0.4))
    with pen.inside(shape):
        pen.fill(inner, color, shade)


def stroke(pen: Pen, points: Sequence[Point], width: float, color: Color) -> None:
    """A line that is a main part of the subject, with the same rim as `solid`."""
    edge = _edge(color)
    if edge is not None:
        pen.line(points, width, edge)
    pen.line(points, width if edge is None else width - 0.026, color)


def paint_tree(pen: Pen, color: Color) -> None:
    rng = pen.rng
    width = rng.uniform(0.05, 0.075)
    pen.fill(
        curve(
            (-width * 1.7, 0),
            (-width, -0.1, -width * 0.8, -0.5),
            (width * 0.8, -0.5),
            (width, -0.1, width * 1.7, 0),
        ),
        WOOD,
    )
    pen.line([(0, -0.3), (0.06, -0.4), (0.16, -0.48)], 0.045, WOOD)
    pen.line([(0, -0.25), (-0.06, -0.36), (-0.15, -0.44)], 0.04, WOOD)
    middle, rx, ry = -0.66, rng.uniform(0.30, 0.38), rng.uniform(0.27, 0.31)
    blobs = [
        (x / 0.26 * rx * 0.68, middle + y / 0.26 * ry * 0.68, rng.uniform(0.155, 0.2))
        for x, y, _ in around(rng.randint(6, 8), 0.26, rng.uniform(0, 60))
    ]
    dark, light = mix(color, INK, 0.28), mix(color, WHITE, 0.22)
    for x, y, r in blobs:
        pen.fill(ellipse(x, y + 0.02, r), dark, 0)
    pen.fill(ellipse(0, middle, rx * 0.9, ry * 0.95), color)
    for x, y, r in blobs:
        pen.fill(ellipse(x * 0.95 + 0.012 * pen.light.side, y - 0.02, r * 0.86), color, 0.8)
    for x, y, r in blobs:
        if y < middle and x * pen.light.side > -0.1:
            pen.fill(ellipse(x * 0.9 + 0.03 * pen.light.side, y - 0.03, r * 0.5), light, 0, 0.8)


def paint_mushroom(pen: Pen, color: Color) -> None:
    rng = pen.rng
    rim, half, top = rng.uniform(-0.48, -0.4), rng.uniform(0.42, 0.48), rng.uniform(-0.98, -0.84)
    waist, foot = rng.uniform(0.09, 0.13), rng.uniform(0.14, 0.18)
    stem = curve(
        (-foot, 0),
        (-waist * 0.8, -0.2, -waist, rim),
        (waist, rim),
        (waist * 0.8, -0.2, foot, 0),
        (0, 0.035, -foot, 0),
    )
    pen.fill(stem, (0.97, 0.92, 0.82), 1.3)
    pen.fill(ellipse(0, rim, half * 0.86, 0.075), (0.86, 0.76, 0.64), 0.6)
    if rng.random() < 0.5:
        pen.fill(
            curve(
                (-waist - 0.03, rim + 0.14),
                (0, rim + 0.2, waist + 0.03, rim + 0.14),
                (waist, rim + 0.06),
                (-waist, rim + 0.06),
            ),
            (0.93, 0.87, 0.76),
        )
    peak = rng.uniform(0.5, 0.95)
    cap = curve(
        (-half, rim),
        (-half, rim + (top - rim) * 0.7, -half * peak, top, 0, top),
        (half * peak, top, half, rim + (top - rim) * 0.7, half, rim),
        (half * 0.6, rim + 0.07, 0, rim + 0.045),
        (-half * 0.6, rim + 0.07, -half, rim),
    )
    pen.fill(cap, color, 1.2)
    tall = rim - top
    with pen.inside(cap):
        for x, y, r in (
            (-0.27, 0.3, 0.06),
            (-0.05, 0.62, 0.075),
            (0.19, 0.36, 0.065),
            (0.36, 0.12, 0.045),
            (-0.4, 0.05, 0.04),
            (0.02, 0.16, 0.045),
        ):
            x, y = x + rng.uniform(-0.03, 0.03), rim - tall * y + rng.uniform(-0.02, 0.02)
            pen.fill(ellipse(x, y, r * rng.uniform(0.85, 1.15), r * 0.85), (1.0, 0.98, 0.93), 0.4)


def paint_fish(pen: Pen, color: Color) -> None:
    rng = pen.rng
    tall, y = rng.uniform(0.19, 0.25), -0.32
    fin, dark = mix(color, WHITE, 0.3), mix(color, INK, 0.25)
    sweep = rng.uniform(0.16, 0.22)
    pen.fill(
        curve(
            (-0.22, y),
            (-0.42, y - sweep * 1.2, -0.5, y - sweep),
            (-0.4, y, -0.5, y + sweep),
            (-0.42, y + sweep * 1.2, -0.22, y),
        ),
        fin,
    )
    pen.fill(
        curve((-0.1, y - tall * 0.8), (-0.05, y - tall - 0.16, 0.16, y - tall - 0.08), (0.2, y - tall * 0.7)),
        fin,
    )
    pen.fill(
        curve(
            (-0.04, y + tall * 0.8), (-0.06, y + tall + 0.12, 0.08, y + tall + 0.06), (0.12, y + tall * 0.7)
        ),
        fin,
    )
    body = curve(
        (-0.3, y),
        (-0.18, y - tall * 1.3, 0.22, y - tall * 1.35, 0.48, y),
        (0.22, y + tall * 1.35, -0.18, y + tall * 1.3, -0.3, y),
    )
    pen.fill(body, color, 1.0)
    with pen.inside(body):
        pen.fill(ellipse(0.08, y + tall * 1.05, 0.36, tall * 0.55), mix(color, WHITE, 0.5), 0, 0.8)
        if rng.random() < 0.5:
            for x in (-0.12, 0.02):
                pen.fill(
                    curve(
                        (x, y - 0.4),
                        (x + 0.08, y, x, y + 0.4),
                        (x + 0.05, y + 0.4),
                        (x + 0.13, y, x + 0.05, y - 0.4),
                    ),
                    mix(color, WHITE, 0.65),
                    0,
                )
    pen.fill(
        curve((0.06, y + 0.02), (-0.02, y + 0.1, -0.08, y + 0.07), (-0.06, y + 0.0, 0.06, y - 0.01)), dark, 0
    )
    pen.fill(ellipse(0.3, y - tall * 0.3, 0.05), WHITE, 0)
    pen.fill(ellipse(0.312, y - tall * 0.3, 0.027), INK, 0)
    pen.line([(0.4, y + 0.055), (0.37, y + 0.07), (0.335, y + 0.06)], 0.014, mix(color, INK, 0.5))


def paint_flower(pen: Pen, color: Color) -> None:
    rng = pen.rng
    y, bend = -0.68, rng.uniform(-0.06, 0.06)
    pen.line([(bend, 0), (bend * 1.6, -0.25), (0, y)], 0.045, STEM)
    for side in (-1, 1):
        low = rng.uniform(-0.18, -0.1)
        leaf = curve(
            (bend, low),
            (side * 0.12, low - 0.22, side * 0.32, low - 0.15),
            (side * 0.2, low + 0.06, bend, low),
        )
        pen.fill(leaf, mix(STEM, WHITE, 0.1 if side < 0 else 0.0))
    if rng.random() < 0.25:  # a tulip
        back, front = mix(color, INK, 0.2), color
        pen.fill(
            curve((-0.2, y), (-0.26, -0.9, -0.12, -0.98), (0, -0.85), (0.12, -0.98), (0.26, -0.9, 0.2, y)),
            back,
        )
        pen.fill(
            curve(
                (-0.21, y + 0.02),
                (-0.27, -0.86, -0.24, -0.93),
                (-0.1, -0.85, 0, y + 0.13),
                (-0.18, y + 0.13, -0.21, y + 0.02),
            ),
            front,
        )
        pen.fill(
            curve(
                (0.21, y + 0.02),
                (0.27, -0.86, 0.24, -0.93),
                (0.1, -0.85, 0, y + 0.13),
                (0.18, y + 0.13, 0.21, y + 0.02),
            ),
            front,
        )
        pen.fill(ellipse(0, y - 0.02, 0.11, 0.17), mix(color, WHITE, 0.15))
        return
    count = rng.choice((5, 6, 8))
    reach, wide = rng.uniform(0.17, 0.19), {5: 0.115, 6: 0.1, 8: 0.075}[count]
    start = rng.uniform(0, 360)
    for shade, turn in ((mix(color, INK, 0.22), 180 / count), (color, 0.0)):
        for x, dy, angle in around(count, reach, start + turn):
            pen.fill(ellipse(x, y + dy, 0.145, wide, angle), shade, 0.9)
    core = (0.62, 0.36, 0.16) if rng.random() < 0.5 or color[1] > 0.7 else (0.98, 0.80, 0.25)
    pen.fill(ellipse(0, y, 0.1), core, 1.2)
    pen.fill(ellipse(0.02 * pen.light.side, y - 0.02, 0.05), mix(core, WHITE, 0.25), 0)
