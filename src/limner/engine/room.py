"""How many rows of a group memory has room for. No torch here."""

from __future__ import annotations

import math
from dataclasses import dataclass

from limner.engine.curve import BUCKETS

FIRST_WAIT_S = 60.0
LONGEST_WAIT_S = 3600.0


@dataclass(slots=True)
class Room:
    """Less after memory ran out, then by and by more: what took the memory may be gone.

    When more turns out to be too much again, the next try comes after twice as long. Times: monotonic
    seconds.
    """

    rows: int = BUCKETS[-1]
    _wait_s: float = FIRST_WAIT_S
    _changed_at: float = -math.inf

    def shrink(self, rows: int, now: float) -> None:
        lasted = now - self._changed_at > 2 * self._wait_s
        self._wait_s = FIRST_WAIT_S if lasted else min(2 * self._wait_s, LONGEST_WAIT_S)
        self.rows, self._changed_at = rows, now

    def widen(self, now: float) -> bool:
        """After a good step: twice the rows, when it is time to try. False where all stays as it is."""
        if self.rows >= BUCKETS[-1] or now - self._changed_at < self._wait_s:
            return False
        self.rows, self._changed_at = min(2 * self.rows, BUCKETS[-1]), now
        return True
