"""Who moves next: the scheduler alone, without tensors."""

from __future__ import annotations

import sys
from collections import Counter
from subprocess import run

import pytest

from limner.engine.scheduler import Scheduler, Ticket

ROWS = 16


def filled(*tickets: Ticket) -> Scheduler:
    scheduler = Scheduler()
    for ticket in tickets:
        scheduler.add(ticket)
    return scheduler


def many(person: str, count: int, steps: int = 20, rows: int = 2, group: str = "a") -> list[Ticket]:
    return [Ticket(f"{person}{i}", person, group, rows, steps) for i in range(count)]


def step(scheduler: Scheduler, max_rows: int = ROWS, seconds: float = 1.0) -> list[Ticket]:
    chosen = scheduler.schedule(scheduler.next_group(), max_rows)
    scheduler.ran(chosen, seconds)
    for ticket in chosen:
        if ticket.remaining == 0:
            scheduler.remove(ticket.id)
    return chosen


def steps_until_done(scheduler: Scheduler, ticket: Ticket, max_rows: int = ROWS) -> int:
    for count in range(1, 10_000):
        step(scheduler, max_rows)
        if ticket.remaining == 0:
            return count
    pytest.fail(f"{ticket.id} never finished")


def test_nobody_waiting_schedules_nothing() -> None:
    assert Scheduler().next_group() is None
    assert Scheduler().schedule(None, ROWS) == []


def test_somebody_alone_fills_the_batch() -> None:
    chosen = step(filled(*many("heavy", 50)))
    assert sum(ticket.rows for ticket in chosen) == ROWS


def test_several_people_share_the_rows_equally() -> None:
    chosen = step(filled(*many("a", 20), *many("b", 20), *many("c", 20), *many("d", 20)))
    rows = Counter[str]()
    for ticket in chosen:
        rows[ticket.person] += ticket.rows
    assert rows == {"a": 4, "b": 4, "c": 4, "d": 4}


def test_a_heavy_persons_rows_shrink_so_that_a_light_ones_step_stays_short() -> None:
    chosen = step(filled(*many("heavy", 50), *many("light", 1)))
    rows = Counter(ticket.person for ticket in chosen)
    assert rows["light"] == 1
    assert sum(t.rows for t in chosen if t.person == "heavy") == ROWS // 2


def test_a_newcomer_moves_in_the_very_next_step() -> None:
    scheduler = filled(*many("heavy", 50, steps=50))
    for _ in range(30):
        step(scheduler)
    light = Ticket("light", "light", "a", 2, 10)
    scheduler.add(light)
    assert steps_until_done(scheduler, light) == 10


def test_the_shortest_of_one_persons_requests_finishes_first() -> None:
    long, short = Ticket("long", "p", "a", 2, 50), Ticket("short", "p", "a", 2, 4)
    scheduler = filled(long, short)
    assert steps_until_done(scheduler, short, max_rows=2) == 4
    assert long.remaining == 50


def test_where_one_row_fits_people_take_turns() -> None:
    a, b = Ticket("a", "a", "g", 1, 10), Ticket("b", "b", "g", 1, 10)
    scheduler = filled(a, b)
    turns = [step(scheduler, max_rows=1)[0].person for _ in range(10)]
    assert Counter(turns) == {"a": 5, "b": 5}


def test_a_request_larger_than_the_batch_still_moves() -> None:
    assert [t.id for t in step(filled(Ticket("guided", "p", "a", 2, 5)), max_rows=1)] == ["guided"]


def test_sizes_that_cannot_share_a_forward_take_turns_by_time() -> None:
    scheduler = filled(
        *many("small", 1, steps=1000, group="small"), *many("large", 1, steps=1000, group="large")
    )
    spent = Counter[str]()
    for _ in range(400):
        group = scheduler.next_group()
        seconds = 3.0 if group == "large" else 1.0
        for ticket in scheduler.schedule(group, ROWS):
            spent[ticket.person] += int(seconds)
            scheduler.ran([ticket], seconds)
    assert abs(spent["small"] - spent["large"]) <= 3


def test_more_people_than_rows_all_move_within_a_round() -> None:
    scheduler = filled(*(Ticket(f"p{i}", f"p{i}", "a", 2, 100) for i in range(40)))
    moved = Counter[str]()
    for _ in range(5):
        moved.update(ticket.person for ticket in step(scheduler))
    assert len(moved) == 40
    assert set(moved.values()) == {1}


def test_leaving_and_coming_back_gives_no_advantage() -> None:
    scheduler = filled(*many("steady", 1, steps=1000))
    served = Counter[str]()
    for i in range(100):
        if len(scheduler) == 1:
            scheduler.add(Ticket(f"again {i}", "leaver", "a", 2, 1))
        served.update(ticket.person for ticket in step(scheduler, max_rows=2))
    assert abs(served["steady"] - served["leaver"]) <= 2


def test_a_removed_request_is_gone_at_once() -> None:
    first, second = many("p", 2)
    scheduler = filled(first, second)
    step(scheduler)
    scheduler.remove(first.id)
    scheduler.remove("never known")
    assert step(scheduler) == [second]
    assert len(scheduler) == 1


def test_what_the_server_imports_of_the_engine_needs_no_torch() -> None:
    names = "limner.engine.local, limner.engine.scheduler, limner.models.catalog"
    told = run(
        [
            sys.executable,
            "-c",
            f"import sys, {names}; print('torch' in sys.modules, 'diffusers' in sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == ["False", "False"]
