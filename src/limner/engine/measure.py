"""What a step costs at each batch size, measured at load and remembered for the next start. No torch here."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from limner.engine.curve import BUCKETS, GAIN
from limner.models.remembered import Remembered

REPEATS = 3
KNEE_ROUNDS = 20  # before it is believed that more rows gain nothing
BUDGET_S = 2.0
PREPARE_S = 30.0
MISSES = 2
DISTURBED = 1.5
# Curves that are remembered, of as many models, settings and versions of either.
MOST = 100


@dataclass(frozen=True, slots=True)
class Measured:
    """`seconds` of a step by batch size. `disturbed`: others kept the processor from it, so it is a guess.

    `cut`: larger sizes would have been measured, had there been more memory just then or less to prepare.
    """

    seconds: dict[int, float]
    disturbed: bool = False
    cut: bool = False


def measure(
    step: Callable[[int], None],
    sizes: Sequence[int] = BUCKETS,
    *,
    on_processor: bool = True,
    prepare_s: float = PREPARE_S,
) -> Measured:
    """The time of `step(rows)` by batch size, the best of a few, up to just beyond the knee.

    In rounds over all sizes so far, each round with one more: a machine that is slower for a second is so for
    every size, and bends the curve no more. Ends early when memory is out, when `BUDGET_S` is spent on steps,
    or `prepare_s` on the first step of each size, which may have much to prepare. One row and two are
    measured however long they take. Where others have the processor, its own time on it counts instead (not
    where `on_processor` is False: there the processor waits). Raises `MemoryError` when there is not enough
    for one row.
    """
    found: dict[int, list[_Time]] = {}
    spent_s = prepared_s = 0.0
    cut = False

    def timed(rows: int) -> _Time:
        began, began_processor = time.perf_counter(), time.process_time()
        step(rows)
        wall_s, processor_s = time.perf_counter() - began, time.process_time() - began_processor
        return _Time(wall_s, processor_s if on_processor else wall_s)

    def time_each() -> None:
        nonlocal spent_s
        for rows, times in found.items():
            if not times or spent_s < BUDGET_S:
                times.append(timed(rows))
                spent_s += times[-1].own_s

    def rounds() -> int:
        return min(map(len, found.values()), default=0)

    try:
        for rows in sizes:
            while rows > 2 and spent_s < BUDGET_S and rounds() < KNEE_ROUNDS and _beyond_knee(found):
                time_each()
            if rows > 2 and (spent_s >= BUDGET_S or _beyond_knee(found)):
                break
            if rows > 2 and prepared_s > prepare_s:
                cut = True
                break
            prepared_s += timed(rows).own_s
            found[rows] = []
            time_each()
        while spent_s < BUDGET_S and rounds() < REPEATS:
            time_each()
    except MemoryError:
        cut = True
        found = {rows: times for rows, times in found.items() if times}
        if not found:
            raise
    best = {rows: _best(times) for rows, times in found.items()}
    disturbed = any(t.disturbed for t in best.values())
    seconds = {rows: t.processor_s if disturbed else t.wall_s for rows, t in best.items()}
    return Measured(_rising(seconds), disturbed, cut)


def _beyond_knee(found: Mapping[int, list[_Time]]) -> bool:
    """Whether the last `MISSES` sizes moved hardly more rows a second than a smaller one."""
    rates = [rows / _best(times).own_s for rows, times in found.items()]
    missed = [rate < GAIN * max(rates[:i], default=0.0) for i, rate in enumerate(rates)]
    return sum(missed[-MISSES:]) == MISSES


def _best(times: Sequence[_Time]) -> _Time:
    return _Time(min(t.wall_s for t in times), min(t.processor_s for t in times))


def _rising(seconds: dict[int, float]) -> dict[int, float]:
    """Fewer rows never take longer: where they seemed to, something else was running."""
    least = list(accumulate(reversed(seconds.values()), min))
    return dict(zip(seconds, reversed(least), strict=True))


@dataclass(frozen=True, slots=True)
class _Time:
    wall_s: float
    processor_s: float

    @property
    def disturbed(self) -> bool:
        """At least one of its threads always has something to do."""
        return self.wall_s > DISTURBED * self.processor_s

    @property
    def own_s(self) -> float:
        return self.processor_s if self.disturbed else self.wall_s


class Curves:
    """What was measured before, from start to start."""

    def __init__(self, file: Path) -> None:
        self._remembered = Remembered(file, MOST)

    def get(self, key: str) -> dict[int, float] | None:
        """Seconds by batch size; None where nothing is known, or the file is spoiled."""
        try:
            known = self._remembered.get(key)
            return {int(rows): float(seconds) for rows, seconds in known.items()} or None
        except (ValueError, TypeError, AttributeError):
            return None

    def put(self, key: str, measured: dict[int, float]) -> None:
        self._remembered.put(key, measured)
