"""`/api/session`: who the caller is, and a page that enters a key."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from limner.api import cookies, problems, schemas
from limner.api.parts import Entrance
from limner.api.people import Door, address_prefix, asker_of
from limner.service.people import Asker, Kind

router = APIRouter(prefix="/api/session", tags=["session"], responses=problems.RESPONSES)


@router.get("")
async def read_session(request: Request, door: Entrance) -> schemas.Session:
    """Who the server takes you for, and what you may."""
    return await _session(door, asker_of(request))


@router.post("")
async def enter_key(
    request: Request, response: Response, asked: schemas.KeyIn, door: Entrance
) -> schemas.Session:
    """Enter a key: this browser is known by a cookie from now on, which no script can read."""
    door.people.sign_in(address_prefix(request.scope))
    asker = await door.with_secret(asked.key.strip())
    assert asker.key_id is not None
    door.cookies.give(request, response, cookies.SESSION, asker.key_id)
    return await _session(door, asker)


@router.delete("", status_code=204)
async def leave(request: Request, response: Response, door: Entrance) -> None:
    """Forget the key that this browser entered."""
    door.cookies.take_back(request, response, cookies.SESSION)


async def _session(door: Door, asker: Asker | None) -> schemas.Session:
    if asker is None:
        nothing = dict.fromkeys(("name", "expires_at", "queued", "rate", "quota", "spent"))
        return schemas.Session(kind="stranger", scopes=[], **nothing)
    spent = await door.people.spent(asker)
    return schemas.Session(
        kind=asker.kind.value,
        name=asker.name,
        scopes=sorted(scope.value for scope in asker.scopes),
        expires_at=asker.expires_at,
        queued=asker.allowance.queued,
        rate=asker.allowance.rate,
        quota=asker.allowance.quota,
        spent=None if asker.kind is Kind.OPERATOR else spent.get(asker.person, 0.0),
    )
