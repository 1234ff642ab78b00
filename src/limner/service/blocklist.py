"""A list of words that are not painted. What a line may say stands at the head of `blocklist.txt`."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from limner.errors import Unusable

SHIPPED = Path(__file__).with_name("blocklist.txt")

# A sign counts as a letter when one follows: "$ex" is a word of three letters, "sex!" of three as well.
_WORD = re.compile(r"(?:[@$](?=[^\W_]))?[^\W_](?:[^\W_]|[@$!](?=[^\W_]))*")
_SIGNS = str.maketrans("013457@$!", "oieastasi")
_DIGITS = re.compile(r"\d+")
_SPELT = re.compile(r"(?<= )(?:\w ){3,}")


@dataclass(frozen=True, slots=True)
class _Entry:
    """Forbidden when every term has one of its phrases in the text."""

    terms: tuple[tuple[str, ...], ...]
    wanted_only: bool


class BlockList:
    """Any thread may ask."""

    def __init__(self, text: str) -> None:
        """Raises `Unusable` naming the line that says nothing."""
        self._entries: list[_Entry] = []
        self._allowed: list[str] = []
        for number, line in enumerate(text.splitlines(), 1):
            line = line.partition("#")[0].strip()
            if line:
                self._add(line, number)

    def forbids(self, text: str, *, wanted: bool = True) -> bool:
        """`wanted` False: the text says what is to be kept out of the picture."""
        said = _readings(text)
        for phrase in self._allowed:
            said = said.replace(phrase, " | ")
        return any(
            all(any(phrase in said for phrase in term) for term in entry.terms)
            for entry in self._entries
            if wanted or not entry.wanted_only
        )

    def _add(self, line: str, number: int) -> None:
        kind, colon, rest = line.partition(":")
        if colon and kind not in ("wanted", "allow"):
            raise Unusable(
                f"--blocklist, line {number}: {kind!r} before a colon; there are 'wanted' and 'allow'"
            )
        terms = tuple(
            tuple(_phrase(words, number) for words in term.split("|"))
            for term in (rest if colon else line).split("+")
        )
        if kind == "allow" and colon:
            self._allowed += [phrase for term in terms for phrase in term]
        else:
            self._entries.append(_Entry(terms, wanted_only=bool(colon)))


def _phrase(text: str, number: int) -> str:
    """As it stands in what `_readings` gives: whole words between spaces, or the beginning of one."""
    open_ended = text.rstrip().endswith("*")
    words = [_read(word) for word in _WORD.findall(_plain(text))]
    if not words:
        raise Unusable(f"--blocklist, line {number}: there is no word in {text.strip()!r}; write one")
    return f" {' '.join(words)}" + ("" if open_ended else " ")


def _readings(text: str) -> str:
    """The words between spaces in each way to read them: signs as letters, without digits, spelt letters."""
    plain = _plain(text)
    read = f" {' '.join(_read(word) for word in _WORD.findall(plain))} "
    bare = f" {' '.join(_WORD.findall(_DIGITS.sub(' ', plain)))} "
    spelt = " ".join(run.replace(" ", "") for run in _SPELT.findall(bare))
    return f"{read}|{bare}| {spelt} "


def _read(word: str) -> str:
    return word if word.isdigit() else word.translate(_SIGNS)


def _plain(text: str) -> str:
    """Without case, accents, invisible characters, and other shapes of the same letters."""
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(c for c in letters if not unicodedata.combining(c) and unicodedata.category(c) != "Cf")
