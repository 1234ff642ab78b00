"""Space and rain: the settings of the sky, whose ground is a moon, nothing at all, or wet."""

from __future__ import annotations

from typing import Final

from training.draw_land import cloud, heights
from training.pen import INK, WHITE, Color, Pen, ellipse, mix, ridge

PLANETS: Final[tuple[tuple[Color, Color], ...]] = (  # the lit side and the bands of each
    ((0.95, 0.66, 0.42), (0.78, 0.42, 0.34)),
    ((0.42, 0.74, 0.80), (0.24, 0.52, 0.72)),
    ((0.80, 0.58, 0.84), (0.56, 0.36, 0.68)),
    ((0.92, 0.80, 0.58), (0.76, 0.60, 0.42)),
    ((0.86, 0.46, 0.44), (0.64, 0.28, 0.36)),
)
MOON: Final[Color] = (0.66, 0.65, 0.72)


def paint_space(pen: Pen, ground: float) -> None:
    """Stars, a cloud of gas and planets; a moon to stand on where the ground is in the picture."""
    rng = pen.rng
    pen.sky((0.035, 0.02, 0.09), (0.09, 0.035, 0.17), (0.05, 0.03, 0.12))
    gas = rng.choice(((0.62, 0.16, 0.56), (0.36, 0.18, 0.70), (0.12, 0.34, 0.58)))
    x, y = rng.random(), rng.uniform(0.1, 0.8)
    for step in range(3):
        pen.glow(x + 0.2 * step, y + rng.uniform(-0.15, 0.15), rng.uniform(0.28, 0.45), gas, 0.34)
    for _ in range(rng.randint(26, 38)):
        r = rng.choice((0.005, 0.006, 0.007, 0.011))
        pen.fall(ellipse(rng.random(), rng.random(), r), WHITE, (0.86, 0.90, 1.0))
    corners = rng.sample([(0.15, 0.16), (0.85, 0.16), (0.14, 0.80), (0.86, 0.80)], 3)
    looks = rng.sample(PLANETS, 3)
    for (x, y), look, r in zip(corners[: rng.randint(2, 3)], looks, (0.13, 0.075, 0.055), strict=False):
        if y < ground - 0.2:
            r *= rng.uniform(0.85, 1.2)
            _planet(pen, x + rng.uniform(-0.05, 0.05), y + rng.uniform(-0.05, 0.05), r, look)
    if ground < 1:
        _moon(pen, ground)


def _planet(pen: Pen, x: float, y: float, radius: float, look: tuple[Color, Color]) -> None:
    rng, (lit, band) = pen.rng, look
    ringed = radius > 0.09 or rng.random() < 0.3
    turn = rng.uniform(-28, 28)
    ring = ellipse(x, y, radius * 1.75, radius * 0.42, turn)
    ring.addPath(ellipse(x, y, radius * 1.42, radius * 0.24, turn))
    ring.setFillType(type(ring.getFillType()).kEvenOdd)
    pale = mix(lit, WHITE, 0.45)
    if ringed:
        pen.fall(ring, pale, pale)
    globe = ellipse(x, y, radius)
    pen.fall(globe, mix(lit, WHITE, 0.15), band)
    with pen.inside(globe):
        for low in (-0.35, 0.3):
            pen.fall(ellipse(x, y + low * radius, radius * 1.1, radius * 0.16, turn), band, band)
        shadow = ellipse(x - pen.light.side * radius * 1.1, y + radius * 0.5, radius * 1.15)
        pen.fill(shadow, (0.08, 0.04, 0.16), 0, 0.42)
    if ringed:
        front = ellipse(x, y + radius * 0.8, radius * 2.2, radius * 0.8, turn)
        with pen.inside(front):
            pen.fall(ring, pale, pale)


def _moon(pen: Pen, ground: float) -> None:
    rng = pen.rng
    land = ellipse(0.5, ground - 0.03 + 1.6, 1.9, 1.6)
    pen.fall(land, mix(MOON, WHITE, 0.3), mix(MOON, INK, 0.25))
    with pen.inside(land):
        for place in range(6):
            x, y = (place + rng.uniform(0.2, 0.8)) / 6, rng.uniform(ground + 0.03, 0.98)
            r = rng.uniform(0.03, 0.06)
            pen.fall(ellipse(x, y, r, r * 0.36), mix(MOON, INK, 0.42), mix(MOON, INK, 0.25))


def paint_rain(pen: Pen, ground: float) -> None:
    """A leaden sky with heavy clouds, rain, and puddles on wet ground."""
    rng = pen.rng
    pen.sky((0.36, 0.42, 0.50), (0.50, 0.57, 0.64), (0.66, 0.72, 0.76), bottom=ground)
    pen.fall(ridge(heights(rng, 5, ground - 0.12, 0.05)), (0.44, 0.54, 0.58), (0.38, 0.48, 0.52))
    _streaks(pen, 22, -0.05, ground)
    for place in range(4):
        x = (place + rng.uniform(0.15, 0.85)) / 4
        tone = mix((0.30, 0.35, 0.43), (0.44, 0.49, 0.57), rng.random())
        cloud(pen, x, rng.uniform(0.08, 0.17), rng.uniform(0.32, 0.44), tone)
    pen.fall(ridge(heights(rng, 4, ground - 0.03, 0.015)), (0.38, 0.50, 0.48), (0.27, 0.37, 0.40))
    for place in range(3):
        x, y = (place + rng.uniform(0.1, 0.9)) / 3, rng.uniform(ground + 0.03, 0.97)
        half = rng.uniform(0.08, 0.14)
        pen.fall(ellipse(x, y, half, half * 0.24), (0.70, 0.79, 0.86), (0.52, 0.64, 0.74))
        pen.fall(ellipse(x, y, half * 0.5, half * 0.11), (0.86, 0.91, 0.95), (0.86, 0.91, 0.95))


def paint_before_rain(pen: Pen, ground: float) -> None:
    """A few drops nearer than the subject."""
    _streaks(pen, 9, 0.15, 1.0, 0.62)


def _streaks(pen: Pen, count: int, top: float, bottom: float, alpha: float = 0.85) -> None:
    rng = pen.rng
    for place in range(count):
        x, y = (place + rng.random()) / count * 1.1, rng.uniform(top, bottom - 0.1)
        long = rng.uniform(0.08, 0.12)
        streak = [(x, y), (x - long * 0.15, y + long / 2), (x - long * 0.3, y + long)]
        pen.line(streak, 0.0135, (0.84, 0.91, 0.97), alpha)
