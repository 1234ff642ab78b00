"""Pictures without a server: straight from an engine, all jobs at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from limner.engine.messages import Engine, Failed, Finished, ImageRequest, Progress
from limner.errors import EngineFailed, FieldError, InvalidInput, ModelUnusable, Unusable
from limner.params import GenerationParams, OutputFormat
from limner.service import picture
from limner.service.develop import develop
from limner.service.provenance import Provenance
from limner.store.job import NewImage

_FORMATS = {
    ".png": OutputFormat.PNG,
    ".webp": OutputFormat.WEBP,
    ".jpg": OutputFormat.JPEG,
    ".jpeg": OutputFormat.JPEG,
}


@dataclass(frozen=True, slots=True)
class Painted:
    """One picture of the job at place `job` of those given."""

    job: int
    image: NewImage


class Output:
    """Where pictures go that were asked for with `-o`: a file, numbered files, a folder, or here."""

    def __init__(self, path: Path | None) -> None:
        """Raises `InvalidInput` when `path` ends like a file of a format that is not written."""
        suffix = path.suffix.lower() if path is not None and not path.is_dir() else ""
        if suffix and suffix not in _FORMATS:
            message = f"{path} ends in {suffix}, which is not written; use one of: {', '.join(_FORMATS)}"
            raise InvalidInput(FieldError("output", message, str(path), ", ".join(_FORMATS)))
        self._path = path
        self._numbers = count(1)
        self.format = _FORMATS.get(suffix)
        self._single = False

    def prepare(self, pictures: int) -> None:
        """Make the folder that `pictures` will go to. Raises `Unusable` when that fails."""
        self._single = pictures == 1
        folder = self._folder()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unusable(f"{folder} cannot be made ({error.strerror}); choose another with -o") from None

    def write(self, image: NewImage, params: GenerationParams) -> Path:
        """Write one picture and say where. A file of that name is overwritten."""
        file = self._folder() / self._name(image, params)
        file.write_bytes(image.data)
        return file

    def _folder(self) -> Path:
        if self._path is None:
            return Path()
        return self._path.parent if self.format else self._path

    def _name(self, image: NewImage, params: GenerationParams) -> str:
        if self._path is None or not self.format:
            return picture.file_name(image, params.prompt, params.output_format)
        if self._single:
            return self._path.name
        return f"{self._path.stem}-{next(self._numbers)}{self._path.suffix}"


async def loaded(engine: Engine) -> None:
    """Wait until a started engine is ready. Raises `ModelUnusable` when it cannot load."""
    while (health := engine.health()).state != "ready":
        if health.state == "failed":
            raise ModelUnusable(health.detail)
        await asyncio.sleep(0.02)


async def paint(
    engine: Engine,
    jobs: Sequence[GenerationParams],
    provenance: Provenance,
    stepped: Callable[[int], object],
) -> AsyncIterator[Painted]:
    """The pictures as they get done; `stepped` is told of every few denoising steps.

    Raises `EngineFailed` when one cannot be made; the engine must be ready.
    """
    requests = [
        (
            number,
            index,
            ImageRequest(f"{number}/{index}", "operator", params, params.seed_of(index), previews=False),
        )
        for number, params in enumerate(jobs)
        for index in range(params.num_images)
    ]
    tasks = [asyncio.create_task(_painted(engine, *request, provenance, stepped)) for request in requests]
    try:
        for task in asyncio.as_completed(tasks):
            yield await task
    finally:
        for left in tasks:
            left.cancel()


async def _painted(
    engine: Engine,
    number: int,
    index: int,
    request: ImageRequest,
    provenance: Provenance,
    stepped: Callable[[int], object],
) -> Painted:
    step = 0
    async for event in engine.generate(request):
        if isinstance(event, Progress):
            stepped(event.step - step)
            step = event.step
        elif isinstance(event, Finished) and event.flagged:
            raise EngineFailed(f"the safety checker objects to the picture of {request.params.prompt!r}")
        elif isinstance(event, Finished):
            stepped(request.params.num_inference_steps - step)
            new = await asyncio.to_thread(develop, request.params, index, event, provenance)
            return Painted(number, new)
        elif isinstance(event, Failed):
            raise EngineFailed(event.reason)
    raise EngineFailed
