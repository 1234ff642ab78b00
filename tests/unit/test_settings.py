"""What settings say and what they imply."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from limner.settings import IN_PUBLIC, Settings


def settings(**given: Any) -> Settings:
    return Settings(**given)


@pytest.mark.parametrize(
    ("said", "maker"),
    [("1", "ngrok"), ("true", "ngrok"), ("ngrok", "ngrok"), ("cloudflared", "cloudflared"), ("off", "")],
)
def test_public_names_a_maker_or_takes_the_first(
    monkeypatch: pytest.MonkeyPatch, said: str, maker: str
) -> None:
    monkeypatch.setenv("LIMNER_PUBLIC", said)
    assert settings().public == maker


def test_a_public_server_is_careful_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    public = settings(public="ngrok")
    for name in set(IN_PUBLIC) & set(Settings.model_fields):
        assert getattr(public, name) == IN_PUBLIC[name], name
    assert public.anonymous
    assert not settings().anonymous
    monkeypatch.setenv("LIMNER_ANONYMOUS", "false")
    assert not settings(public="ngrok").anonymous


@pytest.mark.parametrize(("said", "path"), [("/limner", "/limner"), ("/a/b/", "/a/b"), ("/", ""), ("", "")])
def test_a_root_path_ends_without_a_slash(said: str, path: str) -> None:
    assert settings(root_path=said).root_path == path


@pytest.mark.parametrize("said", ["limner", "//evil.example", "/a/../b", "/a b", "https://x/limner", "/ü"])
def test_what_is_no_path_is_refused(said: str) -> None:
    with pytest.raises(ValidationError, match="begin it with a slash"):
        settings(root_path=said)
