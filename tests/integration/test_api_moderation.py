"""What is refused, who learns of it, and what is kept for the day somebody complains."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import sqlite3
import stat
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from httpx_sse import aconnect_sse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from limner.engine.double import EngineDouble
from limner.errors import Unusable
from limner.prompting.double import PromptWriterDouble
from limner.prompting.messages import PromptRequest
from limner.service import hook as hooks
from limner.service.inspection import digest
from limner.service.moderation import Mode, Moderation
from limner.store.store import Store
from tests.serving import Api, serving

pytestmark = pytest.mark.anyio

on = partial(Moderation, mode="on")
strict = partial(Moderation, mode="strict")


class Author(PromptWriterDouble):
    """Writes `says`, a piece at a time."""

    says: tuple[str, ...] = ()

    def _pieces(self, request: PromptRequest) -> list[str]:
        return list(self.says)


@dataclass
class Judge:
    """A real HTTP server that says no to what contains `no`, or answers as `answers`."""

    url: str = ""
    no: str = "forbidden"
    no_pictures: bool = False
    answers: Callable[[], Awaitable[Response]] | None = None
    answers_on: tuple[str, ...] = ("prompt", "picture")
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def answer(self, request: Request) -> Response:
        question = json.loads(await request.body())
        self.asked.append(question)
        if self.answers is not None and question["stage"] in self.answers_on:
            return await self.answers()
        bad = self.no in question["prompt"] or (self.no_pictures and question["stage"] == "picture")
        return Response(json.dumps({"allowed": not bad}), media_type="application/json")


@contextlib.asynccontextmanager
async def judging() -> AsyncIterator[Judge]:
    judge = Judge()
    app = Starlette(routes=[Route("/check", judge.answer, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, timeout_graceful_shutdown=1))
    with contextlib.ExitStack() as stack:
        vars(server)["capture_signals"] = contextlib.nullcontext
        running = asyncio.create_task(server.serve())
        stack.callback(lambda: setattr(server, "should_exit", True))
        while not server.started:
            await asyncio.sleep(0.005)
        judge.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/check"
        yield judge
    await running


@pytest.fixture
async def judge() -> AsyncGenerator[Judge]:
    async with judging() as running:
        yield running


async def asked(api: Api, prompt: str, **values: Any) -> tuple[int, dict[str, Any]]:
    answer = await api.client.post("/api/generations", json={"prompt": prompt} | values)
    return answer.status_code, answer.json()


def logged(api: Api) -> list[tuple[str, str, str, str | None]]:
    with contextlib.closing(sqlite3.connect(api.folder / "limner.db")) as record:
        return record.execute("SELECT person, event, prompt, picture FROM abuse ORDER BY number").fetchall()


def hashed(api: Api, prompt: str) -> str:
    key = (api.folder / "abuse.key").read_bytes()
    return hmac.new(key, prompt.encode(), hashlib.sha256).hexdigest()


async def test_nothing_is_refused_or_logged_unless_asked(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        assert (await api.painted("porn"))["status"] == "succeeded"
        assert logged(api) == []
        assert not (tmp_path / "abuse.key").exists()


async def test_a_refused_caller_learns_that_and_no_more(tmp_path: Path) -> None:
    async with serving(tmp_path, moderation=on) as api:
        status, problem = await asked(api, "hentai, a red house")
        assert (status, problem["code"], problem["errors"]) == (422, "refused", [])
        assert "hentai" not in json.dumps(problem)
        assert api.engine.asked == []
        assert (await asked(api, "a red house", negative_prompt="lolicon"))[0] == 422
        assert (await api.painted("a red house", negative_prompt="nsfw, nude"))["status"] == "succeeded"
        assert [
            row["params"]["prompt"] for row in (await api.client.get("/api/generations")).json()["items"]
        ] == ["a red house"]


async def test_the_abuse_log_tells_who_and_what_by_hashes(tmp_path: Path) -> None:
    async with serving(tmp_path, moderation=on) as api:
        await asked(api, "hentai")
        made = await api.painted("a red house", output_format="webp")
        data = (await api.client.get(made["images"][0]["url"])).content
        assert logged(api) == [
            ("operator", "prompt_refused", hashed(api, "hentai"), None),
            ("operator", "painted", hashed(api, "a red house"), digest(data)),
        ]
        await api.client.delete(f"/api/generations/{made['id']}")
        assert len(logged(api)) == 2
        assert stat.S_IMODE((tmp_path / "abuse.key").stat().st_mode) == 0o600


async def test_the_abuse_log_forgets_at_the_start_what_is_too_old(tmp_path: Path) -> None:
    async with serving(tmp_path, moderation=on) as api:
        await asked(api, "hentai")
        await asked(api, "porn")
        with contextlib.closing(sqlite3.connect(tmp_path / "limner.db")) as record, record:
            record.execute("UPDATE abuse SET at = ? WHERE number = 1", (time.time() - 31 * 86_400,))
    async with serving(tmp_path) as api:
        async with asyncio.timeout(10):
            while len(logged(api)) > 1:
                await asyncio.sleep(0.02)
        assert logged(api)[0][2] == hashed(api, "porn")


async def test_without_days_nothing_is_logged(tmp_path: Path) -> None:
    async with serving(tmp_path, moderation=partial(on, log_days=0)) as api:
        assert (await asked(api, "hentai"))[0] == 422
        await api.painted()
        assert logged(api) == []


async def test_what_the_prompt_writer_is_given_is_checked_before_it_writes(tmp_path: Path) -> None:
    async with serving(tmp_path, moderation=on) as api:
        answer = await api.client.post("/api/prompts", json={"text": "hentai of"})
        assert (answer.status_code, answer.json()["code"]) == (422, "refused")
        assert (await asked(api, "hentai of", random=True))[0] == 422
        assert api.writer.asked == []
        assert [row[1] for row in logged(api)] == ["prompt_refused"] * 2


async def test_what_the_prompt_writer_wrote_is_refused_but_not_held_against_the_person(
    tmp_path: Path,
) -> None:
    writer = Author(token_s=0.001)
    writer.says = (" house", " full of", " hentai", " art")
    async with serving(tmp_path, writer=writer, moderation=on) as api:
        assert (await asked(api, "a red", random=True))[0] == 422
        answer = await api.client.post("/api/prompts", json={"text": "a red"})
        assert (answer.status_code, answer.json()["code"]) == (422, "refused")
        assert logged(api) == []
        assert 'limner_prompts_total{outcome="refused"} 2' in (await api.client.get("/metrics")).text


async def streamed(api: Api, text: str) -> list[tuple[str, dict[str, Any]]]:
    body, headers = {"text": text}, {"Accept": "text/event-stream"}
    async with aconnect_sse(api.client, "POST", "/api/prompts", json=body, headers=headers) as source:
        return [(event.event, json.loads(event.data)) async for event in source.aiter_sse()]


async def test_a_stream_ends_before_a_forbidden_word_that_comes_in_pieces(tmp_path: Path) -> None:
    writer = Author(token_s=0.001)
    writer.says = (" house", " full", " of", " por", "n", ",", " more", " of", " it")
    async with serving(tmp_path, writer=writer, moderation=on) as api:
        events = await streamed(api, "a red")
        assert [kind for kind, _ in events] == ["token", "token", "token", "error"]
        assert "".join(data["text"] for kind, data in events if kind == "token") == " house full of"
        assert events[-1][1]["code"] == "refused"
        assert writer.stopped == 1


async def test_a_harmless_stream_comes_whole_word_by_word(tmp_path: Path) -> None:
    writer = Author(token_s=0.001)
    writer.says = (" field of rape", "seed", " in", " Scun", "thorpe", "  at night", ".")
    async with serving(tmp_path, writer=writer, moderation=on) as api:
        events = await streamed(api, "a red")
        assert events[-1][0] == "done"
        assert events[-1][1]["text"] == "a red field of rapeseed in Scunthorpe  at night."
        assert "".join(data["text"] for kind, data in events if kind == "token") == "".join(writer.says)
        assert len(events) > 4


async def test_a_flagged_picture_fails_its_job_and_is_not_kept(tmp_path: Path) -> None:
    async with serving(tmp_path, moderation=partial(on, checker=True)) as api:
        job = await api.generate("an unsafe house")
        ended = await api.over(job["id"])
        assert (ended["status"], ended["images"]) == ("failed", [])
        assert ended["error"] == {"code": "moderated", "message": "the picture was refused"}
        assert [path for path in (tmp_path / "pictures").rglob("*") if path.is_file()] == []
        (row,) = logged(api)
        assert row[:3] == ("operator", "picture_refused", hashed(api, "an unsafe house"))
        assert row[3] is not None
        assert len(row[3]) == 64
        assert (await api.painted("a red house"))["status"] == "succeeded"


@pytest.mark.parametrize(("mode", "previews"), [("on", True), ("strict", False)])
async def test_strict_shows_no_preview_of_what_nobody_has_checked(
    tmp_path: Path, mode: Mode, previews: bool
) -> None:
    moderation = partial(Moderation, mode=mode, checker=True)
    async with serving(tmp_path, EngineDouble(step_s=0.05), moderation=moderation) as api:
        job = await api.generate()
        kinds = {event.event for event in await api.events(job["id"])}
        assert ("preview" in kinds) is previews
        assert "progress" in kinds


async def test_a_hook_judges_prompts_and_pictures(tmp_path: Path, judge: Judge) -> None:
    async with serving(tmp_path, moderation=partial(on, url=judge.url)) as api:
        assert (await asked(api, "a forbidden house"))[1]["code"] == "refused"
        made = await api.painted("a red house", negative_prompt="rain", output_format="jpeg")
        before, after = judge.asked[1:]
        told = {"person": "operator", "prompt": "a red house", "negative_prompt": "rain"}
        assert before == {"stage": "prompt"} | told
        image = base64.b64decode(after.pop("image"))
        assert after == {"stage": "picture", "media_type": "image/jpeg"} | told
        assert image == (await api.client.get(made["images"][0]["url"])).content
        judge.no_pictures = True
        ended = await api.over((await api.generate("a red house"))["id"])
        assert ended["error"]["code"] == "moderated"


async def test_a_hook_sees_what_is_written_before_anybody_else_does(tmp_path: Path, judge: Judge) -> None:
    writer = Author(token_s=0.001)
    writer.says = (" house", " and a", " forbidden", " tree")
    async with serving(tmp_path, writer=writer, moderation=partial(on, url=judge.url)) as api:
        assert (await api.client.post("/api/prompts", json={"text": "a red"})).status_code == 422
        judge.no = "nothing"
        events = await streamed(api, "a red")
        assert [kind for kind, _ in events] == ["token"] * 4 + ["done"]
        assert judge.asked[-1]["prompt"] == "a red house and a forbidden tree"


async def by_other_protocols(api: Api, prompt: str) -> tuple[httpx.Response, httpx.Response, httpx.Response]:
    """What `/v1` answers, and with a stream, and what `/sdapi` answers."""
    body = {"prompt": prompt}
    return (
        await api.client.post("/v1/images/generations", json=body),
        await api.client.post("/v1/images/generations", json=body | {"stream": True}),
        await api.client.post("/sdapi/v1/txt2img", json=body),
    )


def last_event(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200
    name, data = answer.text.strip().split("\n\n")[-1].split("\n")
    assert name == "event: error"
    found: dict[str, Any] = json.loads(data.removeprefix("data: "))
    return found


@pytest.mark.parametrize("prompt", ["hentai", "an unsafe house"])
async def test_clients_of_other_protocols_are_refused_as_they_know_it(tmp_path: Path, prompt: str) -> None:
    async with serving(tmp_path, moderation=partial(on, checker=True)) as api:
        openai, stream, automatic = await by_other_protocols(api, prompt)
    error = openai.json()["error"]
    assert (openai.status_code, error["type"]) == (400, "image_generation_user_error")
    assert (error["code"], error["param"]) == ("moderation_blocked", None)
    assert (stream.json() if stream.status_code == 400 else last_event(stream)) == openai.json()
    assert (automatic.status_code, automatic.json()["error"]) == (422, "refused")


async def test_clients_of_other_protocols_may_ask_again_for_what_could_not_be_checked(
    tmp_path: Path, judge: Judge
) -> None:
    judge.answers, judge.answers_on = broken, ("picture",)
    async with serving(tmp_path, moderation=partial(strict, url=judge.url)) as api:
        openai, stream, automatic = await by_other_protocols(api, "a red house")
    for answer in (openai, automatic):
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
    assert openai.json()["error"]["type"] == "server_error"
    assert last_event(stream) == openai.json()
    assert "could not be checked" in automatic.json()["detail"]


async def broken() -> Response:
    return Response("oops", 500)


async def garbled() -> Response:
    return Response('{"allowed": "maybe"}')


async def slow() -> Response:
    await asyncio.sleep(3)
    return Response('{"allowed": true}')


@pytest.mark.parametrize("answers", [broken, garbled, slow])
async def test_a_hook_that_does_not_answer_stops_all_when_strict_and_nobody_otherwise(
    tmp_path: Path, judge: Judge, monkeypatch: pytest.MonkeyPatch, answers: Callable[[], Awaitable[Response]]
) -> None:
    monkeypatch.setattr(hooks, "TIMEOUT_S", 0.3)
    async with serving(tmp_path / "open", moderation=partial(on, url=judge.url)) as api:
        judge.answers = answers
        assert (await api.painted())["status"] == "succeeded"
    async with serving(tmp_path / "closed", moderation=partial(strict, url=judge.url)) as api:
        answer = await api.client.post("/api/generations", json={"prompt": "a red house"})
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert int(answer.headers["retry-after"]) > 0
        judge.answers_on = ("picture",)
        job = await api.generate()
        ended = await api.over(job["id"])
        assert (ended["status"], ended["images"], ended["error"]["code"]) == ("failed", [], "unchecked")
        assert logged(api) == []


async def test_a_hook_that_is_gone_is_treated_as_one_that_does_not_answer(tmp_path: Path) -> None:
    gone = "http://127.0.0.1:9/check"
    async with serving(tmp_path / "open", moderation=partial(on, url=gone)) as api:
        assert (await api.painted())["status"] == "succeeded"
    async with serving(tmp_path / "closed", moderation=partial(strict, url=gone)) as api:
        assert (await asked(api, "a red house"))[0] == 503


@pytest.mark.parametrize(
    ("mode", "given", "told"),
    [
        ("off", {"checker": True}, "--safety-checker does nothing while --moderation is off"),
        ("off", {"url": "http://127.0.0.1/"}, "--moderation-url does nothing"),
        ("off", {"blocklist": Path("list.txt")}, "--blocklist does nothing"),
        ("on", {"url": "ftp://127.0.0.1/"}, "begins with http"),
        ("on", {"url": "127.0.0.1:80/check"}, "begins with http"),
        ("on", {"blocklist": Path("/nowhere/list.txt")}, "--blocklist /nowhere/list.txt cannot be read"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    tmp_path: Path, mode: Any, given: dict[str, Any], told: str
) -> None:
    with contextlib.closing(Store(tmp_path)) as store, pytest.raises(Unusable, match=told):
        Moderation(store, mode, **given)


def test_a_list_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00")
    with contextlib.closing(Store(tmp_path)) as store, pytest.raises(Unusable, match="UTF-8"):
        Moderation(store, "on", blocklist=tmp_path / "list.txt")


async def test_a_list_of_ones_own_takes_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\ufeffmauve\n")
    moderation = partial(on, blocklist=tmp_path / "list.txt")
    async with serving(tmp_path / "data", moderation=moderation) as api:
        assert (await asked(api, "a mauve house"))[0] == 422
        assert (await asked(api, "hentai"))[0] == 202
