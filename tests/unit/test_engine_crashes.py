"""What becomes of requests when their engine's process dies, stops or hangs: real processes and signals."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from limner.engine.double import MODEL
from limner.engine.local import LocalEngine
from limner.engine.messages import Cancelled, EngineEvent, Failed, Finished, ImageRequest, Progress
from limner.models.catalog import LocalModel
from limner.params import resolve, submission
from tests.crashing import TOGETHER

pytestmark = pytest.mark.anyio


class Engine(LocalEngine):
    ENTRY = "tests.crashing:main"


@asynccontextmanager
async def running(heartbeat_timeout_s: float = 8.0, *, exact: bool = False) -> AsyncIterator[Engine]:
    engine = Engine([LocalModel(MODEL, Path("nowhere"))], exact=exact)
    engine._process._heartbeat_timeout_s = heartbeat_timeout_s
    await engine.start()
    try:
        await ready(engine)
        yield engine
    finally:
        await engine.stop()


async def ready(engine: Engine, but: int | None = None) -> None:
    """Wait for an engine whose process is not `but`."""
    async with asyncio.timeout(30):
        while engine.health().state != "ready" or engine.pid in (but, None):
            await asyncio.sleep(0.01)


def asked(name: str, **values: Any) -> ImageRequest:
    params = resolve(submission(**{"prompt": "a house", "num_inference_steps": 10} | values), (MODEL,), 1)
    return ImageRequest(name, "somebody", params, 1)


def painted(engine: Engine, *requests: ImageRequest) -> list[asyncio.Task[list[EngineEvent]]]:
    async def events(request: ImageRequest) -> list[EngineEvent]:
        return [event async for event in engine.generate(request)]

    return [asyncio.create_task(events(request)) for request in requests]


async def ends(tasks: list[asyncio.Task[list[EngineEvent]]]) -> list[EngineEvent]:
    async with asyncio.timeout(60):
        return [(await task)[-1] for task in tasks]


async def test_a_request_that_crashes_the_engine_fails_alone_and_seven_beside_it_are_painted() -> None:
    async with running() as engine:
        others = painted(engine, *(asked(f"other {i}") for i in range(7)))
        [poison] = painted(engine, asked("poison", prompt="poison"))
        [failed, *found] = await ends([poison, *others])
        assert isinstance(failed, Failed)
        assert "the engine crashes at this picture (killed by signal 9)" in failed.reason
        assert not failed.retry
        assert all(isinstance(end, Finished) for end in found)
        assert engine.stats().restarts == 3, "with the others, and twice alone"


async def test_after_a_crash_pictures_are_made_one_by_one_and_newcomers_wait() -> None:
    async with running() as engine:
        tasks = painted(engine, *(asked(f"{i}", num_inference_steps=5) for i in range(3)))
        await asyncio.sleep(0.03)
        first = engine.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await ready(engine, but=first)
        order: list[str] = []

        async def told(request: ImageRequest) -> None:
            async for event in engine.generate(request):
                order.append(event.request_id)

        newcomer = asyncio.create_task(told(asked("newcomer")))
        assert all(isinstance(end, Finished) for end in await ends(tasks))
        assert order == []
        await newcomer
        assert len(order) == 11
        # And from then on together again.
        both = painted(engine, asked("a", num_inference_steps=150), asked("b", num_inference_steps=2))
        assert isinstance((await both[1])[-1], Finished)
        assert not both[0].done()
        await engine.cancel("a")
        assert isinstance((await both[0])[-1], Cancelled)


async def test_those_the_engine_was_not_at_are_painted_first_and_not_crashed_again() -> None:
    async with running() as engine:
        seen: list[EngineEvent] = []

        async def told(request: ImageRequest) -> None:
            async for event in engine.generate(request):
                seen.append(event)

        names = ["poison", *(f"beside {i}" for i in range(TOGETHER - 1)), *(f"waiting {i}" for i in range(4))]
        steps = [4 if name.startswith("waiting") else 10 for name in names]
        tasks = [
            asyncio.create_task(told(asked(name, prompt=name, num_inference_steps=count)))
            for name, count in zip(names, steps, strict=True)
        ]
        async with asyncio.timeout(60):
            await asyncio.gather(*tasks)
        assert engine.stats().restarts == 3, "with the others, and twice alone"
        ends = {event.request_id: event for event in seen if isinstance(event, Finished | Failed)}
        assert [name for name, end in ends.items() if isinstance(end, Failed)] == ["poison"]
        order = [event.request_id for event in seen if isinstance(event, Finished)]
        assert set(order[:4]) == set(names[TOGETHER:]), "before those who may have crashed it"
        waiting = [event for event in seen if event.request_id == names[-1] and isinstance(event, Progress)]
        assert [event.step for event in waiting] == sorted({event.step for event in waiting}), "begun once"


async def test_a_request_may_be_cancelled_or_left_while_the_engine_comes_back() -> None:
    async with running() as engine:
        cancelled, left, kept = painted(engine, *(asked(n, num_inference_steps=150) for n in ("c", "l", "k")))
        await asyncio.sleep(0.05)
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        while engine.health().state == "ready":
            await asyncio.sleep(0.005)
        await engine.cancel("c")
        left.cancel()
        assert isinstance((await cancelled)[-1], Cancelled)
        await ready(engine)
        [end] = await ends([kept])
        assert isinstance(end, Finished)


async def test_a_stopped_engine_is_noticed_and_replaced_and_its_pictures_made() -> None:
    async with running(heartbeat_timeout_s=5.0) as engine:
        [task] = painted(engine, asked("stopped", num_inference_steps=50))
        await asyncio.sleep(0.1)
        first = engine.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        async with asyncio.timeout(20):
            while engine.health().state == "ready":
                await asyncio.sleep(0.02)
        assert "no sign of life" in engine.health().detail
        events = await asyncio.wait_for(task, 30)
        assert isinstance(events[-1], Finished)
        assert engine.pid != first
        steps = [event.step for event in events if isinstance(event, Progress)]
        assert steps[-1] == 50
        assert steps != sorted(steps), "it began again"


async def test_an_engine_that_lives_but_makes_no_steps_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limner.engine.local.LEAST_STUCK_S", 1.0)
    async with running() as engine:
        trap, other = painted(engine, asked("trap", prompt="trap"), asked("other"))
        [failed, found] = await ends([trap, other])
        assert isinstance(failed, Failed)
        assert isinstance(found, Finished)


async def test_an_engine_that_said_it_would_take_long_is_not_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("limner.engine.local.LEAST_STUCK_S", 1.0)
    async with running() as engine:
        [end] = await ends(painted(engine, asked("patient", prompt="patient")))
        assert isinstance(end, Finished)
        assert engine.stats().restarts == 0


async def test_when_native_code_crashes_twice_pytorch_takes_over_and_the_picture_is_made() -> None:
    async with running() as engine:
        [end] = await ends(painted(engine, asked("brittle", prompt="brittle")))
        assert isinstance(end, Finished)
        assert engine.stats().restarts == 2
        [end] = await ends(painted(engine, asked("again", prompt="brittle")))
        assert isinstance(end, Finished)
        assert engine.stats().restarts == 2, "and stays"


async def test_where_pictures_must_stay_the_same_no_other_kernels_take_over() -> None:
    async with running(exact=True) as engine:
        [end] = await ends(painted(engine, asked("brittle", prompt="brittle")))
        assert isinstance(end, Failed)
        assert "the engine crashes at this picture (killed by signal 11)" in end.reason


@pytest.mark.slow
@pytest.mark.timeout(900)  # one that dies soon is started again ever more slowly
async def test_thirty_kills_at_random_lose_and_double_nothing() -> None:
    async with running() as engine:
        for i in range(30):
            tasks = painted(engine, *(asked(f"{i} {j}", num_inference_steps=5 + j) for j in range(4)))
            await asyncio.sleep(0.01 * (i % 12))
            assert engine.pid is not None
            os.kill(engine.pid, signal.SIGKILL)
            assert all(isinstance(end, Finished) for end in await ends(tasks))
