"""Callers that wait on the line for their pictures, and what becomes of those when the caller hangs up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel

from limner.errors import Cancelled, EngineFailed, LimnerError, NotFound, NotReady, Refused
from limner.service.events import View
from limner.service.moderation import MODERATED, UNCHECKED
from limner.store.job import Status

if TYPE_CHECKING:
    from limner.service.service import Service

log = logging.getLogger(__name__)

# A client that lost patience, or its connection, asks again within this time if it ever does.
GRACE_S = 30.0

_Wish = tuple[str, str]


@dataclass(eq=False)
class _Errand:
    """One submission and the job that it became."""

    person: str
    submission: asyncio.Task[View]
    ending: asyncio.Task[None] | None = None


class Blocking:
    """Jobs that belong to the caller who waits for them. Belongs to the event loop.

    When the caller goes away, its job is called off `grace_s` later. Until then the same person asking
    for the same gets that job instead of another: clients that lose patience ask again by themselves,
    and nothing in what they send says that they do.
    """

    def __init__(self, service: Service, grace_s: float = GRACE_S) -> None:
        self.grace_s = grace_s
        self._service = service
        self._deserted: dict[_Wish, list[_Errand]] = {}

    async def paint(self, person: str, asked: BaseModel) -> View:
        """The job once it has succeeded. When this is cancelled, the caller has gone.

        Raises what `Service.submit` and `succeeded` raise, and `NotReady` when the server stops before.
        """
        async with self.held(person, asked) as view:
            view = over(await self._service.wait(person, view.job.id, None))
        return succeeded(view)

    @contextlib.asynccontextmanager
    async def held(self, person: str, asked: BaseModel) -> AsyncGenerator[View]:
        """The job as it was accepted; a caller who leaves the context by an exception has gone.

        Whoever has been told how it ended leaves without one, even if it was no success.
        Raises what `Service.submit` raises.
        """
        wish = (person, asked.model_dump_json())
        errand = await self._found(wish) or self._begun(person, asked)
        try:
            yield await asyncio.shield(errand.submission)
        except BaseException:
            if not _refused(errand.submission):
                self._desert(wish, errand)
            raise

    async def stop(self) -> None:
        """Call off at once what nobody waits for any more."""
        errands = [errand for deserted in self._deserted.values() for errand in deserted]
        self._deserted.clear()
        for errand in errands:
            if errand.ending is not None:
                errand.ending.cancel()
        await asyncio.gather(*(self._call_off(errand) for errand in errands))

    def _begun(self, person: str, asked: BaseModel) -> _Errand:
        # A task of its own: half a submission cannot be called off, and a caller may leave at any moment.
        return _Errand(person, asyncio.create_task(self._service.submit(person, asked), name="submission"))

    async def _found(self, wish: _Wish) -> _Errand | None:
        """What the person asked for before and did not stay for, if there are or will be pictures of it."""
        while deserted := self._deserted.get(wish):
            errand = self._take(wish, deserted[0])
            try:
                view = await asyncio.shield(errand.submission)
                view = await self._service.view(errand.person, view.job.id)
            except asyncio.CancelledError:
                self._desert(wish, errand)
                raise
            except LimnerError:
                continue
            if view.job.status is not Status.CANCELLED:
                return errand
        return None

    def _take(self, wish: _Wish, errand: _Errand) -> _Errand:
        self._forget(wish, errand)
        if errand.ending is not None:
            errand.ending.cancel()
            errand.ending = None
        return errand

    def _forget(self, wish: _Wish, errand: _Errand) -> None:
        deserted = self._deserted.get(wish, [])
        if errand in deserted:
            deserted.remove(errand)
        if not deserted:
            self._deserted.pop(wish, None)

    def _desert(self, wish: _Wish, errand: _Errand) -> None:
        self._deserted.setdefault(wish, []).append(errand)
        errand.ending = asyncio.create_task(self._end(wish, errand), name="grace")

    async def _end(self, wish: _Wish, errand: _Errand) -> None:
        await asyncio.sleep(self.grace_s)
        self._forget(wish, errand)
        await self._call_off(errand)

    async def _call_off(self, errand: _Errand) -> None:
        """What is over stays as it is; what cannot be reached is painted, which costs only time."""
        try:
            view = await errand.submission
            await self._service.cancel(errand.person, view.job.id)
        except NotFound:
            pass
        except Exception as error:
            log.warning("a job that nobody waits for was not called off: %s", error)


def over(view: View) -> View:
    """`view`, if its job has ended one way or another. Raises `NotReady`."""
    if not view.job.status.over:
        raise NotReady("the server is stopping; ask again in a moment", retry_after_s=5)
    return view


def succeeded(view: View) -> View:
    """`view` of a job that is over, if its pictures are all there.

    Raises `EngineFailed`, `Cancelled`, `Refused` and `NotReady`: what moderation says after painting reaches
    who waits as what it says before.
    """
    job = view.job
    if job.status is Status.SUCCEEDED:
        return view
    if job.failure is None:
        raise Cancelled
    match job.failure.code:
        case MODERATED.code:
            raise Refused(MODERATED.message)
        case UNCHECKED.code:
            raise NotReady(UNCHECKED.message, retry_after_s=10)
    raise EngineFailed(f"the engine could not make this picture: {job.failure.message}")


def _refused(submission: asyncio.Task[View]) -> bool:
    return submission.done() and (submission.cancelled() or submission.exception() is not None)
