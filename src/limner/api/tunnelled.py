"""What comes through a tunnel is counted, and answered sparingly."""

from __future__ import annotations

import time

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from limner.api.reach import Reach
from limner.service.tunnel_use import TunnelUse

_TUNNELLED = "limner.tunnelled"

# Between two previews of one picture, and between a page's looks at `/readyz`.
PREVIEW_PAUSE_S = 2.0
POLL_S = 120.0
POLL_AT_HOME_S = 10.0


class Tunnelled:
    """Marks the requests whose host is the tunnel's, and counts them and what is answered."""

    def __init__(self, app: ASGIApp, reach: Reach, use: TunnelUse) -> None:
        self._app = app
        self._reach = reach
        self._use = use

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._reach.is_tunnel(scope):
            await self._app(scope, receive, send)
            return
        scope[_TUNNELLED] = True
        self._use.count(1, 0)

        async def send_counted(message: Message) -> None:
            headers = message.get("headers", ())
            head_bytes = sum(len(name) + len(value) + 4 for name, value in headers)
            self._use.count(0, head_bytes + len(message.get("body", b"")))
            await send(message)

        await self._app(scope, receive, send_counted)


class Previews:
    """Which previews a stream shows: every one, or through a tunnel few."""

    def __init__(self, connection: HTTPConnection) -> None:
        self._pause_s = PREVIEW_PAUSE_S if connection.scope.get(_TUNNELLED) else 0.0
        self._shown: dict[int, float] = {}

    def show(self, index: int) -> bool:
        """Whether to show one of picture `index` now; it is taken to be shown then."""
        now = time.monotonic()
        if now - self._shown.get(index, -self._pause_s) < self._pause_s:
            return False
        self._shown[index] = now
        return True


def poll_s(connection: HTTPConnection) -> float:
    return POLL_S if connection.scope.get(_TUNNELLED) else POLL_AT_HOME_S
