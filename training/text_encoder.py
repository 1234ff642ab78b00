"""Teaches the text encoder to read captions before the UNet sees any: what do the words say of the scene?

Its last state must tell every subject with its colour and size, the setting, the style and the relation. A
UNet that is handed words it can tell apart learns shapes several times sooner than one that has to learn
reading as well.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from tqdm import tqdm
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from training.muon import build_optimizers
from training.scenes import (
    COLORS,
    RELATIONS,
    SETTING_NOUNS,
    SETTINGS,
    SIZES,
    STYLES,
    SUBJECTS,
    Scene,
    caption,
    parse,
    sample_scene,
)
from training.tokenizer import MAX_TOKENS, build_tokenizer
from training.work import add_work_flag, half_precision, load_checkpoint, pick_device, save_checkpoint

TEXT_WIDTH: Final = 192
UNSAID: Final = 0.1  # of the captions are empty, so that guidance knows what "anything" looks like
FRAGMENT: Final = 0.06  # are a colour, a setting or a style alone, as a negative prompt is
STRANGE: Final = 0.1  # hold a word that means nothing, so that unknown words do little harm
MOST_SUBJECTS: Final = 3
LENGTHS: Final = (24, 32, MAX_TOKENS)  # captions are padded to one of these, so that most steps are short
SAVE_EVERY: Final = 200

Said = tuple[str, Scene]  # a text, and the scene as far as the text tells it


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """The untrained text encoder, CLIP's own architecture."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            projection_dim=TEXT_WIDTH,
            num_hidden_layers=3,
            num_attention_heads=6,
            max_position_embeddings=MAX_TOKENS,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            attention_dropout=0.0,
        )
    )


def load_text_encoder(work: Path, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """The text encoder as trained so far."""
    state = load_checkpoint(work / "text_encoder.pt")
    if state is None:
        raise SystemExit(
            f"No text encoder in {work}: run `python -m training.text_encoder --work {work}` first."
        )
    encoder = build_text_encoder(tokenizer)
    encoder.load_state_dict(state["encoder"])
    return encoder


def say(scene: Scene, rng: random.Random) -> Said:
    """The scene as the model is told it: in some words, now and then in hardly any or with a strange one."""
    chance = rng.random()
    if chance < UNSAID:
        return "", Scene(())
    if chance < UNSAID + FRAGMENT:
        return _fragment(scene, rng)
    text = caption(scene, rng)
    told = parse(text)
    assert told is not None, text
    if rng.random() < STRANGE:
        words = text.split(" ")
        strange = "".join(rng.choices("etaoinshrdlucmwfgypbvk", k=rng.randint(3, 9)))
        words.insert(rng.randint(0, len(words)), strange)
        text = " ".join(words)
    return text, told


def _fragment(scene: Scene, rng: random.Random) -> Said:
    color = scene.subjects[0].color
    assert color is not None
    assert scene.setting is not None
    said: list[Said] = [
        (rng.choice(COLORS[color]), Scene((replace(scene.subjects[0], name="", color=color, size=None),))),
        (rng.choice(SETTINGS[scene.setting] + SETTING_NOUNS[scene.setting]), Scene((), None, scene.setting)),
    ]
    if scene.style is not None:
        said.append((rng.choice(STYLES[scene.style]), Scene((), None, None, scene.style)))
    return rng.choice(said)


def tokens_of(tokenizer: CLIPTokenizer, texts: Sequence[str], length: int = MAX_TOKENS) -> torch.Tensor:
    """(len(texts), length) token ids, padded and cut as the pipeline does."""
    told = tokenizer(
        list(texts), padding="max_length", truncation=True, max_length=length, return_tensors="pt"
    )
    return told.input_ids  # type: ignore[no-any-return]


QUESTIONS: Final = (
    *(tuple(SUBJECTS), tuple(COLORS), tuple(SIZES)) * MOST_SUBJECTS,
    tuple(SETTINGS),
    tuple(STYLES),
    tuple(RELATIONS),
)


def answers(scene: Scene) -> list[int]:
    """One number for each of `QUESTIONS`: 0 where the words leave it open, else the answer's place plus 1."""
    said: list[str | None] = []
    for i in range(MOST_SUBJECTS):
        subject = scene.subjects[i] if i < len(scene.subjects) else None
        said += [subject.name, subject.color, subject.size] if subject else [None, None, None]
    said += [scene.setting, scene.style, scene.relation]
    return [options.index(one) + 1 if one else 0 for options, one in zip(QUESTIONS, said, strict=True)]


def train(work: Path, steps: int, batch: int) -> None:
    """Train up to `steps` steps, going on from the last checkpoint."""
    device, tokenizer = pick_device(), build_tokenizer(work)
    torch.manual_seed(0)
    encoder = build_text_encoder(tokenizer)
    heads = nn.Linear(TEXT_WIDTH, sum(1 + len(options) for options in QUESTIONS))
    both = nn.ModuleDict({"encoder": encoder, "embedding_heads": heads}).to(device)
    optimizers = build_optimizers(both, 0.01, 2e-3)
    full_rates = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    done = 0
    if state := load_checkpoint(work / "text_encoder.pt"):
        encoder.load_state_dict(state["encoder"])
        heads.load_state_dict(state["heads"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        done = state["step"]
    rng = random.Random(done)
    mean_loss, mean_right = 0.0, 0.0
    for step in (bar := tqdm(range(done, steps), "text encoder", steps, initial=done, mininterval=5)):
        rate = min(1.0, (step + 1) / 50) * min(1.0, 2 * (1 - step / steps))
        for optimizer, full in zip(optimizers, full_rates, strict=True):
            optimizer.param_groups[0]["lr"] = full * rate
        said = [say(sample_scene(rng, names=tuple(SUBJECTS)), rng) for _ in range(batch)]
        tokens = tokens_of(tokenizer, [text for text, _ in said], rng.choice(LENGTHS)).to(device)
        with half_precision(device):
            # the last place is padding, but for long captions; like every place it sees all that came before
            logits = heads(encoder(tokens).last_hidden_state[:, -1])
        wanted = torch.tensor([answers(scene) for _, scene in said], device=device).unbind(1)
        parts = logits.float().split([1 + len(options) for options in QUESTIONS], 1)
        loss = torch.stack([F.cross_entropy(p, w) for p, w in zip(parts, wanted, strict=True)]).sum()
        both.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(both.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        right = torch.stack([p.argmax(1) == w for p, w in zip(parts, wanted, strict=True)]).all(0)
        share = 1 / min(step - done + 1, 50)
        mean_loss += (loss.item() - mean_loss) * share
        mean_right += (right.float().mean().item() - mean_right) * share
        bar.set_postfix(loss=f"{mean_loss:.3f}", read=f"{mean_right:.1%}", refresh=False)
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            saved = {"step": step + 1, "encoder": encoder.state_dict(), "heads": heads.state_dict()}
            saved["optimizers"] = [optimizer.state_dict() for optimizer in optimizers]
            save_checkpoint(saved, work / "text_encoder.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_work_flag(parser)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=96)
    args = parser.parse_args()
    train(args.work, args.steps, args.batch)


if __name__ == "__main__":
    main()
