"""How many processors there are for this process, by what the system's files say."""

from __future__ import annotations

from pathlib import Path

import pytest

from limner.engine.child import chosen_threads
from limner.engine.wire import EngineStart
from limner.models import processor

VISIBLE = 8


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(processor, "ROOT", tmp_path)
    monkeypatch.setattr(processor, "visible_processors", lambda: VISIBLE)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/machine/app").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/machine/app\n")
    return tmp_path


def test_without_a_limit_all_that_are_visible_count(root: Path) -> None:
    assert processor.processors() == VISIBLE
    (root / "sys/fs/cgroup/machine/app/cpu.max").write_text("max 100000\n")
    assert processor.processors() == VISIBLE
    (root / "proc/self/cgroup").unlink()
    assert processor.processors() == VISIBLE


@pytest.mark.parametrize("group", ["machine/app", "machine", ""])
@pytest.mark.parametrize(
    ("limit", "count"),
    [("200000 100000", 2), ("150000 100000", 2), ("1000 100000", 1), ("9900000 100000", 8)],
)
def test_a_containers_share_limits_them_wherever_it_is_set(
    root: Path, group: str, limit: str, count: int
) -> None:
    (root / "sys/fs/cgroup" / group / "cpu.max").write_text(limit)
    assert processor.processors() == count


def test_the_processor_has_a_name(root: Path) -> None:
    (root / "proc/cpuinfo").write_text("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nflags\t: a b\n")
    assert processor.processor_name() == "Some CPU @ 2 GHz"
    (root / "proc/cpuinfo").unlink()
    assert processor.processor_name()


@pytest.mark.parametrize(
    ("asked", "exact", "usable", "threads"),
    [(0, False, 8, 0), (0, True, 8, 8), (0, False, 2, 2), (3, True, 2, 3)],
)
def test_threads_are_told_to_libraries_only_where_they_would_not_know(
    monkeypatch: pytest.MonkeyPatch, asked: int, exact: bool, usable: int, threads: int
) -> None:
    monkeypatch.setattr("limner.engine.child.processors", lambda: usable)
    monkeypatch.setattr("limner.engine.child.visible_processors", lambda: VISIBLE)
    assert chosen_threads(EngineStart((), "cpu", asked, exact, Path("cache"))) == threads
