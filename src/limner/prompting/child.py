"""The prompt writer's process: prompts under way take turns, a token each."""

from __future__ import annotations

import logging
from collections import deque
from pathlib import Path

import torch
import transformers

from limner.process.child import Inbox, Send
from limner.prompting.messages import PromptRequest
from limner.prompting.pipe import Failed, Load, Piece, Ready, Stop, Written
from limner.prompting.writer import Writer, Writing

log = logging.getLogger(__name__)


def run(load: Load, inbox: Inbox, send: Send) -> None:
    """Entry for `limner.process`: loads the weights, then writes until the process ends."""
    torch.set_num_threads(load.threads)
    transformers.logging.disable_progress_bar()
    desk = Desk(Writer(Path(load.folder)), send)
    send(Ready())
    while True:
        message = inbox.poll() if desk.busy else inbox.wait()
        while message is not None:  # before every token, so that a stopped prompt costs at most one more
            desk.receive(message)
            message = inbox.poll()
        desk.step()


class Desk:
    """The prompts under way, in the order of their turns."""

    def __init__(self, writer: Writer, send: Send) -> None:
        self._writer = writer
        self._send = send
        self._turns: deque[tuple[str, Writing]] = deque()

    @property
    def busy(self) -> bool:
        return bool(self._turns)

    def receive(self, message: PromptRequest | Stop) -> None:
        """Begin a prompt, or stop one."""
        if isinstance(message, Stop):
            for turn in [turn for turn in self._turns if turn[0] == message.request_id]:
                self._turns.remove(turn)
                self._send(Written(message.request_id, turn[1].tokens))
            return
        try:
            self._turns.append((message.id, self._writer.begin(message)))
        except Exception as error:
            self._fail(message.id, error)

    def step(self) -> None:
        """One token of the prompt whose turn it is."""
        if not self._turns:
            return
        request_id, writing = self._turns.popleft()
        try:
            text = writing.step()
        except Exception as error:
            self._fail(request_id, error)
            return
        if text:
            self._send(Piece(request_id, text))
        if writing.done:
            self._send(Written(request_id, writing.tokens))
        else:
            self._turns.append((request_id, writing))

    def _fail(self, request_id: str, error: Exception) -> None:
        """One prompt's failure is its own; the others go on."""
        log.exception("prompt %s failed", request_id)
        self._send(Failed(request_id, f"{type(error).__name__}: {error}"))
