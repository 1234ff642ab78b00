"""Runs requests through their model: text, steps, pixels. Knows memory, not people."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence

import torch

from limner.engine.batch import BUCKETS, Batch, bucket_of
from limner.engine.request import Group, RunningRequest
from limner.models.stable_diffusion import StableDiffusion

log = logging.getLogger(__name__)

# Above this time for one row a processor gains nothing from more rows, and finishing one picture is better.
SLOW_ROW_S = 0.5
SLOW_ROWS = 2
KEPT_BATCHES = 24


class OutOfMemory(Exception):
    """The device has no room for a batch this large."""


class Runner:
    """`models` by name. The buffers of the latest shapes and sizes are kept."""

    def __init__(self, models: Mapping[str, StableDiffusion]) -> None:
        self._models = models
        self._batches: dict[tuple[Group, int], Batch] = {}
        self._max_rows: dict[str, int] = {}
        self._shrunk: dict[Group, int] = {}

    def warm_up(self, name: str, width: int, height: int) -> float:
        """Time one row at the model's native size and choose how many to run at once.

        Returns the seconds that the largest step will take at most.
        """
        model = self._models[name]
        group = Group(name, model.latent_shape(width, height))
        positive = model.encode("")
        batch = Batch(model, group.shape, 1)
        times = []
        for _ in range(2):
            began = time.monotonic()
            batch.rehearse(positive)
            times.append(time.monotonic() - began)
        slow = model.device.type == "cpu" and min(times) > SLOW_ROW_S
        self._max_rows[name] = SLOW_ROWS if slow else BUCKETS[-1]
        log.info("%s: %.0f ms a row, %d rows at once", name, 1000 * min(times), self._max_rows[name])
        return min(times) * self._max_rows[name]

    @property
    def most_rows(self) -> int:
        """The rows of the largest batch that any model runs."""
        return max(self._max_rows.values(), default=BUCKETS[-1])

    def max_rows(self, group: Group) -> int:
        return self._shrunk.get(group, self._max_rows.get(group.model, BUCKETS[-1]))

    def shrink(self, group: Group) -> None:
        """After `OutOfMemory`: smaller batches of this shape from now on."""
        self._shrunk[group] = max(1, self.max_rows(group) // 2)
        log.warning("out of memory; %s now runs %d rows at once", group, self._shrunk[group])
        self._batches = {key: batch for key, batch in self._batches.items() if key[0] != group}
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def encode(self, running: RunningRequest) -> None:
        """Give the request its embeddings."""
        began = time.monotonic()
        model = self._models[running.group.model]
        running.positive = model.encode(running.request.params.prompt)
        if running.guided:
            running.negative = model.encode(running.request.params.negative_prompt)
        running.encode_s = time.monotonic() - began

    def advance(self, requests: Sequence[RunningRequest]) -> None:
        """Move requests of one group one step. Raises `OutOfMemory`; then none has moved."""
        group = requests[0].group
        size = bucket_of(sum(running.ticket.rows for running in requests))
        try:
            self._batch(group, size).run(requests)
        except RuntimeError as error:
            raise _as_memory(error) from error

    def _batch(self, group: Group, size: int) -> Batch:
        batch = self._batches.pop((group, size), None)
        if batch is None:
            batch = Batch(self._models[group.model], group.shape, size)
        self._batches[group, size] = batch  # last in the row, so that the first is the longest unused
        if len(self._batches) > KEPT_BATCHES:
            del self._batches[next(iter(self._batches))]
        return batch

    def decode(self, running: RunningRequest) -> torch.Tensor:
        """Pixels `(H, W, 3)`, uint8. Raises `OutOfMemory`, `EngineFailed`."""
        try:
            return self._models[running.group.model].decode(running.latents)
        except RuntimeError as error:
            raise _as_memory(error) from error

    def preview(self, running: RunningRequest) -> torch.Tensor:
        """What the picture will be, as far as it is known: `(h, w, 3)`, uint8."""
        return self._models[running.group.model].preview(running.x0)


def _as_memory(error: RuntimeError) -> Exception:
    """torch's processor allocator has no exception class of its own."""
    told = str(error).lower()
    memory = isinstance(error, torch.OutOfMemoryError) or "out of memory" in told or "allocate memory" in told
    return OutOfMemory(str(error)) if memory else error
