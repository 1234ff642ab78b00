"""Joins the record, the engine and the prompt writer."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ParamSpec

from anyio.to_thread import run_sync
from pydantic import BaseModel

from limner.engine.messages import Engine
from limner.errors import FieldError, InvalidInput, NotReady, StorageUnavailable
from limner.params import ModelInfo
from limner.prompting.messages import PromptWriter
from limner.service.blocking import Blocking
from limner.service.dispatcher import Dispatcher
from limner.service.events import Ended, Event, Preview, Progress, Queued, Snapshot, View
from limner.service.hub import Hub
from limner.service.metrics import Metrics
from limner.service.moderation import Moderation
from limner.service.people import Allowance, People
from limner.service.pictures import Pictures
from limner.service.prompts import Prompts
from limner.service.provenance import Provenance
from limner.service.sessions import Sessions
from limner.store.job import Job, Place, Status
from limner.store.queue import Ticket
from limner.store.store import Store

MAX_WAIT_S = 60
_PLACES_PAUSE_S = 0.5

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Page:
    views: list[View]
    next_cursor: str | None


class Service:
    """What the API can ask for. Every method is called on the event loop; none blocks it."""

    def __init__(
        self,
        store: Store,
        engine: Engine,
        writer: PromptWriter,
        *,
        max_queued: int = 50,
        visitors: Allowance | None = None,
        provenance: Provenance | None = None,
        moderation: Moderation | None = None,
    ) -> None:
        """`visitors`: what strangers may do, each of them; None: strangers are not let in.

        Pictures are signed by `provenance`; None: with the certificate that `store` keeps. `moderation`
        None: it is off.
        """
        self.engine = engine
        self.writer = writer
        self.max_queued = max_queued
        self.people = People(store, Allowance(max_queued), visitors)
        self._store = store
        self.metrics = Metrics()
        self._hub = Hub(self.metrics.told)
        provenance = provenance or Provenance.of(store)
        self.pictures = Pictures(store, provenance)
        self._moderation = moderation or Moderation(store)
        self.prompts = Prompts(writer, engine.models, self._moderation, self.metrics)
        self._dispatcher = Dispatcher(store.queue, engine, self._hub, provenance, self._moderation)
        self._announcer: asyncio.Task[None] | None = None
        self.blocking = Blocking(self)
        self.sessions = Sessions(self)

    async def start(self) -> None:
        await self.engine.start()
        await self.writer.start()
        await self._dispatcher.start()
        await self._moderation.start()
        self._announcer = asyncio.create_task(self._announce_places(), name="places")

    async def stop(self) -> None:
        """What is being painted is painted again after the next start. The store stays open."""
        self.end_streams()
        if self._announcer is not None:
            self._announcer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._announcer
        await self.blocking.stop()
        await self._dispatcher.stop()
        await self._moderation.stop()
        await self.writer.stop()
        await self.engine.stop()

    def end_streams(self) -> None:
        """Let every listener go, so that a server can stop; they may come back to the next one."""
        self._hub.close()

    def models(self) -> tuple[ModelInfo, ...]:
        return self.engine.models()

    # Generations.

    async def submit(self, person: str, asked: BaseModel, key: str | None = None) -> View:
        """Accept a `GenerationSubmission`; once this returns, it will be made.

        The same `key` with the same submission gets the same job. Raises `InvalidInput`, `Conflict`,
        `Busy`, `QuotaSpent`, `Refused`, `NotReady` when the engine has given up or moderation cannot be
        asked and must be, and what the prompt writer raises.
        """
        ticket = None if key is None else Ticket(key, _fingerprint(asked))
        if ticket is not None and (known := await run_sync(self._store.queue.replayed, person, ticket)):
            return await self._seen(lambda: known)
        self._refuse_if_down()
        params = await self.prompts.checked(person, asked)

        may = self.people.terms(person)
        queue = partial(
            self._store.queue.submit, max_queued=may.allowance.queued, purses=may.purses, ticket=ticket
        )
        tag = -math.inf
        try:
            view = await self._seen(queue, person, params)
            tag = view.job.tag
        finally:
            self._dispatcher.submitted(tag, person)  # whatever else failed, it may have been queued
        return view

    async def submit_all(self, person: str, asked: Sequence[BaseModel], key: str | None = None) -> list[View]:
        """Accept all of these, or none; in order. The same `key` with the same list gets the same jobs.

        Raises what `submit` raises; `InvalidInput` names the items that are wrong.
        """
        may = self.people.terms(person)
        most = may.allowance.queued
        if len(asked) > most:
            message = f"{len(asked)} are more than the {most} that may wait; send fewer at a time"
            raise InvalidInput(FieldError("items", message, len(asked), most))
        tickets = _tickets(key, asked)
        known = [await run_sync(self._store.queue.replayed, person, ticket) for ticket in tickets if ticket]
        jobs = [job for job in known if job is not None]
        if len(jobs) < len(asked):
            self._refuse_if_down()
            params = await self.prompts.all_checked(person, asked)
            submit = partial(
                self._store.queue.submit_all, max_queued=most, purses=may.purses, tickets=tickets
            )
            try:
                jobs = await run_sync(submit, person, params)
            finally:
                self._dispatcher.submitted(min((job.tag for job in jobs), default=-math.inf), person)
        return await self._views(jobs)

    async def view(self, person: str, job_id: str) -> View:
        """Raises `NotFound`."""
        return await self._seen(self._store.job, person, job_id)

    async def page(self, person: str, limit: int, cursor: str | None = None) -> Page:
        """The person's newest jobs, behind `cursor`. Raises `InvalidInput`."""
        if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
            message = "is not one that a list answered with; leave it out to begin with the newest"
            raise InvalidInput(FieldError("cursor", message, cursor))
        before = sys.maxsize if cursor is None else int(cursor)
        jobs = await run_sync(self._store.page, person, limit + 1, before)
        more = len(jobs) > limit
        return Page(await self._views(jobs[:limit]), str(jobs[limit - 1].number) if more else None)

    async def wait(self, person: str, job_id: str, timeout_s: float | None) -> View:
        """The job when it is over, or as it is after `timeout_s` or when we stop. Raises `NotFound`."""
        with self._hub.listen(job_id) as channel, contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                view = await self.view(person, job_id)
                while not self._hub.closed and not view.job.status.over:
                    ended = next((event.payload for event in channel.latest(Ended)), None)
                    if isinstance(ended, Ended):
                        return ended.view
                    await channel.changed()
                return view
        return await self.view(person, job_id)

    async def follow(self, person: str, job_id: str, after: int | None = None) -> AsyncGenerator[Event]:
        """Events of a job until it is over: first a snapshot, or what came after event `after`.

        Raises `NotFound`.
        """
        with self._hub.listen(job_id) as channel:
            before = channel.last  # what comes while the record is read may not be in it
            view = await self.view(person, job_id)
            if after is None or not channel.began <= after <= channel.last:
                # What is newest on the pictures under way comes behind the snapshot, so that ids only rise.
                under_way = [event.id - 1 for event in channel.latest(Progress, Preview)]
                after = min([before, *under_way])
                yield Event(after, Snapshot(view))
                if view.job.status.over:
                    yield Event(self._hub.stamp(), Ended(view))
                    return
                if view.position is not None:
                    self._hub.announce(job_id, Queued(view.position, view.eta_s))
            while not self._hub.closed:
                for event in channel.after(after):
                    after = event.id
                    yield event
                    if isinstance(event.payload, Ended):
                        return
                if after == channel.last:
                    await channel.changed()

    async def cancel(self, person: str, job_id: str) -> View:
        """Call a job off; one that is over stays as it is. Raises `NotFound`."""
        before = await run_sync(self._store.job, person, job_id)
        job = await run_sync(self._store.cancel, person, job_id)
        if not before.status.over:
            await self._dispatcher.drop(job_id)
            self._hub.publish(job_id, Ended(View(job)))
        return View(job)

    async def delete(self, person: str, job_id: str) -> None:
        """Remove a job and its pictures; one that runs is called off. Raises `NotFound`."""
        job = await run_sync(self._store.delete, person, job_id)
        if not job.status.over:
            await self._dispatcher.drop(job_id)
            self._hub.publish(job_id, Ended(View(replace(job, status=Status.CANCELLED, images=()))))

    # For operators.

    async def measured(self) -> bytes:
        """The metrics as they stand now, in Prometheus' text format."""
        standing = await run_sync(self._store.standing)
        engine = self.engine
        return self.metrics.text(standing, engine.health(), engine.stats(), self.writer.health())

    # Inside.

    def _refuse_if_down(self) -> None:
        health = self.engine.health()
        if health.state in ("failed", "stopped"):
            raise NotReady(f"the engine is not running ({health.detail or health.state})", retry_after_s=10)

    async def _seen(self, find: Callable[P, Job], *args: P.args, **kwargs: P.kwargs) -> View:
        """The job that `find` finds, which may block, and where it stands."""

        def look() -> tuple[Job, Place | None]:
            job = find(*args, **kwargs)
            places = self._store.queue.places([job.id]) if job.status is Status.QUEUED else {}
            return job, places.get(job.id)

        return self._view(*await run_sync(look))

    async def _views(self, jobs: Sequence[Job]) -> list[View]:
        queued = [job.id for job in jobs if job.status is Status.QUEUED]
        places = await run_sync(self._store.queue.places, queued) if queued else {}
        return [self._view(job, places.get(job.id)) for job in jobs]

    def _view(self, job: Job, place: Place | None) -> View:
        if place is None:
            return View(job, None, self._dispatcher.eta_s(job))
        return View(job, place.position, self._dispatcher.eta_of_place_s(place))

    async def _announce_places(self) -> None:
        """Tell those who wait how the queue moves."""
        while True:
            await asyncio.sleep(_PLACES_PAUSE_S)
            waiting = self._hub.waiting()
            if not waiting:
                continue
            try:
                places = await run_sync(self._store.queue.places, waiting)
            except StorageUnavailable:
                continue
            for job_id, place in places.items():
                self._hub.announce(job_id, Queued(place.position, self._dispatcher.eta_of_place_s(place)))


def _fingerprint(*asked: BaseModel) -> str:
    return hashlib.sha256("\n".join(each.model_dump_json() for each in asked).encode()).hexdigest()


def _tickets(key: str | None, asked: Sequence[BaseModel]) -> list[Ticket | None]:
    """The first job of a list holds the key itself, so that it stands for nothing else."""
    if key is None:
        return [None] * len(asked)
    fingerprint, digest = _fingerprint(*asked), hashlib.sha256(key.encode()).hexdigest()
    return [Ticket(f"{digest}/{place}" if place else key, fingerprint) for place in range(len(asked))]
