"""Errors as clients of this protocol read them."""

from __future__ import annotations

from typing import Any

from limner.api.dialects import Wording
from limner.api.schemas import Problem
from limner.api.v1.schemas import ErrorBody, ErrorOut
from limner.errors import Refused

# What every route may answer instead, for the schema.
RESPONSES: dict[int | str, dict[str, Any]] = {"default": {"model": ErrorOut}}

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def error_of(found: Problem) -> ErrorOut:
    if found.code == Refused.code:  # what clients know as the doing of moderation
        return _error(found, "image_generation_user_error", "moderation_blocked")
    kind = "server_error" if found.status >= 500 else "invalid_request_error"
    return _error(found, _TYPES.get(found.status, kind), found.code)


def worded(found: Problem) -> Wording:
    status = 400 if found.code == Refused.code else found.status
    return Wording(status, error_of(found).model_dump_json().encode())


def _error(found: Problem, kind: str, code: str) -> ErrorOut:
    param = found.errors[0].field if found.errors else None
    return ErrorOut(error=ErrorBody(message=found.detail, type=kind, param=param, code=code))
