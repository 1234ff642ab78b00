"""The control's process: diffusers' own pipeline, one picture after another."""

from __future__ import annotations

import json
from typing import Any

import diffusers
import torch
from transformers.utils import logging as transformers_logging

from limner.bench.messages import Done, Paint, PlainReady, PlainStart, Prepare
from limner.engine.child import chosen_device
from limner.models.torch_networks import has_bfloat16
from limner.process.child import Inbox, Send


def main(start: PlainStart, inbox: Inbox, send: Send) -> None:
    """The entry for `SupervisedProcess`."""
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    diffusers.utils.logging.set_verbosity_error()
    if start.threads:
        torch.set_num_threads(start.threads)
    plain = Plain(start)
    send(PlainReady(plain.half))
    while True:
        asked = inbox.wait()
        if isinstance(asked, Prepare):
            plain.prepare(asked.setting)
        else:
            plain.paint(asked)
        send(Done(asked.number))


class Plain:
    """A pipeline for each dtype, loaded as diffusers' documentation shows."""

    def __init__(self, start: PlainStart) -> None:
        index = json.loads((start.folder / "model_index.json").read_text())
        self._pipeline_class = getattr(diffusers, index["_class_name"])
        self._folder = start.folder
        self._device = torch.device(chosen_device(start.device))
        self._pipelines: dict[str, Any] = {}
        self._chosen: Any = None

    @property
    def half(self) -> str | None:
        if self._device.type == "cpu":
            return "bfloat16" if has_bfloat16() else None
        if self._device.type != "cuda":
            return "float16"
        # Older cards say yes to bfloat16 and emulate it slowly.
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"

    def prepare(self, setting: str) -> None:
        dtype, _, layout = setting.partition(", ")
        self._chosen = self._pipelines.get(dtype) or self._load(dtype)
        for network in (self._chosen.unet, self._chosen.vae):
            network.to(memory_format=getattr(torch, layout or "contiguous_format"))

    def paint(self, asked: Paint) -> None:
        params = asked.params
        self._chosen(
            params.prompt,
            negative_prompt=params.negative_prompt or None,
            width=params.width,
            height=params.height,
            num_inference_steps=params.num_inference_steps,
            guidance_scale=params.guidance_scale,
            generator=torch.Generator().manual_seed(asked.seed),
        )

    def _load(self, dtype: str) -> Any:
        pipeline = self._pipeline_class.from_pretrained(
            self._folder, dtype=getattr(torch, dtype), low_cpu_mem_usage=False, use_safetensors=True
        ).to(self._device)
        pipeline.set_progress_bar_config(disable=True)
        self._pipelines[dtype] = pipeline
        return pipeline
