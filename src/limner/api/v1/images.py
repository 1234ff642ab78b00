"""`/v1/images/generations`: pictures, at once or as they come."""

from __future__ import annotations

import base64
import contextlib
import re
import time
from collections.abc import AsyncGenerator
from typing import Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from limner.api import problems, streams
from limner.api.long_answers import LongAnswer
from limner.api.parts import App, BaseURL
from limner.api.people import Person
from limner.api.tunnelled import Previews
from limner.api.v1 import wish
from limner.api.v1.errors import RESPONSES, error_of, worded
from limner.api.v1.schemas import (
    CompletedImage,
    ImageDatum,
    ImagesRequest,
    ImagesResponse,
    ImagesUsage,
    InputTokens,
    PartialImage,
)
from limner.errors import LimnerError
from limner.params import GenerationParams
from limner.service import picture
from limner.service.blocking import over, succeeded
from limner.service.events import Ended, ImageStored, Payload, Preview, Snapshot, View
from limner.service.service import Service
from limner.store.job import Image

router = APIRouter(prefix="/v1/images", tags=["openai"], responses=RESPONSES)

_DONE = b"data: [DONE]\n\n"
_PATCH_PX = 16
_EVENTS: dict[str, Any] = {
    streams.MEDIA_TYPE: {
        "schema": {
            "type": "string",
            "description": "With `stream`: `image_generation.partial_image`, `image_generation.completed`",
        }
    }
}


@router.post("/generations", response_model=ImagesResponse, responses={200: {"content": _EVENTS}})
async def create_images(
    request: Request, asked: ImagesRequest, service: App, person: Person, base_url: BaseURL
) -> Response:
    """Paint, and answer when it is done. Who goes away has it called off 30 s later."""
    submission = wish.submission_of(asked, service.models())
    if asked.stream:
        events = _Stream(service, asked, Previews(request)).events(person, submission)
        await anext(events)  # accepted; a refusal still has a status of its own
        return streams.EventStream(events)

    async def paint() -> bytes:
        view = await service.blocking.paint(person, submission)
        answer = await _response(service, asked, view, base_url)
        return answer.model_dump_json(exclude_none=True).encode()

    return LongAnswer(paint(), worded)


async def _response(service: Service, asked: ImagesRequest, view: View, base_url: str) -> ImagesResponse:
    params = view.job.params
    return ImagesResponse(
        created=int((view.job.finished_at or view.job.created_at).timestamp()),
        data=[await _datum(service, asked, params, image, base_url) for image in view.job.images],
        output_format=asked.format,
        quality=wish.quality_of(asked),
        size=wish.size_text(params),
        usage=_usage(params, len(view.job.images)),
        model=params.model,
    )


async def _datum(
    service: Service, asked: ImagesRequest, params: GenerationParams, image: Image, base_url: str
) -> ImageDatum:
    if wish.wants_url(asked):
        url = f"{base_url}api/images/{image.id}"
        if asked.output_compression is not None:
            url += f"?format={asked.format}&quality={asked.output_compression}"
        return ImageDatum(url=url, revised_prompt=params.prompt, seed=image.seed)
    data = await _file(service, asked, image)
    return ImageDatum(b64_json=data, revised_prompt=params.prompt, seed=image.seed)


async def _file(service: Service, asked: ImagesRequest, image: Image) -> str:
    found = await service.pictures.file(image.id, asked.format, asked.output_compression)
    return base64.b64encode(found.data).decode()


class _Stream:
    """The events of one request.

    None of the protocol's events says which picture it is of, so each also has an `index`. Pictures of
    one request are told of as they come; a client that asks for one need not care.
    """

    def __init__(self, service: Service, asked: ImagesRequest, previews: Previews) -> None:
        self._service = service
        self._asked = asked
        self._previews = previews
        self._told: dict[int, int] = {}  # partial images of each picture
        self._completed: set[int] = set()

    async def events(self, person: str, submission: BaseModel) -> AsyncGenerator[bytes]:
        """First an empty one once the job is accepted. Raises what `Blocking.held` raises, before it."""
        is_accepted = False
        try:
            async with self._service.blocking.held(person, submission) as view:
                is_accepted = True
                yield b""
                async with contextlib.aclosing(self._service.follow(person, view.job.id)) as followed:
                    async for event in followed:
                        if isinstance(event.payload, Snapshot | Ended):
                            view = event.payload.view
                        async for told in self._telling(event.payload, view.job.params):
                            yield told
                over(view)
            succeeded(view)
        except LimnerError as error:
            if not is_accepted:
                raise
            yield streams.event("error", error_of(problems.problem(error)))
            return
        yield _DONE

    async def _telling(self, payload: Payload, params: GenerationParams) -> AsyncGenerator[bytes]:
        images: tuple[Image, ...] = ()
        match payload:
            case Preview() if self._is_due(payload, params):
                yield await self._partial(payload, params)
            case ImageStored(image):
                images = (image,)
            case Snapshot(view) | Ended(view):
                images = view.job.images
        for image in images:
            if image.index not in self._completed:  # a snapshot may tell of it, too
                yield await self._finished(image, params)

    def _is_due(self, preview: Preview, params: GenerationParams) -> bool:
        """They are spread over the steps; a picture that is done sooner has fewer."""
        most = self._asked.partial_images or 0
        told = self._told.get(preview.index, 0)
        is_due = told < most and preview.step >= told / most * params.num_inference_steps
        return is_due and self._previews.show(preview.index)

    async def _partial(self, preview: Preview, params: GenerationParams) -> bytes:
        told = self._told.get(preview.index, 0)
        self._told[preview.index] = told + 1
        format, quality = self._asked.format, self._asked.output_compression
        data = await run_sync(picture.enlarge, preview.image, params, preview.index, format, quality)
        partial = PartialImage(
            b64_json=base64.b64encode(data).decode(),
            partial_image_index=told,
            created_at=int(time.time()),
            size=wish.size_text(params),
            quality=wish.quality_of(self._asked),
            output_format=format,
            index=preview.index,
        )
        return streams.event(partial.type, partial)

    async def _finished(self, image: Image, params: GenerationParams) -> bytes:
        is_first = not self._completed
        self._completed.add(image.index)
        completed = CompletedImage(
            b64_json=await _file(self._service, self._asked, image),
            created_at=int(image.created_at.timestamp()),
            size=wish.size_text(params),
            quality=wish.quality_of(self._asked),
            output_format=self._asked.format,
            usage=_usage(params, 1, prompt=is_first),
            index=image.index,
            revised_prompt=params.prompt,
            seed=image.seed,
            model=params.model,
        )
        return streams.event(completed.type, completed)


def _usage(params: GenerationParams, pictures: int, *, prompt: bool = True) -> ImagesUsage:
    """Streamed one by one, pictures add up to what they are together: the first counts the prompt."""
    words = len(re.findall(r"\w+|[^\w\s]", f"{params.prompt} {params.negative_prompt}")) if prompt else 0
    patches = -(-params.width // _PATCH_PX) * -(-params.height // _PATCH_PX) * pictures
    return ImagesUsage(
        input_tokens=words,
        output_tokens=patches,
        total_tokens=words + patches,
        input_tokens_details=InputTokens(text_tokens=words),
    )
