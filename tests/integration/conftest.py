"""Shared by tests of the API, and by those that run a tiny true model in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import torch

from limner.models.catalog import LocalModel, open_model
from limner.models.stable_diffusion import StableDiffusion
from tests import tiny
from tests.serving import Api, serving


@pytest.fixture(scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """One server for all tests of a module that need nothing special of it."""
    async with serving(tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """So small a network gains nothing from more, and loses much where processors are shared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return open_model(str(tiny.save(tiny.TinyModel(), tmp_path_factory.mktemp("models") / "tiny")))


@pytest.fixture(scope="module")
def loaded(model: LocalModel) -> StableDiffusion:
    return StableDiffusion(model.folder, dtype="float32")
