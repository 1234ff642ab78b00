"""What the engine's process does: load the models, then step for as long as there is something to make."""

from __future__ import annotations

import torch
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from limner.engine.loop import StepLoop
from limner.engine.messages import ImageRequest, Stats
from limner.engine.wire import CancelRequest, EngineStart, Ready, Report
from limner.errors import ModelUnusable
from limner.models.catalog import LocalModel
from limner.models.stable_diffusion import StableDiffusion
from limner.process.child import Inbox, Send

LEAST_SLOTS = 4


def main(start: EngineStart, inbox: Inbox, send: Send) -> None:
    """The entry for `SupervisedProcess`. Raises `ModelUnusable` when a model cannot be loaded."""
    transformers_logging.disable_progress_bar()
    diffusers_logging.set_verbosity_error()
    if start.threads:
        torch.set_num_threads(start.threads)
    device = chosen_device(start.device)
    loop = StepLoop({model.info.name: _load(model, device) for model in start.models})
    step_s = max(loop.runner.warm_up(m.info.name, m.info.width, m.info.height) for m in start.models)
    send(Ready(max(LEAST_SLOTS, loop.runner.most_rows), step_s))
    while True:
        message = inbox.poll() if loop.busy else inbox.wait()
        while message is not None:
            if isinstance(message, ImageRequest):
                loop.add(message)
            elif isinstance(message, CancelRequest):
                loop.cancel(message.request_id)
            message = inbox.poll()
        events = loop.step()
        send(Report(loop.step_s, tuple(events), Stats()))


def _load(model: LocalModel, device: str) -> StableDiffusion:
    try:
        return StableDiffusion(model.folder, device)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelUnusable(f"{model.info.name} cannot be loaded from {model.folder}: {reason}") from error


def chosen_device(asked: str) -> str:
    """torch's name of the device for `--device`. Raises `ModelUnusable` when it is not there."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if asked == "auto":
        return next(device for device, there in available.items() if there)
    if not available[asked]:
        raise ModelUnusable(f"--device {asked}: there is none that torch can use here; use auto or cpu")
    return asked
