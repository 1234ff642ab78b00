"""What a client of this protocol asks for, in Limner's own words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import BaseModel

from limner.api.v1.schemas import ImagesRequest, Painted
from limner.errors import FieldError, InvalidInput, ModelNotFound
from limner.params import GenerationParams, ModelInfo, OutputFormat, nearest_size, submission

# Clients have these names built in.
_OTHERS_MODELS = re.compile(r"(gpt-image|chatgpt-image|dall-e)-[\w.-]+")
_SIZE = re.compile(r"([1-9]\d{0,4})[xX×]([1-9]\d{0,4})")
# Of the model's own number of steps.
_STEPS: dict[Painted, float] = {"low": 0.5, "medium": 1.0, "high": 1.5}
_MAX_STEPS = 150


def submission_of(asked: ImagesRequest, models: Sequence[ModelInfo]) -> BaseModel:
    """What to submit. Raises `InvalidInput` and `ModelNotFound`."""
    if asked.background == "transparent":
        message = "pictures here are opaque; use 'opaque' or 'auto'"
        raise InvalidInput(FieldError("background", message, asked.background, "opaque, auto"))
    model = _model_of(asked.model, models)
    width, height = _size_of(asked.size, model)
    prompt = None if asked.random and (asked.prompt or "").strip() == "*" else asked.prompt
    steps = asked.num_inference_steps
    return submission(
        prompt=prompt,
        negative_prompt=asked.negative_prompt,
        model=model.name,
        width=width,
        height=height,
        num_inference_steps=steps_of(quality_of(asked), model) if steps is None else steps,
        guidance_scale=asked.guidance_scale,
        seed=asked.seed,
        num_images=asked.n,
        output_format=stored_format(asked),
        random=asked.random,
    )


def quality_of(asked: ImagesRequest) -> Painted:
    """The quality that is painted and reported."""
    match asked.quality:
        case "low":
            return "low"
        case "high" | "xhigh" | "max" | "hd":
            return "high"
    return "medium"


def steps_of(quality: Painted, model: ModelInfo) -> int:
    return min(_MAX_STEPS, max(1, round(model.num_inference_steps * _STEPS[quality])))


def stored_format(asked: ImagesRequest) -> OutputFormat:
    """What is compressed to order on its way out is stored without loss."""
    return OutputFormat.PNG if asked.output_compression is not None else asked.format


def wants_url(asked: ImagesRequest) -> bool:
    """Without a word on it, what the model of that name would answer with."""
    if asked.response_format is not None:
        return asked.response_format == "url"
    return (asked.model or "").startswith("dall-e-")


def size_text(params: GenerationParams) -> str:
    return f"{params.width}x{params.height}"


def unknown_model(name: str, models: Sequence[ModelInfo]) -> ModelNotFound:
    names = ", ".join(model.name for model in models)
    return ModelNotFound(f"no model {name[:100]!r} is loaded; use one of: {names}")


def _model_of(name: str | None, models: Sequence[ModelInfo]) -> ModelInfo:
    named = next((model for model in models if model.name == name), None)
    if named is not None:
        return named
    if name and not _OTHERS_MODELS.fullmatch(name):
        raise unknown_model(name, models)
    return next(model for model in models if model.default)


def _size_of(size: str | None, model: ModelInfo) -> tuple[int, int]:
    if size in (None, "", "auto"):
        return model.width, model.height
    match = _SIZE.fullmatch(size or "")
    if match is None:
        limit = "WIDTHxHEIGHT, such as 512x512, or auto"
        raise InvalidInput(FieldError("size", f"{(size or '')[:100]!r} is no size; use {limit}", size, limit))
    return nearest_size(model, int(match[1]), int(match[2]))
