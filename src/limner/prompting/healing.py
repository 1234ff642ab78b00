"""Begins at the last typed word again, so that the model may end it in tokens of its own choice.

A text cut inside a word ends in tokens that no whole text has there, and a model goes on badly from them.
So the last word is taken back, and only tokens that spell it out, and go on from it, are considered
("token healing").
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from limner.prompting.vocabulary import Vocabulary

LONGEST_TAIL: Final = 32  # characters; a longer last word is taken as it stands
LOOK_AHEAD: Final = 8  # further passes of the model to find out how well a beginning goes on
NEGLIGIBLE: Final = 0.01  # a beginning this much less likely than what is found already is not followed
UNHEARD_OF: Final = 1e-5  # below it the model does not know the word

_LAST_WORD: Final = re.compile(r" ?(?:[^\W_]+(?:['’][^\W_]+)*['’]?|[^\w\s]+)?$")


def split_last_word(text: str) -> tuple[str, str]:
    """The typed text with single spaces, cut before its last word or closing space: `head` and `tail`."""
    text = re.sub(r"\s+", " ", text).lstrip()
    match = _LAST_WORD.search(text)
    assert match is not None, "the pattern matches at the end at least"
    return (text, "") if len(match[0]) > LONGEST_TAIL else (text[: match.start()], match[0])


def spell(
    due: bytes,
    logits: Tensor,
    read_on: Callable[[list[int]], Tensor],
    vocabulary: Vocabulary,
    generator: torch.Generator,
) -> list[int] | None:
    """Tokens that begin with the bytes `due`, drawn by their likelihood; None: the model knows no such word.

    `logits` `(vocabulary,)` come before the first of them, `read_on(tokens)` gives those after some.
    """
    found: list[tuple[float, list[int]]] = []
    begun: list[tuple[float, list[int], bytes]] = [(-1.0, [], due)]
    for look in range(LOOK_AHEAD):
        if not begun or -begun[0][0] < NEGLIGIBLE * sum(chance for chance, _ in found):
            break
        negative, tokens, rest = heapq.heappop(begun)
        chances = (read_on(tokens) if look else logits).softmax(0)
        for token in vocabulary.towards(rest):
            chance = -negative * float(chances[token])
            spelled = vocabulary.bytes_of([token])
            if len(spelled) >= len(rest):
                found.append((chance, [*tokens, token]))
            else:
                heapq.heappush(begun, (-chance, [*tokens, token], rest[len(spelled) :]))
    weights = torch.tensor([chance for chance, _ in found])
    if float(weights.sum()) < UNHEARD_OF:
        return None
    return found[int(torch.multinomial(weights, 1, generator=generator))][1]
