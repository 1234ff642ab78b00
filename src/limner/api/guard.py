"""What every request must pass, and what every answer carries."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fastapi import Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from limner.api import access, problems
from limner.api.limits import Limits
from limner.api.people import Door, remember
from limner.api.reach import Reach
from limner.api.root_path import path_of
from limner.errors import KeyNeeded, LimnerError, NotAllowed, StorageUnavailable
from limner.service.people import Asker

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# For what is no page. A picture opened by itself is shown with a style of the browser's own.
_POLICY = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'"


@dataclass(slots=True)
class _Visit:
    """Who sent a request, and what it counts against."""

    asker: Asker | None = None
    limits: Limits | None = None


class Guard:
    """Refuses hosts and origins that are not ours, whoever may not call a route, bodies that are no JSON
    or too large.

    A page anywhere can make a visitor's browser send requests here, under a name of its own that it
    points at this machine (DNS rebinding) or across sites; a `Host` and an `Origin` give it away. A key
    in a header is good from anywhere: no browser sends it by itself.
    """

    def __init__(
        self,
        app: ASGIApp,
        door: Door,
        reach: Reach,
        max_body_bytes: int,
        larger: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """`larger`: the limits of those paths whose bodies may be larger than `max_body_bytes`."""
        self._app = app
        self._door = door
        self._reach = reach
        self._larger = larger
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        visit = _Visit()

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Referrer-Policy", "same-origin")
                headers.setdefault("Content-Security-Policy", _POLICY)
                if path_of(scope).startswith(access.CLOSED):
                    headers.setdefault("Cache-Control", "no-store")
                if message["status"] == 401:
                    headers.setdefault("WWW-Authenticate", _challenge(scope))
                if visit.limits is not None:
                    with contextlib.suppress(StorageUnavailable):
                        await visit.limits.write(headers)
            await send(message)

        refusal = await self._refusal(scope, visit)
        if refusal is None:
            remember(scope, visit.asker)
            _take_forwarded_host(scope)
            await self._app(scope, receive, send_guarded)
        else:
            await refusal(scope, receive, send_guarded)

    async def _refusal(self, scope: Scope, visit: _Visit) -> Response | None:
        """Why a request goes no further; `visit` learns who sent it."""
        writes = scope["method"] not in _SAFE_METHODS
        wrong_key: KeyNeeded | None = None
        try:
            try:
                visit.asker = await self._door.key_of(scope)
            except KeyNeeded as error:
                wrong_key = error
            if visit.asker is None and (misplaced := self._place_refusal(scope, writes)):
                return misplaced
            if visit.asker is None and wrong_key is None:
                visit.asker = await self._door.without_key(scope)
            visit.limits = self._limits(scope, visit.asker, wrong_key)
            if visit.limits is not None:
                self._door.people.admit(visit.limits.asker, work=visit.limits.work)
        except LimnerError as error:
            return await problems.refused(scope, error)
        limit_bytes = self._larger.get(path_of(scope), self._max_body_bytes)
        return self._body_refusal(Headers(scope=scope), limit_bytes) if writes else None

    def _limits(self, scope: Scope, asker: Asker | None, wrong_key: KeyNeeded | None) -> Limits | None:
        """What a call counts against; None: nothing. Raises `KeyNeeded` and `NotAllowed`."""
        method, path = scope["method"], path_of(scope)
        needed = access.needed(method, path)
        if needed is None:
            return None
        if asker is None:
            raise wrong_key or KeyNeeded("This needs a key; ask whoever runs this server for one.")
        if needed not in asker.scopes:
            good_for = ", ".join(sorted(asker.scopes))
            raise NotAllowed(f"This needs the scope {needed.value}; you have {good_for}.")
        return Limits(self._door.people, asker, access.is_work(method, path))

    def _place_refusal(self, scope: Scope, writes: bool) -> Response | None:
        headers = Headers(scope=scope)
        for name in ("host", "x-forwarded-host"):
            given = headers.get(name)
            if (given is not None or name == "host") and not self._reach.answers_to(given or "", scope):
                names = ", ".join(sorted(self._reach.names | self._reach.tunnels))
                return problems.refusal(
                    403,
                    "host_not_allowed",
                    f"This server does not answer to the host {given!r}, only to {names}; "
                    "send a key, or let its operator add the host with --allow-host.",
                )
        origin = headers.get("origin")
        if writes and origin is not None and not self._reach.is_our_page(origin, scope):
            return problems.refusal(
                403,
                "origin_not_allowed",
                f"Pages from {origin!r} may not write here; open this server's own page, "
                "or let its operator add the page with --allow-origin.",
            )
        return None

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


def _challenge(scope: Scope) -> str:
    """Clients of AUTOMATIC1111 know no other than Basic; elsewhere a browser would ask for a password."""
    bearer = 'Bearer realm="Limner"'
    return f'{bearer}, Basic realm="Limner"' if path_of(scope).startswith("/sdapi/") else bearer


def _take_forwarded_host(scope: Scope) -> None:
    """Behind a proxy, answer with URLs under the name that the caller used."""
    forwarded = Headers(scope=scope).get("x-forwarded-host")
    if forwarded is not None:
        kept = [(name, value) for name, value in scope["headers"] if name != b"host"]
        scope["headers"] = [*kept, (b"host", forwarded.encode())]
