"""Diffusers' safety checker: does a picture come near what it was taught to object to?"""

from __future__ import annotations

import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers import CLIPImageProcessor

from limner.errors import ModelUnusable
from limner.models.safety_folder import SafetyFolder


class SafetyChecker:
    """Any one thread at a time may ask."""

    def __init__(self, folder: SafetyFolder, device: str) -> None:
        """Raises `ModelUnusable`."""
        self._dtype = torch.float32 if device == "cpu" else torch.float16
        try:
            self._processor = CLIPImageProcessor.from_pretrained(folder.processor)
            network, told = StableDiffusionSafetyChecker.from_pretrained(
                folder.weights, use_safetensors=True, dtype=self._dtype, output_loading_info=True
            )
            if told["missing_keys"] or told["mismatched_keys"]:  # made up, they would object to nothing
                missing = sorted(map(str, (*told["missing_keys"], *told["mismatched_keys"])))
                raise ValueError(f"its weights lack {missing[0]} and {len(missing) - 1} more")
            self._network = network.to(device).eval()
        except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ModelUnusable(
                f"the safety checker in {folder.weights} cannot be loaded: {reason}"
            ) from error
        self._device = device

    def objects_to(self, pixels: torch.Tensor) -> bool:
        """`pixels` `(H, W, 3)`, uint8 on the CPU."""
        seen = self._processor(images=[pixels.numpy()], return_tensors="pt")["pixel_values"]
        # It blackens what it objects to: not the picture, but these few zeros.
        blackened = torch.zeros(1, 1)
        _, flags = self._network(clip_input=seen.to(self._device, self._dtype), images=blackened)
        return bool(flags[0])
