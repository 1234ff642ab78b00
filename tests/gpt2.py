"""Tiny true GPT-2 folders, made by the tests that open them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, GPT2TokenizerFast

END = "<|endoftext|>"


def make_gpt2(
    folder: Path, texts: Sequence[str], *, steps: int = 0, positions: int = 512, merges: bool = False
) -> Path:
    """A GPT-2 without control tokens, trained on `texts`; `merges`: saved as the oldest copies are."""
    torch.manual_seed(0)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    config = GPT2Config(
        vocab_size=tokenizer.get_vocab_size(),
        n_positions=positions,
        n_embd=32,
        n_layer=1,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = GPT2LMHeadModel(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    ids = torch.tensor(tokenizer.encode(END.join(texts)).ids)
    for step in range(steps):
        rows = torch.stack([ids[(step * 811 + at * 97) % (len(ids) - 64) :][:64] for at in range(16)])
        model(input_ids=rows, labels=rows, attention_mask=torch.ones_like(rows)).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    if merges:
        tokenizer.model.save(str(folder))
    else:
        GPT2TokenizerFast(tokenizer_object=tokenizer, bos_token=END, eos_token=END).save_pretrained(folder)
    return folder
