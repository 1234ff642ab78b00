"""The website's types are those of the API as it is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from limner.api.app import routes

WEB = Path(__file__).parents[2] / "web"
GENERATOR = WEB / "node_modules" / "openapi-typescript" / "bin" / "cli.js"


# The machine's Node, or the one that the set-up put beside Python.
NODE = shutil.which("node", path=f"{os.environ['PATH']}{os.pathsep}{Path(sys.executable).parent}")


@pytest.mark.skipif(
    NODE is None or not GENERATOR.exists(),
    reason="needs the website's packages: make install",
)
def test_the_generated_types_are_fresh(tmp_path: Path) -> None:
    schema, types = tmp_path / "openapi.json", tmp_path / "schema.d.ts"
    schema.write_text(json.dumps(routes().openapi()))
    subprocess.run(
        [str(NODE), GENERATOR, schema, "--default-non-nullable=false", "--output", types],
        check=True,
        capture_output=True,
    )
    assert (WEB / "src/lib/schema.d.ts").read_text() == types.read_text(), "run: make types"
