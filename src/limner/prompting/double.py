"""A prompt writer that writes set words at a chosen pace: for tests and the page's development."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from limner.errors import NotReady, PromptWriterFailed
from limner.params import Voice
from limner.prompting.messages import PromptRequest, WriterHealth

_WORDS = {
    Voice.STARTER: ("a red house", "a blue fish", "a green tree", "at night", "in the snow", "on the sea"),
    Voice.FULL: ("a portrait", "oil on canvas", "soft light", "a quiet mood", "wide angle", "fine detail"),
}


@dataclass
class PromptWriterDouble:
    """Knobs may be turned while it runs. `stopped` counts the writings that were closed before their end."""

    token_s: float = 0.03
    fails: bool = False
    unhealthy: WriterHealth | None = None
    asked: list[PromptRequest] = field(default_factory=list)
    stopped: int = 0

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    def name(self) -> str:
        return "double"

    def health(self) -> WriterHealth:
        return self.unhealthy or WriterHealth("ready")

    async def write(self, request: PromptRequest) -> AsyncGenerator[str]:
        if self.health().state != "ready":
            raise NotReady("the prompt writer is loading")
        self.asked.append(request)
        done = False
        try:
            for piece in self._pieces(request):
                await asyncio.sleep(self.token_s)
                if self.fails:
                    raise PromptWriterFailed
                yield piece
            done = True
        finally:
            self.stopped += not done and not self.fails

    def _pieces(self, request: PromptRequest) -> list[str]:
        chosen = " ".join(random.Random(request.seed).sample(_WORDS[request.voice], 3))  # noqa: S311
        gap = " " if request.text and not request.text.endswith(" ") else ""
        words = (gap + chosen).split(" ")
        return [words[0], *(f" {word}" for word in words[1:])][: request.max_new_tokens]
