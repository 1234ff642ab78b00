"""The tensors of requests in the making, kept from step to step in one place."""

from __future__ import annotations

import torch

from limner.models.stable_diffusion import LatentShape, StableDiffusion

LEAST = 8
# More slots are other tensors, and steps that a GPU was told of have to be told again.
LEAST_CUDA = 32


class Slots:
    """One slot a request of one model and latent shape; more are made as they are needed.

    `latents`, `x0` and `noise` `(slots, C, h, w)`; `embeds` `(2 * slots, L, D)`, of slot i at 2·i without the
    prompt and at 2·i + 1 with it. Slot 0 belongs to nobody: what fills up a batch is taken from there.
    """

    def __init__(self, model: StableDiffusion, shape: LatentShape) -> None:
        def zeros(*dims: int) -> torch.Tensor:
            return torch.zeros(dims, device=model.device)

        size, least = (shape.channels, shape.height, shape.width), LEAST
        if model.device.type == "cuda":
            least = LEAST_CUDA
        self.latents, self.x0, self.noise = zeros(least, *size), zeros(least, *size), zeros(least, *size)
        self.embeds = zeros(2 * least, *model.embed_shape)
        self._free = list(range(least - 1, 0, -1))

    @property
    def unused(self) -> bool:
        return len(self._free) == len(self.latents) - 1

    def take(self, latents: torch.Tensor, positive: torch.Tensor, negative: torch.Tensor | None) -> int:
        """A slot that begins with `latents` `(C, h, w)` and these embeddings `(L, D)`."""
        if not self._free:
            self._grow()
        slot = self._free[-1]
        put(latents, self.latents[slot])
        # A row of zeros times what is not a number would not be zero.
        self.x0[slot].zero_()
        self.noise[slot].zero_()
        self.embeds[2 * slot + 1].copy_(positive)
        if negative is not None:
            self.embeds[2 * slot].copy_(negative)
        return self._free.pop()

    def free(self, slot: int) -> None:
        self._free.append(slot)

    def _grow(self) -> None:
        before = len(self.latents)
        olds = (self.latents, self.x0, self.noise, self.embeds)
        # All or none: there may be no memory for one of them.
        news = [old.new_zeros(2 * len(old), *old.shape[1:]) for old in olds]
        for old, new in zip(olds, news, strict=True):
            new[: len(old)] = old
        self.latents, self.x0, self.noise, self.embeds = news
        self._free.extend(range(2 * before - 1, before - 1, -1))


def put(source: torch.Tensor, target: torch.Tensor) -> None:
    """Copy to the device; a GPU does it behind the work that waits there, and nobody waits for it."""
    if target.is_cuda and not source.is_cuda:
        target.copy_(source.pin_memory(), non_blocking=True)
    else:
        target.copy_(source)
