"""A model kept as a change of another: put together once, it is a folder like any other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file, save_file

from limner.errors import ModelUnusable
from limner.models.adapted import ADAPTER
from limner.models.catalog import open_model
from tests import tiny


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tiny.save(tiny.TinyModel(cards={"description": "Draws noise."}), tmp_path / "base")


def test_the_network_put_together_answers_as_the_one_that_was_trained(base: Path, tmp_path: Path) -> None:
    folder, trained = tiny.save_change(base, tmp_path / "quick")
    model = open_model(str(folder), cache_dir=tmp_path / "cache")
    info = model.info
    assert (info.name, info.base, info.num_inference_steps) == ("quick", "base", 3)
    opened = StableDiffusionPipeline.from_pretrained(model.folder).unet
    inputs = torch.randn(2, 4, 8, 8), torch.tensor([10, 900]), torch.randn(2, 7, 16)
    before = UNet2DConditionModel.from_pretrained(base / "unet")
    with torch.inference_mode():
        wanted, found, unchanged = (unet(*inputs).sample for unet in (trained, opened, before))
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    assert (found - unchanged).abs().max() > 0.01


def test_it_is_put_together_once_and_anew_when_either_changes(base: Path, tmp_path: Path) -> None:
    folder, _ = tiny.save_change(base, tmp_path / "quick")
    first = open_model(str(folder), cache_dir=tmp_path / "cache").folder
    made = (first / "unet" / "diffusion_pytorch_model.safetensors").stat().st_mtime_ns
    again = open_model(str(folder), cache_dir=tmp_path / "cache").folder
    assert again == first
    assert (again / "unet" / "diffusion_pytorch_model.safetensors").stat().st_mtime_ns == made
    change = load_file(folder / ADAPTER)
    save_file({name: tensor * 2 for name, tensor in change.items()}, folder / ADAPTER)
    assert open_model(str(folder), cache_dir=tmp_path / "cache").folder != first


def test_its_base_may_be_named_by_the_folder_beside_it(base: Path, tmp_path: Path) -> None:
    folder, _ = tiny.save_change(base, tmp_path / "quick")
    (folder / "limner.json").write_text(json.dumps({"base": "base", "defaults": {"num_inference_steps": 3}}))
    assert open_model(str(folder), cache_dir=tmp_path / "cache").info.num_inference_steps == 3


def test_a_base_in_several_weight_files_is_refused(base: Path, tmp_path: Path) -> None:
    folder, _ = tiny.save_change(base, tmp_path / "quick")
    weights = base / "unet" / "diffusion_pytorch_model.safetensors"
    weights.with_suffix(".fp16.safetensors").write_bytes(weights.read_bytes())
    with pytest.raises(ModelUnusable, match="unet holds 2 weight files"):
        open_model(str(folder), cache_dir=tmp_path / "cache")


def test_a_change_of_another_network_is_refused(base: Path, tmp_path: Path) -> None:
    folder, _ = tiny.save_change(base, tmp_path / "quick")
    change = load_file(folder / ADAPTER)
    name = "unet.mid_block.resnets.0.conv1.lora_B.weight"
    save_file(change | {name: change[name][:5].contiguous()}, folder / ADAPTER)
    with pytest.raises(ModelUnusable, match=r"does not fit its base model: mid_block.resnets.0.conv1.weight"):
        open_model(str(folder), cache_dir=tmp_path / "cache")
    kohyas = {"lora_unet_mid_block.resnets.0.conv1.lora_down.weight": torch.ones(4, 8)}
    for others in (kohyas, change | kohyas, {key: change[key] for key in change if key != name}):
        save_file(others, folder / ADAPTER)
        with pytest.raises(ModelUnusable, match=r"as diffusers saves them.*mid_block.resnets.0.conv1.lora_"):
            open_model(str(folder), cache_dir=tmp_path / "cache")
    (folder / "limner.json").write_text("{}")
    with pytest.raises(ModelUnusable, match="of which model it is a change"):
        open_model(str(folder), cache_dir=tmp_path / "cache")
