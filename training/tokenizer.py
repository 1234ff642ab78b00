"""Makes the starter model's own CLIP tokenizer: every known word one token, any other text in bytes."""

from __future__ import annotations

import json
import random
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from training.scenes import caption, known_words, sample_scene

START, END = "<|startoftext|>", "<|endoftext|>"
MAX_TOKENS = 48
MERGED_TOKENS = 600  # beyond the bytes: known words and the common pieces of them


def build_tokenizer(folder: Path) -> CLIPTokenizer:
    """The tokenizer, made at first need and read from the work folder after."""
    saved = folder / "tokenizer.json"
    if not saved.exists():
        folder.mkdir(parents=True, exist_ok=True)
        saved.write_text(json.dumps(_train()))
    vocabulary, merges = json.loads(saved.read_text())
    return CLIPTokenizer(vocabulary, [tuple(merge) for merge in merges], model_max_length=MAX_TOKENS)


def _train() -> tuple[dict[str, int], list[list[str]]]:
    """Byte-pair encoding over captions, on an alphabet of all bytes, inside and at the end of a word."""
    rng = random.Random(0)
    texts = [caption(sample_scene(rng), rng) for _ in range(20_000)] + known_words() * 50
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(",", "isolated"), pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(False)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=512 + MERGED_TOKENS,
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    merges = json.loads(bpe.to_str())["model"]["merges"]
    tokens = [
        *alphabet,
        *(letter + "</w>" for letter in alphabet),
        *("".join(merge) for merge in merges),
        START,
        END,
    ]
    return {token: i for i, token in enumerate(dict.fromkeys(tokens))}, merges
