"""Errors as clients of this protocol read them."""

from __future__ import annotations

from typing import Any

from limner.api.schemas import Problem
from limner.api.v1.schemas import ErrorBody, ErrorOut

# What every route may answer instead, for the schema.
RESPONSES: dict[int | str, dict[str, Any]] = {"default": {"model": ErrorOut}}

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def error_of(found: Problem) -> ErrorOut:
    kind = "server_error" if found.status >= 500 else "invalid_request_error"
    return ErrorOut(
        error=ErrorBody(
            message=found.detail,
            type=_TYPES.get(found.status, kind),
            param=found.errors[0].field if found.errors else None,
            code=found.code,
        )
    )


def worded(found: Problem) -> bytes:
    return error_of(found).model_dump_json().encode()
