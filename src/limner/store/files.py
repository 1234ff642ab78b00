"""Picture files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore

from limner.errors import NotFound, StorageUnavailable
from limner.store.job import NewImage, Paths


class Files:
    """Files under `folder`, named by relative paths, written whole or not at all. Any thread may call."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        with self._errors():
            self._store = LocalStore(folder, mkdir=True)

    def write_image(self, image_id: str, new: NewImage) -> Paths:
        """Both files are on disk for good when this returns. Raises `StorageUnavailable`."""
        paths = Paths.of(image_id, new.format)
        with self._errors():
            obstore.put(self._store, paths.thumbnail, new.thumbnail)
            obstore.put(self._store, paths.picture, new.data)
            # The library renames into place but leaves it to the system when the bytes reach the disk.
            _flush(self._folder / paths.thumbnail)
            _flush(self._folder / paths.picture)
            _flush((self._folder / paths.picture).parent)
        return paths

    def read(self, path: str) -> bytes:
        """Raises `NotFound` and `StorageUnavailable`."""
        try:
            with self._errors():
                return bytes(obstore.get(self._store, path).bytes())
        except FileNotFoundError:
            raise NotFound("The file of this picture is gone.") from None

    def remove(self, *paths: Paths) -> None:
        """What is not there is no error."""
        for pair in paths:
            for path in (pair.picture, pair.thumbnail):
                self._remove(path)

    def keep_only(self, known: Iterable[Paths]) -> int:
        """Remove every other file and return how many: what a crash left between a file and its row."""
        kept = {path for pair in known for path in (pair.picture, pair.thumbnail)}
        with self._errors():
            found = [meta["path"] for batch in obstore.list(self._store) for meta in batch]
        orphans = [path for path in found if path not in kept]
        for orphan in orphans:
            self._remove(orphan)
        half_written = list(self._folder.rglob("*#*"))  # where the library builds a file before renaming it
        for half in half_written:
            half.unlink(missing_ok=True)
        return len(orphans) + len(half_written)

    def _remove(self, path: str) -> None:
        with self._errors(), contextlib.suppress(FileNotFoundError):
            obstore.delete(self._store, path)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except (BaseError, OSError) as error:
            # Strangers may read it: where the folder lies is none of their business.
            reason = str(error).splitlines()[0].replace(str(self._folder), "pictures")
            raise StorageUnavailable(f"the picture files cannot be used: {reason}") from error


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
