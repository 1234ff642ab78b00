"""What is not loaded: broken weights, and devices that are not there."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from limner.engine.child import chosen_device
from limner.errors import ModelUnusable
from limner.models.stable_diffusion import StableDiffusion
from tests import tiny


def test_weights_of_another_shape_are_not_loaded(tmp_path: Path) -> None:
    folder = tiny.save(tiny.TinyModel(), tmp_path / "mismatch")
    config = folder / "unet" / "config.json"
    config.write_text(config.read_text().replace('"cross_attention_dim": 16', '"cross_attention_dim": 24'))
    with pytest.raises(RuntimeError, match="size mismatch"):
        StableDiffusion(folder)


def test_weights_that_lack_a_part_are_not_loaded(tmp_path: Path) -> None:
    folder = tiny.save(tiny.TinyModel(), tmp_path / "incomplete")
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    del weights["conv_in.weight"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks 1 weights, conv_in\.weight among them"):
        StableDiffusion(folder)


def test_a_device_that_is_not_there_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert chosen_device("auto") == "cpu"
    with pytest.raises(ModelUnusable, match="--device cuda: there is none"):
        chosen_device("cuda")
