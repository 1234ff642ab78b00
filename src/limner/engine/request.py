"""One picture in the making."""

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
    """Requests whose rows fit into one forward. `precise`: by the model in float32, whatever it runs in."""

    model: str
    shape: LatentShape
    precise: bool = False


@dataclass(slots=True, eq=False)
class RunningRequest:
    """`first_noise` `(C, h, w)`, on the CPU; times: monotonic seconds.

    `slot`: where its latents are, from its first step on. `drawn`: the last step that noise was drawn for.
    """

    request: ImageRequest
    ticket: Ticket
    group: Group
    table: SamplerTable
    generator: torch.Generator
    first_noise: torch.Tensor
    guided: bool
    arrived_at: float
    slot: int | None = None
    step: int = 0
    drawn: int = -1
    first_step_at: float | None = None
    last_step_at: float = 0.0
    previewed_at: float = field(default=-1e9)
    encode_s: float = 0.0

    @classmethod
    def begin(
        cls, request: ImageRequest, model: StableDiffusion, arrived_at: float, *, precise: bool = False
    ) -> RunningRequest:
        """Raises `ValueError` when the model cannot do it."""
        params = request.params
        shape = model.latent_shape(params.width, params.height)
        steps, positions = params.num_inference_steps, shape.height * shape.width
        table = sampler_table(model.noise, params.sampler, params.schedule, steps, positions)
        group = Group(params.model, shape, precise)
        generator = generator_of(request.seed)
        guided = params.guidance_scale > 1 and not model.guidance_embedded
        return cls(
            request=request,
            ticket=Ticket(request.id, request.person, group, 2 if guided else 1, len(table)),
            group=group,
            table=table,
            generator=generator,
            first_noise=draw_noise((shape.channels, shape.height, shape.width), generator) * table.initial,
            guided=guided,
            arrived_at=arrived_at,
        )

    @property
    def done(self) -> bool:
        return self.step == len(self.table)
