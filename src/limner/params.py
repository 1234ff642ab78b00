"""The one declaration of what a picture is made from.

`GenerationParams` is complete: nothing in it is null. What a caller sends is
`GenerationSubmission`, the same fields, all optional, derived from it here;
`resolve` fills the gaps from the model and checks its limits.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    computed_field,
    create_model,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from limner.errors import FieldError, InvalidInput

SEEDS = 2**32
MAX_IMAGES = 16
MAX_PROMPT = 4000
_SHAPE_WEIGHT = 8  # of a difference in shape, against one in size


class Sampler(StrEnum):
    """The update from one noise level to the next."""

    DDIM = "ddim"
    DDPM = "ddpm"
    EULER = "euler"
    EULER_ANCESTRAL = "euler_ancestral"
    DPMPP_2M = "dpmpp_2m"
    DPMPP_2M_SDE = "dpmpp_2m_sde"
    LCM = "lcm"
    TCD = "tcd"
    FLOW_MATCH_EULER = "flow_match_euler"


class Schedule(StrEnum):
    """Which noise levels the steps visit. `plain` is the model's own spacing."""

    PLAIN = "plain"
    TRAILING = "trailing"
    KARRAS = "karras"
    EXPONENTIAL = "exponential"


FLOW_SAMPLERS = (Sampler.FLOW_MATCH_EULER,)
DIFFUSION_SAMPLERS = tuple(sampler for sampler in Sampler if sampler not in FLOW_SAMPLERS)


def schedules_of(sampler: Sampler) -> tuple[Schedule, ...]:
    """LCM and TCD visit the timesteps of their model's distillation; sigma curves would miss them."""
    distilled = sampler in (Sampler.LCM, Sampler.TCD)
    return (Schedule.PLAIN, Schedule.TRAILING) if distilled else tuple(Schedule)


class OutputFormat(StrEnum):
    PNG = "png"
    WEBP = "webp"
    JPEG = "jpeg"


class Voice(StrEnum):
    """How the prompt writer speaks: within the starter model's words, or freely."""

    STARTER = "starter"
    FULL = "full"


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)


class ModelInfo(Frozen):
    """What one loaded model can do: the only place where the page and the API get limits from."""

    name: str
    default: bool = False
    family: str = Field(description="Network family, such as `stable-diffusion`")
    width: int = Field(description="Native width in pixels")
    height: int = Field(description="Native height in pixels")
    min_size: int = Field(description="Smallest width and height in pixels")
    max_size: int = Field(description="Largest width and height in pixels")
    size_step: int = Field(description="Width and height are multiples of this many pixels")
    num_inference_steps: int
    guidance_scale: float
    sampler: Sampler
    schedule: Schedule = Schedule.PLAIN
    samplers: tuple[Sampler, ...] = DIFFUSION_SAMPLERS
    voice: Voice = Voice.FULL
    draws: str | None = Field(None, description="What it can draw, in one sentence; null: anything")
    known_words: tuple[str, ...] = Field((), description="The words it knows; empty: any")
    examples: tuple[str, ...] = Field((), description="Prompts that show it off")
    licence: str | None = None
    base: str | None = Field(
        default=None,
        description="The model that this one is a change of, to paint in fewer steps; null: it is none",
    )

    @computed_field(description="The schedules that go with each of its samplers")  # type: ignore[prop-decorator]
    @property
    def schedules(self) -> dict[Sampler, tuple[Schedule, ...]]:
        return {sampler: schedules_of(sampler) for sampler in self.samplers}


def printable(text: str) -> str:
    """Refuse what no prompt needs and what files, terminals and databases trip over."""
    for place, character in enumerate(text, 1):
        if (character < " " and character not in "\t\n\r") or character == "\x7f":
            raise ValueError(f"has the control character U+{ord(character):04X} at place {place}; remove it")
    return text


Text = Annotated[
    str, StringConstraints(max_length=MAX_PROMPT, strip_whitespace=True), AfterValidator(printable)
]


class GenerationParams(Frozen):
    """What a picture is made from, with every gap filled."""

    prompt: Annotated[Text, StringConstraints(min_length=1)] = Field(description="What to paint")
    negative_prompt: Text = Field(
        description="What to keep out of the picture; needs a guidance scale above 1"
    )
    model: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(
        description="A name from /api/capabilities"
    )
    width: int = Field(ge=8, le=4096, description="Width in pixels")
    height: int = Field(ge=8, le=4096, description="Height in pixels")
    num_inference_steps: int = Field(ge=1, le=150, description="Denoising steps")
    guidance_scale: float = Field(
        ge=0,
        le=30,
        allow_inf_nan=False,
        description="How closely to follow the prompt; 1 or less: guidance off",
    )
    sampler: Sampler = Field(description="The update from one noise level to the next")
    schedule: Schedule = Field(description="Which noise levels the steps visit; plain is the model's own")
    seed: int = Field(ge=0, lt=SEEDS, description="Where the noise starts: the same seed, the same picture")
    num_images: int = Field(ge=1, le=MAX_IMAGES, description="How many; image i has seed + i")
    output_format: OutputFormat = Field(description="The file format that the image URL answers with")
    random: bool = Field(description="Let the prompt writer complete the prompt; false once it has")

    def seed_of(self, index: int) -> int:
        """The seed of image `index`, wrapping at 2³²."""
        return (self.seed + index) % SEEDS

    @property
    def cost(self) -> float:
        """The work of one picture: megapixels × steps × rows; guidance doubles the rows."""
        rows = 2 if self.guidance_scale > 1 else 1
        return self.width * self.height / 1e6 * self.num_inference_steps * rows


def _submitted(name: str, field: FieldInfo) -> Any:
    if name == "prompt":
        return Text | None, Field(None, description="What to paint; may be left out when `random` is set")
    annotation: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    return annotation | None, Field(None, description=field.description)


_submitted_fields: dict[str, Any] = {n: _submitted(n, f) for n, f in GenerationParams.model_fields.items()}
GenerationSubmission: type[BaseModel] = create_model(
    "GenerationSubmission",
    __base__=Frozen,
    __doc__="What a caller asks for. What is left out or null defaults from the model.",
    **_submitted_fields,
)


_MESSAGES = {
    "extra_forbidden": "is not known here; leave it out",
    "enum": "{value} is not known; use {limit}",
    "float_parsing": "{value} is not a number",
    "greater_than_equal": "{value} is too small; use {limit} or more",
    "int_from_float": "{value} is not a whole number",
    "int_parsing": "{value} is not a whole number",
    "literal_error": "{value} is not known; use {limit}",
    "less_than_equal": "{value} is too large; use {limit} or less",
    "missing": "is missing",
    "string_too_long": "is too long; use at most {limit} characters",
    "string_unicode": "is not valid text: half of a surrogate pair stands alone",
}


def field_error(detail: ErrorDetails, skip: int = 0) -> FieldError:
    """One of pydantic's errors in our words; `skip` leaves out leading places such as `body`."""
    field = ".".join(str(part) for part in detail["loc"][skip:]) or "body"
    limit = next((v for k, v in (detail.get("ctx") or {}).items() if k != "error"), None)
    given = detail.get("input")
    value = given if isinstance(given, str | int | float | bool) else None
    if isinstance(value, str):  # half a surrogate pair cannot be written back as UTF-8
        value = value.encode("utf-8", "replace").decode()
        value = value[:100] + "…" if len(value) > 100 else value
    words = _MESSAGES.get(detail["type"])
    message = words.format(value=value, limit=limit) if words else detail["msg"].removeprefix("Value error, ")
    return FieldError(field, message, value, limit if isinstance(limit, str | int | float) else None)


def submission(**values: object) -> BaseModel:
    """A checked submission. Raises `InvalidInput` with every field that is wrong."""
    try:
        return GenerationSubmission(**values)
    except ValidationError as error:
        raise InvalidInput(*(field_error(d) for d in error.errors())) from None


def resolve(asked: BaseModel, models: tuple[ModelInfo, ...], seed: int) -> GenerationParams:
    """Fill the gaps of a `GenerationSubmission` from its model and check that model's limits.

    `seed` is taken where none was asked for. Raises `InvalidInput` naming each value, limit and remedy.
    """
    given = {name: value for name, value in asked.model_dump().items() if value is not None}
    model = _chosen(given.get("model"), models)
    if not given.get("prompt"):
        raise InvalidInput(
            FieldError("prompt", "is empty; say what to paint", "", f"1 to {MAX_PROMPT} characters")
        )
    sampler = given.get("sampler", model.sampler)
    params = GenerationParams.model_validate(
        {
            "negative_prompt": "",
            "width": model.width,
            "height": model.height,
            "num_inference_steps": model.num_inference_steps,
            "guidance_scale": model.guidance_scale,
            "sampler": model.sampler,
            "schedule": model.schedule if model.schedule in schedules_of(sampler) else Schedule.PLAIN,
            "seed": seed,
            "num_images": 1,
            "output_format": OutputFormat.PNG,
            "random": False,
        }
        | given
        | {"model": model.name}
    )
    problems = list(beyond_limits(params, model))
    if problems:
        raise InvalidInput(*problems)
    return params


def _chosen(name: str | None, models: tuple[ModelInfo, ...]) -> ModelInfo:
    for model in models:
        if model.name == name or (name is None and model.default):
            return model
    names = ", ".join(m.name for m in models)
    raise InvalidInput(FieldError("model", f"no model {name!r} is loaded; use one of: {names}", name, names))


def nearest_size(model: ModelInfo, width: int, height: int) -> tuple[int, int]:
    """The size that `model` can do which is most like `width` × `height`, in shape above all.

    For protocols whose clients know a few sizes of somebody else's models. Both are 1 or more.
    """
    step = model.size_step
    sides = range(-(-model.min_size // step) * step, model.max_size + 1, step)

    def within(side: float) -> int:
        return max(sides[0], min(sides[-1], round(side / step) * step))

    # What is too large or too small as a whole is scaled first, so that its shape stays within reach.
    scale = min(1.0, model.max_size / max(width, height))
    scale = max(scale, min(model.min_size / min(width, height), model.max_size / max(width, height)))
    wide, high = width * scale, height * scale

    def unlikeness(size: tuple[int, int]) -> float:
        shape = abs(math.log(size[0] * high / (size[1] * wide)))
        return _SHAPE_WEIGHT * shape + abs(math.log(size[0] * size[1] / (wide * high))) / 2

    return min(((side, within(side * high / wide)) for side in sides), key=unlikeness)


def beyond_limits(params: GenerationParams, model: ModelInfo) -> list[FieldError]:
    """What `model` cannot do of `params`; empty when it can do it all."""
    problems = []
    for field in ("width", "height"):
        size = getattr(params, field)
        if not model.min_size <= size <= model.max_size or size % model.size_step:
            limit = f"{model.min_size} to {model.max_size} in steps of {model.size_step}"
            nearest = round(size / model.size_step) * model.size_step
            nearest = max(model.min_size, min(model.max_size, nearest))
            message = f"{model.name} cannot paint {size} pixels; use {limit}, the nearest is {nearest}"
            problems.append(FieldError(field, message, size, limit))
    for field, known in (("sampler", model.samplers), ("schedule", schedules_of(params.sampler))):
        value = getattr(params, field)
        if value not in known:
            names = ", ".join(known)
            whose = model.name if field == "sampler" else params.sampler
            problems.append(
                FieldError(field, f"{whose} cannot use {value}; use one of: {names}", value, names)
            )
    return problems
