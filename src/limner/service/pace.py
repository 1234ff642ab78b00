"""How fast pictures are made here, from what was measured."""

from __future__ import annotations

_MEMORY = 0.8  # share of the old estimate that each new measurement leaves


class Pace:
    """Seconds per unit of cost (`GenerationParams.cost`) of one picture among its neighbours."""

    def __init__(self) -> None:
        self._s_per_cost: float | None = None

    def measured(self, cost: float, seconds: float) -> None:
        found = seconds / max(cost, 1e-9)
        known = self._s_per_cost
        self._s_per_cost = found if known is None else _MEMORY * known + (1 - _MEMORY) * found

    def seconds(self, cost: float, at_once: int = 1) -> float | None:
        """How long pictures of this cost take together, `at_once` of them at a time; None: not known."""
        return None if self._s_per_cost is None else self._s_per_cost * cost / max(at_once, 1)
