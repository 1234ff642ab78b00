"""The engine: requests in, events out, one denoising step of a mixed batch at a time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping

from limner.engine.messages import (
    Cancelled,
    EngineEvent,
    Failed,
    Finished,
    ImageRequest,
    Preview,
    Progress,
    Timings,
)
from limner.engine.preview import MEDIA_TYPE, encode_preview
from limner.engine.request import Group, RunningRequest
from limner.engine.runner import OutOfMemory, Runner
from limner.engine.scheduler import Scheduler, Ticket
from limner.errors import EngineFailed
from limner.models.stable_diffusion import StableDiffusion

PREVIEW_EVERY_S = 0.25


class StepLoop:
    """Belongs to one thread: `add` and `cancel` between steps, `step` while `busy`."""

    def __init__(self, models: Mapping[str, StableDiffusion]) -> None:
        self.runner = Runner(models)
        self._models = models
        self._scheduler = Scheduler()
        self._running: dict[str, RunningRequest] = {}
        self._undecoded: deque[RunningRequest] = deque()
        self._events: list[EngineEvent] = []
        self.step_s = 0.0

    @property
    def busy(self) -> bool:
        return bool(self._running or self._events)

    def add(self, request: ImageRequest) -> None:
        """Take a request in; it joins at the next step. One that cannot be made fails with the reason."""
        try:
            running = RunningRequest.begin(request, self._models[request.params.model], time.monotonic())
        except ValueError as error:
            self._events.append(Failed(request.id, str(error)))
            return
        self._running[request.id] = running
        self._scheduler.add(running.ticket)

    def cancel(self, request_id: str) -> None:
        """Unknown ids are ignored: the request may just have ended."""
        if request_id in self._running:
            self._end(Cancelled(request_id))

    def step(self) -> list[EngineEvent]:
        """Move the chosen requests one denoising step and finish what is done. Returns what happened."""
        chosen = self._schedule()
        if chosen:
            self._run(chosen)
        self._retire()
        events, self._events = self._events, []
        return events

    def _schedule(self) -> list[Ticket]:
        group = self._scheduler.next_group()
        if not isinstance(group, Group):
            return []
        return self._scheduler.schedule(group, self.runner.max_rows(group))

    def _run(self, chosen: list[Ticket]) -> None:
        requests = [self._running[ticket.id] for ticket in chosen]
        for running in requests:
            if running.positive is None:
                self.runner.encode(running)
        began = time.monotonic()
        for running in requests:
            running.first_step_at = running.first_step_at or began
        try:
            self.runner.advance(requests)
        except OutOfMemory as error:
            self._make_room(requests, error)
            return
        now = time.monotonic()
        self.step_s = now - began
        self._scheduler.ran(chosen, now - began)
        for running in requests:
            self._tell(running, now)

    def _make_room(self, requests: list[RunningRequest], error: OutOfMemory) -> None:
        """Smaller batches from the next step on; what does not fit alone cannot be made."""
        if len(requests) > 1:
            self.runner.shrink(requests[0].group)
            return
        params = requests[0].request.params
        size = f"{params.width}×{params.height}"
        self._end(
            Failed(
                requests[0].request.id, f"not enough memory for {size} pixels; try a smaller size ({error})"
            )
        )

    def _tell(self, running: RunningRequest, now: float) -> None:
        assert running.first_step_at is not None
        running.last_step_at = now
        if running.done:
            self._scheduler.remove(running.request.id)
            self._undecoded.append(running)
        left = len(running.table) - running.step
        eta_s = left * (now - running.first_step_at) / running.step
        self._events.append(Progress(running.request.id, running.step, len(running.table), eta_s))
        wanted = running.request.previews and not running.done
        if wanted and now - running.previewed_at >= PREVIEW_EVERY_S:
            running.previewed_at = now
            image = encode_preview(self.runner.preview(running))
            self._events.append(Preview(running.request.id, running.step, image, MEDIA_TYPE))

    def _retire(self) -> None:
        """Decode finished pictures, but for no longer than a step takes, so that the others move on."""
        began = time.monotonic()
        while self._undecoded:
            self._decode(self._undecoded[0])
            if time.monotonic() - began >= self.step_s:
                break

    def _decode(self, running: RunningRequest) -> None:
        began = time.monotonic()
        try:
            pixels = self.runner.decode(running).numpy()
        except (EngineFailed, OutOfMemory) as error:
            self._end(Failed(running.request.id, str(error)))
            return
        assert running.first_step_at is not None
        timings = Timings(
            queue_s=running.first_step_at - running.encode_s - running.arrived_at,
            encode_s=running.encode_s,
            steps_s=running.last_step_at - running.first_step_at,
            decode_s=time.monotonic() - began,
        )
        self._end(Finished(running.request.id, pixels, timings))

    def _end(self, event: Finished | Failed | Cancelled) -> None:
        running = self._running.pop(event.request_id)
        self._scheduler.remove(event.request_id)
        if running in self._undecoded:
            self._undecoded.remove(running)
        self._events.append(event)
