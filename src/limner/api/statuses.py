"""Which errors each operation may answer with, for the schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_WRITES = ("post", "put", "patch", "delete")
_MEANINGS = {
    400: "The body is not JSON, or (under /v1) moderation refuses this",
    401: "A key is needed, or the one given is not valid (any longer)",
    403: "The host, the page's origin or the scope of the key does not allow this",
    404: "There is no such generation, picture or model",
    408: "The body came too slowly",
    409: "This idempotency key came with another request before, or the generation was cancelled",
    413: "The body is larger than this route takes",
    415: "The body is not application/json",
    422: "Values that cannot be used, or (elsewhere) what moderation refuses",
    429: "Too many requests or generations, or the day's quota is spent; see Retry-After",
    500: "The picture could not be made",
    503: "Starting, failing, not to be checked, or the disk is full; see Retry-After",
}
# Who waits for the end of a generation learns there how it ended.
_WAITS = ("/v1/images/generations", "/sdapi/v1/txt2img")
_SIGN_IN = "/api/session"


def document(schema: dict[str, Any]) -> None:
    """In place of an operation's `default`, which says how errors look there: one answer for each status."""
    shared = schema["components"].setdefault("responses", {})
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            responses = operation["responses"]
            shape = responses.pop("default")
            (content,) = shape["content"].values()
            kind = content["schema"]["$ref"].rpartition("/")[2]
            for status in _statuses(method, path, operation):
                name = f"{kind}{status}"
                shared[name] = shape | {"description": _MEANINGS[status]}
                responses.setdefault(str(status), {"$ref": f"#/components/responses/{name}"})


def _statuses(method: str, path: str, operation: dict[str, Any]) -> Iterator[int]:
    parameters = operation.get("parameters", [])
    takes_body = "requestBody" in operation
    yield from (403, 503)
    if operation["security"] or (path == _SIGN_IN and method == "post"):
        yield from (401, 429)
    if "{" in path:
        yield 404
    if method in _WRITES:
        yield from (413, 415)
    if takes_body:
        yield from (400, 408)
    if takes_body or any(parameter["in"] != "path" for parameter in parameters):
        yield 422
    if any(parameter["name"] == "Idempotency-Key" for parameter in parameters):
        yield 409
    if path in _WAITS:
        yield from (404, 409, 500)
