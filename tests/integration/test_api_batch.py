"""Many generations in one call: all of them, or none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from limner.engine.double import EngineDouble
from limner.engine.messages import Health
from tests.serving import Api, serving

pytestmark = pytest.mark.anyio

BATCH = "/api/generations/batch"


@pytest.fixture(scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """One server for the tests that need nothing special of it."""
    async with serving(tmp_path_factory.mktemp("data"), max_queued=200) as running:
        yield running


async def submitted(api: Api, *items: dict[str, Any], key: str | None = None) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await api.client.post(BATCH, json={"items": items}, headers=headers)


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 202, answer.text
    return [item["id"] for item in answer.json()["items"]]


async def count(api: Api) -> int:
    return len((await api.client.get("/api/generations?limit=100")).json()["items"])


async def test_a_hundred_are_accepted_in_order_and_made(api: Api) -> None:
    wishes = [{"prompt": f"picture {n}", "num_inference_steps": 1, "seed": n} for n in range(100)]
    answer = await submitted(api, *wishes)
    assert answer.status_code == 202
    items = answer.json()["items"]
    assert [item["params"]["prompt"] for item in items] == [wish["prompt"] for wish in wishes]
    assert all(item["links"]["self"].startswith(api.url) for item in items)
    for item in items:
        assert (await api.over(item["id"]))["status"] == "succeeded"


async def test_a_hundred_and_one_or_none_are_refused(api: Api) -> None:
    for items in ([{"prompt": "x"}] * 101, []):
        answer = await submitted(api, *items)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "items"


async def test_one_that_is_wrong_refuses_all_and_every_one_that_is_wrong_is_named(api: Api) -> None:
    before = await count(api)
    answer = await submitted(api, {"prompt": "x"}, {"prompt": "x", "width": 100}, {}, {"prompt": "x"})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["items.1.width", "items.2.prompt"]
    shape = await submitted(api, {"prompt": "x"}, {"prompt": "x", "steps": 3})
    assert [error["field"] for error in shape.json()["errors"]] == ["items.1.steps"]
    assert await count(api) == before


async def test_they_count_against_the_queue(tmp_path: Path) -> None:
    async with serving(tmp_path, EngineDouble(unhealthy=Health("loading")), max_queued=5) as api:
        assert len(ids(await submitted(api, *[{"prompt": "x"}] * 3))) == 3
        busy = await submitted(api, *[{"prompt": "x"}] * 3)
        assert busy.status_code == 429
        assert int(busy.headers["retry-after"]) > 0
        assert await count(api) == 3
        assert len(ids(await submitted(api, *[{"prompt": "x"}] * 2))) == 2
        never = await submitted(api, *[{"prompt": "x"}] * 6)
        assert never.status_code == 422, "no waiting would make room for it"
        assert never.json()["errors"][0]["limit"] == 5


async def test_a_larger_body_is_taken_here_and_here_alone(api: Api) -> None:
    wishes = [{"prompt": "x" * 3000, "num_inference_steps": 1} for _ in range(50)]
    assert len(ids(await submitted(api, *wishes))) == 50
    headers = {"Content-Type": "application/json"}
    too_large = json.dumps({"items": [{"prompt": "x"}], "more": "x" * 1024 * 1024}).encode()

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(too_large), 65_536):
            yield too_large[start : start + 65_536]

    for content in (too_large, pieces()):
        answer = await api.client.post(BATCH, content=content, headers=headers)
        assert answer.status_code == 413
        assert "1024 kB" in answer.json()["detail"]
    small = await api.client.post("/api/generations", content=b" " * 70_000, headers=headers)
    assert "64 kB" in small.json()["detail"]


async def test_a_key_makes_the_same_jobs_again_and_conflicts_with_anything_else(api: Api) -> None:
    wishes: list[dict[str, Any]] = [
        {"random": True, "num_inference_steps": 1},
        {"prompt": "x", "num_inference_steps": 1},
    ]
    first = ids(await submitted(api, *wishes, key="batch"))
    assert ids(await submitted(api, *wishes, key="batch")) == first
    assert (await submitted(api, wishes[1], wishes[0], key="batch")).status_code == 409
    assert (await submitted(api, wishes[0], key="batch")).status_code == 409
    single = await api.client.post("/api/generations", json=wishes[0], headers={"Idempotency-Key": "batch"})
    assert single.status_code == 409
    assert ids(await submitted(api, *wishes, key="another")) != first


async def test_one_key_makes_one_batch_from_many_submissions_at_once(api: Api) -> None:
    wishes = [{"prompt": f"once {n}", "num_inference_steps": 1} for n in range(3)]
    answers = await asyncio.gather(*(submitted(api, *wishes, key="once") for _ in range(20)))
    assert len({tuple(ids(answer)) for answer in answers}) == 1


async def test_random_prompts_are_written_for_each(api: Api) -> None:
    answer = await submitted(api, *({"random": True, "seed": n, "num_inference_steps": 1} for n in range(4)))
    prompts = {item["params"]["prompt"] for item in answer.json()["items"]}
    assert len(prompts) > 1
    assert all(len(prompt) > 5 for prompt in prompts)
