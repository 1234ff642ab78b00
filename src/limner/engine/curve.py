"""How long a step takes by how many rows it moves. No torch here."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

BUCKETS = (1, 2, 4, 6, 8, 12, 16)
# A larger batch must move this many times the rows a second to be worth the longer step.
GAIN = 1.04


def bucket_of(rows: int) -> int:
    """The smallest batch size that holds `rows`."""
    return BUCKETS[bisect_left(BUCKETS, rows)]


@dataclass(frozen=True, slots=True)
class Curve:
    """`measured`: seconds of a step by batch size, in order, at the model's native size; at least one.

    `work`: how much a row of this size costs in rows of the native one. `limit`: what memory has room for.
    """

    model: str
    measured: Mapping[int, float]
    work: float = 1.0
    limit: int = BUCKETS[-1]

    @property
    def knee(self) -> int:
        """The batch size beyond which a step takes longer and moves hardly more rows a second."""
        best, rate = 1, 0.0
        for rows, seconds in self.measured.items():
            if rows / seconds >= GAIN * rate:
                best, rate = rows, rows / seconds
        return best

    @property
    def most_rows(self) -> int:
        """The batch size to use at most: where rows are larger than native ones fewer fill the machine."""
        return max((b for b in BUCKETS if b * self.work <= self.knee and b <= self.limit), default=1)

    def step_s(self, rows: int) -> float:
        """About how long a step of `rows` rows takes."""
        wanted = bucket_of(rows) * self.work
        points = list(self.measured.items())
        if wanted <= points[0][0]:
            return points[0][1] * wanted / points[0][0]
        for (low, low_s), (high, high_s) in pairwise(points):
            if wanted <= high:
                return low_s + (high_s - low_s) * (wanted - low) / (high - low)
        return points[-1][1] * wanted / points[-1][0]
