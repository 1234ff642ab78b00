"""What is told about a job while it runs."""

from __future__ import annotations

from dataclasses import dataclass

from limner.store.job import Image, Job


@dataclass(frozen=True, slots=True)
class View:
    """A job and where it stands now. `position` 1 is next; `eta_s` counts to its end."""

    job: Job
    position: int | None = None
    eta_s: float | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How the job stands when somebody begins to listen."""

    view: View


@dataclass(frozen=True, slots=True)
class Queued:
    position: int
    eta_s: float | None


@dataclass(frozen=True, slots=True)
class Started:
    pass


@dataclass(frozen=True, slots=True)
class Progress:
    index: int
    step: int
    steps: int
    eta_s: float


@dataclass(frozen=True, slots=True)
class Preview:
    index: int
    step: int
    image: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class ImageStored:
    image: Image


@dataclass(frozen=True, slots=True)
class Ended:
    view: View


Payload = Snapshot | Queued | Started | Progress | Preview | ImageStored | Ended


@dataclass(frozen=True, slots=True)
class Event:
    """`id` counts up within the job; an event with the same subject replaces an older one unread."""

    id: int
    payload: Payload
