"""Requests sent to a way, and what became of them."""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from limner.bench.ways import Way
from limner.bench.workload import HEAVY, Arrival
from limner.engine.messages import ImageRequest, Stats
from limner.params import GenerationParams


@dataclass(slots=True)
class Served:
    """One request. `waited_s`: to its picture, or to the end of the measurement when it is not `done`."""

    request: ImageRequest
    waited_s: float = 0.0
    preview_s: float | None = None
    done: bool = False

    @property
    def person(self) -> str:
        return self.request.person


@dataclass(frozen=True, slots=True)
class Quantiles:
    """In seconds; None where nothing was measured."""

    p50_s: float | None
    p95_s: float | None
    p99_s: float | None

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Quantiles:
        return cls(*(quantile(seconds, share) for share in (0.5, 0.95, 0.99)))


@dataclass(frozen=True, slots=True)
class Figures:
    """What one way did with one load.

    `unfinished` requests were called off at the end and count with what they had waited until then, so
    with any of them the quantiles are lower bounds. `within_5_solo`: the share that took at most five times
    as long as alone. `rows_per_step` and `images_s` None: not known of this way; nothing was finished.
    """

    requests: int
    unfinished: int
    images_s: float
    waited: Quantiles
    light: Quantiles
    heavy: Quantiles
    preview: Quantiles
    within_5_solo: float
    rows_per_step: float | None


async def paint_all(
    way: Way, arrivals: Sequence[Arrival], patience_s: float, tick: Callable[[], None]
) -> tuple[list[Served], float]:
    """Send each at its moment; who is not served `patience_s` after the last is called off.

    Returns what became of each, and the seconds from the first arrival to the last picture or the end.
    """
    loop = asyncio.get_running_loop()
    served = [Served(one.request) for one in arrivals]
    await way.ready()
    began = loop.time()
    tasks = []
    for one, outcome in zip(arrivals, served, strict=True):
        if (until_s := began + one.at_s - loop.time()) > 0:  # who come at one moment come together
            await asyncio.sleep(until_s)
        tasks.append(asyncio.create_task(serve(way, outcome, tick)))
    _, late = await asyncio.wait(tasks, timeout=patience_s)
    elapsed_s = loop.time() - began
    for task in late:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    failures = [end for end in ends if isinstance(end, Exception)]
    if failures:
        raise failures[0]
    await way.settle()
    return served, elapsed_s


async def serve(way: Way, outcome: Served, tick: Callable[[], None]) -> None:
    began = time.perf_counter()

    def previewed() -> None:
        outcome.preview_s = outcome.preview_s or time.perf_counter() - began

    try:
        await way.paint(outcome.request, previewed)
        outcome.done = True
        tick()
    finally:
        outcome.waited_s = time.perf_counter() - began


def figures(
    served: Sequence[Served],
    elapsed_s: float,
    solo_s: Callable[[GenerationParams], float],
    before: Stats,
    after: Stats,
) -> Figures:
    """`solo_s` of a picture: how long it takes alone. `before`, `after`: what the engine told."""
    quick = [one.done and one.waited_s <= 5 * solo_s(one.request.params) for one in served]
    done = [one for one in served if one.done]
    steps = after.steps - before.steps
    return Figures(
        requests=len(served),
        unfinished=len(served) - len(done),
        images_s=len(done) / elapsed_s,
        waited=Quantiles.of([one.waited_s for one in served]),
        light=Quantiles.of([one.waited_s for one in served if one.person != HEAVY]),
        heavy=Quantiles.of([one.waited_s for one in served if one.person == HEAVY]),
        preview=Quantiles.of([one.preview_s for one in served if one.preview_s is not None]),
        within_5_solo=statistics.fmean(quick),
        rows_per_step=(after.rows - before.rows) / steps if steps > 0 else None,
    )


def quantile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least `share` of them do not exceed (nearest rank)."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
