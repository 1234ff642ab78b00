"""A step loop in this process: requests for it, and what came of them."""

from __future__ import annotations

from typing import Any

from limner.engine.loop import StepLoop
from limner.engine.messages import Cancelled, EngineEvent, Failed, Finished, ImageRequest
from limner.models.catalog import LocalModel
from limner.params import resolve, submission


def asked(model: LocalModel, name: str, person: str = "somebody", **values: Any) -> ImageRequest:
    given: dict[str, Any] = {
        "prompt": "a red house",
        "num_inference_steps": 4,
        "sampler": "euler_ancestral",
    } | values
    previews = given.pop("previews", True)
    params = resolve(submission(**given), (model.info,), seed=3)
    return ImageRequest(name, person, params, params.seed, previews=previews)


def drained(loop: StepLoop) -> list[EngineEvent]:
    events: list[EngineEvent] = []
    while loop.busy:
        events.extend(loop.step())
    return events


def ends(events: list[EngineEvent]) -> dict[str, EngineEvent]:
    found = [event for event in events if isinstance(event, Finished | Failed | Cancelled)]
    assert len({event.request_id for event in found}) == len(found), "a request ended twice"
    return {event.request_id: event for event in found}
