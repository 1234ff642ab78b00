"""The measurement for GPUs runs, on networks so small that a processor paints with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from bench.gpu import CASES, main
from bench.shapes import SD15, SDXL, TURBO, TURBO_TINY


def test_models_are_measured_through_the_engine_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, cases = tmp_path / "gpu.json", [case for case in CASES if case.shape in (SD15, TURBO_TINY, SDXL)]
    cases = [case for case in cases if case.memory_gb is None]
    only = ["--only", *(case.name for case in cases)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        results = main(["--device", "cpu", "--tiny", "--seconds", "0.1", *only, "--output", str(report)])
    finally:
        torch.set_num_threads(threads)
    assert [result.name for result in results] == [case.name for case in cases]
    for result, case in zip(results, cases, strict=True):
        assert result.batched.pictures >= 2
        assert result.images_s > 0
        assert result.alone.steps == result.alone.pictures * result.steps
        assert result.levels.graphs == 0
        assert result.levels.crowd <= 2
        assert result.guided == (case.shape.rows == 2)
    told = json.loads(report.read_text())
    assert told["tiny"] is True
    assert [each["name"] for each in told["results"]] == [case.name for case in cases]
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("| sdxl | 64×64, 3 guided, float32") for line in lines) == 2


def test_ceilings_are_those_of_the_arithmetic() -> None:
    """What docs/performance.md states for an H200."""
    ceilings = [round(shape.images_s_at(790), 1) for shape in (SD15, TURBO, TURBO_TINY, SDXL)]
    assert ceilings == [22.9, 238.7, 840.4, 2.8]
