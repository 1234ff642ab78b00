"""The prompts that the prompt writer learns from."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from limner.params import Voice
from training import scenes, writer_words
from training.writer_prompts import compose


def composed(voice: Voice, count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [compose(voice, rng) for _ in range(count)]


def test_every_starter_prompt_is_drawable() -> None:
    assert all(scenes.parse(prompt) for prompt in composed(Voice.STARTER, 500))


def test_starter_prompts_use_the_whole_vocabulary() -> None:
    drawn = [scene for prompt in composed(Voice.STARTER, 1500) if (scene := scenes.parse(prompt))]
    assert {subject.name for scene in drawn for subject in scene.subjects} == set(scenes.TRAINED)
    assert {scene.setting for scene in drawn} - {None} == set(scenes.SETTINGS)


@pytest.mark.parametrize("voice", list(Voice))
def test_prompts_differ_and_a_seed_repeats_them(voice: Voice) -> None:
    prompts = composed(voice, 500)
    assert len(set(prompts)) >= 475
    assert prompts == composed(voice, 500)


def test_full_prompts_read_well() -> None:
    for prompt in composed(Voice.FULL, 500):
        words = prompt.replace(",", "").split()
        assert 5 <= len(words) <= 40
        assert prompt == prompt.lower()
        assert "  " not in prompt
        assert ",," not in prompt
        for article, noun in pairwise(words):
            if article == "an":
                assert noun[0] in "aeiou", prompt
            elif article == "a":
                assert noun[0] not in "aeio" or noun == "one", prompt


def test_the_full_voice_has_more_than_a_hundred_thousand_combinations() -> None:
    kinds = (len(k.subjects) * len(k.looks) * len(k.does) * len(k.places) for k in writer_words.KINDS)
    assert sum(kinds) > 100_000
