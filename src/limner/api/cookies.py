"""Signed cookies: who a visitor is, and which key a page has entered."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Request, Response
from itsdangerous import BadData, TimestampSigner

VISITOR = "limner_visitor"
SESSION = "limner_session"
_KEPT_S = {VISITOR: 365 * 86_400, SESSION: 30 * 86_400}


class Cookies:
    """What this server has signed it believes, until it is too old."""

    def __init__(self, secret: bytes) -> None:
        self._signers = {name: TimestampSigner(secret, salt=name) for name in _KEPT_S}

    def read(self, cookies: Mapping[str, str], name: str) -> str | None:
        try:
            return self._signers[name].unsign(cookies.get(name, ""), max_age=_KEPT_S[name]).decode()
        except BadData:
            return None

    def give(self, request: Request, response: Response, name: str, value: str) -> None:
        """For this site's own pages alone; scripts cannot read it."""
        response.set_cookie(
            name,
            self._signers[name].sign(value).decode(),
            max_age=_KEPT_S[name],
            path=_path(request),
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="lax",
        )

    def take_back(self, request: Request, response: Response, name: str) -> None:
        response.delete_cookie(name, path=_path(request), httponly=True, samesite="lax")


def _path(request: Request) -> str:
    return str(request.scope.get("root_path", "")) or "/"
