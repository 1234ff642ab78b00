"""What answers say of limits: `RateLimit-Policy` and `RateLimit`, as the IETF's httpapi group drafts them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from starlette.datastructures import MutableHeaders

from limner.service.people import Asker, People
from limner.store.usage import DAY_S, until_midnight_s

MINUTE = '"minute"'
DAY = '"day"'


@dataclass(frozen=True, slots=True)
class Limits:
    """How a caller stands once a request of theirs was counted."""

    people: People
    asker: Asker
    work: bool

    async def write(self, headers: MutableHeaders) -> None:
        policies, states = [], []
        levels = self.people.levels(self.asker, work=self.work)
        if levels:
            tightest = min(levels, key=lambda level: level.left)
            policies.append(f"{MINUTE};q={tightest.bucket.limit};w={tightest.bucket.window_s:.0f}")
            states.append(f"{MINUTE};r={tightest.left};t={math.ceil(tightest.full_in_s)}")
        quotas = {purse.payer: purse.quota for purse in self.asker.purses if purse.quota is not None}
        if quotas and self.work:
            spent = await self.people.spent(self.asker)
            left, quota = min((quota - spent.get(payer, 0.0), quota) for payer, quota in quotas.items())
            policies.append(f'{DAY};q={math.floor(quota)};w={DAY_S};qu="megapixel-steps"')
            states.append(f"{DAY};r={max(0, math.floor(left))};t={math.ceil(until_midnight_s())}")
        if policies:
            headers["RateLimit-Policy"] = ", ".join(policies)
            headers["RateLimit"] = ", ".join(states)
