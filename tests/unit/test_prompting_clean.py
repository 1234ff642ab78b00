"""What a prompt writer writes is cleaned while it streams."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.params import Voice
from limner.prompting.clean import Cleaner
from training.writer_prompts import compose


def cleaned(raw: str, typed: str = "", *, whole: bool = True) -> str:
    cleaner = Cleaner(typed)
    return cleaner.feed(raw) + cleaner.close(whole=whole)


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        ("a cat\na dog", "a cat"),
        ("\n\n a cat", "a cat"),
        ("a castle, digital art by greg someone and anna other, 8k", "a castle, digital art"),
        ("a queen, painted by somebody famous, oil", "a queen, painted"),
        ("a moor in the style of john doe, oil", "a moor"),
        ("a cat, trending on artstation, sharp focus", "a cat, sharp focus"),
        ("a room, unreal engine, octane render, warm light", "a room, warm light"),
        ("see https://example.com/a and www.example.org", "see"),
        ("(masterpiece:1.2), [best quality], <lora:foo:0.8> a cat::2", "masterpiece, best quality, a cat"),
        ("a cat on a roof --ar 16:9 --v 4", "a cat on a roof"),
        ("a very very very small cat", "a very small cat"),
        ("a cat, golden hour, golden hour, oil painting", "a cat, golden hour, oil painting"),
        ("a cat in the", "a cat"),
        ("a cat, with a, on the", "a cat"),
        ("a cat , a dog ;", "a cat, a dog"),
        ("a cat.", "a cat"),
    ],
)
def test_cleaning_takes_out_what_is_no_part_of_a_prompt(raw: str, kept: str) -> None:
    assert cleaned(raw) == kept


@pytest.mark.parametrize(
    "prompt",
    [
        "a house by the sea, lit by candlelight, framed by branches",
        "a griffin surrounded by fireflies, seen from above",
        "a walk by night, side by side",
        "an unreal beauty",
    ],
)
def test_cleaning_leaves_ordinary_wordings_alone(prompt: str) -> None:
    assert cleaned(prompt) == prompt


@pytest.mark.parametrize(
    ("typed", "raw", "added"),
    [
        ("a red ho", "use at night", "use at night"),
        ("a red house", " at night", " at night"),
        ("a red house ", "at night", "at night"),
        ("a cat", ", golden hour", ", golden hour"),
        ("a cat, golden hour", ", golden hour, fog", ", fog"),
        ("a red", " red house", " house"),
        ("a cat", "\na dog", ""),
    ],
)
def test_cleaning_appends_to_what_was_typed(typed: str, raw: str, added: str) -> None:
    assert cleaned(raw, typed) == added


def test_a_word_cut_off_by_the_limit_is_left_out() -> None:
    assert cleaned("a red house at nig", whole=False) == "a red house"


def test_a_writer_that_goes_in_circles_is_stopped() -> None:
    cleaner = Cleaner("")
    text = cleaner.feed("a fox and a hen and a fox and a hen and " * 20)
    assert cleaner.finished
    assert len(text) < 60


def test_a_text_without_any_space_does_not_grow_without_end() -> None:
    cleaner = Cleaner("")
    assert cleaner.feed("x" * 10_000) == ""
    assert cleaner.finished


@settings(deadline=None)
@given(
    st.text(alphabet="ab ,.\n(by:1)-", max_size=60),
    st.sampled_from(["", "a", "a b,", "b "]),
    st.lists(st.integers(0, 60), max_size=5),
)
def test_the_size_of_the_pieces_changes_nothing(raw: str, typed: str, cuts: list[int]) -> None:
    cleaner = Cleaner(typed)
    ends = sorted({min(cut, len(raw)) for cut in cuts} | {len(raw)})
    pieces = [raw[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    assert "".join(map(cleaner.feed, pieces)) + cleaner.close(whole=True) == cleaned(raw, typed)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=200), st.text(max_size=40))
def test_no_text_whatever_makes_it_fail_or_leaves_junk(raw: str, typed: str) -> None:
    added = cleaned(raw, typed)
    assert not set(added) & set("\n()[]{}<>|")
    assert added == added.rstrip()


@pytest.mark.parametrize("voice", list(Voice))
def test_composed_prompts_pass_unchanged(voice: Voice) -> None:
    rng = random.Random(7)
    prompts = [compose(voice, rng) for _ in range(300)]
    assert sum(cleaned(prompt) == prompt for prompt in prompts) >= 298
