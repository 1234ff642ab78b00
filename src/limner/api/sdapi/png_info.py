"""Reads back what is written inside a picture."""

from __future__ import annotations

import base64
import binascii

from anyio.to_thread import run_sync
from fastapi import APIRouter
from pydantic import Field

from limner.api.schemas import Answer
from limner.api.sdapi.asking import Asked
from limner.api.sdapi.painting import PICTURE_BODY_BYTES
from limner.errors import FieldError, InvalidInput
from limner.service import infotext

router = APIRouter()


class PictureIn(Asked):
    image: str = Field(description="A PNG, WebP or JPEG as base64 or as a data URL")


class PngInfo(Answer):
    """`info`: the text as written. `items`: the other texts in the file. `parameters`: what the text says."""

    info: str
    items: dict[str, str]
    parameters: dict[str, str]


@router.post("/png-info", max_body_size=PICTURE_BODY_BYTES)
async def png_info(given: PictureIn) -> PngInfo:
    """Read the parameters out of a picture; its pixels are not decoded."""
    return await run_sync(_read, given.image)


def _read(image: str) -> PngInfo:
    encoded = image.partition(",")[2] if image.startswith("data:") else image
    try:
        data = base64.b64decode(encoded.strip())
    except (binascii.Error, ValueError):
        raise InvalidInput(FieldError("image", "is not base64")) from None
    found = infotext.read(data)
    parts = infotext.settings(found.text) if found.text else {}
    return PngInfo(info=found.text, items=found.items, parameters=parts)
