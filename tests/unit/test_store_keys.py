"""Keys and what is spent with them, in the record."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from limner.errors import Conflict, InvalidInput, NotFound, QuotaSpent
from limner.service.keys import parsed, table
from limner.store import rows, usage
from limner.store.keys import PREFIX, Key, NewKey, Scope
from limner.store.queue import Ticket
from limner.store.store import Store
from limner.store.usage import Purse
from tests.unit.test_store_queue import asked

ALL = frozenset(Scope)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path)
    yield opened
    opened.close()


def test_a_key_is_found_by_its_secret_and_the_record_does_not_hold_it(store: Store, tmp_path: Path) -> None:
    secret = store.keys.create(NewKey("bot", frozenset({Scope.READ}), quota=10, rate=3, queued=2))
    assert secret.startswith(PREFIX)
    assert len(secret) >= len(PREFIX) + 43  # 256 bits
    found = store.keys.of_secret(secret)
    assert found is not None
    assert (found.name, found.scopes, found.quota, found.rate, found.queued) == (
        "bot",
        frozenset({Scope.READ}),
        10,
        3,
        2,
    )
    assert store.keys.of_secret(secret[:-1] + ("a" if secret[-1] != "a" else "b")) is None
    store.close()
    for file in tmp_path.glob("limner.db*"):
        assert secret.removeprefix(PREFIX).encode() not in file.read_bytes()


def test_a_revoked_key_is_none_and_its_name_is_free_again(store: Store) -> None:
    first = store.keys.create(NewKey("bot", ALL))
    with pytest.raises(Conflict, match="bot"):
        store.keys.create(NewKey("bot", ALL))
    assert store.keys.revoke("bot").revoked_at is not None
    assert store.keys.of_secret(first) is None
    assert not store.keys.any_valid()
    second = store.keys.create(NewKey("bot", ALL))
    old, new = store.keys.all()
    assert store.keys.of_secret(second) == new
    assert old.id != new.id
    with pytest.raises(NotFound, match="keys list"):
        store.keys.revoke("nobody")


def test_a_key_can_be_revoked_by_its_id(store: Store) -> None:
    secret = store.keys.create(NewKey("bot", ALL))
    store.keys.revoke(store.keys.all()[0].id)
    assert store.keys.of_secret(secret) is None


def test_an_expired_key_is_none(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    secret = store.keys.create(NewKey("guest", ALL, expires_at=soon))
    assert store.keys.of_secret(secret) is not None
    monkeypatch.setattr(rows, "now", lambda: soon.timestamp())
    assert store.keys.of_secret(secret) is None
    assert not store.keys.any_valid()
    assert "expired" in table(store.keys.all())


def test_use_is_written_down(store: Store) -> None:
    store.keys.create(NewKey("bot", ALL))
    key = store.keys.all()[0]
    assert key.last_used_at is None
    store.keys.used(key.id)
    used = store.keys.all()[0].last_used_at
    assert used is not None
    assert used >= key.created_at


def test_a_quota_is_spent_by_what_is_asked_for_and_begins_anew_each_day(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = asked(2)
    cost = params.cost * 2
    purse = Purse("key:1", cost * 2)
    for _ in range(2):
        store.queue.submit("key:1", params, max_queued=9, purses=[purse])
    with pytest.raises(QuotaSpent, match="midnight") as refused:
        store.queue.submit("key:1", params, max_queued=9, purses=[purse])
    assert 0 < refused.value.retry_after_s <= usage.DAY_S
    assert store.spent(["key:1"]) == {"key:1": pytest.approx(cost * 2)}
    store.queue.submit("key:2", params, max_queued=9, purses=[Purse("key:2", cost)])
    tomorrow = rows.now() + usage.DAY_S
    monkeypatch.setattr(rows, "now", lambda: tomorrow)
    store.queue.submit("key:1", params, max_queued=9, purses=[purse])
    assert store.spent(["key:1"]) == {"key:1": pytest.approx(cost)}


def test_what_one_purse_cannot_pay_no_purse_pays_and_a_replay_costs_nothing(store: Store) -> None:
    params = asked(1)
    rich, poor = Purse("visitor:1", params.cost * 5), Purse("all of 1.2.3.4", params.cost)
    ticket = Ticket("k", "f")
    for _ in range(3):
        store.queue.submit("visitor:1", params, max_queued=9, purses=[rich, poor], ticket=ticket)
    with pytest.raises(QuotaSpent):
        store.queue.submit("visitor:1", params, max_queued=9, purses=[rich, poor])
    assert store.spent([rich.payer, poor.payer]) == dict.fromkeys(
        (rich.payer, poor.payer), pytest.approx(params.cost)
    )
    assert len(store.page("visitor:1", 10)) == 1


def test_a_deleted_job_gives_nothing_back(store: Store) -> None:
    params = asked(1)
    purse = Purse("key:1", params.cost)
    job = store.queue.submit("key:1", params, max_queued=9, purses=[purse])
    store.delete("key:1", job.id)
    with pytest.raises(QuotaSpent):
        store.queue.submit("key:1", params, max_queued=9, purses=[purse])


def test_the_operator_sees_and_ends_everybodys_jobs_and_others_only_theirs(store: Store) -> None:
    anns, bens = (store.queue.submit(who, asked(), max_queued=9) for who in ("ann", "ben"))
    assert {job.id for job in store.page("operator", 10)} == {anns.id, bens.id}
    assert [job.id for job in store.page("ann", 10)] == [anns.id]
    for forbidden in (store.job, store.cancel, store.delete):
        with pytest.raises(NotFound):
            forbidden("ann", bens.id)
    assert store.job("operator", bens.id) == bens
    assert store.cancel("operator", bens.id).status == "cancelled"
    store.delete("operator", anns.id)
    assert store.page("ann", 10) == []


def test_the_secret_of_cookies_is_kept_and_nobody_else_may_read_it(store: Store, tmp_path: Path) -> None:
    secret = store.cookie_secret()
    assert len(secret) == 32
    assert store.cookie_secret() == secret
    file = tmp_path / "cookie.key"
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o644)
    file.write_bytes(b"short")
    assert store.cookie_secret() not in (secret, b"short")
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_record_from_before_keys_is_brought_up_to_date_with_its_jobs(tmp_path: Path) -> None:
    store = Store(tmp_path)
    job = store.queue.submit("operator", asked(), max_queued=9)
    store.close()
    with sqlite3.connect(tmp_path / "limner.db") as connection:
        connection.executescript(
            "DROP TABLE keys; DROP TABLE usage; DROP TABLE abuse;"
            "UPDATE alembic_version SET version_num = '0001'"
        )
    store = Store(tmp_path)
    assert store.job("operator", job.id).id == job.id
    assert store.keys.all() == []
    store.close()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "\x1b[2J"}, "name"),
        ({"scopes": ("paint",)}, "scope"),
        ({"expires": "soon"}, "expires"),
        ({"expires": "0d"}, "expires"),
        ({"expires": "2001-01-01"}, "expires"),
    ],
)
def test_what_makes_no_key_is_named(given: dict[str, object], field: str) -> None:
    usual = {"name": "x", "scopes": (), "expires": None, "quota": None, "rate": None, "queued": None}
    with pytest.raises(InvalidInput) as refused:
        parsed(**usual | given)  # type: ignore[arg-type]
    assert refused.value.fields[0].field == field


@pytest.mark.parametrize(("expires", "days"), [("24h", 1), ("30d", 30), ("2w", 14)])
def test_a_key_expires_after_so_long(expires: str, days: int) -> None:
    key = parsed(name="x", scopes=(), expires=expires, quota=None, rate=None, queued=None)
    assert key.expires_at is not None
    assert abs((key.expires_at - datetime.now(UTC)).total_seconds() - days * 86_400) < 60
    assert key.scopes == {Scope.GENERATE, Scope.PROMPTS, Scope.READ}


def test_the_table_of_keys_shows_no_secret(store: Store) -> None:
    secret = store.keys.create(NewKey("bot", ALL, quota=12.5))
    keys: list[Key] = store.keys.all()
    text = table(keys)
    assert "bot" in text
    assert "12.5" in text
    assert secret not in text
    assert len(text.splitlines()) == 2
