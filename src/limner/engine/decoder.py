"""Finished latents to pixels, beside the steps of others."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from limner.engine.request import RunningRequest
from limner.models.decoding import Decoding
from limner.models.memory import told_as_memory
from limner.models.stable_diffusion import StableDiffusion

if TYPE_CHECKING:  # importing it takes seconds, and few have one
    from limner.models.safety import SafetyChecker

# Pictures on the GPU at once: one that is decoded while another is copied.
AHEAD = 1


@dataclass(frozen=True, slots=True, eq=False)
class Undecoded:
    """`latents` `(C, h, w)`, its own; on a GPU not before `written`."""

    running: RunningRequest
    model: StableDiffusion
    latents: torch.Tensor
    written: torch.cuda.Event | None = None

    def decode(self) -> Decoding:
        """Raises `OutOfMemory`."""
        with told_as_memory():
            return self.model.decoding(self.latents)


@dataclass(frozen=True, slots=True)
class Decoded:
    """`pixels` `(H, W, 3)`, uint8 on the CPU, or why there are none. `seconds` it took.

    `flagged`: the safety checker objects to them.
    """

    undecoded: Undecoded
    pixels: torch.Tensor | Exception
    seconds: float
    flagged: bool = False


class Decoder:
    """One thread that decodes a picture at a time: people take turns, and each one's come in order.

    A GPU does it on a stream of its own, and begins with the next while pictures are copied to the host. Its
    methods are for the thread of the step loop. `checker`, where there is one, looks at every picture.
    """

    def __init__(self, checker: SafetyChecker | None = None) -> None:
        self._checker = checker
        self._waiting: dict[str, deque[Undecoded]] = {}
        self._lock = threading.Lock()
        self._underway: deque[tuple[Undecoded, Decoding, float]] = deque()
        self._stream: torch.cuda.Stream | None = None
        self._done: queue.SimpleQueue[Decoded] = queue.SimpleQueue()
        self._thread = ThreadPoolExecutor(1, "decoder")

    def put(self, undecoded: Undecoded) -> None:
        with self._lock:
            self._waiting.setdefault(undecoded.running.request.person, deque()).append(undecoded)
        self._thread.submit(self._decode_next)

    def drop(self, running: RunningRequest) -> None:
        """Do not begin with it; what is begun comes out all the same."""
        with self._lock:
            for mine in self._waiting.values():
                for undecoded in [u for u in mine if u.running is running]:
                    mine.remove(undecoded)

    def collect(self, wait_s: float) -> list[Decoded]:
        """What has been decoded; when that is nothing yet, wait for the first."""
        found: list[Decoded] = []
        try:
            found.append(self._done.get(timeout=wait_s) if wait_s else self._done.get_nowait())
            while True:
                found.append(self._done.get_nowait())
        except queue.Empty:
            return found

    def _next(self) -> Undecoded | None:
        with self._lock:
            for person, mine in list(self._waiting.items()):
                del self._waiting[person]
                if mine:
                    undecoded = mine.popleft()
                    self._waiting[person] = mine  # behind the others
                    return undecoded
        return None

    def _decode_next(self) -> None:
        """Once for each that was put: the last one leaves nothing underway."""
        undecoded = self._next()
        if undecoded is not None:
            began = time.monotonic()
            try:
                self._underway.append((undecoded, self._begin(undecoded), began))
            except Exception as error:  # whose it is, the step loop knows
                self._done.put(Decoded(undecoded, error, time.monotonic() - began))
        while self._underway and (
            self._underway[0][1].arrived or len(self._underway) > AHEAD or not self._any_waiting()
        ):
            self._end(*self._underway.popleft())

    def _begin(self, undecoded: Undecoded) -> Decoding:
        if undecoded.written is None:
            return undecoded.decode()
        if self._stream is None:
            self._stream = torch.cuda.Stream(undecoded.latents.device)  # type: ignore[no-untyped-call]
        with torch.cuda.stream(self._stream):
            self._stream.wait_event(undecoded.written)
            return undecoded.decode()

    def _end(self, undecoded: Undecoded, decoding: Decoding, began: float) -> None:
        pixels: torch.Tensor | Exception
        flagged = False
        try:
            with told_as_memory():
                pixels = decoding.pixels()
                flagged = self._objects_to(pixels)
        except Exception as error:  # of the checker, too: what was not checked is not shown
            pixels = error
        self._done.put(Decoded(undecoded, pixels, time.monotonic() - began, flagged))

    def _objects_to(self, pixels: torch.Tensor) -> bool:
        if self._checker is None:
            return False
        if self._stream is None:
            return self._checker.objects_to(pixels)
        with torch.cuda.stream(self._stream):
            return self._checker.objects_to(pixels)

    def _any_waiting(self) -> bool:
        with self._lock:
            return any(self._waiting.values())
