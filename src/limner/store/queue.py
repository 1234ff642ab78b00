"""The jobs that wait and run: who is next, who holds what, and how they end."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, bindparam, case, func, insert, select, tuple_, update

from limner.errors import Busy, Conflict
from limner.params import GenerationParams
from limner.store import abuse, rows
from limner.store.abuse import Entry
from limner.store.database import Database
from limner.store.files import Files
from limner.store.job import Failure, Job, NewImage, Place, Status
from limner.store.tables import images, jobs, people
from limner.store.usage import Purse, charge


@dataclass(frozen=True, slots=True)
class Ticket:
    """What makes a repeated submission the same one: the caller's key, and a digest of what was asked."""

    key: str
    fingerprint: str


# The statements are built once: building one costs several times what running it does.

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

_NEXT = (
    select(jobs)
    .where(jobs.c.status == Status.QUEUED, jobs.c.tag < bindparam("below"))
    .order_by(jobs.c.tag, jobs.c.number)
    .limit(bindparam("room"))
)
_NEXT_OF_OTHERS = _NEXT.where(jobs.c.person.not_in(bindparam("but", expanding=True)))
_TAKE = (
    update(jobs)
    .where(jobs.c.number.in_(bindparam("numbers", expanding=True)))
    .values(status=Status.RUNNING, attempt=jobs.c.attempt + 1, started_at=bindparam("now"))
)

_BEFORE = jobs.alias()
_UP_TO = (
    _BEFORE.c.status == Status.QUEUED,
    tuple_(_BEFORE.c.tag, _BEFORE.c.number) <= tuple_(jobs.c.tag, jobs.c.number),
)
_PLACES = select(
    jobs.c.id,
    select(func.count()).select_from(_BEFORE).where(*_UP_TO).scalar_subquery().label("position"),
    select(func.sum(_BEFORE.c.cost)).where(*_UP_TO).scalar_subquery().label("cost"),
).where(jobs.c.id.in_(bindparam("job_ids", expanding=True)), jobs.c.status == Status.QUEUED)

_HELD = jobs.c.id == bindparam("job_id"), jobs.c.attempt == bindparam("held"), jobs.c.status == Status.RUNNING
_HOLD = update(jobs).where(*_HELD).values(attempt=bindparam("held"))
_END = (
    update(jobs)
    .where(jobs.c.id == bindparam("job_id"))
    .values(
        status=bindparam("ended"),
        finished_at=bindparam("now"),
        failure_code=bindparam("code"),
        failure_message=bindparam("message"),
    )
)


class Queue:
    """Every method blocks and may be called from any thread; what has returned is on disk."""

    def __init__(self, database: Database, files: Files) -> None:
        self._database = database
        self._files = files

    def submit(
        self,
        person: str,
        params: GenerationParams,
        *,
        max_queued: int,
        purses: Sequence[Purse] = (),
        ticket: Ticket | None = None,
    ) -> Job:
        """Queue a job at the person's place in fair order (start-time fair queueing, Goyal et al. 1996).

        The same ticket gets the job it got before. Raises `Conflict` when its key came with something
        else, `Busy` when the person has `max_queued` jobs waiting, and `QuotaSpent` when one of the
        `purses` has too little left for it.
        """
        return self._database.write(_submitted, person, params, max_queued, ticket, purses)

    def submit_all(
        self,
        person: str,
        all_params: Sequence[GenerationParams],
        *,
        max_queued: int,
        tickets: Sequence[Ticket | None],
        purses: Sequence[Purse] = (),
    ) -> list[Job]:
        """As `submit` for each, in order and with a ticket each: all of them, or none."""
        return self._database.write(_all_submitted, person, all_params, max_queued, tickets, purses)

    def replayed(self, person: str, ticket: Ticket) -> Job | None:
        """The job this ticket got before. Raises `Conflict` as `submit` does."""
        with self._database.read() as connection:
            return _replayed(connection, person, ticket)

    def claim(self, room: int, below: float = math.inf, but: Collection[str] = ()) -> list[Job]:
        """Take the next jobs with a tag under `below` in fair order until their pictures fill `room`.

        They run now. `but`: people who are left out.
        """
        return self._database.write(_claimed, room, below, but)

    def add_image(self, job: Job, new: NewImage, logged: Entry | None = None) -> Job | None:
        """Commit a picture; with its last one the job has succeeded. The files are there before the row.

        `logged` goes to the abuse log with it.

        Returns the job as it is now, or None when this attempt no longer holds it: then nothing is kept.
        """
        image_id = rows.new_id()
        began = time.perf_counter()
        paths = self._files.write_image(image_id, new)
        saved_s = new.durations.save_s + time.perf_counter() - began
        new = replace(new, durations=replace(new.durations, save_s=saved_s))
        try:
            kept = self._database.write(_with_image, job, image_id, new, logged)
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
        with self._database.read() as connection:
            found = connection.execute(_PLACES, {"job_ids": job_ids}).all()
        return {row.id: Place(row.position, row.cost) for row in found}


def _submitted(
    connection: Connection,
    person: str,
    params: GenerationParams,
    max_queued: int,
    ticket: Ticket | None,
    purses: Sequence[Purse],
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
    charge(connection, purses, values["cost"])
    rows.enrol(connection, person, tag + values["cost"], is_new=now.last_tag is None)
    key = connection.execute(insert(jobs), values).inserted_primary_key
    assert key is not None
    return rows.new_job(key.number, params, values)


def _all_submitted(
    connection: Connection,
    person: str,
    all_params: Sequence[GenerationParams],
    max_queued: int,
    tickets: Sequence[Ticket | None],
    purses: Sequence[Purse],
) -> list[Job]:
    waiting = connection.execute(_STANDING, {"person": person}).one().waiting
    new = sum(ticket is None or _replayed(connection, person, ticket) is None for ticket in tickets)
    if waiting + new > max_queued:
        raise Busy(
            f"{waiting} of your generations are waiting, these are {new} more, and {max_queued} may wait; "
            "send fewer, or try again later"
        )
    each = zip(all_params, tickets, strict=True)
    return [_submitted(connection, person, params, max_queued, ticket, purses) for params, ticket in each]


def _claimed(connection: Connection, room: int, below: float, but: Collection[str]) -> list[Job]:
    chosen = []
    limits: dict[str, object] = {"below": below, "room": room}
    if but:
        found = connection.execute(_NEXT_OF_OTHERS, limits | {"but": sorted(but)}).all()
    else:
        found = connection.execute(_NEXT, limits).all()
    for job in rows.loaded(connection, found):
        if room > 0:
            chosen.append(job)
        room -= job.params.num_images
    if not chosen:
        return []
    now = rows.now()
    connection.execute(_TAKE, {"numbers": [job.number for job in chosen], "now": now})
    return [
        replace(job, status=Status.RUNNING, attempt=job.attempt + 1, started_at=rows.moment(now))
        for job in chosen
    ]


def _with_image(
    connection: Connection, job: Job, image_id: str, new: NewImage, logged: Entry | None
) -> Job | None:
    if not _holds(connection, job):
        return None
    if logged is not None:
        abuse.write(connection, logged)
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
    return connection.execute(_HOLD, {"job_id": job.id, "held": job.attempt}).rowcount == 1


def _end(connection: Connection, job: Job, status: Status, failure: Failure | None = None) -> Job:
    now = rows.now()
    code, message = (failure.code, failure.message) if failure else (None, None)
    given = {"job_id": job.id, "ended": status, "now": now, "code": code, "message": message}
    connection.execute(_END, given)
    return replace(job, status=status, finished_at=rows.moment(now), failure=failure)
