"""`limner bench` as a person runs it, on a tiny model: that it measures, not how fast."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
import pytest

from limner.cli.bench import bench
from limner.cli.generate import generate
from limner.cli.options import ENGINE
from limner.cli.serve import serve
from limner.models.torch_networks import has_bfloat16
from tests import tiny
from tests.running import limner

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "bench.md"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What it printed, and the folder it wrote into."""
    folder = tmp_path_factory.mktemp("bench")
    model = tiny.save(tiny.TinyModel(cards={"defaults": {"num_inference_steps": 6}}), folder / "model")
    ended = limner(
        *("bench", "--quick", "--seconds", "2", "--clients", "4", "--load", "1"),
        *("--long-steps", "8", "10", "--model", str(model), "-o", str(folder / "out")),
        *("--backend", "torch", "--dtype", "float32", "--cache-dir", str(folder / "cache")),
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout, folder / "out"


@pytest.fixture(scope="module")
def found(run: tuple[str, Path]) -> Any:
    return json.loads((run[1] / "bench.json").read_text())


def test_bench_says_what_was_measured_where_and_how(found: Any) -> None:
    assert found["schema"] == 1
    assert found["command"].startswith("limner bench --quick")
    assert found["machine"]["cores"] >= 1
    assert found["machine"]["processor"]
    assert found["machine"]["libraries"]["torch"].startswith("2.")
    assert found["subject"]["model"] == "model"
    assert (found["subject"]["steps"], found["subject"]["long_steps"]) == (6, [8, 10])
    assert found["curve"][0]["rows"] == 1
    assert all(point["step_s"] > 0 for point in found["curve"])


def test_bench_measures_the_engine_that_was_asked_for(run: tuple[str, Path]) -> None:
    cache = run[1].parent / "cache"
    assert (cache / "models").is_dir()
    made = {file.name.partition("-")[0] for file in cache.rglob("*") if file.is_file()}
    assert "network.xml" not in made, "OpenVINO converted a network, and --backend torch was asked for"
    assert "dtype" not in made, "precisions were compared, and --dtype float32 was asked for"


@pytest.mark.parametrize("command", [serve, generate, bench])
def test_every_command_that_paints_takes_the_engines_options(command: click.Command) -> None:
    assert {f"--{name.replace('_', '-')}" for name in ENGINE} <= {
        flag for option in command.params for flag in option.opts
    }


def test_every_field_of_the_file_is_documented(found: Any) -> None:
    named = set(re.findall(r"`(\w+)`", DOCUMENT.read_text()))
    assert found.keys() <= named
    for part in ("machine", "subject", "alone", "burst"):
        assert found[part].keys() <= named
    for part in ("parts", "loads", "beside", "figures"):
        assert found[part][0].keys() - {"ways"} <= named
    assert found["loads"][0]["ways"]["limner"].keys() <= named


def test_bench_compares_limner_with_plain_loops_on_the_same_weights(found: Any) -> None:
    assert {"limner", "diffusers float32"} <= found["alone"]["seconds"].keys()
    assert all(seconds > 0 for seconds in found["alone"]["seconds"].values())
    rates = found["burst"]["images_s"]
    assert {"limner", "limner whole batches", "diffusers float32"} <= rates.keys()
    assert all(rate > 0 for rate in rates.values())
    assert 1 <= found["burst"]["rows_per_step"]["limner"] <= max(2, found["most_rows"])
    by_what = {figure["what"]: figure["value"] for figure in found["figures"]}
    against = by_what["4 at once, against diffusers' float32 default"]
    assert against == pytest.approx(rates["limner"] / rates["diffusers float32"])


def test_bench_measures_bfloat16_where_the_processor_has_it_and_says_why_not(
    found: Any, run: tuple[str, Path]
) -> None:
    way = "diffusers bfloat16, channels_last"
    assert (way in found["alone"]["seconds"]) != (way in found["left_out"])
    if not has_bfloat16():
        assert "has no bfloat16" in found["left_out"][way]
    assert all(f"{left} is left out: {why}" in run[0] for left, why in found["left_out"].items())


def test_bench_tells_where_a_pictures_time_goes(found: Any) -> None:
    engine, server = found["parts"]
    assert (engine["through"], server["through"]) == ("engine", "server")
    for one in (engine, server):
        assert one["pictures"] == found["plan"]["rounds"]
        assert min(one["text_s"], one["steps_s"], one["decode_s"]) > 0
    assert engine["file_s"] is None
    assert server["file_s"] > 0
    assert (
        engine["text_s"] + engine["steps_s"] + engine["decode_s"] <= 2 * found["alone"]["seconds"]["limner"]
    )


def test_bench_measures_arrivals_and_the_light_person(found: Any) -> None:
    (load,) = found["loads"]
    assert load["arrivals_s"] == pytest.approx(found["serial_images_s"])
    assert {"limner", "limner whole batches"} <= load["ways"].keys()
    asked = {way["requests"] for way in load["ways"].values()}
    assert len(asked) == 1, "every way gets the same arrivals"
    for way in load["ways"].values():
        assert way["waited"]["p50_s"] <= way["waited"]["p95_s"] <= way["waited"]["p99_s"]
    (beside,) = found["beside"]
    assert beside["through"] == "server"
    assert 1 <= beside["asks"] <= 2
    assert beside["p95_ratio"] == pytest.approx(beside["beside"]["p95_s"] / beside["alone"]["p95_s"])


def test_bench_prints_tables_and_draws(run: tuple[str, Path]) -> None:
    printed, folder = run
    for title in (
        "Batch curve",
        "One picture alone",
        "Where a picture's time goes",
        "4 clients at once",
        "Poisson",
        "A light person",
        "Figures",
    ):
        assert title in printed
    drawn = ElementTree.parse(folder / "bench.svg").getroot()
    words = " ".join("".join(text.itertext()) for text in drawn.iter("{http://www.w3.org/2000/svg}text"))
    assert "whole batches" in words
    assert "A light person" in words
