"""Requests join, move together and leave, one denoising step at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from limner.engine.loop import StepLoop
from limner.engine.measure import Curves
from limner.engine.messages import Cancelled, EngineEvent, Finished, Progress
from limner.engine.patience import PREPARING_S
from limner.engine.runner import Runner
from limner.engine.wire import Working
from limner.models.catalog import LocalModel
from limner.models.stable_diffusion import StableDiffusion
from tests.stepping import asked, drained, ends

pytestmark = pytest.mark.usefixtures("one_thread")


def runner_of(loaded: StableDiffusion, folder: Path, seconds: dict[int, float]) -> Runner:
    """One that remembers that its steps take so long."""
    remembered, runner = Curves(folder / "curves.json"), Runner({"tiny": loaded})
    remembered.put("tiny", seconds)
    runner.warm_up("tiny", 64, 64, remembered, "tiny")
    return runner


def test_where_company_gains_nothing_one_picture_is_finished_before_the_next(
    model: LocalModel, loaded: StableDiffusion, tmp_path: Path
) -> None:
    loop = StepLoop(runner_of(loaded, tmp_path, {1: 2.0, 2: 4.0}))
    for i in range(3):
        loop.add(asked(model, str(i), guidance_scale=5.0))
    events = drained(loop)
    finished = [event.request_id for event in events if isinstance(event, Finished)]
    assert finished == ["0", "1", "2"]
    moved = [event.request_id for event in events if isinstance(event, Progress)]
    assert moved == ["0"] * 4 + ["1"] * 4 + ["2"] * 4


def test_what_the_engine_did_is_counted(model: LocalModel, loaded: StableDiffusion) -> None:
    loop = StepLoop(Runner({"tiny": loaded}))
    loop.add(asked(model, "guided", guidance_scale=5.0))
    loop.add(asked(model, "plain", guidance_scale=1.0))
    events = drained(loop)
    stats = loop.stats
    assert (stats.steps, stats.rows, stats.room, stats.images) == (4, 12, 16, 2)
    taken = [event.timings for event in events if isinstance(event, Finished)]
    assert stats.encode_s == pytest.approx(sum(timings.encode_s for timings in taken))
    assert stats.steps_s > 0
    assert stats.decode_s > 0


def test_requests_join_and_leave_between_any_two_steps(model: LocalModel, loaded: StableDiffusion) -> None:
    alone = StepLoop(Runner({"tiny": loaded}))
    alone.add(asked(model, "steady", num_inference_steps=12))
    expected = ends(drained(alone))["steady"]
    loop = StepLoop(Runner({"tiny": loaded}))
    loop.add(asked(model, "steady", num_inference_steps=12))
    events: list[EngineEvent] = []
    for i in range(10):
        loop.add(asked(model, f"guest {i}", f"person {i}", num_inference_steps=1 + i % 5, seed=i))
        events += loop.step()
        if i % 3 == 0:
            loop.cancel(f"guest {i - 1}")
            loop.cancel(f"guest {i}")
    found = ends(events + drained(loop))
    assert len(found) == 11
    assert isinstance(found["guest 3"], Cancelled)
    steady = found["steady"]
    assert isinstance(steady, Finished)
    assert isinstance(expected, Finished)
    assert np.abs(steady.pixels.astype(int) - expected.pixels.astype(int)).max() <= 2


def test_a_cancelled_request_makes_no_further_step(model: LocalModel, loaded: StableDiffusion) -> None:
    loop = StepLoop(Runner({"tiny": loaded}))
    loop.add(asked(model, "unwanted", num_inference_steps=50))
    assert any(isinstance(event, Progress) for event in loop.step())
    loop.cancel("unwanted")
    assert loop.step() == [Cancelled("unwanted")]
    assert not loop.busy


def test_what_comes_next_is_said_before_and_that_compiling_takes_long(
    model: LocalModel, loaded: StableDiffusion, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Working] = []
    at_steps: list[Working] = []
    predict = loaded.predict

    def told(*inputs: torch.Tensor) -> torch.Tensor:
        at_steps.append(said[-1])
        return predict(*inputs)

    monkeypatch.setattr(loaded, "predict", told)
    monkeypatch.setattr(loaded, "compiled", lambda shape, rows: bool(at_steps))
    loop = StepLoop(Runner({"tiny": loaded}), say=said.append)
    for name in ("one", "two"):
        loop.add(asked(model, name, num_inference_steps=6))
    drained(loop)
    assert [working.request_ids for working in at_steps] == 6 * [{"one", "two"}]
    assert at_steps[0].patience_s >= PREPARING_S
    assert max(working.patience_s for working in at_steps[1:]) < 60
    assert len(said) <= 4, "nothing is said twice"
    assert said[-1].request_ids <= {"one", "two"}, "whose pictures are being decoded"
    assert said[-1].patience_s >= 60


def test_a_step_of_large_pictures_may_take_long(
    model: LocalModel, loaded: StableDiffusion, tmp_path: Path
) -> None:
    said: list[Working] = []
    loop = StepLoop(runner_of(loaded, tmp_path, {1: 5.0, 2: 10.0}), say=said.append)
    loop.add(asked(model, "large", width=128, height=128, guidance_scale=5.0, num_inference_steps=1))
    drained(loop)
    assert said[0].patience_s >= 10 * 40.0
