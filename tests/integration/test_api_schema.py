"""The whole API keeps to its schema, whatever is sent: `schemathesis` makes it up."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

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


async def fuzzed(folder: Path, seconds: int, phases: str, seed: int) -> tuple[int, str]:
    """The exit status and the words of a run of `seconds` at most, with a key, from elsewhere."""
    engine, writer = EngineDouble(step_s=0.0), PromptWriterDouble(token_s=0.0)
    async with serving(folder / "data", engine, writer, max_queued=1_000) as api:
        headers = key(api, "anything goes", *Scope) | {"X-Forwarded-For": "203.0.113.7"}
        schema = folder / "openapi.json"
        schema.write_bytes((await api.client.get("/openapi.json")).content)
        command = [sys.executable, "-m", "schemathesis.cli", "run", str(schema), "--url", api.url]
        for name, value in headers.items():
            command += ["--header", f"{name}: {value}"]
        command += ["--checks", ",".join(CHECKS), "--phases", phases, "--max-time", str(seconds)]
        command += ["--seed", str(seed), "--workers", "2", "--request-timeout", "60", "--no-color"]
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
    status, said = await fuzzed(tmp_path, 25, "coverage,fuzzing", seed=1)
    assert status == 0, said
