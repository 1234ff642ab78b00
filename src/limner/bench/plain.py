"""The control's process: diffusers' own pipeline, one picture after another."""

from __future__ import annotations

import json
from typing import Any

import diffusers
import torch
from transformers.utils import logging as transformers_logging

from limner.bench.messages import SETTINGS, Paint, Painted, PlainReady, PlainStart
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
    send(PlainReady(plain.has_bfloat16))
    while True:
        asked = inbox.wait()
        plain.paint(asked)
        send(Painted(asked.number))


class Plain:
    """A pipeline for each dtype, loaded as diffusers' documentation shows."""

    def __init__(self, start: PlainStart) -> None:
        index = json.loads((start.folder / "model_index.json").read_text())
        self._pipeline_class = getattr(diffusers, index["_class_name"])
        self._folder = start.folder
        self._device = torch.device(chosen_device(start.device))
        self._pipelines: dict[str, Any] = {}

    @property
    def has_bfloat16(self) -> bool:
        return self._device.type != "cpu" or has_bfloat16()

    def paint(self, asked: Paint) -> None:
        dtype, _, layout = asked.setting.partition(", ")
        assert asked.setting in SETTINGS, asked.setting
        pipeline = self._pipelines.get(dtype) or self._load(dtype)
        memory_format = torch.channels_last if layout else torch.contiguous_format
        for network in (pipeline.unet, pipeline.vae):
            network.to(memory_format=memory_format)
        params = asked.params
        pipeline(
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
