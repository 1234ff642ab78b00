"""What runs in a supervised child: `python -m limner.process FD ENTRY`.

The entry `package.module:function` is called with an `Inbox` and a `send`. The child ends when its
parent's end of the socket closes, however the parent died.
"""

from __future__ import annotations

import importlib
import logging
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from limner.process.frames import Channel

HEARTBEAT_S = 1.0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Sent every second by a thread of the child: the process is alive, whatever its main thread does."""


@dataclass(frozen=True, slots=True)
class Crashed:
    """The entry function raised; the process ends."""

    reason: str


@dataclass(frozen=True, slots=True)
class Start:
    """The first message: what the entry function gets, and how much it logs."""

    argument: Any
    log_level: str


Send = Callable[[object], None]


class Inbox:
    """Messages from the parent, in order. For the child's main thread."""

    def __init__(self) -> None:
        self._messages: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def put(self, message: Any) -> None:
        self._messages.put(message)

    def wait(self, timeout_s: float | None = None) -> Any:
        """The next message, or None when `timeout_s` passes first."""
        try:
            return self._messages.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def poll(self) -> Any:
        """The next message, or None when there is none now."""
        try:
            return self._messages.get_nowait()
        except queue.Empty:
            return None


def _listen(channel: Channel, inbox: Inbox) -> None:
    try:
        while True:
            inbox.put(channel.receive())
    except (EOFError, OSError):
        os._exit(0)  # the parent is gone: nobody waits for anything this process still does


def _beat(channel: Channel) -> None:
    pause = threading.Event()
    try:
        while not pause.wait(HEARTBEAT_S):
            channel.send(Heartbeat())
    except OSError:
        os._exit(0)


def main() -> None:
    fd, entry = int(sys.argv[1]), sys.argv[2]
    # Ctrl+C and a service manager's SIGTERM, which go to a whole group, are the parent's to answer; it closes
    # the socket when it is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: None)  # what this process starts can still be ended by it
    channel = Channel(socket.socket(fileno=fd))
    start: Start = channel.receive()
    logging.basicConfig(level=start.log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    inbox = Inbox()
    threading.Thread(target=_listen, args=(channel, inbox), daemon=True).start()
    threading.Thread(target=_beat, args=(channel,), daemon=True).start()
    module, function = entry.split(":")
    try:
        getattr(importlib.import_module(module), function)(start.argument, inbox, channel.send)
    except Exception as error:
        logging.getLogger(__name__).exception("%s ended", entry)
        channel.send(Crashed(f"{type(error).__name__}: {error}"))
        sys.stderr.flush()
        os._exit(1)
