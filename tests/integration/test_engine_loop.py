"""What the step loop does when things go wrong: memory, numbers, cancels, joins."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from limner.engine.child import chosen_device
from limner.engine.decoder import Undecoded
from limner.engine.loop import StepLoop
from limner.engine.measure import Remembered
from limner.engine.messages import Cancelled, EngineEvent, Failed, Finished, ImageRequest, Preview, Progress
from limner.engine.request import RunningRequest
from limner.engine.runner import Runner
from limner.errors import ModelUnusable
from limner.models.catalog import LocalModel
from limner.models.decoding import Decoding
from limner.models.memory import OutOfMemory, told_as_memory
from limner.models.stable_diffusion import StableDiffusion
from limner.params import resolve, submission
from tests import tiny

pytestmark = pytest.mark.usefixtures("one_thread")


class Cramped(StableDiffusion):
    """A device with room for `rows` rows of a forward."""

    rows = 4
    largest = 0

    def predict(self, latents: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        if len(latents) > self.rows:
            raise torch.OutOfMemoryError("out of memory")
        self.largest = max(self.largest, len(latents))
        return super().predict(latents, *rest)


def asked(model: LocalModel, name: str, person: str = "somebody", **values: Any) -> ImageRequest:
    given = {"prompt": "a red house", "num_inference_steps": 4, "sampler": "euler_ancestral"} | values
    params = resolve(submission(**given), (model.info,), seed=3)
    return ImageRequest(name, person, params, params.seed)


def drained(loop: StepLoop) -> list[EngineEvent]:
    events: list[EngineEvent] = []
    while loop.busy:
        events.extend(loop.step())
    return events


def ends(events: list[EngineEvent]) -> dict[str, EngineEvent]:
    found = [event for event in events if isinstance(event, Finished | Failed | Cancelled)]
    assert len({event.request_id for event in found}) == len(found), "a request ended twice"
    return {event.request_id: event for event in found}


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


def runner_of(loaded: StableDiffusion, folder: Path, seconds: dict[int, float]) -> Runner:
    """One that remembers that its steps take so long."""
    remembered, runner = Remembered(folder / "curves.json"), Runner({"tiny": loaded})
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


class Overflowing(StableDiffusion):
    """A network whose answers are no numbers where the text is that of `sick`."""

    def predict(self, latents: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        answer = super().predict(latents, *rest)
        sick = (rest[1] == self.encode("sick")).flatten(1).all(dim=1)
        return torch.where(sick[:, None, None, None], torch.nan, answer)


def test_a_picture_of_numbers_that_are_none_is_painted_once_more_in_float32(
    model: LocalModel, loaded: StableDiffusion
) -> None:
    overflowing = Overflowing(model.folder, dtype="float32")
    loop = StepLoop(Runner({"tiny": overflowing}, in_float32=lambda _: loaded))
    loop.add(asked(model, "sick", prompt="sick"))
    loop.add(asked(model, "sound"))
    found = ends(drained(loop))
    roomy = StepLoop(Runner({"tiny": loaded}))
    roomy.add(asked(model, "sick", prompt="sick"))
    expected = ends(drained(roomy))["sick"]
    mended = found["sick"]
    assert isinstance(found["sound"], Finished)
    assert isinstance(mended, Finished)
    assert isinstance(expected, Finished)
    assert np.array_equal(mended.pixels, expected.pixels)


def test_a_picture_of_no_numbers_in_float32_either_fails_and_its_neighbours_do_not(model: LocalModel) -> None:
    loop = StepLoop(Runner({"tiny": Overflowing(model.folder, dtype="float32")}))
    for name in ("sick", "sound", "another"):
        loop.add(asked(model, name, prompt=name))
    found = ends(drained(loop))
    assert isinstance(found["sound"], Finished)
    assert isinstance(found["another"], Finished)
    failed = found["sick"]
    assert isinstance(failed, Failed)
    assert "not numbers" in failed.reason
    assert not failed.retry


class Cursed(StableDiffusion):
    """Raises at the text `cursed`, in `encode` or, like a defect in a kernel, in `predict`."""

    where = "predict"

    def encode(self, prompt: str) -> torch.Tensor:
        if self.where == "encode" and prompt == "cursed":
            raise IndexError("index 49408 is out of range")
        return super().encode(prompt)

    def predict(self, latents: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        if self.where == "predict" and (rest[1] == super().encode("cursed")).flatten(1).all(dim=1).any():
            raise ZeroDivisionError("float division by zero")
        return super().predict(latents, *rest)


@pytest.mark.parametrize("where", ["encode", "predict"])
def test_an_unforeseen_error_fails_the_one_picture_that_it_belongs_to(model: LocalModel, where: str) -> None:
    cursed = Cursed(model.folder, dtype="float32")
    cursed.where = where
    loop = StepLoop(Runner({"tiny": cursed}))
    for name in ("one", "cursed", "two", "three"):
        loop.add(asked(model, name, prompt=name))
    found = ends(drained(loop))
    assert [name for name, end in found.items() if isinstance(end, Finished)] == ["one", "two", "three"]
    failed = found["cursed"]
    assert isinstance(failed, Failed)
    assert ("division" if where == "predict" else "out of range") in failed.reason


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


def test_a_device_that_is_lost_while_decoding_ends_the_engine_as_at_a_step(model: LocalModel) -> None:
    class Lost(StableDiffusion):
        def decoding(self, latents: torch.Tensor) -> Decoding:
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    loop = StepLoop(Runner({"tiny": Lost(model.folder, dtype="float32")}))
    loop.add(asked(model, "lost"))
    with pytest.raises(torch.AcceleratorError):
        drained(loop)


@pytest.mark.parametrize(("rows", "most"), [(16, 16), (3, 2), (0, 1)])
def test_with_less_memory_than_was_remembered_the_engine_starts_with_smaller_batches(
    model: LocalModel, tmp_path: Path, rows: int, most: int
) -> None:
    cramped = Cramped(model.folder, dtype="float32")
    cramped.rows = rows
    runner, remembered = Runner({"tiny": cramped}), Remembered(tmp_path / "curves.json")
    remembered.put("tiny", {1: 0.01, 2: 0.011, 4: 0.012, 8: 0.013, 16: 0.014})
    assert runner.warm_up("tiny", 64, 64, remembered, "tiny").most_rows == most


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


def test_a_decode_takes_no_time_from_the_steps_of_others(model: LocalModel) -> None:
    class Slow(StableDiffusion):
        begun, go_on = threading.Event(), threading.Event()

        def decoding(self, latents: torch.Tensor) -> Decoding:
            self.begun.set()
            assert self.go_on.wait(20)
            return super().decoding(latents)

    slow = Slow(model.folder, dtype="float32")
    loop = StepLoop(Runner({"tiny": slow}))
    loop.add(asked(model, "short", num_inference_steps=1))
    loop.add(asked(model, "long", num_inference_steps=12))
    loop.step()
    assert slow.begun.wait(20)
    steps = [event.step for _ in range(11) for event in loop.step() if isinstance(event, Progress)]
    assert steps == list(range(2, 13))
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


def test_weights_of_another_shape_are_not_loaded(tmp_path: Path) -> None:
    folder = tiny.save(tiny.TinyModel(), tmp_path / "mismatch")
    config = folder / "unet" / "config.json"
    config.write_text(config.read_text().replace('"cross_attention_dim": 16', '"cross_attention_dim": 24'))
    with pytest.raises(RuntimeError, match="size mismatch"):
        StableDiffusion(folder)


def test_weights_that_lack_a_part_are_not_loaded(tmp_path: Path) -> None:
    folder = tiny.save(tiny.TinyModel(), tmp_path / "incomplete")
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    del weights["conv_in.weight"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks 1 weights, conv_in\.weight among them"):
        StableDiffusion(folder)


def test_a_device_that_is_not_there_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert chosen_device("auto") == "cpu"
    with pytest.raises(ModelUnusable, match="--device cuda: there is none"):
        chosen_device("cuda")
