"""For each client a server over doubles; for all of them one that really paints."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest

from limner.engine.double import EngineDouble
from tests.running import RunningServer
from tests.serving import Api, serving


@pytest.fixture(scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    async with serving(tmp_path_factory.mktemp("data"), EngineDouble(step_s=0.01)) as running:
        yield running


@pytest.fixture(scope="package", autouse=True)
def _started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The real server, which loads its models while the first tests run."""
    server = RunningServer(tmp_path_factory.mktemp("painting") / "data")
    with contextlib.ExitStack() as stack:
        stack.push(server)
        server.start(wait_ready=False)
        yield server


@pytest.fixture(scope="package")
def painting(_started: RunningServer) -> str:
    """The address of the real server, once it is ready."""
    _started.wait_ready()
    return _started.url
