"""Who asks for what, and when."""

from __future__ import annotations

import itertools
import random
from dataclasses import asdict, dataclass

from limner.bench.plan import Plan
from limner.engine.messages import ImageRequest
from limner.params import GenerationParams, ModelInfo, resolve, submission

HEAVY = "heavy"
LIGHT_PEOPLE = 4
HEAVY_SHARE = 0.5
LONG_SHARE = 0.5
LEAST_ARRIVALS = 5
PROMPTS = ("a red house at night", "a blue sailboat on the sea", "a green tree in the snow", "a yellow car")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request and the moment when it comes, in seconds from the beginning."""

    at_s: float
    request: ImageRequest


@dataclass(frozen=True, slots=True)
class Kind:
    """What decides, beside the model, how much work a step of a picture is."""

    width: int
    height: int
    guidance_scale: float

    @classmethod
    def of(cls, params: GenerationParams) -> Kind:
        return cls(params.width, params.height, params.guidance_scale)

    @property
    def rows(self) -> int:
        """Of one picture in a step."""
        return 2 if self.guidance_scale > 1 else 1

    def __str__(self) -> str:
        guided = f"guidance {self.guidance_scale:g}" if self.guidance_scale > 1 else "unguided"
        return f"{self.width}×{self.height} {guided}"


class Workload:
    """Requests for one model. Every prompt is another one, so that nothing kept from before helps.

    `kinds`: the model's own, then the others that are mixed: small, without guidance, and both.
    """

    def __init__(self, model: ModelInfo, plan: Plan) -> None:
        assert plan.short_steps is not None
        assert plan.long_steps is not None
        self._model = model
        self._plan = plan
        self._numbers = itertools.count()
        self.short_steps, self.long_steps = plan.short_steps, plan.long_steps
        sizes = dict.fromkeys([(model.width, model.height), (model.min_size, model.min_size)])
        scales = dict.fromkeys([model.guidance_scale, 1.0])
        self.kinds = tuple(Kind(*size, scale) for size in sizes for scale in scales)

    @property
    def mean_steps(self) -> float:
        return (1 - LONG_SHARE) * self.short_steps + LONG_SHARE * sum(self.long_steps) / 2

    def request(
        self, person: str, steps: int | None = None, kind: Kind | None = None, *, previews: bool = True
    ) -> ImageRequest:
        """`steps`, `kind` None: the model's own."""
        kind = kind or self.kinds[0]
        number = next(self._numbers)
        prompt = f"{PROMPTS[number % len(PROMPTS)]}, {number}"
        asked = submission(prompt=prompt, seed=number, num_inference_steps=steps, **asdict(kind))
        params = resolve(asked, (self._model,), seed=0)
        return ImageRequest(f"bench-{number}", person, params, params.seed, previews)

    def poisson(self, rate: float, seconds: float) -> list[Arrival]:
        """Arrivals at `rate` a second, the same for every way that is measured; a few at least."""
        dice = random.Random(self._plan.seed)  # noqa: S311
        arrivals: list[Arrival] = []
        at_s = 0.0
        while at_s < seconds or len(arrivals) < LEAST_ARRIVALS:
            light = f"light {dice.randrange(LIGHT_PEOPLE)}"
            person = HEAVY if dice.random() < HEAVY_SHARE else light
            long = dice.randint(*self.long_steps)
            steps = long if dice.random() < LONG_SHARE else self.short_steps
            arrivals.append(Arrival(at_s, self.request(person, steps, dice.choice(self.kinds))))
            at_s += dice.expovariate(rate)
        return arrivals
