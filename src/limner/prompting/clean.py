"""Keeps what a prompt writer writes fit to be a prompt, as it streams: text once sent is never taken back."""

from __future__ import annotations

import re
from typing import Final


def _phrases(text: str) -> frozenset[tuple[str, ...]]:
    """Phrases between semicolons, each as its words."""
    return frozenset(tuple(phrase.split()) for phrase in text.split(";"))


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FOLLOWED: Final = _words(  # something must follow these
    """a an the of in on at by with and or from to into onto near under over beneath beside between among
    through during his her their its my your is are was were as for that which very against upon across
    along toward towards next like but"""
)
_NOT_PEOPLE: Final = _words(  # what may follow "by" without being somebody's name
    """a an the its his her their my your one two night day dawn dusk sunset sunrise side itself themselves
    water sea hand"""
)
_MAKING: Final = _words(  # "painted by" names somebody, "surrounded by" does not
    "painted inspired illustrated designed created photographed directed rendered composed imagined"
)
_NAMED: Final = _phrases("style of; inspired by")  # names follow, often a list of them
_CREDITS: Final = _phrases(  # what people paste to please a model: sites and programs
    """trending on; featured on; artstation; art station; deviantart; deviant art; cgsociety; behance; pixiv;
    pinterest; instagram; flickr; tumblr; patreon; octane render; octane; unreal engine; vray; v ray;
    redshift render"""
)
_HELD: Final = tuple(phrase for phrase in (*_NAMED, *_CREDITS) if len(phrase) > 1)
_LINK: Final = re.compile(r"://|^www\.|@|^#|<|\.(?:com|org|net|io|jpe?g|png|html?)\b", re.IGNORECASE)
_WEIGHT: Final = re.compile(r":+-?\d+(?:\.\d+)?")
_SYNTAX: Final = re.compile(r"[()\[\]{}|*_`\"“”~^\\=>\ufffd]")
LOOP: Final = 5  # words that come a second time in the same order: the writer goes in circles
REPEATS: Final = 3  # clauses said twice before the writer is taken to have no more to say
LONGEST_WORD: Final = 40  # characters


class Cleaner:
    """Takes raw text in pieces of any size and returns what may be appended to `typed`.

    A word is held until it is known to be whole; a clause that may repeat an earlier one, and a word that
    needs another after it, are held until that is decided. `finished`: nothing more will be accepted.
    """

    def __init__(self, typed: str) -> None:
        self.finished = False
        self._raw = ""
        self._joint = ""  # what goes before the next word
        self._fresh = not typed.strip()
        self._glued = not typed[-1:].isspace() and bool(typed)  # we are still inside the last typed word
        self._clauses: set[tuple[str, ...]] = set()
        self._clause: list[str] = []  # the present clause's words, sent or held, in lower case
        self._held: list[tuple[str, str]] = []  # joint and word, not yet sent
        self._skipping = False
        self._repeats = 0
        self._loops: set[tuple[str, ...]] = set()
        self._last: list[str] = []
        for clause in re.split(r"[,;.!?:\n]", typed.lower()):
            self._clauses.add(tuple(self._clause))
            self._clause = clause.split()
        self._typed = len(self._clause)

    def feed(self, piece: str) -> str:
        """Take more raw text. Returns what is now certain."""
        sent = ""
        for char in piece:
            if self.finished:
                break
            if not char.isspace():
                self._raw += char
                if len(self._raw) > 4 * LONGEST_WORD:
                    self.finished = True
                continue
            sent += self._end_word()
            if char == "\n" and not self._fresh:
                sent += self._end()
            elif self._glued:
                self._glued = False
                self._joint = self._joint or " "
        return sent

    def close(self, *, whole: bool) -> str:
        """The end. `whole`: the writer ended here of itself, so its last word is complete."""
        if self.finished:
            return ""
        sent = self._end_word() if whole else ""
        return sent + ("" if self.finished else self._end())

    def _end(self) -> str:
        """Nothing follows: send what can stand at the end."""
        self.finished = True
        self._drop_dangling()
        return "" if tuple(self._clause) in self._clauses else self._release()

    def _end_word(self) -> str:
        raw, self._raw = self._raw, ""
        if raw.startswith("--"):  # another program's flags: nothing but flags follows
            return self._end()
        if not raw or _LINK.search(raw):
            return ""
        text = _SYNTAX.sub("", _WEIGHT.sub("", raw))
        word = text.strip(",;:.!?…-–—'")
        sent = ""
        if text[:1] in tuple(",;.!?") and not self._is_empty():
            sent += self._end_clause(text[0])
        if word and len(word) <= LONGEST_WORD:
            sent += self._take(word)
        if word and text[-1] in ",;:.!?" and not self.finished:
            sent += self._end_clause(text[-1])
        return sent

    def _is_empty(self) -> bool:
        """Whether nothing at all stands before this point."""
        return self._fresh and not self._clause

    def _take(self, word: str) -> str:
        plain = word.lower()
        if self._glued and self._clause:
            self._glued, self._joint = False, " "
            self._clause[-1] += plain
            return word
        if self._skipping or self._clause[-1:] == [plain]:
            return ""
        if self._names_people(plain):
            self._drop_from(len(self._clause) - 1)
            return self._end()
        self._clause.append(plain)
        self._held.append((self._joint, word))
        self._joint = " "
        if any(self._ends_with(phrase) for phrase in _NAMED):
            self._drop_from(len(self._clause) - 2)
            return self._end()
        for credit in _CREDITS:
            if self._ends_with(credit):
                self._drop_from(len(self._clause) - len(credit))
                self._skipping = True
                return ""
        if self._goes_in_circles(plain):
            self._drop_from(len(self._clause) - 1)
            return self._end()
        return "" if self._must_wait(plain) else self._release()

    def _names_people(self, plain: str) -> bool:
        """Whether this word after "by", which we wrote and still hold, is likely somebody's name."""
        if not self._held or self._clause[-1] != "by":
            return False
        before = self._clause[-2] if len(self._clause) > 1 else ""
        passive = before == "lit" or (before.endswith("ed") and before not in _MAKING)
        return not passive and plain not in _NOT_PEOPLE and not plain.endswith("light")

    def _must_wait(self, plain: str) -> bool:
        said = tuple(self._clause)
        if plain in _FOLLOWED or any(clause[: len(said)] == said for clause in self._clauses):
            return True
        return any(self._ends_with(phrase[:n]) for phrase in _HELD for n in range(1, len(phrase)))

    def _goes_in_circles(self, plain: str) -> bool:
        self._last = [*self._last, plain][-LOOP:]
        seen = len(self._last) == LOOP and tuple(self._last) in self._loops
        self._loops.add(tuple(self._last))
        return seen

    def _ends_with(self, phrase: tuple[str, ...]) -> bool:
        own = self._clause[max(self._typed, len(self._clause) - len(phrase)) :]
        return tuple(own) == phrase

    def _drop_dangling(self) -> None:
        """Forget held words at the end that nothing follows."""
        while self._held and self._clause[-1] in _FOLLOWED:
            self._held.pop()
            self._clause.pop()

    def _drop_from(self, at: int) -> None:
        """Forget the clause's words from index `at` on, as far as they are still held."""
        first = len(self._clause) - len(self._held)
        del self._held[max(0, at - first) :]
        del self._clause[at:]

    def _end_clause(self, mark: str) -> str:
        self._drop_dangling()
        said = tuple(self._clause)
        sent = ""
        if said in self._clauses:
            repeated, self._held = bool(self._held), []
            self._repeats += repeated
            self.finished = self._repeats >= REPEATS
        else:
            sent = self._release()
            self._clauses.add(said)
        if not self._is_empty():
            self._joint = f"{',' if mark == ':' else mark} "
        self._clause, self._typed, self._skipping = [], 0, False
        return sent

    def _release(self) -> str:
        sent = ""
        for joint, word in self._held:
            sent += "" if self._fresh else joint
            sent += word
            self._fresh = False
        self._held = []
        return sent
