"""Errors in the words of the protocol that was spoken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from limner.api import problems
from limner.api.root_path import path_of
from limner.api.schemas import Problem


@dataclass(frozen=True, slots=True)
class Wording:
    """An error as a protocol has it; `body` is JSON."""

    status: int
    body: bytes


Worded = Callable[[Problem], Wording]


class Dialects:
    """Rewrites every problem document under a path of another protocol as that protocol has it.

    It lies around everything else, so that nothing inside, whatever refuses a request, need know of it.
    """

    def __init__(self, app: ASGIApp, dialects: Mapping[str, Worded]) -> None:
        """`dialects`: how errors are worded under each path."""
        self._app = app
        self._dialects = dialects

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        worded = self._spoken(scope) if scope["type"] == "http" else None
        await self._app(scope, receive, send if worded is None else _rewriting(worded, send))

    def _spoken(self, scope: Scope) -> Worded | None:
        path = path_of(scope)
        return next((w for under, w in self._dialects.items() if f"{path}/".startswith(f"{under}/")), None)


def _rewriting(worded: Worded, send: Send) -> Send:
    held: Message | None = None
    body = b""

    async def rewritten(message: Message) -> None:
        nonlocal held, body
        if message["type"] == "http.response.start":
            if MutableHeaders(scope=message).get("content-type") != problems.MEDIA_TYPE:
                await send(message)
                return
            held = message
        elif held is None:
            await send(message)
        else:
            body += message.get("body", b"")
            if not message.get("more_body", False):
                start, held = held, None
                answer = worded(Problem.model_validate_json(body))
                start["status"] = answer.status
                headers = MutableHeaders(scope=start)
                headers["Content-Type"] = "application/json"
                headers["Content-Length"] = str(len(answer.body))
                await send(start)
                await send({"type": "http.response.body", "body": answer.body})

    return rewritten
