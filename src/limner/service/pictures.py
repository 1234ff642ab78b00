"""Finished pictures. Whoever knows an image's id may see it."""

from __future__ import annotations

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from limner.params import OutputFormat
from limner.service import picture
from limner.service.picture import Picture
from limner.service.provenance import Provenance
from limner.store.job import Image, Job
from limner.store.store import Store

# Converting takes a processor as long as it lasts, and anybody with a picture's URL may ask for it.
CONVERTED_AT_ONCE = 2


class Pictures:
    """Reads what is stored, and converts it. Every method is called on the event loop."""

    def __init__(self, store: Store, provenance: Provenance) -> None:
        self._store = store
        self._provenance = provenance
        self._converting = CapacityLimiter(CONVERTED_AT_ONCE)

    async def image(self, image_id: str) -> Image:
        """Raises `NotFound`."""
        return _of(await run_sync(self._store.job_of_image, image_id), image_id)

    async def file(
        self, image_id: str, format: OutputFormat | None = None, quality: int | None = None
    ) -> Picture:
        """The picture as it was asked for, or converted; `quality` (0 to 100) of JPEG and WebP.

        Raises `NotFound`.
        """
        job = await run_sync(self._store.job_of_image, image_id)
        image = _of(job, image_id)
        shown = format or image.format
        if shown is not image.format or (quality is not None and shown is not OutputFormat.PNG):
            data = await run_sync(self._converted, job, image, shown, quality, limiter=self._converting)
        else:
            data = await run_sync(self._store.read, image.paths.picture)
        return Picture(data, f"image/{shown}", picture.file_name(image, job.params.prompt, shown))

    async def thumbnail(self, image_id: str) -> Picture:
        """Raises `NotFound`."""
        return await run_sync(self._thumbnail, image_id)

    def _converted(self, job: Job, image: Image, format: OutputFormat, quality: int | None) -> bytes:
        data = self._store.read(image.paths.picture)
        text = picture.parameters_text(job.params, image.seed, image.width, image.height)
        return self._provenance.signed(picture.convert(data, format, text, quality), format)

    def _thumbnail(self, image_id: str) -> Picture:
        job = self._store.job_of_image(image_id)
        image = _of(job, image_id)
        name = picture.file_name(image, job.params.prompt, OutputFormat.WEBP)
        return Picture(self._store.read(image.paths.thumbnail), "image/webp", name)


def _of(job: Job, image_id: str) -> Image:
    return next(image for image in job.images if image.id == image_id)
