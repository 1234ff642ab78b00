"""How much noise each training timestep carries, from a model's `scheduler_config.json`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Spacing = Literal["leading", "trailing", "linspace"]
Prediction = Literal["epsilon", "v_prediction", "sample"]

# Stands for an infinite noise level where a formula divides by the signal: 2⁻²⁴, as diffusers has it.
LEAST_SIGNAL_SQUARED = 2.0**-24


@dataclass(frozen=True, slots=True)
class NoiseConfig:
    """A model's noise, in the names of diffusers' `scheduler_config.json`.

    `timestep_spacing` None: the file does not say, and each sampler has its own habit.
    """

    num_train_timesteps: int = 1000
    beta_start: float = 0.0001
    beta_end: float = 0.02
    beta_schedule: str = "linear"
    trained_betas: tuple[float, ...] | None = None
    prediction_type: Prediction = "epsilon"
    timestep_spacing: Spacing | None = None
    steps_offset: int = 0
    set_alpha_to_one: bool = True
    rescale_betas_zero_snr: bool = False
    use_karras_sigmas: bool = False
    original_inference_steps: int = 50
    timestep_scaling: float = 10.0

    @classmethod
    def from_json(cls, config: Mapping[str, Any]) -> NoiseConfig:
        """Raises `ValueError` naming the key whose value is not known here."""
        known: dict[str, tuple[str | None, ...]] = {
            "beta_schedule": ("linear", "scaled_linear", "squaredcos_cap_v2"),
            "prediction_type": ("epsilon", "v_prediction", "sample"),
            "timestep_spacing": ("leading", "trailing", "linspace", None),
        }
        given = {key: config[key] for key in cls.__dataclass_fields__ if config.get(key) is not None}
        for key, values in known.items():
            if key in given and given[key] not in values:
                raise ValueError(f"{key} {given[key]!r} is not one of {', '.join(filter(None, values))}")
        if "trained_betas" in given:
            given["trained_betas"] = tuple(given["trained_betas"])
        return cls(**given)


@dataclass(frozen=True, slots=True)
class Noise:
    """`alphas_cumprod`: the share of signal at each training timestep, `(num_train_timesteps,)`."""

    config: NoiseConfig
    alphas_cumprod: Floats = field(repr=False)

    @classmethod
    def of(cls, config: NoiseConfig) -> Noise:
        # In float32 like the training that the network went through, then exact from there on.
        betas = _betas(config)
        if config.rescale_betas_zero_snr:
            betas = _rescaled_to_zero_snr(betas)
        alphas_cumprod = torch.cumprod(1.0 - betas, dim=0)
        return cls(config, alphas_cumprod.double().numpy())

    @property
    def sigmas(self) -> Floats:
        """Noise over signal at each training timestep, finite even where the signal is zero."""
        signal = self.alphas_cumprod.copy()
        if self.config.rescale_betas_zero_snr:
            signal[-1] = LEAST_SIGNAL_SQUARED
        sigmas: Floats = np.sqrt((1 - signal) / signal)
        return sigmas


def _betas(config: NoiseConfig) -> torch.Tensor:
    steps = config.num_train_timesteps
    if config.trained_betas is not None:
        return torch.tensor(config.trained_betas, dtype=torch.float32)
    if config.beta_schedule == "scaled_linear":
        roots = torch.linspace(config.beta_start**0.5, config.beta_end**0.5, steps, dtype=torch.float32)
        return roots**2
    if config.beta_schedule == "squaredcos_cap_v2":
        # Nichol and Dhariwal, "Improved Denoising Diffusion Probabilistic Models", eq. 17.
        signal = [math.cos((i / steps + 0.008) / 1.008 * math.pi / 2) ** 2 for i in range(steps + 1)]
        betas = [min(1 - after / before, 0.999) for before, after in itertools.pairwise(signal)]
        return torch.tensor(betas, dtype=torch.float32)
    return torch.linspace(config.beta_start, config.beta_end, steps, dtype=torch.float32)


def _rescaled_to_zero_snr(betas: torch.Tensor) -> torch.Tensor:
    """Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed", algorithm 1."""
    roots = torch.cumprod(1.0 - betas, dim=0).sqrt()
    first, last = roots[0].clone(), roots[-1].clone()
    signal = ((roots - last) * (first / (first - last))) ** 2
    return 1.0 - torch.cat([signal[:1], signal[1:] / signal[:-1]])
