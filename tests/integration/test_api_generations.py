"""Asking for pictures over HTTP, on a real SQLite record and a real socket."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from limner.engine.double import EngineDouble
from limner.engine.messages import Health
from limner.prompting.messages import WriterHealth
from tests.serving import Api, serving

pytestmark = pytest.mark.anyio


async def test_a_submission_is_accepted_with_everything_resolved(api: Api) -> None:
    answer = await api.client.post("/api/generations", json={"prompt": "  a red house "})
    made = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"{api.url}/api/generations/{made['id']}"
    assert made["links"]["self"] == answer.headers["location"]
    assert made["params"]["prompt"] == "a red house"
    assert None not in made["params"].values()
    assert 0 <= made["params"]["seed"] < 2**32
    assert abs((datetime.now(UTC) - datetime.fromisoformat(made["created_at"])).total_seconds()) < 10
    assert made["created_at"].endswith("Z")


async def test_prefer_wait_answers_200_with_the_pictures(api: Api) -> None:
    answer = await api.client.post(
        "/api/generations", json={"prompt": "x", "seed": 5}, headers={"Prefer": "respond-async, wait=20"}
    )
    made = answer.json()
    assert (answer.status_code, made["status"]) == (200, "succeeded")
    assert answer.headers["preference-applied"] == "wait=20"
    assert made["images"][0]["seed"] == 5
    assert (await api.client.get(made["images"][0]["url"])).headers["content-type"] == "image/png"
    timings = made["timings"]
    assert timings["total_s"] >= timings["steps_s"] > 0
    assert made["finished_at"] > made["created_at"]


async def test_prefer_wait_answers_202_when_the_time_is_over(tmp_path: Path) -> None:
    async with serving(tmp_path, EngineDouble(step_s=1)) as api:
        answer = await api.client.post("/api/generations", json={"prompt": "x"}, headers={"Prefer": "wait=0"})
        assert answer.status_code == 202
        assert answer.json()["status"] in ("queued", "running")


async def test_several_pictures_have_seeds_that_count_up_and_wrap(api: Api) -> None:
    made = await api.painted(seed=2**32 - 2, num_images=4)
    assert [image["index"] for image in made["images"]] == [0, 1, 2, 3]
    assert [image["seed"] for image in made["images"]] == [2**32 - 2, 2**32 - 1, 0, 1]
    assert len({image["id"] for image in made["images"]}) == 4


async def test_the_list_is_newest_first_and_goes_on_behind_its_cursor(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        made = [(await api.generate(f"picture {n}"))["id"] for n in range(5)]
        first = (await api.client.get("/api/generations?limit=3")).json()
        behind = {"limit": 3, "cursor": first["next_cursor"]}
        rest = (await api.client.get("/api/generations", params=behind)).json()
        assert [item["id"] for item in first["items"] + rest["items"]] == made[::-1]
        assert rest["next_cursor"] is None


async def test_one_idempotency_key_makes_one_job_from_fifty_submissions_at_once(api: Api) -> None:
    async def submit() -> str:
        answer = await api.client.post(
            "/api/generations", json={"prompt": "once"}, headers={"Idempotency-Key": "once"}
        )
        assert answer.is_success, answer.text
        return str(answer.json()["id"])

    ids = await asyncio.gather(*(submit() for _ in range(50)))
    assert len(set(ids)) == 1
    await api.over(ids[0])
    assert [request.params.prompt for request in api.engine.asked].count("once") == 1


async def test_an_idempotency_key_with_another_body_is_a_conflict(api: Api) -> None:
    headers = {"Idempotency-Key": "one"}
    await api.client.post("/api/generations", json={"prompt": "one"}, headers=headers)
    answer = await api.client.post("/api/generations", json={"prompt": "two"}, headers=headers)
    assert answer.status_code == 409
    assert answer.json()["code"] == "conflict"


async def test_a_full_queue_is_answered_at_once_with_when_to_come_back(tmp_path: Path) -> None:
    engine = EngineDouble(unhealthy=Health("loading", "reading weights"))
    async with serving(tmp_path, engine, max_queued=2) as api:
        await api.generate()
        assert (await api.generate())["position"] == 2
        answer = await api.client.post("/api/generations", json={"prompt": "x"})
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) > 0
        assert "2" in answer.json()["detail"]


async def test_jobs_accepted_while_the_engine_loads_are_made_when_it_is_ready(tmp_path: Path) -> None:
    engine = EngineDouble(step_s=0.002, unhealthy=Health("loading", "reading weights"))
    async with serving(tmp_path, engine) as api:
        ready = await api.client.get("/readyz")
        assert (ready.status_code, ready.json()["engine"]["detail"]) == (503, "reading weights")
        made = await api.generate()
        engine.unhealthy = None
        assert (await api.over(made["id"]))["status"] == "succeeded"
        assert (await api.client.get("/readyz")).status_code == 200


async def test_an_engine_that_has_given_up_is_said_at_once(tmp_path: Path) -> None:
    async with serving(tmp_path, EngineDouble(unhealthy=Health("failed", "no such device"))) as api:
        answer = await api.client.post("/api/generations", json={"prompt": "x"})
        assert answer.status_code == 503
        assert "retry-after" in answer.headers
        assert "no such device" in answer.json()["detail"]


async def test_random_lets_the_writer_complete_what_is_typed_before_it_is_stored(api: Api) -> None:
    made = await api.generate("a castle", random=True, seed=3)
    again = await api.generate("a castle", random=True, seed=3)
    assert made["params"]["prompt"].startswith("a castle a")
    assert made["params"]["prompt"] == again["params"]["prompt"]
    resent = await api.generate(**made["params"])
    assert resent["params"] == made["params"]
    written = (await api.client.post("/api/generations", json={"random": True})).json()
    assert len(written["params"]["prompt"]) > 5
    await api.over(made["id"])
    assert made["params"]["prompt"] in [request.params.prompt for request in api.engine.asked]


async def test_random_says_so_while_the_writer_loads(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.writer, "unhealthy", WriterHealth("loading"))
    answer = await api.client.post("/api/generations", json={"random": True})
    assert answer.status_code == 503
    assert "writer" in answer.json()["detail"]


async def test_a_queued_job_that_is_cancelled_never_reaches_the_engine(tmp_path: Path) -> None:
    async with serving(tmp_path, EngineDouble(step_s=0.001, unhealthy=Health("loading"))) as api:
        first = await api.generate("first")
        second = await api.generate("second")
        answer = await api.client.post(f"/api/generations/{first['id']}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
        api.engine.unhealthy = None
        assert (await api.over(second["id"]))["status"] == "succeeded"
        assert (await api.read(first["id"]))["status"] == "cancelled"
        assert [request.params.prompt for request in api.engine.asked] == ["second"]


async def test_cancelling_a_running_job_frees_its_slots_for_the_next(tmp_path: Path) -> None:
    async with serving(tmp_path, EngineDouble(step_s=0.02, slots=1)) as api:
        long = await api.generate(num_inference_steps=150, num_images=3)
        short = await api.generate(num_inference_steps=1)
        async for event in api.follow(long["id"]):
            if event.event == "progress":
                break
        await api.client.post(f"/api/generations/{long['id']}/cancel")
        assert (await api.over(short["id"]))["status"] == "succeeded"
        assert (await api.read(long["id"]))["status"] == "cancelled"
        assert len(api.engine.asked) == 2


async def test_cancelling_what_is_over_changes_nothing(api: Api) -> None:
    made = await api.painted()
    answer = await api.client.post(f"/api/generations/{made['id']}/cancel")
    assert answer.json()["status"] == "succeeded"
    assert answer.json()["finished_at"] == made["finished_at"]


async def test_deleting_removes_the_job_its_links_and_its_files(api: Api) -> None:
    made = await api.painted(num_images=2)
    files = [api.folder / "pictures" / i["id"][:2] / f"{i['id']}.png" for i in made["images"]]
    assert all(path.is_file() for path in files)
    assert (await api.client.delete(f"/api/generations/{made['id']}")).status_code == 204
    assert (await api.client.get(f"/api/generations/{made['id']}")).status_code == 404
    assert (await api.client.get(made["images"][0]["url"])).status_code == 404
    assert (await api.client.get(made["images"][0]["thumbnail_url"])).status_code == 404
    assert not any(list(path.parent.glob(f"{path.stem}*")) for path in files)
    assert (await api.client.delete(f"/api/generations/{made['id']}")).status_code == 404


async def test_deleting_a_running_job_ends_it_for_its_listeners(tmp_path: Path) -> None:
    async with serving(tmp_path, EngineDouble(step_s=0.02, slots=1)) as api:
        made = await api.generate(num_inference_steps=150)
        names = []
        async for event in api.follow(made["id"]):
            names.append(event.event)
            if names.count("progress") == 1 and event.event == "progress":
                await api.client.delete(f"/api/generations/{made['id']}")
        assert names[-1] == "cancelled"
        assert (await api.painted(num_inference_steps=1))["status"] == "succeeded"


async def test_a_picture_that_cannot_be_painted_fails_its_job_alone(api: Api) -> None:
    bad, good = await asyncio.gather(api.painted("a cursed house"), api.painted("a red house"))
    assert (bad["status"], good["status"]) == ("failed", "succeeded")
    assert bad["error"] == {"code": "engine_failed", "message": "this prompt cannot be painted"}


async def test_a_job_survives_an_engine_that_goes_away_twice(tmp_path: Path) -> None:
    async with serving(tmp_path, EngineDouble(step_s=0.002, slots=1, breakages=2)) as api:
        assert (await api.painted())["status"] == "succeeded"
        assert len(api.engine.asked) == 3
        assert len({request.id for request in api.engine.asked}) == 3


async def test_a_job_on_which_the_engine_goes_away_three_times_fails(tmp_path: Path) -> None:
    async with serving(tmp_path, EngineDouble(step_s=0.002, slots=1, breakages=3)) as api:
        made = await api.painted()
        assert made["status"] == "failed"
        assert "3 attempts" in made["error"]["message"]
        assert (await api.painted())["status"] == "succeeded"


async def test_never_more_requests_in_flight_than_the_engine_has_slots(tmp_path: Path) -> None:
    async with serving(tmp_path, EngineDouble(step_s=0.001, slots=3)) as api:
        await asyncio.gather(*(api.painted(num_images=2, num_inference_steps=5) for _ in range(6)))
        assert api.engine.most_at_once == 3
        assert len(api.engine.asked) == 12


async def test_queued_jobs_know_their_place_and_when_they_will_be_done(tmp_path: Path) -> None:
    async with serving(tmp_path, EngineDouble(step_s=0.01, slots=1)) as api:
        await api.painted()
        api.engine.unhealthy = Health("restarting")
        waiting = [await api.generate() for _ in range(3)]
        seen = [await api.read(made["id"]) for made in waiting]
        assert [made["position"] for made in seen] == [1, 2, 3]
        assert seen[0]["eta_s"] < seen[1]["eta_s"] < seen[2]["eta_s"]


async def test_capabilities_name_the_models_and_every_limit(api: Api) -> None:
    found = (await api.client.get("/api/capabilities")).json()
    assert found["models"][0]["name"] == "double"
    assert found["models"][0]["default"]
    assert found["limits"]["num_images"] == {"min": 1, "max": 16}
    assert found["limits"]["prompt_characters"] == 4000
    assert found["limits"]["num_inference_steps"] == {"min": 1, "max": 150}
    assert found["output_formats"] == ["png", "webp", "jpeg"]
    assert found["prompt_writer"]["name"] == "double"
