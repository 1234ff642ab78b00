"""What a picture is made from, and what is refused."""

from __future__ import annotations

import pytest

from limner.engine.double import MODEL
from limner.errors import InvalidInput
from limner.params import SEEDS, GenerationParams, Sampler, Schedule, resolve, submission

OTHER = MODEL.model_copy(
    update={"name": "other", "default": False, "samplers": (Sampler.LCM,), "sampler": Sampler.LCM}
)


def resolved(**values: object) -> GenerationParams:
    return resolve(submission(**{"prompt": "a house"} | values), (MODEL, OTHER), seed=11)


def refused(**values: object) -> dict[str, object]:
    with pytest.raises(InvalidInput) as caught:
        resolved(**values)
    return {field.field: field.limit for field in caught.value.fields}


def test_what_is_left_out_or_null_comes_from_the_model() -> None:
    for params in (resolved(), resolved(width=None, seed=None, sampler=None)):
        assert params.model == "double"
        assert (params.width, params.num_inference_steps, params.seed) == (128, 8, 11)
        assert None not in params.model_dump().values()


def test_what_is_asked_stays() -> None:
    params = resolved(model="other", seed=3, width=256, negative_prompt=" rain ")
    assert (params.model, params.seed, params.width) == ("other", 3, 256)
    assert (params.sampler, params.negative_prompt) == (Sampler.LCM, "rain")


def test_limits_are_those_of_the_chosen_model() -> None:
    assert refused(width=520, height=8) == {
        "width": "64 to 512 in steps of 16",
        "height": "64 to 512 in steps of 16",
    }
    assert refused(model="other", sampler="ddim") == {"sampler": "lcm"}
    assert refused(model="third") == {"model": "double, other"}


def test_a_distilled_sampler_takes_no_schedule_that_misses_its_timesteps() -> None:
    assert refused(sampler="lcm", schedule="karras") == {"schedule": "plain, trailing"}
    assert refused(sampler="flow_match_euler", schedule="karras").keys() == {"sampler"}
    assert resolved(sampler="ddim", schedule="exponential").schedule is Schedule.EXPONENTIAL
    curved = MODEL.model_copy(update={"schedule": Schedule.KARRAS})
    assert resolve(submission(prompt="a house"), (curved,), 1).schedule is Schedule.KARRAS
    assert resolve(submission(prompt="a house", sampler="tcd"), (curved,), 1).schedule is Schedule.PLAIN


def test_an_empty_prompt_is_refused() -> None:
    assert refused(prompt=" ") == {"prompt": "1 to 4000 characters"}


def test_seeds_of_several_pictures_wrap() -> None:
    params = resolved(seed=SEEDS - 1, num_images=2)
    assert [params.seed_of(0), params.seed_of(1)] == [SEEDS - 1, 0]


def test_cost_counts_pixels_steps_and_guidance() -> None:
    plain = resolved(width=512, height=512, num_inference_steps=10, guidance_scale=1)
    assert plain.cost == pytest.approx(2.62144)
    assert resolved(width=512, height=512, num_inference_steps=10, guidance_scale=2).cost == plain.cost * 2
