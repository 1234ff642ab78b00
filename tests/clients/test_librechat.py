"""LibreChat's one request: five fields, and what it reads of the answer."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import PIL.Image
import pytest

from tests.serving import serving

pytestmark = pytest.mark.anyio


async def test_librechat_gets_a_picture_and_the_text_to_write_into_it(tmp_path: Path) -> None:
    payload = {
        "prompt": "a red house, at night, stars",
        "negative_prompt": "fog, text",
        "cfg_scale": 4.5,
        "steps": 22,
        "width": 1024,
        "height": 1024,
    }
    async with serving(tmp_path) as api:
        answer = await api.client.post("/sdapi/v1/txt2img", json=payload)
    assert answer.status_code == 200, answer.text
    image = answer.json()["images"][0]
    info = json.loads(answer.json()["info"])
    picture = PIL.Image.open(io.BytesIO(base64.b64decode(image.split(",", 1)[0])))
    # The model here ends at 512: the nearest of that shape, and what is said of it is true.
    assert picture.size == (info["width"], info["height"]) == (512, 512)
    assert isinstance(info["seed"], int)
    assert info["infotexts"][0].split("\n").pop().startswith("Steps: 22, ")
    assert info["infotexts"][0] == picture.text["parameters"]  # type: ignore[attr-defined]
