"""The engine: requests in, events out, one denoising step of a mixed batch at a time."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from limner.engine.decoder import Decoded, Decoder
from limner.engine.messages import (
    Cancelled,
    EngineEvent,
    Failed,
    Finished,
    ImageRequest,
    Preview,
    Progress,
    Stats,
    Timings,
)
from limner.engine.patience import PREPARING_S, TOLD_IN_S, decode_patience_s
from limner.engine.preview import MEDIA_TYPE, encode_preview
from limner.engine.request import Group, RunningRequest
from limner.engine.runner import Runner
from limner.engine.scheduler import Scheduler, Ticket
from limner.engine.wire import Working
from limner.errors import EngineFailed
from limner.models.memory import OutOfMemory

if TYPE_CHECKING:
    from limner.models.safety import SafetyChecker

log = logging.getLogger(__name__)

PREVIEW_EVERY_S = 0.25
# The time that previews may take beside the steps; in a crowd everybody's come more rarely.
PREVIEW_SHARE = 0.1
# While pictures are only being decoded, this often somebody who came meanwhile is looked for.
LOOK_EVERY_S = 0.01


class StepLoop:
    """Belongs to one thread: `add` and `cancel` between steps, `step` while `busy`,
    `prepare_next` before it waits for somebody.

    `say` is told what comes next, before it is done.
    """

    def __init__(
        self,
        runner: Runner,
        checker: SafetyChecker | None = None,
        say: Callable[[Working], object] = lambda _: None,
    ) -> None:
        self._runner = runner
        self._say, self._said = say, Working(frozenset(), 0.0)
        self._scheduler = Scheduler(runner.curve, runner.fit)
        self._decoder = Decoder(checker)
        self._running: dict[str, RunningRequest] = {}
        self._events: list[EngineEvent] = []
        self._preview_room_s = 0.0
        self._shrunk_at = -math.inf
        self.step_s = 0.0
        self.stats = Stats()

    @property
    def busy(self) -> bool:
        return bool(self._running or self._events)

    def add(self, request: ImageRequest) -> None:
        """Take a request in; it joins at the next step. One that cannot be made fails with the reason."""
        try:
            self._begin(request, time.monotonic())
        except (ValueError, OutOfMemory) as error:
            self._events.append(Failed(request.id, str(error)))

    def cancel(self, request_id: str) -> None:
        """Unknown ids are ignored: the request may just have ended."""
        if request_id in self._running:
            self._end(self._running[request_id], Cancelled(request_id))

    def prepare_decoding(self, name: str, width: int, height: int) -> None:
        """So that the first picture of that size waits for nothing more than others, where that is quick."""
        model = self._runner.model(name)
        if model.decodes_at_once:
            self._decoder.rehearse(model, model.latent_shape(width, height))

    def prepare_next(self) -> bool:
        """While there is nothing to do: what larger batches need; False when all is there."""
        if self._runner.unprepared:
            self._tell_working(Working(frozenset(), PREPARING_S))
        return self._runner.prepare_next()

    def step(self) -> list[EngineEvent]:
        """Move the chosen requests one denoising step and retire what is done. Returns what happened."""
        people = self._scheduler.people
        chosen = [] if self._decoder.urgent(people) else self._scheduler.schedule()
        # Those behind the first have more to do, and what they have finished can wait for the first's steps.
        self._decoder.hold(people - {chosen[0].person} if chosen else frozenset())
        self._run(chosen)
        self._retire(wait_s=0.0 if chosen or self._events else LOOK_EVERY_S)
        events, self._events = self._events, []
        return events

    def _begin(self, request: ImageRequest, arrived_at: float, *, precise: bool = False) -> None:
        # Any copy of the model knows what is asked here; that in float32 is loaded when its first step comes.
        model = self._runner.model(request.params.model)
        running = RunningRequest.begin(request, model, arrived_at, precise=precise)
        self._running[request.id] = running
        self._scheduler.add(running.ticket)

    def _run(self, chosen: Sequence[Ticket]) -> None:
        """Each error is told to whom it belongs; the others go on."""
        requests = [self._running[ticket.id] for ticket in chosen]
        self._announce(requests)
        requests = self._admitted(requests)
        if not requests:
            return
        began = time.monotonic()
        try:
            room = self._runner.advance(requests)
        except OutOfMemory as error:
            self._make_room(requests, error)
        except torch.AcceleratorError:
            raise  # the device is lost to this process
        except Exception as error:
            if len(requests) == 1:
                self._fail(requests[0], error)
                return
            log.exception("a step of %d failed; each makes it alone", len(requests))
            for running in requests:
                self._run([running.ticket])
        else:
            self._advanced(requests, began, room)

    def _announce(self, requests: Sequence[RunningRequest]) -> None:
        """Whom to ask when it comes to nothing, and after how long."""
        decoding = [running for running in self._running.values() if running.done]
        patience_s = [decode_patience_s(r.request.params.width, r.request.params.height) for r in decoding]
        if requests:
            patience_s.append(self._runner.patience_s(requests))
        told_s = TOLD_IN_S * math.ceil(max(patience_s, default=0.0) / TOLD_IN_S)
        ids = frozenset(running.request.id for running in (*requests, *decoding))
        self._tell_working(Working(ids, told_s))

    def _tell_working(self, working: Working) -> None:
        if working != self._said:
            self._said = working
            self._say(working)

    def _admitted(self, requests: Sequence[RunningRequest]) -> list[RunningRequest]:
        """Those that are in, now; none where one found no memory: the next step is of fewer, and what has
        been given back may be enough for all."""
        found = []
        for running in requests:
            try:
                if running.slot is None:
                    self._admit(running)
            except OutOfMemory as error:
                self._make_room([running], error)
                return []
            except torch.AcceleratorError:
                raise
            except Exception as error:
                self._fail(running, error)
            else:
                found.append(running)
        return found

    def _admit(self, running: RunningRequest) -> None:
        began = time.monotonic()
        self._runner.admit(running)
        running.encode_s = time.monotonic() - began
        self.stats = replace(self.stats, encode_s=self.stats.encode_s + running.encode_s)

    def _advanced(self, requests: Sequence[RunningRequest], began: float, room: int) -> None:
        """The step is made and counts, whatever comes now."""
        now = time.monotonic()
        self.step_s = now - began
        tickets = [running.ticket for running in requests]
        self._scheduler.ran(tickets, self.step_s)
        self.stats = replace(
            self.stats,
            steps=self.stats.steps + 1,
            rows=self.stats.rows + sum(ticket.rows for ticket in tickets),
            room=self.stats.room + room,
            steps_s=self.stats.steps_s + self.step_s,
        )
        for running in requests:
            running.first_step_at = running.first_step_at or began
            running.last_step_at = now
            self._tell(running)
            if running.done:
                self._hand_over(running)
        self._preview([running for running in requests if not running.done], now)

    def _hand_over(self, running: RunningRequest) -> None:
        """From the steps to the decoder; where memory is out, with what smaller batches leave to it."""
        self._scheduler.remove(running.request.id)
        room = True
        while True:
            try:
                self._decoder.put(self._runner.finished(running))
                return
            except OutOfMemory as error:
                if not room:
                    self._fail_for_memory(running, error)
                    return
                room = self._shrink(running.group)

    def _tell(self, running: RunningRequest) -> None:
        assert running.first_step_at is not None
        now, steps = running.last_step_at, len(running.table)
        eta_s = (steps - running.step) * (now - running.first_step_at) / running.step
        self._events.append(Progress(running.request.id, running.step, steps, eta_s))

    def _preview(self, requests: Sequence[RunningRequest], now: float) -> None:
        """Everybody has their first at once; for another, whoever has waited longest comes first."""
        self._preview_room_s = min(self._preview_room_s + PREVIEW_SHARE * self.step_s, PREVIEW_EVERY_S)
        wanted = [r for r in requests if r.request.previews and now - r.previewed_at >= PREVIEW_EVERY_S]
        for running in sorted(wanted, key=lambda r: r.previewed_at):
            if self._preview_room_s < 0 and running.previewed_at > 0:
                return
            began = time.monotonic()
            running.previewed_at = now
            try:
                image = encode_preview(self._runner.preview(running))
            except (RuntimeError, ValueError, OSError):
                log.exception("%s goes without a preview", running.request.id)
            else:
                self._events.append(Preview(running.request.id, running.step, image, MEDIA_TYPE))
            self._preview_room_s -= time.monotonic() - began

    def _make_room(self, requests: Sequence[RunningRequest], error: OutOfMemory) -> None:
        """Smaller batches from the next step on; what does not fit alone cannot be made."""
        if not self._shrink(requests[0].group) and len(requests) == 1:
            self._fail_for_memory(requests[0], error)

    def _shrink(self, group: Group) -> bool:
        smaller = self._runner.shrink(group)
        self._shrunk_at = time.monotonic()  # now memory has been given back
        return smaller

    def _retire(self, wait_s: float) -> None:
        for decoded in self._decoder.collect(wait_s):
            running = decoded.undecoded.running
            self.stats = replace(self.stats, decode_s=self.stats.decode_s + decoded.seconds)
            if self._running.get(running.request.id) is not running:
                continue  # cancelled meanwhile
            match decoded.pixels:
                case torch.Tensor() as pixels:
                    self._finish(running, pixels, decoded.flagged)
                case torch.AcceleratorError() as error:
                    raise error  # as at a step
                case OutOfMemory() as error:
                    self._decode_again(decoded, error)
                case EngineFailed() as error if not running.group.precise:
                    self._paint_again(running, error)
                case error:
                    self._fail(running, error)

    def _finish(self, running: RunningRequest, pixels: torch.Tensor, flagged: bool) -> None:
        assert running.first_step_at is not None
        timings = Timings(
            queue_s=running.first_step_at - running.encode_s - running.arrived_at,
            encode_s=running.encode_s,
            steps_s=running.last_step_at - running.first_step_at,
            decode_s=time.monotonic() - running.last_step_at,
        )
        self.stats = replace(self.stats, images=self.stats.images + 1)
        self._end(running, Finished(running.request.id, pixels.numpy(), timings, flagged))

    def _decode_again(self, decoded: Decoded, error: OutOfMemory) -> None:
        """With what smaller batches leave to it, or have left to it since it began."""
        if decoded.began < self._shrunk_at or self._shrink(decoded.undecoded.running.group):
            self._decoder.put(decoded.undecoded)
        else:
            self._fail_for_memory(decoded.undecoded.running, error)

    def _paint_again(self, running: RunningRequest, error: EngineFailed) -> None:
        """Once, in float32: fewer bits may have overflowed."""
        log.warning("%s: %s; once more in float32", running.request.id, error)
        try:
            self._begin(running.request, running.arrived_at, precise=True)
        except Exception as failure:
            self._fail(running, failure)

    def _fail_for_memory(self, running: RunningRequest, error: OutOfMemory) -> None:
        if running.group.precise:
            again = "there is not enough memory to try again in float32; another seed may work"
            reason = f"the network gave values that are not numbers, and {again}"
            self._end(running, Failed(running.request.id, reason))
            return
        size = f"{running.request.params.width}×{running.request.params.height}"
        rows = self._runner.exact
        kept, remedy = (f" in batches of {rows} rows", ", or start without --exact") if rows else ("", "")
        reason = f"not enough memory for {size} pixels{kept}; try a smaller size{remedy} ({error})"
        self._end(running, Failed(running.request.id, reason))

    def _fail(self, running: RunningRequest, error: BaseException) -> None:
        known = isinstance(error, EngineFailed)
        if not known:
            log.error("%s cannot be made", running.request.id, exc_info=error)
        said = str(error) if known else f"{type(error).__name__}: {error}"
        reason = said if known else f"the engine failed at this picture: {said}"
        self._end(running, Failed(running.request.id, reason))

    def _end(self, running: RunningRequest, event: Finished | Failed | Cancelled) -> None:
        del self._running[running.request.id]
        self._scheduler.remove(running.request.id)
        self._decoder.drop(running)
        self._runner.release(running)
        self._events.append(event)
