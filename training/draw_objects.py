"""Things of every day, each drawn in a unit box: x from -0.5 to 0.5, y from -1 (top) to 0 (the ground)."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from training.draw_buildings import brightness, deep, trim
from training.pen import WHITE, WOOD, Color, Pen, box, curve, ellipse, mix

METAL: Final[Color] = (0.58, 0.62, 0.70)


def paint_umbrella(pen: Pen, color: Color) -> None:
    rng = pen.rng
    half, top, rim = rng.uniform(0.44, 0.48), -0.94, rng.uniform(-0.52, -0.46)
    wood = rng.choice((WOOD, mix(WOOD, (0.9, 0.6, 0.3), 0.4)))
    pen.line([(0, top - 0.05), (0, -0.5)], 0.03, wood)
    pen.line([(0, -0.6), (0, -0.3), (0, -0.11)], 0.034, METAL)
    handle = [(0, -0.2), (0, -0.11), (0.0, -0.02), (0.07, -0.02), (0.14, -0.02), (0.14, -0.09), (0.14, -0.11)]
    pen.line(handle, 0.05, wood)
    edges = [-half, -half * 0.52, 0.0, half * 0.52, half]
    scallops = [((left + right) / 2, rim - 0.085, left, rim) for left, right in pairwise(edges)]
    canopy = curve(
        (-half, rim),
        (-half * 0.96, top + 0.1, -half * 0.5, top, 0, top),
        (half * 0.5, top, half * 0.96, top + 0.1, half, rim),
        *reversed(scallops),
    )
    pen.fill(canopy, color, 1.2)
    other = (
        mix(color, WHITE, 0.3) if 0.25 < brightness(color) < 0.8 and rng.random() < 0.4 else deep(color, 0.24)
    )
    with pen.inside(canopy):
        for side in (-1, 1):
            pen.fill(
                curve(
                    (0, top - 0.02),
                    (side * half * 0.62, top + 0.06, side * half * 1.02, rim + 0.04),
                    (side * half * 0.52, rim + 0.04),
                    (side * half * 0.36, top + 0.12, 0, top - 0.02),
                ),
                other,
                0.5,
            )


def paint_teapot(pen: Pen, color: Color) -> None:
    rng = pen.rng
    wide, tall = rng.uniform(0.27, 0.3), rng.uniform(0.22, 0.26)
    y, x = -tall - 0.05, -0.02
    if rng.random() < 0.4:
        for dx in (0.0, 0.06):
            up = -0.58 - dx
            steam = [(0.44 + dx, up), (0.4 + dx, up - 0.07), (0.47 + dx, up - 0.13), (0.43 + dx, up - 0.2)]
            pen.line(steam, 0.022, WHITE, 0.75)
    loop = [
        (x - wide * 0.8, y - 0.14),
        (x - wide - 0.2, y - 0.2),
        (x - wide - 0.2, y + 0.12),
        (x - wide * 0.75, y + 0.12),
    ]
    pen.line(loop, 0.065, deep(color, 0.2))
    spout = curve(
        (x + wide * 0.7, y + 0.16),
        (x + wide + 0.12, y + 0.1, x + wide + 0.02, y - 0.16, x + wide + 0.2, y - 0.24),
        (x + wide + 0.11, y - 0.26),
        (x + wide - 0.06, y - 0.2, x + wide + 0.0, y - 0.06, x + wide * 0.7, y - 0.04),
    )
    pen.fill(spout, deep(color, 0.12), 0.8)
    pen.fill(box(x - wide * 0.6, -0.06, x + wide * 0.6, 0, 0.025), deep(color, 0.25), 0.6)
    body = ellipse(x, y, wide, tall)
    pen.fill(body, color, 1.3)
    with pen.inside(body):
        pattern = rng.random()
        if pattern < 0.35:
            pen.fill(box(x - wide, y + 0.02, x + wide, y + 0.085), trim(color), 0.8)
        elif pattern < 0.7:
            for dx, dy in ((-0.16, -0.02), (-0.02, 0.06), (0.12, -0.03)):
                pen.fill(ellipse(x + dx, y + dy, 0.036), trim(color), 0)
        pen.fill(
            ellipse(x + pen.light.side * wide * 0.5, y - tall * 0.45, 0.05, 0.075, 30 * pen.light.side),
            mix(color, WHITE, 0.6),
            0,
            0.8,
        )
    lid = y - tall * 0.86
    pen.fill(
        curve(
            (x - 0.17, lid),
            (x - 0.15, lid - 0.1, x + 0.15, lid - 0.1, x + 0.17, lid),
            (x, lid + 0.04, x - 0.17, lid),
        ),
        deep(color, 0.16),
        1.0,
    )
    pen.fill(ellipse(x, lid - 0.095, 0.045), deep(color, 0.3), 0.8)


def paint_robot(pen: Pen, color: Color) -> None:
    rng = pen.rng
    joint = (0.40, 0.43, 0.52) if brightness(color) > 0.55 else (0.70, 0.74, 0.80)
    eye = rng.choice(((0.55, 0.95, 1.0), (1.0, 0.93, 0.5)))
    head, chest = rng.uniform(0.2, 0.24), rng.uniform(0.21, 0.24)
    top, neck, hip = -0.9, -0.58, -0.2
    for side in (-1, 1):
        pen.line([(side * 0.11, hip), (side * 0.11, -0.05)], 0.07, joint)
        pen.fill(
            curve((side * 0.02, 0), (side * 0.02, -0.09, side * 0.22, -0.09, side * 0.22, 0)),
            deep(color, 0.2),
            0.8,
        )
        shoulder, raised = (side * (chest + 0.01), neck + 0.1), rng.random() < 0.3
        hand = (side * (chest + 0.17), neck - 0.1 if raised else neck + 0.32)
        elbow = (side * (chest + 0.16), neck + 0.12)
        pen.line([shoulder, elbow, hand], 0.06, joint)
        pen.fill(ellipse(*hand, 0.062), deep(color, 0.12), 0.8)
    pen.line([(0, neck + 0.05), (0, top)], 0.1, joint)
    pen.line([(0, top), (0, top - 0.06)], 0.024, joint)
    pen.fill(ellipse(0, top - 0.085, 0.036), rng.choice(((0.93, 0.27, 0.25), (1.0, 0.82, 0.3))), 0.6)
    for side in (-1, 1):
        pen.fill(
            box(
                min(side * head, side * (head + 0.045)),
                -0.81,
                max(side * head, side * (head + 0.045)),
                -0.69,
                0.015,
            ),
            joint,
            0.6,
        )
    pen.fill(box(-head, top, head, neck - 0.02, 0.06), color, 1.2)
    pen.fill(
        box(-head + 0.04, top + 0.06, head - 0.04, neck - 0.07, 0.05),
        (0.15, 0.17, 0.27) if brightness(color) > 0.25 else (0.36, 0.40, 0.52),
        0,
    )
    for x in (-0.085, 0.085):
        pen.fall(ellipse(x, -0.77, 0.042), mix(eye, WHITE, 0.4), eye)
        if pen.light.lamps:
            pen.glow(x, -0.77, 0.1, eye, 0.5)
    pen.line([(-0.05, -0.685), (0, -0.665), (0.05, -0.685)], 0.018, eye)
    pen.fill(box(-chest, neck, chest, hip + 0.02, 0.05), color, 1.2)
    pen.fill(box(-chest * 0.6, neck + 0.07, chest * 0.6, neck + 0.23, 0.025), trim(color), 0.4)
    for x, light in ((-0.07, (0.93, 0.27, 0.25)), (0.0, (1.0, 0.80, 0.25)), (0.07, (0.25, 0.72, 0.42))):
        pen.fill(ellipse(x, neck + 0.15, 0.028), light, 0)
