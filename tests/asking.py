"""Who asks in tests: keys, and strangers from elsewhere."""

from __future__ import annotations

from limner.store.keys import NewKey, Scope
from tests.serving import Api


def key(api: Api, name: str, *scopes: Scope, **limits: int | float | None) -> dict[str, str]:
    """The headers of somebody with a new key; without scopes for all but administration."""
    given = frozenset(scopes) or frozenset({Scope.GENERATE, Scope.PROMPTS, Scope.READ})
    secret = api.store.keys.create(NewKey(name, given, **limits))  # type: ignore[arg-type]
    return {"Authorization": f"Bearer {secret}"}


def from_elsewhere(address: str = "203.0.113.7") -> dict[str, str]:
    """The headers that a proxy on this machine adds to what comes from `address`."""
    return {"X-Forwarded-For": address}
