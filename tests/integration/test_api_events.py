"""Watching a generation: order, resuming, several readers, slow readers."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from httpx_sse import aconnect_sse

from limner.api import streams
from limner.engine.double import EngineDouble
from limner.engine.messages import Health
from tests.serving import Api, serving

pytestmark = pytest.mark.anyio


@pytest.fixture
async def slow(tmp_path: Path) -> AsyncIterator[Api]:
    """Two slots, and a picture takes a third of a second."""
    async with serving(tmp_path, EngineDouble(step_s=0.04, slots=2)) as running:
        yield running


async def test_a_stream_goes_from_snapshot_to_end_with_ids_that_rise(slow: Api) -> None:
    slow.engine.unhealthy = Health("loading")
    made = await slow.generate(num_images=2)
    events = []
    async for event in slow.follow(made["id"]):
        events.append(event)
        slow.engine.unhealthy = None
    names = [event.event for event in events]
    assert names[:3] == ["snapshot", "queued", "started"]
    assert names[-1] == "succeeded"
    assert names.index("started") < names.index("progress") < names.index("image")
    assert names.count("image") == 2
    assert "preview" in names
    ids = [int(event.id) for event in events]
    assert ids == sorted(set(ids))
    assert json.loads(events[-1].data)["images"] == (await slow.read(made["id"]))["images"]


async def test_each_picture_counts_its_own_steps(slow: Api) -> None:
    made = await slow.generate(num_images=2)
    for index in (0, 1):
        steps = [
            json.loads(event.data)
            for event in await slow.events(made["id"])
            if event.event == "progress" and json.loads(event.data)["index"] == index
        ]
        assert [p["step"] for p in steps] == sorted(p["step"] for p in steps)
        assert all(p["steps"] == 8 and p["eta_s"] >= 0 for p in steps)
        if index == 0:
            assert steps[-1]["step"] >= 7
        made = await slow.generate(num_images=2)


async def test_previews_are_small_pictures_and_few(slow: Api) -> None:
    made = await slow.generate(num_inference_steps=20)
    previews = [json.loads(e.data) for e in await slow.events(made["id"]) if e.event == "preview"]
    assert 1 <= len(previews) <= 5
    for preview in previews:
        assert len(preview["image"]) <= 8_000
        kind, data = preview["image"].split(",")
        assert kind == "data:image/webp;base64"
        assert base64.b64decode(data)[:4] == b"RIFF"


async def test_an_image_is_told_of_once_its_bytes_are_there(slow: Api) -> None:
    made = await slow.generate(num_images=2)
    async for event in slow.follow(made["id"]):
        if event.event == "image":
            assert (await slow.client.get(json.loads(event.data)["url"])).status_code == 200


async def test_two_readers_hear_the_same_images_and_the_same_end(slow: Api) -> None:
    made = await slow.generate(num_images=2)
    one, two = await asyncio.gather(slow.events(made["id"]), slow.events(made["id"]))
    for name in ("image", "succeeded"):
        assert [e.data for e in one if e.event == name] == [e.data for e in two if e.event == name]


async def test_a_reader_that_comes_back_hears_only_what_is_newer(slow: Api) -> None:
    made = await slow.generate(num_images=2, num_inference_steps=40)
    last = ""
    async for event in slow.follow(made["id"]):
        last = event.id
        if event.event == "progress":
            break
    events = await slow.events(made["id"], last)
    assert events[0].event != "snapshot"
    assert all(int(event.id) > int(last) for event in events)
    assert [e.event for e in events].count("image") == 2
    assert events[-1].event == "succeeded"


@pytest.mark.parametrize("last", ["1", "99999999999999999999", "none of ours"])
async def test_a_reader_with_an_unknown_last_id_gets_a_snapshot(slow: Api, last: str) -> None:
    made = await slow.generate(num_inference_steps=2)
    events = await slow.events(made["id"], last)
    assert events[0].event == "snapshot"
    assert events[-1].event == "succeeded"


async def test_a_reader_that_comes_after_the_end_gets_snapshot_and_end(slow: Api) -> None:
    made = await slow.painted(num_inference_steps=1)
    events = await slow.events(made["id"])
    assert [event.event for event in events] == ["snapshot", "succeeded"]
    assert await slow.events(made["id"], events[-1].id)


async def test_a_late_reader_sees_the_picture_so_far(slow: Api) -> None:
    made = await slow.generate(num_inference_steps=150)
    async for event in slow.follow(made["id"]):
        if event.event == "preview":
            break
    names = []
    async for event in slow.follow(made["id"]):
        names.append(event.event)
        if len(names) == 4:
            break
    assert names[0] == "snapshot"
    assert "preview" in names
    await slow.client.post(f"/api/generations/{made['id']}/cancel")


async def test_who_waits_hears_how_the_queue_moves(tmp_path: Path) -> None:
    async with serving(tmp_path, EngineDouble(step_s=0.1, slots=1, unhealthy=Health("loading"))) as api:
        for _ in range(2):
            await api.generate()
        last = await api.generate(num_inference_steps=1)
        places = []
        async for event in api.follow(last["id"]):
            if event.event == "queued":
                api.engine.unhealthy = None
                places.append(json.loads(event.data)["position"])
        assert places[0] == 3
        assert places[-1] < 3
        assert places == sorted(places, reverse=True)
        assert event.event == "succeeded"


async def test_cancelling_and_failing_end_the_stream_with_what_they_are(slow: Api) -> None:
    made = await slow.generate(num_inference_steps=100)
    names = []
    async for event in slow.follow(made["id"]):
        names.append(event.event)
        if event.event == "progress" and names.count("progress") == 1:
            await slow.client.post(f"/api/generations/{made['id']}/cancel")
    assert names[-1] == "cancelled"
    bad = await slow.generate("a cursed house", num_inference_steps=4)
    last = (await slow.events(bad["id"]))[-1]
    assert last.event == "failed"
    assert json.loads(last.data)["error"]["message"] == "this prompt cannot be painted"


async def test_a_post_can_be_the_stream_itself(slow: Api) -> None:
    request = {"json": {"prompt": "x", "num_inference_steps": 2}}
    async with aconnect_sse(slow.client, "POST", "/api/generations", **request) as source:
        assert source.response.status_code == 200
        location = source.response.headers["location"]
        names = [event.event async for event in source.aiter_sse()]
    assert (names[0], names[-1]) == ("snapshot", "succeeded")
    assert (await slow.client.get(location)).json()["status"] == "succeeded"


async def test_silence_is_filled_with_heartbeats(slow: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.05)
    slow.engine.step_s = 0.3
    made = await slow.generate(num_inference_steps=2)
    async with slow.client.stream("GET", f"/api/generations/{made['id']}/events") as answer:
        lines = [line async for line in answer.aiter_lines()]
    assert lines.count(": still here") >= 2
    assert any(line.startswith("event: succeeded") for line in lines)


async def test_a_reader_that_never_reads_holds_nobody_up(slow: Api) -> None:
    slow.engine.step_s = 0.005
    made = await slow.generate(num_images=8, num_inference_steps=20)
    reader, writer = await asyncio.open_connection("127.0.0.1", slow.port, limit=64)
    writer.write(f"GET /api/generations/{made['id']}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await writer.drain()
    try:
        assert (await slow.over(made["id"]))["status"] == "succeeded"
    finally:
        writer.close()
    del reader


async def test_streams_end_when_the_server_stops_and_the_job_goes_on_after_it(tmp_path: Path) -> None:
    async with serving(tmp_path, EngineDouble(step_s=0.05, slots=1)) as api:
        made = await api.generate(num_inference_steps=100)
        seen: list[str] = []

        async def read() -> None:
            async with (
                httpx.AsyncClient(timeout=30) as client,
                aconnect_sse(client, "GET", made["links"]["events"]) as source,
            ):
                async for event in source.aiter_sse():
                    seen.append(event.event)

        reading = asyncio.create_task(read())
        while "progress" not in seen:
            await asyncio.sleep(0.02)
    await asyncio.wait_for(reading, 5)
    assert "succeeded" not in seen
    async with serving(tmp_path, EngineDouble(step_s=0.001)) as api:
        assert (await api.over(made["id"]))["status"] == "succeeded"


async def test_ids_go_on_rising_after_a_restart(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        first = await api.generate()
        before = int((await api.events(first["id"]))[-1].id)
    async with serving(tmp_path) as api:
        second = await api.generate()
        assert int((await api.events(second["id"]))[0].id) > before
