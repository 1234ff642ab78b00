"""Each sampler's table against diffusers' own scheduler, on a network-like function of latents and time."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
)

from limner.diffusion.noise import Noise, NoiseConfig
from limner.diffusion.samplers import sampler_table
from limner.diffusion.update import draw_noise, generator_of, guide, update
from limner.params import Sampler, Schedule

# diffusers hands tensors to numpy in a way that numpy 2 wants to end.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")

SHAPE = (4, 8, 8)
SEED = 5

DIFFUSERS: dict[Sampler, Any] = {
    Sampler.DDIM: DDIMScheduler,
    Sampler.EULER: EulerDiscreteScheduler,
    Sampler.EULER_ANCESTRAL: EulerAncestralDiscreteScheduler,
    Sampler.DPMPP_2M: DPMSolverMultistepScheduler,
    Sampler.LCM: LCMScheduler,
}
STABLE_DIFFUSION_1 = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "prediction_type": "epsilon",
    "set_alpha_to_one": False,
    "clip_sample": False,
}
ZERO_SNR_V = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "clip_sample": False,
}
COSINE_V = {"beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction", "clip_sample": False}


def network(latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
    """Smooth in its input and in time, of about unit size, and never the same at two pixels."""
    mixed = torch.roll(latents, 1, dims=-1) - 0.5 * torch.roll(latents, 1, dims=-3)
    return torch.tanh(0.7 * latents + 0.3 * mixed + torch.cos(timestep / 300.0))


def theirs(scheduler: Any, steps: int) -> torch.Tensor:
    scheduler.set_timesteps(steps)
    generator = generator_of(SEED)
    latents = draw_noise(SHAPE, generator)[None] * scheduler.init_noise_sigma
    draws = {"generator": generator} if not isinstance(scheduler, DDIMScheduler) else {}
    for timestep in scheduler.timesteps:
        output = network(scheduler.scale_model_input(latents, timestep), timestep.float())
        latents = scheduler.step(output, timestep, latents, **draws).prev_sample
    result: torch.Tensor = latents
    return result


def ours(config: dict[str, Any], sampler: Sampler, schedule: Schedule, steps: int) -> torch.Tensor:
    table = sampler_table(Noise.of(NoiseConfig.from_json(config)), sampler, schedule, steps)
    generator = generator_of(SEED)
    latents = draw_noise(SHAPE, generator)[None] * table.initial
    x0 = torch.zeros_like(latents)
    for step, timestep in enumerate(table.timesteps):
        output = network(latents, torch.tensor(timestep, dtype=torch.float32))
        noise = draw_noise(SHAPE, generator)[None] if table.draws_noise(step) else torch.zeros_like(latents)
        rows = torch.tensor(table.rows[step], dtype=torch.float32)[None]
        latents, x0 = update(latents, output, x0, noise, rows)
    return latents


def assert_equal_latents(mine: torch.Tensor, reference: torch.Tensor, tolerance: float = 1e-4) -> None:
    assert torch.isfinite(reference).all()
    torch.testing.assert_close(mine, reference, rtol=1e-4, atol=tolerance)


@pytest.mark.parametrize("steps", [1, 3, 4, 7, 20, 30, 50])
@pytest.mark.parametrize("sampler", list(Sampler))
@pytest.mark.parametrize("config", [STABLE_DIFFUSION_1, ZERO_SNR_V], ids=["eps", "zero_snr_v"])
def test_plain_steps_are_those_of_diffusers(config: dict[str, Any], sampler: Sampler, steps: int) -> None:
    reference = theirs(DIFFUSERS[sampler].from_config(config), steps)
    assert_equal_latents(ours(config, sampler, Schedule.PLAIN, steps), reference, _tolerance(config, sampler))


@pytest.mark.parametrize("sampler", [Sampler.DDIM, Sampler.DPMPP_2M, Sampler.LCM])
def test_steps_on_a_cosine_noise_schedule_are_those_of_diffusers(sampler: Sampler) -> None:
    for steps in (1, 4, 20):
        reference = theirs(DIFFUSERS[sampler].from_config(COSINE_V), steps)
        assert_equal_latents(ours(COSINE_V, sampler, Schedule.PLAIN, steps), reference)


def _tolerance(config: dict[str, Any], sampler: Sampler) -> float:
    """diffusers keeps Euler's latents at thousands of times their size here, in float32; ours stay at one."""
    in_sigmas = sampler in (Sampler.EULER, Sampler.EULER_ANCESTRAL)
    return 2e-3 if in_sigmas and config is not STABLE_DIFFUSION_1 else 1e-4


@pytest.mark.parametrize("spacing", ["leading", "linspace", "trailing"])
@pytest.mark.parametrize("sampler", [s for s in Sampler if s is not Sampler.LCM])
def test_every_spacing_is_that_of_diffusers(sampler: Sampler, spacing: str) -> None:
    config = STABLE_DIFFUSION_1 | {"timestep_spacing": spacing}
    for steps in (4, 20):
        reference = theirs(DIFFUSERS[sampler].from_config(config), steps)
        assert_equal_latents(ours(config, sampler, Schedule.PLAIN, steps), reference)


@pytest.mark.parametrize("sampler", [s for s in Sampler if s is not Sampler.LCM])
def test_trailing_steps_are_those_of_diffusers(sampler: Sampler) -> None:
    for steps in (1, 4, 20, 50):
        scheduler = DIFFUSERS[sampler].from_config(STABLE_DIFFUSION_1, timestep_spacing="trailing")
        assert_equal_latents(
            ours(STABLE_DIFFUSION_1, sampler, Schedule.TRAILING, steps), theirs(scheduler, steps)
        )


@pytest.mark.parametrize("sampler", [Sampler.EULER, Sampler.DPMPP_2M])
def test_karras_steps_are_those_of_diffusers(sampler: Sampler) -> None:
    config = STABLE_DIFFUSION_1
    for steps in (1, 4, 20, 50):
        reference = theirs(DIFFUSERS[sampler].from_config(config, use_karras_sigmas=True), steps)
        assert_equal_latents(ours(config, sampler, Schedule.KARRAS, steps), reference)
        in_file = config | {"use_karras_sigmas": True}
        assert_equal_latents(ours(in_file, sampler, Schedule.PLAIN, steps), reference)


def test_a_deterministic_sampler_draws_no_noise_after_the_first() -> None:
    noise = Noise.of(NoiseConfig.from_json(STABLE_DIFFUSION_1))
    for sampler in Sampler:
        table = sampler_table(noise, sampler, Schedule.PLAIN, 10)
        drawn = [table.draws_noise(step) for step in range(10)]
        assert drawn == [sampler in (Sampler.EULER_ANCESTRAL, Sampler.LCM)] * 9 + [False]


def test_every_sampler_and_schedule_has_finite_rows_for_every_step_count() -> None:
    for config in (STABLE_DIFFUSION_1, ZERO_SNR_V, ZERO_SNR_V | {"prediction_type": "epsilon"}):
        noise = Noise.of(NoiseConfig.from_json(config))
        for sampler in Sampler:
            for schedule in Schedule:
                for steps in (1, 2, 3, 51, 150):
                    table = sampler_table(noise, sampler, schedule, steps)
                    assert len(table) == steps
                    assert torch.isfinite(torch.from_numpy(table.rows)).all()
                    assert ((table.timesteps >= 0) & (table.timesteps < 1000)).all()


def test_a_mixed_batch_moves_each_row_as_alone() -> None:
    noise = Noise.of(NoiseConfig.from_json(ZERO_SNR_V))
    tables = [sampler_table(noise, sampler, Schedule.PLAIN, 6) for sampler in Sampler]
    rows = torch.stack([torch.tensor(table.rows[3], dtype=torch.float32) for table in tables])
    x, output, x0, fresh = torch.randn((4, len(tables), *SHAPE), generator=generator_of(1))
    moved, seen = update(x, output, x0, fresh, rows)
    for i in range(len(tables)):
        alone = update(x[i, None], output[i, None], x0[i, None], fresh[i, None], rows[i, None])
        assert torch.equal(moved[i], alone[0][0])
        assert torch.equal(seen[i], alone[1][0])


def test_guidance_leaves_an_unguided_row_exactly_as_it_is() -> None:
    positive, negative = torch.randn((2, 2, *SHAPE), generator=generator_of(2))
    negative[0] = positive[0]
    guided = guide(negative, positive, torch.tensor([1.0, 7.5]))
    assert torch.equal(guided[0], positive[0])
    torch.testing.assert_close(guided[1], negative[1] + 7.5 * (positive[1] - negative[1]))


def test_an_unknown_noise_setting_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"beta_schedule 'sigmoid' is not one of linear, scaled_linear"):
        NoiseConfig.from_json({"beta_schedule": "sigmoid"})
