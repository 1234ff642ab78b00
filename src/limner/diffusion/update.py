"""One denoising step of a mixed batch, and the noise it may need."""

from __future__ import annotations

import torch


def generator_of(seed: int) -> torch.Generator:
    """A request's own source of noise; on the CPU, so that a seed means one picture on every device."""
    return torch.Generator("cpu").manual_seed(seed)


def draw_noise(shape: tuple[int, int, int], generator: torch.Generator) -> torch.Tensor:
    """The next standard normal latents `(C, h, w)`, the numbers that diffusers' `randn_tensor` would draw."""
    return torch.randn((1, *shape), generator=generator, dtype=torch.float32)[0]


def guide(negative: torch.Tensor, positive: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Classifier-free guidance of `(B, C, h, w)` by `scale` `(B,)`; rows without it give one as both."""
    return negative + scale[:, None, None, None] * (positive - negative)


def update(
    latents: torch.Tensor,
    output: torch.Tensor,
    x0_prev: torch.Tensor,
    noise: torch.Tensor,
    rows: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The latents after the step and the x0 it saw, all `(B, C, h, w)`; `rows` `(B, 6)` of sampler tables."""
    from_x, from_output, a, b, c, d = rows.T[:, :, None, None, None]
    x0 = from_x * latents + from_output * output
    return a * latents + b * x0 + c * x0_prev + d * noise, x0
