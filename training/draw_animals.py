"""Subjects with a face or wings, each in a unit box: x from -0.5 to 0.5, y from -1 (top) to 0 (ground)."""

from __future__ import annotations

from training.draw_nature import pale, shadow, solid, stroke
from training.pen import INK, WHITE, Color, Pen, curve, ellipse, mix


def paint_cat(pen: Pen, color: Color) -> None:
    rng = pen.rng
    dark, striped = shadow(color, 0.3), rng.random() < 0.4
    tip, half = rng.uniform(-0.5, -0.32), rng.uniform(0.25, 0.29)
    stroke(pen, [(0.12, -0.07), (0.4, -0.03), (0.47, -0.22), (0.38, tip)], 0.095, color)
    body = curve(
        (-half, -0.03),
        (-half - 0.03, -0.3, -0.18, -0.42, -0.15, -0.56),
        (0.15, -0.56),
        (0.18, -0.42, half + 0.03, -0.3, half, -0.03),
        (0.2, 0.0, 0, 0.0),
        (-0.2, 0.0, -half, -0.03),
    )
    solid(pen, body, color)
    with pen.inside(body):
        pen.fill(ellipse(0, -0.5, 0.25, 0.06), shadow(color, 0.25), 0)
    if striped:
        with pen.inside(body):
            for side in (-1, 1):
                for y in (-0.32, -0.2):
                    pen.line([(side * 0.34, y), (side * 0.15, y + 0.02)], 0.035, dark)
    elif rng.random() < 0.6:
        pen.fill(ellipse(0, -0.38, 0.1, 0.13), pale(color, 0.45), 0)
    for side in (-1, 1):
        solid(pen, ellipse(side * 0.085, -0.035, 0.085, 0.05), pale(color, 0.2))
    pen.line([(0, -0.07), (0, -0.22)], 0.022, dark)
    with pen.moved(0, -0.66, 1.0, rng.uniform(-6, 6)):
        _cat_head(pen, color, dark, striped)


def _cat_head(pen: Pen, color: Color, dark: Color, striped: bool) -> None:
    """The head about the origin, looking at us."""
    wide, tall = pen.rng.uniform(0.25, 0.28), pen.rng.uniform(0.29, 0.34)
    for side in (-1, 1):
        ear = curve(
            (side * wide * 0.98, -0.03),
            (side * wide * 1.0, -tall, side * wide * 0.86, -tall),
            (side * wide * 0.6, -tall * 0.95, side * wide * 0.1, -0.16),
        )
        solid(pen, ear, color)
        inner = curve(
            (side * wide * 0.84, -0.12),
            (side * wide * 0.88, -tall * 0.85, side * wide * 0.8, -tall * 0.82),
            (side * wide * 0.6, -tall * 0.8, side * wide * 0.36, -0.16),
        )
        pen.fill(inner, mix(dark, (0.98, 0.62, 0.66), 0.6), 0)
    solid(pen, ellipse(0, 0, wide, 0.2), color)
    if striped:
        for x in (-0.07, 0.0, 0.07):
            pen.line([(x, -0.18), (x * 0.8, -0.11)], 0.03, dark)
    pen.fill(ellipse(0, 0.09, 0.11, 0.07), pale(color, 0.55), 0)
    for side in (-1, 1):
        pen.fill(ellipse(side * 0.11, -0.02, 0.056, 0.062), (0.93, 0.95, 0.52), 0)
        pen.fill(ellipse(side * 0.105, -0.02, 0.037, 0.054), INK, 0)
        pen.fill(ellipse(side * 0.105 + 0.012, -0.042, 0.016), WHITE, 0)
        for y in (0.05, 0.1):
            pen.line([(side * 0.16, 0.05 + y * 0.3), (side * 0.34, y * 2 - 0.07)], 0.014, shadow(color, 0.7))
    pen.fill(curve((-0.035, 0.05), (0.035, 0.05), (0.02, 0.085, 0, 0.09), (-0.02, 0.085, -0.035, 0.05)),
             (0.90, 0.42, 0.48), 0)  # fmt: skip
    pen.line([(-0.055, 0.115), (-0.02, 0.13), (0, 0.09), (0.02, 0.13), (0.055, 0.115)], 0.016, INK)
