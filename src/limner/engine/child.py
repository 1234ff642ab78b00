"""What the engine's process does: load the models, then step for as long as there is something to make."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from limner.engine.gpu import prepare_gpu
from limner.engine.loop import StepLoop
from limner.engine.measure import Curves
from limner.engine.messages import ImageRequest
from limner.engine.runner import Runner
from limner.engine.wire import CancelRequest, EngineStart, Ready, Report
from limner.errors import ModelUnusable
from limner.models.catalog import LocalModel
from limner.models.graph import GraphPool
from limner.models.kept import FORMAT, compiler_folder, versions
from limner.models.memory import OutOfMemory, told_as_memory
from limner.models.processor import processor_name, processors, visible_processors
from limner.models.stable_diffusion import StableDiffusion
from limner.process.child import Inbox, Send

if TYPE_CHECKING:
    from limner.models.safety import SafetyChecker

# A few more than fill a batch, so that the next is at hand when one is done.
SPARE_SLOTS = 4
# Rows of every batch with `exact`: one picture with guidance, where more gain little; elsewhere a crowd.
EXACT_ROWS = {"cpu": 2}
EXACT_ROWS_ELSEWHERE = 8


def main(start: EngineStart, inbox: Inbox, send: Send) -> None:
    """The entry for `SupervisedProcess`. Raises `ModelUnusable` when a model cannot be loaded."""
    start = replace(start, threads=chosen_threads(start))
    if start.threads:
        torch.set_num_threads(start.threads)
    if start.compiled:
        # Read when torch first compiles.
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(compiler_folder(start.cache_dir)))
    device = chosen_device(start.device)
    checker = _checker(start, device)
    runner = prepare(start, device)
    known, curves = Curves(start.cache_dir / "curves.json"), []
    for model in start.models:
        key = _identity(model, runner.model(model.info.name), start)
        curves.append(runner.warm_up(model.info.name, model.info.width, model.info.height, known, key))
    loop = StepLoop(runner, checker, send)
    for model in start.models:
        loop.prepare_decoding(model.info.name, model.info.width, model.info.height)
    slots = SPARE_SLOTS + max(curve.most_rows for curve in curves)
    send(Ready(slots, max(curve.step_s(curve.most_rows) for curve in curves), tuple(curves)))
    serve(loop, inbox, send)


def prepare(start: EngineStart, device: str) -> Runner:
    """Load the models. Raises `ModelUnusable`."""
    if device == "cuda":
        prepare_gpu(exact=start.exact, memory_gb=start.memory_gb)
    elif start.memory_gb is not None:
        raise ModelUnusable(f"--memory-gb is for an NVIDIA GPU, and the models run on {device}; leave it out")
    by_name = {model.info.name: model for model in start.models}
    try:
        loaded = {name: _load(model, device, start) for name, model in by_name.items()}
    except OutOfMemory as error:
        raise ModelUnusable(
            f"not enough memory to load {', '.join(by_name)} ({error}); give fewer or smaller models"
        ) from error

    def in_float32(name: str) -> StableDiffusion:
        if loaded[name].dtype == torch.float32:
            return loaded[name]
        return _load(by_name[name], device, replace(start, dtype="float32"))

    rows = EXACT_ROWS.get(device, EXACT_ROWS_ELSEWHERE) if start.exact else None
    return Runner(loaded, rows, in_float32, GraphPool(torch.device(device)) if device == "cuda" else None)


def serve(loop: StepLoop, inbox: Inbox, send: Send) -> None:
    """Take messages in between steps, for ever."""
    while True:
        message = inbox.poll() if loop.busy or loop.prepare_next() else inbox.wait()
        while message is not None:
            if isinstance(message, ImageRequest):
                loop.add(message)
            elif isinstance(message, CancelRequest):
                loop.cancel(message.request_id)
            message = inbox.poll()
        events = loop.step()
        # Silence tells that nothing moves: who waits for a picture then replaces this process.
        if events:
            send(Report(loop.step_s, tuple(events), loop.stats))


def _checker(start: EngineStart, device: str) -> SafetyChecker | None:
    if start.safety is None:
        return None
    from limner.models.safety import SafetyChecker  # takes seconds, and few have one

    return SafetyChecker(start.safety, device)


def _load(model: LocalModel, device: str, start: EngineStart) -> StableDiffusion:
    """Raises `ModelUnusable`, `OutOfMemory`."""
    # Which precision is faster is a matter of timing, and that may change from start to start.
    dtype = "float32" if start.exact and start.dtype == "auto" and device == "cpu" else start.dtype
    try:
        with told_as_memory():
            return StableDiffusion(
                model.folder,
                device,
                dtype,
                backend=start.backend,
                threads=start.threads,
                cache_dir=start.cache_dir,
                compiled=start.compiled,
            )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelUnusable(f"{model.info.name} cannot be loaded from {model.folder}: {reason}") from error


def _identity(model: LocalModel, loaded: StableDiffusion, start: EngineStart) -> str:
    """Changes when steps may take another time: weights, size, device and its memory, precision, threads,
    what compiles them."""
    files = sorted(model.folder.glob("unet/*.safetensors"))
    weights = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    name = torch.cuda.get_device_name(loaded.device) if loaded.device.type == "cuda" else processor_name()
    size = model.info.width, model.info.height
    told = (
        str(model.folder),
        weights,
        size,
        str(loaded.device),
        name,
        loaded.backend,
        str(loaded.dtype),
        start.threads or processors(),
        start.compiled,
        start.memory_gb,
    )
    return hashlib.sha256(repr((*told, FORMAT, torch.__version__, versions())).encode()).hexdigest()


def chosen_threads(start: EngineStart) -> int:
    """0: left to torch and OpenVINO, which know what is there, but not what a container may take of it."""
    if start.threads or not (start.exact or processors() < visible_processors()):
        return start.threads
    return processors()


def chosen_device(asked: str) -> str:
    """torch's name of the device for `--device`. Raises `ModelUnusable` when it is not there."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if asked == "auto":
        return next(device for device, there in available.items() if there)
    if not available[asked]:
        raise ModelUnusable(f"--device {asked}: there is none that torch can use here; use auto or cpu")
    return asked
