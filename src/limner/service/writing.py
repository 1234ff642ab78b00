"""One prompt being written."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from types import TracebackType

from limner.prompting.messages import PromptRequest, PromptWriter


class Writing:
    """Pieces as they come; `text` is the whole so far. Closing it stops the writer."""

    def __init__(self, writer: PromptWriter, request: PromptRequest) -> None:
        self._pieces: AsyncGenerator[str] = writer.write(request)
        self._first: str | None = None
        self.seed = request.seed
        self.text = request.text

    async def begin(self) -> None:
        """Wait for the first piece, so that what fails, fails before the answer has begun."""
        self._first = await anext(self._pieces, None)

    async def whole(self) -> str:
        """The text when it is done."""
        async with self:
            async for _ in self:
                pass
        return self.text

    async def __aiter__(self) -> AsyncGenerator[str]:
        if self._first is not None:
            self.text += self._first
            yield self._first
        async for piece in self._pieces:
            self.text += piece
            yield piece

    async def __aenter__(self) -> Writing:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pieces.aclose()
