"""Which noise levels the denoising steps visit, spaced as diffusers spaces them for each sampler."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limner.diffusion.config import FlowConfig, NoiseConfig, Spacing
from limner.diffusion.noise import Floats, Noise
from limner.params import Sampler, Schedule

KARRAS_RHO = 7.0  # Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models", eq. 5

Curve = Callable[[float, float, int], Floats]


@dataclass(frozen=True, slots=True)
class Levels:
    """One entry a step, each array `(steps,)`: x = alpha·x0 + sigma·noise.

    `timesteps` is what the model is told, `next_alpha` and `next_sigma` the level the step leads to.
    `initial`: what the first noise is multiplied by.
    """

    timesteps: Floats
    alpha: Floats
    sigma: Floats
    next_alpha: Floats
    next_sigma: Floats
    initial: float = 1.0


def noise_levels(noise: Noise, sampler: Sampler, schedule: Schedule, steps: int) -> Levels:
    """Of a variance-preserving model: alpha² + sigma² = 1."""
    config = noise.config
    curve = _curve(config, schedule)
    asked: Spacing | None = "trailing" if schedule is Schedule.TRAILING else config.timestep_spacing
    if sampler in (Sampler.LCM, Sampler.TCD):
        spaced = _trained_steps(noise, "trailing", steps)
        timesteps = spaced if schedule is Schedule.TRAILING else _distilled_steps(noise, steps)
        # TCD's last step leads to the first trained level, LCM's to the clean picture.
        return _at_trained_steps(noise, timesteps, last=0 if sampler is Sampler.TCD else None)
    if sampler in (Sampler.DPMPP_2M, Sampler.DPMPP_2M_SDE):
        return _dpm_levels(noise, asked or "linspace", steps, curve)
    if sampler is Sampler.EULER_ANCESTRAL:
        return _euler_levels(noise, asked or "linspace", steps, curve, last=0.0)
    if sampler is Sampler.EULER or curve is not None:
        return _euler_levels(noise, asked or "linspace", steps, curve, last=_last_sigma(noise))
    timesteps = _trained_steps(noise, asked or "leading", steps)
    if sampler is Sampler.DDPM:
        return _at_trained_steps(noise, timesteps)
    # DDIM steps by a whole number of training timesteps, whatever the next step visits.
    return _at_trained_steps(noise, timesteps, timesteps - config.num_train_timesteps // steps)


def flow_levels(config: FlowConfig, schedule: Schedule, steps: int, positions: int) -> Levels:
    """Of a flow-matching model: alpha + sigma = 1."""
    shift = _flow_shift(config, positions)
    end = 1 / config.num_train_timesteps
    if schedule is Schedule.TRAILING:
        end = 1 / steps
    elif not config.use_dynamic_shifting:
        end = float(_shifted(np.array(end), shift))  # diffusers spaces evenly to an end already shifted once
    sigmas = _shifted(np.linspace(1.0, end, steps), shift)
    if config.shift_terminal is not None and steps > 1:
        sigmas = 1 - (1 - sigmas) * (1 - config.shift_terminal) / (1 - sigmas[-1])
    curve = _curve(config, schedule)
    if curve is not None:
        sigmas = curve(sigmas[0], sigmas[-1], steps)
    alphas = 1 - sigmas
    return Levels(
        sigmas * config.num_train_timesteps,
        alphas,
        sigmas,
        np.append(alphas[1:], 1.0),
        np.append(sigmas[1:], 0.0),
    )


def _flow_shift(config: FlowConfig, positions: int) -> float:
    if not config.use_dynamic_shifting:
        return config.shift
    assert positions > 0, "a dynamic shift depends on the size of the picture"
    slope = (config.max_shift - config.base_shift) / (config.max_image_seq_len - config.base_image_seq_len)
    shift = config.base_shift + slope * (positions - config.base_image_seq_len)
    return math.exp(shift) if config.time_shift_type == "exponential" else shift


def _shifted(sigmas: Floats, shift: float) -> Floats:
    """Esser et al., "Scaling Rectified Flow Transformers for High-Resolution Image Synthesis", eq. 23."""
    shifted: Floats = shift * sigmas / (1 + (shift - 1) * sigmas)
    return shifted


def _curve(config: NoiseConfig | FlowConfig, schedule: Schedule) -> Curve | None:
    """How sigmas lie between the highest and the lowest; None: as the timesteps are spaced."""
    plain = schedule is Schedule.PLAIN
    if schedule is Schedule.KARRAS or (plain and config.use_karras_sigmas):
        return _karras
    if schedule is Schedule.EXPONENTIAL or (plain and config.use_exponential_sigmas):
        return np.geomspace
    return None


def _karras(highest: float, lowest: float, steps: int) -> Floats:
    roots = np.linspace(highest ** (1 / KARRAS_RHO), lowest ** (1 / KARRAS_RHO), steps)
    sigmas: Floats = roots**KARRAS_RHO
    return sigmas


def _spaced(noise: Noise, spacing: Spacing, steps: int) -> Floats:
    """Lin et al., table 2: descending timesteps, fractional for `linspace`."""
    trained = noise.config.num_train_timesteps
    if spacing == "linspace":
        return np.linspace(0.0, trained - 1.0, steps, dtype=np.float64)[::-1]
    if spacing == "leading":
        return np.arange(steps, dtype=np.float64)[::-1] * (trained // steps) + noise.config.steps_offset
    # Rounding may give `arange` one step more than asked for.
    return np.arange(trained, 0, -trained / steps, dtype=np.float64).round()[:steps] - 1


def _trained_steps(noise: Noise, spacing: Spacing, steps: int) -> NDArray[np.int64]:
    return _spaced(noise, spacing, steps).round().astype(np.int64)


def _distilled_steps(noise: Noise, steps: int) -> NDArray[np.int64]:
    """Evenly chosen from the timesteps that a consistency model was distilled at."""
    # More steps than those were never trained; a finer grid is the nearest thing to it.
    original = max(noise.config.original_inference_steps, steps)
    grid = np.arange(1, original + 1) * (noise.config.num_train_timesteps // original) - 1
    chosen = np.floor(np.linspace(0, original, num=steps, endpoint=False)).astype(np.int64)
    timesteps: NDArray[np.int64] = grid[::-1][chosen]
    return timesteps


def _at_trained_steps(
    noise: Noise,
    timesteps: NDArray[np.int64],
    following: NDArray[np.int64] | None = None,
    last: int | None = None,
) -> Levels:
    """Levels at whole training timesteps, each leading to that in `following`.

    Without `following` each leads to the next, the last to the timestep `last`, or else to x0.
    """
    signal = noise.alphas_cumprod
    if following is None:
        after = np.append(signal[timesteps[1:]], 1.0 if last is None else signal[last])
    else:
        clean = 1.0 if noise.config.set_alpha_to_one else signal[0]
        after = np.where(following >= 0, signal[following], clean)
    here = signal[timesteps]
    return Levels(
        timesteps.astype(np.float64), np.sqrt(here), np.sqrt(1 - here), np.sqrt(after), np.sqrt(1 - after)
    )


def _euler_levels(noise: Noise, spacing: Spacing, steps: int, curve: Curve | None, last: float) -> Levels:
    trained = noise.sigmas
    timesteps = _spaced(noise, spacing, steps)
    sigmas = np.interp(timesteps, np.arange(len(trained)), trained)
    if curve is not None:
        sigmas = curve(sigmas[0], sigmas[-1], steps)
        timesteps = _timesteps_of(sigmas, trained)
    # Euler's first latents are noise of the first sigma without the signal's share, except when leading.
    return _at_sigmas(timesteps, sigmas, last, whole_first=spacing == "leading")


def _dpm_levels(noise: Noise, spacing: Spacing, steps: int, curve: Curve | None) -> Levels:
    trained, last = noise.sigmas, _last_sigma(noise)
    if curve is not None:
        sigmas = curve(trained[-1], trained[0], steps)
        timesteps = _timesteps_of(sigmas, trained)
        if curve is _karras and noise.config.beta_schedule != "squaredcos_cap_v2":
            timesteps = timesteps.round()
        return _at_sigmas(np.trunc(timesteps), sigmas, last)
    # Spaced as for one step more, whose last, cleanest timestep is left out; trailing has none to leave out.
    timesteps = _spaced(noise, spacing, steps if spacing == "trailing" else steps + 1)[:steps].round()
    return _at_sigmas(timesteps, trained[timesteps.astype(np.int64)], last)


def _last_sigma(noise: Noise) -> float:
    return float(noise.sigmas[0]) if noise.config.final_sigmas_type == "sigma_min" else 0.0


def _timesteps_of(sigmas: Floats, trained: Floats) -> Floats:
    # In float32 as diffusers has them: which timestep the highest sigma is cut to hangs on the last digit.
    log_trained = np.log(trained.astype(np.float32))
    return np.interp(np.log(sigmas), log_trained, np.arange(len(trained), dtype=np.float64))


def _at_sigmas(timesteps: Floats, sigmas: Floats, last: float, whole_first: bool = True) -> Levels:
    """Levels at noise-to-signal ratios `sigmas`; the last step leads to the ratio `last`.

    `whole_first`: the first latents are noise of full size, not of the first sigma's.
    """
    ratios = np.append(sigmas, last)
    alpha = 1 / np.sqrt(1 + ratios**2)
    sigma = ratios * alpha
    initial = 1.0 if whole_first else float(sigma[0])
    return Levels(timesteps, alpha[:-1], sigma[:-1], alpha[1:], sigma[1:], initial)
