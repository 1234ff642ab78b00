"""A GPU by the true shapes of public models: random weights, nothing to download, Limner's own engine.

    python -m bench.gpu [--device cuda] [--only sd15 sd-turbo] [--seconds 10] [--compile] [--no-graphs]
    python -m bench.gpu --device cpu --tiny          # tries the code, measures nothing

Pictures go through the step loop: text, steps in batches, decode and copy to the host, but no file. Each is
asked for with a prompt of its own. Alone: one picture at a time; batched: as many as fill the best batch, and
a few that wait. The last column: how many of 255 levels a picture differs with CUDA graphs from without, and
in a crowd from alone. Needs torch, diffusers, transformers, accelerate and pydantic.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bench.shapes import SD15, SDXL, TURBO, TURBO_TINY, RandomModel, Shape, tiny
from limner.engine.child import SPARE_SLOTS
from limner.engine.gpu import GIB, prepare_gpu
from limner.engine.loop import StepLoop
from limner.engine.measure import Curves
from limner.engine.messages import EngineEvent, Failed, Finished, ImageRequest
from limner.engine.runner import Runner
from limner.models.catalog import describe
from limner.models.graph import GraphPool
from limner.models.network import Dtype
from limner.params import ModelInfo, resolve, submission

# An H200's arithmetic in bfloat16 and its memory, as measured by others.
TFLOP_S = 790.0
# Half of a 6 GB card's seventh goes to the driver.
CAPPED_GB = 5.5
ALONE = 3
MOST_PICTURES = 2000
HEADS = (
    *("model", "size, steps", "rows", "images/s", "asked", "of the floor"),
    *("alone", "steps/s", "asked", "GiB", "levels"),
)


@dataclass(frozen=True, slots=True)
class Case:
    """`memory_gb`: a cap, in GiB. `asked`: images a second batched, steps a second alone."""

    shape: Shape
    asked: tuple[float | None, float | None] = None, None
    dtype: Dtype = "auto"
    memory_gb: float | None = None

    @property
    def name(self) -> str:
        return self.shape.name if self.memory_gb is None else f"{self.shape.name}-6gb-{self.dtype}"


CASES = (
    Case(SD15, (11.0, 100.0)),
    Case(TURBO_TINY, (400.0, None)),
    Case(TURBO),
    Case(SDXL, (1.4, None)),
    Case(SD15, dtype="float16", memory_gb=CAPPED_GB),
)


@dataclass(frozen=True, slots=True)
class Painted:
    """`encode_s`, `steps_s`, `decode_s`: where the engine's time went; decoding runs beside the steps.

    `walk_s`: from each picture's first step to its last, what the host does in between included, added up.
    """

    pictures: int
    seconds: float
    steps: int
    encode_s: float
    steps_s: float
    decode_s: float
    walk_s: float

    @property
    def images_s(self) -> float:
        return self.pictures / self.seconds


@dataclass(frozen=True, slots=True)
class Levels:
    """How far, of 255, one picture alone is from itself kernel by kernel, and among others.

    Of random weights this tells whether a graph does the same work; trained ones differ more in a crowd.
    Without graphs it is decoded on another thread, for which cuDNN chooses its kernels anew.
    """

    graphs: int
    crowd: int


@dataclass(frozen=True, slots=True)
class Result:
    """One case measured. `curve_ms`: a step by rows; `of_floor`: of what the arithmetic alone allows."""

    name: str
    size: str
    steps: int
    guided: bool
    dtype: str
    rows: int
    curve_ms: dict[int, float]
    batched: Painted
    images_s: float
    of_floor: float
    asked_images_s: float | None
    alone: Painted
    alone_s: float
    steps_s: float
    asked_steps_s: float | None
    load_s: float
    peak_gb: float
    levels: Levels


def requests(info: ModelInfo, count: int, kind: str) -> list[ImageRequest]:
    made = []
    for i in range(count):
        params = resolve(submission(prompt=f"{kind} picture {i}"), (info,), seed=i)
        made.append(ImageRequest(f"{kind} {i}", "bench", params, i, previews=False))
    return made


def paint(loop: StepLoop, waiting: Sequence[ImageRequest], at_once: int) -> Painted:
    """All of them, `at_once` in the engine."""
    left, running, before, began = deque(waiting), 0, loop.stats, time.perf_counter()
    walk_s = 0.0
    while left or running:
        while left and running < at_once:
            loop.add(left.popleft())
            running += 1
        for event in loop.step():
            if isinstance(event, Failed):
                raise SystemExit(f"{event.request_id}: {event.reason}")
            if isinstance(event, Finished):
                running -= 1
                walk_s += event.timings.steps_s
    after = loop.stats
    return Painted(
        pictures=len(waiting),
        seconds=time.perf_counter() - began,
        steps=after.steps - before.steps,
        encode_s=after.encode_s - before.encode_s,
        steps_s=after.steps_s - before.steps_s,
        decode_s=after.decode_s - before.decode_s,
        walk_s=walk_s,
    )


def first_of(loop: StepLoop, wanted: Sequence[ImageRequest]) -> NDArray[np.int16]:
    """The first one's pixels, when all are painted at once."""
    for request in wanted:
        loop.add(request)
    found = [event for event in _until_done(loop) if isinstance(event, Finished)]
    return next(event.pixels for event in found if event.request_id == wanted[0].id).astype(np.int16)


def _until_done(loop: StepLoop) -> Iterator[EngineEvent]:
    while loop.busy:
        yield from loop.step()


def levels(model: RandomModel, info: ModelInfo, loop: StepLoop, crowd: int) -> Levels:
    wanted = requests(info, crowd, "compared")
    alone = first_of(loop, wanted[:1])
    plain = first_of(StepLoop(Runner({info.name: model})), wanted[:1])
    return Levels(int(abs(alone - plain).max()), int(abs(alone - first_of(loop, wanted)).max()))


def measure(case: Case, asked: argparse.Namespace, folder: Path) -> Result:
    shape, name, cuda = case.shape, case.shape.name, asked.device == "cuda"
    if cuda:
        prepare_gpu(memory_gb=case.memory_gb)
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    model = RandomModel(shape, folder, asked.device, case.dtype if cuda else "float32", asked.compile)
    info = describe(folder, name, default=True)
    graphs = GraphPool(torch.device(asked.device)) if cuda and asked.graphs else None
    runner = Runner({name: model}, graphs=graphs)
    curve = runner.warm_up(name, info.width, info.height, Curves(folder / "curves.json"), name)
    load_s = time.perf_counter() - began
    loop, fits = StepLoop(runner), max(1, curve.most_rows // shape.rows)
    paint(loop, requests(info, fits + 1, "first"), fits + 1)  # what is chosen or captured at first use
    alone = paint(loop, requests(info, ALONE, "alone"), 1)
    waves = round(asked.seconds / (shape.steps * curve.step_s(curve.most_rows)))
    count = max(2 * fits, min(MOST_PICTURES, waves * fits))
    batched = paint(loop, requests(info, count, "batched"), fits + SPARE_SLOTS)
    return Result(
        name=case.name,
        size=f"{info.width}×{info.height}",
        steps=shape.steps,
        guided=shape.rows == 2,
        dtype=str(model.dtype).removeprefix("torch."),
        rows=curve.most_rows,
        curve_ms={rows: 1000 * seconds for rows, seconds in curve.measured.items()},
        batched=batched,
        images_s=batched.images_s,
        of_floor=batched.images_s / shape.images_s_at(asked.tflop_s),
        asked_images_s=case.asked[0],
        alone=alone,
        alone_s=alone.seconds / alone.pictures,
        steps_s=alone.steps / alone.walk_s,
        asked_steps_s=case.asked[1],
        load_s=load_s,
        peak_gb=torch.cuda.max_memory_reserved() / GIB if cuda else 0.0,
        levels=levels(model, info, loop, fits),
    )


def in_its_own_process(work: Callable[..., Result], *given: object) -> Result:
    """So that no case finds what another left on the GPU."""
    with ProcessPoolExecutor(1, get_context("spawn"), log_to_the_terminal) as process:
        return process.submit(work, *given).result()


def log_to_the_terminal() -> None:
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")


def table(results: Sequence[Result]) -> str:
    lines = [_line(HEADS), _line("---" for _ in HEADS), *(_line(_cells(found)) for found in results)]
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(found: Result) -> tuple[str, ...]:
    return (
        found.name,
        f"{found.size}, {found.steps}{' guided' if found.guided else ''}, {found.dtype}",
        f"{found.rows}",
        f"{found.images_s:.2f}",
        _asked(found.asked_images_s),
        f"{100 * found.of_floor:.0f} %",
        f"{found.alone_s:.3f} s",
        f"{found.steps_s:.1f}",
        _asked(found.asked_steps_s),
        f"{found.peak_gb:.1f}",
        f"{found.levels.graphs}, {found.levels.crowd}",
    )


def _asked(figure: float | None) -> str:
    return "" if figure is None else f"≥ {figure:g}"


def device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else "a processor"


def arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--only", nargs="+", choices=[case.name for case in CASES], metavar="NAME")
    parser.add_argument("--seconds", type=float, default=10.0, help="of the batched run of each")
    parser.add_argument("--tflop-s", type=float, default=TFLOP_S, help="of the floor")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--no-graphs", dest="graphs", action="store_false")
    parser.add_argument("--tiny", action="store_true", help="tiny networks, to try the code")
    parser.add_argument("--output", type=Path, default=Path("gpu.json"))
    return parser.parse_args(given)


def main(given: Sequence[str]) -> list[Result]:
    asked = arguments(given)
    cases = [case for case in CASES if not asked.only or case.name in asked.only]
    results = []
    for case in cases:
        taken = replace(case, shape=tiny(case.shape), asked=(None, None)) if asked.tiny else case
        with tempfile.TemporaryDirectory(prefix="limner-") as folder:
            results.append(in_its_own_process(measure, taken, asked, Path(folder)))
        print(table(results[-1:]).splitlines()[-1], flush=True)
        # After each, so that what comes later cannot lose it.
        report = {
            "device": device_name(asked.device),
            "torch": torch.__version__,
            "compiled": asked.compile,
            "graphs": asked.graphs,
            "tiny": asked.tiny,
            "floor_tflop_s": asked.tflop_s,
            "results": [asdict(result) for result in results],
        }
        asked.output.write_text(json.dumps(report, indent=1), encoding="utf-8")
    kind = "tiny networks on " if asked.tiny else ""
    print(f"\n{kind}{device_name(asked.device)}, PyTorch {torch.__version__}\n\n{table(results)}")
    return results


if __name__ == "__main__":
    main(sys.argv[1:])
