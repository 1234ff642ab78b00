"""Trains the shipped prompt writer: a small GPT-2 with its own tokenizer, on prompts composed here.

    python -m training.writer --work FOLDER [--steps N] [--threads N] [--out FOLDER]

Checkpoints stay in the work folder; the same command goes on from the last one.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tqdm import tqdm
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from limner.params import Voice
from training.work import half_precision, load_checkpoint, save_checkpoint
from training.writer_prompts import compose

END: Final = "<|endoftext|>"
CONTROL: Final = {voice: f"<|{voice}|>" for voice in Voice}
VOCABULARY: Final = 2048
ROWS: Final = 24
WIDTH: Final = 96  # tokens of a training row, which holds several prompts
FOREIGN: Final = 0.15  # rows that begin with words no prompt holds, as people type them
NO_LOSS: Final = -100
PEAK_RATE: Final = 3e-3
SAVE_EVERY: Final = 200


@dataclass(slots=True)
class Run:
    model: GPT2LMHeadModel
    optimizer: torch.optim.Optimizer
    step: int = 0


def train_tokenizer(seed: int, prompts: int = 20_000) -> PreTrainedTokenizerFast:
    """A byte-level BPE over both voices that reads every text as lower case."""
    rng = random.Random(seed)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END, *CONTROL.values()],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((compose(v, rng) for _ in range(prompts) for v in Voice), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END,
        eos_token=END,
        pad_token=END,
        additional_special_tokens=list(CONTROL.values()),
    )


def new_model(tokenizer: PreTrainedTokenizerFast) -> GPT2LMHeadModel:
    end = tokenizer.eos_token_id
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=256,
        n_embd=128,
        n_layer=4,
        n_head=4,
        activation_function="gelu_pytorch_tanh",  # GPT-2's own curve, as one fused operation
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
    )
    return GPT2LMHeadModel(config)


def _foreign_word(rng: random.Random) -> str:
    if rng.random() < 0.5:
        return "".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 9)))
    return rng.choice(compose(rng.choice(list(Voice)), rng).split())


def row(tokenizer: PreTrainedTokenizerFast, voice: Voice, rng: random.Random) -> tuple[list[int], int]:
    """Token ids of one prompt between its control token and the end, and how many of them carry no loss."""
    words = compose(voice, rng).split()
    typed = 0
    if len(words) > 1 and rng.random() < FOREIGN:
        typed = rng.randint(1, min(6, len(words) - 1))
        words[:typed] = [_foreign_word(rng) if rng.random() < 0.6 else word for word in words[:typed]]
    head, tail = " ".join(words[:typed]), " ".join(words[typed:])
    said = tokenizer.encode(head) if head else []
    rest = tokenizer.encode(f" {tail}" if head else tail)
    control = tokenizer.convert_tokens_to_ids(CONTROL[voice])
    return [control, *said, *rest, tokenizer.eos_token_id], 1 + len(said)


def batch(tokenizer: PreTrainedTokenizerFast, seed: str) -> dict[str, torch.Tensor]:
    """`input_ids`, `position_ids` and `labels`, each `(ROWS, WIDTH)`, full of prompts of both voices.

    Positions begin again with each prompt; by that the model keeps attention inside it.
    """
    rng = random.Random(seed)
    input_ids: list[int] = []
    position_ids: list[int] = []
    labels: list[int] = []
    while len(input_ids) < ROWS * WIDTH:
        ids, silent = row(tokenizer, rng.choice(list(Voice)), rng)
        room = WIDTH - len(input_ids) % WIDTH
        if len(ids) > room:  # the next row begins with a whole prompt; this one's last is cut
            ids = ids[:room]
        input_ids += ids
        position_ids += range(len(ids))
        labels += [NO_LOSS] * min(silent, len(ids)) + ids[silent:]
    named = {"input_ids": input_ids, "position_ids": position_ids, "labels": labels}
    return {name: torch.tensor(values).view(ROWS, WIDTH) for name, values in named.items()}


def learning_rate(step: int, steps: int) -> float:
    """Linear warm-up over 3 % of the steps, then a cosine to a twentieth."""
    warm = max(1, steps * 3 // 100)
    if step < warm:
        return PEAK_RATE * (step + 1) / warm
    done = (step - warm) / max(1, steps - warm)
    return PEAK_RATE * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done)))


def train_step(run: Run, tokenizer: PreTrainedTokenizerFast, seed: int, steps: int) -> float:
    """One update. Returns the loss in nats a token."""
    for group in run.optimizer.param_groups:
        group["lr"] = learning_rate(run.step, steps)
    with half_precision(run.model.device):
        loss = run.model(**batch(tokenizer, f"{seed}/{run.step}"), use_cache=False).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), 1.0)
    run.optimizer.step()
    run.optimizer.zero_grad()
    run.step += 1
    return float(loss.detach())


def begin(tokenizer: PreTrainedTokenizerFast, checkpoint: Path, seed: int) -> Run:
    torch.manual_seed(seed)
    model = new_model(tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    run = Run(model, optimizer)
    if state := load_checkpoint(checkpoint):
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        run.step = state["step"]
    return run


def export(run: Run, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """The transformers folder that Limner ships: half-precision safetensors and the tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    run.model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # The class by its lasting name, and nothing of the machine that saved it.
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": END,
        "eos_token": END,
        "pad_token": END,
        "extra_special_tokens": list(CONTROL.values()),
        "model_max_length": run.model.config.n_positions,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    for file in folder.iterdir():
        file.chmod(0o644)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--work", type=Path, required=True, help="folder of the checkpoints, outside the checkout"
    )
    parser.add_argument("--out", type=Path, help="folder of the finished weights (default: WORK/writer)")
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(asked.threads)

    kept = asked.work / "tokenizer"
    if not kept.exists():
        train_tokenizer(asked.seed).save_pretrained(kept)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(kept)
    run = begin(tokenizer, asked.work / "checkpoint.pt", asked.seed)
    mean_loss = None
    with tqdm(total=asked.steps, initial=run.step, unit="step", mininterval=2) as bar:
        while run.step < asked.steps:
            loss = train_step(run, tokenizer, asked.seed, asked.steps)
            bar.update()
            mean_loss = loss if mean_loss is None else 0.98 * mean_loss + 0.02 * loss
            bar.set_postfix(loss=f"{mean_loss:.3f}", refresh=False)
            if run.step % SAVE_EVERY == 0 or run.step == asked.steps:
                state = {"model": run.model.state_dict(), "optimizer": run.optimizer.state_dict()}
                save_checkpoint(state | {"step": run.step}, asked.work / "checkpoint.pt")
    export(run, tokenizer, asked.out or asked.work / "writer")


if __name__ == "__main__":
    main()
