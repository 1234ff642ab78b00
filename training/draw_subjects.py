"""The ten subjects, each drawn in a unit box: x from -0.5 to 0.5, y from -1 (top) to 0 (what it stands on)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

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

SLATE: Final[Color] = (0.30, 0.32, 0.40)
STEM: Final[Color] = (0.30, 0.56, 0.26)
TIRE: Final[Color] = (0.16, 0.16, 0.20)


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


def _house(pen: Pen, color: Color) -> None:
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
            polygon((-eave, -low), (0, -top), (eave, -low), (eave, -low - thick), (0, -top - thick), (-eave, -low - thick)),
            roof,
        )
    else:
        pen.fill(box(-half, -wall - 0.02, half, 0), color)
        pen.fill(
            polygon((-half - 0.07, -wall), (-half * 0.7, -top), (half * 0.7, -top), (half + 0.07, -wall)), roof
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


def _tree(pen: Pen, color: Color) -> None:
    rng = pen.rng
    width = rng.uniform(0.05, 0.075)
    pen.fill(
        curve((-width * 1.7, 0), (-width, -0.1, -width * 0.8, -0.5), (width * 0.8, -0.5), (width, -0.1, width * 1.7, 0)),
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


def _sailboat(pen: Pen, color: Color) -> None:
    rng = pen.rng
    deck, mast = -0.2, rng.uniform(-0.02, 0.05)
    pen.fill(box(mast - 0.014, -1.0, mast + 0.014, deck), mix(WOOD, INK, 0.2))
    low = deck - 0.07
    belly = rng.uniform(0.05, 0.12)
    pen.fill(curve((mast - 0.035, -0.96), (mast - 0.28 - belly, -0.5, mast - 0.42, low), (mast - 0.035, low)), color)
    pale = mix(color, WHITE, rng.choice((0.0, 0.45)))
    pen.fill(curve((mast + 0.035, -0.9), (mast + 0.2 + belly, -0.5, mast + 0.36, low), (mast + 0.035, low)), pale)
    if rng.random() < 0.6:
        pen.fill(polygon((mast, -1.0), (mast + 0.13, -0.965), (mast, -0.93)), mix(color, WHITE, 0.2), 0)
    hull = curve((-0.46, deck), (0.5, deck), (0.42, -0.03, 0.26, 0.0), (-0.3, 0.0), (-0.42, -0.04, -0.46, deck))
    pen.fill(hull, rng.choice((mix(color, INK, 0.25), CREAM, WOOD)))
    with pen.inside(hull):
        pen.fill(box(-0.5, deck, 0.5, deck + 0.05), mix(color, WHITE, 0.75), 0)


def _balloon(pen: Pen, color: Color) -> None:
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
    pale = mix(color, WHITE, rng.uniform(0.5, 0.8))
    with pen.inside(envelope):
        if pattern < 0.6:
            for share in (0.33, 0.86):
                outer, inner = rx * share + 0.035, rx * share - 0.05
                ring = ellipse(0, middle, outer, 0.4)
                ring.addPath(ellipse(0, middle, inner, 0.4))
                ring.setFillType(type(ring.getFillType()).kEvenOdd)
                pen.fill(ring, pale if share < 0.5 else mix(color, INK, 0.18), 0.6)
        elif pattern < 0.85:
            y = rng.uniform(-0.72, -0.6)
            pen.fill(box(-0.5, y, 0.5, y + 0.11), pale, 1.2)
    pen.fill(box(-0.12, -0.27, 0.12, -0.235, 0.015), mix(color, INK, 0.35))
    pen.fill(box(-0.085, -0.14, 0.085, 0, 0.025), (0.66, 0.44, 0.26))
    pen.fill(box(-0.1, -0.15, 0.1, -0.115, 0.012), (0.45, 0.28, 0.16), 0)


def _mushroom(pen: Pen, color: Color) -> None:
    rng = pen.rng
    rim, half, top = rng.uniform(-0.48, -0.4), rng.uniform(0.42, 0.48), rng.uniform(-0.98, -0.84)
    waist, foot = rng.uniform(0.09, 0.13), rng.uniform(0.14, 0.18)
    stem = curve(
        (-foot, 0), (-waist * 0.8, -0.2, -waist, rim), (waist, rim), (waist * 0.8, -0.2, foot, 0), (0, 0.035, -foot, 0)
    )
    pen.fill(stem, (0.97, 0.92, 0.82), 1.3)
    pen.fill(ellipse(0, rim, half * 0.86, 0.075), (0.86, 0.76, 0.64), 0.6)
    if rng.random() < 0.5:
        pen.fill(curve((-waist - 0.03, rim + 0.14), (0, rim + 0.2, waist + 0.03, rim + 0.14), (waist, rim + 0.06), (-waist, rim + 0.06)), (0.93, 0.87, 0.76))
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
        for x, y, r in ((-0.27, 0.3, 0.06), (-0.05, 0.62, 0.075), (0.19, 0.36, 0.065), (0.36, 0.12, 0.045), (-0.4, 0.05, 0.04), (0.02, 0.16, 0.045)):
            x, y = x + rng.uniform(-0.03, 0.03), rim - tall * y + rng.uniform(-0.02, 0.02)
            pen.fill(ellipse(x, y, r * rng.uniform(0.85, 1.15), r * 0.85), (1.0, 0.98, 0.93), 0.4)


def _lighthouse(pen: Pen, color: Color) -> None:
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
    pen.fill(curve((-0.11, top - 0.145), (-0.09, -0.965, 0, -0.985), (0.09, -0.965, 0.11, top - 0.145)), mix(color, INK, 0.2), 1.2)
    pen.line([(0, -0.97), (0, -1.02)], 0.016, SLATE)


def _wheel(pen: Pen, x: float, radius: float) -> None:
    pen.fill(ellipse(x, -radius, radius), TIRE, 0.4)
    pen.fill(ellipse(x, -radius, radius * 0.55), (0.80, 0.82, 0.86), 1.0)
    pen.fill(ellipse(x, -radius, radius * 0.18), (0.45, 0.47, 0.52), 0)


def _car(pen: Pen, color: Color) -> None:
    rng = pen.rng
    radius, waist = rng.uniform(0.095, 0.11), rng.uniform(-0.3, -0.27)
    roof, shape = rng.uniform(-0.52, -0.46), rng.random()
    if shape < 0.45:  # a beetle: one round back
        cabin = curve((-0.4, waist), (-0.36, roof - 0.02, -0.02, roof - 0.02), (0.2, roof, 0.28, waist))
        glass = curve((-0.3, waist), (-0.26, roof + 0.05, -0.02, roof + 0.045), (0.14, roof + 0.06, 0.2, waist))
    elif shape < 0.8:  # a saloon
        cabin = polygon((-0.33, waist), (-0.23, roof), (0.1, roof), (0.26, waist))
        glass = polygon((-0.265, waist), (-0.195, roof + 0.045), (0.075, roof + 0.045), (0.19, waist))
    else:  # a van
        cabin = curve((-0.46, waist), (-0.46, roof - 0.04), (0.18, roof - 0.04), (0.26, roof, 0.36, waist))
        glass = curve((-0.4, waist - 0.01), (-0.4, roof + 0.02), (0.15, roof + 0.02), (0.21, roof + 0.04, 0.28, waist - 0.01))
    pen.fill(cabin, color)
    if pen.light.lamps:
        pen.fall(glass, LAMP, mix(LAMP, (0.9, 0.6, 0.3), 0.4))
    else:
        pen.fill(glass, GLASS, 1.3)
    pen.fill(box(-0.07, roof + 0.02, -0.035, waist + 0.01), color, 0)
    body = curve(
        (-0.49, -0.1), (-0.5, waist - 0.01, -0.4, waist - 0.01), (0.27, waist - 0.01), (0.5, waist + 0.01, 0.5, -0.1),
        (0.5, -0.075, 0.46, -0.075), (-0.46, -0.075), (-0.49, -0.075, -0.49, -0.1),
    )  # fmt: skip
    pen.fill(body, color, 1.2)
    pen.fill(box(-0.49, -0.115, 0.5, -0.085), mix(color, INK, 0.35), 0)
    pen.fill(box(-0.12, waist + 0.055, -0.04, waist + 0.075, 0.008), mix(color, INK, 0.4), 0)
    pen.fill(ellipse(0.455, -0.2, 0.032, 0.04), (1.0, 0.95, 0.7), 0)
    if pen.light.lamps:
        pen.glow(0.47, -0.2, 0.16, LAMP, 0.8)
    pen.fill(box(-0.495, -0.23, -0.465, -0.17, 0.01), (0.85, 0.2, 0.2), 0)
    for x in (-0.27, 0.28):
        pen.fill(ellipse(x, -radius - 0.01, radius * 1.2), mix(color, INK, 0.55), 0)
        _wheel(pen, x, radius)


def _fish(pen: Pen, color: Color) -> None:
    rng = pen.rng
    tall, y = rng.uniform(0.19, 0.25), -0.32
    fin, dark = mix(color, WHITE, 0.3), mix(color, INK, 0.25)
    sweep = rng.uniform(0.16, 0.22)
    pen.fill(curve((-0.22, y), (-0.42, y - sweep * 1.2, -0.5, y - sweep), (-0.4, y, -0.5, y + sweep), (-0.42, y + sweep * 1.2, -0.22, y)), fin)
    pen.fill(curve((-0.1, y - tall * 0.8), (-0.05, y - tall - 0.16, 0.16, y - tall - 0.08), (0.2, y - tall * 0.7)), fin)
    pen.fill(curve((-0.04, y + tall * 0.8), (-0.06, y + tall + 0.12, 0.08, y + tall + 0.06), (0.12, y + tall * 0.7)), fin)
    body = curve(
        (-0.3, y), (-0.18, y - tall * 1.3, 0.22, y - tall * 1.35, 0.48, y), (0.22, y + tall * 1.35, -0.18, y + tall * 1.3, -0.3, y)
    )
    pen.fill(body, color, 1.0)
    with pen.inside(body):
        pen.fill(ellipse(0.08, y + tall * 1.05, 0.36, tall * 0.55), mix(color, WHITE, 0.5), 0, 0.8)
        if rng.random() < 0.5:
            for x in (-0.12, 0.02):
                pen.fill(curve((x, y - 0.4), (x + 0.08, y, x, y + 0.4), (x + 0.05, y + 0.4), (x + 0.13, y, x + 0.05, y - 0.4)), mix(color, WHITE, 0.65), 0)
    pen.fill(curve((0.06, y + 0.02), (-0.02, y + 0.1, -0.08, y + 0.07), (-0.06, y + 0.0, 0.06, y - 0.01)), dark, 0)
    pen.fill(ellipse(0.3, y - tall * 0.3, 0.05), WHITE, 0)
    pen.fill(ellipse(0.312, y - tall * 0.3, 0.027), INK, 0)
    pen.line([(0.4, y + 0.055), (0.37, y + 0.07), (0.335, y + 0.06)], 0.014, mix(color, INK, 0.5))


def _flower(pen: Pen, color: Color) -> None:
    rng = pen.rng
    y, bend = -0.68, rng.uniform(-0.06, 0.06)
    pen.line([(bend, 0), (bend * 1.6, -0.25), (0, y)], 0.045, STEM)
    for side in (-1, 1):
        low = rng.uniform(-0.18, -0.1)
        leaf = curve((bend, low), (side * 0.12, low - 0.22, side * 0.32, low - 0.15), (side * 0.2, low + 0.06, bend, low))
        pen.fill(leaf, mix(STEM, WHITE, 0.1 if side < 0 else 0.0))
    if rng.random() < 0.25:  # a tulip
        back, front = mix(color, INK, 0.2), color
        pen.fill(curve((-0.2, y), (-0.26, -0.9, -0.12, -0.98), (0, -0.85), (0.12, -0.98), (0.26, -0.9, 0.2, y)), back)
        pen.fill(curve((-0.21, y + 0.02), (-0.27, -0.86, -0.24, -0.93), (-0.1, -0.85, 0, y + 0.13), (-0.18, y + 0.13, -0.21, y + 0.02)), front)
        pen.fill(curve((0.21, y + 0.02), (0.27, -0.86, 0.24, -0.93), (0.1, -0.85, 0, y + 0.13), (0.18, y + 0.13, 0.21, y + 0.02)), front)
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


def _rocket(pen: Pen, color: Color) -> None:
    rng = pen.rng
    half, fin = rng.uniform(0.14, 0.17), mix(color, INK, 0.32)
    base, flying = -0.2, rng.random() < 0.75
    if flying:
        pen.glow(0, -0.08, 0.22, (1.0, 0.7, 0.3), 0.5)
        pen.fall(curve((-0.1, base), (-0.13, -0.04, 0, 0.04), (0.13, -0.04, 0.1, base)), (1.0, 0.72, 0.2), (0.98, 0.42, 0.12))
        pen.fall(curve((-0.05, base), (-0.06, -0.1, 0, -0.05), (0.06, -0.1, 0.05, base)), (1.0, 0.97, 0.75), (1.0, 0.85, 0.3))
    for side in (-1, 1):
        pen.fill(curve((side * half * 0.8, -0.45), (side * 0.34, -0.36, side * 0.33, -0.1), (side * 0.22, -0.2, side * half * 0.6, base)), fin)
    if not flying:
        pen.fill(box(-0.03, base, 0.03, -0.08), fin)
    pen.fill(box(-0.09, base - 0.02, 0.09, base + 0.04, 0.01), SLATE)
    body = curve((-half * 0.75, base), (-half * 1.5, -0.6, -half * 0.7, -0.85, 0, -1.0), (half * 0.7, -0.85, half * 1.5, -0.6, half * 0.75, base))
    pen.fill(body, color, 1.4)
    with pen.inside(body):
        nose = rng.choice((CREAM, mix(color, INK, 0.4)))
        pen.fill(curve((-0.4, -0.77), (0, -0.72, 0.4, -0.77), (0.4, -1.1), (-0.4, -1.1)), nose, 1.2)
        if rng.random() < 0.6:
            pen.fill(box(-0.4, -0.33, 0.4, -0.285), CREAM, 1.0)
    pen.fill(ellipse(0, -0.57, 0.083), CREAM, 0.6)
    if pen.light.lamps:
        pen.fall(ellipse(0, -0.57, 0.06), LAMP, LAMP)
    else:
        pen.fill(ellipse(0, -0.57, 0.06), (0.34, 0.62, 0.82), 1.2)


@dataclass(frozen=True, slots=True)
class Look:
    """How a subject is drawn and where it stands: its height over its width, and whether it floats or swims."""

    paint: Callable[[Pen, Color], None]
    height: float = 1.0  # of what is drawn, in units of the box
    hover: float = 0.0  # how far above the ground it may float, in units of the box
    swims: bool = False  # lies in water
    turn: float = 0.0  # how far it may lean either way, degrees
    width: float = 0.8  # of the shadow, in units of the box


LOOKS: Final[Mapping[str, Look]] = {
    "house": Look(_house, 0.95, width=0.95),
    "tree": Look(_tree, turn=3, width=0.7),
    "sailboat": Look(_sailboat, turn=5, swims=True, width=1.3),
    "hot-air balloon": Look(_balloon, hover=0.16, turn=4, width=0.4),
    "mushroom": Look(_mushroom, 0.95, turn=5, width=0.5),
    "lighthouse": Look(_lighthouse, 1.02, width=0.5),
    "car": Look(_car, 0.55, width=1.05),
    "fish": Look(_fish, 0.72, hover=0.1, turn=12, swims=True, width=1.15),
    "flower": Look(_flower, turn=6, width=0.3),
    "rocket": Look(_rocket, hover=0.1, turn=12, width=0.35),
}
