"""Distills the starter into the fast model: four steps, no guidance, kept as a low-rank change of its UNet.

Each fast step is taught to land where three guided steps of the starter land: progressive distillation in one
go (Salimans and Ho, 2022, arXiv:2202.00512), guidance folded in (Meng et al., 2023, arXiv:2210.03142).
"""

from __future__ import annotations

import argparse
import math
from copy import deepcopy
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812
from diffusers import UNet2DConditionModel
from torch import nn
from torch.nn.utils import parametrize
from tqdm import tqdm

from training.denoiser import build_scheduler, load_denoiser
from training.tokenizer import build_tokenizer
from training.trajectories import FAST_STEPS, level, load_trajectories, timesteps_of
from training.work import add_work_flag, half_precision, load_checkpoint, pick_device, save_checkpoint

RANK: Final = 20
BATCH: Final = 64
LEARNING_RATE: Final = 1e-3
SAVE_EVERY: Final = 50


class LowRank(nn.Module):
    """Adds a product of two thin matrices to a weight (LoRA, Hu et al., 2021, arXiv:2106.09685)."""

    def __init__(self, weight: torch.Tensor, rank: int) -> None:
        super().__init__()
        rows, columns = weight.flatten(1).shape
        self.down = nn.Parameter(torch.randn(rank, columns, device=weight.device) / columns**0.5)
        self.up = nn.Parameter(torch.zeros(rows, rank, device=weight.device))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The changed weight, of the same shape."""
        return weight + (self.up @ self.down).view_as(weight)


def add_low_rank(unet: UNet2DConditionModel, rank: int = RANK) -> dict[str, LowRank]:
    """Freeze the network and give every matrix and convolution a low-rank change, by the module's name."""
    unet.requires_grad_(False)
    added = {}
    for name, module in list(unet.named_modules()):
        if isinstance(module, nn.Linear | nn.Conv2d) and min(module.weight.flatten(1).shape) > rank:
            added[name] = LowRank(module.weight, rank)
            parametrize.register_parametrization(module, "weight", added[name])
    return added


def adapter(unet: UNet2DConditionModel, added: dict[str, LowRank]) -> dict[str, torch.Tensor]:
    """The change by the names and in the shapes that diffusers' `load_lora_weights` reads."""
    tensors = {}
    for name, change in added.items():
        weight = unet.get_submodule(name).weight
        ones = (1,) * (weight.ndim - 2)
        tensors[f"unet.{name}.lora_A.weight"] = change.down.detach().view(-1, *weight.shape[1:])
        tensors[f"unet.{name}.lora_B.weight"] = change.up.detach().reshape(*change.up.shape, *ones)
    return tensors


def load_adapter(work: Path) -> dict[str, torch.Tensor]:
    """The change as trained so far, averaged; see `adapter`."""
    state = load_checkpoint(work / "fast.pt")
    if state is None:
        raise SystemExit(f"No fast model in {work}: run `python -m training.distill --work {work}` first.")
    denoiser, _ = load_denoiser(work, build_tokenizer(work))
    added = add_low_rank(denoiser.unet)
    nn.ModuleList(added.values()).load_state_dict(state["average"])
    return adapter(denoiser.unet, added)


def train(work: Path, steps: int) -> None:
    """Train until `steps` steps are done, going on from the last checkpoint."""
    device = pick_device()
    denoiser, _ = load_denoiser(work, build_tokenizer(work))
    denoiser = denoiser.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    changes = nn.ModuleList(add_low_rank(denoiser.unet).values())
    average = deepcopy(changes).requires_grad_(False)
    optimizer = torch.optim.AdamW(changes.parameters(), LEARNING_RATE, weight_decay=0.0)
    scheduler, taught, done = build_scheduler(), load_trajectories(work), 0
    if state := load_checkpoint(work / "fast.pt"):
        changes.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        done = state["step"]
    times = timesteps_of(scheduler, FAST_STEPS)
    levels = torch.tensor([level(scheduler, t) for t in [*times, -1]], device=device)[:, :, None, None, None]
    torch.manual_seed(done)
    mean_loss = 0.0
    for step in (bar := tqdm(range(done, steps), "distill", steps, initial=done, mininterval=5)):
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * min(1.0, (step + 1) / 50) * (
            0.5 + 0.5 * math.cos(math.pi * step / steps)
        )  # fmt: skip
        chosen = torch.randint(len(taught.tokens), (BATCH,))
        place = torch.arange(BATCH) % FAST_STEPS
        now = taught.latents[chosen, place].to(device, torch.float32, memory_format=torch.channels_last)
        then = taught.latents[chosen, place + 1].to(device, torch.float32)
        at = torch.tensor(times, device=device)[place]
        with torch.no_grad(), half_precision(device):
            words = denoiser.text_encoder(taught.tokens[chosen].long().to(device)).last_hidden_state
        with half_precision(device):
            v = denoiser.unet(now, at, words).sample.float()
        (a, s), (a_then, s_then) = levels[place].unbind(1), levels[place + 1].unbind(1)
        # the clean picture from which a DDIM step from `now` lands on `then`, and its v
        x0 = (s * then - s_then * now) / (s * a_then - s_then * a)
        loss = F.mse_loss(v, (a * now - x0) / s)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            for kept, new in zip(average.parameters(), changes.parameters(), strict=True):
                kept.lerp_(new, max(5e-3, 9.0 / (10 + step)))
        mean_loss += (loss.item() - mean_loss) / min(step - done + 1, 50)
        bar.set_postfix(loss=f"{mean_loss:.4f}")
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            state = {"step": step + 1, "model": changes.state_dict(), "average": average.state_dict()}
            save_checkpoint(state | {"optimizer": optimizer.state_dict()}, work / "fast.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_work_flag(parser)
    parser.add_argument("--steps", type=int, default=1200)
    args = parser.parse_args()
    train(args.work, args.steps)


if __name__ == "__main__":
    main()
