"""The official Python SDK against the server of the first argument; what it says, as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import openai

URL = sys.argv[1]
WANTED = sys.argv[2:]

client = openai.OpenAI(base_url=f"{URL}/v1", api_key="none")


def generate() -> Any:
    made = client.images.generate(
        model="gpt-image-1",
        prompt="a red house at night",
        n=2,
        size="1024x1024",
        quality="low",
        output_format="webp",
        output_compression=80,
        background="opaque",
        moderation="low",
        user="someone",
        extra_body={"seed": 7, "negative_prompt": "rain", "guidance_scale": 3},
    )
    return made.to_dict()


def defaults() -> Any:
    return client.images.generate(prompt="a blue fish", model="dall-e-3", style="vivid").to_dict()


def random() -> Any:
    made = client.images.generate(prompt="*", extra_body={"random": True, "seed": 3})
    return made.data[0].revised_prompt if made.data else None


def raw() -> Any:
    answer = client.images.with_raw_response.generate(prompt="a blue fish", response_format="b64_json")
    return {"status": answer.status_code, "b64_json": (answer.parse().data or [])[0].b64_json}


def models() -> Any:
    listed = [model.to_dict() for model in client.models.list()]
    return {"listed": listed, "read": client.models.retrieve(listed[0]["id"]).to_dict()}


def stream() -> Any:
    with client.images.generate(
        prompt="a red house",
        model="gpt-image-1",
        stream=True,
        partial_images=2,
        extra_body={"num_inference_steps": 60},
    ) as events:
        return [event.to_dict() for event in events]


def errors() -> Any:
    found = []
    for asked in ({"size": "large"}, {"model": "somebody/else"}, {"prompt": "a cursed house"}):
        try:
            client.images.generate(**{"prompt": "a house"} | asked)
        except openai.APIStatusError as error:
            found.append([type(error).__name__, error.param, error.code, error.message])
    try:
        for _ in client.images.generate(prompt="a cursed house", stream=True):
            pass
    except openai.APIError as error:
        found.append([type(error).__name__, error.param, error.code, error.message])
    return found


def impatient() -> Any:
    """The first attempt is given up on, and the SDK asks again by itself."""
    hasty = client.with_options(timeout=0.7, max_retries=4)
    made = hasty.images.generate(prompt="a slow house", extra_body={"num_inference_steps": 100})
    return len(made.data or [])


def crowd() -> Any:
    async def ask() -> list[int]:
        async with openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key="none") as many:
            asks = (many.images.generate(prompt=f"house {n}", n=2) for n in range(8))
            return [len(made.data or []) for made in await asyncio.gather(*asks)]

    return asyncio.run(ask())


def starter() -> Any:
    """For a server that really paints."""
    with client.images.generate(
        prompt="a red house at night",
        stream=True,
        partial_images=2,
        extra_body={"seed": 7, "num_inference_steps": 100},
    ) as events:
        streamed = [event.to_dict() for event in events]
    made = client.images.generate(prompt="a red house at night", n=2, extra_body={"seed": 7})
    written = client.images.generate(prompt="a blue", extra_body={"random": True})
    return {"streamed": streamed, "made": made.to_dict(), "written": written.to_dict()}


json.dump({name: globals()[name]() for name in WANTED}, sys.stdout)
