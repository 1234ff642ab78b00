"""What is kept on disk: how much of it, for how long, and beside whom."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from limner.models import digests, kept
from limner.models.digests import Digests

HOLD = """
import sys, pathlib
from limner.models.kept import Kept
kept, file = Kept(pathlib.Path(sys.argv[1])), pathlib.Path(sys.argv[2])
print(kept.folder([file], lambda folder: folder.joinpath("made").touch()), flush=True)
sys.stdin.read()
"""


COMPILE = """
import sys, pathlib
from limner.models import kept
kept.MAX_COMPILED_BYTES = int(sys.argv[2])
print(kept.compiler_folder(pathlib.Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Of three parts, each with other contents."""
    found = [tmp_path / name for name in ("unet", "vae", "text_encoder")]
    for file in found:
        file.write_text(file.name)
    return found


def made(cache: Path, file: Path) -> Path:
    """Kept by somebody who is gone by now."""
    return kept.Kept(cache).folder([file], lambda f: f.joinpath("made").write_bytes(b"0" * 1000))


def test_a_cache_that_cannot_be_written_is_told_and_done_without(
    files: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keeping = kept.Kept(files[0] / "cache")
    found = keeping.folder(files[:1], lambda f: f.joinpath("made").touch())
    assert (found / "made").exists()
    assert "give another --cache-dir" in caplog.text


def test_what_was_not_used_for_longest_is_dropped_first(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    found = [made(cache, file) for file in files[:2]]
    monkeypatch.setattr(kept, "MAX_BYTES", 1500)
    made(cache, files[0])  # used again
    made(cache, files[2])
    assert [one.exists() for one in found] == [True, False]


def test_what_another_process_uses_is_not_dropped_before_it_ends(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setattr(kept, "MAX_BYTES", 0)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(cache), str(files[0])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        used = Path(other.stdout.readline().strip())
        unused = made(cache, files[1])
        made(cache, files[2])
        assert (used / "made").exists()
        assert not unused.exists()
        other.kill()
    made(cache, files[1])
    assert not used.exists()


def test_compiled_shapes_are_dropped_one_by_one_but_not_what_they_were_compiled_from(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "MAX_COMPILED_BYTES", 2500)
    keeping = kept.Kept(tmp_path / "cache")
    folder = keeping.folder(files[:1], lambda f: f.joinpath("made").write_bytes(b"0" * 9000))
    for name in ("small", "large", "small", "wide"):
        with keeping.compiled(folder, name) as place:
            (place / "blob").write_bytes(b"0" * 1000)
    assert sorted(place.name for place in (folder / "compiled").iterdir()) == ["small", "wide"]
    assert (folder / "made").exists()


def test_what_pytorch_compiled_is_begun_anew_when_too_large_but_not_while_it_is_used(tmp_path: Path) -> None:
    kernel = tmp_path / "compiled" / "kernel"
    kernel.parent.mkdir()
    kernel.write_bytes(b"0" * 1000)

    def asking(most_bytes: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", COMPILE, str(tmp_path), str(most_bytes)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    with asking(1000) as one:
        assert one.stdout is not None
        assert one.stdout.readline().strip() == str(kernel.parent)
        asking(999).communicate()
        assert kernel.exists()
        one.kill()
    with asking(999) as last:
        last.communicate()
    assert not kernel.exists()
    assert kernel.parent.exists()


def test_a_shape_that_is_being_compiled_is_not_dropped(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "MAX_COMPILED_BYTES", 0)
    keeping = kept.Kept(tmp_path / "cache")
    folder = keeping.folder(files[:1], lambda f: None)
    with keeping.compiled(folder, "slow") as place:
        with keeping.compiled(folder, "quick") as other:
            (other / "blob").write_bytes(b"0" * 1000)
        (place / "blob").write_bytes(b"0" * 1000)
        assert not (folder / "compiled" / "quick").exists()


def test_weights_are_read_through_once_and_again_when_they_changed(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "SETTLED_NS", -1)
    read: list[Path] = []
    read_through = digests.digest_of

    def counted(file: Path) -> bytes:
        read.append(file)
        return read_through(file)

    monkeypatch.setattr(digests, "digest_of", counted)
    memory, file = tmp_path / "digests.json", files[0]
    first = Digests(memory).of(file)
    assert Digests(memory).of(file) == first
    assert len(read) == 1
    file.write_text("UNET")  # of the same size
    changed = Digests(memory).of(file)
    assert changed != first
    assert len(read) == 2
    memory.write_text("{")
    assert Digests(memory).of(file) == changed


def test_the_digest_of_a_file_that_just_changed_is_not_relied_on(files: list[Path], tmp_path: Path) -> None:
    memory = tmp_path / "digests.json"
    assert time.time_ns() - files[0].stat().st_mtime_ns < digests.SETTLED_NS
    Digests(memory).of(files[0])
    assert not memory.exists()
