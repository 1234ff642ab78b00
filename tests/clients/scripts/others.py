"""LiteLLM and LangChain's image tool against the server of the first argument; what they say, as JSON."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

URL = sys.argv[1]


def litellm() -> Any:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or it asks the network for prices
    import litellm

    to = {"api_base": f"{URL}/v1", "api_key": "none"}
    made = litellm.image_generation(
        model="openai/gpt-image-1", prompt="a red house", n=2, size="1024x1024", quality="low", **to
    )
    linked = litellm.image_generation(model="openai/dall-e-3", prompt="a red house", quality="hd", **to)
    found = {"made": made.model_dump(), "linked": linked.model_dump()}
    for name, asked in (("bad", {"size": "large"}), ("cursed", {"prompt": "a cursed house"})):
        try:
            litellm.image_generation(**{"model": "openai/gpt-image-1", "prompt": "x"} | asked | to)
        except Exception as error:
            found[name] = [type(error).__name__, str(error)]
    return found


def langchain() -> Any:
    from langchain_community.tools.openai_dalle_image_generation import OpenAIDALLEImageGenerationTool
    from langchain_community.utilities.dalle_image_generator import DallEAPIWrapper

    api = DallEAPIWrapper(base_url=f"{URL}/v1", api_key="none", n=2, size="512x512")
    return OpenAIDALLEImageGenerationTool(api_wrapper=api).invoke("a red house")


json.dump({name: globals()[name]() for name in sys.argv[2:]}, sys.stdout, default=str)
