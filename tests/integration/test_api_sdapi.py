"""AUTOMATIC1111's protocol: what is painted, what is refused, and how that is said."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from limner.engine.double import MODEL, EngineDouble
from limner.errors import StorageUnavailable
from limner.params import OutputFormat, Sampler, Schedule
from limner.service import picture
from tests.asking import from_elsewhere, key
from tests.serving import Api, serving

pytestmark = pytest.mark.anyio

FEW_STEPS = MODEL.model_copy(update={"name": "few", "default": False, "schedule": Schedule.TRAILING})
FLOW = MODEL.model_copy(
    update={
        "name": "flow",
        "default": False,
        "sampler": Sampler.FLOW_MATCH_EULER,
        "samplers": (Sampler.FLOW_MATCH_EULER,),
    }
)


@pytest.fixture(scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """One server for all tests here; none of them needs it empty."""
    engine = EngineDouble(step_s=0.001, info=(MODEL, FEW_STEPS, FLOW))
    async with serving(tmp_path_factory.mktemp("data"), engine) as running:
        yield running


async def painted(api: Api, **values: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The answer, and its info."""
    answer = await api.client.post("/sdapi/v1/txt2img", json={"prompt": "a red house"} | values)
    assert answer.status_code == 200, answer.text
    return answer.json(), json.loads(answer.json()["info"])


def wrong(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, Any] = answer.json()
    assert set(found) == {"error", "detail", "body", "errors"}
    assert found["detail"]
    assert found["error"]
    return found


async def test_what_is_left_out_is_the_model_s_own(api: Api) -> None:
    answer, info = await painted(api)
    params = api.engine.asked[-1].params
    assert (info["steps"], info["cfg_scale"]) == (MODEL.num_inference_steps, MODEL.guidance_scale)
    assert (info["width"], info["height"]) == (MODEL.width, MODEL.height)
    assert info["sampler_name"] == "DPM++ 2M"
    assert answer["parameters"]["seed"] == info["seed"] == params.seed
    assert answer["parameters"]["prompt"] == "a red house"


def pixels(answer: dict[str, Any]) -> NDArray[np.uint8]:
    """Of its first picture; the files differ, since each is signed anew."""
    return np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(answer["images"][0]))))


@pytest.mark.parametrize("seed", [-1, None])
async def test_chance_is_new_each_time_and_can_be_painted_again(api: Api, seed: int | None) -> None:
    answers = [await painted(api, seed=seed) for _ in range(2)]
    (one, info), (other, _) = answers
    assert not np.array_equal(pixels(one), pixels(other))
    again, _ = await painted(api, seed=info["seed"])
    assert np.array_equal(pixels(again), pixels(one))


@pytest.mark.parametrize(
    ("asked", "done"),
    [((512, 512), (512, 512)), ((1024, 1024), (512, 512)), ((1024, 512), (512, 256)), ((130, 60), None)],
)
async def test_the_nearest_size_is_painted_and_said(
    api: Api, asked: tuple[int, int], done: tuple[int, int] | None
) -> None:
    answer, info = await painted(api, width=asked[0], height=asked[1])
    size = PIL.Image.open(io.BytesIO(base64.b64decode(answer["images"][0]))).size
    assert size == (info["width"], info["height"])
    assert size == (answer["parameters"]["width"], answer["parameters"]["height"])
    assert size == (done or size)
    assert f"Size: {size[0]}x{size[1]}" in info["infotexts"][0]
    assert size[0] / size[1] == pytest.approx(asked[0] / asked[1], rel=0.1)


@pytest.mark.parametrize(
    ("asked", "sampler", "schedule"),
    [
        ({"sampler_name": "Euler a"}, "euler_ancestral", "plain"),
        ({"sampler_index": "k_euler"}, "euler", "plain"),
        ({"sampler_name": "ddim", "sampler_index": "Euler"}, "ddim", "plain"),
        ({"sampler_name": "DPM++ 2M Karras"}, "dpmpp_2m", "karras"),
        ({"sampler_name": "DPM++ 2M Karras", "scheduler": "Exponential"}, "dpmpp_2m", "exponential"),
        ({"sampler_name": "DPM++ 2M Karras", "scheduler": "automatic"}, "dpmpp_2m", "karras"),
        ({"sampler_name": "LCM", "scheduler": "sgm_uniform"}, "lcm", "trailing"),
        ({"sampler_name": None, "scheduler": "Automatic"}, "dpmpp_2m", "plain"),
        ({"override_settings": {"sd_model_checkpoint": "few"}}, "dpmpp_2m", "trailing"),
        ({"override_settings": {"sd_model_checkpoint": "few"}, "scheduler": "uniform"}, "dpmpp_2m", "plain"),
        (
            {"override_settings": {"sd_model_checkpoint": "flow"}, "sampler_name": "Euler"},
            "flow_match_euler",
            "plain",
        ),
    ],
)
async def test_samplers_and_schedules_go_by_their_names(
    api: Api, asked: dict[str, Any], sampler: str, schedule: str
) -> None:
    await painted(api, **asked)
    params = api.engine.asked[-1].params
    assert (params.sampler, params.schedule) == (sampler, schedule)


@pytest.mark.parametrize(
    "title", ["few", "few [abcdef0123]", "few.safetensors [abcdef0123]", "few.safetensors"]
)
async def test_a_model_is_chosen_for_one_request(api: Api, title: str) -> None:
    _, info = await painted(api, override_settings={"sd_model_checkpoint": title})
    assert info["sd_model_name"] == "few"
    _, info = await painted(api)
    assert info["sd_model_name"] == "double"


async def test_images_are_left_out_when_they_are_not_wanted(api: Api) -> None:
    answer, info = await painted(api, send_images=False, batch_size=2)
    assert answer["images"] == []
    assert len(info["infotexts"]) == 2


async def test_what_changes_nothing_is_ignored(api: Api) -> None:
    await painted(
        api,
        enable_hr=False,
        hr_scale=2,
        hr_upscaler="Latent",
        restore_faces=False,
        tiling=None,
        styles=[],
        script_name="",
        script_args=[1],
        subseed=5,
        subseed_strength=0,
        seed_resize_from_h=-1,
        seed_resize_from_w=0,
        s_churn=0.0,
        refiner_checkpoint="None",
        eta=1.0,
        alwayson_scripts={
            "ADetailer": {"args": [False]},
            "ControlNet": {"args": []},
            "controlnet": {"args": [{"enabled": False, "model": "x"}]},
        },
        nobody_knows_this={"x": [1]},
    )


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": "a\x00b"}, "prompt"),
        ({"prompt": "a" * 4001}, "prompt"),
        ({"prompt": "a <lora:detail:0.8> house"}, "prompt"),
        ({"negative_prompt": "<hypernet:x:1>"}, "negative_prompt"),
        ({"steps": 151}, "steps"),
        ({"steps": 0}, "steps"),
        ({"steps": "many"}, "steps"),
        ({"cfg_scale": 31}, "cfg_scale"),
        ({"width": 0}, "width"),
        ({"width": [512]}, "width"),
        ({"seed": -2}, "seed"),
        ({"seed": 2**32}, "seed"),
        ({"batch_size": 4, "n_iter": 5}, "n_iter × batch_size"),
        ({"batch_size": 0}, "batch_size"),
        ({"sampler_name": "UniPC"}, "sampler_name"),
        ({"scheduler": "Beta"}, "scheduler"),
        ({"sampler_name": "LCM", "scheduler": "karras"}, "scheduler"),
        ({"sampler_name": "DDIM", "override_settings": {"sd_model_checkpoint": "flow"}}, "sampler_name"),
        ({"override_settings": {"sd_model_checkpoint": "nobody"}}, "override_settings.sd_model_checkpoint"),
        ({"override_settings": "x"}, "override_settings"),
        ({"enable_hr": True}, "enable_hr"),
        ({"restore_faces": True}, "restore_faces"),
        ({"tiling": True}, "tiling"),
        ({"styles": ["Fantasy"]}, "styles"),
        ({"script_name": "X/Y/Z plot"}, "script_name"),
        ({"subseed_strength": 0.5}, "subseed_strength"),
        ({"seed_resize_from_w": 512}, "seed_resize_from_w"),
        ({"refiner_checkpoint": "sd_xl_refiner"}, "refiner_checkpoint"),
        ({"s_churn": 2}, "s_churn"),
        ({"alwayson_scripts": {"ADetailer": {"args": [True, {"ad_model": "x"}]}}}, "alwayson_scripts"),
        ({"alwayson_scripts": {"ControlNet": {"args": [{"model": "x"}]}}}, "alwayson_scripts"),
        ({"alwayson_scripts": []}, "alwayson_scripts"),
    ],
)
async def test_what_cannot_be_painted_as_asked_is_named(api: Api, asked: dict[str, Any], field: str) -> None:
    answer = await api.client.post("/sdapi/v1/txt2img", json={"prompt": "a red house"} | asked)
    assert field in wrong(answer, 422)["errors"]


@pytest.mark.parametrize("call", ["img2img", "extra-single-image", "extra-batch-images", "interrogate"])
async def test_what_needs_a_picture_is_refused_whatever_its_size(api: Api, call: str) -> None:
    body = {"init_images": ["x" * 3_000_000], "image": "x", "prompt": "a red house"}
    found = wrong(await api.client.post(f"/sdapi/v1/{call}", json=body), 422)
    assert "text alone" in found["detail"]


async def test_a_picture_that_fails_says_why(api: Api) -> None:
    answer = await api.client.post("/sdapi/v1/txt2img", json={"prompt": "a cursed house"})
    assert "cannot be painted" in wrong(answer, 500)["detail"]


async def test_every_error_has_this_protocol_s_shape(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    post, get = api.client.post, api.client.get
    wrong(await get("/sdapi/v1/nope"), 404)
    wrong(await get("/sdapi/v1/txt2img"), 405)
    wrong(await get("/sdapi/v1/options", headers={"Host": "evil.example"}), 403)
    wrong(await post("/sdapi/v1/interrupt", headers={"Origin": "https://evil.example"}), 403)
    wrong(await post("/sdapi/v1/txt2img", data={"prompt": "x"}), 415)
    json_type = {"Content-Type": "application/json"}
    wrong(await post("/sdapi/v1/txt2img", content=b"{", headers=json_type), 400)
    wrong(await post("/sdapi/v1/txt2img", json={"prompt": "x" * 70_000}), 413)
    wrong(await post("/sdapi/v1/txt2img", json=[]), 422)
    wrong(await post("/sdapi/v1/options", json={"sd_model_checkpoint": 3}), 422)

    def full(*_: object, **__: object) -> None:
        raise StorageUnavailable("the record cannot be used: database or disk is full")

    monkeypatch.setattr(api.store.queue, "submit", full)
    answer = await post("/sdapi/v1/txt2img", json={"prompt": "x"})
    assert "disk is full" in wrong(answer, 503)["detail"]
    assert "retry-after" in answer.headers
    assert (await get("/api/nope")).headers["content-type"] == "application/problem+json"


async def test_progress_has_its_shape_when_nothing_is_under_way(api: Api) -> None:
    found = (await api.client.get("/sdapi/v1/progress?skip_current_image=true&force_task_id=x")).json()
    assert (found["progress"], found["eta_relative"], found["current_image"]) == (0, 0, None)
    assert found["state"] == {
        "skipped": False,
        "interrupted": False,
        "stopping_generation": False,
        "job": "",
        "job_count": 0,
        "job_timestamp": "0",
        "job_no": 0,
        "sampling_step": 0,
        "sampling_steps": 0,
    }
    for call in ("interrupt", "skip", "interrupt?force_task_id=x"):
        assert (await api.client.post(f"/sdapi/v1/{call}")).json() == {}


@pytest.mark.parametrize("format", OutputFormat)
@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
async def test_png_info_reads_each_format(api: Api, format: OutputFormat, prefix: str) -> None:
    text = "a red house\nSteps: 8, Sampler: Euler a, Seed: 3, Size: 64x64"
    data = picture.encode(np.zeros((64, 64, 3), np.uint8), format, text)
    image = prefix + base64.b64encode(data).decode()
    answer = await api.client.post("/sdapi/v1/png-info", json={"image": image})
    assert answer.status_code == 200, answer.text
    assert answer.json()["info"] == text
    assert answer.json()["parameters"]["Sampler"] == "Euler a"


async def test_png_info_takes_large_pictures_and_no_larger(api: Api) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (600, 600, 3)).astype(np.uint8)
    image = base64.b64encode(picture.encode(noise, OutputFormat.PNG, "x")).decode()
    assert len(image) > 1_000_000
    assert (await api.client.post("/sdapi/v1/png-info", json={"image": image})).json()["info"] == "x"
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    head = "POST /sdapi/v1/png-info HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    head += f"Content-Length: {33 << 20}\r\n\r\n"
    writer.write(head.encode())
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert "32768 kB" in json.loads(answer.partition(b"\r\n\r\n")[2])["detail"]


@pytest.mark.parametrize("image", ["", "nonsense", "%%%%", "data:image/png;base64,", "R0lGODlhAQABAAAAACw="])
async def test_png_info_refuses_what_is_no_picture(api: Api, image: str) -> None:
    wrong(await api.client.post("/sdapi/v1/png-info", json={"image": image}), 422)


@pytest.mark.parametrize(
    "body",
    [
        b'{"prompt": "x", "denoising_strength": NaN}',
        b'{"prompt": "x", "cfg_scale": 1e999}',
        b'{"prompt": "x", "alwayson_scripts": {"\\ud800": {"args": [1]}}}',
        b'{"prompt": "x", "styles": ["\\ud800"]}',
        b'{"prompt": "\\ud800"}',
        b'{"prompt": "x", "force_task_id": "\\ud800"}',
        b'{"prompt": "x", "seed": ' + b"9" * 5000 + b"}",
        b'{"prompt": "x", "script_name": "\\u0000"}',
    ],
)
async def test_hostile_values_are_refused_and_can_be_answered(api: Api, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await api.client.post("/sdapi/v1/txt2img", content=body, headers=headers)
    wrong(answer, answer.status_code)
    assert answer.status_code in (400, 422), answer.text


async def test_a_key_is_the_password_and_a_wrong_one_is_asked_for_again(api: Api) -> None:
    def signed_in(password: str) -> dict[str, str]:
        basic = base64.b64encode(f"anybody:{password}".encode()).decode()
        return from_elsewhere() | {"Authorization": f"Basic {basic}"}

    secret = key(api, "ann")["Authorization"].removeprefix("Bearer ")
    body = {"prompt": "a red house"}
    right = await api.client.post("/sdapi/v1/txt2img", json=body, headers=signed_in(secret))
    assert right.status_code == 200, right.text
    for password in ("limner_wrong", "none of ours", ""):
        answer = await api.client.post("/sdapi/v1/txt2img", json=body, headers=signed_in(password))
        assert wrong(answer, 401)["error"] == "key_needed"
        assert 'Basic realm="Limner"' in answer.headers["www-authenticate"]
