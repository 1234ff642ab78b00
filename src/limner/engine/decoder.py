"""Finished latents to pixels, beside the steps of others."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch

from limner.engine.memory import told_as_memory
from limner.engine.request import RunningRequest
from limner.models.stable_diffusion import StableDiffusion


@dataclass(frozen=True, slots=True, eq=False)
class Undecoded:
    """`latents` `(C, h, w)`, its own."""

    running: RunningRequest
    model: StableDiffusion
    latents: torch.Tensor

    def decode(self) -> torch.Tensor:
        """Pixels `(H, W, 3)`, uint8. Raises `OutOfMemory`, `EngineFailed`."""
        with told_as_memory():
            return self.model.decode(self.latents)


@dataclass(frozen=True, slots=True)
class Decoded:
    """`pixels` `(H, W, 3)`, uint8 on the CPU, or why there are none. `seconds` it took."""

    undecoded: Undecoded
    pixels: torch.Tensor | Exception
    seconds: float


class Decoder:
    """One thread that decodes a picture at a time: people take turns, and each one's come in order.

    Its methods are for the thread of the step loop.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Undecoded]] = {}
        self._lock = threading.Lock()
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
        undecoded = self._next()
        if undecoded is None:
            return
        began = time.monotonic()
        pixels: torch.Tensor | Exception
        try:
            pixels = undecoded.decode()
        except Exception as error:  # whose it is, the step loop knows
            pixels = error
        self._done.put(Decoded(undecoded, pixels, time.monotonic() - began))
