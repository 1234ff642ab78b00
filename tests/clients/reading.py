"""What the tests read out of clients' answers."""

from __future__ import annotations

import base64
import io
from typing import Any

import PIL.Image

from tests.serving import Api


def shape(datum: dict[str, Any]) -> tuple[str | None, tuple[int, int]]:
    """Format and size of the picture in `b64_json`."""
    picture = PIL.Image.open(io.BytesIO(base64.b64decode(datum["b64_json"])))
    picture.load()
    return picture.format, picture.size


async def jobs_for(api: Api, prompt: str) -> list[dict[str, Any]]:
    items = (await api.client.get("/api/generations?limit=100")).json()["items"]
    return [item for item in items if item["params"]["prompt"] == prompt]


def check_stream(events: list[dict[str, Any]], partial_images: int, size: tuple[int, int]) -> None:
    kinds = [event["type"].removeprefix("image_generation.") for event in events]
    assert kinds == ["partial_image"] * partial_images + ["completed"]
    assert [event["partial_image_index"] for event in events[:-1]] == list(range(partial_images))
    assert {shape(event) for event in events} == {("PNG", size)}
    assert events[-1]["usage"]["total_tokens"] > 0
