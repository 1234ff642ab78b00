"""Errors as this protocol has them."""

from __future__ import annotations

from typing import Any

from limner.api.dialects import Wording
from limner.api.schemas import Answer, Problem


class SdError(Answer):
    """What is wrong: `error` is a stable name, `detail` a sentence, `errors` each wrong value by name."""

    error: str
    detail: str
    body: str = ""
    errors: str = ""


RESPONSES: dict[int | str, dict[str, Any]] = {"default": {"model": SdError, "description": "What is wrong"}}


def worded(problem: Problem) -> Wording:
    """A problem document in this protocol's shape."""
    errors = "; ".join(f"{field.field}: {field.message}" for field in problem.errors)
    told = SdError(error=problem.code, detail=problem.detail, errors=errors)
    return Wording(problem.status, told.model_dump_json().encode())
