"""The tensors of one forward: fixed sizes, kept from step to step, filled from the requests."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from limner.diffusion.update import draw_noise, guide, update
from limner.engine.request import RunningRequest
from limner.models.stable_diffusion import LatentShape, StableDiffusion

BUCKETS = (1, 2, 4, 6, 8, 12, 16)


def bucket_of(rows: int) -> int:
    """The smallest batch size that holds `rows`."""
    return next(size for size in BUCKETS if size >= rows)


class Batch:
    """One forward's buffers for `size` rows of one latent shape.

    At one size a row does not depend on its neighbours, so a part-filled batch is padded, not cut.
    """

    def __init__(self, model: StableDiffusion, shape: LatentShape, size: int) -> None:
        def zeros(*dims: int) -> torch.Tensor:
            return torch.zeros(dims, device=model.device)

        latents = (size, shape.channels, shape.height, shape.width)
        self._model = model
        self._inputs, self._timesteps = zeros(*latents), zeros(size)
        self._embeds, self._embedded_guidance = zeros(size, *model.embed_shape), zeros(size)
        self._latents, self._x0, self._noise = zeros(*latents), zeros(*latents), zeros(*latents)
        self._coefficients, self._scales = zeros(size, 6), zeros(size)

    @torch.inference_mode()
    def run(self, requests: Sequence[RunningRequest]) -> None:
        """Move every request one denoising step; when it raises, none has moved."""
        negative_rows, positive_rows = self._prepare(requests)
        output = self._model.predict(self._inputs, self._timesteps, self._embeds, self._embedded_guidance)
        count = len(requests)
        guided = guide(output[negative_rows], output[positive_rows], self._scales[:count])
        latents, x0 = update(
            self._latents[:count], guided, self._x0[:count], self._noise[:count], self._coefficients[:count]
        )
        for i, running in enumerate(requests):
            running.latents, running.x0 = latents[i], x0[i]
            running.fresh_noise = None
            running.step += 1

    @torch.inference_mode()
    def rehearse(self, embeds: torch.Tensor) -> None:
        """A forward on noise, for its time and for what torch prepares at the first one."""
        self._embeds[:] = embeds
        self._model.predict(self._inputs, self._timesteps, self._embeds, self._embedded_guidance)
        if self._model.device.type == "cuda":
            torch.cuda.synchronize()

    def _prepare(self, requests: Sequence[RunningRequest]) -> tuple[list[int], list[int]]:
        """Fill the buffers. Returns each request's row without the prompt and its row with it."""
        negative_rows, positive_rows = [], []
        row = 0
        for i, running in enumerate(requests):
            self._latents[i], self._x0[i] = running.latents, running.x0
            self._coefficients[i] = running.rows[running.step]
            self._scales[i] = running.request.params.guidance_scale if running.guided else 1.0
            if running.guided:
                assert running.negative is not None
                self._fill(row, running, running.negative)
                negative_rows.append(row)
                row += 1
            assert running.positive is not None
            self._fill(row, running, running.positive)
            positive_rows.append(row)
            if not running.guided:
                negative_rows.append(row)
            row += 1
        self._draw(requests)
        return negative_rows, positive_rows

    def _fill(self, row: int, running: RunningRequest, embeds: torch.Tensor) -> None:
        self._inputs[row] = running.latents
        self._timesteps[row] = running.table.timesteps[running.step]
        self._embeds[row] = embeds
        self._embedded_guidance[row] = running.request.params.guidance_scale

    def _draw(self, requests: Sequence[RunningRequest]) -> None:
        for i, running in enumerate(requests):
            if running.table.draws_noise(running.step):
                if running.fresh_noise is None:
                    shape = running.group.shape
                    size = (shape.channels, shape.height, shape.width)
                    running.fresh_noise = draw_noise(size, running.generator)
                self._noise[i] = running.fresh_noise
            else:
                self._noise[i] = 0.0
