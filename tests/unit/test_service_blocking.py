"""Callers who wait on the line, hang up, and ask again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from limner.engine.double import EngineDouble
from limner.engine.messages import Health
from limner.errors import Busy, Cancelled, EngineFailed, NotReady
from limner.params import submission
from limner.prompting.double import PromptWriterDouble
from limner.service.events import View
from limner.service.service import Service
from limner.store.job import Status
from limner.store.store import Store

pytestmark = pytest.mark.anyio

HOUSE = submission(prompt="a red house", num_inference_steps=4)
LONG = submission(prompt="a red house", num_inference_steps=100)


@contextlib.asynccontextmanager
async def running(
    folder: Path, engine: EngineDouble | None = None, grace_s: float = 0.3
) -> AsyncIterator[Service]:
    store = Store(folder)
    service = Service(store, engine or EngineDouble(step_s=0.002), PromptWriterDouble(), max_queued=3)
    service.blocking.grace_s = grace_s
    await service.start()
    try:
        yield service
    finally:
        await service.stop()
        store.close()


async def hang_up(caller: asyncio.Task[View]) -> None:
    caller.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await caller


async def newest(service: Service, person: str = "anna") -> list[View]:
    return (await service.page(person, 10)).views


async def accepted(service: Service, count: int = 1) -> None:
    while len(await newest(service)) < count:
        await asyncio.sleep(0.01)


async def all_called_off(service: Service, count: int = 1) -> None:
    async with asyncio.timeout(20):
        while [view.job.status for view in await newest(service)] != [Status.CANCELLED] * count:
            await asyncio.sleep(0.02)


async def test_a_caller_who_stays_gets_the_pictures(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        view = await service.blocking.paint("anna", HOUSE)
        assert view.job.status is Status.SUCCEEDED
        assert len(view.job.images) == 1


async def test_a_caller_who_got_the_pictures_and_asks_for_the_same_gets_others(tmp_path: Path) -> None:
    async with running(tmp_path, grace_s=10) as service:
        first, second = (
            await service.blocking.paint("anna", HOUSE),
            await service.blocking.paint("anna", HOUSE),
        )
        assert first.job.id != second.job.id


async def test_who_asks_twice_at_once_gets_two(tmp_path: Path) -> None:
    async with running(tmp_path, grace_s=10) as service:
        first, second = await asyncio.gather(
            service.blocking.paint("anna", HOUSE), service.blocking.paint("anna", HOUSE)
        )
        assert first.job.id != second.job.id


async def test_a_job_whose_caller_went_away_is_called_off_after_the_grace(tmp_path: Path) -> None:
    async with running(tmp_path, EngineDouble(step_s=0.5), grace_s=1) as service:
        caller = asyncio.create_task(service.blocking.paint("anna", LONG))
        await accepted(service)
        await hang_up(caller)
        assert not (await newest(service))[0].job.status.over
        await all_called_off(service)


async def test_who_asks_again_within_the_grace_gets_the_same_job(tmp_path: Path) -> None:
    async with running(tmp_path, EngineDouble(step_s=0.02), grace_s=0.5) as service:
        caller = asyncio.create_task(service.blocking.paint("anna", LONG))
        await accepted(service)
        await hang_up(caller)
        view = await service.blocking.paint("anna", LONG)
        assert view.job.status is Status.SUCCEEDED, "the second wait outlasts the grace of the first"
        assert len(await newest(service)) == 1


async def test_who_asks_again_after_the_picture_is_done_gets_it(tmp_path: Path) -> None:
    async with running(tmp_path, EngineDouble(step_s=0.02), grace_s=10) as service:
        caller = asyncio.create_task(service.blocking.paint("anna", HOUSE))
        await accepted(service)
        await hang_up(caller)
        job_id = (await newest(service))[0].job.id
        await service.wait("anna", job_id, 5)
        assert (await service.blocking.paint("anna", HOUSE)).job.id == job_id
        assert (await service.blocking.paint("anna", HOUSE)).job.id != job_id, "it was handed over already"


@pytest.mark.parametrize(("person", "asked"), [("anna", HOUSE), ("ben", LONG)])
async def test_another_wish_or_another_person_gets_another_job(
    tmp_path: Path, person: str, asked: object
) -> None:
    async with running(tmp_path, EngineDouble(step_s=0.01), grace_s=10) as service:
        caller = asyncio.create_task(service.blocking.paint("anna", LONG))
        await accepted(service)
        await hang_up(caller)
        left = (await newest(service))[0].job.id
        assert (await service.blocking.paint(person, asked)).job.id != left  # type: ignore[arg-type]


async def test_a_job_that_was_cancelled_or_deleted_meanwhile_is_not_handed_over(tmp_path: Path) -> None:
    async with running(tmp_path, EngineDouble(step_s=0.01), grace_s=10) as service:
        for end in (service.cancel, service.delete):
            before = len(await newest(service))
            caller = asyncio.create_task(service.blocking.paint("anna", LONG))
            await accepted(service, before + 1)
            await hang_up(caller)
            left = (await newest(service))[0].job.id
            await end("anna", left)
            view = await service.blocking.paint("anna", LONG)
            assert (view.job.id != left, view.job.status) == (True, Status.SUCCEEDED)


async def test_a_caller_who_leaves_before_the_job_is_accepted_leaves_none_behind(tmp_path: Path) -> None:
    async with running(tmp_path, EngineDouble(step_s=0.5)) as service:
        caller = asyncio.create_task(service.blocking.paint("anna", LONG))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await hang_up(caller)
        await all_called_off(service)


async def test_what_is_refused_is_said_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with running(tmp_path, EngineDouble(unhealthy=Health("loading"))) as service:
        callers = [asyncio.create_task(service.blocking.paint("anna", HOUSE)) for _ in range(3)]
        await accepted(service, 3)
        with pytest.raises(Busy):
            await service.blocking.paint("anna", LONG)
        for caller in callers:
            await hang_up(caller)
        await all_called_off(service, 3)


async def test_a_job_that_fails_or_is_cancelled_is_said(tmp_path: Path) -> None:
    async with running(tmp_path, EngineDouble(step_s=0.01)) as service:
        for _ in range(2):  # who was told is not told of the same job again
            with pytest.raises(EngineFailed, match="cannot be painted"):
                await service.blocking.paint("anna", submission(prompt="a cursed house"))
        caller = asyncio.create_task(service.blocking.paint("anna", LONG))
        await accepted(service, 3)
        await service.cancel("anna", (await newest(service))[0].job.id)
        with pytest.raises(Cancelled):
            await caller


async def test_a_server_that_stops_says_so_and_keeps_nothing_for_nobody(tmp_path: Path) -> None:
    store = Store(tmp_path)
    service = Service(store, EngineDouble(step_s=0.05), PromptWriterDouble())
    await service.start()
    caller = asyncio.create_task(service.blocking.paint("anna", LONG))
    await accepted(service)
    service.end_streams()
    with pytest.raises(NotReady):
        await caller
    await service.stop()
    assert [job.status for job in store.page("anna", 10)] == [Status.CANCELLED]
    store.close()
