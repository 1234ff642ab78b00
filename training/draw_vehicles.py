"""Subjects that travel, each drawn in a unit box: x from -0.5 to 0.5, y from -1 (top) to 0 (the ground)."""

from __future__ import annotations

from typing import Final

import skia

from training.draw_buildings import brightness, deep, trim
from training.pen import (
    CREAM,
    GLASS,
    INK,
    LAMP,
    WHITE,
    WOOD,
    Color,
    Pen,
    around,
    box,
    curve,
    ellipse,
    mix,
    polygon,
)

STEEL: Final[Color] = (0.30, 0.32, 0.40)
TIRE: Final[Color] = (0.16, 0.16, 0.20)


def _without(outer: skia.Path, inner: skia.Path) -> skia.Path:
    outer.addPath(inner)
    outer.setFillType(skia.PathFillType.kEvenOdd)
    return outer


def paint_sailboat(pen: Pen, color: Color) -> None:
    rng = pen.rng
    deck, mast = -0.2, rng.uniform(-0.02, 0.05)
    pen.fill(box(mast - 0.014, -1.0, mast + 0.014, deck), mix(WOOD, INK, 0.2))
    low = deck - 0.07
    belly = rng.uniform(0.05, 0.12)
    pen.fill(
        curve((mast - 0.035, -0.96), (mast - 0.28 - belly, -0.5, mast - 0.42, low), (mast - 0.035, low)),
        color,
    )
    pale = rng.choice(
        (color, mix(color, WHITE, 0.4) if 0.25 < brightness(color) < 0.87 else deep(color, 0.16))
    )
    pen.fill(
        curve((mast + 0.035, -0.9), (mast + 0.2 + belly, -0.5, mast + 0.36, low), (mast + 0.035, low)), pale
    )
    if rng.random() < 0.6:
        pen.fill(polygon((mast, -1.0), (mast + 0.13, -0.965), (mast, -0.93)), mix(color, WHITE, 0.2), 0)
    hull = curve(
        (-0.46, deck), (0.5, deck), (0.42, -0.03, 0.26, 0.0), (-0.3, 0.0), (-0.42, -0.04, -0.46, deck)
    )
    pen.fill(hull, rng.choice((deep(color, 0.25), CREAM, WOOD)))
    with pen.inside(hull):
        pen.fill(
            box(-0.5, deck, 0.5, deck + 0.05),
            mix(color, WHITE, 0.75) if brightness(color) < 0.87 else trim(color),
            0,
        )


def paint_balloon(pen: Pen, color: Color) -> None:
    rng = pen.rng
    rx, middle = rng.uniform(0.34, 0.38), -0.63
    for x in (-0.07, 0.07):
        pen.line([(x * 2.2, -0.34), (x, -0.13)], 0.012, mix(WOOD, INK, 0.3))
    envelope = curve(
        (-0.12, -0.25),
        (-0.18, -0.36, -rx, -0.42, -rx, middle),
        (-rx, -0.88, -rx * 0.55, -1.0, 0, -1.0),
        (rx * 0.55, -1.0, rx, -0.88, rx, middle),
        (rx, -0.42, 0.18, -0.36, 0.12, -0.25),
    )
    pen.fill(envelope, color, 1.2)
    pattern = rng.random()
    pale = mix(color, WHITE, rng.uniform(0.5, 0.8)) if brightness(color) < 0.87 else trim(color)
    with pen.inside(envelope):
        if pattern < 0.6:
            for share in (0.33, 0.86):
                ring = _without(
                    ellipse(0, middle, rx * share + 0.035, 0.4), ellipse(0, middle, rx * share - 0.05, 0.4)
                )
                pen.fill(ring, pale if share < 0.5 else deep(color, 0.2), 0.6)
        elif pattern < 0.85:
            y = rng.uniform(-0.72, -0.6)
            pen.fill(box(-0.5, y, 0.5, y + 0.11), pale, 1.2)
    pen.fill(box(-0.12, -0.27, 0.12, -0.235, 0.015), deep(color, 0.35))
    pen.fill(box(-0.085, -0.14, 0.085, 0, 0.025), (0.66, 0.44, 0.26))
    pen.fill(box(-0.1, -0.15, 0.1, -0.115, 0.012), (0.45, 0.28, 0.16), 0)


def _wheel(pen: Pen, x: float, radius: float) -> None:
    pen.fill(ellipse(x, -radius, radius), TIRE, 0.4)
    pen.fill(ellipse(x, -radius, radius * 0.55), (0.80, 0.82, 0.86), 1.0)
    pen.fill(ellipse(x, -radius, radius * 0.18), (0.45, 0.47, 0.52), 0)


def paint_car(pen: Pen, color: Color) -> None:
    rng = pen.rng
    radius, waist = rng.uniform(0.095, 0.11), rng.uniform(-0.3, -0.27)
    roof, shape = rng.uniform(-0.52, -0.46), rng.random()
    if shape < 0.45:  # a beetle: one round back
        cabin = curve((-0.4, waist), (-0.36, roof - 0.02, -0.02, roof - 0.02), (0.2, roof, 0.28, waist))
        glass = curve(
            (-0.3, waist), (-0.26, roof + 0.05, -0.02, roof + 0.045), (0.14, roof + 0.06, 0.2, waist)
        )
    elif shape < 0.8:  # a saloon
        cabin = polygon((-0.33, waist), (-0.23, roof), (0.1, roof), (0.26, waist))
        glass = polygon((-0.265, waist), (-0.195, roof + 0.045), (0.075, roof + 0.045), (0.19, waist))
    else:  # a van
        cabin = curve((-0.46, waist), (-0.46, roof - 0.04), (0.18, roof - 0.04), (0.26, roof, 0.36, waist))
        glass = curve(
            (-0.4, waist - 0.01),
            (-0.4, roof + 0.02),
            (0.15, roof + 0.02),
            (0.21, roof + 0.04, 0.28, waist - 0.01),
        )
    pen.fill(cabin, color)
    if pen.light.lamps:
        pen.fall(glass, LAMP, mix(LAMP, (0.9, 0.6, 0.3), 0.4))
    else:
        pen.fill(glass, GLASS, 1.3)
    pen.fill(box(-0.07, roof + 0.02, -0.035, waist + 0.01), color, 0)
    body = curve(
        (-0.49, -0.1),
        (-0.5, waist - 0.01, -0.4, waist - 0.01),
        (0.27, waist - 0.01),
        (0.5, waist + 0.01, 0.5, -0.1),
        (0.5, -0.075, 0.46, -0.075),
        (-0.46, -0.075),
        (-0.49, -0.075, -0.49, -0.1),
    )
    pen.fill(body, color, 1.2)
    pen.fill(box(-0.49, -0.115, 0.5, -0.085), deep(color, 0.35), 0)
    pen.fill(box(-0.12, waist + 0.055, -0.04, waist + 0.075, 0.008), deep(color, 0.4), 0)
    pen.fill(ellipse(0.455, -0.2, 0.032, 0.04), (1.0, 0.95, 0.7), 0)
    if pen.light.lamps:
        pen.glow(0.47, -0.2, 0.16, LAMP, 0.8)
    pen.fill(box(-0.495, -0.23, -0.465, -0.17, 0.01), (0.85, 0.2, 0.2), 0)
    for x in (-0.27, 0.28):
        pen.fill(ellipse(x, -radius - 0.01, radius * 1.2), deep(color, 0.5), 0)
        _wheel(pen, x, radius)


def paint_rocket(pen: Pen, color: Color) -> None:
    rng = pen.rng
    half, fin = rng.uniform(0.14, 0.17), deep(color, 0.22)
    base, flying = -0.2, rng.random() < 0.75
    if flying:
        pen.glow(0, -0.08, 0.22, (1.0, 0.7, 0.3), 0.5)
        pen.fall(
            curve((-0.1, base), (-0.13, -0.04, 0, 0.04), (0.13, -0.04, 0.1, base)),
            (1.0, 0.72, 0.2),
            (0.98, 0.42, 0.12),
        )
        pen.fall(
            curve((-0.05, base), (-0.06, -0.1, 0, -0.05), (0.06, -0.1, 0.05, base)),
            (1.0, 0.97, 0.75),
            (1.0, 0.85, 0.3),
        )
    for side in (-1, 1):
        pen.fill(
            curve(
                (side * half * 0.8, -0.45),
                (side * 0.34, -0.36, side * 0.33, -0.1),
                (side * 0.22, -0.2, side * half * 0.6, base),
            ),
            fin,
        )
    if not flying:
        pen.fill(box(-0.03, base, 0.03, -0.08), fin)
    pen.fill(box(-0.09, base - 0.02, 0.09, base + 0.04, 0.01), STEEL)
    body = curve(
        (-half * 0.75, base),
        (-half * 1.5, -0.6, -half * 0.7, -0.85, 0, -1.0),
        (half * 0.7, -0.85, half * 1.5, -0.6, half * 0.75, base),
    )
    pen.fill(body, color, 1.0)
    with pen.inside(body):
        nose = rng.choice((CREAM, deep(color, 0.32)))
        pen.fill(curve((-0.4, -0.77), (0, -0.72, 0.4, -0.77), (0.4, -1.1), (-0.4, -1.1)), nose, 1.2)
        if rng.random() < 0.6:
            pen.fill(box(-0.4, -0.33, 0.4, -0.285), trim(color), 1.0)
    pen.fill(ellipse(0, -0.57, 0.083), trim(color), 0.6)
    if pen.light.lamps:
        pen.fall(ellipse(0, -0.57, 0.06), LAMP, LAMP)
    else:
        pen.fill(ellipse(0, -0.57, 0.06), (0.34, 0.62, 0.82), 1.2)


def paint_bicycle(pen: Pen, color: Color) -> None:
    rng = pen.rng
    radius, hub = rng.uniform(0.2, 0.215), 0.285
    y = -radius
    crank, seat = (-0.03, y - 0.005), (-0.13, rng.uniform(-0.53, -0.5))
    head, bar = (0.19, seat[1] + 0.03), (0.165, seat[1] - 0.1)
    frame = mix(color, WHITE, 0.24 if pen.light.lamps and brightness(color) < 0.25 else 0.03)
    rubber = (0.54, 0.57, 0.64) if brightness(color) < 0.25 else (0.26, 0.27, 0.33)
    for x in (-hub, hub):
        for dx, dy, _ in around(3, radius - 0.04):
            pen.line([(x - dx, y - dy), (x + dx, y + dy)], 0.011, (0.80, 0.83, 0.88))
        pen.fill(_without(ellipse(x, y, radius), ellipse(x, y, radius - 0.03)), rubber, 0)
        pen.fill(_without(ellipse(x, y, radius - 0.024), ellipse(x, y, radius - 0.07)), color, 0.5)
    rear, front = (-hub, y), (hub, y)
    for a, b in (
        (rear, crank),
        (rear, seat),
        (seat, crank),
        (crank, head),
        ((-0.115, seat[1] + 0.07), head),
        (head, front),
        (bar, head),
    ):
        pen.line([a, b], 0.066, frame)
    pen.fill(ellipse(*crank, 0.05), deep(color, 0.35), 0)
    pen.line([(crank[0] - 0.05, y - 0.06), (crank[0] + 0.05, y + 0.06)], 0.022, rubber)
    pen.fill(ellipse(*rear, 0.035), rubber, 0)
    pen.fill(ellipse(*front, 0.035), rubber, 0)
    leather = mix(WOOD, INK, 0.2)
    pen.fill(
        curve(
            (-0.24, seat[1] - 0.05),
            (-0.14, seat[1] - 0.07, -0.02, seat[1] - 0.035),
            (-0.04, seat[1] + 0.005),
            (-0.22, seat[1] + 0.04, -0.24, seat[1] - 0.05),
        ),
        leather,
        0,
    )
    pen.line(
        [bar, (0.2, bar[1] - 0.03), (0.28, bar[1] + 0.02)]
        if rng.random() < 0.5
        else [bar, (0.1, bar[1] - 0.05), (0.05, bar[1] + 0.01)],
        0.036,
        leather,
    )
    if rng.random() < 0.35:
        top, low = head[1] - 0.07, head[1] + 0.08
        basket = polygon((0.22, top), (0.43, top), (0.4, low), (0.24, low))
        pen.fill(basket, (0.76, 0.56, 0.34), 0.8)
    elif pen.light.lamps:
        pen.glow(0.3, head[1], 0.13, LAMP, 0.8)
        pen.fall(ellipse(0.25, head[1], 0.04), WHITE, LAMP)
