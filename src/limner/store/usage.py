"""What was asked for in a day, and whether it may be more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from limner.errors import QuotaSpent
from limner.store import rows
from limner.store.tables import usage

DAY_S = 86_400

_THEIRS = (
    select(usage.c.payer, usage.c.spent)
    .where(usage.c.payer.in_(bindparam("payers", expanding=True)))
    .where(usage.c.day == bindparam("today"))
)
_ADD = (
    update(usage)
    .where(usage.c.payer == bindparam("whose"), usage.c.day == bindparam("today"))
    .values(spent=usage.c.spent + bindparam("cost"))
)


@dataclass(frozen=True, slots=True)
class Purse:
    """Who pays for a job, and how many megapixel-steps a day at most; None: any number."""

    payer: str
    quota: float | None = None


def charge(connection: Connection, purses: Sequence[Purse], cost: float) -> None:
    """Take `cost` megapixel-steps from every purse, or from none. Raises `QuotaSpent`."""
    if not purses:
        return
    today = _today()
    already = spent(connection, [purse.payer for purse in purses])
    for purse in purses:
        left = None if purse.quota is None else purse.quota - already.get(purse.payer, 0.0)
        # What was added up may be a hair above what it should be.
        if left is not None and cost > left * (1 + 1e-9):
            raise QuotaSpent(
                f"this costs {cost:.4g} megapixel-steps, and of the {purse.quota:g} a day {max(left, 0):.4g} "
                "are left; ask for less, or again after midnight UTC",
                retry_after_s=until_midnight_s(),
            )
    for purse in purses:
        if purse.payer in already:
            connection.execute(_ADD, {"whose": purse.payer, "today": today, "cost": cost})
        else:
            connection.execute(insert(usage), {"payer": purse.payer, "day": today, "spent": cost})


def spent(connection: Connection, payers: Iterable[str]) -> dict[str, float]:
    """Megapixel-steps since midnight UTC of those who asked for something."""
    found = connection.execute(_THEIRS, {"payers": list(payers), "today": _today()})
    return {row.payer: row.spent for row in found}


def forget_the_past(connection: Connection) -> None:
    connection.execute(delete(usage).where(usage.c.day < _today()))


def until_midnight_s() -> float:
    """Until the next day begins, in UTC."""
    return DAY_S - rows.now() % DAY_S


def _today() -> int:
    return int(rows.now() // DAY_S)
