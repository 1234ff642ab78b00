"""What the routes get from the app they are mounted in."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from limner.api.people import Door
from limner.service.service import Service

# Not `def`: that would send each to a thread.


async def _service_of(request: Request) -> Service:
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


async def _door_of(request: Request) -> Door:
    door = request.app.state.door
    assert isinstance(door, Door)
    return door


async def _base_url_of(request: Request) -> str:
    return str(request.base_url)


App = Annotated[Service, Depends(_service_of)]
Entrance = Annotated[Door, Depends(_door_of)]
BaseURL = Annotated[str, Depends(_base_url_of)]
