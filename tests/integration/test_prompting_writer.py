"""GPT-2 at work in this process: the shipped weights, and tiny models made here."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from limner.errors import ModelUnusable
from limner.params import Voice
from limner.process.child import Inbox
from limner.prompting import catalog, child, priming
from limner.prompting.messages import PromptRequest
from limner.prompting.pipe import Failed, Load, Piece, Ready, Stop, Written
from limner.prompting.writer import Writer
from tests.gpt2 import make_gpt2
from training import scenes
from training.writer_prompts import compose

TEXTS = (
    "a small red boat on the sea at night, soft light, über den Wolken, ein Café am Abend 🌊 海の上の船",
) * 4
PROSE = (
    "She said that she would come on Monday if the weather was good, but nobody believed her.",
    "The company has agreed that the work should be done by the end of the year.",
    "He had never been to the city before, and he did not like it.",
    "You should read the contract before you agree to the price.",
    "It was late, and the people had gone home for the night.",
)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the writer's own process
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def shipped() -> Writer:
    return Writer(catalog.find("writer"))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_gpt2(tmp_path_factory.mktemp("tiny"), TEXTS)


def pieces(writer: Writer, request: PromptRequest) -> list[str]:
    writing = writer.begin(request)
    made = []
    while not writing.done:
        made.append(writing.step())
    return made


def written(writer: Writer, voice: Voice, seed: int, text: str = "", temperature: float = 1.0) -> str:
    return text + "".join(pieces(writer, PromptRequest("x", text, voice, seed, temperature)))


def test_the_starter_voice_writes_what_the_starter_model_draws(shipped: Writer) -> None:
    prompts = [written(shipped, Voice.STARTER, seed) for seed in range(60)]
    assert sum(scenes.parse(prompt) is not None for prompt in prompts) >= 57
    assert len(set(prompts)) >= 54


def test_the_full_voice_writes_rich_and_different_prompts(shipped: Writer) -> None:
    prompts = [written(shipped, Voice.FULL, seed) for seed in range(30)]
    assert len(set(prompts)) == 30
    assert all(len(prompt.split()) >= 6 for prompt in prompts)
    assert not any(scenes.parse(prompt) for prompt in prompts)


@pytest.mark.parametrize(
    "typed", ["a", "a red ", "A Small Yellow Flo", "at night, a", "lightho", "a blue car next"]
)
def test_what_is_typed_is_continued_into_a_drawable_prompt(shipped: Writer, typed: str) -> None:
    prompts = [written(shipped, Voice.STARTER, seed, typed) for seed in range(4)]
    assert all(prompt.startswith(typed) and len(prompt) > len(typed) for prompt in prompts)
    assert sum(scenes.parse(prompt) is not None for prompt in prompts) >= 3


@pytest.mark.parametrize(
    ("typed", "voice", "whole"),
    [
        ("a red lightho", Voice.STARTER, "a red lighthouse"),
        ("an orange hot-air ball", Voice.STARTER, "an orange hot-air balloon"),
        ("a curious hedg", Voice.FULL, "a curious hedgehog"),
        ("an old sailo", Voice.FULL, "an old sailor"),
    ],
)
def test_a_word_cut_in_the_middle_is_ended(shipped: Writer, typed: str, voice: Voice, whole: str) -> None:
    assert all(written(shipped, voice, seed, typed).startswith(whole) for seed in range(3))


@pytest.mark.parametrize(
    "typed", ["a wobbly dragon", "日本の", "zzz qqq", "<|full|> a", "x" * 4000, "a house. " * 400]
)
def test_unknown_words_and_very_long_texts_are_continued_too(shipped: Writer, typed: str) -> None:
    assert len(written(shipped, Voice.STARTER, 1, typed)) > len(typed)


def test_a_prompt_that_could_end_here_is_given_something_more(shipped: Writer) -> None:
    typed = "a red house next to a blue car at night"
    assert all(len(written(shipped, Voice.STARTER, seed, typed)) > len(typed) for seed in range(5))


def test_a_seed_repeats_its_prompt_also_between_others(shipped: Writer) -> None:
    alone = [written(shipped, Voice.FULL, seed) for seed in range(4)]
    together = {seed: shipped.begin(PromptRequest("x", "", Voice.FULL, seed)) for seed in range(4)}
    texts = dict.fromkeys(together, "")
    while any(not writing.done for writing in together.values()):
        for seed, writing in together.items():
            if not writing.done:
                texts[seed] += writing.step()
    assert list(texts.values()) == alone
    assert alone == [written(shipped, Voice.FULL, seed) for seed in range(4)]


def test_temperature_zero_leaves_nothing_to_the_seed(shipped: Writer) -> None:
    assert len({written(shipped, Voice.STARTER, seed, temperature=0) for seed in range(3)}) == 1


def test_no_more_tokens_are_made_than_asked_for(shipped: Writer) -> None:
    writing = shipped.begin(PromptRequest("x", "", Voice.FULL, 3, max_new_tokens=5))
    while not writing.done:
        writing.step()
    assert writing.tokens == 5


def test_text_of_several_bytes_a_character_streams_whole(tiny: Path) -> None:
    writer = Writer(tiny)
    made = [piece for seed in range(12) for piece in pieces(writer, PromptRequest("x", "", Voice.FULL, seed))]
    text = "".join(made)
    assert any(len(char.encode()) > 1 for char in text)  # random weights say such characters' bytes often
    assert "\ufffd" not in text
    assert all(piece.encode().decode() == piece for piece in made)


@pytest.mark.parametrize("merges", [False, True])
def test_a_folder_saved_in_either_way_is_opened(tmp_path: Path, merges: bool) -> None:
    writer = Writer(catalog.find(str(make_gpt2(tmp_path / "gpt2", TEXTS, merges=merges))))
    assert written(writer, Voice.FULL, 1, "a red boat").startswith("a red boat")


def test_a_model_of_prose_is_primed_and_a_model_of_prompts_is_not(tmp_path: Path) -> None:
    rng = random.Random(0)
    prompts = [compose(Voice.FULL, rng) for _ in range(400)]
    of_prose = Writer(make_gpt2(tmp_path / "prose", PROSE * 12, steps=60))
    of_prompts = Writer(make_gpt2(tmp_path / "prompts", prompts, steps=60))
    assert of_prose.primed
    assert not of_prompts.primed
    assert of_prose.opening(Voice.FULL).length > 100
    assert of_prompts.opening(Voice.FULL).length == 1
    text = written(of_prose, Voice.FULL, 1, "a red boat")
    assert text.startswith("a red boat")
    assert priming.HEADING not in text


def test_priming_fits_a_model_with_a_short_memory(tmp_path: Path) -> None:
    writer = Writer(make_gpt2(tmp_path, TEXTS, positions=128))
    writer.primed = True
    assert writer.opening(Voice.FULL).length <= 64
    assert written(writer, Voice.FULL, 1, "a boat " * 100)


class Script(Inbox):
    """An inbox that hands out what `script` says at each look, and then closes the process."""

    def __init__(self, sent: list[object], first: list[object], stop: Stop, after_pieces: int) -> None:
        super().__init__()
        self._sent, self._stop, self._after = sent, stop, after_pieces
        for message in first:
            self.put(message)

    def poll(self) -> Any | None:
        told = [m for m in self._sent if isinstance(m, Piece) and m.request_id == self._stop.request_id]
        if len(told) == self._after:
            self._after = -1
            self.put(self._stop)
        return super().poll()

    def wait(self, timeout_s: float | None = None) -> Any | None:
        message = super().poll()
        if message is None:
            raise EOFError
        return message


def run_child(inbox_of: Callable[[list[object]], Inbox]) -> list[object]:
    """What the writer's process says while it has something to do."""
    sent: list[object] = []
    with pytest.raises(EOFError):
        child.run(Load(str(catalog.find("writer")), 1), inbox_of(sent), sent.append)
    assert isinstance(sent[0], Ready)
    assert not any(isinstance(message, Failed) for message in sent)
    return sent


def test_stopping_one_prompt_stops_it_within_one_token_and_leaves_the_others(
    shipped: Writer,
) -> None:
    requests = [PromptRequest(name, "", Voice.FULL, seed) for seed, name in enumerate("ab")]
    lengths = {}
    for request in requests:
        writing = shipped.begin(request)
        while not writing.done:
            writing.step()
        lengths[request.id] = writing.tokens
    sent = run_child(lambda sent: Script(sent, [*requests], Stop("a"), after_pieces=3))
    third = [at for at, m in enumerate(sent) if isinstance(m, Piece) and m.request_id == "a"][2]
    ends = {m.request_id: m for m in sent if isinstance(m, Written)}
    assert isinstance(sent[third + 1], Written)
    assert sent[third + 1] == ends["a"]  # nothing was made after it was stopped
    assert ends["a"].tokens < lengths["a"]
    assert ends["b"].tokens == lengths["b"]


def test_prompts_under_way_take_turns() -> None:
    requests = [PromptRequest(name, "", Voice.FULL, 5) for name in ("a", "b", "c")]
    sent = run_child(lambda sent: Script(sent, [*requests], Stop("none"), -1))
    told = [m.request_id for m in sent if isinstance(m, Piece)]
    assert len(told) > 20
    assert told == ["a", "b", "c"] * (len(told) // 3)


def _break(folder: Path, how: str) -> None:
    weights = folder / "model.safetensors"
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if how == "cut short":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif how == "pickled":
        weights.unlink()
        torch.save({}, folder / "pytorch_model.bin")
    elif how == "llama":
        (folder / "config.json").write_text(json.dumps(config | {"model_type": "llama"}), encoding="utf-8")
    elif how == "no config":
        (folder / "config.json").unlink()
    elif how == "no tokenizer":
        (folder / "tokenizer.json").unlink()
    elif how == "broken config":
        (folder / "config.json").write_text("{", encoding="utf-8")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("cut short", "corrupt or cut short"),
        ("pickled", "pickled weights"),
        ("llama", "is a llama"),
        ("no config", "has no config.json"),
        ("no tokenizer", "neither tokenizer.json nor vocab.json"),
        ("broken config", "cannot be read as JSON"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused_in_one_line(
    tiny: Path, tmp_path: Path, how: str, said: str
) -> None:
    folder = tmp_path / "gpt2"
    shutil.copytree(tiny, folder)
    _break(folder, how)
    with pytest.raises(ModelUnusable, match=said) as caught:
        catalog.find(str(folder))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("reference", ["/nowhere/at/all", "two words", "README.md"])
def test_a_reference_to_nothing_is_refused(reference: str) -> None:
    with pytest.raises(ModelUnusable):
        catalog.find(reference)


def test_weights_that_lack_tensors_are_not_filled_with_noise(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "gpt2"
    shutil.copytree(tiny, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"n_layer": 2}), encoding="utf-8")
    with pytest.raises(ModelUnusable, match="lack"):
        Writer(folder)
