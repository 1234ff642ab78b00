"""A child process that is started, watched and replaced."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace

from limner.process import frames
from limner.process.child import Crashed, Heartbeat, Start

log = logging.getLogger(__name__)

# Threads of a child that wait for each other sleep instead of spinning: two children and the server share one
# processor, and a spinning thread takes it from the one that is waited for.
PATIENT = {"OMP_WAIT_POLICY": "PASSIVE"}

SILENCES = 2
# On a machine that is busy with other things Python alone may take long to start.
STARTING_SILENCES = 10
BUFFER_BYTES = 16 * 2**20  # a picture of 2048 pixels square arrives without the reader pausing the socket


class SupervisedProcess:
    """Runs `entry` (`package.module:function`) in a child process and starts it again whenever it ends.

    `on_message` gets every message the child sends. `on_exit` gets the reason each time a child is gone,
    before the next one starts; messages for the dead child are lost, so whoever needs an answer asks again.
    A child that sends no heartbeat for `heartbeat_timeout_s` is killed; one that starts has five times as
    long. `environment`: what it gets beside this process's, which has the last word. All of it belongs to the
    event loop.
    """

    def __init__(
        self,
        entry: str,
        argument: object,
        *,
        on_message: Callable[[object], None],
        on_exit: Callable[[str], None],
        environment: Mapping[str, str] = PATIENT,
        heartbeat_timeout_s: float = 8.0,
        log_level: str = "info",
    ) -> None:
        self._entry = entry
        self._start = Start(argument, log_level)
        self._on_message = on_message
        self._on_exit = on_exit
        self._environment = environment
        self._heartbeat_timeout_s = heartbeat_timeout_s
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._heard = False
        self._watch: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id; None between children."""
        return self._process.pid if self._process and self._process.returncode is None else None

    @property
    def exit_code(self) -> int | None:
        """Of the last child; minus the signal that ended it. None while it runs."""
        return self._process.returncode if self._process else None

    def start_next_with(self, argument: object) -> None:
        """The next child gets this argument."""
        self._start = replace(self._start, argument=argument)

    async def start(self) -> None:
        assert self._watch is None, "started twice"
        self._watch = asyncio.create_task(self._keep_alive(), name=f"supervise {self._entry}")

    def send(self, message: object) -> None:
        """Queue a message to the child. Lost when there is none now."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(frames.pack(message))

    def kill(self) -> None:
        """End the child at once; a new one starts."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def stop(self) -> None:
        """End the child and start no other."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None

    async def _keep_alive(self) -> None:
        pause_s = 0.1
        while True:
            began = asyncio.get_running_loop().time()
            try:
                reason = await self._run_once()
            except Exception as error:  # no room for a process now, or a message that could not be taken
                log.exception("%s cannot be run", self._entry)
                reason = f"{type(error).__name__}: {error}"
            lived_s = asyncio.get_running_loop().time() - began
            log.warning("%s ended after %.0f s: %s", self._entry, lived_s, reason)
            self._on_exit(reason)
            # One that dies young again and again must not eat the machine.
            pause_s = 0.1 if lived_s > 30 else min(pause_s * 2, 10.0)
            await asyncio.sleep(pause_s)

    async def _run_once(self) -> str:
        """Start one child and see it to its end. Returns why it ended."""
        ours, theirs = socket.socketpair()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "limner.process", str(theirs.fileno()), self._entry),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sys.stderr.fileno(),
                start_new_session=True,
                env={**self._environment, **os.environ},
            )
            theirs.close()
            reader, self._writer = await asyncio.open_connection(sock=ours, limit=BUFFER_BYTES)
            self.send(self._start)
            reason = await self._listen(reader)
        finally:
            theirs.close()
            if self._writer is None:
                ours.close()
            else:
                self._writer.close()
                self._writer = None
            self.kill()
            if self._process is not None:
                await asyncio.shield(self._process.wait())
        code = self._process.returncode
        return reason or (f"killed by signal {-code}" if code and code < 0 else f"exit status {code}")

    async def _listen(self, reader: asyncio.StreamReader) -> str:
        """Pass messages on until the child is gone or silent. Returns the reason, if the child gave one."""
        reading = asyncio.create_task(self._read(reader))
        silences, patience = 0, STARTING_SILENCES
        try:
            # More than one silence in a row: the first may be this event loop's own, with messages waiting.
            while silences < patience:
                self._heard = False
                done, _ = await asyncio.wait({reading}, timeout=self._heartbeat_timeout_s / SILENCES)
                if done:
                    await asyncio.sleep(0.05)  # let the exit status arrive before we look at it
                    return reading.result()
                silences = 0 if self._heard else silences + 1
                patience = SILENCES if self._heard else patience
        finally:
            reading.cancel()
        return f"no sign of life for {self._heartbeat_timeout_s * patience / SILENCES:.0f} s"

    async def _read(self, reader: asyncio.StreamReader) -> str:
        reason = ""
        while True:
            try:
                message = await frames.read(reader)
            except (asyncio.IncompleteReadError, ConnectionError):
                return reason
            self._heard = True
            if isinstance(message, Crashed):
                reason = message.reason
            elif not isinstance(message, Heartbeat):
                self._on_message(message)
