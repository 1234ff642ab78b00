"""What the marks of a picture cost: XMP and a signed C2PA manifest, against the same file without them.

    .venv/bin/python -m bench.marks [--rounds 40]

Both ways take turns in one run; medians, in milliseconds of wall time and of processor time.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from limner.engine.double import MODEL, cloud
from limner.engine.messages import ImageRequest
from limner.params import OutputFormat, resolve, submission
from limner.service import picture
from limner.service.provenance import Provenance
from limner.store.store import Store

SIZES_PX = (256, 512, 1024)
XMP = picture.XMP


def timed(work: Callable[[], bytes]) -> tuple[float, float, bytes]:
    """Milliseconds, milliseconds of processor time, and what `work` made."""
    began, spent = time.perf_counter(), time.thread_time()
    data = work()
    return 1e3 * (time.perf_counter() - began), 1e3 * (time.thread_time() - spent), data


def measure(provenance: Provenance, size_px: int, format: OutputFormat, rounds: int) -> str:
    """A row of the table."""
    params = resolve(submission(prompt="a red house at night"), (MODEL,), 7)
    text = picture.parameters_text(params, 7, size_px, size_px)
    # A little noise, so that the file weighs about what a painted one does.
    pixels = cloud(ImageRequest("", "", params, 7), size_px, size_px, 0.97)
    found = []
    for _ in range(rounds):
        vars(picture)["XMP"] = ""
        bare = timed(lambda: picture.encode(pixels, format, text))
        vars(picture)["XMP"] = XMP
        marked = timed(lambda: picture.encode(pixels, format, text))
        signed = timed(partial(provenance.signed, marked[2], format))
        weights = len(bare[2]), len(signed[2]) - len(bare[2])
        found.append((*bare[:2], marked[1] - bare[1], *signed[:2], *weights))
    wall, spent, xmp_spent, sign_wall, sign_spent, kb, more = map(statistics.median, zip(*found, strict=True))
    return (
        f"| {size_px}×{size_px} {format} | {kb / 1e3:.0f} | {wall:.1f} | {spent:.1f} "
        f"| {xmp_spent:.1f} | {sign_spent:.1f} | {sign_wall:.1f} | {more / 1e3:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="limner-marks-") as folder:
        store = Store(Path(folder))
        provenance = Provenance.of(store)
        print(
            "| picture | kB | encoding: wall | processor "
            "| XMP: processor | signing: processor | wall | marks, kB |"
        )
        print("| --- " * 8 + "|")
        for size_px in SIZES_PX:
            for format in OutputFormat:
                print(measure(provenance, size_px, format, rounds), flush=True)
        store.close()


if __name__ == "__main__":
    main()
