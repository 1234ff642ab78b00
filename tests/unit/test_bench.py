"""What the bench sends, and how it counts."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable

import pytest

from limner.bench.load import Served, figures, paint_all, quantile
from limner.bench.plan import Plan
from limner.bench.ways import OneByOne, StepBatching, Way, WholeBatches
from limner.bench.workload import HEAVY, Arrival, Kind, Workload
from limner.engine.double import MODEL, EngineDouble
from limner.engine.messages import ImageRequest, Stats
from limner.params import GenerationParams

pytestmark = pytest.mark.anyio

PLAN = Plan().for_model(MODEL)


def workload() -> Workload:
    return Workload(MODEL, PLAN)


def test_arrivals_come_at_the_rate_and_are_the_same_for_every_way() -> None:
    first, second = (workload().poisson(rate=10, seconds=200) for _ in range(2))
    assert 1800 < len(first) < 2200
    assert [one.at_s for one in first] == [one.at_s for one in second]
    assert [one.request.params for one in first] == [one.request.params for one in second]
    gaps = [b.at_s - a.at_s for a, b in itertools.pairwise(first)]
    short = sum(gap < 0.1 for gap in gaps) / len(gaps)
    assert 0.58 < short < 0.68, "of exponential gaps, 63 % are below their mean"


def test_arrivals_mix_short_and_long_requests_of_light_people_and_a_heavy_one() -> None:
    arrivals = workload().poisson(rate=10, seconds=100)
    people = Counter(one.request.person for one in arrivals)
    assert len(people) == 5
    assert people[HEAVY] > 3 * max(count for person, count in people.items() if person != HEAVY)
    steps = Counter(one.request.params.num_inference_steps for one in arrivals)
    assert set(steps) <= {4, *range(16, 33)}
    kinds = Counter(Kind.of(one.request.params) for one in arrivals)
    assert len({(kind.width, kind.height) for kind in kinds}) == 2
    assert {kind.guidance_scale for kind in kinds} == {1.0, MODEL.guidance_scale}
    assert min(kinds.values()) > len(arrivals) / 6
    assert 0.4 < steps[4] / len(arrivals) < 0.6
    assert len({one.request.params.prompt for one in arrivals}) == len(arrivals)


def test_models_for_few_steps_are_asked_for_few() -> None:
    plan = Plan().for_model(MODEL.model_copy(update={"num_inference_steps": 1}))
    assert (plan.short_steps, plan.long_steps) == (1, (2, 4))
    plan = Plan().for_model(MODEL.model_copy(update={"num_inference_steps": 25}))
    assert (plan.short_steps, plan.long_steps) == (4, (20, 50))


def test_quantiles_are_values_that_were_measured() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [quantile(values, share) for share in (0.5, 0.95, 0.99)] == [50, 95, 99]
    assert quantile([3.0], 0.95) == 3.0
    assert quantile([], 0.5) is None


def test_figures_count_the_unfinished_with_what_they_waited() -> None:
    work = workload()
    served = [
        Served(work.request("light 1", 4), waited_s=1.0, preview_s=0.5, done=True),
        Served(work.request(HEAVY, 20), waited_s=6.0, preview_s=2.0, done=True),
        Served(work.request(HEAVY, 20), waited_s=9.0),
    ]

    def solo_s(params: GenerationParams) -> float:
        return params.num_inference_steps / 20

    found = figures(served, 10.0, solo_s, Stats(steps=5, rows=9), Stats(steps=9, rows=17))
    assert (found.requests, found.unfinished, found.images_s) == (3, 1, 0.2)
    assert (found.waited.p50_s, found.waited.p99_s) == (6.0, 9.0)
    assert (found.light.p95_s, found.heavy.p95_s, found.preview.p95_s) == (1.0, 9.0, 2.0)
    assert found.within_5_solo == pytest.approx(1 / 3)
    assert found.rows_per_step == 2.0


@pytest.mark.parametrize(("way", "most"), [(OneByOne, 1), (StepBatching, 6)])
async def test_ways_differ_in_how_many_are_made_at_once(
    way: Callable[[EngineDouble], Way], most: int
) -> None:
    engine = EngineDouble(step_s=0.001)
    arrivals = [Arrival(0.0, workload_request(number)) for number in range(6)]
    served, _ = await paint_all(way(engine), arrivals, 30.0, lambda: None)
    assert all(one.done for one in served)
    assert engine.most_at_once == most


async def test_whole_batches_begin_and_end_together_and_only_with_their_like() -> None:
    engine = EngineDouble(step_s=0.001)
    arrivals = [Arrival(0.0, workload_request(number, steps)) for number, steps in enumerate((4, 4, 8, 4, 4))]
    served, _ = await paint_all(WholeBatches(engine, lambda _: 3), arrivals, 30.0, lambda: None)
    assert all(one.done for one in served)
    assert [request.params.num_inference_steps for request in engine.asked] == [4, 4, 4, 8, 4]
    assert engine.most_at_once == 3


async def test_what_is_not_served_in_time_is_called_off_and_counted() -> None:
    engine = EngineDouble(step_s=0.05)
    arrivals = [Arrival(0.0, workload_request(number)) for number in range(4)]
    for way in (OneByOne(engine), WholeBatches(engine, lambda _: 1)):
        served, elapsed_s = await paint_all(way, arrivals, 0.6, lambda: None)
        done = [one for one in served if one.done]
        assert 0 < len(done) < 4
        assert all(one.waited_s > 0.55 for one in served if not one.done)
        assert elapsed_s < 5
        await asyncio.sleep(0.1)
        assert not engine._running, "the engine still works on what was called off"


def workload_request(number: int, steps: int = 4) -> ImageRequest:
    request = workload().request(f"person {number}", steps)
    return ImageRequest(f"{request.id}-{number}", request.person, request.params, request.seed)
