"""What the server and the engine's process say to each other, besides `ImageRequest`. No torch here."""

from __future__ import annotations

from dataclasses import dataclass

from limner.engine.curve import Curve
from limner.engine.messages import EngineEvent, Stats
from limner.models.catalog import LocalModel


@dataclass(frozen=True, slots=True)
class EngineStart:
    """`threads` 0: as many as the machine has processors."""

    models: tuple[LocalModel, ...]
    device: str
    threads: int


@dataclass(frozen=True, slots=True)
class Ready:
    """Every model is loaded and measured. `step_s`: how long the largest step is expected to take."""

    slots: int
    step_s: float
    curves: tuple[Curve, ...] = ()


@dataclass(frozen=True, slots=True)
class CancelRequest:
    request_id: str


@dataclass(frozen=True, slots=True)
class Report:
    """What one engine step brought, and how long it took; `stats` since the process started."""

    step_s: float
    events: tuple[EngineEvent, ...]
    stats: Stats
