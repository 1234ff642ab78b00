"""Which words are refused, and which only look like them."""

from __future__ import annotations

import pytest

from limner.engine.double import MODEL
from limner.errors import Unusable
from limner.models.catalog import STARTER, open_model
from limner.service.blocklist import SHIPPED, BlockList


@pytest.fixture(scope="module")
def shipped() -> BlockList:
    return BlockList(SHIPPED.read_text())


@pytest.mark.parametrize(
    "text",
    [
        "a view of Scunthorpe and Penistone from Middlesex",
        "the sexton of Essex, a sextant and a sextet in Sussex",
        "a therapist eats grapes in a field of rapeseed, draped in a cape",
        "a cocktail, a peacock and a dickcissel, by Charles Dickens",
        "analysis of an Arsenal shirt on a bassoon in Cummings",
        "Nigeria, Niger and a snigger",
        "a naked mole rat, seen with the naked eye",
        "children play in the snow",
        "a kid with a balloon, a baby goat, a teenage band",
        "a girl with a pearl earring, 1girl, 4k, 8k, hdr, (masterpiece:1.3)",
        "a paper about the minors league, infantry on parade",
        "pornichet, a town by the sea, at 7 a m in the u s a",
        "a red house at night",
        "",
        "🏠 家 дом ￼ \u200b",
    ],
)
def test_words_that_only_look_like_forbidden_ones_pass(shipped: BlockList, text: str) -> None:
    assert not shipped.forbids(text)


@pytest.mark.parametrize(
    "text",
    [
        "hentai",
        "Hentai!",
        "HENTAI, masterpiece",
        "a (hentai:1.3) picture",
        "hentai_style",
        "h\u00e9nt\u00e4i",
        "h3nt@i",
        "p0rn",
        "ｐｏｒｎ",
        "po\u200brn",
        "p o r n",
        "p.o.r.n",
        "pornographic",
        "ℙorn",
        "2porn",
        "two nudes",
        "a decapitated man",
        "a photo of a sexy child",
        "NUDE, a picture of many children",
        "a little girl in lingerie",
        "little  girl,\nlingerie",
        "lolicon art",
        "$ex, a kid",
    ],
)
def test_forbidden_words_are_found_in_disguise(shipped: BlockList, text: str) -> None:
    assert shipped.forbids(text)


def test_what_is_kept_out_of_a_picture_may_be_named(shipped: BlockList) -> None:
    assert not shipped.forbids("nsfw, nude, naked, child, extra fingers", wanted=False)
    assert shipped.forbids("lolicon", wanted=False)


def test_what_the_models_show_off_with_is_allowed(shipped: BlockList) -> None:
    starter = open_model(STARTER).info
    for text in (*starter.examples, *MODEL.examples, " ".join(starter.known_words)):
        assert not shipped.forbids(text), text


def test_a_list_of_ones_own_says_what_the_shipped_one_can() -> None:
    own = BlockList(
        "# mine\nmauve\ngreen house | blue\u00a0house\nwanted: dog* | cat + sofa\nallow: mauve shirt\n18yo\n"
    )
    assert own.forbids("a mauve wall")
    assert not own.forbids("a mauve shirt")
    assert own.forbids("a mauve shirt and a mauve wall")
    assert own.forbids("the Green  House")
    assert own.forbids("a blue-house")
    assert not own.forbids("a green tree by a house")
    assert own.forbids("a sofa for doggies")
    assert not own.forbids("a sofa for cats")
    assert not own.forbids("a cat and a sofa", wanted=False)
    assert own.forbids("18yo")
    assert not own.forbids("yo")


def test_an_empty_list_forbids_nothing() -> None:
    assert not BlockList("\n# nothing\n").forbids("porn")


@pytest.mark.parametrize(
    ("text", "told"), [("fine\n*", "line 2"), ("a |", "line 1"), ("never: x", "'never'"), ("+", "line 1")]
)
def test_a_line_that_says_nothing_is_named(text: str, told: str) -> None:
    with pytest.raises(Unusable, match=told):
        BlockList(text)
