"""Many starter images with random cancels: does the memory of the engine stay flat?

    .venv/bin/python -m bench.soak [--images 2000] [--model starter] [--steps 4] [--cancel 0.2]

Prints the resident memory of the engine's process at intervals, and ends with status 1 when its median in the
last quarter is above that in the second by more than 5 % and 32 MiB.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import subprocess
import sys
import time

from limner.engine.local import LocalEngine
from limner.engine.messages import Cancelled, Failed, Finished, ImageRequest
from limner.models.catalog import LocalModel, open_model
from limner.params import resolve, submission

AT_ONCE = 16
SAMPLES = 40
GROWTH = 1.05
SLACK_MIB = 32.0
PROMPTS = ("a red house at night", "a blue sailboat on the sea", "a green tree in the snow", "a yellow car")


def resident_mib(pid: int) -> float:
    told = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)  # noqa: S607
    return int(told.stdout) / 1024


def request(model: LocalModel, number: int, steps: int, draw: random.Random) -> ImageRequest:
    """Four people, guidance on and off, the native size and two others, every sampler."""
    info = model.info
    asked = submission(
        prompt=f"{draw.choice(PROMPTS)} {number % 500}",
        width=draw.choice((info.width, info.width, info.min_size)),
        height=draw.choice((info.height, info.height, info.min_size)),
        guidance_scale=draw.choice((1.0, info.guidance_scale)),
        sampler=draw.choice(info.samplers),
        num_inference_steps=draw.randint(1, 2 * steps),
        seed=number,
    )
    params = resolve(asked, (info,), seed=0)
    return ImageRequest(f"{number}", f"person {draw.randrange(4)}", params, params.seed)


async def paint(engine: LocalEngine, asked: ImageRequest, cancel_at: int | None) -> str:
    """Returns how it ended."""
    seen = 0
    async for event in engine.generate(asked):
        if isinstance(event, Failed):
            raise RuntimeError(f"{asked}: {event.reason}")
        if isinstance(event, Finished | Cancelled):
            return type(event).__name__
        seen += 1
        if seen == cancel_at:
            await engine.cancel(asked.id)
    raise RuntimeError(f"{asked.id} ended without an end")


async def soak(model: LocalModel, images: int, steps: int, cancel: float) -> list[float]:
    """Resident MiB of the engine, at `SAMPLES` moments."""
    engine = LocalEngine((model,), device="cpu", log_level="warning")
    await engine.start()
    while engine.health().state != "ready":
        await asyncio.sleep(0.1)
    starts = engine.stats().restarts
    draw, room, began = random.Random(1), asyncio.Semaphore(AT_ONCE), time.monotonic()  # noqa: S311
    ends: list[str] = []
    samples: list[float] = []

    async def one(number: int) -> None:
        try:
            asked = request(model, number, steps, draw)
            cancel_at = draw.randint(1, 2 * steps) if draw.random() < cancel else None
            ends.append(await paint(engine, asked, cancel_at))
        finally:
            room.release()
        if len(ends) % max(1, images // SAMPLES) == 0 and engine.pid is not None:
            samples.append(resident_mib(engine.pid))
            cancelled = ends.count("Cancelled")
            print(f"{len(ends):6} ended, {cancelled} cancelled, {time.monotonic() - began:6.0f} s, ", end="")
            print(f"engine {samples[-1]:.0f} MiB", flush=True)

    async with asyncio.TaskGroup() as tasks:
        for number in range(images):
            await room.acquire()
            tasks.create_task(one(number))
    restarts = engine.stats().restarts - starts
    await engine.stop()
    if restarts:
        sys.exit(f"the engine was replaced {restarts} times")
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--cancel", type=float, default=0.2)
    asked = parser.parse_args()
    samples = asyncio.run(soak(open_model(asked.model), asked.images, asked.steps, asked.cancel))
    quarter = max(1, len(samples) // 4)
    early, late = statistics.median(samples[quarter : 2 * quarter]), statistics.median(samples[-quarter:])
    print(f"second quarter {early:.0f} MiB, last quarter {late:.0f} MiB ({late / early - 1:+.1%})")
    if late > GROWTH * early and late > early + SLACK_MIB:
        sys.exit("memory grows")


if __name__ == "__main__":
    main()
