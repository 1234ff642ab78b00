"""The processor's name, and how much of it this process may use. No torch here."""

from __future__ import annotations

import math
import os
import platform
from pathlib import Path, PurePosixPath

ROOT = Path("/")


def processor_name() -> str:
    """As far as the system tells."""
    try:
        lines = (ROOT / "proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def processors() -> int:
    """How many this process may keep busy: those it may run on, but no more than its container's share."""
    return max(1, math.ceil(min(visible_processors(), _share())))


def visible_processors() -> int:
    """Those it may run on, which is what torch and OpenVINO go by."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _share() -> float:
    """Processors' worth of time that its control group and those around it allow (cgroup v2)."""
    try:
        lines = (ROOT / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return math.inf
    own = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
    group = PurePosixPath(own)
    return min(_limit(ROOT / "sys/fs/cgroup" / one / "cpu.max") for one in (group, *group.parents))


def _limit(file: Path) -> float:
    """`200000 100000`: so many microseconds in each so many; `max` for any number."""
    try:
        quota, period = file.read_text(encoding="utf-8").split()
        return math.inf if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return math.inf
