"""LiteLLM, and LangChain's image tool."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.environment import python_packages, python_says
from tests.clients.reading import jobs_for, shape
from tests.serving import Api

# The first run fetches the packages.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
async def said(api: Api) -> Any:
    return await python_says(python_packages("others"), "others.py", api.url, "litellm", "langchain")


async def test_litellm_gets_pictures_and_what_they_are(said: dict[str, Any]) -> None:
    made = said["litellm"]["made"]
    assert (made["size"], made["quality"], made["output_format"]) == ("512x512", "low", "png")
    assert [shape(datum) for datum in made["data"]] == [("PNG", (512, 512))] * 2
    assert made["usage"]["input_tokens"] == 3


async def test_litellm_gets_urls_by_the_old_models_name(api: Api, said: dict[str, Any]) -> None:
    linked = said["litellm"]["linked"]
    assert linked["quality"] == "high"
    assert (await api.client.get(linked["data"][0]["url"])).headers["content-type"] == "image/png"


async def test_litellm_says_what_is_wrong(api: Api, said: dict[str, Any]) -> None:
    kind, message = said["litellm"]["bad"]
    assert kind == "BadRequestError"
    assert "WIDTHxHEIGHT" in message
    kind, message = said["litellm"]["cursed"]
    assert kind == "InternalServerError"
    assert "cannot be painted" in message
    assert len(await jobs_for(api, "a cursed house")) == 1


async def test_langchains_tool_gives_urls_that_lead_to_the_pictures(api: Api, said: dict[str, Any]) -> None:
    urls = said["langchain"].split("\n")
    assert len(urls) == 2
    for url in urls:
        assert (await api.client.get(url)).headers["content-type"] == "image/png"
