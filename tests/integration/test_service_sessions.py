"""Calls are their person's own: others neither see nor stop them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from limner.engine.double import MODEL, EngineDouble
from limner.errors import NotFound
from limner.params import submission
from limner.prompting.double import PromptWriterDouble
from limner.service import sessions
from limner.service.events import View
from limner.service.service import Service
from limner.store.job import Status
from limner.store.store import Store

pytestmark = pytest.mark.anyio

OTHER = MODEL.model_copy(update={"name": "other", "default": False})


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    store = Store(tmp_path)
    service = Service(store, EngineDouble(step_s=0.005, info=(MODEL, OTHER)), PromptWriterDouble())
    await service.start()
    yield service
    await service.stop()
    store.close()


async def calling(
    service: Service, person: str, task_id: str | None = None, steps: int = 150, seed: int = 0
) -> asyncio.Task[View]:
    """A call that is under way."""
    before = service.sessions.waiting(person)
    asked = submission(prompt="a red house", num_inference_steps=steps, seed=seed)
    task = asyncio.create_task(service.sessions.paint(person, asked, task_id))
    async with asyncio.timeout(10):
        while service.sessions.waiting(person) == before and not task.done():
            await asyncio.sleep(0.005)
    return task


async def status(call: asyncio.Task[View]) -> Status:
    return (await call).job.status


async def test_nobody_sees_or_stops_the_calls_of_another(service: Service) -> None:
    mine, theirs = await calling(service, "ann"), await calling(service, "ben", steps=30)
    assert service.sessions.current("ann") is not service.sessions.current("ben")
    assert service.sessions.current("eve") is None
    await service.sessions.interrupt("eve")
    await service.sessions.skip("eve")
    await service.sessions.interrupt("ann")
    assert await status(mine) is Status.CANCELLED
    assert await status(theirs) is Status.SUCCEEDED
    assert service.sessions.current("ann") is service.sessions.current("ben") is None


async def test_a_name_of_another_person_reaches_nothing(service: Service) -> None:
    call = await calling(service, "ann", "mine", steps=30)
    assert service.sessions.current("ben", "mine") is None
    await service.sessions.interrupt("ben", "mine")
    assert await status(call) is Status.SUCCEEDED


async def test_a_named_call_is_stopped_alone(service: Service) -> None:
    one, other = await calling(service, "ann", "one", seed=1), await calling(service, "ann", "other", 30, 2)
    found = service.sessions.current("ann", "other")
    assert found is not None
    assert found.task_id == "other"
    await service.sessions.interrupt("ann", "one")
    assert await status(one) is Status.CANCELLED
    assert await status(other) is Status.SUCCEEDED


async def test_interrupt_stops_all_and_skip_the_oldest(service: Service) -> None:
    calls = [await calling(service, "ann", seed=seed) for seed in range(3)]
    await service.sessions.skip("ann")
    assert await status(calls[0]) is Status.CANCELLED
    assert service.sessions.waiting("ann") == 2
    await service.sessions.interrupt("ann")
    assert [await status(call) for call in calls[1:]] == [Status.CANCELLED] * 2


async def test_who_hangs_up_and_interrupts_stops_that_call_alone(service: Service) -> None:
    going, staying = await calling(service, "ann", seed=1), await calling(service, "ann", steps=60, seed=2)
    going.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await going
    assert service.sessions.waiting("ann") == 1
    await service.sessions.interrupt("ann")
    assert await status(staying) is Status.SUCCEEDED
    page = await service.page("ann", 10)
    assert sorted(view.job.status for view in page.views) == [Status.CANCELLED, Status.SUCCEEDED]


async def test_progress_rises_to_the_end(service: Service) -> None:
    call = await calling(service, "ann", steps=60)
    shares = []
    while (found := service.sessions.current("ann")) is not None:
        shares.append(found.share)
        await asyncio.sleep(0.01)
    assert await status(call) is Status.SUCCEEDED
    assert shares == sorted(shares)
    assert 0 < shares[len(shares) // 2] < 1


async def test_a_model_is_remembered_for_its_person_alone(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.sessions.choose("ann", "other")
    service.sessions.choose("ann", "one that is not loaded")
    assert service.sessions.model("ann").name == "other"
    assert service.sessions.model("ben").name == "double"
    monkeypatch.setattr(sessions, "MAX_PEOPLE", 10)
    for number in range(10):
        service.sessions.choose(f"person {number}", "other")
    assert service.sessions.model("ann").name == "double"
    assert service.sessions.model("person 9").name == "other"


async def test_nobody_follows_the_job_of_another_behind_an_event(service: Service) -> None:
    call = await calling(service, "ann", steps=60)
    job_id = (await service.page("ann", 1)).views[0].job.id
    mine = service.follow("ann", job_id)
    seen = await anext(mine)
    with pytest.raises(NotFound):
        await anext(service.follow("ben", job_id, after=seen.id))
    await mine.aclose()
    assert await status(call) is Status.SUCCEEDED
