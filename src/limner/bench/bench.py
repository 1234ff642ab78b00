"""One run of the bench, stage after stage."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from tqdm import tqdm

from limner import __version__
from limner.bench.beside import light_beside_heavy
from limner.bench.load import Figures, Served, figures, paint_all, serve
from limner.bench.machine import this_machine
from limner.bench.messages import FLOAT32, layouts
from limner.bench.plan import Plan
from limner.bench.report import (
    ONE,
    SCHEMA,
    STEP,
    WHOLE,
    Alone,
    Beside,
    Burst,
    CurvePoint,
    Load,
    Parts,
    Report,
    Subject,
    compared,
    plain_way,
)
from limner.bench.server import whole_server
from limner.bench.ways import OneByOne, Plain, PlainLoop, StepBatching, Way, WholeBatches
from limner.bench.workload import Arrival, Kind, Workload
from limner.engine.curve import BUCKETS, Curve
from limner.engine.messages import Engine
from limner.models.catalog import STARTER, LocalModel
from limner.params import GenerationParams
from limner.service.offline import loaded

Found = TypeVar("Found")

# A setting that is so many times slower than the default is left out.
HOPELESS = 3.0
LEAST_OF_SLOW = 2  # pictures that a way too slow for the whole burst makes of it at least


@dataclass(frozen=True, slots=True)
class Asked:
    """`engine` has this model alone, and is not started. `device` and `threads`, for the controls, as in the
    settings; `command`: how it was asked for."""

    model: LocalModel
    engine: Engine
    device: str
    threads: int
    plan: Plan
    command: str


async def run(asked: Asked) -> Report:
    """Raises `ModelUnusable`, `EngineFailed`."""
    bench = _Bench(asked)
    try:
        return await bench.run()
    finally:
        await bench.stop()


class _Bench:
    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._model = asked.model.info
        self._plan = asked.plan.for_model(self._model)
        self._work = Workload(self._model, self._plan)
        self._engine = asked.engine
        self._plain = Plain(asked.model.folder, asked.device, asked.threads)
        self._ways: dict[str, Way] = {}
        self._limner = StepBatching(self._engine)
        self._parts: list[Parts] = []
        self._left_out: dict[str, str] = {}
        self._stages: dict[str, float] = {}
        self._solo_s: Callable[[GenerationParams], float] = lambda params: params.num_inference_steps

    async def stop(self) -> None:
        await self._engine.stop()
        await self._plain.stop()

    async def run(self) -> Report:
        began, clock = datetime.now(UTC), time.monotonic()
        loads = self._plan.loads
        with tqdm(total=6 + len(loads), unit="stage", leave=False, disable=None) as bar:
            self._bar = bar
            await self._stage("loading", self._start())
            await self._stage("warming up", self._warm_up())
            alone = await self._stage("one alone", self._alone())
            serial_images_s = await self._stage("one by one", self._serial())
            burst = await self._stage(f"{self._plan.clients} at once", self._burst(alone))
            under_load = [
                await self._stage(f"{load} × serial", self._load(load, load * serial_images_s, burst))
                for load in loads
            ]
            beside = await self._stage("light beside heavy", self._beside())
        curve = self._curve()
        return Report(
            SCHEMA,
            __version__,
            self._asked.command,
            began.isoformat(timespec="seconds"),
            round(time.monotonic() - clock, 1),
            self._stages,
            this_machine(),
            self._subject(),
            self._plan,
            [CurvePoint(rows, step_s, rows / step_s) for rows, step_s in curve.measured.items()],
            curve.most_rows,
            alone,
            self._parts,
            serial_images_s,
            burst,
            under_load,
            beside,
            self._left_out,
            compared(alone, burst, beside, self._model.name == STARTER),
        )

    def _subject(self) -> Subject:
        m = self._model
        steps = m.num_inference_steps, m.guidance_scale, self._work.short_steps, self._work.long_steps
        return Subject(m.name, m.width, m.height, *steps, [str(kind) for kind in self._work.kinds])

    def _curve(self) -> Curve:
        (curve,) = self._engine.stats().curves
        return curve

    def _most(self, kind: Kind) -> int:
        """Pictures of that kind that fill the engine's best batch of them; one at least."""
        native = self._work.kinds[0]
        work = kind.width * kind.height / (native.width * native.height)
        return max(1, replace(self._curve(), work=work).most_rows // kind.rows)

    @property
    def _rows(self) -> int:
        """Of one picture in a step."""
        return self._work.kinds[0].rows

    # Stages, in their order.

    async def _start(self) -> None:
        # diffusers' process loads no weights before it is asked, so the engine times its steps undisturbed.
        await self._engine.start()
        await asyncio.gather(loaded(self._engine), self._plain.start())

    async def _warm_up(self) -> None:
        """What only the first picture costs; and which plain settings are worth more than a look."""
        took: dict[str, float] = {}
        half = self._plain.half
        if half is None:
            for setting in layouts("bfloat16"):
                reason = "the processor has no bfloat16, and emulating it takes minutes"
                self._left_out[plain_way(setting)] = reason
        settings = (*layouts(FLOAT32), *(layouts(half) if half else ()))
        for setting in settings if self._plan.all_ways else dict.fromkeys((FLOAT32, settings[-1])):
            way = plain_way(setting)
            for _ in range(2):
                took[setting] = await self._time(PlainLoop(self._plain, setting), 2)
            if took[setting] <= HOPELESS * took[FLOAT32]:
                self._ways[way] = PlainLoop(self._plain, setting)
            else:
                self._left_out[way] = f"{took[setting] / took[FLOAT32]:.1f} times slower than float32"
        self._ways |= {
            ONE: OneByOne(self._engine),
            WHOLE: WholeBatches(self._engine, lambda params: self._most(Kind.of(params))),
            STEP: self._limner,
        }
        for kind, rows in itertools.product(self._work.kinds, BUCKETS):
            pictures = rows // kind.rows
            if 1 <= pictures <= self._most(kind):
                steps = self._work.short_steps
                together = [Arrival(0.0, self._work.request(f"{n}", steps, kind)) for n in range(pictures)]
                await paint_all(self._ways[STEP], together, 600.0, self._tick)

    async def _alone(self) -> Alone:
        ways = [way for way in self._ways if way not in (ONE, WHOLE)]
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        self._limner.spent.clear()
        for _ in range(self._plan.rounds):
            for way in ways:
                seconds[way].append(await self._time(self._ways[way], None))
        self._parts.append(Parts.of("engine", self._limner.spent))
        return Alone({way: statistics.median(found) for way, found in seconds.items()})

    async def _serial(self) -> float:
        """Pictures a second of the mix, one by one; and how long each kind takes alone, by its steps."""
        few, many = self._work.short_steps, sum(self._work.long_steps) // 2
        asked = list(itertools.product(self._work.kinds, (few, many)))
        found: dict[tuple[Kind, int], list[float]] = {one: [] for one in asked}
        for _ in range(self._plan.rounds):
            for kind, steps in asked:
                found[kind, steps].append(await self._time(self._ways[ONE], steps, kind))
        middle = {one: statistics.median(seconds) for one, seconds in found.items()}

        def solo_s(kind: Kind, steps: float) -> float:
            step_s = max(0.0, middle[kind, many] - middle[kind, few]) / max(1, many - few)
            return middle[kind, few] + step_s * (steps - few)

        self._solo_s = lambda params: solo_s(Kind.of(params), params.num_inference_steps)
        return 1 / statistics.fmean(solo_s(kind, self._work.mean_steps) for kind in self._work.kinds)

    async def _burst(self, alone: Alone) -> Burst:
        default = plain_way(FLOAT32)
        halves = [way for way in alone.seconds if way in map(plain_way, layouts(self._plain.half or ""))]
        best = [min(halves, key=lambda way: alone.seconds[way])] if halves else []
        one = [ONE] if self._plan.all_ways else []
        rates: dict[str, list[float]] = {way: [] for way in (STEP, WHOLE, *one, default, *best)}
        rows: dict[str, float | None] = {}
        for _ in range(self._plan.rounds):
            for way in rates:
                found = await self._at_once(way, alone.seconds.get(way, alone.seconds[STEP]))
                rates[way].append(found.images_s)
                rows[way] = found.rows_per_step
        images_s = {way: statistics.median(found) for way, found in rates.items()}
        return Burst(self._plan.clients, images_s, rows, images_s[STEP] / self._best_images_s())

    def _best_images_s(self) -> float:
        curve = self._curve()
        rows_s = curve.most_rows / curve.step_s(curve.most_rows)
        return rows_s / (self._model.num_inference_steps * self._rows)

    async def _at_once(self, way: str, alone_s: float) -> Figures:
        """A way that goes one by one makes as many as fit in the time, because more tell no more."""
        clients = self._plan.clients
        if way not in (STEP, WHOLE):
            clients = min(clients, max(LEAST_OF_SLOW, round(self._plan.seconds / 2 / alone_s)))
        arrivals = [Arrival(0.0, self._work.request(f"person {n}")) for n in range(clients)]
        return await self._measure(way, arrivals, 3600.0)

    async def _load(self, times_serial: float, rate: float, burst: Burst) -> Load:
        ways = [way for way in burst.images_s if self._plan.all_ways or way != plain_way(FLOAT32)]
        # Who comes last needs his time even where nobody else is there.
        longest = self._work.request("nobody", self._work.long_steps[1])
        patience_s = self._plan.seconds / 2 + self._solo_s(longest.params)
        found = {}
        for way in ways:
            arrivals = self._work.poisson(rate, self._plan.seconds)
            found[way] = await self._measure(way, arrivals, patience_s)
        return Load(times_serial, rate, found)

    async def _beside(self) -> list[Beside]:
        with tempfile.TemporaryDirectory(prefix="limner-bench-") as folder:
            async with whole_server(self._engine, Path(folder)) as server:
                for _ in range(self._plan.rounds):
                    await self._time(server, None)
                self._parts.append(Parts.of("server", server.spent))
                ways: dict[Literal["engine", "server"], Way] = {"engine": self._ways[STEP], "server": server}
                return [
                    await light_beside_heavy(through, way, self._engine, self._work, self._plan)
                    for through, way in ways.items()
                    if self._plan.all_ways or through == "server"
                ]

    # What stages are made of.

    async def _measure(self, way: str, arrivals: list[Arrival], patience_s: float) -> Figures:
        before = self._engine.stats()
        served, elapsed_s = await paint_all(self._ways[way], arrivals, patience_s, self._tick)
        return figures(served, elapsed_s, self._solo_s, before, self._engine.stats())

    async def _time(self, way: Way, steps: int | None, kind: Kind | None = None) -> float:
        outcome = Served(self._work.request("alone", steps, kind, previews=False))
        await way.ready()
        await serve(way, outcome, self._tick)
        return outcome.waited_s

    def _tick(self) -> None:
        self._bar.update(0)

    async def _stage(self, name: str, work: Coroutine[Any, Any, Found]) -> Found:
        self._bar.set_description(name)
        began = time.monotonic()
        found = await work
        self._stages[name] = round(time.monotonic() - began, 1)
        self._bar.update()
        return found
