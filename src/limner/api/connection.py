"""One connection of a client, which may neither dawdle nor send a head without end."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

MAX_HEAD_BYTES = 32 * 1024
# For a head from its beginning, and for what is left of a body that was answered before its end.
REST_S = 15.0
UNREAD_S = 30.0


class HeadTooLarge(Exception):
    """The request line and the headers are larger than any client needs."""


class Connection(HttpToolsProtocol):
    """Closes when a head is too large or does not come, when answers are not read, and when a body goes on
    long after its answer (while it is read, `Patience` watches it).

    A client that reads nothing for `UNREAD_S` is cut off, not closed: closing would wait until it reads.
    """

    _clock: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _in_head = True
    _in_body = False
    _fed_bytes = 0
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_the_rest()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop(self._clock, self._stalled)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            self._fed_bytes += len(data)  # the parser does not tell of a header before its end
            if self._fed_bytes > MAX_HEAD_BYTES:
                self._refuse_head()

    def send_400_response(self, msg: str) -> None:
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse_head()
        else:
            super().send_400_response(msg)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if not self._in_head:
            self._in_head = True
            self._await_the_rest()
        self._fed_bytes = self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(name, value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head, self._in_body = False, True
        self._stop(self._clock)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        self._stop(self._clock)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_body and self.cycle.response_complete:  # else it is the body of the next request
            self._await_the_rest()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stop(self._stalled)
        self._stalled = self.loop.call_later(UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop(self._stalled)
        super().resume_writing()

    def _await_the_rest(self) -> None:
        self._stop(self._clock)
        self._clock = self.loop.call_later(REST_S, self._rest_did_not_come)

    def _rest_did_not_come(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _count(self, *parts: bytes) -> None:
        self._head_bytes += sum(map(len, parts))
        if self._head_bytes > MAX_HEAD_BYTES:
            raise HeadTooLarge

    def _refuse_head(self) -> None:
        why = f"The request line and the headers may have {MAX_HEAD_BYTES // 1024} kB."
        head = f"content-type: text/plain; charset=utf-8\r\ncontent-length: {len(why)}\r\nconnection: close"
        self.transport.write(STATUS_LINE[431] + f"{head}\r\n\r\n{why}".encode())
        self.transport.close()

    @staticmethod
    def _stop(*timers: Any) -> None:
        for timer in timers:
            if timer is not None:
                timer.cancel()
