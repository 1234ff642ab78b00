"""One server over doubles for each client's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from limner.engine.double import EngineDouble
from tests.serving import Api, serving


@pytest.fixture(scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    async with serving(tmp_path_factory.mktemp("data"), EngineDouble(step_s=0.01)) as running:
        yield running
