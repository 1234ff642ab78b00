"""`/api/images`: the bytes of finished pictures."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response

from limner.api import problems
from limner.api.parts import App
from limner.params import OutputFormat
from limner.service.picture import Picture

router = APIRouter(prefix="/api/images", tags=["images"], responses=problems.RESPONSES)

# A picture never changes under its id.
_CACHE = "private, max-age=31536000, immutable"
_BINARY = {"schema": {"type": "string", "format": "binary"}}


@router.head("/{id}", include_in_schema=False)
@router.get(
    "/{id}",
    response_class=Response,
    responses={
        200: {"content": {"image/png": _BINARY, "image/webp": _BINARY, "image/jpeg": _BINARY}},
        304: {"description": "The copy the caller has is good"},
    },
)
async def read_image(
    request: Request,
    id: str,
    service: App,
    format: Annotated[OutputFormat | None, Query(description="Convert; default: as generated")] = None,
    quality: Annotated[
        int | None, Query(ge=0, le=100, description="Of JPEG and WebP; 100 is best; default: 92")
    ] = None,
    download: Annotated[bool, Query(description="Save instead of show")] = False,
) -> Response:
    """The picture. Whoever has its URL may see it."""
    wanted = [str(part) for part in (id, format, quality) if part is not None]
    # Each conversion is signed anew: the same picture in other bytes.
    etag = ("W/" if len(wanted) > 1 else "") + f'"{"-".join(wanted)}"'
    if _known(request, etag):
        await service.pictures.image(id)
        return Response(status_code=304, headers={"ETag": etag, "Cache-Control": _CACHE})
    return _answer(await service.pictures.file(id, format, quality), etag, download)


@router.head("/{id}/thumbnail", include_in_schema=False)
@router.get(
    "/{id}/thumbnail",
    response_class=Response,
    responses={
        200: {"content": {"image/webp": _BINARY}},
        304: {"description": "The copy the caller has is good"},
    },
)
async def read_thumbnail(request: Request, id: str, service: App) -> Response:
    """The picture at most 320 pixels wide and high."""
    etag = f'"{id}-thumbnail"'
    if _known(request, etag):
        await service.pictures.image(id)
        return Response(status_code=304, headers={"ETag": etag, "Cache-Control": _CACHE})
    return _answer(await service.pictures.thumbnail(id), etag, download=False)


def _known(request: Request, etag: str) -> bool:
    given = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    return etag.removeprefix("W/") in given or "*" in given


def _answer(picture: Picture, etag: str, download: bool) -> Response:
    kind = "attachment" if download else "inline"
    ascii_name = picture.name.encode("ascii", "ignore").decode()
    disposition = f"{kind}; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(picture.name)}"
    headers = {"Content-Disposition": disposition, "ETag": etag, "Cache-Control": _CACHE}
    return Response(picture.data, 200, headers, picture.media_type)
