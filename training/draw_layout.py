"""Where the subjects of a scene stand or float, whole in the picture: in a row, or one above the other."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import skia

from training.draw_subjects import LOOKS
from training.pen import WHITE, Light, Pen
from training.scenes import Scene, Subject

SINGLE: Final[Mapping[str | None, tuple[float, float]]] = {  # the subject's box, in widths of the picture
    "small": (0.31, 0.37),
    None: (0.60, 0.70),
    "large": (0.84, 0.90),
}
SHARE: Final[Mapping[str | None, float]] = {"small": 0.55, None: 1.0, "large": 1.45}  # beside others
BESIDE: Final[Mapping[int, float]] = {2: 0.52, 3: 0.46}  # the widest box, by how many stand in a row
ABOVE: Final = 0.46
MARGIN: Final = 0.035
DRIFT: Final = 10.0  # how far what floats in space leans either way, degrees


@dataclass(frozen=True, slots=True)
class Place:
    """A subject's place: the middle of its foot, the width of its box, its lean; in widths of the picture."""

    subject: Subject
    x: float
    y: float
    width: float
    turn: float
    flip: bool
    lift: float  # how far above the ground it hovers
    floats: bool  # stands on nothing: neither shadow nor pond

    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of what its paint covers, from 0 to 1."""
        half, height = _reach(self.subject.name, self.turn)
        foot = self.y - self.lift
        sides = (self.x - half * self.width, foot - height * self.width, self.x + half * self.width, foot)
        left, top, right, bottom = (_clamp(side, 0.0, 1.0) for side in sides)
        return left, top, right, bottom


@cache
def extent(name: str) -> tuple[float, float]:
    """Half the width, and the height above the foot, that a subject's paint covers in its box."""
    px = 64
    covered = np.zeros((2 * px, 2 * px), bool)
    for seed in range(16):
        surface = skia.Surface(2 * px, 2 * px)
        surface.getCanvas().translate(px, 1.5 * px)
        surface.getCanvas().scale(px, px)
        LOOKS[name].paint(Pen(surface.getCanvas(), Light(), random.Random(seed)), WHITE)
        covered |= surface.toarray()[..., 3] > 60
    rows, columns = np.nonzero(covered.any(1))[0], np.nonzero(covered.any(0))[0]
    half = max(px - columns.min(), columns.max() + 1 - px) / px
    return float(half), float((1.5 * px - rows.min()) / px)


def _reach(name: str, turn: float) -> tuple[float, float]:
    """Half the width and the height in the box, when turned by so many degrees."""
    half, height = extent(name)
    sine, cosine = math.sin(math.radians(abs(turn))), math.cos(math.radians(turn))
    return half * cosine + height / 2 * sine, height * cosine + 0.3 * half * sine


def ground_of(scene: Scene, rng: random.Random) -> float:
    """The height of the ground line: low where something tall needs room, below the picture without land."""
    if scene.setting == "space" and rng.random() < 0.6:
        return 1.3
    if scene.relation == "above" or any(s.size == "large" for s in scene.subjects):
        return rng.uniform(0.83, 0.86)
    return rng.uniform(0.72, 0.8)


def places(scene: Scene, ground: float, rng: random.Random) -> list[Place]:
    """A place for each subject, from left to right; `above` puts the first over the second."""
    if scene.relation == "above":
        return _stacked(scene.subjects, ground, rng)
    return _in_row(scene.subjects, ground, rng)


def _turn(subject: Subject, free: bool, rng: random.Random) -> float:
    most = max(LOOKS[subject.name].turn, DRIFT if free else 0.0)
    return rng.uniform(-most, most)


def _place(
    subject: Subject, x: float, y: float, width: float, turn: float, floats: bool, rng: random.Random
) -> Place:
    look = LOOKS[subject.name]
    hovers = look.hover > 0 and not floats and not look.swims and rng.random() < 0.8
    lift = look.hover * width * rng.uniform(0.3, 1.0) if hovers else 0.0
    lift = max(min(lift, y - extent(subject.name)[1] * width - MARGIN), 0.0)
    return Place(subject, x, y, width, turn, rng.random() < 0.5, lift, floats)


def _in_row(subjects: tuple[Subject, ...], ground: float, rng: random.Random) -> list[Place]:
    free = ground > 1
    turns = [_turn(s, free, rng) for s in subjects]
    reaches = [_reach(s.name, turn) for s, turn in zip(subjects, turns, strict=True)]
    foot = 0.94 if free else min(ground + 0.09, 0.93)
    if len(subjects) == 1:
        # a wide, low thing (a car, a fish) may take more of the width and still stand free
        wanted = [rng.uniform(*SINGLE[subjects[0].size]) * (1.1 if reaches[0][1] < 0.8 else 1.0)]
    else:
        wanted = [SHARE[s.size] * BESIDE[len(subjects)] * rng.uniform(0.93, 1.0) for s in subjects]
    room = 1 - 2 * MARGIN - 0.02 * (len(subjects) - 1)
    shrink = min(
        room / sum(2 * half * width for (half, _), width in zip(reaches, wanted, strict=True)),
        *((foot - MARGIN) / (height * width) for (_, height), width in zip(reaches, wanted, strict=True)),
        1.0,
    )
    widths = [width * shrink for width in wanted]
    slack = 1 - 2 * MARGIN - sum(2 * half * width for (half, _), width in zip(reaches, widths, strict=True))
    # what is left over goes between and beside them, most of it evenly
    gaps = [1 + rng.uniform(0, 0.8) for _ in range(len(subjects) + 1)]
    left, found = MARGIN, []
    for subject, turn, (half, height), width, gap in zip(
        subjects, turns, reaches, widths, gaps[:-1], strict=True
    ):
        left += slack * gap / sum(gaps)
        low = 0.5 + height * width / 2
        y = _clamp(low + rng.uniform(-0.1, 0.1), height * width + MARGIN, 0.95) if free else (
            max(ground + rng.uniform(0.04, 0.09), height * width + MARGIN))  # fmt: skip
        found.append(_place(subject, left + half * width, y, width, turn, free, rng))
        left += 2 * half * width
    return found


def _stacked(subjects: tuple[Subject, ...], ground: float, rng: random.Random) -> list[Place]:
    upper, lower = subjects
    free, gap = ground > 1, 0.055
    foot = rng.uniform(0.9, 0.94) if free else ground + rng.uniform(0.05, 0.08)
    turns = (_turn(upper, True, rng), _turn(lower, free, rng))
    reaches = [_reach(s.name, turn) for s, turn in zip(subjects, turns, strict=True)]
    wanted = [SHARE[s.size] * ABOVE * (1.2 if height < 0.8 else 1.0)
              for s, (_, height) in zip(subjects, reaches, strict=True)]  # fmt: skip
    shrink = min(
        (foot - MARGIN - gap)
        / sum(width * height for width, (_, height) in zip(wanted, reaches, strict=True)),
        *((1 - 2 * MARGIN) / (2 * half * width) for width, (half, _) in zip(wanted, reaches, strict=True)),
        1.0,
    )
    widths = [width * shrink for width in wanted]
    tall, low = (height * width for (_, height), width in zip(reaches, widths, strict=True))
    middle = rng.uniform(0.42, 0.58)
    top = rng.uniform(MARGIN, max(MARGIN, min(foot - low - gap - tall, 0.12)))
    heights = (top + tall, foot)
    found = []
    for i, subject in enumerate(subjects):
        half = reaches[i][0] * widths[i]
        x = _clamp(middle + rng.uniform(-0.06, 0.06), half + MARGIN, 1 - half - MARGIN)
        found.append(_place(subject, x, heights[i], widths[i], turns[i], free or i == 0, rng))
    return found


def _clamp(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
