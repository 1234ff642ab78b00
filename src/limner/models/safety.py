"""Diffusers' safety checker: does a picture come near what it was taught to object to?"""

from __future__ import annotations

import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from safetensors.torch import load_file
from transformers import CLIPConfig, CLIPImageProcessorPil

from limner.errors import ModelUnusable
from limner.models.safety_folder import SafetyFolder

# What published weights call a part, and what transformers does since it has one level less.
_PUBLISHED, _NOW = "vision_model.vision_model.", "vision_model."
_NO_WEIGHT = "position_ids"


class SafetyChecker:
    """Any one thread at a time may ask."""

    def __init__(self, folder: SafetyFolder, device: str) -> None:
        """Raises `ModelUnusable`."""
        self._device = device
        self._dtype = torch.float32 if device == "cpu" else torch.float16
        try:
            self._processor = CLIPImageProcessorPil.from_pretrained(folder.processor)
            self._network = _loaded(folder).to(device, self._dtype).eval()
        except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ModelUnusable(
                f"the safety checker in {folder.weights} cannot be loaded: {reason}"
            ) from error

    def objects_to(self, pixels: torch.Tensor) -> bool:
        """`pixels` `(H, W, 3)`, uint8 on the CPU."""
        seen = self._processor(images=[pixels.numpy()], return_tensors="pt")["pixel_values"]
        # It blackens what it objects to: not the picture, but these few zeros.
        blackened = torch.zeros(1, 1)
        _, flags = self._network(clip_input=seen.to(self._device, self._dtype), images=blackened)
        return bool(flags[0])


def _loaded(folder: SafetyFolder) -> StableDiffusionSafetyChecker:
    """Raises `ValueError` when weights are missing: made up, they would object to nothing."""
    network = StableDiffusionSafetyChecker(CLIPConfig.from_pretrained(folder.weights))
    wanted = network.state_dict()
    # In full precision where the folder holds both.
    files = sorted(folder.weights.glob("*.safetensors"), key=lambda file: (".fp16." in file.name, file.name))
    weights = load_file(files[0])
    renamed = {
        name if name in wanted else name.replace(_PUBLISHED, _NOW, 1): weight
        for name, weight in weights.items()
        if not name.endswith(_NO_WEIGHT)
    }
    missing, unknown = network.load_state_dict(renamed, strict=False)
    missing = [name for name in missing if not name.endswith(_NO_WEIGHT)]
    if missing or unknown:
        raise ValueError(f"its weights lack {missing} and have {unknown}, which nothing here knows")
    return network
