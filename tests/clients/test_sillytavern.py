"""SillyTavern's requests, in its order, and its habit of interrupting whenever a browser goes away."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import PIL.Image
import pytest

from limner.engine.double import MODEL, EngineDouble
from tests.serving import Api, serving

pytestmark = pytest.mark.anyio

OTHER = MODEL.model_copy(update={"name": "someone/other", "default": False})
HEADERS = {"Authorization": "Basic Og=="}  # of an empty user and password
GENERATE: dict[str, Any] = {
    "url": "http://127.0.0.1:7860",
    "auth": "a secret of the caller",
    "prompt": "a red house",
    "negative_prompt": "fog",
    "sampler_name": "DPM++ 2M",
    "scheduler": "karras",
    "steps": 8,
    "cfg_scale": 7,
    "width": 512,
    "height": 512,
    "restore_faces": False,
    "enable_hr": False,
    "hr_upscaler": "Latent",
    "hr_scale": 1.0,
    "hr_additional_modules": [],
    "denoising_strength": 0.7,
    "hr_second_pass_steps": 0,
    "override_settings": {"CLIP_stop_at_last_layers": 1},
    "override_settings_restore_afterwards": True,
    "clip_skip": 1,
    "save_images": True,
    "send_images": True,
    "do_not_save_grid": False,
    "do_not_save_samples": False,
}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(tmp_path, EngineDouble(step_s=0.005, info=(MODEL, OTHER))) as running:
        yield running


async def get(api: Api, call: str) -> Any:
    answer = await api.client.get(f"/sdapi/v1/{call}", headers=HEADERS)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def idle(api: Api) -> None:
    async with asyncio.timeout(10):
        while True:
            now = await get(api, "progress")
            if now["progress"] == 0 and now["state"]["job_count"] == 0:
                return
            await asyncio.sleep(0.02)


async def under_way(api: Api, calls: int = 1) -> None:
    async with asyncio.timeout(10):
        while len(api.engine.asked) < calls:
            await asyncio.sleep(0.01)


async def test_sillytavern_connects_and_fills_its_lists(api: Api) -> None:
    options = await get(api, "options")
    assert "forge_preset" not in options, "it would then send modules of another server"
    assert "DPM++ 2M" in [sampler["name"] for sampler in await get(api, "samplers")]
    assert "karras" in [schedule["name"] for schedule in await get(api, "schedulers")]
    upscalers, latent = await get(api, "upscalers"), await get(api, "latent-upscale-modes")
    assert [upscaler["name"] for upscaler in upscalers] == ["None"]
    assert [mode["name"] for mode in latent] == []
    assert [vae["model_name"] for vae in await get(api, "sd-vae")] == []
    assert await get(api, "sd-modules") == []
    assert [model["title"] for model in await get(api, "sd-models")] == ["double", "someone/other"]


async def test_sillytavern_switches_the_model_and_waits_for_nothing(api: Api) -> None:
    body = json.dumps({"sd_model_checkpoint": "someone/other"})
    headers = HEADERS | {"Content-Type": "application/json"}
    assert (await api.client.post("/sdapi/v1/options", content=body, headers=headers)).status_code == 200
    now = await get(api, "progress")
    assert (now["progress"], now["state"]["job_count"]) == (0, 0)
    assert (await get(api, "options"))["sd_model_checkpoint"] == "someone/other"
    answer = await api.client.post("/sdapi/v1/txt2img", json=GENERATE, headers=HEADERS)
    assert api.engine.asked[-1].params.model == "someone/other"
    assert len(answer.json()["images"]) == 1
    assert "secret" not in answer.text


async def test_sillytavern_sees_that_a_picture_is_under_way(api: Api) -> None:
    asking = asyncio.create_task(
        api.client.post("/sdapi/v1/txt2img", json=GENERATE | {"steps": 100}, headers=HEADERS)
    )
    await under_way(api)
    async with asyncio.timeout(10):
        while (now := await get(api, "progress"))["current_image"] is None:
            await asyncio.sleep(0.01)
    assert PIL.Image.open(io.BytesIO(base64.b64decode(now["current_image"]))).format == "PNG"
    assert (await get(api, "progress?skip_current_image=true"))["current_image"] is None
    assert 0 < now["progress"] < 1
    assert now["state"]["job_count"] == 1
    assert 0 < now["state"]["sampling_step"] <= now["state"]["sampling_steps"] == 100
    assert (await asking).status_code == 200
    await idle(api)


async def test_sillytavern_interrupts_when_its_browser_goes_away(api: Api) -> None:
    async with httpx.AsyncClient(base_url=api.url, timeout=30) as browser:
        asking = asyncio.create_task(
            browser.post("/sdapi/v1/txt2img", json=GENERATE | {"steps": 150}, headers=HEADERS)
        )
        await under_way(api)
        # It sends the one and aborts the other in the same moment.
        interrupting = asyncio.create_task(api.client.post("/sdapi/v1/interrupt", headers=HEADERS))
        asking.cancel()
    assert (await interrupting).json() == {}
    await idle(api)
    (made,) = (await api.client.get("/api/generations")).json()["items"]
    assert made["status"] == "cancelled"


async def test_a_browser_that_goes_away_stops_no_other_picture_of_the_same_person(api: Api) -> None:
    staying = asyncio.create_task(
        api.client.post("/sdapi/v1/txt2img", json=GENERATE | {"steps": 100}, headers=HEADERS)
    )
    await under_way(api)
    async with httpx.AsyncClient(base_url=api.url, timeout=30) as browser:
        going = asyncio.create_task(
            browser.post("/sdapi/v1/txt2img", json=GENERATE | {"steps": 150}, headers=HEADERS)
        )
        await under_way(api, 2)
        interrupting = asyncio.create_task(api.client.post("/sdapi/v1/interrupt", headers=HEADERS))
        going.cancel()
    assert (await interrupting).status_code == 200
    assert len((await staying).json()["images"]) == 1
    newest, oldest = (await api.client.get("/api/generations")).json()["items"]
    assert (newest["status"], oldest["status"]) == ("cancelled", "succeeded")
