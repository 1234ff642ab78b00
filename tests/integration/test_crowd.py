"""Everybody in a crowd gets a picture, by whatever protocol they ask."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.crowd import PROTOCOLS, gather, table
from limner.engine.double import EngineDouble
from tests.asking import key
from tests.serving import serving

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def test_nobody_in_a_crowd_is_refused_or_left_hanging(tmp_path: Path) -> None:
    async with serving(tmp_path, EngineDouble(step_s=0.005)) as api:
        keys = [key(api, f"client {n}")["Authorization"].removeprefix("Bearer ") for n in range(60)]
        crowd = await gather(api.url, keys, readers=2, pause_s=0.05, patience_s=120)
    assert crowd.troubles == []
    assert {one.protocol for one in crowd.outcomes} == {ask.__name__ for ask in PROTOCOLS}
    assert len(crowd.reads) == 10
    assert "60 clients" in table(crowd)
