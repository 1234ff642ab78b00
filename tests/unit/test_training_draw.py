"""The drawings: every subject in every setting, in the colour it is asked for."""

from __future__ import annotations

import colorsys
import random
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip(
    "skia", reason="drawing needs libGL and libEGL: apt install libgl1 libegl1", exc_type=ImportError
)

from training.draw import RGB, draw
from training.draw_filters import oklab
from training.draw_subjects import LOOKS
from training.scenes import COLORS, RELATIONS, SETTINGS, STYLES, SUBJECTS, Scene, Subject


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


@pytest.mark.parametrize(("style", "setting"), list(product(STYLES, SETTINGS)))
def test_every_style_draws_every_setting_like_no_other_style(style: str, setting: str) -> None:
    plain, styled, again = (
        draw(Scene((Subject("house", "red"),), setting=setting, style=told), 64, random.Random(6))
        for told in (None, style, style)
    )
    assert styled.shape == (64, 64, 3)
    assert np.array_equal(styled, again)
    assert np.abs(styled.astype(int) - plain).mean() > 5


@cache
def _beside_white(name: str, color: str, style: str | None) -> NDArray[np.floating[Any]]:
    """The subject beside a white one, with which a line drawing is on toned paper whatever the colour."""
    scene = Scene((Subject(name, color), Subject("mushroom", "white")), "and", "snow", style)
    return draw(scene, 64, random.Random(7)).astype(np.float32) / 255


def _main_color(name: str, color: str, style: str | None) -> str:
    """The name nearest to most of what changes most when only the subject's colour does."""
    drawn = _beside_white(name, color, style)
    change = np.abs(drawn - _beside_white(name, "purple" if color == "green" else "green", style)).max(-1)
    strongest = drawn[change >= np.quantile(change[change > 0.1], 0.6)]
    names = list(RGB)
    paints = oklab(np.array([RGB[known] for known in names], np.float32))
    off = ((oklab(strongest)[:, None] - paints) ** 2 * (0.5, 1, 1)).sum(-1)
    return names[int(np.bincount(off.argmin(1), minlength=len(names)).argmax())]


@pytest.mark.parametrize(("name", "color"), list(product(SUBJECTS, COLORS)))
def test_the_main_color_of_every_subject_is_the_named_one(name: str, color: str) -> None:
    assert _main_color(name, color, None) == color


@pytest.mark.parametrize(("color", "style"), list(product(COLORS, STYLES)))
def test_the_main_color_of_a_subject_is_the_named_one_in_every_style(color: str, style: str) -> None:
    assert _main_color("apple", color, style) == color


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_subject_that_is_above_is_drawn_over_the_other(setting: str) -> None:
    scene = Scene((Subject("apple", "red"), Subject("house", "purple")), "above", setting, "line drawing")
    pixels = draw(scene, 96, random.Random(8))
    upper, lower = pixels[:48], pixels[48:]
    assert _hue_share(upper, "red") > 2 * _hue_share(lower, "red")
    assert _hue_share(lower, "purple") > 2 * _hue_share(upper, "purple")


@pytest.mark.parametrize("relation", [relation for relation in RELATIONS if relation != "above"])
def test_three_subjects_stand_from_left_to_right(relation: str) -> None:
    colors = ("red", "green", "purple")
    subjects = tuple(Subject(n, c) for n, c in zip(("tent", "apple", "castle"), colors, strict=True))
    pixels = draw(Scene(subjects, relation, "snow"), 96, random.Random(9))
    for place, color in enumerate(colors):
        shares = [_hue_share(pixels[:, i * 32 : i * 32 + 32], color) for i in range(3)]
        assert max(range(3), key=shares.__getitem__) == place


@pytest.mark.parametrize("size", ["small", None, "large"])
def test_whatever_its_size_a_subject_stays_whole_inside_the_picture(size: str | None) -> None:
    for name in LOOKS:
        red, blue = (
            draw(Scene((Subject(name, color, size),), setting="space"), 64, random.Random(10)).astype(int)
            for color in ("red", "blue")
        )
        changed = np.abs(red - blue).max(-1) > 40
        assert changed.any()
        assert not changed[0].any()
        assert not changed[:, [0, -1]].any()
