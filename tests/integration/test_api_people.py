"""Who is who: keys, visitors and the operator."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from itsdangerous import TimestampSigner

from limner.api import site
from limner.service import people
from limner.service.people import Allowance
from limner.store.job import OPERATOR
from limner.store.keys import Scope
from limner.store.store import Store
from tests.asking import from_elsewhere, key
from tests.serving import Api, serving

pytestmark = pytest.mark.anyio

PICTURE = {"prompt": "a red house", "num_inference_steps": 5}
PICTURE_COST = 128 * 128 / 1e6 * 5 * 2  # guidance is on


@pytest.fixture
async def open_to_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    """A server that lets visitors in."""
    monkeypatch.setattr(site, "STATIC", tmp_path)
    (tmp_path / "index.html").write_text("<title>Limner</title>")
    async with serving(tmp_path / "data", visitors=Allowance(queued=2, rate=600)) as running:
        yield running


async def session(api: Api, headers: dict[str, str]) -> dict[str, Any]:
    answer = await api.client.get("/api/session", headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def prompts(api: Api, headers: dict[str, str]) -> list[str]:
    answer = await api.client.get("/api/generations", headers=headers)
    assert answer.status_code == 200, answer.text
    return [item["params"]["prompt"] for item in answer.json()["items"]]


async def test_a_key_is_taken_in_three_ways(api: Api) -> None:
    bearer = key(api, "three ways", quota=50, rate=7, queued=3)
    secret = bearer["Authorization"].removeprefix("Bearer ")
    basic = base64.b64encode(f"anybody:{secret}".encode()).decode()
    ways = [bearer, {"X-API-Key": secret}, {"Authorization": f"Basic {basic}"}]
    for way in ways:
        found = await session(api, way)
        assert (found["kind"], found["name"]) == ("key", "three ways")
        assert (found["quota"], found["rate"], found["queued"]) == (50, 7, 3)
        assert found["scopes"] == ["generate", "prompts", "read"]


@pytest.mark.parametrize("header", ["Bearer sk-none", "Basic YTpi", "Basic !!", "Bearer", "Nonsense"])
async def test_what_clients_send_where_no_key_is_asked_for_is_no_key(api: Api, header: str) -> None:
    assert (await session(api, {"Authorization": header}))["kind"] == "operator"


async def test_a_key_that_is_none_is_refused_even_where_none_is_asked_for(api: Api) -> None:
    for secret in ("limner_wrong", "limner_" + "x" * 43, "limner_" + "x" * 5000):
        answer = await api.client.get("/api/generations", headers={"X-API-Key": secret})
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "key_needed"
        assert secret not in answer.text


async def test_a_revoked_key_ends_while_the_server_runs(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "_KEY_KEPT_S", 0.0)
    headers = key(api, "short-lived")
    assert (await api.client.get("/api/generations", headers=headers)).status_code == 200
    used = next(found for found in api.store.keys.all() if found.name == "short-lived")
    assert used.last_used_at is not None
    api.store.keys.revoke("short-lived")
    assert (await api.client.get("/api/generations", headers=headers)).status_code == 401


async def test_only_plain_loopback_is_the_operators(api: Api) -> None:
    assert (await session(api, {}))["kind"] == "operator"
    tells = [
        from_elsewhere(),
        from_elsewhere("127.0.0.1, 203.0.113.7"),
        {"Forwarded": "for=203.0.113.7"},
        {"Via": "1.1 proxy"},
        {"X-Real-IP": "203.0.113.7"},
    ]
    for headers in tells:
        assert (await session(api, headers))["kind"] == "stranger", headers
        assert (await api.client.get("/api/generations", headers=headers)).status_code == 401
        assert (await api.client.get("/metrics", headers=headers)).status_code == 401
    assert (await session(api, from_elsewhere("127.0.0.1")))["kind"] == "operator"


async def test_a_stranger_is_refused_before_the_body_is_read(api: Api) -> None:
    answer = await api.client.post("/api/generations", content=b"{", headers=from_elsewhere())
    assert answer.status_code == 401


async def test_the_operator_sees_what_keys_made(api: Api) -> None:
    ann = key(api, "a maker")
    await api.client.post("/api/generations", json={"prompt": "made with a key"}, headers=ann)
    await api.generate("made by the operator")
    assert await prompts(api, ann) == ["made with a key"]
    assert {"made with a key", "made by the operator"} <= set(await prompts(api, {}))


async def test_a_page_enters_a_key_and_leaves(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "_KEY_KEPT_S", 0.0)
    secret = key(api, "of a page")["Authorization"].removeprefix("Bearer ")
    async with httpx.AsyncClient(base_url=api.url, headers=from_elsewhere("203.0.113.50")) as browser:
        wrong = await browser.post("/api/session", json={"key": "limner_no"})
        assert (wrong.status_code, wrong.json()["code"]) == (401, "key_needed")
        assert "set-cookie" not in wrong.headers
        entered = await browser.post("/api/session", json={"key": f" {secret}\n"})
        assert (entered.status_code, entered.json()["name"]) == (200, "of a page")
        cookie = entered.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert "secure" not in cookie
        assert secret not in entered.headers["set-cookie"]
        assert (await browser.get("/api/generations")).status_code == 200
        assert (await browser.delete("/api/session")).status_code == 204
        assert (await browser.get("/api/generations")).status_code == 401
        await browser.post("/api/session", json={"key": secret})
        api.store.keys.revoke("of a page")
        assert (await browser.get("/api/generations")).status_code == 401


async def test_the_id_of_a_key_opens_nothing_while_its_page_is_open(api: Api) -> None:
    secret = key(api, "watched")["Authorization"].removeprefix("Bearer ")
    (key_id,) = (found.id for found in api.store.keys.all() if found.name == "watched")
    async with httpx.AsyncClient(base_url=api.url, headers=from_elsewhere("203.0.113.53")) as page:
        await page.post("/api/session", json={"key": secret})
        assert (await page.get("/api/generations")).status_code == 200
        stolen = await api.client.post(
            "/api/session", json={"key": key_id}, headers=from_elsewhere("203.0.113.54")
        )
    assert (stolen.status_code, stolen.json()["code"]) == (401, "key_needed")
    assert "set-cookie" not in stolen.headers


async def test_behind_https_the_cookie_is_for_https_alone(api: Api) -> None:
    secret = key(api, "over https")["Authorization"].removeprefix("Bearer ")
    headers = from_elsewhere("203.0.113.51") | {"X-Forwarded-Proto": "https"}
    answer = await api.client.post("/api/session", json={"key": secret}, headers=headers)
    assert "secure" in answer.headers["set-cookie"].lower()
    api.client.cookies.clear()


async def test_keys_cannot_be_tried_one_after_the_other(api: Api) -> None:
    headers = from_elsewhere("203.0.113.52")
    statuses = []
    for number in range(3 * people.SIGN_INS_A_MINUTE):  # a slow machine is given some more meanwhile
        answer = await api.client.post("/api/session", json={"key": f"limner_{number}"}, headers=headers)
        statuses.append(answer.status_code)
        if answer.status_code == 429:
            break
    assert statuses[:-1] == [401] * len(statuses[:-1])
    assert len(statuses) > people.SIGN_INS_A_MINUTE
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_keys_limits_are_told_and_kept(api: Api) -> None:
    headers = key(api, "limited", rate=3, quota=1000)
    for left in (2, 1, 0):
        answer = await api.client.post("/api/generations", json=PICTURE, headers=headers)
        assert answer.status_code == 202, answer.text
        assert '"minute";q=3;w=60' in answer.headers["ratelimit-policy"]
        assert '"day";q=1000;w=86400;qu="megapixel-steps"' in answer.headers["ratelimit-policy"]
        assert f'"minute";r={left};t=' in answer.headers["ratelimit"]
    refused = await api.client.post("/api/generations", json=PICTURE, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    assert 1 <= int(refused.headers["retry-after"]) <= 20
    assert '"minute";r=0' in refused.headers["ratelimit"]
    assert (await api.client.get("/api/generations", headers=headers)).status_code == 200
    assert (await session(api, headers))["spent"] > 0


async def test_a_spent_quota_is_said_and_others_go_on(api: Api) -> None:
    poor, rich = key(api, "poor", quota=PICTURE_COST * 1.5), key(api, "rich")
    answers = [
        await api.client.post("/api/generations", json=PICTURE, headers=poor | {"Prefer": "wait=20"})
        for _ in range(2)
    ]
    assert answers[0].status_code == 200
    assert (answers[1].status_code, answers[1].json()["code"]) == (429, "quota_spent")
    assert "midnight" in answers[1].json()["detail"]
    assert 1 <= int(answers[1].headers["retry-after"]) <= 86_400
    assert (await api.client.post("/api/generations", json=PICTURE, headers=rich)).status_code == 202


async def test_the_operator_has_no_limits_to_tell_of(api: Api) -> None:
    answer = await api.client.get("/api/generations")
    assert "ratelimit" not in answer.headers


async def test_visitors_are_told_apart_by_cookies(open_to_all: Api) -> None:
    api = open_to_all
    async with (
        httpx.AsyncClient(base_url=api.url, timeout=30) as ann,
        httpx.AsyncClient(base_url=api.url, timeout=30) as ben,
    ):
        for browser in (ann, ben):
            page = await browser.get("/")
            cookie = page.headers["set-cookie"].lower()
            assert "httponly" in cookie
            assert "samesite=lax" in cookie
            assert "private" in page.headers["cache-control"]
            assert (await browser.get("/api/session")).json()["kind"] == "visitor"
        made = (await ann.post("/api/generations", json=PICTURE)).json()
        assert (await ben.get(f"/api/generations/{made['id']}")).status_code == 404
        assert (await ben.get("/api/generations")).json()["items"] == []
        assert len((await ann.get("/api/generations")).json()["items"]) == 1
        before = ann.cookies["limner_visitor"]
        await ann.get("/")  # the cookie is renewed, the visitor the same
        assert before.split(".")[0] == ann.cookies["limner_visitor"].split(".")[0]
        forged = before.split(".")[0] + ".AAAA." + before.split(".")[2]
        headers = {"Cookie": f"limner_visitor={forged}"}
        assert (await api.client.get("/api/generations", headers=headers)).json()["items"] == []


async def test_without_a_cookie_a_visitor_is_an_address(open_to_all: Api) -> None:
    api = open_to_all
    one, other = from_elsewhere("203.0.113.1"), from_elsewhere("203.0.113.2")
    network = [from_elsewhere(f"2001:db8:1:2::{n}") for n in (1, 2)]
    assert (await api.client.post("/api/generations", json=PICTURE, headers=one)).status_code == 202
    assert (await api.client.post("/api/generations", json=PICTURE, headers=network[0])).status_code == 202
    assert len(await prompts(api, one)) == 1
    assert await prompts(api, other) == []
    assert len(await prompts(api, network[1])) == 1


async def test_where_visitors_are_let_in_nobody_is_the_operator(open_to_all: Api) -> None:
    api = open_to_all
    assert (await session(api, {}))["kind"] == "visitor"
    assert (await api.client.get("/metrics")).status_code == 403
    assert (await api.client.get("/metrics", headers=key(api, "boss", Scope.ADMIN))).status_code == 200
    secret = key(api, "ann")
    assert (await session(api, secret))["kind"] == "key"


async def test_visitors_are_limited_each_and_by_address(tmp_path: Path) -> None:
    small = Allowance(queued=9, rate=100, quota=PICTURE_COST)
    async with serving(tmp_path, visitors=small) as api:

        async def ask(visitor: int, address: str) -> int:
            cookie = api_cookie(api, f"{visitor:024x}")
            headers = from_elsewhere(address) | {"Cookie": f"limner_visitor={cookie}"}
            answer = await api.client.post("/api/generations", json=PICTURE, headers=headers)
            return answer.status_code

        assert [await ask(1, "203.0.113.1") for _ in range(2)] == [202, 429]
        others = [await ask(visitor, "203.0.113.1") for visitor in range(2, 8)]
        assert others == [202] * (people.VISITORS_OF_AN_ADDRESS - 1) + [429, 429]
        assert await ask(20, "203.0.113.9") == 202


async def test_an_address_is_given_only_so_many_cookies(
    open_to_all: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "NEWCOMERS_AN_HOUR", 3)
    given = []
    for _ in range(5):
        open_to_all.client.cookies.clear()
        page = await open_to_all.client.get("/", headers=from_elsewhere("203.0.113.77"))
        given.append("set-cookie" in page.headers)
    assert given == [True, True, True, False, False]
    open_to_all.client.cookies.clear()


async def test_a_visitor_may_have_only_so_many_waiting(open_to_all: Api) -> None:
    open_to_all.engine.step_s, open_to_all.engine.slots = 5.0, 1
    answers = [await open_to_all.client.post("/api/generations", json=PICTURE) for _ in range(6)]
    assert answers[-1].status_code == 429
    assert answers[-1].json()["code"] == "busy"
    assert "retry-after" in answers[-1].headers
    open_to_all.engine.step_s = 0.002


async def test_capabilities_tell_how_many_the_caller_may_have_waiting(open_to_all: Api) -> None:
    for headers, queued in (({}, 2), (key(open_to_all, "roomy", queued=7), 7)):
        found = (await open_to_all.client.get("/api/capabilities", headers=headers)).json()
        assert found["limits"]["queued"] == queued


def test_who_was_forgotten_among_very_many_may_no_more_than_a_visitor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "_KNOWN_AT_MOST", 1)
    small = Allowance(queued=2, rate=5, quota=1.0)
    with contextlib.closing(Store(tmp_path)) as store:
        crowd = people.People(store, Allowance(50), small)
        first = crowd.visitor("a" * 24, "203.0.113.1")
        crowd.visitor("b" * 24, "203.0.113.2")
        assert crowd.terms(first.person).allowance == small
        assert [purse.quota for purse in crowd.terms(first.person).purses] == [1.0]
        assert crowd.terms(OPERATOR).allowance == Allowance(50)


def api_cookie(api: Api, visitor: str) -> str:
    """What the server's own signature makes of a visitor's id."""
    return TimestampSigner(api.store.cookie_secret(), salt="limner_visitor").sign(visitor).decode()
