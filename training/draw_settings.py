"""The settings: sky, land and light behind the subjects, and a little in front of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Final

from training.draw_land import cactus, clouds, heights, pine, waves
from training.draw_weather import paint_before_rain, paint_rain, paint_space
from training.pen import WHITE, Color, Light, Pen, box, curve, ellipse, mix, polygon, ridge

Paint = Callable[[Pen, float], None]  # draws for a ground line at that height


def light_of(setting: str, rng: random.Random) -> Light:
    """The light that falls on the subjects there."""
    side = rng.choice((-1.0, 1.0))
    if setting == "night":
        return Light((0.60, 0.64, 0.95), 0.42, side, 0.17, lamps=True)
    if setting == "sunset":
        return Light((1.0, 0.76, 0.66), 0.45, side, 0.34, lamps=rng.random() < 0.5)
    if setting == "snow":
        return Light((0.92, 0.96, 1.0), 0.8, side, 0.16, lamps=rng.random() < 0.3)
    if setting == "desert":
        return Light((1.0, 0.96, 0.86), 0.8, side, 0.26)
    if setting == "space":
        return Light((0.92, 0.92, 1.0), 0.8, side, 0.3, lamps=True)
    if setting == "rain":
        return Light((0.86, 0.92, 0.98), 0.7, side, 0.14, lamps=rng.random() < 0.5)
    return Light(WHITE, 0.0, side, 0.2)


def _night(pen: Pen, ground: float) -> None:
    rng = pen.rng
    pen.sky((0.05, 0.06, 0.19), (0.11, 0.15, 0.37), (0.27, 0.31, 0.57), bottom=ground)
    for _ in range(rng.randint(18, 28)):
        x, y, r = rng.random(), rng.uniform(0, ground * 0.85), rng.uniform(0.006, 0.011)
        pen.fall(ellipse(x, y, r), (0.97, 0.96, 0.88), (0.9, 0.92, 1.0))
    x, y, r = (
        rng.choice((rng.uniform(0.1, 0.28), rng.uniform(0.72, 0.9))),
        rng.uniform(0.12, 0.24),
        rng.uniform(0.06, 0.09),
    )
    pen.glow(x, y, r * 2.6, (0.85, 0.88, 1.0), 0.4)
    moon = ellipse(x, y, r)
    pen.fall(moon, (1.0, 0.97, 0.84), (0.95, 0.90, 0.74))
    if rng.random() < 0.4:
        with pen.inside(moon):
            pen.fall(ellipse(x + r * 0.55, y - r * 0.25, r * 0.95), (0.08, 0.10, 0.27), (0.10, 0.13, 0.32))
    far = rng.uniform(0.09, 0.16)
    pen.fall(ridge(heights(rng, 5, ground - far, 0.06)), (0.15, 0.19, 0.40), (0.12, 0.15, 0.33))
    if rng.random() < 0.5:
        for _ in range(rng.randint(2, 5)):
            pine(pen, rng.random(), ground - 0.01, rng.uniform(0.1, 0.2), (0.10, 0.15, 0.29))
    pen.fall(ridge(heights(rng, 4, ground - 0.03, 0.02)), (0.10, 0.17, 0.27), (0.06, 0.09, 0.18))


def _sunset(pen: Pen, ground: float) -> None:
    rng = pen.rng
    warm = rng.random()
    pen.sky(
        mix((0.30, 0.18, 0.44), (0.24, 0.24, 0.52), warm),
        mix((0.86, 0.34, 0.42), (0.92, 0.45, 0.40), warm),
        (0.99, 0.66, 0.36),
        (1.0, 0.86, 0.52),
        bottom=ground,
    )
    x, r = rng.uniform(0.15, 0.85), rng.uniform(0.10, 0.15)
    y = ground - rng.uniform(0.06, 0.2)
    pen.glow(x, y, r * 2.8, (1.0, 0.86, 0.5), 0.65)
    pen.fall(ellipse(x, y, r), (1.0, 0.95, 0.68), (1.0, 0.74, 0.36))
    for _ in range(rng.randint(2, 4)):
        width, cx, cy = rng.uniform(0.2, 0.45), rng.random(), rng.uniform(0.1, 0.45)
        shape = box(cx - width / 2, cy, cx + width / 2, cy + 0.028, 0.014)
        tone = mix((0.98, 0.62, 0.48), (0.72, 0.32, 0.48), rng.random())
        pen.fall(shape, tone, tone)
    pen.fall(ridge(heights(rng, 5, ground - 0.1, 0.06)), (0.62, 0.27, 0.40), (0.50, 0.20, 0.36))
    pen.fall(ridge(heights(rng, 4, ground - 0.03, 0.02)), (0.42, 0.20, 0.30), (0.22, 0.10, 0.22))


def _meadow(pen: Pen, ground: float) -> None:
    rng = pen.rng
    pen.sky((0.36, 0.66, 0.94), (0.62, 0.83, 0.97), (0.88, 0.95, 0.97), bottom=ground)
    if rng.random() < 0.5:
        x = rng.choice((rng.uniform(0.08, 0.25), rng.uniform(0.75, 0.92)))
        pen.glow(x, 0.14, 0.2, (1.0, 0.97, 0.75), 0.7)
        pen.fall(ellipse(x, 0.14, 0.065), (1.0, 0.95, 0.62), (1.0, 0.88, 0.42))
    clouds(pen, rng.randint(1, 3), WHITE)
    pen.fall(ridge(heights(rng, 5, ground - 0.13, 0.06)), (0.56, 0.78, 0.58), (0.46, 0.72, 0.46))
    if rng.random() < 0.5:
        for _ in range(rng.randint(3, 6)):
            x, r = rng.random(), rng.uniform(0.025, 0.05)
            pen.fall(ellipse(x, ground - 0.05 - r * 0.6, r), (0.38, 0.66, 0.40), (0.30, 0.56, 0.34))
    pen.fall(ridge(heights(rng, 4, ground - 0.03, 0.02)), (0.54, 0.80, 0.32), (0.28, 0.60, 0.24))


def _snow(pen: Pen, ground: float) -> None:
    rng = pen.rng
    pen.sky((0.55, 0.68, 0.82), (0.74, 0.82, 0.90), (0.88, 0.92, 0.96), bottom=ground)
    peaks = [polygon((x - w, ground), (x, ground - h), (x + w, ground)) for x, w, h in (
        (rng.uniform(0.0, 0.35), rng.uniform(0.25, 0.4), rng.uniform(0.2, 0.34)),
        (rng.uniform(0.55, 1.0), rng.uniform(0.25, 0.4), rng.uniform(0.16, 0.3)),
    )]  # fmt: skip
    if rng.random() < 0.6:
        for peak in peaks:
            pen.fall(peak, (0.90, 0.94, 0.98), (0.66, 0.76, 0.88))
    pen.fall(ridge(heights(rng, 5, ground - 0.09, 0.04)), (0.84, 0.90, 0.96), (0.78, 0.85, 0.93))
    for _ in range(rng.randint(2, 5)):
        pine(pen, rng.random(), ground - 0.02, rng.uniform(0.14, 0.26), (0.34, 0.52, 0.54), (0.95, 0.98, 1.0))
    pen.fall(ridge(heights(rng, 4, ground - 0.03, 0.02)), (0.98, 0.99, 1.0), (0.80, 0.87, 0.95))


def _desert(pen: Pen, ground: float) -> None:
    rng = pen.rng
    pen.sky((0.42, 0.72, 0.86), (0.76, 0.86, 0.84), (0.99, 0.90, 0.70), bottom=ground)
    x, y = rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.22)
    pen.glow(x, y, 0.24, (1.0, 0.97, 0.8), 0.9)
    pen.fall(ellipse(x, y, 0.07), (1.0, 0.98, 0.84), (1.0, 0.94, 0.68))
    if rng.random() < 0.5:
        left, width, height = rng.uniform(-0.1, 0.7), rng.uniform(0.25, 0.45), rng.uniform(0.12, 0.24)
        mesa = polygon(
            (left, ground), (left + 0.15 * width, ground - height),
            (left + 0.85 * width, ground - height), (left + width, ground),
        )  # fmt: skip
        pen.fall(mesa, (0.84, 0.52, 0.36), (0.90, 0.66, 0.44))
    pen.fall(ridge(heights(rng, 5, ground - 0.11, 0.06)), (0.95, 0.78, 0.50), (0.88, 0.66, 0.38))
    pen.fall(ridge(heights(rng, 4, ground - 0.03, 0.03)), (0.97, 0.83, 0.55), (0.86, 0.62, 0.34))
    for x in (rng.uniform(0.04, 0.16), rng.uniform(0.84, 0.96)):
        if rng.random() < 0.5:
            cactus(pen, x, ground + rng.uniform(-0.02, 0.03), rng.uniform(0.12, 0.2))


def _sea(pen: Pen, ground: float) -> None:
    rng = pen.rng
    horizon = ground - rng.uniform(0.14, 0.2)
    pen.sky((0.42, 0.74, 0.95), (0.70, 0.88, 0.98), (0.94, 0.97, 0.96), bottom=horizon)
    if rng.random() < 0.4:
        x = rng.uniform(0.1, 0.9)
        pen.glow(x, 0.15, 0.22, (1.0, 0.98, 0.8), 0.7)
        pen.fall(ellipse(x, 0.15, 0.06), (1.0, 0.97, 0.7), (1.0, 0.9, 0.5))
    clouds(pen, rng.randint(1, 3), WHITE, low=horizon - 0.12)
    pen.fall(box(-0.1, horizon, 1.1, 1.1), (0.22, 0.60, 0.82), (0.05, 0.30, 0.60))
    waves(pen, horizon + 0.04, ground + 0.02, 6)


def _before_meadow(pen: Pen, ground: float) -> None:
    rng = pen.rng
    for _ in range(rng.randint(4, 8)):
        x, y = rng.random(), rng.uniform(max(ground + 0.05, 0.9), 0.98)
        tone = rng.choice(((1.0, 0.96, 0.9), (1.0, 0.86, 0.4), (0.98, 0.66, 0.74)))
        pen.fall(ellipse(x, y, 0.014), tone, tone)
        pen.fall(ellipse(x, y, 0.005), (0.95, 0.7, 0.2), (0.95, 0.7, 0.2))


def _before_snow(pen: Pen, ground: float) -> None:
    pen.fall(ridge(heights(pen.rng, 4, ground + 0.09, 0.02)), (0.98, 0.99, 1.0), (0.88, 0.93, 0.98))
    for _ in range(pen.rng.randint(14, 26)):
        r = pen.rng.uniform(0.006, 0.012)
        pen.fall(ellipse(pen.rng.random(), pen.rng.random(), r), WHITE, WHITE)


def _before_desert(pen: Pen, ground: float) -> None:
    pen.fall(ridge(heights(pen.rng, 4, ground + 0.1, 0.02)), (0.95, 0.77, 0.47), (0.84, 0.60, 0.32))


def _before_sea(pen: Pen, ground: float) -> None:
    swell = ridge([ground + 0.135 + 0.012 * (-1) ** i for i in range(pen.rng.randint(7, 10))])
    pen.fall(swell, (0.16, 0.50, 0.76), (0.04, 0.27, 0.56))
    waves(pen, ground + 0.165, 1.0, 2)


def _before_dark(top: Color, bottom: Color) -> Paint:
    def paint(pen: Pen, ground: float) -> None:
        pen.fall(ridge(heights(pen.rng, 4, ground + 0.1, 0.015)), top, bottom)

    return paint


BEHIND: Final[Mapping[str, Paint]] = {
    "night": _night, "sunset": _sunset, "meadow": _meadow, "snow": _snow, "desert": _desert, "sea": _sea,
    "space": paint_space, "rain": paint_rain,
}  # fmt: skip
BEFORE: Final[Mapping[str, Paint]] = {
    "night": _before_dark((0.07, 0.12, 0.20), (0.04, 0.06, 0.13)),
    "sunset": _before_dark((0.30, 0.13, 0.24), (0.16, 0.07, 0.17)),
    "meadow": _before_meadow, "snow": _before_snow, "desert": _before_desert, "sea": _before_sea,
    "rain": paint_before_rain,
}  # fmt: skip
POND: Final[Mapping[str, tuple[Color, Color]]] = {  # the water a boat or a fish lies in, away from the sea
    "night": ((0.24, 0.32, 0.60), (0.13, 0.18, 0.40)),
    "sunset": ((0.98, 0.62, 0.42), (0.60, 0.26, 0.42)),
    "meadow": ((0.55, 0.80, 0.93), (0.28, 0.58, 0.82)),
    "snow": ((0.70, 0.84, 0.93), (0.46, 0.66, 0.82)),
    "desert": ((0.42, 0.76, 0.80), (0.22, 0.56, 0.66)),
    "rain": ((0.70, 0.79, 0.86), (0.46, 0.58, 0.69)),
}


def pond(pen: Pen, setting: str, x: float, y: float, width: float) -> None:
    """A pond about (x, y) for a boat or a fish to lie in."""
    top, bottom = POND[setting]
    pen.fall(ellipse(x, y, width / 2, width * 0.11), top, bottom)


def islet(pen: Pen, x: float, y: float, width: float) -> None:
    """A sandy islet about (x, y), for what cannot swim."""
    half = width / 2
    shape = curve(
        (x - half, y + 0.07),
        (x - half * 0.6, y - 0.04, x, y - 0.035),
        (x + half * 0.7, y - 0.03, x + half, y + 0.07),
    )
    pen.fall(shape, (0.97, 0.87, 0.62), (0.84, 0.68, 0.42))
    grass = curve(
        (x - half * 0.62, y),
        (x - half * 0.3, y - 0.05, x, y - 0.045),
        (x + half * 0.4, y - 0.045, x + half * 0.6, y),
    )
    pen.fall(grass, (0.58, 0.76, 0.36), (0.40, 0.62, 0.28))
