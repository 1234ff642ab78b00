"""Every route of the schema, called by those who may not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from limner.api import access
from limner.api.app import routes
from limner.store.keys import Scope
from tests.asking import from_elsewhere, key
from tests.serving import Api

pytestmark = pytest.mark.anyio

# Whoever has a picture's URL may see it; the others say nothing of anybody.
OPEN = {
    ("GET", "/api/capabilities"),
    ("GET", "/api/images/{id}"),
    ("GET", "/api/images/{id}/thumbnail"),
    ("GET", "/api/session"),
    ("POST", "/api/session"),
    ("DELETE", "/api/session"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
}


@dataclass(frozen=True)
class Call:
    """An operation of the schema with the smallest body that it takes."""

    method: str
    path: str
    body: Any

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    async def send(self, api: Api, headers: dict[str, str], id: str = "none") -> httpx.Response:
        path = self.path
        while "{" in path:
            path = path[: path.index("{")] + id + path[path.index("}") + 1 :]
        return await api.client.request(self.method, path, headers=headers, json=self.body)


def calls() -> Iterator[Call]:
    schema = routes().openapi()
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {})
            body = _smallest(content["application/json"]["schema"], schema) if content else None
            yield Call(method.upper(), path, body)


def _smallest(part: dict[str, Any], schema: dict[str, Any]) -> Any:
    if "$ref" in part:
        return _smallest(schema["components"]["schemas"][part["$ref"].rpartition("/")[2]], schema)
    if part.get("type") == "object":
        needed = part.get("required", ())
        return {name: _smallest(part["properties"][name], schema) for name in needed}
    if part.get("type") == "array":
        return [_smallest(part["items"], schema)]
    return {"string": "x", "integer": 1, "number": 1, "boolean": False}.get(part.get("type", ""))


CALLS = list(calls())
CLOSED = [call for call in CALLS if (call.method, call.path) not in OPEN]


def test_what_is_open_is_there() -> None:
    assert {(call.method, call.path) for call in CALLS} >= OPEN


def test_the_schema_says_what_each_route_needs() -> None:
    schema = routes().openapi()
    schemes = schema["components"]["securitySchemes"]
    assert {scheme["type"] for scheme in schemes.values()} == {"http", "apiKey"}
    for call in CALLS:
        security = schema["paths"][call.path][call.method.lower()]["security"]
        needed = access.needed(call.method, call.path)
        assert security == ([] if needed is None else [{name: [needed]} for name in schemes]), call
        assert (needed is None) == ((call.method, call.path) in OPEN), call


@pytest.mark.parametrize("call", CLOSED, ids=str)
async def test_a_stranger_may_call_no_route_that_is_not_open(api: Api, call: Call) -> None:
    answer = await call.send(api, from_elsewhere())
    assert answer.status_code == 401, answer.text
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("call", CLOSED, ids=str)
async def test_a_key_without_the_scope_is_refused(api: Api, call: Call) -> None:
    needed = access.needed(call.method, call.path)
    others = [scope for scope in Scope if scope is not needed]
    answer = await call.send(api, key(api, f"all but that: {call}", *others))
    assert answer.status_code == 403, answer.text
    assert str(needed) in answer.text


async def test_another_persons_ids_are_not_found_on_any_route_and_nothing_is_told_of_them(api: Api) -> None:
    ann, ben = key(api, "ann"), key(api, "ben", *Scope)
    body = {"prompt": "annas secret house", "num_images": 1}
    painted = (
        await api.client.post("/api/generations", json=body, headers=ann | {"Prefer": "wait=20"})
    ).json()
    api.engine.step_s = 5.0
    running = (await api.client.post("/api/generations", json=body, headers=ann)).json()
    image = painted["images"][0]["id"]
    secrets = (painted["id"], running["id"], image, "annas secret")
    try:
        for call in CALLS:
            for id in (painted["id"], running["id"], image) if "{" in call.path else ("",):
                answer = await call.send(api, ben, id)
                told = answer.text.replace(id, "") if id else answer.text  # what was asked may be said
                if (call.method, call.path) in OPEN:
                    assert answer.status_code in (200, 204, 401, 404, 422), call
                elif id:
                    assert answer.status_code == 404, (call, answer.text)
                if not answer.headers.get("content-type", "").startswith("image/"):
                    assert not any(secret in told for secret in secrets), (call, told)
        for job, status in ((painted, "succeeded"), (running, None)):
            kept = (await api.client.get(f"/api/generations/{job['id']}", headers=ann)).json()
            assert kept["status"] in ((status,) if status else ("queued", "running"))
        assert (await api.client.get(painted["images"][0]["url"])).status_code == 200
    finally:
        await api.client.post(f"/api/generations/{running['id']}/cancel", headers=ann)
        api.engine.step_s = 0.002
