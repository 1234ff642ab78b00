"""What the denoiser is shown: which pictures, with which words, and where their subjects are."""

from __future__ import annotations

import random
from itertools import islice

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import CLIPTokenizer

from limner.models.catalog import STARTER, open_model
from training.autoencoder import unlikeness
from training.denoiser import Lessons, Plan, asleep, has_a_side, mirror_half
from training.draw import draw_placed
from training.pool import share_inside
from training.scenes import Scene, sample_scene
from training.tokenizer import MAX_TOKENS

PLAN = Plan(pictures=1000, batch=100, learning_rate=0.02)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    rng = random.Random(0)
    return [sample_scene(rng) for _ in range(400)]


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(open_model(STARTER).folder / "tokenizer")


def share_of_several(scenes: list[Scene], places: torch.Tensor) -> float:
    return sum(len(scenes[i].subjects) > 1 for i in places.tolist()) / len(places)


def test_lessons_begin_with_one_subject_and_end_with_several(
    scenes: list[Scene], tokenizer: CLIPTokenizer
) -> None:
    first, *_, last = islice(Lessons(scenes, tokenizer, PLAN, seen=0), 11)
    assert first[1].shape == (PLAN.batch, MAX_TOKENS)
    assert share_of_several(scenes, first[0]) < 0.05
    assert share_of_several(scenes, last[0]) > 0.5


def test_lessons_of_each_worker_are_its_own_and_the_same_again_from_the_same_place(
    scenes: list[Scene], tokenizer: CLIPTokenizer
) -> None:
    lessons = Lessons(scenes, tokenizer, PLAN, seen=500)
    loaders = [DataLoader(lessons, batch_size=None, num_workers=2) for _ in range(2)]
    (one, other), again = (list(islice(loader, 2)) for loader in loaders)
    assert not one[0].equal(other[0])
    assert one[0].equal(again[0][0])
    assert one[1].equal(again[0][1])


def test_share_inside_is_the_share_of_each_square_that_lies_in_some_box() -> None:
    inside = share_inside([[[0.0, 0.0, 0.5, 0.25]], [[0.25, 0.0, 0.75, 0.5], [0.0, 0.0, 0.3, 0.5]]], side=2)
    assert inside.shape == (2, 1, 2, 2)
    assert inside[0, 0].tolist() == [[0.5, 0.0], [0.0, 0.0]]
    assert inside[1, 0].flatten().tolist() == pytest.approx([0.6, 0.5, 0.0, 0.0])


def test_every_other_one_is_mirrored_but_for_those_whose_words_tell_a_side() -> None:
    maps = torch.arange(32.0).reshape(4, 1, 2, 4)
    mirrored = mirror_half(maps, torch.tensor([False, False, True, True]))
    assert mirrored[0].equal(maps[0].flip(-1))
    assert mirrored[1:].equal(maps[1:])


def test_only_subjects_in_a_row_have_a_side_and_there_they_stand_in_the_order_of_their_words() -> None:
    rng = random.Random(3)
    scenes = [sample_scene(rng) for _ in range(300)]
    for scene in scenes:
        _, where = draw_placed(scene, 32, rng)
        middles = [place.x for place in where]
        if has_a_side(scene):
            assert [place.subject for place in where] == list(scene.subjects)
            assert middles == sorted(middles)
    assert {has_a_side(scene) for scene in scenes if len(scene.subjects) > 1} == {True, False}
    assert not any(has_a_side(scene) for scene in scenes if len(scene.subjects) == 1)


def test_a_lost_pattern_counts_however_dark_it_is_and_grain_does_not() -> None:
    stripes = torch.tensor([-1.0, -1.0, 1.0, 1.0]).repeat(8).expand(1, 3, 32, 32)
    blank = torch.zeros_like(stripes)
    bold, dark, grain = (unlikeness(blank, contrast * stripes).item() for contrast in (0.8, 0.3, 0.02))
    assert unlikeness(stripes, stripes).item() == pytest.approx(0.0, abs=1e-6)
    assert dark > 0.9 * bold
    assert grain < 0.1 * bold


def test_a_layer_that_no_gradient_reaches_is_named() -> None:
    first = nn.Linear(4, 4)
    network = nn.Sequential(first, nn.ReLU(), nn.Linear(4, 2))
    network(torch.randn(8, 4)).square().mean().backward()
    assert asleep(network) == []
    nn.init.constant_(first.bias, -1e6)
    network.zero_grad()
    network(torch.randn(8, 4)).square().mean().backward()
    assert asleep(network) == ["0.weight", "0.bias", "2.weight"]
