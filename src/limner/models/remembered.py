"""What was worked out before, in a small JSON file."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


class Remembered:
    """Values by key, from start to start: the newest `most`. The file may be deleted at any time."""

    def __init__(self, file: Path, most: int) -> None:
        self._file, self._most = file, most

    def get(self, key: str) -> Any:
        """None where nothing is known, or the file is spoiled."""
        return self._read().get(key)

    def put(self, key: str, value: Any) -> None:
        known = self._read()
        known.pop(key, None)
        newest = dict([*known.items(), (key, value)][-self._most :])
        started = self._file.with_suffix(f".{os.getpid()}")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            started.write_text(json.dumps(newest), encoding="utf-8")
            started.replace(self._file)
        except OSError as error:
            log.warning("%s cannot be written: %s", self._file, error)

    def _read(self) -> dict[str, Any]:
        try:
            known = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}
