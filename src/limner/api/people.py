"""Who is asking."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

OPERATOR = "operator"


async def person_of(request: Request) -> str:
    """Whose jobs this request is about. A server on loopback has one person, its operator."""
    return OPERATOR


Person = Annotated[str, Depends(person_of)]
