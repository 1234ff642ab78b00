"""How much noise each training timestep of a variance-preserving model carries."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from limner.diffusion.config import NoiseConfig

Floats = NDArray[np.float64]

# Stands for an infinite noise level where a formula divides by the signal: 2⁻²⁴, as diffusers has it.
LEAST_SIGNAL_SQUARED = 2.0**-24


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
