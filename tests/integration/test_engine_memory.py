"""What the step loop does when memory runs out."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from limner.engine.decoder import Undecoded
from limner.engine.loop import StepLoop
from limner.engine.measure import Curves
from limner.engine.messages import Failed, Finished, Progress
from limner.engine.request import Group, RunningRequest
from limner.engine.runner import Runner
from limner.engine.slots import Slots
from limner.errors import ModelUnusable
from limner.models.catalog import LocalModel
from limner.models.decoding import Decoding
from limner.models.memory import OutOfMemory, told_as_memory
from limner.models.stable_diffusion import StableDiffusion
from tests.stepping import asked, drained, ends

pytestmark = pytest.mark.usefixtures("one_thread")


class Cramped(StableDiffusion):
    """A device with room for `rows` rows of a forward."""

    rows = 4
    largest = refused = 0

    def predict(self, latents: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        if len(latents) > self.rows:
            self.refused += 1
            raise torch.OutOfMemoryError("out of memory")
        self.largest = max(self.largest, len(latents))
        return super().predict(latents, *rest)


def test_out_of_memory_halves_the_batch_and_every_picture_is_the_same(
    model: LocalModel, loaded: StableDiffusion
) -> None:
    requests = [asked(model, str(i), seed=i) for i in range(6)]
    roomy, cramped = StepLoop(Runner({"tiny": loaded})), Cramped(model.folder, dtype="float32")
    narrow = StepLoop(Runner({"tiny": cramped}))
    for request in requests:
        roomy.add(request)
        narrow.add(request)
    expected, found = ends(drained(roomy)), ends(drained(narrow))
    assert cramped.largest == 4
    for request in requests:
        theirs, mine = expected[request.id], found[request.id]
        assert isinstance(theirs, Finished)
        assert isinstance(mine, Finished)
        assert np.abs(theirs.pixels.astype(int) - mine.pixels.astype(int)).max() <= 2


def test_what_does_not_fit_alone_fails_with_the_reason_and_the_others_go_on(model: LocalModel) -> None:
    cramped = Cramped(model.folder, dtype="float32")
    cramped.rows = 1
    loop = StepLoop(Runner({"tiny": cramped}))
    loop.add(asked(model, "guided", guidance_scale=5.0))
    loop.add(asked(model, "unguided", guidance_scale=1.0))
    found = ends(drained(loop))
    assert isinstance(found["unguided"], Finished)
    failed = found["guided"]
    assert isinstance(failed, Failed)
    assert "not enough memory for 64×64 pixels" in failed.reason
    assert not failed.retry


class Forgetful(StableDiffusion):
    """No memory for the first few calls of one kind."""

    kind, times = "decode", 2

    def _remember(self, kind: str) -> None:
        if kind == self.kind and self.times:
            self.times -= 1
            raise torch.OutOfMemoryError("out of memory")

    def encode(self, prompt: str) -> torch.Tensor:
        self._remember("encode")
        return super().encode(prompt)

    def decoding(self, latents: torch.Tensor) -> Decoding:
        time.sleep(0.002)
        self._remember("decode")
        return super().decoding(latents)


@pytest.mark.parametrize("kind", ["encode", "decode"])
def test_text_and_pixels_that_do_not_fit_are_tried_again_with_smaller_batches(
    model: LocalModel, kind: str
) -> None:
    forgetful = Forgetful(model.folder, dtype="float32")
    forgetful.kind = kind
    runner = Runner({"tiny": forgetful})
    loop = StepLoop(runner)
    for i in range(3):
        loop.add(asked(model, str(i)))
    assert all(isinstance(end, Finished) for end in ends(drained(loop)).values())
    assert forgetful.times == 0
    forgetful.times = 1000
    loop.add(asked(model, "hopeless"))
    failed = ends(drained(loop))["hopeless"]
    assert isinstance(failed, Failed)
    assert "not enough memory" in failed.reason


@pytest.mark.parametrize("kind", ["encode", "decode"])
def test_one_shortage_that_many_meet_at_once_fails_none_of_them(
    model: LocalModel, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """There is memory again as soon as some is given back."""
    forgetful = Forgetful(model.folder, dtype="float32")
    forgetful.kind, forgetful.times = kind, 0
    runner = Runner({"tiny": forgetful})
    loop = StepLoop(runner)
    for i in range(12):
        loop.add(asked(model, str(i), prompt=f"house {i}", guidance_scale=1.0))
    if kind == "decode":
        for _ in range(3):
            loop.step()
    forgetful.times = 1000

    def give_back() -> None:
        time.sleep(0.02)  # meanwhile the decoder goes on, and meets the same shortage
        forgetful.times = 0

    monkeypatch.setattr("limner.engine.runner.give_back_memory", give_back)
    found = ends(drained(loop))
    assert len(found) == 12
    assert all(isinstance(end, Finished) for end in found.values()), found
    assert runner.curve(Group("tiny", forgetful.latent_shape(64, 64))).most_rows >= 8


def test_slots_that_could_not_grow_serve_on(
    model: LocalModel, loaded: StableDiffusion, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots = Slots(loaded, loaded.latent_shape(64, 64))
    embeds, latents = loaded.encode(""), torch.zeros(4, 8, 8)
    taken = [slots.take(latents, embeds, None) for _ in range(7)]
    new_zeros = torch.Tensor.new_zeros

    def cramped(tensor: torch.Tensor, *size: int) -> torch.Tensor:
        if len(size) == embeds.ndim + 1:
            raise torch.OutOfMemoryError("out of memory")
        return new_zeros(tensor, *size)

    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "new_zeros", cramped)
        with pytest.raises(torch.OutOfMemoryError):
            slots.take(latents, embeds, None)
    taken += [slots.take(latents, embeds, embeds) for _ in range(20)]
    assert len(set(taken)) == 27
    assert len(slots.latents) == len(slots.x0) == len(slots.noise) == len(slots.embeds) / 2 == 32
    for slot in taken:
        slots.free(slot)
    assert slots.unused


@pytest.mark.parametrize("times", [1, 1000])
def test_no_memory_after_the_last_step_makes_no_step_twice_and_fails_nobody_else(
    model: LocalModel, loaded: StableDiffusion, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    runner, left = Runner({"tiny": loaded}), [times]
    finished = runner.finished

    def cramped(running: RunningRequest) -> Undecoded:
        if running.request.id == "1" and left[0]:
            left[0] -= 1
            raise OutOfMemory("out of memory")
        return finished(running)

    monkeypatch.setattr(runner, "finished", cramped)
    loop = StepLoop(runner)
    for i in range(3):
        loop.add(asked(model, str(i)))
    events = drained(loop)
    steps = [event.step for event in events if isinstance(event, Progress) and event.request_id == "1"]
    assert steps == [1, 2, 3, 4]
    kinds = {name: type(end) for name, end in ends(events).items()}
    assert kinds == {"0": Finished, "1": Finished if times == 1 else Failed, "2": Finished}


@pytest.mark.parametrize(("rows", "most"), [(16, 16), (3, 2), (0, 1)])
def test_with_less_memory_than_was_remembered_the_engine_starts_with_smaller_batches(
    model: LocalModel, tmp_path: Path, rows: int, most: int
) -> None:
    cramped = Cramped(model.folder, dtype="float32")
    cramped.rows = rows
    runner, remembered = Runner({"tiny": cramped}), Curves(tmp_path / "curves.json")
    remembered.put("tiny", {1: 0.01, 2: 0.011, 4: 0.012, 8: 0.013, 16: 0.014})
    curve = runner.warm_up("tiny", 64, 64, remembered, "tiny")
    assert cramped.largest <= 2, "what more need is prepared when nobody waits for it"
    while runner.prepare_next():
        curve = runner.curve(Group("tiny", cramped.latent_shape(64, 64)))
    assert curve.most_rows == most


@pytest.mark.parametrize(
    "told",
    [
        "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried to",
        "Exception from src/core.cpp:110:\n[ GENERAL_ERROR ] Failed to allocate 34359738368 bytes of memory",
        "Exception from src/inference/src/cpp/core.cpp:112:\nstd::bad_alloc\n",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ],
)
def test_every_way_to_say_that_memory_is_out_is_understood(told: str) -> None:
    with pytest.raises(OutOfMemory) as caught, told_as_memory():
        raise RuntimeError(told)
    assert not str(caught.value).startswith("Exception from"), "not the line that names a place in the source"
    with pytest.raises(RuntimeError, match="shapes"), told_as_memory():
        raise RuntimeError("shapes cannot be multiplied")


def test_larger_batches_are_tried_again_after_a_while_and_ever_more_rarely_when_they_do_not_fit(
    model: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("limner.engine.runner.time.monotonic", lambda: now[0])
    cramped = Cramped(model.folder, dtype="float32")
    loop = StepLoop(Runner({"tiny": cramped}))
    for i in range(8):
        loop.add(asked(model, str(i), guidance_scale=1.0, num_inference_steps=150, previews=False))
    tried: list[float] = []

    def step() -> None:
        refused = cramped.refused
        loop.step()
        if cramped.refused > refused:
            tried.append(now[0])
        now[0] += 60

    while now[0] < 3000:
        step()
    waits = [later - earlier for earlier, later in pairwise(tried) if later - earlier > 60]
    assert len(waits) >= 3
    assert all(later >= 1.5 * earlier for earlier, later in pairwise(waits))
    assert cramped.largest == 4
    cramped.rows = 16
    while now[0] < 6000 and cramped.largest < 8:
        step()
    assert cramped.largest == 8, "there is room again"
    assert len(tried) == len(waits) + 2


def test_where_the_batch_of_exact_does_not_fit_pictures_fail_with_the_reason_and_none_is_another(
    model: LocalModel, loaded: StableDiffusion
) -> None:
    cramped = Cramped(model.folder, dtype="float32")
    loop = StepLoop(Runner({"tiny": cramped}, exact=8))
    for i in range(3):
        loop.add(asked(model, str(i)))
    for failed in ends(drained(loop)).values():
        assert isinstance(failed, Failed)
        assert "not enough memory for 64×64 pixels in batches of 8 rows" in failed.reason
        assert "without --exact" in failed.reason
    assert cramped.largest == 0, "no smaller batch was tried"
    cramped.rows = 8
    loop.add(asked(model, "again"))
    roomy = StepLoop(Runner({"tiny": loaded}, exact=8))
    roomy.add(asked(model, "again"))
    mine, expected = ends(drained(loop))["again"], ends(drained(roomy))["again"]
    assert isinstance(mine, Finished)
    assert isinstance(expected, Finished)
    assert np.array_equal(mine.pixels, expected.pixels)


def test_with_exact_fewer_rows_take_as_long_as_the_batch_that_they_are_in(
    model: LocalModel, loaded: StableDiffusion, tmp_path: Path
) -> None:
    runner = Runner({"tiny": loaded}, exact=8)
    native = runner.warm_up("tiny", 64, 64, Curves(tmp_path / "curves.json"), "")
    for side in (32, 64, 128):
        curve = runner.curve(Group("tiny", loaded.latent_shape(side, side)))
        assert curve.most_rows == 8
        assert curve.step_s(1) == curve.step_s(2) == curve.step_s(8)
        assert curve.step_s(8) == pytest.approx(native.step_s(8) * side**2 / 64**2)


@pytest.mark.parametrize(("exact", "rows"), [(8, 4), (None, 0)])
def test_an_engine_without_memory_for_a_step_does_not_start_and_says_why(
    model: LocalModel, tmp_path: Path, exact: int | None, rows: int
) -> None:
    cramped = Cramped(model.folder, dtype="float32")
    cramped.rows = rows
    runner, remembered = Runner({"tiny": cramped}, exact), Curves(tmp_path / "curves.json")
    with pytest.raises(ModelUnusable, match=f"not enough memory for a step of {exact or 1} rows") as caught:
        runner.warm_up("tiny", 64, 64, remembered, "tiny")
    assert ("--exact" in str(caught.value)) == bool(exact)
