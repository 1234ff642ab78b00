"""Imports run one way through the house, and the server process stays free of torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "limner"

BASE = {"params", "errors"}
TOOLS = BASE | {"models", "diffusion", "process"}
MAY_IMPORT = {
    "params": {"errors"},
    "errors": set[str](),
    "settings": set[str](),
    "process": set[str](),
    "diffusion": BASE,
    "models": BASE | {"diffusion"},
    "engine": TOOLS,
    "prompting": TOOLS,
    "store": BASE,
    "service": BASE | {"engine", "prompting", "store"},
    "api": BASE | {"service", "engine", "prompting", "store", "settings"},
    "bench": TOOLS | {"service", "engine", "prompting", "store"},
}


def imports(file: Path) -> set[str]:
    """The rooms of limner that a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {
        name.split(".")[1] for name in names if name.startswith("limner.") and name != "limner.__version__"
    }


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_room_imports_only_the_rooms_below_it(room: str) -> None:
    place = SOURCE / room
    files = sorted(place.rglob("*.py")) if place.is_dir() else [SOURCE / f"{room}.py"]
    assert files
    for file in files:
        beyond = imports(file) - MAY_IMPORT[room] - {room}
        assert not beyond, f"{file.relative_to(SOURCE)} imports {sorted(beyond)}"


def test_server_process_never_imports_torch() -> None:
    code = "import sys, limner.api.serve, limner.engine.local, limner.prompting.local; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"torch", "diffusers", "transformers"} & set(modules)
