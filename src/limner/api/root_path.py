"""The path under which a proxy shows this server."""

from __future__ import annotations

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class RootPath:
    """Lets everything behind it know `root`, such as `/limner`.

    A request's path may come with it or without it: some proxies take it off, others leave it.
    """

    def __init__(self, app: ASGIApp, root: str) -> None:
        self._app = app
        self._root = root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._root:
            if scope["path"] == self._root:  # the page's own links begin at a slash
                await RedirectResponse(f"{self._root}/", 308)(scope, receive, send)
                return
            # In place: who counts requests reads from the same scope which route was found.
            scope["root_path"] = self._root
            if not scope["path"].startswith(f"{self._root}/"):
                scope["path"] = self._root + scope["path"]
                scope["raw_path"] = self._root.encode() + scope.get("raw_path", b"")
        await self._app(scope, receive, send)


def path_of(scope: Scope) -> str:
    """The path without what a proxy puts before it."""
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))
