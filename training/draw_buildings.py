"""Subjects that stand, each drawn in a unit box: x from -0.5 to 0.5, y from -1 (top) to 0 (the ground)."""

from __future__ import annotations

from typing import Final

from training.pen import CREAM, GLASS, INK, LAMP, WOOD, Color, Pen, box, curve, ellipse, mix, polygon

SLATE: Final[Color] = (0.30, 0.32, 0.40)


def _pane(pen: Pen, left: float, top: float, right: float, bottom: float) -> None:
    """A window with a frame; it glows where lamps are lit."""
    pen.fill(box(left - 0.015, top - 0.015, right + 0.015, bottom + 0.015, 0.012), CREAM, 0)
    glass = box(left, top, right, bottom)
    if pen.light.lamps:
        pen.fall(glass, LAMP, mix(LAMP, (1.0, 0.7, 0.3), 0.5))
    else:
        pen.fill(glass, GLASS, 1.2)
    middle = (left + right) / 2
    pen.fill(box(middle - 0.007, top, middle + 0.007, bottom), CREAM, 0)


def paint_house(pen: Pen, color: Color) -> None:
    rng = pen.rng
    half, wall = rng.uniform(0.36, 0.42), rng.uniform(0.44, 0.54)
    roof = rng.choice((SLATE, WOOD, mix(color, INK, 0.62)))
    top = wall + rng.uniform(0.3, 0.38)
    chimney = rng.choice((-1, 1)) * half * 0.55
    pen.fill(box(chimney - 0.05, -top - 0.02, chimney + 0.05, -wall), mix(roof, (0.6, 0.35, 0.28), 0.5))
    gabled = rng.random() < 0.6
    if gabled:
        pen.fill(polygon((-half, 0), (-half, -wall), (0, -top + 0.03), (half, -wall), (half, 0)), color)
        thick, eave = 0.085, half + 0.075
        slope = (top - wall) / half
        low = wall - slope * 0.075
        pen.fill(
            polygon(
                (-eave, -low),
                (0, -top),
                (eave, -low),
                (eave, -low - thick),
                (0, -top - thick),
                (-eave, -low - thick),
            ),
            roof,
        )
    else:
        pen.fill(box(-half, -wall - 0.02, half, 0), color)
        pen.fill(
            polygon((-half - 0.07, -wall), (-half * 0.7, -top), (half * 0.7, -top), (half + 0.07, -wall)),
            roof,
        )
        pen.fill(box(-half, -wall, half, -wall + 0.03), mix(color, INK, 0.35), 0)
    door = rng.choice((-1, 0, 1)) * half * 0.5
    pen.fill(box(door - 0.075, -0.27, door + 0.075, 0, 0.0), mix(WOOD, INK, 0.2))
    pen.fill(ellipse(door + 0.045, -0.13, 0.012), LAMP, 0)
    width, y = 0.075, -wall * 0.55
    for x in (-half * 0.55, half * 0.55) if door == 0 else (-door, 0.0):
        if abs(x - door) > 0.16:
            _pane(pen, x - width, y - 0.1, x + width, y + 0.07)
    if gabled and rng.random() < 0.7:
        pen.fill(ellipse(0, -wall - 0.06, 0.068), CREAM, 0)
        if pen.light.lamps:
            pen.fall(ellipse(0, -wall - 0.06, 0.05), LAMP, LAMP)
        else:
            pen.fill(ellipse(0, -wall - 0.06, 0.05), GLASS)


def paint_lighthouse(pen: Pen, color: Color) -> None:
    rng = pen.rng
    foot, neck, top = rng.uniform(0.17, 0.2), rng.uniform(0.105, 0.125), -0.72
    if pen.light.lamps:
        for side in (-1, 1):
            beam = polygon((0, -0.79), (side * 0.9, -0.98), (side * 0.9, -0.66))
            pen.canvas.save()
            pen.glow(side * 0.05, -0.8, 0.12, LAMP, 0.8)
            with pen.inside(beam):
                pen.glow(0, -0.79, 0.85, LAMP, 0.6)
            pen.canvas.restore()
    tower = polygon((-foot, 0), (-neck, top), (neck, top), (foot, 0))
    pen.fill(tower, color, 1.4)
    bands = rng.choice((2, 3))
    with pen.inside(tower):
        for i in range(bands):
            y = top * (i + 0.62) / bands
            pen.fill(box(-foot, y, foot, y - top * 0.36 / bands), CREAM, 1.4)
    pen.fill(box(-0.045, -0.17, 0.045, 0, 0.04), mix(WOOD, INK, 0.3), 0)
    pen.fill(box(-neck - 0.055, top - 0.035, neck + 0.055, top + 0.005, 0.01), SLATE)
    lamp = box(-0.075, top - 0.15, 0.075, top - 0.035)
    pen.fall(lamp, (1.0, 0.95, 0.65), LAMP) if pen.light.lamps else pen.fill(lamp, (0.99, 0.90, 0.56), 0.5)
    for x in (-0.04, 0.04):
        pen.fill(box(x - 0.006, top - 0.15, x + 0.006, top - 0.035), SLATE, 0)
    pen.fill(
        curve((-0.11, top - 0.145), (-0.09, -0.965, 0, -0.985), (0.09, -0.965, 0.11, top - 0.145)),
        mix(color, INK, 0.2),
        1.2,
    )
    pen.line([(0, -0.97), (0, -1.02)], 0.016, SLATE)
