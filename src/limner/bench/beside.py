"""A person with one wish at a time, alone and beside a person with many long ones."""

from __future__ import annotations

import asyncio
from typing import Literal

from limner.bench.load import Quantiles, Served, serve
from limner.bench.plan import Plan
from limner.bench.report import Beside
from limner.bench.ways import Way
from limner.bench.workload import HEAVY, Workload
from limner.engine.messages import Engine

LIMIT = 4  # times as long as a load's arrivals: then the light person has asked often enough


async def light_beside_heavy(
    through: Literal["engine", "server"], way: Way, engine: Engine, work: Workload, plan: Plan
) -> Beside:
    """The light person asks for the model's own kind of picture, again and again; the heavy one keeps
    `plan.heavy_requests` requests of `plan.heavy_steps` steps waiting all the time."""
    alone = await _ask(way, work, plan)
    heavy: list[Served] = []
    before = engine.stats()
    greedy = [
        asyncio.create_task(_again_and_again(way, work, plan, heavy)) for _ in range(plan.heavy_requests)
    ]
    try:
        await _settled(heavy, plan.seconds)
        beside = await _ask(way, work, plan)
        after = engine.stats()
    finally:
        for task in greedy:
            task.cancel()
        ends = await asyncio.gather(*greedy, return_exceptions=True)
    failures = [end for end in ends if isinstance(end, Exception)]
    if failures:
        raise failures[0]
    await way.settle()
    steps = after.steps - before.steps
    return Beside(
        through,
        Quantiles.of([one.waited_s for one in alone]),
        Quantiles.of([one.waited_s for one in beside]),
        Quantiles.of([one.preview_s for one in alone if one.preview_s is not None]),
        Quantiles.of([one.preview_s for one in beside if one.preview_s is not None]),
        len(beside),
        len(heavy),
        (after.rows - before.rows) / steps if steps > 0 else None,
    )


async def _settled(heavy: list[Served], patience_s: float) -> None:
    """Until the heavy person has everything full: his first picture came out, or this took too long."""
    until = asyncio.get_running_loop().time() + patience_s
    while not heavy and asyncio.get_running_loop().time() < until:
        await asyncio.sleep(0.02)


async def _ask(way: Way, work: Workload, plan: Plan) -> list[Served]:
    """`plan.asks` pictures, each when the one before is there; fewer where they take too long."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    found: list[Served] = []
    while len(found) < plan.asks and (not found or loop.time() - began < LIMIT * plan.seconds):
        found.append(Served(work.request("light")))
        await serve(way, found[-1], lambda: None)
    return found


async def _again_and_again(way: Way, work: Workload, plan: Plan, made: list[Served]) -> None:
    while True:
        outcome = Served(work.request(HEAVY, plan.heavy_steps))
        await serve(way, outcome, lambda: None)
        made.append(outcome)
