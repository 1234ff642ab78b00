"""Finished latents to pixels, beside the steps of others."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from limner.engine.request import RunningRequest
from limner.models.decoding import Decoding
from limner.models.memory import told_as_memory
from limner.models.stable_diffusion import LatentShape, StableDiffusion

if TYPE_CHECKING:  # importing it takes seconds, and few have one
    from limner.models.safety import SafetyChecker

# Pictures on the GPU at once: one that is decoded while another is copied.
AHEAD = 1
# The longest that, on a processor, a picture waits for somebody else's steps, or steps for a picture.
HELD_S = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Undecoded:
    """`latents` `(C, h, w)`, its own; on a GPU not before `written`. `since`: by the monotonic clock."""

    running: RunningRequest
    model: StableDiffusion
    latents: torch.Tensor
    written: torch.cuda.Event | None = None
    since: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class Decoded:
    """`pixels` `(H, W, 3)`, uint8 on the CPU, or why there are none. `seconds` it took from when it `began`.

    `flagged`: the safety checker objects to them.
    """

    undecoded: Undecoded
    pixels: torch.Tensor | Exception
    began: float
    seconds: float
    flagged: bool = False


class Decoder:
    """One thread that decodes a picture at a time: people take turns, and each one's come in order.

    A GPU does it on a stream of its own, and begins with the next while pictures are copied to the host. Its
    methods are for the thread of the step loop. `checker`, where there is one, looks at every picture.
    """

    def __init__(self, checker: SafetyChecker | None = None) -> None:
        self._checker = checker
        self._unfinished: list[Undecoded] = []
        self._waiting: dict[str, deque[Undecoded]] = {}
        self._held: frozenset[str] = frozenset()
        self._calls = 0  # of `_decode_next`, still to come
        self._lock = threading.Lock()
        self._underway: deque[tuple[Undecoded, Decoding, float]] = deque()
        self._stream: torch.cuda.Stream | None = None
        self._done: queue.SimpleQueue[Decoded] = queue.SimpleQueue()
        self._thread = ThreadPoolExecutor(1, "decoder")

    def rehearse(self, model: StableDiffusion, shape: LatentShape) -> None:
        """What decoding a picture of this shape compiles or captures at first, now. If it comes to nothing,
        whose picture comes first is told why."""
        latents = torch.zeros((shape.channels, shape.height, shape.width), device=model.device)
        written = event_of(latents)
        self._thread.submit(lambda: self._begin(model, latents, written).pixels()).exception()

    def put(self, undecoded: Undecoded) -> None:
        self._unfinished.append(undecoded)
        with self._lock:
            self._waiting.setdefault(undecoded.running.request.person, deque()).append(undecoded)
            self._call()

    def hold(self, people: frozenset[str]) -> None:
        """Until the next such word begin no picture of theirs on a processor, unless it has waited for
        `HELD_S`: the steps beside it would take as much longer."""
        with self._lock:
            self._held = people
            self._call()

    def drop(self, running: RunningRequest) -> None:
        """Do not begin with it; what is begun comes out all the same."""
        self._unfinished = [undecoded for undecoded in self._unfinished if undecoded.running is not running]
        with self._lock:
            for mine in self._waiting.values():
                for undecoded in [u for u in mine if u.running is running]:
                    mine.remove(undecoded)

    def urgent(self, people: frozenset[str]) -> bool:
        """Whether somebody who is not among these people waits for a picture, and should not wait for steps
        that would take the same processor from it."""
        now = time.monotonic()
        return any(
            undecoded.written is None
            and undecoded.running.request.person not in people
            and now - undecoded.since < HELD_S
            for undecoded in self._unfinished
        )

    def collect(self, wait_s: float) -> list[Decoded]:
        """What has been decoded; when that is nothing yet, wait for the first."""
        found = self._collected(wait_s)
        done = [decoded.undecoded for decoded in found]
        self._unfinished = [undecoded for undecoded in self._unfinished if undecoded not in done]
        return found

    def _collected(self, wait_s: float) -> list[Decoded]:
        found: list[Decoded] = []
        try:
            found.append(self._done.get(timeout=wait_s) if wait_s else self._done.get_nowait())
            while True:
                found.append(self._done.get_nowait())
        except queue.Empty:
            return found

    def _call(self) -> None:
        """With the lock: as often as there are pictures that may be begun."""
        ready = sum(self._may_begin(undecoded) for mine in self._waiting.values() for undecoded in mine)
        while self._calls < ready:
            self._calls += 1
            self._thread.submit(self._decode_next)

    def _may_begin(self, undecoded: Undecoded) -> bool:
        held = undecoded.written is None and undecoded.running.request.person in self._held
        return not held or time.monotonic() - undecoded.since >= HELD_S

    def _next(self) -> Undecoded | None:
        with self._lock:
            self._calls -= 1
            for person, mine in list(self._waiting.items()):
                if not mine:
                    del self._waiting[person]
                elif self._may_begin(mine[0]):
                    self._waiting[person] = self._waiting.pop(person)  # behind the others
                    return mine.popleft()
        return None

    def _decode_next(self) -> None:
        """The last call leaves nothing underway."""
        undecoded = self._next()
        if undecoded is not None:
            began = time.monotonic()
            try:
                decoding = self._begin(undecoded.model, undecoded.latents, undecoded.written)
                self._underway.append((undecoded, decoding, began))
            except Exception as error:  # whose it is, the step loop knows
                self._done.put(Decoded(undecoded, error, began, time.monotonic() - began))
        while self._underway and (
            _arrived(self._underway[0][1]) or len(self._underway) > AHEAD or not self._another_call()
        ):
            self._end(*self._underway.popleft())

    def _begin(
        self, model: StableDiffusion, latents: torch.Tensor, written: torch.cuda.Event | None
    ) -> Decoding:
        with told_as_memory():
            if written is None:
                return model.decoding(latents)
            if self._stream is None:
                self._stream = torch.cuda.Stream(latents.device)  # type: ignore[no-untyped-call]
            with torch.cuda.stream(self._stream):
                self._stream.wait_event(written)
                return model.decoding(latents)

    def _end(self, undecoded: Undecoded, decoding: Decoding, began: float) -> None:
        pixels: torch.Tensor | Exception
        flagged = False
        try:
            with told_as_memory():
                pixels = decoding.pixels()
                flagged = self._objects_to(pixels)
        except Exception as error:  # of the checker, too: what was not checked is not shown
            pixels = error
        self._done.put(Decoded(undecoded, pixels, began, time.monotonic() - began, flagged))

    def _objects_to(self, pixels: torch.Tensor) -> bool:
        if self._checker is None:
            return False
        if self._stream is None:
            return self._checker.objects_to(pixels)
        with torch.cuda.stream(self._stream):
            return self._checker.objects_to(pixels)

    def _another_call(self) -> bool:
        with self._lock:
            return self._calls > 0


def _arrived(decoding: Decoding) -> bool:
    try:
        return decoding.arrived
    except Exception:  # the device is lost, which whoever takes the pixels is told
        return True


def event_of(tensor: torch.Tensor) -> torch.cuda.Event | None:
    """On a GPU, what tells another stream that `tensor` has been written."""
    return torch.cuda.current_stream(tensor.device).record_event() if tensor.is_cuda else None
