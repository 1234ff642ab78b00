"""Each sampler's table against diffusers' own scheduler, on a network-like function of latents and time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    LCMScheduler,
    TCDScheduler,
)

from limner.diffusion.config import FlowConfig, read_config
from limner.diffusion.noise import Noise
from limner.diffusion.samplers import SamplerTable, sampler_table
from limner.diffusion.update import draw_noise, generator_of, guide, update
from limner.params import DIFFUSION_SAMPLERS, Sampler, Schedule, schedules_of

# diffusers hands tensors to numpy in a way that numpy 2 wants to end.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")

SHAPE = (4, 8, 8)
SEED = 5
STEPS = (1, 4, 20, 50)

DIFFUSERS: dict[Sampler, Any] = {
    Sampler.DDIM: DDIMScheduler,
    Sampler.DDPM: DDPMScheduler,
    Sampler.EULER: EulerDiscreteScheduler,
    Sampler.EULER_ANCESTRAL: EulerAncestralDiscreteScheduler,
    Sampler.DPMPP_2M: DPMSolverMultistepScheduler,
    Sampler.DPMPP_2M_SDE: DPMSolverMultistepScheduler,
    Sampler.LCM: LCMScheduler,
    Sampler.TCD: TCDScheduler,
}
STOCHASTIC = (
    Sampler.DDPM,
    Sampler.EULER_ANCESTRAL,
    Sampler.DPMPP_2M_SDE,
    Sampler.LCM,
    Sampler.TCD,
)
SPACED = [s for s in DIFFUSION_SAMPLERS if s not in (Sampler.LCM, Sampler.TCD)]
CURVED = [Sampler.EULER, Sampler.DPMPP_2M, Sampler.DPMPP_2M_SDE]  # those that diffusers knows curves for
CURVES = {Schedule.KARRAS: "use_karras_sigmas", Schedule.EXPONENTIAL: "use_exponential_sigmas"}
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


def reference(config: dict[str, Any], sampler: Sampler, steps: int, **changes: Any) -> torch.Tensor:
    if sampler is Sampler.DPMPP_2M_SDE:
        changes["algorithm_type"] = "sde-dpmsolver++"
    scheduler = DIFFUSERS[sampler].from_config(config, **changes)
    scheduler.set_timesteps(steps)
    return theirs(scheduler)


def theirs(scheduler: Any) -> torch.Tensor:
    generator = generator_of(SEED)
    latents = draw_noise(SHAPE, generator)[None] * getattr(scheduler, "init_noise_sigma", 1.0)
    draws = {"generator": generator} if not isinstance(scheduler, DDIMScheduler) else {}
    for timestep in scheduler.timesteps:
        scale = getattr(scheduler, "scale_model_input", lambda x, _: x)
        output = network(scale(latents, timestep), timestep.float())
        latents = scheduler.step(output, timestep, latents, **draws).prev_sample
    result: torch.Tensor = latents
    return result


def noise_of(config: dict[str, Any]) -> Noise | FlowConfig:
    read = read_config(config)
    return read if isinstance(read, FlowConfig) else Noise.of(read)


def ours(
    config: dict[str, Any], sampler: Sampler, schedule: Schedule, steps: int, positions: int = 0
) -> torch.Tensor:
    table = sampler_table(noise_of(config), sampler, schedule, steps, positions)
    generator = generator_of(SEED)
    latents = draw_noise(SHAPE, generator)[None] * table.initial
    x0 = torch.zeros_like(latents)
    for step, timestep in enumerate(table.timesteps):
        output = network(latents, torch.tensor(timestep, dtype=torch.float32))
        noise = draw_noise(SHAPE, generator)[None] if table.draws_noise(step) else torch.zeros_like(latents)
        rows = torch.tensor(table.rows[step], dtype=torch.float32)[None]
        update(latents, output, x0, noise, rows)
    return latents


def assert_equal_latents(mine: torch.Tensor, reference: torch.Tensor, tolerance: float = 3e-5) -> None:
    assert torch.isfinite(reference).all()
    torch.testing.assert_close(mine, reference, rtol=3e-5, atol=tolerance)


@pytest.mark.parametrize("steps", [*STEPS, 3, 7, 30])
@pytest.mark.parametrize("sampler", DIFFUSION_SAMPLERS)
@pytest.mark.parametrize("config", [STABLE_DIFFUSION_1, ZERO_SNR_V], ids=["eps", "zero_snr_v"])
def test_plain_steps_are_those_of_diffusers(config: dict[str, Any], sampler: Sampler, steps: int) -> None:
    mine = ours(config, sampler, Schedule.PLAIN, steps)
    assert_equal_latents(mine, reference(config, sampler, steps), _tolerance(config, sampler))


@pytest.mark.parametrize("sampler", [s for s in DIFFUSION_SAMPLERS if "euler" not in s])
def test_steps_on_a_cosine_noise_schedule_are_those_of_diffusers(sampler: Sampler) -> None:
    for steps in (1, 4, 20):
        mine = ours(COSINE_V, sampler, Schedule.PLAIN, steps)
        assert_equal_latents(mine, reference(COSINE_V, sampler, steps))


def _tolerance(config: dict[str, Any], sampler: Sampler) -> float:
    """diffusers keeps Euler's latents at thousands of times their size here, in float32; ours stay at one."""
    in_sigmas = sampler in (Sampler.EULER, Sampler.EULER_ANCESTRAL)
    return 2e-3 if in_sigmas and config is not STABLE_DIFFUSION_1 else 3e-5


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("spacing", ["leading", "linspace", "trailing"])
@pytest.mark.parametrize("sampler", SPACED)
def test_every_spacing_and_offset_is_that_of_diffusers(sampler: Sampler, spacing: str, offset: int) -> None:
    config = STABLE_DIFFUSION_1 | {"timestep_spacing": spacing, "steps_offset": offset}
    for steps in (4, 20):
        assert_equal_latents(ours(config, sampler, Schedule.PLAIN, steps), reference(config, sampler, steps))


@pytest.mark.parametrize("sampler", SPACED)
def test_trailing_steps_are_those_of_diffusers(sampler: Sampler) -> None:
    config = STABLE_DIFFUSION_1
    for steps in STEPS:
        expected = reference(config, sampler, steps, timestep_spacing="trailing")
        assert_equal_latents(ours(config, sampler, Schedule.TRAILING, steps), expected)


@pytest.mark.parametrize("schedule", CURVES)
@pytest.mark.parametrize("sampler", CURVED)
def test_curved_steps_are_those_of_diffusers(sampler: Sampler, schedule: Schedule) -> None:
    config, curved = STABLE_DIFFUSION_1, {CURVES[schedule]: True}
    for steps in STEPS:
        expected = reference(config, sampler, steps, **curved)
        assert_equal_latents(ours(config, sampler, schedule, steps), expected)
        assert_equal_latents(ours(config | curved, sampler, Schedule.PLAIN, steps), expected)


@pytest.mark.parametrize("sampler", CURVED)
def test_steps_that_end_at_the_least_trained_noise_are_those_of_diffusers(sampler: Sampler) -> None:
    config = STABLE_DIFFUSION_1 | {"final_sigmas_type": "sigma_min"}
    # diffusers leaves the noisy end of Euler in its own scale.
    noise = noise_of(config)
    assert isinstance(noise, Noise)
    scale = (1 + noise.sigmas[0] ** 2) ** -0.5 if sampler is Sampler.EULER else 1.0
    for steps in STEPS:
        expected = reference(config, sampler, steps) * scale
        assert_equal_latents(ours(config, sampler, Schedule.PLAIN, steps), expected)


@pytest.mark.parametrize("sampler", [Sampler.DDIM, Sampler.DDPM, Sampler.DPMPP_2M, Sampler.LCM, Sampler.TCD])
def test_a_network_that_answers_the_picture_itself_is_sampled_as_by_diffusers(sampler: Sampler) -> None:
    config = STABLE_DIFFUSION_1 | {"prediction_type": "sample"}
    for steps in (1, 20):
        assert_equal_latents(ours(config, sampler, Schedule.PLAIN, steps), reference(config, sampler, steps))


FLOW = {"_class_name": "FlowMatchEulerDiscreteScheduler"}


def flow_reference(config: dict[str, Any], steps: int, **options: Any) -> torch.Tensor:
    scheduler = FlowMatchEulerDiscreteScheduler.from_config(config)
    scheduler.set_timesteps(steps, **options)
    return theirs(scheduler)


@pytest.mark.parametrize("schedule", [Schedule.PLAIN, *CURVES])
@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_flow_matching_steps_are_those_of_diffusers(shift: float, schedule: Schedule) -> None:
    config = FLOW | {"shift": shift}
    curve = {CURVES[schedule]: True} if schedule in CURVES else {}
    for steps in STEPS:
        mine = ours(config, Sampler.FLOW_MATCH_EULER, schedule, steps)
        assert_equal_latents(mine, flow_reference(config | curve, steps))


@pytest.mark.parametrize("changes", [{}, {"shift_terminal": 0.1}, {"shift": 3.0}])
def test_trailing_flow_steps_are_those_of_diffusers(changes: dict[str, Any]) -> None:
    for steps in (4, 20):
        mine = ours(FLOW | changes, Sampler.FLOW_MATCH_EULER, Schedule.TRAILING, steps)
        expected = flow_reference(FLOW | changes, steps, sigmas=np.linspace(1, 1 / steps, steps))
        assert_equal_latents(mine, expected)


@pytest.mark.parametrize("kind", ["exponential", "linear"])
def test_a_flow_shifts_larger_pictures_further_as_in_diffusers(kind: str) -> None:
    config = FLOW | {"use_dynamic_shifting": True, "time_shift_type": kind}
    for positions, mu in ((256, 0.5), (4096, 1.15), (2176, 0.825)):
        mine = ours(config, Sampler.FLOW_MATCH_EULER, Schedule.PLAIN, 20, positions)
        assert_equal_latents(mine, flow_reference(config, 20, mu=mu))


def test_a_solver_that_tells_of_flow_prediction_has_its_shift_read() -> None:
    told = {"_class_name": "DPMSolverMultistepScheduler", "prediction_type": "flow_prediction"}
    assert read_config(told | {"use_flow_sigmas": True, "flow_shift": 3.0}) == FlowConfig(shift=3.0)


def test_only_stochastic_samplers_draw_noise_after_the_first_and_none_at_the_end() -> None:
    noise = noise_of(STABLE_DIFFUSION_1)
    for sampler in DIFFUSION_SAMPLERS:
        table = sampler_table(noise, sampler, Schedule.PLAIN, 10)
        drawn = [table.draws_noise(step) for step in range(10)]
        assert drawn == [sampler in STOCHASTIC] * 9 + [False]


def assert_sound(table: SamplerTable, steps: int) -> None:
    assert len(table) == steps
    assert torch.isfinite(torch.from_numpy(table.rows)).all()
    assert ((table.timesteps >= 0) & (table.timesteps <= 1000)).all()


def test_every_sampler_and_schedule_has_finite_rows_for_every_step_count() -> None:
    for config in (STABLE_DIFFUSION_1, ZERO_SNR_V, ZERO_SNR_V | {"prediction_type": "epsilon"}):
        noise = noise_of(config)
        for sampler in DIFFUSION_SAMPLERS:
            for schedule in schedules_of(sampler):
                for steps in (1, 2, 3, 51, 150):
                    assert_sound(sampler_table(noise, sampler, schedule, steps), steps)
    for schedule in Schedule:
        for steps in (1, 2, 3, 51, 150):
            flow = FlowConfig(shift=3.0, shift_terminal=0.02)
            assert_sound(sampler_table(flow, Sampler.FLOW_MATCH_EULER, schedule, steps), steps)


def test_what_does_not_fit_together_is_refused_with_what_does() -> None:
    noise = noise_of(STABLE_DIFFUSION_1)
    with pytest.raises(ValueError, match=r"ddim cannot sample a flow-matching model; use .*flow_match_euler"):
        sampler_table(FlowConfig(), Sampler.DDIM, Schedule.PLAIN, 4)
    with pytest.raises(ValueError, match=r"flow_match_euler cannot sample this model, .*; use one of: ddim,"):
        sampler_table(noise, Sampler.FLOW_MATCH_EULER, Schedule.PLAIN, 4)
    with pytest.raises(ValueError, match=r"tcd cannot use the schedule karras; use one of: plain, trailing"):
        sampler_table(noise, Sampler.TCD, Schedule.KARRAS, 4)


def test_a_mixed_batch_moves_each_row_as_alone() -> None:
    noise = noise_of(ZERO_SNR_V)
    tables = [sampler_table(noise, sampler, Schedule.PLAIN, 6) for sampler in DIFFUSION_SAMPLERS]
    tables.append(sampler_table(FlowConfig(), Sampler.FLOW_MATCH_EULER, Schedule.PLAIN, 6))
    rows = torch.stack([torch.tensor(table.rows[3], dtype=torch.float32) for table in tables])
    x, output, x0, fresh = torch.randn((4, len(tables), *SHAPE), generator=generator_of(1))
    alone = torch.stack([x, output, x0, fresh], dim=1)[:, :, None].clone()
    update(x, output, x0, fresh, rows)
    for i, row in enumerate(alone):
        update(row[0], row[1], row[2], row[3], rows[i, None])
        assert torch.equal(row[0, 0], x[i])
        assert torch.equal(row[2, 0], x0[i])


def test_guidance_leaves_an_unguided_row_exactly_as_it_is() -> None:
    positive, negative = torch.randn((2, 2, *SHAPE), generator=generator_of(2))
    negative[0] = positive[0]
    guided = positive.clone()
    guide(negative, guided, torch.tensor([1.0, 7.5]))
    assert torch.equal(guided[0], positive[0])
    torch.testing.assert_close(guided[1], negative[1] + 7.5 * (positive[1] - negative[1]))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("beta_schedule", "sigmoid"),
        ("timestep_spacing", "random"),
        ("thresholding", True),
        ("use_beta_sigmas", True),
        ("lambda_min_clipped", -5.1),
    ],
)
def test_a_setting_that_is_not_followed_is_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"{key} {value!r} is not one of "):
        read_config(STABLE_DIFFUSION_1 | {key: value})
