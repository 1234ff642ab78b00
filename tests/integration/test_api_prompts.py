"""The prompt writer over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from httpx_sse import aconnect_sse

from limner.engine.double import MODEL, EngineDouble
from limner.params import Voice
from limner.prompting.double import PromptWriterDouble
from limner.prompting.messages import WriterHealth
from tests.serving import Api, serving

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    full = MODEL.model_copy(update={"name": "big", "default": False, "voice": Voice.FULL})
    async with serving(tmp_path_factory.mktemp("data"), EngineDouble(info=(MODEL, full))) as running:
        yield running


@pytest.fixture
def api(server: Api) -> Api:
    """The writer's knobs are as at the start."""
    fresh = PromptWriterDouble(token_s=0.002)
    server.writer.__dict__.update(fresh.__dict__)
    return server


async def test_a_prompt_goes_on_from_what_is_typed_and_repeats_with_its_seed(api: Api) -> None:
    first = (await api.client.post("/api/prompts", json={"text": "a boat,"})).json()
    assert first["text"].startswith("a boat, ")
    again = await api.client.post("/api/prompts", json={"text": "a boat,", "seed": first["seed"]})
    assert again.json() == first


async def test_a_prompt_streams_token_by_token(api: Api) -> None:
    tokens, done = [], None
    async with aconnect_sse(api.client, "POST", "/api/prompts", json={"text": "a boat"}) as source:
        async for event in source.aiter_sse():
            data = json.loads(event.data)
            if event.event == "token":
                tokens.append(data["text"])
            else:
                done = (event.event, data["text"])
    assert len(tokens) > 3
    assert done == ("done", "a boat" + "".join(tokens))


async def test_the_model_chooses_the_voice(api: Api) -> None:
    await api.client.post("/api/prompts", json={"model": "big"})
    await api.client.post("/api/prompts", json={})
    assert [request.voice for request in api.writer.asked] == [Voice.FULL, Voice.STARTER]


async def test_closing_the_stream_stops_the_writer(api: Api) -> None:
    api.writer.token_s = 0.05
    async with aconnect_sse(api.client, "POST", "/api/prompts", json={}) as source:
        async for _ in source.aiter_sse():
            break
    async with asyncio.timeout(5):
        while not api.writer.stopped:
            await asyncio.sleep(0.02)


async def test_a_writer_that_loads_says_when_to_come_back(api: Api) -> None:
    api.writer.unhealthy = WriterHealth("loading")
    for accept in ("application/json", "text/event-stream"):
        answer = await api.client.post("/api/prompts", json={}, headers={"Accept": accept})
        assert answer.status_code == 503
        assert "retry-after" in answer.headers
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_writer_that_fails_midway_says_so_in_the_stream(api: Api) -> None:
    async with aconnect_sse(api.client, "POST", "/api/prompts", json={}) as source:
        names = []
        async for event in source.aiter_sse():
            api.writer.fails = True
            names.append(event.event)
    assert names[-1] == "error"
    assert json.loads(event.data)["code"] == "prompt_writer_failed"
    assert (await api.client.post("/api/prompts", json={})).json()["code"] == "prompt_writer_failed"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"model": "nobody"}, "model"),
        ({"temperature": 0}, "temperature"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"seed": -1}, "seed"),
        ({"text": "a" * 4001}, "text"),
        ({"text": "a\x00b"}, "text"),
        ({"txet": ""}, "txet"),
    ],
)
async def test_what_a_prompt_cannot_be_asked_with_is_named(
    api: Api, body: dict[str, object], field: str
) -> None:
    answer = await api.client.post("/api/prompts", json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
