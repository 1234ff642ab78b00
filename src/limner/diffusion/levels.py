"""Which noise levels the denoising steps visit, spaced as diffusers spaces them for each sampler."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limner.diffusion.noise import Floats, Noise, Spacing
from limner.params import Sampler, Schedule

KARRAS_RHO = 7.0  # Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models", eq. 5


@dataclass(frozen=True, slots=True)
class Levels:
    """One entry a step, each array `(steps,)`: x = alpha·x0 + sigma·noise, and alpha² + sigma² = 1.

    `timesteps` is what the model is told, `next_alpha` and `next_sigma` the level the step leads to.
    `initial`: what the first noise is multiplied by.
    """

    timesteps: Floats
    alpha: Floats
    sigma: Floats
    next_alpha: Floats
    next_sigma: Floats
    initial: float = 1.0


def levels(noise: Noise, sampler: Sampler, schedule: Schedule, steps: int) -> Levels:
    config = noise.config
    karras = schedule is Schedule.KARRAS or (schedule is Schedule.PLAIN and config.use_karras_sigmas)
    asked: Spacing | None = "trailing" if schedule is Schedule.TRAILING else config.timestep_spacing
    if sampler is Sampler.LCM and schedule is Schedule.PLAIN:
        return _at_trained_steps(noise, _lcm_timesteps(noise, steps))
    if sampler is Sampler.DPMPP_2M:
        return _dpm_levels(noise, asked or "linspace", steps, karras)
    if sampler in (Sampler.EULER, Sampler.EULER_ANCESTRAL) or karras:
        return _euler_levels(noise, asked or "linspace", steps, karras)
    timesteps = _spaced(noise, asked or "leading", steps).round().astype(np.int64)
    if sampler is Sampler.LCM:
        return _at_trained_steps(noise, timesteps)
    # DDIM steps by a whole number of training timesteps, whatever the next step visits.
    return _at_trained_steps(noise, timesteps, timesteps - config.num_train_timesteps // steps)


def _spaced(noise: Noise, spacing: Spacing, steps: int) -> Floats:
    """Lin et al., table 2: descending timesteps, fractional for `linspace`."""
    trained = noise.config.num_train_timesteps
    if spacing == "linspace":
        return np.linspace(0.0, trained - 1.0, steps, dtype=np.float64)[::-1]
    if spacing == "leading":
        return np.arange(steps, dtype=np.float64)[::-1] * (trained // steps) + noise.config.steps_offset
    # Rounding may give `arange` one step more than asked for.
    return np.arange(trained, 0, -trained / steps, dtype=np.float64).round()[:steps] - 1


def _lcm_timesteps(noise: Noise, steps: int) -> NDArray[np.int64]:
    """Evenly chosen from the steps that the latent consistency model was distilled at."""
    # More steps than those were never trained; a finer grid is the nearest thing to it.
    original = max(noise.config.original_inference_steps, steps)
    grid = np.arange(1, original + 1) * (noise.config.num_train_timesteps // original) - 1
    chosen = np.floor(np.linspace(0, original, num=steps, endpoint=False)).astype(np.int64)
    timesteps: NDArray[np.int64] = grid[::-1][chosen]
    return timesteps


def _at_trained_steps(
    noise: Noise, timesteps: NDArray[np.int64], following: NDArray[np.int64] | None = None
) -> Levels:
    """Levels at whole training timesteps; without `following` each leads to the next, the last to x0."""
    signal = noise.alphas_cumprod
    if following is None:
        after = np.append(signal[timesteps[1:]], 1.0)
    else:
        clean = 1.0 if noise.config.set_alpha_to_one else signal[0]
        after = np.where(following >= 0, signal[following], clean)
    here = signal[timesteps]
    return Levels(
        timesteps.astype(np.float64), np.sqrt(here), np.sqrt(1 - here), np.sqrt(after), np.sqrt(1 - after)
    )


def _euler_levels(noise: Noise, spacing: Spacing, steps: int, karras: bool) -> Levels:
    trained = noise.sigmas
    timesteps = _spaced(noise, spacing, steps)
    sigmas = np.interp(timesteps, np.arange(len(trained)), trained)
    if karras:
        sigmas = _karras(sigmas[0], sigmas[-1], steps)
        timesteps = _timesteps_of(sigmas, trained)
    found = _at_sigmas(timesteps, sigmas)
    # Euler's first latents are noise of the first sigma without the signal's share, except when leading.
    initial = 1.0 if spacing == "leading" else float(found.sigma[0])
    return Levels(
        found.timesteps, found.alpha, found.sigma, found.next_alpha, found.next_sigma, initial=initial
    )


def _dpm_levels(noise: Noise, spacing: Spacing, steps: int, karras: bool) -> Levels:
    trained = noise.sigmas
    if karras:
        sigmas = _karras(trained[-1], trained[0], steps)
        timesteps = _timesteps_of(sigmas, trained)
        if noise.config.beta_schedule != "squaredcos_cap_v2":
            timesteps = timesteps.round()
        return _at_sigmas(np.trunc(timesteps), sigmas)
    # Spaced as for one step more, whose last, cleanest timestep is left out; trailing has none to leave out.
    timesteps = _spaced(noise, spacing, steps if spacing == "trailing" else steps + 1)[:steps].round()
    return _at_sigmas(timesteps, trained[timesteps.astype(np.int64)])


def _karras(highest: float, lowest: float, steps: int) -> Floats:
    ramp = np.linspace(0, 1, steps)
    high, low = highest ** (1 / KARRAS_RHO), lowest ** (1 / KARRAS_RHO)
    sigmas: Floats = (high + ramp * (low - high)) ** KARRAS_RHO
    return sigmas


def _timesteps_of(sigmas: Floats, trained: Floats) -> Floats:
    return np.interp(np.log(sigmas), np.log(trained), np.arange(len(trained), dtype=np.float64))


def _at_sigmas(timesteps: Floats, sigmas: Floats) -> Levels:
    """Levels at noise-to-signal ratios `sigmas`; the last step leads to the clean picture."""
    alpha = 1 / np.sqrt(1 + sigmas**2)
    sigma = sigmas * alpha
    return Levels(timesteps, alpha, sigma, np.append(alpha[1:], 1.0), np.append(sigma[1:], 0.0))
