"""The bytes behind a byte-level tokenizer's tokens, as GPT-2 writes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import torch
from transformers import PreTrainedTokenizerBase


def _alphabet() -> dict[str, int]:
    """The character that stands for each byte: itself if it prints, else the next one from U+0100 on."""
    printing = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printing]
    return {chr(byte): byte for byte in printing} | {chr(0x100 + n): byte for n, byte in enumerate(others)}


_ALPHABET: Final = _alphabet()


class Vocabulary:
    """Token ids to bytes. Control tokens have no bytes; `size` is the model's, which may be padded."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, size: int) -> None:
        special = set(tokenizer.added_tokens_decoder)
        tokens = tokenizer.convert_ids_to_tokens(list(range(min(len(tokenizer), size))))
        self._bytes = [
            b"" if id_ in special else bytes(_ALPHABET.get(char, 0x3F) for char in token)
            for id_, token in enumerate(tokens)
        ]
        self.writes = torch.zeros(size, dtype=torch.bool)
        """`(size,)`: the tokens that stand for text."""
        self.writes[: len(tokens)] = torch.tensor([bool(text) for text in self._bytes])
        self.breaks = torch.zeros(size, dtype=torch.bool)
        """`(size,)`: the tokens that hold a line break."""
        self.breaks[: len(tokens)] = torch.tensor([b"\n" in text for text in self._bytes])

    def bytes_of(self, ids: Iterable[int]) -> bytes:
        return b"".join(self._bytes[id_] for id_ in ids)

    def towards(self, text: bytes) -> Sequence[int]:
        """The tokens that begin with `text`, or that `text` begins with."""
        return [
            id_
            for id_, own in enumerate(self._bytes)
            if own and (own.startswith(text) or text.startswith(own))
        ]
