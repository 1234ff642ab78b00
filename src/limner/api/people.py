"""Who is asking."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from limner.errors import NotAllowed

OPERATOR = "operator"


async def person_of(request: Request) -> str:
    """Whose jobs this request is about. A server on loopback has one person, its operator."""
    return OPERATOR


Person = Annotated[str, Depends(person_of)]


async def operator_only(person: Person) -> None:
    """Raises `NotAllowed` for everybody else."""
    if person != OPERATOR:
        raise NotAllowed("This is for the operator of this server alone.")
