"""What a step costs at each batch size, measured at load and remembered for the next start. No torch here."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from limner.engine.curve import BUCKETS, GAIN

log = logging.getLogger(__name__)

REPEATS = 3
BUDGET_S = 1.5
PREPARE_S = 20.0
MISSES = 2


def measure(step: Callable[[int], None], sizes: Sequence[int] = BUCKETS) -> dict[int, float]:
    """Seconds of `step(rows)` by batch size, the best of a few, up to just beyond the knee.

    Ends early when `BUDGET_S` is spent on steps, or `PREPARE_S` on the first step of each size, which may
    have much to prepare; one row and two are measured in any case.
    """
    found: dict[int, float] = {}
    spent_s = prepared_s = best = 0.0
    misses = 0
    for rows in sizes:
        if rows > 2 and (spent_s > BUDGET_S or prepared_s > PREPARE_S or misses == MISSES):
            break
        prepared_s += _timed(step, rows)
        times = [_timed(step, rows)]
        while len(times) < REPEATS and spent_s + sum(times) < BUDGET_S:
            times.append(_timed(step, rows))
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
            known = json.loads(self._file.read_text(encoding="utf-8"))
            return {int(rows): float(seconds) for rows, seconds in known[key].items()} or None
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def put(self, key: str, measured: dict[int, float]) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            known = {}
            if self._file.exists():
                known = json.loads(self._file.read_text(encoding="utf-8"))
            part = self._file.with_suffix(".part")
            part.write_text(json.dumps(known | {key: measured}), encoding="utf-8")
            part.replace(self._file)
        except (OSError, ValueError, TypeError) as error:
            log.warning("what was measured cannot be remembered in %s: %s", self._file, error)
