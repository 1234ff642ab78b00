"""The commands as a person runs them."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from tests.running import at_once, limner, refused_in_one_line


def test_generate_writes_the_picture_it_was_asked_for(tmp_path: Path) -> None:
    target = tmp_path / "house.png"
    ended = limner(
        "generate",
        "a red house at night",
        "-o",
        str(target),
        "--seed",
        "7",
        "--data-dir",
        str(tmp_path / "d"),
    )
    assert ended.returncode == 0, ended.stderr
    with Image.open(target) as picture:
        assert picture.format == "PNG"
        assert "Seed: 7" in picture.text["parameters"]  # type: ignore[attr-defined]
    told = limner("inspect", str(target), "--data-dir", str(tmp_path / "d"))
    assert told.returncode == 0, told.stdout + told.stderr
    for fact in ("a red house at night", "trainedAlgorithmicMedia", "holds", "this machine's own"):
        assert fact in told.stdout
    target.write_bytes(retold(target.read_bytes(), b"at night", b"at lunch"))
    told = limner("inspect", str(target), "--data-dir", str(tmp_path / "d"))
    assert told.returncode == 1
    assert "CHANGED" in told.stdout


def retold(png: bytes, old: bytes, new: bytes) -> bytes:
    """The PNG with other words of the same length in its parameters, and a checksum that fits them."""
    at = png.index(b"tEXtparameters")
    end = at + 4 + int.from_bytes(png[at - 4 : at])
    chunk = png[at:end].replace(old, new)
    return png[:at] + chunk + zlib.crc32(chunk).to_bytes(4) + png[end + 4 :]


def test_generate_paints_several_prompts_into_a_folder_together(tmp_path: Path) -> None:
    ended = limner(
        *("generate", "a blue fish", "a green tree in the snow", "-o", str(tmp_path / "out")),
        *(
            "--num-images",
            "2",
            "--num-inference-steps",
            "4",
            "--output-format",
            "webp",
            "--data-dir",
            str(tmp_path / "d"),
        ),
    )
    assert ended.returncode == 0, ended.stderr
    made = sorted((tmp_path / "out").iterdir())
    assert len(made) == 4
    for file in made:
        with Image.open(file) as picture:
            assert picture.format == "WEBP"


def test_generate_refuses_bad_values_in_one_line(tmp_path: Path) -> None:
    ended = limner(
        "generate", "a fish", "--width", "100", "-o", str(tmp_path / "x.png"), "--data-dir", str(tmp_path)
    )
    refused_in_one_line(ended, "width")
    assert "100" in ended.stderr
    assert not (tmp_path / "x.png").exists()


def test_prompt_writes_the_same_prompt_for_the_same_seed() -> None:
    ended = [limner("prompt", "a red", "--seed", "3") for _ in range(2)]
    assert ended[0].returncode == 0, ended[0].stderr
    assert ended[0].stdout == ended[1].stdout
    assert ended[0].stdout.startswith("a red")
    assert len(ended[0].stdout) > len("a red\n")


def test_models_list_names_what_is_shipped() -> None:
    ended = limner("models", "list")
    assert ended.returncode == 0, ended.stderr
    assert [line.split()[0] for line in ended.stdout.splitlines()[:2]] == ["starter", "starter-fast"]


def test_the_fast_model_paints_what_was_asked_for_in_four_steps(tmp_path: Path) -> None:
    picture = tmp_path / "apple.png"
    prompt = "a red apple on a meadow"
    ended = limner(
        *("generate", prompt, "--model", "starter-fast", "--seed", "1"),
        *("-o", str(picture), "--data-dir", str(tmp_path / "data")),
    )
    assert ended.returncode == 0, ended.stderr
    assert "Steps: 4," in limner("inspect", str(picture)).stdout
    with Image.open(picture) as opened:
        middle = np.asarray(opened.convert("RGB"))[85:171, 85:171].mean((0, 1))
    assert middle[0] > 1.5 * max(middle[1:])


def test_help_fits_a_screen() -> None:
    commands = [
        *([], ["serve"], ["generate"], ["prompt"], ["bench"], ["models"], ["models", "list"], ["inspect"]),
        *(["keys"], ["keys", "create"], ["keys", "list"], ["keys", "revoke"]),
    ]
    for ended in at_once(lambda command: limner(*command, "--help"), commands):
        assert ended.returncode == 0
        lines = ended.stdout.splitlines()
        assert len(lines) <= 40
        assert max(map(len, lines)) <= 100
