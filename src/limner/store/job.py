"""A job and its images as the record holds them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from limner.params import GenerationParams, OutputFormat


class Status(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def over(self) -> bool:
        return self not in (Status.QUEUED, Status.RUNNING)


@dataclass(frozen=True, slots=True)
class Durations:
    """Where one image's time went, in seconds."""

    encode_s: float = 0.0
    steps_s: float = 0.0
    decode_s: float = 0.0
    save_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Image:
    """A committed picture; `index` says which of its job's."""

    id: str
    job_id: str
    index: int
    seed: int
    width: int
    height: int
    format: OutputFormat
    durations: Durations
    created_at: datetime

    @property
    def path(self) -> str:
        """Where its file lies, relative to the picture folder."""
        return f"{self.id[:2]}/{self.id}.{self.format}"

    @property
    def thumbnail_path(self) -> str:
        return f"{self.id[:2]}/{self.id}.thumbnail.webp"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed: a stable code for programs, a sentence for people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Job:
    """What a person submitted. `number` counts up in order of creation; `attempt` fences late results."""

    id: str
    number: int
    person: str
    status: Status
    params: GenerationParams
    attempt: int
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    failure: Failure | None = None
    images: tuple[Image, ...] = field(default=())

    def missing(self) -> list[int]:
        """The indexes of the pictures that are not committed yet."""
        done = {image.index for image in self.images}
        return [index for index in range(self.params.num_images) if index not in done]
