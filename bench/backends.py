"""PyTorch and OpenVINO on this processor, in both precisions: how fast, and what it does to the picture.

    .venv/bin/python bench/backends.py [--model starter] [--rounds 9] [--rows 1 2 4 8 16] [--pictures 4]

Forwards and decodes take turns, and medians are compared. Whole pictures, one at a time, run against
diffusers' own pipeline in float32 and in its best plain setting, bfloat16 with channels_last.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

# As the engine does for itself; it must be set before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from platformdirs import user_cache_path

from limner.diffusion.samplers import sampler_table
from limner.models.catalog import STARTER, LocalModel, open_model
from limner.models.network import Backend, Dtype
from limner.models.precision import Course, Walker, psnr_db
from limner.models.stable_diffusion import StableDiffusion
from limner.params import Sampler, Schedule

WAYS: dict[str, tuple[Backend, Dtype]] = {
    "torch float32": ("torch", "float32"),
    "torch bfloat16": ("torch", "bfloat16"),
    "OpenVINO float32": ("openvino", "float32"),
    "OpenVINO bfloat16": ("openvino", "bfloat16"),
}
PROMPTS = ("a red house at night", "a blue sailboat on the sea", "a green tree in the snow", "a yellow car")


def predict(model: StableDiffusion, *inputs: torch.Tensor) -> torch.Tensor:
    latents, timesteps, embeds = inputs
    return model.predict(latents, timesteps, embeds, torch.ones(len(latents)))


def decode(model: StableDiffusion, *inputs: torch.Tensor) -> torch.Tensor:
    return model.decode(inputs[0][0]).permute(2, 0, 1)[None] / 127.5 - 1


def medians(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Milliseconds of each, taken in turns after one run that does not count."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            times[name].append(1000 * (time.perf_counter() - began))
    return {name: statistics.median(found[1:]) for name, found in times.items()}


def forward_inputs(model: StableDiffusion, info: Any, rows: int) -> tuple[torch.Tensor, ...]:
    shape = model.latent_shape(info.width, info.height)
    latents = torch.randn(rows, shape.channels, shape.height, shape.width)
    return latents, torch.linspace(900, 100, rows), model.encode(PROMPTS[0]).expand(rows, -1, -1).contiguous()


def course_of(model: StableDiffusion, info: Any, seed: int) -> Course:
    """A whole picture as people ask for it, by DDIM."""
    shape = model.latent_shape(info.width, info.height)
    size = (shape.channels, shape.height, shape.width)
    prompts = ("", PROMPTS[seed % len(PROMPTS)]) if info.guidance_scale > 1 else (PROMPTS[seed % 4],)
    return Course(
        latents=torch.randn(size, generator=torch.Generator().manual_seed(seed)),
        embeds=torch.stack([model.encode(prompt) for prompt in prompts]),
        condition=None,
        guidance=info.guidance_scale,
        table=sampler_table(model.noise, Sampler.DDIM, Schedule.PLAIN, info.num_inference_steps),
    )


def paint(model: StableDiffusion, info: Any, seed: int) -> torch.Tensor:
    walker = Walker(course_of(model, info, seed), partial(predict, model), partial(decode, model))
    for step in range(info.num_inference_steps):
        walker.step(step)
    return walker.picture()


def pipelines(folder: Path) -> dict[str, Any]:
    found = {}
    for name, dtype in (("diffusers float32", torch.float32), ("diffusers bfloat16", torch.bfloat16)):
        pipeline = StableDiffusionPipeline.from_pretrained(folder, dtype=dtype, low_cpu_mem_usage=False)
        pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
        pipeline.set_progress_bar_config(disable=True)
        if dtype == torch.bfloat16:
            pipeline.unet.to(memory_format=torch.channels_last)
            pipeline.vae.to(memory_format=torch.channels_last)
        found[name] = pipeline
    return found


def paint_by(pipeline: Any, info: Any) -> None:
    pipeline(
        PROMPTS[0],
        width=info.width,
        height=info.height,
        num_inference_steps=info.num_inference_steps,
        guidance_scale=info.guidance_scale,
        output_type="np",
    )


def row(title: str, figures: dict[str, float], unit: str) -> None:
    base = next(iter(figures.values()))
    cells = " | ".join(f"{value:8.1f} ({base / value:4.2f}×)" for value in figures.values())
    print(f"| {title:<24} | {cells} | {unit}", flush=True)


def measure(opened: LocalModel, asked: argparse.Namespace) -> None:
    info = opened.info
    cache = user_cache_path("limner", appauthor=False)
    models = {
        name: StableDiffusion(opened.folder, dtype=dtype, backend=backend, cache_dir=cache)
        for name, (backend, dtype) in WAYS.items()
    }
    print(f"{info.name}, {info.width}×{info.height}, {asked.rounds} rounds; {' | '.join(models)}")
    for rows in asked.rows:
        inputs = forward_inputs(models["torch float32"], info, rows)
        runs = {name: partial(predict, model, *inputs) for name, model in models.items()}
        row(f"forward, {rows} rows", medians(runs, asked.rounds), "ms")  # type: ignore[arg-type]
    latents = forward_inputs(models["torch float32"], info, 1)[0]
    row("decode", medians({n: partial(decode, m, latents) for n, m in models.items()}, asked.rounds), "ms")
    wanted = [paint(models["torch float32"], info, seed) for seed in range(asked.pictures)]
    for name, model in models.items():
        pictures = [paint(model, info, seed) for seed in range(asked.pictures)]
        quality = [psnr_db(mine, plain) for mine, plain in zip(pictures, wanted, strict=True)]
        worst = max(int((mine - plain).abs().max()) for mine, plain in zip(pictures, wanted, strict=True))
        print(f"{name:>18}: {min(quality):.1f} to {max(quality):.1f} dB, at most {worst} of 255 levels")
    alone: dict[str, Callable[[], object]] = {
        name: partial(paint_by, pipeline, info) for name, pipeline in pipelines(opened.folder).items()
    }
    alone |= {name: partial(paint, model, info, 0) for name, model in models.items() if "O" in name}
    print(" | ".join(alone))
    row("one picture alone", medians(alone, max(3, asked.rounds // 3)), "ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default=STARTER)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--pictures", type=int, default=4)
    asked = parser.parse_args()
    with torch.inference_mode():
        measure(open_model(asked.model), asked)


if __name__ == "__main__":
    main()
