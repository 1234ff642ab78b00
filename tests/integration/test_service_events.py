"""What happens while a listener comes is told to him, too."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from limner.engine.double import EngineDouble
from limner.engine.messages import Health
from limner.params import submission
from limner.prompting.double import PromptWriterDouble
from limner.service.events import Ended, Snapshot, Started, View
from limner.service.service import Service
from limner.store.job import Status
from limner.store.store import Store


class SlowToRead(Service):
    """Reads the record before a job begins, and has it when it has begun."""

    engine: EngineDouble

    async def view(self, person: str, job_id: str) -> View:
        found = await super().view(person, job_id)
        if found.job.status is Status.QUEUED:
            self.engine.unhealthy = None
            while not any(channel.running for channel in self._hub._channels.values()):
                await asyncio.sleep(0.005)
        return found


@pytest.mark.anyio
async def test_a_job_that_begins_while_its_snapshot_is_read_is_said_to_have_begun(tmp_path: Path) -> None:
    store, engine = Store(tmp_path), EngineDouble(step_s=0.05)
    service = SlowToRead(store, engine, PromptWriterDouble())
    service.engine = engine
    await service.start()
    engine.unhealthy = Health("loading")
    made = await service.submit("ann", submission(prompt="a red house"))
    async with asyncio.timeout(20):
        events = [event async for event in service.follow("ann", made.job.id)]
    await service.stop()
    store.close()
    first, *_, last = (event.payload for event in events)
    assert isinstance(first, Snapshot)
    assert first.view.job.status is Status.QUEUED
    assert any(isinstance(event.payload, Started) for event in events)
    assert isinstance(last, Ended)
    ids = [event.id for event in events]
    assert ids == sorted(set(ids))
