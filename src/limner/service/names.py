"""What clients of this field call samplers and schedules, both ways."""

from __future__ import annotations

from limner.params import Sampler, Schedule
from limner.service.picture import SAMPLER_NAMES, SCHEDULE_NAMES

# Older clients write these. A name that is read without regard to case stands here once.
SAMPLER_ALIASES: dict[Sampler, tuple[str, ...]] = {
    Sampler.DDIM: ("ddim",),
    Sampler.DDPM: ("ddpm",),
    Sampler.EULER: ("k_euler", "euler"),
    Sampler.EULER_ANCESTRAL: ("k_euler_a", "k_euler_ancestral", "euler_ancestral"),
    Sampler.DPMPP_2M: ("k_dpmpp_2m", "dpmpp_2m"),
    Sampler.DPMPP_2M_SDE: ("k_dpmpp_2m_sde", "dpmpp_2m_sde"),
    Sampler.LCM: ("k_lcm", "lcm"),
    Sampler.TCD: ("tcd",),
    Sampler.FLOW_MATCH_EULER: ("flow_match_euler",),
}

# `automatic` leaves the choice to the model, which is none; a model's plain spacing is `uniform` there.
# `simple` visits the same noise levels as `sgm_uniform` to within one timestep.
AUTOMATIC = "automatic"
SCHEDULE_KEYS: dict[Schedule, tuple[str, ...]] = {
    Schedule.PLAIN: ("uniform", "normal", "plain"),
    Schedule.TRAILING: ("sgm_uniform", "simple", "trailing"),
    Schedule.KARRAS: ("karras",),
    Schedule.EXPONENTIAL: ("exponential",),
}


def schedule_label(schedule: Schedule) -> str:
    """Such as `SGM Uniform`."""
    return "Uniform" if schedule is Schedule.PLAIN else SCHEDULE_NAMES[schedule]


def _folded(name: str) -> str:
    return name.strip().lower().replace(" ", "_")


_SAMPLERS = {
    _folded(name): sampler
    for sampler in Sampler
    for name in (SAMPLER_NAMES[sampler], *SAMPLER_ALIASES[sampler])
}
_SCHEDULES = {
    _folded(name): schedule
    for schedule in Schedule
    for name in (schedule_label(schedule), *SCHEDULE_KEYS[schedule])
}


def sampler_called(name: str) -> tuple[Sampler, Schedule | None] | None:
    """The sampler of that name, and the schedule if the name holds one: `DPM++ 2M Karras`."""
    folded = _folded(name)
    if folded in _SAMPLERS:
        return _SAMPLERS[folded], None
    for ending, schedule in _SCHEDULES.items():
        sampler = _SAMPLERS.get(folded.removesuffix(f"_{ending}"))
        if sampler is not None:
            return sampler, schedule
    return None


def schedule_called(name: str) -> Schedule | None:
    return _SCHEDULES.get(_folded(name))
