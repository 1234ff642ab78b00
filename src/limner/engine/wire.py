"""What the server and the engine's process say to each other, besides `ImageRequest`. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from limner.engine.curve import Curve
from limner.engine.messages import EngineEvent, Stats
from limner.models.catalog import LocalModel
from limner.models.network import Backend, Dtype
from limner.models.safety_folder import SafetyFolder


@dataclass(frozen=True, slots=True)
class EngineStart:
    """`threads` 0: as many as there are processors for it. `exact`: batches of one size, always.

    `cache_dir`: for what can be made again. `backend`, `dtype`: what computes on a processor, and in which
    precision. `compiled`: by torch.compile. `memory_gb`: of the GPU's, in GiB. `safety`: looks at
    pictures.
    """

    models: tuple[LocalModel, ...]
    device: str
    threads: int
    exact: bool
    cache_dir: Path
    backend: Backend = "auto"
    dtype: Dtype = "auto"
    compiled: bool = False
    memory_gb: float | None = None
    safety: SafetyFolder | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """Every model is loaded and measured. `step_s`: how long the largest step is expected to take."""

    slots: int
    step_s: float
    curves: tuple[Curve, ...]


@dataclass(frozen=True, slots=True)
class Working:
    """Said when it changes, before it is done: whose pictures the engine moves on or decodes.

    Until it says more, only silence of more than `patience_s` is a sign of trouble.
    """

    request_ids: frozenset[str]
    patience_s: float


@dataclass(frozen=True, slots=True)
class CancelRequest:
    request_id: str


@dataclass(frozen=True, slots=True)
class Report:
    """What one engine step brought, and how long it took; `stats` since the process started."""

    step_s: float
    events: tuple[EngineEvent, ...]
    stats: Stats
