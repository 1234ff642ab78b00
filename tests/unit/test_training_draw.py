"""The drawings: every subject in every setting, in the colour it is asked for."""

from __future__ import annotations

import colorsys
import random
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip(
    "skia", reason="drawing needs libGL and libEGL: apt install libgl1 libegl1", exc_type=ImportError
)

from training.draw import RGB, draw
from training.scenes import COLORS, SETTINGS, SUBJECTS, Scene, Subject


def _hue_share(pixels: NDArray[np.uint8], color: str) -> float:
    """The share of saturated pixels whose hue is within 25 degrees of the colour's."""
    wanted = colorsys.rgb_to_hsv(*RGB[color])[0]
    hsv = np.array([colorsys.rgb_to_hsv(*(pixel / 255)) for pixel in pixels.reshape(-1, 3)])
    off = np.abs(hsv[:, 0] - wanted)
    return float(np.mean((np.minimum(off, 1 - off) < 25 / 360) & (hsv[:, 1] > 0.35) & (hsv[:, 2] > 0.2)))


@pytest.mark.parametrize(("name", "setting"), list(product(SUBJECTS, SETTINGS)))
def test_every_subject_is_drawn_in_every_setting(name: str, setting: str) -> None:
    pixels = draw(Scene((Subject(name, "purple"),), setting=setting), 48, random.Random(0))
    assert pixels.shape == (48, 48, 3)
    assert pixels.dtype == np.uint8
    assert pixels.std() > 10


@pytest.mark.parametrize(("name", "color"), list(product(SUBJECTS, COLORS)))
def test_the_named_color_is_in_the_middle_of_the_picture(name: str, color: str) -> None:
    size = 32
    pixels = draw(Scene((Subject(name, color),), setting="snow"), size, random.Random(1))
    middle = pixels[size // 6 : -size // 6, size // 5 : -size // 5]
    assert _hue_share(middle, color) > 0.08


def test_the_first_subject_stands_on_the_left() -> None:
    scene = Scene((Subject("house", "red"), Subject("tree", "purple")), "next to", "snow")
    pixels = draw(scene, 48, random.Random(2))
    left, right = pixels[:, :24], pixels[:, 24:]
    assert _hue_share(left, "red") > 2 * _hue_share(right, "red")
    assert _hue_share(right, "purple") > 2 * _hue_share(left, "purple")


def test_a_large_subject_covers_more_than_a_small_one() -> None:
    small, large = (
        draw(Scene((Subject("mushroom", "purple", size),), setting="snow"), 48, random.Random(3))
        for size in ("small", "large")
    )
    assert _hue_share(large, "purple") > 2 * _hue_share(small, "purple")


def test_the_same_seed_draws_the_same_picture() -> None:
    scene = Scene((Subject("car"),))
    first, second, other = (draw(scene, 64, random.Random(seed)) for seed in (4, 4, 5))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)
