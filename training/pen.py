"""A pen over a skia canvas: filled shapes in unit coordinates, shaded by the light of the setting."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import skia

Color = tuple[float, float, float]  # red, green, blue, each 0 to 1
Point = tuple[float, float]  # x to the right, y downwards

WHITE: Color = (1.0, 1.0, 1.0)
CREAM: Color = (0.98, 0.94, 0.84)
INK: Color = (0.13, 0.12, 0.20)
WOOD: Color = (0.47, 0.31, 0.20)
GLASS: Color = (0.62, 0.82, 0.92)
LAMP: Color = (1.0, 0.88, 0.48)


def mix(a: Color, b: Color, share: float) -> Color:
    """`a` at share 0, `b` at share 1."""
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share)


def argb(color: Color, alpha: float = 1.0) -> int:
    """The color as skia's 32-bit integer."""
    red, green, blue = (round(255 * min(max(c, 0.0), 1.0)) for c in color)
    return round(255 * alpha) << 24 | red << 16 | green << 8 | blue


@dataclass(frozen=True, slots=True)
class Light:
    """The light of a setting: what it multiplies colours by, how strongly, and from which side it falls."""

    tint: Color = WHITE
    strength: float = 0.0
    side: float = -1.0  # -1: from the left, 1: from the right
    contrast: float = 0.2  # of the lit side over the shadow side
    lamps: bool = False  # whether windows and lamps glow

    def on(self, color: Color) -> Color:
        """The colour as it looks in this light."""
        lit = (color[0] * self.tint[0], color[1] * self.tint[1], color[2] * self.tint[2])
        return mix(color, lit, self.strength)


class Pen:
    """Draws filled shapes onto a canvas whose coordinates run from 0 to 1 over the picture."""

    def __init__(self, canvas: skia.Canvas, light: Light, rng: random.Random) -> None:
        self.canvas, self.light, self.rng = canvas, light, rng

    @contextmanager
    def moved(
        self, x: float, y: float, scale: float, turn: float = 0.0, flip: bool = False
    ) -> Iterator[None]:
        """Inside, the origin is at (x, y), one unit is `scale`, turned by `turn` degrees, maybe mirrored."""
        self.canvas.save()
        self.canvas.translate(x, y)
        self.canvas.rotate(turn)
        self.canvas.scale(-scale if flip else scale, scale)
        light = self.light
        if flip:
            self.light = Light(light.tint, light.strength, -light.side, light.contrast, light.lamps)
        yield
        self.light = light
        self.canvas.restore()

    @contextmanager
    def inside(self, shape: skia.Path) -> Iterator[None]:
        """Inside, only what falls within the shape is drawn."""
        self.canvas.save()
        self.canvas.clipPath(shape, skia.ClipOp.kIntersect, True)
        yield
        self.canvas.restore()

    def fill(self, shape: skia.Path, color: Color, shade: float = 1.0, alpha: float = 1.0) -> None:
        """Fill the shape with the lit colour, lighter towards the light; `shade` 0 leaves it flat."""
        paint = skia.Paint(AntiAlias=True, Color=argb(self.light.on(color), alpha))
        if shade:
            box, contrast = shape.getBounds(), self.light.contrast * shade
            near, far = (box.left(), box.right()) if self.light.side < 0 else (box.right(), box.left())
            bright, dark = mix(color, WHITE, contrast * 0.8), mix(color, INK, contrast)
            paint.setShader(
                skia.GradientShader.MakeLinear(
                    [skia.Point(near, box.top()), skia.Point(far, box.top() + 0.3 * box.height())],
                    [argb(self.light.on(c), alpha) for c in (bright, color, dark)],
                    [0.0, 0.45, 1.0],
                )
            )
        self.canvas.drawPath(shape, paint)

    def glow(self, x: float, y: float, radius: float, color: Color, alpha: float = 0.6) -> None:
        """A soft round light, strongest in the middle; not tinted by the setting."""
        shader = skia.GradientShader.MakeRadial(
            skia.Point(x, y), radius, [argb(color, alpha), argb(color, 0)]
        )
        self.canvas.drawCircle(x, y, radius, skia.Paint(AntiAlias=True, Shader=shader))

    def sky(self, *colors: Color, bottom: float = 1.0) -> None:
        """Fill the whole picture with a gradient, from the top down to `bottom`."""
        shader = skia.GradientShader.MakeLinear(
            [skia.Point(0, 0), skia.Point(0, bottom)], [argb(color) for color in colors]
        )
        self.canvas.drawPaint(skia.Paint(Shader=shader))

    def fall(self, shape: skia.Path, top: Color, bottom: Color) -> None:
        """Fill the shape with a gradient from its top to its bottom, not tinted by the setting."""
        box = shape.getBounds()
        shader = skia.GradientShader.MakeLinear(
            [skia.Point(0, box.top()), skia.Point(0, box.bottom())], [argb(top), argb(bottom)]
        )
        self.canvas.drawPath(shape, skia.Paint(AntiAlias=True, Shader=shader))

    def line(self, points: Sequence[Point], width: float, color: Color, alpha: float = 1.0) -> None:
        """A smooth open line through the points, in the lit colour."""
        path = skia.Path()
        path.moveTo(*points[0])
        for (ax, ay), (bx, by) in pairwise(points[1:]):
            path.quadTo(ax, ay, (ax + bx) / 2, (ay + by) / 2)
        path.lineTo(*points[-1])
        paint = skia.Paint(AntiAlias=True, Color=argb(self.light.on(color), alpha), StrokeWidth=width)
        paint.setStyle(skia.Paint.kStroke_Style)
        paint.setStrokeCap(skia.Paint.kRound_Cap)
        self.canvas.drawPath(path, paint)


def polygon(*points: Point) -> skia.Path:
    """A closed shape with straight sides."""
    return skia.Path().addPoly([skia.Point(x, y) for x, y in points], True)


def ellipse(x: float, y: float, rx: float, ry: float | None = None, turn: float = 0.0) -> skia.Path:
    """An ellipse about (x, y), turned by `turn` degrees about its middle; `ry` left out makes a circle."""
    ry = rx if ry is None else ry
    path = skia.Path().addOval(skia.Rect(x - rx, y - ry, x + rx, y + ry))
    if turn:
        path.transform(skia.Matrix.RotateDeg(turn, skia.Point(x, y)))
    return path


def box(left: float, top: float, right: float, bottom: float, radius: float = 0.0) -> skia.Path:
    """A rectangle, with round corners if a radius is given."""
    rect = skia.Rect(left, top, right, bottom)
    return skia.Path().addRoundRect(rect, radius, radius) if radius else skia.Path().addRect(rect)


def curve(start: Point, *parts: tuple[float, ...]) -> skia.Path:
    """A closed shape from `start`: a part of 2 numbers is a line, of 4 a quadratic, of 6 a cubic."""
    path = skia.Path()
    path.moveTo(*start)
    for part in parts:
        {2: path.lineTo, 4: path.quadTo, 6: path.cubicTo}[len(part)](*part)
    path.close()
    return path


def ridge(heights: Sequence[float], bottom: float = 1.05) -> skia.Path:
    """Land below a smooth line through heights spread evenly from left to right."""
    step = 1.2 / (len(heights) - 1)
    points = [(-0.1 + i * step, y) for i, y in enumerate(heights)]
    path = skia.Path()
    path.moveTo(-0.1, bottom)
    path.lineTo(*points[0])
    for (ax, ay), (bx, by) in pairwise(points):
        path.cubicTo((ax + bx) / 2, ay, (ax + bx) / 2, by, bx, by)
    path.lineTo(1.1, bottom)
    path.close()
    return path


def around(count: int, radius: float, start: float = 0.0) -> list[tuple[float, float, float]]:
    """`count` places on a circle: x, y and the angle in degrees."""
    angles = [start + 360 * i / count for i in range(count)]
    return [(radius * math.cos(math.radians(a)), radius * math.sin(math.radians(a)), a) for a in angles]
