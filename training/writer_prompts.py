"""Prompts in two voices, composed by a seeded `rng`: what the prompt writer learns from.

The starter voice stays inside `training.scenes`, so it grows with what the starter model draws.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from limner.params import Voice
from training import scenes
from training import writer_words as words

PAIRS: Final = 0.4  # of the starter voice: two subjects
ENDINGS: Final = 0.06  # of the starter voice: a closing remark, so that even a whole prompt can be continued


def compose(voice: Voice, rng: random.Random) -> str:
    """One prompt, in lower case."""
    return _VOICES[voice](rng)


def starter_prompt(rng: random.Random) -> str:
    """A prompt that the starter model can draw: `scenes.parse` understands all of it."""
    while True:
        scene = scenes.sample_scene(rng, PAIRS)
        add = len(scene.subjects) > 1 and rng.random() < 0.25
        told = _scene_then_more(scene, rng) if add else scenes.caption(scene, rng)
        text = told.rstrip(".").lower()
        if rng.random() < ENDINGS:
            text += f", a {rng.choice(scenes.FILLERS)} {rng.choice(scenes.MEDIA)}"
        drawn = scenes.parse(text)
        if drawn is not None and (_is_whole(drawn) or rng.random() < 0.3):
            return text


def full_prompt(rng: random.Random) -> str:
    """A rich prompt for a model that draws anything."""
    kind = rng.choice(words.KINDS)
    text = rng.choices((_medium_first, _subject_first, _place_first, _keywords), (5, 4, 2, 2))[0](kind, rng)
    return text.lower()


_VOICES: Final[Mapping[Voice, Callable[[random.Random], str]]] = {
    Voice.STARTER: starter_prompt,
    Voice.FULL: full_prompt,
}


def _is_whole(scene: scenes.Scene) -> bool:
    """Whether the words leave neither a colour nor the setting open."""
    return scene.setting is not None and all(subject.color for subject in scene.subjects)


def _scene_then_more(scene: scenes.Scene, rng: random.Random) -> str:
    """A whole scene first and a second subject after it, as people add to what they have typed."""
    first = replace(scene, subjects=scene.subjects[:1], relation=None)
    more = replace(scene, subjects=scene.subjects[1:2], relation=None, setting=None, style=None)
    between = rng.choice(scenes.RELATIONS[scene.relation]) if scene.relation else "and"
    return f"{scenes.plain_caption(first)} {between} {scenes.plain_caption(more)}"


def _medium_first(kind: words.Kind, rng: random.Random) -> str:
    """ "an oil painting of a young fox asleep on a mossy stone, golden hour, serene"."""
    medium = rng.choice(words.MEDIA)
    opening = f"{with_article(medium)} of" if rng.random() < 0.7 else f"{medium} of"
    return ", ".join([f"{opening} {_subject(kind, rng)}", *_closing(kind, rng, medium=None)])


def _subject_first(kind: words.Kind, rng: random.Random) -> str:
    medium = rng.choice(words.MEDIA) if rng.random() < 0.7 else None
    return ", ".join([_subject(kind, rng), *_closing(kind, rng, medium)])


def _place_first(kind: words.Kind, rng: random.Random) -> str:
    where = rng.choice((*kind.places, *words.TIMES))
    seen = f"{_noun(kind, rng)} {rng.choice(kind.does)}" if rng.random() < 0.6 else _noun(kind, rng)
    return ", ".join([where, seen, *_closing(kind, rng, rng.choice(words.MEDIA))])


def _keywords(kind: words.Kind, rng: random.Random) -> str:
    """Keywords without articles: "snow leopard, in the first snow, pale winter sun, etching"."""
    thing = rng.choice(kind.subjects)
    if rng.random() < 0.5:
        thing = f"{rng.choice(kind.looks)} {thing}"
    parts = [thing, rng.choice(kind.places), *_closing(kind, rng, rng.choice(words.MEDIA))]
    return ", ".join(parts)


def _subject(kind: words.Kind, rng: random.Random) -> str:
    """Who or what, and most of the time what it does, where, and when."""
    text = _noun(kind, rng)
    if rng.random() < 0.7:
        text += f" {rng.choice(kind.does)}"
    if rng.random() < 0.7:
        text += f" {rng.choice(kind.places)}"
    elif rng.random() < 0.6:
        text += f" {rng.choice(words.TIMES)}"
    return text


def _noun(kind: words.Kind, rng: random.Random) -> str:
    looks = rng.sample(kind.looks, rng.choices((0, 1, 2), (0.25, 0.6, 0.15))[0])
    return with_article(" ".join([", ".join(looks), rng.choice(kind.subjects)]).strip())


def _closing(kind: words.Kind, rng: random.Random, medium: str | None) -> list[str]:
    """Two to five of detail, light, mood, palette, composition and finish, in a loose order."""
    mood = rng.choice(words.MOODS)
    choices = [
        rng.choice(kind.details),
        rng.choice(words.LIGHT),
        mood if rng.random() < 0.5 or " " in mood else f"{mood} mood",
        rng.choice(words.PALETTES),
        rng.choice(words.COMPOSITIONS),
        rng.choice(words.FINISHES),
    ]
    kept = [choices[i] for i in sorted(rng.sample(range(len(choices)), rng.randint(2, 4)))]
    if rng.random() < 0.3:
        rng.shuffle(kept)
    if medium:
        kept.insert(0 if rng.random() < 0.6 else len(kept), medium)
    return kept


def with_article(phrase: str) -> str:
    """ "an owl", "a unicorn"."""
    vowel = phrase[0] in "aeiou" and not phrase.startswith(("uni", "one", "ukiyo"))
    return f"{'an' if vowel else 'a'} {phrase}"
