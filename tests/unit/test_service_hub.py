"""Events: latest wins, ids rise, memory stays bounded."""

from __future__ import annotations

import asyncio

import pytest

from limner.service.events import Preview, Progress, Queued, Started
from limner.service.hub import Hub

pytestmark = pytest.mark.anyio


def step(number: int, index: int = 0) -> Progress:
    return Progress(index, number, 100, 1.0)


async def test_a_reader_that_sleeps_gets_only_the_newest_of_each_subject() -> None:
    hub = Hub()
    with hub.listen("job") as channel:
        for number in range(1000):
            hub.publish("job", step(number))
            hub.publish("job", step(number, index=1))
            hub.publish("job", Preview(0, number, b"x", "image/webp"))
        found = channel.after(0)
    assert [e.payload for e in found] == [step(999), step(999, 1), Preview(0, 999, b"x", "image/webp")]
    assert [e.id for e in found] == sorted(e.id for e in found)


async def test_every_waiting_reader_wakes() -> None:
    hub = Hub()
    with hub.listen("job") as channel:
        waiting = [asyncio.create_task(channel.changed()) for _ in range(100)]
        await asyncio.sleep(0)
        hub.publish("job", Started())
        await asyncio.wait_for(asyncio.gather(*waiting), 5)


async def test_a_channel_goes_with_its_last_reader_unless_the_job_runs() -> None:
    hub = Hub()
    with hub.listen("queued"):
        assert hub.waiting() == ["queued"]
    assert hub.waiting() == []
    assert hub._channels == {}
    with hub.listen("running"):
        hub.publish("running", Started())
    assert list(hub._channels) == ["running"]


async def test_places_are_told_only_when_they_are_news() -> None:
    hub = Hub()
    hub.announce("job", Queued(3, 10.0))
    with hub.listen("job") as channel:
        hub.announce("job", Queued(3, 10.0))
        before = channel.last
        hub.announce("job", Queued(3, 9.5))
        assert channel.last == before
        hub.announce("job", Queued(2, 9.5))
        hub.announce("job", Queued(2, 5.0))
        assert channel.last == before + 2
        hub.publish("job", Started())
        hub.announce("job", Queued(1, 1.0))
        assert [type(e.payload) for e in channel.after(0)] == [Started]
