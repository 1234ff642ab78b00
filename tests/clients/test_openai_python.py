"""The official `openai` Python SDK."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.clients.environment import python_packages, python_says
from tests.clients.reading import check_stream, jobs_for, shape
from tests.serving import Api

# The first run fetches the packages.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(900)]

SCENES = ("generate", "defaults", "random", "raw", "models", "stream", "errors", "impatient", "crowd")


@pytest.fixture(scope="module")
def packages() -> Path:
    return python_packages("openai")


@pytest.fixture(scope="module")
async def said(api: Api, packages: Path) -> Any:
    """One run of the script for all tests: importing the SDK is the slow part."""
    return await python_says(packages, "openai_sdk.py", api.url, *SCENES)


async def test_every_field_it_sends_is_understood(said: dict[str, Any]) -> None:
    made = said["generate"]
    assert (made["size"], made["quality"], made["output_format"]) == ("512x512", "low", "webp")
    assert (made["background"], made["model"]) == ("opaque", "double")
    assert [shape(datum) for datum in made["data"]] == [("WEBP", (512, 512))] * 2
    assert [datum["seed"] for datum in made["data"]] == [7, 8]
    assert made["usage"]["input_tokens_details"] == {"image_tokens": 0, "text_tokens": 6}


async def test_the_old_models_name_gets_a_url_that_leads_to_the_picture(
    api: Api, said: dict[str, Any]
) -> None:
    datum = said["defaults"]["data"][0]
    assert "b64_json" not in datum
    assert (await api.client.get(datum["url"])).headers["content-type"] == "image/png"
    assert shape(said["raw"])[0] == "PNG"


async def test_a_random_prompt_is_told(said: dict[str, Any]) -> None:
    assert len(said["random"]) > 8
    assert "*" not in said["random"]


async def test_models_are_listed(said: dict[str, Any]) -> None:
    assert [model["id"] for model in said["models"]["listed"]] == ["double"]
    assert said["models"]["read"] == said["models"]["listed"][0]


async def test_a_stream_has_partial_images(said: dict[str, Any]) -> None:
    check_stream(said["stream"], 2, (128, 128))


async def test_errors_are_the_sdks_own(api: Api, said: dict[str, Any]) -> None:
    size, model, cursed, streamed = said["errors"]
    assert size[:3] == ["UnprocessableEntityError", "size", "invalid_input"]
    assert model[:3] == ["NotFoundError", None, "model_not_found"]
    assert cursed[:3] == ["InternalServerError", None, "engine_failed"]
    assert streamed[:3] == ["APIError", None, "engine_failed"]
    assert "cannot be painted" in streamed[3]
    assert len(await jobs_for(api, "a cursed house")) == 2, "the SDK was told not to try again"


async def test_an_attempt_that_the_sdk_repeats_paints_once(api: Api, said: dict[str, Any]) -> None:
    assert said["impatient"] == 1
    assert len(await jobs_for(api, "a slow house")) == 1


async def test_many_at_once_get_what_they_asked_for(said: dict[str, Any]) -> None:
    assert said["crowd"] == [2] * 8


async def test_the_real_server_paints_for_it(painting: str, packages: Path) -> None:
    said = (await python_says(packages, "openai_sdk.py", painting, "starter"))["starter"]
    events = said["streamed"]
    check_stream(events, len(events) - 1, (256, 256))
    assert len(events) > 1, "a hundred steps leave time for a partial image"
    made = said["made"]
    assert made["model"] == "starter"
    assert [shape(datum) for datum in made["data"]] == [("PNG", (256, 256))] * 2
    assert made["data"][0]["b64_json"] != made["data"][1]["b64_json"]
    assert said["written"]["data"][0]["revised_prompt"].startswith("a blue ")
