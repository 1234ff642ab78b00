"""What a reverse proxy says of the caller."""

from __future__ import annotations

from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from limner.api.reach import address_of

_HEADERS = frozenset({b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"})
_LOOPBACK = ["127.0.0.0/8", "::1", "::ffff:127.0.0.0/104"]


class Forwarded:
    """Takes the caller's address and scheme from a proxy on this machine; nobody else is believed.

    `X-Forwarded-Host` is left for the guard, which checks it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._behind_proxy: Any = ProxyHeadersMiddleware(cast(Any, app), _LOOPBACK)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        peer = address_of((scope.get("client") or ("", 0))[0])
        if peer is not None and peer.is_loopback:
            await self._behind_proxy(scope, receive, send)
            return
        scope["headers"] = [(name, value) for name, value in scope["headers"] if name not in _HEADERS]
        await self._app(scope, receive, send)
