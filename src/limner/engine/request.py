"""One picture in the making: the only lasting state of the engine."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from limner.diffusion.samplers import SamplerTable, sampler_table
from limner.diffusion.update import draw_noise, generator_of
from limner.engine.messages import ImageRequest
from limner.engine.scheduler import Ticket
from limner.models.stable_diffusion import LatentShape, StableDiffusion


@dataclass(frozen=True, slots=True)
class Group:
    """Requests whose rows fit into one forward."""

    model: str
    shape: LatentShape


@dataclass(slots=True, eq=False)
class RunningRequest:
    """`latents` and `x0` `(C, h, w)`; `rows` `(steps, 6)` of the sampler's table; times: monotonic seconds.

    `positive`, `negative`: embeddings, made when its first step comes. `fresh_noise`: drawn for the step to
    come, and kept when that step has to be run again.
    """

    request: ImageRequest
    ticket: Ticket
    group: Group
    table: SamplerTable
    rows: torch.Tensor
    generator: torch.Generator
    latents: torch.Tensor
    x0: torch.Tensor
    guided: bool
    arrived_at: float
    positive: torch.Tensor | None = None
    negative: torch.Tensor | None = None
    fresh_noise: torch.Tensor | None = None
    step: int = 0
    first_step_at: float | None = None
    last_step_at: float = 0.0
    previewed_at: float = field(default=-1e9)
    encode_s: float = 0.0

    @classmethod
    def begin(cls, request: ImageRequest, model: StableDiffusion, now: float) -> RunningRequest:
        params = request.params
        shape = model.latent_shape(params.width, params.height)
        steps, positions = params.num_inference_steps, shape.height * shape.width
        table = sampler_table(model.noise, params.sampler, params.schedule, steps, positions)
        group = Group(params.model, shape)
        generator = generator_of(request.seed)
        size = (shape.channels, shape.height, shape.width)
        latents = (draw_noise(size, generator) * table.initial).to(model.device)
        guided = params.guidance_scale > 1 and not model.guidance_embedded
        return cls(
            request=request,
            ticket=Ticket(request.id, request.person, group, 2 if guided else 1, len(table)),
            group=group,
            table=table,
            rows=torch.from_numpy(table.rows).float(),
            generator=generator,
            latents=latents,
            x0=torch.zeros_like(latents),
            guided=guided,
            arrived_at=now,
        )

    @property
    def done(self) -> bool:
        return self.step == len(self.table)
