"""What crosses the engine's border, and the interface of every engine. No torch here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from limner.engine.curve import Curve
from limner.params import GenerationParams, ModelInfo


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """One picture to make. `params.num_images` is the job's affair; `seed` is this picture's own."""

    id: str
    person: str
    params: GenerationParams
    seed: int
    previews: bool = True


@dataclass(frozen=True, slots=True)
class Timings:
    """Where one picture's time went, in seconds; together all its time in the engine.

    `queue_s`: from arriving to its first step, but for `encode_s`. `decode_s`: from its last step to its
    pixels, waiting for other pictures included.
    """

    queue_s: float = 0.0
    encode_s: float = 0.0
    steps_s: float = 0.0
    decode_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Progress:
    """`step` of `steps` denoising steps are done; the rest takes about `eta_s` seconds."""

    request_id: str
    step: int
    steps: int
    eta_s: float


@dataclass(frozen=True, slots=True)
class Preview:
    """The picture so far as a small encoded image, at most 6,000 bytes."""

    request_id: str
    step: int
    image: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Finished:
    """`pixels`: uint8 RGB of shape `(height, width, 3)`. `flagged`: the safety checker objects to them."""

    request_id: str
    pixels: NDArray[np.uint8]
    timings: Timings
    flagged: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """This picture cannot be made. `retry`: the engine went away, another attempt may succeed."""

    request_id: str
    reason: str
    retry: bool = False


@dataclass(frozen=True, slots=True)
class Cancelled:
    request_id: str


EngineEvent = Progress | Preview | Finished | Failed | Cancelled


@dataclass(frozen=True, slots=True)
class Health:
    """`slots`: requests the engine will take at once. `detail` says in words what `state` means now."""

    state: Literal["loading", "ready", "restarting", "failed", "stopped"]
    detail: str = ""
    slots: int = 0


@dataclass(frozen=True, slots=True)
class Stats:
    """What the engine did so far; all but `restarts` begins at zero again when its process is replaced.

    `steps` passes through a network moved `rows` rows, in batches with room for `room` rows. `images` were
    finished. `encode_s`, `steps_s`, `decode_s`: seconds spent at each. `curves`: of every model, as measured
    when it was loaded.
    """

    steps: int = 0
    rows: int = 0
    room: int = 0
    images: int = 0
    encode_s: float = 0.0
    steps_s: float = 0.0
    decode_s: float = 0.0
    restarts: int = 0
    curves: tuple[Curve, ...] = ()


class Engine(Protocol):
    """Requests in, events out. All methods are called on the server's event loop."""

    async def start(self) -> None:
        """Begin loading; returns at once, `health` tells when it is ready."""

    async def stop(self) -> None: ...

    def generate(self, request: ImageRequest) -> AsyncIterator[EngineEvent]:
        """Events of one request; the last is `Finished`, `Failed` or `Cancelled`, never an exception."""

    async def cancel(self, request_id: str) -> None:
        """The request's stream ends with `Cancelled` after the current step. Unknown ids are ignored."""

    def models(self) -> tuple[ModelInfo, ...]:
        """What can be asked of it; known before the weights are loaded."""

    def health(self) -> Health: ...

    def stats(self) -> Stats: ...
