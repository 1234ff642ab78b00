"""Pickled messages with a length before each, over a socket between two of our own processes."""

from __future__ import annotations

import asyncio
import pickle
import socket
import struct
import threading
from typing import Any

_LENGTH = struct.Struct("!Q")


def pack(message: object) -> bytes:
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body


async def read(reader: asyncio.StreamReader) -> Any:
    """The next message. Raises `asyncio.IncompleteReadError` when the other side is gone."""
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return pickle.loads(await reader.readexactly(length))  # noqa: S301 - both ends are this program


class Channel:
    """The child's end: blocking, and `send` may be called from any thread."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._file = sock.makefile("rb")
        self._lock = threading.Lock()

    def send(self, message: object) -> None:
        frame = pack(message)
        with self._lock:
            self._sock.sendall(frame)

    def receive(self) -> Any:
        """The next message, waiting for it. Raises `EOFError` when the parent is gone."""
        head = self._file.read(_LENGTH.size)
        if len(head) < _LENGTH.size:
            raise EOFError
        body = self._file.read(_LENGTH.unpack(head)[0])
        return pickle.loads(body)  # noqa: S301 - both ends are this program
