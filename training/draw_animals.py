"""Subjects with a face or wings, each in a unit box: x from -0.5 to 0.5, y from -1 (top) to 0 (ground)."""

from __future__ import annotations

from training.draw_nature import is_black, is_white, pale, shadow, solid, stroke
from training.pen import CREAM, INK, WHITE, WOOD, Color, Pen, box, curve, ellipse, mix, polygon


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


def paint_bird(pen: Pen, color: Color) -> None:
    """A bird on the wing, seen from the side."""
    rng = pen.rng
    beat, wing = rng.uniform(-14, 16), shadow(color, 0.18)
    with pen.moved(0.12, -0.52, 1.0, beat + rng.uniform(4, 16)):
        far = curve(
            (-0.1, 0.05), (-0.12, -0.2, -0.04, -0.38, 0.08, -0.47), (0.14, -0.3, 0.14, -0.15, 0.1, 0.05)
        )
        solid(pen, far, shadow(color, 0.4))
    for tip in (-0.04, 0.07):
        tail = curve(
            (-0.14, -0.51), (-0.3, -0.53, -0.4, tip - 0.56, -0.5, tip - 0.53),
            (-0.44, tip - 0.42, -0.3, tip - 0.42, -0.12, -0.4),
        )  # fmt: skip
        solid(pen, tail, wing)
    body = curve(
        (-0.27, -0.48),
        (-0.12, -0.56, 0.02, -0.56, 0.1, -0.64),
        (0.14, -0.78, 0.35, -0.8, 0.4, -0.66),
        (0.42, -0.58, 0.4, -0.52, 0.38, -0.46),
        (0.35, -0.28, 0.12, -0.24, 0.0, -0.28),
        (-0.12, -0.32, -0.2, -0.4, -0.27, -0.48),
    )
    beak = (0.98, 0.64, 0.12) if color[0] < 0.8 or color[2] > 0.3 else (0.40, 0.24, 0.18)
    pen.fill(polygon((0.37, -0.68), (0.53, -0.615), (0.37, -0.56)), beak)
    solid(pen, body, color)
    with pen.inside(body):
        pen.fill(ellipse(0.22, -0.29, 0.22, 0.13, -25), pale(color, 0.5), 0)
    pen.fill(ellipse(0.29, -0.655, 0.048), WHITE, 0)
    pen.fill(ellipse(0.298, -0.655, 0.033), INK, 0)
    with pen.moved(0.06, -0.48, 1.0, beat):
        near = curve(
            (0.1, 0.04),
            (0.12, -0.24, -0.06, -0.5, -0.34, -0.53),
            (-0.4, -0.44, -0.36, -0.36, -0.25, -0.37),
            (-0.34, -0.28, -0.3, -0.2, -0.2, -0.22),
            (-0.26, -0.13, -0.22, -0.06, -0.13, -0.08),
            (-0.11, 0.05, 0.04, 0.11, 0.1, 0.04),
        )
        solid(pen, near, wing, 1.3)


def paint_butterfly(pen: Pen, color: Color) -> None:
    """A butterfly with its wings spread, seen from above."""
    rng = pen.rng
    spread, rise = rng.uniform(0.84, 1.0), rng.uniform(-0.04, 0.04)
    rim, spot = shadow(color, 0.22 if is_white(color) else 0.42), pale(color, 0.6)
    for side in (-1, 1):
        w = side * spread
        lower = curve(
            (0.02 * w, -0.5),
            (0.2 * w, -0.56, 0.44 * w, -0.42, 0.38 * w, -0.22),
            (0.33 * w, -0.02, 0.12 * w, -0.04, 0.02 * w, -0.42),
        )
        upper = curve(
            (0.02 * w, -0.46),
            (0.06 * w, -0.72, 0.24 * w, -0.98 + rise, 0.42 * w, -0.95 + rise),
            (0.56 * w, -0.92 + rise, 0.5 * w, -0.44, 0.02 * w, -0.46),
        )
        for wing, x, y in ((lower, 0.2 * w, -0.32), (upper, 0.27 * w, -0.68)):
            solid(pen, wing, rim)
            with pen.moved(x * 0.19, y * 0.19, 0.81):
                pen.fill(wing, color, 1.2)
        pen.fill(ellipse(0.33 * w, -0.77 + rise, 0.062), spot, 0)
        pen.fill(ellipse(0.24 * w, -0.24, 0.05), spot, 0)
    trunk = (0.62, 0.50, 0.44) if is_black(color) else (0.22, 0.17, 0.24)
    for side in (-1, 1):
        pen.line([(side * 0.01, -0.72), (side * 0.05, -0.88), (side * 0.14, -0.95)], 0.024, trunk)
        pen.fill(ellipse(side * 0.14, -0.95, 0.028), trunk, 0)
    pen.fill(ellipse(0, -0.47, 0.042, 0.25), trunk)
    pen.fill(ellipse(0, -0.71, 0.058), trunk)


def paint_snowman(pen: Pen, color: Color) -> None:
    rng = pen.rng
    scarf = (0.86, 0.20, 0.24) if is_white(color) or is_black(color) else CREAM
    wide = rng.uniform(0.27, 0.31)
    for side in (-1, 1):
        up = rng.uniform(-0.7, -0.56)
        pen.line([(side * 0.15, -0.52), (side * 0.29, up + 0.08), (side * 0.44, up)], 0.034, WOOD)
        pen.line([(side * 0.35, up + 0.05), (side * 0.37, up - 0.02), (side * 0.37, up - 0.08)], 0.03, WOOD)
    solid(pen, ellipse(0, -0.235, wide, 0.245), color, 1.2)
    solid(pen, ellipse(0, -0.515, wide * 0.75, 0.18), color, 1.2)
    solid(pen, ellipse(0, -0.755, 0.16, 0.148), color)
    end = rng.choice((-0.1, 0.1))
    tail = polygon((end - 0.05, -0.64), (end + 0.05, -0.64), (end + 0.07, -0.43), (end - 0.03, -0.43))
    pen.fill(tail, mix(scarf, INK, 0.14))
    pen.fill(curve((-0.17, -0.67), (0, -0.6, 0.17, -0.67), (0.18, -0.6), (0, -0.53, -0.18, -0.6)), scarf)
    _coals_and_hat(pen, color, scarf)


def _coals_and_hat(pen: Pen, color: Color, scarf: Color) -> None:
    """A snowman's buttons, face and hat."""
    coal, hat = (CREAM, (0.56, 0.36, 0.24)) if is_black(color) else (INK, (0.20, 0.19, 0.27))
    for y in (-0.46, -0.34, -0.21):
        pen.fill(ellipse(0, y, 0.034), coal, 0)
    for x in (-0.065, 0.065):
        pen.fill(ellipse(x, -0.79, 0.031), coal, 0)
    warm = color[0] > 0.8 and color[2] < 0.3  # on these an orange carrot would not show
    carrot = (0.62, 0.22, 0.08) if warm else (0.98, 0.52, 0.10)
    pen.fill(polygon((-0.02, -0.775), (0.17, -0.73), (-0.02, -0.71)), carrot, 0.6)
    with pen.moved(0, -0.86, 1.0, pen.rng.uniform(-8, 8)):
        pen.fill(box(-0.11, -0.16, 0.11, 0, 0.015), hat)
        pen.fill(box(-0.11, -0.07, 0.11, -0.022), scarf, 0)
        pen.fill(box(-0.185, -0.026, 0.185, 0.016, 0.02), hat)


def paint_fish(pen: Pen, color: Color) -> None:
    rng = pen.rng
    tall, y = rng.uniform(0.19, 0.25), -0.32
    fin, dark = pale(color, 0.3), shadow(color, 0.3)
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
    solid(pen, body, color)
    with pen.inside(body):
        pen.fill(ellipse(0.08, y + tall * 1.05, 0.36, tall * 0.55), pale(color, 0.5), 0, 0.8)
        if rng.random() < 0.5:
            for x in (-0.12, 0.02):
                pen.fill(
                    curve(
                        (x, y - 0.4),
                        (x + 0.08, y, x, y + 0.4),
                        (x + 0.05, y + 0.4),
                        (x + 0.13, y, x + 0.05, y - 0.4),
                    ),
                    pale(color, 0.65),
                    0,
                )
    pen.fill(
        curve((0.06, y + 0.02), (-0.02, y + 0.1, -0.08, y + 0.07), (-0.06, y + 0.0, 0.06, y - 0.01)), dark, 0
    )
    pen.fill(ellipse(0.3, y - tall * 0.3, 0.05), WHITE, 0)
    pen.fill(ellipse(0.312, y - tall * 0.3, 0.027), INK, 0)
    pen.line([(0.4, y + 0.055), (0.37, y + 0.07), (0.335, y + 0.06)], 0.014, shadow(color, 0.5))
