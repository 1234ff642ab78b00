"""How many requests come in a time: counted in memory, because it is forgotten in a minute anyway."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from limner.errors import TooManyRequests

_TIDY_EVERY = 1000


@dataclass(frozen=True, slots=True)
class Bucket:
    """Holds `limit` requests and fills up again in `window_s` seconds."""

    name: str
    limit: int
    window_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Level:
    """What a bucket still holds, and in how many seconds it is full again."""

    bucket: Bucket
    left: int
    full_in_s: float


class Rates:
    """Token buckets. For one thread, that of the event loop."""

    def __init__(self) -> None:
        self._full_at: dict[str, float] = {}  # where a bucket is not full: when it will be
        self._taken = 0

    def take(self, buckets: Sequence[Bucket]) -> None:
        """One request out of every bucket. Raises `TooManyRequests`, and takes none, when one is empty."""
        now = time.monotonic()
        self._tidy(now)
        full_in = {bucket: max(0.0, self._full_at.get(bucket.name, now) - now) for bucket in buckets}
        for bucket, full_in_s in full_in.items():
            pause_s = full_in_s + bucket.window_s / bucket.limit - bucket.window_s
            if pause_s > 1e-9:
                raise TooManyRequests(
                    f"more than {bucket.limit} requests came in {bucket.window_s:.0f} s; wait a little",
                    retry_after_s=pause_s,
                )
        for bucket, full_in_s in full_in.items():
            self._full_at[bucket.name] = now + full_in_s + bucket.window_s / bucket.limit

    def levels(self, buckets: Sequence[Bucket]) -> list[Level]:
        now = time.monotonic()
        full_in = [max(0.0, self._full_at.get(bucket.name, now) - now) for bucket in buckets]
        return [
            Level(bucket, int(bucket.limit * (1 - seconds / bucket.window_s) + 1e-6), seconds)
            for bucket, seconds in zip(buckets, full_in, strict=True)
        ]

    def _tidy(self, now: float) -> None:
        """Forget full buckets now and then, so that strangers cannot fill the memory."""
        self._taken += 1
        if self._taken % _TIDY_EVERY == 0:
            self._full_at = {name: full_at for name, full_at in self._full_at.items() if full_at > now}
