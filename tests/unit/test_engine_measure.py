"""How batch sizes are measured and remembered, on a clock of the test's own."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from limner.engine.curve import Curve
from limner.engine.measure import BUDGET_S, Curves, Measured, measure

Step = Callable[[int], None]


class Machine:
    """Steps take `seconds`, the first of each size `first_s` more; there is memory for `room` rows.

    `others`: for so many times as long others have the processor, in steps of 4 rows and more.
    """

    def __init__(
        self, seconds: Mapping[int, float], first_s: float = 0.0, room: int = 16, others: float = 0.0
    ) -> None:
        self.seconds, self.first_s, self.room, self.others = seconds, first_s, room, others
        self.now = self.processor = 0.0
        self.ran: list[int] = []

    def step(self, rows: int) -> None:
        if rows > self.room:
            raise MemoryError
        took = self.seconds[rows] + (self.first_s if rows not in self.ran else 0.0)
        self.now += took * (1 + self.others * (rows >= 4))
        self.processor += took
        self.ran.append(rows)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Callable[[Machine], Measured]:
    def on(machine: Machine) -> Measured:
        monkeypatch.setattr("limner.engine.measure.time.perf_counter", lambda: machine.now)
        monkeypatch.setattr("limner.engine.measure.time.process_time", lambda: machine.processor)
        return measure(machine.step)

    return on


def test_a_small_model_is_measured_at_every_size_within_a_moment(
    measured: Callable[[Machine], Measured],
) -> None:
    seconds = {1: 0.012, 2: 0.02, 4: 0.034, 6: 0.046, 8: 0.056, 12: 0.08, 16: 0.1}
    machine = Machine(seconds, first_s=0.01)
    assert measured(machine).seconds == pytest.approx(seconds)
    assert machine.now < 2.5


def test_a_second_in_which_all_is_slow_bends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("limner.engine.measure.time.perf_counter", lambda: now[0])
    monkeypatch.setattr("limner.engine.measure.time.process_time", lambda: now[0])
    seconds = {1: 0.012, 2: 0.02, 4: 0.034, 6: 0.046, 8: 0.056, 12: 0.08, 16: 0.1}

    def step(rows: int) -> None:
        now[0] += seconds[rows] * (2.0 if 0.05 < now[0] < 0.8 else 1.0)

    assert measure(step).seconds == pytest.approx(seconds)


def test_measuring_ends_beyond_the_knee(measured: Callable[[Machine], Measured]) -> None:
    machine = Machine({1: 0.01, 2: 0.015, 4: 0.03, 6: 0.045, 8: 0.06, 12: 0.09, 16: 0.12})
    found = measured(machine).seconds
    assert list(found) == [1, 2, 4, 6]
    assert Curve("", found).knee == 2


def test_a_large_model_is_measured_with_one_row_and_two(
    measured: Callable[[Machine], Measured],
) -> None:
    machine = Machine({1: 2.0, 2: 4.0, 4: 8.0}, first_s=3.0)
    assert measured(machine).seconds == pytest.approx({1: 2.0, 2: 4.0})
    assert machine.ran == [1, 1, 2, 2]
    assert 2 * machine.seconds[1] > BUDGET_S


def test_measuring_ends_where_memory_does(measured: Callable[[Machine], Measured]) -> None:
    seconds = {1: 0.01, 2: 0.011, 4: 0.012, 6: 0.013, 8: 0.014, 12: 0.015, 16: 0.016}
    found = measured(Machine(seconds, room=5))
    assert list(found.seconds) == [1, 2, 4]
    assert found.cut
    with pytest.raises(MemoryError):
        measured(Machine(seconds, room=0))


def test_a_curve_is_cut_short_by_what_may_be_different_at_the_next_start_alone(
    measured: Callable[[Machine], Measured],
) -> None:
    seconds = {1: 0.01, 2: 0.011, 4: 0.012, 6: 0.013, 8: 0.014, 12: 0.015, 16: 0.016}
    compiling = measured(Machine(seconds, first_s=12.0))
    assert list(compiling.seconds) == [1, 2, 4]
    assert compiling.cut
    assert not measured(Machine(seconds)).cut
    assert not measured(Machine({1: 2.0, 2: 4.0, 4: 8.0}, first_s=20.0)).cut, "a slow model always ends there"


def test_where_preparing_is_worth_waiting_for_every_size_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = {1: 0.012, 2: 0.02, 4: 0.034, 6: 0.046, 8: 0.056, 12: 0.08, 16: 0.1}
    machine = Machine(seconds, first_s=60.0)
    monkeypatch.setattr("limner.engine.measure.time.perf_counter", lambda: machine.now)
    monkeypatch.setattr("limner.engine.measure.time.process_time", lambda: machine.processor)
    found = measure(machine.step, prepare_s=math.inf)
    assert found.seconds == pytest.approx(seconds)
    assert not found.cut


def test_others_on_the_processor_do_not_count(measured: Callable[[Machine], Measured]) -> None:
    seconds = {1: 0.012, 2: 0.02, 4: 0.034, 6: 0.046, 8: 0.056, 12: 0.08, 16: 0.1}
    found = measured(Machine(seconds, others=9.0))
    assert found.seconds == pytest.approx(seconds)
    assert found.disturbed
    assert not measured(Machine(seconds, others=0.3)).disturbed


def test_what_was_measured_is_remembered_and_a_spoilt_file_only_measured_again(tmp_path: Path) -> None:
    file = tmp_path / "new folder" / "curves.json"
    remembered = Curves(file)
    assert remembered.get("model") is None
    remembered.put("model", {1: 0.5, 2: 0.75})
    remembered.put("other", {1: 0.1})
    assert Curves(file).get("model") == {1: 0.5, 2: 0.75}
    for spoilt in ("", "{", "[]", json.dumps({"model": 3}), json.dumps({"model": {"one": 1}})):
        file.write_text(spoilt)
        assert Curves(file).get("model") is None
        Curves(file).put("model", {1: 0.25})
        assert Curves(file).get("model") == {1: 0.25}


def test_a_size_that_was_disturbed_costs_no_more_than_the_next_larger(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr("limner.engine.measure.time.perf_counter", lambda: now[0])
    monkeypatch.setattr("limner.engine.measure.time.process_time", lambda: now[0])

    def step(rows: int) -> None:
        now[0] += {1: 0.01, 2: 0.04, 4: 0.03}[rows]

    assert measure(step, (1, 2, 4)).seconds == pytest.approx({1: 0.01, 2: 0.03, 4: 0.03})


def test_one_size_alone_is_measured_or_said_to_be_too_large() -> None:
    def step(rows: int) -> None:
        if rows > 4:
            raise MemoryError

    assert list(measure(step, (4,)).seconds) == [4]
    with pytest.raises(MemoryError):
        measure(step, (8,))
