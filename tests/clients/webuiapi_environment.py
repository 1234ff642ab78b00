"""An environment of its own for the client, made once and kept beside the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FOLDER = HERE.parents[1] / ".cache" / "clients" / "webuiapi"
REQUIREMENTS = HERE / "webuiapi_requirements.txt"


def python() -> Path:
    """Its interpreter. Skips the test where the client cannot be had."""
    made = FOLDER / "made.txt"
    wanted = f"{sys.version}\n{REQUIREMENTS.read_text()}"
    found = FOLDER / "bin" / "python"
    if made.exists() and made.read_text() == wanted:
        return found
    shutil.rmtree(FOLDER, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", FOLDER], check=True)
    install = [str(found), "-m", "pip", "install", "--quiet", "--no-deps", "--requirement", str(REQUIREMENTS)]
    installed = subprocess.run(install, capture_output=True, text=True, timeout=240, check=False)
    if installed.returncode:
        pytest.skip(f"webuiapi cannot be installed: {installed.stderr[-400:]}")
    made.write_text(wanted)
    return found
