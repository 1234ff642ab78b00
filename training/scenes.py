"""What the starter model can draw: scenes, the words for them, and the way back from words to scenes."""

from __future__ import annotations

import random
import re
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
    "cat": ("cat", "kitten", "kitty"),
    "castle": ("castle", "fortress"),
    "pine tree": ("pine tree", "fir tree", "pine", "fir"),
    "bird": ("bird", "songbird"),
    "umbrella": ("umbrella", "parasol"),
    "apple": ("apple",),
    "cactus": ("cactus",),
    "bicycle": ("bicycle", "bike"),
    "windmill": ("windmill", "mill"),
    "tent": ("tent",),
    "snowman": ("snowman", "snow man"),
    "butterfly": ("butterfly",),
    "robot": ("robot", "android"),
    "teapot": ("teapot", "tea pot"),
}
TRAINED: Final = tuple(SUBJECTS)  # what the denoiser learns
COLORS: Final[Mapping[str, tuple[str, ...]]] = {
    "red": ("red", "crimson", "scarlet"),
    "orange": ("orange",),
    "yellow": ("yellow", "golden"),
    "green": ("green",),
    "blue": ("blue",),
    "purple": ("purple", "violet"),
    "pink": ("pink", "rosy"),
    "white": ("white",),
    "black": ("black",),
    "brown": ("brown", "chestnut"),
}
SETTINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "night": ("at night", "by night", "under the stars", "in the moonlight", "in the dark"),
    "sunset": ("at sunset", "at dusk", "in the sunset", "in the evening"),
    "meadow": ("on a meadow", "in a meadow", "on the grass", "in a green field"),
    "snow": ("in the snow", "in winter", "in a snowy landscape"),
    "desert": ("in the desert", "in a desert", "on the sand", "among the dunes"),
    "sea": ("on the sea", "at sea", "on the ocean", "by the sea"),
    "space": ("in space", "in outer space", "among the planets"),
    "rain": ("in the rain", "on a rainy day", "in rainy weather"),
}
SETTING_NOUNS: Final[Mapping[str, tuple[str, ...]]] = {  # how a setting is named in a list: "blue car, snow"
    "night": ("night", "starry night"),
    "sunset": ("sunset", "dusk", "evening"),
    "meadow": ("meadow", "grass", "grassland"),
    "snow": ("snow", "winter", "snowy landscape"),
    "desert": ("desert", "sand", "dunes"),
    "sea": ("sea", "ocean"),
    "space": ("space", "outer space"),
    "rain": ("rain", "rainy day"),
}
SIZES: Final[Mapping[str, tuple[str, ...]]] = {
    "small": ("small", "little", "tiny"),
    "large": ("large", "big", "huge"),
}
RELATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "and": ("and", "with"),
    "next to": ("next to", "beside", "near"),
    "above": ("above", "over"),
}
STYLES: Final[Mapping[str, tuple[str, ...]]] = {
    "watercolor": ("watercolor", "watercolour", "watercolor painting", "aquarelle"),
    "pixel art": ("pixel art", "8-bit pixel art"),
    "line drawing": ("line drawing", "sketch", "line art"),
    "neon": ("neon sign", "neon", "neon lights"),
}
MEDIA: Final = ("picture", "illustration", "image", "drawing")
FILLERS: Final = ("beautiful", "lovely", "pretty", "cute", "nice", "peaceful", "simple", "colorful")
FUNCTION_WORDS: Final = ("a", "an", "the", "of", "one", "single", "scene", "in", "as", "style")

PAIR_SHARE: Final = 0.3  # of the scenes to train on have several subjects, unless told otherwise
HELD_OUT_OF: Final = 17  # one combination of subject, colour and setting in so many is never trained on


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing in a scene; `None`: left open by the words (for a size: neither small nor large)."""

    name: str
    color: str | None = None
    size: str | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """One to three subjects in a setting and a style; a setting of `None` is open, a style of `None` plain.

    Subjects are named from left to right; with the relation `above`, from top to bottom.
    """

    subjects: tuple[Subject, ...]
    relation: str | None = None
    setting: str | None = None
    style: str | None = None


def is_held_out(subject: str, color: str, setting: str) -> bool:
    """Whether this combination is kept from training, to judge on; evenly over all of the three."""
    places = (list(names).index(name) for names, name in
              ((SUBJECTS, subject), (COLORS, color), (SETTINGS, setting)))  # fmt: skip
    return sum(place * step for place, step in zip(places, (1, 3, 5), strict=True)) % HELD_OUT_OF == 0


def touches_held_out(scene: Scene) -> bool:
    """Whether any subject of the scene, with its colour and setting, is kept from training."""
    return any(
        subject.color is not None and scene.setting is not None
        and is_held_out(subject.name, subject.color, scene.setting)
        for subject in scene.subjects
    )  # fmt: skip


def held_out_scenes() -> list[Scene]:
    """Every held-out combination of a trained subject, as a scene of that subject alone."""
    return [
        Scene((Subject(name, color),), setting=setting)
        for name, color, setting in product(TRAINED, COLORS, SETTINGS)
        if is_held_out(name, color, setting)
    ]


def complete(scene: Scene, rng: random.Random) -> Scene:
    """The scene with everything its words leave open chosen by `rng`."""
    subjects = tuple(replace(s, color=s.color or rng.choice(list(COLORS))) for s in scene.subjects)
    return replace(scene, subjects=subjects, setting=scene.setting or rng.choice(list(SETTINGS)))


def sample_scene(
    rng: random.Random,
    pair_share: float = PAIR_SHARE,
    names: Sequence[str] = TRAINED,
    plain_share: float = 0.3,
) -> Scene:
    """A complete scene to train on; never one that touches a held-out combination.

    `pair_share` of them have two subjects or, one in six of these, three.
    """
    while True:
        count = rng.choices((1, 2, 3), (1 - pair_share, pair_share * 5 / 6, pair_share / 6))[0]
        subjects = tuple(
            Subject(name, None, rng.choices((None, "small", "large"), (0.8, 0.1, 0.1))[0])
            for name in rng.sample(names, count)
        )
        relation = rng.choice(list(RELATIONS)[: 5 - count]) if count > 1 else None
        style = None if rng.random() < plain_share else rng.choice(list(STYLES))
        scene = complete(Scene(subjects, relation, None, style), rng)
        if not touches_held_out(scene):
            return scene


def plain_caption(scene: Scene) -> str:
    """The scene in its plainest words: "a red house next to a blue car at night"."""
    return _sentence([_noun_phrase(s, None) for s in scene.subjects], scene, None)


def caption(scene: Scene, rng: random.Random) -> str:
    """The scene in ordinary words, chosen by `rng`: synonyms, other orders, missing parts.

    What it says is always true of the scene; it may leave out a colour or the setting.
    """
    subjects = tuple(replace(s, color=None if rng.random() < 0.12 else s.color) for s in scene.subjects)
    told = replace(scene, subjects=subjects, setting=None if rng.random() < 0.12 else scene.setting)
    if rng.random() < 0.25:
        return _listed(told, rng)
    phrases = [_noun_phrase(s, rng) for s in told.subjects]
    text = _sentence(phrases, told, rng)
    if scene.style is None and rng.random() < 0.12:
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
    if waiting or not 1 <= len(subjects) <= 3 or any(len(names) > 1 for names in said.values()):
        return None
    relation = next(iter(said["relation"]), "and") if len(subjects) > 1 else None
    return Scene(tuple(subjects), relation, *(next(iter(said[kind]), None) for kind in ("setting", "style")))


def known_words(subjects: Sequence[str] = tuple(SUBJECTS)) -> list[str]:
    """Every single word that some caption of these subjects may hold, sorted."""
    others = {name for name in SUBJECTS if name not in subjects}
    return sorted({word for phrase, (_, name) in _LEXICON.items() if name not in others for word in phrase})


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
    relation = f" {_say(RELATIONS[scene.relation], rng)} " if scene.relation else ""
    text = relation.join(phrases)
    if len(phrases) == 3 and (rng is None or rng.random() < 0.7):
        text = f"{phrases[0]}, {relation.join(phrases[1:])}"
    styled_first = scene.style is not None and (rng is None or rng.random() < 0.7)
    if scene.setting:
        text = _placed(text, _say(SETTINGS[scene.setting], rng), None if styled_first else rng)
    if scene.style is None:
        return text
    named = _say(STYLES[scene.style], rng)
    if styled_first:
        return (
            f"{named} of {text}"
            if named.endswith(("art", "neon", "s"))
            else f"{_article(named)} {named} of {text}"
        )
    return f"{text}, {named}" if rng and rng.random() < 0.6 else f"{text} in {named} style"


def _placed(text: str, where: str, rng: random.Random | None) -> str:
    if rng and rng.random() < 0.2:
        return f"{where}, {text}"
    return f"{text}, {where}" if rng and rng.random() < 0.15 else f"{text} {where}"


def _listed(scene: Scene, rng: random.Random) -> str:
    """Keywords without grammar: "blue car, snow", "night, red house, tree", "neon, pink cat above tree"."""
    things = [_noun_phrase(s, rng, article=False) for s in scene.subjects]
    parts = [f" {_say(RELATIONS['above'], rng)} ".join(things)] if scene.relation == "above" else things
    if scene.setting:
        where = rng.choice((*SETTING_NOUNS[scene.setting], SETTINGS[scene.setting][0]))
        parts.insert(0 if rng.random() < 0.3 else len(parts), where)
    if scene.style:
        parts.insert(0 if rng.random() < 0.3 else len(parts), _say(STYLES[scene.style], rng))
    return (", " if rng.random() < 0.75 else " ").join(parts)
