"""What was painted, in the words of this protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from limner import __version__
from limner.api.sdapi.asking import TextToImage
from limner.params import GenerationParams
from limner.service.picture import SAMPLER_NAMES, SCHEDULE_NAMES, parameters_text
from limner.store.job import Image, Job


def parameters(asked: TextToImage, params: GenerationParams) -> dict[str, Any]:
    """What was asked, with each value as it was done. What this server does not know is not echoed."""
    return (
        asked.model_dump()
        | _done(params)
        | {"seed": params.seed, "scheduler": SCHEDULE_NAMES[params.schedule]}
    )


def info(asked: TextToImage, job: Job, images: Sequence[Image]) -> dict[str, Any]:
    """The pictures there are, which are fewer than were asked for when it was interrupted."""
    params = job.params
    seeds = [image.seed for image in images]
    texts = [parameters_text(params, image.seed, image.width, image.height) for image in images]
    batch_size = asked.batch_size or 1
    return _done(params) | {
        "all_prompts": [params.prompt] * len(images),
        "all_negative_prompts": [params.negative_prompt] * len(images),
        "seed": params.seed,
        "all_seeds": seeds,
        # Noise of a second seed is not mixed in: the original then counts these along.
        "subseed": params.seed,
        "all_subseeds": seeds,
        "subseed_strength": 0,
        "batch_size": batch_size,
        "restore_faces": False,
        "face_restoration_model": None,
        "sd_model_name": params.model,
        "sd_model_hash": "",
        "sd_vae_name": None,
        "sd_vae_hash": None,
        "seed_resize_from_w": -1,
        "seed_resize_from_h": -1,
        "denoising_strength": None,
        "extra_generation_params": {"Schedule type": SCHEDULE_NAMES[params.schedule]},
        "index_of_first_image": 0,
        "infotexts": texts,
        "styles": [],
        "job_timestamp": job.created_at.strftime("%Y%m%d%H%M%S"),
        "clip_skip": 1,
        "is_using_inpainting_conditioning": False,
        "version": f"limner {__version__}",
    }


def _done(params: GenerationParams) -> dict[str, Any]:
    return {
        "prompt": params.prompt,
        "negative_prompt": params.negative_prompt,
        "width": params.width,
        "height": params.height,
        "steps": params.num_inference_steps,
        "cfg_scale": params.guidance_scale,
        "sampler_name": SAMPLER_NAMES[params.sampler],
    }
