"""Keys as the command line makes and shows them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from limner.errors import FieldError, InvalidInput
from limner.params import printable
from limner.store.keys import Key, Keys, NewKey, Scope
from limner.store.store import Store

USUAL = frozenset({Scope.GENERATE, Scope.PROMPTS, Scope.READ})
MAX_NAME = 100
_LASTS = re.compile(r"(\d{1,5})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Keys]:
    """The keys in a data folder, beside its server if one runs. Raises `Unusable`."""
    store = Store(folder, serve=False)
    try:
        yield store.keys
    finally:
        store.close()


def parsed(
    *,
    name: str,
    scopes: Sequence[str],
    expires: str | None,
    quota: float | None,
    rate: int | None,
    queued: int | None,
) -> NewKey:
    """What was asked for on the command line. Raises `InvalidInput`."""
    return NewKey(
        _name(name),
        frozenset(map(_scope, scopes)) or USUAL,
        quota,
        rate,
        queued,
        None if expires is None else _moment(expires),
    )


def table(keys: Sequence[Key]) -> str:
    """One line for each key, under a line of titles."""
    titles = ("id", "name", "scopes", "a day", "a minute", "waiting", "expires", "last used", "state")
    lines = [titles, *map(_cells, keys)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    padded = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines
    )
    return "\n".join(line.rstrip() for line in padded)


def _cells(key: Key) -> tuple[str, ...]:
    state = "revoked" if key.revoked_at else "expired" if key.expired else "valid"
    limits = (f"{key.quota:g}" if key.quota else "any", str(key.rate or "any"), str(key.queued or "usual"))
    when = _day(key.expires_at), _day(key.last_used_at)
    return (key.id, key.name, ",".join(sorted(key.scopes)), *limits, *when, state)


def _day(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def _name(given: str) -> str:
    name = given.strip()
    if not 1 <= len(name) <= MAX_NAME or "\n" in name:
        raise InvalidInput(
            FieldError("name", f"is not one line of 1 to {MAX_NAME} characters", given, MAX_NAME)
        )
    try:
        return printable(name)
    except ValueError as error:
        raise InvalidInput(FieldError("name", str(error), given)) from None


def _scope(given: str) -> Scope:
    try:
        return Scope(given)
    except ValueError:
        known = ", ".join(Scope)
        raise InvalidInput(FieldError("scope", f"{given} is not known; use {known}", given, known)) from None


def _moment(given: str) -> datetime:
    """A moment that is still to come; a day without a time begins at midnight UTC."""
    now = datetime.now(UTC)
    try:
        lasts = _LASTS.fullmatch(given)
        if lasts:
            moment = now + timedelta(**{_UNITS[lasts[2]]: int(lasts[1])})
        else:
            moment = datetime.fromisoformat(given)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        message = f"{given} is neither a time such as 12h, 30d or 8w nor a day such as 2030-01-31"
        raise InvalidInput(FieldError("expires", message, given)) from None
    if moment <= now:
        raise InvalidInput(FieldError("expires", f"{given} is over already; choose a later day", given))
    return moment.astimezone(UTC)
