"""The web application."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from limner import __version__
from limner.api import (
    access,
    generations,
    images,
    problems,
    prompts,
    schemas,
    sdapi,
    session,
    site,
    statuses,
    streams,
    system,
)
from limner.api.cookies import Cookies
from limner.api.dialects import Dialects, Worded
from limner.api.forwarded import Forwarded
from limner.api.guard import Guard
from limner.api.patience import Patience
from limner.api.people import Door
from limner.api.reach import Reach
from limner.api.root_path import RootPath
from limner.api.traffic import Traffic
from limner.api.tunnelled import Tunnelled
from limner.api.v1 import errors as v1_errors
from limner.api.v1 import images as v1_images
from limner.api.v1 import models as v1_models
from limner.service.service import Service
from limner.service.tunnel_use import TunnelUse

MAX_BODY_BYTES = 64 * 1024
# The same limits stand at their routes, which count the bytes of a body that does not say its length.
LARGER_BODIES = {**sdapi.LARGER_BODIES, "/api/generations/batch": generations.MAX_BATCH_BYTES}
# How errors are worded under the paths of other protocols.
DIALECTS: dict[str, Worded] = {sdapi.PATH: sdapi.worded, "/v1": v1_errors.worded}


# What a page elsewhere may read of an answer.
_SHOWN = (
    *("Content-Disposition", "Content-Location", "ETag", "Location", "Preference-Applied"),
    *("RateLimit", "RateLimit-Policy", "Retry-After"),
)


def create_app(
    service: Service,
    *,
    secret: bytes,
    reach: Reach = Reach(),
    root_path: str = "",
    tunnel_use: TunnelUse | None = None,
) -> Traffic:
    """The API and the website; the service starts and stops with it. Cookies are signed with `secret`.

    `root_path`: under which a proxy shows it; `tunnel_use`: counts what comes through a tunnel.
    """
    use = tunnel_use or TunnelUse()
    service.metrics.registry.register(use)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        await service.start()
        try:
            yield
        finally:
            await service.stop()

    app = routes()
    app.router.lifespan_context = lifespan
    app.state.service = service
    door = app.state.door = Door(service.people, Cookies(secret), reach)
    site.install(app)
    guarded = Guard(Patience(app), door, reach, MAX_BODY_BYTES, LARGER_BODIES)
    outer: ASGIApp = Forwarded(Dialects(guarded, DIALECTS))
    if reach.origins:
        outer = CORSMiddleware(
            outer,
            allow_origins=reach.origins,
            allow_methods=["*"],
            allow_headers=["*"],
            allow_private_network=True,
            expose_headers=_SHOWN,
        )
    return Traffic(RootPath(Tunnelled(outer, reach, use), root_path), service.metrics)


def routes() -> FastAPI:
    """Every route of the API, without a service behind it: what the schema is made from."""
    app = FastAPI(
        title="Limner",
        version=__version__,
        summary="Text to image, with prompts that write themselves",
        docs_url=None,
        redoc_url=None,
        max_body_size=MAX_BODY_BYTES,
        generate_unique_id_function=lambda route: route.name,
    )
    for room in (generations, images, prompts, session, system, sdapi, v1_images, v1_models):
        app.include_router(room.router)
    problems.install(app)
    schema_of_routes = app.openapi

    def with_events() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        schema = schema_of_routes()
        schema["components"]["schemas"] = _event_schemas() | schema["components"]["schemas"]
        access.document(schema)
        streams.document(schema)
        statuses.document(schema)
        return schema

    app.openapi = with_events  # type: ignore[method-assign]
    return app


def _event_schemas() -> dict[str, Any]:
    """What no route takes or answers as JSON: the data of events, and problem documents."""
    models = (schemas.GenerationEvents, schemas.PromptEvents, schemas.Problem)
    _, found = models_json_schema(
        [(model, "serialization") for model in models], ref_template="#/components/schemas/{model}"
    )
    return dict(found["$defs"])
