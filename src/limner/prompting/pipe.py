"""What passes between the server and the prompt writer's process, beside `PromptRequest`. No torch here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Load:
    """What the process begins with: the folder of the weights, and how many threads it may use."""

    folder: str
    threads: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Nobody reads this prompt any more. Unknown ids are ignored."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Ready:
    """The weights are loaded."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Text to append."""

    request_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Written:
    """The prompt is whole, or was stopped, after `tokens` tokens."""

    request_id: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Failed:
    """This prompt cannot be written."""

    request_id: str
    reason: str
