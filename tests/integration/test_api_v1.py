"""The OpenAI Images protocol, spoken by hand; what real clients make of it is tried in tests/clients."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import PIL.Image
import pytest

from limner.api import long_answers
from limner.engine.double import MODEL, EngineDouble
from limner.engine.messages import EngineEvent, Health, ImageRequest, Progress
from tests.serving import Api, serving

pytestmark = pytest.mark.anyio

GENERATIONS = "/v1/images/generations"


async def painted(api: Api, **asked: Any) -> dict[str, Any]:
    answer = await api.client.post(GENERATIONS, json={"prompt": "a red house"} | asked)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, Any] = answer.json()
    return found


async def refused(api: Api, status: int, **asked: Any) -> dict[str, Any]:
    return error_of(await api.client.post(GENERATIONS, json={"prompt": "a red house"} | asked), status)


def error_of(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, Any] = answer.json()["error"]
    assert set(found) == {"message", "type", "param", "code"}
    assert found["message"]
    return found


def opened(datum: dict[str, Any]) -> PIL.Image.Image:
    return PIL.Image.open(io.BytesIO(base64.b64decode(datum["b64_json"])))


async def streamed(api: Api, **asked: Any) -> list[dict[str, Any]]:
    """The data of each event but the last, which says that it is done."""
    body = {"prompt": "a red house", "stream": True} | asked
    answer = await api.client.post(GENERATIONS, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    blocks = [block for block in answer.text.split("\n\n") if block]
    assert blocks.pop() == "data: [DONE]"
    found = []
    for block in blocks:
        name, data = (line.partition(": ")[2] for line in block.split("\n"))
        found.append(json.loads(data))
        assert found[-1]["type"] == name
    return found


async def listed(api: Api) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await api.client.get("/api/generations")).json()["items"]
    return items


async def hang_up(api: Api, body: dict[str, Any]) -> None:
    """Ask, and go away as soon as the job is there."""
    asking = asyncio.create_task(api.client.post(GENERATIONS, json=body))
    while not await listed(api):
        await asyncio.sleep(0.02)
    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asking
    await asyncio.sleep(0.2)  # no client asks again at once


async def test_the_answer_has_every_field_of_the_protocol(api: Api) -> None:
    made = await painted(api, prompt="a red house, at night", n=2, size="128x128", seed=5, user="someone")
    assert made["created"] > 1_700_000_000
    assert (made["background"], made["output_format"], made["quality"]) == ("opaque", "png", "medium")
    assert (made["size"], made["model"]) == ("128x128", "double")
    assert made["usage"] == {
        "input_tokens": 6,
        "output_tokens": 2 * 64,
        "total_tokens": 134,
        "input_tokens_details": {"text_tokens": 6, "image_tokens": 0},
    }
    assert [datum["seed"] for datum in made["data"]] == [5, 6]
    assert all("url" not in datum for datum in made["data"])
    assert {datum["revised_prompt"] for datum in made["data"]} == {"a red house, at night"}
    picture = opened(made["data"][0])
    assert (picture.format, picture.size) == ("PNG", (128, 128))


@pytest.mark.parametrize(
    ("size", "given"),
    [("auto", "128x128"), (None, "128x128"), ("1024x1024", "512x512"), ("1536x1024", "480x320")],
)
async def test_the_size_is_the_nearest_the_model_can_do_and_is_told(
    api: Api, size: str | None, given: str
) -> None:
    made = await painted(api, size=size, num_inference_steps=1)
    assert made["size"] == given
    assert "{}x{}".format(*opened(made["data"][0]).size) == given


@pytest.mark.parametrize(
    ("quality", "told", "steps"),
    [("low", "low", 4), ("auto", "medium", 8), ("standard", "medium", 8), ("hd", "high", 12)],
)
async def test_quality_is_a_matter_of_steps(api: Api, quality: str, told: str, steps: int) -> None:
    assert (await painted(api, prompt=f"in {quality}", quality=quality))["quality"] == told
    assert api.engine.asked[-1].params.num_inference_steps == steps


async def test_the_extensions_arrive(api: Api) -> None:
    extensions = {"negative_prompt": "rain", "seed": 9, "num_inference_steps": 3, "guidance_scale": 2}
    await painted(api, **extensions, quality="hd", something_else=[1])
    params = api.engine.asked[-1].params.model_dump()
    assert {name: params[name] for name in extensions} == extensions


@pytest.mark.parametrize(
    ("prompt", "begins"), [("*", "a"), ("a castle", "a castle a"), ("", "a"), (None, "a")]
)
async def test_random_has_the_prompt_written_and_tells_it(api: Api, prompt: str | None, begins: str) -> None:
    made = await painted(api, prompt=prompt, random=True, seed=3)
    told = made["data"][0]["revised_prompt"]
    assert told.startswith(begins)
    assert told == api.engine.asked[-1].params.prompt
    assert len(told) > 8


@pytest.mark.parametrize(
    ("model", "wish", "key"),
    [
        ("dall-e-3", None, "url"),
        ("dall-e-2", "b64_json", "b64_json"),
        ("gpt-image-1", None, "b64_json"),
        ("gpt-image-1.5", "url", "url"),
        ("double", None, "b64_json"),
        (None, None, "b64_json"),
    ],
)
async def test_a_picture_comes_as_the_model_of_that_name_would_send_it(
    api: Api, model: str | None, wish: str | None, key: str
) -> None:
    made = await painted(api, model=model, response_format=wish, num_inference_steps=1)
    assert made["model"] == "double"
    assert [name for name in ("url", "b64_json") if name in made["data"][0]] == [key]


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
async def test_formats_and_their_compression_hold_for_bytes_and_for_urls(api: Api, format: str) -> None:
    asked = {"output_format": format, "seed": 4, "num_inference_steps": 1}
    plain = await painted(api, **asked)
    small = await painted(api, **asked, output_compression=20)
    linked = await painted(api, **asked, output_compression=20, response_format="url")
    assert plain["output_format"] == small["output_format"] == format
    assert opened(plain["data"][0]).format == format.upper()
    fetched = await api.client.get(linked["data"][0]["url"])
    assert fetched.headers["content-type"] == f"image/{format}"
    assert len(fetched.content) == len(base64.b64decode(small["data"][0]["b64_json"]))
    assert (len(small["data"][0]["b64_json"]) < len(plain["data"][0]["b64_json"])) == (format != "png")


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": "  "}, "prompt"),
        ({"prompt": 3}, "prompt"),
        ({"prompt": "a" * 4001}, "prompt"),
        ({"prompt": "a\x00b"}, "prompt"),
        ({"n": 11}, "n"),
        ({"n": 0}, "n"),
        ({"n": "2"}, "n"),
        ({"n": True}, "n"),
        ({"size": "large"}, "size"),
        ({"size": "0x0"}, "size"),
        ({"size": 512}, "size"),
        ({"quality": "best"}, "quality"),
        ({"response_format": "png"}, "response_format"),
        ({"output_format": "gif"}, "output_format"),
        ({"output_compression": 101}, "output_compression"),
        ({"background": "transparent"}, "background"),
        ({"stream": "yes"}, "stream"),
        ({"stream": True, "partial_images": 4}, "partial_images"),
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"num_inference_steps": 151}, "num_inference_steps"),
        ({"num_inference_steps": 0}, "num_inference_steps"),
        ({"guidance_scale": 31}, "guidance_scale"),
        ({"negative_prompt": "\x1b"}, "negative_prompt"),
        ({"random": 1}, "random"),
    ],
)
async def test_a_wrong_value_is_named(api: Api, asked: dict[str, Any], param: str) -> None:
    found = await refused(api, 422, **asked)
    assert (found["type"], found["param"], found["code"]) == ("invalid_request_error", param, "invalid_input")


async def test_a_model_that_nobody_knows_is_not_found(api: Api) -> None:
    found = await refused(api, 404, model="somebody/else")
    assert found["code"] == "model_not_found"
    assert "double" in found["message"]


@pytest.mark.parametrize(
    ("method", "path", "content", "headers", "status"),
    [
        ("GET", "/v1/nothing", None, {}, 404),
        ("GET", "/v1", None, {}, 404),
        ("GET", GENERATIONS, None, {}, 405),
        ("POST", GENERATIONS, b"{", {"Content-Type": "application/json"}, 400),
        ("POST", GENERATIONS, b"[]", {"Content-Type": "application/json"}, 422),
        ("POST", GENERATIONS, b"x", {"Content-Type": "text/plain"}, 415),
        ("POST", GENERATIONS, b" " * 65_537, {"Content-Type": "application/json"}, 413),
        ("GET", "/v1/models", None, {"Host": "evil.example"}, 403),
        ("GET", "/v1/models/none/such", None, {}, 404),
    ],
)
async def test_every_refusal_is_in_the_protocols_words(
    api: Api, method: str, path: str, content: bytes | None, headers: dict[str, str], status: int
) -> None:
    error_of(await api.client.request(method, path, content=content, headers=headers), status)


async def test_a_body_of_unknown_length_is_cut_at_the_limit(api: Api) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(70):
            yield b" " * 1000

    answer = await api.client.post(
        GENERATIONS, content=pieces(), headers={"Content-Type": "application/json"}
    )
    error_of(answer, 413)


async def test_errors_elsewhere_stay_problem_documents(api: Api) -> None:
    answer = await api.client.get("/v1x/models")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_an_unforeseen_error_is_in_the_protocols_words(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(api.store, "read", broken)
    found = await refused(api, 500)
    assert (found["type"], found["code"]) == ("server_error", "internal")
    assert "secret" not in found["message"]


async def test_a_full_queue_says_when_to_come_back(tmp_path: Path) -> None:
    async with serving(tmp_path, EngineDouble(unhealthy=Health("loading")), max_queued=1) as api:
        await api.generate()
        for stream in (False, True):
            answer = await api.client.post(GENERATIONS, json={"prompt": "x", "stream": stream})
            assert error_of(answer, 429)["type"] == "rate_limit_error"
            assert int(answer.headers["retry-after"]) > 0


async def test_a_picture_that_cannot_be_painted_is_not_asked_for_again(api: Api) -> None:
    answer = await api.client.post(GENERATIONS, json={"prompt": "a cursed house"})
    assert error_of(answer, 500)["code"] == "engine_failed"
    assert answer.headers["x-should-retry"] == "false"


async def test_models_are_listed_and_read_one_by_one(tmp_path: Path) -> None:
    hub = MODEL.model_copy(update={"name": "somebody/turbo", "default": False})
    async with serving(tmp_path, EngineDouble(step_s=0.001, info=(MODEL, hub))) as api:
        found = (await api.client.get("/v1/models")).json()
        assert found["object"] == "list"
        assert [model["id"] for model in found["data"]] == ["double", "somebody/turbo"]
        assert (await api.client.get("/v1/models/somebody/turbo")).json() == found["data"][1]
        assert found["data"][1]["object"] == "model"
        assert (await painted(api, model="somebody/turbo"))["model"] == "somebody/turbo"


async def test_a_stream_shows_the_picture_on_its_way(tmp_path: Path) -> None:
    async with serving(tmp_path, EngineDouble(step_s=0.03)) as api:
        events = await streamed(api, partial_images=3, num_inference_steps=40, output_format="jpeg", seed=7)
    kinds = [event["type"].partition(".")[2] for event in events]
    assert kinds == ["partial_image"] * 3 + ["completed"]
    assert [event["partial_image_index"] for event in events[:3]] == [0, 1, 2]
    for event in events:
        picture = opened(event)
        assert (picture.format, picture.size, event["size"]) == ("JPEG", (128, 128), "128x128")
        assert (event["background"], event["quality"], event["output_format"]) == ("opaque", "medium", "jpeg")
        assert event["created_at"] > 1_700_000_000
    last = events[-1]
    assert (last["seed"], last["model"], last["revised_prompt"]) == (7, "double", "a red house")
    assert last["usage"]["total_tokens"] == 3 + 64


async def test_a_stream_of_several_says_which_and_adds_up_to_the_whole(api: Api) -> None:
    events = await streamed(api, n=3, seed=1)
    assert {event["type"] for event in events} == {"image_generation.completed"}
    assert sorted(event["index"] for event in events) == [0, 1, 2]
    assert all(event["seed"] == 1 + event["index"] for event in events)
    whole = (await painted(api, n=3, seed=1))["usage"]
    for name in ("input_tokens", "output_tokens", "total_tokens"):
        assert sum(event["usage"][name] for event in events) == whole[name]


async def test_a_stream_that_fails_ends_with_an_error(api: Api) -> None:
    answer = await api.client.post(GENERATIONS, json={"prompt": "a cursed house", "stream": True})
    name, data = answer.text.strip().split("\n\n")[-1].split("\n")
    assert name == "event: error"
    assert "cannot be painted" in json.loads(data.removeprefix("data: "))["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
async def test_who_hangs_up_and_asks_again_finds_the_same_picture(tmp_path: Path, stream: bool) -> None:
    async with serving(tmp_path, EngineDouble(step_s=0.02)) as api:
        body = {"prompt": "a red house", "num_inference_steps": 60, "stream": stream}
        await hang_up(api, body)
        answer = await api.client.post(GENERATIONS, json=body)
        assert answer.status_code == 200
        assert len(await listed(api)) == 1
        assert len(api.engine.asked) == 1


class Halting(EngineDouble):
    """The second of two pictures shows a preview and then halts for a while."""

    async def _events(self, request: ImageRequest, cancelled: asyncio.Event) -> AsyncIterator[EngineEvent]:
        async for event in super()._events(request, cancelled):
            if request.seed == 1 and isinstance(event, Progress) and event.step == 2:
                await asyncio.sleep(2)
            yield event


async def test_who_asks_again_is_told_of_each_picture_once(tmp_path: Path) -> None:
    async with serving(tmp_path, Halting(step_s=0.01)) as api:
        body = {"prompt": "a red house", "n": 2, "seed": 0, "stream": True}
        asking = asyncio.create_task(api.client.post(GENERATIONS, json=body))
        async with asyncio.timeout(20):
            while not any(
                item["images"] for item in (await api.client.get("/api/generations")).json()["items"]
            ):
                await asyncio.sleep(0.02)
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
        await asyncio.sleep(0.2)
        events = await streamed(api, **body)
        assert [event["index"] for event in events] == [0, 1]
        assert len(api.engine.asked) == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_who_hangs_up_for_good_has_the_job_called_off(tmp_path: Path, stream: bool) -> None:
    async with serving(tmp_path, EngineDouble(step_s=0.5), grace_s=0.3) as api:
        body = {"prompt": "a red house", "num_inference_steps": 150, "stream": stream}
        await hang_up(api, body)
        job = (await listed(api))[0]
        assert (await api.over(job["id"]))["status"] == "cancelled"


async def test_bytes_flow_while_the_answer_takes_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_answers, "PATIENCE_S", 0.2)
    monkeypatch.setattr(long_answers, "HEARTBEAT_S", 0.1)
    async with serving(tmp_path, EngineDouble(step_s=0.1)) as api:
        answer = await api.client.post(GENERATIONS, json={"prompt": "x"})
        assert answer.status_code == 200
        assert answer.content.startswith(b"   ")
        assert opened(answer.json()["data"][0]).size == (128, 128)
        late = await api.client.post(GENERATIONS, json={"prompt": "a cursed house"})
        assert error_of(late, 200)["code"] == "engine_failed"


async def test_who_hangs_up_while_bytes_flow_has_the_job_called_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_answers, "PATIENCE_S", 0.1)
    async with serving(tmp_path, EngineDouble(step_s=0.5), grace_s=0.1) as api:
        body = {"prompt": "x", "num_inference_steps": 150}
        async with api.client.stream("POST", GENERATIONS, json=body) as answer:
            await anext(answer.aiter_raw())
        job = (await listed(api))[0]
        assert (await api.over(job["id"]))["status"] == "cancelled"
