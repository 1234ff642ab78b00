"""Feeds the engine from the record, and the record from the engine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass, field
from typing import Any

from anyio.to_thread import run_sync

from limner.engine.messages import Cancelled, Engine, Failed, Finished, ImageRequest
from limner.engine.messages import Preview as EnginePreview
from limner.engine.messages import Progress as EngineProgress
from limner.errors import StorageUnavailable
from limner.service import events
from limner.service.develop import develop
from limner.service.hub import Hub
from limner.service.moderation import Moderation
from limner.service.pace import Pace
from limner.service.provenance import Provenance
from limner.store.job import Failure, Job, NewImage, Place
from limner.store.queue import Queue

log = logging.getLogger(__name__)

MAX_TRIES = 3
# Pictures under way at most, in slots, when each beyond the first full house is somebody's only one.
NEWCOMERS = 4
PREVIEW_PAUSE_S = 0.25
MAX_PREVIEW_BYTES = 6_000  # 8 kB as a data URL
_POLL_S = 0.25
_STORAGE_PAUSE_S = 1.0
# What went wrong inside may name files and the like, which are not for those who paint here.
_SEE_LOG = "; the log of the server says why"


@dataclass
class Work:
    """A job that is held: which of its pictures wait, and which are being painted."""

    job: Job
    waiting: list[int]
    begun: int = 0
    over: bool = False
    tries: dict[int, int] = field(default_factory=dict)
    requests: dict[int, str] = field(default_factory=dict)
    etas: dict[int, float] = field(default_factory=dict)

    @property
    def tag(self) -> float:
        """Its next picture's place in fair order, comparable with the tags of queued jobs."""
        return self.job.tag + self.begun * self.job.params.cost


class Dispatcher:
    """Keeps the engine's slots filled in fair order. Belongs to the event loop."""

    def __init__(
        self, queue: Queue, engine: Engine, hub: Hub, provenance: Provenance, moderation: Moderation
    ) -> None:
        self._queue = queue
        self._provenance = provenance
        self._moderation = moderation
        self._engine = engine
        self._hub = hub
        self.pace = Pace()
        self._works: dict[str, Work] = {}
        self._wake = asyncio.Event()
        self._queued_from = -math.inf  # no queued job has a lower tag than this
        self._newcomers = True  # somebody with nothing in the engine may wait
        self._claiming = False
        self._dropped: set[str] = set()
        self._painting: set[asyncio.Task[None]] = set()
        self._saving: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._loop = asyncio.create_task(self._run(), name="dispatcher")

    async def stop(self) -> None:
        """Let go of what is being painted, which is made again after the next start; finish saving."""
        for task in filter(None, (self._loop, *self._painting)):
            task.cancel()
        for task in filter(None, (self._loop, *self._painting)):
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._saving:
            _, late = await asyncio.wait(self._saving, timeout=5)
            for task in late:
                task.cancel()

    def submitted(self, tag: float, person: str) -> None:
        """A job was queued."""
        self._queued_from = min(self._queued_from, tag)
        self._newcomers |= person not in self._painted_people()
        self._wake.set()

    async def drop(self, job_id: str) -> None:
        """Stop working on a job that was cancelled or deleted."""
        work = self._works.pop(job_id, None)
        if work is not None:
            await self._let_go(work)
        elif self._claiming:
            self._dropped.add(job_id)

    def eta_s(self, job: Job) -> float | None:
        """Until a held job's last picture is done; None when it is not held or the pace is not known."""
        work = self._works.get(job.id)
        if work is None:
            return None
        rest = self.pace.seconds(len(work.waiting) * job.params.cost, self._engine.health().slots)
        if rest is None and not work.etas:
            return None
        return max(work.etas.values(), default=0.0) + (rest or 0.0)

    def eta_of_place_s(self, place: Place) -> float | None:
        """Until a queued job is done: all before it, and what is held and not painted yet."""
        works = self._works.values()
        held = sum((len(w.waiting) + 0.5 * len(w.requests)) * w.job.params.cost for w in works)
        return self.pace.seconds(held + place.cost, self._engine.health().slots)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._fill()
            except StorageUnavailable as error:
                log.error("%s", error)
                await asyncio.sleep(_STORAGE_PAUSE_S)
            except Exception:  # whatever it is, the next job must not wait for a restart
                log.exception("the dispatcher stumbled")
                await asyncio.sleep(_STORAGE_PAUSE_S)
            # The engine does not say when it becomes ready, so look.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_S):
                    await self._wake.wait()

    async def _fill(self) -> None:
        while (room := self._room()) > 0:
            await self._claim(room)
            work = min((w for w in self._works.values() if w.waiting), key=lambda w: w.tag, default=None)
            if work is None:
                return
            self._begin(work)
        await self._welcome()

    async def _welcome(self) -> None:
        """The engine shares its time between people: one who has nothing in it need not wait for a slot."""
        while self._newcomers and self._has_space():
            self._newcomers = False  # before looking: who comes meanwhile must be seen
            held = self._of_newcomers()
            if not held:
                await self._take(1, math.inf, self._painted_people())
                held = self._of_newcomers()
            if held:
                self._newcomers = True
                self._begin(min(held, key=lambda work: work.tag))

    def _has_space(self) -> bool:
        health = self._engine.health()
        return health.state == "ready" and len(self._painting) + len(self._saving) < NEWCOMERS * health.slots

    def _of_newcomers(self) -> list[Work]:
        people = self._painted_people()
        return [work for work in self._works.values() if work.waiting and work.job.person not in people]

    def _painted_people(self) -> set[str]:
        return {work.job.person for work in self._works.values() if work.requests}

    def _room(self) -> int:
        health = self._engine.health()
        if health.state != "ready":
            return 0
        painting, saving = len(self._painting), len(self._saving)
        # Pixels wait in memory until they are saved: when saving falls behind, painting waits.
        return min(health.slots - painting, 2 * health.slots - painting - saving)

    async def _claim(self, room: int) -> None:
        """Take jobs whose turn is before that of any picture held already."""
        below = min((w.tag for w in self._works.values() if w.waiting), default=math.inf)
        known = self._queued_from
        if known >= below:
            return
        self._queued_from = math.inf  # before looking: what is submitted meanwhile must be seen
        try:
            claimed = await self._take(room, below)
            # They come in order: behind a full room waits what comes later than all of them.
            full = sum(job.params.num_images for job in claimed) >= room
            known = claimed[-1].tag if full else below
        finally:
            self._queued_from = min(self._queued_from, known)

    async def _take(self, room: int, below: float, but: Collection[str] = ()) -> list[Job]:
        self._claiming = True
        try:
            claimed = await run_sync(self._queue.claim, room, below, but)
            for job in claimed:
                if job.id not in self._dropped:
                    self._works[job.id] = Work(job, job.missing())
            return claimed
        finally:
            self._claiming = False
            self._dropped.clear()

    def _begin(self, work: Work) -> None:
        if not work.begun:
            self._hub.publish(work.job.id, events.Started())
        work.begun += 1
        index = work.waiting.pop(0)
        work.tries[index] = work.tries.get(index, 0) + 1
        work.requests[index] = f"{work.job.id}-{work.job.attempt}-{index}-{work.tries[index]}"
        self._spawn(self._painting, self._paint(work, index))

    def _spawn(self, group: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        group.add(task)

        def done(task: asyncio.Task[None]) -> None:
            group.discard(task)
            self._newcomers |= self._room() <= 0
            self._wake.set()
            if not task.cancelled() and task.exception() is not None:
                log.error("a picture was lost", exc_info=task.exception())

        task.add_done_callback(done)

    async def _paint(self, work: Work, index: int) -> None:
        params = work.job.params
        began = time.monotonic()
        previews = not self._moderation.hides_previews
        request = ImageRequest(work.requests[index], work.job.person, params, params.seed_of(index), previews)
        try:
            outcome = await self._watch(work, index, request)
        except Exception:
            log.exception("the engine broke its word on %s", request.id)
            outcome = Failed(request.id, f"the engine failed{_SEE_LOG}")
        finally:
            work.requests.pop(index, None)
            work.etas.pop(index, None)
        if work.over:
            return
        match outcome:
            case Finished():
                self.pace.measured(params.cost, time.monotonic() - began)
                self._spawn(self._saving, self._save(work, index, outcome))
            case Failed(retry=False, reason=reason):
                await self._fail(work, Failure("engine_failed", reason))
            case _ if work.tries[index] < MAX_TRIES:
                log.warning("picture %s is painted again: %s", request.id, outcome)
                work.waiting.insert(0, index)
            case _:
                reason = outcome.reason if isinstance(outcome, Failed) else "the engine gave no answer"
                await self._fail(work, Failure("engine_failed", f"{reason} ({MAX_TRIES} attempts)"))

    async def _watch(
        self, work: Work, index: int, request: ImageRequest
    ) -> Finished | Failed | Cancelled | None:
        """Tell what happens to one picture, and return how it ended."""
        previewed = 0.0
        outcome: Finished | Failed | Cancelled | None = None
        async for event in self._engine.generate(request):
            match event:
                case Finished() | Failed() | Cancelled():
                    outcome = event
                case _ if work.over:
                    continue
                case EngineProgress(step=step, steps=steps, eta_s=eta_s):
                    work.etas[index] = eta_s
                    self._hub.publish(work.job.id, events.Progress(index, step, steps, eta_s))
                case EnginePreview(step=step, image=image, media_type=media_type):
                    now = time.monotonic()
                    if now - previewed >= PREVIEW_PAUSE_S and len(image) <= MAX_PREVIEW_BYTES:
                        previewed = now
                        self._hub.publish(work.job.id, events.Preview(index, step, image, media_type))
        return outcome

    async def _save(self, work: Work, index: int, finished: Finished) -> None:
        new: NewImage | None = None

        def save() -> Job | None:
            nonlocal new
            new = new or develop(work.job.params, index, finished, self._provenance)
            return self._queue.add_image(work.job, new, self._moderation.painted(work.job, new))

        try:
            if self._moderation.sees_pictures or finished.flagged:
                new = await run_sync(develop, work.job.params, index, finished, self._provenance)
                failure = await self._moderation.judge(work.job, new, flagged=finished.flagged)
                if failure is not None:
                    if not work.over:
                        await self._fail(work, failure)
                    return
            job = await self._stored(work, save)
        except Exception:
            log.exception("picture %d of %s cannot be saved", index, work.job.id)
            await self._fail(work, Failure("internal", f"the picture cannot be saved{_SEE_LOG}"))
            return
        if job is None or work.over:
            self._works.pop(work.job.id, None)
            return
        # Answers may overtake each other; the newest tells of all pictures so far.
        told = {image.id for image in work.job.images}
        work.job = max(work.job, job, key=lambda job: len(job.images))
        for image in job.images:
            if image.id not in told:
                self._hub.publish(job.id, events.ImageStored(image))
        if job.status.over:
            self._end(work, job)

    async def _stored(self, work: Work, save: Callable[[], Job | None]) -> Job | None:
        """Wait out a full disk: the picture is painted, so it is kept until there is room for it."""
        while not work.over:
            try:
                return await run_sync(save)
            except StorageUnavailable as error:
                log.error("%s", error)
                await asyncio.sleep(_STORAGE_PAUSE_S)
        return None

    async def _fail(self, work: Work, failure: Failure) -> None:
        self._works.pop(work.job.id, None)
        await self._let_go(work)
        while True:
            try:
                job = await run_sync(self._queue.fail, work.job, failure)
            except StorageUnavailable as error:
                log.error("%s", error)
                await asyncio.sleep(_STORAGE_PAUSE_S)
                continue
            if job is not None:
                self._hub.publish(job.id, events.Ended(events.View(job)))
            return

    def _end(self, work: Work, job: Job) -> None:
        work.over = True
        self._works.pop(job.id, None)
        self._hub.publish(job.id, events.Ended(events.View(job)))

    async def _let_go(self, work: Work) -> None:
        work.over = True
        work.waiting.clear()
        for request_id in list(work.requests.values()):
            await self._engine.cancel(request_id)
