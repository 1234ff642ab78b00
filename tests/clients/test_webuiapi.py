"""`webuiapi`, unchanged, against the real application."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from limner.api.reach import Reach
from tests.asking import key
from tests.clients.environment import python_packages, python_says
from tests.serving import Api, serving

# The first run fetches the packages.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def client() -> Path:
    return python_packages("webuiapi")


async def does(client: Path, port: int, *calls: tuple[str, dict[str, Any]]) -> Any:
    """What the client got for each call."""
    return await python_says(client, "webuiapi_calls.py", str(port), json.dumps(calls))


async def test_webuiapi_gets_its_pictures_with_what_they_are_made_from(client: Path, api: Api) -> None:
    asked = {"prompt": "a red house", "negative_prompt": "fog", "seed": 7, "width": 128, "height": 128}
    one, several = await does(
        client,
        api.port,
        ("painted", asked | {"cfg_scale": 5.5}),
        (
            "painted",
            asked | {"batch_size": 2, "n_iter": 2, "sampler_name": "DPM++ 2M", "scheduler": "karras"},
        ),
    )
    assert (one["sizes"], one["formats"]) == ([[128, 128]], ["PNG"])
    assert one["info"]["infotexts"] == one["texts"]
    assert one["texts"] == [
        "a red house\nNegative prompt: fog\n"
        "Steps: 8, Sampler: Euler a, Schedule type: Automatic, CFG scale: 5.5, Seed: 7, "
        "Size: 128x128, Model: double"
    ]
    assert several["info"]["all_seeds"] == [7, 8, 9, 10]
    assert [f"Seed: {seed}," in text for seed, text in zip(range(7, 11), several["texts"], strict=True)] == [
        True
    ] * 4
    assert all("Sampler: DPM++ 2M, Schedule type: Karras" in text for text in several["texts"])
    assert several["pixels"][0] == one["pixels"][0]
    assert len({tuple(pixel) for pixel in several["pixels"]}) == 4
    assert (several["parameters"]["batch_size"], several["parameters"]["n_iter"]) == (2, 2)


async def test_webuiapi_reads_every_list(client: Path, api: Api) -> None:
    (found,) = await does(client, api.port, ("everything", {}))
    assert found["get_options"]["sd_model_checkpoint"] == "double"
    assert [model["title"] for model in found["get_sd_models"]] == ["double"]
    assert {"Euler a", "DPM++ 2M", "DDIM"} <= {sampler["name"] for sampler in found["get_samplers"]}
    assert {"automatic", "karras"} <= {schedule["name"] for schedule in found["get_schedulers"]}
    assert found["get_progress"]["progress"] == 0
    assert found["get_scripts"] == {"txt2img": [], "img2img": []}
    assert found["get_embeddings"] == {"loaded": {}, "skipped": {}}
    assert found["get_loras"] == found["get_sd_vae"] == found["get_latent_upscale_modes"] == []


async def test_webuiapi_interrupts_its_own_call_and_sees_how_far_it_was(client: Path, api: Api) -> None:
    (found,) = await does(
        client, api.port, ("interrupted", {"prompt": "a slow house", "steps": 150, "n_iter": 2})
    )
    assert found["answer"] == {}
    assert 0 < found["seen"]["progress"] < 1
    assert found["seen"]["state"]["job_count"] == 2
    assert found["sizes"] == []
    assert found["after"]["progress"] == found["after"]["state"]["job_count"] == 0


async def test_webuiapi_reads_the_parameters_back_out_of_a_picture(client: Path, api: Api) -> None:
    (found,) = await does(
        client, api.port, ("read_back", {"prompt": "a röd house", "seed": 3, "negative_prompt": "fog"})
    )
    assert found["info"].startswith("a röd house\nNegative prompt: fog\nSteps: 8")
    assert found["parameters"]["Prompt"] == "a röd house"
    assert (found["parameters"]["Seed"], found["parameters"]["Size-1"]) == ("3", "512")


async def test_webuiapi_is_told_what_cannot_be_painted_as_asked(client: Path, api: Api) -> None:
    larger, picture, model = await does(
        client,
        api.port,
        ("refused", {"call": "txt2img", "prompt": "a red house", "enable_hr": True}),
        ("from_picture", {}),
        (
            "refused",
            {"call": "txt2img", "prompt": "x", "override_settings": {"sd_model_checkpoint": "nobody"}},
        ),
    )
    assert (larger["status"], picture["status"], model["status"]) == (422, 422, 422)
    assert "enable_hr" in larger["errors"]
    assert "txt2img" in picture["detail"]
    assert "double" in model["detail"]


async def test_webuiapi_gives_a_key_as_the_password(client: Path, tmp_path: Path) -> None:
    async with serving(tmp_path, reach=Reach(loopback=False)) as api:  # nobody is the operator there
        secret = key(api, "ann")["Authorization"].removeprefix("Bearer ")
        right, wrong, none = await does(
            client,
            api.port,
            ("with_password", {"password": secret}),
            ("with_password", {"password": "limner_wrong"}),
            ("with_password", {"password": "none of ours"}),
        )
    assert right["status"] == 200
    for refused in (wrong, none):
        assert (refused["status"], refused["error"]) == (401, "key_needed")
        assert "key" in refused["detail"]


async def test_webuiapi_gets_a_picture_from_the_real_server(client: Path, painting: str) -> None:
    asked = {"prompt": "a red house at night", "seed": 7, "width": 512, "height": 512}
    (found,) = await does(client, int(painting.rpartition(":")[2]), ("painted", asked))
    assert found["formats"] == ["PNG"]
    assert found["sizes"] == [[found["info"]["width"], found["info"]["height"]]]
    assert found["texts"] == found["info"]["infotexts"]
    assert found["info"]["sd_model_name"] == "starter"
