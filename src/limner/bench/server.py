"""Limner's whole path without HTTP: record, queue, engine, files."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from limner.bench.ways import Seen, StepBatching
from limner.engine.messages import Engine, EngineEvent, Health, ImageRequest, Stats
from limner.errors import EngineFailed
from limner.params import ModelInfo, submission
from limner.prompting.double import PromptWriterDouble
from limner.service.events import Ended, Preview
from limner.service.service import Service
from limner.store.job import Durations, Status
from limner.store.store import Store


class _Lent:
    """A running engine that somebody else starts and stops."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def generate(self, request: ImageRequest) -> AsyncIterator[EngineEvent]:
        return self._engine.generate(request)

    async def cancel(self, request_id: str) -> None:
        await self._engine.cancel(request_id)

    def models(self) -> tuple[ModelInfo, ...]:
        return self._engine.models()

    def health(self) -> Health:
        return self._engine.health()

    def stats(self) -> Stats:
        return self._engine.stats()


class WholeServer:
    """As `StepBatching`, but through the service: a person's place in the record comes first.

    `spent`: on each picture so far, its file included.
    """

    def __init__(self, service: Service, engine: Engine) -> None:
        self._service = service
        self._engine = StepBatching(engine)
        self.spent: list[Durations] = []

    async def ready(self) -> None: ...

    async def paint(self, request: ImageRequest, previewed: Seen) -> None:
        asked = submission(**request.params.model_dump())
        job = (await self._service.submit(request.person, asked)).job
        events = self._service.follow(request.person, job.id)
        try:
            async with contextlib.aclosing(events):
                async for event in events:
                    if isinstance(event.payload, Preview):
                        previewed()
                    elif isinstance(event.payload, Ended):
                        job = event.payload.view.job
        finally:
            if not job.status.over:
                await self._service.cancel(request.person, job.id)
        if job.status is not Status.SUCCEEDED:
            raise EngineFailed(job.failure.message if job.failure else f"the job was {job.status}")
        self.spent.extend(image.durations for image in job.images)

    async def settle(self) -> None:
        await self._engine.settle()


@contextlib.asynccontextmanager
async def whole_server(engine: Engine, folder: Path) -> AsyncIterator[WholeServer]:
    """A service over `engine`, which stays as it is, with its record in `folder`."""
    store = Store(folder)
    service = Service(store, _Lent(engine), PromptWriterDouble(), max_queued=10_000)
    await service.start()
    try:
        yield WholeServer(service, engine)
    finally:
        await service.stop()
        store.close()
