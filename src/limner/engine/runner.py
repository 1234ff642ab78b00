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

# On a processor a row with more work than this (weights times positions) gains nothing from company, and
# finishing one picture is better: the starter model has 2·10⁹ at 256 pixels, Stable Diffusion 3·10¹² at 512.
LARGE_ROW = 5e10
LARGE_ROWS = 2
KEPT_BATCHES = 24


class OutOfMemory(Exception):
    """The device has no room for a batch this large."""


class Runner:
    """`models` by name. The buffers of the latest shapes and sizes are kept."""

    def __init__(self, models: Mapping[str, StableDiffusion]) -> None:
        self._models = models
        self._batches: dict[tuple[Group, int], Batch] = {}
        self._shrunk: dict[Group, int] = {}
        self.most_rows = 1

    def warm_up(self, name: str, width: int, height: int) -> float:
        """Run one row at the model's native size twice; the first time torch prepares much.

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
        rows = self.max_rows(group)
        self.most_rows = max(self.most_rows, rows)
        log.info("%s: %.0f ms a row, %d rows at once", name, 1000 * min(times), rows)
        return min(times) * rows

    def max_rows(self, group: Group) -> int:
        model = self._models[group.model]
        work = model.parameters * group.shape.height * group.shape.width
        large = model.device.type == "cpu" and work > LARGE_ROW
        return self._shrunk.get(group, LARGE_ROWS if large else BUCKETS[-1])

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
