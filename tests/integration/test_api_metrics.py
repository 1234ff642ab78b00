"""`/metrics` through the real server."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from limner.store.keys import NewKey, Scope
from tests.serving import Api, serving

pytestmark = pytest.mark.anyio

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


async def metrics(api: Api) -> dict[str, float]:
    """Every sample by its name with its labels, such as `limner_jobs{state="queued"}`."""
    answer = await api.client.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


async def test_metrics_count_pictures_and_where_their_time_went(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        before = await metrics(api)
        assert before["limner_images_total"] == 0
        await api.painted(num_images=3)
        after = await metrics(api)
    assert after["limner_images_total"] == 3
    assert after['limner_jobs_ended_total{outcome="succeeded"}'] == 1
    assert after["limner_job_wait_seconds_count"] == after["limner_job_seconds_count"] == 1
    for phase in ("encode", "steps", "decode", "file"):
        assert after[f'limner_image_phase_seconds_count{{phase="{phase}"}}'] == 3
    assert after['limner_image_phase_seconds_sum{phase="steps"}'] > 0
    assert after['limner_image_phase_seconds_sum{phase="file"}'] > 0
    assert after["limner_job_seconds_sum"] >= after["limner_job_wait_seconds_sum"] >= 0


async def test_metrics_tell_how_long_the_queue_is_and_how_it_ended(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        api.engine.step_s, api.engine.slots = 0.2, 1
        jobs = [await api.generate() for _ in range(3)]
        while (await api.read(jobs[0]["id"]))["status"] == "queued":
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        waiting = await metrics(api)
        assert waiting['limner_jobs{state="running"}'] == 1
        assert waiting['limner_jobs{state="queued"}'] == 2
        assert waiting["limner_queue_oldest_seconds"] > 0.05
        for job in jobs:
            await api.client.post(f"/api/generations/{job['id']}/cancel")
        api.engine.step_s = 0.002
        ended = await api.generate("a cursed house")
        await api.over(ended["id"])
        over = await metrics(api)
    assert over['limner_jobs_ended_total{outcome="cancelled"}'] == 3
    assert over['limner_jobs_ended_total{outcome="failed"}'] == 1
    assert over['limner_jobs{state="queued"}'] == over["limner_queue_oldest_seconds"] == 0


async def test_metrics_tell_the_state_of_the_engine_and_of_the_prompt_writer(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        found = await metrics(api)
        for part in ("engine", "prompt_writer"):
            assert found[f'limner_{part}_state{{state="ready"}}'] == 1
            assert found[f'limner_{part}_state{{state="loading"}}'] == 0
        assert found["limner_engine_slots"] == api.engine.slots


async def test_metrics_tell_what_the_engine_counts_and_its_batch_curve(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        await api.painted(num_inference_steps=5)
        found = await metrics(api)
        stats = api.engine.stats()
    assert found["limner_engine_steps_total"] == found["limner_engine_rows_total"] == 5
    assert found['limner_engine_seconds_total{phase="steps"}'] == stats.steps_s > 0
    assert found["limner_engine_restarts_total"] == 0
    (curve,) = stats.curves
    for rows, seconds in curve.measured.items():
        assert found[f'limner_engine_curve_seconds{{model="double",rows="{rows}"}}'] == seconds
    assert found['limner_engine_most_rows{model="double"}'] == curve.most_rows


async def test_metrics_count_prompts_by_their_end(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        whole = await api.client.post("/api/prompts", json={"text": "a", "seed": 1})
        assert whole.status_code == 200
        pieces = len(whole.json()["text"].split()) - 1
        api.writer.fails = True
        assert (await api.client.post("/api/prompts", json={"seed": 1})).status_code == 503
        api.writer.fails = False
        api.writer.token_s = 0.2
        headers = {"Accept": "text/event-stream"}
        async with api.client.stream("POST", "/api/prompts", json={"seed": 2}, headers=headers) as stream:
            await anext(stream.aiter_lines())
        while not api.writer.stopped:
            await asyncio.sleep(0.01)
        found = await metrics(api)
    for outcome in ("finished", "failed", "stopped"):
        assert found[f'limner_prompts_total{{outcome="{outcome}"}}'] == 1, outcome
    assert found["limner_prompt_tokens_total"] >= pieces


async def test_requests_are_counted_by_route_template_whatever_strangers_send(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        for number in range(5):
            await api.client.get(f"/api/images/{number}")
            await api.client.get(f"/no/such/place/{number}")
            await api.client.get(f"/{number}")
            await api.client.request("PROPFIND", "/healthz")
            await api.client.get("/healthz", headers={"Host": f"stranger{number}.example"})
        found = await metrics(api)
    counted = {name for name in found if name.startswith("limner_http_requests_total")}
    assert found['limner_http_requests_total{method="GET",route="/api/images/{id}",status="404"}'] == 5
    assert found['limner_http_requests_total{method="GET",route="other",status="403"}'] == 5
    assert found['limner_http_requests_total{method="other",route="/healthz",status="405"}'] == 5
    assert len(counted) <= 6, counted
    assert found['limner_http_answer_seconds_count{route="/api/images/{id}"}'] == 5


async def test_no_label_holds_a_prompt_an_id_or_a_person(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        job = await api.painted("a very private prompt")
        await api.client.get(job["images"][0]["url"])
        text = (await api.client.get("/metrics")).text
    assert "private" not in text
    assert job["id"] not in text
    assert job["images"][0]["id"] not in text
    assert "operator" not in text


async def test_metrics_are_for_the_operator_and_for_keys_with_that_scope(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        statuses = {}
        for scope in Scope:
            key = api.store.keys.create(NewKey(scope, frozenset({scope})))
            answer = await api.client.get("/metrics", headers={"Authorization": f"Bearer {key}"})
            statuses[scope] = answer.status_code
            if answer.status_code == 403:
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["code"] == "not_allowed"
                assert "limner_jobs" not in answer.text
    assert statuses == {scope: 200 if scope is Scope.ADMIN else 403 for scope in Scope}


async def test_two_servers_in_one_process_count_apart(tmp_path: Path) -> None:
    async with serving(tmp_path / "a") as one, serving(tmp_path / "b") as other:
        await one.painted()
        assert (await metrics(one))["limner_images_total"] == 1
        assert (await metrics(other))["limner_images_total"] == 0


async def test_the_document_names_every_metric_and_no_other(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        await api.painted()
        text = (await api.client.get("/metrics")).text
    told = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    documented = set(re.findall(r"`((?:limner|process)_\w+)`", DOCUMENT.read_text()))
    assert told == documented
