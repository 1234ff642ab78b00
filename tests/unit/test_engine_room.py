"""How much room is left after memory ran out, on a clock of the test's own."""

from __future__ import annotations

from limner.engine.room import FIRST_WAIT_S, Room


def test_more_is_tried_after_a_while_and_after_twice_as_long_when_it_was_too_much() -> None:
    room, now = Room(), 0.0
    for wait_s in (FIRST_WAIT_S, 2 * FIRST_WAIT_S, 4 * FIRST_WAIT_S):
        room.shrink(8, now)
        assert room.rows == 8
        assert not room.widen(now + wait_s - 1)
        assert room.widen(now + wait_s)
        assert room.rows == 16
        now += wait_s + 1


def test_steps_to_more_are_small_and_end_where_all_fits() -> None:
    room, now, seen = Room(), 0.0, []
    room.shrink(2, now)
    for _ in range(6):
        now += FIRST_WAIT_S
        room.widen(now)
        seen.append(room.rows)
    assert seen == [4, 8, 16, 16, 16, 16]


def test_when_more_was_right_for_long_the_next_wait_is_short_again() -> None:
    room = Room()
    room.shrink(8, 0.0)
    assert room.widen(FIRST_WAIT_S)
    room.shrink(8, FIRST_WAIT_S + 1)
    assert room.widen(4 * FIRST_WAIT_S)
    room.shrink(8, 100 * FIRST_WAIT_S)
    assert room.widen(101 * FIRST_WAIT_S)
