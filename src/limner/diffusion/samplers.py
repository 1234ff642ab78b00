"""Each sampler as a table of coefficients, one row a denoising step.

A step is  x0 = from_x·x + from_output·output,  then  x' = a·x + b·x0 + c·x0_prev + d·noise,  with the
latents x in the variance-preserving scale. So one update serves a batch of any mixture of samplers, and a
sampler holds no state.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from limner.diffusion.levels import Levels, levels
from limner.diffusion.noise import LEAST_SIGNAL_SQUARED, Floats, Noise, Prediction
from limner.params import Sampler, Schedule

COLUMNS = ("from_x", "from_output", "a", "b", "c", "d")
CONSISTENCY_SIGMA_DATA = 0.5  # Luo et al., "Latent Consistency Models", section 4.1


@dataclass(frozen=True, slots=True)
class SamplerTable:
    """`timesteps`: what the model is told, `(steps,)`. `rows`: `(steps, 6)`, by `COLUMNS`.

    `initial`: what the first noise is multiplied by.
    """

    timesteps: Floats
    rows: Floats
    initial: float

    def __len__(self) -> int:
        return len(self.timesteps)

    def draws_noise(self, step: int) -> bool:
        return bool(self.rows[step, -1] != 0.0)


def sampler_table(noise: Noise, sampler: Sampler, schedule: Schedule, steps: int) -> SamplerTable:
    """Raises `ValueError` when the model was trained on fewer timesteps than `steps`."""
    if steps > noise.config.num_train_timesteps:
        raise ValueError(f"{steps} steps, but the model knows {noise.config.num_train_timesteps}")
    path = levels(noise, sampler, schedule, steps)
    match sampler:
        case Sampler.DDIM | Sampler.EULER:
            update = _first_order(path)
        case Sampler.EULER_ANCESTRAL:
            update = _ancestral(path)
        case Sampler.DPMPP_2M:
            update = _second_order(path)
        case Sampler.LCM:
            update = _consistency(path, noise.config.timestep_scaling)
    prediction = _to_x0(path, noise.config.prediction_type)
    return SamplerTable(path.timesteps, np.stack([*prediction, *update], axis=1), path.initial)


def _to_x0(path: Levels, prediction: Prediction) -> tuple[Floats, Floats]:
    if prediction == "v_prediction":  # Salimans and Ho, "Progressive Distillation", appendix D
        return path.alpha, -path.sigma
    if prediction == "sample":
        return np.zeros_like(path.alpha), np.ones_like(path.alpha)
    alpha = np.maximum(path.alpha, LEAST_SIGNAL_SQUARED**0.5)
    return 1 / alpha, -path.sigma / alpha


def _first_order(path: Levels) -> tuple[Floats, Floats, Floats, Floats]:
    """Song et al., "Denoising Diffusion Implicit Models", eq. 12; Euler's step is the same in this scale."""
    a = path.next_sigma / path.sigma
    return a, path.next_alpha - a * path.alpha, np.zeros_like(a), np.zeros_like(a)


def _ancestral(path: Levels) -> tuple[Floats, Floats, Floats, Floats]:
    """Euler down to less noise than asked for, then fresh noise up to it (k-diffusion's ancestral step)."""
    here, there = path.sigma / path.alpha, path.next_sigma / path.next_alpha
    up = there * np.sqrt(np.maximum(here**2 - there**2, 0)) / here
    kept = (there / here) ** 2
    return (
        path.next_alpha * kept / path.alpha,
        path.next_alpha * (1 - kept),
        np.zeros_like(kept),
        path.next_alpha * up,
    )


def _second_order(path: Levels) -> tuple[Floats, Floats, Floats, Floats]:
    """Lu et al., "DPM-Solver++", algorithm 2 (2M); first order at the first and the last step."""
    a, b, c, d = _first_order(path)
    log_snr = np.log(path.alpha / path.sigma)
    inner = slice(1, len(a) - 1)
    # Half of h over the step before it, h being the way in log-SNR.
    half_ratio = 0.5 * np.diff(log_snr)[1:] / np.diff(log_snr)[:-1]
    c[inner] = -b[inner] * half_ratio
    b[inner] *= 1 + half_ratio
    return a, b, c, d


def _consistency(path: Levels, timestep_scaling: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Luo et al., "Latent Consistency Models", eq. 9 and algorithm 3: to x0, then fresh noise."""
    scaled = path.timesteps * timestep_scaling
    skip = CONSISTENCY_SIGMA_DATA**2 / (scaled**2 + CONSISTENCY_SIGMA_DATA**2)
    out = scaled / np.sqrt(scaled**2 + CONSISTENCY_SIGMA_DATA**2)
    return path.next_alpha * skip, path.next_alpha * out, np.zeros_like(skip), path.next_sigma
