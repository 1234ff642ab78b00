"""The device's part of a denoising step: the same work on the same tensors every time."""

from __future__ import annotations

import torch

from limner.diffusion.update import guide, update
from limner.engine.slots import Slots
from limner.models.stable_diffusion import StableDiffusion


class Step:
    """One forward of `size` rows and the update of their requests, in the slots.

    The host tells it first, in `places` and `numbers`, which rows belong to whom; the work itself asks the
    host nothing and brings nothing from there, so a GPU may be told it once (`models.graph`).

    `places` `(5, size)`. A row: its slot, its embeddings; a request: its slot, its row without the prompt,
    its row with it. `numbers` `(9, size)`. A row: its timestep and guidance; a request: its scale and its
    coefficients.
    """

    def __init__(self, model: StableDiffusion, slots: Slots, size: int) -> None:
        device = model.device

        def buffer(like: torch.Tensor) -> torch.Tensor:
            return torch.zeros((size, *like.shape[1:]), device=device)

        self._model, self._slots = model, slots
        self._inputs, self._embeds = buffer(slots.latents), buffer(slots.embeds)
        self._latents, self._x0, self._noise = (buffer(slots.latents) for _ in range(3))
        self._negative, self._positive = buffer(slots.latents), buffer(slots.latents)
        self.places = torch.zeros((5, size), dtype=torch.int64, device=device)
        self.numbers = torch.zeros((9, size), device=device)

    @torch.inference_mode()
    def __call__(self) -> None:
        slots, (row_slot, row_embeds, slot, negative, positive) = self._slots, self.places
        timesteps, guidance, scale = self.numbers[:3]
        torch.index_select(slots.latents, 0, row_slot, out=self._inputs)
        torch.index_select(slots.embeds, 0, row_embeds, out=self._embeds)
        output = self._model.predict(self._inputs, timesteps, self._embeds, guidance)
        torch.index_select(output, 0, negative, out=self._negative)
        torch.index_select(output, 0, positive, out=self._positive)
        guide(self._negative, self._positive, scale)
        torch.index_select(slots.latents, 0, slot, out=self._latents)
        torch.index_select(slots.x0, 0, slot, out=self._x0)
        torch.index_select(slots.noise, 0, slot, out=self._noise)
        update(self._latents, self._positive, self._x0, self._noise, self.numbers[3:].T)
        slots.latents.index_copy_(0, slot, self._latents)
        slots.x0.index_copy_(0, slot, self._x0)
