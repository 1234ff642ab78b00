"""What a step costs at each batch size, measured at load and remembered for the next start. No torch here."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from limner.engine.curve import BUCKETS, GAIN

log = logging.getLogger(__name__)

REPEATS = 3
BUDGET_S = 1.5
PREPARE_S = 30.0
MISSES = 2


def measure(step: Callable[[int], None], sizes: Sequence[int] = BUCKETS) -> dict[int, float]:
    """Seconds of `step(rows)` by batch size, the best of a few, up to just beyond the knee.

    Ends early when memory is out, when `BUDGET_S` is spent on steps, or `PREPARE_S` on the first step of each
    size, which may have much to prepare. One row and two are measured however long they take. Raises
    `MemoryError` when there is not enough for one row.
    """
    found: dict[int, float] = {}
    spent_s = prepared_s = best = 0.0
    misses = 0
    for rows in sizes:
        if rows > 2 and (spent_s > BUDGET_S or prepared_s > PREPARE_S or misses == MISSES):
            break
        try:
            prepared_s += _timed(step, rows)
            times = [_timed(step, rows)]
            while len(times) < REPEATS and spent_s + sum(times) < BUDGET_S:
                times.append(_timed(step, rows))
        except MemoryError:
            if not found:
                raise
            break
        spent_s += sum(times)
        found[rows] = min(times)
        misses = misses + 1 if rows / found[rows] < GAIN * best else 0
        best = max(best, rows / found[rows])
    return found


def _timed(step: Callable[[int], None], rows: int) -> float:
    began = time.perf_counter()
    step(rows)
    return time.perf_counter() - began


class Remembered:
    """What was measured before, in a JSON file that may be deleted at any time."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def get(self, key: str) -> dict[int, float] | None:
        try:
            return {int(rows): float(seconds) for rows, seconds in self._read()[key].items()} or None
        except (KeyError, ValueError, TypeError, AttributeError):
            return None

    def put(self, key: str, measured: dict[int, float]) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            part = self._file.with_suffix(".part")
            part.write_text(json.dumps(self._read() | {key: measured}), encoding="utf-8")
            part.replace(self._file)
        except OSError as error:
            log.warning("what was measured cannot be remembered in %s: %s", self._file, error)

    def _read(self) -> dict[str, Any]:
        try:
            known = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}
