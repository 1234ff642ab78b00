"""What is kept for the day when somebody complains: who, hashes of what, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, bindparam, delete, insert

from limner.store import rows
from limner.store.database import Database
from limner.store.tables import abuse

_INSERT = insert(abuse)
_OLD = delete(abuse).where(abuse.c.at < bindparam("before"))
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Entry:
    """`prompt` and `picture`: hashes. A prompt or a picture was refused, or a picture was painted."""

    person: str
    event: Literal["prompt_refused", "picture_refused", "painted"]
    prompt: str
    picture: str | None = None


class Abuse:
    """Every method blocks and may be called from any thread; what has returned is on disk."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, entry: Entry) -> None:
        self._database.write(write, entry)

    def prune(self, days: int) -> int:
        """Forget what is older, and return how much that was."""
        before = {"before": rows.now() - days * _DAY_S}
        return self._database.write(lambda connection: connection.execute(_OLD, before).rowcount)


def write(connection: Connection, entry: Entry) -> None:
    connection.execute(
        _INSERT,
        {
            "at": rows.now(),
            "person": entry.person,
            "event": entry.event,
            "prompt": entry.prompt,
            "picture": entry.picture,
        },
    )
