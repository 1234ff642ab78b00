"""Every route of the protocol, in one router."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.routing import APIRoute

from limner.api.sdapi import lists, options, painting, png_info, progress
from limner.api.sdapi.words import RESPONSES

PATH = "/sdapi/v1"
# Those with a picture in them.
LARGER_BODIES = {f"{PATH}/{call}": painting.PICTURE_BODY_BYTES for call in ("png-info", *painting.REFUSED)}


def _operation(route: APIRoute) -> str:
    """Names that no other protocol has, such as `sdapi_get_options`."""
    (method,) = route.methods or {"GET"}
    return f"sdapi_{method.lower()}_{route.path.rpartition('/')[2].replace('-', '_')}"


router = APIRouter(
    prefix=PATH,
    tags=["AUTOMATIC1111"],
    responses=RESPONSES,
    generate_unique_id_function=_operation,
)
for part in (painting, progress, options, lists, png_info):
    router.include_router(part.router)
