"""`webuiapi` makes the calls of the second argument, on the port of the first, and says what came."""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

from PIL import Image
from webuiapi import WebUIApi  # type: ignore[import-not-found]


def painted(api: Any, **values: Any) -> dict[str, Any]:
    result = api.txt2img(**values)
    return {
        "sizes": [image.size for image in result.images],
        "formats": [image.format for image in result.images],
        "texts": [image.info.get("parameters") for image in result.images],
        "pixels": [image.convert("RGB").resize((1, 1)).getpixel((0, 0)) for image in result.images],
        # The client hands these two back the wrong way round.
        "info": result.parameters if "infotexts" in result.parameters else result.info,
        "parameters": result.info if "infotexts" in result.parameters else result.parameters,
    }


def everything(api: Any) -> dict[str, Any]:
    """Every list and object that the client can ask for."""
    names = (
        "get_options get_cmd_flags get_progress get_samplers get_schedulers get_sd_vae get_upscalers "
        "get_latent_upscale_modes get_loras get_sd_models get_hypernetworks get_face_restorers "
        "get_realesrgan_models get_prompt_styles get_scripts get_embeddings get_memory refresh_checkpoints"
    )
    return {name: getattr(api, name)() for name in names.split()}


def interrupted(api: Any, **values: Any) -> dict[str, Any]:
    """Interrupts a call that is seen to be under way."""
    result: dict[str, Any] = {}
    caller = threading.Thread(target=lambda: result.update(painted(api, **values)))
    caller.start()
    seen: list[dict[str, Any]] = []
    while not seen or seen[-1]["progress"] == 0:
        seen.append(api.get_progress())
        time.sleep(0.02)
    result["answer"] = api.interrupt()
    caller.join(20)
    return result | {"seen": seen[-1], "after": api.get_progress()}


def refused(api: Any, call: str, **values: Any) -> dict[str, Any]:
    try:
        getattr(api, call)(**values)
    except RuntimeError as error:
        status, text = error.args
        return {"status": status, **json.loads(text)}
    return {"status": 200}


def read_back(api: Any, **values: Any) -> dict[str, Any]:
    """Paints, and asks what is written inside the picture."""
    image = api.txt2img(**values).image
    return dict(api.png_info(image).json)


def from_picture(api: Any) -> dict[str, Any]:
    """A picture as large as any that is sent: noise, which no format makes smaller."""
    noise = Image.effect_noise((1500, 1500), 100).convert("RGB")
    return refused(api, "img2img", images=[noise], prompt="a red house")


def with_password(api: Any, password: str) -> dict[str, Any]:
    """Paints, as whoever has this password."""
    api.set_auth("anybody", password)
    return refused(api, "txt2img", prompt="a red house")


api = WebUIApi(host="127.0.0.1", port=int(sys.argv[1]), sampler="Euler a", steps=8)
answers = []
for call, values in json.loads(sys.argv[2]):
    own = globals().get(call)
    answers.append(own(api, **values) if own else getattr(api, call)(**values))
json.dump(answers, sys.stdout)
