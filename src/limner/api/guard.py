"""What every request must pass, and what every answer carries."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from fastapi import Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from limner.api import problems

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?")
# For what is no page. A picture opened by itself is shown with a style of the browser's own.
_POLICY = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'"


class Guard:
    """Refuses hosts and origins that are not ours, bodies that are no JSON or too large.

    A page anywhere can make a visitor's browser send requests here, under a name of its own that it
    points at this machine (DNS rebinding) or across sites; a `Host` and an `Origin` give it away.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Collection[str],
        max_body_bytes: int,
        larger: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """`larger`: the limits of those paths whose bodies may be larger than `max_body_bytes`."""
        self._app = app
        self._larger = larger
        self._hosts = LOOPBACK_HOSTS | {host.lower() for host in hosts}
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Referrer-Policy", "same-origin")
                headers.setdefault("Content-Security-Policy", _POLICY)
                if scope["path"].startswith(("/api/generations", "/api/prompts", "/api/capabilities")):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            _take_forwarded_host(scope)
            await self._app(scope, receive, send_guarded)
        else:
            await refusal(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        for name in ("host", "x-forwarded-host"):
            given = headers.get(name)
            if (given is not None or name == "host") and not self._is_ours(given or ""):
                names = ", ".join(sorted(self._hosts))
                return problems.refusal(
                    403,
                    "host_not_allowed",
                    f"This server does not answer to the host {given!r}, only to {names}.",
                )
        if scope["method"] in _SAFE_METHODS:
            return None
        origin = headers.get("origin")
        if origin is not None and not self._is_ours(_netloc(origin)):
            return problems.refusal(
                403,
                "origin_not_allowed",
                f"Pages from {origin!r} may not write here; open this server's own page.",
            )
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        limit_bytes = self._larger.get(path, self._max_body_bytes)
        return self._body_refusal(headers, limit_bytes)

    def _body_refusal(self, headers: Headers, limit_bytes: int) -> Response | None:
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > limit_bytes:
            return problems.too_large(limit_bytes)
        media_type = headers.get("content-type")
        has_body = "transfer-encoding" in headers or length not in ("", "0")
        if (media_type or has_body) and (media_type or "").split(";")[
            0
        ].strip().lower() != "application/json":
            return problems.refusal(
                415, "not_json", f"The body must be application/json, this is {media_type or 'of no type'}."
            )
        return None

    def _is_ours(self, host: str) -> bool:
        match = _HOST.fullmatch(host)
        return match is not None and match[1].lower() in self._hosts


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _take_forwarded_host(scope: Scope) -> None:
    """Behind a proxy, answer with URLs under the name that the caller used."""
    forwarded = Headers(scope=scope).get("x-forwarded-host")
    if forwarded is not None:
        kept = [(name, value) for name, value in scope["headers"] if name != b"host"]
        scope["headers"] = [*kept, (b"host", forwarded.encode())]
