"""Who listens to which job, and what they have not heard yet."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from limner.service.events import Ended, Event, ImageStored, Payload, Preview, Progress, Queued, Started

_Subject = tuple[type[Any], int]


class Channel:
    """The newest event on each subject of one job.

    Readers come back for what is newer than what they had, so a slow one misses what was replaced
    meanwhile and nobody waits for it.
    """

    def __init__(self, began: int) -> None:
        self.began = began
        self.last = began
        self.readers = 0
        self.running = False
        self._newest: dict[_Subject, Event] = {}
        self._changed = asyncio.Event()

    def put(self, event: Event) -> None:
        match event.payload:
            case Started():
                self._forget(Queued)
            case ImageStored(image):
                self._forget(Progress, image.index)
                self._forget(Preview, image.index)
            case Ended():
                self._newest = {s: e for s, e in self._newest.items() if s[0] is ImageStored}
        self._newest[_subject(event.payload)] = event
        self.last = event.id
        self.stir()

    def after(self, cursor: int) -> list[Event]:
        """What is newer than event `cursor`, in order."""
        return sorted((e for e in self._newest.values() if e.id > cursor), key=lambda e: e.id)

    def latest(self, *kinds: type[Any]) -> list[Event]:
        return sorted((e for e in self._newest.values() if isinstance(e.payload, kinds)), key=lambda e: e.id)

    def stir(self) -> None:
        """Wake every reader."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self) -> None:
        await self._changed.wait()

    def _forget(self, kind: type[Any], index: int = 0) -> None:
        self._newest.pop((kind, index), None)


class Hub:
    """The channels of the jobs that run or are listened to. Belongs to the event loop.

    `overhear` is told everything, whoever listens.
    """

    def __init__(self, overhear: Callable[[Payload], None] = lambda _: None) -> None:
        self._overhear = overhear
        self._channels: dict[str, Channel] = {}
        # Ids go on counting up when the server starts again: nobody publishes more than one a millisecond.
        self._last = int(time.time() * 1000)
        self.closed = False

    def stamp(self) -> int:
        """The next event id."""
        self._last += 1
        return self._last

    def publish(self, job_id: str, payload: Payload) -> None:
        self._overhear(payload)
        channel = self._channels.get(job_id)
        if channel is None:
            if isinstance(payload, Queued | Ended):
                return  # nobody listens, and the record tells it to whoever comes
            channel = self._channels[job_id] = Channel(self.stamp())
        channel.running = not isinstance(payload, Queued)
        channel.put(Event(self.stamp(), payload))
        if isinstance(payload, Ended):
            del self._channels[job_id]

    def announce(self, job_id: str, queued: Queued) -> None:
        """Publish a place in the queue, if somebody waits for it and it is news."""
        channel = self._channels.get(job_id)
        if channel is None or channel.running or not channel.readers:
            return
        told = [event.payload for event in channel.latest(Queued)]
        if not told or _is_news(queued, told[0]):
            self.publish(job_id, queued)

    @contextlib.contextmanager
    def listen(self, job_id: str) -> Iterator[Channel]:
        channel = self._channels.get(job_id)
        if channel is None:
            channel = self._channels[job_id] = Channel(self.stamp())
        channel.readers += 1
        try:
            yield channel
        finally:
            channel.readers -= 1
            if not channel.readers and not channel.running and self._channels.get(job_id) is channel:
                del self._channels[job_id]

    def waiting(self) -> list[str]:
        """The jobs that are listened to and do not run."""
        return [
            job_id for job_id, channel in self._channels.items() if channel.readers and not channel.running
        ]

    def close(self) -> None:
        """End every stream."""
        self.closed = True
        for channel in self._channels.values():
            channel.stir()


def _subject(payload: Payload) -> _Subject:
    match payload:
        case Progress(index=index) | Preview(index=index):
            return type(payload), index
        case ImageStored(image):
            return ImageStored, image.index
    return type(payload), 0


def _is_news(queued: Queued, told: Payload) -> bool:
    assert isinstance(told, Queued)
    if queued.position != told.position or (queued.eta_s is None) != (told.eta_s is None):
        return True
    return abs((queued.eta_s or 0.0) - (told.eta_s or 0.0)) > max(1.0, 0.1 * (told.eta_s or 0.0))
