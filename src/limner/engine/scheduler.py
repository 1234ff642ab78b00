"""Who moves in the next engine step: fair between people, shortest first for each. No torch here."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from limner.engine.curve import BUCKETS, Curve

# How far somebody may be ahead of others, in steps of their own: who has little to do then finishes instead
# of taking turns, which makes both late.
LEAD_STEPS = 20
# A request is overtaken by its person's shorter ones for this many turns per step that it has.
PATIENCE = 4
# While others wait whose pictures do not fit into the same forward, a step takes no longer than this, if that
# is enough for one picture.
LONG_STEP_S = 0.25


@dataclass(slots=True, eq=False)
class Ticket:
    """One request as the scheduler sees it. Only requests of one `group` fit into one forward.

    `rows`: how many rows of the forward it takes. `remaining`: denoising steps still to do.
    """

    id: str
    person: str
    group: Hashable
    rows: int
    remaining: int
    order: int = field(default=0, init=False)
    since: int = field(default=0, init=False)

    @property
    def rank(self) -> tuple[int, int]:
        """Its place among its person's: shortest first, but one that has waited is overtaken no more."""
        return self.since + PATIENCE * self.remaining, self.order


@dataclass(slots=True)
class _Person:
    """`served_s`: the engine's seconds they had. `turns`: the steps in which they had any.

    `waits`: they were far ahead, and do not come back before the others are where they are.
    """

    served_s: float
    waits: bool = False
    turns: int = 0
    tickets: dict[str, Ticket] = field(default_factory=dict)

    def first(self, group: Hashable = None) -> Ticket:
        return min((t for t in self.tickets.values() if group in (None, t.group)), key=lambda t: t.rank)


class Scheduler:
    """Divides the engine's time between people, and each one's share between their requests.

    Whoever has least left to do comes first, unless they are further ahead of whoever had least than
    A = `LEAD_STEPS` steps of their own; behind those comes who had least. A newcomer begins where equal
    shares of the time so far would have brought everybody (virtual time), and using what others left over
    counts for 2·A at most. In a forward that people share, nobody's step takes longer than it would alone
    times the number of people.

    Nobody starves. With at most n people present and A that of the slowest request among them, somebody
    waiting moves again within 7·n·A of the engine's time: after 3·n·A virtual time is A beyond them, so that
    newcomers come behind them, and each of those who were there has at most 3·A and a step until they do.

    Of one person's requests, none that arrives more than `PATIENCE`·r of their turns after one with r steps
    to go comes before it; and once it is their first, none that arrived so late moves in a step without it.

    Where what is compiled for all who are there does not fit into memory together, taking turns at every step
    would compile again at each. Then whoever got too far ahead waits until the others have as much as they,
    which is within the same bound.

    `curve_of`: how long steps of a group take. `fit`: whether groups, each with so many rows, fit together.
    """

    def __init__(
        self,
        curve_of: Callable[[Any], Curve],
        fit: Callable[[Collection[tuple[Any, int]]], bool] = lambda _: True,
    ) -> None:
        self._curve_of, self._fit = curve_of, fit
        self._people: dict[str, _Person] = {}
        self._away: dict[str, float] = {}  # those without requests who had more than their share
        self._tickets: dict[str, Ticket] = {}
        self._virtual_s = 0.0
        self._orders = count()

    @property
    def people(self) -> frozenset[str]:
        """Who waits for steps."""
        return frozenset(self._people)

    def __len__(self) -> int:
        return len(self._tickets)

    def add(self, ticket: Ticket) -> None:
        person = self._people.get(ticket.person)
        if person is None:
            # A newcomer has no claim to the time before; one who was ahead of others still waits for them.
            served_s = max(self._away.pop(ticket.person, 0.0), self._virtual_s)
            person = self._people[ticket.person] = _Person(served_s)
        ticket.order, ticket.since = next(self._orders), person.turns
        person.tickets[ticket.id] = ticket
        self._tickets[ticket.id] = ticket

    def remove(self, ticket_id: str) -> None:
        ticket = self._tickets.pop(ticket_id, None)
        if ticket is None:
            return
        person = self._people[ticket.person]
        del person.tickets[ticket_id]
        if not person.tickets:
            del self._people[ticket.person]
            self._away = {name: s for name, s in self._away.items() if s > self._virtual_s}
            self._away[ticket.person] = person.served_s

    def schedule(self) -> list[Ticket]:
        """The requests, all of one group, to move one denoising step; none when nobody waits."""
        if not self._people:
            return []
        self._let_wait()
        leader = self._in_turn(person.first() for person in self._people.values())[0]
        people = {ticket.person for ticket in self._tickets.values() if ticket.group == leader.group}
        order = self._in_turn(self._people[person].first(leader.group) for person in people)
        order.sort(key=lambda ticket: ticket is not leader)
        return self._fill(order, self._room(order))

    def _let_wait(self) -> None:
        fit = self._fit({(ticket.group, ticket.rows) for ticket in self._tickets.values()})
        least_s = min(person.served_s for person in self._people.values())
        for person in self._people.values():
            lead_s = 0.0 if person.waits else LEAD_STEPS * self._step_s(person.first())
            person.waits = not fit and person.served_s - least_s > lead_s

    def _in_turn(self, firsts: Iterable[Ticket]) -> list[Ticket]:
        """One ticket of each person, in the order of their turns."""
        least_s = min(person.served_s for person in self._people.values())

        def turn(ticket: Ticket) -> tuple[bool, float, int]:
            person = self._people[ticket.person]
            served_s = person.served_s
            ahead = person.waits or served_s - least_s > LEAD_STEPS * self._step_s(ticket)
            return ahead, served_s if ahead else self._left_s(ticket.person), ticket.order

        return sorted(firsts, key=turn)

    def _left_s(self, person: str) -> float:
        return sum(t.remaining * self._step_s(t) for t in self._people[person].tickets.values())

    def _step_s(self, ticket: Ticket) -> float:
        return self._curve_of(ticket.group).step_s(ticket.rows)

    def _room(self, order: list[Ticket]) -> int:
        """How many rows the step may have, so that it is not long for one who would be quick alone."""
        group, people = order[0].group, len(self._people)
        curve = self._curve_of(group)
        longest_s = LONG_STEP_S if len(order) < people else math.inf
        if len(order) > 1:
            tickets = [self._people[first.person].tickets.values() for first in order]
            wanted = min(sum(t.rows for t in mine if t.group == group) for mine in tickets)
            longest_s = min(longest_s, people * curve.step_s(min(wanted, curve.most_rows)))
        fitting = [b for b in BUCKETS if b <= curve.most_rows and curve.step_s(b) <= longest_s]
        return max(fitting, default=1)

    def _fill(self, order: list[Ticket], room: int) -> list[Ticket]:
        """An equal share for each person, then what is left over; the first in any case."""
        share = room // len(order)
        chosen = [order[0]]
        room -= order[0].rows
        for limit in (share, BUCKETS[-1]):
            for first in order:
                taken = sum(t.rows for t in chosen if t.person == first.person)
                for ticket in self._riding(first):
                    if ticket in chosen or ticket.rows > room or self._late(ticket, chosen):
                        continue
                    if taken == 0 or taken + ticket.rows <= limit:
                        chosen.append(ticket)
                        taken += ticket.rows
                        room -= ticket.rows
        return chosen

    def _riding(self, first: Ticket) -> list[Ticket]:
        """Its person's tickets of its group, in their order."""
        mine = self._people[first.person].tickets.values()
        return sorted((t for t in mine if t.group == first.group), key=lambda t: t.rank)

    def _late(self, ticket: Ticket, chosen: list[Ticket]) -> bool:
        """Whether it came when another of its person's, not in this step, was to be overtaken no more.

        Would it ride along, its person had their share all the same, and might never lead with the other.
        """
        oldest = self._people[ticket.person].first()
        return oldest not in chosen and ticket.since > oldest.rank[0]

    def ran(self, chosen: list[Ticket], seconds: float) -> None:
        """Count a step that took `seconds` against those who were in it."""
        self._virtual_s += seconds / max(len(self._people), 1)
        rows = sum(ticket.rows for ticket in chosen)
        for ticket in chosen:
            ticket.remaining -= 1
            self._people[ticket.person].served_s += seconds * ticket.rows / rows
        for name in {ticket.person for ticket in chosen}:
            self._people[name].turns += 1
        self._forgive()

    def _forgive(self) -> None:
        """Using what others left over brings nobody further ahead than twice their lead."""
        least_s = min(person.served_s for person in self._people.values())
        for person in self._people.values():
            lead_s = LEAD_STEPS * max(self._step_s(ticket) for ticket in person.tickets.values())
            person.served_s = min(person.served_s, least_s + 2 * lead_s)
