"""What went through a tunnel this month, of what its maker's free plan allows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from anyio.to_thread import run_sync
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from limner.store.monthly import Month, MonthlyFile

log = logging.getLogger(__name__)

WARNED_AT = (50, 80, 95)


@dataclass(frozen=True, slots=True)
class Plan:
    """What may go through in a month."""

    requests: int
    sent_bytes: int


# https://ngrok.com/docs/pricing-limits/free-plan-limits
NGROK_FREE = Plan(20_000, 1_000_000_000)


def this_month() -> str:
    return f"{datetime.now(UTC):%Y-%m}"


class TunnelUse(Collector):
    """Counts on the event loop; `keep` writes the counts down. Without a plan nothing is warned of."""

    def __init__(
        self, file: MonthlyFile | None = None, plan: Plan | None = None, now: Callable[[], str] = this_month
    ) -> None:
        self._file = file
        self._plan = plan
        self._now = now
        self._month = Month(now()) if file is None else file.read(now())
        self._kept = replace(self._month)
        self._warned = self._percent()  # a restart repeats no warning

    def count(self, requests: int, sent_bytes: int) -> None:
        name = self._now()
        if name != self._month.name:
            self._month, self._warned = Month(name), 0
        self._month.requests += requests
        self._month.sent_bytes += sent_bytes
        percent = self._percent()
        passed = [mark for mark in WARNED_AT if self._warned < mark <= percent]
        if passed:
            self._warned = percent
            log.warning("%s", self.told())

    def told(self) -> str:
        """What was used, in words."""
        used, plan = self._month, self._plan
        megabytes = f"{used.sent_bytes / 1e6:,.0f}"
        if plan is None:
            return f"through the tunnel this month: {used.requests:,} requests, {megabytes} MB"
        return (
            f"through the tunnel this month: {used.requests:,} of {plan.requests:,} requests and "
            f"{megabytes} of {plan.sent_bytes / 1e6:,.0f} MB that ngrok's free plan allows"
        )

    async def keep(self) -> None:
        if self._file is not None and self._month != self._kept:
            self._kept = replace(self._month)
            await run_sync(self._file.write, self._kept)

    def collect(self) -> Iterator[Metric]:
        """For `/metrics`."""
        month, plan = self._month, self._plan
        yield GaugeMetricFamily(
            "limner_tunnel_requests", "Requests through the tunnel this month", month.requests
        )
        yield GaugeMetricFamily(
            "limner_tunnel_sent_bytes", "Bytes answered through the tunnel this month", month.sent_bytes
        )
        allowed = GaugeMetricFamily(
            "limner_tunnel_allowed", "What ngrok's free plan allows in a month", None, ["of"]
        )
        if plan is not None:
            allowed.add_metric(["requests"], plan.requests)
            allowed.add_metric(["sent_bytes"], plan.sent_bytes)
        yield allowed

    def _percent(self) -> int:
        plan, used = self._plan, self._month
        if plan is None:
            return 0
        return max(100 * used.requests // plan.requests, 100 * used.sent_bytes // plan.sent_bytes)
