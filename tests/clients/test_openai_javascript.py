"""The official `openai` JavaScript SDK."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.environment import javascript_packages, javascript_says
from tests.clients.reading import check_stream, jobs_for, shape
from tests.serving import Api

# The first run fetches the packages.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(900)]

SCENES = ("generate", "defaults", "models", "stream", "errors", "impatient")


@pytest.fixture(scope="module")
async def said(api: Api) -> Any:
    return await javascript_says(javascript_packages(), "openai_sdk.mjs", api.url, *SCENES)


async def test_every_field_it_sends_is_understood(said: dict[str, Any]) -> None:
    made = said["generate"]
    assert (made["size"], made["quality"], made["output_format"]) == ("480x320", "high", "jpeg")
    assert [shape(datum) for datum in made["data"]] == [("JPEG", (480, 320))] * 2
    assert [datum["seed"] for datum in made["data"]] == [7, 8]


async def test_the_old_models_name_gets_a_url_that_leads_to_the_picture(
    api: Api, said: dict[str, Any]
) -> None:
    datum = said["defaults"]["data"][0]
    assert (await api.client.get(datum["url"])).headers["content-type"] == "image/png"


async def test_models_are_listed(said: dict[str, Any]) -> None:
    assert [model["id"] for model in said["models"]["listed"]] == ["double"]
    assert said["models"]["read"] == said["models"]["listed"][0]


async def test_a_stream_has_partial_images(said: dict[str, Any]) -> None:
    check_stream(said["stream"], 2, (128, 128))


async def test_errors_are_the_sdks_own(api: Api, said: dict[str, Any]) -> None:
    kinds = [error[:3] for error in said["errors"]]
    assert kinds == [
        ["UnprocessableEntityError", "size", "invalid_input"],
        ["NotFoundError", None, "model_not_found"],
        ["InternalServerError", None, "engine_failed"],
        ["APIError", None, "engine_failed"],
    ]
    assert len(await jobs_for(api, "a cursed house")) == 2, "the SDK was told not to try again"


async def test_an_attempt_that_the_sdk_repeats_paints_once(api: Api, said: dict[str, Any]) -> None:
    assert said["impatient"] == 1
    assert len(await jobs_for(api, "a slow house")) == 1
