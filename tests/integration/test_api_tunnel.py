"""What comes through a tunnel is counted, and answered sparingly."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from limner.api import tunnelled
from limner.api.reach import Reach
from limner.engine.double import EngineDouble
from limner.service.people import Allowance
from limner.service.tunnel_use import NGROK_FREE, TunnelUse
from limner.store.keys import Scope
from tests.asking import key
from tests.serving import serving

pytestmark = pytest.mark.anyio

THROUGH = {
    "Host": "words.ngrok-free.app",
    "X-Forwarded-Host": "words.ngrok-free.app",
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Proto": "https",
}


async def test_the_tunnels_name_is_answered_once_the_tunnel_is_open_and_counted(tmp_path: Path) -> None:
    reach, use = Reach(), TunnelUse(plan=NGROK_FREE)
    async with serving(tmp_path, reach=reach, tunnel_use=use, visitors=Allowance(4)) as api:
        assert (await api.client.get("/api/capabilities", headers=THROUGH)).status_code == 403
        reach.open_tunnel("https://words.ngrok-free.app")
        answer = await api.client.get("/api/capabilities", headers=THROUGH)
        assert answer.status_code == 200
        assert answer.json()["limits"]["poll_s"] == tunnelled.POLL_S
        at_home = await api.client.get("/api/capabilities")
        assert at_home.json()["limits"]["poll_s"] == tunnelled.POLL_AT_HOME_S
        admin = key(api, "who scrapes", Scope.ADMIN)
        text = (await api.client.get("/metrics", headers=admin)).text
        families = {f.name: f for f in text_string_to_metric_families(text)}
        assert families["limner_tunnel_requests"].samples[0].value == 1
        sent_bytes = families["limner_tunnel_sent_bytes"].samples[0].value
        assert len(answer.content) < sent_bytes < len(answer.content) + 2000
        allowed = {s.labels["of"]: s.value for s in families["limner_tunnel_allowed"].samples}
        assert allowed == {"requests": 20_000, "sent_bytes": 1e9}


async def test_links_lead_back_through_the_tunnel_and_previews_come_rarely(tmp_path: Path) -> None:
    reach = Reach()
    reach.open_tunnel("https://words.ngrok-free.app")
    asked = {"prompt": "a red house", "num_inference_steps": 20}
    seen: dict[str, list[str]] = {}
    engine = EngineDouble(step_s=0.06)  # a preview may come every quarter of a second
    async with serving(tmp_path, engine, reach=reach, visitors=Allowance(4)) as api:
        for where, headers in (("tunnel", THROUGH), ("home", {})):
            headers = headers | {"Accept": "text/event-stream"}
            answer = await api.client.post("/api/generations", json=asked, headers=headers)
            seen[where] = [line for line in answer.text.splitlines() if line.startswith("event: ")]
            begins = "https://words.ngrok-free.app/" if where == "tunnel" else api.url
            assert answer.headers["location"].startswith(begins)
    assert seen["tunnel"].count("event: preview") == 1
    assert seen["home"].count("event: preview") > 1
    assert seen["tunnel"].count("event: succeeded") == 1


async def test_partial_images_come_as_rarely(tmp_path: Path) -> None:
    reach = Reach()
    reach.open_tunnel("https://words.ngrok-free.app")
    asked = {"prompt": "a red house", "num_inference_steps": 20, "stream": True, "partial_images": 3}
    async with serving(tmp_path, EngineDouble(step_s=0.06), reach=reach, visitors=Allowance(4)) as api:
        answers = [
            await api.client.post("/v1/images/generations", json=asked, headers=headers)
            for headers in (THROUGH, {})
        ]
    through, at_home = (answer.text.count("event: image_generation.partial_image") for answer in answers)
    assert through == 1
    assert at_home > 1
