"""Keys: who may use this server from elsewhere, for what, and how much."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, or_, select, update

from limner.errors import Conflict, NotFound
from limner.store import rows
from limner.store.database import Database
from limner.store.tables import keys

# Every key begins so: scanners for leaked secrets find it, and a stranger's token is told apart.
PREFIX = "limner_"


class Scope(StrEnum):
    """What a key may be good for."""

    GENERATE = "generate"
    PROMPTS = "prompts"
    READ = "read"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class NewKey:
    """What a key is made from.

    `quota`: megapixel-steps a day, `rate`: requests a minute, `queued`: jobs that wait; None: no own limit.
    """

    name: str
    scopes: frozenset[Scope]
    quota: float | None = None
    rate: int | None = None
    queued: int | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Key(NewKey):
    """A key as the record holds it; nobody can make its secret from this."""

    id: str
    created_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None

    @property
    def expired(self) -> bool:
        return self.expires_at is not None and self.expires_at.timestamp() <= rows.now()

    @property
    def valid(self) -> bool:
        return self.revoked_at is None and not self.expired


_BY_DIGEST = select(keys).where(keys.c.digest == bindparam("digest"))
_BY_ID = select(keys).where(keys.c.id == bindparam("id"))
_VALID = keys.c.revoked_at.is_(None), or_(keys.c.expires_at.is_(None), keys.c.expires_at > bindparam("now"))


class Keys:
    """Every method blocks and may be called from any thread, also beside a running server."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, new: NewKey) -> str:
        """Keep a new key and return its secret, which is not kept. Raises `Conflict` for a name in use."""
        secret = PREFIX + secrets.token_urlsafe(32)
        self._database.write(_created, new, _digest(secret))
        return secret

    def of_secret(self, secret: str) -> Key | None:
        """The key with this secret, if it is still valid."""
        return self._valid(_BY_DIGEST, digest=_digest(secret))

    def of_id(self, key_id: str) -> Key | None:
        """The key of this id, if it is still valid."""
        return self._valid(_BY_ID, id=key_id)

    def all(self) -> list[Key]:
        """Every key there ever was, oldest first."""
        with self._database.read() as connection:
            return [_key(row) for row in connection.execute(select(keys).order_by(keys.c.created_at))]

    def any_valid(self) -> bool:
        count = select(func.count()).select_from(keys).where(*_VALID)
        with self._database.read() as connection:
            return bool(connection.scalar(count, {"now": rows.now()}))

    def revoke(self, name: str) -> Key:
        """End the valid key of this name, or of this id. Raises `NotFound`."""
        return self._database.write(_revoked, name)

    def used(self, key_id: str) -> None:
        """Write down that a key was used just now."""
        now = update(keys).where(keys.c.id == key_id).values(last_used_at=rows.now())
        self._database.write(lambda connection: connection.execute(now))

    def _valid(self, query: Any, **given: str) -> Key | None:
        with self._database.read() as connection:
            row = connection.execute(query, given).one_or_none()
        key = None if row is None else _key(row)
        return key if key is not None and key.valid else None


def _digest(secret: str) -> str:
    """Of 256 random bits: there is nothing to guess, so neither salt nor a slow hash is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _created(connection: Connection, new: NewKey, digest: str) -> None:
    taken = select(keys.c.id).where(keys.c.name == new.name, *_VALID)
    if connection.scalar(taken, {"now": rows.now()}) is not None:
        raise Conflict(f"there is a key named {new.name!r} already; revoke it or choose another name")
    values = {
        "id": secrets.token_hex(6),
        "name": new.name,
        "digest": digest,
        "scopes": sorted(new.scopes),
        "quota": new.quota,
        "rate": new.rate,
        "queued": new.queued,
        "created_at": rows.now(),
        "expires_at": None if new.expires_at is None else new.expires_at.timestamp(),
    }
    connection.execute(insert(keys), values)


def _revoked(connection: Connection, name: str) -> Key:
    named = select(keys).where(or_(keys.c.name == name, keys.c.id == name), keys.c.revoked_at.is_(None))
    # Of several of one name, all but the newest have expired.
    row = connection.execute(named.order_by(keys.c.created_at.desc())).first()
    if row is None:
        raise NotFound(f"there is no key named {name!r}; `limner keys list` shows those there are")
    connection.execute(update(keys).where(keys.c.id == row.id).values(revoked_at=rows.now()))
    return _key(connection.execute(_BY_ID, {"id": row.id}).one())


def _key(row: Row[Any]) -> Key:
    def when(seconds: float | None) -> datetime | None:
        return None if seconds is None else rows.moment(seconds)

    return Key(
        id=row.id,
        name=row.name,
        scopes=frozenset(map(Scope, row.scopes)),
        quota=row.quota,
        rate=row.rate,
        queued=row.queued,
        created_at=rows.moment(row.created_at),
        expires_at=when(row.expires_at),
        last_used_at=when(row.last_used_at),
        revoked_at=when(row.revoked_at),
    )
