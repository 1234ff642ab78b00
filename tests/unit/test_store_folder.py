"""The data folder: one server, up to date, and swept after a crash."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine

from limner.errors import StorageUnavailable, Unusable
from limner.store import migrations
from limner.store import queue as queue_module
from limner.store.job import Status
from limner.store.store import Store
from limner.store.tables import metadata
from tests.unit.test_store_queue import asked, files, picture, submit

VERSIONS = Path(migrations.__file__).parent / "versions"


def test_migrations_lead_from_nothing_to_todays_tables(tmp_path: Path) -> None:
    Store(tmp_path).close()
    engine = create_engine(f"sqlite:///{tmp_path / 'limner.db'}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, metadata) == []
        newest = max(path.name[:4] for path in VERSIONS.glob("[0-9]*.py"))
        assert context.get_current_revision() == newest
    engine.dispose()


def test_a_record_of_a_newer_limner_is_left_alone(tmp_path: Path) -> None:
    Store(tmp_path).close()
    with sqlite3.connect(tmp_path / "limner.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Unusable, match="newer"):
        Store(tmp_path)


def test_commits_are_durable_and_readers_never_wait(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store._database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        submit(store)
    store.close()


def test_a_second_server_on_the_folder_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    script = f"import pathlib; from limner.store.store import Store; Store(pathlib.Path({str(tmp_path)!r}))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    store.close()
    assert "in use by another Limner server (process" in found.stderr
    assert "--data-dir" in found.stderr
    Store(tmp_path).close()


def test_a_command_line_may_record_a_finished_job_beside_a_server(tmp_path: Path) -> None:
    server = Store(tmp_path)
    beside = Store(tmp_path, serve=False)
    job = beside.record_finished("ann", asked(2), [picture(0), picture(1)])
    beside.close()
    assert server.job("ann", job.id) == job
    assert job.status is Status.SUCCEEDED
    assert len(job.images) == 2
    assert server.queue.claim(5) == []
    server.close()


def test_what_was_running_when_the_server_died_is_queued_again(tmp_path: Path) -> None:
    died = Store(tmp_path)
    submit(died, num_images=2)
    job = died.queue.claim(1)[0]
    died.queue.add_image(job, picture(0))
    died._unlock()
    born = Store(tmp_path)
    again = born.queue.claim(1)[0]
    assert (again.id, again.attempt, again.missing()) == (job.id, 2, [1])
    assert died.queue.add_image(job, picture(1)) is None
    assert born.queue.add_image(again, picture(1)) is not None
    born.close()
    died.close()


def test_a_crash_between_file_and_row_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    store = Store(tmp_path)
    submit(store)
    kept = store.record_finished("ann", asked(), [picture()])
    job = store.queue.claim(1)[0]
    monkeypatch.setattr(queue_module, "_holds", die)
    monkeypatch.setattr(store._files, "remove", lambda *_: None)
    with pytest.raises(Killed):
        store.queue.add_image(job, picture())
    assert len(files(tmp_path)) == 4
    store.close()
    monkeypatch.undo()
    (tmp_path / "pictures" / "ab").mkdir(exist_ok=True)
    (tmp_path / "pictures" / "ab" / "half.png#1").write_bytes(b"half")
    store = Store(tmp_path)
    assert files(tmp_path) == sorted(
        Path(path).name for path in (kept.images[0].paths.picture, kept.images[0].paths.thumbnail)
    )
    assert store.job("ann", job.id).status is Status.QUEUED
    store.close()


def test_a_folder_that_is_a_file_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(Unusable, match="--data-dir"):
        Store(tmp_path / "taken")


def test_a_record_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "limner.db").write_bytes(b"not a database" * 100)
    with pytest.raises(Unusable, match="not a database"):
        Store(tmp_path)
    (tmp_path / "limner.db").unlink()
    Store(tmp_path).close()


def test_a_picture_that_cannot_be_written_is_not_claimed_to_be_there(tmp_path: Path) -> None:
    store = Store(tmp_path)
    submit(store)
    job = store.queue.claim(1)[0]
    (tmp_path / "pictures").rename(tmp_path / "away")
    (tmp_path / "pictures").write_text("in the way")
    with pytest.raises(StorageUnavailable) as trouble:
        store.queue.add_image(job, picture())
    assert str(tmp_path) not in str(trouble.value), "a stranger may read it"
    assert store.job("ann", job.id).images == ()
    (tmp_path / "pictures").unlink()
    (tmp_path / "away").rename(tmp_path / "pictures")
    assert store.queue.add_image(job, picture()) is not None
    store.close()
