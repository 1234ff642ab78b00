"""The safety checker in the engine's process, on tiny true weights."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from limner.engine.local import LocalEngine
from limner.engine.loop import StepLoop
from limner.engine.messages import EngineEvent, Failed, Finished, ImageRequest
from limner.engine.runner import Runner
from limner.errors import EngineFailed, ModelUnusable
from limner.models.catalog import LocalModel, open_model
from limner.models.safety import SafetyChecker
from limner.models.safety_folder import open_safety
from limner.models.stable_diffusion import StableDiffusion
from limner.params import resolve, submission
from limner.service.offline import paint
from limner.service.provenance import Provenance
from limner.store.store import Store
from tests import tiny

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkers")


@pytest.fixture(scope="module")
def strict(folder: Path) -> Path:
    return tiny.save_safety_checker(folder / "strict", objects=True)


@pytest.fixture(scope="module")
def lenient(folder: Path) -> Path:
    return tiny.save_safety_checker(folder / "lenient", objects=False)


@pytest.fixture(scope="module")
def model(folder: Path) -> LocalModel:
    return open_model(str(tiny.save(tiny.TinyModel(), folder / "tiny")))


def asked(model: LocalModel, name: str = "one") -> ImageRequest:
    params = resolve(submission(prompt="a red house", num_inference_steps=1), (model.info,), seed=3)
    return ImageRequest(name, "somebody", params, params.seed, previews=False)


def ended(model: LocalModel, checker: SafetyChecker | None) -> EngineEvent:
    name = model.info.name
    runner = Runner({name: StableDiffusion(model.folder, dtype="float32", backend="torch")}, exact=2)
    loop = StepLoop(runner, checker)
    loop.add(asked(model))
    events: list[EngineEvent] = []
    while loop.busy:
        events += loop.step()
    return events[-1]


def test_a_picture_that_the_checker_objects_to_is_flagged(
    model: LocalModel, strict: Path, lenient: Path
) -> None:
    plain, flagged, passed = (
        ended(model, checker)
        for checker in (
            None,
            SafetyChecker(open_safety(strict), "cpu"),
            SafetyChecker(open_safety(lenient), "cpu"),
        )
    )
    assert isinstance(plain, Finished)
    assert isinstance(flagged, Finished)
    assert isinstance(passed, Finished)
    assert (plain.flagged, flagged.flagged, passed.flagged) == (False, True, False)
    assert np.array_equal(flagged.pixels, plain.pixels), "the checker must not paint"


def test_a_picture_whose_check_fails_is_not_given_out(model: LocalModel, lenient: Path) -> None:
    checker = SafetyChecker(open_safety(lenient), "cpu")
    vars(checker)["_network"] = None
    event = ended(model, checker)
    assert isinstance(event, Failed)
    assert not event.retry


@pytest.fixture
async def engine(model: LocalModel, strict: Path, tmp_path: Path) -> AsyncIterator[LocalEngine]:
    engine = LocalEngine(
        (model,),
        device="cpu",
        backend="torch",
        threads=1,
        exact=True,
        cache_dir=tmp_path,
        safety=open_safety(strict),
    )
    await engine.start()
    yield engine
    await engine.stop()


async def test_the_engines_process_checks_what_it_paints(
    engine: LocalEngine, model: LocalModel, tmp_path: Path
) -> None:
    events = [event async for event in engine.generate(asked(model))]
    assert isinstance(events[-1], Finished)
    assert events[-1].flagged
    # The command line keeps none of it.
    store = Store(tmp_path / "data", serve=False)
    jobs = [asked(model).params]
    with pytest.raises(EngineFailed, match="safety checker objects to the picture of 'a red house'"):
        [made async for made in paint(engine, jobs, Provenance.of(store, None, None), lambda _: None)]
    store.close()


def test_a_model_folder_lends_its_own_checker(strict: Path, tmp_path: Path) -> None:
    shutil.copytree(strict, tmp_path / "safety_checker")
    (tmp_path / "feature_extractor").mkdir()
    (tmp_path / "safety_checker" / "preprocessor_config.json").rename(
        tmp_path / "feature_extractor" / "preprocessor_config.json"
    )
    (tmp_path / "model_index.json").write_text("{}")
    found = open_safety(tmp_path)
    assert (found.weights.name, found.processor.name) == ("safety_checker", "feature_extractor")
    (tmp_path / "feature_extractor" / "preprocessor_config.json").unlink()
    with pytest.raises(ModelUnusable, match=r"preprocessor_config\.json"):
        open_safety(tmp_path)


def test_folders_that_hold_no_checker_are_refused(model: LocalModel, tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="no folder"):
        open_safety(tmp_path / "nowhere")
    with pytest.raises(ModelUnusable, match=r"CLIPTextModel.*StableDiffusionSafetyChecker"):
        open_safety(model.folder / "text_encoder")


def test_pickled_weights_are_not_opened(strict: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(strict, tmp_path / "copy"))
    weights = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    torch.save(weights, copy / "pytorch_model.bin")
    with pytest.raises(ModelUnusable, match="pickled"):
        open_safety(copy)
    (copy / "pytorch_model.bin").rename(copy / "model.safetensors")
    with pytest.raises(ModelUnusable, match="pickle under another name"):
        open_safety(copy)


def test_weights_that_lack_a_part_are_refused_rather_than_made_up(strict: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(strict, tmp_path / "copy"))
    weights = load_file(copy / "model.safetensors")
    save_file(
        {k: v for k, v in weights.items() if k != "concept_embeds"},
        copy / "model.safetensors",
        {"format": "pt"},
    )
    with pytest.raises(ModelUnusable, match=r"lack \[.concept_embeds"):
        SafetyChecker(open_safety(copy), "cpu")


def test_weights_under_their_published_names_are_the_same(strict: Path, tmp_path: Path) -> None:
    """As in the files that are on the hub since 2022."""
    copy = Path(shutil.copytree(strict, tmp_path / "copy"))
    inner = ("embeddings.", "pre_layrnorm.", "encoder.", "post_layernorm.")
    outer = "vision_model."
    published = {
        f"{outer}{outer}{name.removeprefix(outer)}"
        if name.removeprefix(outer).startswith(inner)
        else name: weight
        for name, weight in load_file(copy / "model.safetensors").items()
    }
    assert f"{outer}{outer}embeddings.class_embedding" in published
    published[f"{outer}{outer}embeddings.position_ids"] = torch.arange(5)[None]
    save_file(published, copy / "model.safetensors", {"format": "pt"})
    pixels = torch.zeros(32, 32, 3, dtype=torch.uint8)
    assert SafetyChecker(open_safety(copy), "cpu").objects_to(pixels)
