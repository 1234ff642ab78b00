"""Every error as an RFC 9457 problem document."""

from __future__ import annotations

import logging
import math
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import MAX_BODY_SIZE_SCOPE_KEY
from starlette.types import Scope

from limner.api.schemas import FieldProblem, Problem
from limner.errors import (
    Busy,
    Cancelled,
    Conflict,
    EngineFailed,
    FieldError,
    InvalidInput,
    KeyNeeded,
    LimnerError,
    NotAllowed,
    NotFound,
    NotReady,
    PromptWriterFailed,
    Refused,
    StorageUnavailable,
    TooLarge,
)
from limner.params import field_error

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
_RETRY_AFTER_S = 5.0

_STATUS: dict[type[LimnerError], int] = {
    InvalidInput: 422,
    KeyNeeded: 401,
    Refused: 422,
    NotAllowed: 403,
    NotFound: 404,
    Conflict: 409,
    Cancelled: 409,
    TooLarge: 413,
    Busy: 429,
    NotReady: 503,
    StorageUnavailable: 503,
    PromptWriterFailed: 503,
}

# What every route may answer instead, for the schema.
RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "What is wrong, as a problem document",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}


def problem(error: LimnerError) -> Problem:
    status = next((s for kind, s in _STATUS.items() if isinstance(error, kind)), 500)
    fields = error.fields if isinstance(error, InvalidInput) else ()
    return _problem(status, error.code, str(error), fields)


def answer(found: Problem, headers: dict[str, str] | None = None) -> Response:
    return Response(found.model_dump_json(), found.status, headers, MEDIA_TYPE)


def refusal(status: int, code: str, detail: str) -> Response:
    """A problem that is not about a field."""
    return answer(_problem(status, code, detail))


def too_large(limit_bytes: int) -> Response:
    return answer(
        problem(TooLarge(f"The body is larger than {limit_bytes // 1024} kB, the limit of this route."))
    )


async def refused(scope: Scope, error: LimnerError) -> Response:
    """The answer to what is refused before a route is looked for."""
    return await _limner(Request(scope), error)


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem document."""
    app.add_exception_handler(LimnerError, _limner)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


def _problem(status: int, code: str, detail: str, fields: tuple[FieldError, ...] = ()) -> Problem:
    errors = [
        FieldProblem(field=f.field, value=_plain(f.value), limit=_plain(f.limit), message=f.message)
        for f in fields
    ]
    return Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, code=code, errors=errors)


def _plain(value: object) -> str | int | float | bool | None:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


async def _limner(request: Request, error: Exception) -> Response:
    assert isinstance(error, LimnerError)
    found = problem(error)
    retry_after_s = getattr(error, "retry_after_s", _RETRY_AFTER_S if found.status == 503 else None)
    headers = None if retry_after_s is None else {"Retry-After": str(math.ceil(retry_after_s))}
    if isinstance(error, Cancelled | EngineFailed):
        headers = {"X-Should-Retry": "false"}  # some clients take any 409 and 500 for a hiccup
    if found.status >= 500 and not isinstance(error, NotReady):
        log.error("%s %s: %s", request.method, request.url.path, error)
    return answer(found, headers)


async def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    details = error.errors()
    broken = next((d for d in details if d["type"] == "json_invalid"), None)
    if broken is not None:
        reason = (broken.get("ctx") or {}).get("error", "")
        return refusal(
            400, "broken_json", f"The body is not JSON: {reason} at character {broken['loc'][-1]}."
        )
    return answer(problem(InvalidInput(*(field_error(d, skip=1) for d in details))))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    match error.status_code:
        case 404:
            return refusal(404, "not_found", f"There is no {request.url.path} here; see /docs.")
        case 405:
            allowed = (error.headers or {}).get("Allow", "")
            detail = f"{request.url.path} does not take {request.method}; it takes {allowed}."
            return answer(_problem(405, "method_not_allowed", detail), dict(error.headers or {}))
        case 413:
            return too_large(request.scope.get(MAX_BODY_SIZE_SCOPE_KEY, request.app.max_body_size))
        case 408:
            return answer(_problem(408, "too_slow", str(error.detail)), {"Connection": "close"})
        case 400:
            return refusal(400, "broken_json", "The body is not JSON in UTF-8.")
    return refusal(error.status_code, "refused", str(error.detail))


async def _unexpected(request: Request, error: Exception) -> Response:
    # Starlette raises it again after the answer, so the server's log has the traceback.
    return refusal(500, "internal", "Something went wrong inside Limner; the log of the server says what.")
