"""The examples of the documents run as they stand, and keep what the text beside them promises."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import re
import secrets
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from limner.engine.double import EngineDouble
from tests.asking import key
from tests.clients.environment import python_packages
from tests.serving import Api, serving

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "http://127.0.0.1:7860"
# The machine's Node, or the one that the set-up put beside Python.
NODE = shutil.which("node", path=f"{os.environ['PATH']}{os.pathsep}{Path(sys.executable).parent}")
# An example that is answered with an error has failed.
STRICT_CURL = 'set -euo pipefail; curl() { command curl --fail-with-body "$@"; }\n'
ASKED = (
    "ann: !paint a red house\nben: good morning\nben: !paint a blue fish\ncat: !paint\ndan: !paint a green…\n"
)


@dataclass(frozen=True)
class Example:
    """`name`: its heading and language, with a number from the second on."""

    name: str
    language: str
    text: str


@dataclass(frozen=True)
class Ran:
    """What an example said, where it ran and on which server."""

    said: str
    folder: Path
    api: Api

    @property
    def answer(self) -> Any:
        return json.loads(self.said)

    @property
    def lines(self) -> list[str]:
        return self.said.splitlines()


def examples(document: str, *, under: str | None = None) -> list[Example]:
    """Those in a document, or under one of its headings."""
    found: list[Example] = []
    heading = ""
    text = (ROOT / document).read_text()
    for match in re.finditer(r"^#+ ([^\n]+)$|^```(sh|python|js)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if match[1]:
            heading = match[1]
        elif under in (None, heading):
            name = f"{heading}, {match[2]}"
            number = 1 + sum(each.name.startswith(name) for each in found)
            found.append(Example(name if number == 1 else f"{name} {number}", match[2], match[3]))
    return found


EXAMPLES = [*examples("docs/api.md"), *examples("README.md", under="From a program")]


@pytest.fixture(scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    async with serving(tmp_path_factory.mktemp("data"), EngineDouble(step_s=0.02)) as running:
        yield running


async def run(example: Example, api: Api, folder: Path) -> Ran:
    text = example.text.replace(ADDRESS, api.url)
    script = folder / {"sh": "example.sh", "python": "example.py", "js": "example.mjs"}[example.language]
    script.write_text(STRICT_CURL + text if example.language == "sh" else text)
    secret = key(api, f"example {secrets.token_hex(4)}")["Authorization"].removeprefix("Bearer ")
    environment = dict(os.environ) | {"LIMNER_KEY": secret, "LIMNER_URL": api.url}
    match example.language:
        case "sh":
            command = ["bash", str(script)]
        case "js":
            command = [str(NODE), str(script)]
        case _ if "openai" in text:
            command = [sys.executable, "-S", str(script)]
            environment["PYTHONPATH"] = str(python_packages("openai"))
        case _:
            command = [sys.executable, str(script)]
    pipe = asyncio.subprocess.PIPE
    running = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=environment, stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        async with asyncio.timeout(120):
            said, complaints = await running.communicate(ASKED.encode())
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    assert running.returncode == 0, complaints.decode() + said.decode()
    return Ran(said.decode(), folder, api)


def kind(picture: bytes) -> str | None:
    return PIL.Image.open(io.BytesIO(picture)).format


async def is_picture(ran: Ran, url: str, format: str = "PNG") -> None:
    answer = await ran.api.client.get(url)
    assert answer.status_code == 200, url
    assert kind(answer.content) == format


def events_of(said: str) -> list[tuple[str, Any]]:
    found = re.findall(r"^event: (\w+)\n(?:id: .*\n)?data: (.*)$", said, re.MULTILINE)
    return [(name, json.loads(data)) for name, data in found]


async def it_waits_for_the_picture(ran: Ran) -> None:
    made = ran.answer
    assert (made["status"], made["params"]["seed"]) == ("succeeded", 7)
    await is_picture(ran, made["images"][0]["url"])


async def it_prints_four_pictures_of_consecutive_seeds(ran: Ran) -> None:
    seeds, urls = zip(*(line.split() for line in ran.lines), strict=True)
    assert [int(seed) - int(seeds[0]) for seed in seeds] == [0, 1, 2, 3]
    await is_picture(ran, urls[3])


async def it_prints_a_webp(ran: Ran) -> None:
    (line,) = ran.lines
    await is_picture(ran, line.split()[1], "WEBP")


async def it_takes_all_three_once(ran: Ran) -> None:
    items = ran.answer["items"]
    assert [item["params"]["num_images"] for item in items] == [1, 4, 1]
    assert [item["params"]["prompt"] for item in items[:2]] == ["a red house", "a blue fish"]
    assert items[2]["params"]["prompt"]
    again = await run(by_name("Many at once, sh"), ran.api, ran.folder)
    assert [item["id"] for item in again.answer["items"]] == [item["id"] for item in items]


async def it_streams_to_the_end(ran: Ran) -> None:
    names = [name for name, _ in events_of(ran.said)]
    assert (names[0], names[-1]) == ("snapshot", "succeeded")
    assert {"started", "progress", "preview", "image"} <= set(names)


async def it_prints_steps_and_the_picture(ran: Ran) -> None:
    assert any(line.startswith("step ") for line in ran.lines)
    assert any(line.startswith("a preview to show") for line in ran.lines)
    await is_picture(ran, ran.lines[-1])


async def it_replies_to_everybody(ran: Ran) -> None:
    replies = {
        name: [x for x in ran.lines if x.startswith(f"@{name} ")] for name in ["ann", "ben", "cat", "dan"]
    }
    for name in ("ann", "ben", "dan"):
        assert kind((ran.folder / f"{name}.png").read_bytes()) == "PNG"
    assert replies["ann"][-1] == "@ann a red house"
    assert replies["ben"][-1] == "@ben a blue fish"
    assert len(replies["dan"][-1]) > len("@dan a green…"), "the prompt writer goes on"
    assert replies["cat"] == [x for x in replies["cat"] if "prompt" in x]
    assert len(replies["cat"]) == 1
    assert not (ran.folder / "cat.png").exists()


async def it_answers_with_base64(ran: Ran) -> None:
    (picture,) = ran.answer["images"]
    assert kind(base64.b64decode(picture)) == "PNG"
    assert json.loads(ran.answer["info"])["seed"] == ran.answer["parameters"]["seed"] == 7
    assert ran.answer["parameters"]["steps"] == 8


async def it_writes_two_files_and_streams(ran: Ran) -> None:
    for number in (0, 1):
        assert kind((ran.folder / f"house-{number}.png").read_bytes()) == "PNG"
    size, tokens = ran.lines[0].split()
    assert re.fullmatch(r"\d+x\d+", size)
    assert int(tokens) > 0
    assert ran.lines[-1].startswith("image_generation.completed ")
    assert len(ran.lines) <= 4, "at most two partial images"


async def it_tells_the_prompt_and_the_url(ran: Ran) -> None:
    (datum,) = ran.answer["data"]
    assert len(datum["revised_prompt"]) > 1
    await is_picture(ran, datum["url"])


async def it_knows_the_key(ran: Ran) -> None:
    assert ran.answer["kind"] == "key"
    assert ran.answer["name"].startswith("example ")


async def it_paints_and_writes(ran: Ran) -> None:
    first, rest = json.JSONDecoder().raw_decode(ran.said)
    await is_picture(ran, first["images"][0]["url"])
    events = events_of(ran.said[rest:])
    assert [name for name, _ in events[:1] + events[-1:]] == ["token", "done"]
    assert events[-1][1]["text"].startswith("a blue ")


PROMISES: dict[str, Callable[[Ran], Awaitable[None]]] = {
    "A picture, sh": it_waits_for_the_picture,
    "A picture, python": it_prints_four_pictures_of_consecutive_seeds,
    "A picture, js": it_prints_a_webp,
    "Many at once, sh": it_takes_all_three_once,
    "Watching, sh": it_streams_to_the_end,
    "Watching, js": it_prints_steps_and_the_picture,
    "A bot, python": it_replies_to_everybody,
    "AUTOMATIC1111, sh": it_answers_with_base64,
    "OpenAI's protocol, python": it_writes_two_files_and_streams,
    "OpenAI's protocol, sh": it_tells_the_prompt_and_the_url,
    "Keys and limits, sh": it_knows_the_key,
    "From a program, sh": it_paints_and_writes,
}


def by_name(name: str) -> Example:
    return next(example for example in EXAMPLES if example.name == name)


def test_every_example_has_a_promise_to_keep() -> None:
    assert {example.name for example in EXAMPLES} == set(PROMISES)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
async def test_example_runs_and_keeps_its_promise(example: Example, api: Api, tmp_path: Path) -> None:
    if example.language == "js" and NODE is None:
        pytest.skip("needs Node")
    if example.language == "sh" and shutil.which("curl") is None:
        pytest.skip("needs curl: scripts/test-needs.sh")
    await PROMISES[example.name](await run(example, api, tmp_path))
