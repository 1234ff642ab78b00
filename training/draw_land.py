"""Pieces of a landscape that settings share: clouds, pines, cacti and waves."""

from __future__ import annotations

import random

from training.pen import INK, Color, Pen, box, ellipse, mix, polygon


def heights(rng: random.Random, count: int, middle: float, swing: float) -> list[float]:
    """Heights of a ridge: `count` of them, off the middle by at most `swing`."""
    return [middle + rng.uniform(-swing, swing) for _ in range(count)]


def cloud(pen: Pen, x: float, y: float, width: float, color: Color) -> None:
    rng = pen.rng
    for dx, r in ((-0.32, 0.16), (-0.1, 0.24), (0.14, 0.2), (0.34, 0.14)):
        r *= rng.uniform(0.85, 1.15)
        pen.fall(
            ellipse(x + dx * width, y - r * width * 0.55, r * width),
            color,
            mix(color, (0.6, 0.72, 0.9), 0.15),
        )
    pen.fall(box(x - 0.5 * width, y - 0.13 * width, x + 0.5 * width, y, 0.065 * width), color, color)


def clouds(pen: Pen, count: int, color: Color, low: float = 0.4) -> None:
    for i in range(count):
        width = pen.rng.uniform(0.18, 0.34)
        x = (i + pen.rng.uniform(0.1, 0.9)) / count
        cloud(pen, x, pen.rng.uniform(0.12, low), width, color)


def pine(pen: Pen, x: float, y: float, height: float, color: Color, cap: Color | None = None) -> None:
    for low, high, half in ((0.12, 0.55, 0.3), (0.36, 0.78, 0.24), (0.58, 1.0, 0.17)):
        tip, base = y - high * height, y - low * height
        pen.fall(
            polygon((x - half * height, base), (x, tip), (x + half * height, base)),
            color,
            mix(color, INK, 0.12),
        )
        if cap:
            third = tip + (base - tip) * 0.45
            pen.fall(
                polygon((x - half * height * 0.45, third), (x, tip), (x + half * height * 0.45, third)),
                cap,
                cap,
            )


def cactus(pen: Pen, x: float, y: float, height: float) -> None:
    green, dark, w = (0.36, 0.58, 0.36), (0.24, 0.44, 0.30), 0.11 * height
    pen.fall(box(x - w, y - height, x + w, y, w), green, dark)
    for side, low in ((-1.0, 0.35), (1.0, 0.5)):
        reach, arm = x + side * 3.2 * w, y - low * height
        pen.fall(box(min(x, reach), arm - 0.7 * w, max(x, reach), arm + 0.7 * w, 0.7 * w), green, dark)
        pen.fall(
            box(reach - 0.7 * w, arm - 0.3 * height, reach + 0.7 * w, arm + 0.7 * w, 0.7 * w), green, dark
        )


def waves(pen: Pen, top: float, bottom: float, count: int) -> None:
    for i in range(count):
        depth = i / count
        y, width = top + (bottom - top) * depth, 0.10 + 0.12 * depth
        x = pen.rng.random()
        pen.line(
            [(x - width, y), (x - width / 2, y - 0.012), (x, y), (x + width / 2, y - 0.012), (x + width, y)],
            0.008, (0.66, 0.88, 0.96), 0.75,
        )  # fmt: skip
