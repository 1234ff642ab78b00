"""What a picture is made from, and what is refused."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as st

from limner.engine.double import MODEL
from limner.errors import InvalidInput
from limner.params import SEEDS, GenerationParams, Sampler, Schedule, nearest_size, resolve, submission

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


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ((256, 256), (256, 256)),
        ((192, 320), (192, 320)),
        ((1024, 1024), (512, 512)),
        ((1536, 1024), (480, 320)),
        ((1024, 1536), (320, 480)),
        ((16, 16), (128, 128)),
        ((250, 250), (256, 256)),
        ((1, 99_999), (128, 512)),
        ((99_999, 1), (512, 128)),
    ],
)
def test_the_nearest_size_keeps_the_shape(asked: tuple[int, int], given: tuple[int, int]) -> None:
    model = MODEL.model_copy(update={"min_size": 128, "max_size": 512, "size_step": 16})
    assert nearest_size(model, *asked) == given


@hypothesis.given(st.integers(1, 99_999), st.integers(1, 99_999), st.sampled_from([8, 16, 64, 48]))
def test_the_nearest_size_is_one_that_the_model_can_do(width: int, height: int, step: int) -> None:
    model = MODEL.model_copy(update={"min_size": 100, "max_size": 1000, "size_step": step})
    for side in nearest_size(model, width, height):
        assert model.min_size <= side <= model.max_size
        assert side % step == 0
