"""What the engine does for a GPU, as far as a processor can tell: the same answers, and nobody waits."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch.utils._python_dispatch import TorchDispatchMode

from limner.engine.batch import Batch
from limner.engine.child import prepare
from limner.engine.decoder import Decoder, Undecoded
from limner.engine.loop import StepLoop
from limner.engine.messages import Failed, Finished, ImageRequest
from limner.engine.request import RunningRequest
from limner.engine.runner import Runner
from limner.engine.slots import Slots
from limner.engine.wire import EngineStart
from limner.errors import ModelUnusable
from limner.models.attention import fuse_projections
from limner.models.catalog import LocalModel
from limner.models.decoding import Decoding
from limner.models.graph import GraphPool
from limner.models.modules import Denoiser, load
from limner.models.stable_diffusion import StableDiffusion
from limner.models.torch_networks import TorchNetworks, network_of
from limner.params import resolve, submission

pytestmark = pytest.mark.usefixtures("one_thread")


def asked(model: LocalModel, name: str, **values: Any) -> ImageRequest:
    given = {"prompt": f"a red house {name}", "num_inference_steps": 4, "sampler": "euler_ancestral"} | values
    params = resolve(submission(**given), (model.info,), seed=len(name))
    return ImageRequest(name, f"person {name}", params, params.seed)


def inputs(rows: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(rows, 4, 8, 8, generator=generator)
    return latents, torch.linspace(900, 100, rows), torch.randn(rows, 77, 16, generator=generator)


def denoiser_of(model: LocalModel) -> Denoiser:
    loaded = load("unet", model.folder, torch.float32)
    assert isinstance(loaded, Denoiser)
    return loaded


def test_fused_projections_give_the_same_answer_and_keep_no_second_copy(model: LocalModel) -> None:
    plain, fused = denoiser_of(model), denoiser_of(model)
    before = sum(weight.numel() for weight in fused.parameters())
    assert fuse_projections(fused.unet)
    with torch.inference_mode():
        expected, found = plain(*inputs(3)), fused(*inputs(3))
    assert not torch.equal(expected, torch.zeros_like(expected))
    assert torch.allclose(found, expected, rtol=0, atol=1e-5)
    assert sum(weight.numel() for weight in fused.parameters()) == before
    assert len(list(fused.parameters())) < len(list(plain.parameters()))
    assert not any(weight.requires_grad for weight in fused.parameters())


def test_attention_of_another_kind_is_left_as_it_is(model: LocalModel) -> None:
    denoiser = denoiser_of(model)
    denoiser.unet.set_attn_processor(AttnProcessor())
    names = [name for name, _ in denoiser.named_parameters()]
    assert not fuse_projections(denoiser.unet)
    assert [name for name, _ in denoiser.named_parameters()] == names


def test_a_step_asks_the_device_for_no_value_and_brings_none(model: LocalModel) -> None:
    """On the meta device no tensor has a value: whoever wants one is refused, as when a GPU captures."""
    ghost = StableDiffusion(model.folder, "meta", "float32")
    Batch(ghost, Slots(ghost, ghost.latent_shape(64, 64)), 4).rehearse()

    class Asking(StableDiffusion):
        def predict(
            self, latents: torch.Tensor, timesteps: torch.Tensor, *rest: torch.Tensor
        ) -> torch.Tensor:
            return super().predict(latents, timesteps, *rest) * float(timesteps[0])

    asking = Asking(model.folder, "meta", "float32")
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        Batch(asking, Slots(asking, asking.latent_shape(64, 64)), 4).rehearse()


class Recorded(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """What the device is told: operations, shapes and numbers, but no values of tensors."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.told: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        shown = torch.utils._pytree.tree_map_only(torch.Tensor, lambda t: tuple(t.shape), (args, kwargs))
        self.told.append(f"{func} {shown}")
        return func(*args, **(kwargs or {}))


def test_every_step_of_a_size_is_the_same_work_whoever_is_in_it(
    model: LocalModel, loaded: StableDiffusion
) -> None:
    slots = Slots(loaded, loaded.latent_shape(64, 64))
    batch = Batch(loaded, slots, 4)
    told = []
    for crowd in (
        [asked(model, "one", guidance_scale=5.0)],
        [asked(model, str(i), guidance_scale=1.0, sampler="ddim", num_inference_steps=9) for i in range(4)],
    ):
        running = [RunningRequest.begin(request, loaded, 0.0) for request in crowd]
        for each in running:
            each.slot = slots.take(each.first_noise, loaded.encode(each.request.params.prompt), None)
        batch._prepare(running)
        with Recorded() as recorded:
            batch._step()
        told.append(recorded.told)
    assert len(told[0]) > 100
    assert told[0] == told[1]


def test_what_cannot_be_captured_runs_as_it_is_and_says_so(
    model: LocalModel, loaded: StableDiffusion, caplog: pytest.LogCaptureFixture
) -> None:
    pictures = []
    for graphs in (None, GraphPool(torch.device("cpu"))):
        loop = StepLoop(Runner({"tiny": loaded}, graphs=graphs))
        for i in range(9):  # more than slots were made for
            loop.add(asked(model, "x" * i, guidance_scale=3.0))
        with caplog.at_level(logging.WARNING):
            events = [event for _ in range(200) if loop.busy for event in loop.step()]
        assert not [event for event in events if isinstance(event, Failed)]
        ends = {event.request_id: event.pixels for event in events if isinstance(event, Finished)}
        pictures.append([ends["x" * i] for i in range(9)])
    assert all(np.array_equal(plain, tried) for plain, tried in zip(*pictures, strict=True))
    assert "cannot be captured as a CUDA graph" in caplog.text


def test_a_picture_is_copied_to_the_host_while_the_next_is_decoded(
    model: LocalModel, loaded: StableDiffusion
) -> None:
    happened: list[str] = []

    class Late(Decoding):
        """A GPU's: it arrives when it is waited for."""

        def __init__(self, picture: torch.Tensor, latents: torch.Tensor) -> None:
            super().__init__(picture, latents)
            self.number = sum(word.startswith("begin") for word in happened)
            happened.append(f"begin {self.number}")

        @property
        def arrived(self) -> bool:
            return False

        def pixels(self) -> torch.Tensor:
            happened.append(f"end {self.number}")
            return super().pixels()

    class Device(StableDiffusion):
        def decoding(self, latents: torch.Tensor) -> Decoding:
            return Late(self._decoder(latents[None])[0], latents)

    decoder, device = Decoder(), Device(model.folder, dtype="float32")
    latents = torch.zeros(4, 8, 8)
    gate = threading.Event()
    decoder._thread.submit(gate.wait, 20)  # so that the three wait together
    for i in range(3):
        running = RunningRequest.begin(asked(model, str(i)), loaded, 0.0)
        decoder.put(Undecoded(running, device, latents))
    gate.set()
    found: list[Any] = []
    while len(found) < 3:
        found += decoder.collect(wait_s=20)
    assert happened == ["begin 0", "begin 1", "end 0", "begin 2", "end 1", "end 2"]
    assert [decoded.pixels.shape for decoded in found] == [(64, 64, 3)] * 3


@pytest.mark.parametrize(("real", "expected"), [(True, torch.bfloat16), (False, torch.float16)])
def test_a_gpu_that_only_emulates_bfloat16_computes_in_float16(
    model: LocalModel, monkeypatch: pytest.MonkeyPatch, real: bool, expected: torch.dtype
) -> None:
    def supported(including_emulation: bool = True) -> bool:
        return including_emulation or real

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert TorchNetworks(model.folder, torch.device("cuda")).precisions() == (expected,)


@pytest.mark.parametrize("real", [True, False])
def test_a_processor_without_bfloat16_does_not_try_it(
    model: LocalModel, monkeypatch: pytest.MonkeyPatch, real: bool
) -> None:
    monkeypatch.setattr("limner.models.torch_networks.has_bfloat16", lambda: real)
    precisions = TorchNetworks(model.folder, torch.device("cpu")).precisions()
    assert (torch.bfloat16 in precisions) == real
    assert precisions[0] == torch.float32


def test_settings_that_cannot_work_together_are_refused(model: LocalModel, tmp_path: Path) -> None:
    start = EngineStart((model,), "cpu", 1, False, tmp_path, memory_gb=6)
    with pytest.raises(ModelUnusable, match="--memory-gb is for an NVIDIA GPU"):
        prepare(start, "cpu")
    with pytest.raises(ModelUnusable, match="--compile is for PyTorch"):
        StableDiffusion(model.folder, backend="openvino", compiled=True)


def small_denoiser() -> Denoiser:
    """Of one block, for a compiler takes long over each."""
    torch.manual_seed(3)
    unet = UNet2DConditionModel(
        sample_size=8,
        layers_per_block=1,
        block_out_channels=(8,),
        down_block_types=("CrossAttnDownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",),
        cross_attention_dim=16,
        attention_head_dim=4,
        norm_num_groups=4,
    )
    return Denoiser(unet.eval().requires_grad_(False))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")
def test_a_compiled_network_gives_the_same_answer_and_is_kept_for_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    module, device = small_denoiser(), torch.device("cpu")
    plain = network_of(module, device, torch.float32)
    compiled = network_of(module, device, torch.float32, compiled=True)
    assert torch.allclose(compiled(*inputs(1)), plain(*inputs(1)), rtol=0, atol=1e-4)
    assert "cannot be compiled" not in caplog.text
    assert any((tmp_path / "compiled").rglob("*.so"))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")
def test_shapes_beyond_those_that_torch_keeps_compiled_run_as_they_are(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("limner.models.torch_networks.MOST_COMPILED", 1)
    module, device = small_denoiser(), torch.device("cpu")
    plain = network_of(module, device, torch.float32)
    compiled = network_of(module, device, torch.float32, compiled=True)
    for rows in (1, 2, 1):
        assert torch.allclose(compiled(*inputs(rows)), plain(*inputs(rows)), rtol=0, atol=1e-4)
    assert torch.equal(compiled(*inputs(2)), plain(*inputs(2)))
    assert "cannot be compiled" not in caplog.text


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_where_nothing_can_be_compiled_the_network_runs_as_it_is_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    module, device = small_denoiser(), torch.device("cpu")
    compiled = network_of(module, device, torch.float32, compiled=True)
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", (None, "/there/is/no/compiler"))
    monkeypatch.setattr("torch._inductor.config.force_disable_caches", True)
    for _ in range(2):
        expected = network_of(module, device, torch.float32)(*inputs(2))
        assert torch.equal(compiled(*inputs(2)), expected)
    assert caplog.text.count("cannot be compiled") == 1
