"""Names of samplers and schedules lead there and back."""

from __future__ import annotations

import pytest

from limner.params import Sampler, Schedule
from limner.service import names
from limner.service.picture import SAMPLER_NAMES


@pytest.mark.parametrize("sampler", Sampler)
def test_every_sampler_is_found_by_its_name_and_its_aliases(sampler: Sampler) -> None:
    for name in (SAMPLER_NAMES[sampler], sampler.value, *names.SAMPLER_ALIASES[sampler]):
        assert names.sampler_called(name) == (sampler, None)
        assert names.sampler_called(f" {name.upper()} ") == (sampler, None)


@pytest.mark.parametrize("schedule", Schedule)
def test_every_schedule_is_found_by_its_label_and_its_keys(schedule: Schedule) -> None:
    for name in (names.schedule_label(schedule), schedule.value, *names.SCHEDULE_KEYS[schedule]):
        assert names.schedule_called(name) is schedule


def test_no_name_stands_for_two() -> None:
    keys = [key for keys in names.SCHEDULE_KEYS.values() for key in keys]
    aliases = [alias for aliases in names.SAMPLER_ALIASES.values() for alias in aliases]
    assert len(keys) == len(set(keys))
    assert len(aliases) == len(set(aliases))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("DPM++ 2M Karras", (Sampler.DPMPP_2M, Schedule.KARRAS)),
        ("DPM++ 2M SDE Exponential", (Sampler.DPMPP_2M_SDE, Schedule.EXPONENTIAL)),
        ("Euler SGM Uniform", (Sampler.EULER, Schedule.TRAILING)),
    ],
)
def test_older_names_hold_sampler_and_schedule(name: str, found: tuple[Sampler, Schedule]) -> None:
    assert names.sampler_called(name) == found


@pytest.mark.parametrize("name", ["", "UniPC", "Karras", "DPM++ 2M Foo", "Euler a b"])
def test_other_names_are_not_known(name: str) -> None:
    assert names.sampler_called(name) is None
