"""What is told of a picture while it is made, on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from limner.engine.loop import StepLoop
from limner.engine.messages import Preview, Progress
from limner.engine.request import RunningRequest
from limner.engine.runner import Runner
from limner.models.catalog import LocalModel
from limner.models.stable_diffusion import StableDiffusion
from tests.stepping import asked, drained

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_first_preview_comes_with_the_first_step_and_then_four_a_second_at_most(
    model: LocalModel, loaded: StableDiffusion, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("limner.engine.loop.time.monotonic", lambda: now[0])
    loop = StepLoop(Runner({"tiny": loaded}))
    loop.add(asked(model, "watched", num_inference_steps=40))
    previewed = []
    for step in range(1, 41):
        previewed += [step for event in loop.step() if isinstance(event, Preview)]
        now[0] += 0.1
    assert previewed == [*range(1, 40, 3)]


def test_previews_of_a_crowd_take_a_tenth_of_the_time_and_everybody_has_some(
    model: LocalModel, loaded: StableDiffusion, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]

    def slow(pixels: torch.Tensor) -> bytes:
        now[0] += 0.05
        return b"preview"

    monkeypatch.setattr("limner.engine.loop.time.monotonic", lambda: now[0])
    monkeypatch.setattr("limner.engine.loop.encode_preview", slow)
    runner = Runner({"tiny": loaded})
    advance = runner.advance

    def in_a_tenth(requests: Sequence[RunningRequest]) -> int:
        now[0] += 0.1
        return advance(requests)

    monkeypatch.setattr(runner, "advance", in_a_tenth)
    loop = StepLoop(runner)
    names = [f"guest {i}" for i in range(4)]
    for name in names:
        loop.add(asked(model, name, num_inference_steps=60))
    assert [event.request_id for event in loop.step() if isinstance(event, Preview)] == names
    previews = [event.request_id for _ in range(50) for event in loop.step() if isinstance(event, Preview)]
    assert len(previews) == pytest.approx(50 * 0.1 * 0.1 / 0.05 - len(names), abs=2)
    assert len(set(previews)) == min(len(previews), len(names))


def test_the_time_left_is_told_from_the_steps_so_far(
    model: LocalModel, loaded: StableDiffusion, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    predict = loaded.predict

    def slow(*inputs: torch.Tensor) -> torch.Tensor:
        now[0] += 0.5
        return predict(*inputs)

    monkeypatch.setattr(loaded, "predict", slow)
    monkeypatch.setattr("limner.engine.loop.time.monotonic", lambda: now[0])
    loop = StepLoop(Runner({"tiny": loaded}))
    loop.add(asked(model, "timed", num_inference_steps=10))
    etas = [event.eta_s for event in drained(loop) if isinstance(event, Progress)]
    assert etas == [0.5 * left for left in range(9, -1, -1)]
