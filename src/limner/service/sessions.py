"""What each person of a protocol without ids has under way and has chosen."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel

from limner.errors import NotFound, NotReady
from limner.params import ModelInfo
from limner.service.blocking import succeeded
from limner.service.events import (
    Ended,
    ImageStored,
    Payload,
    Preview,
    Progress,
    Queued,
    Snapshot,
    Started,
    View,
)
from limner.store.job import Status

if TYPE_CHECKING:
    from limner.service.service import Service

MAX_PEOPLE = 10_000
# A client that interrupts because its own user went away hangs up in the same moment, before or after.
_MOMENT_S = 0.5
# By then a job that nobody waits for has been called off.
_FORGOTTEN_S = 60.0


@dataclass(eq=False)
class Call:
    """A caller who waits for pictures, and how far these have come."""

    task_id: str
    job_id: str
    pictures: int
    steps: int
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    position: int | None = None
    preview: Preview | None = None
    interrupted: bool = False
    skipped: bool = False
    gone_at: float | None = None
    _step: dict[int, int] = field(default_factory=dict)
    _eta_s: dict[int, float] = field(default_factory=dict)
    _queued_eta_s: float | None = None

    def heard(self, payload: Payload) -> None:
        match payload:
            case Snapshot(view):
                self.position, self._queued_eta_s = view.position, view.eta_s
                for image in view.job.images:
                    self._finished(image.index)
            case Queued(position, eta_s):
                self.position, self._queued_eta_s = position, eta_s
            case Started():
                self.position = None
            case Progress(index, step, _, eta_s):
                self.position = None
                self._step[index], self._eta_s[index] = step, eta_s
            case Preview():
                self.preview = payload
            case ImageStored(image):
                self._finished(image.index)

    @property
    def finished(self) -> int:
        """Pictures that are stored."""
        return sum(1 for index in self._step if index not in self._eta_s)

    @property
    def step(self) -> int:
        """Of the picture that has come furthest among those under way."""
        return max((self._step[index] for index in self._eta_s), default=0)

    @property
    def share(self) -> float:
        """Of all steps, 0 to 1."""
        return sum(self._step.values()) / (self.pictures * self.steps)

    @property
    def eta_s(self) -> float | None:
        return max(self._eta_s.values(), default=self._queued_eta_s)

    def _finished(self, index: int) -> None:
        self._step[index] = self.steps
        self._eta_s.pop(index, None)


@dataclass
class _Session:
    model: str | None = None
    calls: list[Call] = field(default_factory=list)


class Sessions:
    """Whose calls these are, by person. Belongs to the event loop; nothing of it outlives the server."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._sessions: OrderedDict[str, _Session] = OrderedDict()

    def model(self, person: str) -> ModelInfo:
        """The model the person chose last, or the default. Raises `NotReady` when there is none."""
        models = self._service.models()
        chosen = self._sessions.get(person, _Session()).model
        found = next((m for m in models if m.name == chosen), None) or next(
            (m for m in models if m.default), None
        )
        if found is None:
            raise NotReady("no model is loaded yet; try again in a moment")
        return found

    def choose(self, person: str, model: str) -> None:
        """Remember a model for the person's coming calls; a name that is not loaded changes nothing."""
        if any(m.name == model for m in self._service.models()):
            self._of(person).model = model

    async def paint(self, person: str, asked: BaseModel, task_id: str | None = None) -> View:
        """The job once it has succeeded or was stopped. When this is cancelled, the caller has gone.

        Raises what `Service.submit` raises, `EngineFailed`, and `NotReady` when the server stops before.
        """
        async with self._service.blocking.held(person, asked) as view:
            params = view.job.params
            call = Call(task_id or view.job.id, view.job.id, params.num_images, params.num_inference_steps)
            calls = self._of(person).calls
            # Who asks again for what they left is handed that job: it is nobody's any more but this call's.
            calls[:] = [*(c for c in calls if c.gone_at is None or c.job_id != call.job_id), call]
            try:
                ended = await self._followed(person, call)
                calls.remove(call)
            except asyncio.CancelledError:
                call.gone_at = time.monotonic()
                raise
            except BaseException:
                calls.remove(call)
                raise
        # Who interrupts their call wants what there is; the rest is for them to see.
        return ended if ended.job.status is Status.CANCELLED else succeeded(ended)

    def current(self, person: str, task_id: str | None = None) -> Call | None:
        """The oldest of the person's calls, or that one."""
        return next((call for call in self._calls(person, task_id) if call.gone_at is None), None)

    def waiting(self, person: str) -> int:
        """How many calls the person waits for."""
        return sum(1 for call in self._calls(person) if call.gone_at is None)

    async def interrupt(self, person: str, task_id: str | None = None) -> None:
        """Stop the person's calls: those named, else those that hung up in this moment, else all."""
        calls = self._calls(person, task_id)
        if task_id is None and len(calls) > 1:
            calls = await self._hung_up(person) or self._calls(person)
        for call in calls:
            call.interrupted = True
        await self._stop(person, calls)

    async def skip(self, person: str, task_id: str | None = None) -> None:
        """Stop the oldest of the person's calls, or the one that is named."""
        call = self.current(person, task_id)
        if call is not None:
            call.skipped = True
            await self._stop(person, [call])

    async def _followed(self, person: str, call: Call) -> View:
        async with contextlib.aclosing(self._service.follow(person, call.job_id)) as events:
            async for event in events:
                call.heard(event.payload)
                if isinstance(event.payload, Ended):
                    return event.payload.view
        raise NotReady("the server is stopping; ask again in a moment", retry_after_s=5)

    async def _hung_up(self, person: str) -> list[Call]:
        """Waits a moment for a caller to hang up, unless one just has."""
        asked_at = time.monotonic()
        while not (found := self._gone_since(person, asked_at - _MOMENT_S)):
            await asyncio.sleep(_MOMENT_S / 10)
            if time.monotonic() > asked_at + _MOMENT_S:
                break
        return found

    def _gone_since(self, person: str, moment: float) -> list[Call]:
        return [c for c in self._calls(person) if c.gone_at is not None and c.gone_at >= moment]

    async def _stop(self, person: str, calls: list[Call]) -> None:
        for call in calls:
            with contextlib.suppress(NotFound):
                await self._service.cancel(person, call.job_id)
        self._forget(person, lambda call: call in calls and call.gone_at is not None)

    def _calls(self, person: str, task_id: str | None = None) -> list[Call]:
        horizon = time.monotonic() - _FORGOTTEN_S
        self._forget(person, lambda call: call.gone_at is not None and call.gone_at < horizon)
        calls = self._sessions.get(person, _Session()).calls
        return [call for call in calls if task_id is None or call.task_id == task_id]

    def _forget(self, person: str, what: Callable[[Call], bool]) -> None:
        if person in self._sessions:
            calls = self._sessions[person].calls
            calls[:] = [call for call in calls if not what(call)]

    def _of(self, person: str) -> _Session:
        session = self._sessions.setdefault(person, _Session())
        self._sessions.move_to_end(person)
        if len(self._sessions) > MAX_PEOPLE:
            # Whoever still waits keeps the calls in hand; only what they chose is forgotten.
            self._sessions.popitem(last=False)
        return session
