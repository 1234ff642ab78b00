"""Every request is counted."""

from __future__ import annotations

import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from limner.api.root_path import path_of
from limner.service.metrics import Metrics

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Traffic:
    """Tells `metrics` of each answer under its route's template, so that there are few of them."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                method = scope["method"] if scope["method"] in _METHODS else "other"
                self._metrics.answered(method, _route(scope), message["status"], time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, send_counted)


def _route(scope: Scope) -> str:
    """`other`: refused before any route was looked for, or there is none."""
    route: Any = scope.get("route")
    if route is None:
        return "/assets/{path}" if path_of(scope).startswith("/assets/") else "other"
    return str(route.path)
