"""What is wrong is answered with a problem document that names it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from limner.api.schemas import Problem
from limner.errors import StorageUnavailable
from tests.serving import Api

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}


def problem(answer: httpx.Response, status: int, code: str) -> Problem:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    found = Problem.model_validate_json(answer.content)
    assert (found.status, found.code, found.type) == (status, code, "about:blank")
    assert found.detail
    return found


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": "   "}, "prompt"),
        ({}, "prompt"),
        ({"prompt": "a" * 4001}, "prompt"),
        ({"prompt": 3}, "prompt"),
        ({"prompt": ["a"]}, "prompt"),
        ({"prompt": "a\x00b"}, "prompt"),
        ({"prompt": "x", "negative_prompt": "\x1b[2J"}, "negative_prompt"),
        ({"prompt": "x", "width": 100}, "width"),
        ({"prompt": "x", "height": 528}, "height"),
        ({"prompt": "x", "width": 1e9}, "width"),
        ({"prompt": "x", "num_inference_steps": 0}, "num_inference_steps"),
        ({"prompt": "x", "num_inference_steps": 151}, "num_inference_steps"),
        ({"prompt": "x", "guidance_scale": 30.5}, "guidance_scale"),
        ({"prompt": "x", "sampler": "magic"}, "sampler"),
        ({"prompt": "x", "schedule": "magic"}, "schedule"),
        ({"prompt": "x", "model": "nobody"}, "model"),
        ({"prompt": "x", "seed": 2**32}, "seed"),
        ({"prompt": "x", "seed": -1}, "seed"),
        ({"prompt": "x", "seed": 1.5}, "seed"),
        ({"prompt": "x", "num_images": 17}, "num_images"),
        ({"prompt": "x", "output_format": "gif"}, "output_format"),
        ({"prompt": "x", "steps": 20}, "steps"),
    ],
)
async def test_a_wrong_value_is_named_with_its_limit(api: Api, body: dict[str, Any], field: str) -> None:
    found = problem(await api.client.post("/api/generations", json=body), 422, "invalid_input")
    assert [error.field for error in found.errors] == [field]
    assert found.errors[0].message
    assert field in found.detail


async def test_a_size_the_model_cannot_do_says_what_it_can(api: Api) -> None:
    answer = await api.client.post("/api/generations", json={"prompt": "x", "width": 100, "height": 96})
    error = problem(answer, 422, "invalid_input").errors[0]
    assert (error.field, error.value, error.limit) == ("width", 100, "64 to 512 in steps of 16")
    assert "96" in error.message


async def test_every_wrong_value_is_named_at_once(api: Api) -> None:
    body = {"prompt": "", "width": 1, "sampler": "x", "foo": 1}
    found = problem(await api.client.post("/api/generations", json=body), 422, "invalid_input")
    assert {error.field for error in found.errors} == {"width", "sampler", "foo"}


@pytest.mark.parametrize(
    "body",
    [b'{"prompt"', b"", b"[", b"\xff\xfe", b"[" * 20_000, b'{"prompt": "x", "seed": ' + b"9" * 5000 + b"}"],
)
async def test_what_is_no_json_is_refused(api: Api, body: bytes) -> None:
    answer = await api.client.post("/api/generations", content=body, headers=JSON)
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("body", [b"null", b"[]", b'"x"', b"3"])
async def test_json_that_is_no_object_is_refused(api: Api, body: bytes) -> None:
    problem(await api.client.post("/api/generations", content=body, headers=JSON), 422, "invalid_input")


async def test_half_a_surrogate_pair_is_refused_and_can_be_answered(api: Api) -> None:
    for field in ("prompt", "model", "sampler"):
        body = f'{{"prompt": "x", "{field}": "\\ud800"}}'.encode()
        found = problem(
            await api.client.post("/api/generations", content=body, headers=JSON), 422, "invalid_input"
        )
        assert found.errors[0].field == field


@pytest.mark.parametrize(
    "prompt",
    [
        "<script>alert(1)</script>",
        "'; DROP TABLE jobs; --",
        "\u202eesrever\u2066",
        "a\nb\r\n\tc",
        "😀" * 4000,
        "%s%n{0}${x}",
        "\u0085\u2028\ufeff x",
    ],
)
async def test_hostile_prompts_are_only_words(api: Api, prompt: str) -> None:
    made = await api.painted(prompt)
    assert made["status"] == "succeeded"
    assert made["params"]["prompt"] == prompt.strip()
    assert (await api.client.get(made["images"][0]["url"])).status_code == 200


async def test_a_body_over_its_limit_is_refused_whether_announced_or_not(api: Api) -> None:
    large = b'{"prompt": "' + b"a" * 70_000 + b'"}'

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 8192):
            yield large[start : start + 8192]

    for path in ("/api/generations", "/api/prompts"):
        for content in (large, pieces()):
            found = problem(await api.client.post(path, content=content, headers=JSON), 413, "too_large")
            assert "64 kB" in found.detail


async def test_a_body_that_is_not_called_json_is_refused(api: Api) -> None:
    for headers in (
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {},
    ):
        answer = await api.client.post("/api/generations", content=b'{"prompt": "x"}', headers=headers)
        problem(answer, 415, "not_json")


async def test_a_form_cannot_cancel(api: Api) -> None:
    made = await api.generate()
    problem(await api.client.post(f"/api/generations/{made['id']}/cancel", data={"a": "b"}), 415, "not_json")


@pytest.mark.parametrize("path", ["/nope", "/api/nope", "/api/generations/none", "/api/images/none"])
async def test_what_is_not_there_is_not_found(api: Api, path: str) -> None:
    problem(await api.client.get(path), 404, "not_found")
    if path == "/api/generations/none":
        problem(await api.client.get(f"{path}/events"), 404, "not_found")
        problem(await api.client.post(f"{path}/cancel"), 404, "not_found")


async def test_a_method_that_is_not_there_names_those_that_are(api: Api) -> None:
    answer = await api.client.put("/api/capabilities", json={})
    assert "GET" in problem(answer, 405, "method_not_allowed").detail
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "cursor=-1", "cursor=x", f"cursor={'9' * 30}"]
)
async def test_a_wrong_page_is_named(api: Api, query: str) -> None:
    found = problem(await api.client.get(f"/api/generations?{query}"), 422, "invalid_input")
    assert found.errors[0].field == query.split("=")[0]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "", "a b"])
async def test_a_host_that_is_not_ours_is_refused(api: Api, host: str) -> None:
    problem(await api.client.get("/api/generations", headers={"Host": host}), 403, "host_not_allowed")


async def test_a_forwarded_host_that_is_not_ours_is_refused(api: Api) -> None:
    headers = {"X-Forwarded-Host": "evil.example"}
    problem(await api.client.get("/api/generations", headers=headers), 403, "host_not_allowed")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:7860", "[::1]:80"])
async def test_our_own_names_are_answered(api: Api, host: str) -> None:
    assert (await api.client.get("/healthz", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://[", "http://localhost.evil.example"]
)
async def test_a_page_from_elsewhere_may_not_write(api: Api, origin: str) -> None:
    headers = {"Origin": origin}
    answer = await api.client.post("/api/generations", json={"prompt": "from elsewhere"}, headers=headers)
    problem(answer, 403, "origin_not_allowed")
    assert "access-control-allow-origin" not in answer.headers
    assert all(
        made["params"]["prompt"] != "from elsewhere"
        for made in (await api.client.get("/api/generations")).json()["items"]
    )


async def test_our_own_page_may_write(api: Api) -> None:
    answer = await api.client.post("/api/generations", json={"prompt": "x"}, headers={"Origin": api.url})
    assert answer.status_code == 202


async def test_a_record_that_cannot_be_written_is_said(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise StorageUnavailable("the record cannot be used: database or disk is full")

    monkeypatch.setattr(api.store.queue, "submit", full)
    answer = await api.client.post("/api/generations", json={"prompt": "x"})
    assert "disk is full" in problem(answer, 503, "storage_unavailable").detail
    assert "retry-after" in answer.headers
