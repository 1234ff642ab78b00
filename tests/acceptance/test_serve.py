"""The real server process, with the shipped models, real files and real signals."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.running import RunningServer, limner, refused_in_one_line

PICTURE = {"prompt": "a red house at night", "seed": 7, "num_inference_steps": 8}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("serve") / "data") as running:
        yield running


def test_generation_with_prefer_wait_gives_a_picture(server: RunningServer) -> None:
    answer = httpx.post(
        f"{server.url}/api/generations", json=PICTURE, headers={"Prefer": "wait=60"}, timeout=90
    )
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert made["status"] == "succeeded"
    picture = Image.open(io.BytesIO(httpx.get(made["images"][0]["url"]).content))
    assert picture.format == "PNG"
    assert picture.size == (made["params"]["width"], made["params"]["height"])
    assert picture.text["parameters"].startswith("a red house at night\n")  # type: ignore[attr-defined]
    assert len(picture.convert("RGB").getcolors(1 << 16) or range(1 << 16)) > 100


def test_metrics_tell_of_the_engine_that_paints(server: RunningServer) -> None:
    answer = httpx.post(
        f"{server.url}/api/generations", json=PICTURE, headers={"Prefer": "wait=60"}, timeout=90
    )
    timings = answer.json()["timings"]
    assert min(timings[phase] for phase in ("encode_s", "steps_s", "decode_s", "save_s")) > 0, timings
    found = {}
    for line in httpx.get(f"{server.url}/metrics").text.splitlines():
        name, _, value = line.rpartition(" ")
        found[name] = value
    assert float(found["limner_engine_steps_total"]) >= 8
    assert float(found["limner_engine_rows_total"]) >= 8
    assert float(found['limner_engine_curve_seconds{model="starter",rows="1"}']) > 0
    assert float(found['limner_engine_state{state="ready"}']) == 1
    assert float(found['limner_image_phase_seconds_count{phase="file"}']) >= 1


def test_the_same_seed_makes_the_same_picture_alone_and_among_others(server: RunningServer) -> None:
    def submit(**values: object) -> str:
        answer = httpx.post(
            f"{server.url}/api/generations", json=PICTURE | {"num_inference_steps": 20} | values
        )
        return str(answer.headers["Location"])

    alone = finished(server, submit())
    crowd = [submit(), *(submit(seed=n, prompt="a blue fish", num_inference_steps=9 + n) for n in range(4))]
    among = next(finished(server, place) for place in crowd)
    one, other = (
        Image.open(io.BytesIO(httpx.get(job["images"][0]["url"]).content)) for job in (alone, among)
    )
    differences = [abs(a - b) for a, b in zip(one.tobytes(), other.tobytes(), strict=True)]
    assert max(differences) <= 2


def test_a_job_accepted_before_a_kill_finishes_after_the_restart(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "data") as server:
        jobs = [
            httpx.post(
                f"{server.url}/api/generations", json=PICTURE | {"num_inference_steps": 40, "num_images": 2}
            ).headers["Location"]
            for _ in range(3)
        ]
        time.sleep(0.5)
        server.signal(signal.SIGKILL)
        server.start(wait_ready=False)
        for job in jobs:
            done = finished(server, job)
            assert done["status"] == "succeeded"
            assert len(done["images"]) == 2
            assert all(httpx.get(image["url"]).status_code == 200 for image in done["images"])


def test_sigterm_ends_the_server_at_once_with_a_stream_open(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "data") as server:
        job = httpx.post(f"{server.url}/api/generations", json=PICTURE | {"num_inference_steps": 150}).json()
        with httpx.stream("GET", job["links"]["events"], timeout=30) as stream:
            next(stream.iter_lines())
            began = time.monotonic()
            assert server.signal(signal.SIGTERM) in (0, -signal.SIGTERM)
            assert time.monotonic() - began < 15


def test_engine_killed_under_a_running_job_costs_only_time(server: RunningServer) -> None:
    job = httpx.post(f"{server.url}/api/generations", json=PICTURE | {"num_inference_steps": 40}).headers[
        "Location"
    ]
    while httpx.get(absolute(server, job)).json()["status"] == "queued":
        time.sleep(0.02)
    for pid in engine_pids(server.pid):
        os.kill(pid, signal.SIGKILL)
    assert httpx.get(f"{server.url}/healthz").status_code == 200
    assert finished(server, job)["status"] == "succeeded"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model", "/no/such/folder"], "/no/such/folder"),
        (["--data-dir", "/dev/null/nowhere"], "/dev/null/nowhere"),
        (["--port", "99999"], "99999"),
        (["--prompt-model", "/no/such/writer"], "/no/such/writer"),
    ],
)
def test_a_start_that_cannot_work_is_refused_in_one_line(
    tmp_path: Path, arguments: list[str], says: str
) -> None:
    ended = limner("serve", "--port", "0", "--data-dir", str(tmp_path), *arguments)
    refused_in_one_line(ended, says)


def test_a_taken_port_is_refused_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = limner("serve", "--port", str(port), "--data-dir", str(tmp_path))
    refused_in_one_line(ended, str(port))


def test_a_folder_of_pickles_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    parts = {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL", "text_encoder": "CLIPTextModel"}
    index = {part: ["diffusers", name] for part, name in parts.items()}
    for part in parts:
        (folder / part).mkdir(parents=True)
        (folder / part / "config.json").write_text("{}")
        (folder / part / "pytorch_model.bin").write_bytes(b"\x80\x02.")
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"} | index))
    ended = limner("serve", "--port", "0", "--data-dir", str(tmp_path / "data"), "--model", str(folder))
    refused_in_one_line(ended, "safetensors")


def absolute(server: RunningServer, place: str) -> str:
    return place if place.startswith("http") else server.url + place


def finished(server: RunningServer, place: str) -> dict[str, Any]:
    for _ in range(1200):
        job: dict[str, Any] = httpx.get(absolute(server, place)).json()
        if job["status"] not in ("queued", "running"):
            return job
        time.sleep(0.1)
    raise AssertionError(f"{place} never ended")


def engine_pids(parent: int) -> list[int]:
    """The server's children that run the engine."""
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
                command = (entry / "cmdline").read_text()
            except OSError:
                continue
            if int(stat.rpartition(")")[2].split()[1]) == parent and "engine" in command:
                pids.append(int(entry.name))
    assert pids, "no engine process"
    return pids
