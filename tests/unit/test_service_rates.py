"""So many requests come in a minute, and no more."""

from __future__ import annotations

import time

import pytest

from limner.errors import TooManyRequests
from limner.service.rates import Bucket, Rates


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_a_bucket_is_emptied_at_once_and_fills_up_steadily(clock: Clock) -> None:
    rates, bucket = Rates(), [Bucket("ann", 6)]
    for left in range(5, -1, -1):
        rates.take(bucket)
        assert rates.levels(bucket)[0].left == left
    with pytest.raises(TooManyRequests, match="6 requests") as refused:
        rates.take(bucket)
    assert refused.value.retry_after_s == pytest.approx(10)
    clock.now += 10
    rates.take(bucket)
    with pytest.raises(TooManyRequests):
        rates.take(bucket)
    clock.now += 3600
    assert rates.levels(bucket)[0].left == 6


def test_when_one_bucket_is_empty_the_other_is_not_drawn_from(clock: Clock) -> None:
    rates, small, large = Rates(), Bucket("visitor", 1), Bucket("address", 5)
    rates.take([small, large])
    for _ in range(10):
        with pytest.raises(TooManyRequests):
            rates.take([large, small])
    assert rates.levels([large])[0].left == 4


def test_buckets_of_strangers_who_went_are_forgotten(clock: Clock) -> None:
    rates = Rates()
    for number in range(5000):
        rates.take([Bucket(f"stranger {number}", 10)])
        clock.now += 1
    assert len(rates._full_at) < 1100
