"""An engine's process without a model: it steps through its requests together, and falls over on demand."""

from __future__ import annotations

import os
import signal
import time

import numpy as np

from limner.engine.curve import Curve
from limner.engine.messages import Cancelled, EngineEvent, Finished, ImageRequest, Progress, Stats, Timings
from limner.engine.wire import CancelRequest, EngineStart, Ready, Report, Working
from limner.process.child import Inbox, Send

STEP_S = 0.02
# The others wait until one of these is done.
TOGETHER = 8


def main(start: EngineStart, inbox: Inbox, send: Send) -> None:
    """Prompts, at their third step: `poison` ends the process, `brittle` crashes it unless PyTorch computes,
    `trap` stops its work for ever, `patient` takes three seconds, and said so before."""
    curves = tuple(Curve(model.info.name, {1: STEP_S}) for model in start.models)
    send(Ready(16, STEP_S, curves))
    running: dict[str, tuple[ImageRequest, int]] = {}
    while True:
        message = inbox.poll() if running else inbox.wait()
        while message is not None:
            if isinstance(message, ImageRequest):
                running[message.id] = message, 0
            elif isinstance(message, CancelRequest) and message.request_id in running:
                del running[message.request_id]
                send(Report(STEP_S, (Cancelled(message.request_id),), Stats()))
            message = inbox.poll()
        together = list(running.values())[:TOGETHER]
        send(Working(frozenset(request.id for request, _ in together), _patience_s(together)))
        time.sleep(STEP_S)
        send(Report(STEP_S, tuple(_stepped(running, together, start.backend)), Stats()))


def _patience_s(together: list[tuple[ImageRequest, int]]) -> float:
    return 30.0 if any(request.params.prompt == "patient" for request, _ in together) else 0.0


def _stepped(
    running: dict[str, tuple[ImageRequest, int]], together: list[tuple[ImageRequest, int]], backend: str
) -> list[EngineEvent]:
    events: list[EngineEvent] = []
    for request, step in together:
        done, steps = step + 1, request.params.num_inference_steps
        running[request.id] = request, done
        if done == 3 and request.params.prompt == "poison":
            os.kill(os.getpid(), signal.SIGKILL)
        if done == 3 and request.params.prompt == "brittle" and backend != "torch":
            os.kill(os.getpid(), signal.SIGSEGV)
        if done == 3 and request.params.prompt == "trap":
            time.sleep(3600)
        if done == 3 and request.params.prompt == "patient":
            time.sleep(3)
        events.append(Progress(request.id, done, steps, 0.0))
        if done == steps:
            del running[request.id]
            events.append(Finished(request.id, np.zeros((8, 8, 3), np.uint8), Timings()))
    return events
