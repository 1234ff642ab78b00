"""The people who ask: who they are, what they may, and how much."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from anyio.to_thread import run_sync

from limner.errors import StorageUnavailable, TooManyRequests
from limner.service.rates import Bucket, Level, Rates
from limner.store.job import OPERATOR
from limner.store.keys import Key, Scope
from limner.store.store import Store
from limner.store.usage import Purse

# All visitors from one address together may do as much as so many of them.
VISITORS_OF_AN_ADDRESS = 5
# So many times as often as for work may somebody ask how it stands.
READS_PER_REQUEST = 20
# Cookies given to an address in an hour; beyond that whoever comes from there is one visitor.
NEWCOMERS_AN_HOUR = 30
SIGN_INS_A_MINUTE = 20

# By what a key was looked for. A key's id is no secret, so one must never be taken for the other.
_Asked = tuple[Literal["secret", "id"], str]

_KNOWN_AT_MOST = 50_000
_KEY_KEPT_S = 1.0  # a revoked key ends within this
_USED_PAUSE_S = 60.0


class Kind(StrEnum):
    OPERATOR = "operator"
    KEY = "key"
    VISITOR = "visitor"


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many jobs may wait, how many requests come a minute and how many megapixel-steps a day."""

    queued: int
    rate: int | None = None
    quota: float | None = None

    def times(self, factor: int) -> Allowance:
        return Allowance(
            self.queued * factor,
            None if self.rate is None else self.rate * factor,
            None if self.quota is None else self.quota * factor,
        )


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, under the name that their jobs carry. `address`: what a visitor is counted under, too."""

    person: str
    kind: Kind
    scopes: frozenset[Scope]
    allowance: Allowance
    name: str | None = None
    address: str | None = None
    expires_at: datetime | None = None
    key_id: str | None = None

    @property
    def purses(self) -> Sequence[Purse]:
        if self.kind is Kind.OPERATOR:
            return ()
        return tuple(Purse(who, allowance.quota) for who, allowance in self._payers())

    def buckets(self, *, work: bool) -> list[Bucket]:
        """What a request is counted in; those that ask for work are counted apart."""
        what, factor = ("", 1) if work else (" reading", READS_PER_REQUEST)
        return [
            Bucket(who + what, allowance.rate * factor)
            for who, allowance in self._payers()
            if allowance.rate is not None
        ]

    def _payers(self) -> list[tuple[str, Allowance]]:
        mine = [(self.person, self.allowance)]
        if self.address is None:
            return mine
        return [*mine, (f"all of {self.address}", self.allowance.times(VISITORS_OF_AN_ADDRESS))]


class People:
    """Tells people apart and counts what they do. Methods are called on the event loop."""

    def __init__(self, store: Store, own: Allowance, visitors: Allowance | None) -> None:
        """`own`: what the operator may, and a key that says nothing else; `visitors`: None lets none in."""
        self._store = store
        self._own = own
        self._visitors = visitors
        self._rates = Rates()
        self._known: OrderedDict[str, Asker] = OrderedDict()
        self._keys: dict[_Asked, tuple[float, Key | None]] = {}
        self._used: dict[str, float] = {}

    @property
    def lets_visitors_in(self) -> bool:
        return self._visitors is not None

    def operator(self) -> Asker:
        return Asker(OPERATOR, Kind.OPERATOR, frozenset(Scope), self._own)

    async def with_secret(self, secret: str) -> Asker | None:
        """Whoever has the key with this secret; None when there is no such key, or no longer."""
        return await self._with_key(("secret", secret), self._store.keys.of_secret)

    async def with_key(self, key_id: str) -> Asker | None:
        """Whoever has the key of this id."""
        return await self._with_key(("id", key_id), self._store.keys.of_id)

    def visitor(self, cookie: str | None, address: str) -> Asker:
        """A visitor with the id of their cookie, or one of those from `address` who have none."""
        assert self._visitors is not None
        person = f"visitor:{cookie}" if cookie else f"address:{address}"
        scopes = frozenset({Scope.GENERATE, Scope.PROMPTS, Scope.READ})
        return self._met(Asker(person, Kind.VISITOR, scopes, self._visitors, address=address))

    def newcomer(self, address: str) -> str | None:
        """An id for a new visitor, or None when too many came from this address."""
        if self._visitors is None:
            return None
        with contextlib.suppress(TooManyRequests):
            self._rates.take([Bucket(f"newcomers of {address}", NEWCOMERS_AN_HOUR, 3600)])
            return secrets.token_hex(12)
        return None

    def admit(self, asker: Asker, *, work: bool) -> None:
        """Count a request. Raises `TooManyRequests`."""
        self._rates.take(asker.buckets(work=work))

    def levels(self, asker: Asker, *, work: bool) -> list[Level]:
        """How many more requests may come now."""
        return self._rates.levels(asker.buckets(work=work))

    def sign_in(self, address: str) -> None:
        """Count an attempt to enter a key. Raises `TooManyRequests`."""
        self._rates.take([Bucket(f"keys from {address}", SIGN_INS_A_MINUTE)])

    def terms(self, person: str) -> Asker:
        """What a person who was let in may do; one who was forgotten among very many: what a visitor may."""
        if known := self._known.get(person):
            return known
        if person == OPERATOR or self._visitors is None:
            return self.operator()
        return Asker(person, Kind.VISITOR, frozenset(), self._visitors)

    async def spent(self, asker: Asker) -> dict[str, float]:
        """Megapixel-steps since midnight UTC, by whose purse they came from."""
        payers = [purse.payer for purse in asker.purses]
        return await run_sync(self._store.spent, payers) if payers else {}

    async def _with_key(self, asked: _Asked, find: Callable[[str], Key | None]) -> Asker | None:
        now = time.monotonic()
        since, key = self._keys.get(asked, (-_KEY_KEPT_S, None))
        if now - since > _KEY_KEPT_S:
            key = await run_sync(find, asked[1])
            if len(self._keys) > 1000:
                self._keys.clear()
            self._keys[asked] = now, key
        if key is None or not key.valid:
            return None
        await self._note_use(key, now)
        own = Allowance(self._own.queued if key.queued is None else key.queued, key.rate, key.quota)
        return self._met(
            Asker(
                f"key:{key.id}", Kind.KEY, key.scopes, own, key.name, expires_at=key.expires_at, key_id=key.id
            )
        )

    async def _note_use(self, key: Key, now: float) -> None:
        """At most once a minute: it is a write to disk."""
        if now - self._used.get(key.id, -_USED_PAUSE_S) < _USED_PAUSE_S:
            return
        self._used[key.id] = now
        with contextlib.suppress(StorageUnavailable):  # a full disk keeps nobody from reading
            await run_sync(self._store.keys.used, key.id)

    def _met(self, asker: Asker) -> Asker:
        self._known[asker.person] = asker
        self._known.move_to_end(asker.person)
        if len(self._known) > _KNOWN_AT_MOST:
            self._known.popitem(last=False)
        return asker
