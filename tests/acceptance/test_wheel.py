"""What `make dist` builds is whole: in an empty environment it needs nothing but its dependencies."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


def test_wheel_in_an_empty_environment_paints_and_carries_the_website(tmp_path: Path) -> None:
    run([sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path / "dist"), str(ROOT)])
    (wheel,) = (tmp_path / "dist").glob("limner-*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    bin_dir = tmp_path / "venv" / "bin"
    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    # Not compiled: the test runs each module once, and compiling them all takes longer than the rest.
    run([str(bin_dir / "pip"), "install", "--quiet", "--no-compile", *constraints, str(wheel)])
    run(
        [str(bin_dir / "limner"), "generate", "a red house", "-o", "house.png", "--data-dir", "data"],
        tmp_path,
    )
    with Image.open(tmp_path / "house.png") as picture:
        assert picture.format == "PNG"
        assert picture.width >= 128
    installed = next((tmp_path / "venv" / "lib").glob("python*")) / "site-packages" / "limner"
    assert (installed / "static" / "index.html").is_file()
    assert not list(tmp_path.glob("venv/lib/python*/site-packages/tests*"))


def run(command: list[str], cwd: Path = ROOT) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
