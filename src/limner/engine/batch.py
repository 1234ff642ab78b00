"""One step of a mixed batch: a fixed size, told to the device row by row."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from limner.diffusion.update import draw_noise
from limner.engine.request import RunningRequest
from limner.engine.slots import Slots, put
from limner.engine.step import Step
from limner.models.graph import GraphPool
from limner.models.stable_diffusion import StableDiffusion


class Batch:
    """A step of `size` rows; at most `size` requests, with one or two rows each.

    At one size a row does not depend on its neighbours, so a part-filled batch is filled up from slot 0, not
    cut. `graphs`: where the device's part is captured, where that can be.
    """

    def __init__(
        self, model: StableDiffusion, slots: Slots, size: int, graphs: GraphPool | None = None
    ) -> None:
        self._slots, self._step = slots, Step(model, slots, size)
        self._graph = graphs.graph(self._step) if graphs else None
        # Told by the host each step, in one copy each; of pinned memory, so that the host need not wait.
        self._pinned = pinned = model.device.type == "cuda"
        self._places = torch.zeros((5, size), dtype=torch.int64, pin_memory=pinned)
        self._numbers = torch.zeros((9, size), pin_memory=pinned)
        self._host_places, self._host_numbers = self._places.numpy(), self._numbers.numpy()

    @property
    def ready(self) -> bool:
        """Else `rehearse` it, and let the device finish, before it runs."""
        return self._graph is None or self._graph.ready

    @torch.inference_mode()
    def run(self, requests: Sequence[RunningRequest]) -> None:
        """Move every request one denoising step; when it raises, none has moved."""
        assert self.ready, "to be captured, a step runs several times: rehearse it on nobody's rows"
        self._prepare(requests)
        self._run()
        for running in requests:
            running.step += 1

    @torch.inference_mode()
    def rehearse(self) -> None:
        """The work of a step on nobody's rows."""
        self._host_places[:], self._host_numbers[:] = 0, 0
        self._tell()
        self._run()

    def _run(self) -> None:
        (self._graph or self._step)()

    def _prepare(self, requests: Sequence[RunningRequest]) -> None:
        places, numbers = self._host_places, self._host_numbers
        places[:], numbers[:] = 0, 0
        row = 0
        for i, running in enumerate(requests):
            guidance, slot, step = running.request.params.guidance_scale, running.slot, running.step
            assert slot is not None
            mine = slice(row, row + running.ticket.rows)
            row = mine.stop
            places[0, mine] = slot
            # Without the prompt first; without guidance the one row is both.
            places[1, mine] = range(2 * slot + 2 - running.ticket.rows, 2 * slot + 2)
            places[2:, i] = slot, mine.start, mine.stop - 1
            numbers[0, mine], numbers[1, mine] = running.table.timesteps[step], guidance
            numbers[2, i] = guidance if running.guided else 1.0
            numbers[3:, i] = running.table.rows[step]
            self._draw(running)
        self._tell()

    def _draw(self, running: RunningRequest) -> None:
        """Fresh noise for the step to come; one that has to be run again uses what it had."""
        assert running.slot is not None
        if running.table.draws_noise(running.step) and running.drawn < running.step:
            noise = self._slots.noise[running.slot]
            put(draw_noise((noise.shape[0], noise.shape[1], noise.shape[2]), running.generator), noise)
            running.drawn = running.step

    def _tell(self) -> None:
        """The host writes here again only after the step."""
        self._step.places.copy_(self._places, non_blocking=self._pinned)
        self._step.numbers.copy_(self._numbers, non_blocking=self._pinned)
