"""An engine that paints a coloured cloud at a chosen pace: for tests, the page's development, and benches."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from limner.engine.curve import Curve
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
    Timings,
)
from limner.params import ModelInfo, Sampler, Voice

MODEL = ModelInfo(
    name="double",
    default=True,
    family="stable-diffusion",
    width=128,
    height=128,
    min_size=64,
    max_size=512,
    size_step=16,
    num_inference_steps=8,
    guidance_scale=4.0,
    sampler=Sampler.DPMPP_2M,
    voice=Voice.STARTER,
    draws="a coloured cloud, whatever is asked",
    known_words=(),
    examples=("a red house at night", "a blue fish on the sea"),
    licence="Apache-2.0",
)


@dataclass
class EngineDouble:
    """Paints in real time. Knobs may be turned while it runs.

    `breakages` requests end with "the engine went away" at half their steps; prompts that contain
    `cursed` always fail, the pictures of those that contain `unsafe` are flagged. `unhealthy` overrides the
    state that `health` tells.
    """

    step_s: float = 0.02
    slots: int = 8
    breakages: int = 0
    cursed: str = "cursed"
    unsafe: str = "unsafe"
    unhealthy: Health | None = None
    info: tuple[ModelInfo, ...] = (MODEL,)
    asked: list[ImageRequest] = field(default_factory=list)
    most_at_once: int = 0
    _running: dict[str, asyncio.Event] = field(default_factory=dict)
    _started: bool = False
    _stats: Stats = field(default_factory=Stats)

    async def start(self) -> None:
        self._started = True

    async def stop(self) -> None:
        self._started = False

    def models(self) -> tuple[ModelInfo, ...]:
        return self.info

    def health(self) -> Health:
        if self.unhealthy is not None:
            return self.unhealthy
        return Health("ready", "painting clouds", self.slots) if self._started else Health("stopped")

    def stats(self) -> Stats:
        curves = (Curve(model.name, {1: self.step_s, self.slots: self.step_s}) for model in self.info)
        return replace(self._stats, curves=tuple(curves))

    async def cancel(self, request_id: str) -> None:
        if request_id in self._running:
            self._running[request_id].set()

    async def generate(self, request: ImageRequest) -> AsyncIterator[EngineEvent]:
        self.asked.append(request)
        cancelled = self._running[request.id] = asyncio.Event()
        self.most_at_once = max(self.most_at_once, len(self._running))
        try:
            async for event in self._events(request, cancelled):
                yield event
        finally:
            del self._running[request.id]

    async def _events(self, request: ImageRequest, cancelled: asyncio.Event) -> AsyncIterator[EngineEvent]:
        steps = request.params.num_inference_steps
        breaks = self.breakages > 0
        self.breakages -= breaks
        for step in range(1, steps + 1):
            await asyncio.sleep(self.step_s)
            if cancelled.is_set():
                yield Cancelled(request.id)
                return
            if breaks and step > steps // 2:
                yield Failed(request.id, "the engine went away", retry=True)
                return
            if self.cursed in request.params.prompt and step > steps // 2:
                yield Failed(request.id, "this prompt cannot be painted")
                return
            yield Progress(request.id, step, steps, (steps - step) * self.step_s)
            if request.previews and step % 2 and step < steps:
                yield Preview(request.id, step, _preview(request, step / steps), "image/webp")
        pixels = cloud(request, request.params.width, request.params.height)
        self._count(steps)
        timings = Timings(0.0, 0.0, steps * self.step_s, 0.0)
        yield Finished(request.id, pixels, timings, self.unsafe in request.params.prompt)

    def _count(self, steps: int) -> None:
        before = self._stats
        self._stats = replace(
            before,
            steps=before.steps + steps,
            rows=before.rows + steps,
            room=before.room + steps,
            images=before.images + 1,
            steps_s=before.steps_s + steps * self.step_s,
        )


def cloud(request: ImageRequest, width: int, height: int, clearness: float = 1.0) -> NDArray[np.uint8]:
    """The same seed and prompt give the same picture `(height, width, 3)`; `clearness` 0 is all noise."""
    colours = np.random.default_rng([request.seed, *request.params.prompt.encode()[:32]])
    ends = colours.uniform(40, 230, (2, 3))
    down, across = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    wave = 0.5 + 0.5 * np.sin(6 * down + 4 * np.cos(3 * across + request.seed % 7))
    picture = ends[0] + wave[..., None] * (ends[1] - ends[0])
    noise = np.random.default_rng(request.seed).uniform(0, 255, picture.shape)
    pixels: NDArray[np.uint8] = (clearness * picture + (1 - clearness) * noise).astype(np.uint8)
    return pixels


def _preview(request: ImageRequest, clearness: float) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(cloud(request, 32, 32, clearness)).save(buffer, "WEBP", quality=50, method=0)
    return buffer.getvalue()
