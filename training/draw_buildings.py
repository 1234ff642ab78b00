"""Subjects that stand, each drawn in a unit box: x from -0.5 to 0.5, y from -1 (top) to 0 (the ground)."""

from __future__ import annotations

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


def brightness(color: Color) -> float:
    """How light the colour looks, 0 to 1 (the luma of ITU-R BT.601)."""
    return 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]


def deep(color: Color, share: float) -> Color:
    """A tone of the same colour that stands out on it: darker, or lighter for what is nearly black."""
    if brightness(color) < 0.25:
        return mix(color, (0.62, 0.66, 0.78), 0.05 + share * 0.85)
    if brightness(color) > 0.9:
        return mix(color, (0.22, 0.26, 0.42), share * 0.8)
    warm = color[0] > color[2] + 0.1  # ink would turn yellow to olive and orange to brown
    if warm and brightness(color) > 0.5:
        return mix(color, (0.62, 0.24, 0.12), share * 0.7)
    return mix(color, (0.26, 0.09, 0.13) if warm else INK, share)


def trim(color: Color) -> Color:
    """The colour of stripes and frames: cream, or a soft blue on white."""
    return (0.50, 0.63, 0.83) if brightness(color) > 0.87 else CREAM


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
    brown = max(abs(a - b) for a, b in zip(color, WOOD, strict=True)) < 0.15
    roof = rng.choice((SLATE, (0.72, 0.34, 0.22) if brown else WOOD, deep(color, 0.6)))
    top = wall + rng.uniform(0.3, 0.38)
    chimney = rng.choice((-1, 1)) * half * 0.55
    pen.fill(box(chimney - 0.05, -top - 0.02, chimney + 0.05, -wall), mix(roof, (0.6, 0.35, 0.28), 0.5))
    gabled = rng.random() < 0.6
    if gabled:
        pen.fill(
            polygon((-half, 0), (-half, -wall - 0.03), (0, -top - 0.03), (half, -wall - 0.03), (half, 0)),
            color,
        )
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
        pen.fill(box(-half, -wall, half, -wall + 0.03), deep(color, 0.35), 0)
    door = rng.choice((-1, 0, 1)) * half * 0.5
    pen.fill(
        box(door - 0.075, -0.27, door + 0.075, 0, 0.0), mix(WOOD, *((CREAM, 0.6) if brown else (INK, 0.2)))
    )
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
    pen.fill(tower, color, 1.15)
    bands, wide = rng.choice((2, 3)), 0.24 if brightness(color) > 0.87 else 0.32
    with pen.inside(tower):
        for i in range(bands):
            y = top * (i + 0.62) / bands
            pen.fill(box(-foot, y, foot, y - top * wide / bands), trim(color), 1.4)
    pen.fill(box(-0.045, -0.17, 0.045, 0, 0.04), mix(WOOD, INK, 0.3), 0)
    pen.fill(box(-neck - 0.055, top - 0.035, neck + 0.055, top + 0.005, 0.01), SLATE)
    lamp = box(-0.075, top - 0.15, 0.075, top - 0.035)
    pen.fall(lamp, (1.0, 0.95, 0.65), LAMP) if pen.light.lamps else pen.fill(lamp, (0.99, 0.90, 0.56), 0.5)
    for x in (-0.04, 0.04):
        pen.fill(box(x - 0.006, top - 0.15, x + 0.006, top - 0.035), SLATE, 0)
    pen.fill(
        curve((-0.11, top - 0.145), (-0.09, -0.965, 0, -0.985), (0.09, -0.965, 0.11, top - 0.145)),
        deep(color, 0.25),
        1.2,
    )
    pen.line([(0, -0.97), (0, -1.02)], 0.016, SLATE)


def _turret(pen: Pen, x: float, half: float, low: float, top: float, color: Color) -> None:
    """A tower from `low` to `top` with a crown of four merlons that is a little wider than it."""
    pen.fill(box(x - half, top, x + half, low), color, 1.3)
    crown, tooth = half + 0.03, (half + 0.03) * 2 / 7
    teeth = box(x - crown, top - 0.005, x + crown, top + 0.075)
    for i in range(4):
        left = x - crown + 2 * i * tooth
        teeth.addPath(box(left, top - 0.075, left + tooth, top))
    pen.fill(teeth, deep(color, 0.16), 1.3)


def _cone(pen: Pen, x: float, half: float, low: float, top: float, color: Color) -> None:
    """A pointed roof with eaves that curve outwards."""
    pen.fill(
        curve(
            (x - half - 0.055, low),
            (x - half * 0.55, low + (top - low) * 0.4, x, top),
            (x + half * 0.55, low + (top - low) * 0.4, x + half + 0.055, low),
            (x, low + 0.035, x - half - 0.055, low),
        ),
        color,
        1.2,
    )


def _slit(pen: Pen, x: float, y: float) -> None:
    """A narrow arched window; it glows where lamps are lit."""
    window = curve(
        (x - 0.03, y + 0.06),
        (x - 0.03, y),
        (x - 0.03, y - 0.055, x + 0.03, y - 0.055, x + 0.03, y),
        (x + 0.03, y + 0.06),
    )
    if pen.light.lamps:
        pen.fall(window, LAMP, mix(LAMP, (1.0, 0.7, 0.3), 0.5))
    else:
        pen.fill(window, mix(SLATE, INK, 0.4), 0)


def paint_castle(pen: Pen, color: Color) -> None:
    rng = pen.rng
    roof, pointed = deep(color, 0.4), rng.random() < 0.7
    side, half, keep = rng.uniform(0.33, 0.35), rng.uniform(0.115, 0.135), rng.uniform(0.15, 0.18)
    eaves, wall = rng.uniform(-0.58, -0.52), rng.uniform(-0.38, -0.34)
    flag = rng.choice(((0.93, 0.27, 0.25), (0.99, 0.80, 0.25), CREAM))
    pen.line([(0, -0.8), (0, -1.04)], 0.016, SLATE)
    pen.fill(polygon((0.005, -1.05), (0.15, -1.005), (0.005, -0.955)), flag, 0)
    if pointed:
        pen.fill(box(-keep, -0.7, keep, -0.1), mix(color, WHITE, 0.06), 1.3)
        _cone(pen, 0, keep, -0.69, -0.96, roof)
    else:
        _turret(pen, 0, keep, -0.1, -0.77, mix(color, WHITE, 0.06))
    _slit(pen, 0, -0.57)
    pen.fill(box(-side, wall, side, 0), deep(color, 0.1), 0.9)
    for x in (-0.16, -0.055, 0.055, 0.16):
        pen.fill(box(x - 0.03, wall - 0.055, x + 0.03, wall + 0.01), deep(color, 0.1), 0)
    for x in (-side, side):
        if pointed:
            pen.fill(box(x - half, eaves, x + half, 0), color, 1.3)
            _cone(pen, x, half, eaves, eaves - 0.26, roof)
        else:
            _turret(pen, x, half, 0, eaves, color)
        _slit(pen, x, eaves + 0.19)
    gate = curve((-0.12, 0), (-0.12, -0.16), (-0.12, -0.29, 0.12, -0.29, 0.12, -0.16), (0.12, 0))
    pen.fill(gate, trim(color), 0)
    pen.fill(
        curve((-0.09, 0), (-0.09, -0.15), (-0.09, -0.255, 0.09, -0.255, 0.09, -0.15), (0.09, 0)),
        mix(WOOD, INK, 0.35),
        0.5,
    )


def paint_windmill(pen: Pen, color: Color) -> None:
    rng = pen.rng
    foot, neck, hub = rng.uniform(0.24, 0.28), rng.uniform(0.16, 0.18), -0.66
    tower = polygon((-foot, 0), (-neck, hub), (neck, hub), (foot, 0))
    pen.fill(tower, color, 1.1)
    with pen.inside(tower):
        pen.fill(box(-foot, -0.3, foot, -0.26), deep(color, 0.3), 0)
    pen.fill(
        curve((-neck - 0.045, hub + 0.02), (-neck, hub - 0.22, neck, hub - 0.22, neck + 0.045, hub + 0.02)),
        deep(color, 0.3),
        1.0,
    )
    pen.fill(box(-0.065, -0.18, 0.065, 0, 0.03), mix(WOOD, INK, 0.25), 0)
    _slit(pen, 0, -0.4)
    spar, cloth = mix(WOOD, INK, 0.1), mix(trim(color), WHITE, 0.4)
    reach = rng.uniform(0.38, 0.42)
    for along, across, _ in around(4, 1.0, rng.uniform(18, 72)):

        def at(out: float, wide: float, x: float = along, y: float = across) -> tuple[float, float]:
            return (x * out - y * wide, hub + y * out + x * wide)

        pen.fill(polygon(at(0.1, 0.0), at(reach, 0.0), at(reach, 0.1), at(0.1, 0.08)), cloth, 0.6)
        pen.line([at(0.62 * reach, 0.0), at(0.62 * reach, 0.09)], 0.016, spar)
        pen.line([(0, hub), at(reach + 0.01, 0.0)], 0.03, spar)
    pen.fill(ellipse(0, hub, 0.04), spar, 0.5)


def paint_tent(pen: Pen, color: Color) -> None:
    rng = pen.rng
    peak, top, back = rng.uniform(-0.16, -0.1), rng.uniform(-0.66, -0.58), rng.uniform(0.26, 0.32)
    left, right, end = -0.42, 0.18, 0.47
    for foot, hold in (((-0.53, 0.0), (peak, top)), ((0.56, -0.05), (back, top + 0.05))):
        pen.line([hold, foot], 0.012, CREAM)
    pen.line([(peak, top), (peak, top - 0.05)], 0.025, WOOD)
    side = polygon((peak, top), (back, top + 0.06), (end, -0.05), (right, 0))
    pen.fill(side, color, 0.9)
    if rng.random() < 0.5:
        high, low = (
            (
                (peak + (right - peak) * at, top - top * at),
                (back + (end - back) * at, top + 0.06 - (top + 0.11) * at),
            )
            for at in (0.6, 0.72)
        )
        pen.fill(polygon(*high, *reversed(low)), trim(color), 0.9)
    front = polygon((left, 0), (peak, top), (right, 0))
    pen.fill(front, deep(color, 0.2), 0.6)
    inner = polygon((peak - 0.17, 0), (peak + 0.01, top + 0.14), (peak + 0.17, 0))
    if pen.light.lamps:
        pen.fall(inner, mix(LAMP, (1.0, 0.6, 0.25), 0.5), LAMP)
    else:
        pen.fill(inner, mix(color, INK, 0.75), 0)
    with pen.inside(front):
        for way in (-1, 1):  # the flaps, tied aside
            pen.fill(
                curve(
                    (peak + 0.01, top + 0.12),
                    (peak + way * 0.03, -0.22, peak + way * 0.12, -0.13),
                    (peak + way * 0.2, 0),
                    (peak + way * 0.26, 0),
                ),
                mix(color, WHITE, 0.22),
                0.5,
            )
