"""Writes that wait at one moment share a transaction, and still succeed and fail alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, event

from limner.errors import Busy, StorageUnavailable
from limner.store.job import Job
from limner.store.store import Store
from tests.unit.test_store_queue import asked


def at_one_moment(store: Store, *works: Callable[[], Job]) -> list[Future[Job]]:
    """Let `works` come while a transaction is under way; their outcomes when all are known."""
    entered, go_on = threading.Event(), threading.Event()

    def hold_up(_: Connection) -> None:
        entered.set()
        assert go_on.wait(10)

    with ThreadPoolExecutor(len(works) + 1) as threads:
        threads.submit(store._database.write, hold_up)
        assert entered.wait(10)
        found = [threads.submit(work) for work in works]
        while len(store._database._waiting) < len(works):
            time.sleep(0.001)
        go_on.set()
    return found


def submitting(store: Store, person: str, max_queued: int = 10) -> Callable[[], Job]:
    return lambda: store.queue.submit(person, asked(), max_queued=max_queued)


def test_writes_of_one_moment_are_one_transaction_and_one_that_fails_is_undone_alone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    commits: list[Connection] = []
    event.listen(store._database._engine, "commit", commits.append)

    def broken(connection: Connection) -> Job:
        connection.exec_driver_sql("INSERT INTO people VALUES ('nobody', 1.0)")
        raise RuntimeError("a mistake")

    ann, ben, refused, wrong, again = at_one_moment(
        store,
        submitting(store, "ann"),
        submitting(store, "ben"),
        submitting(store, "ben", max_queued=0),
        lambda: store._database.write(broken),
        submitting(store, "ann"),
    )
    assert len(commits) == 2
    with pytest.raises(Busy):
        refused.result()
    with pytest.raises(RuntimeError, match="a mistake"):
        wrong.result()
    for job in (ann.result(), ben.result(), again.result()):
        assert store.job(job.person, job.id) == job
    with store._database.read() as connection:
        known = connection.exec_driver_sql("SELECT id FROM people ORDER BY id").scalars().all()
    assert known == ["ann", "ben"]
    store.close()


def test_when_the_disk_is_full_nothing_of_a_transaction_is_taken_for_kept(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def limit_pages(connection: Connection, pages: int) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    store._database.write(limit_pages, 1)  # as many as there are
    works = [submitting(store, f"person {n}", max_queued=10) for n in range(60)]
    for outcome in at_one_moment(store, *works):
        with pytest.raises(StorageUnavailable, match="full"):
            outcome.result()
    assert store.queue.claim(100) == []
    store._database.write(limit_pages, 100_000)
    job = works[0]()
    assert store.queue.claim(100)[0].id == job.id
    store.close()


def test_a_closed_record_takes_nothing_more(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.close()
    with pytest.raises(RuntimeError):
        submitting(store, "ann")()
