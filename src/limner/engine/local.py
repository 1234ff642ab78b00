"""The engine on this machine: one supervised process, and the streams of those who wait for it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from platformdirs import user_cache_path

from limner.engine.messages import (
    Cancelled,
    EngineEvent,
    Failed,
    Finished,
    Health,
    ImageRequest,
    Preview,
    Progress,
    Stats,
)
from limner.engine.patience import STUCK_STEPS
from limner.engine.wire import CancelRequest, EngineStart, Ready, Report, Working
from limner.models.catalog import LocalModel
from limner.models.network import Backend, Dtype
from limner.models.safety_folder import SafetyFolder
from limner.params import ModelInfo, beyond_limits
from limner.process.supervised import SupervisedProcess

log = logging.getLogger(__name__)

# An engine with work that says nothing for so long is stuck, unless it said that this may take longer.
LEAST_STUCK_S = 30.0
# One that worked is awaited for so many starts; until then its requests wait, too.
RESTARTS = 3
# So often in a row may native code end it, without a picture between, before PyTorch takes over.
NATIVE_CRASHES = 2
NATIVE_SIGNALS = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT})
# So often may an engine crash that has one request alone before that request is given up.
MOST_CRASHES = 2


@dataclass(slots=True)
class _Stream:
    """One request's way out: the newest progress and preview wait for the reader, and nothing older.

    `suspect`: an engine crashed while it worked on it. `crashes`: of engines that had it alone.
    """

    request: ImageRequest
    sent: bool = False
    cancelled: bool = False
    suspect: bool = False
    crashes: int = 0
    progress: Progress | None = None
    preview: Preview | None = None
    end: Finished | Failed | Cancelled | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, event: EngineEvent) -> None:
        if isinstance(event, Progress):
            self.progress = event
        elif isinstance(event, Preview):
            self.preview = event
        elif self.end is None:
            self.end = event
        self.news.set()

    async def events(self) -> AsyncGenerator[EngineEvent]:
        while True:
            await self.news.wait()
            self.news.clear()
            progress, preview, self.progress, self.preview = self.progress, self.preview, None, None
            if progress is not None:
                yield progress
            if preview is not None:
                yield preview
            if self.end is not None:
                yield self.end
                return


class LocalEngine:
    """The `Engine` that runs its models in a child process of this one; the first model is the default.

    When that process crashes or is replaced, all that it had is made again. Those whose pictures it was at
    come after the others who were there and before newcomers, one by one, so that one that crashes it every
    time fails alone. `backend` "auto" becomes "torch" when native code crashes again and again. `cache_dir`
    None: the user's own.
    """

    ENTRY = "limner.engine.child:main"

    def __init__(
        self,
        models: Sequence[LocalModel],
        *,
        device: str = "auto",
        threads: int = 0,
        exact: bool = False,
        cache_dir: Path | None = None,
        backend: Backend = "auto",
        dtype: Dtype = "auto",
        compiled: bool = False,
        memory_gb: float | None = None,
        safety: SafetyFolder | None = None,
        log_level: str = "info",
    ) -> None:
        cache_dir = cache_dir or user_cache_path("limner", appauthor=False)
        self._models = tuple(model.info for model in models)
        self._streams: dict[str, _Stream] = {}
        # Ends still to come for streams that nobody reads any more; an id may be used again before that.
        self._left: Counter[str] = Counter()
        self._health = Health("stopped")
        self._stats = Stats()
        self._step_s = 0.0
        self._working = Working(frozenset(), 0.0)
        self._heard_at = 0.0
        self._starts_left = 0
        self._native_crashes = 0
        self._start = EngineStart(
            tuple(models), device, threads, exact, cache_dir, backend, dtype, compiled, memory_gb, safety
        )
        self._watch: asyncio.Task[None] | None = None
        self._process = SupervisedProcess(
            self.ENTRY,
            self._start,
            on_message=self._on_message,
            on_exit=self._on_exit,
            log_level=log_level,
        )

    @property
    def pid(self) -> int | None:
        """The engine process's id; None while there is none."""
        return self._process.pid

    async def start(self) -> None:
        self._health = Health("loading", f"loading {', '.join(model.name for model in self._models)}")
        await self._process.start()
        self._watch = asyncio.create_task(self._watch_steps(), name="watch engine steps")

    async def stop(self) -> None:
        self._health = Health("stopped")
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None
        await self._process.stop()
        self._fail_all("the engine was stopped")

    def models(self) -> tuple[ModelInfo, ...]:
        return self._models

    def health(self) -> Health:
        return self._health

    def stats(self) -> Stats:
        return self._stats

    async def generate(self, request: ImageRequest) -> AsyncGenerator[EngineEvent]:
        """While the engine loads or comes back, the request waits; leaving the stream early cancels it."""
        refusal = self._refusal(request)
        if refusal is not None:
            yield refusal
            return
        assert request.id not in self._streams, f"request {request.id} is already running"
        stream = self._streams[request.id] = _Stream(request)
        self._send_waiting()
        try:
            async for event in stream.events():
                yield event
        finally:
            del self._streams[request.id]
            if stream.end is None and stream.sent:
                self._left[request.id] += 1
                self._process.send(CancelRequest(request.id))
            self._send_waiting()

    async def cancel(self, request_id: str) -> None:
        stream = self._streams.get(request_id)
        if stream is None or stream.cancelled:
            return
        stream.cancelled = True
        if stream.sent:
            self._process.send(CancelRequest(request_id))
        else:
            stream.put(Cancelled(request_id))

    def _refusal(self, request: ImageRequest) -> Failed | None:
        if self._health.state in ("failed", "stopped"):
            reason = self._health.detail or "the engine is not running"
            return Failed(request.id, reason, retry=True)
        model = next((m for m in self._models if m.name == request.params.model), None)
        if model is None:
            names = ", ".join(m.name for m in self._models)
            return Failed(request.id, f"no model {request.params.model!r} is loaded; use one of: {names}")
        problems = beyond_limits(request.params, model)
        return Failed(request.id, "; ".join(p.message for p in problems)) if problems else None

    def _send_waiting(self) -> None:
        """All who wait, in their order; but a suspect when nobody else is there, and then nobody else."""
        if self._health.state != "ready":
            return
        unfinished = [stream for stream in self._streams.values() if stream.end is None]
        at_once = sum(stream.sent for stream in unfinished)
        if not at_once:
            self._heard_at = asyncio.get_running_loop().time()
        for stream in unfinished:
            if stream.suspect and at_once > stream.sent:
                return
            if not stream.sent:
                stream.sent = True
                at_once += 1
                self._process.send(stream.request)
            if stream.suspect:
                return

    def _on_message(self, message: object) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        if isinstance(message, Ready):
            self._step_s = message.step_s
            self._working = Working(frozenset(), 0.0)
            self._health = Health("ready", "", message.slots)
            self._stats = Stats(restarts=self._stats.restarts, curves=message.curves)
            self._send_waiting()
        elif isinstance(message, Working):
            self._working = message
        elif isinstance(message, Report):
            self._step_s = max(message.step_s, 0.99 * self._step_s)
            before = self._stats
            self._stats = replace(message.stats, restarts=before.restarts, curves=before.curves)
            for event in message.events:
                self._deliver(event)

    def _deliver(self, event: EngineEvent) -> None:
        if self._left[event.request_id] > 0:
            self._left[event.request_id] -= isinstance(event, Finished | Failed | Cancelled)
            self._left = +self._left  # forget those that reached zero
        elif event.request_id in self._streams:
            self._streams[event.request_id].put(event)
            if isinstance(event, Finished):
                self._native_crashes = 0
            if isinstance(event, Finished | Failed | Cancelled):
                self._send_waiting()

    def _on_exit(self, reason: str) -> None:
        self._left.clear()
        if self._health.state == "stopped":
            return
        self._stats = replace(self._stats, restarts=self._stats.restarts + 1)
        self._fall_back(reason)
        if self._health.state == "ready":
            self._starts_left = RESTARTS
            self._suspect(reason)
        if self._starts_left:
            self._starts_left -= 1
            self._health = Health("restarting", reason)
        else:
            # One that was never ready will hardly be so next time; it is tried again, more and more rarely.
            self._health = Health("failed", reason)
            self._fail_all(f"the engine went away: {reason}")

    def _fall_back(self, reason: str) -> None:
        """A converted network may crash on a processor where PyTorch's own does not. `--exact` keeps what it
        has: other kernels would paint other pixels."""
        self._native_crashes += -(self._process.exit_code or 0) in NATIVE_SIGNALS
        if self._native_crashes < NATIVE_CRASHES or self._start.backend != "auto" or self._start.exact:
            return
        log.error("%s, %d times: on a processor the engine goes on with --backend torch, which is slower",
                  reason, self._native_crashes)  # fmt: skip
        self._start = replace(self._start, backend="torch")
        self._process.start_next_with(self._start)

    def _suspect(self, reason: str) -> None:
        """Those whose pictures it was at may have crashed it; one that was alone in it twice did.

        When it did not come to say whom it was at, it may have been any.
        """
        inside = [stream for stream in self._streams.values() if stream.sent and stream.end is None]
        at_work = [stream for stream in inside if stream.request.id in self._working.request_ids]
        for stream in inside:
            stream.sent = False
            if stream.cancelled:
                stream.put(Cancelled(stream.request.id))
        for stream in at_work or inside:
            request_id = stream.request.id
            stream.crashes += stream.suspect
            if stream.crashes == MOST_CRASHES:
                stream.put(Failed(request_id, f"the engine crashes at this picture ({reason})"))
            stream.suspect = True
            self._streams[request_id] = self._streams.pop(request_id)  # behind all who are there

    def _fail_all(self, reason: str) -> None:
        for stream in self._streams.values():
            gone = Failed(stream.request.id, reason, retry=True)
            stream.put(Cancelled(stream.request.id) if stream.cancelled else gone)

    async def _watch_steps(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(1.0)
            patience_s = max(LEAST_STUCK_S, STUCK_STEPS * self._step_s, self._working.patience_s)
            working = any(stream.sent and stream.end is None for stream in self._streams.values())
            if working and self._health.state == "ready" and loop.time() - self._heard_at > patience_s:
                log.error("the engine has said nothing for %.0f s; replacing it", patience_s)
                self._process.kill()
