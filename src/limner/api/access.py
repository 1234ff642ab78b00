"""What a key must be good for to call a route.

Decided by method and path before a route is looked for, so that a new route is closed until it is
opened here, and so that a stranger's body is not even read.
"""

from __future__ import annotations

import re
from typing import Any

from limner.store.keys import Scope

# A picture's URL is a capability; the rest tells nobody's secrets.
_OPEN = re.compile(r"/api/(images/[^/]+(/thumbnail)?|capabilities|session)")
CLOSED = ("/api/", "/v1/", "/sdapi/", "/metrics")
_SAFE = ("GET", "HEAD")
# These stop work instead of asking for it.
_STOPS = ("/cancel", "/interrupt", "/skip")

_SCHEMES: dict[str, dict[str, str]] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key made with `limner keys create`. Where the server is on loopback for its "
        "operator alone, or lets visitors in, calls also work without.",
    },
    "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key"},
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "The same key as the password, for clients of AUTOMATIC1111; the name does not matter",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "limner_session",
        "description": "What `POST /api/session` gives a page for a key",
    },
}


def needed(method: str, path: str) -> Scope | None:
    """The scope that a call needs; None: it is open to everybody. `path` may be a template."""
    if not path.startswith(CLOSED) or _OPEN.fullmatch(path) or method == "OPTIONS":
        return None
    if path.startswith("/metrics"):
        return Scope.ADMIN
    if method in _SAFE:
        return Scope.READ
    return Scope.PROMPTS if path.startswith("/api/prompts") else Scope.GENERATE


def is_work(method: str, path: str) -> bool:
    """Whether a call asks for something to be made."""
    return method == "POST" and not path.endswith(_STOPS)


def document(schema: dict[str, Any]) -> None:
    """Write into an OpenAPI schema what each of its operations needs."""
    schema["components"]["securitySchemes"] = _SCHEMES
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            scope = needed(method.upper(), path)
            operation["security"] = [] if scope is None else [{name: [scope.value]} for name in _SCHEMES]
