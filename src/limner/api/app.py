"""The web application."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from limner import __version__
from limner.api import generations, images, problems, prompts, schemas, system
from limner.service.service import Service

MAX_BODY_BYTES = 64 * 1024


def create_app(service: Service) -> FastAPI:
    """The API and the website over a started service."""
    app = routes()
    app.state.service = service
    return app


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
    for room in (generations, images, prompts, system):
        app.include_router(room.router)
    problems.install(app)
    described = app.openapi

    def with_events() -> dict[str, Any]:
        if app.openapi_schema is None:
            _, events = models_json_schema(
                [
                    (m, "serialization")
                    for m in (schemas.GenerationEvents, schemas.PromptEvents, schemas.Problem)
                ],
                ref_template="#/components/schemas/{model}",
            )
            components = described()["components"]["schemas"]
            app.openapi_schema["components"]["schemas"] = events["$defs"] | components
        return app.openapi_schema

    app.openapi = with_events  # type: ignore[method-assign]
    return app
