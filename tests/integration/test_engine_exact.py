"""The engine's pictures against those of StableDiffusionPipeline: same weights, prompt, seed and sampler."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
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
    LCMScheduler,
    StableDiffusionPipeline,
    TCDScheduler,
)
from numpy.typing import NDArray

from limner.diffusion.samplers import TCD_GAMMA
from limner.engine.loop import StepLoop
from limner.engine.messages import EngineEvent, Failed, Finished, ImageRequest
from limner.engine.runner import Runner
from limner.models.catalog import LocalModel, open_model
from limner.models.stable_diffusion import StableDiffusion
from limner.params import GenerationParams, Sampler, Schedule, resolve, submission
from tests import tiny

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
]

Pixels = NDArray[np.uint8]

DIFFUSERS: dict[Sampler, Any] = {
    Sampler.DDIM: DDIMScheduler,
    Sampler.EULER: EulerDiscreteScheduler,
    Sampler.EULER_ANCESTRAL: EulerAncestralDiscreteScheduler,
    Sampler.DPMPP_2M: DPMSolverMultistepScheduler,
    Sampler.LCM: LCMScheduler,
    Sampler.DDPM: DDPMScheduler,
    Sampler.DPMPP_2M_SDE: DPMSolverMultistepScheduler,
    Sampler.TCD: TCDScheduler,
}

# Strangers: every sampler, several schedules, step counts, sizes of guidance, with and without it.
CROWD: list[dict[str, Any]] = [
    {"sampler": "ddim", "num_inference_steps": 12, "guidance_scale": 5.0, "seed": 1},
    {"sampler": "euler", "num_inference_steps": 9, "guidance_scale": 7.5, "seed": 2},
    {"sampler": "euler_ancestral", "num_inference_steps": 10, "guidance_scale": 3.0, "seed": 3},
    {"sampler": "dpmpp_2m", "num_inference_steps": 20, "guidance_scale": 1.0, "seed": 4},
    {"sampler": "lcm", "num_inference_steps": 4, "guidance_scale": 1.0, "seed": 5},
    {"sampler": "dpmpp_2m", "schedule": "karras", "num_inference_steps": 8, "guidance_scale": 4.0, "seed": 6},
    {"sampler": "euler", "schedule": "trailing", "num_inference_steps": 4, "guidance_scale": 0.0, "seed": 7},
    {"sampler": "ddim", "num_inference_steps": 1, "guidance_scale": 2.0, "seed": 8},
    {"sampler": "ddpm", "num_inference_steps": 9, "guidance_scale": 2.5, "seed": 9},
    {"sampler": "dpmpp_2m_sde", "schedule": "exponential", "num_inference_steps": 9, "seed": 10},
    {"sampler": "tcd", "num_inference_steps": 4, "guidance_scale": 1.0, "seed": 11},
]


@pytest.fixture(
    params=[tiny.TinyModel(), tiny.TinyModel(noise="zero_snr_v", latent_channels=8, tiny_decoder=True)],
    ids=["epsilon_kl", "zero_snr_v_tiny"],
    scope="module",
)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return open_model(str(tiny.save(request.param, tmp_path_factory.mktemp("models") / "tiny")))


def requests_of(model: LocalModel, crowd: list[dict[str, Any]]) -> list[ImageRequest]:
    made = []
    for i, values in enumerate(crowd):
        asked = {"prompt": f"a red house {i}", "negative_prompt": "blue" if i % 2 else ""} | values
        params = resolve(submission(**asked), (model.info,), seed=0)
        made.append(ImageRequest(f"request {i}", f"person {i % 3}", params, params.seed))
    return made


def run(loaded: StableDiffusion, requests: list[ImageRequest]) -> dict[str, Pixels]:
    loop = StepLoop(Runner({requests[0].params.model: loaded}))
    for request in requests:
        loop.add(request)
    events: list[EngineEvent] = []
    while loop.busy:
        events.extend(loop.step())
    assert not [event for event in events if isinstance(event, Failed)]
    return {event.request_id: event.pixels for event in events if isinstance(event, Finished)}


@cache
def pipeline_of(folder: Path) -> Any:
    pipeline = StableDiffusionPipeline.from_pretrained(folder, low_cpu_mem_usage=False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline, pipeline.scheduler.config


def reference(folder: Path, params: GenerationParams) -> Pixels:
    pipeline, config = pipeline_of(folder)
    changes: dict[str, Any] = {"use_karras_sigmas": True} if params.schedule is Schedule.KARRAS else {}
    if params.schedule is Schedule.EXPONENTIAL:
        changes = {"use_exponential_sigmas": True}
    if params.schedule is Schedule.TRAILING:
        changes = {"timestep_spacing": "trailing"}
    if params.sampler is Sampler.DPMPP_2M_SDE:
        changes["algorithm_type"] = "sde-dpmsolver++"
    pipeline.scheduler = DIFFUSERS[params.sampler].from_config(config, **changes)
    result = pipeline(
        params.prompt,
        negative_prompt=params.negative_prompt,
        width=params.width,
        height=params.height,
        num_inference_steps=params.num_inference_steps,
        guidance_scale=params.guidance_scale,
        generator=torch.Generator().manual_seed(params.seed),
        eta=TCD_GAMMA if params.sampler is Sampler.TCD else 0.0,  # what pipelines call it
        output_type="np",
    )
    pixels: Pixels = (result.images[0] * 255).round().astype(np.uint8)
    return pixels


def psnr_db(ours: Pixels, theirs: Pixels) -> float:
    error = float(np.mean((ours.astype(np.float64) - theirs.astype(np.float64)) ** 2))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def test_a_picture_is_that_of_diffusers_alone_and_among_strangers(
    model: LocalModel, loaded: StableDiffusion
) -> None:
    requests = requests_of(model, CROWD)
    together = run(loaded, requests)
    assert len(together) == len(CROWD)
    for request in requests:
        theirs = reference(model.folder, request.params)
        assert theirs.std() > 20, "a flat picture would prove nothing"
        alone = run(loaded, [request])[request.id]
        assert psnr_db(alone, theirs) >= 40, request.params
        assert psnr_db(together[request.id], theirs) >= 40, request.params


def test_the_prompt_the_seed_and_the_guidance_each_change_the_picture(
    model: LocalModel, loaded: StableDiffusion
) -> None:
    base = {"prompt": "a red house", "seed": 1, "num_inference_steps": 6, "guidance_scale": 5.0}
    changes: list[dict[str, Any]] = [
        {},
        {"prompt": "a blue fish"},
        {"seed": 2},
        {"guidance_scale": 2.0},
        {"negative_prompt": "red"},
    ]
    plain, *others = run(loaded, requests_of(model, [base | change for change in changes])).values()
    for change, other in zip(changes[1:], others, strict=True):
        assert psnr_db(other, plain) < 40, change


def test_a_seed_repeats_its_picture_bit_by_bit(model: LocalModel, loaded: StableDiffusion) -> None:
    requests = requests_of(model, CROWD)
    first, second = run(loaded, requests), run(loaded, requests)
    for request in requests:
        assert np.array_equal(first[request.id], second[request.id])


def test_neighbours_in_a_batch_of_the_same_size_change_nothing(
    model: LocalModel, loaded: StableDiffusion
) -> None:
    steps = {"num_inference_steps": 5, "guidance_scale": 3.0}
    mine = {"prompt": "a red house", "negative_prompt": "", "sampler": "euler_ancestral", "seed": 9} | steps
    others = [{"sampler": sampler, "seed": i} | steps for i, sampler in enumerate(model.info.samplers)]
    crowd_a = requests_of(model, [mine, *others[:3]])
    crowd_b = requests_of(model, [*others[2:5], mine])
    assert np.array_equal(run(loaded, crowd_a)["request 0"], run(loaded, crowd_b)["request 3"])


def test_a_crowd_changes_a_picture_by_two_levels_at_most(model: LocalModel, loaded: StableDiffusion) -> None:
    requests = requests_of(model, CROWD)
    together = run(loaded, requests)
    for request in requests:
        alone = run(loaded, [request])[request.id]
        assert np.abs(alone.astype(int) - together[request.id].astype(int)).max() <= 2


def test_sizes_of_every_shape_run_side_by_side(model: LocalModel, loaded: StableDiffusion) -> None:
    sizes = [(64, 64), (32, 64), (128, 72), (64, 64)]
    crowd = [{"width": w, "height": h, "num_inference_steps": 3, "seed": i} for i, (w, h) in enumerate(sizes)]
    pictures = run(loaded, requests_of(model, crowd))
    for i, (width, height) in enumerate(sizes):
        assert pictures[f"request {i}"].shape == (height, width, 3)
