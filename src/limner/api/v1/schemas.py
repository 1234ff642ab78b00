"""What the OpenAI Images protocol sends and expects. Fields marked as extensions are Limner's own."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from limner.api.schemas import Answer
from limner.params import OutputFormat

MAX_IMAGES = 10

Quality = Literal["auto", "low", "medium", "high", "xhigh", "max", "standard", "hd"]
Painted = Literal["low", "medium", "high"]


class ImagesRequest(BaseModel):
    """Fields that are not known are accepted and left alone; wrong types are refused.

    The limits of what becomes a generation's parameters are declared there, and checked there.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    prompt: str | None = Field(None, description="What to paint; may be short, empty or `*` with `random`")
    model: str | None = Field(
        None, description="A name from /v1/models; `gpt-image-…` and `dall-e-…` mean the default model"
    )
    n: int | None = Field(None, ge=1, le=MAX_IMAGES, description="How many pictures; default 1")
    size: str | None = Field(
        None, description="`WIDTHxHEIGHT`: the nearest that the model can do; `auto`: the model's own"
    )
    quality: Quality | None = Field(
        None, description="low: half the model's steps; high, hd and above: half as many again"
    )
    response_format: Literal["url", "b64_json"] | None = Field(
        None, description="Default: `url` for `dall-e-…`, else `b64_json`"
    )
    output_format: Literal["png", "jpeg", "webp"] | None = Field(None, description="Default: png")
    output_compression: Annotated[int, Field(ge=0, le=100)] | None = Field(
        None, description="Quality of JPEG and WebP, 100 is best; png has none"
    )
    background: Literal["auto", "opaque", "transparent"] | None = Field(
        None, description="Pictures are opaque; `transparent` is refused"
    )
    stream: bool | None = Field(None, description="Answer with server-sent events")
    partial_images: Annotated[int, Field(ge=0, le=3)] | None = Field(
        None, description="How many unfinished pictures to stream at most"
    )
    moderation: str | None = Field(None, description="Accepted, and the server's own rules apply")
    style: str | None = Field(None, description="Accepted, without effect")
    user: str | None = Field(None, description="Accepted, without effect")
    negative_prompt: str | None = Field(None, description="Extension: what to keep out of the picture")
    seed: int | None = Field(None, description="Extension: the same seed, the same picture")
    num_inference_steps: int | None = Field(None, description="Extension: denoising steps, before `quality`")
    guidance_scale: float | None = Field(None, description="Extension: how closely to follow the prompt")
    random: bool | None = Field(None, description="Extension: let the prompt writer complete the prompt")

    @property
    def format(self) -> OutputFormat:
        return OutputFormat(self.output_format or "png")


class InputTokens(Answer):
    text_tokens: int
    image_tokens: int = 0


class ImagesUsage(Answer):
    """Input: the words and signs of the prompts. Output: patches of 16 × 16 pixels of the pictures."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: InputTokens


class ImageDatum(BaseModel):
    """What is null is left out."""

    model_config = ConfigDict(frozen=True)

    b64_json: str | None = Field(default=None, description="The file, when asked for as `b64_json`")
    url: str | None = Field(default=None, description="Where it lies, when asked for as `url`")
    revised_prompt: str = Field(description="What was painted, also where the prompt writer wrote it")
    seed: int = Field(description="Extension")


class ImagesResponse(Answer):
    created: int
    data: list[ImageDatum]
    background: Literal["opaque"] = "opaque"
    output_format: OutputFormat
    quality: Painted
    size: str = Field(description="As painted, `WIDTHxHEIGHT`")
    usage: ImagesUsage
    model: str = Field(description="Extension: the model that painted")


class PartialImage(Answer):
    """An unfinished picture, enlarged from a preview, in the format and size of the finished one."""

    type: Literal["image_generation.partial_image"] = "image_generation.partial_image"
    b64_json: str
    partial_image_index: int = Field(description="Counts up from 0 within a picture")
    created_at: int
    size: str
    quality: Painted
    background: Literal["opaque"] = "opaque"
    output_format: OutputFormat
    index: int = Field(description="Extension: which of several pictures, from 0")


class CompletedImage(Answer):
    type: Literal["image_generation.completed"] = "image_generation.completed"
    b64_json: str
    created_at: int
    size: str
    quality: Painted
    background: Literal["opaque"] = "opaque"
    output_format: OutputFormat
    usage: ImagesUsage
    index: int = Field(description="Extension: which of several pictures, from 0")
    revised_prompt: str = Field(description="Extension")
    seed: int = Field(description="Extension")
    model: str = Field(description="Extension")


class ModelCard(Answer):
    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="When this server was started")
    owned_by: Literal["limner"] = "limner"


class ModelList(Answer):
    object: Literal["list"] = "list"
    data: list[ModelCard]


class ErrorBody(Answer):
    message: str
    type: str
    param: str | None
    code: str


class ErrorOut(Answer):
    """What is wrong, as this protocol has it."""

    error: ErrorBody
