"""The server under a path, behind proxies that take it off and proxies that leave it."""

from __future__ import annotations

from pathlib import Path

import pytest

from limner.service.people import Allowance
from tests.asking import from_elsewhere
from tests.serving import serving

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("prefix", ["/limner", ""])
async def test_everything_lies_under_the_path_whether_or_not_a_proxy_takes_it_off(
    tmp_path: Path, prefix: str
) -> None:
    async with serving(tmp_path, root_path="/limner", visitors=Allowance(4)) as api:
        made = await api.client.post(
            f"{prefix}/api/generations", json={"prompt": "a red house"}, headers={"Prefer": "wait=20"}
        )
        assert made.status_code == 200, made.text
        assert made.headers["cache-control"] == "no-store"
        here = f"{api.url}/limner/api/"
        links = [made.headers["location"], *made.json()["links"].values()]
        links += [made.json()["images"][0][name] for name in ("url", "thumbnail_url")]
        assert all(link.startswith(here) for link in links), links
        assert (await api.client.get(made.json()["images"][0]["url"])).status_code == 200
        schema = (await api.client.get(f"{prefix}/openapi.json")).json()
        assert schema["servers"][0]["url"] == "/limner"
        assert (await api.client.get(f"{prefix}/docs")).status_code == 200
        assert (await api.client.get(f"{prefix}/limner/docs")).status_code == (404 if prefix else 200)


async def test_what_is_closed_stays_closed_under_the_path(tmp_path: Path) -> None:
    async with serving(tmp_path, root_path="/limner") as api:
        tricks = ("/limner/api/generations", "/api/generations", "/limner/limner/api/generations")
        for path in (*tricks, "/limner//api/generations", "/limnerapi/generations", "/limner/metrics"):
            answer = await api.client.get(path, headers=from_elsewhere())
            assert answer.status_code in (401, 404), path
        not_allowed = await api.client.get("/limner/sdapi/v1/options", headers=from_elsewhere())
        assert "Basic" in not_allowed.headers["www-authenticate"]


async def test_the_bare_path_leads_to_the_page(tmp_path: Path) -> None:
    async with serving(tmp_path, root_path="/limner") as api:
        answer = await api.client.get("/limner")
        assert (answer.status_code, answer.headers["location"]) == (308, "/limner/")
