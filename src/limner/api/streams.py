"""Server-sent events over GET and POST."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from anyio import CancelScope
from fastapi import Request
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from pydantic import BaseModel
from starlette.types import Send

MEDIA_TYPE = "text/event-stream"
HEARTBEAT_S = 10.0
_HEARTBEAT = b": still here\n\n"


def wanted(request: Request) -> bool:
    """Whether the caller asks for the events instead of one answer."""
    return MEDIA_TYPE in request.headers.get("accept", "")


def event(name: str, data: BaseModel, number: int | None = None) -> bytes:
    return format_sse_event(
        event=name, data_str=data.model_dump_json(), id=None if number is None else str(number)
    )


class EventStream(StreamingResponse):
    """Streams `events`, with a heartbeat in every silence, and closes them when the reader goes away."""

    media_type = MEDIA_TYPE

    def __init__(self, events: AsyncGenerator[bytes], headers: dict[str, str] | None = None) -> None:
        # The second header asks nginx and its kin not to hold events back.
        always = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(_beating(events), headers=always | (headers or {}))

    async def stream_response(self, send: Send) -> None:
        assert isinstance(self.body_iterator, AsyncGenerator)
        async with contextlib.aclosing(self.body_iterator):
            await super().stream_response(send)


async def _beating(events: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    upcoming: asyncio.Task[bytes] | None = None
    try:
        while True:
            upcoming = upcoming or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait({upcoming}, timeout=HEARTBEAT_S)
            if not done:
                yield _HEARTBEAT
                continue
            finished, upcoming = upcoming, None
            try:
                yield finished.result()
            except StopAsyncIteration:
                return
    finally:
        # A reader that goes away cancels us again and again until we are gone; this is done all the same.
        with CancelScope(shield=True):
            if upcoming is not None:
                upcoming.cancel()
                with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
                    await upcoming
            await events.aclose()


def document(schema: dict[str, Any]) -> None:
    """Leave open of what type a stream is: to some tools a string, to others each of its events."""
    for operations in schema["paths"].values():
        for operation in operations.values():
            for answer in operation["responses"].values():
                answer.get("content", {}).get(MEDIA_TYPE, {}).get("schema", {}).pop("type", None)
