"""Each sampler as a table of coefficients, one row a denoising step.

A step is  x0 = from_x·x + from_output·output,  then  x' = a·x + b·x0 + c·x0_prev + d·noise,  with the
latents x of variance-preserving models in that scale. So one update serves a batch of any mixture of
samplers, and a sampler holds no state.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from limner.diffusion.config import FlowConfig, Prediction
from limner.diffusion.levels import Levels, flow_levels, noise_levels
from limner.diffusion.noise import LEAST_SIGNAL_SQUARED, Floats, Noise
from limner.params import DIFFUSION_SAMPLERS, FLOW_SAMPLERS, Sampler, Schedule, schedules_of

COLUMNS = ("from_x", "from_output", "a", "b", "c", "d")
CONSISTENCY_SIGMA_DATA = 0.5  # Luo et al., "Latent Consistency Models", section 4.1
TCD_GAMMA = 0.3  # how much of each step's noise is fresh: 0 none, 1 all of it, as in LCM
FEW_STEPS = 15  # below this many the second order does harm at the end

Update = tuple[Floats, Floats, Floats, Floats]


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


def sampler_table(
    noise: Noise | FlowConfig, sampler: Sampler, schedule: Schedule, steps: int, positions: int = 0
) -> SamplerTable:
    """The whole way from noise to picture.

    `positions`: how many latent positions the network attends to, for flows that shift with the size.
    Raises `ValueError` where sampler, schedule and model do not fit together, or when the model was trained
    on fewer timesteps than `steps`.
    """
    if schedule not in schedules_of(sampler):
        known = ", ".join(schedules_of(sampler))
        raise ValueError(f"{sampler} cannot use the schedule {schedule}; use one of: {known}")
    if isinstance(noise, FlowConfig):
        _check_fits(sampler, FLOW_SAMPLERS, "a flow-matching model")
        path = flow_levels(noise, schedule, steps, positions)
        return _table(path, _flow_to_x0(path), _deterministic(path))
    _check_fits(sampler, DIFFUSION_SAMPLERS, "this model, which matches no flow")
    if steps > noise.config.num_train_timesteps:
        raise ValueError(f"{steps} steps, but the model knows {noise.config.num_train_timesteps}")
    path = noise_levels(noise, sampler, schedule, steps)
    return _table(path, _to_x0(path, noise.config.prediction_type), _update(noise, sampler, path))


def _check_fits(sampler: Sampler, fitting: tuple[Sampler, ...], model: str) -> None:
    if sampler not in fitting:
        raise ValueError(f"{sampler} cannot sample {model}; use one of: {', '.join(fitting)}")


def _table(path: Levels, to_x0: tuple[Floats, Floats], update: Update) -> SamplerTable:
    return SamplerTable(path.timesteps, np.stack([*to_x0, *update], axis=1), path.initial)


def _to_x0(path: Levels, prediction: Prediction) -> tuple[Floats, Floats]:
    if prediction == "v_prediction":  # Salimans and Ho, "Progressive Distillation", appendix D
        return path.alpha, -path.sigma
    if prediction == "sample":
        return np.zeros_like(path.alpha), np.ones_like(path.alpha)
    alpha = np.maximum(path.alpha, LEAST_SIGNAL_SQUARED**0.5)
    return 1 / alpha, -path.sigma / alpha


def _flow_to_x0(path: Levels) -> tuple[Floats, Floats]:
    """Liu et al., "Flow Straight and Fast": the network answers noise - x0."""
    return np.ones_like(path.sigma), -path.sigma


def _update(noise: Noise, sampler: Sampler, path: Levels) -> Update:
    match sampler:
        case Sampler.EULER_ANCESTRAL | Sampler.DDPM:
            return _ancestral(path)
        case Sampler.DPMPP_2M:
            return _second_order(path, _deterministic(path))
        case Sampler.DPMPP_2M_SDE:
            return _second_order(path, _ancestral(path))
        case Sampler.LCM:
            return _consistency(path, noise.config.timestep_scaling)
        case Sampler.TCD:
            return _trajectory(path, noise.alphas_cumprod)
        case _:
            return _deterministic(path)


def _deterministic(path: Levels) -> Update:
    """Song et al., "Denoising Diffusion Implicit Models", eq. 12.

    In this scale it is Euler's step too, and with a flow's levels flow matching's.
    """
    a = path.next_sigma / path.sigma
    return a, path.next_alpha - a * path.alpha, np.zeros_like(a), np.zeros_like(a)


def _ancestral(path: Levels) -> Update:
    """Ho et al., "Denoising Diffusion Probabilistic Models", eq. 7: a draw from q(x' | x, x0).

    k-diffusion's ancestral step, less noise than asked for and then fresh noise up to it, is the same, and so
    is the first order of Lu et al., "DPM-Solver++", appendix on SDE-DPM-Solver++.
    """
    kept = (path.next_sigma * path.alpha / (path.next_alpha * path.sigma)) ** 2
    return (
        path.alpha * path.next_sigma**2 / (path.next_alpha * path.sigma**2),
        path.next_alpha * (1 - kept),
        np.zeros_like(kept),
        path.next_sigma * np.sqrt(np.maximum(1 - kept, 0)),
    )


def _second_order(path: Levels, first_order: Update) -> Update:
    """Lu et al., "DPM-Solver++", algorithm 2 (2M): x0 is led on along its change since the step before.

    First order remains at the first step, and at the last where it ends in x0 or steps are few.
    """
    a, b, c, d = first_order
    steps = len(a)
    to_the_end = path.next_sigma[-1] > 0 and steps >= FEW_STEPS
    inner = slice(1, steps if to_the_end else steps - 1)
    h = np.log(path.next_alpha[inner] / path.next_sigma[inner] * path.sigma[inner] / path.alpha[inner])
    log_snr = np.log(path.alpha / path.sigma)
    # Half of h over the step before it, h being the way in log-SNR.
    half_ratio = 0.5 * h / np.diff(log_snr)[: len(h)]
    c[inner] = -b[inner] * half_ratio
    b[inner] *= 1 + half_ratio
    return a, b, c, d


def _consistency(path: Levels, timestep_scaling: float) -> Update:
    """Luo et al., "Latent Consistency Models", eq. 9 and algorithm 3: to x0, then fresh noise."""
    scaled = path.timesteps * timestep_scaling
    skip = CONSISTENCY_SIGMA_DATA**2 / (scaled**2 + CONSISTENCY_SIGMA_DATA**2)
    out = scaled / np.sqrt(scaled**2 + CONSISTENCY_SIGMA_DATA**2)
    return path.next_alpha * skip, path.next_alpha * out, np.zeros_like(skip), path.next_sigma


def _trajectory(path: Levels, signal: Floats) -> Update:
    """Zheng et al., "Trajectory Consistency Distillation", strategic stochastic sampling.

    Down to a level s cleaner than the next without noise, then fresh noise up to the next; `signal`
    `(num_train_timesteps,)` is that of the trained levels.
    """
    cleaner = np.floor((1 - TCD_GAMMA) * np.append(path.timesteps[1:], 0)).astype(np.int64)
    kept = path.next_alpha / np.sqrt(signal[cleaner])
    a = kept * np.sqrt(1 - signal[cleaner]) / path.sigma
    return a, path.next_alpha - a * path.alpha, np.zeros_like(a), np.sqrt(np.maximum(1 - kept**2, 0))
