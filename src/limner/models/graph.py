"""Work that a GPU is told once, kernel by kernel, and then repeats at one word."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import WeakSet

import torch

log = logging.getLogger(__name__)

# While one thread captures, no other may make the device wait or give memory back.
ALONE = threading.RLock()
# Libraries choose their kernels, and compilers compile, in the first runs.
WARM_UP = 2


class Graph:
    """`work` as a CUDA graph: one launch instead of one for each kernel.

    `work` reads and writes tensors that stay where they are, and neither asks the device for a value nor
    copies from the host. The first call runs it several times and captures it; every later one repeats it.
    What cannot be captured runs as it is, with a word in the log. One thread at a time.
    """

    def __init__(self, work: Callable[[], object], pool: GraphPool) -> None:
        self._work, self._pool = work, pool
        self._captured: torch.cuda.CUDAGraph | None = None
        self.ready = False

    def __call__(self) -> None:
        """Raises `torch.OutOfMemoryError`."""
        if not self.ready:
            try:
                self._captured = self._pool.capture(self)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # whatever a driver or a compiler may say
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                log.warning("cannot be captured as a CUDA graph, and runs as it is: %s", reason)
            self.ready = True
        if self._captured is None:
            self._work()
        else:
            self._captured.replay()

    def run(self) -> None:
        """`work` as it is."""
        self._work()

    @property
    def memory(self) -> Any:
        """torch's name of the memory it works in."""
        return None if self._captured is None else self._captured.pool()


class GraphPool:
    """The graphs of one thread on one device: never two run at once, so they work in the same memory.

    The larger should be captured first, so that the smaller find room in what they left.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: torch.cuda.Stream | None = None
        self._graphs: WeakSet[Graph] = WeakSet()
        self._spoiled: list[torch.cuda.CUDAGraph] = []

    def graph(self, work: Callable[[], object]) -> Graph:
        made = Graph(work, self)
        self._graphs.add(made)
        return made

    def capture(self, graph: Graph) -> torch.cuda.CUDAGraph:
        """Warm up and capture, beside the current stream. Raises whatever torch raises."""
        with ALONE:
            stream = self._stream or torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
            self._stream = stream
            current = torch.cuda.current_stream(self._device)
            captured, memory = torch.cuda.CUDAGraph(), self._memory()
            stream.wait_stream(current)
            try:
                with torch.cuda.stream(stream):
                    for _ in range(WARM_UP):
                        graph.run()
                # Others go on meanwhile: what they launch is no part of it.
                with torch.cuda.graph(captured, memory, stream, capture_error_mode="thread_local"):
                    graph.run()
            except torch.OutOfMemoryError:
                raise
            except Exception:
                self._give_up(captured, memory)
                raise
            finally:
                # A capture that fails leaves its stream the current one.
                torch.cuda.set_stream(current)
                current.wait_stream(stream)
            return captured

    def _give_up(self, captured: torch.cuda.CUDAGraph, memory: Any) -> None:
        """torch may still take the capture for one under way, and would refuse its memory to the next: those
        to come get other memory, and this one is kept, because torch asks it what belongs to it."""
        with suppress(RuntimeError):  # it has ended, or has not begun
            torch._C._cuda_endAllocateToPool(self._device.index or 0, memory)
        self._spoiled.append(captured)
        self._graphs.clear()

    def _memory(self) -> Any:
        """That of any graph still alive: with the last one it is given back."""
        shared = next((graph.memory for graph in self._graphs if graph.memory is not None), None)
        return shared or torch.cuda.graph_pool_handle()


def give_back_memory() -> None:
    """Let others have what torch keeps of the GPU's memory for later."""
    if torch.cuda.is_available():
        with ALONE:
            torch.cuda.empty_cache()
