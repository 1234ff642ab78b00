"""The ways to serve that are compared. All take requests in the order of their coming."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from limner.bench.messages import FLOAT32, Done, Paint, PlainReady, PlainStart, Prepare
from limner.engine.messages import Cancelled, Engine, Failed, Finished, ImageRequest, Preview, Timings
from limner.errors import EngineFailed
from limner.params import GenerationParams
from limner.process.supervised import SupervisedProcess
from limner.store.job import Durations

Seen = Callable[[], None]


class Way(Protocol):
    async def ready(self) -> None:
        """Before pictures are timed: do what is not part of any."""

    async def paint(self, request: ImageRequest, previewed: Seen) -> None:
        """Returns when the picture is there; cancelling it calls the picture off. Raises `EngineFailed`."""

    async def settle(self) -> None:
        """Wait until nothing is left of what was called off."""


class StepBatching:
    """Limner as it is: every request goes to the engine at once. `spent`: on each picture so far."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.spent: list[Durations] = []

    async def ready(self) -> None: ...

    async def paint(self, request: ImageRequest, previewed: Seen) -> None:
        taken = await _paint(self._engine, request, previewed)
        self.spent.append(Durations(taken.encode_s, taken.steps_s, taken.decode_s))

    async def settle(self) -> None:
        await _idle(self._engine)


class OneByOne:
    """Limner's engine behind a lock: the same kernels, nothing shared."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = asyncio.Lock()

    async def ready(self) -> None: ...

    async def paint(self, request: ImageRequest, previewed: Seen) -> None:
        async with self._lock:
            await _paint(self._engine, request, previewed)

    async def settle(self) -> None:
        await _idle(self._engine)


@dataclass(eq=False, slots=True)
class _Turn:
    request: ImageRequest
    previewed: Seen
    done: asyncio.Future[None]


class WholeBatches:
    """Whole-request batching: those that wait and are alike begin and end together, as many as `most` says of
    one of them.

    The same kernels as the engine's own, because the engine moves what is alike in step.
    """

    def __init__(self, engine: Engine, most: Callable[[GenerationParams], int]) -> None:
        self._engine = engine
        self._most = most
        self._waiting: list[_Turn] = []
        self._batch: asyncio.Task[None] | None = None

    async def ready(self) -> None: ...

    async def paint(self, request: ImageRequest, previewed: Seen) -> None:
        # One person: the batch is one piece of work, with nobody in it to be fair to.
        one = replace(request, person="batch")
        turn = _Turn(one, previewed, asyncio.get_running_loop().create_future())
        self._waiting.append(turn)
        if self._batch is None:
            self._batch = asyncio.create_task(self._run())
        try:
            await turn.done
        finally:
            if turn in self._waiting:
                self._waiting.remove(turn)

    async def settle(self) -> None:
        if self._batch is not None:
            self._batch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._batch
        self._batch = None
        await _idle(self._engine)

    async def _run(self) -> None:
        await asyncio.sleep(0)  # whoever comes at this same moment belongs to the batch
        while self._waiting:
            first = self._waiting[0].request
            alike = [turn for turn in self._waiting if _kind(turn.request) == _kind(first)]
            batch = alike[: self._most(first.params)]
            self._waiting = [turn for turn in self._waiting if turn not in batch]
            painting = (_paint(self._engine, turn.request, turn.previewed) for turn in batch)
            ends = await asyncio.gather(*painting, return_exceptions=True)
            for turn, end in zip(batch, ends, strict=True):
                if turn.done.done():
                    continue
                if isinstance(end, BaseException):
                    turn.done.set_exception(end)
                else:
                    turn.done.set_result(None)
        self._batch = None


def _kind(request: ImageRequest) -> tuple[object, ...]:
    """What requests must have in common to be one batch from the first step to the last."""
    p = request.params
    return p.width, p.height, p.num_inference_steps, p.guidance_scale, p.sampler, p.schedule


class Plain:
    """diffusers' pipeline in a process of its own, which says what it has of `half` precision (`PlainReady`).

    Nothing of Limner's paints beside it, so its threads wait as PyTorch's do by default. Belongs to the event
    loop.
    """

    def __init__(self, folder: Path, device: str, threads: int) -> None:
        self.half: str | None = None
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[None]] = {}
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._process = SupervisedProcess(
            "limner.bench.plain:main",
            PlainStart(folder, device, threads),
            on_message=self._on_message,
            on_exit=self._on_exit,
            environment={},
            log_level="error",
        )

    async def start(self) -> None:
        """Raises `EngineFailed` when it cannot."""
        await self._process.start()
        await self._ready

    async def stop(self) -> None:
        await self._process.stop()

    async def prepare(self, setting: str) -> None:
        """Paint at this setting from now on."""
        await self._done(lambda number: Prepare(number, setting))

    async def paint(self, request: ImageRequest) -> None:
        await self._done(lambda number: Paint(number, request.params, request.seed))

    async def _done(self, message: Callable[[int], object]) -> None:
        number = next(self._numbers)
        done = self._asked[number] = asyncio.get_running_loop().create_future()
        self._process.send(message(number))
        await done

    async def idle(self) -> None:
        await asyncio.gather(*self._asked.values())

    def _on_message(self, message: object) -> None:
        if isinstance(message, PlainReady):
            self.half = message.half
            self._ready.set_result(None)
        elif isinstance(message, Done):
            self._asked.pop(message.number).set_result(None)

    def _on_exit(self, reason: str) -> None:
        gone = EngineFailed(f"diffusers' loop ended: {reason}")
        waiting = [*self._asked.values(), self._ready]
        self._asked.clear()
        for future in waiting:
            if not future.done():
                future.set_exception(gone)


class PlainLoop:
    """diffusers' pipeline at one setting, behind a lock."""

    def __init__(self, plain: Plain, setting: str = FLOAT32) -> None:
        self._plain = plain
        self._setting = setting
        self._lock = asyncio.Lock()

    async def ready(self) -> None:
        await self._plain.prepare(self._setting)

    async def paint(self, request: ImageRequest, previewed: Seen) -> None:
        """There is nothing to see before the end. A picture once begun is made to its end."""
        async with self._lock:
            await asyncio.shield(self._plain.paint(request))

    async def settle(self) -> None:
        await self._plain.idle()


async def _paint(engine: Engine, request: ImageRequest, previewed: Seen) -> Timings:
    events = engine.generate(request)
    assert isinstance(events, AsyncGenerator)
    async with contextlib.aclosing(events):
        async for event in events:
            if isinstance(event, Preview):
                previewed()
            elif isinstance(event, Failed):
                raise EngineFailed(event.reason)
            elif isinstance(event, Cancelled):
                raise EngineFailed("the engine called the picture off")
            elif isinstance(event, Finished):
                return event.timings
    raise EngineFailed("the engine said nothing of the picture's end")


async def _idle(engine: Engine) -> None:
    """Until its statistics stand still."""
    before = None
    while before != engine.stats():
        before = engine.stats()
        await asyncio.sleep(0.1)
