"""What the routes get from the app they are mounted in."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from limner.service.service import Service

# Not `def`: that would send each to a thread.


async def _service_of(request: Request) -> Service:
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


async def _base_url_of(request: Request) -> str:
    return str(request.base_url)


App = Annotated[Service, Depends(_service_of)]
BaseURL = Annotated[str, Depends(_base_url_of)]
