"""What the figures were taken on."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from limner.models.processor import processor_name, processors

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
    system = f"{platform.system()} {platform.machine()}"
    libraries = {name: _version(name) for name in LIBRARIES}
    return Machine(processor_name(), processors(), system, platform.python_version(), libraries)


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
