"""What crosses the prompt writer's border, and its interface. No torch here."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal, Protocol

from limner.params import Voice


@dataclass(frozen=True, slots=True)
class PromptRequest:
    """Continue `text` (may be empty) in `voice`. The same seed writes the same prompt."""

    id: str
    text: str
    voice: Voice
    seed: int
    temperature: float = 1.0
    max_new_tokens: int = 60


@dataclass(frozen=True, slots=True)
class WriterHealth:
    state: Literal["loading", "ready", "restarting", "failed", "stopped"]
    detail: str = ""


class PromptWriter(Protocol):
    """Text in, a stream of text pieces out. All methods are called on the server's event loop."""

    async def start(self) -> None:
        """Begin loading; returns at once."""

    async def stop(self) -> None: ...

    def write(self, request: PromptRequest) -> AsyncGenerator[str]:
        """Pieces to append to `request.text`. Closing the generator stops the model within one token.

        Raises `NotReady` while loading and `PromptWriterFailed` when the model fails.
        """

    def health(self) -> WriterHealth: ...

    def name(self) -> str:
        """The model's name for people."""
