"""In which precision a model computes here: as fast as it goes without harm to the picture."""

from __future__ import annotations

import logging
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from limner.diffusion.samplers import SamplerTable

log = logging.getLogger(__name__)

Forward = Callable[..., torch.Tensor]

# Of a whole picture against float32's; 40 dB is an error of two or three levels of 255.
LEAST_PSNR_DB = 40.0
# Of float32's time; a smaller gain is within what timing tells, and float32 is exact.
LEAST_GAIN = 0.9


@dataclass(slots=True)
class Course:
    """A short deterministic way from noise to a picture, the same for every precision.

    `latents` `(C, h, w)`: noise. `embeds` `(B, L, D)` of one row, or of two with guidance: without the prompt
    and with it; `condition`: what a row is told besides. `table`: of a sampler without noise of its own.
    """

    latents: torch.Tensor
    embeds: torch.Tensor
    condition: torch.Tensor | None
    guidance: float
    table: SamplerTable


@dataclass(slots=True)
class Walker:
    """One precision on its way along a course."""

    course: Course
    denoiser: Forward
    decoder: Forward
    latents: torch.Tensor = field(init=False)
    x0: torch.Tensor = field(init=False)
    seconds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.latents = self.course.latents * self.course.table.initial
        self.x0 = torch.zeros_like(self.latents)

    def step(self, step: int) -> None:
        course, rows = self.course, len(self.course.embeds)
        inputs = [self.latents.expand(rows, -1, -1, -1).contiguous()]
        inputs += [torch.full((rows,), float(course.table.timesteps[step])), course.embeds]
        if course.condition is not None:
            inputs.append(course.condition)
        began = time.perf_counter()
        output = self.denoiser(*inputs)
        self.seconds.append(time.perf_counter() - began)
        guided = output[0] + course.guidance * (output[1] - output[0]) if rows == 2 else output[0]
        from_x, from_output, a, b, c, _ = (float(value) for value in course.table.rows[step])
        x0 = from_output * guided + from_x * self.latents
        self.latents, self.x0 = a * self.latents + b * x0 + c * self.x0, x0

    @property
    def step_s(self) -> float:
        """The first step compiles."""
        return statistics.median(self.seconds[1:])

    def picture(self) -> torch.Tensor:
        """`(3, H, W)` from 0 to 255, as it would be stored."""
        return (self.decoder(self.latents[None])[0] / 2 + 0.5).clamp(0, 1).mul(255).round()


def judge(course: Course, dtypes: Sequence[torch.dtype], load: Callable[..., Forward]) -> dict[str, Any]:
    """Which of `dtypes` to take, and why. The first is the exact one; `load(part, dtype)` gives networks.

    They take turns step by step, so that what else the machine does falls on all.
    """
    walkers = {dtype: Walker(course, load("unet", dtype), load("vae", dtype)) for dtype in dtypes}
    for step in range(len(course.table)):
        for walker in walkers.values():
            walker.step(step)
    exact = walkers[dtypes[0]]
    told: dict[str, Any] = {"dtype": _name(dtypes[0]), "step_ms": {}, "psnr_db": {}}
    least_s = LEAST_GAIN * exact.step_s
    wanted = exact.picture()
    for dtype, walker in walkers.items():
        told["step_ms"][_name(dtype)] = round(1000 * walker.step_s, 1)
        if walker is not exact:
            quality = psnr_db(walker.picture(), wanted)
            told["psnr_db"][_name(dtype)] = round(quality, 1)
            if quality >= LEAST_PSNR_DB and walker.step_s < least_s:
                told["dtype"], least_s = _name(dtype), walker.step_s
    return told


def psnr_db(picture: torch.Tensor, wanted: torch.Tensor) -> float:
    """At most 99; 0 for one with values that are not numbers."""
    error = (picture - wanted).square().mean().item()
    return 0.0 if not math.isfinite(error) else min(99.0, 10 * math.log10(255**2 / max(error, 1e-9)))


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
