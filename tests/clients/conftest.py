"""For each client a server over doubles; for all of them one that really paints."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from limner.engine.double import EngineDouble
from tests.running import RunningServer
from tests.serving import Api, serving


@pytest.fixture(scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    async with serving(tmp_path_factory.mktemp("data"), EngineDouble(step_s=0.01)) as running:
        yield running


@pytest.fixture(scope="package")
def painting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the real server: loading its models is the slow part."""
    with RunningServer(tmp_path_factory.mktemp("painting") / "data") as server:
        yield server.url
