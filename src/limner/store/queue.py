"""The jobs that wait and run: who is next, who holds what, and how they end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, FromClause, Tuple, func, insert, select, tuple_, update

from limner.errors import Busy, Conflict
from limner.params import GenerationParams
from limner.store import rows
from limner.store.database import Database
from limner.store.files import Files
from limner.store.job import Failure, Job, NewImage, Place, Status
from limner.store.tables import images, jobs, people


@dataclass(frozen=True, slots=True)
class Ticket:
    """What makes a repeated submission the same one: the caller's key, and a digest of what was asked."""

    key: str
    fingerprint: str


class Queue:
    """Every method blocks and may be called from any thread; what has returned is on disk."""

    def __init__(self, database: Database, files: Files) -> None:
        self._database = database
        self._files = files

    def submit(
        self, person: str, params: GenerationParams, *, max_queued: int, ticket: Ticket | None = None
    ) -> Job:
        """Queue a job at the person's place in fair order (start-time fair queueing, Goyal et al. 1996).

        The same ticket gets the job it got before. Raises `Conflict` when its key came with something
        else, and `Busy` when the person has `max_queued` jobs waiting.
        """
        with self._database.write() as connection:
            if ticket is not None and (known := _replayed(connection, person, ticket)):
                return known
            mine = jobs.c.person == person, jobs.c.status == Status.QUEUED
            waiting = connection.scalar(select(func.count()).select_from(jobs).where(*mine)) or 0
            if waiting >= max_queued:
                raise Busy(f"{waiting} of your generations are waiting and {max_queued} may; try again later")
            tag = max(_virtual_time(connection), rows.enrolled(connection, person))
            values = rows.job_values(person, params, tag)
            if ticket is not None:
                values |= {"idempotency_key": ticket.key, "fingerprint": ticket.fingerprint}
            connection.execute(
                update(people).where(people.c.id == person).values(last_tag=tag + values["cost"])
            )
            connection.execute(insert(jobs).values(values))
            return rows.existing(connection, jobs.c.id == values["id"])

    def replayed(self, person: str, ticket: Ticket) -> Job | None:
        """The job this ticket got before. Raises `Conflict` as `submit` does."""
        with self._database.read() as connection:
            return _replayed(connection, person, ticket)

    def claim(self, room: int, below: float | None = None) -> list[Job]:
        """Take the next jobs in fair order until their missing pictures fill `room`; they run now.

        With `below`, only jobs with a lower tag.
        """
        query = select(jobs.c.number, jobs.c.params["num_images"].as_integer().label("images"))
        query = query.where(jobs.c.status == Status.QUEUED).order_by(jobs.c.tag, jobs.c.number).limit(room)
        if below is not None:
            query = query.where(jobs.c.tag < below)
        with self._database.write() as connection:
            chosen = []
            for number, count in connection.execute(query):
                if room > 0:
                    chosen.append(number)
                room -= count
            if not chosen:
                return []
            taken = jobs.c.number.in_(chosen)
            running = {"status": Status.RUNNING, "attempt": jobs.c.attempt + 1, "started_at": rows.now()}
            connection.execute(update(jobs).where(taken).values(running))
            found = connection.execute(select(jobs).where(taken).order_by(jobs.c.tag, jobs.c.number)).all()
            return rows.loaded(connection, found)

    def add_image(self, job: Job, new: NewImage) -> Job | None:
        """Commit a picture; with its last one the job has succeeded. The files are there before the row.

        Returns the job as it is now, or None when this attempt no longer holds it: then nothing is kept.
        """
        image_id = rows.new_id()
        paths = self._files.write_image(image_id, new)
        try:
            with self._database.write() as connection:
                if _holds(connection, job):
                    connection.execute(insert(images).values(rows.image_values(job.id, image_id, new)))
                    of_job = images.c.job_id == job.id
                    done = connection.scalar(select(func.count()).select_from(images).where(of_job))
                    if done == job.params.num_images:
                        _end(connection, job, Status.SUCCEEDED)
                    return rows.existing(connection, jobs.c.id == job.id)
        except BaseException:
            self._files.remove(paths)
            raise
        self._files.remove(paths)
        return None

    def fail(self, job: Job, failure: Failure) -> Job | None:
        """End a job that cannot be made; its finished images stay. None as in `add_image`."""
        with self._database.write() as connection:
            if not _holds(connection, job):
                return None
            _end(connection, job, Status.FAILED, failure)
            return rows.existing(connection, jobs.c.id == job.id)

    def put_back(self) -> int:
        """Queue again whatever is running. For a server that is alone and runs nothing yet."""
        with self._database.write() as connection:
            back = {"status": Status.QUEUED, "started_at": None}
            return connection.execute(
                update(jobs).where(jobs.c.status == Status.RUNNING).values(back)
            ).rowcount

    def places(self, job_ids: Sequence[str]) -> dict[str, Place]:
        """Where those of these jobs stand that are queued."""
        before = jobs.alias()
        up_to = before.c.status == Status.QUEUED, _turn(before) <= _turn(jobs)
        position = select(func.count()).select_from(before).where(*up_to).scalar_subquery()
        cost = select(func.sum(before.c.cost)).where(*up_to).scalar_subquery()
        query = select(jobs.c.id, position.label("position"), cost.label("cost"))
        with self._database.read() as connection:
            found = connection.execute(
                query.where(jobs.c.id.in_(job_ids), jobs.c.status == Status.QUEUED)
            ).all()
        return {row.id: Place(row.position, row.cost) for row in found}


def _turn(table: FromClause) -> Tuple:
    """What the fair order goes by."""
    return tuple_(table.c.tag, table.c.number)


def _virtual_time(connection: Connection) -> float:
    """Where the fair order has come to: the lowest tag under way; when idle, the highest ever given."""
    # One status at a time, because the index then holds the answer at its edge.
    lowest = (select(func.min(jobs.c.tag)).where(jobs.c.status == s) for s in (Status.QUEUED, Status.RUNNING))
    tags = [tag for tag in map(connection.scalar, lowest) if tag is not None]
    return min(tags) if tags else connection.scalar(select(func.max(people.c.last_tag))) or 0.0


def _replayed(connection: Connection, person: str, ticket: Ticket) -> Job | None:
    mine = jobs.c.person == person, jobs.c.idempotency_key == ticket.key
    known = connection.execute(select(jobs).where(*mine)).one_or_none()
    if known is None:
        return None
    if known.fingerprint != ticket.fingerprint:
        raise Conflict(
            f"the Idempotency-Key {ticket.key!r} came with another request before; use a new key for this one"
        )
    return rows.loaded(connection, [known])[0]


def _holds(connection: Connection, job: Job) -> bool:
    """Whether this attempt still runs the job; locks the job's row until the transaction ends."""
    held = jobs.c.id == job.id, jobs.c.attempt == job.attempt, jobs.c.status == Status.RUNNING
    return connection.execute(update(jobs).where(*held).values(attempt=job.attempt)).rowcount == 1


def _end(connection: Connection, job: Job, status: Status, failure: Failure | None = None) -> None:
    values = {"status": status, "finished_at": rows.now()}
    if failure is not None:
        values |= {"failure_code": failure.code, "failure_message": failure.message}
    connection.execute(update(jobs).where(jobs.c.id == job.id).values(values))
