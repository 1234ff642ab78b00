"""What is counted by the month, in a file of its own: it is written often and may be lost."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(slots=True)
class Month:
    """`name` is such as `2030-01`, in UTC."""

    name: str
    requests: int = 0
    sent_bytes: int = 0


class MonthlyFile:
    """Keeps one month. Methods may be called on any thread, one at a time."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self, name: str) -> Month:
        """The month of this name as it was kept; empty when another one, or nothing readable, is there."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            kept = Month(**json.loads(self._file.read_text()))
            counts = (kept.requests, kept.sent_bytes)
            if kept.name == name and all(type(count) is int and count >= 0 for count in counts):
                return kept
        return Month(name)

    def write(self, month: Month) -> None:
        """A disk that is full keeps nobody from counting on."""
        beside = self._file.with_suffix(".new")
        with contextlib.suppress(OSError):
            beside.write_text(json.dumps(asdict(month)))
            beside.replace(self._file)
