"""One denoising step of a mixed batch, and the noise it may need."""

from __future__ import annotations

import torch


def generator_of(seed: int) -> torch.Generator:
    """A request's own source of noise; on the CPU, so that a seed means one picture on every device."""
    return torch.Generator("cpu").manual_seed(seed)


def draw_noise(shape: tuple[int, int, int], generator: torch.Generator) -> torch.Tensor:
    """The next standard normal latents `(C, h, w)`, the numbers that diffusers' `randn_tensor` would draw."""
    return torch.randn((1, *shape), generator=generator, dtype=torch.float32)[0]


def guide(negative: torch.Tensor, positive: torch.Tensor, scale: torch.Tensor) -> None:
    """Classifier-free guidance of `(B, C, h, w)` by `scale` `(B,)`, into `positive`.

    Rows without guidance give one answer as both, and keep it to the bit.
    """
    positive.sub_(negative).mul_(scale[:, None, None, None]).add_(negative)


def update(
    latents: torch.Tensor, output: torch.Tensor, x0: torch.Tensor, noise: torch.Tensor, rows: torch.Tensor
) -> None:
    """Move `latents` one step and leave in `x0` what they were thought to become, all `(B, C, h, w)`.

    `x0` comes with that of the step before, `rows` `(B, 6)` of sampler tables; `output` is used up.
    """
    from_x, from_output, a, b, c, d = rows.T[:, :, None, None, None]
    new_x0 = output.mul_(from_output).addcmul_(latents, from_x)
    latents.mul_(a).addcmul_(new_x0, b).addcmul_(x0, c).addcmul_(noise, d)
    x0.copy_(new_x0)
