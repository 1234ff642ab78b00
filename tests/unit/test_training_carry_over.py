"""A denoiser carried over to turned latents does there what it did."""

from __future__ import annotations

import pytest
import torch
from transformers import CLIPTokenizer

from limner.models.catalog import STARTER, open_model
from training.carry_over import rotation, turned
from training.denoiser import Denoiser


@pytest.fixture
def turn() -> torch.Tensor:
    orthogonal: torch.Tensor
    orthogonal, _ = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(1)))
    return orthogonal


def turned_latents(latents: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    return torch.einsum("ji,bihw->bjhw", turn, latents)


def test_the_rotation_between_latents_is_found_and_how_much_it_explains(turn: torch.Tensor) -> None:
    old = torch.randn(4, 8, 16, 16)
    new = turned_latents(old, turn)
    found, explained = rotation(old, new)
    assert found.allclose(turn, atol=1e-5)
    assert explained == pytest.approx(1.0, abs=1e-5)
    _, explained = rotation(old, 0.6 * new + 0.8 * torch.randn_like(new))
    assert explained == pytest.approx(0.36, abs=0.05)


@torch.inference_mode()
def test_a_turned_denoiser_answers_turned_latents_with_its_answer_turned(turn: torch.Tensor) -> None:
    torch.manual_seed(0)
    tokenizer = CLIPTokenizer.from_pretrained(open_model(STARTER).folder / "tokenizer")
    denoiser, other = (Denoiser(tokenizer).eval() for _ in range(2))
    other.load_state_dict(turned(denoiser.state_dict(), turn))
    x, at, tokens = torch.randn(2, 8, 16, 16), torch.tensor([100, 800]), torch.ones(2, 48, dtype=torch.long)
    expected = turned_latents(denoiser(x, at, tokens), turn)
    assert other(turned_latents(x, turn), at, tokens).allclose(expected, atol=1e-4)
