"""Who moves in the next engine step: fair between people, shortest first for each. No torch here."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import count


@dataclass(slots=True)
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


class Scheduler:
    """Divides the engine's time between people: whoever had least of it comes first.

    In one step nobody takes more than an equal share of the rows while others are there, so a step stays
    short for the one with little to do; somebody alone fills it.
    """

    def __init__(self) -> None:
        self._tickets: dict[str, Ticket] = {}
        self._served_s: dict[str, float] = {}
        self._orders = count()

    def __len__(self) -> int:
        return len(self._tickets)

    def add(self, ticket: Ticket) -> None:
        present = {other.person for other in self._tickets.values()}
        floor = min((self._served_s[person] for person in present), default=0.0)
        # A newcomer has no claim to the time before; one who was served ahead of others still waits for them.
        served_s = {person: s for person, s in self._served_s.items() if person in present or s > floor}
        served_s[ticket.person] = max(served_s.get(ticket.person, 0.0), floor)
        self._served_s = served_s
        ticket.order = next(self._orders)
        self._tickets[ticket.id] = ticket

    def remove(self, ticket_id: str) -> None:
        self._tickets.pop(ticket_id, None)

    def next_group(self) -> Hashable:
        """The group of the shortest request of the person who comes first; None when nobody waits."""
        if not self._tickets:
            return None
        return min(self._tickets.values(), key=self._turn).group

    def schedule(self, group: Hashable, max_rows: int) -> list[Ticket]:
        """The requests of `group` to move one denoising step, at most `max_rows` rows, but at least one."""
        by_person: dict[str, list[Ticket]] = {}
        for ticket in sorted(self._tickets.values(), key=lambda t: (t.remaining, t.order)):
            if ticket.group == group:
                by_person.setdefault(ticket.person, []).append(ticket)
        share = max_rows // max(len(by_person), 1)
        chosen: list[Ticket] = []
        room = max_rows
        for person in sorted(by_person, key=lambda p: self._turn(by_person[p][0])):
            taken = 0
            for ticket in by_person[person]:
                fits = ticket.rows <= room and (taken == 0 or taken + ticket.rows <= share)
                if fits or not chosen:
                    chosen.append(ticket)
                    taken += ticket.rows
                    room -= ticket.rows
        return chosen

    def _turn(self, ticket: Ticket) -> tuple[float, int, int]:
        return self._served_s[ticket.person], ticket.remaining, ticket.order

    def ran(self, chosen: list[Ticket], seconds: float) -> None:
        """Count a step that took `seconds` against those who were in it."""
        rows = sum(ticket.rows for ticket in chosen)
        for ticket in chosen:
            ticket.remaining -= 1
            self._served_s[ticket.person] += seconds * ticket.rows / rows
