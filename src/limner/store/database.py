"""The SQLite database: how it is opened, brought up to date, and spoken to."""

from __future__ import annotations

import contextlib
import functools
import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

import alembic.command
import alembic.config
import alembic.util
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError

from limner.errors import StorageUnavailable, Unusable

BUSY_TIMEOUT_MS = 10_000

P = ParamSpec("P")
T = TypeVar("T")

# One line for each step of a migration is Alembic's habit; a server's log needs only what is wrong.
logging.getLogger("alembic").setLevel(logging.WARNING)


class Database:
    """Reads see the last commit; one write happens at a time. Any thread may call."""

    def __init__(self, path: Path) -> None:
        self._engine = _engine(path)
        self._waiting: deque[_Write[Any]] = deque()
        self._writer = ThreadPoolExecutor(1, "record")

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        with self._transaction("BEGIN") as connection:
            yield connection

    def write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work` returns, once that is on disk; undone when it raises.

        What waits to be written at one moment shares a transaction, because a commit costs the most.
        """
        mine = _Write(lambda connection: work(connection, *args, **kwargs))
        self._waiting.append(mine)
        self._writer.submit(self._commit_waiting)
        return mine.outcome.result()

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
        with self._transaction("BEGIN IMMEDIATE") as connection:
            alembic.command.upgrade(_config(connection), "head")

    def close(self) -> None:
        self._writer.shutdown()
        self._engine.dispose()

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[Connection]:
        with _storage_errors(), self._engine.begin() as connection:
            connection.exec_driver_sql(begin)
            yield connection

    def _commit_waiting(self) -> None:
        group = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not group:
            return  # an earlier call took it along
        try:
            with self._transaction("BEGIN IMMEDIATE") as connection:
                for write in group:
                    write.run(connection)
        except BaseException as error:
            for write in group:
                write.outcome.set_exception(error)
        else:
            for write in group:
                write.tell()


class _Write(Generic[T]):
    """Work that is undone alone when it fails; `outcome` is known after the commit."""

    def __init__(self, work: Callable[[Connection], T]) -> None:
        self._work = work
        self.tell: Callable[[], None]
        self.outcome: Future[T] = Future()

    def run(self, connection: Connection) -> None:
        """Raises only when the database has undone the whole transaction."""
        connection.exec_driver_sql("SAVEPOINT one")
        try:
            with _storage_errors():
                result = self._work(connection)
        except BaseException as error:
            try:
                connection.exec_driver_sql("ROLLBACK TO one")
            except DBAPIError:  # a full disk, for one, leaves no transaction to go back in
                raise error from None
            self.tell = functools.partial(self.outcome.set_exception, error)
        else:
            self.tell = functools.partial(self.outcome.set_result, result)
        connection.exec_driver_sql("RELEASE one")


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
        connection.isolation_level = None  # transactions begin where we say
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

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
