"""What the native API answers and takes. Times in seconds, sizes in pixels, URLs absolute."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from limner.params import MAX_PROMPT, Frozen, GenerationParams, ModelInfo, OutputFormat, printable

Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]
State = Literal["loading", "ready", "restarting", "failed", "stopped"]


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)


class Image(Answer):
    """One finished picture. Whoever has its URL may see it."""

    id: str
    index: int = Field(description="Which of the generation's pictures, from 0")
    url: str = Field(description="The picture in its own format; `?format=` converts, `?download=1` saves")
    thumbnail_url: str
    seed: int
    width: int
    height: int


class Timings(Answer):
    """Where the time went, in seconds; of several pictures, the longest. Null: not there yet."""

    queue_s: float | None = Field(None, description="From acceptance until it is taken up")
    encode_s: float | None = Field(None, description="Understanding the prompt")
    steps_s: float | None = Field(None, description="Denoising")
    decode_s: float | None = Field(None, description="From latents to pixels")
    save_s: float | None = Field(None, description="Encoding and storing the file")
    total_s: float | None = Field(None, description="From acceptance to the end")


class Links(Answer):
    self: str
    events: str
    cancel: str


class GenerationError(Answer):
    """Why a generation failed."""

    code: str
    message: str


class Generation(Answer):
    """What was asked, how it stands, and its pictures so far."""

    id: str
    status: Status
    params: GenerationParams
    position: int | None = Field(description="Place in the queue, 1 is next; null when not queued")
    eta_s: float | None = Field(description="About how long until it ends; null when over or not known")
    images: list[Image]
    timings: Timings
    error: GenerationError | None
    created_at: datetime
    finished_at: datetime | None
    links: Links


class GenerationList(Answer):
    """Newest first. `next_cursor` is null on the last page."""

    items: list[Generation]
    next_cursor: str | None


class GenerationBatch(Answer):
    """In the order in which they were asked for."""

    items: list[Generation]


class QueuedEvent(Answer):
    position: int
    eta_s: float | None


class StartedEvent(Answer):
    """The first picture is being painted."""


class ProgressEvent(Answer):
    index: int = Field(description="Which of the generation's pictures, from 0")
    step: int
    steps: int
    eta_s: float = Field(description="Until this picture is done")


class PreviewEvent(Answer):
    index: int
    step: int
    image: str = Field(description="A data URL of at most 8 kB")


class GenerationEvents(Answer):
    """The data of each server-sent event, by event name. The last is `succeeded`, `failed` or `cancelled`."""

    snapshot: Generation
    queued: QueuedEvent
    started: StartedEvent
    progress: ProgressEvent
    preview: PreviewEvent
    image: Image
    succeeded: Generation
    failed: Generation
    cancelled: Generation


class PromptIn(Frozen):
    """What the prompt writer is to continue. The same seed writes the same prompt."""

    text: Annotated[str, AfterValidator(printable)] = Field(
        "", max_length=MAX_PROMPT, description="What is typed already; may be empty"
    )
    model: str | None = Field(None, description="Write what this model can draw; null: the default model")
    seed: int | None = Field(None, ge=0, lt=2**32, description="Null: random, and the answer says which")
    temperature: float = Field(1.0, ge=0.1, le=2.0, description="Higher is more surprising")
    max_new_tokens: int = Field(60, ge=1, le=200)


class PromptOut(Answer):
    """The whole prompt: what was given and what was written."""

    text: str
    seed: int


class TokenEvent(Answer):
    """A piece to append to the text."""

    text: str


class Range(Answer):
    min: float
    max: float


class Limits(Answer):
    prompt_characters: int
    num_images: Range
    num_inference_steps: Range
    guidance_scale: Range
    seed: Range
    temperature: Range
    max_new_tokens: Range
    queued: int = Field(description="Generations that the caller may have waiting")
    wait_s: int = Field(description="Longest `Prefer: wait`")
    poll_s: float = Field(description="A page that looks whether all is well does so this rarely")


class EngineState(Answer):
    state: State
    detail: str


class PromptWriterState(Answer):
    name: str
    state: State
    detail: str


class Capabilities(Answer):
    """What this server can do now; clients take every number from here."""

    models: list[ModelInfo]
    limits: Limits
    output_formats: list[OutputFormat]
    engine: EngineState
    prompt_writer: PromptWriterState
    version: str


class PromptEvents(Answer):
    """The data of each server-sent event, by event name. The last is `done` or `error`."""

    token: TokenEvent
    done: PromptOut
    error: Problem


class KeyIn(Frozen):
    """A key that a page enters for its browser."""

    key: str = Field(max_length=100, description="As `limner keys create` printed it")


class Session(Answer):
    """Who the server takes the caller for, and what they may."""

    kind: Literal["operator", "key", "visitor", "stranger"] = Field(
        description="A stranger may do nothing before entering a key"
    )
    name: str | None = Field(description="Of the key")
    scopes: list[Literal["admin", "generate", "prompts", "read"]]
    expires_at: datetime | None = Field(description="When the key expires")
    queued: int | None = Field(description="Generations that may wait at once")
    rate: int | None = Field(description="Requests for work that may come in a minute; null: any number")
    quota: float | None = Field(
        description="Megapixel-steps that may be asked for in a day; null: any number"
    )
    spent: float | None = Field(description="Megapixel-steps asked for since midnight UTC; null: not counted")


class Alive(Answer):
    status: Literal["alive"] = "alive"


class Ready(Answer):
    """200 when pictures can be made now, 503 until then."""

    ready: bool
    engine: EngineState
    prompt_writer: PromptWriterState


class FieldProblem(Answer):
    field: str
    value: JsonValue
    limit: JsonValue
    message: str


class Problem(Answer):
    """An RFC 9457 problem document."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str = Field(description="A stable name for programs")
    errors: list[FieldProblem] = Field([], description="Each wrong value, its limit and its remedy")


PromptEvents.model_rebuild()
