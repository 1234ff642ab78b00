"""Joins the record, the engine and the prompt writer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from pydantic import BaseModel

from limner.engine.messages import Engine
from limner.params import ModelInfo, OutputFormat
from limner.prompting.messages import PromptWriter
from limner.service.events import Event, View
from limner.service.picture import Picture
from limner.service.writing import Writing
from limner.store.job import Image

MAX_WAIT_S = 60


@dataclass(frozen=True, slots=True)
class Page:
    views: list[View]
    next_cursor: str | None


class Service:
    """What the API and the command line can ask for."""

    def __init__(self, engine: Engine, writer: PromptWriter, max_queued: int) -> None:
        self.engine = engine
        self.writer = writer
        self.max_queued = max_queued

    def models(self) -> tuple[ModelInfo, ...]:
        return self.engine.models()

    async def submit(self, person: str, asked: BaseModel, key: str | None) -> View:
        raise NotImplementedError

    async def view(self, person: str, job_id: str) -> View:
        raise NotImplementedError

    async def page(self, person: str, limit: int, cursor: str | None) -> Page:
        raise NotImplementedError

    def follow(self, person: str, job_id: str, after: int | None) -> AsyncIterator[Event]:
        raise NotImplementedError

    async def wait(self, person: str, job_id: str, timeout_s: float) -> View:
        raise NotImplementedError

    async def cancel(self, person: str, job_id: str) -> View:
        raise NotImplementedError

    async def delete(self, person: str, job_id: str) -> None:
        raise NotImplementedError

    async def image(self, image_id: str) -> Image:
        raise NotImplementedError

    async def picture(self, image_id: str, format: OutputFormat | None) -> Picture:  # noqa: A002
        raise NotImplementedError

    async def thumbnail(self, image_id: str) -> Picture:
        raise NotImplementedError

    async def write(
        self, text: str, *, model: str | None, seed: int | None, temperature: float, max_new_tokens: int
    ) -> Writing:
        raise NotImplementedError
