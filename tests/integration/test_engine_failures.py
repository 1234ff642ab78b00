"""One picture's trouble stays its own: values that are no numbers, errors that nobody foresaw."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from limner.engine.decoder import Decoded
from limner.engine.loop import StepLoop
from limner.engine.messages import Failed, Finished
from limner.engine.runner import Runner
from limner.errors import ModelUnusable
from limner.models.catalog import LocalModel
from limner.models.decoding import Decoding
from limner.models.stable_diffusion import StableDiffusion
from tests.stepping import asked, drained, ends

pytestmark = pytest.mark.usefixtures("one_thread")


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


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (torch.OutOfMemoryError("out of memory"), "not enough memory to try again in float32"),
        (
            ModelUnusable("tiny cannot be loaded from /srv/models/tiny: gone"),
            "tiny cannot be loaded in float32",
        ),
    ],
)
def test_a_picture_that_cannot_be_tried_in_float32_fails_with_what_was_wrong_with_it(
    model: LocalModel, error: Exception, says: str
) -> None:
    def in_float32(name: str) -> StableDiffusion:
        raise error

    loop = StepLoop(Runner({"tiny": Overflowing(model.folder, dtype="float32")}, in_float32=in_float32))
    loop.add(asked(model, "sick", prompt="sick"))
    loop.add(asked(model, "sound"))
    found = ends(drained(loop))
    assert isinstance(found["sound"], Finished)
    failed = found["sick"]
    assert isinstance(failed, Failed)
    assert "not numbers" in failed.reason
    assert says in failed.reason
    assert "/srv" not in failed.reason


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


def test_a_device_that_is_lost_while_decoding_ends_the_engine_as_at_a_step(model: LocalModel) -> None:
    class Lost(StableDiffusion):
        def decoding(self, latents: torch.Tensor) -> Decoding:
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    loop = StepLoop(Runner({"tiny": Lost(model.folder, dtype="float32")}))
    loop.add(asked(model, "lost"))
    with pytest.raises(torch.AcceleratorError):
        drained(loop)


def test_a_device_that_is_lost_while_a_picture_is_copied_ends_the_engine_too(model: LocalModel) -> None:
    class Gone(Decoding):
        @property
        def arrived(self) -> bool:
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

        def pixels(self) -> torch.Tensor:
            return torch.empty(0) if self.arrived else super().pixels()

    class Lost(StableDiffusion):
        def decoding(self, latents: torch.Tensor) -> Decoding:
            return Gone(self._decoder(latents[None])[0], latents)

    loop = StepLoop(Runner({"tiny": Lost(model.folder, dtype="float32")}))
    loop.add(asked(model, "lost"))
    with pytest.raises(torch.AcceleratorError):
        drained(loop)


def test_for_a_second_try_in_float32_the_model_is_loaded_once_whoever_ends_meanwhile(
    model: LocalModel, loaded: StableDiffusion, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = []

    def in_float32(name: str) -> StableDiffusion:
        times.append(name)
        return loaded

    loop = StepLoop(Runner({"tiny": Overflowing(model.folder, dtype="float32")}, in_float32=in_float32))
    for name in ("sick", "sound", "another"):
        loop.add(asked(model, name, prompt=name, previews=False))
    collect, decoded, wanted = loop._decoder.collect, list[Decoded](), [3]

    def at_one_moment(wait_s: float) -> list[Decoded]:
        decoded.extend(collect(wait_s))
        if len(decoded) < wanted[0]:
            return []
        wanted[0], found = 1, decoded.copy()
        decoded.clear()
        return found

    monkeypatch.setattr(loop._decoder, "collect", at_one_moment)
    assert all(isinstance(end, Finished) for end in ends(drained(loop)).values())
    assert times == ["tiny"]
