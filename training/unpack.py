"""Makes a work folder out of exported weights, so that training can go on where nothing else was kept.

python -m training.unpack --work FOLDER [--seen 76000]
python -m training.pool --work FOLDER
python -m training.denoiser --work FOLDER --pictures 200000
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from diffusers import AutoencoderTiny, UNet2DConditionModel
from transformers import CLIPTextModel

from training.autoencoder import HalfDecoder
from training.denoiser import Denoiser
from training.export import STARTER
from training.tokenizer import build_tokenizer
from training.work import add_work_flag, save_checkpoint


def unpack(folder: Path, work: Path, seen: int) -> None:
    """Write what the steps of training leave in `work`; optimizers begin anew. Raises `SystemExit`."""
    if any((work / f"{name}.pt").exists() for name in ("autoencoder", "text_encoder", "denoiser")):
        raise SystemExit(f"{work} holds checkpoints already; name another folder with --work.")
    work.mkdir(parents=True, exist_ok=True)
    model = json.loads((folder / "tokenizer" / "tokenizer.json").read_text())["model"]
    merges = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
    (work / "tokenizer.json").write_text(json.dumps([model["vocab"], merges]))
    vae = AutoencoderTiny.from_pretrained(folder / "vae")
    save_checkpoint(
        {
            "model": vae.state_dict(),
            "conv_out": HalfDecoder(vae).conv_out.state_dict(),
            "optimizers": [],
            "step": 0,
            "phase": "full size",
        },
        work / "autoencoder.pt",
    )
    encoder = CLIPTextModel.from_pretrained(folder / "text_encoder")
    save_checkpoint({"encoder": encoder.state_dict()}, work / "text_encoder.pt")
    denoiser = Denoiser(build_tokenizer(work))
    denoiser.text_encoder.load_state_dict(encoder.state_dict())
    denoiser.unet.load_state_dict(UNet2DConditionModel.from_pretrained(folder / "unet").state_dict())
    weights = denoiser.state_dict()
    state = {"seen": seen, "step": 0, "scale": vae.config.scaling_factor, "optimizers": []}
    save_checkpoint(state | {"model": weights, "average": weights}, work / "denoiser.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_work_flag(parser)
    parser.add_argument("--folder", type=Path, default=STARTER, help="exported weights (%(default)s)")
    parser.add_argument("--seen", type=int, default=0, help="noisy latents seen so far (%(default)s)")
    args = parser.parse_args()
    unpack(args.folder, args.work, args.seen)


if __name__ == "__main__":
    main()
