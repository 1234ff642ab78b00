"""What a model's `scheduler_config.json` says about its noise, in diffusers' names. No torch here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Spacing = Literal["leading", "trailing", "linspace"]
Prediction = Literal["epsilon", "v_prediction", "sample"]

# The values that are followed here; any other would change the picture, so such a model is refused.
# `clip_sample` is not among them: it bounds pixels, latents have no bounds, and diffusers'
# StableDiffusionPipeline switches it off too.
_FOLLOWED: dict[str, tuple[object, ...]] = {
    "beta_schedule": ("linear", "scaled_linear", "squaredcos_cap_v2"),
    "prediction_type": ("epsilon", "v_prediction", "sample", "flow_prediction"),
    "timestep_spacing": ("leading", "trailing", "linspace"),
    "final_sigmas_type": ("zero", "sigma_min"),
    "time_shift_type": ("exponential", "linear"),
    "interpolation_type": ("linear",),
    "timestep_type": ("discrete",),
    "variance_type": ("fixed_small", "fixed_small_log"),
    "lambda_min_clipped": (-math.inf,),
    "thresholding": (False,),
    "use_beta_sigmas": (False,),
    "use_lu_lambdas": (False,),
    "invert_sigmas": (False,),
    "stochastic_sampling": (False,),
}


@dataclass(frozen=True, slots=True)
class NoiseConfig:
    """Of a variance-preserving model: x = alpha·x0 + sigma·noise, and alpha² + sigma² = 1.

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
    use_exponential_sigmas: bool = False
    final_sigmas_type: Literal["zero", "sigma_min"] = "zero"
    original_inference_steps: int = 50
    timestep_scaling: float = 10.0


@dataclass(frozen=True, slots=True)
class FlowConfig:
    """Of a flow-matching model: x = (1 - sigma)·x0 + sigma·noise, and the network answers noise - x0.

    With `use_dynamic_shifting` larger pictures are shifted further: by `base_shift` where the network attends
    to `base_image_seq_len` positions, by `max_shift` at `max_image_seq_len`.
    """

    num_train_timesteps: int = 1000
    shift: float = 1.0
    use_dynamic_shifting: bool = False
    time_shift_type: Literal["exponential", "linear"] = "exponential"
    base_shift: float = 0.5
    max_shift: float = 1.15
    base_image_seq_len: int = 256
    max_image_seq_len: int = 4096
    shift_terminal: float | None = None
    use_karras_sigmas: bool = False
    use_exponential_sigmas: bool = False


def read_config(given: Mapping[str, Any]) -> NoiseConfig | FlowConfig:
    """Raises `ValueError` naming the key whose value is not followed here."""
    said = {key: value for key, value in given.items() if value is not None}
    for key, values in _FOLLOWED.items():
        if key in said and said[key] not in values:
            raise ValueError(f"{key} {said[key]!r} is not one of {', '.join(map(str, values))}")
    matches_flow = str(said.get("_class_name")).startswith("FlowMatch")
    if matches_flow or said.get("prediction_type") == "flow_prediction":
        said = {"shift": said.get("flow_shift", 1.0)} | said  # as solvers of several kinds of model call it
        return FlowConfig(**_fields(FlowConfig, said))
    if "trained_betas" in said:
        said["trained_betas"] = tuple(said["trained_betas"])
    return NoiseConfig(**_fields(NoiseConfig, said))


def _fields(kind: type[NoiseConfig] | type[FlowConfig], said: Mapping[str, Any]) -> dict[str, Any]:
    return {key: said[key] for key in kind.__dataclass_fields__ if key in said}
