"""`training/run_starter.sh` as a person runs it, from drawing to evaluation, at the smallest sizes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from limner.models.catalog import open_model
from training.work import load_checkpoint

ROOT = Path(__file__).parents[2]
SMALLEST = {
    "TEXT_STEPS": "20",
    "PICTURE_SHARDS": "1",
    "AUTOENCODER_STEPS": "6",
    "SHARDS": "1",
    "PICTURES": "256",
    "LAST_STAGE_STEPS": "2",
    "WORN_SHARDS": "1",
    "DECODER_STEPS": "4",
    "TRAJECTORY_SHARDS": "1",
    "DISTILL_STEPS": "3",
    "EVALUATE_FLAGS": "--count 20 --pairs 20",
}
WHOLE_S = 1800


@contextmanager
def started(work: Path, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Whatever of it still runs at the end is killed."""
    process = subprocess.Popen(
        ["sh", ROOT / "training" / "run_starter.sh", work, folder],
        env=os.environ | SMALLEST | {"PYTHON": sys.executable},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.slow
@pytest.mark.timeout(2 * WHOLE_S)
def test_the_starter_is_made_from_nothing_and_a_killed_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    work, folder = tmp_path / "work", tmp_path / "models" / "mine"
    deadline = time.monotonic() + WHOLE_S
    with started(work, folder) as killed:
        while not (work / "denoiser.pt").exists():
            assert killed.poll() is None, killed.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.1)
    kept = {name: (work / name).stat().st_mtime_ns for name in ("text_encoder.pt", "pictures/00000.npy")}

    with started(work, folder) as ended:
        printed, _ = ended.communicate(timeout=WHOLE_S)
    assert ended.returncode == 0, printed
    assert kept == {name: (work / name).stat().st_mtime_ns for name in kept}
    assert printed.count("20 held-out prompts") == 2
    guided, fast = open_model(str(folder)).info, open_model(str(folder.with_name("mine-fast"))).info
    assert (guided.num_inference_steps, fast.num_inference_steps, fast.guidance_scale) == (20, 4, 1.0)


@pytest.mark.slow
@pytest.mark.timeout(WHOLE_S)
def test_the_denoiser_is_trained_by_the_clock_and_goes_on_from_there(tmp_path: Path) -> None:
    """As on a GPU, with pictures drawn meanwhile; here it is too slow to learn much."""

    def run(step: str, *flags: str) -> None:
        subprocess.run(
            [sys.executable, "-m", f"training.{step}", "--work", tmp_path, *flags], cwd=ROOT, check=True
        )

    run("text_encoder", "--steps", "2")
    run("autoencoder", "--shards", "1", "--steps", "1")
    seen = []
    for _ in range(2):
        run("on_gpu", "--seconds", "1", "--batch", "2")
        state = load_checkpoint(tmp_path / "denoiser.pt")
        assert state is not None
        assert all(weight.isfinite().all() for weight in state["average"].values())
        seen.append(state["seen"])
    assert seen == [50, 100]
