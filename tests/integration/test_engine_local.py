"""The engine in its own process: a real child, real signals, tiny weights."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from limner.engine import child
from limner.engine.local import LocalEngine
from limner.engine.messages import (
    Cancelled,
    EngineEvent,
    Failed,
    Finished,
    ImageRequest,
    Preview,
    Progress,
)
from limner.engine.wire import EngineStart, Ready
from limner.models.catalog import LocalModel, open_models
from limner.params import resolve, submission
from limner.process.child import Inbox
from tests import tiny

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[LocalModel, ...]:
    folder = tmp_path_factory.mktemp("models")
    tiny.save(tiny.TinyModel(noise="zero_snr_v", latent_channels=8, tiny_decoder=True), folder / "painter")
    tiny.save(tiny.TinyModel(), folder / "sketcher")
    return open_models([str(folder / "painter"), str(folder / "sketcher")])


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
async def engine(models: tuple[LocalModel, ...], cache_dir: Path) -> AsyncIterator[LocalEngine]:
    engine = LocalEngine(models, device="cpu", threads=1, cache_dir=cache_dir)
    await engine.start()
    yield engine
    await engine.stop()


def asked(engine: LocalEngine, name: str, person: str = "somebody", **values: Any) -> ImageRequest:
    params = resolve(submission(**({"prompt": "a red house"} | values)), engine.models(), seed=3)
    return ImageRequest(name, person, params, params.seed)


async def events_of(engine: LocalEngine, request: ImageRequest) -> list[EngineEvent]:
    return [event async for event in engine.generate(request)]


async def until(engine: LocalEngine, state: str) -> None:
    async with asyncio.timeout(120):
        while engine.health().state != state:
            await asyncio.sleep(0.02)


async def test_a_request_made_while_the_engine_loads_waits_and_is_painted(engine: LocalEngine) -> None:
    assert engine.health().state == "loading"
    assert "painter" in engine.health().detail
    events = await events_of(engine, asked(engine, "early", num_inference_steps=3))
    assert isinstance(events[-1], Finished)
    assert engine.health().state == "ready"
    assert engine.health().slots >= 4


async def test_a_stream_tells_progress_and_previews_and_ends_with_the_pixels(engine: LocalEngine) -> None:
    await until(engine, "ready")
    events = await events_of(engine, asked(engine, "told", num_inference_steps=30))
    steps = [event.step for event in events if isinstance(event, Progress)]
    assert steps == sorted(steps)
    assert steps[-1] == 30
    previews = [event for event in events if isinstance(event, Preview)]
    assert previews[0].step <= 3
    for preview in previews:
        assert len(preview.image) <= 6000
        assert Image.open(io.BytesIO(preview.image)).size == (128, 128)
        assert preview.media_type == "image/webp"
    end = events[-1]
    assert isinstance(end, Finished)
    assert end.pixels.shape == (64, 64, 3)
    assert end.pixels.dtype == np.uint8
    assert end.pixels.std() > 10
    assert min(end.timings.steps_s, end.timings.decode_s, end.timings.encode_s) > 0


async def test_without_previews_none_is_sent(engine: LocalEngine) -> None:
    await until(engine, "ready")
    request = asked(engine, "blind", num_inference_steps=4)
    blind = ImageRequest(request.id, request.person, request.params, request.seed, previews=False)
    assert not [event for event in await events_of(engine, blind) if isinstance(event, Preview)]


async def test_two_models_and_many_people_are_painted_at_once(engine: LocalEngine) -> None:
    await until(engine, "ready")
    names = ["painter", "sketcher"]
    crowd = [
        asked(engine, f"crowd {i}", f"person {i}", model=names[i % 2], num_inference_steps=3 + i, seed=i)
        for i in range(10)
    ]
    ends = [events[-1] for events in await asyncio.gather(*(events_of(engine, request) for request in crowd))]
    assert all(isinstance(end, Finished) for end in ends)
    assert {end.request_id for end in ends} == {request.id for request in crowd}


async def test_what_the_models_cannot_do_fails_with_the_reason(engine: LocalEngine) -> None:
    fine = asked(engine, "fine")
    large = fine.params.model_copy(update={"width": 4096})
    [refused] = await events_of(engine, ImageRequest("large", "p", large, 1))
    assert isinstance(refused, Failed)
    assert "4096" in refused.reason
    assert "128" in refused.reason
    assert not refused.retry
    unknown = fine.params.model_copy(update={"model": "nobody"})
    [refused] = await events_of(engine, ImageRequest("unknown", "p", unknown, 1))
    assert isinstance(refused, Failed)
    assert "'nobody'" in refused.reason
    assert "painter" in refused.reason


async def test_cancel_ends_the_stream_long_before_the_picture_is_done(engine: LocalEngine) -> None:
    await until(engine, "ready")
    seen: list[EngineEvent] = []
    async for event in engine.generate(asked(engine, "unwanted", num_inference_steps=150)):
        seen.append(event)
        if isinstance(event, Progress) and event.step >= 2:
            await engine.cancel("unwanted")
    assert isinstance(seen[-1], Cancelled)
    assert max(event.step for event in seen if isinstance(event, Progress)) < 100
    await engine.cancel("unwanted")
    await engine.cancel("never known")


async def test_leaving_a_stream_frees_its_place(engine: LocalEngine) -> None:
    await until(engine, "ready")
    async with aclosing(engine.generate(asked(engine, "left", num_inference_steps=150))) as stream:
        async for _ in stream:
            break
    # The same id may be used again at once, and only the new request is painted.
    events = await events_of(engine, asked(engine, "left", num_inference_steps=2))
    assert isinstance(events[-1], Finished)
    assert {event.steps for event in events if isinstance(event, Progress)} == {2}


async def test_a_killed_engine_comes_back_and_paints_what_it_had_to_the_bit(
    engine: LocalEngine,
) -> None:
    await until(engine, "ready")
    before = await events_of(engine, asked(engine, "before", num_inference_steps=30))
    first = engine.pid
    assert first is not None
    interrupted = asyncio.create_task(events_of(engine, asked(engine, "interrupted", num_inference_steps=30)))
    cancelled = asyncio.create_task(events_of(engine, asked(engine, "cancelled", num_inference_steps=150)))
    await asyncio.sleep(0.1)
    os.kill(first, signal.SIGSTOP)
    await engine.cancel("cancelled")
    os.kill(first, signal.SIGKILL)
    assert isinstance((await cancelled)[-1], Cancelled)
    assert engine.health().state == "restarting"
    assert "signal 9" in engine.health().detail
    # What is asked meanwhile waits, and the same seed gives the same picture in the new process.
    after = await events_of(engine, asked(engine, "after", num_inference_steps=30))
    assert engine.health().state == "ready"
    assert engine.pid != first
    for events in (await interrupted, after):
        assert isinstance(before[-1], Finished)
        assert isinstance(events[-1], Finished)
        assert np.array_equal(before[-1].pixels, events[-1].pixels)


def test_a_second_start_remembers_what_the_first_measured(
    models: tuple[LocalModel, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    # What others take of the processor is no time of this test's: whatever is measured counts, and is kept.
    monkeypatch.setattr("limner.engine.measure.time.process_time", time.perf_counter)
    monkeypatch.setattr(child, "serve", lambda *_: None)
    start = EngineStart(models, "cpu", torch.get_num_threads(), False, tmp_path, "torch", "float32")
    child.main(start, Inbox(), told.append)
    monkeypatch.setattr("limner.engine.runner.measure", None)
    child.main(start, Inbox(), told.append)
    first, second = told
    assert isinstance(first, Ready)
    assert {curve.model for curve in first.curves} == {"painter", "sketcher"}
    assert all(seconds > 0 for curve in first.curves for seconds in curve.measured.values())
    assert second == first
    with pytest.raises(TypeError, match="not callable"):  # other steps, other times
        child.main(replace(start, dtype="bfloat16"), Inbox(), told.append)


async def test_counts_are_of_what_the_engine_did(engine: LocalEngine) -> None:
    await until(engine, "ready")
    measured = {curve.model: curve.measured for curve in engine.stats().curves}
    assert set(measured) == {"painter", "sketcher"}
    before = engine.stats()
    await events_of(engine, asked(engine, "counted", num_inference_steps=3, guidance_scale=4.0))
    after = engine.stats()
    assert (after.steps - before.steps, after.images - before.images) == (3, 1)
    assert after.rows - before.rows == 6


async def test_exact_pictures_are_the_same_to_the_bit_alone_in_a_crowd_and_after_a_restart(
    models: tuple[LocalModel, ...], cache_dir: Path
) -> None:
    engine = LocalEngine(models[:1], device="cpu", threads=1, exact=True, cache_dir=cache_dir)
    await engine.start()
    await until(engine, "ready")

    async def mine(name: str) -> np.ndarray[Any, Any]:
        request = asked(engine, name, num_inference_steps=6, guidance_scale=4.0, sampler="euler_ancestral")
        end = (await events_of(engine, request))[-1]
        assert isinstance(end, Finished)
        return end.pixels

    alone = await mine("alone")
    others = (asked(engine, f"other {i}", f"p{i}", seed=i, guidance_scale=1.0 + i % 2) for i in range(5))
    crowd = [asyncio.create_task(events_of(engine, request)) for request in others]
    assert np.array_equal(await mine("in a crowd"), alone)
    await asyncio.gather(*crowd)
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    assert np.array_equal(await mine("after a restart"), alone)
    await engine.stop()


async def test_a_model_that_cannot_be_loaded_is_told_with_the_reason(tmp_path: Path) -> None:
    folder = tiny.save(tiny.TinyModel(), tmp_path / "broken")
    opened = open_models([str(folder)])
    config = folder / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace("scaled_linear", "sigmoid"))
    broken = LocalEngine(opened, device="cpu", threads=1, cache_dir=tmp_path)
    await broken.start()
    waiting = asyncio.create_task(events_of(broken, asked(broken, "waiting")))
    await until(broken, "failed")
    assert "beta_schedule 'sigmoid' is not one of" in broken.health().detail
    assert "broken" in broken.health().detail
    for events in (await waiting, await events_of(broken, asked(broken, "late"))):
        assert isinstance(events[-1], Failed)
        assert "sigmoid" in events[-1].reason
    await broken.stop()
    assert broken.health().state == "stopped"
