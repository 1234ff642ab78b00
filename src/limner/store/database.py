"""The SQLite database: how it is opened, brought up to date, and spoken to."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
import alembic.util
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError

from limner.errors import StorageUnavailable, Unusable

BUSY_TIMEOUT_MS = 10_000

# One line for each step of a migration is Alembic's habit; a server's log needs only what is wrong.
logging.getLogger("alembic").setLevel(logging.WARNING)


class Database:
    """Reads see the last commit; a write is alone from its beginning. Any thread may call."""

    def __init__(self, path: Path) -> None:
        self._engine = _engine(path)
        self._writing = self._engine.execution_options(begin="BEGIN IMMEDIATE")

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        with _storage_errors(), self._engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: durable when this ends, undone when it raises."""
        with _storage_errors(), self._writing.begin() as connection:
            yield connection

    def is_current(self) -> bool:
        """Whether the tables are in today's shape. Raises `Unusable` when a newer Limner made them."""
        script = ScriptDirectory.from_config(_config())
        with self.read() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
        if found is not None and found not in {revision.revision for revision in script.walk_revisions()}:
            raise Unusable(f"the record was made by a newer Limner (its shape is {found}); update this one")
        return found == script.get_current_head()

    def migrate(self) -> None:
        """Bring the tables into today's shape, in one transaction."""
        with self.write() as connection:
            alembic.command.upgrade(_config(connection), "head")

    def close(self) -> None:
        self._engine.dispose()


def _config(connection: Connection | None = None) -> alembic.config.Config:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", pool_size=16, max_overflow=32)

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin where we say, below
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

    return engine


@contextlib.contextmanager
def _storage_errors() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        raise StorageUnavailable(f"the record cannot be used: {error.orig}") from error
    except DBAPIError as error:
        if isinstance(error.orig, sqlite3.DatabaseError) and not isinstance(
            error.orig, sqlite3.IntegrityError
        ):
            raise StorageUnavailable(f"the record cannot be used: {error.orig}") from error
        raise
