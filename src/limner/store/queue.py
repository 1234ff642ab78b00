"""The jobs that wait and run: who is next, who holds what, and how they end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, FromClause, Tuple, bindparam, case, func, insert, select, tuple_, update

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


# Where the fair order has come to (the lowest tag under way; when idle, the highest ever given), and where
# a person stands in it. One status at a time, because the index then holds the answer at its edge.
_QUEUED, _RUNNING = (
    select(func.min(jobs.c.tag)).where(jobs.c.status == status).scalar_subquery()
    for status in (Status.QUEUED, Status.RUNNING)
)
_LAST = select(func.max(people.c.last_tag)).scalar_subquery()
_MINE = jobs.c.person == bindparam("person"), jobs.c.status == Status.QUEUED
_VIRTUAL_TIME = func.coalesce(case((_RUNNING < _QUEUED, _RUNNING), else_=_QUEUED), _RUNNING, _LAST, 0.0)
_MY_LAST_TAG = select(people.c.last_tag).where(people.c.id == bindparam("person")).scalar_subquery()
_MY_WAITING = select(func.count()).select_from(jobs).where(*_MINE).scalar_subquery()
_STANDING = select(
    _VIRTUAL_TIME.label("virtual_time"), _MY_LAST_TAG.label("last_tag"), _MY_WAITING.label("waiting")
)


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
        return self._database.write(_submitted, person, params, max_queued, ticket)

    def replayed(self, person: str, ticket: Ticket) -> Job | None:
        """The job this ticket got before. Raises `Conflict` as `submit` does."""
        with self._database.read() as connection:
            return _replayed(connection, person, ticket)

    def claim(self, room: int, below: float | None = None) -> list[Job]:
        """Take the next jobs in fair order until their missing pictures fill `room`; they run now.

        With `below`, only jobs with a lower tag.
        """
        return self._database.write(_claimed, room, below)

    def add_image(self, job: Job, new: NewImage) -> Job | None:
        """Commit a picture; with its last one the job has succeeded. The files are there before the row.

        Returns the job as it is now, or None when this attempt no longer holds it: then nothing is kept.
        """
        image_id = rows.new_id()
        paths = self._files.write_image(image_id, new)
        try:
            kept = self._database.write(_with_image, job, image_id, new)
        except BaseException:
            self._files.remove(paths)
            raise
        if kept is None:
            self._files.remove(paths)
        return kept

    def fail(self, job: Job, failure: Failure) -> Job | None:
        """End a job that cannot be made; its finished images stay. None as in `add_image`."""
        return self._database.write(_failed, job, failure)

    def put_back(self) -> int:
        """Queue again whatever is running. For a server that is alone and runs nothing yet."""
        back = update(jobs).where(jobs.c.status == Status.RUNNING)
        back = back.values(status=Status.QUEUED, started_at=None)
        return self._database.write(lambda connection: connection.execute(back).rowcount)

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


def _submitted(
    connection: Connection, person: str, params: GenerationParams, max_queued: int, ticket: Ticket | None
) -> Job:
    if ticket is not None and (known := _replayed(connection, person, ticket)):
        return known
    now = connection.execute(_STANDING, {"person": person}).one()
    if now.waiting >= max_queued:
        raise Busy(f"{now.waiting} of your generations are waiting and {max_queued} may; try again later")
    tag = max(now.virtual_time, now.last_tag or 0.0)
    values = rows.job_values(person, params, tag)
    if ticket is not None:
        values |= {"idempotency_key": ticket.key, "fingerprint": ticket.fingerprint}
    rows.enrol(connection, person, tag + values["cost"], is_new=now.last_tag is None)
    key = connection.execute(insert(jobs), values).inserted_primary_key
    assert key is not None
    return rows.new_job(key.number, params, values)


def _claimed(connection: Connection, room: int, below: float | None) -> list[Job]:
    query = select(jobs).where(jobs.c.status == Status.QUEUED).order_by(jobs.c.tag, jobs.c.number).limit(room)
    if below is not None:
        query = query.where(jobs.c.tag < below)
    chosen = []
    for job in rows.loaded(connection, connection.execute(query).all()):
        if room > 0:
            chosen.append(job)
        room -= job.params.num_images
    if not chosen:
        return []
    now = rows.now()
    taken = update(jobs).where(jobs.c.number.in_([job.number for job in chosen]))
    connection.execute(taken.values(status=Status.RUNNING, attempt=jobs.c.attempt + 1, started_at=now))
    return [
        replace(job, status=Status.RUNNING, attempt=job.attempt + 1, started_at=rows.moment(now))
        for job in chosen
    ]


def _with_image(connection: Connection, job: Job, image_id: str, new: NewImage) -> Job | None:
    if not _holds(connection, job):
        return None
    connection.execute(insert(images), rows.image_values(job.id, image_id, new))
    job = replace(job, images=rows.images_of(connection, job.id))
    return job if job.missing() else _end(connection, job, Status.SUCCEEDED)


def _failed(connection: Connection, job: Job, failure: Failure) -> Job | None:
    if not _holds(connection, job):
        return None
    job = replace(job, images=rows.images_of(connection, job.id))
    return _end(connection, job, Status.FAILED, failure)


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


def _end(connection: Connection, job: Job, status: Status, failure: Failure | None = None) -> Job:
    now = rows.now()
    values = {"status": status, "finished_at": now}
    if failure is not None:
        values |= {"failure_code": failure.code, "failure_message": failure.message}
    connection.execute(update(jobs).where(jobs.c.id == job.id).values(values))
    return replace(job, status=status, finished_at=rows.moment(now), failure=failure)
