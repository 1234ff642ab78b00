"""Which models are opened, what is known of them without opening, and how the others are refused."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import CompletedProcess, run
from typing import Any

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from limner.diffusion.config import NoiseConfig
from limner.engine.messages import ImageRequest
from limner.engine.request import RunningRequest
from limner.engine.runner import Runner
from limner.errors import ModelUnusable
from limner.models.catalog import check, open_model, open_models, read_noise
from limner.models.stable_diffusion import StableDiffusion
from limner.params import DIFFUSION_SAMPLERS, GenerationParams, Sampler, Voice, resolve, submission
from tests import tiny

UNET = Path("unet") / "diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny.save(tiny.TinyModel(), tmp_path / "tiny")


def edit(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_model_is_described_by_the_files_beside_its_weights(folder: Path) -> None:
    info = open_model(str(folder)).info
    assert (info.name, info.default, info.family) == ("tiny", True, "stable-diffusion")
    assert (info.width, info.height, info.size_step) == (64, 64, 8)
    assert (info.min_size, info.max_size) == (32, 128)
    assert info.sampler is Sampler.DDIM
    assert info.voice is Voice.FULL
    assert info.draws is None


def test_a_few_step_model_is_asked_for_few_steps_without_guidance(folder: Path) -> None:
    edit(folder / "scheduler" / "scheduler_config.json", _class_name="LCMScheduler")
    info = open_model(str(folder)).info
    assert (info.sampler, info.num_inference_steps, info.guidance_scale) == (Sampler.LCM, 4, 1.0)


def test_the_samplers_on_offer_are_those_that_fit_the_model(folder: Path) -> None:
    assert open_model(str(folder)).info.samplers == DIFFUSION_SAMPLERS
    scheduler = folder / "scheduler" / "scheduler_config.json"
    for told, own in (
        ({"_class_name": "TCDScheduler"}, Sampler.TCD),
        (
            {"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "sde-dpmsolver++"},
            Sampler.DPMPP_2M_SDE,
        ),
    ):
        edit(scheduler, **told)
        assert open_model(str(folder)).info.sampler is own
    scheduler.write_text(json.dumps({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}))
    info = open_model(str(folder)).info
    assert (info.sampler, info.samplers) == (Sampler.FLOW_MATCH_EULER, (Sampler.FLOW_MATCH_EULER,))
    (folder / "limner.json").write_text(json.dumps({"defaults": {"sampler": "ddim"}}))
    with pytest.raises(ModelUnusable, match=r"ddim cannot sample this model; use one of: flow_match_euler"):
        open_model(str(folder))


def test_a_flow_matching_model_paints_what_a_plain_loop_paints(folder: Path) -> None:
    told = {"_class_name": "FlowMatchEulerDiscreteScheduler", "use_dynamic_shifting": True}
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(told))
    opened = open_model(str(folder))
    model = StableDiffusion(folder, dtype="float32")
    params = resolve(submission(prompt="a house", guidance_scale=1, num_inference_steps=6), (opened.info,), 3)
    painted = latents_of(model, params)
    scheduler = FlowMatchEulerDiscreteScheduler.from_config(told)
    scheduler.set_timesteps(6, mu=0.5 + 0.65 / 3840 * (8 * 8 - 256))
    latents = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(params.seed))
    for timestep in scheduler.timesteps:
        output = model.predict(latents, timestep[None], model.encode("a house")[None], torch.ones(1))
        latents = scheduler.step(output, timestep, latents).prev_sample
    assert latents.std() > 0.1
    torch.testing.assert_close(painted, latents[0], rtol=1e-4, atol=1e-4)


def latents_of(model: StableDiffusion, params: GenerationParams) -> torch.Tensor:
    running = RunningRequest.begin(ImageRequest("1", "someone", params, params.seed), model, 0.0)
    runner = Runner({params.model: model})
    runner.admit(running)
    while not running.done:
        runner.advance([running])
    return runner.finished(running).latents


def test_the_offset_of_the_timesteps_is_the_files_own_or_else_one(folder: Path) -> None:
    file = folder / "scheduler" / "scheduler_config.json"
    told = json.loads(file.read_text())
    for given, expected in (({}, 1), ({"steps_offset": 0}, 0), ({"steps_offset": 2}, 2)):
        file.write_text(json.dumps({key: told[key] for key in told if key != "steps_offset"} | given))
        noise = read_noise(folder)
        assert isinstance(noise, NoiseConfig)
        assert noise.steps_offset == expected


def test_the_card_beside_the_weights_has_the_last_word(folder: Path) -> None:
    card = {
        "description": "Simple scenes",
        "draws": {"subjects": ["house"]},
        "known_words": ["red", "house"],
        "examples": ["a red house"],
        "licence": "Apache-2.0",
        "defaults": {"num_inference_steps": 12, "guidance_scale": 3.0, "sampler": "euler", "width": 96},
    }
    (folder / "limner.json").write_text(json.dumps(card))
    info = open_model(str(folder)).info
    assert (info.draws, info.known_words, info.licence) == ("Simple scenes", ("red", "house"), "Apache-2.0")
    assert (info.num_inference_steps, info.sampler, info.width, info.height) == (12, Sampler.EULER, 96, 64)
    assert info.voice is Voice.STARTER
    edit(folder / "limner.json", defaults={"sampler": "magic"})
    with pytest.raises(ModelUnusable, match=r"limner\.json"):
        open_model(str(folder))


def test_the_first_of_several_models_is_the_default_and_names_must_differ(
    folder: Path, tmp_path: Path
) -> None:
    other = tiny.save(tiny.TinyModel(), tmp_path / "other")
    models = open_models([str(folder), str(other)])
    assert [(m.info.name, m.info.default) for m in models] == [("tiny", True), ("other", False)]
    with pytest.raises(ModelUnusable, match="two models are called tiny"):
        open_models([str(folder), str(folder)])


def remove(*parts: str) -> Callable[[Path], object]:
    return lambda folder: folder.joinpath(*parts).unlink()


def only_pickles(folder: Path) -> None:
    (folder / UNET).rename(folder / "unet" / "diffusion_pytorch_model.bin")


def renamed_pickle(folder: Path) -> None:
    (folder / UNET).write_bytes(pickle.dumps({"weight": [1.0]}))


def renamed_torch_file(folder: Path) -> None:
    torch.save({"weight": torch.ones(1)}, folder / UNET)


def cut_short(folder: Path) -> None:
    whole = (folder / UNET).read_bytes()
    (folder / UNET).write_bytes(whole[: len(whole) // 2])


def cut_in_its_header(folder: Path) -> None:
    (folder / UNET).write_bytes((folder / UNET).read_bytes()[:100])


def absurd_header(folder: Path) -> None:
    (folder / UNET).write_bytes(struct.pack("<Q", 2**60) + b"{}")


def empty(folder: Path) -> None:
    (folder / UNET).write_bytes(b"")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (remove("model_index.json"), "not a diffusers folder"),
        (remove("unet", "config.json"), "has no config.json"),
        (remove("scheduler", "scheduler_config.json"), "has no scheduler_config.json"),
        (remove("unet", UNET.name), "no .safetensors file"),
        (only_pickles, "only pickled weights"),
        (renamed_pickle, "is a pickle under another name"),
        (renamed_torch_file, "is a pickle under another name"),
        (cut_short, "corrupt or cut short"),
        (cut_in_its_header, "corrupt or cut short"),
        (absurd_header, "corrupt or cut short"),
        (empty, "corrupt or cut short"),
        (lambda f: (f / "model_index.json").write_text("{"), "cannot be read as JSON"),
        (lambda f: (f / "model_index.json").write_text("[]"), "not a JSON object"),
        (
            lambda f: edit(f / "model_index.json", _class_name="FluxPipeline"),
            "is a FluxPipeline; limner opens",
        ),
        (lambda f: edit(f / "model_index.json", unet=["evil", "Evil"]), "its unet is a Evil"),
        (lambda f: edit(f / "unet" / "config.json", in_channels=9), "inpainting"),
        (
            lambda f: edit(f / "scheduler" / "scheduler_config.json", thresholding=True),
            "thresholding True is not one of False; use another model, or a copy with that changed",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(
    folder: Path, damage: Callable[[Path], object], reason: str
) -> None:
    check(folder)
    damage(folder)
    with pytest.raises(ModelUnusable) as refused:
        open_model(str(folder))
    assert reason in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert str(folder) in str(refused.value)


def test_a_missing_folder_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=r"no folder .*/nowhere"):
        open_model(str(tmp_path / "nowhere"))
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ModelUnusable, match="is a file; give the folder that holds"):
        open_model(str(tmp_path / "model.safetensors"))


HUB_ID = "owner/painter"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's protocol as a download needs, over a folder; `asked` are the files it gave."""

    folder: Path
    asked: list[str]

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        path = self.path.split("?")[0]
        resolved = f"/{HUB_ID}/resolve/{COMMIT}/"
        if path.startswith(f"/api/models/{HUB_ID}/"):
            files = [file for file in sorted(self.folder.rglob("*")) if file.is_file()]
            siblings = [
                {"rfilename": str(file.relative_to(self.folder)), "size": file.stat().st_size}
                for file in files
            ]
            listing = [
                {"type": "file", "path": s["rfilename"], "size": s["size"], "oid": "0" * 40} for s in siblings
            ]
            whole = {"id": HUB_ID, "modelId": HUB_ID, "sha": COMMIT, "siblings": siblings}
            self._send(json.dumps(listing if "/tree/" in path else whole).encode(), with_body)
        elif path.startswith(resolved) and (self.folder / path.removeprefix(resolved)).is_file():
            if with_body:
                self.asked.append(path.removeprefix(resolved))
            self._send((self.folder / path.removeprefix(resolved)).read_bytes(), with_body)
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _send(self, body: bytes, with_body: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", hashlib.sha256(body).hexdigest())
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def hub(folder: Path) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    handler = type("OneHub", (Hub,), {"folder": folder, "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def opened_from(endpoint: str, cache: Path, hub_id: str = HUB_ID) -> CompletedProcess[str]:
    """In a process of its own, because the hub's client reads its address once, when it is imported."""
    code = (
        f"from limner.models.catalog import open_model as o; m = o({hub_id!r}); print(m.info.name, m.folder)"
    )
    environment = os.environ | {"HF_ENDPOINT": endpoint, "HF_HOME": str(cache), "HF_HUB_DISABLE_XET": "1"}
    return run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


def test_a_hub_model_is_downloaded_once_and_without_what_could_run(
    hub: tuple[str, list[str]], folder: Path, tmp_path: Path
) -> None:
    (folder / "unet" / "evil.py").write_text("raise SystemExit")
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"pickle")
    (folder / "unet" / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"half")
    (folder / "whole-model.safetensors").write_bytes(b"seven gigabytes")
    endpoint, asked = hub
    first = opened_from(endpoint, tmp_path / "cache")
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("painter ")
    assert "%|" in first.stderr, "no progress bar"
    assert "unet/diffusion_pytorch_model.safetensors" in asked
    assert not {file for file in asked if file.endswith((".py", ".bin")) or "fp16" in file or "whole" in file}
    count = len(asked)
    assert opened_from(endpoint, tmp_path / "cache").returncode == 0
    assert len(asked) == count
    offline = opened_from("http://127.0.0.1:9", tmp_path / "cache")
    assert offline.returncode == 0, offline.stderr


def test_a_model_in_half_precision_alone_is_downloaded_so(
    hub: tuple[str, list[str]], folder: Path, tmp_path: Path
) -> None:
    for file in list(folder.rglob("*.safetensors")):
        file.rename(file.with_name(file.name.replace(".safetensors", ".fp16.safetensors")))
    result = opened_from(hub[0], tmp_path / "cache")
    assert result.returncode == 0, result.stderr
    StableDiffusion(Path(result.stdout.split()[1]), dtype="float32")


def test_a_name_that_the_hub_does_not_know_is_told(hub: tuple[str, list[str]], tmp_path: Path) -> None:
    result = opened_from(hub[0], tmp_path / "cache", "owner/unknown")
    assert "ModelUnusable: the hub has no public model owner/unknown" in result.stderr


def test_without_a_network_a_hub_id_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelUnusable) as refused:
        open_model("nobody/nothing")
    assert "no folder nobody/nothing here" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_a_preview_shows_the_colours_of_the_picture(tmp_path: Path) -> None:
    for name, channels, tiny_decoder in (("kl", 4, False), ("tiny", 8, True)):
        folder = tiny.save(
            tiny.TinyModel(latent_channels=channels, tiny_decoder=tiny_decoder), tmp_path / name
        )
        model = StableDiffusion(folder, dtype="float32")
        preview = model.preview(torch.randn(channels, 8, 6))
        assert preview.shape == (8, 6, 3)
        assert preview.dtype == torch.uint8
    rows = [[0.0, 0.0, 0.0]] * 8 + [[1.0, -1.0, 0.0]]
    (folder / "limner.json").write_text(json.dumps({"latent_rgb": rows}))
    red = StableDiffusion(folder, dtype="float32").preview(torch.randn(8, 2, 2))
    assert red[0, 0].tolist() == [255, 0, 127]
