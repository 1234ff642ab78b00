"""From where the server may be called: hosts, pages elsewhere, networks, proxies."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from httpx_sse import aconnect_sse

from limner.api.reach import Reach, address_of
from limner.errors import Unusable
from limner.service.people import Allowance
from tests.asking import from_elsewhere, key
from tests.serving import Api, serving

pytestmark = pytest.mark.anyio

PAGE = "https://art.example.org"


@pytest.fixture(scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    reach = Reach(hosts=["Limner.Example"], origins=[PAGE])
    async with serving(tmp_path_factory.mktemp("data"), reach=reach) as running:
        yield running


async def test_a_key_in_a_header_passes_from_any_host_and_page(api: Api) -> None:
    container = {"Host": "host.docker.internal:7860"}
    refused = await api.client.get("/api/generations", headers=container)
    assert (refused.status_code, refused.json()["code"]) == (403, "host_not_allowed")
    assert "--allow-host" in refused.json()["detail"]
    with_key = container | key(api, "a container") | {"Origin": "app://desktop"}
    answer = await api.client.post("/api/generations", json={"prompt": "x"}, headers=with_key)
    assert answer.status_code == 202
    assert answer.headers["location"].startswith("http://host.docker.internal:7860/")
    wrong = container | {"Authorization": "Bearer limner_wrong"}
    assert (await api.client.get("/healthz", headers=wrong)).status_code == 403


async def test_an_allowed_host_is_answered_but_asks_for_a_key(api: Api) -> None:
    headers = {"Host": "limner.example"}
    assert (await api.client.get("/api/capabilities", headers=headers)).status_code == 200
    assert (await api.client.get("/api/generations", headers=headers)).status_code == 401
    ours = headers | key(api, "by name")
    assert (await api.client.get("/api/generations", headers=ours)).status_code == 200


async def test_a_page_elsewhere_that_is_allowed_may_call_in(api: Api) -> None:
    preflight = await api.client.options(
        "/api/generations",
        headers={
            "Origin": PAGE,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, content-type, idempotency-key, x-stainless-os",
        },
    )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == PAGE
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
    assert "access-control-allow-credentials" not in preflight.headers
    ann = key(api, "of the page") | {"Origin": PAGE}
    made = await api.client.post("/api/generations", json={"prompt": "x"}, headers=ann)
    assert made.headers["access-control-allow-origin"] == PAGE
    assert "Location" in made.headers["access-control-expose-headers"]
    events = f"/api/generations/{made.json()['id']}/events"
    async with aconnect_sse(api.client, "GET", events, headers=ann) as source:
        assert source.response.headers["access-control-allow-origin"] == PAGE
        names = [event.event async for event in source.aiter_sse()]
    assert names[-1] == "succeeded"


async def test_a_refusal_can_be_read_by_a_page_that_is_allowed(api: Api) -> None:
    answer = await api.client.get("/api/generations", headers=from_elsewhere() | {"Origin": PAGE})
    assert answer.status_code == 401
    assert answer.headers["access-control-allow-origin"] == PAGE


@pytest.mark.parametrize("origin", ["https://evil.example", "http://art.example.org", f"{PAGE}:8443", "null"])
async def test_a_page_that_is_not_allowed_is_told_nothing(api: Api, origin: str) -> None:
    asking = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    preflight = await api.client.options("/api/generations", headers=asking)
    assert preflight.status_code == 400
    read = await api.client.get("/api/generations", headers={"Origin": origin})
    written = await api.client.post("/api/generations", json={"prompt": "x"}, headers={"Origin": origin})
    assert written.status_code == 403
    for answer in (preflight, read, written):
        assert "access-control-allow-origin" not in answer.headers


async def test_on_a_network_the_address_that_was_called_is_good_and_names_are_not(tmp_path: Path) -> None:
    reach = Reach(loopback=False)
    async with serving(tmp_path, reach=reach, visitors=Allowance(queued=4)) as api:
        # This server is reached at 127.0.0.1; another address of the same shape is not the one called.
        for host, status in (("127.0.0.1:1", 200), ("127.0.0.2", 403), ("limner.lan", 403)):
            answer = await api.client.get("/api/generations", headers={"Host": host})
            assert answer.status_code == status, host
        assert (await api.client.get("/metrics")).status_code == 403


@pytest.mark.parametrize(
    ("here", "host", "good"),
    [
        ("192.168.1.5", "192.168.1.5:7860", True),
        ("::ffff:192.168.1.5", "192.168.1.5", True),
        ("fd00::5", "[fd00:0::5]:7860", True),
        ("192.168.1.5", "192.168.1.6", False),
        ("192.168.1.5", "192.168.1.5.evil.example", False),
        ("192.168.1.5", "", False),
    ],
)
def test_a_host_is_compared_as_an_address(here: str, host: str, good: bool) -> None:
    scope = {"server": (here, 7860)}
    assert Reach(loopback=False).answers_to(host, scope) is good
    assert Reach(loopback=True).answers_to(host, scope) is False


@pytest.mark.parametrize("host", ["http://a.example", "a.example:80", "a b", "", "*"])
def test_what_is_no_host_is_refused_at_start(host: str) -> None:
    with pytest.raises(Unusable, match="--allow-host"):
        Reach(hosts=[host])


@pytest.mark.parametrize(
    "origin", ["*", "null", "art.example.org", f"{PAGE}/", f"{PAGE}/page", "ftp://a.b", ""]
)
def test_what_is_no_origin_is_refused_at_start(origin: str) -> None:
    with pytest.raises(Unusable, match="--allow-origin"):
        Reach(origins=[origin])


async def test_only_a_proxy_on_this_machine_is_believed(tmp_path: Path) -> None:
    mine = _address_of_this_machine()
    if mine is None:
        pytest.skip("this machine has no address but loopback")
    async with serving(tmp_path, host="0.0.0.0", reach=Reach(loopback=False)) as api:
        url = f"http://{mine}:{api.port}"
        says = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"} | key(api, "direct")
        async with httpx.AsyncClient(base_url=url, timeout=30) as direct:
            answer = await direct.post("/api/generations", json={"prompt": "x"}, headers=says)
        assert answer.headers["location"].startswith(f"{url}/api/")
        answer = await api.client.post("/api/generations", json={"prompt": "x"}, headers=says)
        assert answer.headers["location"].startswith("https://evil.example/api/")


def _address_of_this_machine() -> str | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        found: str = probe.getsockname()[0]
    address = address_of(found)
    return None if address is None or address.is_loopback else found
