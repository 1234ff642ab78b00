"""Subjects that grow, each in a unit box: x from -0.5 to 0.5, y from -1 (top) to 0 (the ground)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import skia

from training.pen import CREAM, INK, WHITE, WOOD, Color, Pen, Point, around, box, curve, ellipse, mix

STEM: Final[Color] = (0.30, 0.56, 0.26)
HAZE: Final[Color] = (0.60, 0.66, 0.80)  # the bluish light that models white and black things


def is_white(color: Color) -> bool:
    return min(color) > 0.8


def is_black(color: Color) -> bool:
    return max(color) < 0.3


def shadow(color: Color, share: float) -> Color:
    """A second tone: darker, but lighter on black, bluish on white and amber on yellow."""
    if is_black(color):
        return mix(color, HAZE, share)
    if is_white(color):
        return mix(color, (0.42, 0.50, 0.70), share)
    amber = color[0] > 0.8 and color[1] > 0.4 and color[2] < 0.4  # ink would turn orange and yellow brown
    return mix(color, (0.78, color[1] * 0.42, 0.03) if amber else INK, share)


def pale(color: Color, share: float) -> Color:
    """A lighter tone; of white, which has none, a light shadow, and of red peach, lest it turn pink."""
    if is_black(color):
        return mix(color, HAZE, share * 0.7)
    if is_white(color):
        return mix(color, HAZE, share * 0.4)
    red = color[0] > 0.7 and max(color[1:]) < 0.35
    return mix(color, (1.0, 0.82, 0.56) if red else WHITE, share)


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
        pen.fill(inner, color, shade * 0.6 if is_white(color) else shade)


def stroke(pen: Pen, points: Sequence[Point], width: float, color: Color) -> None:
    """A line that is a main part of the subject, with the same rim as `solid`."""
    edge = _edge(color)
    if edge is not None:
        pen.line(points, width, edge)
    pen.line(points, width if edge is None else width - 0.026, color)


def _bark(color: Color) -> Color:
    """The colour of a trunk: of wood, pale under brown leaves."""
    near = max(abs(a - b) for a, b in zip(color, WOOD, strict=True)) < 0.15
    return mix(WOOD, CREAM, 0.55) if near else WOOD


def paint_tree(pen: Pen, color: Color) -> None:
    rng = pen.rng
    width, bark = rng.uniform(0.05, 0.075), _bark(color)
    pen.fill(
        curve(
            (-width * 1.7, 0),
            (-width, -0.1, -width * 0.8, -0.5),
            (width * 0.8, -0.5),
            (width, -0.1, width * 1.7, 0),
        ),
        bark,
    )
    pen.line([(0, -0.3), (0.06, -0.4), (0.16, -0.48)], 0.045, bark)
    pen.line([(0, -0.25), (-0.06, -0.36), (-0.15, -0.44)], 0.04, bark)
    middle, rx, ry = -0.66, rng.uniform(0.30, 0.38), rng.uniform(0.27, 0.31)
    blobs = [
        (x / 0.26 * rx * 0.68, middle + y / 0.26 * ry * 0.68, rng.uniform(0.155, 0.2))
        for x, y, _ in around(rng.randint(6, 8), 0.26, rng.uniform(0, 60))
    ]
    dark, light = (
        shadow(color, 0.42 if is_black(color) else 0.28),
        WHITE if is_white(color) else pale(color, 0.22),
    )
    for x, y, r in blobs:
        pen.fill(ellipse(x, y + 0.02, r), dark, 0)
    pen.fill(ellipse(0, middle, rx * 0.9, ry * 0.95), color)
    for x, y, r in blobs:
        pen.fill(ellipse(x * 0.95 + 0.012 * pen.light.side, y - 0.02, r * 0.86), color, 0.8)
    for x, y, r in blobs:
        if y < middle and x * pen.light.side > -0.1:
            pen.fill(ellipse(x * 0.9 + 0.03 * pen.light.side, y - 0.03, r * 0.5), light, 0, 0.8)


def paint_pine(pen: Pen, color: Color) -> None:
    rng = pen.rng
    tiers, half, foot = rng.choice((3, 3, 4)), rng.uniform(0.3, 0.36), -0.15
    pen.fill(box(-0.055, foot - 0.08, 0.055, 0, 0.015), _bark(color))
    step = (0.98 + foot) / (tiers + 0.7)  # from the hem of one tier to the next
    for i in range(tiers):
        hem = foot - step * i
        tip, wide = hem - step * (1.7 if i == tiers - 1 else 2.1), half * (1 - 0.72 * i / tiers)
        tier = curve(
            (-wide, hem),
            (-wide * 0.35, hem - step * 0.7, 0, tip),
            (wide * 0.35, hem - step * 0.7, wide, hem),
            (wide * 0.7, hem + 0.07, wide * 0.36, hem + 0.005),
            (0, hem + 0.1, -wide * 0.36, hem + 0.005),
            (-wide * 0.7, hem + 0.07, -wide, hem),
        )
        solid(pen, tier, color, 1.4)
        if i < tiers - 1:
            with pen.inside(tier):
                above = half * (1 - 0.72 * (i + 1) / tiers)
                pen.fill(ellipse(0, hem - step, above * 1.02, 0.1), shadow(color, 0.4), 0)


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
    pen.fill(stem, (0.88, 0.76, 0.60) if is_white(color) else (0.97, 0.92, 0.82), 1.3)
    pen.fill(
        ellipse(0, rim, half * 0.86, 0.075),
        (0.74, 0.62, 0.50) if is_white(color) else (0.86, 0.76, 0.64),
        0.6,
    )
    if rng.random() < 0.5:
        pen.fill(
            curve(
                (-waist - 0.03, rim + 0.14),
                (0, rim + 0.2, waist + 0.03, rim + 0.14),
                (waist, rim + 0.06),
                (-waist, rim + 0.06),
            ),
            (0.80, 0.68, 0.52) if is_white(color) else (0.93, 0.87, 0.76),
        )
    peak = rng.uniform(0.5, 0.95)
    cap = curve(
        (-half, rim),
        (-half, rim + (top - rim) * 0.7, -half * peak, top, 0, top),
        (half * peak, top, half, rim + (top - rim) * 0.7, half, rim),
        (half * 0.6, rim + 0.07, 0, rim + 0.045),
        (-half * 0.6, rim + 0.07, -half, rim),
    )
    solid(pen, cap, color, 1.2)
    tall, dot = rim - top, shadow(color, 0.35) if is_white(color) else (1.0, 0.98, 0.93)
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
            pen.fill(ellipse(x, y, r * rng.uniform(0.85, 1.15), r * 0.85), dot, 0.4)


def paint_flower(pen: Pen, color: Color) -> None:
    rng = pen.rng
    y, bend = -0.68, rng.uniform(-0.06, 0.06)
    stem = mix(STEM, INK, 0.4) if color[1] > max(color[0], color[2]) else STEM
    pen.line([(bend, 0), (bend * 1.6, -0.25), (0, y)], 0.045, stem)
    for side in (-1, 1):
        low = rng.uniform(-0.18, -0.1)
        leaf = curve(
            (bend, low),
            (side * 0.12, low - 0.22, side * 0.32, low - 0.15),
            (side * 0.2, low + 0.06, bend, low),
        )
        pen.fill(leaf, mix(stem, WHITE, 0.1 if side < 0 else 0.0))
    if rng.random() < 0.25:  # a tulip
        back, front = shadow(color, 0.2), color
        solid(
            pen,
            curve((-0.2, y), (-0.26, -0.9, -0.12, -0.98), (0, -0.85), (0.12, -0.98), (0.26, -0.9, 0.2, y)),
            back,
        )
        solid(
            pen,
            curve(
                (-0.21, y + 0.02),
                (-0.27, -0.86, -0.24, -0.93),
                (-0.1, -0.85, 0, y + 0.13),
                (-0.18, y + 0.13, -0.21, y + 0.02),
            ),
            front,
        )
        solid(
            pen,
            curve(
                (0.21, y + 0.02),
                (0.27, -0.86, 0.24, -0.93),
                (0.1, -0.85, 0, y + 0.13),
                (0.18, y + 0.13, 0.21, y + 0.02),
            ),
            front,
        )
        solid(pen, ellipse(0, y - 0.02, 0.11, 0.17), pale(color, 0.15))
        return
    count = rng.choice((5, 6, 8))
    reach, wide = rng.uniform(0.17, 0.19), {5: 0.115, 6: 0.1, 8: 0.075}[count]
    start = rng.uniform(0, 360)
    for shade, turn in ((shadow(color, 0.22), 180 / count), (color, 0.0)):
        for x, dy, angle in around(count, reach, start + turn):
            solid(pen, ellipse(x, y + dy, 0.145, wide, angle), shade, 0.9)
    plain = is_white(color) or max(color) < 0.6  # white, black and brown ones get a yellow heart
    brown = not plain and (color[1] > 0.7 or rng.random() < 0.5)
    core = (0.62, 0.36, 0.16) if brown else (0.98, 0.80, 0.25)
    pen.fill(ellipse(0, y, 0.1), core, 1.2)
    pen.fill(ellipse(0.02 * pen.light.side, y - 0.02, 0.05), mix(core, WHITE, 0.25), 0)


def paint_apple(pen: Pen, color: Color) -> None:
    rng = pen.rng
    half, top, dip = rng.uniform(0.38, 0.42), rng.uniform(-0.76, -0.7), 0.09
    fruit = curve(
        (0, top + dip),
        (-0.1, top - 0.05, -half, top - 0.05, -half, top * 0.56),
        (-half, -0.2, -0.22, 0.0, -0.11, 0.0),
        (-0.05, 0.0, -0.04, -0.025, 0, -0.025),
        (0.04, -0.025, 0.05, 0.0, 0.11, 0.0),
        (0.22, 0.0, half, -0.2, half, top * 0.56),
        (half, top - 0.05, 0.1, top - 0.05, 0, top + dip),
    )
    solid(pen, fruit, color, 1.5)
    with pen.inside(fruit):
        pen.fill(ellipse(0, top + dip * 0.75, 0.12, 0.05), shadow(color, 0.4), 0)
    side = pen.light.side
    gleam = ellipse(side * half * 0.58, top * 0.68, 0.055, 0.12, side * 22)
    pen.fill(gleam, WHITE if is_white(color) else pale(color, 0.55), 0, 0.9)
    lean = rng.uniform(0.03, 0.09)
    pen.line([(0, top + dip * 0.9), (0, top - 0.04), (lean, top - 0.14)], 0.045, mix(WOOD, INK, 0.25))
    leaf = curve(
        (0.03, top),
        (0.04, top - 0.2, 0.2, top - 0.22, 0.33, top - 0.17),
        (0.28, top, 0.14, top + 0.04, 0.03, top),
    )
    pen.fill(leaf, mix(STEM, INK, 0.2) if color[1] > color[0] else STEM)
    pen.line([(0.06, top - 0.02), (0.15, top - 0.09), (0.24, top - 0.13)], 0.016, mix(STEM, WHITE, 0.4))


def paint_cactus(pen: Pen, color: Color) -> None:
    rng = pen.rng
    half, top = rng.uniform(0.115, 0.14), rng.uniform(-0.96, -0.88)
    for side in (-1, 1):
        low, reach, thick = rng.uniform(-0.46, -0.26), rng.uniform(0.31, 0.36), 0.085
        tip = low - rng.uniform(0.22, 0.34)
        arm = curve(
            (0, low + thick),
            (side * (reach - 0.06), low + thick),
            (side * (reach + thick), low + thick, side * (reach + thick), low - 0.07),
            (side * (reach + thick), tip),
            (
                side * (reach + thick),
                tip - 0.1,
                side * (reach - thick),
                tip - 0.1,
                side * (reach - thick),
                tip,
            ),
            (side * (reach - thick), low - thick),
            (0, low - thick),
        )
        solid(pen, arm, color)
        pen.line([(side * reach, low - 0.08), (side * reach, tip)], 0.024, pale(color, 0.45))
    solid(pen, box(-half, top, half, 0.02, half), color, 1.3)
    for x in (-0.38, 0.38):
        pen.line([(x * half, top + half), (x * half, -0.06)], 0.026, pale(color, 0.4))
    if rng.random() < 0.7:
        bloom = (0.99, 0.82, 0.25) if color[0] > 0.75 and color[2] > 0.3 else (0.98, 0.50, 0.68)
        for x, y, angle in around(5, 0.055, 90):
            pen.fill(ellipse(x, top + y, 0.055, 0.042, angle), bloom, 0)
        pen.fill(ellipse(0, top, 0.032), mix(bloom, CREAM, 0.75), 0)
