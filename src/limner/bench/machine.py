"""What the figures were taken on."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = ("torch", "diffusers", "transformers", "openvino")


@dataclass(frozen=True, slots=True)
class Machine:
    """`cores`: those this process may use. `libraries`: None where one is not installed."""

    processor: str
    cores: int
    system: str
    python: str
    libraries: dict[str, str | None]


def this_machine() -> Machine:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    system = f"{platform.system()} {platform.machine()}"
    libraries = {name: _version(name) for name in LIBRARIES}
    return Machine(_processor(), cores, system, platform.python_version(), libraries)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
