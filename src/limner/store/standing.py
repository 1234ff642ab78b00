"""How much waits and runs."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from limner.store import rows
from limner.store.job import Standing, Status
from limner.store.tables import jobs

_UNDER_WAY = (
    select(jobs.c.status, func.count().label("jobs"), func.min(jobs.c.created_at).label("since"))
    .where(jobs.c.status.in_((Status.QUEUED, Status.RUNNING)))
    .group_by(jobs.c.status)
)


def standing(connection: Connection) -> Standing:
    found = {row.status: row for row in connection.execute(_UNDER_WAY)}
    queued, running = found.get(Status.QUEUED), found.get(Status.RUNNING)
    return Standing(
        queued=queued.jobs if queued else 0,
        running=running.jobs if running else 0,
        oldest_s=max(0.0, rows.now() - queued.since) if queued else 0.0,
    )
