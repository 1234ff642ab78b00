"""One forward of a mixed batch: fixed sizes, fixed tensors, filled from the requests' slots."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from limner.diffusion.update import draw_noise, guide, update
from limner.engine.request import RunningRequest
from limner.engine.slots import Slots
from limner.models.stable_diffusion import StableDiffusion


class Batch:
    """The buffers of one forward of `size` rows; at most `size` requests, with one or two rows each.

    At one size a row does not depend on its neighbours, so a part-filled batch is filled up from slot 0, not
    cut. Which rows belong to whom is told in tensors, so the work on the device is the same every time.
    """

    def __init__(self, model: StableDiffusion, slots: Slots, size: int) -> None:
        device = model.device

        def buffer(like: torch.Tensor) -> torch.Tensor:
            return torch.zeros((size, *like.shape[1:]), device=device)

        self._model, self._slots = model, slots
        self._inputs, self._embeds = buffer(slots.latents), buffer(slots.embeds)
        self._latents, self._x0, self._noise = (buffer(slots.latents) for _ in range(3))
        self._negative, self._positive = buffer(slots.latents), buffer(slots.latents)
        # Told by the host each step, in one copy each. A row: its slot, its embeddings; a request: its slot,
        # its row without the prompt, its row with it. Then a row's timestep and guidance; a request's scale
        # and its coefficients.
        self._host_places = np.zeros((5, size), np.int64)
        self._host_numbers = np.zeros((9, size), np.float32)
        self._places = torch.zeros((5, size), dtype=torch.int64, device=device)
        self._numbers = torch.zeros((9, size), device=device)

    @torch.inference_mode()
    def run(self, requests: Sequence[RunningRequest]) -> None:
        """Move every request one denoising step; when it raises, none has moved."""
        self._prepare(requests)
        self._forward()
        for running in requests:
            running.step += 1

    @torch.inference_mode()
    def rehearse(self) -> None:
        """The work of a step on nobody's rows."""
        self._host_places[:], self._host_numbers[:] = 0, 0
        self._tell()
        self._forward()

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
            noise.copy_(draw_noise((noise.shape[0], noise.shape[1], noise.shape[2]), running.generator))
            running.drawn = running.step

    def _tell(self) -> None:
        self._places.copy_(torch.from_numpy(self._host_places))
        self._numbers.copy_(torch.from_numpy(self._host_numbers))

    def _forward(self) -> None:
        """Everything on the device, with no word from the host."""
        slots, (row_slot, row_embeds, slot, negative, positive) = self._slots, self._places
        timesteps, guidance, scale = self._numbers[:3]
        torch.index_select(slots.latents, 0, row_slot, out=self._inputs)
        torch.index_select(slots.embeds, 0, row_embeds, out=self._embeds)
        output = self._model.predict(self._inputs, timesteps, self._embeds, guidance)
        torch.index_select(output, 0, negative, out=self._negative)
        torch.index_select(output, 0, positive, out=self._positive)
        guide(self._negative, self._positive, scale)
        torch.index_select(slots.latents, 0, slot, out=self._latents)
        torch.index_select(slots.x0, 0, slot, out=self._x0)
        torch.index_select(slots.noise, 0, slot, out=self._noise)
        update(self._latents, self._positive, self._x0, self._noise, self._numbers[3:].T)
        slots.latents.index_copy_(0, slot, self._latents)
        slots.x0.index_copy_(0, slot, self._x0)
