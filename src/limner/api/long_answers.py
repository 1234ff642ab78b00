"""One answer that may take minutes, to a caller who stays on the line."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from anyio import CancelScope
from fastapi import Response
from starlette.types import Receive, Scope, Send

from limner.api import problems
from limner.api.dialects import Worded
from limner.errors import LimnerError

# Proxies cut a line that is silent: nginx after 60 s, others after 100. Until then the status can tell of
# anything that goes wrong; from then on it has been sent.
PATIENCE_S = 45.0
HEARTBEAT_S = 10.0


class LongAnswer(Response):
    """Sends what `work` returns as JSON. `work` is cancelled when the caller goes away.

    When it takes longer than `PATIENCE_S`, the head of a 200 goes out and then a space every
    `HEARTBEAT_S`, which may stand before any JSON. What goes wrong later is sent as `late` words it.
    """

    media_type = "application/json"

    def __init__(self, work: Coroutine[Any, Any, bytes], late: Worded) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._work = work
        self._late = late

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        working = asyncio.create_task(self._work)
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await self._answer(working, gone, send)
        finally:
            # The caller may be one that cancels us again and again; this is done all the same.
            with CancelScope(shield=True):
                for task in (working, gone):
                    task.cancel()
                await asyncio.wait({working, gone})

    async def _answer(self, working: asyncio.Task[bytes], gone: asyncio.Task[None], send: Send) -> None:
        await asyncio.wait({working, gone}, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            if not gone.done():
                await self._answer_late(working, gone, send)
            return
        body = working.result()  # raises what went wrong, which is answered like anywhere else
        self.headers["Content-Length"] = str(len(body))
        await self._start(send)
        await send({"type": "http.response.body", "body": body})

    async def _answer_late(self, working: asyncio.Task[bytes], gone: asyncio.Task[None], send: Send) -> None:
        del self.headers["Content-Length"]
        await self._start(send)
        while not working.done():
            await send({"type": "http.response.body", "body": b" ", "more_body": True})
            await asyncio.wait({working, gone}, timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED)
            if gone.done() and not working.done():
                return
        try:
            body = working.result()
        except LimnerError as error:
            body = self._late(problems.problem(error)).body
        await send({"type": "http.response.body", "body": body})

    async def _start(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
