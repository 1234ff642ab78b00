"""A job and its images as the record holds them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from limner.params import GenerationParams, OutputFormat

# Whoever has the machine: the one person who needs neither key nor cookie, and sees everybody's jobs.
OPERATOR = "operator"


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
    """Where one image's time went, in seconds. `save_s`: encoding the file and writing it to disk."""

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
    def paths(self) -> Paths:
        return Paths.of(self.id, self.format)


@dataclass(frozen=True, slots=True)
class Paths:
    """Where an image's files lie in the picture folder."""

    picture: str
    thumbnail: str

    @classmethod
    def of(cls, image_id: str, format: OutputFormat) -> Paths:
        here = f"{image_id[:2]}/{image_id}"
        return cls(f"{here}.{format}", f"{here}.thumbnail.webp")


@dataclass(frozen=True, slots=True)
class NewImage:
    """A picture that is ready to be committed: the bytes of its file and of its thumbnail."""

    index: int
    seed: int
    width: int
    height: int
    format: OutputFormat
    durations: Durations
    data: bytes
    thumbnail: bytes


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed: a stable code for programs, a sentence for people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Job:
    """What a person submitted.

    `number` counts up in order of creation, `tag` is its place in fair order, `attempt` fences late results.
    """

    id: str
    number: int
    person: str
    status: Status
    params: GenerationParams
    tag: float
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


@dataclass(frozen=True, slots=True)
class Standing:
    """How many jobs wait and run, and how long the oldest that waits has."""

    queued: int
    running: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class Place:
    """Where a queued job stands: `position` 1 is next; `cost` is that of all up to and with it."""

    position: int
    cost: float
