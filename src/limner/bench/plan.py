"""What a run measures, and for how long."""

from __future__ import annotations

from dataclasses import dataclass, replace

from limner.errors import Unusable
from limner.params import ModelInfo


@dataclass(frozen=True, slots=True)
class Plan:
    """`loads`: arrivals as multiples of what one at a time can do. `seconds`: of arrivals at each load.

    `clients` ask at once in the burst; `asks` are made by the light person, with and without the heavy one;
    what is timed alone and in bursts is repeated `rounds` times. Requests of `short_steps` and of
    `long_steps` (from, to) are mixed; None: by the model. `all_ways`: every control everywhere,
    and the light person through the engine alone, too.
    """

    loads: tuple[float, ...] = (0.7, 1.3)
    seconds: float = 8.0
    clients: int = 16
    rounds: int = 3
    asks: int = 20
    short_steps: int | None = None
    long_steps: tuple[int, int] | None = None
    heavy_requests: int = 50
    heavy_steps: int = 50
    seed: int = 0
    all_ways: bool = True

    def __post_init__(self) -> None:
        """Raises `Unusable`."""
        fewest, most = self.long_steps or (1, 1)
        if fewest > most:
            raise Unusable(f"--long-steps {fewest} {most}: the fewest come first; use {most} {fewest}")

    def quick(self) -> Plan:
        """The same in a fraction of the time: to see whether all works, not for figures to show."""
        short = replace(self, loads=self.loads[-1:], seconds=self.seconds / 4)
        return replace(short, rounds=1, asks=2, all_ways=False)

    def for_model(self, model: ModelInfo) -> Plan:
        """With the steps filled in: 4, and 20 to 50; a model for few: its own, and 2 to 4 times those."""
        own = model.num_inference_steps
        few = own <= 8
        return replace(
            self,
            short_steps=self.short_steps or min(own, 4),
            long_steps=self.long_steps or ((2 * own, 4 * own) if few else (20, 50)),
        )
