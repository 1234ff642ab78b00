"""`txt2img`, and what needs a picture given, which is refused."""

from __future__ import annotations

import base64
import json
from typing import Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Request, Response

from limner.api.long_answers import LongAnswer
from limner.api.parts import App
from limner.api.people import Person
from limner.api.schemas import Answer
from limner.api.sdapi import asking, describing
from limner.api.sdapi.asking import TextToImage
from limner.api.sdapi.words import worded
from limner.errors import FieldError, InvalidInput, NotFound
from limner.service.events import View
from limner.service.service import Service
from limner.store.job import Image

# What is refused anyway is read to its end first: a client that is cut off while it sends sees no answer.
PICTURE_BODY_BYTES = 32 * 1024 * 1024
REFUSED = ("img2img", "extra-single-image", "extra-batch-images", "interrogate")

router = APIRouter()


class TextToImageAnswer(Answer):
    """`images`: base64. `parameters`: what was asked, as it was done. `info`: JSON as a string."""

    images: list[str]
    parameters: dict[str, Any]
    info: str


@router.post("/txt2img", response_model=TextToImageAnswer)
async def txt2img(asked: TextToImage, service: App, person: Person) -> Response:
    """Answers once the pictures are done. They are called off 30 s after a caller who waits has gone."""
    model = asking.model_of(asked, service.models()) or service.sessions.model(person)
    submission = asking.asked_for(asked, model)

    async def painted() -> bytes:
        with asking.in_its_words():
            view = await service.sessions.paint(person, submission, asked.force_task_id)
        return await _answer(service, asked, view)

    return LongAnswer(painted(), worded)


async def needs_a_picture(request: Request) -> Response:
    """Refused: Limner paints from text alone."""
    async for _ in request.stream():
        pass
    call = request.url.path.rpartition("/")[2]
    message = "Limner paints from text alone and takes no picture; use txt2img"
    raise InvalidInput(FieldError(call, message))


for call in REFUSED:
    router.post(f"/{call}", max_body_size=PICTURE_BODY_BYTES, include_in_schema=False)(needs_a_picture)


async def _answer(service: Service, asked: TextToImage, view: View) -> bytes:
    """What was finished, which after an interruption may be less than was asked for."""
    images: list[Image] = []
    files: list[bytes] = []
    for image in view.job.images:
        try:
            file = (await service.pictures.file(image.id)).data
        except NotFound:  # deleted this very moment
            continue
        images.append(image)
        files.append(file)

    def body() -> bytes:
        sent = [] if asked.send_images is False else files
        return json.dumps(
            {
                "images": [base64.b64encode(file).decode() for file in sent],
                "parameters": describing.parameters(asked, view.job.params),
                "info": json.dumps(describing.info(asked, view.job, images)),
            }
        ).encode()

    return await run_sync(body)
