"""The words for scenes: captions tell the truth, prompts are read back, held-out combinations stay out."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from training.scenes import (
    COLORS,
    SETTINGS,
    TRAINED,
    Scene,
    Subject,
    caption,
    held_out_scenes,
    known_words,
    parse,
    plain_caption,
    sample_scene,
    touches_held_out,
)


def _agrees(told: Subject, meant: Subject) -> bool:
    return told.name == meant.name and told.color in (None, meant.color) and told.size == meant.size


def test_every_caption_is_read_back_as_its_scene() -> None:
    rng = random.Random(0)
    for _ in range(3000):
        scene = sample_scene(rng)
        told = parse(text := caption(scene, rng))
        assert told is not None, text
        assert told.setting in (None, scene.setting), text
        assert told.style == scene.style, text
        assert (told.relation == "above") == (scene.relation == "above"), text
        assert len(told.subjects) == len(scene.subjects), text
        assert all(map(_agrees, told.subjects, scene.subjects)), text


def test_a_plain_caption_says_everything() -> None:
    rng = random.Random(1)
    for _ in range(300):
        scene = sample_scene(rng)
        assert parse(plain_caption(scene)) == scene


def test_held_out_combinations_are_never_sampled() -> None:
    rng = random.Random(2)
    assert not any(touches_held_out(sample_scene(rng)) for _ in range(5000))


def test_held_out_combinations_are_some_of_all() -> None:
    held_out = held_out_scenes()
    assert 1 / 20 < len(held_out) / (len(TRAINED) * len(COLORS) * len(SETTINGS)) < 1 / 14
    for names in zip(*((s.subjects[0].name, s.subjects[0].color, s.setting) for s in held_out), strict=True):
        counts = Counter(names)
        assert max(counts.values()) - min(counts.values()) <= 3, counts
    assert {s.subjects[0].name for s in held_out} == set(TRAINED)


def test_the_same_seed_gives_the_same_caption() -> None:
    first, second = random.Random(3), random.Random(3)
    assert caption(sample_scene(first), first) == caption(sample_scene(second), second)


@pytest.mark.parametrize(
    ("text", "scene"),
    [
        ("a red house at night", Scene((Subject("house", "red"),), setting="night")),
        ("Blue car, snow", Scene((Subject("car", "blue"),), setting="snow")),
        ("night, a small yellow FISH.", Scene((Subject("fish", "yellow", "small"),), setting="night")),
        ("house, red", Scene((Subject("house", "red"),))),
        ("a boat that is green", Scene((Subject("sailboat", "green"),))),
        (
            "a red house next to a tree",
            Scene((Subject("house", "red"), Subject("tree")), "next to"),
        ),
        (
            "a watercolor of a red lighthouse at sunset",
            Scene((Subject("lighthouse", "red"),), setting="sunset", style="watercolor"),
        ),
        (
            "night, a small white cat above a tree, pixel art",
            Scene((Subject("cat", "white", "small"), Subject("tree")), "above", "night", "pixel art"),
        ),
        (
            "a car, a fish and a brown mushroom in the rain",
            Scene((Subject("car"), Subject("fish"), Subject("mushroom", "brown")), "and", "rain"),
        ),
        ("hot air balloon", Scene((Subject("hot-air balloon"),))),
    ],
)
def test_parse_reads_ordinary_wordings(text: str, scene: Scene) -> None:
    assert parse(text) == scene


@pytest.mark.parametrize(
    "text",
    [
        "",
        "red",
        "at night",
        "a red dragon",
        "a red green house",
        "a house at night in the snow",
        "house tree car fish",
        "a watercolor of a house in neon",
    ],
)
def test_parse_refuses_what_cannot_be_drawn(text: str) -> None:
    assert parse(text) is None


def test_known_words_cover_every_caption() -> None:
    rng, known = random.Random(4), set(known_words())
    for _ in range(500):
        words = caption(sample_scene(rng), rng).replace("-", " ").replace(",", " ").replace(".", " ").split()
        assert known.issuperset(words)
