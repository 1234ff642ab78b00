"""The whole API keeps to its schema, whatever is sent: `schemathesis` makes it up."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from pathlib import Path
from typing import Any

import pytest

from limner.engine.double import EngineDouble
from limner.prompting.double import PromptWriterDouble
from limner.store.keys import Scope
from tests.asking import key
from tests.serving import serving

pytestmark = pytest.mark.anyio

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "use_after_free",
    "ignored_auth",
)

WAITS = {"Prefer": "wait=20"}
# Hypothesis parses source now and then. Before Python 3.11.8 and 3.12.1 that fails when garbage is collected
# in its midst ("AST constructor recursion depth mismatch"); without, it comes to half a gigabyte at most.
SCHEMATHESIS = """
import gc, runpy
gc.disable()
runpy.run_module("schemathesis.cli", run_name="__main__", alter_sys=True)
"""


def known(generation: dict[str, Any]) -> str:
    """Configuration that names something which is there, or nearly every call would end with 404."""
    image_id = generation["images"][0]["id"]
    ids = {
        "GET /api/generations/{id}": generation["id"],
        "GET /api/generations/{id}/events": generation["id"],
        "POST /api/generations/{id}/cancel": generation["id"],
        "GET /api/images/{id}": image_id,
        "GET /api/images/{id}/thumbnail": image_id,
    }
    return "".join(
        f'[[operations]]\ninclude-name = "{name}"\nparameters = {{ "path.id" = "{id}" }}\n'
        for name, id in ids.items()
    )


async def fuzzed(folder: Path, seconds: int, phases: str, seed: int) -> tuple[int, str]:
    """The exit status and the words of a run of `seconds` at most, with a key, from elsewhere."""
    engine, writer = EngineDouble(step_s=0.0), PromptWriterDouble(token_s=0.0)
    async with serving(folder / "data", engine, writer, max_queued=1_000) as api:
        headers = key(api, "anything goes", *Scope) | {"X-Forwarded-For": "203.0.113.7"}
        made = await api.client.post("/api/generations", json={"prompt": "x"}, headers=headers | WAITS)
        config = folder / "schemathesis.toml"
        config.write_text(known(made.json()))
        schema = folder / "openapi.json"
        schema.write_bytes((await api.client.get("/openapi.json")).content)
        command = [sys.executable, "-c", SCHEMATHESIS, "--config-file", str(config)]
        command += ["run", str(schema), "--url", api.url]
        for name, value in headers.items():
            command += ["--header", f"{name}: {value}"]
        command += ["--checks", ",".join(CHECKS), "--phases", phases, "--max-time", str(seconds)]
        command += ["--seed", str(seed), "--request-timeout", "60", "--no-color"]
        running = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env=os.environ | {"COLUMNS": "120"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            said, _ = await running.communicate()
        finally:
            if running.returncode is None:
                running.kill()
        assert running.returncode is not None
        return running.returncode, said.decode()


async def test_whatever_is_sent_is_answered_as_the_schema_says(tmp_path: Path) -> None:
    status, said = await fuzzed(tmp_path, 6, "coverage,fuzzing", seed=1)
    assert status == 0, said


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_in_the_long_run_too(tmp_path: Path) -> None:
    seed = secrets.randbelow(2**32)
    status, said = await fuzzed(tmp_path, 240, "coverage,fuzzing,stateful", seed)
    assert status == 0, said
