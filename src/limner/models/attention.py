"""Attention with fewer and larger matrix products."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0, FusedAttnProcessor2_0


@torch.no_grad()
def fuse_projections(unet: Any) -> bool:
    """One product for query, key and value (of text: for key and value) instead of two or three.

    False, and nothing is changed, where attention is not the plain one of Stable Diffusion.
    """
    found = [module for module in unet.modules() if isinstance(module, Attention)]
    if not found or any(type(attention.processor) is not AttnProcessor2_0 for attention in found):
        return False
    for attention in found:
        attention.fuse_projections()
        attention.set_processor(FusedAttnProcessor2_0())
        # The fused weights are copies.
        del attention.to_k, attention.to_v
        if not attention.is_cross_attention:
            del attention.to_q
    unet.requires_grad_(False)
    return True
