"""The same networks by OpenVINO: the same answers, whoever is beside a row, and quicker starts."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest
import torch

from limner.diffusion.samplers import sampler_table
from limner.engine.loop import StepLoop
from limner.engine.measure import Curves
from limner.engine.request import Group
from limner.engine.runner import Runner
from limner.errors import EngineFailed, ModelUnusable
from limner.models import kept, modules
from limner.models.catalog import STARTER, open_model
from limner.models.memory import OutOfMemory
from limner.models.precision import Course, Walker, judge, psnr_db
from limner.models.stable_diffusion import StableDiffusion
from limner.params import Sampler, Schedule
from tests import tiny

openvino_networks = pytest.importorskip("limner.models.openvino_networks")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tiny.TinyModel(), tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def reference(folder: Path) -> StableDiffusion:
    return StableDiffusion(folder, dtype="float32")


@pytest.fixture(scope="module")
def model(folder: Path, cache_dir: Path) -> StableDiffusion:
    return StableDiffusion(folder, dtype="float32", backend="openvino", threads=1, cache_dir=cache_dir)


@pytest.fixture
def hidden_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where it is not installed."""
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.delitem(sys.modules, "limner.models.openvino_networks")


def inputs_of(
    model: StableDiffusion, rows: int, height: int = 8, width: int = 8, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    latents = torch.randn((rows, 4, height, width), generator=random)
    timesteps = torch.randint(1, 999, (rows,), generator=random).float()
    embeds = torch.stack([model.encode(f"a red house {row}") for row in range(rows)])
    return latents, timesteps, embeds, torch.ones(rows)


def test_a_network_whose_timestep_scales_answers_as_it_does_in_torch(tmp_path: Path) -> None:
    folder = tiny.save(tiny.TinyModel(scale_shift=True), tmp_path / "tiny")
    by_torch = StableDiffusion(folder, dtype="float32")
    converted = StableDiffusion(
        folder, dtype="float32", backend="openvino", threads=1, cache_dir=tmp_path / "cache"
    )
    for rows in (1, 2, 8):
        inputs = inputs_of(by_torch, rows)
        expected = by_torch.predict(*inputs)
        torch.testing.assert_close(converted.predict(*inputs), expected, rtol=1e-3, atol=1e-4)


def test_every_network_answers_as_it_does_in_torch(
    model: StableDiffusion, reference: StableDiffusion
) -> None:
    assert (model.backend, reference.backend) == ("openvino", "torch")
    torch.testing.assert_close(model.encode("a cat"), reference.encode("a cat"), rtol=1e-4, atol=1e-4)
    for rows, height, width in ((1, 8, 8), (3, 5, 9)):
        inputs = inputs_of(reference, rows, height, width)
        expected = reference.predict(*inputs)
        assert expected.std() > 0.1
        torch.testing.assert_close(model.predict(*inputs), expected, rtol=1e-3, atol=1e-4)
        levels = model.decode(inputs[0][0]).int() - reference.decode(inputs[0][0]).int()
        assert levels.abs().max() <= 1


def test_a_row_is_the_same_to_the_bit_whoever_is_beside_it(
    model: StableDiffusion, folder: Path, cache_dir: Path
) -> None:
    fast = StableDiffusion(folder, dtype="bfloat16", backend="openvino", threads=1, cache_dir=cache_dir)
    for loaded in (model, fast):
        mine = inputs_of(model, 1, seed=1)
        answers = []
        for place, crowd in enumerate((2, 3, 4, 5)):
            inputs = inputs_of(model, 4, seed=crowd)
            for tensor, row in zip(inputs, mine, strict=True):
                tensor[place] = row[0]
            answers.append(loaded.predict(*inputs)[place])
        assert all(torch.equal(answer, answers[0]) for answer in answers), loaded.dtype
        alone = loaded.predict(*mine)[0]
        if loaded.dtype == torch.float32:
            torch.testing.assert_close(alone, answers[0], rtol=1e-4, atol=1e-4)
    same = torch.equal(alone, model.predict(*mine)[0])
    assert same == (fast.dtype == torch.float32), "bfloat16 must not be float32 under another name"
    assert fast.dtype in fast._networks.precisions()


def test_a_precision_that_the_processor_lacks_is_float32_by_name_too_and_the_log_says_so(
    model: StableDiffusion,
    folder: Path,
    cache_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(openvino_networks.OpenVinoNetworks, "precisions", lambda _: (torch.float32,))
    named = StableDiffusion(folder, dtype="bfloat16", backend="openvino", threads=1, cache_dir=cache_dir)
    assert named.dtype == torch.float32
    assert "--dtype bfloat16: OpenVINO has no bfloat16 on this processor" in caplog.text
    inputs = inputs_of(model, 1)
    assert torch.equal(named.predict(*inputs), model.predict(*inputs))


def test_a_second_start_converts_nothing_and_answers_the_same_to_the_bit(
    model: StableDiffusion, folder: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = inputs_of(model, 1)
    first = model.predict(*inputs)

    def refuse(*_: object) -> None:
        raise AssertionError("a network was loaded by torch")

    monkeypatch.setattr(modules, "load", refuse)
    monkeypatch.setattr(modules, "load_decoder", refuse)
    again = StableDiffusion(folder, dtype="float32", backend="openvino", threads=1, cache_dir=cache_dir)
    assert torch.equal(again.predict(*inputs), first)
    assert torch.equal(again.preview(inputs[0][0]), model.preview(inputs[0][0]))


def test_other_weights_are_converted_anew(
    model: StableDiffusion, cache_dir: Path, tmp_path: Path, folder: Path
) -> None:
    other = tiny.save(tiny.TinyModel(), tmp_path / "other")
    denoiser = modules.load("unet", other, torch.float32)
    assert isinstance(denoiser, modules.Denoiser)
    with torch.no_grad():
        next(denoiser.parameters()).add_(0.5)
    denoiser.unet.save_pretrained(other / "unet")
    changed = StableDiffusion(other, dtype="float32", backend="openvino", threads=1, cache_dir=cache_dir)
    inputs = inputs_of(model, 1)
    assert not torch.allclose(changed.predict(*inputs), model.predict(*inputs), atol=1e-3)


def test_a_picture_can_be_decoded_while_the_next_step_runs(model: StableDiffusion) -> None:
    inputs = inputs_of(model, 4)
    expected, pixels = model.predict(*inputs), model.decode(inputs[0][0])
    wrong: list[str] = []

    def decode() -> None:
        wrong.extend("pixels" for _ in range(20) if not torch.equal(model.decode(inputs[0][0]), pixels))

    thread = threading.Thread(target=decode)
    thread.start()
    wrong.extend("rows" for _ in range(20) if not torch.equal(model.predict(*inputs), expected))
    thread.join()
    assert not wrong


@pytest.mark.usefixtures("hidden_openvino")
def test_without_openvino_torch_paints_and_the_log_says_what_would_be_faster(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        model = StableDiffusion(folder, dtype="float32", backend="auto")
    assert model.backend == "torch"
    assert "pip install openvino" in caplog.text
    with pytest.raises(ModelUnusable, match=r"--backend openvino.*pip install openvino"):
        StableDiffusion(folder, backend="openvino")


@pytest.mark.parametrize("broken", ["convert", "compile"])
def test_what_openvino_cannot_run_is_left_to_torch_and_the_log_says_so(
    broken: str,
    folder: Path,
    cache_dir: Path,
    tmp_path: Path,
    reference: StableDiffusion,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("Check failed at somewhere.cpp:1\nno such operation")

    if broken == "convert":
        monkeypatch.setattr(openvino_networks, "convert", fail)
        cache_dir = tmp_path / "empty"
    else:
        monkeypatch.setattr(openvino_networks.OpenVinoNetwork, "_compile", fail)
    model = StableDiffusion(folder, dtype="float32", backend="auto", cache_dir=cache_dir)
    inputs = inputs_of(reference, 2)
    torch.testing.assert_close(model.predict(*inputs), reference.predict(*inputs))
    assert torch.equal(model.decode(inputs[0][0]), reference.decode(inputs[0][0]))
    assert "PyTorch runs it: no such operation" in caplog.text


@pytest.mark.parametrize(
    "told",
    [
        "Exception from src/core.cpp:110:\n[ GENERAL_ERROR ] Failed to allocate 34359738368 bytes of memory",
        "Exception from src/inference/src/cpp/core.cpp:112:\nstd::bad_alloc\n",
    ],
)
def test_where_memory_ends_compiled_shapes_are_given_back_and_openvino_goes_on(
    told: str, folder: Path, cache_dir: Path, model: StableDiffusion, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = StableDiffusion(folder, dtype="float32", backend="openvino", threads=1, cache_dir=cache_dir)
    network, inputs = loaded._denoiser, inputs_of(model, 2)
    assert isinstance(network, openvino_networks.OpenVinoNetwork)
    loaded.predict(*inputs_of(model, 1))
    assert network._compiled

    def fail(*_: object) -> None:
        raise RuntimeError(told)

    with monkeypatch.context() as cramped:
        cramped.setattr(openvino_networks.OpenVinoNetwork, "_compile", fail)
        with pytest.raises(OutOfMemory):
            loaded.predict(*inputs)
    assert not network._compiled
    assert torch.equal(loaded.predict(*inputs), model.predict(*inputs))
    assert len(network._compiled) == 1


def test_a_shape_that_cannot_be_compiled_is_left_to_torch_alone(
    folder: Path, cache_dir: Path, model: StableDiffusion, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = StableDiffusion(folder, dtype="float32", backend="openvino", threads=1, cache_dir=cache_dir)
    network = loaded._denoiser
    assert isinstance(network, openvino_networks.OpenVinoNetwork)

    def fail(*_: object) -> None:
        raise RuntimeError("no such operation")

    with monkeypatch.context() as broken:
        broken.setattr(openvino_networks.OpenVinoNetwork, "_compile", fail)
        loaded.predict(*inputs_of(model, 2))
    loaded.predict(*inputs_of(model, 1))
    loaded.predict(*inputs_of(model, 2))
    assert [shapes[0][0] for shapes in network._compiled] == [1]


def test_compiled_shapes_take_a_quarter_of_the_machine_at_most() -> None:
    mib, gib = 2**20, 2**30
    assert openvino_networks._room(33 * mib, 64 * gib) == 24
    assert openvino_networks._room(500 * mib, 64 * gib) == 3
    assert openvino_networks._room(100 * mib, 4 * gib) == 2
    assert openvino_networks._room(4 * gib, 64 * gib) == 2


def test_openvino_is_given_nothing_to_report_home_with() -> None:
    code = (
        "import sys, limner.models.openvino_networks, openvino.tools.ovc.telemetry_utils as told; "
        "print(sys.modules['openvino_telemetry'], told.tm.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["None", "openvino.tools.ovc.telemetry_stub"]


def course_of(model: StableDiffusion, prompt: str, steps: int) -> Course:
    shape = model.latent_shape(256, 256)
    return Course(
        latents=torch.randn(
            (shape.channels, shape.height, shape.width), generator=torch.Generator().manual_seed(3)
        ),
        embeds=torch.stack([model.encode(""), model.encode(prompt)]),
        condition=None,
        guidance=4.0,
        table=sampler_table(model.noise, Sampler.DDIM, Schedule.PLAIN, steps),
    )


def predict(model: StableDiffusion, *inputs: torch.Tensor) -> torch.Tensor:
    latents, timesteps, embeds = inputs
    return model.predict(latents, timesteps, embeds, torch.ones(2))


def decode(model: StableDiffusion, *inputs: torch.Tensor) -> torch.Tensor:
    return model.decode(inputs[0][0])[None] / 127.5 - 1


def test_the_starters_picture_is_that_of_torch_in_both_precisions(cache_dir: Path) -> None:
    folder = open_model(STARTER).folder
    course = course_of(StableDiffusion(folder, dtype="float32"), "a red house at night", 6)
    pictures = {}
    for backend, dtype in (("torch", "float32"), ("openvino", "float32"), ("openvino", "bfloat16")):
        model = StableDiffusion(folder, dtype=dtype, backend=backend, cache_dir=cache_dir)  # type: ignore[arg-type]

        walker = Walker(course, partial(predict, model), partial(decode, model))
        for step in range(6):
            walker.step(step)
        pictures[backend, dtype] = walker.picture()
    plain = pictures["torch", "float32"]
    assert plain.std() > 20, "a flat picture would prove nothing"
    assert (pictures["openvino", "float32"] - plain).abs().max() <= 2
    # 34 with the weights that are shipped; what `--dtype auto` asks for is up to its own trial
    assert psnr_db(pictures["openvino", "bfloat16"], plain) >= 30


@pytest.mark.parametrize(
    ("error", "pause_s", "chosen"),
    [(1e-4, 0.0, "bfloat16"), (0.2, 0.0, "float32"), (float("nan"), 0.0, "float32"), (0.0, 0.006, "float32")],
    ids=["faster and as good", "faster and worse", "not numbers", "as good and slower"],
)
def test_a_precision_is_taken_when_it_is_faster_and_the_picture_is_as_good(
    reference: StableDiffusion, error: float, pause_s: float, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("limner.models.precision.time.perf_counter", lambda: now[0])

    def load(part: str, dtype: torch.dtype) -> object:
        exact = dtype == torch.float32

        def network(*inputs: torch.Tensor) -> torch.Tensor:
            now[0] += 0.005 if exact else pause_s
            answer = (
                inputs[0].mean(1, keepdim=True).expand(-1, 3, -1, -1) if part == "vae" else 0.1 * inputs[0]
            )
            return answer.tanh() + (0.0 if exact else error)

        return network

    told = judge(course_of(reference, "a house", 4), (torch.float32, torch.bfloat16), load)  # type: ignore[arg-type]
    assert told["dtype"] == chosen, told


def test_the_choice_of_a_precision_is_remembered(
    folder: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = StableDiffusion(folder, backend="openvino", threads=1, cache_dir=cache_dir)
    monkeypatch.setattr("limner.models.stable_diffusion.judge", None)
    assert StableDiffusion(folder, backend="openvino", threads=1, cache_dir=cache_dir).dtype == first.dtype


def test_many_sizes_fill_the_cache_only_so_far_and_work_all_the_same(
    folder: Path, tmp_path: Path, model: StableDiffusion, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = StableDiffusion(folder, dtype="float32", backend="openvino", threads=1, cache_dir=tmp_path)
    network = loaded._denoiser
    assert isinstance(network, openvino_networks.OpenVinoNetwork)
    inputs = [inputs_of(model, 1, 8, width) for width in (8, 9, 10)]
    first = loaded.predict(*inputs[0])
    (shape,) = network._folder.glob("compiled/*")
    most = 5 * sum(file.stat().st_size for file in shape.iterdir()) // 4
    assert most > 0
    monkeypatch.setattr(kept, "MAX_COMPILED_BYTES", most)
    for one in inputs[1:]:
        loaded.predict(*one)
    found = list(tmp_path.rglob("compiled/*/*"))
    assert 0 < sum(file.stat().st_size for file in found) <= most
    assert not shape.exists(), "it was used first, and longest ago"
    network._compiled.clear()
    assert torch.equal(loaded.predict(*inputs[0]), first)


def test_of_a_network_whose_compiled_shapes_do_not_all_fit_the_engine_knows_how_many_do(
    folder: Path, cache_dir: Path, reference: StableDiffusion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_networks, "_room", lambda *_: 2)
    cramped = StableDiffusion(folder, dtype="float32", backend="openvino", threads=1, cache_dir=cache_dir)
    sizes = [Group("tiny", cramped.latent_shape(64, 64 + 16 * i)) for i in range(3)]
    two, three = [(size, 1) for size in sizes[:2]], [(size, 1) for size in sizes]
    curves = Curves(cache_dir / "curves.json")
    for key, seconds in {"alone": 2.0, "company": 1.1}.items():
        curves.put(key, {1: 1.0, 2: seconds, 4: 2 * seconds})
    runner = Runner({"tiny": cramped})
    runner.warm_up("tiny", 64, 64, curves, "alone")  # where more rows gain nothing
    assert runner.fit(two)
    assert not runner.fit(three)
    assert not runner.fit([*two, (sizes[0], 2)]), "with guidance it is another shape"
    assert Runner({"tiny": cramped}, exact=2).fit([*two, (sizes[0], 2)])
    assert Runner({"tiny": reference}).fit(three)
    runner.warm_up("tiny", 64, 64, curves, "company")
    assert runner.curve(sizes[0]).most_rows == 2, "batches of 1, 2 and 4 rows would be three shapes"
    assert runner.fit(two[:1])
    assert not runner.fit(two), "each alternates between batches of 1 row and of 2"


def test_a_tiny_decoder_that_makes_numbers_of_what_is_none_hides_no_broken_picture(
    tmp_path: Path, cache_dir: Path
) -> None:
    folder = tiny.save(tiny.TinyModel(tiny_decoder=True), tmp_path / "broken")
    loaded = StableDiffusion(folder, dtype="float32", backend="openvino", threads=1, cache_dir=cache_dir)
    latents = torch.randn(4, 8, 8)
    assert loaded.decode(latents).shape == (64, 64, 3)
    for value in (torch.nan, torch.inf):
        broken = latents.clone()
        broken[1, 2, 3] = value
        with pytest.raises(EngineFailed, match="not numbers"):
            loaded.decode(broken)


def test_the_first_picture_finds_its_decoder_compiled(tmp_path: Path, cache_dir: Path) -> None:
    folder = tiny.save(tiny.TinyModel(tiny_decoder=True), tmp_path / "first")
    loaded = StableDiffusion(folder, dtype="float32", backend="openvino", threads=1, cache_dir=cache_dir)
    assert not loaded._decoder.compiled((torch.Size((1, 4, 8, 8)),))
    StepLoop(Runner({"first": loaded})).prepare_decoding("first", 64, 64)
    assert loaded._decoder.compiled((torch.Size((1, 4, 8, 8)),))


def test_what_is_compiled_is_known_before_it_is_asked_for(
    folder: Path, cache_dir: Path, model: StableDiffusion
) -> None:
    loaded = StableDiffusion(folder, dtype="float32", backend="openvino", threads=1, cache_dir=cache_dir)
    shape = loaded.latent_shape(64, 64)
    assert not loaded.compiled(shape, 2)
    loaded.predict(*inputs_of(model, 2))
    assert loaded.compiled(shape, 2)
    assert not loaded.compiled(shape, 1)
