"""Pictures are decoded beside the steps of others."""

from __future__ import annotations

import threading

import pytest
import torch

from limner.engine.loop import StepLoop
from limner.engine.messages import Progress
from limner.engine.runner import Runner
from limner.models.catalog import LocalModel
from limner.models.decoding import Decoding
from limner.models.stable_diffusion import StableDiffusion
from tests.stepping import asked, drained, ends

pytestmark = pytest.mark.usefixtures("one_thread")


class Slow(StableDiffusion):
    """Decodes when it may."""

    def __init__(self, model: LocalModel) -> None:
        super().__init__(model.folder, dtype="float32")
        self.begun, self.go_on = threading.Event(), threading.Event()

    def decoding(self, latents: torch.Tensor) -> Decoding:
        self.begun.set()
        assert self.go_on.wait(20)
        return super().decoding(latents)


def test_a_decode_takes_no_time_from_the_same_persons_steps(model: LocalModel) -> None:
    slow = Slow(model)
    loop = StepLoop(Runner({"tiny": slow}))
    loop.add(asked(model, "short", num_inference_steps=1))
    loop.add(asked(model, "long", num_inference_steps=12))
    loop.step()
    assert slow.begun.wait(20)
    steps = [event.step for _ in range(11) for event in loop.step() if isinstance(event, Progress)]
    assert steps == list(range(2, 13))
    slow.go_on.set()
    assert list(ends(drained(loop))) == ["short", "long"]


@pytest.mark.parametrize("held_s", [60.0, 0.0])
def test_steps_wait_a_while_for_the_picture_of_somebody_who_waits_for_nothing_else(
    model: LocalModel, monkeypatch: pytest.MonkeyPatch, held_s: float
) -> None:
    monkeypatch.setattr("limner.engine.decoder.HELD_S", held_s)
    slow = Slow(model)
    loop = StepLoop(Runner({"tiny": slow}))
    loop.add(asked(model, "short", "light", num_inference_steps=1))
    loop.add(asked(model, "long", "heavy", num_inference_steps=12))
    loop.step()
    assert slow.begun.wait(20)
    steps = [event.step for _ in range(5) for event in loop.step() if isinstance(event, Progress)]
    assert steps == ([] if held_s else [2, 3, 4, 5, 6])
    slow.go_on.set()
    assert list(ends(drained(loop))) == ["short", "long"]


def test_people_take_turns_at_the_decoder_too(model: LocalModel, loaded: StableDiffusion) -> None:
    loop = StepLoop(Runner({"tiny": loaded}))
    for i in range(5):
        loop.add(asked(model, f"heavy {i}", "heavy", num_inference_steps=1))
    loop.add(asked(model, "light", "light", num_inference_steps=1))
    order = list(ends(drained(loop)))
    assert order.index("light") <= 2
    assert [name for name in order if name != "light"] == [f"heavy {i}" for i in range(5)]


@pytest.mark.parametrize("held_s", [60.0, 0.0])
def test_whoever_is_first_makes_their_steps_before_others_pictures_are_decoded_for_a_while(
    model: LocalModel, loaded: StableDiffusion, monkeypatch: pytest.MonkeyPatch, held_s: float
) -> None:
    monkeypatch.setattr("limner.engine.decoder.HELD_S", held_s)
    # However long steps take just now, nobody gets too far ahead to stay first.
    monkeypatch.setattr("limner.engine.scheduler.LEAD_STEPS", 1000)
    loop = StepLoop(Runner({"tiny": loaded}))
    for i in range(4):
        loop.add(asked(model, f"heavy {i}", "heavy", num_inference_steps=1))
    loop.add(asked(model, "heavy long", "heavy", num_inference_steps=150))
    loop.add(asked(model, "light", "light", num_inference_steps=30))
    order = list(ends(drained(loop)))
    # No picture before the light one's last step; then people take turns, and either may have the first.
    assert order.index("light") <= 1 if held_s else order.index("light") == 4
    assert order[-1] == "heavy long"
