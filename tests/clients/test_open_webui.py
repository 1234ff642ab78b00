"""Open WebUI's requests, in its order, with its headers."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import PIL.Image
import pytest

from limner.engine.double import MODEL, EngineDouble
from tests.serving import Api, serving

pytestmark = pytest.mark.anyio

OTHER = MODEL.model_copy(update={"name": "someone/other", "default": False})
# It sends this header always, empty where no credentials are set.
HEADERS = {"authorization": ""}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(tmp_path, EngineDouble(step_s=0.002, info=(MODEL, OTHER))) as running:
        yield running


async def test_open_webui_verifies_the_address(api: Api) -> None:
    answer = await api.client.get("/sdapi/v1/options", headers=HEADERS)
    assert answer.raise_for_status()


async def test_open_webui_lists_models_by_title_and_name(api: Api) -> None:
    models = (await api.client.get("/sdapi/v1/sd-models", headers=HEADERS)).json()
    assert [(m["title"], m["model_name"]) for m in models] == [("double", "double"), ("someone/other",) * 2]


async def test_open_webui_chooses_a_model_and_paints(api: Api) -> None:
    options = (await api.client.get("/sdapi/v1/options", headers=HEADERS)).json()
    assert options["sd_model_checkpoint"] == "double"
    options["sd_model_checkpoint"] = "someone/other"
    set_ = await api.client.post("/sdapi/v1/options", json=options, headers=HEADERS)
    assert set_.status_code == 200, set_.text

    # Before each picture it asks which model is set.
    now = (await api.client.get("/sdapi/v1/options", headers=HEADERS)).json()
    assert now["sd_model_checkpoint"] == "someone/other"
    data = {
        "prompt": "a red house",
        "batch_size": 2,
        "width": 512,
        "height": 512,
        "steps": 6,
        "negative_prompt": "fog",
    }
    answer = (await api.client.post("/sdapi/v1/txt2img", json=data, headers=HEADERS)).json()
    info = json.loads(answer["info"])
    assert len(answer["images"]) == 2
    for image in answer["images"]:
        assert PIL.Image.open(io.BytesIO(base64.b64decode(image))).size == (512, 512)
    assert (info["sd_model_name"], info["steps"], info["negative_prompt"]) == ("someone/other", 6, "fog")


async def test_open_webui_may_send_a_model_it_knows_from_elsewhere(api: Api) -> None:
    options = (await api.client.get("/sdapi/v1/options", headers=HEADERS)).json()
    options["sd_model_checkpoint"] = "sd_xl_base_1.0.safetensors [31e35c80fc]"
    assert (await api.client.post("/sdapi/v1/options", json=options, headers=HEADERS)).status_code == 200
    now = (await api.client.get("/sdapi/v1/options", headers=HEADERS)).json()
    assert now["sd_model_checkpoint"] == "double", "what is told is what is painted with"
    answer = await api.client.post("/sdapi/v1/txt2img", json={"prompt": "a red house"}, headers=HEADERS)
    assert answer.status_code == 200
