"""Who is asking."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from typing import Annotated

from fastapi import Depends, Request, Response
from starlette.requests import HTTPConnection
from starlette.types import Scope

from limner.api import cookies
from limner.api.cookies import Cookies
from limner.api.reach import LOOPBACK_HOSTS, Reach, address_of, host_of
from limner.errors import KeyNeeded
from limner.service.people import Asker, People
from limner.store.job import OPERATOR
from limner.store.keys import PREFIX

__all__ = ["OPERATOR", "Door", "Person"]

_LONGEST_SECRET = 100
_ASKER = "limner.asker"
# Whatever came through a proxy is not the operator, however near the proxy is. One that was told nothing
# says nothing, and puts a loopback host in place of the caller's; nginx then speaks HTTP/1.0, which people's
# own programs do not.
_OF_PROXIES = ("forwarded", "via", "x-real-ip", "cf-connecting-ip")


class Door:
    """Tells who a request comes from: by key, by cookie, by address, or because this machine is theirs."""

    def __init__(self, people: People, cookies: Cookies, reach: Reach) -> None:
        self.people = people
        self.cookies = cookies
        self._reach = reach

    async def key_of(self, scope: Scope) -> Asker | None:
        """Whoever sent a key in a header. Raises `KeyNeeded` when it is none of ours, or no longer."""
        secret = _secret(HTTPConnection(scope))
        if secret is None:
            return None
        return await self.with_secret(secret)

    async def with_secret(self, secret: str) -> Asker:
        """Raises `KeyNeeded`."""
        asker = await self.people.with_secret(secret) if len(secret) <= _LONGEST_SECRET else None
        if asker is None:
            raise KeyNeeded("This key is not known here, was revoked or has expired; ask for a new one.")
        return asker

    async def without_key(self, scope: Scope) -> Asker | None:
        """Whoever sent no key; None for a stranger."""
        connection = HTTPConnection(scope)
        key_id = self.cookies.read(connection.cookies, cookies.SESSION)
        if key_id is not None and (asker := await self.people.with_key(key_id)):
            return asker
        if self.people.lets_visitors_in:
            cookie = self.cookies.read(connection.cookies, cookies.VISITOR)
            return self.people.visitor(cookie, address_prefix(scope))
        return self.people.operator() if self._is_the_operators(connection) else None

    def welcome(self, request: Request, response: Response) -> None:
        """Give a visitor's browser the cookie by which it is known again."""
        if not self.people.lets_visitors_in:
            return
        known = self.cookies.read(request.cookies, cookies.VISITOR)
        visitor = known or self.people.newcomer(address_prefix(request.scope))
        if visitor is not None:
            self.cookies.give(request, response, cookies.VISITOR, visitor)
            response.headers["Cache-Control"] = "private, no-cache"

    def _is_the_operators(self, connection: HTTPConnection) -> bool:
        client = address_of(connection.client.host) if connection.client else None
        headers = connection.headers
        asked = headers.get("x-forwarded-host", headers.get("host", ""))
        return (
            self._reach.loopback
            and client is not None
            and client.is_loopback
            and host_of(asked) in LOOPBACK_HOSTS
            and not any(name in headers for name in _OF_PROXIES)
            and connection.scope["http_version"] != "1.0"
        )


def remember(scope: Scope, asker: Asker | None) -> None:
    """Let the routes know who asks."""
    scope[_ASKER] = asker


def asker_of(request: Request) -> Asker | None:
    found: Asker | None = request.scope.get(_ASKER)
    return found


async def _person_of(request: Request) -> str:
    """Whose jobs this request is about. Raises `KeyNeeded` for strangers."""
    asker = asker_of(request)
    if asker is None:
        raise KeyNeeded
    return asker.person


Person = Annotated[str, Depends(_person_of)]


def address_prefix(scope: Scope) -> str:
    """What visitors without a cookie are told apart by: of IPv6 the network, which one household has."""
    address = address_of((scope.get("client") or ("", 0))[0])
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((address, 64), strict=False))
    return str(address or "unknown")


def _secret(connection: HTTPConnection) -> str | None:
    """A key of this server in the headers; whatever else clients like to send there is no key."""
    scheme, _, credentials = connection.headers.get("authorization", "").partition(" ")
    given = [connection.headers.get("x-api-key", "")]
    if scheme.lower() == "bearer":
        given.append(credentials)
    elif scheme.lower() == "basic":
        given.append(_password(credentials))
    return next((secret.strip() for secret in given if secret.strip().startswith(PREFIX)), None)


def _password(credentials: str) -> str:
    try:
        decoded = base64.b64decode(credentials.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""
    return decoded.partition(":")[2]
