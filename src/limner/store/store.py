"""The record: jobs, people, images and their files in one folder."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from sqlalchemy import Connection, bindparam, delete, insert, or_, select, update

from limner.errors import StorageUnavailable, Unusable
from limner.params import GenerationParams
from limner.store import rows, secret, usage
from limner.store.abuse import Abuse
from limner.store.database import Database
from limner.store.files import Files
from limner.store.job import OPERATOR, Job, NewImage, Standing, Status
from limner.store.keys import Keys
from limner.store.lock import FolderLock
from limner.store.monthly import MonthlyFile
from limner.store.queue import Queue
from limner.store.standing import standing
from limner.store.tables import images, jobs, people

_THEIRS = or_(jobs.c.person == bindparam("person"), bindparam("person") == OPERATOR)
SECRET_BYTES = 32
_MINE = select(jobs).where(jobs.c.id == bindparam("id"), _THEIRS)
_OWNER = select(images.c.job_id).where(images.c.id == bindparam("id")).scalar_subquery()
_OF_IMAGE = select(jobs).where(jobs.c.id == _OWNER)
_PAGE_OF_ALL = (
    select(jobs)
    .where(jobs.c.number < bindparam("before"))
    .order_by(jobs.c.number.desc())
    .limit(bindparam("limit"))
)
_PAGE = _PAGE_OF_ALL.where(jobs.c.person == bindparam("person"))


class Store:
    """Every method blocks and may be called from any thread; what has returned is on disk.

    A person sees and changes their own jobs alone, the operator everybody's.
    """

    def __init__(self, folder: Path, *, serve: bool = True) -> None:
        """Open the record in `folder`, creating what is missing.

        With `serve` this process becomes the folder's one server: what was running when the last one
        stopped is queued again. Without, finished jobs may be read and recorded beside a server.
        Raises `Unusable` when the folder cannot be used or another server owns it.
        """
        self._folder = folder
        self._lock: FolderLock | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = FolderLock(folder) if serve else None
            self._files = Files(folder / "pictures")
            self._database = Database(folder / "limner.db")
            self._bring_up_to_date(folder)
            self.queue = Queue(self._database, self._files)
            self.keys = Keys(self._database)
            self.abuse = Abuse(self._database)
            if serve:
                self._recover()
        except (OSError, StorageUnavailable) as error:
            self._unlock()
            raise Unusable(
                f"the data folder {folder} cannot be used ({getattr(error, 'strerror', None) or error}); "
                "make it writable or choose another with --data-dir"
            ) from error
        except Unusable:
            self._unlock()
            raise

    def close(self) -> None:
        self._database.close()
        self._unlock()

    def job(self, person: str, job_id: str) -> Job:
        """Raises `NotFound`, also for another person's."""
        with self._database.read() as connection:
            return rows.one(connection, _MINE, person=person, id=job_id)

    def page(self, person: str, limit: int, before: int = sys.maxsize) -> list[Job]:
        """The person's newest jobs, those with a lower number than `before`."""
        asked = {"limit": limit, "before": before}
        with self._database.read() as connection:
            if person == OPERATOR:
                found = connection.execute(_PAGE_OF_ALL, asked)
            else:
                found = connection.execute(_PAGE, asked | {"person": person})
            return rows.loaded(connection, found.all())

    def cancel(self, person: str, job_id: str) -> Job:
        """Call a job off; one that is over stays as it is. Raises `NotFound`."""
        return self._database.write(_cancelled, person=person, id=job_id)

    def delete(self, person: str, job_id: str) -> Job:
        """Remove a job with its images and files; returns what it was. Raises `NotFound`."""
        job = self._database.write(_deleted, person=person, id=job_id)
        self._files.remove(*(image.paths for image in job.images))
        return job

    def job_of_image(self, image_id: str) -> Job:
        """Whoever knows an image's id may see it, so no person is asked for. Raises `NotFound`."""
        with self._database.read() as connection:
            return rows.one(connection, _OF_IMAGE, id=image_id)

    def read(self, path: str) -> bytes:
        """The bytes of one of an image's files. Raises `NotFound`."""
        return self._files.read(path)

    def record_finished(self, person: str, params: GenerationParams, pictures: Sequence[NewImage]) -> Job:
        """Keep a job that was made without a server."""
        values = rows.job_values(person, params, tag=0.0)
        values |= {"status": Status.SUCCEEDED, "started_at": values["created_at"], "finished_at": rows.now()}

        def record(connection: Connection) -> Job:
            if connection.scalar(select(people.c.id).where(people.c.id == person)) is None:
                rows.enrol(connection, person, 0.0, is_new=True)
            connection.execute(insert(jobs), values)
            for picture in pictures:
                image_id = rows.new_id()
                self._files.write_image(image_id, picture)
                connection.execute(insert(images).values(rows.image_values(values["id"], image_id, picture)))
            return rows.one(connection, _MINE, person=person, id=values["id"])

        # The files are written inside the transaction, so that a server starting now does not sweep them.
        return self._database.write(record)

    def standing(self) -> Standing:
        """How much waits and runs now."""
        with self._database.read() as connection:
            return standing(connection)

    def spent(self, payers: Iterable[str]) -> dict[str, float]:
        """Megapixel-steps since midnight UTC of those who asked for something."""
        with self._database.read() as connection:
            return usage.spent(connection, payers)

    def cookie_secret(self) -> bytes:
        """What cookies are signed with; made at the first call and kept in the folder."""
        return self.secret("cookie.key", _new_secret, lambda kept: len(kept) == SECRET_BYTES)

    def secret(self, name: str, make: Callable[[], bytes], good: Callable[[bytes], bool]) -> bytes:
        """What only this folder knows, in a file of mode 0600; made when missing or no longer `good`."""
        try:
            return secret.kept(self._folder / name, make, good)
        except OSError as error:
            path = self._folder / name
            raise StorageUnavailable(f"{path} cannot be used: {error.strerror}") from error

    def tunnel_file(self) -> MonthlyFile:
        """Where is kept what went through a tunnel this month."""
        return MonthlyFile(self._folder / "tunnel.json")

    def _bring_up_to_date(self, folder: Path) -> None:
        if self._database.is_current():
            return
        # Nobody may change the tables under a running server.
        lock = self._lock or FolderLock(folder)
        self._database.migrate()
        if lock is not self._lock:
            lock.release()

    def _recover(self) -> None:
        """Put back what was running, and remove files that a crash left without a row."""
        self.queue.put_back()
        self._database.write(usage.forget_the_past)
        self._database.write(lambda connection: self._files.keep_only(rows.image_paths(connection)))

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _cancelled(connection: Connection, *, person: str, id: str) -> Job:
    mine = [jobs.c.id == id]
    if person != OPERATOR:
        mine.append(jobs.c.person == person)
    under_way = jobs.c.status.in_((Status.QUEUED, Status.RUNNING))
    over = {"status": Status.CANCELLED, "finished_at": rows.now()}
    connection.execute(update(jobs).where(*mine, under_way).values(over))
    return rows.one(connection, _MINE, person=person, id=id)


def _deleted(connection: Connection, *, person: str, id: str) -> Job:
    job = rows.one(connection, _MINE, person=person, id=id)
    connection.execute(delete(jobs).where(jobs.c.id == id))
    return job


def _new_secret() -> bytes:
    return secrets.token_bytes(SECRET_BYTES)
