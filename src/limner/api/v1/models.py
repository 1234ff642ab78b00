"""`/v1/models`: what can be painted with."""

from __future__ import annotations

import time

from fastapi import APIRouter

from limner.api.parts import App
from limner.api.people import Person
from limner.api.v1.errors import RESPONSES
from limner.api.v1.schemas import ModelCard, ModelList
from limner.api.v1.wish import unknown_model

router = APIRouter(prefix="/v1/models", tags=["openai"], responses=RESPONSES)

_STARTED = int(time.time())


@router.get("")
async def list_models(service: App, person: Person) -> ModelList:
    """The models that are loaded; the first is the default."""
    return ModelList(data=[_card(model.name) for model in service.models()])


@router.get("/{id:path}")
async def read_model(id: str, service: App, person: Person) -> ModelCard:
    """One of them. Names may have slashes."""
    if all(model.name != id for model in service.models()):
        raise unknown_model(id, service.models())
    return _card(id)


def _card(name: str) -> ModelCard:
    return ModelCard(id=name, created=_STARTED)
