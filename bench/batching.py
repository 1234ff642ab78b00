"""Eight pictures at once, one after another, and in a plain diffusers loop: images a second, same weights.

    .venv/bin/python bench/batching.py [--images 8] [--rounds 3] [--model starter] [--steps N]

The three ways take turns, so that what else the machine does falls on all of them; medians are compared.
Without the starter's weights a tiny model with random ones stands in.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# As the engine does for itself, so that neither side gains by it; it must be set before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from diffusers import StableDiffusionPipeline
from tqdm import tqdm

from limner.engine.local import LocalEngine
from limner.engine.messages import Finished, ImageRequest
from limner.errors import ModelUnusable
from limner.models.catalog import STARTER, LocalModel, open_model
from limner.params import resolve, submission

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests import tiny

PROMPTS = ("a red house at night", "a blue sailboat on the sea", "a green tree in the snow", "a yellow car")


def requests_for(model: LocalModel, images: int, steps: int | None) -> list[ImageRequest]:
    made = []
    for i in range(images):
        asked = submission(prompt=PROMPTS[i % len(PROMPTS)], seed=i, num_inference_steps=steps)
        params = resolve(asked, (model.info,), seed=0)
        made.append(ImageRequest(f"{time.monotonic_ns()}", f"person {i}", params, params.seed))
    return made


async def paint(engine: LocalEngine, request: ImageRequest) -> None:
    events = [event async for event in engine.generate(request)]
    assert isinstance(events[-1], Finished), events[-1]


async def at_once(engine: LocalEngine, requests: list[ImageRequest]) -> None:
    await asyncio.gather(*(paint(engine, request) for request in requests))


async def one_by_one(engine: LocalEngine, requests: list[ImageRequest]) -> None:
    for request in requests:
        await paint(engine, request)


def plain_loop(pipeline: Any, requests: list[ImageRequest]) -> None:
    for request in requests:
        params = request.params
        pipeline(
            params.prompt,
            width=params.width,
            height=params.height,
            num_inference_steps=params.num_inference_steps,
            guidance_scale=params.guidance_scale,
            generator=torch.Generator().manual_seed(params.seed),
            output_type="np",
        )


async def measure(model: LocalModel, images: int, rounds: int, steps: int | None) -> dict[str, float]:
    """Median images a second of each way."""
    engine = LocalEngine((model,), device="cpu", log_level="warning")
    pipeline = StableDiffusionPipeline.from_pretrained(model.folder, low_cpu_mem_usage=False)
    pipeline.set_progress_bar_config(disable=True)
    await engine.start()
    await at_once(engine, requests_for(model, images, steps))
    await asyncio.to_thread(plain_loop, pipeline, requests_for(model, 1, steps))
    seconds: dict[str, list[float]] = {"at once": [], "one by one": [], "diffusers": []}
    for _ in tqdm(range(rounds), desc="rounds", file=sys.stderr):
        for way in seconds:
            requests = requests_for(model, images, steps)
            began = time.monotonic()
            if way == "diffusers":
                await asyncio.to_thread(plain_loop, pipeline, requests)
            else:
                painter: Callable[..., Any] = at_once if way == "at once" else one_by_one
                await painter(engine, requests)
            seconds[way].append(time.monotonic() - began)
    await engine.stop()
    return {way: images / statistics.median(times) for way, times in seconds.items()}


def chosen(reference: str, folder: Path) -> LocalModel:
    try:
        return open_model(reference)
    except ModelUnusable as error:
        if reference != STARTER:
            sys.exit(str(error))
        stand_in = tiny.TinyModel(noise="zero_snr_v", latent_channels=8, tiny_decoder=True)
        return open_model(str(tiny.save(stand_in, folder / "tiny")))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default=STARTER)
    parser.add_argument("--steps", type=int)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = chosen(asked.model, Path(folder))
        rates = asyncio.run(measure(model, asked.images, asked.rounds, asked.steps))
    info = model.info
    print(
        f"{info.name}, {info.width}×{info.height}, {asked.steps or info.num_inference_steps} steps, ", end=""
    )
    print(f"guidance {info.guidance_scale}, {asked.images} images, {asked.rounds} rounds, medians")
    for way, rate in rates.items():
        print(f"{way:>12}: {rate:6.2f} images/s, {rate / rates['diffusers']:.2f} × diffusers")
    print(f"at once / one by one: {rates['at once'] / rates['one by one']:.2f}")


if __name__ == "__main__":
    main()
