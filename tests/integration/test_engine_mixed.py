"""Sixty-four requests of every kind, joining and leaving at random: each gets the picture it gets alone."""

from __future__ import annotations

import random

import numpy as np
import pytest
from numpy.typing import NDArray

from limner.engine.loop import StepLoop
from limner.engine.messages import Cancelled, EngineEvent, Finished, ImageRequest
from limner.engine.runner import Runner
from limner.models.catalog import LocalModel
from limner.models.stable_diffusion import StableDiffusion
from limner.params import GenerationParams, OutputFormat, Schedule, schedules_of

pytestmark = pytest.mark.usefixtures("one_thread")

REQUESTS = 64
SIZES = ((64, 64), (64, 64), (32, 64), (48, 32))


@pytest.fixture(scope="module")
def requests(model: LocalModel) -> list[ImageRequest]:
    draw = random.Random(4)
    made = []
    for i in range(REQUESTS):
        sampler = model.info.samplers[i % len(model.info.samplers)]
        width, height = draw.choice(SIZES)
        params = GenerationParams(
            prompt=f"a red house {i % 7}",
            negative_prompt=draw.choice(("", "blue")),
            model=model.info.name,
            width=width,
            height=height,
            num_inference_steps=draw.randint(1, 9),
            guidance_scale=draw.choice((1.0, 3.0, 7.5)),
            sampler=sampler,
            schedule=draw.choice([s for s in schedules_of(sampler) if s is not Schedule.TRAILING]),
            seed=draw.randrange(1000),
            num_images=1,
            output_format=OutputFormat.PNG,
            random=False,
        )
        made.append(ImageRequest(f"{i}", f"person {i % 5}", params, params.seed, previews=i % 2 == 0))
    return made


def alone(runner: Runner, request: ImageRequest) -> NDArray[np.uint8]:
    loop = StepLoop(runner)
    loop.add(request)
    events: list[EngineEvent] = []
    while loop.busy:
        events.extend(loop.step())
    assert isinstance(events[-1], Finished), events[-1]
    return events[-1].pixels


def crowded(runner: Runner, requests: list[ImageRequest]) -> dict[str, Finished | Cancelled]:
    """Some come at each step, some of those under way are given up."""
    draw, loop, coming = random.Random(5), StepLoop(runner), list(requests)
    found: dict[str, Finished | Cancelled] = {}
    under_way: list[str] = []
    while loop.busy or coming:
        for _ in range(min(draw.randrange(4), len(coming))):
            under_way.append(coming[0].id)
            loop.add(coming.pop(0))
        if under_way and draw.random() < 0.2:
            loop.cancel(under_way.pop(draw.randrange(len(under_way))))
        for event in loop.step():
            if isinstance(event, Finished | Cancelled):
                assert event.request_id not in found
                found[event.request_id] = event
    assert set(found) == {request.id for request in requests}
    return found


@pytest.mark.parametrize("exact", [None, 4], ids=["free", "exact"])
def test_each_of_64_mixed_requests_gets_the_picture_it_gets_alone(
    loaded: StableDiffusion, requests: list[ImageRequest], exact: int | None
) -> None:
    found = crowded(Runner({"tiny": loaded}, exact), requests)
    finished = [request for request in requests if isinstance(found[request.id], Finished)]
    assert 40 <= len(finished) < REQUESTS, "some are cancelled, most are not"
    runner, tolerance = Runner({"tiny": loaded}, exact), 0 if exact else 2
    differences = []
    for request in finished:
        end = found[request.id]
        assert isinstance(end, Finished)
        mine = alone(runner, request)
        assert mine.std() > 10, "a flat picture would prove nothing"
        differences.append(int(np.abs(mine.astype(int) - end.pixels.astype(int)).max()))
    assert max(differences) <= tolerance
