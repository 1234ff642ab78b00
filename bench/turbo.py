"""A picture of SD-Turbo's shape in one step, from POST to PNG on this processor, against diffusers' pipeline.

    .venv/bin/python -m bench.turbo [--rounds 2] [--dtype auto] [--folder PATH] [--tiny]

Random weights in float16 files. The real server, with the tiny decoder and with the full VAE, one after the
other; diffusers in its float32 default with the full VAE, without a file. A new prompt each time, after one
picture that does not count. Let nothing else run; it takes 12 GB of memory and of disk (`--tiny`: little).
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import torch
from diffusers import StableDiffusionPipeline

from bench.folders import SHARED, write
from bench.shapes import TURBO, TURBO_TINY, tiny
from limner.models.kept import identity, part_files

BARS = {TURBO_TINY.name: 0.15, TURBO.name: 0.4}
TIMINGS = ("queue_s", "encode_s", "steps_s", "decode_s", "save_s")
CHILD_S = START_S = 300.0
PROMPT = "a red house at night {}"


def in_child(work: Callable[..., Any], *values: Any) -> Any:
    """What `work` returns in a process of its own, which gives its memory back."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply_async(work, values).get(CHILD_S)
        pool.close()
        pool.join()
    return found


def by_diffusers(folder: Path, size: int, rounds: int) -> list[float]:
    """Seconds of each picture."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32, low_cpu_mem_usage=False)
    pipeline.set_progress_bar_config(disable=True)
    times = []
    for n in range(rounds + 1):
        began = time.perf_counter()
        pipeline(PROMPT.format(n), width=size, height=size, num_inference_steps=1, guidance_scale=0.0)
        times.append(time.perf_counter() - began)
    return times[1:]


@contextmanager
def serving(folder: Path, cache: Path, dtype: str) -> Iterator[httpx.Client]:
    """A client of the real server, which is ready; at the end its words about the model are printed."""
    data, log = folder.with_suffix(".data"), folder.with_suffix(".log")
    flags = ["--model", str(folder), "--data-dir", str(data), "--cache-dir", str(cache), "--dtype", dtype]
    command = [sys.executable, "-m", "limner", "serve", "--port", "0", *flags]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        began, found = time.monotonic(), None
        while found is None or httpx.get(f"{found[0]}/readyz", timeout=60).status_code != 200:
            time.sleep(0.1)
            told = log.read_text()
            assert process.poll() is None, told
            assert time.monotonic() < began + START_S, told
            found = re.search(r"http://127\.0\.0\.1:\d+", told)
        print(f"{folder.name} ready after {time.monotonic() - began:.0f} s", file=sys.stderr)
        with httpx.Client(base_url=found[0], timeout=120, headers={"Prefer": "wait=60"}) as client:
            yield client
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        print(*re.findall(r".*(?:computes in|by rows).*", log.read_text()), sep="\n", file=sys.stderr)


def by_limner(client: httpx.Client, size: int, rounds: int) -> list[dict[str, float]]:
    """Each picture's own timings, and `seconds` from POST to the last byte of its PNG."""
    asked = {"width": size, "height": size, "num_inference_steps": 1, "guidance_scale": 0.0}
    found = []
    for n in range(rounds + 1):
        began = time.perf_counter()
        answer = client.post("/api/generations", json=asked | {"prompt": PROMPT.format(n)})
        made = answer.json()
        assert made.get("status") == "succeeded", answer.text
        picture = client.get(made["images"][0]["url"]).content
        seconds = time.perf_counter() - began
        assert picture.startswith(b"\x89PNG")
        found.append({"seconds": seconds} | {name: made["timings"][name] for name in TIMINGS})
    return found[1:]


def share_conversion(cache: Path, one: Path, other: Path) -> None:
    """What was converted of the networks that both folders have is not converted again."""
    for part in SHARED:
        here, there = (cache / "models" / identity(part_files(folder, part)) for folder in (one, other))
        there.symlink_to(here)


def measure(root: Path, asked: argparse.Namespace) -> None:
    shapes = [tiny(shape) if asked.tiny else shape for shape in (TURBO_TINY, TURBO)]
    size, folders = 8 * shapes[0].unet["sample_size"], [root / shape.name for shape in shapes]
    write(shapes, root)
    plain = in_child(by_diffusers, folders[1], size, asked.rounds)
    print(f"{size}×{size}, one step, {asked.rounds} rounds, medians in seconds; Limner in {asked.dtype}")
    print("| | each | median | of diffusers | bar | " + " | ".join(TIMINGS) + " |")
    print("| --- " * (5 + len(TIMINGS)) + "|")
    print(
        row("diffusers float32, full VAE", plain, statistics.median(plain), "", *[""] * len(TIMINGS)),
        flush=True,
    )
    for number, folder in enumerate(folders):
        if number:
            share_conversion(root / "cache", folders[0], folder)
        with serving(folder, root / "cache", asked.dtype) as client:
            found = by_limner(client, size, asked.rounds)
        spent = [f"{statistics.median(one[name] for one in found):.3f}" for name in TIMINGS]
        bar = "" if asked.tiny else f"{BARS[folder.name]}"
        times = [one["seconds"] for one in found]
        print(row(folder.name, times, statistics.median(plain), bar, *spent), flush=True)


def row(name: str, times: list[float], against_s: float, bar: str, *spent: str) -> str:
    middle = statistics.median(times)
    each = ", ".join(f"{seconds:.2f}" for seconds in times)
    return f"| {name} | {each} | {middle:.2f} | {middle / against_s:.3f} | {bar} | {' | '.join(spent)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--dtype", default="auto", help="of Limner; auto: with its trial at the start")
    parser.add_argument(
        "--folder", type=Path, help="an empty one for all files, which stay; else a temporary"
    )
    parser.add_argument("--tiny", action="store_true", help="the same in a few numbers, to try it")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="limner-turbo-") as temporary:
        measure(asked.folder or Path(temporary), asked)


if __name__ == "__main__":
    main()
