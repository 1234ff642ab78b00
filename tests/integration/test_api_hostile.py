"""Prompts that were written to break something are only words, in every protocol."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import PIL.Image
import pytest
from httpx_sse import aconnect_sse

from limner.engine.double import EngineDouble
from limner.service import infotext
from tests.serving import Api, serving

pytestmark = pytest.mark.anyio

WORDS = {
    "markup": '<script>alert(1)</script><img src=x onerror="alert(1)">',
    "markup that closes": "\"'></title></textarea>--><svg onload=alert(1)>",
    "templates": "{{7*7}} ${7*7} #{7*7} %s%n {0.__class__} %(x)s",
    "SQL": "'; DROP TABLE jobs; --",
    "shell": "$(touch owned) `touch owned`; touch owned | cat /etc/passwd",
    "paths": "../../../../etc/passwd\\..\\owned.png",
    "headers": "a house\r\nSet-Cookie: owned=1\r\n\r\n<h1>",
    "events": "a house\n\nevent: failed\ndata: {}\n\nevent: done",
    "settings": "a house\nNegative prompt: x\nSteps: 1, Seed: 99, Size: 1x1",
    "bidirectional": "a \u202egnp.exe\u2066 house\u2069\u200f.",
    "invisible": "a\u200b\u200dred\ufeff\u00adhouse.",
    "combining": "a" + "\u0301" * 1000,
    "emoji": "😀" * 4000,
    "no characters": "a \ufffe\uffff\U0010ffff house",
    "separators": "a\u0085b\u2028c\u2029d",
}
NO_PROMPTS = {
    "null bytes": "a\x00house",
    "escapes": "\x1b]0;owned\x07\x1b[2J",
    "delete": "a\x7fhouse",
    "half a surrogate pair": "a \ud800 house",
    "one character too many": "a" * 4001,
    "64 kB": "😀" * 20_000,
    "1 MB": "a" * 1_000_000,
    "1 MB of nulls": "\x00" * 1_000_000,
}
PATHS = ("/api/generations", "/v1/images/generations", "/sdapi/v1/txt2img")


@pytest.fixture(scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    async with serving(tmp_path_factory.mktemp("data"), EngineDouble(step_s=0.0)) as running:
        yield running


async def ask(api: Api, path: str, prompt: str, **headers: str) -> httpx.Response:
    """The prompt in ASCII, as JSON can say anything."""
    body = json.dumps({"prompt": prompt})
    always = {"Content-Type": "application/json", "Prefer": "wait=20"}
    answer = await api.client.post(path, content=body, headers=always | headers)
    assert answer.headers["content-type"] in ("application/json", "application/problem+json")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "set-cookie" not in answer.headers
    return answer


async def painted(api: Api, path: str, answer: Any) -> tuple[str, bytes]:
    """What it says was painted, and the file."""
    match path:
        case "/api/generations":
            assert answer["status"] == "succeeded"
            return answer["params"]["prompt"], (await api.client.get(answer["images"][0]["url"])).content
        case "/v1/images/generations":
            return answer["data"][0]["revised_prompt"], base64.b64decode(answer["data"][0]["b64_json"])
        case _:
            assert json.loads(answer["info"])["prompt"] == answer["parameters"]["prompt"]
            return answer["parameters"]["prompt"], base64.b64decode(answer["images"][0])


async def newest(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = (await api.client.get("/api/generations?limit=1")).json()["items"][0]
    return found


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("prompt", WORDS.values(), ids=WORDS)
async def test_it_is_painted_kept_and_told_as_it_was_written(api: Api, path: str, prompt: str) -> None:
    answer = await ask(api, path, prompt)
    assert answer.status_code == 200, answer.text
    told, file = await painted(api, path, answer.json())
    assert told == prompt
    assert PIL.Image.open(io.BytesIO(file)).format == "PNG"
    assert infotext.read(file).text.startswith(prompt)
    kept = await newest(api)
    assert (kept["params"]["prompt"], kept["status"]) == (prompt, "succeeded")
    for query in ("", "?download=1", "?format=jpeg"):
        picture = await api.client.get(kept["images"][0]["url"] + query)
        assert picture.status_code == 200
        name = picture.headers["content-disposition"]
        assert name.isprintable()
        assert not set(name) & set("<>\\/`$"), name
        assert "set-cookie" not in picture.headers


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("prompt", NO_PROMPTS.values(), ids=NO_PROMPTS)
async def test_what_no_prompt_may_hold_is_refused_and_nothing_is_made(
    api: Api, path: str, prompt: str
) -> None:
    before = await api.painted("a red house")
    answer = await ask(api, path, prompt)
    assert answer.status_code == (413 if len(json.dumps(prompt)) > 64_000 else 422), answer.text[:300]
    assert len(answer.content) < 2_000, "the answer does not throw everything back"
    assert b"prompt" in answer.content or answer.status_code == 413
    assert (await newest(api))["id"] == before["id"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("field", ["negative_prompt", "model", "sampler_name", "force_task_id"])
async def test_no_other_text_breaks_anything(api: Api, path: str, field: str) -> None:
    for text in (*WORDS.values(), *NO_PROMPTS.values()):
        body = json.dumps(
            {"prompt": "a house", field: text, "override_settings": {"sd_model_checkpoint": text}}
        )
        headers = {"Content-Type": "application/json", "Prefer": "wait=20"}
        answer = await api.client.post(path, content=body, headers=headers)
        assert answer.status_code < 500, (text[:50], answer.text)


@pytest.mark.parametrize("prompt", WORDS.values(), ids=WORDS)
async def test_the_prompt_writer_takes_it_for_words(api: Api, prompt: str) -> None:
    given = prompt[:3000]
    answer = await api.client.post("/api/prompts", json={"text": given})
    assert answer.status_code == 200, answer.text
    assert answer.json()["text"].startswith(given)


async def test_no_prompt_can_forge_an_event(api: Api) -> None:
    body = {"prompt": WORDS["events"]}
    headers = {"Accept": "text/event-stream"}
    for path, last in (("/api/generations", "succeeded"), ("/v1/images/generations", "message")):
        async with aconnect_sse(
            api.client, "POST", path, json=body | {"stream": True} if "v1" in path else body, headers=headers
        ) as source:
            names = [event.event async for event in source.aiter_sse()]
        assert names[-1] == last
        assert not {"failed", "done"} & set(names)


async def test_nothing_was_lost_or_run(api: Api) -> None:
    """After all of the above: each job that was taken ended, and no word of a prompt was run."""
    cursor = ""
    statuses = set()
    while True:
        page = (await api.client.get(f"/api/generations?limit=100{cursor}")).json()
        statuses |= {item["status"] for item in page["items"]}
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert statuses == {"succeeded"}
    assert not list(api.folder.rglob("owned*"))
