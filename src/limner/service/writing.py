"""One prompt being written."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from types import TracebackType

from limner.errors import LimnerError, PromptWriterFailed, Refused
from limner.prompting.messages import PromptRequest

_OUTCOMES: dict[type[LimnerError], str] = {PromptWriterFailed: "failed", Refused: "refused"}


class Writing:
    """Pieces as they come; `text` is the whole so far. Closing it stops the writer."""

    def __init__(
        self,
        pieces: AsyncGenerator[str],
        request: PromptRequest,
        ended: Callable[[str, int], None] = lambda outcome, pieces: None,
    ) -> None:
        """`pieces` are what the writer appends to the text of `request`.

        `ended` is told how it ended (`finished`, `stopped`, `failed`, `refused`) and after how many pieces.
        """
        self._pieces = pieces
        self._first: str | None = None
        self._ended = ended
        self._count = 0
        self._outcome = "stopped"
        self.seed = request.seed
        self.text = request.text

    async def begin(self) -> None:
        """Wait for the first piece, so that what fails, fails before the answer has begun."""
        try:
            self._first = await anext(self._pieces, None)
        except (PromptWriterFailed, Refused) as error:
            self._ended(_OUTCOMES[type(error)], 0)
            raise

    async def whole(self) -> str:
        """The text when it is done."""
        async with self:
            async for _ in self:
                pass
        return self.text

    async def __aiter__(self) -> AsyncGenerator[str]:
        try:
            if self._first is not None:
                yield self._add(self._first)
            async for piece in self._pieces:
                yield self._add(piece)
            self._outcome = "finished"
        except (PromptWriterFailed, Refused) as error:
            self._outcome = _OUTCOMES[type(error)]
            raise

    def _add(self, piece: str) -> str:
        self.text += piece
        self._count += 1
        return piece

    async def __aenter__(self) -> Writing:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended(self._outcome, self._count)
        await self._pieces.aclose()
