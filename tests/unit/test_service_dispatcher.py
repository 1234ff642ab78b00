"""Who is painted when, on a real record and an engine double."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from limner.engine.double import EngineDouble
from limner.engine.messages import Health
from limner.errors import StorageUnavailable
from limner.params import submission
from limner.prompting.double import PromptWriterDouble
from limner.service.events import Ended, ImageStored, View
from limner.service.service import Service
from limner.store.job import Status
from limner.store.store import Store

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def running(store: Store, engine: EngineDouble) -> AsyncIterator[Service]:
    service = Service(store, engine, PromptWriterDouble())
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


def asked(num_images: int = 1, steps: int = 2) -> BaseModel:
    return submission(prompt="a house", num_images=num_images, num_inference_steps=steps)


async def finished(service: Service, person: str, job_id: str) -> Status:
    return (await service.wait(person, job_id, 20)).job.status


async def test_a_late_person_does_not_wait_behind_a_bulk_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    engine = EngineDouble(step_s=0.002, slots=2, unhealthy=Health("loading"))
    async with running(store, engine) as service:
        for _ in range(15):
            await service.submit("bulk", asked())
        late = await service.submit("late", asked())
        engine.unhealthy = None
        assert await finished(service, "late", late.job.id) is Status.SUCCEEDED
        assert [request.person for request in engine.asked].index("late") <= 2
    store.close()


async def test_a_newcomer_is_painted_at_once_when_another_person_fills_every_slot(tmp_path: Path) -> None:
    store = Store(tmp_path)
    engine = EngineDouble(step_s=0.02, slots=2)
    async with running(store, engine) as service:
        for _ in range(6):
            await service.submit("bulk", asked(steps=150))
        while engine.most_at_once < 2:
            await asyncio.sleep(0.01)
        for person in ("ann", "ben"):
            made = [await service.submit(person, asked()) for _ in range(2)]
            assert await finished(service, person, made[1].job.id) is Status.SUCCEEDED
        assert Counter(request.person for request in engine.asked) == {"bulk": 2, "ann": 2, "ben": 2}
        assert engine.most_at_once == 3
    store.close()


async def test_a_late_person_goes_before_the_rest_of_one_large_job(tmp_path: Path) -> None:
    store = Store(tmp_path)
    engine = EngineDouble(step_s=0.06, slots=1)
    async with running(store, engine) as service:
        await service.submit("bulk", asked(num_images=16))
        while not engine.asked:
            await asyncio.sleep(0.01)
        late = await service.submit("late", asked())
        assert await finished(service, "late", late.job.id) is Status.SUCCEEDED
        assert [r.person for r in engine.asked].index("late") <= 6
    store.close()


async def test_every_picture_is_told_before_the_end_in_whatever_order_they_are_stored(tmp_path: Path) -> None:
    store = Store(tmp_path)
    async with running(store, EngineDouble(step_s=0.001, slots=8)) as service:
        made = await service.submit("ann", asked(num_images=16))
        told = [event.payload async for event in service.follow("ann", made.job.id)]
    stored = [payload.image.index for payload in told if isinstance(payload, ImageStored)]
    assert sorted(stored) == list(range(16))
    assert isinstance(told[-1], Ended)
    assert [image.index for image in told[-1].view.job.images] == list(range(16))
    store.close()


async def test_stopping_leaves_what_was_running_to_the_next_start(tmp_path: Path) -> None:
    store = Store(tmp_path)
    async with running(store, EngineDouble(step_s=0.05, slots=2)) as service:
        jobs = [(await service.submit("ann", asked(num_images=2, steps=10))).job.id for _ in range(3)]
        while (await service.view("ann", jobs[0])).job.status is not Status.RUNNING:
            await asyncio.sleep(0.01)
    store.close()
    store = Store(tmp_path)
    async with running(store, EngineDouble(step_s=0.001)) as service:
        for job_id in jobs:
            assert await finished(service, "ann", job_id) is Status.SUCCEEDED
            assert len((await service.view("ann", job_id)).job.images) == 2
    store.close()


async def test_a_picture_waits_in_memory_while_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    save, tries = store.queue.add_image, []

    def full_at_first(*of: object) -> object:
        tries.append(1)
        if len(tries) < 3:
            raise StorageUnavailable("the disk is full")
        return save(*of)  # type: ignore[arg-type]

    monkeypatch.setattr("limner.service.dispatcher._STORAGE_PAUSE_S", 0.02)
    monkeypatch.setattr(store.queue, "add_image", full_at_first)
    engine = EngineDouble(step_s=0.001)
    async with running(store, engine) as service:
        made = await service.submit("ann", asked())
        assert await finished(service, "ann", made.job.id) is Status.SUCCEEDED
    assert (len(tries), len(engine.asked)) == (3, 1)
    store.close()


async def test_the_dispatcher_goes_on_when_the_record_fails_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    claim, tries = store.queue.claim, []

    def failing_at_first(*of: object) -> object:
        tries.append(1)
        if len(tries) < 3:
            raise StorageUnavailable("disk I/O error") if len(tries) == 1 else RuntimeError("a mistake")
        return claim(*of)  # type: ignore[arg-type]

    monkeypatch.setattr("limner.service.dispatcher._STORAGE_PAUSE_S", 0.02)
    monkeypatch.setattr(store.queue, "claim", failing_at_first)
    async with running(store, EngineDouble(step_s=0.001)) as service:
        made = await service.submit("ann", asked())
        assert await finished(service, "ann", made.job.id) is Status.SUCCEEDED
    store.close()


async def test_a_job_that_comes_while_the_queue_is_found_empty_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    claim = store.queue.claim
    made: list[View] = []
    async with running(store, EngineDouble(step_s=0.001)) as service:
        loop = asyncio.get_running_loop()
        first = await service.submit("ann", asked())
        assert await finished(service, "ann", first.job.id) is Status.SUCCEEDED
        await asyncio.sleep(0.3)

        def overtaken(*of: object) -> object:
            found = claim(*of)  # type: ignore[arg-type]
            if not found and not made:
                submitting = asyncio.run_coroutine_threadsafe(service.submit("ben", asked()), loop)
                made.append(submitting.result(10))
            return found

        monkeypatch.setattr(store.queue, "claim", overtaken)
        service._dispatcher.submitted(0.0, "ann")
        while not made:
            await asyncio.sleep(0.01)
        assert await finished(service, "ben", made[0].job.id) is Status.SUCCEEDED
    store.close()


async def test_a_job_whose_submission_failed_behind_the_commit_is_painted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)

    def failing(*_: object) -> object:
        raise StorageUnavailable("disk I/O error")

    async with running(store, EngineDouble(step_s=0.001)) as service:
        first = await service.submit("ann", asked())
        assert await finished(service, "ann", first.job.id) is Status.SUCCEEDED
        with monkeypatch.context() as patch:
            patch.setattr(store.queue, "places", failing)
            with pytest.raises(StorageUnavailable):
                await service.submit("ann", asked())
        queued = store.page("ann", 1)[0]
        assert queued.id != first.job.id
        assert await finished(service, "ann", queued.id) is Status.SUCCEEDED
    store.close()


async def test_the_queue_waits_out_an_engine_that_restarts(tmp_path: Path) -> None:
    store = Store(tmp_path)
    engine = EngineDouble(step_s=0.001, unhealthy=Health("restarting"))
    async with running(store, engine) as service:
        made = await service.submit("ann", asked())
        assert (await service.wait("ann", made.job.id, 0.1)).job.status is Status.QUEUED
        assert not engine.asked
        engine.unhealthy = None
        assert await finished(service, "ann", made.job.id) is Status.SUCCEEDED
    store.close()


async def test_cancelling_at_random_moments_ends_every_job_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    engine = EngineDouble(step_s=0.003, slots=4)
    async with running(store, engine) as service:
        jobs = [(await service.submit("ann", asked(steps=1 + n % 5))).job.id for n in range(30)]

        async def cancel(job_id: str, pause_s: float) -> None:
            await asyncio.sleep(pause_s)
            await service.cancel("ann", job_id)

        await asyncio.gather(*(cancel(job_id, n * 0.007) for n, job_id in enumerate(jobs) if n % 2))
        ends = [await finished(service, "ann", job_id) for job_id in jobs]
        views = [await service.view("ann", job_id) for job_id in jobs]
        assert set(ends) <= {Status.SUCCEEDED, Status.CANCELLED}
        assert all(len(v.job.images) == (v.job.status is Status.SUCCEEDED) for v in views)
        assert all(end is Status.SUCCEEDED for end in ends[::2])
        assert not service._dispatcher._works
        assert not service._hub._channels
    store.close()
