"""What the starter model can draw: scenes, the words for them, and the way back from words to scenes."""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

# Each vocabulary maps a canonical name to the words people use for it; the first is the plain wording.
SUBJECTS: Final[Mapping[str, tuple[str, ...]]] = {
    "house": ("house", "cottage", "home"),
    "tree": ("tree", "oak"),
    "sailboat": ("sailboat", "sailing boat", "boat"),
    "hot-air balloon": ("hot-air balloon", "hot air balloon", "balloon"),
    "mushroom": ("mushroom", "toadstool"),
    "lighthouse": ("lighthouse", "light house"),
    "car": ("car", "automobile"),
    "fish": ("fish",),
    "flower": ("flower", "blossom"),
    "rocket": ("rocket", "rocket ship", "spaceship"),
}
COLORS: Final[Mapping[str, tuple[str, ...]]] = {
    "red": ("red", "crimson"),
    "orange": ("orange",),
    "yellow": ("yellow", "golden"),
    "green": ("green",),
    "blue": ("blue",),
    "purple": ("purple", "violet"),
}
SETTINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "night": ("at night", "by night", "under the stars", "in the moonlight", "in the dark"),
    "sunset": ("at sunset", "at dusk", "in the sunset", "in the evening"),
    "meadow": ("on a meadow", "in a meadow", "on the grass", "in a green field"),
    "snow": ("in the snow", "in winter", "in a snowy landscape"),
    "desert": ("in the desert", "in a desert", "on the sand", "among the dunes"),
    "sea": ("on the sea", "at sea", "on the ocean", "by the sea"),
}
SETTING_NOUNS: Final[Mapping[str, tuple[str, ...]]] = {  # how a setting is named in a list: "blue car, snow"
    "night": ("night", "starry night"),
    "sunset": ("sunset", "dusk", "evening"),
    "meadow": ("meadow", "grass", "grassland"),
    "snow": ("snow", "winter", "snowy landscape"),
    "desert": ("desert", "sand", "dunes"),
    "sea": ("sea", "ocean"),
}
SIZES: Final[Mapping[str, tuple[str, ...]]] = {
    "small": ("small", "little", "tiny"),
    "large": ("large", "big", "huge"),
}
RELATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "and": ("and", "with"),
    "next to": ("next to", "beside", "near"),
}
STYLES: Final[Mapping[str, tuple[str, ...]]] = {}
MEDIA: Final = ("picture", "illustration", "image", "drawing")
FILLERS: Final = ("beautiful", "lovely", "pretty", "cute", "nice", "peaceful", "simple", "colorful")
FUNCTION_WORDS: Final = ("a", "an", "the", "of", "one", "single", "scene")

HELD_OUT_OF: Final = 20  # one combination of subject, colour and setting in twenty is never trained on


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing in a scene; `None`: left open by the words (for a size: neither small nor large)."""

    name: str
    color: str | None = None
    size: str | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """One or two subjects, named from left to right, in a setting and a style (`None`: open, or plain)."""

    subjects: tuple[Subject, ...]
    relation: str | None = None
    setting: str | None = None
    style: str | None = None


def is_held_out(subject: str, color: str, setting: str) -> bool:
    """Whether this combination is kept from training, to judge on; the same on every machine."""
    return zlib.crc32(f"{subject}|{color}|{setting}".encode()) % HELD_OUT_OF == 0


def touches_held_out(scene: Scene) -> bool:
    """Whether any subject of the scene, with its colour and setting, is kept from training."""
    return any(
        subject.color is not None and scene.setting is not None
        and is_held_out(subject.name, subject.color, scene.setting)
        for subject in scene.subjects
    )  # fmt: skip


def held_out_scenes() -> list[Scene]:
    """Every held-out combination, as a scene of one subject."""
    return [
        Scene((Subject(name, color),), setting=setting)
        for name, color, setting in product(SUBJECTS, COLORS, SETTINGS)
        if is_held_out(name, color, setting)
    ]


def complete(scene: Scene, rng: random.Random) -> Scene:
    """The scene with everything its words leave open chosen by `rng`."""
    subjects = tuple(replace(s, color=s.color or rng.choice(list(COLORS))) for s in scene.subjects)
    return replace(scene, subjects=subjects, setting=scene.setting or rng.choice(list(SETTINGS)))


def sample_scene(rng: random.Random, pair_share: float = 0.3) -> Scene:
    """A complete scene to train on; never one that touches a held-out combination."""
    while True:
        names = rng.sample(list(SUBJECTS), 2 if rng.random() < pair_share else 1)
        size = None if len(names) > 1 else rng.choices((None, "small", "large"), (0.8, 0.1, 0.1))[0]
        relation = rng.choice(list(RELATIONS)) if len(names) > 1 else None
        style = rng.choice((None, *STYLES)) if STYLES else None
        scene = complete(Scene(tuple(Subject(n, None, size) for n in names), relation, None, style), rng)
        if not touches_held_out(scene):
            return scene


def plain_caption(scene: Scene) -> str:
    """The scene in its plainest words: "a red house next to a blue car at night"."""
    return _sentence([_noun_phrase(s, None) for s in scene.subjects], scene, None)


def caption(scene: Scene, rng: random.Random) -> str:
    """The scene in ordinary words, chosen by `rng`: synonyms, other orders, missing parts.

    What it says is always true of the scene; it may leave out a colour, the size or the setting.
    """
    subjects = tuple(replace(s, color=None if rng.random() < 0.12 else s.color) for s in scene.subjects)
    told = replace(scene, subjects=subjects, setting=None if rng.random() < 0.12 else scene.setting)
    if rng.random() < 0.25:
        return _listed(told, rng)
    phrases = [_noun_phrase(s, rng) for s in told.subjects]
    text = _sentence(phrases, told, rng)
    if rng.random() < 0.12:
        text = f"{_article(medium := rng.choice(MEDIA))} {medium} of {text}"
    return text + ("." if rng.random() < 0.1 else "")


def parse(text: str) -> Scene | None:
    """The scene that a prompt names, or `None` if it names none or holds words the model does not know.

    A colour or size belongs to the subject after it, or to the one before when none follows.
    """
    words = _words(text)
    subjects: list[Subject] = []
    said: dict[str, set[str]] = {"setting": set(), "relation": set(), "style": set()}
    waiting: dict[str, str] = {}
    at = 0
    while at < len(words):
        length, kind, name = _match(words, at)
        if length == 0:
            return None
        at += length
        if kind == "subject":
            subjects.append(Subject(name, waiting.pop("color", None), waiting.pop("size", None)))
        elif kind == "predicate" and subjects and not subjects[-1].color and not waiting:
            subjects[-1] = replace(subjects[-1], color=name)
        elif kind in ("color", "size") and kind not in waiting:
            waiting[kind] = name
        elif kind in said:
            said[kind].add(name)
        elif kind != "word":
            return None
    if subjects and all(getattr(subjects[-1], kind) is None for kind in waiting):
        subjects[-1] = replace(subjects[-1], **waiting)
        waiting = {}
    if waiting or not 1 <= len(subjects) <= 2 or any(len(names) > 1 for names in said.values()):
        return None
    relation = next(iter(said["relation"]), "and") if len(subjects) > 1 else None
    return Scene(tuple(subjects), relation, *(next(iter(said[kind]), None) for kind in ("setting", "style")))


def known_words() -> list[str]:
    """Every single word that some caption may hold, sorted."""
    return sorted({word for phrase in _LEXICON for word in phrase})


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[^\s,.;:!?\"()-]+", text.lower()))


def _lexicon() -> dict[tuple[str, ...], tuple[str, str]]:
    """Phrase, as words, to (kind, canonical name)."""
    kinds: dict[str, Sequence[Mapping[str, tuple[str, ...]]]] = {
        "word": ({"": MEDIA + FILLERS + FUNCTION_WORDS},),
        "subject": (SUBJECTS,),
        "color": (COLORS,),
        "size": (SIZES,),
        "setting": (SETTINGS, SETTING_NOUNS),
        "relation": (RELATIONS,),
        "style": (STYLES,),
    }
    predicates = {name: tuple(f"that is {phrase}" for phrase in phrases) for name, phrases in COLORS.items()}
    kinds["predicate"] = (predicates,)
    return {
        _words(phrase): (kind, name)
        for kind, tables in kinds.items()
        for table in tables
        for name, phrases in table.items()
        for phrase in phrases
    }


_LEXICON: Final = _lexicon()
_LONGEST: Final = max(map(len, _LEXICON))


def _match(words: Sequence[str], at: int) -> tuple[int, str, str]:
    """The longest known phrase that starts at `at`: its length in words (0: none), kind and name."""
    for length in range(min(_LONGEST, len(words) - at), 0, -1):
        if hit := _LEXICON.get(tuple(words[at : at + length])):
            return length, *hit
    return 0, "", ""


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _say(phrases: Sequence[str], rng: random.Random | None) -> str:
    """The plain wording most of the time, a synonym else."""
    return phrases[0] if rng is None or rng.random() < 0.6 else rng.choice(phrases)


def _noun_phrase(subject: Subject, rng: random.Random | None, article: bool = True) -> str:
    noun = _say(SUBJECTS[subject.name], rng)
    adjectives = [_say(SIZES[subject.size], rng)] if subject.size else []
    if rng and rng.random() < 0.08:
        adjectives.append(rng.choice(FILLERS))
    color = _say(COLORS[subject.color], rng) if subject.color else None
    behind = color is not None and rng is not None and article and rng.random() < 0.05
    if color and not behind:
        adjectives.append(color)
    text = " ".join([*adjectives, noun])
    if article:
        text = f"the {text}" if rng and rng.random() < 0.1 else f"{_article(text)} {text}"
    return f"{text} that is {color}" if behind else text


def _sentence(phrases: Sequence[str], scene: Scene, rng: random.Random | None) -> str:
    text = f" {_say(RELATIONS[scene.relation], rng)} ".join(phrases) if scene.relation else phrases[0]
    if not scene.setting:
        return text
    where = _say(SETTINGS[scene.setting], rng)
    if rng and rng.random() < 0.2:
        return f"{where}, {text}"
    return f"{text}, {where}" if rng and rng.random() < 0.15 else f"{text} {where}"


def _listed(scene: Scene, rng: random.Random) -> str:
    """Keywords without grammar: "blue car, snow", "night, red house, tree"."""
    parts = [_noun_phrase(s, rng, article=False) for s in scene.subjects]
    if scene.setting:
        where = rng.choice((*SETTING_NOUNS[scene.setting], SETTINGS[scene.setting][0]))
        parts.insert(0 if rng.random() < 0.3 else len(parts), where)
    return (", " if rng.random() < 0.75 else " ").join(parts)
