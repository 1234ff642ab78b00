"""Trains the denoiser: a UNet, told by the text encoder what to make of noise, on the pool of latents."""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from tqdm import tqdm
from transformers import CLIPTokenizer

from training.autoencoder import LATENT_CHANNELS
from training.muon import build_optimizers
from training.pool import load_pool
from training.scenes import Scene
from training.text_encoder import TEXT_WIDTH, build_text_encoder, load_text_encoder, say, tokens_of
from training.tokenizer import build_tokenizer
from training.work import add_work_flag, half_precision, load_checkpoint, pick_device, save_checkpoint

CHANNELS = (64, 128, 192)
SUBJECT_WEIGHT = 2.0  # how much more the squares about a subject count than the rest
WEIGHT_DECAY = 0.2
SEVERAL = 0.6  # of what is learnt from holds more than one subject, from a third of the way on
DECAY_FROM = 0.25  # of the training: the learning rate falls to nothing from here
CHECKPOINT_S = 120.0
SHOW_EVERY = 10
WORKERS = 6  # processes that find words for a GPU
GUIDANCE_SCALE = 4.0  # that pictures are best made with


class Denoiser(nn.Module):
    """The UNet with the text encoder that it listens to, which is settled before."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        self.text_encoder = build_text_encoder(tokenizer).requires_grad_(False)
        self.unet = UNet2DConditionModel(
            sample_size=16,
            in_channels=LATENT_CHANNELS,
            out_channels=LATENT_CHANNELS,
            block_out_channels=CHANNELS,
            layers_per_block=1,
            # attention at 8x8 and in the middle alone: at 16x16 it takes half of the time on a CPU
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=(2, 2, 3),  # diffusers' old name for the number of heads
            # the whole caption reaches every block with the timestep, not only those with attention
            addition_embed_type="text",
            addition_embed_type_num_heads=6,
            resnet_time_scale_shift="scale_shift",
            cross_attention_dim=TEXT_WIDTH,
            norm_num_groups=16,
        )

    def forward(self, noisy: torch.Tensor, timesteps: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """The predicted v (B, C, H, W) for noisy latents, timesteps (B) and tokens (B, MAX_TOKENS)."""
        with torch.no_grad():
            words = self.text_encoder(tokens).last_hidden_state
        v: torch.Tensor = self.unet(noisy, timesteps, words).sample
        return v


def load_denoiser(work: Path, tokenizer: CLIPTokenizer) -> tuple[Denoiser, float]:
    """The averaged weights as trained so far, and what latents of the autoencoder are multiplied by."""
    state = load_checkpoint(work / "denoiser.pt")
    if state is None:
        raise SystemExit(f"No denoiser in {work}: run `python -m training.denoiser --work {work}` first.")
    denoiser = Denoiser(tokenizer)
    denoiser.load_state_dict(state["average"])
    return denoiser, state["scale"]


def build_scheduler() -> DDIMScheduler:
    """The cosine schedule, rescaled to end in pure noise (Lin et al., 2023, arXiv:2305.08891).

    Stable Diffusion's own is for latents of 64x64, whose neighbours tell of each other: at 16x16 half of its
    timesteps hide nearly all there is to see.
    """
    return DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast to train; `pictures` counts noisy latents seen."""

    pictures: int
    batch: int
    learning_rate: float

    def rate(self, seen: int) -> float:
        """The share of the learning rate: a short warm-up, level, then straight down to nothing."""
        warm = (seen + 1) / (100 * self.batch)
        left = (1 - seen / self.pictures) / (1 - DECAY_FROM)
        return min(warm, max(left, 0.0), 1.0)


def sample_timesteps(count: int, device: torch.device) -> torch.Tensor:
    """(count,) from 0 to 999: one from every part of the noise levels."""
    places = torch.arange(count, device=device) + torch.rand(count, device=device)
    return (places / count * 1000).long().clamp(max=999)


def learn(
    model: Denoiser,
    scheduler: DDIMScheduler,
    optimizers: Sequence[torch.optim.Optimizer],
    clean: torch.Tensor,
    tokens: torch.Tensor,
    weight: torch.Tensor,
) -> torch.Tensor:
    """One step: noise of all levels on latents (B, C, h, w), of which tokens (B, MAX_TOKENS) tell.

    Gives the mean squared error of the predicted v; what is learnt from is weighed by `weight` (B, 1, h, w).
    """
    noise, timesteps = torch.randn_like(clean), sample_timesteps(len(clean), clean.device)
    with half_precision(clean.device):
        v = model(scheduler.add_noise(clean, noise, timesteps), timesteps, tokens)
    # on v, plain squared error already weighs the noise levels by SNR + 1 (Salimans and Ho, 2022)
    error = F.mse_loss(v.float(), scheduler.get_velocity(clean, noise, timesteps), reduction="none")
    model.zero_grad()
    (weight * error).mean().backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
    return error.detach().mean()


def has_a_side(scene: Scene) -> bool:
    """Whether its mirror image is another scene: subjects in a row stand in the order of their words."""
    return len(scene.subjects) > 1 and scene.relation != "above"


def mirror_half(maps: torch.Tensor, sided: torch.Tensor) -> torch.Tensor:
    """The same (B, C, H, W) with every other one mirrored, as the autoencoder was taught to read them.

    Those that are `sided` (B,) stay as they are.
    """
    mirrored = ~sided
    mirrored[1::2] = False
    return torch.where(mirrored[:, None, None, None], maps.flip(-1), maps)


class Lessons(IterableDataset[tuple[torch.Tensor, torch.Tensor]]):
    """Without end: places (B,) in the pool, and what is said of them (B, MAX_TOKENS)."""

    def __init__(self, scenes: Sequence[Scene], tokenizer: CLIPTokenizer, plan: Plan, seen: int) -> None:
        self.scenes, self.tokenizer, self.plan, self.seen = scenes, tokenizer, plan, seen

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        worker = get_worker_info()
        mine, of = (worker.id, worker.num_workers) if worker else (0, 1)
        rng = random.Random(f"{self.seen} {mine}")
        alone = [i for i, scene in enumerate(self.scenes) if len(scene.subjects) == 1]
        several = [i for i, scene in enumerate(self.scenes) if len(scene.subjects) > 1]
        for seen in count(self.seen + mine * self.plan.batch, of * self.plan.batch):
            share = SEVERAL * min(3 * seen / self.plan.pictures, 1.0)
            chosen = [rng.choice(several if rng.random() < share else alone) for _ in range(self.plan.batch)]
            texts = [say(self.scenes[i], rng)[0] for i in chosen]
            yield torch.tensor(chosen), tokens_of(self.tokenizer, texts)


def train(work: Path, plan: Plan) -> None:
    """Train until `plan.pictures` have been seen, going on from the last checkpoint."""
    device = pick_device()
    tokenizer = build_tokenizer(work)
    scheduler = build_scheduler()
    torch.manual_seed(0)
    model = Denoiser(tokenizer)
    model.text_encoder.load_state_dict(load_text_encoder(work, tokenizer).state_dict())
    model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = deepcopy(model).requires_grad_(False)
    # never compiled: torch 2.13 then gives three quarters of the weights no gradient on a processor
    if device.type == "cpu":  # where the fused attention has a slow way back: a sixth of a step
        model.unet.set_attn_processor(AttnProcessor())
    optimizers = build_optimizers(model, plan.learning_rate, 0.05 * plan.learning_rate, WEIGHT_DECAY)
    full_rates = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    seen, step = 0, 0
    scale = 1.0 / load_pool(work).latents.float().std().item()
    if state := load_checkpoint(work / "denoiser.pt"):
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=False):  # none if unpacked
            optimizer.load_state_dict(saved)
        seen, step, scale = state["seen"], state["step"], state["scale"]
    torch.manual_seed(seen)
    started, mean_loss = step, torch.zeros((), device=device)
    bar = tqdm(total=plan.pictures, initial=seen, desc="denoiser", unit="picture", mininterval=5)
    while seen < plan.pictures:
        pool = load_pool(work)  # it may have grown meanwhile
        latents, inside = pool.latents.to(device), pool.inside.to(device)
        sided = torch.tensor([has_a_side(scene) for scene in pool.scenes], device=device)
        lessons = Lessons(pool.scenes, tokenizer, plan, seen)
        loader = DataLoader(lessons, batch_size=None, num_workers=0 if device.type == "cpu" else WORKERS)
        saved_at = time.monotonic()
        for chosen, tokens in loader:
            for optimizer, full in zip(optimizers, full_rates, strict=True):
                optimizer.param_groups[0]["lr"] = full * plan.rate(seen)
            chosen, tokens = chosen.to(device), tokens.to(device)
            clean = mirror_half(latents[chosen].float() * scale, sided[chosen])
            clean = clean.to(memory_format=torch.channels_last)
            weight = mirror_half(1 + SUBJECT_WEIGHT * inside[chosen], sided[chosen])
            error = learn(model, scheduler, optimizers, clean, tokens, weight)
            seen, step = seen + plan.batch, step + 1
            blend(average, model, step)
            mean_loss += (error - mean_loss) / min(step - started, 100)
            if step % SHOW_EVERY == 0:  # a GPU would wait for the host each time
                bar.set_postfix(loss=f"{mean_loss.item():.4f}", refresh=False)
            bar.update(plan.batch)
            if time.monotonic() - saved_at > CHECKPOINT_S or seen >= plan.pictures:
                break
        state = {"seen": seen, "step": step, "scale": scale}
        state |= {"model": model.state_dict(), "average": average.state_dict()}
        state["optimizers"] = [optimizer.state_dict() for optimizer in optimizers]
        save_checkpoint(state, work / "denoiser.pt")
        if dead := asleep(model.unet):
            bar.write(f"No gradient reaches {', '.join(dead)}.")


def asleep(network: nn.Module) -> list[str]:
    """Names of the weights that the last step left as they were: the loss may fall for long without them."""
    return [
        name
        for name, weight in network.named_parameters()
        if weight.grad is not None and not weight.grad.any()
    ]


@torch.no_grad()
def blend(average: nn.Module, model: nn.Module, step: int) -> None:
    """Move the average towards the model, at first fast."""
    share = max(4e-3, 9.0 / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), [p.detach() for p in model.parameters()], share)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_work_flag(parser)
    parser.add_argument("--pictures", type=int, default=450_000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=0.006)
    args = parser.parse_args()
    train(args.work, Plan(args.pictures, args.batch, args.learning_rate))


if __name__ == "__main__":
    main()
